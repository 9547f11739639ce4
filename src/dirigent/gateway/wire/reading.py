"""Requests out of a stream of bytes: llhttp reads the grammar, what it lets pass and we do not is refused here."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import httptools

from dirigent.gateway.wire.known import Form, Head, Known
from dirigent.gateway.wire.limits import Limits

__all__ = ["Arrival", "Head", "Known", "Reader", "Refused"]


Arrival = Callable[[Head, bytes], None]
"""Takes a whole request: its head and its body."""

_METHODS = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}
_SINGLE = (b"host", b"content-length", b"transfer-encoding")
_HOST = re.compile(rb"(?:(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_OVERHEAD = 16 * 1024
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ?([0-9]{1,12})\r\n")
_VARIED = 8


class Refused(Exception):
    """A request that is not to be answered by anybody but the protocol itself; the connection ends with it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Reader:
    """Cuts one connection's bytes into requests and hands each to `arrived` as soon as its last byte is there."""

    __slots__ = (
        "_allowance",
        "_arrived",
        "_fields",
        "_form",
        "_fresh",
        "_head",
        "_known",
        "_known_host",
        "_left",
        "_length",
        "_limits",
        "_over",
        "_parser",
        "_piece",
        "_pieces",
        "_shared",
        "_sized",
        "_sound",
        "_target",
        "_varied",
        "_wire",
        "begun",
        "expecting",
        "in_body",
        "size",
    )

    def __init__(self, limits: Limits, arrived: Arrival, known: Known | None = None) -> None:
        self._limits = limits
        self._arrived = arrived
        self._known = known or Known()
        self._form = self._known.form
        self._varied = 0
        """How many heads in a row were not of the form before: a caller with a new one each time is not worth it."""
        self._parser = httptools.HttpRequestParser(self)
        self._known_host: bytes | None = None
        self._head = Head("", "", "", {}, modern=True, keep=True)
        self._piece = self._left = 0
        self._over = False
        self.begun = False
        """True while a part of a request is here."""
        self.in_body = False
        """True while that part includes the whole head."""
        self.expecting = False
        """True while the caller waits for `100 Continue` before it sends the body."""
        self.size = self._wire = self._allowance = self._length = 0
        self._fresh = False
        self._shared = 0
        """How many requests have ended within the present piece."""
        self._sized = False
        """Whether the present head says how long its body is."""
        self._sound = True
        """Whether the parser stands between two requests, whatever has gone past it."""
        self._target = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Reads on. Raises Refused, after which nothing more may be fed."""
        if self._left:
            data = self._read_straight(data)
        while not self.begun and data and self._form is not None and not self._over:
            rest = self._read_known(data, self._form)
            if rest is None:
                break
            data = rest
        over = self._over
        if over or not data:  # after the request that ends the connection, nobody listens
            return
        self._piece = len(data)
        self._shared = 0
        fresh = not self.begun and self._varied < _VARIED
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if self._over:  # the fault stands behind the request that ends the connection
                return
            cause = error.__context__
            if isinstance(cause, Refused):
                raise cause from None
            raise Refused(400, "invalid_request", f"the request is not valid HTTP/1.1: {error}") from None
        if fresh and not self._over:
            self._note(data)
        if self.begun:
            self._account(len(data))

    def _read_known(self, data: bytes, form: Form) -> bytes | None:
        """Takes a request whose head has the form; returns what stands behind it, None where the head is another."""
        before, after = form.before, form.after
        if not data.startswith(before):
            return None
        begin, length = len(before), 0
        if after is not None:
            end = data.find(b"\r", begin, begin + 13)
            if end < 0 or not data.startswith(after, end) or not (digits := data[begin:end]).isdigit():
                return None
            begin, length = end + len(after), int(digits)
            if length > self._limits.body:
                raise self._too_large()
        self._head = form.head
        self._varied = 0
        rest = data[begin:]  # nearly always the body, and nothing but the body
        size = len(rest)
        if size == length:
            self._arrived(form.head, rest)
            return b""
        if size > length:
            self._arrived(form.head, rest[:length])
            return rest[length:]
        self.begun = self.in_body = True
        self._pieces = [rest] if rest else []
        self.size, self._length, self._left = size, length, length - size
        return b""

    def _note(self, data: bytes) -> None:
        """Keeps the form of the head with which `data` begins, if it begins with one that was read whole."""
        head = self._head
        end = data.find(b"\r\n\r\n") + 4
        alone = self._shared + self.begun == 1 and (self.in_body or not self.begun)
        if end < 4 or not alone or not (head.modern and head.keep and 65 <= data[0] <= 90):
            return
        if self._length < 0 or b"expect" in head.headers:
            return
        self._varied += 1
        if not self._sized:
            self._form = Form(data[:end], None, head)
        elif found := _LENGTH.search(data, 0, end):
            self._form = Form(data[: found.start(1)], data[found.end(1) : end], head)
        self._known.form = self._form

    def _account(self, size: int) -> None:
        """Bounds what has come of a request that is not whole."""
        if self._fresh:
            self._fresh = False
            if self._shared:  # nobody knows how much of this piece belonged to the request before
                self._allowance = size
        self._wire += size
        wire = self._wire - self._allowance
        if not self.in_body:
            if wire > self._limits.target + self._limits.head:
                raise Refused(431, "headers_too_large", f"the header fields exceed {self._limits.head} bytes")
        elif self._length >= 0:
            # A body of known length needs no grammar: its other pieces go past the parser, which saves a copy of each.
            self._left = self._length - self.size
            self._sound = False
        elif wire > self._limits.head + 9 * self.size + _OVERHEAD:
            raise Refused(400, "invalid_request", "the chunks of the body are mostly framing")

    # --- called by the parser -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.begun = True
        self._target = b""
        self._fields = []
        self._pieces = []
        self.size = self._wire = self._allowance = 0
        self._fresh = True

    def on_url(self, target: bytes) -> None:
        self._target += target
        if len(self._target) > self._limits.target:
            raise Refused(414, "target_too_long", f"the request target exceeds {self._limits.target} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if value[-1:] <= b" ":  # the parser leaves the white space behind a value in it
            value = value.rstrip(b" \t")
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        fields = self._fields
        self._fields = []  # what comes now is a trailer, which nobody reads
        limits = self._limits
        if len(fields) > limits.fields:
            raise Refused(431, "headers_too_large", f"there are more than {limits.fields} header fields")
        if self._wire + self._piece > limits.head:  # else they need not be added up
            self._check_size(fields)
        headers = dict(fields)
        if len(headers) != len(fields):
            headers = _merged(fields)
        version = self._parser.get_http_version()
        modern = version == "1.1"
        if not modern and version != "1.0":
            raise Refused(400, "invalid_request", f"HTTP/{version} is not spoken here, only HTTP/1.1 and HTTP/1.0")
        host = headers.get(b"host")
        if host != self._known_host or host is None:
            self._check_host(host, modern=modern)
        if b"transfer-encoding" in headers or b"expect" in headers:
            self._length = self._read_framing(headers, modern=modern)
        else:
            self._length = int(headers.get(b"content-length", 0))
        # the body says how long it is; a head that says so as well would not hold for the next one of its form
        self._sized = headers.pop(b"content-length", None) is not None
        if self._length > limits.body:
            raise self._too_large()
        method, path, query = _request_line(self._parser.get_method(), self._target)
        connection = headers.get(b"connection")
        keep = modern and (connection is None or b"close" not in connection.lower())
        self._head = Head(method, path, query, headers, modern, keep)
        self.in_body = True

    def on_body(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self._limits.body:
            raise self._too_large()
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if not self._parser.should_upgrade():
            self.deliver()

    def deliver(self) -> None:
        """Hands the request over."""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self.begun = self.in_body = self.expecting = False
        self._shared += 1
        self._over = not self._head.keep
        self._arrived(self._head, body)

    # --- the parts of a head ------------------------------------------------------------------------------------------

    def _check_size(self, fields: list[tuple[bytes, bytes]]) -> None:
        if sum(len(name) + len(value) + 4 for name, value in fields) > self._limits.head:
            raise Refused(431, "headers_too_large", f"the header fields exceed {self._limits.head} bytes")

    def _check_host(self, host: bytes | None, *, modern: bool) -> None:
        if host is None:
            if modern:
                raise Refused(400, "invalid_request", "the header 'host' is missing")
        elif not _HOST.fullmatch(host):
            raise Refused(400, "invalid_request", "the header 'host' is not a host with an optional port")
        self._known_host = host

    def _read_framing(self, headers: dict[bytes, bytes], *, modern: bool) -> int:
        """The length of the body; -1 where it comes in chunks."""
        if b"transfer-encoding" in headers:
            if not modern:
                raise Refused(400, "invalid_request", "HTTP/1.0 has no 'transfer-encoding'")
            if headers[b"transfer-encoding"].strip().lower() != b"chunked":
                raise Refused(400, "invalid_request", "the only 'transfer-encoding' that is read here is 'chunked'")
            length = -1
        else:
            length = int(headers.get(b"content-length", 0))
        if modern and b"expect" in headers:
            if headers[b"expect"].lower() != b"100-continue":
                raise Refused(417, "expectation_failed", "the only 'expect' that is met here is '100-continue'")
            self.expecting = length != 0
        return length

    def _too_large(self) -> Refused:
        return Refused(413, "request_too_large", f"the body exceeds {self._limits.body} bytes")

    # --- ways around the parser ---------------------------------------------------------------------------------------

    def _read_straight(self, data: bytes) -> bytes:
        """Takes the rest of a body of known length; returns what stands behind it."""
        left = self._left
        piece, rest = (data, b"") if len(data) <= left else (data[:left], data[left:])
        self._pieces.append(piece)
        self.size += len(piece)
        self._left = left - len(piece)
        if not self._left:
            if not self._sound:
                self._parser = httptools.HttpRequestParser(self)  # the old one still waits for the body
                self._sound = True
            self.deliver()
        return rest

    def _decline_upgrade(self, rest: bytes) -> None:
        """Reads the request that asked for another protocol as if it had not.

        The parser stops at such a head, although a body may follow (Java's client offers h2c with each request). A
        second parser that is told the framing in other words reads it; the connection ends with the answer.
        """
        self._head.keep = False
        framing = b"transfer-encoding: chunked" if self._length < 0 else b"content-length: %d" % self._length
        self._parser = httptools.HttpRequestParser(_BodyOnly(self))
        self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
        if rest and not self._over:
            self.feed(rest)


class _BodyOnly:
    """What a parser calls that reads nothing but a body."""

    def __init__(self, reader: Reader) -> None:
        self.on_body = reader.on_body
        self.on_message_complete = reader.deliver


def _merged(fields: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    merged: dict[bytes, bytes] = {}
    for name, value in fields:
        if name not in merged:
            merged[name] = value
        elif name in _SINGLE:
            raise Refused(400, "invalid_request", f"the header '{name.decode()}' is there twice")
        else:
            merged[name] += (b"; " if name == b"cookie" else b", ") + value
    return merged


@lru_cache(maxsize=256)  # nearly all callers ask for the same few
def _request_line(verb: bytes, address: bytes) -> tuple[str, str, str]:
    """Method, path and query."""
    method = _METHODS.get(verb)
    if method is None:
        raise Refused(405, "method_not_allowed", f"the method is none of {', '.join(_METHODS.values())}")
    target = address.decode("ascii")
    if target[0] != "/" and not (target == "*" and method == "OPTIONS"):
        scheme, separator, rest = target.partition("://")
        if not separator or scheme.lower() not in ("http", "https"):
            raise Refused(400, "invalid_request", "the request target is neither a path nor an http address")
        start = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
        if not start:
            raise Refused(400, "invalid_request", "the request target is an address without a host")
        target = rest[start:] if rest[start : start + 1] == "/" else f"/{rest[start:]}"
    if "#" in target:
        raise Refused(400, "invalid_request", "the request target holds a fragment")
    path, _, query = target.partition("?")
    return method, path, query
