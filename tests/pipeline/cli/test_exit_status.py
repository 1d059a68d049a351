"""One rule for both programs: how a command ends says what to do."""

import pytest
import typer

from k2app.cli import ending
from k2app.errors import CommitUnknownError, OperatorError, RequestError, TransientError


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (TransientError("the log is busy"), 1, "the log is busy"),
        (OperatorError("one\ntwo"), 2, "one; two"),
        (RequestError("limit", "takes a number"), 2, "limit: takes a number"),
        (CommitUnknownError("who knows"), 2, "who knows"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
@pytest.mark.parametrize("program", ["k2", "k2-query"])
def test_an_error_is_one_line_and_a_status(capsys, program, error, status, said):
    """1: the same command may succeed later; 2: something must be mended first; 130: Ctrl-C."""
    app = typer.Typer(cls=ending.Interruptible, name=program, pretty_exceptions_enable=False)

    @app.command()
    def fail() -> None:
        raise error

    @app.command()
    def other() -> None:
        """A second one makes it a group, as both programs are."""

    with pytest.raises(SystemExit) as ended:
        ending.run(app, program, ["fail"])
    assert (status, f"{program}: {said}\n") == (ended.value.code, capsys.readouterr().err)
