"""A fault of our own on the straight way ends as on the general one: the caller is told, and the node serves on."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from dirigent.core.allowances import Allowance
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.gateway import express
from dirigent.memory import MemoryObserver
from dirigent.memory.ledger import MemoryLedger
from dirigent.models.passage import Passage
from dirigent.net.flow import Flow
from tests.gateway.house import chat, house, until
from tests.gateway.test_governed import ANNA, rules
from tests.net.providers import provider
from tests.upstream import DONE, answer, chunk, frames, streaming, whole

PATH = "/v1/chat/completions"
MODELS = {"m": {"type": "deployment", "provider": "up", "name": "m"}}


def _stumbles(*_: Any, **__: Any) -> NoReturn:
    raise ZeroDivisionError("our own fault")


def _at(port: int) -> dict[str, Any]:
    return {"up": {"type": "compatible", "base_url": f"http://127.0.0.1:{port}/v1"}}


@pytest.mark.parametrize(
    ("owner", "name"), [(Passage, "head"), (Passage, "piece"), (Passage, "end"), (OpenAIChat, "writer")]
)
async def test_a_fault_of_our_own_within_a_stream_is_told_to_its_caller(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = frames(chunk({"role": "assistant"}), chunk({"content": "Guten Tag"}), chunk(finish="stop"))
    async with provider(streaming(events, DONE)) as up, house(MODELS, _at(up.origin.port)) as node:
        await node.raw("POST", PATH, chat("m", stream=True))  # opens the connection that the straight way takes
        with monkeypatch.context() as fault:
            fault.setattr(owner, name, _stumbles)
            status, _, body = await node.raw("POST", PATH, chat("m", stream=True))
        again, _, whole_again = await node.raw("POST", PATH, chat("m", stream=True))

    assert status == 500 or b'"error"' in body
    assert b"something went wrong on our side" in body
    assert b"ZeroDivisionError" not in body
    assert (again, whole_again.endswith(DONE)) == (200, True)
    assert [each.status for each in node.noted][0::2] == [200, 200]


@pytest.mark.parametrize(("owner", "name"), [(Passage, "head"), (Passage, "whole"), (express, "head_of_answer")])
async def test_a_fault_of_our_own_over_a_whole_answer_is_told_to_its_caller(
    owner: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with provider(whole(answer())) as up, house(MODELS, _at(up.origin.port)) as node:
        await node.raw("POST", PATH, chat("m"))
        with monkeypatch.context() as fault:
            fault.setattr(owner, name, _stumbles)
            status, _, body = await node.call("POST", PATH, chat("m"))
        again, _, _ = await node.call("POST", PATH, chat("m"))

    assert (status, again) == (500, 200)
    assert "something went wrong on our side" in body["error"]["message"]


async def test_a_stream_whose_caller_was_too_slow_for_it_and_goes_is_presumed_to_be_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paused: list[Flow] = []
    pause = Flow.pause

    def noted(flow: Flow) -> None:
        paused.append(flow)
        pause(flow)

    monkeypatch.setattr(Flow, "pause", noted)
    priced = {"m": {**MODELS["m"], "price": {"input": 1, "output": 1}, "max_output": 10**9}}
    budget = Allowance("b", "project", "sales", "money", 10**15, currency="USD", tenant="acme")
    ledger = MemoryLedger(MemoryObserver())
    said = frames(chunk({"content": "x" * 60_000}))
    async with (
        provider(streaming(*[said] * 300)) as up,
        house(priced, _at(up.origin.port), rights=rules(0, budget), anna=ANNA, ledger=ledger) as node,
    ):
        await node.raw("POST", PATH, chat("m", stream=True))  # opens the connection that the straight way takes
        heard = await node.open("POST", PATH, chat("m", stream=True))
        await until(lambda: paused)  # the provider has sent more than anybody reads
        heard.close()
        await until(lambda: not ledger.standing(budget).reserved)

    assert ledger.standing(budget).presumed >= 10**9 * 1_000
