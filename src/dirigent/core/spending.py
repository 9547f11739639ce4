"""What a run has used up by all that was written down of it, whichever processes it went through."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dirigent.core.journal import Spent, State, StepEnded, StepFailed
from dirigent.core.usage import Money

__all__ = ["seconds_at", "spent_in"]

_TRY = re.compile(r"~\d+$")
"""What the paths of a further try at a step, and of a model that is asked once more, end with."""


def spent_in(state: State, place: str = "") -> Spent:
    """What was used up at a place and below it: the sum over the steps that have no further steps in them."""
    told: list[StepEnded | StepFailed] = [*state.steps.values()]
    for failures in state.failures.values():
        told += failures
    if place:
        told = [each for each in told if each.path.startswith(f"{place}/")]
    outer = {path for each in told for path in _above(each.path)}
    seconds, tokens_in, tokens_out, attempts = 0.0, 0, 0, 0
    cost: Money | None = None
    deployment, reason, unpriced = None, None, False
    of_models: dict[str, int] = {}
    for each in told:
        if each.path in outer:
            continue
        spent = each.spent
        seconds += spent.seconds
        tokens_in += spent.input_tokens
        tokens_out += spent.output_tokens
        attempts += spent.attempts
        deployment, reason = spent.deployment or deployment, spent.reason or reason
        unpriced = unpriced or spent.unpriced
        for id, amount in spent.of_models.items():  # noqa: A001
            of_models[id] = of_models.get(id, 0) + amount
        if spent.cost is not None:
            if cost is not None and cost.currency != spent.cost.currency:
                unpriced = True
            else:
                cost = spent.cost if cost is None else cost + spent.cost
    return Spent(
        seconds=seconds,
        deployment=deployment,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cost=cost,
        unpriced=unpriced,
        attempts=attempts,
        reason=reason,
        of_models=of_models,
    )


def seconds_at(state: State, place: str = "") -> float:
    """Seconds that the steps of one place took, one after the other; what went on within them at once counts once."""
    start = f"{place}/" if place else ""
    return sum(
        step.spent.seconds
        for path, step in state.steps.items()
        if path.startswith(start) and "/" not in path[len(start) :] and ":" not in path[len(start) :]
    )


def _above(path: str) -> Iterator[str]:
    """The steps within which a step stands, those of the models that ask each other included."""
    while (cut := max(path.rfind("/"), path.rfind(":"))) > 0:
        path = path[:cut]
        yield path
        if (first := _TRY.sub("", path)) != path:
            yield first
