"""The services of docker-compose.yml, run without containers: each with the command and variables that it has there.

Addresses and paths of the containers are replaced by those of this machine, and nothing else is.
"""

import contextlib
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.pipeline.homes import WORKER_S
from tests.services import postgres, servers
from tests.services.artifacts import S3_SERVER, go_program
from tests.unit.deploy.compose_file import ROOT, ComposeFile, Service
from tests.unit.deploy.dockerfile import only, stages

FILE = ComposeFile()

_ELSEWHERE = re.compile(r"\b(kafka|registry|s3|postgres|web|worker-\d):\d|/run/k2|/var/lib/k2|0\.0\.0\.0")
"""What only a container understands."""


@dataclass
class Process:
    """A running process of K2."""

    name: str
    popen: subprocess.Popen
    output: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def peak_bytes(self) -> int:
        """Most memory that it has had so far."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def is_ready(self) -> bool:
        """Whether it says that it can do its work."""
        assert self.popen.poll() is None, self.output.read_text()
        with contextlib.suppress(OSError):
            return 200 == asked(f"{self.url}/health/ready")
        return False

    def health(self) -> int:
        """Exit status of the image's health check."""
        python, *arguments = only(stages()[-1], "HEALTHCHECK").exec_form
        assert "python" == python
        environment = {"K2_WEB_PORT": str(self.port)}
        return subprocess.run([sys.executable, *arguments], env=environment, check=False).returncode

    def stop(self) -> int:
        """End it as the engine does; returns its exit status."""
        self.popen.terminate()
        return self.popen.wait(WORKER_S)


@dataclass
class Stack:
    """What the servers of one folder are called here.

    Parameters
    ----------
    places
        What stands in the file, with what stands for it on this machine.
    """

    folder: Path
    places: dict[str, str] = field(default_factory=dict)

    def here(self, text: str) -> str:
        for there, place in self.places.items():
            text = text.replace(there, place)
        assert not _ELSEWHERE.search(text), text
        return text

    def environment(self, service: Service) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith("K2_")}
        # As in the container: K2's programs on the path, and no home to write to.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        given = {name: self.here(value) for name, value in service.environment.items()}
        return outside | {"PATH": path, "HOME": "/nonexistent"} | given

    def command(self, service: Service) -> list[str]:
        entrypoint = only(stages()[-1], "ENTRYPOINT").exec_form
        found = [self.here(part) for part in service.command_line(entrypoint)]
        return [*(sys.executable, "-m", "k2app.cli.k2"), *found[1:]] if found[0] == "k2" else found

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a job to its end; `arguments` as after `docker compose run NAME`."""
        service = FILE.service(name)
        return subprocess.run(
            [*self.command(service), *arguments],
            env=self.environment(service),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=2 * WORKER_S,
            check=False,
        )

    @contextlib.contextmanager
    def running(self, name: str) -> Iterator[Process]:
        """Run a process of K2 until the end of the block."""
        service, port = FILE.service(name), servers.free_port()
        output = self.folder / f"{name}.out"
        with output.open("ab") as out:
            popen = subprocess.Popen(
                self.command(service),
                env=self.environment(service) | {"K2_WEB_PORT": str(port)},
                cwd=self.folder,
                stdout=out,
                stderr=out,
            )
        try:
            yield Process(name, popen, output, port)
        finally:
            if popen.poll() is None:
                popen.kill()
            popen.wait()

    def secret(self, name: str) -> Path:
        return Path(self.places["/run/k2"], name)


@contextlib.contextmanager
def stack(folder: Path) -> Iterator[Stack]:
    """Run what K2 stands on until the end of the block."""
    made = Stack(folder, {"/run/k2": str(folder / "secrets"), "/var/lib/k2": str(folder / "homes")})
    made.places |= {"/etc/k2": str(ROOT / "deploy"), "0.0.0.0": "127.0.0.1"}  # noqa: S104 - what it becomes
    with ExitStack() as started:
        done = made.run("secrets")
        assert 0 == done.returncode, done.stderr
        made.places["http://s3:7070"] = started.enter_context(_s3(made))
        made.places["kafka:19092"] = started.enter_context(_kafka(folder / "kafka"))
        registry = FILE.service("worker-1").environment["K2_REGISTRY_URL"]
        made.places[registry] = started.enter_context(servers.registry(folder / "registry"))
        database = started.enter_context(postgres.server())
        # It has been made with another password than the first job's.
        made.secret("postgres_password").write_text(database.password)
        made.places["postgres:5432/k2"] = f"127.0.0.1:{database.port}/{database.new_database()}"
        yield made


@contextlib.contextmanager
def _s3(made: Stack) -> Iterator[str]:
    service, port = FILE.service("s3"), servers.free_port()
    server = go_program(S3_SERVER)
    data, url = str(made.folder / "s3"), f"http://127.0.0.1:{port}"
    *shell, lines = service.command_line([])
    lines = made.here(lines).replace("/data/", f"{data}/").replace(":7070", f"127.0.0.1:{port}")
    command = [*shell, lines.replace("exec versitygw", f"exec {server}")]

    def answers() -> bool:
        *_, checked = service.given["healthcheck"]["test"]
        with contextlib.suppress(OSError):
            return 200 == asked(checked.replace(":7070", f":{port}"))
        return False

    with servers.running(command, made.folder / "s3.out", answers, **service.environment):
        yield url


@contextlib.contextmanager
def _kafka(folder: Path) -> Iterator[str]:
    """Run a broker with the container's properties; where it keeps and offers them is here."""
    folder.mkdir()
    given = FILE.service("kafka").environment
    ports = {port: str(servers.free_port()) for port in ("19092", "9092", "29093")}
    replaced = {"kafka": "127.0.0.1", "localhost": "127.0.0.1", "//:": "//127.0.0.1:"}
    replaced |= {f":{port}": f":{free}" for port, free in ports.items()}
    replaced["/var/lib/kafka/data"] = str(folder / "data")
    lines = []
    for name, value in given.items():
        if name == "KAFKA_HEAP_OPTS":
            continue
        for there, here in replaced.items():
            # Where the data is contains "kafka" too.
            value = value.replace(there, here) if there != "kafka" or "://" in value else value  # noqa: PLW2901
        # Source: apache/kafka, docker/examples/README.md, "Using Environment Variables".
        lines.append(f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={value}")
    (folder / "server.properties").write_text("\n".join(lines) + "\n")
    servers.format_storage(folder, servers.new_cluster_id())
    with servers.kafka_again(folder):
        yield f"127.0.0.1:{ports['19092']}"


def asked(url: str, key: str = "") -> int:
    """Status of an answer, whatever it is."""
    with _answer(url, key) as found:
        return found.status


def answer(url: str, key: str) -> bytes:
    """An answer's body; fails unless it is 200."""
    with _answer(url, key) as found:
        assert 200 == found.status, found.read()
        return found.read()


def _answer(url: str, key: str):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})  # noqa: S310
    try:
        return urllib.request.urlopen(request, timeout=WORKER_S)  # noqa: S310 - ours
    except urllib.error.HTTPError as error:
        return error
