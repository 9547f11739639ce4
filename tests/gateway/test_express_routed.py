"""A router whose choice waits for nothing goes the straight way, and means the same as on the general one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.gateway.house import Straight, chat, house
from tests.net.providers import Visit, provider
from tests.upstream import DONE, answer, chunk, frames, refusing, streaming, whole

PATH = "/v1/chat/completions"
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
SAID = answer("Guten Tag", usage=USAGE)
EVENTS = (frames(chunk({"content": "Guten "}), chunk({"content": "Tag"}), chunk(finish="stop")), DONE)
WHOLE = msgspec.json.encode(SAID)
GOOD, STREAM = whole(SAID), streaming(*EVENTS)


def answered(status: int, body: bytes) -> bytes:
    """A whole answer, which tells of a limit."""
    return b"HTTP/1.1 %d Word\r\nx-ratelimit-remaining-requests: 7\r\ncontent-length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


def _models(**settings: Any) -> dict[str, Any]:
    deployment = {"type": "deployment", "name": "x", "price": {"input": 1, "output": 1}, "retries": 0}
    return {
        "a": {**deployment, "provider": "one"},
        "b": {**deployment, "provider": "two"},
        "auto": {"type": "router", "candidates": ["a", "b"], **settings},
    }


def _at(one: Any, two: Any) -> dict[str, Any]:
    return {
        name: {"type": "compatible", "base_url": f"http://127.0.0.1:{vendor.origin.port}/v1"}
        for name, vendor in (("one", one), ("two", two))
    }


@pytest.mark.parametrize("strategy", ["fixed", "complexity", "fastest", "weighted", "rules", "least_busy"])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_second_answer_goes_the_straight_way_and_tells_what_the_first_one_told(
    strategy: str, *, stream: bool
) -> None:
    given: dict[str, dict[str, Any]] = {
        "rules": {"rules": [{"when": "words < 40", "use": "a"}]},
        "weighted": {"weights": {"a": 1.0}},
    }
    settings = given.get(strategy, {})
    http = Straight()
    models = _models(strategy={"type": strategy, **settings}, warm=0)
    manner = STREAM if stream else GOOD
    async with provider(manner) as one, provider(manner) as two, house(models, _at(one, two), http=http) as node:
        for _ in range(2):  # each has to be asked once before its address is known and a connection waits
            for name in "ab":
                await node.raw("POST", PATH, chat(name, stream=stream))
        sent = http.sent
        status, headers, body = await node.raw("POST", PATH, chat("auto", stream=stream))
        straight = node.last
        direct = await node.raw("POST", PATH, chat(straight.deployment or "", stream=stream))

    assert (status, body) == (200, direct[2])
    assert http.sent == sent + 2
    assert straight.model == "auto"
    assert straight.deployment in {"a", "b"}
    assert headers["x-dirigent-route"] == straight.route
    assert headers["x-dirigent-model"] == straight.deployment
    assert (straight.attempts, straight.input_tokens) == (1, node.last.input_tokens)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("broken", [False, True])
async def test_a_candidate_that_fails_on_the_straight_way_is_counted_once_and_the_next_one_answers(
    *, stream: bool, broken: bool
) -> None:
    http, well = Straight(), True
    said = b"data: [DONE]\n\n" if broken else b'{"error": {"message": "broken"}}'
    good = STREAM if stream else GOOD

    async def turning(visit: Visit) -> None:
        nonlocal well
        while True:
            await visit.request()
            if well:
                visit.say(answered(200, b"".join(EVENTS) if stream else WHOLE))
            else:
                visit.say(answered(200 if broken else 500, said))

    async with provider(turning) as one, provider(good) as two, house(_models(), _at(one, two), http=http) as node:
        for _ in range(2):
            await node.raw("POST", PATH, chat("a", stream=stream))
        well, sent = False, http.sent
        status, headers, _ = await node.raw("POST", PATH, chat("auto", stream=stream))

    assert (status, headers["x-dirigent-model"]) == (200, "b")
    assert http.sent == sent + 1
    assert node.last.attempts == 2
    assert headers["x-dirigent-route"].startswith("b answers, for a (")
    assert headers["x-dirigent-route"].count("stands first in the configuration") == 1
    assert "x-ratelimit-remaining-requests" not in headers
    assert (len(one.visits[0].bodies), len(two.visits[0].bodies)) == (3, 1)


async def test_where_nobody_answers_each_candidate_is_named_once() -> None:
    http, well = Straight(), True

    async def turning(visit: Visit) -> None:
        nonlocal well
        while True:
            await visit.request()
            visit.say(answered(200, WHOLE) if well else answered(500, b'{"error": {"message": "broken"}}'))

    bad = refusing(503, {"error": {"message": "away"}})
    async with provider(turning) as one, provider(bad) as two, house(_models(), _at(one, two), http=http) as node:
        for _ in range(2):
            await node.raw("POST", PATH, chat("a"))
        well = False
        status, _, body = await node.call("POST", PATH, chat("auto"))

    words = body["error"]["message"]
    assert status >= 500
    assert (words.count("a: "), words.count("b: ")) == (1, 1)
    assert node.last.attempts == 2


async def test_a_candidate_that_cannot_be_reached_any_more_leaves_the_decision_as_it_was() -> None:
    http = Straight()
    async with provider(GOOD) as two, provider(GOOD) as one, house(_models(), _at(one, two), http=http) as node:
        for _ in range(2):
            await node.raw("POST", PATH, chat("a"))
        for visit in one.visits:
            visit.writer.transport.abort()
        status, headers, _ = await node.raw("POST", PATH, chat("auto"))

    assert (status, headers["x-dirigent-model"]) == (200, "a")
    assert headers["x-dirigent-route"] == "a stands first in the configuration"


async def test_a_router_whose_strategy_may_wait_goes_the_general_way() -> None:
    http = Straight()
    models = _models(hedge={"after": 5})
    async with provider(GOOD) as one, provider(GOOD) as two, house(models, _at(one, two), http=http) as node:
        for _ in range(2):
            await node.raw("POST", PATH, chat("a"))
        sent = http.sent
        status, *_ = await node.raw("POST", PATH, chat("auto"))

    assert (status, http.sent) == (200, sent)
