"""What goes wrong with servers is told in words: what it is about, and what to do. Secrets are in none of them."""

import contextlib
import os
import socket
from dataclasses import replace

import psycopg
import pytest

from k2app.cli import config
from k2app.errors import OperatorError, TransientError
from k2app.lake.catalog import create_tables, load, open_catalog
from k2app.lake.tables import Name
from k2app.market import exchanges
from k2app.query.engine import QueryEngine
from k2app.query.queries import TRADES_QUERY
from k2app.query.requests import RowsRequest
from k2app.settings import read_settings
from tests.query_lake import append, trade
from tests.services.lakes.homes import on_postgres, on_rest
from tests.services.servers import free_port


@pytest.fixture
def settings_of(tmp_path, monkeypatch):
    """Settings as the variables say."""

    def read(variables):
        for name in [n for n in os.environ if n.startswith("K2_")]:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return read_settings(home=tmp_path / "home")

    return read


def used(settings) -> None:
    """Open a lake, make its tables, read one."""
    with open_catalog(settings) as catalog:
        create_tables(catalog, settings)
        load(catalog, settings, Name.TRADES)


def test_bucket_that_is_missing_is_named(storage, database, settings_of):
    """Nobody waits for it to appear."""
    lake = on_postgres(storage, database) | {"K2_LAKE_WAREHOUSE": "s3://nobodys-bucket/warehouse"}
    with pytest.raises(OperatorError, match=r"bucket does not exist: create it, or mend K2_LAKE_WAREHOUSE"):
        used(settings_of(lake))


@pytest.mark.parametrize("name", ["K2_S3_SECRET_ACCESS_KEY", "K2_S3_ACCESS_KEY_ID", "K2_S3_REGION"])
def test_refused_credentials_name_the_settings(name, storage, database, settings_of):
    """A person has to mend them."""
    lake = on_postgres(storage, database) | {name: "wr0ng"}
    with pytest.raises(OperatorError, match=r"refuses the credentials: check K2_S3_ACCESS_KEY_ID") as caught:
        used(settings_of(lake))
    assert storage.secret_access_key not in str(caught.value)


def test_object_store_that_is_away_is_awaited(storage, database, settings_of):
    """Within the time that the settings give it."""
    away = replace(storage, port=free_port())
    lake = on_postgres(storage, database) | away.environment | {"K2_S3_CONNECT_TIMEOUT_S": "0.5"}
    with pytest.raises(TransientError, match=r"NETWORK_CONNECTION"):
        used(settings_of(lake))


def test_object_store_that_never_answers_times_out(storage, database, settings_of):
    """A connection that is half open is not awaited for ever: some attempts, each for the time that is set."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        dumb = replace(storage, port=silent.getsockname()[1])
        lake = on_postgres(storage, database) | dumb.environment | {"K2_S3_TIMEOUT_S": "1"}
        with pytest.raises(TransientError, match=r"does not answer.*(NETWORK|TIMEOUT|timed out)"):
            used(settings_of(lake))


def test_query_with_a_key_that_is_withdrawn_names_the_settings(storage, database, settings_of):
    """DuckDB's refusal is told as Arrow's is."""
    settings = settings_of(on_postgres(storage, database))
    with open_catalog(settings) as catalog:
        create_tables(catalog, settings)
        append(catalog, settings, "trades", [trade(n) for n in range(10)])
        wrong = settings.s3.model_copy(update={"access_key_id": "wr0ng"})
        engine = QueryEngine(settings.model_copy(update={"s3": wrong}), catalog, exchanges.load())
        with contextlib.closing(engine), pytest.raises((OperatorError, TransientError)) as caught:
            engine.answer(TRADES_QUERY, RowsRequest(order="desc"))
    assert storage.secret_access_key not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda uri: uri.replace("k2:", "k2:wr0ng"), "password authentication failed.*K2_LAKE_PASSWORD"),
        (lambda uri: uri.replace("k2:", "nobody:"), "authentication failed"),
        (lambda uri: uri + "x", "does not exist.*K2_LAKE_URI"),
        (lambda uri: uri.replace("postgresql:", "postgresql+psycopg2:"), "driver is not installed.*postgres"),
        (lambda uri: uri.replace("@", " ").replace("://", ":/"), "K2_LAKE_URI is not a URI"),
    ],
)
def test_database_that_refuses_is_a_persons_to_mend(change, message, storage, database, settings_of):
    """A wrong password, user, database, driver or text."""
    lake = on_postgres(storage, database)
    lake["K2_LAKE_URI"] = change(lake["K2_LAKE_URI"])
    with pytest.raises(OperatorError, match=message) as caught:
        used(settings_of(lake))
    assert "pg-53cret" not in str(caught.value)


def test_password_of_the_database_comes_from_a_file(storage, database, settings_of, tmp_path):
    """As it is: not percent-encoded, and not in the URI, which others may see."""
    lake = on_postgres(storage, database)
    user, _, place = lake["K2_LAKE_URI"].rpartition("@")
    (tmp_path / "password").write_text(database.password + "\n")
    lake |= {
        "K2_LAKE_URI": f"{user.rpartition(':')[0]}@{place}",
        "K2_LAKE_PASSWORD_FILE": str(tmp_path / "password"),
    }
    used(settings_of(lake))


def test_database_that_is_away_is_awaited(storage, database, settings_of):
    """It may come back."""
    lake = on_postgres(storage, database)
    lake["K2_LAKE_URI"] = lake["K2_LAKE_URI"].replace(str(database.port), str(free_port()))
    with pytest.raises(TransientError, match=r"catalog postgresql://k2:\*\*\*@.* does not answer.*refused"):
        used(settings_of(lake))


def test_database_that_never_answers_times_out(storage, database, settings_of):
    """A half-open connection to the catalog."""
    lake = on_postgres(storage, database)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        at = lake["K2_LAKE_URI"].replace(str(database.port), str(silent.getsockname()[1]))
        lake["K2_LAKE_URI"] = f"{at}?connect_timeout=2"
        with pytest.raises(TransientError, match=r"does not answer.*timeout"):
            used(settings_of(lake))


def test_statement_that_waits_too_long_is_given_up(storage, database, settings_of):
    """Somebody's lock on the catalog's tables holds a worker up for the time that is set, not for ever."""
    lake = on_postgres(storage, database) | {"K2_LAKE_TIMEOUT_S": "1"}
    settings = settings_of(lake)
    used(settings)
    with psycopg.connect(lake["K2_LAKE_URI"]) as other:
        other.execute("LOCK TABLE iceberg_tables IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TransientError, match=r"does not answer.*statement timeout"):
            used(settings)


def test_token_that_the_catalog_does_not_know_names_the_setting(storage, rest, settings_of):
    """A person has to mend it."""
    with pytest.raises(OperatorError, match=r"refuses access.*K2_LAKE_TOKEN"):
        used(settings_of(on_rest(storage, rest) | {"K2_LAKE_TOKEN": "wr0ng"}))


def test_token_comes_from_a_file(storage, rest, settings_of, tmp_path):
    """As container platforms mount it."""
    lake = on_rest(storage, rest)
    (tmp_path / "token").write_text(lake.pop("K2_LAKE_TOKEN"))
    used(settings_of(lake | {"K2_LAKE_TOKEN_FILE": str(tmp_path / "token")}))


def test_catalog_that_is_away_is_awaited(storage, rest, settings_of):
    """It may come back."""
    lake = on_rest(storage, rest.at(free_port()))
    with pytest.raises(TransientError, match=r"does not answer"):
        used(settings_of(lake))


def test_secrets_of_the_lake_are_not_shown(storage, rest, settings_of):
    """Neither by the settings nor by what `k2 config` prints of them."""
    properties = '{"s3.session-token": "t0ken-53cret"}'
    settings = settings_of(on_rest(storage, rest) | {"K2_LAKE_PROPERTIES": properties})
    printed = repr(settings) + "".join(map(str, config.rows(settings)))
    assert "lake" in printed
    assert [] == [s for s in (storage.secret_access_key, rest.token, "t0ken-53cret") if s in printed]
