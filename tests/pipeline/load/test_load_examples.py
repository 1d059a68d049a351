"""The examples that `k2 load --help` shows are run as they stand."""

import re
import shlex

from typer.testing import CliRunner

from k2app.cli import k2 as cli
from tests.pipeline.homes import stopped

REFERENCE = "company_id,symbol,company_name,ISIN,start_date,end_date\n7181,KTO,K TWO,,05/07/2008,\n"

FILES = {
    "trades.csv": "symbol,timestamp,price,quantity,sequence\nBTCUSDT,2026-01-05T10:00:00Z,1.5,1,1\n",
    "7181.csv": "03/10/2014,10:00:00.000,0.67,1,0,,\n",
    "company-info.csv": REFERENCE,
}


def examples() -> list[str]:
    """Commands between backquotes in what the help ends with."""
    [load] = [one for one in cli.app.registered_commands if one.callback is cli.load]
    return re.findall(r"`(k2 load [^`]+)`", load.epilog)


def test_examples_are_shown():
    """As they are run below."""
    shown = CliRunner().invoke(cli.app, ["load", "--help"], env={"COLUMNS": "300", "TERMINAL_WIDTH": "300"})
    assert 0 == shown.exit_code
    assert examples()
    for example in examples():
        assert example in " ".join(shown.output.split())


def test_examples_work(k2, home):
    """Each with files of the names it says, and a worker for those that wait."""
    for name, text in FILES.items():
        k2.write(name, text)
    home.environment["K2_EXCHANGES"] = ""
    with stopped(home.start(K2_FLUSH_INTERVAL_S="0.1")):
        for example in examples():
            done = k2(*shlex.split(example)[2:])
            assert 0 == done.status, example + done.err
            assert ": 1 rows, 0 rejected, load " in done.out
