"""A real Iceberg REST catalog: the Iceberg project's own, which it tests its clients with."""

import contextlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.services.artifacts import iceberg_classpath, tool
from tests.services.s3 import S3
from tests.services.servers import free_port, running

LAUNCHER = Path(__file__).with_name("RestCatalog.java")


@dataclass(frozen=True)
class RestCatalog:
    """A server, or a way to it; its tables are below `warehouse`."""

    port: int
    warehouse: str
    token: str = "rest-53cret"  # noqa: S105 - of a server that lives for a test

    def at(self, port: int) -> "RestCatalog":
        """The same server behind a relay's port."""
        return RestCatalog(port, self.warehouse, self.token)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """K2's variables for it."""
        return {"K2_LAKE_URI": self.uri, "K2_LAKE_TOKEN": self.token, "K2_LAKE_WAREHOUSE": self.warehouse}


@contextlib.contextmanager
def server(folder: Path, storage: S3) -> Iterator[RestCatalog]:
    """Run a catalog without tables, over a bucket of its own, until the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    found = RestCatalog(free_port(), f"s3://{storage.new_bucket()}/warehouse")
    properties = {
        "catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
        "uri": f"jdbc:sqlite:{folder / 'catalog.db'}",
        "jdbc.schema-version": "V1",
        # SQLite has one writer.
        "clients": "1",
        "warehouse": found.warehouse,
        **storage.java_properties,
    }
    command = [
        *(tool("java"), "-Xmx384m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"),
        *("-cp", iceberg_classpath(), LAUNCHER, found.port, found.token),
        *(f"{name}={value}" for name, value in properties.items()),
    ]

    def answers() -> bool:
        asked = urllib.request.Request(f"{found.uri}/v1/config")  # noqa: S310 - ours
        asked.add_header("Authorization", f"Bearer {found.token}")
        with contextlib.suppress(OSError, urllib.error.HTTPError):
            return bool(urllib.request.urlopen(asked, timeout=5).status == 200)  # noqa: S310 - ours
        return False

    with running(command, folder / "rest.out", answers):
        yield found
