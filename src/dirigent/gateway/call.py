"""One request while it is answered, the route on which it came, and the note that is left of it."""

from __future__ import annotations

import re
from asyncio import Task
from collections.abc import Awaitable, Callable
from time import monotonic, time
from typing import Any

import msgspec

from dirigent.conductor import Conductor
from dirigent.core.editions import NotAtHand
from dirigent.core.errors import Denied, DirigentError, Invalid
from dirigent.core.identity import Principal, Priority
from dirigent.core.messages import Request
from dirigent.core.observations import Refused, Served, Traced, Tried
from dirigent.core.purposes import GENERAL
from dirigent.core.run import MAX_TRIES, Run
from dirigent.dialects.dialect import Dialect
from dirigent.gateway.auth import Keys
from dirigent.gateway.copying import Copy
from dirigent.gateway.errors import headers_of, shape_of
from dirigent.gateway.headers import told, trace_of, tries_of
from dirigent.gateway.wire import Exchange, Exchanging

__all__ = ["Call", "Endpoint", "Route", "Served", "plain"]

_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_NAMED = re.compile(rb"[ -~]{1,128}")
_PRIORITIES: dict[bytes, Priority] = {b"critical": "critical", b"normal": "normal", b"bulk": "bulk"}


class Call:
    """One request while it is answered: the exchange, on whose behalf, and the run once there is one."""

    __slots__ = (
        "_conductor",
        "_keys",
        "asked",
        "began",
        "broken_off",
        "caller",
        "code",
        "copy",
        "denied",
        "exchange",
        "first_token",
        "lasting",
        "principal",
        "renamed",
        "request",
        "request_id",
        "run",
        "run_id",
        "status",
        "stop",
        "stopped",
    )

    def __init__(self, run_id: str, exchange: Exchange, conductor: Conductor, keys: Keys) -> None:
        self._conductor = conductor
        self._keys = keys
        self.exchange: Exchanging = exchange
        """Where the answer goes; while it is recorded, the recording stands here."""
        self.caller = exchange
        """The exchange itself."""
        self.began = monotonic()
        self.run_id = run_id
        given = exchange.headers.get(b"x-request-id")
        self.request_id = given.decode() if given is not None and _ID.fullmatch(given) else run_id
        self.principal: Principal | None = None
        self.request: Request | None = None
        """What was asked, once it is read."""
        self.asked: str | None = None
        """The name that was asked for, once it is read."""
        self.run: Run | None = None
        self.copy: Copy | None = None
        """What is copied of it, where its purpose keeps that."""
        self.denied: Denied | None = None
        """The rule that has refused it."""
        self.status = 0
        self.code: str | None = None
        self.first_token: float | None = None
        self.broken_off: Callable[[bytes], bytes] | None = None
        """How a stream that has begun tells the caller of an error: the bytes for an error's body."""

        self.stop: Callable[[DirigentError], None] | None = None
        """Ends it from outside, with the error that its caller is told."""
        self.stopped: DirigentError | None = None
        """Why it was ended from outside."""
        self.lasting = False
        """Whether it became a durable run, which is noted when that is over."""
        self.renamed: Callable[[str, str], None] = lambda *_: None
        """Told when the run gets another id, which is that of a run that may be there already."""

    def known_as(self, run: str) -> None:
        """From now on it is the call of this run."""
        before, self.run_id = self.run_id, run
        if self.request_id == before:
            self.request_id = run
        self.renamed(before, run)

    def in_task(self, task: Task[Any] | None) -> None:
        """From now on it is answered in this task."""
        if task is None:
            return

        def stop(error: DirigentError) -> None:
            self.stopped = error
            task.cancel()

        self.stop = stop

    def authenticate(self) -> Principal:
        """Who asks. Raises Unauthenticated."""
        self.principal = self._keys.principal(self.exchange.headers, self.exchange.path, self.exchange.query)
        return self.principal

    @property
    def purpose(self) -> str | None:
        """The purpose that the request names; None leaves it to its key."""
        purpose = self.exchange.headers.get(b"x-dirigent-purpose")
        return purpose.decode("latin-1") if purpose is not None else None

    async def opened(self, request: Request) -> Run:
        """The run of a request, once the revision that it asks for is ready. Raises as `open` does."""
        try:
            return self.open(request)
        except NotAtHand as missing:
            await self._conductor.make_ready(missing)
        return self.open(request)

    def open(self, request: Request) -> Run:
        """The run of a request. Raises Invalid where one of our own headers cannot be read, and as a conductor does."""
        headers = self.exchange.headers
        self.asked = request.model
        priority = headers.get(b"x-dirigent-priority")
        if priority is not None and priority not in _PRIORITIES:
            raise Invalid("x-dirigent-priority: one of critical, normal, bulk", param="x-dirigent-priority")
        sticky = headers.get(b"x-dirigent-subject") or headers.get(b"x-dirigent-transaction")
        self.run = self._conductor.open(
            self.run_id,
            request.model,
            self.principal or self.authenticate(),
            priority=_PRIORITIES[priority] if priority is not None else "normal",
            purpose=self.purpose,
            sticky=sticky.decode("latin-1") if sticky is not None else None,
            trace=trace_of(headers) if b"traceparent" in headers else None,
            tries=tries_of(headers) if b"x-stainless-retry-count" in headers else MAX_TRIES,
            request=request,
        )
        if self.run.grant.keeps and self._conductor.ports.archive is not None:
            self.copy = Copy(self.run.grant.keeps)
        return self.run

    def headers(self, content_type: str) -> list[tuple[str, str]]:
        """The headers of the answer, with all that is known by now."""
        headers = [
            ("content-type", content_type),
            ("x-request-id", self.request_id),
            ("request-id", self.request_id),  # Anthropic's SDKs look for it under this name
            ("x-dirigent-run", self.run_id),
        ]
        run = self.run
        if run is not None:
            record = run.record
            headers.append(("x-dirigent-revision", run.catalog.revision))
            if record.deployment is not None:
                headers.append(("x-dirigent-model", record.deployment))
            if record.decisions:
                headers.append(("x-dirigent-route", plain(record.route or "")))
            if (cost := record.known_cost) is not None:
                headers.append(("x-dirigent-cost", str(cost)))
            headers += told(record)
        return headers

    def refuse(self, error: DirigentError, dialect: Dialect) -> None:
        """Answers with the error, in the stream where one has begun."""
        shape, exchange = shape_of(error), self.exchange
        self.status, self.code = shape.status, error.code
        if isinstance(error, Denied):
            self.denied = error
        body = dialect.write_error(error, shape.status, shape.kind, self.request_id)
        if not exchange.started:
            exchange.respond(shape.status, self.headers(dialect.content_type) + headers_of(error, shape), body)
        elif not exchange.finished:  # the status is out already: only the stream itself can still tell
            said = self.broken_off(body) if self.broken_off is not None else b""
            if said:
                exchange.write(said)
                exchange.finish()
            else:  # what cannot tell, such as a sound, must not end as if it were whole
                exchange.cut()

    def served(self) -> Served:
        """The note of this request, once it is over."""
        run, principal = self.run, self.principal
        if run is None or principal is None:  # refused before it came to a run
            return Served(
                at=time(),
                run=self.run_id,
                request=self.request_id,
                tenant=principal.tenant if principal is not None else None,
                project=principal.project if principal is not None else None,
                key=principal.key if principal is not None else None,
                path=self.exchange.path,
                status=self.status,
                code=self.code,
                seconds=monotonic() - self.began,
                member=principal.member if principal is not None else None,
                trace=_trace_id(trace_of(self.exchange.headers)),
            )
        record = run.record
        usage = record.usage
        return Served(  # by position, in the order of the fields: this is written for every request
            time(),
            self.run_id,
            self.request_id,
            principal.tenant,
            principal.project,
            principal.key,
            self.exchange.path,
            record.alias or run.model,
            record.deployment,
            record.route if record.decisions else None,
            run.catalog.revision,
            self.status,
            self.code,
            self.first_token is not None,
            len(record.attempts),
            usage.input_tokens if usage is not None else None,
            usage.output_tokens if usage is not None else None,
            record.known_cost,
            monotonic() - self.began,
            self.first_token,
            run.purpose,
            principal.member,
            self.transaction,
            usage.cached_input_tokens if usage is not None else 0,
            usage.reasoning_tokens if usage is not None else 0,
            usage is not None and usage.estimated,
            _trace_id(run.trace),
        )

    def traced(self, served: Served) -> Traced:
        """What a trace shows of this request, once it is over and noted."""
        run, request = self.run, self.request
        if run is None:
            return Traced(served, trace_of(self.exchange.headers), request.task if request is not None else "")
        tried = tuple(Tried(each.model, each.outcome, each.began, each.seconds) for each in run.record.attempts)
        if request is None:
            return Traced(served, run.trace, "", tried)
        return Traced(
            served,
            run.trace,
            request.task,
            tried,
            request.max_output,
            request.temperature,
            request.top_p,
            request.seed,
            request.choices,
            request.stream,
        )

    def refused(self, denied: Denied) -> Refused:
        """What is to be said of it where a rule has refused it."""
        run, principal, asked = self.run, self.principal, self.asked
        rule = denied.rule or denied.message
        model: str | None = None
        purpose: str | None = None
        if asked is not None and self._conductor.knows(asked):
            model = asked
        elif asked is not None:
            rule = rule.replace(repr(asked), "it")
        if principal is not None:
            may, named = principal.purposes or (GENERAL,), self.purpose
            purpose = run.purpose if run is not None else may[0] if named is None else named if named in may else None
            if named is not None and named not in may:
                rule = rule.replace(repr(named), "it")
        return Refused(
            time(),
            self.run_id,
            denied.code,
            rule,
            principal.tenant if principal is not None else None,
            principal.key if principal is not None else None,
            purpose,
            model,
            run.catalog.revision if run is not None else self._conductor.catalog.revision,
        )

    @property
    def transaction(self) -> str | None:
        """The business case that the caller names; None where its name is none that can be kept."""
        named = self.exchange.headers.get(b"x-dirigent-transaction")
        return named.decode() if named is not None and _NAMED.fullmatch(named) else None


Endpoint = Callable[[Call], Awaitable[None]]


class Route(msgspec.Struct, frozen=True):
    """One path: its method, who answers, in which dialect errors come, and whether it is open to everybody."""

    method: str
    path: str
    endpoint: Endpoint
    dialect: Dialect
    open: bool = False
    answers: bool = False
    """Whether it answers requests of its dialect, so that the straight way may be taken."""
    quiet: float = 0.0
    """Seconds of silence after which a stream is kept alive; 0 for never."""


def _trace_id(parent: str | None) -> str | None:
    """The id of the trace that a `traceparent` belongs to."""
    return None if parent is None else parent[3:35]


def plain(words: str) -> str:
    """Words as a header can carry them: one line of ASCII, 200 characters at most."""
    return " ".join(words.split())[:200].encode("ascii", "replace").decode()
