"""A lake whose servers encrypt, and are vouched for by an authority that the system does not know."""

from contextlib import closing
from dataclasses import replace

import pytest

from k2app.errors import OperatorError
from k2app.lake.catalog import create_tables, load, open_catalog
from k2app.lake.tables import Name
from k2app.market import exchanges
from k2app.query.engine import QueryEngine
from k2app.query.queries import TRADES_QUERY
from k2app.query.requests import RowsRequest
from tests.pipeline.homes import counting, trades
from tests.query_lake import append, trade
from tests.services import postgres, s3
from tests.services.certificates import Authority
from tests.services.kafka_homes import new_exchange
from tests.services.lakes.homes import LakeHome, on_postgres, on_rest
from tests.services.tls_proxy import SAME_HOST, tls_proxy

NOT_TRUSTED = {
    "K2_S3_CA_FILE": "the certificate of the object store is not trusted: see K2_S3_CA_FILE",
    "K2_LAKE_CA_FILE of postgres": "the certificate of the database is not trusted: see K2_LAKE_CA_FILE",
    "K2_LAKE_CA_FILE of rest": "the certificate of the catalog is not trusted: see K2_LAKE_CA_FILE",
}
"""What is said of each part, by the setting that names its authority."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """The authority that vouches for every server here."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def strange_file(tmp_path_factory):
    """An authority that vouches for none of them."""
    return str(Authority(tmp_path_factory.mktemp("strange"), "Somebody else").certificate)


@pytest.fixture(scope="module")
def encrypted_postgres(tmp_path_factory, authority):
    """An S3 server and a PostgreSQL, both with certificates of their own."""
    certificate = authority.certify("postgres")
    folder = tmp_path_factory.mktemp("s3")
    with s3.server(folder, authority) as storage, postgres.server(certificate) as database:
        yield lambda: on_postgres(storage, database) | {"K2_LAKE_CA_FILE": str(authority.certificate)}


@pytest.fixture(scope="module")
def encrypted_rest(tmp_path_factory, authority, storage, rest):
    """The S3 server and the REST catalog, each behind a proxy that encrypts."""
    folder = tmp_path_factory.mktemp("proxies")
    with (
        tls_proxy(folder / "s3", storage.endpoint, authority, SAME_HOST) as s3_port,
        tls_proxy(folder / "rest", rest.uri, authority) as rest_port,
    ):
        outside = replace(storage, port=s3_port, ca_file=authority.certificate)
        trusted = {"K2_LAKE_CA_FILE": str(authority.certificate)}
        yield lambda: on_rest(outside, rest) | trusted | {"K2_LAKE_URI": f"https://127.0.0.1:{rest_port}"}


@pytest.fixture(params=["postgres", "rest"])
def encrypted(request):
    """What makes the environment of a new lake on servers that encrypt."""
    return request.getfixturevalue(f"encrypted_{request.param}")


def test_rows_come_by_encrypted_connections(encrypted, tmp_path):
    """A worker commits, DuckDB and Arrow read, and `k2 doctor` finds nothing wrong."""
    with closing(LakeHome(tmp_path / "home", new_exchange(), **encrypted())) as home:
        home.publish(trades(counting(3, 100)))
        home.drain()
        assert 300 == home.committed_rows()
        found = home.said("trades", "--exchange", home.exchange, program="k2_query")
        assert 100 == found.count("S2")
        checked = home.said("doctor")
        assert "takes files and gives them back" in checked
        assert "reads the lake" in checked


@pytest.mark.parametrize(
    ("kind", "variable"),
    [("postgres", "K2_S3_CA_FILE"), ("postgres", "K2_LAKE_CA_FILE"), ("rest", "K2_LAKE_CA_FILE")],
)
def test_other_authority_is_not_trusted(kind, variable, request, strange_file, tmp_path):
    """Who is not trusted, and which setting names the authority, is one sentence; it is said at once."""
    lake = request.getfixturevalue(f"encrypted_{kind}")()
    message = NOT_TRUSTED.get(variable) or NOT_TRUSTED[f"{variable} of {kind}"]
    with closing(LakeHome(tmp_path / "home", new_exchange(), **lake)) as home:
        home.publish(trades(counting(1, 1)))
        for command, status in ((["worker", "--drain"], 2), (["doctor"], 1)):
            printed = home.said(*command, status=status, COLUMNS="1000", **{variable: strange_file})
            assert message in printed
            assert "Traceback" not in printed


@pytest.mark.parametrize(("kind", "variable"), [("postgres", "K2_S3_CA_FILE"), ("rest", "K2_LAKE_CA_FILE")])
def test_certificates_are_checked_where_no_authority_is_named(kind, variable, request, tmp_path):
    """By the authorities of the system, who do not know this one."""
    lake = request.getfixturevalue(f"encrypted_{kind}")() | {variable: ""}
    with (
        closing(LakeHome(tmp_path / "home", new_exchange(), **lake)) as home,
        pytest.raises(OperatorError, match=f"not trusted: see {variable}"),
    ):
        create_tables(home.catalog, home.settings)


def test_query_by_other_authority_names_the_setting(encrypted_postgres, strange_file, tmp_path):
    """DuckDB, which reads by a client of its own, checks as Arrow does."""
    with closing(LakeHome(tmp_path / "home", new_exchange(), **encrypted_postgres())) as home:
        create_tables(home.catalog, home.settings)
        append(home.catalog, home.settings, "trades", [trade(n) for n in range(10)])
        strange = home.settings.s3.model_copy(update={"ca_file": strange_file})
        settings = home.settings.model_copy(update={"s3": strange})
        engine = QueryEngine(settings, home.catalog, exchanges.load())
        with closing(engine), pytest.raises(OperatorError, match=NOT_TRUSTED["K2_S3_CA_FILE"]):
            engine.answer(TRADES_QUERY, RowsRequest(order="desc"))


def test_setting_wins_over_the_variable_of_the_http_client(
    encrypted_rest, strange_file, tmp_path, monkeypatch
):
    """REQUESTS_CA_BUNDLE is for whatever else runs on the machine."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", strange_file)
    with closing(LakeHome(tmp_path / "home", new_exchange(), **encrypted_rest())) as home:
        create_tables(home.catalog, home.settings)
        assert Name.TRADES == load(home.catalog, home.settings, Name.TRADES).name()[-1]


def test_host_that_the_certificate_does_not_name_is_refused(encrypted_postgres, tmp_path):
    """An authority that vouches for another server does not for this one."""
    lake = encrypted_postgres()
    lake["K2_LAKE_URI"] = lake["K2_LAKE_URI"].replace("127.0.0.1", "other") + "?hostaddr=127.0.0.1"
    with (
        closing(LakeHome(tmp_path / "home", new_exchange(), **lake)) as home,
        pytest.raises(OperatorError, match=NOT_TRUSTED["K2_LAKE_CA_FILE of postgres"]),
    ):
        open_catalog(home.settings)
