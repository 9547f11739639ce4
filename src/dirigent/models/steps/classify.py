"""Which of several labels a text bears, by examples of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import exp
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from dirigent.core.errors import Finding
from dirigent.core.journal import Effect
from dirigent.core.model import Survey
from dirigent.models.filling import template_faults
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Classify"]

_SPREAD = 0.02
"""How far apart two likenesses are that make one label e times as likely as another: those of the encoder lie close
together, and this calls a lead of 0.05 clear (92 %) and one of 0.01 unsure (62 %)."""
_READ = 2_000
"""Characters of a text that are read: the encoder sees little more at once."""


class Classify(Step, frozen=True, kw_only=True):
    """Give a text one of several labels, by a few examples of each. No language model is asked.

    The text and the examples become vectors of the local encoder; the label whose examples are most alike wins. The
    result has `label`, `confidence` (0 to 1, by how far the best label leads) and `scores` (the likeness of each).
    """

    effect: ClassVar[Effect] = "pure"

    text: str
    """The text, as a template."""
    labels: Annotated[Mapping[str, Annotated[tuple[str, ...], Meta(min_length=1)]], Meta(min_length=2)]
    """Examples for each label: three or more, in every language that callers use."""
    least: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Below this confidence the label is `otherwise`."""
    otherwise: str = "unsure"
    """The label of a text that could be either."""

    async def work(self, place: Place) -> Any:
        """The label, how sure that is, and how alike each label's examples are. Raises Unavailable without encoder."""
        embedder, scope = place.run.ports.embedder, place.run.principal.tenant
        text = place.text(self.text)[:_READ]
        (asked,) = await embedder.encode([text], "query", scope)
        alike: dict[str, float] = {}
        for label, examples in self.labels.items():
            vectors = await embedder.encode(examples, "query", scope)
            alike[label] = _likeness(asked, vectors)
        ranked = sorted(alike, key=lambda label: -alike[label])
        best = ranked[0]
        confidence = 1 / sum(exp((score - alike[best]) / _SPREAD) for score in alike.values())
        label = best if confidence >= self.least else self.otherwise
        place.tell(label=label, confidence=round(confidence, 4))
        scores = {each: round(alike[each], 4) for each in ranked}
        return {"label": label, "confidence": round(confidence, 4), "nearest": best, "scores": scores}

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Labels whose examples say nothing, and a template that cannot be filled in."""
        yield from template_faults(self.text, names, ("text",))
        for label, examples in self.labels.items():
            if not all(example.strip() for example in examples):
                yield Finding(("labels", label), "an example is empty")


def _likeness(asked: Sequence[float], vectors: Sequence[Sequence[float]]) -> float:
    """How alike a text is to the examples of a label: half the nearest of them, half their mean direction.

    The mean alone overlooks a label that means several things; the nearest alone follows every odd example.
    """
    nearest = max(_product(asked, vector) for vector in vectors)
    middle = [sum(column) for column in zip(*vectors, strict=True)]
    length = sum(value * value for value in middle) ** 0.5 or 1.0
    return (nearest + _product(asked, middle) / length) / 2


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
