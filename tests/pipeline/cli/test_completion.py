"""What Tab offers, asked as a shell asks: through the environment."""

import os
import subprocess

import pytest

from tests.pipeline.operate.commands import csv, load, load_id
from tests.processes import WITHIN_S


@pytest.fixture
def offered(home, programs):
    """What the shell is offered for the last word of a line; it says nothing else, whatever is wrong."""

    def ask(line, **environment):
        program = line.split()[0]
        variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
        asked = {variable: "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        done = subprocess.run(
            [programs / program],
            env=os.environ | home.environment | asked | environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=WITHIN_S,
        )
        assert "" == done.stderr
        return done.stdout.split()

    return ask


def test_names_are_offered(home, offered):
    """Commands, profiles, exchanges that are served, states, loads."""
    load(home, csv(home, "a.csv", [(0, "10", 1)]))
    assert ["status"] == offered("k2 stat")
    assert ["binance", "binance-agg"] == offered("k2 load --profile b")
    assert ["asx"] == offered("k2 load --exchange ")
    assert ["asx"] == offered("k2-query trades --exchange a")
    assert ["reserved", "retracted"] == offered("k2 loads --state re")
    assert [load_id(home)] == offered("k2 retract ")


@pytest.mark.parametrize("wrong", [{"K2_WEB_PORT": "0"}, {"K2_HOEM": "x"}, {"K2_HOME": "/nowhere"}])
def test_nothing_is_said_when_something_is_wrong(offered, wrong):
    """A traceback would land in the line that a person types."""
    assert [] == offered("k2 retract ", **wrong)


@pytest.mark.parametrize("program", ["k2", "k2-query"])
def test_completion_is_shown_and_installed(programs, tmp_path, program):
    """For the shell that is named; into the home of the person, and nowhere else."""
    environment = os.environ | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for option in ("--show-completion", "--install-completion"):
        done = subprocess.run(
            [programs / program, option, "bash"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=WITHIN_S,
        )
        assert "" == done.stderr
    script = (tmp_path / ".bash_completions" / f"{program}.sh").read_text()
    assert f"_{program.replace('-', '_').upper()}_COMPLETE=complete_bash" in script
