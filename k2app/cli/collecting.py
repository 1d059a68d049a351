"""When garbage is looked for: not while a command's modules come, and never among them.

Modules stay until the process ends, and are a million objects. Python would look through them a dozen times while they
are imported, and again to take them apart at the end: two fifths of what a short command, or the start and the end of
a worker, cost. What a command makes once it runs is collected as ever.
"""

from __future__ import annotations

import gc


def put_off() -> None:
    """Collect nothing for now: the process has just begun, and imports."""
    gc.disable()


def begin() -> None:
    """Collect from now on, and leave out what is there: the modules. Without a `put_off`, does nothing."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
