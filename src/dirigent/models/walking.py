"""How steps are walked: one after the other, each through the run's journal, each at a place of its own."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from functools import cache
from hashlib import blake2b
from time import time
from typing import Any, Final

import msgspec

from dirigent.core import template
from dirigent.core.approvals import Question, Verdict
from dirigent.core.bounds import Bounds
from dirigent.core.canonical import canonical
from dirigent.core.errors import DirigentError, Overrun, TimedOut
from dirigent.core.events import Event, TextDelta, collect, folded
from dirigent.core.expression import ABSENT
from dirigent.core.journal import StepFailed, read, written
from dirigent.core.logbook import Facts
from dirigent.core.messages import Request, Response
from dirigent.core.ports import Kept
from dirigent.core.registry import Kind
from dirigent.core.run import Run, Voice
from dirigent.models.filling import evaluated, filled, holding
from dirigent.models.steps.step import Retry, Step

__all__ = ["Live", "Walk", "partition_of"]

_LONG: Final = 30.0
"""Seconds of a pause from which a durable run lets its worker go."""
_SPREAD: Final = 0.2

Live = Callable[[Event, Voice], None]
"""Who hears an answer as it comes."""


class Walk:
    """The steps of one answer of a pipeline, as they are walked."""

    __slots__ = ("bounds", "live")

    def __init__(self, bounds: Bounds, live: tuple[str, Live] | None = None) -> None:
        self.bounds = bounds
        self.live = live
        """The place of the step whose answer goes to the caller as it comes, and who hears it."""

    async def steps(self, steps: Sequence[Step], run: Run, scope: Mapping[str, object]) -> dict[str, object]:
        """The results of steps by name, those that were left out aside. Each sees those before it."""
        seen, results = dict(scope), {}
        for step in steps:
            result = await self.step(step, run, seen)
            if result is not ABSENT:
                seen[step.name] = results[step.name] = result
        return results

    async def step(self, step: Step, run: Run, scope: Mapping[str, object]) -> object:
        """The result of one step, what it gave where it was done before; `ABSENT` where it is left out."""
        path = f"{run.place}/{step.name}" if run.place else step.name
        book = run.logbook or run.opened()
        if step.when is not None and not holding(step.when, scope):
            book.leave_out(path, _type_of(type(step)), step.when)
            return ABSENT
        self.bounds.take(path)
        retry = step.retry or _ONCE
        attempt = 1
        if path not in book.state.steps and (told := book.state.failures.get(path)):
            if not _again(retry, told[-1].code, len(told)):
                raise _retold(told[-1])
            attempt = len(told) + 1
            if (paused := f"{path}~{len(told)}") in book.state.slept:
                await book.sleep(paused, 0.0)
        while True:
            here = _Place(self, step, scope, path, attempt)
            try:
                return await run.step(
                    step.name, _type_of(type(step)), here.done, effect=step.effect_of(), attempt=attempt
                )
            except DirigentError as error:
                if here.spoke or not _again(retry, error.code, attempt):
                    raise
            await _pause(retry, attempt, run, path)
            attempt += 1


class _Place:
    """Where a step works (models.steps.step.Place)."""

    __slots__ = ("_asked", "_attempt", "_facts", "_run", "_step", "_walk", "path", "scope", "spoke")

    def __init__(self, walk: Walk, step: Step, scope: Mapping[str, object], path: str, attempt: int) -> None:
        self._walk = walk
        self._step = step
        self._attempt = attempt
        self._asked = 0
        self._facts: dict[str, Any] = {}
        self._run: Run | None = None
        self.scope = scope
        self.path = path
        self.spoke = False
        """Whether the caller has heard a part of its answer: then it is not tried again."""

    async def done(self, below: Run) -> tuple[object, Facts]:
        """The step's result and what it tells of itself."""
        if self._attempt > 1:  # what an earlier try has left half done is begun anew, not taken up
            below.place = f"{below.place}~{self._attempt}"
        self._run = below
        step = self._step
        if step.reuse:
            return await self._reused(), self._facts
        return await self._work(), self._facts

    async def _work(self) -> object:
        step = self._step
        if step.timeout is None:
            return await step.work(self)
        limit = asyncio.timeout(step.timeout)
        try:
            async with limit:
                return await step.work(self)
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimedOut(f"the step {self.path!r} took longer than its {step.timeout:g} seconds") from None

    async def _reused(self) -> object:
        """What the same step gave to the same inputs before, for the same tenant and purpose; else its work."""
        run, cache_ = self.run, self.run.ports.cache
        if cache_ is None:
            return await self._work()
        partition, key = partition_of(run), _key(self._step, self.scope, run)
        kept = await cache_.find(partition, key)
        if kept is not None:
            self.tell(reused=kept.run)
            return read(kept.events[0].text.encode()) if isinstance(kept.events[0], TextDelta) else None
        value = await self._work()
        events = (TextDelta(written(value).decode()),)
        await cache_.keep(partition, key, Kept(run.id, run.principal.tenant, events), self._step.reuse)
        return value

    # --- the doors (models.steps.step.Place) --------------------------------------------------------------------------

    @property
    def run(self) -> Run:
        """The run one place below the pipeline's."""
        if self._run is None:
            raise RuntimeError("a place has its run once its step has begun")
        return self._run

    @property
    def key(self) -> str:
        """The idempotency key of this step."""
        return (self.run.logbook or self.run.opened()).name(self.path)

    def text(self, template_: str) -> str:
        """A template filled in, as text."""
        return template.compile(template_).text(self.scope)

    def value(self, template_: object) -> Any:
        """Plain data with every template in it filled in."""
        return filled(template_, self.scope)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression. Raises Invalid where it is absent."""
        return evaluated(expression, self.scope)

    def holds(self, condition: str) -> bool:
        """Whether a condition is true."""
        return holding(condition, self.scope)

    async def ask(self, model: str, request: Request) -> Response:
        """The whole answer of a model; where it is the pipeline's own, the caller hears it as it comes."""
        live = self._walk.live
        if live is None or live[0] != self.path:
            return await collect(self.run.ask(model, request))
        events: list[Event] = []
        record = self.run.record
        async with aclosing(self.run.ask(model, request.changed(stream=True))) as answer:
            async for event in answer:
                self.spoke = True
                events.append(event)
                live[1](event, record.voice)
        return folded(events)

    async def approve(self, question: Question) -> Verdict:
        """What people say. Raises Suspended until somebody has answered."""
        self._asked += 1
        place = self.run.place if self._asked == 1 else f"{self.run.place}?{self._asked}"
        return await (self.run.logbook or self.run.opened()).ask(place, question)

    async def sleep(self, until: float) -> None:
        """Returns at a time. Raises Suspended until then in a durable run, Overrun where another has not the time."""
        run = self.run
        book = run.logbook or run.opened()
        if book.durable:
            await book.sleep(run.place, until)
            return
        if until - time() > run.seconds_left:
            raise Overrun(f"{self.path!r} would wait longer than the run may take: publish its model as `durable`")
        await asyncio.sleep(max(0.0, until - time()))

    async def steps(
        self, steps: Sequence[Step], key: str, names: Mapping[str, object] | None = None
    ) -> Mapping[str, object]:
        """Walks steps within this one; their results by name."""
        inner = self.run.below(key)
        scope = self.scope if not names else {**self.scope, **names}
        try:
            return await self._walk.steps(steps, inner, scope)
        finally:
            self.run.record.join(inner.record)

    def tell(self, **facts: Any) -> None:
        """Puts facts into the trace."""
        self._facts.update(facts)


def partition_of(run: Run) -> str:
    """What a result that is given again never leaves: its tenant and its purpose."""
    return canonical(["step", run.principal.tenant, run.purpose]).decode()


_ONCE: Final = Retry(tries=1)


@cache
def _type_of(kind: type[Kind]) -> str:
    return kind.type_name()


def _key(step: Step, scope: Mapping[str, object], run: Run) -> bytes:
    """What tells one doing of a step from another: its settings, what it can read by them, and what is published."""
    settings = msgspec.json.encode(step, order="sorted")
    words = settings.decode()
    # Too many rather than too few; but a run differs from all others, so it counts only where a part of it is read.
    sought = {name: rf"\b{name}\b" for name in scope} | {"run": r"\brun\.\w"}
    reads = {name: value for name, value in scope.items() if re.search(sought[name], words)}
    digest = blake2b(digest_size=32)
    for piece in (_type_of(type(step)).encode(), settings, canonical(reads), run.catalog.revision.encode()):
        digest.update(len(piece).to_bytes(8))
        digest.update(piece)
    return digest.digest()


def _again(retry: Retry, code: str, attempt: int) -> bool:
    """Whether a step is tried once more after so many tries, the last of which failed so."""
    if attempt >= retry.tries:
        return False
    if retry.on:
        return code in retry.on
    return (kind := _kinds().get(code)) is not None and kind.retryable


@cache
def _kinds() -> Mapping[str, type[DirigentError]]:
    """The first kind of error of each code, from the root of their tree on."""
    kinds = [DirigentError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {kind.code: kind for kind in reversed(kinds)}


async def _pause(retry: Retry, attempt: int, run: Run, path: str) -> None:
    """Waits before the next try; a long pause in a durable run is slept, not waited."""
    seconds = retry.wait * 2 ** (attempt - 1) * (1 + random.uniform(-_SPREAD, _SPREAD))
    book = run.logbook
    if book is not None and book.durable and seconds >= _LONG:
        await book.sleep(f"{path}~{attempt}", time() + seconds)
        return
    await asyncio.sleep(min(seconds, run.seconds_left))


def _retold(failed: StepFailed) -> DirigentError:
    """The error with which a step has failed before, as far as it was written down."""
    error = DirigentError(failed.words or f"the step {failed.path!r} had failed with {failed.code}")
    kind = _kinds().get(failed.code, DirigentError)
    # Of this one alone, so that whoever hears of it again does what they did when they heard of it first.
    error.code, error.retryable, error.fallback = failed.code, kind.retryable, kind.fallback  # type: ignore[misc]
    return error
