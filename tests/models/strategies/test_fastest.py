"""The shortest expected time first, and a measured curiosity."""

from __future__ import annotations

from dirigent.memory import MemoryVitals
from dirigent.models.strategies.fastest import Fastest
from tests.models.strategies.world import question


async def test_the_whole_answer_counts_unless_the_first_token_is_asked_for() -> None:
    vitals = MemoryVitals()
    vitals.succeeded("eager", first_token=0.1, seconds=10.1, output_tokens=100)
    vitals.succeeded("steady", first_token=0.5, seconds=1.5, output_tokens=100)
    asked = question(candidates=("eager", "steady"), vitals=vitals)

    whole, first = await Fastest().order(asked), await Fastest(until="first_token").order(asked)

    assert whole.order == ("steady", "eager")
    assert first.order == ("eager", "steady")
    assert first.reason == "eager is expected to need 0.10 s to its first token, the least of all measured"


async def test_before_anything_is_measured_the_configuration_decides() -> None:
    ranking = await Fastest(explore=0.5).order(question())

    assert ranking.order == ("small", "large")
    assert ranking.reason == "nothing was measured yet, so small comes first as written"


async def test_the_unmeasured_come_last_save_for_the_share_that_explores() -> None:
    vitals = MemoryVitals()
    vitals.succeeded("known", first_token=0.2, seconds=1.0, output_tokens=50)
    strategy = Fastest(explore=0.1)

    rankings = [
        await strategy.order(question(candidates=("new", "known"), vitals=vitals, run=f"run-{number}"))
        for number in range(2_000)
    ]

    explored = sum(ranking.order == ("new", "known") for ranking in rankings)
    assert 150 < explored < 250  # 200 expected, and chance strays by 13.4: this is 3.7 of them to either side
    assert {ranking.order for ranking in rankings} == {("new", "known"), ("known", "new")}


async def test_one_run_always_explores_the_same() -> None:
    vitals = MemoryVitals()
    vitals.succeeded("known", first_token=0.2, seconds=1.0, output_tokens=50)
    asked = question(candidates=("new", "known", "newer"), vitals=vitals)

    assert {(await Fastest(explore=0.5).order(asked)).order for _ in range(20)} == {
        (await Fastest(explore=0.5).order(asked)).order
    }


async def test_those_that_need_a_fifth_longer_at_most_are_about_as_good() -> None:
    vitals = MemoryVitals()
    for name, seconds in (("a", 1.0), ("b", 1.15), ("c", 1.3)):
        vitals.succeeded(name, seconds, seconds, None)

    ranking = await Fastest(until="first_token", explore=0).order(
        question(candidates=("a", "b", "c", "d"), vitals=vitals)
    )

    assert ranking.close == ("a", "b")
