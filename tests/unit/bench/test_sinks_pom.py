"""The peers of the comparison of sinks speak to the servers that the tests run."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).parents[3]

MAVEN = "{http://maven.apache.org/POM/4.0.0}"


def versions(pom: str) -> dict[str, str | None]:
    """Properties of a POM."""
    found = ET.parse(ROOT / pom).getroot().find(f"{MAVEN}properties")  # noqa: S314 - our own file
    assert found is not None
    return {one.tag.removeprefix(MAVEN): one.text for one in found}


def test_connect_and_its_converter_are_of_the_servers_versions() -> None:
    """A newer broker or registry in the tests takes its client with it."""
    servers, sinks = versions("tests/services/pom.xml"), versions("bench/sinks_pom.xml")
    for name in ("kafka.version", "apicurio.version"):
        assert servers[name] == sinks[name], name
