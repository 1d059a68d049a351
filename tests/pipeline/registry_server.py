"""A schema registry over HTTP, in the test: what a Confluent-compatible one answers, from a home's own schemas."""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from k2app.stream.registry import EmbeddedRegistry
from tests.processes import ended

NOT_FOUND = 404, {"error_code": 40403, "message": "Schema not found"}


class Handler(BaseHTTPRequestHandler):
    """Source: Confluent Schema Registry API reference."""

    registry: EmbeddedRegistry

    def do_GET(self):
        """A schema by its id."""
        number = re.search(r"/schemas/ids/(\d+)", self.path)
        text = None if number is None else self.registry.schema(int(number[1]))
        self._answer(*(NOT_FOUND if text is None else (200, {"schema": text})))

    def do_PUT(self):
        """Compatibility of a subject."""
        self._body()
        self._answer(200, {"compatibility": "BACKWARD"})

    def do_POST(self):
        """Look for a schema, check one, register one."""
        schema = json.loads(self._body()["schema"])
        subject = re.search(r"/subjects/([^/?]+)", self.path)[1]
        if "/compatibility/" in self.path:
            self._answer(200, {"is_compatible": True})
        elif self.path.partition("?")[0].endswith("/versions"):
            self._answer(200, {"id": self.registry.register(subject, schema)})
        else:
            found = self.registry.registered(subject, schema)
            known = {"subject": subject, "id": found, "version": 1, "schema": json.dumps(schema)}
            self._answer(*(NOT_FOUND if found is None else (200, known)))

    def log_message(self, *_):
        """Say nothing."""

    def _body(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def registry_at(home, port):
    """Serve the schemas of a home, on a port."""
    handler = type("HomeHandler", (Handler,), {"registry": EmbeddedRegistry(home.log)})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        ended(thread)
