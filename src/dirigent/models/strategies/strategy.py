"""The contract of a strategy: it puts a router's candidates in order and says why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import msgspec

from dirigent.core.errors import Finding
from dirigent.core.messages import Audio, Image, Request, Response
from dirigent.core.model import Mention
from dirigent.core.profile import Profile
from dirigent.core.registry import Kind
from dirigent.core.run import Run
from dirigent.core.usage import Money, Usage
from dirigent.models.features import Features, Measuring
from dirigent.models.verifiers.verifier import Verdict

__all__ = ["Question", "Ranking", "Strategy"]

_USUAL_OUTPUT = 300
"""Output tokens assumed where the request sets no bound: the middle of chat answers, the same for all."""


class Ranking(msgspec.Struct, frozen=True):
    """What a strategy answers."""

    order: tuple[str, ...]
    """Every candidate of the question exactly once, best first."""
    reason: str
    """One sentence for people: the rule that decided."""
    quality: Mapping[str, float] = {}
    """Predicted quality, 0 to 1, where the strategy predicts it."""
    close: tuple[str, ...] = ()
    """Those that are about as good as the first: one of them that has this conversation in its cache may stand before
    it. None where the strategy does not say, and then nobody is preferred for that."""
    details: Mapping[str, Any] = {}
    """Whatever explains the order: contributions, scores, the rules that were tried."""
    tell: Callable[[], Mapping[str, Any]] | None = None
    """What makes the details when somebody asks for them; in their place, where making them takes its time."""

    def explained(self) -> Mapping[str, Any]:
        """The details, wherever they come from."""
        return self.details if self.tell is None else self.tell()


class Question:
    """What a strategy is asked: a request, and who can take it. Nothing is computed before it is read."""

    def __init__(
        self, request: Request, run: Run, candidates: Sequence[str], configured: Sequence[str] | None = None
    ) -> None:
        self.request = request
        self.run = run
        self.candidates = tuple(candidates)
        """The candidates that meet the request's hard constraints, in the order of the configuration. Never empty."""
        self.configured = self.candidates if configured is None else tuple(configured)
        """All candidates of the router, those that cannot take this request included."""

    @cached_property
    def measuring(self) -> Measuring:
        """The request, to be measured as far as somebody asks."""
        request = self.request
        images = audio = 0
        for message in request.messages:
            for part in message.parts:
                kind = type(part)
                if kind is Image:
                    images += 1
                elif kind is Audio:
                    audio += 1
        return Measuring(
            list(request.texts()),
            len(request.tools),
            images,
            audio,
            request.structure is not None,
            request.max_output,
        )

    @property
    def features(self) -> Features:
        """What can be measured of the request, measured once."""
        return self.measuring.features()

    @property
    def measured(self) -> bool:
        """Whether anything was measured by now."""
        return "measuring" in vars(self)

    def profile(self, name: str) -> Profile:
        """What is known of a candidate."""
        return self.run.catalog.profile(name)

    def cost(self, name: str) -> Money | None:
        """The expected cost of this request at a candidate; None where its price is unknown."""
        tariff = self.run.catalog.tariff(name)
        return None if tariff is None else tariff.cost(Usage(self.measuring.context_tokens, self.output))

    def latency(self, name: str) -> float | None:
        """Expected seconds until a candidate's answer is complete; None before anything was measured."""
        first, pace = self.run.ports.vitals.first_token(name), self.run.ports.vitals.pace(name)
        if first is None:
            return None
        return first + (self.output / pace if pace else 0.0)

    @property
    def output(self) -> int:
        """Output tokens that are to be expected."""
        bound = self.request.max_output
        return _USUAL_OUTPUT if bound is None else min(bound, _USUAL_OUTPUT)


class Strategy(Kind, frozen=True):
    """How a router orders its candidates."""

    contract: ClassVar[str] = "strategy"
    verifies: ClassVar[bool] = False
    """Whether answers are held back until they are accepted, but for that of the last candidate."""
    at_once: ClassVar[bool] = False
    """Whether `order` never waits for anything, so that it may be asked where nobody can wait."""

    async def order(self, question: Question) -> Ranking:
        """Every candidate of `question`, best first, and the reason. Waits for nothing that another machine owns."""
        raise NotImplementedError

    async def accepts(self, question: Question, name: str, response: Response) -> Verdict:
        """Whether this answer of a candidate is good enough; asked for only where the strategy `verifies`."""
        raise NotImplementedError

    def mentions(self) -> Iterable[Mention]:
        """Every model that the strategy itself may ask."""
        return ()

    def faults(self, candidates: Sequence[str]) -> Iterable[Finding]:
        """What is wrong with these settings for a router of these candidates; paths are relative to the strategy."""
        return ()
