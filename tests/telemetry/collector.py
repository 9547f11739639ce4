"""A collector of traces: it takes OTLP over HTTP on a real socket, and decodes it with OpenTelemetry's own types."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["Collector", "collector", "said"]


class Collector:
    """What has come, and how."""

    def __init__(self) -> None:
        self.port = 0
        self.spans: list[Span] = []
        self.resource: dict[str, Any] = {}
        self.headers: list[dict[str, str]] = []
        self.raw = b""
        """All bytes that came, unpacked."""
        self.fails = 0
        """How many requests are refused."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def until(self, many: int, seconds: float = 60.0) -> list[Span]:
        """The spans, once there are so many."""
        end = time.monotonic() + seconds
        while len(self.spans) < many:
            assert time.monotonic() < end, [span.name for span in self.spans]
            time.sleep(0.02)
        return self.spans

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        if path != "/v1/traces":
            return 404
        if self.fails:
            self.fails -= 1
            return 400
        self.headers.append(headers)
        body = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        self.raw += body
        read = ExportTraceServiceRequest()
        read.ParseFromString(body)
        for resource in read.resource_spans:
            self.resource = said(resource.resource)
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return 200


def said(of: Any) -> dict[str, Any]:
    """The attributes of a span or of a resource."""
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in of.attributes}


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector that listens."""
    one = Collector()

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(one.take(self.path, headers, body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    one.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()
