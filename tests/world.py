"""A small world for a test: what a file would publish, the ports in memory, and runs that ask in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from itertools import count
from typing import Any

from dirigent.core.catalog import Catalog, publishable
from dirigent.core.errors import DirigentError
from dirigent.core.events import Answer, Event, collect
from dirigent.core.identity import Principal
from dirigent.core.messages import Message, Request, Response, Text
from dirigent.core.model import Model
from dirigent.core.ports import Http, Listing, LocalModels, Ports
from dirigent.core.registry import Reader, Registry
from dirigent.core.run import Run
from dirigent.memory import (
    MemoryAffinity,
    MemoryCache,
    MemoryListings,
    MemoryObserver,
    MemorySecrets,
    MemorySlots,
    MemoryVitals,
    NoEmbedder,
    NoLocalModels,
    NoSpeech,
)
from dirigent.models import MODELS
from dirigent.models.providers import PROVIDERS
from dirigent.models.providers.provider import Provider
from dirigent.models.sources import SOURCES
from dirigent.models.steps import STEPS
from dirigent.models.strategies import STRATEGIES
from dirigent.models.tools import TOOLS
from dirigent.models.verifiers import VERIFIERS
from dirigent.net import HttpClient
from dirigent.policies import POLICIES

__all__ = ["KEY", "READER", "World", "ask", "request", "until_it_fails"]

READER = Reader((MODELS, PROVIDERS, SOURCES, STEPS, STRATEGIES, TOOLS, VERIFIERS, POLICIES))
KEY = "sk-this-is-never-shown-to-anybody"
"""The credential under the variable `KEY` in every world."""

_numbers = count(1)


def request(text: str = "hello", model: str = "m", *, said: Sequence[Message] = (), **fields: Any) -> Request:
    """A request without a wire form: `text` after all that was `said` before."""
    return Request(model=model, messages=(*said, Message("user", (Text(text),))), **fields)


class World:
    """Models and providers, published as from a file, with every port in memory but the HTTP client."""

    def __init__(
        self,
        models: Mapping[str, Any],
        providers: Mapping[str, Any] | None = None,
        *,
        listings: Mapping[tuple[str, str], Listing] | None = None,
        secrets: Mapping[str, str] | None = None,
        http: Http | None = None,
        local: LocalModels | None = None,
        kinds: Sequence[type[Model]] = (),
    ) -> None:
        models_here = Registry(Model, [*MODELS.kinds.values(), *kinds])
        self.reader = Reader((models_here, *(table for table in READER.registries.values() if table.contract != Model)))
        self.vitals = MemoryVitals()
        self.ports = Ports(
            http=http or HttpClient(),
            local=local or NoLocalModels(),
            embedder=NoEmbedder(),
            speech=NoSpeech(),
            listings=MemoryListings(listings),
            vitals=self.vitals,
            slots=MemorySlots(),
            affinity=MemoryAffinity(),
            secrets=MemorySecrets({"KEY": KEY, **(secrets or {})}),
            observer=MemoryObserver(),
            cache=MemoryCache(),
        )
        self.document = {"providers": providers or {}, "models": models}
        self.catalog = self.published(self.document)

    def published(self, document: Mapping[str, Any]) -> Catalog:
        """The catalog of a document in this world."""
        return publishable(document, self.reader, self.ports.listings, self.ports.secrets, Provider)

    def run(self, *, seconds: float = 120.0, sticky: str | None = None) -> Run:
        """A new run, as the gateway opens one."""
        return Run(
            id=f"run-{next(_numbers)}",
            model="",
            catalog=self.catalog,
            ports=self.ports,
            principal=Principal("tenant", "project", "key"),
            seconds=seconds,
            sticky=sticky,
        )

    def answer(self, model: str, asked: Request | str = "hello", run: Run | None = None) -> Answer:
        """The events of `model`, for whoever reads them under `aclosing`."""
        return (run or self.run()).ask(model, request(asked, model) if isinstance(asked, str) else asked)

    async def collect(self, model: str, asked: Request | str = "hello", run: Run | None = None) -> Response:
        """The whole response of `model`."""
        return await collect(self.answer(model, asked, run))

    async def events(self, model: str, asked: Request | str = "hello", run: Run | None = None) -> list[Event]:
        """All events of `model`, in order."""
        return await ask(self.answer(model, asked, run))


async def until_it_fails(answer: Answer) -> tuple[list[Event], DirigentError]:
    """The events before the error, and the error."""
    heard: list[Event] = []
    async with aclosing(answer) as events:
        while True:
            try:
                heard.append(await anext(events))
            except DirigentError as error:
                return heard, error


async def ask(answer: Answer) -> list[Event]:
    """All events of an answer, in order."""
    return [event async for event in answer]
