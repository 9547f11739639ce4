from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from dirigent.core.ports import HttpAnswer
from tests.gateway.house import ASKED, LEFT, SAID, House, chat, house, until
from tests.net.providers import provider
from tests.upstream import refusing

ECHO: dict[str, Any] = {"echo": {"type": "echo"}, "slow": {"type": "thinking", "seconds": 0.2}}
LASTING: dict[str, Any] = {"slow": {"type": "thinking", "seconds": 1.0}}
"""Somebody who is still answering when others come."""
PATH = "/v1/chat/completions"


async def test_the_same_key_and_body_get_the_same_answer_byte_for_byte_and_nobody_is_asked_again() -> None:
    async with house(ECHO) as node:
        first = await node.raw("POST", PATH, chat("slow"), idempotency_key="k")
        again = await node.raw("POST", PATH, chat("slow"), idempotency_key="k")

    assert ASKED == ["slow"]
    assert again[2] == first[2]
    assert again[0] == 200
    assert "idempotent-replayed" not in first[1]
    assert again[1]["idempotent-replayed"] == "true"
    assert again[1]["x-dirigent-run"] == first[1]["x-dirigent-run"]
    assert again[1]["x-request-id"] != first[1]["x-request-id"]
    assert again[1]["content-length"] == first[1]["content-length"]


async def test_a_stream_is_given_again_with_all_its_events() -> None:
    async with house(ECHO) as node:
        first = await node.raw("POST", PATH, chat("slow", stream=True), idempotency_key="k")
        again = await node.raw("POST", PATH, chat("slow", stream=True), idempotency_key="k")

    assert ASKED == ["slow"]
    assert again[2] == first[2]
    assert first[2].endswith(b"data: [DONE]\n\n")
    assert again[1]["content-type"].startswith("text/event-stream")
    assert again[1]["idempotent-replayed"] == "true"


async def test_who_asks_while_the_first_is_still_answered_follows_it_live() -> None:
    async with house(LASTING) as node:
        first = await node.open("POST", PATH, chat("slow", stream=True), idempotency_key="k")
        second = await node.open("POST", PATH, chat("slow", stream=True), idempotency_key="k")
        async with aclosing(second.chunks()) as pieces:
            early = await anext(pieces)
            unfinished = "slow" not in LEFT
            rest = b"".join([piece async for piece in pieces])
        whole = await first.read()

    assert ASKED == ["slow"]
    assert unfinished
    assert early + rest == whole
    assert second.headers["idempotent-replayed"] == "true"


async def test_many_who_ask_at_once_are_one_question() -> None:
    async with house(ECHO) as node:
        asked = [node.raw("POST", PATH, chat("slow"), idempotency_key="k") for _ in range(12)]
        answers = await asyncio.gather(*asked)

    assert ASKED == ["slow"]
    assert len({body for _, _, body in answers}) == 1
    assert sum("idempotent-replayed" in headers for _, headers, _ in answers) == 11


@pytest.mark.parametrize(
    ("path", "body"),
    [(PATH, chat("slow", temperature=1)), (f"{PATH}?a=1", chat("slow")), ("/v1/completions", chat("slow"))],
)
async def test_the_same_key_for_another_request_is_refused(path: str, body: dict[str, Any]) -> None:
    async with house(ECHO) as node:
        await node.raw("POST", PATH, chat("slow"), idempotency_key="k")
        kept, _, refused = await node.call("POST", path, body, idempotency_key="k")
        running = asyncio.ensure_future(node.raw("POST", PATH, chat("slow"), idempotency_key="l"))
        await until(lambda: len(ASKED) == 2)
        live, _, _ = await node.call("POST", path, body, idempotency_key="l")
        await running

    assert (kept, live) == (422, 422)
    assert refused["error"]["code"] == "idempotency_key_reused"


async def test_a_form_is_the_same_though_its_boundary_is_drawn_anew() -> None:
    def form(boundary: str, word: str) -> bytes:
        part = 'content-disposition: form-data; name="file"; filename="a.wav"'
        return f"--{boundary}\r\n{part}\r\n\r\n{word}\r\n--{boundary}--\r\n".encode()

    async with house(ECHO) as node:
        statuses = [
            (
                await node.raw(
                    "POST",
                    "/v1/audio/transcriptions",
                    form(boundary, word),
                    idempotency_key="k",
                    content_type=f"multipart/form-data; boundary={boundary}",
                )
            )[0]
            for boundary, word in (("one", "sound"), ("two", "sound"), ("three", "noise"))
        ]

    assert statuses == [400, 400, 422]  # the form names no model, and a refusal is an answer too


async def test_another_virtual_key_and_another_tenant_have_keys_of_their_own() -> None:
    async with house(ECHO) as node:
        await node.raw("POST", PATH, chat("slow"), idempotency_key="k")
        _, headers, _ = await node.raw("POST", PATH, chat("slow"), "bert", idempotency_key="k")

    assert ASKED == ["slow", "slow"]
    assert "idempotent-replayed" not in headers


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_failure_that_may_pass_is_not_kept(status: int) -> None:
    async with provider(refusing(status, {"error": {"message": "not now"}})) as vendor:
        at = {"p": {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}"}}
        far = {"type": "deployment", "provider": "p", "name": "x", "retries": 0}
        async with house({"far": far}, at) as node:
            answers = [await node.raw("POST", PATH, chat("far"), idempotency_key="k") for _ in range(2)]

    assert all(given == 429 or given >= 500 for given, _, _ in answers)
    assert all("idempotent-replayed" not in headers for _, headers, _ in answers)


async def test_a_refusal_that_would_come_again_is_kept() -> None:
    async with house(ECHO) as node:
        first = await node.raw("POST", PATH, chat("nobody"), idempotency_key="k")
        again = await node.raw("POST", PATH, chat("nobody"), idempotency_key="k")

    assert (first[0], again[0]) == (404, 404)
    assert again[2] == first[2]
    assert again[1]["idempotent-replayed"] == "true"


async def test_a_stream_that_broke_off_is_not_kept() -> None:
    async with house({"late": {"type": "thinking", "seconds": 0.01, "fails": True}}) as node:
        first = await node.raw("POST", PATH, chat("late", stream=True), idempotency_key="k")
        again = await node.raw("POST", PATH, chat("late", stream=True), idempotency_key="k")

    assert ASKED == ["late", "late"]
    assert b"it broke off" in first[2]
    assert b"it broke off" in again[2]


async def test_a_fault_of_our_own_is_told_and_not_kept() -> None:
    async with house({"s": {"type": "stumbling", "says": 1}}) as node:
        whole = [await node.call("POST", PATH, chat("s"), idempotency_key="k") for _ in range(2)]
        _, _, streamed = await node.raw("POST", PATH, chat("s", stream=True), idempotency_key="l")

    assert [status for status, _, _ in whole] == [500, 500]
    assert all("idempotent-replayed" not in headers for _, headers, _ in whole)
    assert all("ZeroDivision" not in body["error"]["message"] for _, _, body in whole)
    assert b"internal_error" in streamed


async def leave(answer: HttpAnswer) -> None:
    answer.close()


async def begun(node: House) -> HttpAnswer:
    """An answer whose first event is here."""
    return await node.open("POST", PATH, chat("slow", stream=True), idempotency_key="k")


async def test_when_nobody_listens_any_more_the_answer_is_closed_at_once_and_not_kept() -> None:
    async with house({"slow": {"type": "thinking", "seconds": 30}}) as node:
        asking = asyncio.ensure_future(node.raw("POST", PATH, chat("slow"), idempotency_key="k"))
        await until(lambda: ASKED)
        asking.cancel()
        await until(lambda: LEFT == ["slow"])
        await until(lambda: node.noted)
        again = asyncio.ensure_future(node.raw("POST", PATH, chat("slow"), idempotency_key="k"))
        await until(lambda: len(ASKED) == 2)
        again.cancel()
        await until(lambda: len(LEFT) == 2)

    assert node.noted[0].status == 499


async def test_when_the_first_leaves_the_follower_gets_the_whole_answer_and_the_run_is_noted_once_whole() -> None:
    async with house(LASTING) as node:
        first = await begun(node)
        second = await begun(node)
        await leave(first)
        body = await second.read()
        await until(lambda: len(node.noted) == 2)

    assert ASKED == ["slow"]
    assert body.endswith(b"data: [DONE]\n\n")
    runs = [served for served in node.noted if served.model is not None]
    assert [served.status for served in runs] == [499]
    assert [served.status for served in node.noted if served.model is None] == [200]


async def test_when_the_follower_leaves_as_well_the_answer_is_closed() -> None:
    async with house({"slow": {"type": "thinking", "seconds": 60}}, quiet=0.1) as node:
        first = await begun(node)
        second = await begun(node)
        await leave(first)
        await leave(second)
        await until(lambda: LEFT == ["slow"])  # long before it would have ended by itself


async def test_an_answer_waits_for_its_fastest_listener_and_is_whole_for_the_slowest() -> None:
    async with house({"flood": {"type": "flooding", "pieces": 400}}) as node:
        slow = await node.open("POST", PATH, chat("flood", stream=True), idempotency_key="k")
        await asyncio.sleep(0.5)
        early = len(SAID)
        fast = await node.open("POST", PATH, chat("flood", stream=True), idempotency_key="k")
        whole = await fast.read()
        same = await slow.read()

    assert early < 300  # 16 MiB may lie in the buffers of two sockets and in the recording, not 25
    assert len(SAID) == 400
    assert whole == same
    assert whole.count(b"x" * 65_536) == 400


async def test_a_server_that_closes_waits_for_no_follower() -> None:
    async with house({"slow": {"type": "thinking", "seconds": 30}}) as node:
        first = asyncio.ensure_future(node.raw("POST", PATH, chat("slow"), idempotency_key="k"))
        await until(lambda: ASKED)
        second = asyncio.ensure_future(node.raw("POST", PATH, chat("slow"), idempotency_key="k"))
        await asyncio.sleep(0.1)
        first.cancel()
        await asyncio.sleep(0.1)
        assert LEFT == []
    second.cancel()

    assert LEFT == ["slow"]


@pytest.mark.parametrize("key", ["x" * 256, "tab\there", "umlaut-ü"])
async def test_a_key_that_cannot_be_one_is_refused(key: str) -> None:
    async with house(ECHO) as node:
        status, _, body = await node.call("POST", PATH, chat(), idempotency_key=key)

    assert (status, body["error"]["param"]) == (400, "idempotency-key")


async def test_the_listed_models_take_no_notice_of_a_key() -> None:
    async with house(ECHO) as node:
        first = await node.call("GET", "/v1/models", idempotency_key="k")
        again = await node.call("GET", "/v1/models", idempotency_key="k")

    assert "idempotent-replayed" not in again[1]
    assert msgspec.json.encode(first[2]) == msgspec.json.encode(again[2])
