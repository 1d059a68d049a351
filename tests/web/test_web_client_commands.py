"""`k2-query --url` against `k2-query` on the lake that the server has: the same bytes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import closing
from typing import NamedTuple

import pytest
import stamina

from k2app.cli import k2_query as cli
from k2app.cli.output import Output
from k2app.query.queries import QUERIES
from tests.processes import stopped
from tests.query_lake import append, quote, trade
from tests.web.cutting import CuttingProxy
from tests.web.live import free_port, live, small_lake

PATIENCE_S = 60.0


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: bytes
    err: bytes


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    with small_lake(tmp_path_factory.mktemp("commands")) as made:
        yield made


@pytest.fixture(scope="module")
def server(lake):
    with live(lake) as running:
        yield running


@pytest.fixture
def run(lake, monkeypatch, capsysbinary):
    """Run k2-query in this process."""
    monkeypatch.setenv("K2_HOME", str(lake[0].home))

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["k2-query", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Done(ended.value.code or 0, *capsysbinary.readouterr())

    return command


def example(query):
    """Arguments of a query's example, without its form."""
    words = shlex.split(query.examples[0])
    at = next((n for n, word in enumerate(words) if word in {"--output", "-o"}), len(words))
    return words[:at] + words[at + 2 :]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_server_and_the_lake_have_the_same_answers(run, server, query):
    """On standard output and standard error, with the same status; every form of trades, a few of the others."""
    few = (Output.TABLE, Output.JSON, Output.PARQUET)
    for output in Output if query.name == "trades" else few:
        arguments = [*example(query), "--output", output]
        assert run(*arguments) == run(*arguments, "--url", server.base), output


@pytest.mark.parametrize(
    "arguments",
    [
        "trades --symbol NOPE",
        "trades --limit 2",
        "trades --limit 2 --output ndjson",
        "trades --numbers --output json",
        "trades --columns price --columns symbol --output arrow",
        "trades --snapshot-id 1",
        "trades --start 2026-01-05",
        "trades --exchange nowhere --output csv",
        "summary BHP yesterday",
        "gaps --events",
    ],
)
def test_warnings_cursors_and_refusals_are_the_same(run, server, monkeypatch, arguments):
    """And the server may stand in the environment."""
    locally = run(*shlex.split(arguments))
    monkeypatch.setenv("K2_URL", server.base)
    assert locally == run(*shlex.split(arguments))
    assert locally.err or b'"warnings"' in locally.out


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "--data-type trades --numbers --columns price --columns offset",
        "--symbol BHP --rate 100000",
        "--speed 1000000 --include-duplicates",
        "--symbol NOPE",
        "--speed never",
        "--columns nothing",
        "--snapshot-id 1",
        "--cursor x",
        "--tag none",
    ],
)
def test_a_replay_of_a_server_is_the_lakes(run, server, arguments):
    """Every byte: rows, gaps, tokens, count and hash; warnings and refusals."""
    given = ["replay", *shlex.split(arguments)]
    assert run(*given) == run(*given, "--url", server.base)


def test_a_replay_goes_on_at_a_servers_token(run, server):
    """On the lake too, and the other way round."""
    token = json.loads(run("replay", "--url", server.base).out.splitlines()[0])["cursor"]
    rest = run("replay", "--cursor", token)
    assert 0 == rest.status
    assert rest == run("replay", "--cursor", token, "--url", server.base)


def test_a_replay_over_a_connection_that_breaks_is_whole(run, lake, server, monkeypatch):
    """What is printed is what one request would have brought, count and hash included."""
    monkeypatch.setattr("k2app.query.replay.script.PROGRESS_ROWS", 100)
    settings, catalog = lake
    append(catalog, settings, "trades", [trade(n, symbol="CUT", sequence=n) for n in range(1_000, 1_400)])
    whole = run("replay", "--symbol", "CUT", "--url", server.base)
    with CuttingProxy(server.port) as proxy, stamina.set_testing(True, attempts=10, cap=True):
        proxy.cuts = [2_000, 30_000, 150_000]
        cut = run("replay", "--symbol", "CUT", "--url", proxy.url)
        assert not proxy.cuts
    assert whole[:2] == cut[:2]
    assert b'"rows":400' in whole.out.splitlines()[-1]


def test_a_replay_that_cannot_be_had_whole_says_so(run, lake, server):
    """What came of it is printed, and the status is that of what may succeed later."""
    with CuttingProxy(server.port) as proxy, stamina.set_testing(True, attempts=2):
        proxy.cuts = [1_500] * 20
        done = run("replay", "--url", proxy.url)
    assert 1 == done.status
    assert done.out.startswith(b'{"control":"start"')
    assert b"broke off" in done.err
    with live(lake, {"keys": "required"}) as locked:
        refused = run("replay", "--url", locked.base, "--key", "k2_wrong")
    assert (2, b"") == (refused.status, refused.out)


def test_statuses_say_what_to_do(run, lake, server):
    """1: try again later. 2: something must be mended first."""
    with stamina.set_testing(True):
        later = run("stats", "--url", f"http://127.0.0.1:{free_port()}")
    assert (1, 1) == (later.status, len(later.err.splitlines()))
    assert later.err.startswith(b"k2-query: http://127.0.0.1:")
    with live(lake, {"keys": "required"}) as locked:
        refused = run("stats", "--url", locked.base, "--key", "k2_wrong")
    assert 2 == refused.status
    assert refused.err.startswith(b"k2-query: the API key is not one of this server's: ")
    assert 2 == run("stats", "--url", "localhost").status
    assert 0 == run("stats", "--url", server.base).status


COMMAND = [sys.executable, "-W", "error", "-c", "from k2app.cli.k2_query import main; main()"]


@pytest.mark.parametrize("command", ["stats", "replay"])
def test_ctrl_c_ends_a_command_that_waits_for_a_server(tmp_path, command):
    """With the shell's status and one line."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with stopped(subprocess.Popen([*COMMAND, command, "--url", url], cwd=tmp_path, **pipes)) as process:
            silent.settimeout(PATIENCE_S)
            with closing(silent.accept()[0]) as asked:
                assert asked.recv(1)
                process.send_signal(signal.SIGINT)
                assert (b"", b"k2-query: interrupted\n") == process.communicate(timeout=PATIENCE_S)
        assert 130 == process.returncode


def test_a_closed_pipe_ends_a_command_that_reads_from_a_server(lake, server, tmp_path):
    """`| head` is no error."""
    settings, catalog = lake
    append(catalog, settings, "quotes", [quote(n, symbol="PIPE") for n in range(10, 5_010)])
    arguments = [
        *COMMAND,
        "quotes",
        "--symbol",
        "PIPE",
        "--limit",
        "5000",
        "-o",
        "json",
        "--url",
        server.base,
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with stopped(subprocess.Popen(arguments, cwd=tmp_path, **pipes)) as process:
        assert b'{"rows":[' == process.stdout.read(9)
        process.stdout.close()
        assert b"" == process.stderr.read()
        assert 0 == process.wait(PATIENCE_S)


@pytest.mark.parametrize("arguments", ["replay", "trades --output ndjson", "stats"])
def test_a_pipe_that_nobody_reads_ends_a_command_well(lake, tmp_path, arguments):
    """However little it prints: lines, and tables too."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    environment = os.environ | {"K2_HOME": str(lake[0].home)}
    command = [*COMMAND, *shlex.split(arguments)]
    with stopped(subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes)) as process:
        process.stdout.close()
        assert b"" == process.stderr.read()
        assert 0 == process.wait(PATIENCE_S)
