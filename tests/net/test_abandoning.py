"""The law: an abandoned answer closes its upstream at once, in each of its three windows."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from dirigent.core.errors import Unavailable
from dirigent.core.ports import HttpCall
from dirigent.gateway.wire import Exchange, Server
from dirigent.net import HttpClient
from tests.net.providers import OK, PATIENT, Provider, Visit, answering, provider, saying_all

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def closed(vendor: Provider) -> None:
    """Returns once the last connection is closed; nothing but an abandoned answer closes it so early."""
    await asyncio.wait_for(vendor.visits[-1].gone.wait(), 30)


async def until(truth: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not truth():  # noqa: ASYNC110  what it waits for happens elsewhere, and sets no event
            await asyncio.sleep(0.005)


async def test_cancelled_before_the_head() -> None:
    client = HttpClient()
    async with provider(answering(b"")) as vendor:
        opening = asyncio.ensure_future(client.open(vendor.call(), PATIENT))
        await vendor.asked()

        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

        await closed(vendor)
        assert (client.resting, client.working) == (0, 0)


@pytest.mark.parametrize("how", ["close", "aclose before", "cancel read", "aclose within", "cancel within"])
@pytest.mark.parametrize("body", [b"", b"5\r\nhello\r\n"], ids=["before the body", "in the body"])
async def test_abandoned_after_the_head(body: bytes, how: str) -> None:
    client = HttpClient()
    async with provider(answering(HEAD + body)) as vendor:
        answer = await client.open(vendor.call(), PATIENT)

        async def reading() -> None:
            await answer.read()

        async def streaming() -> None:
            async with aclosing(answer.chunks()) as pieces:
                async for _ in pieces:
                    pass

        task = asyncio.ensure_future(reading() if how == "cancel read" else streaming())
        if how in {"cancel read", "cancel within"}:
            await asyncio.sleep(0.02)
        if how == "close":
            answer.close()
        elif how == "aclose within" and body:
            task.cancel()
            pieces = answer.chunks()
            assert await anext(pieces) == b"hello"
            await pieces.aclose()
        elif how in {"aclose before", "aclose within"}:
            task.cancel()
            answer.close()
        else:
            task.cancel()

        await closed(vendor)
        with pytest.raises((asyncio.CancelledError, Unavailable)):
            await task
        assert (client.resting, client.working) == (0, 0)


async def test_closing_an_answer_that_has_wholly_arrived_keeps_the_connection() -> None:
    client = HttpClient()
    async with provider(saying_all(OK)) as vendor:
        for _ in range(3):
            answer = await client.open(vendor.call(), PATIENT)
            await until(lambda: client.resting == 1)
            answer.close()

        assert len(vendor.visits) == 1


async def test_a_caller_who_leaves_the_gateway_closes_the_upstream_at_once() -> None:
    client = HttpClient()

    async def forward(exchange: Exchange) -> None:
        answer = await client.open(HttpCall(vendor.origin, exchange.path, body=exchange.body), PATIENT)
        exchange.start(answer.status)
        async with aclosing(answer.chunks()) as pieces:
            async for piece in pieces:
                exchange.write(piece)
        exchange.finish()

    async with provider(answering(HEAD + b"5\r\nhello\r\n")) as vendor:
        server = Server(forward)
        reader, writer = await asyncio.open_connection("127.0.0.1", await server.start())
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await reader.readuntil(b"hello\r\n")

        writer.transport.abort()

        await closed(vendor)
        await server.close()


async def test_two_hundred_abandoned_answers_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    client = HttpClient()
    async with provider(answering(HEAD)) as vendor:
        await asyncio.sleep(0.01)
        before, tasks = descriptors(), len(asyncio.all_tasks())
        for number in range(200):
            if number % 2:
                (await client.open(vendor.call(), PATIENT)).close()
            else:
                opening = asyncio.ensure_future(client.open(vendor.call(), PATIENT))
                await asyncio.sleep(0.001)
                opening.cancel()
                await asyncio.wait([opening])
                if not opening.cancelled():
                    opening.result().close()
        await until(lambda: descriptors() <= before and len(asyncio.all_tasks()) <= tasks)

        assert (client.resting, client.working) == (0, 0)
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_a_reader_that_is_cancelled_as_the_news_comes_in_does_not_run_twice() -> None:
    async def manner(visit: Visit) -> None:
        await visit.request()
        visit.say(HEAD)
        for _ in range(200):
            visit.say(b"1\r\nx\r\n")
            await asyncio.sleep(0)
        await visit.until_gone()

    client = HttpClient()
    async with provider(manner) as vendor:
        for pause in range(1, 30):
            answer = await client.open(vendor.call(), PATIENT)
            task = asyncio.ensure_future(answer.read())
            for _ in range(pause):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await asyncio.wait_for(vendor.visits[-1].gone.wait(), 30)

    assert client.working == 0


async def test_reading_may_be_bounded_by_a_timeout_of_the_callers_own() -> None:
    async with provider(answering(HEAD)) as vendor:
        client = HttpClient()
        answer = await client.open(vendor.call(), PATIENT)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await answer.read()
        await asyncio.wait_for(vendor.visits[0].gone.wait(), 30)


async def test_closing_the_client_breaks_off_what_is_still_coming() -> None:
    client = HttpClient()
    async with provider(answering(HEAD)) as vendor:
        reading = asyncio.ensure_future((await client.open(vendor.call(), PATIENT)).read())
        await asyncio.sleep(0.01)

        client.close()

        with pytest.raises(Unavailable):
            await reading
        await asyncio.wait_for(vendor.visits[0].gone.wait(), 30)
