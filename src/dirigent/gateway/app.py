"""The gateway: which path is whose, who asks, and what every answer carries, errors too."""

from __future__ import annotations

import logging
import re
from asyncio import CancelledError
from collections import deque
from collections.abc import Awaitable, Callable
from secrets import token_hex
from time import monotonic, time

import msgspec

from dirigent.conductor import Conductor
from dirigent.core.errors import DirigentError, Invalid
from dirigent.core.identity import Principal, Priority
from dirigent.core.run import Run
from dirigent.core.usage import Money
from dirigent.dialects.dialect import Dialect
from dirigent.gateway.auth import Keys
from dirigent.gateway.errors import WireFault, headers_of, shape_of
from dirigent.gateway.wire import Exchange

__all__ = ["Call", "Endpoint", "Gateway", "Recent", "Route", "Served"]

_log = logging.getLogger("dirigent.gateway")
_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_PRIORITIES: dict[bytes, Priority] = {b"critical": "critical", b"normal": "normal", b"bulk": "bulk"}


class Served(msgspec.Struct, frozen=True):
    """What is noted of one request: who and what, never a word of its content."""

    at: float
    """When it ended, in seconds since 1970."""
    run: str
    request: str
    tenant: str | None
    project: str | None
    key: str | None
    path: str
    model: str | None = None
    deployment: str | None = None
    route: str | None = None
    revision: str | None = None
    status: int = 0
    code: str | None = None
    streamed: bool = False
    attempts: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Money | None = None
    seconds: float = 0.0
    first_token: float | None = None


class Call:
    """One request while it is answered: the exchange, on whose behalf, and the run once there is one."""

    __slots__ = (
        "_conductor",
        "_keys",
        "began",
        "broken_off",
        "code",
        "exchange",
        "first_token",
        "principal",
        "request_id",
        "run",
        "run_id",
        "status",
    )

    def __init__(self, run_id: str, exchange: Exchange, conductor: Conductor, keys: Keys) -> None:
        self._conductor = conductor
        self._keys = keys
        self.exchange = exchange
        self.began = monotonic()
        self.run_id = run_id
        given = exchange.headers.get(b"x-request-id")
        self.request_id = given.decode() if given is not None and _ID.fullmatch(given) else run_id
        self.principal: Principal | None = None
        self.run: Run | None = None
        self.status = 0
        self.code: str | None = None
        self.first_token: float | None = None
        self.broken_off: Callable[[bytes], bytes] | None = None
        """How a stream that has begun tells the caller of an error: the bytes for an error's body."""

    def authenticate(self) -> Principal:
        """Who asks. Raises Unauthenticated."""
        self.principal = self._keys.principal(self.exchange.headers)
        return self.principal

    def open(self, model: str) -> Run:
        """The run of this request. Raises Invalid where one of our own headers cannot be read."""
        headers = self.exchange.headers
        priority = headers.get(b"x-dirigent-priority")
        if priority is not None and priority not in _PRIORITIES:
            raise Invalid("x-dirigent-priority: one of critical, normal, bulk", param="x-dirigent-priority")
        sticky = headers.get(b"x-dirigent-subject") or headers.get(b"x-dirigent-transaction")
        purpose = headers.get(b"x-dirigent-purpose")
        self.run = self._conductor.open(
            self.run_id,
            model,
            self.principal or self.authenticate(),
            priority=_PRIORITIES[priority] if priority is not None else "normal",
            purpose=purpose.decode("latin-1") if purpose is not None else None,
            sticky=sticky.decode("latin-1") if sticky is not None else None,
        )
        return self.run

    def headers(self, content_type: str) -> list[tuple[str, str]]:
        """The headers of the answer, with all that is known by now."""
        headers = [("content-type", content_type), ("x-request-id", self.request_id), ("x-dirigent-run", self.run_id)]
        run = self.run
        if run is not None:
            record = run.record
            headers.append(("x-dirigent-revision", run.catalog.revision))
            if record.deployment is not None:
                headers.append(("x-dirigent-model", record.deployment))
            if record.decisions:
                headers.append(("x-dirigent-route", _plain(record.route or "")))
            if (cost := record.known_cost) is not None:
                headers.append(("x-dirigent-cost", str(cost)))
        return headers

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
            run.model,
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
        )


Endpoint = Callable[[Call], Awaitable[None]]


class Route(msgspec.Struct, frozen=True):
    """One path: its method, who answers, in which dialect errors come, and whether it is open to everybody."""

    method: str
    path: str
    endpoint: Endpoint
    dialect: Dialect
    open: bool = False


class Recent:
    """The notes of this worker's last requests, by run; the oldest make room."""

    def __init__(self, most: int = 1000) -> None:
        self._notes: deque[Served] = deque(maxlen=most)

    def note(self, served: Served) -> None:
        """Keeps one."""
        self._notes.append(served)

    def find(self, run: str, tenant: str) -> Served | None:
        """The note of a run of this tenant; None where there is none, or none any more."""
        return next((note for note in reversed(self._notes) if note.run == run and note.tenant == tenant), None)


class _RunIds:
    """Ids of 96 random bits, drawn many at a time: asking the system for chance costs more than all else about them."""

    _BYTES = 12
    _MANY = 256

    def __init__(self) -> None:
        self._drawn: list[str] = []

    def draw(self) -> str:
        """One that nobody has had."""
        if not self._drawn:
            many, one = token_hex(self._BYTES * self._MANY), 2 * self._BYTES
            self._drawn = [f"run-{many[start : start + one]}" for start in range(0, len(many), one)]
        return self._drawn.pop()


class Gateway:
    """Answers exchanges. `routes` are exact paths; one that ends in `/*` takes all below it."""

    def __init__(self, conductor: Conductor, keys: Keys, routes: list[Route], dialect: Dialect, recent: Recent) -> None:
        self._conductor = conductor
        self._keys = keys
        self._dialect = dialect
        self._recent = recent
        self._ids = _RunIds()
        self._exact = {(route.method, route.path): route for route in routes if not route.path.endswith("/*")}
        self._below = [(route.path[:-1], route) for route in routes if route.path.endswith("/*")]

    async def handle(self, exchange: Exchange) -> None:
        """Answers one request; whatever goes wrong is answered in the caller's dialect."""
        call = Call(self._ids.draw(), exchange, self._conductor, self._keys)
        route = self._exact.get((exchange.method, exchange.path))
        try:
            if route is None:
                route = self._other(exchange)
            if not route.open:
                call.authenticate()
            await route.endpoint(call)
        except DirigentError as error:
            self._refuse(call, error, route.dialect if route is not None else self._dialect)
        except CancelledError:
            call.status, call.code = 499, "caller_gone"
            raise
        except Exception:  # noqa: BLE001  whatever it is, the caller has a right to an answer, and the log to the trace
            _log.exception("the request %s failed on a fault of our own", call.request_id)
            ours = DirigentError(f"something went wrong on our side; the log has it under {call.request_id}")
            self._refuse(call, ours, route.dialect if route is not None else self._dialect)
        finally:
            if route is None or not route.open:
                served = call.served()
                self._recent.note(served)
                self._conductor.ports.observer.observe(served)

    def refusal(self, status: int, code: str, message: str) -> tuple[list[tuple[str, str]], bytes]:
        """The answer to bytes that are no proper HTTP request, in the shape of every other error."""
        error = WireFault(message, code)
        kind = "invalid_request_error" if status < 500 else "api_error"
        run_id = self._ids.draw()
        headers = [("content-type", "application/json"), ("x-request-id", run_id), ("x-dirigent-run", run_id)]
        return headers, self._dialect.write_error(error, status, kind, run_id)

    def _other(self, exchange: Exchange) -> Route:
        for prefix, route in self._below:
            if (
                exchange.path.startswith(prefix)
                and len(exchange.path) > len(prefix)
                and route.method == exchange.method
            ):
                return route
        shown = self._exact.get(("GET", exchange.path))
        if shown is not None and exchange.method == "HEAD":
            return shown
        allowed = sorted(method for method, path in self._exact if path == exchange.path)
        if allowed:
            raise WireFault(
                f"{exchange.path} takes {' and '.join(allowed)}, not {exchange.method}", "method_not_allowed"
            )
        raise WireFault(f"there is nothing at {exchange.method} {exchange.path}", "not_found")

    def _refuse(self, call: Call, error: DirigentError, dialect: Dialect) -> None:
        shape = shape_of(error)
        call.status, call.code = shape.status, error.code
        body = dialect.write_error(error, shape.status, shape.kind, call.request_id)
        if call.exchange.started:  # the status is out already: only the stream itself can still tell
            if not call.exchange.finished:
                if call.broken_off is not None:
                    call.exchange.write(call.broken_off(body))
                call.exchange.finish()
            return
        headers = call.headers(dialect.content_type) + headers_of(error, shape)
        call.exchange.respond(shape.status, headers, body)


def _plain(words: str) -> str:
    """Words as a header can carry them: one line of ASCII, 200 characters at most."""
    return " ".join(words.split())[:200].encode("ascii", "replace").decode()
