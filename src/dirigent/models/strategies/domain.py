"""By what the text is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import perf_counter
from typing import Annotated, Any

from msgspec import Meta

from dirigent.core.errors import Finding, TimedOut, Unavailable
from dirigent.core.messages import Request
from dirigent.core.registry import nearest
from dirigent.core.subjects import SUBJECTS, Reading
from dirigent.models.strategies.strategy import Question, Ranking, Strategy

__all__ = ["Domain"]

_ENOUGH = 200
"""Letters of the caller's own words that tell a subject; for a shorter last message the ones before it are read too."""
_FEWEST = 3
"""Examples without which a subject of the operator's own is guesswork."""


class Domain(Strategy, frozen=True):
    """Ask the candidate that is meant for the subject of the text, in German or English.

    A small word table in the gateway reads every request. Where it is unsure, a multilingual encoder, in a process of
    its own, reads the text again. Built-in subjects: law, technology, engineering, science, medicine, finance,
    marketing, sales, hr, customer_service, logistics, general; `examples` add others.
    """

    subjects: Annotated[Mapping[str, str], Meta(min_length=1)]
    """The candidate for each subject, such as `law: premium`."""
    otherwise: str
    """The candidate for every subject that is not named."""
    unsure_below: Annotated[float, Meta(ge=0, le=1)] = 0.6
    """The encoder is asked where the word table gives the best candidate less than this probability of being right."""
    encoder: bool = True
    """Whether the encoder is asked at all. It takes 15 to 200 milliseconds on a busy machine, and 50 to 90 MB."""
    patience: Annotated[float, Meta(gt=0, le=5)] = 0.25
    """Seconds after which the word table's word stands, because the encoder is still loading or busy."""
    examples: Mapping[str, tuple[str, ...]] = {}
    """Sentences of further subjects, three or more for each, as `steuern: ["Wann ist die Erklärung fällig?", …]`."""

    async def order(self, question: Question) -> Ranking:
        """The candidates by the probability of all subjects that go to them; equal ones as configured."""
        text = spoken(question.request)
        reader = question.run.ports.embedder.subjects(self.examples)
        began = perf_counter()
        reading = reader.read(text)
        details: dict[str, Any] = {"static": _summary(reading, began)}
        shares = self._shares(reading, question.candidates)
        if self.encoder and len(shares) > 1 and max(shares.values()) < self.unsure_below:
            began = perf_counter()
            try:
                reading = await reader.reread(text, self.patience, question.run.principal.tenant)
            except (Unavailable, TimedOut) as fault:
                details["encoder"] = fault.message
            else:
                details["encoder"] = _summary(reading, began)
                shares = self._shares(reading, question.candidates)
        order = tuple(sorted(question.candidates, key=lambda name: -shares[name]))
        details |= {
            "subject": reading.subject,
            "certainty": round(reading.certainty, 3),
            "tier": reading.tier,
            "shares": {name: round(shares[name], 3) for name in order},
        }
        return Ranking(order, self._reason(reading, order[0], shares), details=details)

    def faults(self, candidates: Sequence[str]) -> Iterable[Finding]:
        """Subjects that nobody knows, candidates that are none, and subjects with too few examples."""
        known = (*SUBJECTS, *self.examples)
        for subject, candidate in self.subjects.items():
            if subject not in known:
                words = f"there is no subject {subject!r}{nearest(subject, known)}; add it under `examples`"
                yield Finding(("subjects", subject), f"{words}, or use one of {', '.join(known)}")
            if candidate not in candidates:
                yield Finding(("subjects", subject), _stranger(candidate, candidates))
        if self.otherwise not in candidates:
            yield Finding(("otherwise",), _stranger(self.otherwise, candidates))
        for subject, sentences in self.examples.items():
            if sum(bool(sentence.strip()) for sentence in sentences) < _FEWEST:
                yield Finding(("examples", subject), f"needs {_FEWEST} sentences or more; ten or more read well")

    def _shares(self, reading: Reading, candidates: Sequence[str]) -> dict[str, float]:
        """The probability that each candidate is the one meant."""
        shares = dict.fromkeys(candidates, 0.0)
        for subject, probability in reading.scores.items():
            candidate = self.subjects.get(subject, self.otherwise)
            if candidate in shares:
                shares[candidate] += probability
        return shares

    def _reason(self, reading: Reading, chosen: str, shares: Mapping[str, float]) -> str:
        who = "the word table" if reading.tier == "static" else "the encoder"
        subject = f"{reading.subject} ({reading.certainty:.0%} by {who})"
        meant = self.subjects.get(reading.subject, self.otherwise)
        if meant == chosen:
            return f"the subject is {subject}, which goes to {chosen}"
        if meant not in shares:
            return f"the subject is {subject}, but {meant} cannot take this request; {chosen} is the next likely"
        joint = f"those that go to {chosen} are together likelier ({shares[chosen]:.0%})"
        return f"the likeliest subject is {subject}, but {joint}"


def spoken(request: Request) -> str:
    """The caller's own words: the last message, and while that is short, those before it.

    What the application says, as the system, is the same for all its requests, and what a model said may have strayed.
    """
    said = [text for role, text in request.texts() if role == "user"] or [text for _, text in request.texts()]
    taken: list[str] = []
    for text in reversed(said):
        taken.append(text)
        if sum(map(len, taken)) >= _ENOUGH:
            break
    return "\n".join(reversed(taken))


def _summary(reading: Reading, began: float) -> dict[str, Any]:
    scores = {subject: round(share, 3) for subject, share in reading.scores.items() if share >= 0.001}
    return {"subject": reading.subject, "scores": scores, "microseconds": round((perf_counter() - began) * 1e6, 1)}


def _stranger(name: str, candidates: Sequence[str]) -> str:
    return f"{name!r} is not one of the candidates{nearest(name, candidates)}"
