"""Somebody copies a configuration out of `examples/` and expects of it what its comments promise."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dirigent.models.strategies import STRATEGIES
from dirigent.server.configured import checked
from dirigent.settings import Settings
from tests.cli.terminal import performed
from tests.examples.shelf import CONFIGURATIONS, EXAMPLES, KEYS, with_own
from tests.journeys.node import Node, node
from tests.journeys.upstream import Manners, upstream
from tests.journeys.weights import give_weights

HARD = (
    "Prove that the square root of 2 is irrational, then compare two proofs and analyse where each of them uses the "
    "axioms. Give a formal derivation in at least 300 words."
)


def chat(one: Node, text: str, headers: dict[str, str] | None = None, *, key: str = "", **fields: Any) -> str:
    """Who answers `text`, by the header of the answer."""
    body = {"model": "auto", "messages": [{"role": "user", "content": text}], "max_tokens": 16, **fields}
    answer = one.call("POST", "/v1/chat/completions", body, headers, key)
    assert answer.status == 200, answer.body
    return answer.headers["x-dirigent-model"]


def key_for(one: Node, purpose: str) -> str:
    """A key for a purpose that is registered first."""
    told(one, "purposes", "register", purpose, "--model", "*")
    return one.hears_of(told(one, "keys", "issue", "--project", "default", "--purpose", purpose)["key"])


def told(one: Node, *words: str) -> Any:
    """What a command answers."""
    done = performed(*words, "--data", one.data, "--json")
    assert done.status == 0, done.err
    return json.loads(done.out)


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda file: file.stem)
def test_a_configuration_passes_the_check_as_it_stands(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)

    _, catalog = checked(Settings(config=file))

    assert "auto" in catalog.models


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda file: file.stem)
def test_a_configuration_stands_in_the_list_that_readers_begin_with(file: Path) -> None:
    assert f"]({file.name})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_every_strategy_has_an_example() -> None:
    text = "\n".join(file.read_text(encoding="utf-8") for file in CONFIGURATIONS)

    missing = [name for name in STRATEGIES.kinds if f"type: {name}" not in text and f"strategy: {name}" not in text]

    assert missing == []


def test_the_local_example_answers_from_this_machine(tmp_path: Path) -> None:
    give_weights(tmp_path)
    with node(tmp_path, with_own(EXAMPLES / "01_local.yaml")) as one:
        answer = one.chat(text="Name a colour.", max_tokens=8)

    assert answer.status == 200
    assert answer.json["choices"][0]["message"]["content"]
    assert answer.headers["x-dirigent-model"] == "small"
    assert answer.headers["x-dirigent-cost"] == "0 USD"


async def test_two_tiers_keep_easy_questions_at_home_and_pay_for_demanding_ones(tmp_path: Path) -> None:
    give_weights(tmp_path)
    async with upstream(Manners(says="By contradiction.")) as vendor:
        with node(tmp_path, with_own(EXAMPLES / "02_two_tiers.yaml", vendor.url), environment=KEYS) as one:
            easy = await asyncio.to_thread(one.chat, "auto", "What is the capital of France?", max_tokens=8)
            hard = await asyncio.to_thread(one.chat, "auto", HARD)

    assert [answer.headers["x-dirigent-model"] for answer in (easy, hard)] == ["small", "premium"]
    assert easy.headers["x-dirigent-cost"] == "0 USD"
    assert hard.headers["x-dirigent-cost"] == "0.0000425 USD"  # 9 tokens in at 2.50, 2 out at 10.00 per million
    assert vendor.keys == ["Bearer sk-vendor"]


async def test_the_rules_decide_from_the_top(tmp_path: Path) -> None:
    code = "```python\ndef f(x):\n    return x + 1\n```"
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    german = "Bitte fassen Sie die folgenden Sätze über unseren Ausflug an den See zusammen, es war sehr schön. " * 12
    async with upstream() as vendor:
        with node(tmp_path, with_own(EXAMPLES / "03_rules.yaml", vendor.url), environment=KEYS) as one:
            key = await asyncio.to_thread(key_for, one, "contract-review")
            said = [
                await asyncio.to_thread(chat, one, "Hello!"),
                await asyncio.to_thread(chat, one, "Hello!", {"x-dirigent-purpose": "contract-review"}, key=key),
                await asyncio.to_thread(chat, one, code, {"x-dirigent-priority": "bulk"}),
                await asyncio.to_thread(chat, one, code),
                await asyncio.to_thread(chat, one, "What is the weather?", tools=[tool]),
                await asyncio.to_thread(chat, one, german),
            ]

    assert said == ["quick", "expert", "quick", "coder", "expert", "expert"]


async def test_a_tenth_goes_to_the_canary_and_a_conversation_stays_where_it_began(tmp_path: Path) -> None:
    async with upstream() as vendor:
        with node(tmp_path, with_own(EXAMPLES / "04_weighted.yaml", vendor.url), environment=KEYS) as one:
            texts = [f"Question {number}?" for number in range(300)]
            first = [await asyncio.to_thread(chat, one, text) for text in texts]
            later = [await asyncio.to_thread(chat, one, text) for text in texts[:50]]
            vendor.manners = Manners(status=500)
            nobody = await asyncio.to_thread(one.chat)

    counted = Counter(first)
    assert set(counted) == {"stable", "canary"}
    assert 10 <= counted["canary"] <= 55  # 30 expected; which 300 conversations fall where is drawn by their words
    assert later == first[:50]
    assert nobody.status == 503
    assert [body["model"] for body in vendor.asked[-3:]][-1] == "model-2024"


async def test_subjects_go_to_those_who_are_meant_for_them(tmp_path: Path) -> None:
    async with upstream() as vendor:
        with node(tmp_path, with_own(EXAMPLES / "05_subjects.yaml", vendor.url), environment=KEYS) as one:
            said = [
                await asyncio.to_thread(chat, one, "Ist die Kündigungsklausel in diesem Arbeitsvertrag wirksam?"),
                await asyncio.to_thread(chat, one, "Fix the null pointer exception in this Java class of the backend."),
                await asyncio.to_thread(chat, one, "Welche Werbungskosten kann ich in der Steuererklärung absetzen?"),
                await asyncio.to_thread(chat, one, "Write a slogan for our new summer campaign on social media."),
            ]

    assert said == ["lawyer", "coder", "lawyer", "general"]


async def test_nested_routers_find_the_cheapest_for_everyday_work_and_the_fastest_for_the_rest(tmp_path: Path) -> None:
    async with upstream(Manners(delay=0.15)) as north, upstream() as south:
        text = with_own(EXAMPLES / "06_nested_routers.yaml", north.url, south.url)
        with node(tmp_path, text, environment=KEYS) as one:
            easy = await asyncio.to_thread(chat, one, "Hello!")
            for large in ("north-large", "south-large"):
                await asyncio.to_thread(one.chat, large)
            hard = await asyncio.to_thread(chat, one, HARD)
            explained = await asyncio.to_thread(one.explain, HARD)

    assert (easy, hard) == ("south-small", "south-large")
    assert [(each["router"], each["strategy"]) for each in explained["decisions"]] == [
        ("auto", "complexity"),
        ("expert", "fastest"),
    ]


async def test_the_next_one_answers_for_the_first_and_an_apology_for_all(tmp_path: Path) -> None:
    async with upstream(Manners(status=500)) as north, upstream(Manners(says="Here I am.")) as south:
        text = with_own(EXAMPLES / "07_fallback.yaml", north.url, south.url)
        with node(tmp_path, text, environment=KEYS) as one:
            second = await asyncio.to_thread(one.chat)
            south.manners = Manners(status=500)
            apology = await asyncio.to_thread(one.chat)

    assert second.json["choices"][0]["message"]["content"] == "Here I am."
    assert second.headers["x-dirigent-model"] == "second"
    assert "first" in second.headers["x-dirigent-route"]
    assert apology.json["choices"][0]["message"]["content"].startswith("Our models cannot be reached")


async def test_an_equal_question_is_answered_once_and_costs_nothing_again(tmp_path: Path) -> None:
    async with upstream() as vendor:
        with node(tmp_path, with_own(EXAMPLES / "10_reuse.yaml", vendor.url), environment=KEYS) as one:
            first = await asyncio.to_thread(one.chat)
            second = await asyncio.to_thread(one.chat)
            other = await asyncio.to_thread(one.chat, "auto", "And something else?")

    assert [each.headers.get("x-dirigent-cache") for each in (first, second, other)] == [None, "hit", None]
    assert [each.headers["x-dirigent-model"] for each in (first, second)] == ["auto", "auto"]
    assert second.body == first.body
    assert second.headers["x-dirigent-cost"] == "0 USD"
    assert len(vendor.asked) == 2
