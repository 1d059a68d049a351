"""`k2 worker` whose wall clock is as wrong as a file says: seconds that are added to what the machine's clock shows.

Python reads the wall clock in `time.time` and `time.time_ns`; the monotonic clock is left alone, as it is on a machine
whose clock is set.
"""

import sys
import time
from pathlib import Path

from k2app.cli import k2


def shift_by(file: Path) -> None:
    """Let this process's wall clock be off by what the file says at each moment."""
    true_s, true_ns = time.time, time.time_ns

    def off_s() -> float:
        return float(file.read_text() or 0)

    time.time = lambda: true_s() + off_s()
    time.time_ns = lambda: true_ns() + int(off_s() * 1e9)


if __name__ == "__main__":
    shift_by(Path(sys.argv[1]))
    sys.argv = ["k2", "worker"]
    k2.main()
