"""Kafka Connect with Iceberg's sink, as one of those who take part in `bench/sinks.py`."""

from __future__ import annotations

from pathlib import Path

from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, TimestamptzType
from sinks_contenders import TABLE, Asked, Contender, sqlite_catalog
from trades import blocks

from k2app.lake.tables import SPECS, Name
from tests.services.artifacts import classpath, tool
from tests.services.servers import free_port

CONNECT_POM = Path(__file__).with_name("sinks_pom.xml")

JVM = ("-server", "-Xms256M", "-Xmx2G", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-Djava.awt.headless=true")
"""What Kafka's own start script gives Connect."""

WORKER_PROPERTIES = """\
bootstrap.servers={servers}
listeners=http://127.0.0.1:{port}
plugin.discovery=service_load
offset.storage.file.filename={folder}/offsets
offset.flush.interval.ms=1000
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=io.apicurio.registry.utils.converter.AvroConverter
value.converter.apicurio.registry.url={registry}
value.converter.apicurio.registry.as-confluent=true
value.converter.apicurio.registry.use-id=contentId
"""
"""Of the worker. A task whose topic rests waits for records until its next flush of offsets, a minute by default, and
answers no request to commit meanwhile: the last rows would come two minutes late.
"""

SINK_PROPERTIES = """\
name=sink
connector.class=org.apache.iceberg.connect.IcebergSinkConnector
tasks.max={tasks}
topics={topic}
iceberg.tables={table}
iceberg.catalog.catalog-impl=org.apache.iceberg.jdbc.JdbcCatalog
iceberg.catalog.jdbc.schema-version=V1
iceberg.catalog.uri=jdbc:sqlite:{folder}/catalog.db
iceberg.catalog.warehouse=file://{folder}/warehouse
iceberg.control.commit.interval-ms={interval_ms}
consumer.override.auto.offset.reset=earliest
consumer.override.max.poll.records=20000
consumer.override.fetch.min.bytes=1048576
consumer.override.max.partition.fetch.bytes=16777216
consumer.override.fetch.max.bytes=67108864
"""


def connect(asked: Asked) -> Contender:
    """Kafka Connect, standalone, with Iceberg's sink (exactly once, as it always is) and Apicurio's Avro converter."""
    folder = asked.folder("connect")
    asked.admin().create_topic("control-iceberg", 1)
    catalog = sqlite_catalog("iceberg", folder)
    catalog.create_namespace("bench")
    catalog.create_table(TABLE, as_converted(SPECS[Name.TRADES].schema, next(blocks(1, 1)).column_names))
    registry = asked.home.settings.registry.url.replace("ccompat/v7", "registry/v2")
    worker, sink = folder / "worker.properties", folder / "sink.properties"
    worker.write_text(
        WORKER_PROPERTIES.format(servers=asked.servers, port=free_port(), folder=folder, registry=registry)
    )
    interval_ms = round(asked.interval_s * 1_000)
    sink.write_text(
        SINK_PROPERTIES.format(
            tasks=asked.tasks, topic=asked.topic, table=TABLE, folder=folder, interval_ms=interval_ms
        )
    )
    main = "org.apache.kafka.connect.cli.ConnectStandalone"
    jars = classpath(CONNECT_POM, "connect.classpath")
    command = [tool("java"), *JVM, "-cp", jars, main, str(worker), str(sink)]
    return Contender("Connect", command, "connect-sink", folder, catalog, TABLE)


def as_converted(schema: Schema, names: list[str]) -> Schema:
    """K2's columns of these names, with the types that the converter makes of them.

    Notes
    -----
    Apicurio's converter knows times in milliseconds only: a timestamp in microseconds comes out as a plain number, and
    the sink would take a number for milliseconds. So the column is a number too. Decimals keep 18 digits; a table that
    the sink makes itself would get 38, and larger files.
    """
    kept = [schema.find_field(name) for name in names]
    return Schema(*(_as_number(one) if isinstance(one.field_type, TimestamptzType) else one for one in kept))


def _as_number(one: NestedField) -> NestedField:
    return NestedField(one.field_id, one.name, LongType(), required=one.required)
