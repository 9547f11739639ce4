"""The contract of a policy: a rule around a model, which refuses, changes or watches what goes in and comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from dirigent.core.decision import Decision
from dirigent.core.errors import Finding
from dirigent.core.events import Answer
from dirigent.core.journal import StepEnded
from dirigent.core.messages import Request
from dirigent.core.registry import Kind
from dirigent.core.run import Answering, Passage, Run

__all__ = ["Policy", "governed"]


class Policy(Kind, frozen=True):
    """A rule around a model. What it has to remember lives behind a port of the run, never in itself."""

    contract: ClassVar[str] = "policy"

    def answer(self, inner: Answering, request: Request, run: Run) -> Answer:
        """The events of `inner`, or what this rule puts in their place. Closing it early closes `inner` as well."""
        raise NotImplementedError

    def faults(self) -> Iterable[Finding]:
        """What is wrong with these settings beyond their fields; paths are relative to the policy."""
        return ()


class _Governed:
    """A model with policies around it, the first outermost; it answers wherever the model would."""

    __slots__ = ("_inner", "_policy")

    def __init__(self, policy: Policy, inner: Answering) -> None:
        self._policy = policy
        self._inner = inner

    def answer(self, request: Request, run: Run) -> Answer:
        """The events, as the policy lets them through."""
        return self._policy.answer(self._inner, request, run)

    async def explain(self, request: Request, run: Run) -> Sequence[Decision]:
        """The decisions of the model."""
        return await self._inner.explain(request, run)

    def passage(self, request: Request, run: Run) -> Passage | None:
        """None: a policy sees what passes."""
        return None

    async def tried(self, part: str, scope: Mapping[str, object], run: Run) -> StepEnded:
        """What comes of one step of the model."""
        return await self._inner.tried(part, scope, run)

    async def count(self, request: Request, run: Run) -> int:
        """The tokens of a request, as the model counts them."""
        return await self._inner.count(request, run)


def governed(inner: Answering, policies: Sequence[Policy]) -> Answering:
    """`inner` with `policies` around it, the first outermost; `inner` itself where there are none."""
    for policy in reversed(policies):
        inner = _Governed(policy, inner)
    return inner
