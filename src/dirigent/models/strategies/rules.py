"""Conditions that the operator writes: the first that holds decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

from dirigent.core import expression
from dirigent.core.errors import Finding
from dirigent.core.expression import Expression
from dirigent.core.registry import nearest
from dirigent.models.features import NAMES
from dirigent.models.strategies.strategy import Question, Ranking, Strategy

__all__ = ["Rule", "Rules"]

_NAMES: Final = NAMES | {"priority", "purpose"}


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition and the candidates that come first where it holds."""

    when: str
    """An expression over the features of the request, its `purpose` and its `priority`: `words > 200 or code > 0.3`."""
    use: str | tuple[str, ...]
    """The candidate, or several in order of preference."""

    def __post_init__(self) -> None:
        _read(self.when)

    @property
    def names(self) -> tuple[str, ...]:
        """The candidates to use, in order."""
        return (self.use,) if isinstance(self.use, str) else self.use


class Rules(Strategy, frozen=True):
    """Go through the rules from the top: the first whose condition holds says who comes first.

    The candidates that it does not name follow in the order of the configuration, as they do where no rule holds. A
    rule whose candidates are all ruled out for this request is passed over.
    """

    at_once: ClassVar[bool] = True

    rules: Annotated[tuple[Rule, ...], Meta(min_length=1)]
    """The rules, first match wins."""

    async def order(self, question: Question) -> Ranking:
        """The candidates of the first rule that holds, then the others."""
        scope = msgspec.structs.asdict(question.features)
        scope |= {"purpose": question.run.purpose, "priority": question.run.priority}
        tried: list[Mapping[str, Any]] = []
        for place, rule in enumerate(self.rules, 1):
            condition = _read(rule.when)
            able = [name for name in rule.names if name in question.candidates]
            holds = condition.holds(scope)
            saw = {name: scope[name] for name in sorted(condition.names)}
            tried.append({"when": rule.when, "holds": holds, "saw": saw, "able": able})
            if holds and able:
                rest = (name for name in question.candidates if name not in able)
                return Ranking((*able, *rest), f"rule {place} holds: {rule.when}", details={"rules": tried})
        reason = f"no rule holds, so {question.candidates[0]} comes first as written"
        if any(one["holds"] for one in tried):
            reason = f"no rule that holds names a candidate that can take this, so {question.candidates[0]} comes first"
        return Ranking(question.candidates, reason, details={"rules": tried})

    def faults(self, candidates: Sequence[str]) -> Iterable[Finding]:
        """Rules that use what is no candidate."""
        for place, rule in enumerate(self.rules):
            for name in rule.names:
                if name not in candidates:
                    message = f"{name!r} is no candidate of this router{nearest(name, candidates)}"
                    yield Finding(("rules", place, "use"), message)


@lru_cache(maxsize=4_096)
def _read(source: str) -> Expression:
    # Kinds are frozen and hold settings alone, so what was read is kept here: once for each text.
    return expression.compile(source, _NAMES)
