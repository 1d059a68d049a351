"""`k2 load` for tests: in this process where one is enough, and what came to be on the log and in the ledger."""

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

import schemas
from k2app.avro.decode import decode
from k2app.avro.schema import parse
from k2app.cli import ending, k2, k2_query
from k2app.lake.ledger import read_loads
from k2app.lake.tables import Name
from k2app.load import ledger
from k2app.market.topics import DataType
from tests.pipeline.homes import TRADES

ASX_FILES = Path(__file__).parents[2] / "data" / "asx"

LOAD = [sys.executable, "-W", "error", "-m", "k2app.cli.k2", "load"]

K2 = partial(ending.run, k2.app, "k2")
K2_QUERY = partial(ending.run, k2_query.app, "k2-query")
"""The commands without what is for a process of their own: there the garbage of this one is not theirs to collect."""

PATIENCE_S = 60.0
"""Seconds until a process must have ended."""


def loaded(file: str, rows: int, rejected: int = 0) -> re.Pattern[str]:
    """The line that a load ends with; a rate stands in it only if the load took a while."""
    return re.compile(
        rf"{re.escape(file)}: {rows:,} rows, {rejected:,} rejected,( [\d,]+ rows/s,)? load [0-9a-f]"
    )


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


class Command:
    """`k2 load` on one home, from within one folder."""

    def __init__(self, home, folder, monkeypatch, capsysbinary):
        self.home, self.folder = home, folder
        self._monkeypatch, self._capsysbinary = monkeypatch, capsysbinary
        monkeypatch.chdir(folder)

    def __call__(self, *arguments, **environment) -> Done:
        """Run in this process: a second and a half sooner."""
        return self._run(K2, ("k2", "load", *map(str, arguments)), environment)

    def other(self, *arguments) -> Done:
        """Run another command of `k2` in this process."""
        return self._run(K2, ("k2", *arguments), {})

    def ask(self, *arguments) -> dict:
        """Run `k2-query` in this process; its answer."""
        done = self._run(K2_QUERY, ("k2-query", *arguments, "-o", "json"), {})
        assert 0 == done.status, done.err
        return json.loads(done.out)

    def _run(self, main, arguments, environment) -> Done:
        with self._monkeypatch.context() as patch:
            for name, value in (self.home.environment | environment).items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", list(arguments))
            self._capsysbinary.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        out, err = self._capsysbinary.readouterr()
        return Done(ended.value.code or 0, out.decode(), err.decode())

    def process(self, *arguments, **environment) -> subprocess.Popen:
        """Start a process of its own."""
        return subprocess.Popen(
            [*LOAD, *map(str, arguments)],
            env=os.environ | self.home.environment | environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def write(self, name: str, text: str) -> str:
        """A file in the folder; returns its name, as a person would type it."""
        (self.folder / name).write_text(text)
        return name


def asx_trades(rows: int, *, price: int = 1, date: str = "03/10/2014", apart_ms: int = 1_000) -> str:
    """Lines of an ASX file of trades from ten o'clock on; the quantity of each is its line."""
    return "".join(f"{date},{_time(i * apart_ms)},{price},{i + 1},0,,\n" for i in range(rows))


def _time(ms: int) -> str:
    s = ms // 1_000
    return f"{10 + s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}.{ms % 1_000:03}"


def on_log(home, topic: str = TRADES) -> list[dict]:
    """Every record on the log, by partition and offset."""
    outlet = home.outlet(DataType.TRADES if topic == TRADES else DataType.QUOTES)
    found = []
    for partition, end in sorted(home.ends(topic).items()):
        position = 0
        while position < end:
            batch = home.log.read(topic, partition, position, max_rows=10**6, max_bytes=2**30)
            writers = {outlet.schema_id: parse(schemas.newest("trade" if topic == TRADES else "quote"))}
            starts = batch.starts
            rows = decode(batch.data, starts, starts + batch.value_lengths, writers, outlet.schema)
            assert not rows.failures
            found += rows.batch.to_pylist()
            position = int(batch.offsets[-1]) + 1
    return found


def ledger_rows(home) -> list[ledger.LoadEntry]:
    """Every load, as of its newest entry."""
    _ = home.log
    return ledger.entries(read_loads(home.table(Name.LOADS)))
