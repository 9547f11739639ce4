"""One try at one deployment: what goes out, what comes back, and how it is told to the record and the vitals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from math import isfinite
from time import monotonic, time

import msgspec

from dirigent.core.errors import Busy, DirigentError, Failed, Misconfigured, Overrun, RateLimited
from dirigent.core.events import (
    Event,
    ReasoningDelta,
    ToolCallDelta,
    UsageReported,
    Verbatim,
)
from dirigent.core.messages import Request
from dirigent.core.ports import Breaker
from dirigent.core.run import Attempt, Run, Voice
from dirigent.core.tokens import estimated_request
from dirigent.core.usage import Money, Tariff, Usage
from dirigent.dialects.dialect import Dialect
from dirigent.models.bonds import keep
from dirigent.models.funding import Funds, keeps_long
from dirigent.models.heard import Heard, words_of

__all__ = ["Headers", "Passing", "Try", "forwarded", "hush", "retry_after"]

Headers = tuple[tuple[str, str], ...]
_SECRET = 8
"""The fewest letters of a header's value that is looked for in a provider's words."""
_COUNTED = frozenset(("chat",))
"""Tasks whose tokens can be counted from what goes in and comes out; of others the usage stays unknown."""
_UNHEARD = 512
"""Tokens that a provider may write between the moment in which it is left and that in which it knows: the fastest ones
write 3,000 a second, so a sixth of a second."""
_LIMITS = ("x-ratelimit-", "anthropic-ratelimit-")
"""How the headers begin in which providers tell how much is left of their limits."""


class Try:
    """One try at one deployment: it measures, and tells the record and the vitals how it ended.

    Once it is `entered` it ends with exactly one of `answered`, `abandoned`, `failed` and `undone`.
    """

    __slots__ = (
        "_began",
        "_breaker",
        "_dialect",
        "_first",
        "_heard",
        "_model",
        "_probe",
        "_record",
        "_request",
        "_run",
        "_seals",
        "_tariff",
        "_vitals",
        "behind",
        "funds",
        "headers",
        "refused",
        "unfunded",
        "usage",
        "voice",
    )

    def __init__(
        self,
        run: Run,
        request: Request,
        dialect: Dialect,
        tariff: Tariff | None,
        breaker: Breaker,
    ) -> None:
        self._run = run
        self._model = run.model
        self._record = run.record
        self._vitals = run.ports.vitals
        self._request = request
        self._dialect = dialect
        # only who was asked by a model has somebody who wants to know whose seals are in its answer
        self._seals = None if run.asker is None or dialect.seals is None else dialect.seals.findall
        self._tariff = tariff
        self._breaker = breaker
        self._probe: bool | None = None
        """What the vitals said as it entered; None before, and after it has left."""
        self._began = monotonic()
        self._first: float | None = None
        self._heard: Heard | None = None
        self.funds: Funds | None = None
        """What is reserved for it; None where nothing is counted."""
        self.headers: Headers = ()
        """What the request was signed with; empty until it is sent."""
        self.refused = False
        """Whether the provider has said no, and so asks for no money."""
        self.unfunded = False
        """Whether this node could not reserve what it costs, for reasons that have nothing to do with the provider."""
        self.usage: Usage | None = None
        self.behind = False
        """Whether the provider may have sent more than was heard, because somebody reads too slowly."""
        self.voice: Voice | None = None
        """What the record is told of this deployment as soon as it is the one that answers."""

    @property
    def spoke(self) -> bool:
        """Whether the caller has heard anything of it."""
        return self._first is not None

    def enter(self) -> None:
        """Counts it as in flight. Raises Unavailable where the deployment rests and somebody else looks how it is."""
        self._probe = self._vitals.enter(self._model, insists=self._run.insists)

    def sent(self, headers: Headers) -> None:
        """The provider is asked, signed with these headers, which uses up one of the run's tries.

        Raises Overrun where none is left: what a run asks at the same time counts together.
        """
        if self._record.tries <= 0:
            raise Overrun(f"the run has asked as many providers as it may; {self._model!r} was not asked")
        self._record.tries -= 1
        self.headers = headers

    def began(self) -> None:
        """The first event is here: from now on this deployment is the one that answers."""
        if self._first is None:
            self._first = monotonic() - self._began
            self._record.deployment = self._model
            if self.voice is not None:
                self._record.voice = self.voice

    def took(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events of one piece, once it has learnt from all: who leaves in the middle of a piece pays for it all."""
        for event in events:
            self.saw(event)
        return events

    def saw(self, event: Event) -> None:
        """Learns from an event that goes by."""
        if self._first is None:
            self.began()
        heard = self._heard
        if heard is None:
            heard = self._heard = Heard()
        match event:
            case UsageReported(usage=usage):
                self.usage = usage
                return
            case ReasoningDelta(signature=signature, sealed=sealed):
                for seal in filter(None, (signature, sealed)):
                    self.issued(seal)
            case ToolCallDelta(signature=str(signature)):
                self.issued(signature)
        heard.said(words_of(event))

    def passed(self, data: bytes) -> None:
        """Learns from a piece of an answer that goes through unread."""
        heard = self._heard
        if heard is None:
            heard = self._heard = Heard()
        heard.passed(data)
        if self._seals is not None:
            for found in self._seals(data):
                self.issued(_unquoted(found))

    def issued(self, seal: str) -> None:
        """Remembers a seal of this deployment for the routers that will be asked to go on."""
        if self._run.asker is not None:
            keep(seal, self._run)

    def answered(self) -> None:
        """The answer is whole."""
        self._leave()
        seconds = monotonic() - self._began
        usage = self.usage if self.usage is not None else self._counted()
        self._record.attempts.append(Attempt(self._model, "answered", seconds, "", self._after()))
        cost = self._settle(usage)
        if self.funds is not None:
            if usage is not None and usage.estimated and self.usage is None:
                self.funds.settle_by_ear(self._most_heard())  # an estimate may be too low, and a budget never is
            else:
                self.funds.settle(usage, cost)
        first = self._first if self._first is not None else seconds
        self._vitals.succeeded(self._model, first, seconds, usage.output_tokens if usage is not None else None)

    def abandoned(self) -> None:
        """Nobody waits for the rest; what has been asked and heard so far will have to be paid for."""
        self._leave()
        self._record.attempts.append(Attempt(self._model, "abandoned", monotonic() - self._began, "", self._after()))
        if self.headers:
            self._settle(self._received())
        self._settle_unfinished(free=not self.headers)

    def failed(self, error: DirigentError) -> None:
        """It came to nothing, or broke off."""
        entered = self._probe is not None
        self._leave()
        seconds = monotonic() - self._began
        self._record.attempts.append(Attempt(self._model, error.code, seconds, error.message, self._after()))
        if self._first is not None:  # the provider had begun, and will want to be paid for it
            self._settle(self._received())
        unasked = not self.headers or (isinstance(error, Failed) and error.unasked) or isinstance(error, Misconfigured)
        self._settle_unfinished(free=unasked or self.refused)
        if not isinstance(error, Failed) or isinstance(error, Busy) or self.unfunded or not (entered or self.headers):
            return  # the provider has not failed: the request is at fault, or nobody was asked
        if error.retry_after:
            self._vitals.told_to_wait(self._model, error.retry_after)
            if isinstance(error, RateLimited):
                return
        self._vitals.failed(self._model, seconds, self._breaker)

    def undone(self) -> None:
        """It has not taken place: the request has reached nobody."""
        self._leave()
        self.dropped()
        if self.headers:
            self._record.tries += 1

    def dropped(self) -> None:
        """Nobody is asked after all: what is reserved for it is given back."""
        if self.funds is not None:
            self.funds.release()
            self.funds = None

    def _after(self) -> float:
        """How long after the run's start it began."""
        return self._began - self._run.started

    def _leave(self) -> None:
        if self._probe is not None:
            self._vitals.leave(self._model, probe=self._probe)
            self._probe = None

    def _settle(self, usage: Usage | None) -> Money | None:
        tariff = self._tariff
        if usage is not None and usage.cache_write_untold_tokens and keeps_long(self._request):
            usage = usage.within_an_hour()
        cost = tariff.cost(usage) if tariff is not None and usage is not None else None
        self._record.settle(usage, cost)
        return cost

    def _settle_unfinished(self, *, free: bool) -> None:
        """Settles what was reserved for an answer that came to no end."""
        if self.funds is None:
            return
        if free:
            self.funds.release()
        elif self._first is not None and self._request.stream and not self.behind:
            self.funds.settle_by_ear(_UNHEARD + self._most_heard())
        else:  # how much of it there is by now, only the provider knows
            self.funds.settle(None, None)

    def _most_heard(self) -> int:
        """The most output tokens that what was heard can be."""
        return self._heard.most(self._dialect) if self._heard is not None else 0

    def _received(self) -> Usage | None:
        """The usage of an answer that ends early: what was reported, and no less than what was heard."""
        counted, reported = self._counted(), self.usage
        if reported is None or counted is None:
            return reported or counted
        if counted.output_tokens <= reported.output_tokens:
            return reported
        return msgspec.structs.replace(reported, output_tokens=counted.output_tokens, estimated=True)

    def _counted(self) -> Usage | None:
        """The usage by our own count; None where the tokens of a task cannot be counted."""
        request = self._request
        if request.task not in _COUNTED:
            return None
        output = self._heard.tokens(self._dialect) if self._heard is not None else 0
        return Usage(estimated_request(request), output, estimated=True)


def _unquoted(raw: bytes) -> str:
    """The text that stands between the quotation marks of a JSON string."""
    try:
        return msgspec.json.decode(b'"%b"' % raw, type=str)
    except msgspec.DecodeError:
        return raw.decode("latin-1")


class Passing:
    """Reads a verbatim stream as one that goes through: each piece is an event, and its usage is learnt on the way."""

    def __init__(self, dialect: Dialect, request: Request, attempt: Try) -> None:
        self._witness = dialect.watching(request)
        self._attempt = attempt

    def feed(self, data: bytes) -> Sequence[Event]:
        return self._passed(self._witness.feed(data))

    def end(self) -> Sequence[Event]:
        return self._passed(self._witness.end())

    def _passed(self, data: bytes) -> Sequence[Event]:
        self._attempt.usage = self._witness.usage
        if not data:
            return ()
        self._attempt.passed(data)
        return (Verbatim(data),)


def hush(error: DirigentError, headers: Headers) -> None:
    """Takes our credentials out of an error's words: a provider may have repeated what it was sent."""
    for name, value in headers:
        secret = value.rpartition(" ")[2]
        if name != "content-type" and len(secret) >= _SECRET and secret in error.message:
            error.message = error.message.replace(secret, "***")
            error.args = (error.message,)


def forwarded(headers: Mapping[str, str]) -> Headers:
    """What a provider tells of its limits, for the caller to read."""
    return tuple((name, value) for name, value in headers.items() if name.startswith(_LIMITS))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the provider says; its milliseconds are finer than the standard's seconds, or its date."""
    for header, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(header)
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
