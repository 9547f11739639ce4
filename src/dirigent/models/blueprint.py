"""What can be told of steps before they are walked: whom they ask, whether they wait, what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from dirigent.core.errors import Finding
from dirigent.core.model import Mention, Survey
from dirigent.models.filling import expression_faults
from dirigent.models.schemas import fields_of
from dirigent.models.steps.step import RESERVED, Names, Step, names_after

__all__ = ["RUN", "all_of", "input_names", "mentions_of", "needs_durability", "paths_of", "step_at", "step_faults"]

Path = tuple[str | int, ...]
RUN: Final = frozenset({"run.id", "run.model", "run.purpose", "run.priority", "run.tenant", "run.project"})
"""What steps see of their run."""
_STRANGER: Final = re.compile(r"there is no `([a-z][a-z0-9_]*)")


def all_of(steps: Sequence[Step], path: Path) -> Iterator[tuple[Path, Step]]:
    """Every step with its path, those within others after them."""
    for place, step in enumerate(steps):
        here = (*path, place)
        yield here, step
        for below, inner, _ in step.within():
            yield from all_of(inner, (*here, *below))


def mentions_of(steps: Sequence[Step], path: Path) -> Iterator[Mention]:
    """Every model that any of the steps may ask."""
    for here, step in all_of(steps, path):
        yield from (((*here, *below), name) for below, name in step.mentions())


def needs_durability(steps: Sequence[Step], survey: Survey) -> str | None:
    """Why a run of these steps has to outlive its process, in words; None where it need not."""
    for _, step in all_of(steps, ()):
        if step.waits():
            return f"the step {step.name!r} waits"
        if step.effect_of() == "once":
            return f"the step {step.name!r} must not happen twice"
        for _, name in step.mentions():
            if survey.profile(name).durable:
                return f"the step {step.name!r} asks {name!r}, which is durable"
    return None


def input_names(schema: Mapping[str, Any] | None) -> Names:
    """What steps can read of the input."""
    if schema is None:
        return frozenset({"input.text", "input.messages"})
    return frozenset(f"input.{field}" for field in fields_of(schema)) or frozenset({"input"})


def step_at(steps: Sequence[Step], path: str) -> Step | None:
    """The step at a path of names such as `review/grade`, each within the one before; None where there is none."""
    name, _, rest = path.partition("/")
    for step in steps:
        if step.name == name:
            if not rest:
                return step
            return next((found for _, inner, _ in step.within() if (found := step_at(inner, rest)) is not None), None)
    return None


def paths_of(steps: Sequence[Step], above: str = "") -> Iterator[str]:
    """The path of names of every step."""
    for step in steps:
        path = f"{above}/{step.name}" if above else step.name
        yield path
        for _, inner, _ in step.within():
            yield from paths_of(inner, path)


def step_faults(
    steps: Sequence[Step], path: Path, names: Names, survey: Survey, later: Names = frozenset()
) -> Iterator[Finding]:
    """What is wrong with steps that see `names`; `later` are those of steps that stand after all of them."""
    yield from _Check(survey).of(steps, path, names, later)


class _Check:
    """Walks steps without walking them."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey

    def of(self, steps: Sequence[Step], path: Path, names: Names, later: Names) -> Iterator[Finding]:
        taken = {name.partition(".")[0] for name in names}
        for place, step in enumerate(steps):
            here = (*path, place)
            coming = later | {other.name for other in steps[place:]}
            if step.name in RESERVED:
                yield Finding((*here, "name"), f"no step may be called {step.name!r}: it stands for something else")
            elif step.name in taken:
                yield Finding((*here, "name"), f"{step.name!r} stands for something else here already")
            for fault in self._one(step, names, coming):
                yield Finding((*here, *fault.path), _told(fault.message, coming - taken, step.name))
            taken.add(step.name)
            names = names_after((step,), names)

    def _one(self, step: Step, names: Names, later: Names) -> Iterator[Finding]:
        yield from expression_faults(step.when, names, ("when",))
        if step.reuse and step.effect_of() == "once":
            yield Finding(("reuse",), "what must not happen twice has to happen: its result is never given again")
        yield from step.faults(self._survey, names)
        for below, inner, added in step.within():
            yield from self.of(inner, below, names | added, later)


def _told(message: str, later: Iterable[str], own: str) -> str:
    """The fault in words that say so where a step reads what is not there yet."""
    found = _STRANGER.search(message)
    if found is None or found[1] not in later:
        return message
    what = "the step itself" if found[1] == own else "a step that stands later"
    first, _, rest = message.partition("\n")
    place = first.partition(": ")[0]
    return f"{place}: `{found[1]}` is the result of {what}, and is not there yet\n{rest}"
