"""What the gateway tells the archive and the audit: what may be kept, and what was refused, never more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dirigent.core.allowances import Allowance
from dirigent.core.identity import Principal
from dirigent.core.observations import Refused
from dirigent.core.ports import Http, Said
from dirigent.core.purposes import Purpose, Retention
from dirigent.core.rules import AllowanceRule, KeyRule, ProjectRule, PurposeRule, Rules, TenantRule
from dirigent.gateway.auth import Keys, digest
from dirigent.gateway.copying import MOST
from dirigent.memory.rights import MemoryRights
from tests.gateway.house import House, Straight, chat, house
from tests.net.providers import provider
from tests.upstream import DONE, answer, chunk, frames, streaming, whole

PATH = "/v1/chat/completions"
ECHO = {"echo": {"type": "echo", "says": "said"}, "secret": {"type": "echo"}}
SECRET = "Frau Köhler ist krank"


class Shelf:
    """An archive that everything is seen in."""

    def __init__(self) -> None:
        self.said: list[Said] = []

    def keep(self, said: Said) -> None:
        self.said.append(said)


def rules(days: int, *allowances: Allowance) -> MemoryRights:
    kept = Purpose("general", models=("*",), denied=("secret",), retention=Retention(bodies=days))
    return MemoryRights(
        Rules(
            tenants=(TenantRule("acme"),),
            projects=(ProjectRule("acme", "sales"),),
            purposes=(PurposeRule("acme", kept), PurposeRule("acme", Purpose("nothing", models=("*",)))),
            keys=(KeyRule("a", b"a", "acme", "sales", purposes=("general", "nothing")),),
            allowances=tuple(AllowanceRule("acme", each) for each in allowances),
        )
    )


ANNA = Principal("acme", "sales", "a", purposes=("general", "nothing"))


@asynccontextmanager
async def keeping(
    models: dict[str, Any], port: int = 0, days: int = 30, http: Http | None = None
) -> AsyncIterator[tuple[House, Shelf]]:
    providers = {"up": {"type": "compatible", "base_url": f"http://127.0.0.1:{port}/v1"}} if port else {}
    shelf = Shelf()
    async with house(models, providers, rights=rules(days), archive=shelf, anna=ANNA, http=http) as node:
        yield node, shelf


async def test_what_is_asked_and_answered_is_kept_with_whom_it_is_about() -> None:
    async with keeping(ECHO) as (node, shelf):
        asked = chat("echo")
        _, headers, body = await node.raw("POST", PATH, asked, x_dirigent_subject="Sabine")

    (said,) = shelf.said
    assert (said.tenant, said.days, said.subject) == ("acme", 30, "Sabine")
    assert said.run == headers["x-dirigent-run"]
    assert b"hello there" in said.asked
    assert said.answered == body


async def test_a_stream_is_kept_as_it_was_sent() -> None:
    async with keeping(ECHO) as (node, shelf):
        _, _, body = await node.raw("POST", PATH, chat("echo", stream=True))

    assert shelf.said[0].answered == body


async def test_nothing_is_kept_for_a_purpose_that_keeps_nothing() -> None:
    async with keeping(ECHO) as (node, shelf):
        await node.raw("POST", PATH, chat("echo"), x_dirigent_purpose="nothing")
    async with keeping(ECHO, days=0) as (node, other):
        await node.raw("POST", PATH, chat("echo"))

    assert (shelf.said, other.said) == ([], [])


@pytest.mark.parametrize("stream", [False, True])
async def test_the_straight_way_hands_its_bytes_over(stream: bool) -> None:  # noqa: FBT001
    straight = Straight()
    events = frames(chunk({"role": "assistant"}), chunk({"content": "Guten Tag"}), chunk(finish="stop"))
    manner = streaming(events, DONE) if stream else whole(answer("from there"))
    models = {"m": {"type": "deployment", "provider": "up", "name": "n"}}
    async with provider(manner) as up, keeping(models, up.origin.port, http=straight) as (node, shelf):
        bodies = [(await node.raw("POST", PATH, chat("m", stream=stream)))[2] for _ in range(3)]

    assert straight.sent == 2  # the first one opens the connection
    assert [said.answered for said in shelf.said] == bodies


async def test_of_long_texts_the_beginning_is_kept() -> None:
    async with keeping({"echo": {"type": "echo", "says": "x" * (MOST + 10)}}) as (node, shelf):
        asked = chat("echo")
        asked["messages"][0]["content"] = "y" * (MOST + 10)
        status, _, body = await node.raw("POST", PATH, asked)

    (said,) = shelf.said
    assert status == 200
    assert (len(said.asked), said.answered) == (MOST, body[:MOST])


def last_refusal(node: House) -> Refused:
    return [each for each in node.observer.observed if isinstance(each, Refused)][-1]


async def test_a_refusal_is_told_with_rule_and_purpose_and_without_a_word_of_the_text() -> None:
    async with keeping(ECHO) as (node, shelf):
        asked = chat("secret")
        asked["messages"][0]["content"] = SECRET
        status, _, _ = await node.call("POST", PATH, asked)
        told = last_refusal(node)

    assert status == 403
    assert (told.tenant, told.key, told.purpose, told.model, told.code) == (
        "acme", "a", "general", "secret", "forbidden"
    )  # fmt: skip
    assert "the purpose general denies 'secret'" in told.rule
    assert SECRET not in repr(told)
    assert shelf.said == []


@pytest.mark.parametrize(
    ("model", "headers", "code"),
    [
        (SECRET.encode().decode("latin-1"), {}, None),
        ("echo", {"x_dirigent_purpose": "Frau-Koehler"}, "purpose_required"),
        ("secret", {"x_dirigent_purpose": "nobody"}, "purpose_required"),
    ],
)
async def test_what_the_caller_made_up_stands_in_no_refusal(
    model: str, headers: dict[str, str], code: str | None
) -> None:
    async with keeping(ECHO) as (node, _):
        await node.call("POST", PATH, chat(model), **headers)
        refusals = [each for each in node.observer.observed if isinstance(each, Refused)]

    assert [each.code for each in refusals] == ([code] if code else [])
    assert "Frau" not in repr(refusals)
    assert "nobody" not in repr(refusals)


async def test_a_request_without_a_valid_key_is_told_of_nobody() -> None:
    async with keeping(ECHO) as (node, _):
        await node.call("POST", PATH, chat("echo"), "dk-mistyped")
        told = last_refusal(node)

    assert (told.tenant, told.key, told.model, told.code) == (None, None, None, "invalid_api_key")
    assert "dk-mistyped" not in repr(told)


class Late:
    """Keys of which one is heard of only when somebody asks again; and how often that was."""

    def __init__(self) -> None:
        self.known: dict[bytes, Principal] = {}
        self.asked = 0

    def principal(self, given: bytes) -> Principal | None:
        return self.known.get(given)

    async def catch_up(self) -> None:
        self.asked += 1
        self.known[digest(NEW.encode())] = ANNA


NEW = "dk-" + "n" * 43
OTHER = "dk-" + "o" * 43


@pytest.mark.parametrize(("key", "status", "asked"), [(NEW, 200, 1), (OTHER, 401, 1), ("dk-mistyped", 401, 0)])
async def test_before_a_key_is_refused_that_could_be_new_the_worker_hears_of_what_has_changed(
    key: str, status: int, asked: int
) -> None:
    late = Late()
    async with house(ECHO, rights=rules(0), keys=Keys(late), catch_up=late.catch_up) as node:
        answers = [await node.call("POST", PATH, chat("echo"), key), await node.call("GET", "/v1/models", None, key)]

    assert [each[0] for each in answers] == [status, status]
    assert late.asked == asked * (1 if status == 200 else 2)
