"""A deployment joined to its provider: what is the same for all its requests is worked out once."""

from __future__ import annotations

from time import monotonic

from dirigent.core.messages import Request, Wire
from dirigent.core.ports import Breaker, HttpCall, Timeouts
from dirigent.core.run import Run
from dirigent.core.usage import Tariff
from dirigent.dialects.dialect import Dialect
from dirigent.models.attempt import Headers
from dirigent.models.funding import funded_at_once
from dirigent.models.passage import Passage, Told
from dirigent.models.providers.provider import Address, Provider

__all__ = ["Bound"]

_JSON = "application/json"


class Bound:
    """A deployment joined to its provider in one dialect, for as long as one catalog lasts."""

    __slots__ = (
        "_address",
        "_breaker",
        "_json",
        "_name",
        "_paths",
        "_straight",
        "_timeouts",
        "_told",
        "dialect",
        "of",
        "places",
        "provider",
        "tariff",
    )

    def __init__(
        self,
        of: object,
        name: str,
        provider: Provider,
        dialect: Dialect,
        *,
        tariff: Tariff | None,
        places: int | None,
        timeouts: Timeouts,
        breaker: Breaker,
    ) -> None:
        self.of = of
        """The deployment: held, so that its identity is nobody else's meanwhile."""
        self._name = name
        self.provider = provider
        self.dialect = dialect
        self.tariff = tariff
        self.places = places
        """How many requests it answers at once; None where nobody counts."""
        self._timeouts = timeouts
        self._breaker = breaker
        self._straight = (
            provider.lasting
            and not provider.signs
            and dialect.passes_verbatim
            and not dialect.always_streams
            and places is None
        )
        """Whether a caller's own bytes may go there and back without anybody waiting for them."""
        self._address: Address | None = None
        self._json: Headers = ()
        """The headers of nearly every request to this address."""
        self._paths = ("", "")
        self._told = Told(dialect.task)

    def passage(self, request: Request, wire: Wire, run: Run) -> Passage | None:
        """The straight way: for requests in the provider's own dialect, once its address is known."""
        address, dialect = self._address, self.dialect
        if address is None or not self._straight or wire.dialect != dialect.name or run.record.tries <= 0:
            return None
        if not run.ports.vitals.healthy(run.model):
            return None
        body = dialect.splice(wire, self._name, report_usage=request.stream)
        call = self._call(address, body, request, run)
        passage = Passage(run, request, dialect, self.tariff, self._breaker, call, self.within(run), self._told)
        if (run.ports.ledger is not None and run.grant.counted(run.model)) or run.allotment is not None:
            profile = run.catalog.profile(run.model)
            passage.funds = funded_at_once(request, call.body, run, self.tariff, profile)
            if passage.funds is None:
                return None
        return passage

    def within(self, run: Run) -> Timeouts:
        """The configured waits, none longer than the run has left."""
        given, left = self._timeouts, run.deadline - monotonic()
        if given.total <= left:
            return given
        return Timeouts(min(given.connect, left), min(given.first_byte, left), min(given.idle, left), left)

    async def call(self, body: bytes, request: Request, run: Run) -> HttpCall:
        """The call that asks the provider."""
        address = self._address or await self._addressed(run)
        call = self._call(address, body, request, run)
        return await self.provider.signed(call, run) if self.provider.signs else call

    def _call(self, address: Address, body: bytes, request: Request, run: Run) -> HttpCall:
        stream = request.stream or self.dialect.always_streams
        type_of = self.dialect.body_type(request.wire)
        headers = self._json if type_of == _JSON else (*address.headers, ("content-type", type_of))
        if request.headers:
            headers = self._with(request, headers)
        if run.trace is not None:
            headers = (*headers, ("traceparent", run.trace))
        return HttpCall(address.origin, self._paths[stream], headers, body)

    async def counting(self, body: bytes, path: str, request: Request, run: Run) -> HttpCall:
        """The call that asks the provider to count."""
        address = self._address or await self._addressed(run)
        headers = self._with(request, self._json) if request.headers else self._json
        call = HttpCall(address.origin, address.path + path, headers, body)
        return await self.provider.signed(call, run) if self.provider.signs else call

    def _with(self, request: Request, headers: Headers) -> Headers:
        """The headers with those of the caller that the provider takes, which stand in place of ours of that name.

        None of another dialect, where they mean nothing.
        """
        if request.dialect != self.dialect.name:
            return headers
        taken = self.provider.forwarded(request.headers)
        names = {name for name, _ in taken}
        return (*(each for each in headers if each[0] not in names), *taken)

    async def _addressed(self, run: Run) -> Address:
        name = self._name
        address = await self.provider.address(name, self.dialect, run)
        self._json = (*address.headers, ("content-type", _JSON))
        whole, streamed = (address.path + self.dialect.path(name, stream=stream) for stream in (False, True))
        self._paths = (whole, streamed)
        if self.provider.lasting:
            self._address = address
        return address
