"""Running the commands in a home, as a person does."""

import json
import os
import subprocess
import sys

MODULES = {"k2": "k2app.cli.k2", "k2-query": "k2app.cli.k2_query"}


def k2(home, *arguments, program="k2", status=0, **environment):
    """Run a command; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", MODULES[program], *arguments],
        env=os.environ | home.environment | {"K2_LOGS_LEVEL": "warning"} | environment,
        cwd=home.path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert status == done.returncode, (arguments, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
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
