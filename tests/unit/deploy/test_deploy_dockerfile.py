"""What can be said of the Dockerfile without building it."""

import re
import subprocess
import sys
import tomllib
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from k2app.cli.k2 import app as k2
from tests.processes import WITHIN_S, ended
from tests.unit.deploy.dockerfile import named, only, stages

ROOT = Path(__file__).parents[3]

BUILD, FINAL = stages()


def packages() -> list[str]:
    """Top-level packages that K2's wheel holds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def copied() -> list[str]:
    """What is copied from the repository."""
    copies = [one for stage in (BUILD, FINAL) for one in named(stage, "COPY")]
    return [
        source
        for one in copies
        if not any(option.startswith("--from=") for option in one.options)
        for source in one.words[:-1]
    ]


def test_base_is_pinned_and_the_same():
    """Both stages are of one Python, named to the patch release, of the version that the lock is made for."""
    (base, _, stage), (final,) = (only(one, "FROM").words for one in (BUILD, FINAL))
    assert stage == "build"
    assert base == final
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base)


def test_everything_copied_is_there():
    """Every source exists, is let through by .dockerignore, and all of K2's packages are among them."""
    allowed = [
        line[1:].rstrip("/")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    assert all((ROOT / source).exists() for source in copied())
    assert sorted(allowed) == sorted(copied())
    assert set(packages()) <= set(copied())


def test_only_what_the_lock_names_is_installed():
    """Dependencies come by hash from the lock; what follows sees only those, and no index."""
    installs = [one.text for stage in (BUILD, FINAL) for one in named(stage, "RUN") if "pip " in one.text]
    assert any("pip wheel --require-hashes --requirement requirements.lock" in text for text in installs)
    for text in installs:
        if "pip install" in text:
            assert "--no-index --find-links /wheels" in text


def test_lock_names_all_that_is_installed():
    """Every dependency of K2, and of the extras that the image has, stands in the lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (extras,) = (found for one in named(BUILD, "RUN") if (found := re.search(r'"\.\[(.+?)\]"', one.text)))
    wanted = project["dependencies"] + [
        requirement
        for extra in extras[1].split(",")
        for requirement in project["optional-dependencies"][extra]
    ]
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert {re.match(r"[\w-]+", one)[0] for one in wanted} <= set(locked)


def test_final_stage_has_no_build_tools():
    """Compilers and package managers stay in the first stage."""
    final = " ".join(one.text for one in named(FINAL, "RUN"))
    assert "apt" not in final
    assert "pip uninstall" in final
    assert ["--from=build"] == [option for one in named(FINAL, "COPY") for option in one.options]


def test_runs_as_nobody_in_particular():
    """The user is a number, and not root's: platforms check that without a list of users."""
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", only(FINAL, "USER").text)
    after = [one.name for one in FINAL[FINAL.index(only(FINAL, "USER")) :]]
    assert "RUN" not in after
    assert "COPY" not in after


def test_signals_reach_k2():
    """No shell stands between the engine and K2, which ends on SIGTERM; and its default command is one."""
    assert only(FINAL, "STOPSIGNAL").text == "SIGTERM"
    assert only(FINAL, "ENTRYPOINT").exec_form == ["k2"]
    assert 0 == CliRunner().invoke(k2, [*only(FINAL, "CMD").exec_form, "--help"]).exit_code


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1)])
def test_healthcheck_is_what_ready_says(status, expected):
    """The check asks the process's own port, and fails on 503."""
    asked = []

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            assert expected == check(server.server_port)
        finally:
            server.shutdown()
            ended(thread)
    assert ["/health/ready"] == asked
    assert 0 != check(server.server_port), "nobody listens any more"


def check(port: int) -> int:
    """Exit status of the image's health check, for a server on this port."""
    program, *arguments = only(FINAL, "HEALTHCHECK").exec_form
    assert program == "python"
    # A proxy that is not there: the check must not ask it.
    environment = {"K2_WEB_PORT": str(port), "http_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, check=False, capture_output=True, timeout=WITHIN_S
    )
    return done.returncode


def test_wheel_holds_every_file_of_the_packages(tmp_path):
    """What the image installs is all of K2: schemas, profiles, exchanges and pages too."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=WITHIN_S,
    )
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in packages()
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours == held
