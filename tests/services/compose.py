"""Docker Compose's own program: it reads and checks docker-compose.yml without an engine."""

import os
import subprocess
from pathlib import Path

from tests.services.artifacts import DONE, FETCH_WITHIN_S, GO_BUILD_WITHIN_S, FetchError
from tests.services.artifacts import _folder as cached
from tests.services.artifacts import _go as go
from tests.services.artifacts import _retried as retried

MODULE = "github.com/docker/compose/v2"

VERSION = "v2.40.3"

VERSION_VARIABLE = f"{MODULE}/internal.Version"
"""What the program says of itself; without it, that it is a development version."""


def program() -> Path:
    """`docker-compose`; built if it is not there.

    Raises
    ------
    FetchError
        It is not there, and cannot be built.
    """
    with cached(f"{MODULE}@{VERSION}".encode()) as folder:
        found = folder / "docker-compose"
        if not (folder / DONE).exists():
            _build(found)
            (folder / DONE).touch()
    return found


def _build(target: Path) -> None:
    failed = f"{MODULE}@{VERSION} cannot be built"
    retried([go(), "mod", "download", f"{MODULE}@{VERSION}"], FETCH_WITHIN_S, failed)
    # `go install` takes no module that excludes versions of others: it is built where Go has unpacked it.
    build = [
        *(go(), "build", "-C", str(_unpacked()), "-trimpath", "-buildvcs=false"),
        *("-ldflags", f"-s -w -X {VERSION_VARIABLE}={VERSION}", "-o", str(target), "./cmd"),
    ]
    retried(build, GO_BUILD_WITHIN_S, failed)


def _unpacked() -> Path:
    done = subprocess.run([go(), "env", "GOMODCACHE"], capture_output=True, text=True, check=False)
    folder = Path(done.stdout.strip(), f"{MODULE}@{VERSION}")
    if done.returncode or not folder.is_dir():
        raise FetchError(f"{MODULE}@{VERSION} is not in {folder} after its download: {done.stderr}")
    return folder


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it on this repository, with nothing set but `environment`."""
    home = {"HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [program(), *arguments],
        cwd=Path(__file__).parents[2],
        env=home | environment,
        capture_output=True,
        text=True,
        check=False,
    )
