"""What people are asked while a run waits, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from dirigent.core.errors import DirigentError

__all__ = ["NotApproved", "Outcome", "Question", "Verdict"]

Outcome = Literal["approved", "edited", "rejected", "expired"]
"""What came of a question. `edited` approves something else than was proposed; `expired`: nobody answered."""


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """A question to people that a run waits for."""

    title: str
    """In a few words, for a list."""
    text: str = ""
    """What is asked, in Markdown."""
    proposal: Any = None
    """What will be taken if somebody approves, as plain data."""
    effects: str = ""
    """What will happen then, in words."""
    form: Mapping[str, Any] | None = None
    """The JSON Schema of the proposal, by which it may be edited; None where it can only be approved or rejected."""
    to: tuple[str, ...] = ()
    """Who may decide: roles, or members by their id or address; whoever may decide at all where nobody is named."""
    eyes: int = 1
    """How many people have to approve; one who rejects is enough."""
    own: bool = False
    """Whether the member who submitted the run may decide as well."""
    due: float | None = None
    """When it is overdue, in seconds since 1970."""
    escalate: tuple[str, ...] = ()
    """Who may decide as well once it is overdue; without anybody it expires then."""
    expires: float | None = None
    """When nobody can answer any more and `otherwise` is taken, in seconds since 1970; with `due` where not given."""
    otherwise: Any = None
    """What is taken where nobody has answered in time; None is a rejection."""
    why: str = ""
    """The rule by which a person is asked, in words."""
    seeded: str | None = None
    """What is wrong with it, where it was made so on purpose to see whether it is noticed; deciders never see this."""


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a question."""

    outcome: Outcome
    answer: Any = None
    """What is taken: the proposal as it was, or as it was edited, or `otherwise`."""
    by: tuple[str, ...] = ()
    """The ids of who decided."""
    reason: str = ""
    """Why it was rejected or changed, in their words."""

    @property
    def accepted(self) -> bool:
        """Whether the run may go on with the answer."""
        return self.outcome in ("approved", "edited") or (self.outcome == "expired" and self.answer is not None)


class NotApproved(DirigentError):
    """People have said no, or nobody has decided in time."""

    code = "not_approved"
