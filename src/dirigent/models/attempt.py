"""One try at one deployment: what goes out, what comes back, and how it is told to the record and the vitals."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from email.utils import parsedate_to_datetime
from math import isfinite
from time import monotonic, time

from dirigent.core.errors import DirigentError, Failed
from dirigent.core.events import Answer, Event, UsageReported, Verbatim
from dirigent.core.messages import Request
from dirigent.core.ports import HttpAnswer
from dirigent.core.run import Attempt, Run
from dirigent.core.usage import Tariff, Usage
from dirigent.dialects.dialect import Dialect, StreamReader

__all__ = ["Headers", "Passing", "Try", "forwarded", "hush", "retry_after", "streamed"]

Headers = tuple[tuple[str, str], ...]
_SECRET = 8
"""The fewest letters of a header's value that is looked for in a provider's words."""
_LIMITS = ("x-ratelimit-", "anthropic-ratelimit-")
"""How the headers begin in which providers tell how much is left of their limits."""


class Try:
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
        """The answer is whole."""
        seconds = monotonic() - self._began
        usage = self.usage
        self._record.attempts.append(Attempt(self._model, "answered", seconds))
        self._record.settle(usage, tariff.cost(usage) if tariff is not None and usage is not None else None)
        first = self._first if self._first is not None else seconds
        self._vitals.succeeded(self._model, first, seconds, usage.output_tokens if usage is not None else None)

    def abandoned(self) -> None:
        """Nobody waits for the rest."""
        self._record.attempts.append(Attempt(self._model, "abandoned", monotonic() - self._began))
        self._record.settle(self.usage, None)

    def failed(self, error: DirigentError) -> None:
        """It came to nothing, or broke off."""
        self._record.attempts.append(Attempt(self._model, error.code, monotonic() - self._began, error.message))
        if self._first is not None:  # the provider had begun, and will want to be paid for it
            self._record.settle(self.usage, None)
        if isinstance(error, Failed):
            self._vitals.failed(self._model)


class Passing:
    """Reads a verbatim stream as one that goes through: each piece is an event, and its usage is learnt on the way."""

    def __init__(self, dialect: Dialect, request: Request, attempt: Try) -> None:
        self._witness = dialect.witness(hide_usage=not request.include_usage, choices=request.choices)
        self._attempt = attempt

    def feed(self, data: bytes) -> Sequence[Event]:
        return self._passed(self._witness.feed(data))

    def end(self) -> Sequence[Event]:
        return self._passed(self._witness.end())

    def _passed(self, data: bytes) -> Sequence[Event]:
        self._attempt.usage = self._witness.usage
        return (Verbatim(data),) if data else ()


async def streamed(http: HttpAnswer, dialect: Dialect, reader: StreamReader, attempt: Try) -> Answer:
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
