"""A collector of OpenTelemetry traces: takes OTLP over HTTP, and keeps the spans."""

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.processes import ended


@dataclass(frozen=True)
class Span:
    """What a test asks of a span; ids in hexadecimal, `parent` empty for the first of a trace."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    attributes: dict
    told: str
    """Everything that the span says, as text."""


class Collector:
    """Spans that came in, and the address they come to."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.spans: list[Span] = []

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def below(self, parent: Span) -> list[Span]:
        return [span for span in self.spans if span.parent == parent.id and span.trace == parent.trace]

    def take(self, data: bytes) -> None:
        """Take one request. Source: opentelemetry-proto, trace_service.proto."""
        for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
            service = {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_span(service, found) for found in scope.spans]


def _span(service: str, found) -> Span:
    values = {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in found.attributes}
    ids = found.trace_id.hex(), found.span_id.hex(), found.parent_span_id.hex()
    return Span(service, found.name, *ids, values, str(found))


@contextmanager
def collecting():
    """Run a collector on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.collector = Collector(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.collector
    finally:
        server.shutdown()
        server.server_close()
        ended(thread)


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        """Take spans."""
        assert self.path == "/v1/traces"
        self.server.collector.take(self.rfile.read(int(self.headers["Content-Length"])))
        body = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""
