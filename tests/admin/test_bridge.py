"""The bridge from our own HTTP server to an application: whole answers, streams, and callers who leave."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dirigent.admin.bridge import Application, Bridge, Message, Receive, Send
from dirigent.gateway.wire import Server


@asynccontextmanager
async def _served(application: Application) -> AsyncIterator[int]:
    bridge = Bridge(application)
    server = Server(bridge.answer)
    port = await server.start()
    yield port
    await server.close()


async def _asked(port: int, head: bytes, body: bytes = b"") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + b"connection: close\r\n\r\n" + body)
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return answer


async def _start(send: Send, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [*headers]})


def _body(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def test_the_application_sees_the_request_as_it_came() -> None:
    seen: dict[str, Any] = {}

    async def application(scope: Any, receive: Receive, send: Send) -> None:
        seen.update(scope, body=(await receive())["body"])
        await _start(send)
        await send(_body(b""))

    async with _served(application) as port:
        await _asked(port, b"POST /a%20b?c=%C3%BC HTTP/1.1\r\nhost: x\r\nx-one: 1\r\ncontent-length: 2\r\n", b"hi")

    assert (seen["path"], seen["raw_path"], seen["query_string"]) == ("/a b", b"/a%20b", b"c=%C3%BC")
    assert (b"x-one", b"1") in seen["headers"]
    assert seen["body"] == b"hi"
    assert seen["client"][0] == "127.0.0.1"


async def test_an_answer_in_one_piece_has_a_length_and_one_in_several_comes_in_chunks() -> None:
    async def whole(scope: Any, receive: Receive, send: Send) -> None:
        await _start(send, (b"content-length", b"2"), (b"x-mine", b"1"))
        await send(_body(b"hi"))

    async def pieces(scope: Any, receive: Receive, send: Send) -> None:
        await _start(send)
        await send(_body(b"one", more=True))
        await send(_body(b"two", more=True))
        await send(_body(b""))

    async with _served(whole) as port:
        one = await _asked(port, b"GET / HTTP/1.1\r\nhost: x\r\n")
    async with _served(pieces) as port:
        other = await _asked(port, b"GET / HTTP/1.1\r\nhost: x\r\n")

    assert one.count(b"content-length: 2") == 1
    assert b"x-mine: 1" in one
    assert one.endswith(b"hi")
    assert b"transfer-encoding: chunked" in other
    assert other.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


async def test_a_caller_who_leaves_cancels_what_answers() -> None:
    ended = asyncio.Event()

    async def endless(scope: Any, receive: Receive, send: Send) -> None:
        await _start(send)
        try:
            while True:
                await send(_body(b"tick\n", more=True))
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    async with _served(endless) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"tick\n")
        writer.transport.abort()

        await asyncio.wait_for(ended.wait(), 30)


async def test_a_fast_application_waits_for_a_slow_caller() -> None:
    sent = 0

    async def flood(scope: Any, receive: Receive, send: Send) -> None:
        nonlocal sent
        await _start(send)
        for _ in range(2_000):
            await send(_body(bytes(64 * 1024), more=True))
            sent += 1
        await send(_body(b""))

    async with _served(flood) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.read(100)
        await asyncio.sleep(0.5)

        assert sent < 500
        writer.transport.abort()


@pytest.mark.parametrize("pieces", [0, 1])
async def test_what_breaks_off_never_looks_whole(pieces: int, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Any, receive: Receive, send: Send) -> None:
        await _start(send)
        for _ in range(pieces):
            await send(_body(b"half", more=True))
        raise ZeroDivisionError

    async with _served(broken) as port:
        with caplog.at_level(logging.CRITICAL):
            answer = await _asked(port, b"GET / HTTP/1.1\r\nhost: x\r\n")

    assert b"0\r\n\r\n" not in answer
    assert answer.startswith(b"HTTP/1.1 200" if pieces else b"HTTP/1.1 500")


async def test_a_head_is_asked_without_a_body() -> None:
    async def whole(scope: Any, receive: Receive, send: Send) -> None:
        await _start(send)
        await send(_body(b"hi"))

    async with _served(whole) as port:
        answer = await _asked(port, b"HEAD / HTTP/1.1\r\nhost: x\r\n")

    assert answer.endswith(b"\r\n\r\n")
