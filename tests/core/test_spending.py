"""What a run has used up is the sum over what stands lowest in its journal."""

from __future__ import annotations

from dirigent.core.journal import Spent, StepEnded, StepFailed, fold
from dirigent.core.spending import seconds_at, spent_in
from dirigent.core.usage import Money


def ended(path: str, cost: int, seconds: float = 1.0) -> StepEnded:
    return StepEnded(path=path, step="ask", spent=Spent(seconds=seconds, cost=Money(cost), output_tokens=cost))


def test_what_is_within_another_step_counts_once_whichever_model_asked_whom() -> None:
    state = fold(
        [
            ended("both/left/a", 1),
            ended("both/right/b", 2),
            ended("both", 3),
            ended("draft:org/inner:x/first", 4),
            ended("draft:org/inner:x/second", 5),
            ended("draft", 9),
            ended("again~2:inner/first", 6),
            StepFailed(path="again", step="ask", code="unavailable", spent=Spent(cost=Money(0))),
            ended("again", 6),
        ]
    )

    assert spent_in(state).cost == Money(18)
    assert spent_in(state).output_tokens == 18
    assert spent_in(state, "draft:org/inner:x").cost == Money(9)


def test_the_time_of_a_place_is_that_of_its_own_steps() -> None:
    state = fold(
        [ended("both/left/a", 1, 5.0), ended("both/right/b", 2, 5.0), ended("both", 3, 5.5), ended("c", 1, 2.0)]
    )

    assert seconds_at(state) == 7.5
    assert seconds_at(state, "both/left") == 5.0
