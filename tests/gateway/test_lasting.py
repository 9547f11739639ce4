"""Requests that become durable runs: the answer is held open, and goes on when nobody waits for it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from tests.gateway.house import ASKED, LEFT, chat, house, until

MODELS: dict[str, Any] = {"echo": {"type": "echo"}, "slow": {"type": "thinking", "seconds": 0.2}}
PATH = "/v1/chat/completions"


async def test_any_model_answers_in_a_durable_run_where_the_caller_asks_for_one() -> None:
    async with house(MODELS, durable=True) as node:
        status, headers, body = await node.call("POST", PATH, chat("slow"), x_dirigent_background="true")
        again = await node.call("POST", PATH, chat("slow"), x_dirigent_background="true")

    assert (status, body["choices"][0]["message"]["content"]) == (200, "first second")
    assert body["id"] == f"chatcmpl-{headers['x-dirigent-run']}"
    assert again[1]["x-dirigent-run"] != headers["x-dirigent-run"]
    served = [each for each in node.noted if each.run == headers["x-dirigent-run"]]
    assert [(each.model, each.status, each.code) for each in served] == [("slow", 200, None)]


async def test_a_stream_is_held_open_and_tells_how_far_the_run_is() -> None:
    async with house(MODELS, durable=True, quiet=0.1) as node:
        _, headers, text = await node.call("POST", PATH, chat("slow", stream=True), x_dirigent_background="true")

    assert headers["content-type"].startswith("text/event-stream")
    assert ": step answer is done\n\n" in text
    assert text.index(": step answer is done") < text.index("first second")
    assert text.endswith("data: [DONE]\n\n")


async def test_who_prefers_not_to_wait_is_told_where_the_run_is() -> None:
    async with house(MODELS, durable=True) as node:
        status, headers, body = await node.call(
            "POST", PATH, chat("slow"), x_dirigent_background="true", prefer="respond-async"
        )
        await until(lambda: node.noted)

    assert status == 202
    assert headers["location"] == f"/api/v1/runs/{headers['x-dirigent-run']}"
    assert headers["preference-applied"] == "respond-async"
    assert body["error"]["code"] == "accepted"
    assert [each.status for each in node.noted] == [200]


async def test_who_has_waited_long_enough_is_told_where_the_run_is_and_it_goes_on() -> None:
    async with house(MODELS, durable=True, patience=0.05) as node:
        status, _, _ = await node.call("POST", PATH, chat("slow"), x_dirigent_background="true")
        await until(lambda: node.noted)

    assert status == 202
    assert LEFT == ["slow"]


async def test_a_caller_who_leaves_ends_no_durable_run_and_every_other_one() -> None:
    async with house(MODELS, durable=True) as node:
        for headers in ({}, {"x_dirigent_background": "true"}):
            ASKED.clear()
            asked = asyncio.ensure_future(node.raw("POST", PATH, chat("slow"), **headers))
            await until(lambda: ASKED)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        await until(lambda: len(node.noted) == 2)

    assert sorted(each.status for each in node.noted) == [200, 499]


async def test_an_idempotency_key_names_the_run_and_whoever_comes_back_meets_it() -> None:
    async with house(MODELS, durable=True) as node:
        headers = {"x_dirigent_background": "true", "idempotency_key": "k"}
        first = await node.call("POST", PATH, chat("slow"), prefer="respond-async", **headers)
        second = await node.call("POST", PATH, chat("slow"), **headers)
        third = await node.call("POST", PATH, chat("slow", stream=True, temperature=1), **headers)
        other = await node.call("POST", PATH, chat("slow"), "bert", **headers)

    assert ASKED == ["slow", "slow"]
    assert first[0] == 202
    assert second[0] == 200
    assert second[1]["x-dirigent-run"] == first[1]["x-dirigent-run"] != other[1]["x-dirigent-run"]
    assert (third[0], third[2]["error"]["code"]) == (422, "idempotency_key_reused")
    assert other[0] == 200


async def test_a_run_that_fails_answers_with_what_failed() -> None:
    async with house({"bad": {"type": "thinking", "seconds": 0.0, "fails": True}}, durable=True) as node:
        status, _, body = await node.call("POST", PATH, chat("bad"), x_dirigent_background="true")
        streamed = await node.open("POST", PATH, chat("bad", stream=True), x_dirigent_background="true")
        async with aclosing(streamed.chunks()) as chunks:
            said = b"".join([chunk async for chunk in chunks])
        await until(lambda: len(node.noted) == 2)

    assert (status, body["error"]["code"], body["error"]["message"]) == (503, "unavailable", "it broke off")
    assert b"it broke off" in said
    assert {each.code for each in node.noted} == {"unavailable"}


async def test_a_node_without_an_engine_says_so() -> None:
    async with house(MODELS) as node:
        status, _, body = await node.call("POST", PATH, chat("slow"), x_dirigent_background="true")
        odd = await node.call("POST", PATH, chat("slow"), x_dirigent_background="maybe")

    assert (status, body["error"]["code"]) == (400, "unsupported")
    assert odd[0] == 400
