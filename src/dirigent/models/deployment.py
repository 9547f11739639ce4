"""A deployment: a model at one provider's endpoint. The only leaf, and the only model that reaches the network."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from time import monotonic
from typing import Annotated

import msgspec
from msgspec import Meta

from dirigent.core.errors import DirigentError, Failed, Finding, Misconfigured
from dirigent.core.events import Answer, Event, UsageReported, Verbatim
from dirigent.core.messages import Request
from dirigent.core.model import Model, Survey
from dirigent.core.ports import Capability, HttpAnswer, HttpCall, Listing, Timeouts
from dirigent.core.profile import Profile
from dirigent.core.registry import nearest
from dirigent.core.run import Attempt, Run
from dirigent.core.usage import Price, Usage
from dirigent.dialects.dialect import Dialect
from dirigent.models.providers.provider import Provider

__all__ = ["Deployment"]


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
        attempt = _Attempt(run)
        try:
            provider = run.catalog.provider(self.provider)
            if not isinstance(provider, Provider):
                raise Misconfigured(f"{self.provider!r} is not a provider")
            dialect, wire = provider.dialect(), request.wire
            if request.choices > 1 and dialect.one_choice:
                async with aclosing(self._one_by_one(request, run)) as events:
                    async for event in events:
                        yield event
                return
            verbatim = wire is not None and wire.dialect == dialect.name and dialect.passes_verbatim
            if wire is not None and verbatim:
                body = dialect.splice(wire, self.name, report_usage=request.stream)
            else:
                body = dialect.write_request(request, self.name)
            address = await provider.address(self.name, run)
            call = HttpCall(address.origin, address.path, address.headers, body)
            http = await run.ports.http.open(call, self._within(run))
            try:
                if http.status != 200:
                    raise dialect.read_error(http.status, await http.read(), _retry_after(http))
                if request.stream or dialect.always_streams:
                    passed = _witnessed(http, dialect, request, attempt) if verbatim else _read(http, dialect, attempt)
                    async with aclosing(passed) as events:
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
            attempt.failed(error)
            raise
        except BaseException:  # cancelled, or left by whoever read it: neither is the provider's fault
            attempt.abandoned()
            raise
        attempt.answered(run.catalog.profile(run.model).price)

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
        listing = provider.listing(self.name, survey.listings) if isinstance(provider, Provider) else None
        listed = listing or Listing()
        given = None if self.capabilities is None else frozenset(self.capabilities)
        return Profile(
            price=self.price or listed.price,
            context_window=self.context_window or listed.context_window,
            max_output=self.max_output or listed.max_output,
            capabilities=given if given is not None else listed.capabilities or None,
            quality=self.quality,
            region=self.region or getattr(provider, "region", None),
            retires=listed.retires,
            disputed=listed.disputed if self.price is None else None,
        )


class _Attempt:
    """One try at one deployment: it measures, and tells the record and the vitals how it ended."""

    __slots__ = ("_began", "_first", "_model", "_record", "_vitals", "usage")

    def __init__(self, run: Run) -> None:
        self._model = run.model
        self._record = run.record
        self._vitals = run.ports.vitals
        self._began = monotonic()
        self._first: float | None = None
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

    def answered(self, price: Price | None) -> None:
        seconds = monotonic() - self._began
        usage = self.usage
        self._record.attempts.append(Attempt(self._model, "answered", seconds))
        self._record.settle(usage, price.cost(usage) if price is not None and usage is not None else None)
        first = self._first if self._first is not None else seconds
        self._vitals.succeeded(self._model, first, seconds, usage.output_tokens if usage is not None else None)

    def abandoned(self) -> None:
        self._record.attempts.append(Attempt(self._model, "abandoned", monotonic() - self._began))
        self._record.settle(self.usage, None)

    def failed(self, error: DirigentError) -> None:
        self._record.attempts.append(Attempt(self._model, error.code, monotonic() - self._began, error.message))
        if isinstance(error, Failed):
            self._vitals.failed(self._model)


async def _witnessed(http: HttpAnswer, dialect: Dialect, request: Request, attempt: _Attempt) -> Answer:
    """A stream as it comes, watched."""
    witness = dialect.witness(hide_usage=not request.include_usage)
    async with aclosing(http.chunks()) as chunks:
        async for chunk in chunks:
            data = witness.feed(chunk)
            attempt.usage = witness.usage
            if data:
                attempt.began()
                yield Verbatim(data)
    data = witness.end()
    attempt.usage = witness.usage
    if data:
        attempt.began()
        yield Verbatim(data)


async def _read(http: HttpAnswer, dialect: Dialect, attempt: _Attempt) -> Answer:
    """A stream in our own words."""
    reader = dialect.reader()
    async with aclosing(http.chunks()) as chunks:
        async for chunk in chunks:
            for event in reader.feed(chunk):
                attempt.saw(event)
                yield event
    for event in reader.end():
        attempt.saw(event)
        yield event


def _retry_after(http: HttpAnswer) -> float | None:
    """Seconds to wait as the provider says; its milliseconds are finer than the standard's seconds."""
    for header, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(http.headers[header]) / unit)
        except (KeyError, ValueError):
            continue
    return None
