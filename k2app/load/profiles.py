"""Profiles: what a kind of file looks like, in TOML (`profiles/*.toml`, or a file of yours).

A profile has a table per data type (`[trades]`, `[quotes]`, `[reference_data]`), with the fields in
`[trades.fields]`; see `shapes.py` and `fields.py`. A new vendor's format is a new TOML file, no code.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from k2app.errors import OperatorError
from k2app.load.fields import ProfileData
from k2app.load.shapes import FileShape, QuotesFile, ReferenceFile, SequenceMode, TradesFile
from k2app.market.topics import EXCHANGE_PATTERN, DataType

__all__ = ["FileShape", "Profile", "QuotesFile", "SequenceMode", "load", "names"]

DIGEST_DIGITS: Final = 16
"""Hexadecimal digits by which profiles of one's own are told apart: 64 bits."""


class Profile(ProfileData):
    """A kind of file.

    Parameters
    ----------
    name
        `asx`, or the path of the file it was read from.
    about
        One line for `k2 profile list`.
    exchange
        Whose files these are, if the command does not say.
    """

    name: str
    about: str = ""
    exchange: Annotated[str, Field(pattern=f"^{EXCHANGE_PATTERN}$")] | None = None
    trades: TradesFile | None = None
    quotes: QuotesFile | None = None
    reference_data: ReferenceFile | None = None

    def identity(self, data_type: DataType) -> str:
        """What the ledger knows this way of reading by.

        The name of a profile that ships; of a file of yours its name, an @ and a digest of what it says about the
        data type: after a change of its columns the same file is another load, after one of its comments it is not.
        """
        if not self.name.endswith(".toml"):
            return self.name
        said = self.shape(data_type).model_dump(mode="json", exclude_defaults=True)
        digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        return f"{Path(self.name).stem}@{digest[:DIGEST_DIGITS]}"

    @property
    def data_types(self) -> list[DataType]:
        """What it reads."""
        return [one for one in DataType if getattr(self, one.value) is not None]

    def shape(self, data_type: DataType) -> FileShape:
        """What its files of a data type look like.

        Raises
        ------
        OperatorError
            The profile does not say; names those it does.
        """
        found: FileShape | None = getattr(self, data_type.value)
        if found is None:
            known = ", ".join(self.data_types) or "nothing"
            raise OperatorError(f"profile {self.name} does not read {data_type}; it reads {known}")
        return found


def names() -> list[str]:
    """Profiles that ship with K2, sorted."""
    found = resources.files(__package__).joinpath("profiles").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in found if file.name.endswith(".toml"))


def load(name_or_path: str) -> Profile:
    """Read a profile that ships, by name, or a file of yours, by a path that ends in `.toml`.

    Raises
    ------
    OperatorError
        There is none of that name (lists those there are), the file cannot be read, or it is not valid:
        names file, key, value and what it takes.
    """
    if name_or_path.endswith(".toml"):
        return _profile(name_or_path, _file_text(Path(name_or_path)))
    known = names()
    if name_or_path not in known:
        near = get_close_matches(name_or_path, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise OperatorError(
            f"profile {name_or_path!r} is not known; {hint}known are {', '.join(known)}, or the path of a .toml file"
        )
    shipped = resources.files(__package__).joinpath("profiles", f"{name_or_path}.toml")
    return _profile(name_or_path, shipped.read_text(encoding="utf-8"))


def _file_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"profile {path} cannot be read: {error}") from error


def _profile(name: str, text: str) -> Profile:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"profile {name} is not TOML: {error}") from error
    if "name" in table:
        raise OperatorError(
            f"profile {name}: name = {table['name']!r}: unknown key; the file's name is the name"
        )
    try:
        return Profile(name=name, **table)
    except ValidationError as error:
        raise OperatorError(f"profile {name}: {_explain(error)}") from error


def _explain(error: ValidationError) -> str:
    """First problem only: the next one shows when it is mended."""
    problem: Any = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{key}: missing"
    if problem["type"] == "extra_forbidden":
        return f"{key} = {problem['input']!r}: unknown key"
    takes = problem["msg"].removeprefix("Value error, ")
    got = "" if isinstance(problem["input"], dict) else f" = {problem['input']!r}"
    return f"{key}{got}: {takes}"
