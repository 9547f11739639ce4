"""The small world of a strategy's test: echo models with prices, a request, and what is known of the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from dirigent.core.catalog import Catalog
from dirigent.core.identity import Principal, Priority
from dirigent.core.messages import Message, Request, Text
from dirigent.core.ports import Ports
from dirigent.core.profile import Profile
from dirigent.core.run import Run
from dirigent.core.usage import Price
from dirigent.memory import (
    MemoryAffinity,
    MemoryListings,
    MemoryObserver,
    MemorySecrets,
    MemorySlots,
    MemoryVitals,
    NoEmbedder,
    NoLocalModels,
    NoSpeech,
)
from dirigent.models.echo import Echo
from dirigent.models.strategies.strategy import Question
from dirigent.net.client import HttpClient


def priced(per_million: str, currency: str = "USD") -> Price:
    """The same price for tokens in and tokens out."""
    return Price(input=Decimal(per_million), output=Decimal(per_million), currency=currency)


def question(
    text: str = "hello",
    candidates: Sequence[str] = ("small", "large"),
    *,
    configured: Sequence[str] | None = None,
    prices: Mapping[str, Price] | None = None,
    vitals: MemoryVitals | None = None,
    run: str = "run-1",
    key: str = "key-1",
    sticky: str | None = None,
    purpose: str | None = None,
    priority: Priority = "normal",
    said: Sequence[Message] = (),
    **fields: Any,
) -> Question:
    """What a strategy of the router `auto` is asked: `text` after all that was `said` before."""
    profiles = {name: Profile(price=(prices or {}).get(name)) for name in candidates}
    catalog = Catalog("1", {}, {name: Echo() for name in candidates}, profiles)
    ports = Ports(
        http=HttpClient(),
        local=NoLocalModels(),
        embedder=NoEmbedder(),
        speech=NoSpeech(),
        listings=MemoryListings(),
        vitals=vitals or MemoryVitals(),
        slots=MemorySlots(),
        affinity=MemoryAffinity(),
        secrets=MemorySecrets(),
        observer=MemoryObserver(),
    )
    principal = Principal(tenant="t", project="p", key=key)
    asked = Run(
        id=run,
        model="auto",
        catalog=catalog,
        ports=ports,
        principal=principal,
        seconds=60,
        sticky=sticky,
        purpose=purpose,
        priority=priority,
    )
    request = Request(model="auto", messages=(*said, Message("user", (Text(text),))), **fields)
    return Question(request, asked, candidates, configured)
