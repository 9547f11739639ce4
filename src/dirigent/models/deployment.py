"""A deployment: a model at one provider's endpoint. The only leaf, and the only model that reaches the network."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from time import monotonic
from typing import Annotated, cast

import msgspec
from msgspec import Meta

from dirigent.core.errors import DirigentError, Finding, Misconfigured, Unavailable, Unsupported
from dirigent.core.events import Answer, UsageReported, Verbatim
from dirigent.core.messages import Request
from dirigent.core.model import Model, Survey
from dirigent.core.ports import Capability, HttpAnswer, HttpCall, Listing, Timeouts
from dirigent.core.profile import Profile
from dirigent.core.registry import nearest
from dirigent.core.run import Run
from dirigent.core.usage import Price, Tariff, Usage
from dirigent.dialects.dialect import Dialect
from dirigent.models.attempt import Headers, Passing, Try, forwarded, hush, retry_after, streamed
from dirigent.models.passage import Passage
from dirigent.models.providers.provider import Address, Provider

__all__ = ["Deployment"]

_JSON = "application/json"
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
        bound = self._bound(request, run)
        dialect = bound.dialect
        if request.choices > 1 and dialect.one_choice:
            async with aclosing(self._one_by_one(request, run)) as events:
                async for event in events:
                    yield event
            return
        attempt = Try(run)
        try:
            body, verbatim = self._body(dialect, request, run)
            http = await self._opened(bound, body, request, run, attempt)
            try:
                if http.status != 200:
                    raise dialect.read_error(http.status, await http.read(), retry_after(http.headers))
                run.record.forwarded = forwarded(http.headers)
                if request.stream or dialect.always_streams:
                    reader = Passing(dialect, request, attempt) if verbatim else dialect.reader()
                    async with aclosing(streamed(http, dialect, reader, attempt)) as events:
                        async for event in events:
                            yield event
                elif verbatim:
                    whole = await http.read()
                    attempt.usage = dialect.usage_of(whole)
                    attempt.began()
                    run.record.content_type = http.headers.get("content-type")
                    yield Verbatim(whole)
                else:
                    for event in dialect.read_response(await http.read()):
                        attempt.saw(event)
                        yield event
            finally:
                http.close()
        except DirigentError as error:
            hush(error, attempt.headers)
            attempt.failed(error)
            raise
        except BaseException:  # cancelled, or left by whoever read it: neither is the provider's fault
            attempt.abandoned()
            raise
        attempt.answered(bound.tariff)

    def passage(self, request: Request, run: Run) -> Passage | None:
        """The straight way: for requests in the provider's own dialect, once its address is known."""
        wire = request.wire
        if wire is None:
            return None
        bound = self._bound(request, run)
        dialect = bound.dialect
        if wire.dialect != dialect.name or not bound.straight:
            return None
        call = bound.ready(dialect.splice(wire, self.name, report_usage=request.stream), request, run)
        if call is None:
            return None
        return Passage(run, request, dialect, bound.tariff, call, self._within(run))

    async def count(self, request: Request, run: Run) -> int:
        """As the provider counts them, where it does; estimated otherwise."""
        bound = self._bound(request, run)
        dialect = bound.dialect
        path = dialect.counting_path(self.name)
        if path is None:
            return await super().count(request, run)
        body, _ = self._body(dialect, request, run)
        call = await bound.counting(body, path, run)
        http = await run.ports.http.open(call, self._within(run))
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
        return Bound(self, provider, dialect, run.catalog.tariff(run.model))

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
        attempt.headers = call.headers
        return await run.ports.http.open(call, self._within(run))

    def _body(self, dialect: Dialect, request: Request, run: Run) -> tuple[bytes, bool]:
        """What goes out, and whether it is the caller's own bytes, so that the answer's may come back."""
        wire = request.wire
        if wire is not None and wire.dialect == dialect.name and dialect.passes_verbatim:
            return dialect.splice(wire, self.name, report_usage=request.stream), True
        body = dialect.write_request(request, self.name)
        if request.dialect != dialect.name and (left_out := tuple(dialect.unsaid(request))):
            run.record.left_out = left_out
        return body, False

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
            tasks=listed.tasks,
        )


class Bound:
    """A deployment joined to its provider in one dialect, for as long as one catalog lasts."""

    __slots__ = ("_address", "_json", "_paths", "deployment", "dialect", "provider", "straight", "tariff")

    def __init__(self, deployment: Deployment, provider: Provider, dialect: Dialect, tariff: Tariff | None) -> None:
        self.deployment = deployment  # held, so that its identity is nobody else's meanwhile
        self.provider = provider
        self.dialect = dialect
        self.tariff = tariff
        self.straight = (
            provider.lasting and not provider.signs and dialect.passes_verbatim and not dialect.always_streams
        )
        """Whether a caller's own bytes may go there and back without anybody waiting for them."""
        self._address: Address | None = None
        self._json: Headers = ()
        """The headers of nearly every request to this address."""
        self._paths = ("", "")

    async def call(self, body: bytes, request: Request, run: Run) -> HttpCall:
        """The call that asks the provider."""
        address = self._address or await self._addressed(run)
        call = self._call(address, body, request, run)
        return await self.provider.signed(call, run) if self.provider.signs else call

    def ready(self, body: bytes, request: Request, run: Run) -> HttpCall | None:
        """The same without waiting; None where the address is not known yet."""
        address = self._address
        return None if address is None else self._call(address, body, request, run)

    def _call(self, address: Address, body: bytes, request: Request, run: Run) -> HttpCall:
        stream = request.stream or self.dialect.always_streams
        wire = request.wire
        type_of = self.dialect.body_type(wire)
        headers = self._json if type_of == _JSON else (*address.headers, ("content-type", type_of))
        if wire is not None and wire.headers:
            headers = (*headers, *self.provider.forwarded(wire.headers))
        if run.trace is not None:
            headers = (*headers, ("traceparent", run.trace))
        return HttpCall(address.origin, self._paths[stream], headers, body)

    async def counting(self, body: bytes, path: str, run: Run) -> HttpCall:
        """The call that asks the provider to count."""
        address = self._address or await self._addressed(run)
        call = HttpCall(address.origin, address.path + path, self._json, body)
        return await self.provider.signed(call, run) if self.provider.signs else call

    async def _addressed(self, run: Run) -> Address:
        name = self.deployment.name
        address = await self.provider.address(name, self.dialect, run)
        self._json = (*address.headers, ("content-type", _JSON))
        whole, streamed = (address.path + self.dialect.path(name, stream=stream) for stream in (False, True))
        self._paths = (whole, streamed)
        if self.provider.lasting:
            self._address = address
        return address
