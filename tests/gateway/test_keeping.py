from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from dirigent.core.events import folded
from dirigent.dialects import DIALECTS
from dirigent.dialects.dialect import Dialect
from dirigent.gateway.endpoints import ANSWERED
from tests.gateway.house import ASKED, LEFT, chat, house, until
from tests.net.providers import Visit, provider
from tests.upstream import DONE, chunk, frames, head, streaming
from tests.world import request

CHATS = [kind for kind in DIALECTS.kinds.values() if kind.task == "chat"]
QUERY = {"google_generate": "?alt=sse"}
PING = b": ping\n\n"
SLOW: dict[str, Any] = {"slow": {"type": "thinking", "seconds": 0.8}}
SAID = frames(chunk({"role": "assistant", "content": "Guten Tag"}), chunk(finish="stop")) + DONE
FAR = {"type": "deployment", "provider": "p", "name": "gpt-4o"}


def piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_a_silent_stream_is_begun_and_kept_alive_until_it_speaks() -> None:
    async with house({"slow": {"type": "thinking", "seconds": 1.2}}, quiet=0.3) as node:
        heard = await node.open("POST", "/v1/chat/completions", chat("slow", stream=True))
        body = await heard.read()

    assert heard.status == 200
    assert body.startswith(PING)
    assert b"first " in body
    assert body.endswith(DONE)


@pytest.mark.parametrize("kind", CHATS, ids=lambda kind: kind.name)
async def test_every_dialect_reads_its_own_stream_with_its_pings(kind: type[Dialect]) -> None:
    dialect = kind()
    *_, path = [path for path, name in ANSWERED if name == dialect.name]  # of several, the last one streams
    async with house({"slow": {"type": "thinking", "seconds": 0.7}}, quiet=0.3) as node:
        asked = dialect.write_request(request("hi", model="slow", stream=True, max_output=9), "slow")
        status, _, body = await node.raw("POST", path.replace("*", "slow") + QUERY.get(dialect.name, ""), asked)

    reader = dialect.reader()
    heard = folded([*reader.feed(body), *reader.end()])
    assert (status, heard.text) == (200, "first second")
    assert body.startswith(dialect.ping)


async def test_a_stream_that_speaks_in_time_holds_no_ping() -> None:
    async with house({"echo": {"type": "echo"}}, quiet=60) as node:
        _, _, body = await node.raw("POST", "/v1/chat/completions", chat(stream=True))

    assert PING not in body


async def test_without_a_wait_a_silent_stream_stays_silent() -> None:
    async with house(SLOW, quiet=0) as node:
        _, headers, body = await node.raw("POST", "/v1/chat/completions", chat("slow", stream=True))

    assert PING not in body
    assert headers["x-dirigent-run"]


async def test_after_a_ping_an_error_is_told_in_the_stream() -> None:
    models = {"slow": {"type": "echo", "fails": True}, "late": {"type": "thinking", "seconds": 0.8, "fails": True}}
    async with house(models, quiet=0.25) as node:
        early, _, refused = await node.raw("POST", "/v1/chat/completions", chat("slow", stream=True))
        status, _, body = await node.raw("POST", "/v1/chat/completions", chat("late", stream=True))

    assert early == 503
    assert msgspec.json.decode(refused)["error"]["code"] == "unavailable"
    assert status == 200
    *_, last = body.decode().strip().split("\n\n")
    assert msgspec.json.decode(last.removeprefix("data: "))["error"]["message"] == "it broke off"
    assert b"[DONE]" not in body


async def test_after_a_ping_another_candidate_still_steps_in() -> None:
    async def silent_then_gone(visit: Visit) -> None:
        await visit.request()
        visit.say(head())
        await asyncio.sleep(0.9)

    async with provider(silent_then_gone) as dead, provider(streaming(SAID)) as alive:
        at = {
            name: {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}"}
            for name, vendor in (("dead", dead), ("alive", alive))
        }
        models = {
            "one": {**FAR, "provider": "dead"},
            "two": {**FAR, "provider": "alive"},
            "auto": {"type": "router", "candidates": ["one", "two"], "strategy": {"type": "fixed"}},
        }
        async with house(models, at, quiet=0.25) as node:
            status, _, body = await node.raw("POST", "/v1/chat/completions", chat("auto", stream=True))
            served = node.last

    assert status == 200
    assert body.startswith(PING)
    assert body.endswith(DONE)
    assert b"Guten Tag" in body
    assert (served.deployment, served.attempts, served.status) == ("two", 2, 200)


async def test_the_straight_way_pings_as_the_general_one_does() -> None:
    async def slow(visit: Visit) -> None:
        for turn in range(2):
            await visit.request()
            visit.say(head())
            await asyncio.sleep(0.9 * turn)
            visit.say(piece(SAID) + b"0\r\n\r\n")
        await visit.until_gone()

    async with provider(slow) as vendor:
        at = {"p": {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}"}}
        async with house({"far": FAR}, at, quiet=0.25) as node:
            first = await node.raw("POST", "/v1/chat/completions", chat("far", stream=True))
            second = await node.raw("POST", "/v1/chat/completions", chat("far", stream=True))

    assert first[2].replace(PING, b"") == SAID
    assert second[2].replace(PING, b"") == SAID
    assert second[2].startswith(PING)
    assert len(vendor.visits) == 1


async def test_a_provider_that_fails_after_a_ping_on_the_straight_way_is_told_in_the_stream() -> None:
    async def slow(visit: Visit) -> None:
        await visit.request()
        visit.say(head() + piece(SAID) + b"0\r\n\r\n")
        while True:
            await visit.request()
            await asyncio.sleep(0.6)
            body = b'{"error":{"message":"no such thing","type":"invalid_request_error"}}'
            visit.say(b"HTTP/1.1 400 Bad\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    async with provider(slow) as vendor:
        at = {"p": {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}"}}
        async with house({"far": FAR}, at, quiet=0.2) as node:
            await node.raw("POST", "/v1/chat/completions", chat("far", stream=True))
            status, _, body = await node.raw("POST", "/v1/chat/completions", chat("far", stream=True))

    assert status == 200
    assert body.startswith(PING)
    assert b"no such thing" in body
    assert b"[DONE]" not in body


@pytest.mark.parametrize("quiet", [0.0, 0.2])
async def test_a_caller_who_leaves_a_silent_stream_ends_it_at_once(quiet: float) -> None:
    async with house({"slow": {"type": "thinking", "seconds": 30}}, quiet=quiet) as node:
        asking = asyncio.ensure_future(node.open("POST", "/v1/chat/completions", chat("slow", stream=True)))
        await until(lambda: ASKED)
        if quiet:
            async with aclosing((await asking).chunks()) as pieces:
                assert (await anext(pieces)).startswith(PING)
        else:
            asking.cancel()
        await until(lambda: LEFT == ["slow"])
        await until(lambda: node.noted)

    assert node.last.status == 499


async def test_a_whole_answer_is_never_begun_early() -> None:
    async with house(SLOW, quiet=0.1) as node:
        status, headers, body = await node.call("POST", "/v1/chat/completions", chat("slow"))

    assert status == 200
    assert "content-length" in headers
    assert body["choices"][0]["message"]["content"] == "first second"
