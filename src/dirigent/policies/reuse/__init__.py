"""The policy that gives an answer again instead of asking for it twice."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta

from dirigent.core.errors import Unavailable
from dirigent.core.events import Answer, Event
from dirigent.core.messages import Request
from dirigent.core.policy import Policy
from dirigent.core.ports import Kept
from dirigent.core.run import Answering, Record, Run, Voice
from dirigent.core.usage import Money
from dirigent.policies.reuse.flight import Flight
from dirigent.policies.reuse.guards import differ
from dirigent.policies.reuse.keys import family_of, key_of, question_of
from dirigent.policies.reuse.lasting import lasting

__all__ = ["Reuse", "Semantic"]


class Semantic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Also gives the answer to another question that means the same, where all else of the request is equal.

    Only the last thing that the user says may differ. Questions whose numbers, names, units or negations differ are
    never taken for the same, however alike they are. Wants the encoder of the extra `local`.
    """

    threshold: Annotated[float, Meta(ge=0.5, le=1)] = 0.97
    """How alike two questions must be, by the cosine of their vectors."""
    longest: Annotated[int, Meta(ge=1, le=2000)] = 400
    """Characters of the longest question that is compared: of a long text the vector says too little."""


class Reuse(Policy, frozen=True):
    """Gives the answer to an equal request again, without asking anybody and without cost.

    Nothing leaves its tenant, purpose and `scope`, and a newly published configuration begins anew. What broke off, was
    cut off, filtered, refused or empty is not kept. Equal requests at the same time share one answer.
    """

    ttl: Annotated[float, Meta(gt=0, le=31_536_000)] = 3600.0
    """Seconds for which an answer is given again."""
    scope: Literal["tenant", "project", "key"] = "project"
    """Who shares answers within a tenant and purpose: everybody, a project, or one virtual key."""
    only_deterministic: bool = False
    """Whether only requests with `temperature: 0` are answered so."""
    semantic: Semantic | None = None
    """Also for questions that mean the same; off where it is left out."""

    async def answer(self, inner: Answering, request: Request, run: Run) -> Answer:
        """The events of an earlier answer, of one that is under way, or of `inner`."""
        cache = run.ports.cache
        if cache is None or (self.only_deterministic and request.temperature != 0):
            async with aclosing(inner.answer(request, run)) as events:
                async for event in events:
                    yield event
            return
        partition, key = self._partition(run), key_of(request, run)
        flights = self._flights(run)
        flight = flights.get((partition, key))
        if flight is None:
            question = question_of(request, self.semantic.longest) if self.semantic is not None else None
            kept = await cache.find(partition, key)
            vector = await _vector(question, partition, run) if kept is None and question is not None else None
            family = family_of(request, run) if vector is not None else b""
            if vector is not None and question is not None and self.semantic is not None:
                near = await cache.near(partition, family, vector, self.semantic.threshold)
                kept = next((each for each in near if not differ(each.question, question)), None)
            if kept is not None:
                _credit(kept, run)
                for event in kept.events:
                    yield event
                return
            flight = flights.get((partition, key))  # one may have begun meanwhile
            if flight is None:

                async def landed(events: tuple[Event, ...], record: Record) -> None:
                    if record.reused is None and lasting(events, request):
                        keeping = _kept(events, record, run, question or "")
                        await cache.keep(partition, key, keeping, self.ttl, family=family, vector=vector)

                def over() -> None:
                    if flights.get((partition, key)) is flight:
                        del flights[partition, key]

                flight = flights[partition, key] = Flight(inner, request, run, landed, over)
        async with aclosing(flight.told_to(run)) as events:
            async for event in events:
                yield event

    def _partition(self, run: Run) -> str:
        """What an answer never leaves."""
        principal = run.principal
        within = {"tenant": (), "project": (principal.project,), "key": (principal.project, principal.key)}[self.scope]
        return msgspec.json.encode((principal.tenant, run.purpose, *within)).decode()

    def _flights(self, run: Run) -> dict[tuple[str, bytes], Flight]:
        """The answers under way; they end with the catalog under which they began."""
        kept = run.catalog.kept
        return cast("dict[tuple[str, bytes], Flight]", kept.setdefault((id(self), "reuse"), {}))


def _kept(events: tuple[Event, ...], record: Record, run: Run, question: str) -> Kept:
    voice = record.voice
    return Kept(
        run.id,
        run.principal.tenant,
        events,
        voice.deployment,
        record.usage,
        voice.content_type,
        voice.left_out,
        question,
    )


def _credit(kept: Kept, run: Run) -> None:
    """Tells the record whose answer it is; the usage is that of the first time, and nothing is paid."""
    run.record.voice = Voice(kept.deployment, (), kept.content_type, kept.left_out)
    run.record.reused = kept.run
    run.record.settle(kept.usage, Money(0))


async def _vector(question: str, partition: str, run: Run) -> Sequence[float] | None:
    """None where the encoder cannot say: then only equal requests are known again."""
    try:
        return (await run.ports.embedder.encode([question], "query", partition))[0]
    except Unavailable:
        return None
