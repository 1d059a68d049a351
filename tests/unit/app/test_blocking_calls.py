"""Calls that do not come back: the program ends all the same, with its exit status."""

import subprocess
import sys

import pytest

PROMPT_S = 60.0
"""Deadline of what takes five seconds and a start of Python."""

PROGRAM = """
import asyncio, threading
from k2app.blocking import BlockingCalls, leave

answered = threading.Event()

async def main():
    asyncio.get_running_loop().set_default_executor(BlockingCalls())
    call = asyncio.create_task(asyncio.to_thread(answered.wait))
    await asyncio.sleep(0.1)
    {then}
    call.cancel()

asyncio.run(main())
print("left")
leave(3)
print("ended by itself")
"""


@pytest.mark.parametrize(
    ("then", "status", "printed"), [("pass", 3, "left\n"), ("answered.set()", 0, "left\nended by itself\n")]
)
def test_program_ends_whether_or_not_a_call_comes_back(then, status, printed):
    """One that waits is left behind; where all have come back, the program ends as any does."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(then=then)],
        capture_output=True,
        text=True,
        timeout=PROMPT_S,
        check=False,
    )
    assert (status, printed) == (done.returncode, done.stdout), done.stderr
