"""Conditions over features: the first that holds decides."""

from __future__ import annotations

import pytest

from dirigent.core.expression import ExpressionFault
from dirigent.core.registry import Reader
from dirigent.models.strategies import STRATEGIES
from dirigent.models.strategies.rules import Rule, Rules
from dirigent.models.strategies.strategy import Strategy
from tests.models.strategies.world import question

NAMES = ("small", "coder", "lawyer")
RULES = Rules(
    rules=(
        Rule(when="code > 0.3 or specialist_field == 'technology'", use="coder"),
        Rule(when="specialist_field == 'law' and language == 'de'", use=("lawyer", "coder")),
    )
)


async def test_the_first_rule_that_holds_says_who_comes_first() -> None:
    ranking = await RULES.order(question("Ist diese Klausel im Mietvertrag wirksam?", NAMES))

    assert ranking.order == ("lawyer", "coder", "small")
    assert ranking.reason == "rule 2 holds: specialist_field == 'law' and language == 'de'"
    assert [(rule["holds"], rule["saw"]) for rule in ranking.details["rules"]] == [
        (False, {"code": 0.0, "specialist_field": "law"}),
        (True, {"specialist_field": "law", "language": "de"}),
    ]


async def test_where_no_rule_holds_the_configuration_decides() -> None:
    ranking = await RULES.order(question("Guten Morgen", NAMES))

    assert ranking.order == NAMES
    assert ranking.reason == "no rule holds, so small comes first as written"


async def test_a_rule_whose_candidates_are_ruled_out_is_passed_over() -> None:
    ranking = await RULES.order(question("Why does this SQL query deadlock the database?", ("small", "lawyer")))

    assert ranking.order == ("small", "lawyer")
    assert ranking.reason == "no rule that holds names a candidate that can take this, so small comes first"


async def test_rules_see_the_purpose_and_the_priority() -> None:
    rules = Rules(rules=(Rule(when="purpose == 'hiring' and priority != 'bulk'", use="lawyer"),))

    assert (await rules.order(question(candidates=NAMES, purpose="hiring"))).order[0] == "lawyer"
    assert (await rules.order(question(candidates=NAMES, purpose="hiring", priority="bulk"))).order[0] == "small"
    assert (await rules.order(question(candidates=NAMES))).order[0] == "small"


def test_a_rule_that_uses_a_stranger_is_a_fault_at_its_place() -> None:
    faults = {fault.dotted(): fault.message for fault in RULES.faults(("small", "coder", "lawer"))}

    assert faults == {"rules[1].use": "'lawyer' is no candidate of this router; did you mean 'lawer'?"}


def test_a_condition_with_an_unknown_name_is_refused_with_the_nearest_feature() -> None:
    with pytest.raises(ExpressionFault, match="there is no `wrods`; did you mean 'words'"):
        Rule(when="wrods > 3", use="small")


def test_a_configuration_names_each_faulty_rule_with_its_place() -> None:
    raw = {
        "type": "rules",
        "rules": [
            {"when": "words >", "use": "small"},
            {"when": "words > 1", "use": ["a", "b"]},
            {"when": "tools = 1", "use": "small"},
        ],
    }

    found, faults = Reader([STRATEGIES]).read(Strategy, raw, ("models", "auto", "strategy"))

    assert found is None
    assert [fault.dotted() for fault in faults] == [
        "models.auto.strategy.rules[0]",
        "models.auto.strategy.rules[2]",
    ]
    assert faults[0].message.startswith("1:8: expected a value, found the end")
