"""The command `k2`: set up, load, run the worker, look after a lake."""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from k2app import logs
from k2app.errors import K2Error
from k2app.load.profiles import SequenceMode
from k2app.market.topics import DataType
from k2app.settings import Settings, read_settings

app = typer.Typer(
    name="k2",
    help="A market-data lakehouse: CSV and Kafka to Iceberg, exactly once, served by DuckDB.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


OPERATOR_EXIT = 2
"""Exit status when a person must act; the message says how."""


class Form(StrEnum):
    """Form of what is printed."""

    TABLE = "table"
    JSON = "json"


def _settings() -> Settings:
    settings = read_settings()
    logs.configure(settings.logs)
    return settings


@app.command(epilog="Example: `K2_HOME=/data/k2 k2 init`")
def init() -> None:
    """Make topics, schema subjects, namespace and tables that are missing. Changes nothing that is there."""
    from k2app.cli.init import init_lake  # noqa: PLC0415 - `k2 --help` stays fast

    init_lake(_settings(), Console())


@app.command(epilog="Examples: `k2 config` · `K2_FLUSH_INTERVAL_S=1 k2 config`")
def config() -> None:
    """Print every setting: its value, where the value comes from, and what it means."""
    from k2app.cli.config import rows  # noqa: PLC0415 - `k2 --help` stays fast

    table = Table("variable", "value", "source", "meaning")
    for row in rows(read_settings()):
        table.add_row(*row)
    Console().print(table)


@app.command(
    epilog="Examples: `k2 load trades.csv --exchange binance --type trades` · "
    "`k2 load 7181.csv --profile asx --type trades --reference company-info.csv --wait`"
)
def load(
    files: Annotated[
        list[Path], typer.Argument(help="Files to load, in this order (.csv, .gz, .zst, .zip).")
    ],
    data_type: Annotated[DataType, typer.Option("--type", help="What the files hold.")],
    exchange: Annotated[str | None, typer.Option(help="Whose files; default: the profile's.")] = None,
    profile: Annotated[
        str, typer.Option(help="Shape of the files: a name, or the path of a .toml file.")
    ] = "k2",
    symbol: Annotated[str | None, typer.Option(help="Symbol of every row.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Reference data that maps a file's name to its symbol.")
    ] = None,
    sequence: Annotated[
        SequenceMode | None, typer.Option(help="Where sequence numbers come from; default: the profile's.")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Folder for rejected rows; default: rejects/ in K2_HOME.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Load at most so many rows of each file.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check; send nothing.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Load nothing of a file with a rejected row.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Load a file once more that has no sequence to tell copies by.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return once the lake has the rows.")] = False,
) -> None:
    """Load CSV files: to the log, and from there into the lake by the worker.

    Rows that cannot be read are kept with the reason, never dropped. Loading a file twice changes nothing that a
    query shows: the copies come back flagged `duplicate`.
    """
    from k2app.cli.load import Options, run  # noqa: PLC0415 - `k2 --help` stays fast

    given = Options(
        files,
        exchange,
        data_type,
        profile,
        symbol,
        reference,
        sequence,
        rejects,
        limit,
        dry_run,
        strict,
        again,
        wait,
    )
    run(_settings(), given, Console())


profile_app = typer.Typer(
    name="profile",
    help="Profiles: which there are, and how a file would be read with one.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(profile_app)


@profile_app.command("list", epilog="Example: `k2 profile list`")
def profile_list() -> None:
    """List the profiles that ship, with what they read."""
    from k2app.cli.profile import list_profiles  # noqa: PLC0415 - `k2 --help` stays fast

    list_profiles()


@profile_app.command(
    "check",
    epilog="Examples: `k2 profile check BTCUSDT-trades-2025-01-01.zip --profile binance --type trades` · "
    "`k2 profile check day.csv.zst --profile databento --type quotes --rows 3` · "
    "`k2 profile check mine.csv --profile ./mine.toml --type trades --exchange generic`",
)
def profile_check(
    file: Annotated[Path, typer.Argument(help="A file as `k2 load` takes it.")],
    data_type: Annotated[DataType, typer.Option("--type", help="What the file holds.")],
    profile: Annotated[str, typer.Option(help="A name, or the path of a .toml file.")] = "k2",
    rows: Annotated[int, typer.Option(min=1, max=1000, help="Rows to show.")] = 10,
    exchange: Annotated[str | None, typer.Option(help="Whose file; default: the profile's.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol of every row.")] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Reference data that maps a file's name to its symbol.")
    ] = None,
    sequence: Annotated[
        SequenceMode | None, typer.Option(help="Where sequence numbers come from; default: the profile's.")
    ] = None,
) -> None:
    """Show how the first rows of a file would be read. Writes nothing.

    Exit status 1 if one of them was rejected, 2 if the file cannot be read with the profile.
    """
    from k2app.cli.profile import Options, check  # noqa: PLC0415 - `k2 --help` stays fast

    given = Options(file, profile, data_type, rows, exchange, symbol, reference, sequence)
    if not check(read_settings(), given):
        raise typer.Exit(1)


@app.command(epilog="Examples: `k2 worker` · `k2 worker --drain`")
def worker(
    drain: Annotated[
        bool, typer.Option("--drain", help="Read to the end of the log, commit, and exit.")
    ] = False,
) -> None:
    """Run the worker: read topics, check sequences, commit to the lake, serve HTTP.

    Runs until SIGTERM or SIGINT; then it commits what it has read and exits 0.
    """
    from k2app.app import create_app  # noqa: PLC0415 - `k2 --help` stays fast
    from k2app.worker import run  # noqa: PLC0415 - as above

    asyncio.run(run(create_app(_settings()), drain=drain))


@app.command(
    epilog="Examples: `k2 status` · `k2 status --output json` · `k2 status --watch` (ends with Ctrl-C)"
)
def status(
    output: Annotated[Form, typer.Option("--output", "-o", help="Form of the status.")] = Form.TABLE,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds.")] = False,
) -> None:
    """Show how log and lake stand: what is in the lake and what is not yet, the worker, tables, disk.

    Changes nothing; works with and without a worker.
    """
    from k2app.cli.status import show_status  # noqa: PLC0415 - `k2 --help` stays fast

    show_status(_settings(), as_json=output is Form.JSON, watch=watch)


@app.command(
    epilog="Examples: `k2 loads` · `k2 loads --state retracted --limit 20` · `k2 loads --output json`"
)
def loads(
    output: Annotated[Form, typer.Option("--output", "-o", help="Form of the list.")] = Form.TABLE,
    state: Annotated[
        str | None, typer.Option(metavar="reserved|sent|retracted", help="Only loads in this state.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many, the newest.")] = None,
) -> None:
    """List what was loaded, newest last: file, rows, rejects, and where it is on the log (partition:first-last)."""
    from k2app.cli.loads import show_loads  # noqa: PLC0415 - `k2 --help` stays fast

    show_loads(_settings(), as_json=output is Form.JSON, state=state, limit=limit)


@app.command(
    epilog="Examples: `k2 retract 3f2a9c41b7d0` · "
    "`k2 retract 3f2a9c41b7d0 --reason 'wrong day in the file'` · `k2-query trades --include-retracted`"
)
def retract(
    load: Annotated[str, typer.Argument(metavar="LOAD", help="Id of the load, or its first characters.")],
    reason: Annotated[str | None, typer.Option(help="Why; kept in the ledger.")] = None,
) -> None:
    """Withdraw a load: queries leave its rows out from now on. Marks, never deletes.

    What was asked as of an earlier time stays what it was. The file, or a corrected one, may be loaded again.
    """
    from k2app.cli.retract import retract_load  # noqa: PLC0415 - `k2 --help` stays fast

    retract_load(_settings(), load, reason, Console())


@app.command(
    "rebuild-state",
    epilog="Examples: `k2 rebuild-state --dry-run` · `k2 rebuild-state` · "
    "`k2 rebuild-state --topic market.equities.trades.asx --partition 0`",
)
def rebuild_state(
    topic: Annotated[str | None, typer.Option(help="Only this topic.")] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="Only this partition.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare only; drop nothing.")] = False,
) -> None:
    """Compare the stored sequence states with the lake, and drop them: the next worker rebuilds them from the lake.

    Takes a stopped worker. Harmless at any time: the states are a cache of the lake.
    """
    from k2app.cli.rebuild_state import rebuild_state as run  # noqa: PLC0415 - `k2 --help` stays fast

    run(_settings(), topic, partition, dry_run=dry_run)


@app.command(
    epilog="Examples: `k2 trim --dry-run` · `k2 trim` · `k2 trim --keep-hours 24 --keep-bytes 2000000000`"
)
def trim(
    keep_hours: Annotated[
        float | None, typer.Option(min=0, help="Keep what is younger; default: K2_LOG_KEEP_HOURS.")
    ] = None,
    keep_bytes: Annotated[
        int | None, typer.Option(min=0, help="Size of the log's file, 0: any; default: K2_LOG_KEEP_BYTES.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go; trim nothing.")] = False,
) -> None:
    """Trim the embedded log: what the lake has and is too old, or too much. Never what the lake does not have.

    The worker does the same every few minutes.
    """
    from k2app.cli.trim import trim_log  # noqa: PLC0415 - `k2 --help` stays fast

    trim_log(_settings(), keep_hours, keep_bytes, dry_run=dry_run)


def main() -> None:
    """Run the command; what a person must mend is one line on standard error and exit status 2."""
    try:
        app()
    except K2Error as error:
        typer.echo(f"k2: {error}", err=True)
        raise SystemExit(OPERATOR_EXIT) from error
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None


if __name__ == "__main__":
    main()
