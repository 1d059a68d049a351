"""An upgrade: processes that see a second version of the schemas, on a lake that the first one made."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from decimal import Decimal

import pyarrow as pa
import pytest

import schemas
from k2app.avro.schema import parse
from k2app.lake.tables import Name
from k2app.stream.publisher import EmbeddedPublisher, Outlet
from tests.pipeline.homes import OPEN_US, TRADES, Home, counting, trades
from tests.processes import WITHIN_S
from tests.schema_versions import WIDE, evolved, with_versions

SUBJECT = "market.equities.trades-value"

LARGE = Decimal("1234567890123456.00000001")
"""A price of as many digits as the second version holds."""


@pytest.fixture
def home(tmp_path):
    """A home with sixty trades in the lake."""
    found = Home(tmp_path / "home")
    found.publish(trades(counting(3, 20)))
    found.drain()
    return found


@pytest.fixture
def newer(tmp_path):
    """Environment of processes that see the second versions."""
    return with_versions(tmp_path / "newer", trade=evolved("trade"), quote=evolved("quote"))


def run(home, environment, *arguments, command="k2"):
    """Run a command to its end: exit status, standard output, standard error."""
    code = f"from k2app.cli.{command.replace('-', '_')} import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | home.environment | environment,
        cwd=home.path,
        capture_output=True,
        encoding="utf-8",
        # Arrow's form is bytes.
        errors="surrogateescape",
        check=False,
        timeout=WITHIN_S,
    )
    return done.returncode, done.stdout, done.stderr


def answer(home, environment, *arguments):
    status, out, err = run(home, environment, *arguments, command="k2-query")
    assert 0 == status, err
    return out


def initialised(home, environment):
    status, out, err = run(home, environment, "init")
    assert 0 == status, err
    return out


def second(numbers, *, start_us, price=LARGE, venues=("XASX", None)):
    """Trades as the second version has them."""
    rows, wide = trades(numbers, start_us=start_us), pa.decimal128(WIDE, 8)
    for name, value in (("price", price), ("quantity", Decimal("2.5"))):
        place = rows.column_names.index(name)
        rows = rows.set_column(place, name, pa.array([value] * rows.num_rows, wide))
    return rows.append_column(
        "venue", pa.array([venues[n % len(venues)] for n in range(rows.num_rows)], pa.string())
    )


def publish_second(home, rows):
    """Publish rows under the newest schema that the registry has."""
    schema_id, text = home.log.subject_schemas(SUBJECT)[-1]
    EmbeddedPublisher(home.log).publish(Outlet(TRADES, "symbol", parse(text), schema_id), rows)


def data_files(home, name):
    return {task.file.file_path for task in home.table(name).scan().plan_files()}


def test_init_gives_tables_what_the_second_version_brings(home, newer):
    """A column at the end, wider decimals, the same files and snapshot; the second time there is nothing to do."""
    before, files = home.table(Name.TRADES), data_files(home, Name.TRADES)
    said = initialised(home, newer)
    after = home.table(Name.TRADES)
    assert "market_data.trades gained column venue (string), column price as decimal(24, 8)" in said
    assert before.metadata.snapshots == after.metadata.snapshots
    assert (files, before.properties) == (data_files(home, Name.TRADES), after.properties)
    grown = [(f.field_id, f.name, f.required) for f in after.schema().fields]
    assert [(f.field_id, f.name, f.required) for f in before.schema().fields] == grown[:-1]
    venue = after.schema().fields[-1]
    assert ("venue", "string", False, "Where it was made, if it was said.") == (
        venue.name, str(venue.field_type), venue.required, venue.doc,
    )  # fmt: skip
    types = {f.name: str(f.field_type) for f in after.schema().fields}
    assert ("decimal(24, 8)", "decimal(24, 8)") == (types["price"], types["quantity"])
    quotes = {f.name: str(f.field_type) for f in home.table(Name.QUOTES).schema().fields}
    assert ("decimal(24, 8)", False) == (quotes["ask_price"], "venue" in quotes)
    assert "gained" not in initialised(home, newer)


def test_both_versions_in_one_batch_become_rows_of_one_table(home, newer):
    """Sequences go on from version to version, copies are told across them, and floors reach the end of the log."""
    initialised(home, newer)
    home.publish(trades(counting(3, 5, first=21), start_us=OPEN_US + 10_000_000))
    publish_second(home, second(counting(3, 5, first=26), start_us=OPEN_US + 20_000_000))
    home.publish(trades(counting(3, 5, first=31), start_us=OPEN_US + 30_000_000))
    copies = trades(counting(3, 20))
    publish_second(home, copies.append_column("venue", pa.nulls(copies.num_rows, pa.string())))
    home.drain(**newer)
    rows = home.rows(Name.TRADES)
    fresh = [r for r in rows if r["sequence"] > 20]
    assert ([], [], 165) == (home.rows(Name.GAPS), home.rows(Name.DEAD_LETTERS), len(rows))
    assert 60 == sum(r["sequence_flag"] == "duplicate" for r in rows)
    assert {"ok"} == {r["sequence_flag"] for r in fresh}
    assert {(LARGE, Decimal("2.5"))} == {
        (r["price"], r["quantity"]) for r in fresh if 26 <= r["sequence"] <= 30
    }
    assert {"XASX", None} == {r["venue"] for r in fresh if 26 <= r["sequence"] <= 30}
    assert {None} == {r["venue"] for r in rows if not 26 <= r["sequence"] <= 30}
    assert {(TRADES, p): end for p, end in home.ends().items()} == home.floors()


def test_worker_of_before_stops_at_a_table_that_has_grown(home, newer):
    """It would cut off what the new version says: it commits nothing, names the column, and the new one goes on."""
    initialised(home, newer)
    publish_second(home, second(counting(3, 5, first=21), start_us=OPEN_US + 10_000_000))
    status, said = home.run("--drain")
    assert (2, True) == (status, "table trades has the column venue (string)" in said), said
    assert 60 == len(home.rows(Name.TRADES))
    home.drain(**newer)
    assert 75 == len(home.rows(Name.TRADES))


def test_running_worker_of_before_stops_when_the_table_grows(home, newer):
    """An upgrade beside it: its next flush is not committed."""
    worker = home.start()
    try:
        initialised(home, newer)
        publish_second(home, second(counting(3, 5, first=21), start_us=OPEN_US + 10_000_000))
        said, _ = worker.communicate(timeout=60)
    finally:
        worker.kill()
        worker.wait(WITHIN_S)
    assert (True, True) == (worker.returncode != 0, "has the column venue" in said), said
    home.drain(**newer)
    rows = [r for r in home.rows(Name.TRADES) if r["sequence"] > 20]
    assert ({"XASX", None}, 15) == ({r["venue"] for r in rows}, len(rows))


def test_answers_of_a_snapshot_before_are_the_same_bytes(home, newer):
    """Its own columns and types, whoever asks; as text and as Arrow."""
    snapshot = str(home.table(Name.TRADES).current_snapshot().snapshot_id)
    asked = [
        (query, *more, "--snapshot-id", snapshot, "--output", form)
        for query, form, *more in (
            ("trades", "csv", "--limit", "30"),
            ("bars", "arrow", "--interval", "1m"),
        )
    ]
    before = [answer(home, {}, *arguments) for arguments in asked]
    initialised(home, newer)
    publish_second(home, second(counting(3, 5, first=21), start_us=OPEN_US + 10_000_000))
    home.drain(**newer)
    assert before == [answer(home, newer, *arguments) for arguments in asked]
    assert before == [answer(home, {}, *arguments) for arguments in asked]


def test_rows_of_both_versions_are_shown_together(home, newer):
    """The new column in every form, null for rows of before; wide prices are filtered by, and summed exactly."""
    initialised(home, newer)
    publish_second(home, second(counting(3, 5, first=21), start_us=OPEN_US + 10_000_000))
    home.drain(**newer)
    shown = json.loads(answer(home, newer, "trades", "--symbol", "S0", "--limit", "100", "--output", "json"))[
        "rows"
    ]
    assert [None] * 20 + ["XASX", None] * 2 + ["XASX"] == [row["venue"] for row in shown]
    assert [str(LARGE)] * 5 == [row["price"] for row in shown[20:]]
    listed = list(csv.DictReader(io.StringIO(answer(home, newer, "trades", "--output", "csv"))))
    assert (75, 7) == (len(listed), sum(row["venue"] == "XASX" for row in listed) - 1)
    large = answer(home, newer, "trades", "--min-price", "1000000000000000", "--output", "csv")
    assert 15 == len(large.splitlines()) - 1
    replayed = [
        json.loads(line) for line in answer(home, newer, "replay", "--data-type", "trades").splitlines()
    ]
    assert 75 == sum("price" in row for row in replayed)
    (bar,) = json.loads(
        answer(home, newer, "bars", "--interval", "1d", "--symbol", "S0", "--output", "json")
    )["rows"]
    own = [(Decimal(row["price"]), Decimal(row["quantity"])) for row in shown]
    notional, volume = sum(p * q for p, q in own), sum(q for _, q in own)
    assert (str(LARGE), notional, volume) == (bar["high"], Decimal(bar["notional"]), Decimal(bar["volume"]))
    assert (notional / volume).quantize(Decimal("1e-8")) == Decimal(bar["vwap"])


def test_sum_beyond_its_digits_is_refused(home, newer):
    """Two wide numbers whose product does not fit 38 digits: an error that says so, never a wrong sum."""
    initialised(home, newer)
    rows = second(counting(1, 1, first=21), start_us=OPEN_US + 10_000_000)
    place = rows.column_names.index("quantity")
    publish_second(home, rows.set_column(place, "quantity", pa.array([LARGE], pa.decimal128(WIDE, 8))))
    home.drain(**newer)
    status, _, err = run(home, newer, "bars", "--interval", "1d", "--symbol", "S0", command="k2-query")
    assert (2, True) == (status, "does not fit" in err), (status, err)


def test_loader_takes_as_many_digits_as_the_newest_schema(home, newer, tmp_path):
    """Sixteen digits before the point are loaded by the second version; seventeen are refused, with the reason."""
    file = tmp_path / "trades.csv"
    prices = (LARGE, "12345678901234567", "5")
    rows = [f"WIDE,2026-01-05T01:00:0{n}Z,{price},1,{n}" for n, price in enumerate(prices, 1)]
    file.write_text("\n".join(["symbol,timestamp,price,quantity,sequence", *rows]) + "\n")
    _, out, err = run(home, newer, "load", str(file), "--exchange", "asx", "--type", "trades")
    assert "2 rows, 1 rejected" in out, out + err
    assert "'12345678901234567' has more than 16 digits before the point" in rejects(home)
    home.drain(**newer)
    assert [LARGE, 5] == [r["price"] for r in home.rows(Name.TRADES) if r["symbol"] == "WIDE"]


def rejects(home):
    """What loads refused, as they wrote it down."""
    return "".join(file.read_text() for file in (home.path / "rejects").iterdir())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda s: s["fields"].append({"name": "venue", "type": "string"}),
            "field venue: .* there is no default",
        ),
        (lambda s: s["fields"].pop(6), "column currency: it is required"),
        (
            lambda s: s["fields"][4]["type"].update(precision=20, scale=10),
            r"decimal\(18, 8\), .* decimal\(20, 10\)",
        ),
        (lambda s: s["fields"][8].update(type=["null", "long"]), "field trade_id: .* cannot be read as"),
    ],
    ids=["no default", "vanished", "other scale", "other type"],
)
def test_change_that_tables_or_readers_do_not_take_is_refused(home, tmp_path, change, reason):
    """`k2 init` says what is wrong; tables, subjects and rows are as they were."""
    schema = json.loads(json.dumps(schemas.newest("trade")))
    change(schema)
    before = home.table(Name.TRADES).metadata_location
    subjects = home.log.subject_schemas(SUBJECT)
    status, _, err = run(home, with_versions(tmp_path / "bad", trade=schema), "init")
    assert 2 == status, err
    assert re.search(reason, err), err
    assert (before, subjects) == (
        home.table(Name.TRADES).metadata_location,
        home.log.subject_schemas(SUBJECT),
    )


def test_lake_made_by_the_second_version_is_as_one_that_grew(home, newer, tmp_path):
    """The same columns in the same order, whichever way."""
    initialised(home, newer)
    fresh = Home(tmp_path / "fresh")
    initialised(fresh, newer)
    for name in (Name.TRADES, Name.QUOTES, Name.REFERENCE_DATA):
        grown, made = (
            [(f.name, str(f.field_type), f.required) for f in one.table(name).schema().fields]
            for one in (home, fresh)
        )
        assert made == grown
