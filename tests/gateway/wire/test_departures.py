"""Callers who leave, dawdle or never come to the point."""

from __future__ import annotations

import asyncio
import gc
import time
from pathlib import Path

import pytest

from dirigent.gateway.wire import Exchange, Limits
from tests.gateway.wire.callers import Caller, echo, stage, until

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def closing(caller: Caller) -> None:
    caller.writer.close()


def half_closing(caller: Caller) -> None:
    caller.writer.write_eof()


def aborting(caller: Caller) -> None:
    caller.leave()


@pytest.mark.parametrize("leave", [closing, half_closing, aborting])
@pytest.mark.parametrize("streaming", ["before the head", "in the middle"])
async def test_a_caller_who_leaves_cancels_the_handler_at_once(leave: object, streaming: str) -> None:
    running, cancelled, told = asyncio.Event(), asyncio.Event(), []

    async def handler(exchange: Exchange) -> None:
        exchange.on_gone = lambda: told.append("gone")
        if streaming == "in the middle":
            exchange.start(200)
            exchange.write(b"x")
        running.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
            assert exchange.gone

    assert callable(leave)
    async with stage(handler) as server:
        caller = await server.caller()
        caller.send(GET)
        await asyncio.wait_for(running.wait(), 30)
        await asyncio.sleep(0.02)

        leave(caller)
        await asyncio.wait_for(cancelled.wait(), 30)  # half of what the handler would sleep

        assert told == ["gone"]
        await until(lambda: server.server.connections == 0)


async def test_a_caller_who_leaves_a_congested_stream_ends_it() -> None:
    ended = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.start(200)
        try:
            while True:
                exchange.write(b"x" * 100_000)
                await exchange.drain()
        finally:
            ended.set()

    async with stage(handler) as server:
        caller = await server.caller()
        caller.send(GET)
        await asyncio.sleep(0.1)
        caller.leave()
        await asyncio.wait_for(ended.wait(), 30)


async def test_a_handler_whose_answer_is_finished_is_not_cancelled_when_the_caller_leaves() -> None:
    settled = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.respond(200)
        await asyncio.sleep(0.05)
        settled.set()

    async with stage(handler) as server:
        caller = await server.caller()
        caller.send(GET)
        await caller.answer()
        caller.leave()
        await asyncio.wait_for(settled.wait(), 30)


async def test_cleaning_up_may_wait_and_fail_without_harm(caplog: pytest.LogCaptureFixture) -> None:
    running, cleaned = asyncio.Event(), asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        running.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            exchange.respond(200)
            cleaned.set()
            raise LookupError("in the clean-up")

    async with stage(handler) as server:
        caller = await server.caller()
        caller.send(GET)
        await asyncio.wait_for(running.wait(), 30)
        caller.leave()
        await asyncio.wait_for(cleaned.wait(), 30)
        await until(lambda: "in the clean-up" in caplog.text)
    gc.collect()

    assert "in the clean-up" in caplog.text
    assert "never retrieved" not in caplog.text


async def test_closing_the_server_waits_for_every_clean_up() -> None:
    running: list[int] = []
    cleaned: list[int] = []

    async def handler(_exchange: Exchange) -> None:
        running.append(1)
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.02)
            cleaned.append(1)

    async with stage(handler) as server:
        for _ in range(5):
            (await server.caller()).send(GET)
        await until(lambda: len(running) == 5)
        await server.server.close()

        assert len(cleaned) == 5
        assert server.server.connections == 0


async def test_two_hundred_abandoned_exchanges_leave_nothing_behind() -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.start(200)
        await asyncio.sleep(60)

    async with stage(handler) as server:
        before = descriptors()
        tasks = len(asyncio.all_tasks())
        for _ in range(200):
            caller = await server.caller()
            caller.send(GET)
            await caller.reader.readuntil(b"\r\n\r\n")
            caller.leave()
        await until(lambda: server.server.connections == 0)
        await until(lambda: len(asyncio.all_tasks()) == tasks)
        await until(lambda: descriptors() <= before)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", b""),
        (b"GET / HT", b"HTTP/1.1 408 Request Timeout\r\n"),
        (b"GET / HTTP/1.1\r\nhost: a\r\n", b"HTTP/1.1 408 Request Timeout\r\n"),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nx", b"HTTP/1.1 408 Request Timeout\r\n"),
        (
            b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nx",
            b"HTTP/1.1 408 Request Timeout\r\n",
        ),
    ],
)
async def test_who_does_not_come_to_the_point_is_let_go(sent: bytes, words: bytes) -> None:
    async with stage(echo, Limits(head_wait=0.2, body_wait=0.2, linger=0.05)) as server:
        started = time.monotonic()
        answer = await server.say(sent)

    assert answer[: len(words) or 1] == words
    assert time.monotonic() - started >= 0.19


async def test_a_head_that_comes_byte_by_byte_does_not_win_time() -> None:
    async with stage(echo, Limits(head_wait=0.3, linger=0.05)) as server:
        caller = await server.caller()
        caller.send(b"GET / HTTP/1.1\r\nhost: ")
        reading = asyncio.ensure_future(caller.all())
        while not reading.done():
            caller.send(b"a")
            await asyncio.sleep(0.02)
        answer = await reading

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_body_that_keeps_its_pace_may_take_its_time() -> None:
    async with stage(echo, Limits(body_wait=0.3, body_pace=10)) as server:
        caller = await server.caller()
        caller.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 80\r\n\r\n")
        for _ in range(8):
            caller.send(b"0123456789")
            await asyncio.sleep(0.1)
        status, _, _ = await caller.answer()

    assert status == 200


async def test_an_idle_connection_is_closed_after_its_wait() -> None:
    async with stage(echo, Limits(idle_wait=0.2)) as server:
        caller = await server.caller()
        caller.send(GET)
        await caller.answer()

        assert await caller.all() == b""


async def test_a_caller_who_stops_reading_is_cut_in_the_end() -> None:
    ended = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.start(200)
        try:
            while True:
                exchange.write(b"x" * 100_000)
                await exchange.drain()
        finally:
            ended.set()

    async with stage(handler, Limits(write_wait=0.3)) as server:
        caller = await server.caller()
        caller.send(GET)

        await asyncio.wait_for(ended.wait(), 30)


async def test_more_connections_than_the_limit_are_closed_unanswered() -> None:
    async with stage(echo, Limits(connections=2)) as server:
        first, second = await server.caller(), await server.caller()
        first.send(GET)
        second.send(GET)
        await first.answer()
        await second.answer()
        third = await server.caller()

        third.send(GET)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await third.answer()
        first.send(GET)
        assert (await first.answer())[0] == 200
