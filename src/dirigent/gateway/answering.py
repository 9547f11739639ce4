"""How requests are answered and counted: one endpoint for every dialect and every task."""

from __future__ import annotations

from contextlib import aclosing
from time import monotonic, time

from dirigent.conductor import Conductor
from dirigent.core.errors import BadAnswer, DirigentError
from dirigent.core.events import Answer, Event, Verbatim, folded
from dirigent.core.messages import Request
from dirigent.dialects.dialect import Dialect
from dirigent.gateway.call import Call, Endpoint
from dirigent.gateway.copying import Copying
from dirigent.gateway.keeping import begin, ping, writer_for
from dirigent.gateway.lasting import Lasting
from dirigent.gateway.once import KEY, Once

__all__ = ["answering", "counting"]


def answering(dialect: Dialect, conductor: Conductor, once: Once, lasting: Lasting, quiet: float) -> Endpoint:
    """The endpoint at which callers of `dialect` ask for answers.

    A stream in which nothing was said for `quiet` seconds is kept alive.
    """

    async def endpoint(call: Call) -> None:
        if KEY in call.exchange.headers and not await _lasts(call, dialect, conductor, lasting):
            await once.answer(call, dialect, endpoint)
            return
        request, run = call.request, call.run
        if request is None or run is None:  # else the straight way has come so far
            request = call.request = _read(call, dialect, conductor)
            run = await call.opened(request)
        if call.copy is not None:
            call.exchange = Copying(call.exchange, call.copy)
        if lasting.wanted(call, run):
            if quiet and request.stream:
                call.exchange.watch(quiet, lambda: ping(call, request, dialect))
            await lasting.answer(call, request, run, dialect)
            return
        if request.stream:
            async with aclosing(conductor.answer(request, run)) as events:
                await _streamed(call, request, dialect, events, quiet)
            return
        said: list[Event] = []
        async for event in conductor.answer(request, run):  # read to its end, so there is none to close
            said.append(event)  # noqa: PERF401  a comprehension would be one more coroutine to go through at each step
        first = said[0] if said else None
        if type(first) is Verbatim and len(said) == 1:
            body, kind = first.data, run.record.content_type or dialect.content_type
        else:
            response = folded(said)
            body = dialect.write_response(response, request, dialect.prefix + call.run_id, int(time()))
            kind = dialect.answer_type(request, response)
        call.status = 200
        call.exchange.respond(200, call.headers(kind), body)

    return endpoint


async def _streamed(call: Call, request: Request, dialect: Dialect, events: Answer, quiet: float) -> None:
    exchange = call.exchange
    writer = writer_for(call, request, dialect)
    if quiet:
        exchange.watch(quiet, lambda: ping(call, request, dialect, writer))
    verbatim = False
    async for event in events:
        if call.first_token is None:
            call.first_token = monotonic() - call.began
            verbatim = isinstance(event, Verbatim)
            if not exchange.started:  # nothing is promised before: until here a fallback has a head of its own
                begin(call, request, dialect, writer)
        exchange.write(writer.write(event))
        if exchange.congested:
            await exchange.drain()
    if call.first_token is None:
        raise BadAnswer("the answer ended before it began")
    if not verbatim:
        exchange.write(writer.end())
    exchange.finish()


def counting(dialect: Dialect, conductor: Conductor) -> Endpoint:
    """The endpoint at which callers of `dialect` ask how many tokens a request has."""

    async def endpoint(call: Call) -> None:
        request = _read(call, dialect, conductor)
        tokens = await conductor.count(request, await call.opened(request))
        call.status = 200
        call.exchange.respond(200, call.headers(dialect.content_type), dialect.write_count(tokens))

    return endpoint


async def _lasts(call: Call, dialect: Dialect, conductor: Conductor, lasting: Lasting) -> bool:
    """Whether a request becomes a durable run; one that cannot be read, or may not be asked, becomes none."""
    try:
        call.request = _read(call, dialect, conductor)
        if lasting.wanted(call, await call.opened(call.request)):
            return True
    except DirigentError:
        pass
    call.request = call.run = call.copy = None  # it may be answered as an earlier one was
    return False


def _read(call: Call, dialect: Dialect, conductor: Conductor) -> Request:
    """What is asked, and of which model."""
    request = dialect.read_request(call.exchange.body, call.exchange.target, call.exchange.headers)
    return request if request.model else conductor.named(request)
