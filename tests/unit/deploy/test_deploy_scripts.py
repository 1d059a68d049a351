"""The lines of shell in docker-compose.yml, run with other programs in the servers' places."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.processes import WITHIN_S
from tests.unit.deploy.compose_file import ComposeFile

FILE = ComposeFile()


def program(path: Path, lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def kafka(tmp_path):
    """Start Kafka's container on a volume; returns the cluster's id that it is started with."""
    data = tmp_path / "data"
    data.mkdir()
    uuid = program(tmp_path / "storage", 'echo "id-$$"')
    run = program(
        tmp_path / "run", f'echo "cluster.id=$CLUSTER_ID" >{data}/meta.properties; echo "$CLUSTER_ID"'
    )

    def start() -> str:
        shell, options, lines = FILE.service("kafka").given["command"]
        lines = lines.replace("/opt/kafka/bin/kafka-storage.sh", str(uuid))
        lines = lines.replace("/etc/kafka/docker/run", str(run)).replace("/var/lib/kafka/data", str(data))
        return subprocess.run(
            [shell, options, lines], check=True, capture_output=True, text=True, timeout=WITHIN_S
        ).stdout.strip()

    return start, data


def test_cluster_id_lives_as_long_as_its_volume(kafka):
    """K2 tells logs apart by it: a new volume is another log, a restart is not."""
    start, data = kafka
    first = start()
    assert first.startswith("id-")
    assert first == start()
    (data / "meta.properties").unlink()
    assert first != start()


def test_s3_server_has_the_bucket_and_the_secret(tmp_path):
    """The bucket that K2's warehouse is in is there before the server starts."""
    secret = tmp_path / "secrets" / "s3_secret_key"
    secret.parent.mkdir()
    secret.write_text("hidden")
    program(tmp_path / "bin" / "versitygw", 'echo "$ROOT_SECRET_KEY $*"')
    service = FILE.service("s3")
    *shell, lines = service.command_line([])
    lines = lines.replace("/run/k2", str(secret.parent)).replace("/data", str(tmp_path / "data"))
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    said = subprocess.run(
        [*shell, lines], env={"PATH": path}, check=True, capture_output=True, text=True, timeout=WITHIN_S
    ).stdout.strip()
    assert said.startswith("hidden ")
    warehouse = FILE.service("worker-1").environment["K2_LAKE_WAREHOUSE"]
    bucket = warehouse.removeprefix("s3://").partition("/")[0]
    assert 3 <= len(bucket), "shorter names are refused"
    buckets = Path(said.split()[-1])
    assert (buckets / bucket).is_dir()
