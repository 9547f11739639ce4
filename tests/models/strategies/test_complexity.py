"""A score that can be followed by hand, and tiers from weak to strong."""

from __future__ import annotations

import pytest

from dirigent.core.messages import Tool
from dirigent.core.registry import Reader
from dirigent.models.features import Demands
from dirigent.models.strategies import STRATEGIES
from dirigent.models.strategies import complexity as module
from dirigent.models.strategies.complexity import Complexity, Weights
from dirigent.models.strategies.strategy import Strategy
from tests.models.strategies.world import question

SIMPLE = (
    "Hallo!",
    "Was ist die Hauptstadt von Österreich?",
    "Übersetze bitte: Guten Morgen",
    "Danke, das passt so.",
    "Kannst du den Termin auf Dienstag verschieben?",
    "Schreib mir einen kurzen Geburtstagsgruß für eine Kollegin.",
    "Wie spät ist es in Tokio?",
    "What colour do you get from blue and yellow?",
    "Give me a synonym for quick.",
    "Reply: yes, Thursday works.",
)
DEMANDING = (
    "Prüfe die Allgemeinen Geschäftsbedingungen auf unwirksame Klauseln und begründe jede Beanstandung.",
    "Berechne den Kapitalwert einer Investition von 250.000 Euro über 6 Jahre bei 7 % und bewerte die Abschreibung.",
    "Entwickle ein Konzept für die Einarbeitung neuer Mitarbeiter: mindestens vier Phasen, mit Zielen, als Tabelle.",
    "Analysiere, warum die Datenbankabfrage nach dem Update langsam ist, und schlage einen Index samt Migration vor.",
    "Vergleiche Leasing und Kredit für drei Maschinen, berücksichtige Steuer und Liquidität, empfiehl eine Variante.",
    "Leite die Formel für die Verteilung der Wartezeiten her und beweise, dass der Mittelwert endlich ist.",
    "Draft an indemnity clause under German law, explain each sentence, and compare it with the usual US wording.",
    "Refactor this recursive function into an iterative one, prove it terminates, and write unit tests for edge cases.",
    "Design a retention campaign for churned customers: segments, budget for 3 months, KPIs, and justify the mix.",
    "Evaluate the differential diagnosis for acute chest pain with elevated troponin and explain which tests to order.",
)


async def test_the_score_is_the_sum_of_the_contributions_that_are_shown() -> None:
    text = "Vergleiche die Haftung im Mietvertrag mit der im Kaufvertrag und begründe die Unterschiede."

    details = (await Complexity().order(question(text))).explained()

    assert details["contributions"]["tasks"] == round(0.35 * 2 / 3, 3)
    assert details["score"] == pytest.approx(sum(details["contributions"].values()), abs=0.005)


@pytest.mark.parametrize("text", SIMPLE)
async def test_a_simple_request_goes_to_the_weak_tier(text: str) -> None:
    assert (await Complexity().order(question(text))).order == ("small", "large")


@pytest.mark.parametrize("text", DEMANDING)
async def test_a_demanding_request_goes_to_the_strong_tier(text: str) -> None:
    ranking = await Complexity().order(question(text))

    assert ranking.order == ("large", "small"), ranking


async def test_stronger_tiers_stand_in_before_weaker_ones() -> None:
    tiers = Complexity(tiers=(("a1", "a2"), ("b",), ("c",)), thresholds=(0.05, 0.9))

    ranking = await tiers.order(question(DEMANDING[0], ("a2", "b", "c", "a1")))

    assert ranking.order == ("b", "c", "a1", "a2")
    assert ranking.explained()["tier"] == 2


async def test_a_tier_that_is_ruled_out_passes_the_request_on() -> None:
    tiers = Complexity(tiers=(("a",), ("b",), ("c",)), thresholds=(0.05, 0.9))

    up = await tiers.order(question(DEMANDING[0], ("a", "c")))
    down = await tiers.order(question(DEMANDING[0], ("a",)))

    assert up.order == ("c", "a")
    assert down.order == ("a",)


async def test_thresholds_keep_their_tiers_where_a_candidate_is_ruled_out() -> None:
    asked = question("Begründe kurz deine Bewertung.", ("small", "large"), configured=("small", "middle", "large"))

    ranking = await Complexity(thresholds=(0.1, 0.5)).order(asked)

    assert ranking.order == ("large", "small")
    assert ranking.explained()["tier"] == 2


async def test_weights_are_settings_and_the_score_stays_between_0_and_1() -> None:
    tools = tuple(Tool(f"tool_{number}") for number in range(20))

    none = await Complexity(weights=Weights(tools=-1)).order(question(tools=tools))
    all_in = await Complexity(weights=Weights(tools=1, tasks=1, words=1)).order(
        question("compare prove derive " * 100, tools=tools)
    )

    assert none.explained()["score"] == 0.0
    assert all_in.explained()["score"] == 1.0
    assert all_in.reason == "complexity 1.00 by tools, tasks, words: tier 2 of 2, large first"


async def test_three_candidates_are_three_tiers() -> None:
    names = ("small", "middle", "large")

    assert (await Complexity().order(question(SIMPLE[0], names))).order[0] == "small"
    assert (await Complexity().order(question(DEMANDING[0], names))).order[0] == "large"
    assert (await Complexity().order(question("Begründe kurz deine Bewertung.", names))).order[0] == "middle"


@pytest.mark.parametrize(
    ("strategy", "path", "message"),
    [
        (Complexity(tiers=(("small",), ("larg",))), "tiers[1]", "'larg' is no candidate of this router"),
        (Complexity(tiers=(("small",),)), "tiers", "no tier holds large"),
        (Complexity(tiers=(("small", "large"), ("large",))), "tiers[0]", "'large' stands in several tiers"),
        (Complexity(thresholds=(0.1, 0.5)), "thresholds", "between 2 tiers stand 1 thresholds, not 2"),
        (Complexity(tiers=(("small",), ("large",)), thresholds=(0.1, 0.2)), "thresholds", "stand 1 thresholds"),
        (Complexity(tiers=(("small",), ("large",), ()), thresholds=(0.5, 0.2)), "thresholds", "must ascend"),
    ],
)
def test_settings_that_contradict_the_candidates_are_faults(strategy: Complexity, path: str, message: str) -> None:
    faults = list(strategy.faults(("small", "large")))

    assert any(fault.dotted() == path and message in fault.message for fault in faults), faults


def test_a_configuration_may_name_tiers_and_weights() -> None:
    raw = {"type": "complexity", "tiers": [["a", "b"], ["c"]], "thresholds": [0.3], "weights": {"code": 0.5}}

    found, faults = Reader([STRATEGIES]).read(Strategy, raw, ())

    assert faults == []
    assert found == Complexity(tiers=(("a", "b"), ("c",)), thresholds=(0.3,), weights=Weights(code=0.5))


def test_demands_and_weights_name_the_same_features_in_the_same_order() -> None:
    assert Demands._fields == Weights.__struct_fields__ == tuple(module._FULL)
