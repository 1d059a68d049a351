"""Running the commands in a home, as a person does, but within the test's process: most of a command is its start."""

import contextlib
import json

from typer.testing import CliRunner

from k2app.cli import ending, k2_query
from k2app.cli import k2 as k2_cli
from k2app.errors import K2Error

APPS = {"k2": k2_cli.app, "k2-query": k2_query.app}


def k2(home, *arguments, program="k2", status=0, **environment):
    """Run a command; returns what it printed, or the error that it ends with."""
    quiet = {"K2_LOGS_LEVEL": "warning"}
    with contextlib.chdir(home.path):
        done = CliRunner().invoke(APPS[program], arguments, env=home.environment | quiet | environment)
    if isinstance(done.exception, K2Error):
        assert status == ending.exit_status(done.exception), done.exception
        return f"k2: {done.exception}"
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert status == done.exit_code, (arguments, done.output)
    return done.stdout if status == 0 else done.stderr


def k2_json(home, *arguments, program="k2"):
    return json.loads(k2(home, *arguments, "--output", "json", program=program))


def load_id(home, number=-1):
    """Id of one of the loads, oldest first."""
    return k2_json(home, "loads")[number]["load_id"]


def csv(home, name, rows, header="symbol,timestamp,price,quantity,sequence"):
    """Write a file of (second, price, sequence) of one symbol."""
    lines = [f"BHP,2026-01-05T00:00:{second:02}Z,{price},1,{sequence}" for second, price, sequence in rows]
    (home.path / name).write_text("\n".join([header, *lines]) + "\n")
    return name


def load(home, name, *more):
    k2(home, "load", name, "--exchange", "asx", "--type", "trades", *more)


def shown(home, *arguments):
    """Rows of trades as a query shows them: sequence, price, flag; and its warnings by code."""
    answer = k2_json(home, "trades", *arguments, program="k2-query")
    rows = [(row["sequence"], row["price"], row["sequence_flag"]) for row in answer["rows"]]
    return rows, {warning["code"]: warning["count"] for warning in answer["warnings"]}
