"""Traces for OpenTelemetry: a span for each run and one for each of its tries, sent in batches by OTLP over HTTP.

Needs the extra `dirigent[otel]`. Its import takes a quarter of a second, so only a node that traces has it.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from secrets import randbits
from threading import Event, Thread

import msgspec
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from dirigent import __version__
from dirigent.core.observations import Traced, Tried
from dirigent.telemetry.conventions import Answerer, attempt_attributes, name_of, run_attributes

__all__ = ["Tracer", "tracer"]

_log = logging.getLogger("dirigent.telemetry")
_MOST = 10_000
"""Requests that wait to be sent; above them the oldest are dropped."""
_BATCH = 512
_EVERY = 1.0
"""Seconds between two batches."""
_OURS = re.compile(r"run-([0-9a-f]{24})")
_NANO = 1_000_000_000
_SCOPE = InstrumentationScope("dirigent", __version__)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def tracer(
    endpoint: str,
    headers: Mapping[str, str],
    service: str,
    node: str,
    answerer: Callable[[str], Answerer | None],
) -> Tracer:
    """A tracer that sends to an address of OTLP over HTTP, such as `http://collector:4318/v1/traces`."""
    exporter = OTLPSpanExporter(endpoint=endpoint, headers=dict(headers), timeout=10)
    resource = Resource({"service.name": service, "service.version": __version__, "service.instance.id": node})
    return Tracer(exporter, resource, answerer)


class Tracer:
    """An observer that makes spans of what it is told: `observe` takes a microsecond, a thread does the rest.

    The caller's `traceparent` is the parent of a run's span; where it says that nobody samples the trace, nothing is
    sent. Without one the trace bears the run's id, behind eight noughts.
    """

    def __init__(self, exporter: SpanExporter, resource: Resource, answerer: Callable[[str], Answerer | None]) -> None:
        self._exporter = exporter
        self._resource = resource
        self._answerer = answerer
        self._queue: deque[Traced] = deque(maxlen=_MOST)
        self._taken = 0
        self._settled = 0
        self.dropped = 0
        """Requests of which no trace was sent, because the queue was full or nobody took it."""
        self._stop = Event()
        self._thread = Thread(target=self._send_until_stopped, name="traces", daemon=True)

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def observe(self, observation: msgspec.Struct) -> None:
        """Queues what is traced; anything else is not for here."""
        if isinstance(observation, Traced):
            self._queue.append(observation)
            self._taken += 1

    def close(self) -> None:
        """Sends what is still queued, for a few seconds at most."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5.0)
        self._exporter.shutdown()

    def _send_until_stopped(self) -> None:
        while not self._stop.wait(_EVERY):
            self._send()
        self._send()

    def _send(self) -> None:
        while batch := [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]:
            spans = [span for traced in batch for span in self._spans(traced)]
            if spans and not self._sent(spans):
                self.dropped += len(batch)
            self._settled += len(batch)
        lost = self._taken - self._settled - len(self._queue)
        if lost > 0:
            self.dropped += lost
            self._settled += lost
            _log.error("the traces of %d requests were dropped, because they could not be sent fast enough", lost)

    def _sent(self, spans: Sequence[ReadableSpan]) -> bool:
        try:
            return self._exporter.export(spans) is SpanExportResult.SUCCESS  # which logs why, where it is none
        except Exception as fault:  # noqa: BLE001  whatever the library raises: the next batch deserves its attempt
            _log.error("traces could not be sent: %s", type(fault).__name__)
            return False

    def _spans(self, traced: Traced) -> Sequence[ReadableSpan]:
        served = traced.served
        parent = _parent_of(traced.parent)
        if parent is not None and not parent.trace_flags.sampled:
            return ()
        own = _context(parent.trace_id if parent is not None else _trace_of(served.run))
        ends = int(served.at * _NANO)
        starts = ends - int(served.seconds * _NANO)
        who = self._answerer(served.deployment) if served.deployment is not None else None
        run = ReadableSpan(
            name=name_of(traced.task, served.model),
            context=own,
            parent=parent,
            resource=self._resource,
            attributes=run_attributes(traced, who),
            kind=SpanKind.SERVER,
            status=_status(served.code),
            start_time=starts,
            end_time=ends,
            instrumentation_scope=_SCOPE,
        )
        return (run, *(self._attempt(traced, tried, own, starts) for tried in traced.tried))

    def _attempt(self, traced: Traced, tried: Tried, run: SpanContext, starts: int) -> ReadableSpan:
        who = self._answerer(tried.deployment)
        began = starts + int(tried.began * _NANO)
        failed = tried.outcome if tried.outcome not in ("answered", "abandoned") else None
        return ReadableSpan(
            name=name_of(traced.task, who[1] if who is not None else tried.deployment),
            context=_context(run.trace_id),
            parent=run,
            resource=self._resource,
            attributes=attempt_attributes(traced, tried, who),
            kind=SpanKind.CLIENT,
            status=_status(failed),
            start_time=began,
            end_time=began + int(tried.seconds * _NANO),
            instrumentation_scope=_SCOPE,
        )


def _parent_of(traceparent: str | None) -> SpanContext | None:
    """The caller's span; the gateway has made sure that it is well-formed."""
    if traceparent is None:
        return None
    _, trace, span, flags = traceparent.split("-")[:4]
    return SpanContext(int(trace, 16), int(span, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def _trace_of(run: str) -> int:
    found = _OURS.fullmatch(run)
    return int(found[1], 16) if found is not None else randbits(128) | 1


def _context(trace: int) -> SpanContext:
    return SpanContext(trace, randbits(64) | 1, is_remote=False, trace_flags=_SAMPLED)


def _status(code: str | None) -> Status:
    return Status(StatusCode.ERROR, code) if code is not None else Status(StatusCode.UNSET)
