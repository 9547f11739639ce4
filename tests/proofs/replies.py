"""What providers say when they mean harm, or are broken: answers by the grammar, and the vices that are done to them."""

# ruff: noqa: E501  the tables of vices read better unbroken

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum

from tests.proofs.dialogue import chunked, pieces, spoilt

__all__ = ["FOREIGN", "Ending", "Reply", "reply"]

FOREIGN = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled"
"""An answer that nobody asked for."""
_INTERIM = [
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
    b"HTTP/1.1 102 \r\n\r\n",
]


class Ending(Enum):
    KEEPS = "the connection stays open"
    CLOSES = "the connection is closed in order"
    RESETS = "the connection breaks"
    FALLS_SILENT = "nothing more comes, and the connection stays open"
    FLOODS = "the last piece comes again and again"


class Reply:
    """An answer in parts, so that a vice may spoil any of them."""

    def __init__(
        self, chance: random.Random, mark: bytes, text: bytes | None = None, sort: bytes | None = None
    ) -> None:
        self.chance = chance
        self.before = b"".join(chance.choices(_INTERIM, k=chance.choice([1, 2]))) if chance.random() < 0.08 else b""
        self.line = chance.choice([b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK", b"HTTP/1.1 200 ", b"HTTP/1.1 404 Not Found",
                                   b"HTTP/1.1 503 \xe4", b"HTTP/1.1 299 x"])  # fmt: skip
        kind = chance.choice(
            [b"application/json", b"text/event-stream", b"TEXT/EVENT-STREAM; charset=x", b"", b"image/png"]
        )
        kind = sort or kind
        self.fields: list[list[bytes]] = [[b"Content-Type", b": ", kind, b"\r\n"]]
        """Each a name, what stands between, a value and an ending."""
        for _ in range(chance.randrange(4)):
            name = chance.choice([b"x-request-id", b"X-A", b"x-a", b"date", b"retry-after"])
            value = chance.choice([mark, b"", b"\xe4 b\tc", b"1, 2"])
            self.fields.append([name, chance.choice([b": ", b":", b":\t "]), value, chance.choice([b"\r\n", b" \r\n"])])
        marks = mark * chance.choice([0, 1, 1, 2, 5, 500])
        self.text = marks + chance.choice(
            [b"", b"", FOREIGN, b"\r\n\r\n", b"data: {", b"0\r\n\r\n", chance.randbytes(30)]
        )
        if chance.random() < 0.3:
            events = [
                b"data: " + mark + b"\n\n",
                b": " + mark + b"\n\n",
                b"event: \r\ndata\r\n\r\n",
                b"data: [DONE]\n\n",
                b"\xff\n",
            ]
            self.text = b"".join(chance.choices(events, k=chance.randint(1, 6)))
        if text is not None:
            self.text, self.line = text, b"HTTP/1.1 200 OK"
        self.end = b"\r\n"
        self.behind = b""
        self.late = b""
        """Comes once the answer is whole, in a piece of its own."""
        self.raw: bytes | None = None
        """Stands for all parts, once they are spoilt beyond telling them apart."""
        self.ending = Ending.KEEPS
        self.framing = chance.choice(
            ["length", "length", "chunks", "chunks", "chunks", "end", "none" if text is None else "end"]
        )
        self.body = self.text
        if self.framing == "length":
            self.add(b"Content-Length", str(len(self.text)).encode())
        elif self.framing == "chunks":
            self.add(b"Transfer-Encoding", b"chunked")
            self.body = chunked(chance, self.text)
        elif self.framing == "none":
            self.line, self.body = chance.choice([b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 \t"]), b""
        else:
            self.ending = Ending.CLOSES
        if chance.random() < 0.08:
            self.add(b"Connection", chance.choice([b"close", b"keep-alive", b"Close, x"]))
        if chance.random() < 0.03:
            self.line = b"HTTP/1.0" + self.line[8:]

    def steady(self) -> None:
        """Takes the head that a provider sends with each answer, but for the length of the body."""
        self.before, self.line, self.body, self.ending = b"", b"HTTP/1.1 200 OK", self.text, Ending.KEEPS
        self.fields = [[b"Content-Type", b": ", b"application/json", b"\r\n"]]
        self.add(b"Content-Length", str(len(self.text)).encode())
        self.add(b"X-A", b"b")

    def add(self, name: bytes, value: bytes) -> None:
        self.fields.append([name, b": ", value, b"\r\n"])

    @property
    def head(self) -> bytes:
        return self.line + b"\r\n" + b"".join(b"".join(field) for field in self.fields) + self.end

    @property
    def wire(self) -> bytes:
        return self.before + self.head + self.body + self.behind if self.raw is None else self.raw

    @property
    def torn(self) -> list[bytes]:
        return pieces(self.chance, [self.wire])


# --- vices ------------------------------------------------------------------------------------------------------------


def _wrong_length(one: Reply) -> None:
    size = len(one.body)
    length = one.chance.choice([
        str(size + one.chance.randint(1, 40)).encode(), str(max(0, size - one.chance.randint(1, 40))).encode(), b"", b"-1", b"+1",
        b"1 1", b"5, 5", b"0x5", b"18446744073709551617", b"99999999999999999999", b"00" + str(size).encode(), b"1\x00", b"5;",
    ])  # fmt: skip
    named = [field for field in one.fields if field[0] == b"Content-Length"]
    if named:
        named[0][2] = length
    else:
        one.add(b"Content-Length", length)


def _two_framings(one: Reply) -> None:
    name = one.chance.choice([b"Content-Length", b"Transfer-Encoding", b"Content-Length"])
    value = one.chance.choice([b"0", b"3", str(len(one.body)).encode()]) if name[0] in b"C" else b"chunked"
    one.fields.insert(one.chance.randrange(len(one.fields) + 1), [name, b": ", value, b"\r\n"])


def _odd_coding(one: Reply) -> None:
    one.fields = [field for field in one.fields if field[0] not in (b"Transfer-Encoding", b"Content-Length")]
    name = one.chance.choice(
        [b"Transfer-Encoding", b"Transfer-Encoding", b"Transfer-Encoding ", b"Transfer_Encoding", b" Transfer-Encoding"]
    )
    value = one.chance.choice(
        [
            b"gzip",
            b"chunked, gzip",
            b"gzip, chunked",
            b"identity",
            b"xchunked",
            b"",
            b"chunked\x0b",
            b"Chunked",
            b"chunked;a",
        ]
    )
    one.add(name, value)


def _odd_chunks(one: Reply) -> None:
    one.fields = [field for field in one.fields if field[0] not in (b"Transfer-Encoding", b"Content-Length")]
    one.add(b"Transfer-Encoding", b"chunked")
    line = one.chance.choice(
        [
            b"0x5",
            b"-5",
            b"5 ",
            b"",
            b"g",
            b"ffffffffffffffff",
            b"fffffffffffffffff5",
            b"5;a\nb",
            b'5;a="\r\n"',
            b"5;",
            b"5\t",
            b"5_0",
        ]
    )
    breaks = one.chance.choice([b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n"])
    one.body = (
        line
        + breaks
        + one.chance.choice([b"hello", b"hell", b"hello!"])
        + one.chance.choice([b"\r\n", b"\n", b"", b"\r"])
        + one.body
    )


def _odd_trailer(one: Reply) -> None:
    one.fields = [field for field in one.fields if field[0] not in (b"Transfer-Encoding", b"Content-Length")]
    one.add(b"Transfer-Encoding", b"chunked")
    trailer = one.chance.choice(
        [
            b"content-length: 5",
            b"transfer-encoding: chunked",
            b"connection: close",
            b" a: b",
            b"a",
            b"a: b\nc",
            b"a: b\r\n c",
            b"a: \0",
        ]
    )
    one.body = b"5\r\nhello\r\n0\r\n" + trailer + b"\r\n\r\n"


def _odd_status(one: Reply) -> None:
    one.line = one.chance.choice([
        b"HTTP/1.1 99 x", b"HTTP/1.1 000 x", b"HTTP/1.1 1000 x", b"HTTP/1.1 2e2 x", b"HTTP/1.1 -20 x", b"HTTP/2 200 OK", b"HTTP/1.2 200 OK",
        b"HTTP/1.1 200\r", b"HTTP/1.1\t200 OK", b"HTTP/1.1  200 OK", b"ICY 200 OK", b"http/1.1 200 OK", b"", b"HTTP/0.9 200 OK", b"HTTP/1.1",
        b"HTTP/1.1 200 O\0K", b"HTTP/1.1 200 O\nK", b"HTTP/1.1 200", b"HTTP/1.1 999 x", b"HTTP/1.1 101 Switching", b"HTTP/1.1 600 x",
        b"HTTP/1.1 205 Reset", b"RTSP/1.0 200 OK", b"\r\nHTTP/1.1 200 OK", b"\nHTTP/1.1 200 OK", b" HTTP/1.1 200 OK",
    ])  # fmt: skip


def _odd_interim(one: Reply) -> None:
    one.before = one.chance.choice([
        b"HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\n", b"HTTP/1.1 104 x\r\ncontent-length: %d\r\n\r\n" % len(FOREIGN) + FOREIGN,
        b"HTTP/1.1 199 x\r\ntransfer-encoding: chunked\r\n\r\n", b"HTTP/1.1 103 x\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", b"HTTP/1.1 104 x\r\n\r\n", b"HTTP/1.0 100 x\r\n\r\n",
        b"HTTP/1.1 150 x\r\nconnection: close\r\n\r\n", b"HTTP/1.1 100 x\r\n\r\n" * 50, b"HTTP/1.1 100 x\r\nbad\r\n\r\n",
        b"HTTP/1.1 104 x\r\ntransfer-encoding: gzip\r\n\r\n", b"HTTP/1.1 100 x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ])  # fmt: skip


def _odd_head(one: Reply) -> None:
    field = one.chance.choice(one.fields)
    match one.chance.randrange(5):
        case 0:
            field[3] = one.chance.choice([b"\n", b"\r", b"\r\n ", b"\r\r\n", b"", b"\0\r\n"])
        case 1:
            field[1] = one.chance.choice([b" : ", b"", b"=", b":\0", b":\r\n ", b"\t:"])
        case 2:
            field[0] = one.chance.choice([b"", b"a b", b"a\0", b"\xe4", b"a\r", b"(a)"])
        case 3:
            field[2] = one.chance.choice([b"a\0b", b"a\rb", b"a\nb", b"a\x01", b"\x7f", b"\xff"])
        case _:
            one.end = one.chance.choice([b"\n", b"\r", b"", b"\r\n\n"])


def _large(one: Reply) -> None:
    match one.chance.randrange(3):
        case 0:
            one.fields += [[b"a", b": ", b"b", b"\r\n"] for _ in range(one.chance.choice([90, 201, 2_000]))]
        case 1:
            one.add(b"a", b"b" * one.chance.choice([30_000, 66_000, 200_000]))
        case _:
            one.before = b"HTTP/1.1 100 x\r\n\r\n" * one.chance.choice([300, 10_000])


def _excess(one: Reply) -> None:
    one.behind = one.chance.choice(
        [
            FOREIGN,
            FOREIGN[:20],
            b"x",
            b"\r\n",
            b"\0",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"0\r\n\r\n",
            b"\r\n\r\n" + FOREIGN,
        ]
    )


def _belated(one: Reply) -> None:
    one.late = one.chance.choice([FOREIGN, b"x", b"\r\n", FOREIGN[:9]])


def _cut(one: Reply) -> None:
    one.raw = one.wire[: one.chance.randrange(len(one.wire) + 1)]
    one.ending = one.chance.choice([Ending.CLOSES, Ending.CLOSES, Ending.RESETS, Ending.FALLS_SILENT])


def _other_end(one: Reply) -> None:
    one.ending = one.chance.choice([Ending.CLOSES, Ending.RESETS, Ending.FALLS_SILENT])


def _upgrade(one: Reply) -> None:
    one.add(b"Connection", b"upgrade")
    one.add(b"Upgrade", one.chance.choice([b"h2c", b"websocket", b""]))


def _spoil_bytes(one: Reply) -> None:
    one.raw = spoilt(one.chance, one.wire)


def _flood(one: Reply) -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n"
    one.raw = one.chance.choice([
        b"HTTP/1.1 100 Continue\r\n\r\n" * 200, b"\r\n" * 4_000, head + b"a: b\r\n" * 4_000, head + b"a" * 8_000,
        head + b"\r\n0\r\n" + b"a: b\r\n" * 4_000, head + b"\r\n5\r\nhello\r\n0\r\n" + b"a" * 8_000, head + b"\r\n5;" + b"a" * 8_000,
        head + b"\r\n" + b"0" * 8_000, b"HTTP/1.1 200 " + b"a" * 8_000, b"a" * 8_000,
    ])  # fmt: skip
    one.ending = Ending.FLOODS


_VICES: list[Callable[[Reply], None]] = [
    _wrong_length, _wrong_length, _two_framings, _odd_coding, _odd_chunks, _odd_trailer, _odd_status, _odd_interim, _odd_interim, _odd_head,
    _excess, _excess, _belated, _belated, _cut, _cut, _other_end, _upgrade, _spoil_bytes,
]  # fmt: skip


def reply(chance: random.Random, mark: bytes, text: bytes | None = None, sort: bytes | None = None) -> Reply:
    """An answer that carries `mark` and nobody else's, or `text` of this sort; half of them are good HTTP."""
    one = Reply(chance, mark, text, sort)
    if chance.random() < 0.4:
        one.steady()
    if chance.random() < 0.5:
        return one
    if chance.random() < 0.01:
        _flood(one)
        return one
    if chance.random() < 0.05:
        _large(one)
    for vice in chance.choices(_VICES, k=chance.choice([1, 1, 1, 2])):
        if one.raw is None:
            vice(one)
    return one
