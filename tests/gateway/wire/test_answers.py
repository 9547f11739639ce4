"""What the server sends, in which order, and what becomes of handlers that fail."""

from __future__ import annotations

import asyncio
import logging

import pytest

from dirigent.gateway.wire import Exchange, Limits, Server
from tests.gateway.wire.callers import echo, stage, until

GET = b"GET /%b HTTP/1.1\r\nhost: a\r\n\r\n"


async def test_an_answer_carries_its_headers_its_length_and_a_date() -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.respond(201, (("x-request-id", "r1"), ("x-dirigent-route", "weil es genügt → ja")), b"hello")

    async with stage(handler) as server:
        caller = await server.caller()
        caller.send(GET % b"")
        status, headers, body = await caller.answer()

    assert (status, body) == (201, b"hello")
    assert headers["x-request-id"] == "r1"
    assert headers["x-dirigent-route"] == "weil es genügt ? ja"
    assert headers["content-length"] == "5"
    assert headers["date"].endswith(" GMT")


async def test_a_header_with_a_line_break_is_never_sent() -> None:
    faults: list[Exception] = []

    async def handler(exchange: Exchange) -> None:
        exchange.respond(200, (("a", "b\r\nset-cookie: c"),))

    server = Server(handler, on_error=lambda _exchange, error: faults.append(error))
    port = await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET % b"")
    answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await server.close()

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"set-cookie" not in answer
    assert isinstance(faults[0], ValueError)


async def test_a_streamed_answer_arrives_piece_by_piece_in_chunks() -> None:
    go_on = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.start(200, (("content-type", "text/event-stream"),))
        exchange.write(b"data: 1\n\n")
        exchange.write(b"")
        await go_on.wait()
        exchange.write(b"data: 2\n\n")
        exchange.finish()

    async with stage(handler) as server:
        caller = await server.caller()
        caller.send(GET % b"")
        first = await asyncio.wait_for(caller.reader.readuntil(b"data: 1\n\n\r\n"), 30)
        go_on.set()
        rest = await asyncio.wait_for(caller.reader.readuntil(b"0\r\n\r\n"), 30)
        caller.send(GET % b"again")
        again = await asyncio.wait_for(caller.reader.readuntil(b"0\r\n\r\n"), 30)

    assert b"\r\ntransfer-encoding: chunked\r\n" in first
    assert first.endswith(b"\r\n\r\n9\r\ndata: 1\n\n\r\n")
    assert rest == b"9\r\ndata: 2\n\n\r\n0\r\n\r\n"
    assert again.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_streamed_answer_to_http_1_0_ends_with_the_connection() -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.start(200)
        exchange.write(b"one ")
        exchange.write(b"two")
        exchange.finish()

    async with stage(handler) as server:
        answer = await server.say(b"GET / HTTP/1.0\r\n\r\n")

    assert b"transfer-encoding" not in answer
    assert answer.endswith(b"connection: close\r\n\r\none two")


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_answer_to_head_has_no_body(streamed: bool) -> None:  # noqa: FBT001
    async def handler(exchange: Exchange) -> None:
        if streamed:
            exchange.start(200)
            exchange.write(b"hello")
            exchange.finish()
        else:
            exchange.respond(200, (), b"hello")

    async with stage(handler) as server:
        answer = await server.say(b"HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")

    assert (b"transfer-encoding: chunked" if streamed else b"content-length: 5") in answer
    assert answer.endswith(b"\r\n\r\n")


async def test_204_has_neither_body_nor_length() -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.respond(204)

    async with stage(handler) as server:
        answer = await server.say(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert b"content-length" not in answer


async def test_requests_sent_at_once_are_answered_one_after_the_other_in_their_order() -> None:
    running = 0
    most = 0

    async def handler(exchange: Exchange) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01 if exchange.path == "/0" else 0)
        exchange.respond(200, (), exchange.path.encode())
        running -= 1

    async with stage(handler, Limits(pipeline=3)) as server:
        caller = await server.caller()
        caller.send(b"".join(GET % b"%d" % number for number in range(30)))
        bodies = [(await caller.answer())[2] for _ in range(30)]

    assert bodies == [b"/%d" % number for number in range(30)]
    assert most == 1


async def test_a_refusal_waits_its_turn_behind_the_requests_before_it() -> None:
    async def handler(exchange: Exchange) -> None:
        await asyncio.sleep(0.01)
        exchange.respond(200)

    async with stage(handler, Limits(linger=0.05)) as server:
        answer = await server.say(GET % b"1" + GET % b"2" + b"nonsense\r\n\r\n")

    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.index(b"HTTP/1.1 400") > answer.rindex(b"HTTP/1.1 200")


async def test_more_requests_than_anybody_needs_end_the_connection() -> None:
    running, release = asyncio.Event(), asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        running.set()
        await release.wait()
        exchange.respond(200)

    async with stage(handler, Limits(pipeline=1, linger=0.05)) as server:
        caller = await server.caller()
        caller.send(GET % b"x" * 40)
        await asyncio.wait_for(running.wait(), 30)
        release.set()
        answer = await caller.all()

    assert answer.count(b"HTTP/1.1 200 OK") == 18
    assert answer.count(b"HTTP/1.1 400 Bad Request") == 1


async def test_a_handler_that_fails_costs_its_caller_a_500_and_nobody_else_anything(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(exchange: Exchange) -> None:
        if exchange.path == "/bad":
            raise LookupError("gone")
        await echo(exchange)

    async with stage(handler) as server:
        caller = await server.caller()
        with caplog.at_level(logging.ERROR):
            caller.send(GET % b"bad" + GET % b"good")
            bad, good = await caller.answer(), await caller.answer()

    assert bad[0] == 500
    assert good[0] == 200
    assert "GET /bad failed" in caplog.text


async def test_a_handler_that_fails_or_forgets_in_the_middle_of_an_answer_breaks_it_off_visibly() -> None:
    faults: list[str] = []

    async def handler(exchange: Exchange) -> None:
        exchange.start(200)
        exchange.write(b"half")
        if exchange.path == "/fails":
            raise LookupError("gone")

    server = Server(handler, on_error=lambda _exchange, error: faults.append(type(error).__name__))
    port = await server.start()
    for path in (b"fails", b"forgets"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET % path)
        answer = await reader.read()
        assert answer.endswith(b"4\r\nhalf\r\n")
        writer.close()
    await server.close()

    assert faults == ["LookupError", "RuntimeError"]


async def test_the_listener_to_failures_may_answer_and_the_words_of_refusals_are_the_gateways() -> None:
    async def handler(_exchange: Exchange) -> None:
        raise LookupError("gone")

    def on_error(exchange: Exchange, error: Exception) -> None:
        exchange.respond(503, (("x-request-id", "r1"),), str(error).encode())

    def refusal(status: int, code: str, message: str) -> tuple[list[tuple[str, str]], bytes]:
        return [("x-request-id", "r2")], f"{status} {code} {message}".encode()

    server = Server(handler, Limits(linger=0.05), refusal=refusal, on_error=on_error)
    port = await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET % b"" + b"GET / HTTP/1.1\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await server.close()

    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\nx-request-id: r1\r\n")
    assert b"x-request-id: r2" in answer
    assert answer.endswith(b"400 invalid_request the header 'host' is missing")


async def test_a_caller_who_reads_slowly_slows_the_writer_down() -> None:
    written = 0
    done = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        nonlocal written
        exchange.start(200)
        for _ in range(400):
            exchange.write(b"x" * 100_000)
            written += 1
            await exchange.drain()
        exchange.finish()
        done.set()

    async with stage(handler) as server:
        caller = await server.caller()
        caller.send(GET % b"")
        await asyncio.sleep(0.2)
        stuck_at = written
        _, _, body = await caller.answer()

    assert stuck_at < 200
    assert len(body) == 40_000_000
    assert done.is_set()


async def test_a_draining_server_lets_answers_finish_and_takes_no_more() -> None:
    running, release = asyncio.Event(), asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        running.set()
        await release.wait()
        exchange.respond(200, (), b"done")

    async with stage(handler) as server:
        idle, busy = await server.caller(), await server.caller()
        busy.send(GET % b"")
        await until(lambda: server.server.connections == 2)
        await asyncio.wait_for(running.wait(), 30)

        draining = asyncio.ensure_future(server.server.drain(30))
        assert await idle.all() == b""
        with pytest.raises(OSError):  # noqa: PT011  the words are the system's
            await asyncio.open_connection("127.0.0.1", server.port)
        release.set()
        answer = await busy.all()

        assert await draining is True
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.endswith(b"done")


async def test_a_draining_server_cuts_what_does_not_end_in_time() -> None:
    running, ended = asyncio.Event(), []

    async def handler(_exchange: Exchange) -> None:
        running.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cleaned up")

    async with stage(handler) as server:
        caller = await server.caller()
        caller.send(GET % b"")
        await asyncio.wait_for(running.wait(), 30)

        assert await server.server.drain(0.05) is False

    assert ended == ["cleaned up"]
    assert server.server.connections == 0
