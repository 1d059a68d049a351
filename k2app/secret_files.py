"""Secrets from files: `K2_KAFKA_PASSWORD_FILE=/run/secrets/kafka` gives `K2_KAFKA_PASSWORD`.

Container platforms mount secrets as files, which neither `docker inspect` nor a child process shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from k2app.errors import OperatorError

FILE_SUFFIX = "_FILE"
"""Ending of a variable that names the file in which a secret is."""


def read_secrets(given: Mapping[str, str | None], secrets: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Secrets whose `_FILE` variables are among `given`, nested as the settings are.

    Parameters
    ----------
    given
        Environment variables.
    secrets
        Variable of each secret setting, with its path in the settings.

    Raises
    ------
    OperatorError
        A file cannot be read, or a secret is given in both ways. Says nothing of what the file holds.
    """
    found: dict[str, Any] = {}
    for name, path in secrets.items():
        file = given.get(name + FILE_SUFFIX)
        if not file:
            continue
        if given.get(name):
            raise OperatorError(f"{name} and {name}{FILE_SUFFIX} are both set: unset one of them")
        group = found
        for part in path[:-1]:
            group = group.setdefault(part, {})
        group[path[-1]] = _read(name + FILE_SUFFIX, Path(file))
    return found


def _read(variable: str, file: Path) -> str:
    try:
        # Editors and `echo` end a file with a line break that is no part of a password.
        return file.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise OperatorError(f"{variable}: {file} cannot be read: {reason}") from error
