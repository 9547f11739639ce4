"""A caller names an alias, or a revision, and gets exactly what that stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from dirigent.core.aliases import Alias, Share
from tests.gateway.house import House, Straight, chat, house
from tests.net.providers import provider
from tests.upstream import answer, whole

PATH = "/v1/chat/completions"
NEW = {"writer": {"type": "echo", "says": "new"}, "team": {"type": "router", "candidates": ["writer"]}}
OLD = {"writer": {"type": "echo", "says": "old"}, "team": {"type": "router", "candidates": ["writer"]}}


def pinned(_: str, old: str) -> Sequence[Alias]:
    return [
        Alias("chat", "writer", (Share(None, 1000),)),
        Alias("kept", "writer", (Share(old, 1000),)),
        Alias("nested", "team", (Share(old, 1000),)),
        Alias("canary", "writer", (Share(old, 300), Share(None, 700))),
        Alias("lost", "nobody", (Share(None, 1000),)),
    ]


async def said(node: House, model: str, **headers: str) -> str:
    status, _, body = await node.call("POST", PATH, chat(model), **headers)
    return str(body["choices"][0]["message"]["content"]) if status == 200 else str(body["error"]["code"])


async def test_an_alias_is_answered_by_the_revision_that_it_points_at() -> None:
    async with house(NEW, before=OLD, aliases=pinned) as node:
        present, kept, nested = [await said(node, name) for name in ("chat", "kept", "nested")]
        plain, lost = await said(node, "writer"), await said(node, "lost")

    assert (plain, present, kept, nested) == ("new", "new", "old", "old")
    assert lost == "model_not_found"


async def test_an_answer_and_its_record_tell_the_revision_and_the_name_that_was_asked_for() -> None:
    async with house(NEW, before=OLD, aliases=pinned) as node:
        _, present, _ = await node.call("POST", PATH, chat("writer"))
        _, old, _ = await node.call("POST", PATH, chat("kept"))
        record = node.last

    assert old["x-dirigent-revision"] != present["x-dirigent-revision"]
    assert (record.model, record.revision) == ("kept", old["x-dirigent-revision"])


async def test_a_revision_of_a_model_is_addressed_by_four_of_its_letters() -> None:
    async with house(NEW, before=OLD, aliases=pinned) as node:
        _, old, _ = await node.call("POST", PATH, chat("kept"))
        revision = old["x-dirigent-revision"]

        whole, short = await said(node, f"writer@{revision}"), await said(node, f"writer@{revision[:4]}")
        few, odd = await said(node, f"writer@{revision[:3]}"), await said(node, f"nobody@{revision}")

    assert (whole, short) == ("old", "old")
    assert (few, odd) == ("model_not_found", "model_not_found")


async def test_a_canary_gets_its_share_of_conversations_and_each_conversation_stays_where_it_is() -> None:
    async with house(NEW, before=OLD, aliases=pinned) as node:
        first = [await said(node, "canary", x_dirigent_subject=f"s-{number}") for number in range(200)]
        again = [await said(node, "canary", x_dirigent_subject=f"s-{number}") for number in range(200)]
        talks = []
        for number in range(20):
            messages: list[dict[str, Any]] = [{"role": "user", "content": f"talk {number}"}]
            heard = set()
            for _ in range(3):
                _, _, body = await node.call("POST", PATH, {"model": "canary", "messages": messages})
                heard.add(body["choices"][0]["message"]["content"])
                messages += [body["choices"][0]["message"], {"role": "user", "content": "go on"}]
            talks.append(heard)

    assert first == again
    assert 35 <= Counter(first)["old"] <= 85
    assert all(len(heard) == 1 for heard in talks)
    assert set.union(*talks) == {"old", "new"}


@pytest.mark.parametrize("model", ["chat", "kept"])
async def test_the_straight_way_is_open_to_aliases(model: str) -> None:
    straight = Straight()
    async with provider(whole(answer("from there"))) as up:
        providers = {"up": {"type": "compatible", "base_url": f"http://127.0.0.1:{up.origin.port}/v1"}}
        models = {"writer": {"type": "deployment", "provider": "up", "name": "n"}}
        before = {"writer": {"type": "deployment", "provider": "up", "name": "o"}}
        async with house(models, providers, before=before, aliases=pinned, http=straight) as node:
            heard = [await said(node, model) for _ in range(3)]

    assert heard == ["from there"] * 3
    assert straight.sent == 2  # the first one opens the connection


async def test_aliases_are_listed_for_every_dialect_and_shown() -> None:
    async with house(NEW, before=OLD, aliases=pinned) as node:
        await said(node, "kept")
        _, _, openai = await node.call("GET", "/v1/models")
        _, _, anthropic = await node.call("GET", "/v1/models", anthropic_version="2023-06-01")
        _, _, google = await node.call("GET", "/v1beta/models")
        _, _, described = await node.call("GET", "/api/v1/models")
        status, _, shown = await node.call("GET", "/v1/models/kept")

    names = ["writer", "team", "chat", "kept", "nested", "canary"]
    assert [each["id"] for each in openai["data"]] == names
    assert [each["id"] for each in anthropic["data"]] == names
    assert [each["name"] for each in google["models"]] == [f"models/{name}" for name in names]
    assert [each["name"] for each in described["aliases"]] == names[2:]
    assert (status, shown["id"]) == (200, "kept")


async def test_the_tokens_of_a_request_to_an_alias_are_counted() -> None:
    asked = {"model": "kept", "max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]}
    async with house(NEW, before=OLD, aliases=pinned) as node:
        status, _, counted = await node.call("POST", "/v1/messages/count_tokens", asked)

    assert status == 200
    assert counted["input_tokens"] > 0
