"""`k2 worker` on a disk that fills up at chosen moments: at the n-th point of its n-th flush.

Full is what the operating system makes it: with a file size limit of zero every write to a file fails (EFBIG where a
full disk has ENOSPC; both reach the program as an error of the write). Needs no right to mount anything. Whoever
started the process gives the space back, see `disks.free`.
"""

import resource
import sys

from k2app import faults
from k2app.cli import k2
from tables.sequences import SequenceTable

FILLED = "disk full at"

LOGGED = "states-logged"
"""A point more: states are in the changelog, and not in RocksDB yet."""


class Filling:
    """Fault points that fill the disk instead of killing the process: one in a flush at most, in the given order."""

    def __init__(self, points: list[str]) -> None:
        self._points = points
        self._armed = False

    def point(self, name: str) -> None:
        """Fill the disk if it is this point's turn."""
        self._armed |= name == "flush-started"
        if self._armed and self._points and name == self._points[0]:
            self._points.pop(0)
            self._armed = False
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            print(FILLED, name, flush=True)  # noqa: T201 - tells the test, through a pipe


def filling_before(filling: Filling, apply):
    """`SequenceTable.apply` with a point before it."""

    def applying(table: SequenceTable, *arguments: object) -> None:
        filling.point(LOGGED)
        apply(table, *arguments)

    return applying


if __name__ == "__main__":
    filling = Filling(sys.argv[1].split(","))
    faults.from_environment = lambda: filling
    SequenceTable.apply = filling_before(filling, SequenceTable.apply)
    sys.argv = ["k2", "worker"]
    k2.main()
