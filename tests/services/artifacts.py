"""The servers' programs: fetched once per version from where their makers publish them, kept outside the checkout.

    python -m tests.services.artifacts

fetches what is missing and prints the folder. Tests that find nothing fetch it themselves; of several processes one
does, the others wait.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import stamina

POM = Path(__file__).with_name("pom.xml")
"""Kafka and the schema registry."""

ICEBERG_POM = Path(__file__).with_name("iceberg_pom.xml")
"""Iceberg's REST catalog and Java library."""

S3_SERVER = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
"""Go program that serves a folder as S3."""

FAULT_PROXY = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0"
"""Go program that stands between two others and spoils what they say."""

ATTEMPTS = 4
"""Downloads before it is given up: Maven keeps what it has, so that each goes on where the last one ended."""

PAUSE_S = 5.0
"""Seconds before the second attempt; it grows from there."""

FETCH_WITHIN_S = 600
"""Deadline of one attempt: some 250 MB."""

GO_BUILD_WITHIN_S = 1_200
"""Deadline of one attempt: a minute of compiling on two free cores, many more on busy ones."""

REGISTRY = "registry/*-runner.jar"
"""The registry's program in its folder."""

ADVICE = "[ERROR] To see the full stack trace"
"""Beginning of Maven's advice on its own options."""

SHOWN = 2_000
"""Characters of Maven's last words in an error."""

DONE = "complete"
"""File that is written last: a folder without it was left half-way."""


class FetchError(Exception):
    """The servers cannot be fetched; says what Maven or Go said."""


def home() -> Path:
    """Folder with Kafka and the schema registry; fetched if they are not there.

    Raises
    ------
    FetchError
        They are not there, and cannot be fetched.
    """
    with _folder(POM.read_bytes()) as folder:
        if not _complete(folder, "kafka.classpath") or not any(folder.glob(REGISTRY)):
            _fetch(folder, POM)
            if not any(folder.glob(REGISTRY)):
                raise FetchError(f"the registry's archive, unpacked in {folder}, holds no {REGISTRY}")
            (folder / DONE).touch()
    return folder


def iceberg_classpath() -> str:
    """Classpath of Iceberg's REST catalog and library; fetched if they are not there.

    Raises
    ------
    FetchError
        They are not there, and cannot be fetched.
    """
    return classpath(ICEBERG_POM, "iceberg.classpath")


def classpath(pom: Path, name: str) -> str:
    """Classpath that a POM writes to a file `name`; its jars are fetched if they are not there.

    Raises
    ------
    FetchError
        They are not there, and cannot be fetched.
    """
    with _folder(pom.read_bytes()) as folder:
        if not _complete(folder, name):
            _fetch(folder, pom)
            (folder / DONE).touch()
    return (folder / name).read_text().strip()


def go_program(package: str) -> Path:
    """A Go program, `PACKAGE@VERSION`; built if it is not there.

    Raises
    ------
    FetchError
        It is not there, and cannot be built.
    """
    with _folder(package.encode()) as folder:
        program = folder / package.partition("@")[0].rpartition("/")[2]
        if not (folder / DONE).exists():
            build = [_go(), "install", package]
            _retried(build, GO_BUILD_WITHIN_S, f"{package} cannot be built", GOBIN=str(folder))
            (folder / DONE).touch()
    return program


@contextmanager
def _folder(what: bytes) -> Iterator[Path]:
    """Folder of the cache for one version of something, while nobody else changes it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "k2-services" / hashlib.sha256(what).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        yield folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process fetches into this folder; the lock ends with its process."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _complete(folder: Path, name: str) -> bool:
    classpath = folder / name
    if not (folder / DONE).exists() or not classpath.exists():
        return False
    # The classpath names files of Maven's own cache, which a person may have emptied.
    return all(Path(jar).is_file() for jar in classpath.read_text().strip().split(os.pathsep))


def _fetch(folder: Path, pom: Path) -> None:
    (folder / DONE).unlink(missing_ok=True)
    shutil.rmtree(folder / "markers", ignore_errors=True)
    # -U: what an earlier attempt did not find is asked for again.
    command = [
        *(tool("mvn"), "-q", "-B", "-U", "-Dstyle.color=never", "-f", str(pom)),
        *(f"-Dservices.home={folder}", "generate-resources"),
    ]
    _retried(command, FETCH_WITHIN_S, f"what {pom.parent.name}/{pom.name} names cannot be fetched")


def _retried(command: list[str], within_s: int, failed: str, **environment: str) -> None:
    for attempt in stamina.retry_context(
        on=FetchError, attempts=ATTEMPTS, timeout=None, wait_initial=PAUSE_S, wait_max=60.0
    ):
        with attempt:
            _run(command, within_s, failed, os.environ | environment)


def _run(command: list[str], within_s: int, failed: str, environment: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=within_s, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"{failed}: {command[0]} did not end within {within_s} s") from error
    if done.returncode:
        said = (done.stdout + done.stderr).partition(ADVICE)[0].strip()[-SHOWN:]
        raise FetchError(f"{failed}: {' '.join(command)} ended with {done.returncode}:\n{said}")


def tool(name: str) -> str:
    """Path of an installed program.

    Raises
    ------
    FetchError
        It is not installed.
    """
    found = shutil.which(name)
    if found is None:
        raise FetchError(f"{name} is missing: run tests/services/install.sh as root")
    return found


def _go() -> str:
    # Go's own archive is unpacked there, and not on the path of every shell.
    return shutil.which("go", path=f"{os.environ['PATH']}{os.pathsep}/usr/local/go/bin") or tool("go")


def main() -> None:
    """Fetch everything, and print where it is."""
    try:
        print(f"Kafka and the schema registry are in {home()}")  # noqa: T201 - a command's answer
        print(f"the S3 server is {go_program(S3_SERVER)}")  # noqa: T201
        print(f"the fault proxy is {go_program(FAULT_PROXY)}")  # noqa: T201
        print(f"Iceberg's REST catalog consists of {iceberg_classpath().count(os.pathsep) + 1} jars")  # noqa: T201
    except FetchError as error:
        raise SystemExit(f"{error}") from None


if __name__ == "__main__":
    main()
