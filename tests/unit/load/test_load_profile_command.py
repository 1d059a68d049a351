"""`k2 profile`: what it shows, and that it writes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from load_files import HEADER, trade
from typer.testing import CliRunner

from k2app.cli.k2 import app
from k2app.errors import OperatorError
from k2app.load import profiles

TRADE_ID = "3821,42000.10,0.00500,210.0005,1735689600000123,True,True\n"

MBP = (
    "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,ts_in_delta,sequence,"
    "bid_px_00,ask_px_00,bid_sz_00,ask_sz_00,bid_ct_00,ask_ct_00,symbol\n"
    + "1,1735689600000000001,1,1,2,A,A,0,5,3,128,7,44,99000000000,100000000000,4,5,1,2,ESH5\n"
    * 5
)

MINE = """
[trades]
header = "yes"
[trades.fields]
symbol = "symbol"
timestamp = "timestamp"
price = "price"
quantity = "quantity"
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `k2 profile` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("K2_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments):
        done = CliRunner().invoke(app, ["profile", *map(str, arguments)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert not (tmp_path / "home").exists()
        return done.exit_code, done.output

    return command


def check(run, text, *arguments, name="file.csv", profile="k2", data_type="trades"):
    Path(name).write_text(text)
    if profile == "k2":
        arguments = ("--exchange", "generic", *arguments)
    return run("check", name, "--profile", profile, "--type", data_type, *arguments)


def test_the_list_of_profiles(run):
    """A line each: name, what it reads, what it is for."""
    code, output = run("list")
    assert 0 == code
    assert profiles.names() == [line.split()[0] for line in output.splitlines()]
    assert f"massive      trades, quotes: {profiles.load('massive').about}" in output.splitlines()


def test_rows_and_rejects_are_shown(run):
    """Where each field comes from, the rows as they would be, the rejects with their reasons; exit status 1."""
    text = TRADE_ID + TRADE_ID.replace("42000.10", "x")
    name = "BTCUSDT-trades-2025-01-01.csv"
    code, output = check(run, text, name=name, profile="binance")
    assert 1 == code
    for line in (
        f"{name}: trades of binance, profile binance",
        "  header: none; the profile names the columns",
        "  quantity: 'qty'",
        "  attributes: quote_qty, is_best_match",
        "  symbol of all rows: BTCUSDT",
        "  sequence numbers: the file's own; binance expects them contiguous, continuous",
        f"line 2 rejected: price 'x' is not a decimal number; it reads {text.splitlines()[1]}",
        "1 rows read, 1 rejected; nothing was loaded",
    ):
        assert line in output.splitlines()
    [shown] = [line for line in output.splitlines() if "2025-01-01T00:00:00.000123Z" in line]
    assert ["1", "BTCUSDT", "binance", "crypto"] == shown.split()[:4]
    assert {"42000.1", "0.005", "SELL", "3821", '{"quote_qty":"210.0005","is_best_match":"True"}'} <= set(
        shown.split()
    )


def test_only_so_many_rows(run):
    """Rows and rejects count alike; those after are not looked at."""
    text = f"{HEADER}\n{trade()}\n{trade(price='x')}\n{trade()}\n{trade(price='y')}\n"
    code, output = check(run, text, "--rows", 2)
    assert (1, "1 rows read, 1 rejected; nothing was loaded") == (code, output.splitlines()[-1])
    code, output = check(run, text.replace("x", "1"), "--rows", 3)
    assert (0, "3 rows read, 0 rejected; nothing was loaded") == (code, output.splitlines()[-1])


def test_no_row_can_be_read(run):
    """The reasons are shown all the same: that is what it is for."""
    code, output = check(run, f"{HEADER}\n{trade(timestamp='today')}\n")
    assert 1 == code
    assert "line 2 rejected: timestamp 'today' is not an ISO 8601 time" in output


def test_a_header_that_is_nearly_right(run):
    """The column is named, and the one that it may be meant for."""
    with pytest.raises(OperatorError, match=r"column 'prce': did you mean 'price'\?"):
        check(run, f"{HEADER.replace('price', 'prce')}\n{trade()}\n")


def test_a_column_that_may_be_left_out_is_nearly_right(run):
    """It would become an attribute, and the rows have no numbers."""
    code, output = check(run, f"{HEADER},sequnce\n{trade()},5\n")
    assert 0 == code
    assert "column 'sequnce': did you mean 'sequence'? The profile does not name it" in output.splitlines()
    assert "  sequence numbers: none; copies cannot be told" in output


def test_a_file_with_a_header_only(run):
    """Said in a sentence."""
    with pytest.raises(OperatorError, match=r"file\.csv has a header and no rows"):
        check(run, f"{HEADER}\n")


def test_a_file_whose_symbol_is_not_known(run):
    """It asks for what `k2 load` would ask for; a reference file answers too."""
    text = "03/10/2014,10:00:00.000,1.5,10,0,,\n"
    with pytest.raises(OperatorError, match="give --symbol SYMBOL or --reference FILE"):
        check(run, text, name="9001.csv", profile="asx")
    Path("ref.csv").write_text(
        "company_id,symbol,company_name,ISIN,start_date,end_date\n9001,KTO,K,,01/01/2000,01/01/2030\n"
    )
    code, output = check(run, text, "--reference", "ref.csv", name="9001.csv", profile="asx")
    assert 0 == code
    assert "  symbol of all rows: KTO" in output.splitlines()
    assert "  sequence numbers: given by the loader, per symbol and trading date; asx expects" in output


def test_a_file_that_steers_the_terminal(run):
    """Escape sequences in a rejected row are shown, not sent."""
    _, output = check(run, f"{HEADER}\n{trade(price=chr(27) + '[2J')}\n")
    assert "\x1b" not in output
    assert r"\x1b[2J" in output
