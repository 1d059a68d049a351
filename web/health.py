"""Whether the process runs, and whether it can do its work."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from http import HTTPStatus

import faust
from aiohttp import web

from k2app.heartbeat import Heartbeat
from k2app.passwords import without_passwords
from web.dependencies import Dependencies
from web.problems import problem
from web.readiness import Checks
from web.views import add_view

LIVE = "/health/live"

READY = "/health/ready"

OK = "ok"
"""What stands for a part that is in order."""

DIGITS = 3
"""Digits after the point of the event loop's delay: milliseconds."""


def register(app: faust.App, dependencies: Dependencies) -> None:
    """Serve both checks; the event loop's beat runs as long as the server."""
    heartbeat = dependencies.heartbeat

    async def beating(_application: web.Application) -> AsyncIterator[None]:
        heartbeat.start()
        yield
        heartbeat.stop()

    async def live(_request: web.Request) -> web.StreamResponse:
        return liveness(heartbeat, dependencies.loop_delay_s)

    async def ready(_request: web.Request) -> web.StreamResponse:
        found = await dependencies.readiness()
        dependencies.metrics.process.ready.set(not found.reasons)
        return readiness(found)

    app.web.web_app.cleanup_ctx.append(beating)
    add_view(app, "live", LIVE, live)
    add_view(app, "ready", READY, ready)


def liveness(heartbeat: Heartbeat, loop_delay_s: float) -> web.Response:
    """Say whether the event loop turns, and how late it is."""
    late_s = round(heartbeat.late_s, DIGITS)
    if late_s < loop_delay_s:
        return web.json_response({"status": "live", "loop_delay_s": late_s})
    reason = f"the event loop is {late_s:g} s behind what is due (K2_HEALTH_LOOP_DELAY_S is {loop_delay_s:g})"
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-live", reason, loop_delay_s=late_s)


def readiness(found: Checks) -> web.Response:
    """Say of each part whether it is in order, and what is wrong with it if it is not."""
    checks = {part: reason or OK for part, reason in found.parts.items()}
    warnings = dict(found.warnings)
    if not found.reasons:
        text = json.dumps({"status": "ready", "checks": checks, "warnings": warnings})
        return web.json_response(text=without_passwords(text))
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "not-ready",
        "; ".join(found.reasons),
        reasons=found.reasons,
        checks=checks,
        warnings=warnings,
    )
