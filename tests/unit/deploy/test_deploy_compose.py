"""What can be said of docker-compose.yml without an engine; `tests/services/test_compose_commands.py` runs the rest."""

import re
import tomllib
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from k2app.cli.k2 import app as k2
from k2app.settings import PREFIX, Settings, read_settings
from tests.services.artifacts import S3_SERVER
from tests.unit.deploy.compose_file import ROOT, UNITS, ComposeFile, made_secrets
from tests.unit.deploy.dockerfile import named, only, stages

FILE = ComposeFile()

RUNNING_WITHIN = 6 * UNITS["g"]
"""Bytes that what runs may take: three quarters of a laptop's 8 GB, which must do other things too."""

ALL_WITHIN = 7 * UNITS["g"]
"""Bytes that all may take at once, with the jobs that end before the others start."""

SECRET = re.compile("PASSWORD|SECRET|TOKEN|CREDENTIAL")
"""Names of variables whose values nobody may read in a file."""


def each(services):
    return pytest.mark.parametrize("service", services, ids=lambda service: service.name)


def test_has_all_that_belongs_to_it():
    """A log, a registry, an object store, a catalog, K2 in its three forms, and what shows them."""
    assert {
        "kafka",
        "registry",
        "s3",
        "postgres",
        "kafka-ui",
        "prometheus",
        "grafana",
        "secrets",
        "init",
        "worker-1",
        "worker-2",
        "web",
    } == {service.name for service in FILE.services if service.is_started}


@each(FILE.ours)
def test_variables_are_settings(service, monkeypatch, tmp_path):
    """K2 takes every K2_ variable that it is given, and its value; a secret's file is one that the first job makes."""
    monkeypatch.chdir(tmp_path)
    for name, value in service.environment.items():
        if name.endswith("_FILE"):
            (tmp_path / "secret").write_text("sqlite:///there")
            assert value in made_secrets()
            value = str(tmp_path / "secret")  # noqa: PLW2901 - where this machine has it
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert str(settings.home) == service.environment.get("K2_HOME", str(tmp_path / ".k2"))


@each(FILE.ours)
def test_commands_are_commands_of_k2(service):
    """Every command line that K2 is given parses."""
    command = service.command_line(image_entrypoint())
    if command[0] == "sh":
        assert service.name == "secrets"
        return
    assert command.pop(0) == "k2"
    done = CliRunner().invoke(k2, [*command, "--help"])
    assert 0 == done.exit_code, done.output


@each(FILE.ours)
def test_k2_has_no_more_rights_than_it_needs(service):
    """Not root, nothing writable but volumes and /tmp, no capabilities."""
    given = service.given
    assert given["read_only"] is True
    assert only(stages()[-1], "USER").text == given["user"]
    assert ["ALL"] == given["cap_drop"]
    assert ["no-new-privileges:true"] == given["security_opt"]
    assert ["/tmp"] == given["tmpfs"]  # noqa: S108 - in a container


def test_processes_of_k2_have_homes_of_their_own_in_a_volume():
    """Two workers never share a state folder, and none loses it with its container."""
    homes = [service.environment["K2_HOME"] for service in FILE.ours if "K2_HOME" in service.environment]
    assert 5 == len(set(homes)) == len(homes)
    for service in FILE.ours:
        assert "k2:/var/lib/k2" in service.given["volumes"]
    assert all(home.startswith("/var/lib/k2/") for home in homes)


def test_open_servers_have_api_keys():
    """K2 refuses to listen to others without keys: every home that does gets the file from the first job."""
    with_keys = FILE.service("secrets").given["command"][1:]
    listening = [one.environment["K2_HOME"] for one in FILE.ours if "K2_WEB_HOST" in one.environment]
    assert sorted(with_keys) == sorted(listening)


@each(FILE.services)
def test_images_are_pinned(service):
    """A whole version stands in every tag; ours is that of the project."""
    name, _, tag = service.given["image"].rpartition(":")
    assert re.match(r"v?\d+\.\d+", tag), f"{name}: {tag}"
    if service.is_ours:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert f"{project['name']}:{project['version']}" == service.given["image"]


@each([service for service in FILE.services if not service.is_ours])
def test_images_name_their_source(service):
    """Above each service stands the page of its maker that names the image, and when it was read."""
    comment = re.search(rf"((?:^  # .*\n)+)  {service.name}:\n", FILE.text, re.MULTILINE)[1]
    assert re.search(r"https://\S+", comment)
    assert re.search(r"read \d{4}-\d\d-\d\d", comment)


def test_images_are_those_that_the_tests_run():
    """Kafka, the registry and the S3 server are of the versions of the services tests."""
    pom = ET.parse(ROOT / "tests/services/pom.xml").getroot()  # noqa: S314 - ours
    found = {one.tag.rpartition("}")[2]: one.text for one in pom.find("{*}properties")}
    assert f"apache/kafka:{found['kafka.version']}" == FILE.service("kafka").given["image"]
    image = FILE.service("registry").given["image"]
    assert f"apicurio/apicurio-registry-kafkasql:{found['apicurio.version']}" == image
    assert f"versity/versitygw:{S3_SERVER.partition('@')[2]}" == FILE.service("s3").given["image"]


@each(FILE.services)
def test_ports_are_open_to_this_machine_only(service):
    for port in service.given.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_memory_fits_a_laptop():
    """Every service has a limit, and the file says what they come to."""
    running = sum(one.memory_bytes for one in FILE.services if one.is_started and not one.is_job)
    everything = sum(one.memory_bytes for one in FILE.services)
    assert running <= RUNNING_WITHIN
    assert everything <= ALL_WITHIN
    assert (
        f"{running / UNITS['g']:.1f} GiB for what runs, {everything / UNITS['g']:.1f} GiB with" in FILE.text
    )


@each([service for service in FILE.services if service.is_started])
def test_everything_is_waited_for(service):
    """A service is either a job, or says whether it is healthy; what waits, waits for the right one of the two."""
    has_check = "healthcheck" in service.given or (
        service.is_ours and bool(named(stages()[-1], "HEALTHCHECK"))
    )
    assert service.is_job or has_check
    for name, condition in service.waits_for.items():
        expected = "service_completed_successfully" if FILE.service(name).is_job else "service_healthy"
        assert expected == condition, name


@pytest.mark.parametrize("name", ["worker-1", "worker-2", "web"])
def test_k2_may_end_what_it_has_begun(name):
    """The engine waits longer for a process to stop than K2 takes at most."""
    service, defaults = FILE.service(name), Settings.model_construct()
    flushes_s = defaults.flush.revoke_within_s if service.given["command"] == ["worker"] else 0
    assert int(service.given["stop_grace_period"].removesuffix("s")) > flushes_s + defaults.web.stop_within_s


@each(FILE.services)
def test_mounted_files_exist(service):
    for path in service.binds:
        assert path.exists(), path


def test_volumes_are_declared_and_used():
    used = set().union(*(service.named_volumes for service in FILE.services))
    assert used == set(FILE.document["volumes"])


@each(FILE.services)
def test_no_password_stands_in_the_file(service):
    """Secrets come from files that the first job makes."""
    for name, value in service.environment.items():
        assert not re.search("://[^/]*:[^/]*@", value), name
        if SECRET.search(name.removesuffix("__FILE").removesuffix("_FILE")):
            assert name.endswith("_FILE"), name
            assert value in made_secrets()
            assert "secrets:/run/k2:ro" in service.given["volumes"]


def test_what_may_be_set_is_in_the_example():
    """`deploy/compose.env.example` lists every variable, with the default that holds without it."""
    lines = (ROOT / "deploy/compose.env.example").read_text().splitlines()
    shown = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert {name: {value} for name, value in shown.items()} == FILE.variables
    assert not any(name.startswith(PREFIX) for name in shown), "`k2` reads .env too, and would refuse them"


def image_entrypoint() -> list[str]:
    return only(stages()[-1], "ENTRYPOINT").exec_form
