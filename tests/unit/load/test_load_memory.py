from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROCESS = Path(__file__).with_name("memory_process.py")

MEGABYTE = 1_000_000

PATIENCE_S = 60


def peak(folder, size_bytes):
    """Rows that were read from a file of so many bytes, and the highest memory of the process."""
    command = [sys.executable, "-W", "error", str(PROCESS), str(folder), str(size_bytes)]
    done = subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    return tuple(map(int, done.stdout.split()))


def test_a_large_file_is_read_in_the_memory_of_a_small_one(tmp_path):
    """Twenty times the bytes take no more than a tenth more, and far less than 300 MB."""
    few, small = peak(tmp_path, 10 * MEGABYTE)
    rows, large = peak(tmp_path, 200 * MEGABYTE)
    assert 3_000_000 < rows > 19 * few
    assert large < 1.1 * small
    assert large < 200 * MEGABYTE
