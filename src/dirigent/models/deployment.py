"""A deployment: a model at one provider's endpoint. The only leaf, and the only model that reaches the network."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from contextlib import aclosing
from time import monotonic
from typing import Annotated, cast

import msgspec
from msgspec import Meta

from dirigent.core.errors import DirigentError, Failed, Finding, Misconfigured, Unavailable, Unsupported
from dirigent.core.events import Answer, UsageReported, Verbatim
from dirigent.core.messages import Request
from dirigent.core.model import Model, Survey
from dirigent.core.ports import Breaker, Capability, HttpAnswer, Listing, Queue, Timeouts
from dirigent.core.profile import Profile
from dirigent.core.registry import nearest
from dirigent.core.run import Run, Voice
from dirigent.core.usage import Price, Usage
from dirigent.dialects.dialect import Dialect
from dirigent.models.attempt import Passing, Try, forwarded, hush, retry_after
from dirigent.models.bound import Bound
from dirigent.models.fetched import with_contents
from dirigent.models.funding import bounded, funded
from dirigent.models.passage import Passage
from dirigent.models.providers.provider import Provider

__all__ = ["Deployment"]

_FIRST_PAUSE = 0.25
"""Seconds before the second try at most; each further one waits twice as long, at a moment drawn by lot."""
_LONGEST_PAUSE = 8.0
_MOMENT = 0.1
"""Seconds until the end of a local process is known to whoever watches it."""


class Deployment(Model, frozen=True):
    """A model at a provider's endpoint.

    A caller who speaks the provider's dialect gets the verbatim path: the request's own bytes go out with only the
    model's name changed, and the answer's bytes come back unbuilt.
    """

    provider: str
    """The name of an entry under `providers`."""
    name: str
    """How the provider calls this model."""
    price: Price | None = None
    """What it costs per million tokens, where the published price is missing or not yours."""
    context_window: Annotated[int, Meta(ge=1)] | None = None
    """Tokens that fit, where the published figure is missing or the server is set up otherwise."""
    max_output: Annotated[int, Meta(ge=1)] | None = None
    """The most tokens that one answer may have, where the published figure is missing."""
    capabilities: tuple[Capability, ...] | None = None
    """What it can do, where the published list is missing: tools, images, audio, files, json, reasoning, logprobs."""
    quality: Annotated[float, Meta(ge=0, le=1)] | None = None
    """Your own estimate of how good its answers are, 0 to 1; routers use it until they have learnt better."""
    region: str | None = None
    """Where it processes data, such as `eu`; falls back to the provider's region."""
    timeouts: Timeouts = Timeouts()
    """How long to wait for the connection, the first byte, between two pieces, and for all of it, in seconds."""
    retries: Annotated[int, Meta(ge=0, le=10)] = 2
    """How often it is asked again after a failure that may pass, where no other candidate of a router steps in."""
    patience: Annotated[float, Meta(ge=0, le=3600)] = 10.0
    """The longest `retry-after` in seconds that is waited for; a longer one is told to the caller at once."""
    breaker: Breaker = Breaker()
    """When it rests after failures, so that nobody waits for what is down."""
    concurrency: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """How many requests it answers at once; others wait in a queue. The embedded model's slots, else without bound."""
    queue: Queue = Queue()
    """How requests wait where `concurrency` is reached."""

    async def answer(self, request: Request, run: Run) -> Answer:
        """Asks the provider, again where that may help and nothing has been said.

        Raises what went wrong in our own words; an answer left early closes the connection.
        """
        bound = self._bound(request, run)
        if not bound.dialect.takes_addresses:
            request = await with_contents(request, bound.dialect, run)
        if request.choices > 1 and bound.dialect.one_choice:
            async with aclosing(self._one_by_one(request, run)) as events:
                async for event in events:
                    yield event
            return
        record = run.record
        fault, record.failed_first = record.failed_first, None
        vain = 0
        if fault is not None:  # the first try was made on the straight way
            await self._pause(fault, vain, run)
            vain = 1
        while True:
            attempt = Try(run, request, bound.dialect, bound.tariff, self.breaker)
            try:
                attempt.enter()
                answer = (self._heard if bound.places is None else self._placed)(bound, request, run, attempt)
                async with aclosing(answer) as events:
                    async for event in events:
                        yield event
            except DirigentError as error:
                hush(error, attempt.headers)
                attempt.failed(error)
                if attempt.spoke or not attempt.headers:
                    raise
                await self._pause(error, vain, run)
                vain += 1
            except BaseException:  # cancelled, or left by whoever read it: neither is the provider's fault
                attempt.abandoned()
                raise
            else:
                attempt.answered()
                return

    async def _heard(self, bound: Bound, request: Request, run: Run, attempt: Try) -> Answer:
        """The events as the provider sends them."""
        dialect = bound.dialect
        body, verbatim, left_out = self._body(dialect, request)
        if run.ports.ledger is not None or run.allotment is not None:
            most = await self._funded(bound, body, request, run, attempt)
            if most is not None and (held := bounded(request, most)) is not request:
                request = held
                body, verbatim, left_out = self._body(dialect, request)
        http = await self._opened(bound, body, request, run, attempt)
        try:
            if http.status != 200:
                attempt.refused = True
                raise dialect.read_error(http.status, await http.read(), retry_after(http.headers))
            content_type = http.headers.get("content-type") if verbatim and not request.stream else None
            attempt.voice = Voice(run.model, forwarded(http.headers), content_type, left_out)
            if not (request.stream or dialect.always_streams):
                whole = await http.read()
                if verbatim:
                    attempt.usage = dialect.usage_of(whole)
                    attempt.began()
                    attempt.passed(whole)
                    yield Verbatim(whole)
                    return
                for event in dialect.read_response(whole):
                    attempt.saw(event)
                    yield event
                return
            reader = Passing(dialect, request, attempt) if verbatim else dialect.reader()
            first = True
            async with aclosing(http.chunks()) as chunks:
                async for chunk in chunks:
                    if first and chunk.startswith(b"{"):  # some servers stream nothing, or not their errors
                        for event in dialect.read_response(chunk + b"".join([piece async for piece in chunks])):
                            attempt.saw(event)
                            yield event
                        return
                    first = False
                    for event in attempt.took(reader.feed(chunk)):
                        yield event
            for event in reader.end():
                attempt.saw(event)
                yield event
        finally:
            attempt.behind = http.ahead
            http.close()

    async def _placed(self, bound: Bound, request: Request, run: Run, attempt: Try) -> Answer:
        """The same from the moment in which a place is free; it is held until the end."""
        slots = run.ports.slots
        patience = min(self.queue.backed if run.backed else self.queue.patience, run.seconds_left)
        await slots.take(
            run.model,
            bound.places or 1,
            self.queue,
            priority=run.priority,
            principal=run.principal,
            patience=patience,
        )
        since = monotonic()
        try:
            async with aclosing(self._heard(bound, request, run, attempt)) as events:
                async for event in events:
                    yield event
        finally:
            slots.free(run.model, monotonic() - since)

    async def _pause(self, error: DirigentError, vain: int, run: Run) -> None:
        """Waits until another try makes sense; raises `error` where none does."""
        if run.backed or not error.retryable or vain >= self.retries or run.record.tries <= 0:
            raise error
        seconds = random.uniform(0.0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**vain))
        if error.retry_after is not None:
            if error.retry_after > self.patience:  # the caller is told, and does better things meanwhile
                raise error
            seconds += error.retry_after
        if seconds >= run.seconds_left:
            raise error
        await asyncio.sleep(seconds)

    def passage(self, request: Request, run: Run) -> Passage | None:
        """The straight way: for requests in the provider's own dialect, once its address is known."""
        wire = request.wire
        if wire is None:
            return None
        return self._bound(request, run).passage(request, wire, run)

    async def count(self, request: Request, run: Run) -> int:
        """As the provider counts them, where it does; estimated otherwise."""
        bound = self._bound(request, run)
        dialect = bound.dialect
        path = dialect.counting_path(self.name)
        if path is None:
            return await super().count(request, run)
        if not dialect.takes_addresses:
            request = await with_contents(request, dialect, run)
        body, *_ = self._body(dialect, request)
        call = await bound.counting(dialect.counting_body(body), path, request, run)
        http = await run.ports.http.open(call, bound.within(run))
        try:
            whole = await http.read()
            if http.status != 200:
                raise dialect.read_error(http.status, whole, retry_after(http.headers))
            return dialect.count_of(whole)
        except DirigentError as error:
            hush(error, call.headers)
            raise
        finally:
            http.close()

    def _bound(self, request: Request, run: Run) -> Bound:
        """What stays the same under one catalog for all answers to requests of this task and dialect."""
        wire = request.wire
        preferred = request.dialect if wire is None else wire.dialect
        kept = run.catalog.kept
        bound = kept.get((id(self), request.task, preferred))
        if bound is None:
            bound = kept[id(self), request.task, preferred] = self._join(request, preferred, run)
        return cast(Bound, bound)

    def _join(self, request: Request, preferred: str, run: Run) -> Bound:
        provider = run.catalog.provider(self.provider)
        if not isinstance(provider, Provider):
            raise Misconfigured(f"{self.provider!r} is not a provider")
        dialect = provider.dialect(request.task, preferred)
        if dialect is None:
            raise Unsupported(f"the provider {self.provider!r} takes no requests for {request.task}", param="model")
        places = self.concurrency or provider.concurrency(self.name, run)
        dialect = dialect.fitted(self.name, run.catalog.profile(run.model))
        tariff = run.catalog.tariff(run.model)
        return Bound(
            self,
            self.name,
            provider,
            dialect,
            tariff=tariff,
            places=places,
            timeouts=self.timeouts,
            breaker=self.breaker,
        )

    async def _funded(self, bound: Bound, body: bytes, request: Request, run: Run, attempt: Try) -> int | None:
        """Reserves what it can cost; gives the bound that the provider must be told, if any."""
        try:
            attempt.funds, most = await funded(request, body, run, bound.tariff, run.catalog.profile(run.model))
        except Failed:
            attempt.unfunded = True
            raise
        return most

    async def _opened(self, bound: Bound, body: bytes, request: Request, run: Run, attempt: Try) -> HttpAnswer:
        """The provider's answer, whose head is there."""
        try:
            return await self._sent(bound, body, request, run, attempt)
        except Unavailable:
            if bound.provider.lasting or not attempt.headers:
                raise
        # What stood at an address that does not last has ended. Its provider waits for the next one, or says how it
        # stands; a moment later, because a process that is ending still looks alive.
        await asyncio.sleep(_MOMENT)
        return await self._sent(bound, body, request, run, attempt)

    async def _sent(self, bound: Bound, body: bytes, request: Request, run: Run, attempt: Try) -> HttpAnswer:
        call = await bound.call(body, request, run)
        attempt.sent(call.headers)
        return await run.ports.http.open(call, bound.within(run))

    def _body(self, dialect: Dialect, request: Request) -> tuple[bytes, bool, tuple[str, ...]]:
        """What goes out; whether it is the caller's own bytes, so that the answer's may come back; what is left out."""
        wire = request.wire
        if wire is not None and wire.dialect == dialect.name and dialect.passes_verbatim:
            return dialect.splice(wire, self.name, report_usage=request.stream), True, ()
        if request.max_output == 0 and request.dialect != dialect.name:  # who speaks the same may know what it means
            raise Unsupported("an answer of no tokens can only be asked for in the provider's own format")
        body = dialect.write_request(request, self.name)
        return body, False, tuple(dialect.unsaid(request)) if request.dialect != dialect.name else ()

    async def _one_by_one(self, request: Request, run: Run) -> Answer:
        """Several choices from a provider that gives one at a time; each is an attempt of its own and settled so."""
        usage: Usage | None = None
        for number in range(request.choices):
            if number:  # only what was asked in vain counts: else nobody could have more choices than tries
                run.record.tries += 1
            async with aclosing(self.answer(request.changed(choices=1), run)) as events:
                async for event in events:
                    if isinstance(event, UsageReported):
                        usage = event.usage if usage is None else usage + event.usage
                    elif not isinstance(event, Verbatim):
                        yield msgspec.structs.replace(event, choice=number)
        if usage is not None:
            yield UsageReported(usage)

    def faults(self, survey: Survey) -> Iterable[Finding]:
        """A provider that does not exist, and what the provider itself has against this deployment."""
        provider = survey.provider(self.provider)
        if provider is None:
            known = set(survey.provider_names())
            if self.provider not in known:
                yield Finding(("provider",), f"there is no provider {self.provider!r}{nearest(self.provider, known)}")
        elif isinstance(provider, Provider):
            yield from provider.faults(self.name, survey)

    def profile(self, survey: Survey) -> Profile:
        """What the file says, else what is published."""
        provider = survey.provider(self.provider)
        served = provider if isinstance(provider, Provider) else Provider()  # publishing says that there is none
        listed = served.listing(self.name, survey.listings) or Listing()
        given = None if self.capabilities is None else frozenset(self.capabilities)
        return Profile(
            price=self.price or listed.price,
            context_window=self.context_window or listed.context_window,
            max_output=self.max_output or listed.max_output,
            capabilities=given if given is not None else listed.capabilities or None,
            quality=self.quality,
            region=self.region or served.located(),
            retires=listed.retires,
            disputed=listed.disputed if self.price is None else None,
            tasks=listed.tasks or served.only_task,
            leaf=True,
        )
