"""What the server reads, and what it refuses to read."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dirigent.gateway.wire import Exchange, Limits
from dirigent.gateway.wire.reading import Head, Reader, Refused
from tests.gateway.wire.callers import echo, stage

HOST = b"host: a\r\n"
CHUNKED = HOST + b"transfer-encoding: chunked\r\n"

REFUSED = {
    "two lengths": b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 1\r\ncontent-length: 1\r\n\r\nx",
    "a list of lengths": b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 1, 1\r\n\r\nx",
    "a signed length": b"POST / HTTP/1.1\r\n" + HOST + b"content-length: +1\r\n\r\nx",
    "an endless length": b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 99999999999999999999999\r\n\r\n",
    "length, then chunks": b"POST / HTTP/1.1\r\ncontent-length: 1\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "chunks, then length": b"POST / HTTP/1.1\r\n" + CHUNKED + b"content-length: 1\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\n" + CHUNKED + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "compressed chunks": b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "nearly chunked": b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked by another name": b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: identity\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "a chunk size with a prefix": b"POST / HTTP/1.1\r\n" + CHUNKED + b"\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "a negative chunk size": b"POST / HTTP/1.1\r\n" + CHUNKED + b"\r\n-3\r\nabc\r\n0\r\n\r\n",
    "an endless chunk size": b"POST / HTTP/1.1\r\n" + CHUNKED + b"\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "a chunk longer than it says": b"POST / HTTP/1.1\r\n" + CHUNKED + b"\r\n3\r\nabcd\r\n0\r\n\r\n",
    "a chunk size with a bare line feed": b"POST / HTTP/1.1\r\n" + CHUNKED + b"\r\n3\nabc\r\n0\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\n" + HOST + b"a: b\r\n c\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nhost: a\n\n",
    "a header with a bare line feed": b"GET / HTTP/1.1\r\nhost: a\n\r\n",
    "a header with a bare carriage return": b"GET / HTTP/1.1\r\nhost: a\rb: c\r\n\r\n",
    "a head that ends in a bare line feed": b"GET / HTTP/1.1\r\nhost: a\r\n\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n",
    "a host that is a list": b"GET / HTTP/1.1\r\nhost: a, b\r\n\r\n",
    "a host with a path": b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
    "a host with a user": b"GET / HTTP/1.1\r\nhost: a@b\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\n" + HOST + b"a: b\x00c\r\n\r\n",
    "a control sign in a value": b"GET / HTTP/1.1\r\n" + HOST + b"a: b\x01c\r\n\r\n",
    "a control sign in a name": b"GET / HTTP/1.1\r\n" + HOST + b"a\x01: b\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\n" + HOST + b"a : b\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n" + HOST + b": b\r\n\r\n",
    "a space before the first header": b"GET / HTTP/1.1\r\n host: a\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/0.9 with bare line feeds": b"GET /\n\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/2 with prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a method in lower case": b"get / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method of nobody": b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target beyond ASCII": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a control sign": b"GET /\x01 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a space": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a fragment": b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target of another scheme": b"GET ftp://a/b HTTP/1.1\r\n" + HOST + b"\r\n",
    "a star that is not asked for options": b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
    "a greeting in TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED.keys())
async def test_a_request_that_could_be_read_in_two_ways_is_refused_and_the_connection_closed(request_: bytes) -> None:
    reached: list[str] = []

    async def handler(exchange: Exchange) -> None:
        reached.append(exchange.path)
        exchange.respond(200)

    async with stage(handler, Limits(linger=0.05)) as server:
        answer = await server.say(request_ + b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1 400") == 1
    assert reached == []


@pytest.mark.parametrize("method", [b"CONNECT a:1", b"TRACE /", b"SOURCE /"])
async def test_a_method_that_is_not_served_is_refused_as_not_implemented(method: bytes) -> None:
    async with stage(echo, Limits(linger=0.05)) as server:
        answer = await server.say(method + b" HTTP/1.1\r\nhost: a\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"GET /a/b?c=d&e HTTP/1.1\r\nhost: x\r\n\r\n", b"GET /a/b c=d&e host=x "),
        (b"GET http://x:1/a?b HTTP/1.1\r\nhost: x:1\r\n\r\n", b"GET /a b host=x:1 "),
        (b"GET http://x?b HTTP/1.1\r\nhost: x\r\n\r\n", b"GET / b host=x "),
        (b"GET http://x HTTP/1.1\r\nhost: x\r\n\r\n", b"GET /  host=x "),
        (b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", b"OPTIONS *  host=x "),
        (b"GET / HTTP/1.1\r\nHOST: [::1]:8080\r\n\r\n", b"GET /  host=[::1]:8080 "),
        (b"GET / HTTP/1.1\r\nhost:\r\n\r\n", b"GET /  host= "),
        (b"\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n", b"GET /  host=x "),
        (b"GET / HTTP/1.1\r\nhost: x\r\na: 1\r\nA: 2\r\n\r\n", b"GET /  a=1, 2 host=x "),
        (b"GET / HTTP/1.1\r\nhost: x\r\ncookie: a\r\ncookie: b\r\n\r\n", b"GET /  cookie=a; b host=x "),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi", b"POST /  host=x hi"),
        (
            b"POST / HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: Chunked\r\n\r\n1;x=y\r\nh\r\n1\r\ni\r\n0\r\nz:1\r\n\r\n",
            b"POST /  host=x transfer-encoding=Chunked hi",
        ),
    ],
)
async def test_a_valid_request_arrives_as_it_was_meant(sent: bytes, read: bytes) -> None:
    async with stage(echo) as server:
        caller = await server.caller()
        caller.send(sent)

        status, headers, body = await caller.answer()

        assert (status, body) == (200, read)
        assert "connection" not in headers


async def test_http_1_0_is_answered_and_the_connection_closed() -> None:
    async with stage(echo) as server:
        answer = await server.say(b"GET /a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in answer


async def test_a_caller_who_wants_to_close_gets_an_answer_and_a_close_and_nothing_behind_it_is_read() -> None:
    async with stage(echo) as server:
        answer = await server.say(b"GET /1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")

    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert b"GET /1 " in answer


@pytest.mark.parametrize(
    "framed",
    [b"content-length: 5\r\n\r\nhello", b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"\r\n"],
    ids=["length", "chunks", "no body"],
)
@pytest.mark.parametrize("cut", [None, 100, 150])
async def test_an_offer_to_upgrade_is_declined_without_losing_the_body(framed: bytes, cut: int | None) -> None:
    upgrade = (
        b"POST /a HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: x\r\n"
    )
    async with stage(echo) as server:
        caller = await server.caller()
        caller.send((upgrade + framed)[:cut])
        await asyncio.sleep(0.02)
        caller.send((upgrade + framed)[cut or len(upgrade + framed) :])

        answer = await caller.all()

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b"hello" if len(framed) > 2 else b"upgrade=h2c ")


async def test_a_caller_who_expects_100_continue_is_told_to_go_on() -> None:
    async with stage(echo) as server:
        caller = await server.caller()
        caller.send(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        interim = await asyncio.wait_for(caller.reader.readuntil(b"\r\n\r\n"), 30)
        caller.send(b"hi")

        status, _, body = await caller.answer()

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert status == 200
    assert body.endswith(b"hi")


async def test_another_expectation_is_refused() -> None:
    async with stage(echo, Limits(linger=0.05)) as server:
        answer = await server.say(b"POST / HTTP/1.1\r\nhost: a\r\nexpect: tea\r\ncontent-length: 2\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 417 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"a" * 8200 + b" HTTP/1.1\r\nhost: a\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + b"a: b\r\n" * 100 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nhost: a\r\na: " + b"b" * 33_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + (b"a: " + b"b" * 1000 + b"\r\n") * 50 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + b"a" * 100_000, b"431"),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1001\r\n\r\n", b"413"),
        (
            b"POST / HTTP/1.1\r\n" + CHUNKED + b"\r\n" + b"1f4\r\n" + b"a" * 500 + b"\r\n" + b"1f5\r\n" + b"a" * 501,
            b"413",
        ),
        (b"POST / HTTP/1.1\r\n" + CHUNKED + b"\r\n1;" + b"a" * 100_000, b"400"),
    ],
)
async def test_what_is_too_large_is_refused_with_its_own_status(sent: bytes, status: bytes) -> None:
    async with stage(echo, Limits(body=1000, linger=0.05)) as server:
        caller = await server.caller()
        for start in range(0, len(sent), 10_000):
            caller.send(sent[start : start + 10_000])
            await asyncio.sleep(0)

        answer = await caller.all()

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1 " + status) == 1


async def test_a_large_body_arrives_whole_and_the_connection_goes_on() -> None:
    body = random.Random(7).randbytes(3_000_000)
    seen: list[bytes] = []

    async def handler(exchange: Exchange) -> None:
        seen.append(exchange.body)
        exchange.respond(200)

    async with stage(handler) as server:
        caller = await server.caller()
        for _ in range(2):
            caller.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        assert (await caller.answer())[0] == 200
        assert (await caller.answer())[0] == 200

    assert seen == [body, body]


# --- any partition of the bytes gives the same requests ---------------------------------------------------------------

STREAM = (
    b"POST /v1/chat?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nX-A: 1\r\nx-a: 2\r\n\r\nhello world"
    b"GET / HTTP/1.1\r\nhost: b\r\n\r\n"
    b"\r\nPOST /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;e=f\r\nhello\r\n"
    b"A\r\n0123456789\r\n0\r\nt: r\r\n\r\n"
    b"POST /d HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\nabc"
)
MEANT = [
    ("POST", "/v1/chat", "x=1", b"1, 2", b"hello world"),
    ("GET", "/", "", None, b""),
    ("POST", "/c", "", None, b"hello0123456789"),
    ("POST", "/d", "", None, b"abc"),
]


def read(pieces: list[bytes]) -> list[tuple[str, str, str, bytes | None, bytes]]:
    found: list[tuple[str, str, str, bytes | None, bytes]] = []

    def arrived(head: Head, body: bytes) -> None:
        found.append((head.method, head.path, head.query, head.headers.get(b"x-a"), body))

    reader = Reader(Limits(), arrived)
    for piece in pieces:
        reader.feed(piece)
    assert not reader.begun
    return found


def test_a_request_that_comes_byte_by_byte_is_the_same_request() -> None:
    assert read([STREAM]) == MEANT
    assert read([bytes([byte]) for byte in STREAM]) == MEANT


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_partition_of_the_bytes_gives_the_same_requests(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]

    assert read([STREAM[a:b] for a, b in pairwise(edges)]) == MEANT


@given(
    st.lists(st.tuples(st.integers(0, len(STREAM) - 1), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(1, 64),
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_damaged_stream_is_read_or_refused_and_nothing_else(damage: list[tuple[int, int]], step: int) -> None:
    stream = bytearray(STREAM)
    for at, byte in damage:
        stream[at] = byte
    reader = Reader(Limits(), lambda _head, _body: None)

    for start in range(0, len(stream), step):
        try:
            reader.feed(bytes(stream[start : start + step]))
        except Refused as refused:
            assert 400 <= refused.status < 600  # noqa: PT017  a refusal is one of the two good ends
            break


async def test_a_server_that_is_fed_noise_goes_on_serving() -> None:
    chance = random.Random(11)
    words = [
        b"GET ",
        b"POST / HTTP/1.1\r\n",
        b"host: a\r\n",
        b"\r\n",
        b"content-length: 9\r\n",
        b"0\r\n\r\n",
        b"\x00",
        b"\xff\xfe",
    ]
    async with stage(echo, Limits(linger=0.01)) as server:
        for _ in range(300):
            caller = await server.caller()
            caller.send(b"".join(chance.choice([*words, chance.randbytes(chance.randrange(40))]) for _ in range(12)))
            await asyncio.sleep(0)
            caller.leave()

        caller = await server.caller()
        caller.send(b"GET /still HTTP/1.1\r\nhost: a\r\n\r\n")
        status, _, body = await caller.answer()

    assert (status, body) == (200, b"GET /still  host=a ")
