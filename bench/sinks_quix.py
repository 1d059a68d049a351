"""Quix Streams with its Iceberg sink, as its documentation puts them together: runs until it is ended.

    python bench/sinks_quix.py BROKER REGISTRY_URL TOPIC GROUP FOLDER INTERVAL_S

Runs in an environment of its own (`bench/sinks.txt`). The sink opens AWS Glue and nothing else; everything it does
after that, it does through pyiceberg's catalog interface. So its constructor alone is replaced here, to open a
catalog in SQLite over a local folder; reading batches, making Parquet of them and appending is the sink's own code,
unchanged.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from quixstreams import Application
from quixstreams.models.serializers.avro import AvroDeserializer
from quixstreams.models.serializers.schema_registry import SchemaRegistryClientConfig
from quixstreams.sinks.base import BatchingSink
from quixstreams.sinks.community.iceberg import BaseIcebergConfig, IcebergSink

FETCH = {"fetch.min.bytes": 1_048_576, "fetch.wait.max.ms": 500, "queued.max.messages.kbytes": 262_144}
"""Large fetches, as much waiting as K2 allows itself."""


class LocalIcebergSink(IcebergSink):
    """The sink on a catalog in SQLite; its table has no partitions, the cheapest that it can write."""

    def __init__(self, table_name: str, folder: Path) -> None:
        BatchingSink.__init__(self)
        self._table_name = table_name
        self._table = None
        self._iceberg_config = BaseIcebergConfig(f"file://{folder}/warehouse/trades", {})
        self.data_catalog = SqlCatalog(
            "quix", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse"
        )
        self.data_catalog.create_namespace_if_not_exists(table_name.partition(".")[0])
        self._schema = self._get_default_schema()
        self._partition_spec = UNPARTITIONED_PARTITION_SPEC


def writable(trade: dict[str, Any]) -> dict[str, Any]:
    """Leave out the map, null in every row: the sink cannot give a column of nulls a type."""
    del trade["attributes"]
    return trade


def main() -> None:
    """Run the application."""
    broker, registry_url, topic_name, group, folder, interval_s = sys.argv[1:]
    app = Application(
        broker_address=broker,
        consumer_group=group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        commit_interval=float(interval_s),
        state_dir=Path(folder) / "state",
        consumer_extra_config=FETCH,
    )
    values = AvroDeserializer(schema_registry_client_config=SchemaRegistryClientConfig(url=registry_url))
    topic = app.topic(topic_name, value_deserializer=values)
    app.dataframe(topic).apply(writable).sink(LocalIcebergSink("bench.trades", Path(folder)))
    app.run()


if __name__ == "__main__":
    main()
