"""The contract of a verifier: it says whether an answer is good enough, or a stronger model has to be asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import msgspec

from dirigent.core.messages import Request, Response
from dirigent.core.model import Mention
from dirigent.core.registry import Kind
from dirigent.core.run import Run

__all__ = ["Verdict", "Verifier", "accepted", "refused"]


class Verdict(msgspec.Struct, frozen=True):
    """What a verifier thinks of an answer."""

    accepted: bool
    why: str
    """In a few words, for people."""


def accepted(why: str) -> Verdict:
    """It is good enough."""
    return Verdict(accepted=True, why=why)


def refused(why: str) -> Verdict:
    """It is not."""
    return Verdict(accepted=False, why=why)


class Verifier(Kind, frozen=True):
    """Judges whether an answer is good enough."""

    contract: ClassVar[str] = "verifier"

    async def verdict(self, request: Request, response: Response, name: str, run: Run) -> Verdict:
        """What is thought of the `response` that the candidate called `name` gave; whoever else is asked is settled.

        Raises what those whom it asks raise.
        """
        raise NotImplementedError

    def mentions(self) -> Iterable[Mention]:
        """Every model that it may ask."""
        return ()
