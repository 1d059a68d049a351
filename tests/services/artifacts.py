"""The servers' programs: fetched once per version from their makers' Maven artifacts, kept outside the checkout.

    python -m tests.services.artifacts

fetches what is missing and prints the folder. Tests that find nothing fetch it themselves; of several processes one
does, the others wait.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import stamina

POM = Path(__file__).with_name("pom.xml")

ATTEMPTS = 4
"""Downloads before it is given up: Maven keeps what it has, so that each goes on where the last one ended."""

PAUSE_S = 5.0
"""Seconds before the second attempt; it grows from there."""

FETCH_WITHIN_S = 600
"""Deadline of one attempt: some 250 MB."""

ADVICE = "[ERROR] To see the full stack trace"
"""Beginning of Maven's advice on its own options."""

SHOWN = 2_000
"""Characters of Maven's last words in an error."""

DONE = "complete"
"""File that is written last: a folder without it was left half-way."""


class FetchError(Exception):
    """The servers cannot be fetched; says what Maven said."""


def home() -> Path:
    """Folder with the servers; fetched if they are not there.

    Raises
    ------
    FetchError
        They are not there, and cannot be fetched.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "k2-services" / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if not _complete(folder):
            _fetch(folder)
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process fetches into this folder; the lock ends with its process."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _complete(folder: Path) -> bool:
    classpath = folder / "kafka.classpath"
    if not (folder / DONE).exists() or not classpath.exists():
        return False
    # The classpath names files of Maven's own cache, which a person may have emptied.
    jars = [Path(jar) for jar in classpath.read_text().strip().split(os.pathsep)]
    return all(jar.is_file() for jar in jars) and any(folder.glob("registry/*-runner.jar"))


def _fetch(folder: Path) -> None:
    (folder / DONE).unlink(missing_ok=True)
    shutil.rmtree(folder / "markers", ignore_errors=True)
    # -U: what an earlier attempt did not find is asked for again.
    command = [
        tool("mvn"),
        "-q",
        "-B",
        "-U",
        "-Dstyle.color=never",
        "-f",
        str(POM),
        f"-Dservices.home={folder}",
    ]
    for attempt in stamina.retry_context(
        on=FetchError, attempts=ATTEMPTS, timeout=None, wait_initial=PAUSE_S, wait_max=60.0
    ):
        with attempt:
            _run_maven([*command, "generate-resources"])
    if not any(folder.glob("registry/*-runner.jar")):
        raise FetchError(f"the registry's archive, unpacked in {folder}, holds no *-runner.jar")
    (folder / DONE).touch()


def _run_maven(command: list[str]) -> None:
    what = "the servers of the services tests (tests/services/pom.xml) cannot be fetched"
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=FETCH_WITHIN_S)
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"{what}: Maven did not end within {FETCH_WITHIN_S} s") from error
    if done.returncode:
        said = (done.stdout + done.stderr).partition(ADVICE)[0].strip()[-SHOWN:]
        raise FetchError(f"{what}: {' '.join(command)} ended with {done.returncode}:\n{said}")


def tool(name: str) -> str:
    """Path of a program.

    Raises
    ------
    FetchError
        It is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise FetchError(f"{name} is missing: run tests/services/install.sh as root")
    return found


def main() -> None:
    """Fetch, and print the folder."""
    try:
        print(f"Kafka and the schema registry are in {home()}")  # noqa: T201 - a command's answer
    except FetchError as error:
        raise SystemExit(f"{error}") from None


if __name__ == "__main__":
    main()
