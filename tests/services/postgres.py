"""A real PostgreSQL, of the machine's own package, with a cluster of its own."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from tests.services.artifacts import FetchError, tool
from tests.services.certificates import Certificate
from tests.services.servers import STOP_WITHIN_S, free_port, running

USER = "k2"

DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian keeps the servers, one folder per version; their programs are on nobody's path."""

UNPRIVILEGED = "postgres"
"""User that the package made: PostgreSQL refuses to run as root."""


@dataclass(frozen=True)
class Postgres:
    """A server, or a way to it."""

    port: int
    password: str = "pg-53cret:with@signs/%41"  # noqa: S105 - of a server that lives for a test

    def at(self, port: int) -> "Postgres":
        """The same server behind a relay's port."""
        return Postgres(port, self.password)

    def uri(self, database: str) -> str:
        return f"postgresql://{USER}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make a database that nobody has."""
        name = f"d{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def execute(self, sql: str, database: str = "postgres") -> None:
        with psycopg.connect(self.uri(database), autocommit=True) as connection:
            connection.execute(sql)  # type: ignore[call-overload]  # psycopg takes literals only


@contextlib.contextmanager
def server(certificate: Certificate | None = None) -> Iterator[Postgres]:
    """Run a server with no databases but its own until the end of the block; with a certificate it encrypts."""
    found = Postgres(free_port())
    # Not below pytest's folders: only their owner may enter them.
    with tempfile.TemporaryDirectory(prefix="k2-postgres-") as name:
        folder = Path(name)
        _make_cluster(folder, found.password)
        encrypted = [] if certificate is None else _encrypted(folder, certificate)
        command = [
            *_as_owner(folder),
            *(program("postgres"), "-D", folder / "data", "-p", found.port, "-k", folder),
            # The tests cut no power, and the disk is busy enough.
            *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"),
            *encrypted,
        ]

        def answers() -> bool:
            with contextlib.suppress(psycopg.OperationalError):
                found.execute("SELECT 1")
                return True
            return False

        with running(command, folder / "postgres.out", answers) as process:
            yield found
            # SIGTERM would wait until every client has gone.
            process.send_signal(signal.SIGINT)
            process.wait(STOP_WITHIN_S)


def _make_cluster(folder: Path, password: str) -> None:
    (folder / "password").write_text(password)
    if os.geteuid() == 0:
        for path in (folder, folder / "password"):
            shutil.chown(path, UNPRIVILEGED)
    command = [
        *_as_owner(folder),
        *(program("initdb"), "-D", folder / "data", "-U", USER, "--pwfile", folder / "password"),
        *("-A", "scram-sha-256", "-E", "UTF8", "--no-sync"),
    ]
    made = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")


def _encrypted(folder: Path, certificate: Certificate) -> list[object]:
    """Options of a server that shows a certificate; it wants the key for itself alone."""
    for given, name in ((certificate.certificate, "server.pem"), (certificate.key, "server.key")):
        file = folder / name
        shutil.copyfile(given, file)
        file.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(file, UNPRIVILEGED)
    files = (f"ssl_cert_file={folder / 'server.pem'}", f"ssl_key_file={folder / 'server.key'}")
    return [part for option in ("ssl=on", *files) for part in ("-c", option)]


def _as_owner(folder: Path) -> list[object]:
    """What runs a program as the owner of a folder, in its own process."""
    if os.geteuid() != 0:
        return []
    return [tool("setpriv"), "--reuid", folder.owner(), "--regid", UNPRIVILEGED, "--clear-groups"]


def program(name: str) -> Path:
    """One of the server's programs, of the newest version there is.

    Raises
    ------
    FetchError
        PostgreSQL is not installed.
    """
    found = sorted(DEBIAN.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1]
    on_path = shutil.which(name)
    if on_path is None:
        raise FetchError(f"PostgreSQL's {name} is missing: run tests/services/install.sh as root")
    return Path(on_path)
