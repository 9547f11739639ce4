"""A deployment: a model at one provider's endpoint. The only leaf, and the only model that reaches the network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from email.utils import parsedate_to_datetime
from math import isfinite
from time import monotonic, time
from typing import Annotated

import msgspec
from msgspec import Meta

from dirigent.core.errors import DirigentError, Failed, Finding, Misconfigured, Unavailable
from dirigent.core.events import Answer, Event, UsageReported, Verbatim
from dirigent.core.messages import Request
from dirigent.core.model import Model, Survey
from dirigent.core.ports import Capability, HttpAnswer, HttpCall, Listing, Timeouts
from dirigent.core.profile import Profile
from dirigent.core.registry import nearest
from dirigent.core.run import Attempt, Run
from dirigent.core.usage import Price, Tariff, Usage
from dirigent.dialects.dialect import Dialect, StreamReader
from dirigent.models.providers.provider import Address, Provider

__all__ = ["Deployment"]

Headers = tuple[tuple[str, str], ...]
_SECRET = 8
"""The fewest letters of a header's value that is looked for in a provider's words."""
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

    async def answer(self, request: Request, run: Run) -> Answer:
        """Asks the provider. Raises what went wrong in our own words; an answer left early closes the connection."""
        bound = run.catalog.kept.get(id(self)) or self._bound(run)
        dialect = bound.dialect
        if request.choices > 1 and dialect.one_choice:
            async with aclosing(self._one_by_one(request, run)) as events:
                async for event in events:
                    yield event
            return
        attempt = _Attempt(run)
        try:
            body, verbatim = self._body(dialect, request)
            http = await self._opened(bound, body, run, attempt)
            try:
                if http.status != 200:
                    raise dialect.read_error(http.status, await http.read(), _retry_after(http))
                if request.stream or dialect.always_streams:
                    reader = _Passing(dialect, request, attempt) if verbatim else dialect.reader()
                    async with aclosing(_streamed(http, dialect, reader, attempt)) as events:
                        async for event in events:
                            yield event
                elif verbatim:
                    whole = await http.read()
                    attempt.usage = dialect.usage_of(whole)
                    attempt.began()
                    yield Verbatim(whole)
                else:
                    for event in dialect.read_response(await http.read()):
                        attempt.saw(event)
                        yield event
            finally:
                http.close()
        except DirigentError as error:
            _hush(error, attempt.headers)
            attempt.failed(error)
            raise
        except BaseException:  # cancelled, or left by whoever read it: neither is the provider's fault
            attempt.abandoned()
            raise
        attempt.answered(bound.tariff)

    def _bound(self, run: Run) -> _Bound:
        """What stays the same for all answers under one catalog."""
        provider = run.catalog.provider(self.provider)
        if not isinstance(provider, Provider):
            raise Misconfigured(f"{self.provider!r} is not a provider")
        bound = _Bound(self, provider, run.catalog.tariff(run.model))
        run.catalog.kept[id(self)] = bound
        return bound

    async def _opened(self, bound: _Bound, body: bytes, run: Run, attempt: _Attempt) -> HttpAnswer:
        """The provider's answer, whose head is there."""
        try:
            return await self._sent(bound, body, run, attempt)
        except Unavailable:
            if bound.provider.lasting or not attempt.headers:
                raise
        # What stood at an address that does not last has ended. Its provider waits for the next one, or says how it
        # stands; a moment later, because a process that is ending still looks alive.
        await asyncio.sleep(_MOMENT)
        return await self._sent(bound, body, run, attempt)

    async def _sent(self, bound: _Bound, body: bytes, run: Run, attempt: _Attempt) -> HttpAnswer:
        address = bound.address or await bound.provider.address(self.name, run)
        if bound.provider.lasting:
            bound.address = address
        attempt.headers = address.headers
        return await run.ports.http.open(
            HttpCall(address.origin, address.path, address.headers, body), self._within(run)
        )

    def _body(self, dialect: Dialect, request: Request) -> tuple[bytes, bool]:
        """What goes out, and whether it is the caller's own bytes, so that the answer's may come back."""
        wire = request.wire
        if wire is not None and wire.dialect == dialect.name and dialect.passes_verbatim:
            return dialect.splice(wire, self.name, report_usage=request.stream), True
        return dialect.write_request(request, self.name), False

    async def _one_by_one(self, request: Request, run: Run) -> Answer:
        """Several choices from a provider that gives one at a time; each is an attempt of its own and settled so."""
        usage: Usage | None = None
        for number in range(request.choices):
            async with aclosing(self.answer(request.changed(choices=1), run)) as events:
                async for event in events:
                    if isinstance(event, UsageReported):
                        usage = event.usage if usage is None else usage + event.usage
                    elif not isinstance(event, Verbatim):
                        yield msgspec.structs.replace(event, choice=number)
        if usage is not None:
            yield UsageReported(usage)

    def _within(self, run: Run) -> Timeouts:
        """The configured waits, none longer than the run has left."""
        given, left = self.timeouts, run.deadline - monotonic()
        if given.total <= left:
            return given
        return Timeouts(min(given.connect, left), min(given.first_byte, left), min(given.idle, left), left)

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
        )


class _Bound:
    """A deployment joined to its provider, for as long as one catalog lasts."""

    __slots__ = ("address", "deployment", "dialect", "provider", "tariff")

    def __init__(self, deployment: Deployment, provider: Provider, tariff: Tariff | None) -> None:
        self.deployment = deployment  # held, so that its identity is nobody else's meanwhile
        self.provider = provider
        self.dialect = provider.dialect()
        self.tariff = tariff
        self.address: Address | None = None


class _Attempt:
    """One try at one deployment: it measures, and tells the record and the vitals how it ended."""

    __slots__ = ("_began", "_first", "_model", "_record", "_vitals", "headers", "usage")

    def __init__(self, run: Run) -> None:
        self._model = run.model
        self._record = run.record
        self._vitals = run.ports.vitals
        self._began = monotonic()
        self._first: float | None = None
        self.headers: Headers = ()
        """What the request was signed with; empty until it is sent."""
        self.usage: Usage | None = None

    def began(self) -> None:
        """The first event is here: from now on this deployment is the one that answers."""
        if self._first is None:
            self._first = monotonic() - self._began
            self._record.deployment = self._model

    def saw(self, event: Event) -> None:
        """Learns from an event that goes by."""
        self.began()
        if isinstance(event, UsageReported):
            self.usage = event.usage

    def answered(self, tariff: Tariff | None) -> None:
        seconds = monotonic() - self._began
        usage = self.usage
        self._record.attempts.append(Attempt(self._model, "answered", seconds))
        self._record.settle(usage, tariff.cost(usage) if tariff is not None and usage is not None else None)
        first = self._first if self._first is not None else seconds
        self._vitals.succeeded(self._model, first, seconds, usage.output_tokens if usage is not None else None)

    def abandoned(self) -> None:
        self._record.attempts.append(Attempt(self._model, "abandoned", monotonic() - self._began))
        self._record.settle(self.usage, None)

    def failed(self, error: DirigentError) -> None:
        self._record.attempts.append(Attempt(self._model, error.code, monotonic() - self._began, error.message))
        if self._first is not None:  # the provider had begun, and will want to be paid for it
            self._record.settle(self.usage, None)
        if isinstance(error, Failed):
            self._vitals.failed(self._model)


class _Passing:
    """Reads a verbatim stream as one that goes through: each piece is an event, and its usage is learnt on the way."""

    def __init__(self, dialect: Dialect, request: Request, attempt: _Attempt) -> None:
        self._witness = dialect.witness(hide_usage=not request.include_usage, choices=request.choices)
        self._attempt = attempt

    def feed(self, data: bytes) -> Sequence[Event]:
        return self._passed(self._witness.feed(data))

    def end(self) -> Sequence[Event]:
        return self._passed(self._witness.end())

    def _passed(self, data: bytes) -> Sequence[Event]:
        self._attempt.usage = self._witness.usage
        return (Verbatim(data),) if data else ()


async def _streamed(http: HttpAnswer, dialect: Dialect, reader: StreamReader, attempt: _Attempt) -> Answer:
    """The events of a stream as they come."""
    first = True
    async with aclosing(http.chunks()) as chunks:
        async for chunk in chunks:
            if first and chunk.startswith(b"{"):
                for event in await _unstreamed(chunk, chunks, dialect):
                    attempt.saw(event)
                    yield event
                return
            first = False
            for event in reader.feed(chunk):
                attempt.saw(event)
                yield event
    for event in reader.end():
        attempt.saw(event)
        yield event


async def _unstreamed(first: bytes, rest: AsyncGenerator[bytes, None], dialect: Dialect) -> Sequence[Event]:
    """The events of a whole answer in the place of a stream: some servers stream nothing, or not their errors."""
    return dialect.read_response(first + b"".join([chunk async for chunk in rest]))


def _hush(error: DirigentError, headers: Headers) -> None:
    """Takes our credentials out of an error's words: a provider may have repeated what it was sent."""
    for name, value in headers:
        secret = value.rpartition(" ")[2]
        if name != "content-type" and len(secret) >= _SECRET and secret in error.message:
            error.message = error.message.replace(secret, "***")
            error.args = (error.message,)


def _retry_after(http: HttpAnswer) -> float | None:
    """Seconds to wait as the provider says; its milliseconds are finer than the standard's seconds, or its date."""
    for header, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = http.headers.get(header)
        if value is None:
            continue
        try:
            seconds = float(value) / unit
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - time()
            except (ValueError, OverflowError):
                continue
        if isfinite(seconds):
            return max(0.0, seconds)
    return None
