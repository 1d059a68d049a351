"""The command `k2`: set up, load, run the worker, look after a lake."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from k2app import logs, tracing
from k2app.cli import collecting, completion
from k2app.cli import options as take
from k2app.cli.ending import STATUSES, Interruptible, interrupted, run
from k2app.cli.keys import keys_app
from k2app.cli.options import Form
from k2app.cli.tag import tag_app
from k2app.settings import Settings, read_settings

app = typer.Typer(
    cls=Interruptible,
    name="k2",
    help="A market-data lakehouse: CSV and Kafka to Iceberg, exactly once, served by DuckDB.",
    epilog=f"Examples: `k2 init` · `k2 load --help` · `k2 status`\n\n{STATUSES}",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _settings() -> Settings:
    """Settings for a command that is about to begin: what it needs is imported."""
    collecting.begin()
    settings = read_settings()
    logs.configure(settings.logs)
    tracing.start(settings.otel)
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
    data_type: take.Type,
    exchange: take.Exchange = None,
    profile: take.Profile = "k2",
    symbol: take.Symbol = None,
    reference: take.Reference = None,
    sequence: take.Sequence = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Folder for rejected rows; default: rejects/ in K2_HOME.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Load at most so many rows of each file.")] = None,
    dry_run: take.DryRun = False,
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
    query shows: the copies come back flagged `duplicate`. With K2_LOAD_METRICS_FILE set, rows, bytes and times of the
    loads are written to that file, for node_exporter's textfile collector.
    """
    given = locals()
    from k2app.cli.load import Options, load_files  # noqa: PLC0415 - `k2 --help` stays fast

    load_files(_settings(), Options(**given), Console())


profile_app = typer.Typer(
    name="profile",
    help="Profiles: which there are, and how a file would be read with one.",
    epilog="Examples: `k2 profile list` · "
    "`k2 profile check mine.csv --profile ./mine.toml --type trades --exchange generic`",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.add_typer(profile_app)
app.add_typer(tag_app)
app.add_typer(keys_app)


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
    data_type: take.Type,
    profile: take.Profile = "k2",
    rows: Annotated[int, typer.Option(min=1, max=1000, help="Rows to show.")] = 10,
    exchange: take.Exchange = None,
    symbol: take.Symbol = None,
    reference: take.Reference = None,
    sequence: take.Sequence = None,
) -> None:
    """Show how the first rows of a file would be read. Writes nothing.

    Exit status 1 if one of them was rejected, 2 if the file cannot be read with the profile.
    """
    given = locals()
    from k2app.cli.profile import Options, check  # noqa: PLC0415 - `k2 --help` stays fast

    if not check(read_settings(), Options(**given)):
        raise typer.Exit(1)


@app.command(epilog="Examples: `k2 worker` · `k2 worker --drain`")
def worker(
    drain: Annotated[
        bool, typer.Option("--drain", help="Read to the end of the log, commit, and exit.")
    ] = False,
) -> None:
    """Run the worker: read topics, check sequences, commit to the lake, serve HTTP.

    Waits up to K2_START_WITHIN_S for a log, registry or lake that does not answer yet, and says what it waits for.
    Runs until SIGTERM or Ctrl-C; then it commits what it has read, and exits 0 after SIGTERM, 130 after Ctrl-C.
    """
    from k2app.worker_start import start  # noqa: PLC0415 - `k2 --help` stays fast

    if asyncio.run(start(_settings(), drain=drain)) is signal.SIGINT:
        raise interrupted("k2", "what was read is committed; the next worker goes on from there")


@app.command(epilog="Examples: `k2 web` · `k2 web --port 6067` (beside a worker, or another)")
def web(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to listen on; default: K2_WEB_PORT.")
    ] = None,
    reuse_port: Annotated[
        bool,
        typer.Option(
            "--reuse-port",
            help="Share the port with others that say so too: they cannot be monitored one by one.",
        ),
    ] = False,
) -> None:
    """Serve HTTP without a worker: the same answers from the same lake; any number of them, beside a worker or alone.

    Give each its own --port, and put a proxy in front of them. On a shared port (--reuse-port) every request reaches
    any of them, Prometheus' and health checks too: their metrics and alerts are worth nothing.

    Runs until SIGTERM or Ctrl-C; then it answers what was asked, and exits 0 after SIGTERM, 130 after Ctrl-C.
    """
    from k2app.cli.web import serve  # noqa: PLC0415 - `k2 --help` stays fast

    if serve(_settings(), port, reuse_port=reuse_port) is signal.SIGINT:
        raise interrupted("k2")


@app.command(
    epilog="Examples: `k2 status` · `k2 status --output json` · `k2 status --watch` (ends with Ctrl-C)"
)
def status(
    output: take.Output = Form.TABLE,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds.")] = False,
) -> None:
    """Show how log and lake stand: what is in the lake and what is not yet, the worker, tables, disk.

    Changes nothing; works with and without a worker.
    """
    from k2app.cli.status import show_status  # noqa: PLC0415 - `k2 --help` stays fast

    show_status(_settings(), as_json=output is Form.JSON, watch=watch)


@app.command(epilog="Examples: `k2 doctor` · `k2 doctor --output json`")
def doctor(output: take.Output = Form.TABLE) -> None:
    """Check every configured part: does it answer, is it the right one, is it as K2 needs it? Says what to do.

    Looks at versions, disk, log, topics, registry, catalog, tables, warehouse, floors, DuckDB and the HTTP port;
    writes one small file into the warehouse and takes it away. Exit status 1 if something does not work.
    """
    from k2app.cli.doctor import show_findings  # noqa: PLC0415 - `k2 --help` stays fast

    if not show_findings(_settings(), Console(), as_json=output is Form.JSON):
        raise typer.Exit(1)


@app.command(
    epilog="Examples: `k2 loads` · `k2 loads --state retracted --limit 20` · `k2 loads --output json`"
)
def loads(
    output: take.Output = Form.TABLE,
    state: Annotated[
        str | None, typer.Option(help="Only loads in this state.", autocompletion=completion.states)
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
    load: Annotated[
        str,
        typer.Argument(
            metavar="LOAD",
            help="Id of the load, or its first characters.",
            autocompletion=completion.loads,
        ),
    ],
    reason: Annotated[str | None, typer.Option(help="Why; kept in the ledger.")] = None,
) -> None:
    """Withdraw a load: queries leave its rows out from now on. Marks, never deletes.

    What was asked as of an earlier time stays what it was. The file, or a corrected one, may be loaded again.
    """
    from k2app.cli.retract import retract_load  # noqa: PLC0415 - `k2 --help` stays fast

    retract_load(_settings(), load, reason, Console())


@app.command(
    epilog="Examples: `k2 redrive --topic market.equities.trades.asx --dry-run` · "
    "`k2 redrive --reason 'unknown schema id' --since 2026-01-05T00:00:00Z` · "
    "`k2 redrive market.equities.trades.asx/0/17 --file mended.avro`"
)
def redrive(
    letters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TOPIC/PARTITION/OFFSET]...", help="Dead letters; without any: by the options."
        ),
    ] = None,
    topic: Annotated[str | None, typer.Option(help="Only of this topic.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only on the log from this time on.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only refused with this in the reason.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="The value that the one letter should have had: framed Avro, as on the log."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Letters that were sent before, too.")] = False,
    dry_run: take.DryRun = False,
    output: take.Output = Form.TABLE,
) -> None:
    """Send dead letters again to their topic, once what made them unreadable is mended.

    Each is read first, with the schemas of now; what still cannot be read is listed and stays. Letters sent before are
    left out. A redrive is a load: `k2 loads` lists it, `k2 retract` withdraws it. Exit status 1 if none could be sent.
    """
    from k2app.cli.redrive import Options, redrive_letters  # noqa: PLC0415 - `k2 --help` stays fast

    given = Options(letters or [], topic, since, reason, file, again, dry_run, output is Form.JSON)
    if not redrive_letters(_settings(), given, Console()):
        raise typer.Exit(1)


@app.command(
    "rebuild-state",
    epilog="Examples: `k2 rebuild-state --dry-run` · `k2 rebuild-state` · "
    "`k2 rebuild-state --topic market.equities.trades.asx --partition 0`",
)
def rebuild_state(
    topic: Annotated[str | None, typer.Option(help="Only this topic.")] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="Only this partition.")] = None,
    dry_run: take.DryRun = False,
) -> None:
    """Compare the stored sequence states with the lake, and drop them: the next worker rebuilds them from the lake.

    Takes a stopped worker. Harmless at any time: the states are a cache of the lake.
    """
    from k2app.cli.rebuild_state import rebuild_states  # noqa: PLC0415 - `k2 --help` stays fast

    rebuild_states(_settings(), topic, partition, dry_run=dry_run)


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
    dry_run: take.DryRun = False,
) -> None:
    """Trim the embedded log: what the lake has and is too old, or too much. Never what the lake does not have.

    The worker does the same every few minutes.
    """
    from k2app.cli.trim import trim_log  # noqa: PLC0415 - `k2 --help` stays fast

    trim_log(_settings(), keep_hours, keep_bytes, dry_run=dry_run)


def main() -> None:
    """Entry point: every error is one line on standard error, and its exit status says what to do."""
    collecting.put_off()
    run(app, "k2")


if __name__ == "__main__":
    main()
