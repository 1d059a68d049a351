"""DuckDB on S3: its extensions, which come as Python packages, and the credentials that the lake is written with.

Where no access key is set, Arrow looks for one as AWS's own tools do (environment, profile, the machine's role); so
does DuckDB, by its extension `aws`, and asks anew when a key has expired.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import duckdb
from pyiceberg.io import (
    S3_ACCESS_KEY_ID,
    S3_ENDPOINT,
    S3_FORCE_VIRTUAL_ADDRESSING,
    S3_REGION,
    S3_REQUEST_TIMEOUT,
    S3_SECRET_ACCESS_KEY,
    S3_SESSION_TOKEN,
)

from k2app.errors import OperatorError
from k2app.lake.trust import S3_CA_FILE

SECRET_OPTIONS: Final = {
    S3_ACCESS_KEY_ID: "KEY_ID",
    S3_SECRET_ACCESS_KEY: "SECRET",
    S3_SESSION_TOKEN: "SESSION_TOKEN",
    S3_REGION: "REGION",
}
"""DuckDB's name of each of pyiceberg's properties."""


_WITHOUT: Final = {"aws": " (the extra `aws`), or set K2_S3_ACCESS_KEY_ID and K2_S3_SECRET_ACCESS_KEY"}


def extension(name: str) -> Path:
    """File of one of DuckDB's extensions, from a package of its own: nothing is downloaded at run time.

    Raises
    ------
    OperatorError
        It is not installed, or is another version's.
    """
    package = find_spec(f"duckdb_extension_{name}")
    version = f"v{duckdb.__version__}"
    for folder in (package.submodule_search_locations or ()) if package else ():
        file = Path(folder) / "extensions" / version / f"{name}.duckdb_extension"
        if file.is_file():
            return file
    raise OperatorError(
        f"queries of this s3:// warehouse need DuckDB's extension {name} for {version}: "
        f"pip install duckdb-extension-{name}=={duckdb.__version__}{_WITHOUT.get(name, '')}"
    )


def reach_s3(connection: duckdb.DuckDBPyConnection, root: str, properties: Mapping[str, str]) -> None:
    """Let a connection read what is below `root`, an `s3://` location, and no more of S3.

    Parameters
    ----------
    properties
        How S3 is reached: pyiceberg's names.

    Raises
    ------
    OperatorError
        An extension is not there, or DuckDB does not take the properties.
    """
    try:
        for name in ("httpfs",) if properties.get(S3_ACCESS_KEY_ID) else ("httpfs", "aws"):
            connection.execute(f"LOAD {_quoted(str(extension(name)))}")
        # Global: every query runs on a cursor, which is a connection of its own.
        connection.execute(
            f"SET GLOBAL http_timeout = {max(1, int(float(properties.get(S3_REQUEST_TIMEOUT, 30))))}"
        )
        # The client that DuckDB has by default checks certificates anyway; its other one does not.
        connection.execute("SET GLOBAL enable_server_cert_verification = true")
        if S3_CA_FILE in properties:
            connection.execute(f"SET GLOBAL ca_cert_file = {_quoted(properties[S3_CA_FILE])}")
        # Keys are names, not patterns; and a file never changes under its name.
        connection.execute("SET GLOBAL s3_url_compatibility_mode = true")
        connection.execute("SET GLOBAL enable_http_metadata_cache = true")
        connection.execute(_secret(root, properties))
    except duckdb.Error as error:
        raise OperatorError(f"DuckDB cannot be set up for {root}: {error}") from error


def _secret(root: str, properties: Mapping[str, str]) -> str:
    """Statement that makes the secret; CREATE SECRET takes no parameters, and these come from the operator only."""
    options = {name: properties[given] for given, name in SECRET_OPTIONS.items() if properties.get(given)}
    endpoint = urlsplit(properties.get(S3_ENDPOINT, ""))
    virtual = properties.get(S3_FORCE_VIRTUAL_ADDRESSING, "false").lower() == "true"
    if endpoint.netloc:
        options |= {"ENDPOINT": endpoint.netloc, "URL_STYLE": "vhost" if virtual else "path"}
    given = [f"{name} {_quoted(value)}" for name, value in {**options, "SCOPE": root}.items()]
    tls = f"USE_SSL {'false' if endpoint.scheme == 'http' else 'true'}"
    provider = "config" if "KEY_ID" in options else "credential_chain, REFRESH auto"
    return f"CREATE SECRET lake (TYPE s3, PROVIDER {provider}, {', '.join([*given, tls])})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
