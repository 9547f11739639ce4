"""What a stream of bytes means by RFC 9112, read slowly and strictly: the judge of what server and client make of it.

Nothing here is fast, incremental or shared with the code under test. What the standard leaves to the recipient is
decided as the house does (only seven methods, at most `Limits.body` bytes of body); what it lets a recipient do either
way is not `certain`.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from dirigent.gateway.wire import Limits

__all__ = ["Asked", "Fault", "Reading", "Told", "answers_in", "requests_in", "told_in"]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb")( +)([\x21-\x7e]+)( +)(HTTP|RTSP)/1\.([01])")
_STATUS_LINE = re.compile(rb"((?:HTTP|RTSP)/1\.[01]|HTTP/0\.9|HTTP/2\.0) ([0-9]{3})(?: ([^\r\n]*))?")
_NAME = re.compile(_TOKEN)
_VALUE = re.compile(rb"[\t \x21-\x7e\x80-\xff]*")
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)(?:;" + _TOKEN + rb"(?:=(?:" + _TOKEN + rb"|" + _QUOTED + rb"))?)*")
_ODD_CHUNK = re.compile(rb"([0-9A-Fa-f]+)[ \t]*;(?:[\t \x21\x23-\x7e\x80-\xff]|" + _QUOTED + rb")*")
"""Whatever an extension says, it ends where its line ends, unless a quote is left open."""
_HOST = re.compile(rb"(?:(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]+)(/[^?#]*)?(?:\?([^#]*))?")
_NO_TRAILERS = {b"content-length", b"transfer-encoding", b"host", b"connection", b"upgrade", b"expect"}
"""Nobody may send these as trailers (RFC 9110, section 6.5.1), so a recipient may refuse them."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TABBED = re.compile(rb"(?i)\r\ntransfer-encoding:[^\r\n]*\t\r\n")
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_REASON = re.compile(rb"[\t \x21-\x7e\x80-\xff]*")
_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")


class Fault(Exception):
    """The bytes are not HTTP, or not what the house reads."""


class _Unfinished(Exception):
    """More bytes are needed to tell."""


class Asked(NamedTuple):
    """One request, in the form in which a handler gets it."""

    method: str
    path: str
    query: str
    fields: dict[bytes, bytes]
    """Without the length of the body."""
    body: bytes
    modern: bool


class Reading(NamedTuple):
    """What a stream of a caller holds."""

    requests: list[Asked]
    certain: int
    """How many of them every recipient must read."""
    end: Literal["between", "within", "fault", "closed", "unsure"]
    """Where the bytes end, or why nothing behind the last request may be read."""


class Told(NamedTuple):
    """One answer."""

    status: int
    fields: dict[bytes, bytes]
    body: bytes
    size: int
    """Bytes that it takes in the stream, interim answers included."""
    reusable: bool
    """True where the connection may carry another exchange, if nothing stands behind the answer."""
    certain: bool


def requests_in(stream: bytes, limits: Limits) -> Reading:
    """All requests of a caller who sends `stream` and then waits."""
    found: list[Asked] = []
    certain: int | None = None
    end: Literal["between", "within", "fault", "closed"] = "between"
    at = 0
    while True:
        while stream[at : at + 1] in (b"\r", b"\n"):  # no reading of these can become a request
            at += 1
        if at == len(stream):
            break
        try:
            asked, at, last, sure = _request(stream, at, limits)
        except _Unfinished:
            end = "within"
            break
        except Fault:
            end = "fault"
            break
        if not sure and certain is None:
            certain = len(found)
        found.append(asked)
        if last == "yes":
            end = "closed"
            break
        if last == "perhaps" and certain is None:
            certain = len(found)
    return Reading(found, len(found), end) if certain is None else Reading(found, certain, "unsure")


def _request(stream: bytes, at: int, limits: Limits) -> tuple[Asked, int, Literal["yes", "no", "perhaps"], bool]:
    if _PREFACE.startswith(stream[at:]):
        raise _Unfinished
    lines, body_at = _head(stream, at)
    match = _REQUEST_LINE.fullmatch(lines[0])
    if match is None:
        raise Fault("request line")
    method, target, modern = match[1], match[3], match[6] == b"1"
    fields = _fields(lines[1:])
    # RFC 9112, section 3, lets the words stand further apart; a parser that knows RTSP reads the same framing there;
    # a tab behind the coding is white space, and suspicious enough to be refused.
    usual = (match[2], match[4], match[5]) == (b" ", b" ", b"HTTP") and not _TABBED.search(stream, at, body_at)
    sure = usual and body_at - at <= limits.head
    if len(fields) > limits.fields or sum(len(name) + len(value) + 4 for name, value in fields) > limits.head:
        raise Fault("too many fields")
    if method not in _METHODS or len(target) > limits.target:
        raise Fault("method or length of the target")
    hosts = _all(fields, b"host")
    if len(hosts) > 1 or (modern and not hosts) or not all(map(_HOST.fullmatch, hosts)):
        raise Fault("host")
    sure = sure and not any(b"," in host for host in hosts)
    path, query = _address(method, target)
    expects = _all(fields, b"expect")
    if modern and expects and b", ".join(expects).lower() != b"100-continue":
        raise Fault("expectation")
    codings, lengths = _all(fields, b"transfer-encoding"), _all(fields, b"content-length")
    body, end, plain = _body(stream, body_at, codings, lengths, modern=modern, most=limits.body)
    sure = sure and plain
    said = b",".join(_all(fields, b"connection")).lower()
    tokens = [token.strip() for token in said.split(b",")]
    last: Literal["yes", "no", "perhaps"] = "no"
    if not modern or b"close" in tokens:
        last = "yes"
    elif b"close" in said or b"upgrade" in said or _all(fields, b"upgrade"):
        last = "perhaps"
    told = [(name, value) for name, value in fields if name != b"content-length"]  # framing, which is read already
    return Asked(method.decode(), path, query, _joined(told), body, modern), end, last, sure


def _address(method: bytes, target: bytes) -> tuple[str, str]:
    if b"#" in target:
        raise Fault("fragment")
    text = target.decode("ascii")
    if text == "*" and method == b"OPTIONS":
        return "*", ""
    if text[0] == "/":
        path, _, query = text.partition("?")
        return path, query
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise Fault("target")
    return (absolute[2] or b"/").decode(), (absolute[3] or b"").decode()


def told_in(stream: bytes, *, bodiless: bool, ended: bool) -> Told:
    """The one answer to a request, behind any interim ones; `ended` where the connection closed in order behind it.

    Raises Fault where there is none that can be trusted.
    """
    at, certain = 0, True
    while True:
        while stream[at : at + 1] in (b"\r", b"\n"):
            at, certain = at + 1, False
        try:
            lines, body_at = _head(stream, at)
        except _Unfinished:
            raise Fault("no whole head") from None
        match = _STATUS_LINE.fullmatch(lines[0])
        if match is None:
            raise Fault("status line")
        modern, status = match[1].endswith(b"1.1"), int(match[2])
        # Odd versions may be read as HTTP/1.0, those of RTSP as HTTP's: the framing is the same. Nobody reads a reason.
        usual = match[1].startswith(b"HTTP/1.") and _REASON.fullmatch(match[3] or b"") is not None
        certain = certain and usual
        fields = _fields(lines[1:])
        if status == 101 or status < 100:
            raise Fault("a status that nobody asked for")
        if status >= 200:
            break
        certain = (
            certain and modern and not {name for name, _ in fields} & _NO_TRAILERS
        )  # an interim answer has no body
        at = body_at
    certain = certain and body_at <= 32 * 1024 and len(fields) <= 100 and at <= 8192
    codings, lengths = _all(fields, b"transfer-encoding"), _all(fields, b"content-length")
    said = b",".join(_all(fields, b"connection")).lower()
    tokens = [token.strip() for token in said.split(b",")]
    reusable = b"close" not in tokens and (modern or b"keep-alive" in tokens)
    if bodiless or status in (204, 304):
        if codings or len(lengths) > 1 or not all(re.fullmatch(rb"[0-9]{1,18}", length) for length in lengths):
            certain = False
        return Told(status, _joined(fields), b"", body_at, reusable, certain)
    if not codings and not lengths:
        if not ended:
            raise Fault("no end")
        return Told(status, _joined(fields), stream[body_at:], len(stream), reusable=False, certain=certain)
    try:
        body, end, plain = _body(stream, body_at, codings, lengths, modern=modern, most=1 << 40)
    except _Unfinished:
        raise Fault("broken off") from None
    return Told(status, _joined(fields), body, end, reusable, certain and plain)


def answers_in(stream: bytes, methods: list[str]) -> tuple[list[Told], bytes]:
    """The answers to requests with these methods, and what stands behind the last whole one; raises Fault."""
    answers: list[Told] = []
    for method in [*methods, "POST"]:  # one more: the refusal
        while stream.startswith(_CONTINUE):
            stream = stream[len(_CONTINUE) :]
        if b"\r\n\r\n" not in stream:
            break
        try:
            told = told_in(stream, bodiless=method == "HEAD", ended=True)
        except Fault as fault:
            if "broken off" in fault.args:
                break
            raise
        answers.append(told)
        stream = stream[told.size :]
    return answers, stream


# --- what requests and answers share ----------------------------------------------------------------------------------


def _head(stream: bytes, at: int) -> tuple[list[bytes], int]:
    end = stream.find(b"\r\n\r\n", at)
    if end < 0:
        raise _Unfinished
    return stream[at:end].split(b"\r\n"), end + 4


def _fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Fault(f"field line {line[:60]!r}")
        fields.append((name.lower(), value.strip(b" \t")))
    return fields


def _all(fields: list[tuple[bytes, bytes]], wanted: bytes) -> list[bytes]:
    return [value for name, value in fields if name == wanted]


def _joined(fields: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    joined: dict[bytes, bytes] = {}
    for name, value in fields:
        joined[name] = joined[name] + (b"; " if name == b"cookie" else b", ") + value if name in joined else value
    return joined


def _body(
    stream: bytes, at: int, codings: list[bytes], lengths: list[bytes], *, modern: bool, most: int
) -> tuple[bytes, int, bool]:
    """The body, where it ends, and whether everybody must be able to read it."""
    if codings:
        if lengths or not modern or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise Fault("transfer coding")
        return _chunks(stream, at, most)
    if not lengths:
        return b"", at, True
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]+", lengths[0]) or int(lengths[0]) > most:
        raise Fault("length")
    size = int(lengths[0])
    if len(stream) < at + size:
        raise _Unfinished
    return stream[at : at + size], at + size, True


def _chunks(stream: bytes, at: int, most: int) -> tuple[bytes, int, bool]:
    body, start, plain = b"", at, True
    while True:
        line, at = _line(stream, at)
        match = _CHUNK.fullmatch(line)
        if match is None:
            plain = False
            match = _ODD_CHUNK.fullmatch(line)
        if match is None:
            raise Fault(f"chunk line {line[:60]!r}")
        size = int(match[1], 16)
        if not size:
            break
        if len(body) + size > most and len(body) + len(stream) - at > most:  # a mere announcement may be waited for
            raise Fault("too large")
        piece, ending = stream[at : at + size], stream[at + size : at + size + 2]
        if not b"\r\n".startswith(ending):
            raise Fault("no line break behind a chunk")
        if ending != b"\r\n":
            raise _Unfinished
        body += piece
        at += size + 2
    while True:
        line, at = _line(stream, at)
        if not line:
            break
        name = _fields([line])[0][0]
        plain = plain and name not in _NO_TRAILERS
    return body, at, plain and at - start <= 8 * len(body) + 8192  # nobody has to put up with mere framing


def _line(stream: bytes, at: int) -> tuple[bytes, int]:
    end = stream.find(b"\r\n", at)
    if end < 0:
        raise _Unfinished
    return stream[at:end], end + 2
