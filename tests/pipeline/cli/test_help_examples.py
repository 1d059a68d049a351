"""What the help shows is what works: every command has an example, and every example is run as it stands."""

import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import zipfile

import pyarrow as pa
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from tests.pipeline.homes import Home, stopped, wait_until
from tests.pipeline.operate.commands import APPS, k2, load_id
from tests.web.conftest import free_port

LASTING = re.compile(r"k2 (worker(?!.*--drain)|web|.*--watch)")
"""Examples that run until they are told to end."""

PATIENCE_S = 60.0
"""Seconds until an example must have ended."""

AN_ID = "3f2a9c41b7d0"
"""Stands for the id of a load."""

TRADE = "symbol,timestamp,price,quantity,sequence\nBHP,2026-01-05T00:00:01Z,1.5,1,{}\n"

MINE = """
[trades]
header = "yes"
sequence = "none"
[trades.fields]
symbol = "ticker"
timestamp = { column = "at", format = "epoch", unit = "ms" }
price = "price"
quantity = "size"
"""

MBP = (
    "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,ts_in_delta,sequence,"
    "bid_px_00,ask_px_00,bid_sz_00,ask_sz_00,bid_ct_00,ask_ct_00,symbol\n"
    "1704186000404085841,1704186000403918695,1,2,5482,A,B,0,476370000000,40,130,167146,277449,476370000000,"
    "476440000000,40,400,1,1,SPY\n"
)

TEXTS = {
    "trades.csv": TRADE.format(1),
    "7181.csv": "03/10/2014,10:00:00.000,0.67,1,0,,\n",
    "company-info.csv": "company_id,symbol,company_name,ISIN,start_date,end_date\n7181,KTO,K TWO,,05/07/2008,\n",
    "mine.toml": MINE,
    "mine.csv": "ticker,at,price,size\nBHP,1767571200000,1.5,10\n",
}
"""Files that examples name."""


def commands(program, command=None, path=()):
    """Every command below a program, itself too, by the words that call it."""
    command = command or get_command(APPS[program])
    yield " ".join((program, *path)), command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(program, below, (*path, name))


COMMANDS = {name: command for program in APPS for name, command in commands(program)}


def examples(command):
    """Commands in what a help ends with, between backquotes or behind `Example:`."""
    epilog = re.sub(r"(?m)Examples?: ([^`\n]+)$", r"`\1`", command.epilog or "")
    return re.findall(r"`((?:K2_\w+=\S+ )*k2[ -][^`]*)`", epilog)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example(name):
    """Found from the programs themselves: a new command cannot be forgotten; groups name one of their commands."""
    assert any(name in example for example in examples(COMMANDS[name]))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home that serves every exchange, with the files that examples name, and a load in the lake."""
    home = Home(tmp_path_factory.mktemp("examples") / "home", K2_EXCHANGES="", K2_FLUSH_INTERVAL_S="0.1")
    for name, text in TEXTS.items():
        (home.path / name).write_text(text)
    with zipfile.ZipFile(home.path / "BTCUSDT-trades-2025-01-01.zip", "w") as archive:
        archive.writestr(
            "BTCUSDT-trades-2025-01-01.csv", "4359,93576.0,0.0007,65.5,1735689600123456,True,True\n"
        )
    with pa.output_stream(str(home.path / "day.csv.zst"), compression="zstd") as stream:
        stream.write(MBP.encode())
    k2(home, "load", "trades.csv", "--exchange", "asx", "--type", "trades")
    home.drain()
    return home


def split(example, home, tmp_path):
    """Environment, program and arguments of an example; ids and homes are those of the test."""
    words = shlex.split(example.replace(AN_ID, load_id(home)[:12]))
    given = dict(word.split("=", 1) for word in words if re.match(r"K2_\w+=", word))
    if "K2_HOME" in given:
        given["K2_HOME"] = str(tmp_path / "another")
    program, *arguments = words[len(given) :]
    return given, program, arguments


ELSEWHERE = {
    *("k2 redrive", "k2 tag create", "k2 keys", "k2 keys revoke", "k2-query diff", "k2-query snapshot"),
}
"""Commands whose examples name keys, snapshots, tags or dead letters of somebody's own."""


def once(command):
    """Examples that end by themselves."""
    return [one for one in examples(command) if not LASTING.match(one)]


@pytest.mark.parametrize(
    "name", sorted(name for name, one in COMMANDS.items() if once(one) and name not in ELSEWHERE)
)
def test_every_example_runs(home, tmp_path, name):
    """Each with files of the names it says, and a worker for those that wait for one."""
    found = once(COMMANDS[name])
    if any("--wait" in example for example in found):
        with stopped(home.start()):
            run_all(found, home, tmp_path)
    else:
        run_all(found, home, tmp_path)


@pytest.fixture(autouse=True)
def _in_time():
    """An example that never ends is interrupted, and fails."""
    watch = threading.Timer(PATIENCE_S, os.kill, (os.getpid(), signal.SIGINT))
    watch.start()
    yield
    watch.cancel()


def run_all(found, home, tmp_path):
    for number, example in enumerate(found):
        (home.path / "trades.csv").write_text(TRADE.format(os.getpid() * 100 + number))
        if AN_ID in example:
            k2(home, "load", "trades.csv", "--exchange", "asx", "--type", "trades")
        given, program, arguments = split(example, home, tmp_path)
        if program == "k2-query":
            answered(home, arguments, given)
        else:
            assert k2(home, *arguments, program=program, **given) is not None


def answered(home, arguments, given):
    """Run a query in this process: there are many, and none needs one of its own."""
    done = CliRunner().invoke(APPS["k2-query"], arguments, env=home.environment | given)
    assert 0 == done.exit_code, done.output


def lasting():
    found = [one for command in COMMANDS.values() for one in examples(command) if LASTING.match(one)]
    return sorted(set(found))


@pytest.mark.parametrize("example", lasting())
def test_examples_that_last_end_with_ctrl_c(home, programs, example):
    """They run until then, on a port that is free."""
    port = free_port()
    words = re.sub(r"--port \d+", f"--port {port}", example)
    words = re.sub(r"^k2 ", f"{programs / 'k2'} ", words)
    web = {"K2_WEB_ENABLED": "true", "K2_WEB_PORT": str(port)}
    with stopped(
        subprocess.Popen(
            shlex.split(words),
            env=os.environ | home.environment | web,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    ) as process:
        if "--watch" in example:
            assert str(home.path) in process.stdout.readline()
        else:
            wait_until(lambda: answers(port), "HTTP")
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=PATIENCE_S)
    assert 130 == process.returncode
    assert printed.splitlines()[-1].startswith("k2: interrupted")


def answers(port):
    with socket.socket() as client:
        return 0 == client.connect_ex(("127.0.0.1", port))
