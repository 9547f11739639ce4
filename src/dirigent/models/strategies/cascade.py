"""Cheap ones first, and stronger ones only where their answer is not good enough."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar

from msgspec import Meta

from dirigent.core.errors import DirigentError
from dirigent.core.messages import Response
from dirigent.core.model import Mention
from dirigent.models.strategies.strategy import Question, Ranking, Strategy
from dirigent.models.verifiers.verifier import Verdict, Verifier, accepted, refused

__all__ = ["Cascade"]


class Cascade(Strategy, frozen=True):
    """Ask the cheap candidate, look at its answer, and ask the next one where it is not good enough.

    The candidates stand from cheap to strong. Every answer but the last candidate's is held back until all verifiers
    have accepted it; the last candidate's goes to the caller as it comes. Each answer is paid for, given or not.
    """

    verify: Annotated[tuple[Verifier, ...], Meta(min_length=1)]
    """What an answer has to pass, in this order; a verifier that cannot tell accepts nothing."""
    verifies: ClassVar[bool] = True

    async def order(self, question: Question) -> Ranking:
        """As the configuration has them."""
        first = question.candidates[0]
        return Ranking(question.candidates, f"{first} comes first, and others only if its answer is not good enough")

    async def accepts(self, question: Question, name: str, response: Response) -> Verdict:
        """The first verdict against it, else all that speaks for it."""
        reasons: list[str] = []
        for verifier in self.verify:
            try:
                verdict = await verifier.verdict(question.request, response, name, question.run)
            except DirigentError as error:
                return refused(f"it could not be verified ({verifier.type_name()}): {error.message}")
            if not verdict.accepted:
                return verdict
            reasons.append(verdict.why)
        return accepted("; ".join(reasons))

    def mentions(self) -> Iterable[Mention]:
        """Those whom the verifiers ask."""
        for index, verifier in enumerate(self.verify):
            for path, name in verifier.mentions():
                yield ("verify", index, *path), name
