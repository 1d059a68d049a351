"""K2 homes whose exchange, and so whose topics and consumer group, no other test has; on Kafka or embedded."""

import uuid
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from k2app import topology
from k2app.lake.catalog import open_catalog
from k2app.lake.tables import Name
from k2app.market.topics import DataType
from k2app.settings import read_settings
from k2app.stream.logs_by_url import open_log
from k2app.stream.publisher import Outlet
from k2app.stream.registry import open_registry
from tests.pipeline.homes import Home, trades

EXCHANGE = """\
[{name}]
asset_class = "equities"
time_zone = "Australia/Sydney"
session_start = "00:00"
currency = "AUD"
partitions = {partitions}

[{name}.sequences]
trades = {{ kind = "contiguous", scope = "trading_date", first = 1 }}
quotes = {{ kind = "contiguous", scope = "trading_date", first = 1 }}
"""


def new_exchange() -> str:
    """Name of an exchange that nobody has."""
    return f"x{uuid.uuid4().hex[:10]}"


class MarketHome(Home):
    """A home that serves one exchange; its log is what `environment` says, embedded if it says nothing."""

    def __init__(self, path: Path, exchange: str, *, partitions: int = 2, **environment: str) -> None:
        super().__init__(path, **environment)
        self.exchange = exchange
        self.topic = f"market.equities.trades.{exchange}"
        (path / "exchanges.toml").write_text(EXCHANGE.format(name=exchange, partitions=partitions))
        self.environment |= {"K2_EXCHANGES": exchange, "K2_CONSUMER_GROUP": f"k2-{exchange}"}

    @cached_property
    def settings(self):
        given = self.environment
        return read_settings(
            home=self.path,
            exchanges=self.exchange,
            exchanges_file=self.path / "exchanges.toml",
            consumer_group=given["K2_CONSUMER_GROUP"],
            log={"url": given.get("K2_LOG_URL", "")},
            registry={"url": given.get("K2_REGISTRY_URL", "")},
        )

    @property
    def group(self) -> str:
        return self.settings.consumer_group

    # --- the log

    @cached_property
    def opened(self):
        """The log, with topics, subjects and tables made."""
        log, settings = open_log(self.settings), self.settings
        self.made = topology.initialise(
            settings,
            topology.topics(settings),
            log,
            open_registry(settings, log.file),
            open_catalog(settings),
        )
        return log

    @cached_property
    def publisher(self):
        return self.opened.publisher()

    def close(self) -> None:
        if "publisher" in self.__dict__:
            self.publisher.close()

    def outlet(self, data_type: DataType = DataType.TRADES) -> Outlet:
        topic, _ = topology.topics(self.settings).topic(self.exchange, data_type)
        _ = self.opened
        return Outlet(
            topic.name, "symbol", topology.reader_schema(data_type), self.made.subjects[topic.subject]
        )

    def publish(self, rows: pa.Table, data_type: DataType = DataType.TRADES) -> dict[int, tuple[int, int]]:
        at = rows.column_names.index("exchange")
        rows = rows.set_column(at, "exchange", pa.array([self.exchange] * rows.num_rows))
        return self.publisher.publish(self.outlet(data_type), rows)

    def publish_numbers(self, numbers: list[tuple[str, int | None]], **options) -> None:
        self.publish(trades(numbers, **options))

    # --- workers

    def beside(self, name: str) -> dict[str, str]:
        """Environment of another worker of the same lake."""
        return {
            "K2_HOME": str(self.path.with_name(name)),
            "K2_LAKE_URI": self.settings.catalog_uri,
            "K2_LAKE_WAREHOUSE": self.settings.warehouse,
        }

    # --- the lake

    def everything(self) -> dict:
        """Whatever must be the same in every run of the same input."""
        return {name: self.rows(name) for name in (Name.TRADES, Name.GAPS, Name.DEAD_LETTERS)} | {
            "floors": self.floors()
        }

    def committed_rows(self) -> int:
        """Offsets that the lake has."""
        return sum(self.floors().values())
