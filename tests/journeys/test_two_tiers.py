"""An operator puts a stronger model behind the local one, and wants easy questions to stay at home."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.journeys.node import Node, node
from tests.journeys.upstream import Manners, Upstream, upstream
from tests.journeys.weights import give_weights

pytestmark = pytest.mark.asyncio(loop_scope="module")
EASY = "What is the capital of France?"
HARD = (
    "Prove that the square root of 2 is irrational, then compare two proofs and analyse where each of them uses the "
    "axioms. Give a formal derivation in at least 300 words."
)
CONFIG = """\
    providers:
      local:  {{type: llama_cpp}}
      vendor: {{type: compatible, base_url: "{url}", api_key: {{env: VENDOR_KEY}}, region: eu}}
    models:
      tiny:    {{type: deployment, provider: local, name: smollm2-135m-instruct, quality: 0.3}}
      premium:
        type: deployment
        provider: vendor
        name: big-1
        quality: 0.9
        price: {{input: 2.50, output: 10.00}}
      auto: {{type: router, candidates: [tiny, premium], strategy: {{type: complexity}}}}
    """


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tiers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Node, Upstream]]:
    """A node with both tiers, and the stronger one."""
    data = tmp_path_factory.mktemp("tiers") / "data"
    give_weights(data)
    async with upstream(Manners(says="By contradiction.")) as premium:
        with node(data, CONFIG.format(url=premium.url), environment={"VENDOR_KEY": "sk-vendor"}) as one:
            yield one, premium


@pytest.fixture
def one(tiers: tuple[Node, Upstream]) -> Node:
    return tiers[0]


@pytest.fixture
def premium(tiers: tuple[Node, Upstream]) -> Upstream:
    """The stronger one, which this test has not asked yet."""
    tiers[1].asked.clear()
    tiers[1].keys.clear()
    return tiers[1]


async def test_easy_and_hard_questions_go_different_ways_and_each_costs_what_it_costs(
    one: Node, premium: Upstream
) -> None:
    explained = [await asyncio.to_thread(one.explain, text) for text in (EASY, HARD)]
    nobody_asked = list(premium.asked)
    easy = await asyncio.to_thread(one.chat, "auto", EASY, max_tokens=8)
    hard = await asyncio.to_thread(one.chat, "auto", HARD, max_tokens=8)

    assert [each["deployment"] for each in explained] == ["tiny", "premium"]
    assert nobody_asked == []
    assert [answer.headers["x-dirigent-model"] for answer in (easy, hard)] == ["tiny", "premium"]
    assert easy.headers["x-dirigent-cost"] == "0 USD"
    assert hard.headers["x-dirigent-cost"] == "0.0000425 USD"  # 9 tokens in at 2.50, 2 out at 10.00 per million
    assert hard.json["choices"][0]["message"]["content"] == "By contradiction."
    assert [body["model"] for body in premium.asked] == ["big-1"]
    assert premium.keys == ["Bearer sk-vendor"]


async def test_an_explanation_tells_everything_that_the_decision_rests_on(one: Node) -> None:
    explained = await asyncio.to_thread(one.explain, HARD)

    assert {"model", "deployment", "reason", "features", "candidates", "microseconds"} <= set(explained)
    assert explained["features"]["maths"] > 0
    assert {"name", "quality", "cost", "latency", "verdict"} <= set(explained["candidates"][0])
    assert [(each["name"], each["verdict"]) for each in explained["candidates"]] == [
        ("premium", "chosen"),
        ("tiny", "fallback 1"),
    ]
    assert explained["candidates"][0]["cost"].endswith(" USD")
    assert 0 < explained["microseconds"] < 60_000_000


async def test_a_request_that_the_small_model_cannot_take_goes_to_the_one_that_can(one: Node) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}

    with_tools = await asyncio.to_thread(one.chat, "auto", EASY, tools=[tool])
    too_long = await asyncio.to_thread(one.chat, "auto", "word " * 5_000)

    assert with_tools.headers["x-dirigent-model"] == "premium"
    assert too_long.headers["x-dirigent-model"] == "premium"
