"""A vendor in miniature: `python -m tools.conformance.mock openai` answers every route of that SDK with an example.

It is strict about what it is sent, so that a gateway that loses or invents a field is found out. It prints the port.
"""

from __future__ import annotations

import email
import email.policy
import json
import re
import sys
from collections.abc import Iterable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tools.conformance.checks import fault, form_fault
from tools.conformance.examples import events, example
from tools.conformance.specification import Route, routes

__all__ = ["BINARY", "Refused", "Vendor", "Visitor", "main", "serving"]

BINARY = b'{"foo": "bar"}'
"""What is answered where the type says no more than bytes; it is what the SDKs' own tests expect to find there."""
_BASES = {"openai": "/v1", "anthropic": ""}
"""What stands before the SDK's paths, in the base address that its users give."""


class Refused(Exception):
    """The request is not one that the vendor would take."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Vendor:
    """A vendor's routes, below the path with which its base address ends."""

    def __init__(self, base: str, offered: Iterable[Route]) -> None:
        self._routes = [(_pattern(base + route.path), route) for route in offered]

    def candidates(self, method: str, path: str, *, beta: bool) -> list[Route]:
        """The routes at an address, the more specific ones and those meant by `beta` first. Raises Refused."""
        found = [route for pattern, route in self._routes if route.method == method and pattern.fullmatch(path)]
        if not found:
            raise Refused(404, f"there is no {method} {path}")
        literal = min(route.path.count("{") for route in found)
        return sorted(
            (route for route in found if route.path.count("{") == literal), key=lambda route: route.beta != beta
        )

    def taken(self, candidates: Sequence[Route], content_type: str, body: bytes) -> tuple[Route, bool]:
        """The first route whose parameters the body fits, and whether it asks for a stream. Raises Refused."""
        found: list[str] = []
        for route in candidates:
            if route.body is None:
                return route, False
            if content_type.startswith("multipart/form-data"):
                form = _form(content_type, body)
                wrong = form_fault(route.body, form)
                streamed = form.get("stream") == b"true"
            else:
                fields = _object(body)
                wrong = fault(route.body, fields)
                streamed = fields.get("stream") is True
            if wrong is None:
                return route, streamed and route.event is not None
            found.append(wrong)
        raise Refused(400, found[0])


class Visitor(BaseHTTPRequestHandler):
    """One connection to the vendor."""

    protocol_version = "HTTP/1.1"
    vendor: Vendor
    credential = ""
    """The key that has to be shown; empty where any will do."""

    def answer(self) -> None:
        """Answers one request, whatever its method."""
        body = self._body()  # is read in any case: the connection is used again
        address = urlsplit(self.path)
        query = parse_qs(address.query)
        beta = query.get("beta") == ["true"] or "anthropic-beta" in self.headers
        try:
            shown = (self.headers.get("authorization", "").removeprefix("Bearer "), self.headers.get("x-api-key"))
            if self.credential and self.credential not in shown:
                raise Refused(401, "the key is missing or wrong")
            candidates = self.vendor.candidates(self.command, address.path, beta=beta)
            route, streamed = self.vendor.taken(candidates, self.headers.get("content-type", ""), body)
            if streamed or (route.event is not None and query.get("stream") == ["true"]):
                self._stream(route)
            else:
                self._whole(route)
        except Refused as refused:
            error = {"message": str(refused), "type": "invalid_request_error", "param": None, "code": None}
            self._send(refused.status, "application/json", json.dumps({"type": "error", "error": error}).encode())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815  the names that the library looks for

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: what was asked is the tests' business."""

    def _whole(self, route: Route) -> None:
        if route.answer is None:
            self._send(200, "application/json", b"{}")
        elif route.answer is bytes:
            self._send(200, "application/octet-stream", BINARY)
        elif "Decoder" in getattr(route.answer, "__name__", str(route.answer)):
            line = json.dumps(example(route.answer.__args__[0]))
            self._send(200, "application/x-jsonl", f"{line}\n".encode())
        else:
            self._send(200, "application/json", json.dumps(example(route.answer)).encode())

    def _stream(self, route: Route) -> None:
        said = []
        for event in events(route.event):
            name = f"event: {event['type']}\n" if "type" in event else ""
            said.append(f"{name}data: {json.dumps(event)}\n\n")
        if not said[-1].startswith("event:"):
            said.append("data: [DONE]\n\n")
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for piece in (*(words.encode() for words in said), b""):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        except ConnectionError:  # the tests open streams and go away
            self.close_connection = True

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return b"".join(pieces)


def serving(vendor: Vendor, key: str = "") -> ThreadingHTTPServer:
    """A server for `vendor` on a free port of this machine, which wants to be shown `key` unless that is empty."""
    visitor = type("VendorVisitor", (Visitor,), {"vendor": vendor, "credential": key})
    server = ThreadingHTTPServer(("127.0.0.1", 0), visitor)
    server.daemon_threads = True
    return server


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(
        "".join("[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{.*?\})", path))
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body) if body else {}
    except ValueError as wrong:
        raise Refused(400, f"the body is no JSON: {wrong}") from None
    if not isinstance(fields, dict):
        raise Refused(400, "the body is no object")
    return fields


def _form(content_type: str, body: bytes) -> dict[str, bytes]:
    head = f"content-type: {content_type}\r\n\r\n".encode()
    form = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    if not form.is_multipart():
        raise Refused(400, "the body is no form")
    found: dict[str, bytes] = {}
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if not isinstance(name, str):
            raise Refused(400, "a part of the form has no name")
        payload = part.get_payload(decode=True)
        found[name] = payload if isinstance(payload, bytes) else b""
    return found


def main(arguments: Sequence[str]) -> None:
    """Serves the routes of the SDK that is named first until it is ended; a key may be named second."""
    sdk, *key = arguments
    server = serving(Vendor(_BASES[sdk], routes(sdk)), *key)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
