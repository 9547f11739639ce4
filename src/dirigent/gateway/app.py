"""The gateway: which path is whose, who asks, and what every answer carries, errors too."""

from __future__ import annotations

import logging
from asyncio import CancelledError, current_task
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from secrets import token_hex
from time import time
from typing import Any, Protocol

from dirigent.conductor import Conductor
from dirigent.core.editions import NotAtHand
from dirigent.core.errors import DirigentError, Unauthenticated
from dirigent.core.identity import Principal
from dirigent.core.observations import Walked
from dirigent.core.ports import Observer
from dirigent.dialects.dialect import Dialect
from dirigent.gateway.auth import Keys
from dirigent.gateway.call import Call, Endpoint, Route, Served
from dirigent.gateway.copying import Copy
from dirigent.gateway.errors import WireFault
from dirigent.gateway.express import CopyingExpress, Express
from dirigent.gateway.faces import Faces
from dirigent.gateway.wire import Exchange

__all__ = ["Call", "Endpoint", "Gateway", "Recent", "Route", "Served"]

_log = logging.getLogger("dirigent.gateway")


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


_UNUSUAL = (b"idempotency-key", b"x-dirigent-background")
"""Headers that want more than an answer."""


class _Memo:
    """What follows from the head of a request alone, for as long as the keys are the same."""

    __slots__ = ("ends", "keys", "plain", "principal", "route")

    def __init__(self, keys: Keys, route: Route | None, principal: Principal | None, *, plain: bool) -> None:
        self.keys = keys
        self.route = route
        self.principal = principal
        self.ends = principal.expires if principal is not None else None
        """When the key ends, in seconds since 1970."""
        self.plain = plain
        """Whether nothing in the head speaks against the straight way."""


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


class Beyond(Protocol):
    """Who answers what is none of the gateway's, such as the control plane."""

    def owns(self, path: str) -> bool:
        """Whether a path is one of its own."""
        ...

    def answer(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        """Answers a request for one of them."""
        ...


class Gateway:
    """Answers exchanges. `routes` are exact paths; a star in one stands for whatever a caller puts there."""

    def __init__(
        self,
        conductor: Conductor,
        keys: Keys,
        routes: list[Route],
        dialect: Dialect,
        recent: Recent,
        *,
        beyond: Beyond | None = None,
        tracer: Observer | None = None,
        catch_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`tracer` is told of each request what a trace shows of it; None where nobody traces.

        Before a key is refused that could be one of ours, `catch_up` returns once all is known that was issued before.
        """
        self._catch_up = catch_up
        self._tracer = tracer
        self._beyond = beyond
        self._live: dict[str, Call] = {}
        """The calls that are not over yet, by run."""
        self._conductor = conductor
        self._keys = keys
        self._dialect = dialect
        self._recent = recent
        self._ids = _RunIds()
        self._faces = Faces(((route.path, route.dialect) for route in routes), dialect)
        self._exact = {(route.method, route.path): route for route in routes if "*" not in route.path}
        self._below = [(*_around(route.path), route) for route in routes if "*" in route.path]

    def admit(self, keys: Keys) -> None:
        """From now on these keys are valid and no others."""
        self._keys = keys

    def cut(self, run: str, error: DirigentError) -> None:
        """Ends a call that is not over yet: its upstream is closed, and its caller is told the error."""
        call = self._live.get(run)
        if call is not None and call.stop is not None:
            call.stop(error)

    def take(self, exchange: Exchange) -> Coroutine[Any, Any, None] | None:
        """Answers one request; whatever goes wrong is answered in the caller's dialect.

        Most are answered by callbacks; what is returned answers the others, in a task.
        """
        memo = exchange.head.memo
        if type(memo) is not _Memo or memo.keys is not self._keys or (memo.ends is not None and memo.ends <= time()):
            memo = exchange.head.memo = self._remembered(exchange)
        route = memo.route
        if route is None and self._beyond is not None and self._beyond.owns(exchange.path):
            return self._beyond.answer(exchange)
        call = Call(self._ids.draw(), exchange, self._conductor, self._keys)
        self._live[call.run_id] = call
        call.renamed = self._renamed
        if route is None:
            return self._handle(call, None)
        call.principal = memo.principal
        return self._handle(call, route) if not memo.plain else self._straight(call, route)

    def _straight(self, call: Call, route: Route) -> Coroutine[Any, Any, None] | None:
        """The straight way, where it is open; else the general one, with what is read already."""
        exchange, dialect = call.exchange, route.dialect
        try:
            request = dialect.read_request(exchange.body, exchange.target, exchange.headers)
            if not request.model:
                request = self._conductor.named(request)
            call.request = request
            run = call.open(request)
            passage = self._conductor.passage(request, run)
            way = Express if call.copy is None else CopyingExpress
            if passage is not None and way(self, call, route, request, passage).sent(run.ports.http):
                return None
        except NotAtHand:
            return self._handle(call, route)
        except DirigentError as error:
            self.refuse(call, error, route)
            return None
        except Exception:  # noqa: BLE001  as on the general way
            self.fail(call, route)
            return None
        return self._handle(call, route)

    def _remembered(self, exchange: Exchange) -> _Memo:
        """What follows from a head alone."""
        if self._beyond is not None and self._beyond.owns(exchange.path):
            return _Memo(self._keys, None, None, plain=False)
        try:
            route = self._exact.get((exchange.method, exchange.path)) or self._other(exchange)
            principal = None if route.open else self._keys.principal(exchange.headers, exchange.path, exchange.query)
        except DirigentError:
            return _Memo(self._keys, None, None, plain=False)  # told on the general way, with its words
        plain = route.answers and not any(name in exchange.headers for name in _UNUSUAL)
        return _Memo(self._keys, route, principal, plain=plain)

    async def _handle(self, call: Call, route: Route | None) -> None:
        exchange = call.caller
        call.in_task(current_task())
        try:
            if route is None:
                route = self._exact.get((exchange.method, exchange.path)) or self._other(exchange)
            if not route.open and call.principal is None:
                await self._authenticate(call)
            await route.endpoint(call)
        except DirigentError as error:
            call.refuse(error, self._face(call, route))
        except CancelledError:
            if call.stopped is None:
                call.status, call.code = 499, "caller_gone"
                raise
            call.refuse(call.stopped, self._face(call, route))
        except Exception:  # noqa: BLE001  whatever it is, the caller has a right to an answer, and the log to the trace
            self._fail(call, route)
        finally:
            if route is None or not route.open:
                self._note(call)
            else:
                self._forget(call)

    async def _authenticate(self, call: Call) -> None:
        """Finds out who asks, and does not refuse a key of which this worker has merely not heard yet."""
        exchange = call.exchange
        try:
            call.authenticate()
        except Unauthenticated:
            ours = self._keys.has_form(exchange.headers, exchange.path, exchange.query)
            if self._catch_up is None or not ours:
                raise
            await self._catch_up()
            call.authenticate()

    # --- what the straight way needs ----------------------------------------------------------------------------------

    def go_on(self, call: Call, route: Route) -> None:
        """Answers the call on the general way."""
        call.caller.carry(self._handle(call, route))

    def refuse(self, call: Call, error: DirigentError, route: Route) -> None:
        """Answers the call with an error, and ends it."""
        call.refuse(error, route.dialect)
        self.close(call)

    def fail(self, call: Call, route: Route) -> None:
        """Logs the fault of our own that is being handled, tells the caller where the log has it, and ends the call."""
        self._fail(call, route)
        self.close(call)

    def close(self, call: Call) -> None:
        """Notes a call that is over."""
        self._note(call)
        call.caller.over()

    def _renamed(self, before: str, run: str) -> None:
        if (call := self._live.pop(before, None)) is not None:
            self._live[run] = call

    def _note(self, call: Call) -> None:
        self._forget(call)
        observer = self._conductor.ports.observer
        if call.denied is not None:
            observer.observe(call.refused(call.denied))
        if call.lasting:  # its run is noted when that is over, wherever it is then
            return
        if call.copy is not None:
            self._keep(call, call.copy)
        served = call.served()
        self._recent.note(served)
        observer.observe(served)
        if call.run is not None and call.run.logbook is not None and served.tenant is not None:
            observer.observe(Walked(served, tuple(call.run.logbook.entries)))
        if self._tracer is not None:
            self._tracer.observe(call.traced(served))

    def _keep(self, call: Call, copy: Copy) -> None:
        archive, run = self._conductor.ports.archive, call.run
        if archive is None or run is None:
            return
        said = copy.said(run, call.caller.headers, call.caller.body)
        if said is not None:
            archive.keep(said)

    def _forget(self, call: Call) -> None:
        """Lets go of a call that is over. What could stop it knows it in turn: both would wait for the collector."""
        self._live.pop(call.run_id, None)
        call.stop = call.broken_off = None
        call.caller.on_quiet = None

    def _fail(self, call: Call, route: Route | None) -> None:
        _log.exception("the request %s failed on a fault of our own", call.request_id)
        ours = DirigentError(f"something went wrong on our side; the log has it under {call.request_id}")
        call.refuse(ours, self._face(call, route))

    def _face(self, call: Call, route: Route | None) -> Dialect:
        """In which dialect a call is refused."""
        return route.dialect if route is not None else self._faces.of(call.exchange.path)

    def refusal(self, status: int, code: str, message: str) -> tuple[list[tuple[str, str]], bytes]:
        """The answer to bytes that are no proper HTTP request, in the shape of every other error."""
        error = WireFault(message, code)
        kind = "invalid_request_error" if status < 500 else "api_error"
        run_id = self._ids.draw()
        headers = [
            ("content-type", "application/json"),
            ("x-request-id", run_id),
            ("request-id", run_id),
            ("x-dirigent-run", run_id),
        ]
        return headers, self._dialect.write_error(error, status, kind, run_id)

    def _other(self, exchange: Exchange) -> Route:
        path = exchange.path
        for prefix, suffix, route in self._below:
            if (
                path.startswith(prefix)
                and path.endswith(suffix)
                and len(path) > len(prefix) + len(suffix)
                and (route.method == exchange.method or (route.method, exchange.method) == ("GET", "HEAD"))
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


def _around(path: str) -> tuple[str, str]:
    """What stands before and behind the star of a path."""
    before, _, behind = path.partition("*")
    return before, behind
