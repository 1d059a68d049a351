"""Traces for OpenTelemetry: spans of requests, queries, flushes and loads. Off unless `K2_OTEL_ENDPOINT` is set.

While it is off, nothing of OpenTelemetry is imported, and a span costs the look whether it is. When it is on, its own
API is used, with one provider per process, as it wants it; and spans are sent by a thread of its SDK, which drops them
when they are too many, or nobody takes them. What OpenTelemetry's environment variables say
(`OTEL_EXPORTER_OTLP_HEADERS`) holds, too.

Faust's own integrations are of no use here: its OpenTelemetry sensor ends a span only when an event is acknowledged by
the iteration itself, which K2's never is, and its `app.tracer` speaks OpenTracing, which has no SDK any more.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from k2app.errors import OperatorError
from k2app.passwords import without_passwords
from k2app.settings import OtelSettings

if TYPE_CHECKING:
    from opentelemetry.trace import Span

PATH = "/v1/traces"
"""Where a collector takes traces (Source: OTLP/HTTP, "OTLP/HTTP Request")."""

SEND_WITHIN_S = 5
"""Seconds that a collector has to take spans; the end of the program waits as long."""

SCOPE = "k2"
"""What OpenTelemetry calls the instrumentation."""

_API = "opentelemetry.trace"
"""Module that keeps the provider of the process. Whoever else imports it, or its SDK, does not turn traces on."""

_OURS = "_k2_began_it"
"""Attribute that our provider has, and none of others."""


def start(settings: OtelSettings) -> None:
    """Begin to trace, if the settings ask for it. Once per process.

    Raises
    ------
    OperatorError
        The extra `otel` is not installed, or something else in the process has begun to trace already.
    """
    if not settings.endpoint or is_on():
        return
    try:
        from opentelemetry import trace  # noqa: PLC0415 - an extra, and not imported while it is off
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - as above
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - as above
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - as above
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415 - as above
    except ImportError as error:
        raise OperatorError(
            f"K2_OTEL_ENDPOINT is set, and OpenTelemetry is not installed: pip install 'k2[otel]' ({error})"
        ) from error
    resource = Resource.create({"service.name": settings.service_name, "service.version": version("k2")})
    provider = TracerProvider(sampler=ParentBasedTraceIdRatio(settings.sample_ratio), resource=resource)
    exporter = OTLPSpanExporter(endpoint=url(settings.endpoint), timeout=SEND_WITHIN_S)
    provider.add_span_processor(BatchSpanProcessor(exporter, export_timeout_millis=SEND_WITHIN_S * 1_000))
    setattr(provider, _OURS, True)
    trace.set_tracer_provider(provider)
    if not is_on():
        provider.shutdown()
        raise OperatorError(
            "K2_OTEL_ENDPOINT is set, and something else in this process has set OpenTelemetry up already, which it "
            "lets nobody do twice: unset K2_OTEL_ENDPOINT, or start K2 without it (such as opentelemetry-instrument)"
        )


def stop() -> None:
    """Send what was not sent yet, and end. Blocks for `SEND_WITHIN_S` at most, or not at all while it is off."""
    if (ours := _provider()) is not None:
        ours.force_flush(SEND_WITHIN_S * 1_000)


def url(endpoint: str) -> str:
    """URL that spans are sent to: the endpoint, with the usual path where it has none."""
    scheme, _, rest = endpoint.partition("://")
    return endpoint if rest.strip("/").count("/") else f"{scheme}://{rest.rstrip('/')}{PATH}"


def is_on() -> bool:
    """Whether this process traces."""
    return _provider() is not None


def span(name: str, **attributes: str | int | float | None) -> AbstractContextManager[Any]:
    """Span that lasts as long as the block, below the one that is open. An error that leaves the block is noted."""
    if not is_on():
        return nullcontext()
    return _span(name, attributes)


def root_span(name: str, **attributes: str | int | float | None) -> AbstractContextManager[Any]:
    """Span that begins a trace of its own, whatever is open: of work that serves many who asked for it."""
    if not is_on():
        return nullcontext()
    return _span(name, attributes, is_root=True)


def request_span(name: str, headers: Mapping[str, str]) -> AbstractContextManager[Any]:
    """Span of a request, in the trace that its headers name (Source: W3C Trace Context); yields what `note` takes."""
    if not is_on():
        return nullcontext()
    return _span(name, {}, headers={key.lower(): value for key, value in headers.items()})


def note(found: Any, name: str, attributes: Mapping[str, str | int]) -> None:
    """Give a span what is known of it only at its end: its name, and attributes."""
    if found is not None:
        found.update_name(name)
        found.set_attributes(attributes)


def current_ids() -> dict[str, str]:
    """Ids of the trace and span that are open, as log lines carry them; none while there is none."""
    if not is_on():
        return {}
    context = _api().get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


@contextmanager
def _span(
    name: str,
    attributes: Mapping[str, str | int | float | None],
    *,
    headers: Mapping[str, str] | None = None,
    is_root: bool = False,
) -> Iterator[Span]:
    from opentelemetry import propagate  # noqa: PLC0415 - imported when tracing began
    from opentelemetry.context import Context  # noqa: PLC0415 - as above

    trace = _api()
    # None: below the span that is open.
    context = Context() if is_root or headers is not None else None
    kind = trace.SpanKind.INTERNAL
    if headers is not None:
        context, kind = propagate.extract(headers, context), trace.SpanKind.SERVER
    known = {f"k2.{key}": value for key, value in attributes.items() if value is not None}
    tracer = trace.get_tracer(SCOPE)
    # Errors are noted here: OpenTelemetry would send their texts as they are.
    found: Span
    with tracer.start_as_current_span(
        name,
        context=context,
        kind=kind,
        attributes=known,
        record_exception=False,
        set_status_on_exception=False,
    ) as found:
        try:
            yield found
        except Exception as error:
            _note_error(found, error)
            raise


def _note_error(found: Span, error: Exception) -> None:
    """Note an error as OpenTelemetry does, without passwords. Source: semantic conventions, "Exceptions"."""
    if not found.is_recording():
        return
    masked = {
        "exception.message": without_passwords(str(error)),
        "exception.stacktrace": without_passwords("".join(traceback.format_exception(error))),
    }
    found.record_exception(error, attributes=masked)
    failed = _api().StatusCode.ERROR
    found.set_status(failed, without_passwords(f"{type(error).__name__}: {error}"))


def _provider() -> Any:
    """Our provider; None: traces are off. OpenTelemetry remembers it for the process."""
    if _API not in sys.modules:
        return None
    found = _api().get_tracer_provider()
    return found if getattr(found, _OURS, False) else None


def _api() -> Any:
    return sys.modules[_API]
