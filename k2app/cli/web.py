"""`k2 web`: answer queries over HTTP, and nothing else."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from k2app.app import create_web
from k2app.operate.opening import opened_lake
from k2app.settings import Settings
from k2app.web_process import run_web


def serve(settings: Settings, port: int | None, *, reuse_port: bool) -> signal.Signals | None:
    """Serve until a signal, and return it.

    Raises
    ------
    OperatorError
        There is no lake yet, the port is taken, or the address is open to everybody.
    """
    given: dict[str, Any] = {} if port is None else {"port": port}
    at = settings.web.model_copy(update=given | ({"reuse_port": True} if reuse_port else {}))
    chosen = settings.model_copy(update={"web": at})
    with opened_lake(chosen) as catalog:
        return asyncio.run(_serve(chosen, catalog))


async def _serve(settings: Settings, catalog: Any) -> signal.Signals | None:
    return await run_web(create_web(settings, catalog), settings.web)
