"""What callers say when they mean harm, or are broken: requests by the grammar, and the vices that are done to them."""

# ruff: noqa: E501  the tables of vices read better unbroken

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from itertools import pairwise

__all__ = ["Draft", "chunked", "dialogue", "pieces", "spoilt"]

CANARY = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
"""Stands in many bodies, so that a byte too many or too few becomes a request that nobody made."""
_ODD = [
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\x0b",
    b"\x0c",
    b"\x1f",
    b"\x7f",
    b"\x85",
    b"\xa0",
    b"\xff",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
]
_METHODS = ["GET", "GET", "HEAD", "POST", "POST", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_TARGETS = [
    "/",
    "/a",
    "/v1/chat/completions",
    "/a?b=c",
    "/?",
    "/%00/..;/",
    "//a",
    "http://a/b?c",
    "HTTPS://a:1",
    "http://a?b",
]


class Draft:
    """A request in parts, so that a vice may spoil any of them."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.preface = b"\r\n" if chance.random() < 0.03 else b""
        self.method = chance.choice(_METHODS).encode()
        self.target = chance.choice(_TARGETS).encode()
        if chance.random() < 0.02:
            self.method, self.target = b"OPTIONS", b"*"
        self.gaps = [b" ", b" "]
        self.version = b"HTTP/1.0" if chance.random() < 0.03 else b"HTTP/1.1"
        self.fields: list[list[bytes]] = [[b"Host", b": ", b"a", b"\r\n"]]
        """Each a name, what stands between, a value and an ending."""
        self.breaks = b"\r\n"
        self.end = b"\r\n"
        self.body = b""
        for _ in range(chance.randrange(4)):
            name = chance.choice([b"Accept", b"x-a", b"X-A", b"cookie", b"User-Agent", b"te", b"authorization"])
            value = chance.choice([b"b", b"", b"*/*", b"trailers", b"\xe4 b\tc", b'"q, \\" r"'])
            between = chance.choice([b": ", b":", b":\t ", b":   "])
            self.fields.append([name, between, value, chance.choice([b"\r\n", b" \r\n", b"\t\r\n"])])
        if chance.random() < 0.05:
            self.add(b"Connection", chance.choice([b"close", b"keep-alive", b"Keep-Alive, TE", b"x, Close"]))
        if self.method in (b"POST", b"PUT", b"PATCH") or chance.random() < 0.1:
            self._give_body()
        chance.shuffle(self.fields)

    def _give_body(self) -> None:
        chance = self.chance
        text = chance.choice([b"", b"x", CANARY, CANARY * 3, b"0\r\n\r\n" + CANARY, b"\r\n\r\n", chance.randbytes(40)])
        if chance.random() < 0.02:
            text = chance.randbytes(5_000)
        if chance.random() < 0.08:
            self.add(b"Expect", b"100-continue")
        if self.version == b"HTTP/1.1" and chance.random() < 0.45:
            self.add(b"Transfer-Encoding", b"chunked")
            self.body = chunked(chance, text)
        else:
            self.add(b"Content-Length", str(len(text)).encode())
            self.body = text

    def again(self) -> Draft:
        """The next request of a client that sends the same head each time, but for the length of the body."""
        other = copy.copy(self)
        other.gaps, other.fields = list(self.gaps), [list(field) for field in self.fields]
        if self.body and b"content-length" in {field[0].lower() for field in self.fields}:
            other.body = self.chance.choice([b"", b"y", CANARY, CANARY[:20], CANARY * 4])
            if self.chance.random() < 0.01:
                other.body = b"z" * 70_000
            for field in other.fields:
                if field[0].lower() == b"content-length":
                    field[2] = str(len(other.body)).encode()
        return other

    def add(self, name: bytes, value: bytes) -> None:
        self.fields.append([name, b": ", value, b"\r\n"])

    def field(self, *names: bytes) -> list[bytes]:
        """One of the fields of these names, or any."""
        if not self.fields:
            self.add(names[0] if names else b"x-a", b"")
        found = [field for field in self.fields if field[0].lower() in names] or self.fields
        return self.chance.choice(found)

    @property
    def wire(self) -> bytes:
        head = self.preface + self.method + self.gaps[0] + self.target + self.gaps[1] + self.version + self.breaks
        return head + b"".join(b"".join(field) for field in self.fields) + self.end + self.body


def chunked(chance: random.Random, text: bytes) -> bytes:
    """`text` in chunks of any size, with all the ornaments that are allowed."""
    out = b""
    while text:
        size = chance.choice([1, 2, len(text), chance.randint(1, len(text))])
        piece, text = text[:size], text[size:]
        number = f"{len(piece):{chance.choice('xX')}}".encode().rjust(chance.choice([1, 1, 1, 4, 20]), b"0")
        ornament = chance.choice([b"", b"", b"", b";a", b";a=b", b';a="b c\\"d"', b";a;b=c"])
        out += number + ornament + b"\r\n" + piece + b"\r\n"
    out += chance.choice([b"0", b"0", b"0", b"000", b"0;a=b"]) + b"\r\n"
    out += chance.choice([b"", b"", b"", b"x-t: 1\r\n", b"x-t:\r\nx-u: a b\r\n"])
    return out + b"\r\n"


# --- vices ------------------------------------------------------------------------------------------------------------


def _second_framing(draft: Draft) -> None:
    chance = draft.chance
    size = len(draft.body)
    lengths = [b"0", b"1", str(size).encode(), str(size + 1).encode(), b"5, 5", b"99999999999999999999"]
    name = chance.choice([b"Content-Length", b"content-length", b"Transfer-Encoding"])
    value = b"chunked" if name[0] in b"T" else chance.choice(lengths)
    draft.fields.insert(chance.randrange(len(draft.fields) + 1), [name, b": ", value, b"\r\n"])


def _odd_length(draft: Draft) -> None:
    size = str(len(draft.body)).encode()
    values = [
        b"+" + size, b"-" + size, b"0x" + size, size + b" " + size, b"0" + size, size + b"," + size, b"", b" ", size + b";",
        size + b"_0", b"1e1", b"\xd9\xa5", b"18446744073709551616", b"18446744073709551621", size + b"\x0b", b'"' + size + b'"',
        size + b".0", str(max(0, len(draft.body) - draft.chance.randint(1, 9))).encode(),
        str(len(draft.body) + draft.chance.randint(1, 9)).encode(),
    ]  # fmt: skip
    draft.field(b"content-length")[2] = draft.chance.choice(values)


def _odd_coding(draft: Draft) -> None:
    chance = draft.chance
    if chance.random() < 0.5:
        draft.add(b"Transfer-Encoding", b"chunked")
    field = draft.field(b"transfer-encoding")
    values = [
        b"xchunked", b"chunked, identity", b"identity", b"chunked\t", b"\x0bchunked", b"Chunked", b"CHUNKED", b"gzip, chunked",
        b"chunked, chunked", b"chunked;q=1", b'"chunked"', b"", b"chunked\x00", b"chun\rked", b",chunked", b"chunked,",
        b"chunked\xa0", b"\xa0chunked", b"chunke", b"gzip", b"chunked chunked",
    ]  # fmt: skip
    names = [b"Transfer-Encoding ", b"Transfer_Encoding", b"\tTransfer-Encoding", b"Transfer-Encoding\t", b"Transfer-Encodin",
             b"Transfer\x00-Encoding", b"X:Transfer-Encoding", b"TRANSFER-ENCODING", b"Transfer-Encoding\r\n "]  # fmt: skip
    if chance.random() < 0.6:
        field[2] = chance.choice(values)
    else:
        field[0] = chance.choice(names)


def _odd_line_end(draft: Draft) -> None:
    chance = draft.chance
    ending = chance.choice(
        [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n ", b"\r\n\t", b"\0\r\n", b"\r\n\0", b"", b"\x0b\r\n"]
    )
    match chance.randrange(5):
        case 0:
            draft.breaks = ending
        case 1:
            draft.end = ending
        case 2:
            for field in draft.fields:
                field[3] = ending
        case _:
            draft.field()[3] = ending


def _odd_between(draft: Draft) -> None:
    draft.field()[1] = draft.chance.choice(
        [b" : ", b"\t:", b"", b" ", b"=", b":\r\n ", b":\n", b":\x00", b"::", b":\x0b", b"\r\n:"]
    )


def _odd_name(draft: Draft) -> None:
    field = draft.field()
    at = draft.chance.randrange(len(field[0]) + 1)
    odd = draft.chance.choice([*_ODD, b"(", b"@", b"[", b"/", b'"', b""])
    field[0] = field[0][:at] + odd + field[0][at + 1 :]


def _odd_value(draft: Draft) -> None:
    field = draft.field()
    at = draft.chance.randrange(len(field[2]) + 1)
    field[2] = field[2][:at] + draft.chance.choice(_ODD) + field[2][at:]


def _odd_request_line(draft: Draft) -> None:
    chance = draft.chance
    match chance.randrange(5):
        case 0:
            draft.gaps[chance.randrange(2)] = chance.choice(
                [b"  ", b"\t", b"", b"\x0b", b" \t", b"\xa0", b"\r", b"   "]
            )
        case 1:
            draft.method = chance.choice([b"get", b"FOO", b"CONNECT", b"TRACE", b"PRI", b"SOURCE", b"QUERY", b"M-SEARCH", b"",
                                          b"G\0ET", b"POS", b"DESCRIBE", b"GET/"])  # fmt: skip
        case 2:
            draft.version = chance.choice([
                b"", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/3", b"HTTP/1", b"HTTP/1.", b"HTTP/1.10", b"HTTP/11.1", b"HTTP/1.1 ",
                b"http/1.1", b"RTSP/1.0", b"ICE/1.0", b"HTTP/1.1\t", b"HTTP /1.1", b"HTTP/1,1", b"HTTP/01.1", b"HTTPS/1.1", b"RTSP/1.1",
            ])  # fmt: skip
        case 3:
            draft.gaps[1] = draft.version = b""
            if chance.random() < 0.5:
                draft.fields, draft.end, draft.body = [], b"", b""
        case _:
            draft.version = b"HTTP/1.0"


def _odd_preface(draft: Draft) -> None:
    draft.preface = draft.chance.choice([b"\r\n\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b"\r\n \r\n", b"x\r\n", b"\xef\xbb\xbf",
                                         b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"])  # fmt: skip


def _odd_target(draft: Draft) -> None:
    draft.target = draft.chance.choice([
        b"", b"*", b"a", b"/#a", b"/a#b?c", b"/\xff", b"/\x01", b"/a b", b"a:1", b"ftp://a/b", b"http://", b"http:///a", b"http:/a",
        b"//a/b", b"/\\", b"http://a@b/c", b"http://[::1]:1/a", b"/" + b"a" * 9_000, b"?a", b"/\t", b"/\x7f", b"/'\"<>^`{|}",
        b"http://a/b#c", b"httpx://a", b"HTTP/1.1", b"http://a b/", b"/" + b"a" * 8_191, b"http://a#b", b"http://?a",
    ])  # fmt: skip


def _odd_host(draft: Draft) -> None:
    chance = draft.chance
    match chance.randrange(3):
        case 0:
            draft.fields = [field for field in draft.fields if field[0].lower() != b"host"]
        case 1:
            draft.add(b"host", chance.choice([b"a", b"b", b""]))
        case _:
            draft.field(b"host")[2] = chance.choice([
                b"", b"a:1", b"a:", b"a:b", b"a/b", b"a@b", b"a, b", b"[::1]", b"[::1", b"a b", b"a,b", b"a?b", b"%41", b"%4", b"\xe4", b"[v1.a]",
            ])  # fmt: skip


def _odd_chunks(draft: Draft) -> None:
    chance = draft.chance
    if b"transfer-encoding" not in {field[0].lower() for field in draft.fields}:
        draft.fields = [field for field in draft.fields if field[0].lower() != b"content-length"]
        draft.add(b"Transfer-Encoding", b"chunked")
        draft.body = chunked(chance, CANARY)
    line = chance.choice([
        b"0x5", b"-5", b"+5", b" 5", b"5 ", b"5\t", b"5;", b"5; a", b"5 ;a", b"5;a=", b"5;=b", b'5;a="b', b'5;a="b\r\nc"', b"5;a\nb", b"5;a\rb",
        b"5;\x00", b"g", b"", b"5,", b"ffffffffffffffff", b"fffffffffffffffffffff5", b"10000000000000005", b"5;a=b c", b"5_0", b"5.",
        b"5;" + b"a" * 300, b"0" * 300 + b"5", b"5\x0b", b'5;a="\\\n"', b"5;a;;b", b"5;a=\xe4", b'5;a="\xe4"', b"5;" + b"a" * 70_000,
    ])  # fmt: skip
    data = chance.choice([b"hello", b"hell", b"hello!", b"", CANARY])
    ending = chance.choice([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"", b"\r\n\r\n", b"\0\0", b"xx"])
    breaks = chance.choice([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\n\r", b"\r\r\n"])
    draft.body = line + breaks + data + ending + draft.body


def _odd_trailer(draft: Draft) -> None:
    chance = draft.chance
    trailer = chance.choice([
        b"content-length: 5", b"transfer-encoding: chunked", b"host: b", b"connection: close", b"connection: upgrade\r\nupgrade: x", b"a",
        b" a: b", b"a : b", b"a: b\r\n c", b"a: \x00", b"a: b\nc: d", b"a: b\rc", b": b", b"a: " + b"b" * 40_000, b"expect: 100-continue",
        b"content-length: " + b"9" * 30, b"\n", b"a: b\n", b"upgrade: h2c",
    ])  # fmt: skip
    draft.fields = [
        field for field in draft.fields if field[0].lower() not in (b"content-length", b"transfer-encoding")
    ]
    draft.add(b"Transfer-Encoding", b"chunked")
    draft.body = (
        b"5\r\nhello\r\n0\r\n"
        + trailer
        + chance.choice([b"\r\n\r\n", b"\r\n\r\n", b"\r\n", b"\n\n", b"\r\n\n", b"\r\n\r"])
    )


def _large(draft: Draft) -> None:
    chance = draft.chance
    match chance.randrange(4):
        case 0:
            draft.fields += [[b"a", b": ", b"b", b"\r\n"] for _ in range(chance.choice([60, 98, 99, 101, 300]))]
        case 1:
            draft.add(b"a", b"b" * chance.choice([8_000, 32_000, 33_000, 70_000]))
        case 2:
            draft.add(b"a" * chance.choice([1_000, 40_000]), b"b")
        case _:
            draft.field()[1] = b":" + b" " * chance.choice([100, 20_000, 50_000])


def _switch(draft: Draft) -> None:
    chance = draft.chance
    draft.add(
        b"Connection",
        chance.choice([b"upgrade", b"Upgrade, HTTP2-Settings", b"upgrade, close", b"keep-alive", b"not-close"]),
    )
    draft.add(b"Upgrade", chance.choice([b"h2c", b"websocket", b"", b"x"]))


def _expect(draft: Draft) -> None:
    draft.add(b"Expect", draft.chance.choice([b"100-continue", b"100-Continue", b"tea", b"", b"100-continue, tea"]))


def _spoil_bytes(draft: Draft) -> None:
    body = spoilt(draft.chance, draft.wire)
    draft.preface = draft.method = draft.target = draft.version = draft.breaks = draft.end = b""
    draft.gaps, draft.fields, draft.body = [b"", b""], [], body


def spoilt(chance: random.Random, wire: bytes) -> bytes:
    """The bytes with a few of them changed, lost, doubled or exchanged."""
    out = bytearray(wire)
    for _ in range(chance.randint(1, 4)):
        out = out or bytearray(b"x")
        at = chance.randrange(len(out))
        match chance.randrange(5):
            case 0:
                out[at] = chance.randrange(256)
            case 1:
                del out[at : at + chance.randint(1, 12)]
            case 2:
                out[at:at] = out[max(0, at - chance.randint(1, 30)) : at]
            case 3:
                out[at:at] = chance.choice(_ODD)
            case _:
                other = chance.randrange(len(out))
                out[at], out[other] = out[other], out[at]
    return bytes(out)


_VICES: list[Callable[[Draft], None]] = [
    _second_framing, _odd_length, _odd_coding, _odd_line_end, _odd_between, _odd_name, _odd_value, _odd_request_line,
    _odd_preface, _odd_target, _odd_host, _odd_chunks, _odd_chunks, _odd_trailer, _large, _switch, _expect,
]  # fmt: skip


def dialogue(chance: random.Random) -> list[bytes]:
    """The requests that one caller sends, one behind the other; the first ones are mostly good."""
    count = chance.choice([1, 2, 4, 8, 12])
    vicious = chance.randrange(count) if chance.random() < 0.8 else count
    steady = Draft(chance) if chance.random() < 0.4 else None
    requests: list[bytes] = []
    for place in range(count):
        draft = Draft(chance) if steady is None else steady.again()
        if place >= vicious and (place == vicious or chance.random() < 0.3):
            for vice in chance.choices(_VICES, k=chance.choice([1, 1, 1, 2])):
                vice(draft)
            if chance.random() < 0.15:
                _spoil_bytes(draft)
        requests.append(draft.wire)
    if chance.random() < 0.1:
        requests[-1] = requests[-1][: chance.randrange(len(requests[-1]) + 1)]
    return requests


def pieces(chance: random.Random, parts: list[bytes]) -> list[bytes]:
    """`parts` as they may arrive: in one, each for itself, cut anywhere, torn at each line break, or byte by byte."""
    wire = b"".join(parts)
    if chance.random() < 0.3:
        return [part for part in parts if part]
    match chance.randrange(6):
        case 0:
            cuts = [at for at, byte in enumerate(wire[:3_000]) if byte in b"\r\n"]
        case 1 if len(wire) < 800:
            cuts = list(range(len(wire)))
        case 2 | 3:
            cuts = [chance.randrange(len(wire) + 1) for _ in range(chance.randint(1, 8))]
        case _:
            cuts = []
    edges = [0, *sorted(cuts), len(wire)]
    return [wire[begin:end] for begin, end in pairwise(edges) if begin < end]
