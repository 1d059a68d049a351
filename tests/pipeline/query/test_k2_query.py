"""The command line: real processes over a real lake."""

from __future__ import annotations

import csv
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from k2app.cli import k2_query as cli
from k2app.cli.query_commands import LEFT_OUT
from k2app.query.answers.result_text import to_json
from k2app.query.queries import QUERIES
from k2app.query.requests import RowsRequest
from tests.processes import WITHIN_S, stopped
from tests.query_lake import gap, quote, trade

COMMAND = [sys.executable, "-W", "error", "-c", "from k2app.cli.k2_query import main; main()"]

PATIENCE_S = 60.0
"""Seconds until a process must have ended."""


class Done(NamedTuple):
    returncode: int
    stdout: bytes
    stderr: bytes


@pytest.fixture
def process(settings, tmp_path):
    """Run k2-query on the test's lake, in a process of its own."""

    def command(*arguments):
        environment = {**os.environ, "K2_HOME": str(settings.home)}
        options = {"capture_output": True, "cwd": tmp_path, "timeout": PATIENCE_S}
        return subprocess.run([*COMMAND, *arguments], check=False, env=environment, **options)

    return command


@pytest.fixture
def run(settings, monkeypatch, capsysbinary):
    """Run k2-query on the test's lake, in this process: a second sooner."""

    def command(*arguments, home=settings.home):
        monkeypatch.setenv("K2_HOME", str(home))
        monkeypatch.setattr(sys, "argv", ["k2-query", *arguments])
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Done(ended.value.code or 0, *capsysbinary.readouterr())

    return command


def test_json_is_the_engines_bytes(put, engine, process):
    """One unwrapped document on standard output, nothing on standard error."""
    put("trades", [trade(n, symbol=("BHP", "RIO")[n % 2], price="1.50") for n in range(5)])
    done = process("trades", "--symbol", "BHP", "--symbol", "RIO", "--limit", "2", "--output", "json")
    assert (0, b"") == (done.returncode, done.stderr)
    assert to_json(engine.trades(RowsRequest(symbol=("BHP", "RIO"), limit=2))) + b"\n" == done.stdout


def test_csv_has_every_column_and_exact_values(put, run):
    """A header, plain decimals, empty for null; warnings go to standard error."""
    put("quotes", [quote(0, ask=None, symbol='a,"b"'), quote(1, sequence_flag="duplicate")])
    done = run("quotes", "-o", "csv")
    [row] = csv.DictReader(done.stdout.decode().splitlines())
    assert ('a,"b"', "1", "") == (row["symbol"], row["bid_price"], row["ask_price"])
    assert b"1 duplicate row of the range left out" in done.stderr


def test_a_table_is_whole_and_harmless(put, run):
    """Nothing is cut in a pipe, and data cannot steer a terminal."""
    put("trades", [trade(0, symbol="\x1b[31mred" + "y" * 90, price="123.4500"), trade(1)])
    done = run("trades", "--limit", "1")
    assert b"\\x1b[31mred" + b"y" * 90 in done.stdout
    assert b" 123.45 " in done.stdout
    assert b"\x1b" not in done.stdout
    assert b"there are more; repeat with --cursor " in done.stderr
    cursor = done.stderr.split(b"--cursor ")[1].split()[0].decode()
    again = run("trades", "--limit", "1", "--cursor", cursor)
    assert b"BHP" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("summary", "BHP", "2026-01-05"), "BHP"),
        (("summaries", "--start-date", "2026-01-05", "--end-date", "2026-01-06"), "BHP"),
        (("gaps", "--open-only"), "open"),
        (("gaps", "--events", "--output", "json"), "opened"),
        (("symbols", "--exchange", "asx"), "BHP"),
        (("stats", "--output", "csv"), "trades"),
    ],
)
def test_every_query_has_a_command(put, run, arguments, found):
    """Exit 0, and rows."""
    put("gaps", [gap("opened", 0, 1, 2)])
    put("trades", [trade(0)])
    done = run(*arguments)
    assert 0 == done.returncode
    assert found in done.stdout.decode()


def test_an_unknown_symbol_is_empty_with_a_warning(put, run):
    """Exit 0: nothing is wrong with the question."""
    put("trades", [trade(0)])
    done = run("trades", "--symbol", "NOPE", "--output", "csv")
    assert (0, 1) == (done.returncode, len(done.stdout.splitlines()))
    assert b"warning: no trades of 'NOPE' at all" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("trades", "--limit", "0"), b"limit: "),
        (("trades", "--start", "2026-01-05"), b"start: '2026-01-05' has no zone"),
        (("trades", "--cursor", "x"), b"cursor: "),
        (("summary", "BHP", "yesterday"), b"date: "),
    ],
)
@pytest.mark.usefixtures("catalog")
def test_a_wrong_parameter_is_one_line(run, arguments, says):
    """Exit 2, no traceback."""
    done = run(*arguments)
    assert (2, b"", 1) == (done.returncode, done.stdout, len(done.stderr.splitlines()))
    assert done.stderr.startswith(b"k2-query: " + says)


def test_where_there_is_no_lake_none_is_made(run, tmp_path):
    """The line says how one comes to be; asking leaves nothing behind."""
    done = run("stats", home=tmp_path / "nowhere")
    assert 2 == done.returncode
    assert b"there is no lake at" in done.stderr
    assert 1 == len(done.stderr.splitlines())
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.usefixtures("catalog")
def test_an_empty_lake_says_so(run):
    """Exit 0, and a warning that nothing was committed."""
    done = run("trades")
    assert 0 == done.returncode
    assert b"nothing had been committed" in done.stderr


def test_a_closed_pipe_ends_quietly(put, settings, tmp_path):
    """`| head` is no error."""
    put("trades", [trade(n) for n in range(5_000)])
    environment = {**os.environ, "K2_HOME": str(settings.home)}
    arguments = [*COMMAND, "trades", "--limit", "5000", "--output", "json"]
    with stopped(
        subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tmp_path
        )
    ) as process:
        assert b'{"rows":[' == process.stdout.read(9)
        process.stdout.close()
        assert b"" == process.stderr.read()
        assert 0 == process.wait(PATIENCE_S)


ENDLESS = """
from dataclasses import replace
import typer
from k2app.cli import k2_query as cli
from k2app.cli.query_commands import add_commands
from k2app.query.queries import STATS_QUERY
def forever(reader, request):
    print("asked", flush=True)
    return reader.session.fetch("SELECT count(*) FROM range(100000000000) a(x), range(1000) b(y) WHERE x*y%7=3", {})
cli.app.registered_commands.clear()
add_commands(cli.app, [replace(STATS_QUERY, read=forever), replace(STATS_QUERY, name="other")], cli.run)
cli.main()
"""


LINGERING = f"""
import time
from concurrent.futures import ThreadPoolExecutor
hand_over = ThreadPoolExecutor.submit
def lingering(self, *work):
    handed_over = hand_over(self, *work)
    if self._thread_name_prefix == "queries":
        # In pieces: a signal does not wake who is about to fall asleep.
        for _ in range({WITHIN_S * 10:.0f}):
            time.sleep(0.1)
    return handed_over
ThreadPoolExecutor.submit = lingering
"""


@pytest.mark.parametrize("before", ["", LINGERING], ids=["waiting", "handing in"])
@pytest.mark.usefixtures("catalog")
def test_ctrl_c_stops_the_query(settings, tmp_path, before):
    """At once, with the shell's status and no traceback; also where it runs before it is waited for."""
    environment = {**os.environ, "K2_HOME": str(settings.home), "K2_QUERY_TIMEOUT_S": "600"}
    arguments = [sys.executable, "-c", before + ENDLESS, "stats"]
    with stopped(
        subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=tmp_path
        ),
        PATIENCE_S,
    ) as process:
        assert b"asked" == process.stdout.readline().strip()
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert b"k2-query: interrupted\n" == process.stderr.read()
        assert 130 == process.wait(PATIENCE_S)
        assert time.monotonic() - begun < 20


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_help_has_an_example(query):
    """Every command shows how it is used."""
    wide = {"COLUMNS": "400", "TERMINAL_WIDTH": "400"}
    shown = CliRunner().invoke(cli.app, [query.name, "--help"], env=wide)
    assert 0 == shown.exit_code
    assert f"k2-query {query.examples[0]}" in shown.output


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_options_are_the_parameters_of_http(query):
    """An option or argument exists for every parameter of the request, under its name, with its description."""
    (made,) = [one.callback for one in cli.app.registered_commands if one.name == query.name]
    taken = inspect.signature(made).parameters
    asked = {name: field for name, field in query.request.model_fields.items() if name not in LEFT_OUT}
    assert asked.keys() == taken.keys() - {"output", "url", "key", "chart"}
    for name, field in asked.items():
        assert field.description in taken[name].annotation.__metadata__[0].help


def test_json_of_a_table_parses(put, run):
    """Numbers keep their digits."""
    put("trades", [trade(0, price="9999999999.99999999")])
    done = run("trades", "--output", "json", "--numbers")
    assert "9999999999.99999999" == json.loads(done.stdout, parse_float=str)["rows"][0]["price"]
