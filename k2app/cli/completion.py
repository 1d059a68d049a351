"""What a shell offers when Tab is pressed: names of profiles and exchanges, ids of loads.

The shell runs these while a person types: whatever is wrong with the settings or the lake, they say nothing and offer
nothing.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from functools import wraps

Offers = list[str | tuple[str, str]]
"""Values, perhaps with what they are."""


def _quiet(offered: Callable[[], Iterable[str | tuple[str, str]]]) -> Callable[[], Offers]:
    """Offer nothing, and print nothing, if `offered` fails."""

    @wraps(offered)
    def offer() -> Offers:
        logging.disable()
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                return list(offered())
        except Exception:  # noqa: BLE001 - a traceback would land in the line that a person types
            return []
        finally:
            logging.disable(logging.NOTSET)

    return offer


@_quiet
def profiles() -> Iterable[str | tuple[str, str]]:
    """Profiles that ship; paths are the shell's own affair."""
    from k2app.load.profiles import load, names  # noqa: PLC0415 - only when asked

    return [(name, load(name).about) for name in names()]


@_quiet
def exchanges() -> Iterable[str | tuple[str, str]]:
    """Exchanges that are served."""
    from k2app.market.exchanges import load  # noqa: PLC0415 - only when asked
    from k2app.settings import read_settings  # noqa: PLC0415 - as above

    settings = read_settings()
    return [
        (one.name, one.asset_class.value)
        for one in load(settings.exchanges_file).served(settings.exchanges).values()
    ]


@_quiet
def loads() -> Iterable[str | tuple[str, str]]:
    """Loads, newest first, with their files."""
    from k2app.load import ledger  # noqa: PLC0415 - only when asked
    from k2app.load.reservations import Reservations  # noqa: PLC0415 - as above
    from k2app.operate.opening import opened_lake  # noqa: PLC0415 - as above
    from k2app.settings import read_settings  # noqa: PLC0415 - as above

    settings = read_settings()
    with opened_lake(settings) as catalog:
        found = ledger.entries(Reservations(catalog, settings).rows())
    return [(one.load_id, f"{one.file} ({one.state})") for one in reversed(found)]


@_quiet
def states() -> Iterable[str | tuple[str, str]]:
    """States of loads."""
    from k2app.load.ledger import STATES  # noqa: PLC0415 - only when asked

    return STATES
