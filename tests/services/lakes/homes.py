"""K2 homes whose lake is on servers."""

import uuid
from functools import cached_property

from k2app import topology
from k2app.lake.catalog import load, open_catalog
from k2app.lake.tables import Name
from k2app.stream.logs_by_url import open_log
from k2app.stream.registry import open_registry
from tests.services.kafka_homes import MarketHome
from tests.services.postgres import Postgres
from tests.services.rest_catalog import RestCatalog
from tests.services.s3 import S3

QUICK_FLUSHES = {"K2_FLUSH_MAX_ROWS": "3000", "K2_LOG_FETCH_ROWS": "1000", "K2_FLUSH_INTERVAL_S": "30"}
"""Several flushes of a few batches each, by rows and not by time."""


def on_postgres(storage: S3, database: Postgres) -> dict[str, str]:
    """A lake in a bucket and a database of its own."""
    return {
        **storage.environment,
        "K2_LAKE_WAREHOUSE": f"s3://{storage.new_bucket()}/warehouse",
        "K2_LAKE_URI": database.uri(database.new_database()),
    }


def on_rest(storage: S3, catalog: RestCatalog) -> dict[str, str]:
    """A lake in a namespace of its own."""
    return {
        **storage.environment,
        **catalog.environment,
        "K2_LAKE_NAMESPACE": f"n{uuid.uuid4().hex[:10]}",
    }


class LakeHome(MarketHome):
    """A home that looks at its lake through one catalog, which `close` closes."""

    @cached_property
    def catalog(self):
        return open_catalog(self.settings)

    @cached_property
    def opened(self):
        """The log, with topics, subjects and tables made."""
        log, settings = open_log(self.settings), self.settings
        registry = open_registry(settings, log.file)
        self.made = topology.initialise(settings, topology.topics(settings), log, registry, self.catalog)
        return log

    def table(self, name: Name):
        return load(self.catalog, self.settings, name)

    def close(self) -> None:
        super().close()
        if "catalog" in self.__dict__:
            self.__dict__.pop("catalog").close()
