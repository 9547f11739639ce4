"""The one contract: everything that answers is a model, and a model is one verb."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Protocol

from dirigent.core.decision import Decision
from dirigent.core.errors import Finding, Invalid
from dirigent.core.events import Answer
from dirigent.core.journal import StepEnded
from dirigent.core.messages import Request
from dirigent.core.ports import Listings, Secrets
from dirigent.core.profile import Profile
from dirigent.core.registry import Kind
from dirigent.core.run import Passage, Run
from dirigent.core.source import Source
from dirigent.core.tokens import estimated_request

__all__ = ["Fields", "Mention", "Model", "Survey"]

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields as they were sent."""

Mention = tuple[tuple[str | int, ...], str]
"""Where in its own configuration a model names another, and the name."""


class Survey(Protocol):
    """What a model sees of everything else while a catalog is made."""

    listings: Listings
    secrets: Secrets

    def profile(self, name: str) -> Profile:
        """The profile of a model that is mentioned; it is always ready before that of the one who mentions it."""
        ...

    def provider(self, name: str) -> Kind | None:
        """The provider of that name, if there is one."""
        ...

    def provider_names(self) -> Iterable[str]:
        """The names of all providers."""
        ...

    def source(self, name: str) -> Source | None:
        """The source of that name, if there is one."""
        ...

    def source_names(self) -> Iterable[str]:
        """The names of all sources."""
        ...


class Model(Kind, frozen=True):
    """Anything that answers a request: a deployment, a router, a pipeline, a team."""

    contract: ClassVar[str] = "model"

    def answer(self, request: Request, run: Run) -> Answer:
        """The events of the answer, as they come. Closing the generator early closes all that it had opened."""
        raise NotImplementedError

    async def explain(self, request: Request, run: Run) -> Sequence[Decision]:
        """The decisions that answering `request` would take, without asking anybody; none for most models."""
        return ()

    async def count(self, request: Request, run: Run) -> int:
        """How many input tokens the request has for this model; estimated, unless the model knows better."""
        return estimated_request(request)

    def passage(self, request: Request, run: Run) -> Passage | None:
        """The straight way to the answer, where there is one now; None leaves it to `answer`."""
        return None

    async def tried(self, part: str, scope: Mapping[str, object], run: Run) -> StepEnded:
        """What comes of one of its steps alone, for what it is given to see. Raises Invalid where there is none."""
        raise Invalid(f"{run.model!r} has no steps that could be tried", param="model")

    def mentions(self) -> Iterable[Mention]:
        """Every model that this one may ask. Publishing refuses unknown names and loops by them."""
        return ()

    def faults(self, survey: Survey) -> Iterable[Finding]:
        """What is wrong with this configuration beyond its fields; paths are relative to the model."""
        return ()

    def profile(self, survey: Survey) -> Profile:
        """What is known of this model before it is asked."""
        return Profile()
