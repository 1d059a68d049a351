"""Settings: read once from `K2_` environment variables (or a `.env` file), frozen, handed down by parameter.

Groups are nested with one underscore: `K2_FLUSH_MAX_ROWS` is `settings.flush.max_rows`. Every field has a
description: `k2 config` prints it, and the settings page is made from it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from k2app.errors import OperatorError
from k2app.secret_files import FILE_SUFFIX, read_secrets

PREFIX = "K2_"

RATE_TEXT = "[1-9][0-9]{0,5}/(s|min|h|d)"
"""Pattern of so many requests in a time: 50/s, 3000/min."""


OptionalPath = Annotated[Path | None, BeforeValidator(lambda given: given or None)]
"""A file; an empty variable names none."""


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _without_files(cls, given: Any) -> Any:
        """Variables that name a secret's file come by here as well; they have been read (see `read_settings`)."""
        secrets = {name for name, field in cls.model_fields.items() if field.annotation is SecretStr}
        files = {(name + FILE_SUFFIX).lower() for name in secrets} - set(cls.model_fields)
        return {k: v for k, v in given.items() if k not in files} if isinstance(given, dict) else given


class LogSettings(_Group):
    """The message log."""

    url: str = Field(
        "", description="Log: sqlite:///PATH or kafka://HOST:PORT,...; empty: log.db in K2_HOME."
    )
    synchronous: Literal["full", "normal"] = Field(
        "full", description="Embedded log: 'full' survives a power cut, 'normal' a killed process only."
    )
    keep_hours: float = Field(
        168.0,
        ge=0,
        description="Embedded log: hours that records stay after they came, once the lake has them.",
    )
    keep_bytes: int = Field(
        0,
        ge=0,
        description="Embedded log: size of the file above which they go earlier, oldest first; 0: any.",
    )
    fetch_rows: int = Field(
        65_536, ge=1, le=1_000_000, description="Records handed to an agent at once, per partition, at most."
    )
    fetch_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024,
        description="Bytes handed to an agent at once, per partition, at most (about).",
    )
    waiting_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024,
        description="Bytes fetched and not read yet, over all partitions, at most.",
    )


class KafkaSettings(_Group):
    """How Kafka is spoken to, if the log is Kafka."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Kafka: whether connections are encrypted (SSL) and log in (SASL)."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="Kafka: how a SASL protocol logs in."
    )
    username: str = Field("", description="Kafka: user of a SASL protocol.")
    password: SecretStr = Field(SecretStr(""), description="Kafka: password of a SASL protocol.")
    ca_file: OptionalPath = Field(
        None,
        description="Kafka: PEM file with the authorities that vouch for the brokers; empty: the system's.",
    )
    certificate_file: OptionalPath = Field(
        None, description="Kafka: PEM file with the certificate that K2 shows to brokers that ask for one."
    )
    key_file: OptionalPath = Field(
        None,
        description="Kafka: PEM file with that certificate's private key; empty: it is in the same file.",
    )
    key_password: SecretStr = Field(SecretStr(""), description="Kafka: password of the private key.")
    confirm_within_s: float = Field(
        300.0,
        gt=0,
        description="Kafka: seconds for which loads, replays and redrives wait for brokers to confirm what was sent.",
    )


class RegistrySettings(_Group):
    """The schema registry."""

    url: str = Field("", description="Schema registry (http://...); empty: embedded in the log's file.")
    username: str = Field("", description="User for the registry's basic authentication.")
    password: SecretStr = Field(
        SecretStr(""), description="Password for the registry's basic authentication."
    )
    ca_file: OptionalPath = Field(
        None,
        description="Registry: PEM file with the authorities that vouch for it (https); empty: the system's.",
    )
    certificate_file: OptionalPath = Field(
        None, description="Registry: PEM file with the certificate that K2 shows if it asks for one."
    )
    key_file: OptionalPath = Field(
        None,
        description="Registry: PEM file with that certificate's private key; empty: it is in the same file.",
    )
    key_password: SecretStr = Field(SecretStr(""), description="Registry: password of the private key.")
    timeout_s: float = Field(
        10.0, gt=0, le=300, description="Seconds after which a registry that does not answer is given up."
    )


class LakeSettings(_Group):
    """The Iceberg catalog and warehouse."""

    catalog: str = Field("k2", min_length=1, description="Name of the Iceberg catalog.")
    uri: SecretStr = Field(
        SecretStr(""),
        description="Catalog: sqlite:///, postgresql:// or http(s):// (REST); empty: in K2_HOME.",
    )
    password: SecretStr = Field(
        SecretStr(""), description="Password of the PostgreSQL catalog, if it is not part of K2_LAKE_URI."
    )
    token: SecretStr = Field(SecretStr(""), description="REST catalog: bearer token that K2 shows.")
    credential: SecretStr = Field(
        SecretStr(""), description="REST catalog: OAuth2 client as ID:SECRET, for which it gives out tokens."
    )
    ca_file: OptionalPath = Field(
        None,
        description="PostgreSQL or REST catalog: PEM file with the authorities that vouch for it; empty: the system's "
        "(https), or what K2_LAKE_URI says (PostgreSQL).",
    )
    timeout_s: float = Field(
        60.0,
        ge=1,
        le=3600,
        description="Seconds without an answer after which a request to a PostgreSQL or REST catalog fails.",
    )
    warehouse: str = Field("", description="Warehouse: a folder or s3://, gs://, abfs://; empty: in K2_HOME.")
    properties: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Further pyiceberg catalog properties, as a JSON object; they win over K2_S3_ settings.",
    )
    namespace: str = Field("market_data", min_length=1, description="Iceberg namespace of the tables.")


class S3Settings(_Group):
    """The object store of a warehouse on s3://."""

    endpoint: str = Field(
        "", pattern="^(https?://.+)?$", description="S3: URL of the server (http:// or https://); empty: AWS."
    )
    region: str = Field("us-east-1", min_length=1, description="S3: region of the bucket.")
    access_key_id: str = Field("", description="S3: access key.")
    secret_access_key: SecretStr = Field(SecretStr(""), description="S3: secret of the access key.")
    session_token: SecretStr = Field(SecretStr(""), description="S3: token of a temporary access key.")
    ca_file: OptionalPath = Field(
        None,
        description="S3: PEM file with the authorities that vouch for the server (https); empty: the system's.",
    )
    virtual_hosts: bool = Field(
        False, description="S3: K2_S3_ENDPOINT takes a bucket as part of its host's name, not of the path."
    )
    connect_timeout_s: float = Field(
        5.0, gt=0, le=300, description="S3: seconds after which a connection that is not made fails."
    )
    timeout_s: float = Field(
        30.0, ge=1, le=3600, description="S3: seconds without an answer after which a request fails."
    )


class FlushSettings(_Group):
    """When buffered rows are committed to the lake."""

    max_rows: int = Field(400_000, ge=1, description="Commit when this many rows of a table are buffered.")
    interval_s: float = Field(
        5.0, gt=0, le=3600, description="Commit when the oldest buffered row is this many seconds old."
    )
    revoke_within_s: float = Field(
        30.0,
        gt=0,
        description="Seconds to finish a flush before partitions are given up or the worker stops.",
    )


class StateSettings(_Group):
    """Sequence state."""

    keep_days: int = Field(
        30, ge=1, description="Days after which the state of a closed trading date leaves the state tables."
    )
    max_open_gaps: int = Field(
        1_000, ge=2, description="Open gaps kept per symbol; above it the two closest are merged."
    )


class LoadSettings(_Group):
    """The CSV loader."""

    block_bytes: int = Field(1024 * 1024, ge=4096, description="Bytes of a file parsed at once.")
    wait_s: float = Field(60.0, gt=0, description="--wait gives up after this many seconds without progress.")
    metrics_file: OptionalPath = Field(
        None,
        description="File (ending in .prom) into which `k2 load` writes its metrics, for node_exporter's textfile "
        "collector; empty: none.",
    )


class QuerySettings(_Group):
    """DuckDB."""

    threads: int = Field(2, ge=1, description="Threads of the query engine.")
    memory_limit: str = Field("2GB", description="Memory of the query engine, e.g. 512MB or 4GB.")
    timeout_s: float = Field(30.0, gt=0, description="Seconds after which a query is interrupted.")
    concurrent: int = Field(4, ge=1, description="Queries that run at once; more wait.")
    streams: int = Field(8, ge=1, description="Streamed answers that may be open at once.")
    nice: int = Field(
        5, ge=0, le=19, description="How far queries stand back behind ingestion (as nice; on Linux)."
    )
    max_rows: int = Field(100_000, ge=1, description="Largest limit a request may ask for.")


class WebSettings(_Group):
    """The HTTP interface."""

    host: str = Field("127.0.0.1", description="Address to listen on; a public one needs API keys.")
    port: int = Field(6066, ge=1, le=65535, description="Port to listen on, from 1 on.")
    enabled: bool = Field(True, description="Serve HTTP from the worker.")
    keys: Literal["auto", "required", "off"] = Field(
        "auto",
        description="API keys: asked for always, never, or (auto) once `k2 keys create` has made one or the address "
        "is open to others.",
    )
    allowed_hosts: str = Field(
        "",
        description="Names, comma-separated, under which a server without API keys answers beside localhost and "
        "loopback addresses.",
    )
    rate: str = Field(
        "1000/s",
        pattern=f"^({RATE_TEXT})?$",
        description="Requests a key (without keys: an address) may make, by s, min, h or d; empty: any number.",
    )
    concurrent: int = Field(
        16,
        ge=1,
        description="Queries that a key (without keys: an address) may have running or waiting at once.",
    )
    idle_s: float = Field(
        30.0,
        gt=0,
        description="Seconds in which a client must have sent its request, or taken in some of its answer.",
    )
    stop_within_s: float = Field(
        30.0, gt=0, description="Seconds that requests may take to end when the program is told to stop."
    )
    reuse_port: bool = Field(
        False, description="Share the port with other processes that set this too (SO_REUSEPORT)."
    )


class LogsSettings(_Group):
    """What the program prints about itself."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe line printed."
    )
    format: Literal["console", "json"] = Field("console", description="Form of the lines.")


class HealthSettings(_Group):
    """When the health checks say that something is wrong."""

    commit_age_s: float = Field(
        300.0,
        gt=0,
        description="Worker: not ready when records wait and, K2_FLUSH_INTERVAL_S aside, nothing was committed for so "
        "many seconds.",
    )
    loop_delay_s: float = Field(
        5.0, gt=0, description="Not live when the event loop is so many seconds behind what is due."
    )


class StartSettings(_Group):
    """How a worker starts."""

    within_s: float = Field(
        300.0,
        ge=0,
        description="Worker: seconds for which it waits, at its start, for a log, registry or lake that does not "
        "answer; 0: it ends at once.",
    )


class MemorySettings(_Group):
    """How much memory a worker may take."""

    limit_bytes: int = Field(
        0,
        ge=0,
        description="Worker: bytes of memory of the process from which on it reads no further than it has committed; "
        "0: four fifths of what the machine or the container has.",
    )


class DiskSettings(_Group):
    """How much of the disk is left alone."""

    min_free_bytes: int = Field(
        256 * 1024 * 1024,
        ge=0,
        description="Worker: free bytes of the disks of K2_HOME and of a local log or warehouse below which it stops "
        "reading; 0: never.",
    )


class OtelSettings(_Group):
    """Traces, for OpenTelemetry."""

    endpoint: str = Field(
        "",
        pattern="^(https?://.+)?$",
        description="OpenTelemetry: URL of a collector that takes OTLP over HTTP, e.g. http://localhost:4318; empty: "
        "no traces. Needs the extra `otel`.",
    )
    service_name: str = Field("k2", min_length=1, description="OpenTelemetry: name of the service in traces.")
    sample_ratio: float = Field(
        1.0, ge=0, le=1, description="OpenTelemetry: share of the traces begun here that is kept."
    )


class MetricsSettings(_Group):
    """What /metrics says."""

    look_s: float = Field(
        15.0,
        gt=0,
        description="Seconds between looks at what is not to be asked at every scrape: sizes of tables, log and state.",
    )
    top_symbols: int = Field(
        10,
        ge=0,
        le=1_000,
        description="Symbols with most open gaps, each with a series of its own; 0: none.",
    )


class Settings(BaseSettings):
    """Everything that can be set; see the fields' descriptions."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="_",
        env_nested_max_split=1,
        env_file=".env",
        extra="ignore",
        frozen=True,
    )

    home: Path = Field(Path(".k2"), description="Folder of the embedded log, catalog, warehouse and state.")
    exchanges_file: Path | None = Field(None, description="TOML file that adds or overrides exchanges.")
    exchanges: str = Field(
        "",
        description="Exchanges to serve, comma-separated; empty: all configured ones but those on request.",
    )
    consumer_group: str = Field(
        "k2-iceberg-writer", min_length=1, description="Consumer group of the writers."
    )
    on_hole: Literal["stop", "continue"] = Field(
        "stop", description="When offsets are gone from the log: stop, or record the hole and go on."
    )
    on_new_log: Literal["stop", "continue"] = Field(
        "stop",
        description="When the log is not the one that the lake was written from: stop, or ingest it as well.",
    )

    log: LogSettings = LogSettings()
    kafka: KafkaSettings = KafkaSettings()
    registry: RegistrySettings = RegistrySettings()
    lake: LakeSettings = LakeSettings()
    s3: S3Settings = S3Settings()
    flush: FlushSettings = FlushSettings()
    state: StateSettings = StateSettings()
    load: LoadSettings = LoadSettings()
    query: QuerySettings = QuerySettings()
    web: WebSettings = WebSettings()
    logs: LogsSettings = LogsSettings()
    metrics: MetricsSettings = MetricsSettings()
    health: HealthSettings = HealthSettings()
    start: StartSettings = StartSettings()
    memory: MemorySettings = MemorySettings()
    disk: DiskSettings = DiskSettings()
    otel: OtelSettings = OtelSettings()

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @property
    def log_url(self) -> str:
        """URL of the message log: the one set, or the file in `home`."""
        return self.log.url or f"sqlite:///{self.home / 'log.db'}"

    @property
    def warehouse(self) -> str:
        """Root of the lake's files: the one set, or the folder in `home`; paths are literal, not percent-encoded."""
        return self.lake.warehouse or f"file://{self.home / 'warehouse'}"

    @property
    def catalog_uri(self) -> str:
        """URI of the Iceberg catalog: the one set, or the SQLite file in `home`. May hold a password."""
        return self.lake.uri.get_secret_value() or f"sqlite:///{self.home / 'catalog.db'}"

    @property
    def shown_catalog_uri(self) -> str:
        """URI of the Iceberg catalog without its password, for people."""
        return shown_url(self.catalog_uri)

    @property
    def state_dir(self) -> Path:
        """Folder of the RocksDB state."""
        return self.home / "state"

    @property
    def rejects_dir(self) -> Path:
        """Folder of the loader's rejects."""
        return self.home / "rejects"


def shown_url(url: str) -> str:
    """Make a URL fit to be shown: without the password, if it has one. Other texts stay as they are."""
    scheme, at, rest = url.partition("://")
    user, has_user, host = rest.rpartition("@")
    return f"{scheme}{at}{user.split(':')[0]}:***@{host}" if has_user else url


def read_settings(**overrides: object) -> Settings:
    """Read settings from the environment.

    Parameters
    ----------
    overrides
        Values that win over the environment (tests, command-line options).

    Raises
    ------
    OperatorError
        A value is wrong, or a `K2_` variable is not a setting: names the variable, what it got, what it takes. A
        secret's file cannot be read.
    """
    given = {**dotenv_values(".env"), **os.environ}
    # Before pydantic: it would print the value of a misspelt K2_REGISTRY_PASSWORD.
    _refuse_unknown(set(given))
    secrets = read_secrets(given, {name: path for name, path in variables().items() if is_secret(path)})
    try:
        return Settings(**_merged(secrets, overrides))
    except ValidationError as error:
        raise OperatorError(_explain(error)) from error
    except SettingsError as error:
        raise OperatorError(_explain_json(error, given)) from error


def _merged(secrets: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Both, by group; overrides win."""
    groups = {
        name: secrets[name] | value
        for name, value in overrides.items()
        if isinstance(value, dict) and isinstance(secrets.get(name), dict)
    }
    return {**secrets, **overrides, **groups}


def variables() -> dict[str, tuple[str, ...]]:
    """Environment variable of every setting, with its path in `Settings`, in order of definition."""
    found: dict[str, tuple[str, ...]] = {}
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, _Group):
            found |= {f"{PREFIX}{name}_{leaf}".upper(): (name, leaf) for leaf in group.model_fields}
        else:
            found[f"{PREFIX}{name}".upper()] = (name,)
    return found


def is_secret(path: tuple[str, ...]) -> bool:
    """Whether a setting is one that is never shown, and may be given by a file."""
    value: object = Settings.model_construct()
    for part in path:
        value = getattr(value, part)
    return isinstance(value, SecretStr)


FOREIGN_VARIABLES = frozenset({"K2_FAULT", "K2_FAULT_TRACE", "K2_KEY", "K2_TEST_DATA", "K2_URL"})
"""Variables with our prefix that are not settings: fault points and their trace, where the test data is, and which
server `k2-query` asks, with which key."""


def _refuse_unknown(names: set[str]) -> None:
    from difflib import get_close_matches  # noqa: PLC0415 - only needed to explain an error

    known = variables()
    known |= {name + FILE_SUFFIX: path for name, path in known.items() if is_secret(path)}
    for name in sorted(n for n in names if n.startswith(PREFIX)):
        if name in known or name in FOREIGN_VARIABLES or name[len(PREFIX) :].lower() in Settings.model_fields:
            continue
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; `k2 config` lists the settings"
        raise OperatorError(f"{name} is not a setting{hint}")


def _explain_json(error: SettingsError, given: Mapping[str, str | None]) -> str:
    lines = [
        # Not what it is: there may be a password in it.
        f"{name}: takes a JSON object, and is none{_meaning(path)}"
        for name, path in variables().items()
        if name in given and _is_mapping(path) and not _is_json(given[name] or "")
    ]
    return "\n".join(lines) or f"{error}: {error.__cause__}"


def _is_mapping(path: tuple[str, ...]) -> bool:
    value: object = Settings.model_construct()
    for part in path:
        value = getattr(value, part)
    return isinstance(value, dict)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        path = tuple(str(part) for part in problem["loc"])
        name = PREFIX + "_".join(path).upper()
        got = problem["input"]
        lines.append(f"{name}: {problem['msg']}; got {got!r}{_meaning(path)}")
    return "\n".join(lines)


def _meaning(path: tuple[str, ...]) -> str:
    fields = Settings.model_fields
    for part in path[:-1]:
        group = fields[part].annotation if part in fields else None
        if not (isinstance(group, type) and issubclass(group, BaseModel)):
            return ""
        fields = group.model_fields
    field = fields.get(path[-1])
    return f" ({field.description})" if field is not None and field.description else ""
