"""One worker of a race: stages rows, says so, waits for a line, commits, says how it went."""

from __future__ import annotations

import sys
from pathlib import Path

from k2app import logs
from k2app.errors import FencedError
from k2app.lake.catalog import open_catalog
from k2app.settings import Settings
from tests.lake_flushes import flush, span, writer


def say(*words):
    """One line to whoever started the process."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main(home, partition, start, end):
    settings = Settings(home=Path(home))
    logs.configure(settings.logs)
    who = writer(open_catalog(settings), settings)
    staged = who.stage(flush(span(int(start), int(end), partition=int(partition)), dead=(int(start),)))
    say("staged")
    sys.stdin.readline()
    try:
        who.commit_dead_letters(staged)
        who.commit_gaps(staged)
        say("committed", who.commit_main(staged).snapshot_id)
    except FencedError as error:
        say("fenced", error)


if __name__ == "__main__":
    main(*sys.argv[1:])
