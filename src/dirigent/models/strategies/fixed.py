"""The order in which the candidates are written."""

from __future__ import annotations

from typing import ClassVar

from dirigent.models.strategies.strategy import Question, Ranking, Strategy

__all__ = ["Fixed"]


class Fixed(Strategy, frozen=True):
    """Ask the candidates in the order in which they are written: the first answers, the others stand in for it."""

    at_once: ClassVar[bool] = True

    async def order(self, question: Question) -> Ranking:
        """The candidates as they are configured; looks at nothing of the request."""
        return Ranking(question.candidates, f"{question.candidates[0]} stands first in the configuration")
