"""`make outage`: S3 is away for ten minutes while production goes on; prints the worker's memory over time."""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from k2app.lake.audit import completeness
from k2app.lake.tables import Name
from tests.pipeline.homes import wait_until
from tests.services import postgres, s3
from tests.services.fault_proxy import fault_proxy
from tests.services.lakes.homes import on_postgres
from tests.services.lakes.outages import Production, Sample, behind, strike, to_database, to_s3, watch

BLOCK, EVERY_S = 2_000, 0.1
"""Rows of a block, and seconds between two: some thousands of rows a second, as long as the machine keeps up."""

RECOVERY_S = 1_200.0
"""Deadline of the way back: everything that came meanwhile has to be read."""


def main() -> None:
    """Run the outage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long it lasts")
    parser.add_argument("--fault", default="cut", choices=["cut", "half-open", "503"], help="what it is")
    parser.add_argument("--server", default="s3", choices=["s3", "postgres"], help="who is away")
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="k2-outage-")))
        storage = stack.enter_context(s3.server(folder / "s3"))
        database = stack.enter_context(postgres.server())
        proxy = stack.enter_context(fault_proxy(folder / "proxy"))
        lake = on_postgres(storage, database)
        port, way = to_s3(storage) if asked.server == "s3" else to_database(database, lake)
        limits = {"K2_FLUSH_MAX_ROWS": "20000", "K2_LOG_FETCH_ROWS": "10000"}
        site = stack.enter_context(behind(proxy, folder / "home", lake, port, way, **limits))
        with site.worker() as worker:
            wait_until(site.is_ready, "a worker that is ready")
            production = Production(site.home, BLOCK, EVERY_S)
            production.start()
            try:
                wait_until(lambda: site.home.committed_rows() > 50_000, "some commits", RECOVERY_S)
                strike(site, asked.fault, stack)
                samples = watch(site, worker, production, for_s=60 * asked.minutes, every_s=1.0)
            finally:
                production.end()
            site.mend()
            rows = production.rows
            wait_until(lambda: site.home.committed_rows() == rows, "everything in the lake", RECOVERY_S)
            wait_until(site.is_ready, "a worker that is ready again", RECOVERY_S)
            (after,) = watch(site, worker, production, for_s=0.001, every_s=0.001)[:1]
            lines = len(worker.printed().splitlines()) - worker.flushes()
            worker.stop()
        report(samples, after, lines)
        assert [] == completeness(site.home.table(Name.TRADES))
        found = site.home.table(Name.TRADES).scan(selected_fields=("sequence",)).to_arrow()["sequence"]
        assert rows == len(found) == len(found.unique()), (rows, len(found))
        say(f"{rows:,} rows published, every one in the lake once")


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


def report(samples: list[Sample], after: Sample, lines: int) -> None:
    """Print memory over time: most of each twentieth of the outage."""
    say(f"{'from s':>8} {'RSS MiB':>8} {'buffered':>9} {'published':>11}")
    each = max(1, len(samples) // 20)
    for at in range(0, len(samples), each):
        part = samples[at : at + each]
        rss, buffered = max(s.rss_mib for s in part), max(s.buffered_rows for s in part)
        say(f"{part[0].at_s:8.0f} {rss:8.0f} {buffered:9,.0f} {part[-1].published_rows:11,}")
    say(f"after it: RSS {after.rss_mib:.0f} MiB; lines in the log beside commits: {lines}")


if __name__ == "__main__":
    main()
