"""What holds for every kind of strategy."""

from __future__ import annotations

from collections.abc import Coroutine
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.errors import Finding
from dirigent.core.messages import Image, Message, Text, Tool
from dirigent.core.registry import Kind
from dirigent.core.usage import Price
from dirigent.memory import MemoryVitals
from dirigent.models.strategies import STRATEGIES
from dirigent.models.strategies.strategy import Question, Ranking, Strategy
from tests.models.strategies.world import question
from tests.world import READER

NAMES = ("a", "b", "c", "d", "e")
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "fixed": [{}],
    "weighted": [{"weights": {"a": 3, "c": 1}}, {"weights": {"b": 1}, "together": "conversation"}],
    "cheapest": [{}],
    "fastest": [{}, {"explore": 0.5, "until": "first_token"}],
    "rules": [{"rules": [{"when": "words > 3", "use": ["c", "a"]}, {"when": "tools > 0", "use": "e"}]}],
    "complexity": [{}, {"tiers": [["a", "b"], ["c", "d", "e"]], "thresholds": [0.1]}],
    "least_busy": [{}, {"capacity": {"a": 4}}],
    "cascade": [{"verify": ["structure", {"type": "agreement", "samples": 2}]}],
    "domain": [{"subjects": {"law": "b", "technology": "c"}, "otherwise": "a", "encoder": False}],
}
"""Configurations of each kind, for a router with these candidates."""

every_strategy = pytest.mark.parametrize(
    "settings",
    [{"type": kind, **settings} for kind in sorted(STRATEGIES.kinds) for settings in EXAMPLES.get(kind, [])],
    ids=lambda settings: f"{settings['type']}-{len(settings)}",
)

able = some.lists(some.sampled_from(NAMES), min_size=1, unique=True)
prices = some.dictionaries(
    some.sampled_from(NAMES),
    some.builds(
        Price,
        some.none() | some.decimals(0, 100, places=3),
        some.none() | some.decimals(0, 100, places=3),
        currency=some.sampled_from(["USD", "EUR"]),
    ),
)


@some.composite
def questions(draw: some.DrawFn) -> Question:
    """A question to any of the candidates, with all that may or may not be known of them."""
    vitals = MemoryVitals()
    for name in draw(some.lists(some.sampled_from(NAMES), max_size=3)):
        vitals.succeeded(name, draw(some.floats(0, 9)), 9.0, draw(some.none() | some.integers(0, 900)))
    image = Message("user", (Text("see"), Image("data:,")))
    return question(
        draw(some.text(max_size=200) | some.sampled_from(["def f(x): return x", "Wie kündige ich den Mietvertrag?"])),
        draw(able),
        prices=draw(prices),
        vitals=vitals,
        run=draw(some.text("abc", max_size=3)),
        sticky=draw(some.none() | some.text(max_size=3)),
        tools=tuple(Tool(f"f{number}") for number in range(draw(some.integers(0, 2)))),
        said=[image] if draw(some.booleans()) else [],
    )


def strategy(settings: dict[str, Any]) -> Strategy:
    kind, faults = READER.read(Strategy, settings, ())
    assert kind is not None, faults
    return kind


def at_once(order: Coroutine[Any, Any, Ranking]) -> Ranking:
    """The ranking of a strategy that waits for nothing."""
    try:
        order.send(None)
    except StopIteration as stop:
        ranking: Ranking = stop.value
        return ranking
    order.close()
    raise AssertionError("the strategy waited for something")


def test_every_kind_has_an_example_here() -> None:
    assert EXAMPLES.keys() == STRATEGIES.kinds.keys()


@every_strategy
@given(asked=questions())
def test_it_orders_the_candidates_and_neither_invents_nor_drops_one(settings: dict[str, Any], asked: Question) -> None:
    ranking = at_once(strategy(settings).order(asked))

    assert sorted(ranking.order) == sorted(asked.candidates)
    assert ranking.reason
    assert "\n" not in ranking.reason
    assert ranking.quality.keys() <= set(asked.candidates)
    assert msgspec.json.encode(ranking.explained())


@every_strategy
@given(asked=questions())
def test_the_same_question_has_the_same_answer(settings: dict[str, Any], asked: Question) -> None:
    again = Question(asked.request, asked.run, asked.candidates)

    once, twice = at_once(strategy(settings).order(asked)), at_once(strategy(settings).order(again))

    assert (once.order, once.reason) == (twice.order, twice.reason)


@every_strategy
def test_a_fitting_configuration_has_no_faults_and_another_routers_does_not_raise(settings: dict[str, Any]) -> None:
    assert list(strategy(settings).faults(NAMES)) == []
    assert all(isinstance(fault, Finding) for fault in strategy(settings).faults(("x",)))


@every_strategy
def test_its_configuration_survives_a_round_trip_through_json(settings: dict[str, Any]) -> None:
    kind = strategy(settings)

    assert strategy(msgspec.json.decode(msgspec.json.encode(written_out(kind)))) == kind


def written_out(value: Any) -> Any:
    """A kind as a configuration has it, and whatever stands within it."""
    if isinstance(value, tuple):
        return [written_out(each) for each in value]
    if not isinstance(value, Kind):
        return msgspec.to_builtins(value)
    fields = {field.encode_name: written_out(getattr(value, field.name)) for field in msgspec.structs.fields(value)}
    return {"type": value.type_name(), **fields}


@every_strategy
def test_an_unknown_setting_is_refused(settings: dict[str, Any]) -> None:
    kind, faults = READER.read(Strategy, settings | {"nonsense": Decimal(1)}, ("strategy",))

    assert kind is None
    assert [fault.path for fault in faults] == [("strategy", "nonsense")]


@pytest.mark.parametrize("kind", sorted(STRATEGIES.kinds))
def test_it_says_what_it_does(kind: str) -> None:
    registered: type[Kind] = STRATEGIES.kinds[kind]

    assert len(registered.help()) > 40
