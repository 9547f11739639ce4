"""Requests that become durable runs: the answer is held open while the caller waits, and goes on when nobody does.

A caller who leaves leaves the run alone. One who wants to wait no longer than some seconds gets the run's address
instead of its answer, and whoever asks again with the same idempotency key meets the same run.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import aclosing
from hashlib import sha256
from time import time
from typing import Any

from dirigent.conductor import Conductor
from dirigent.core.errors import DirigentError, Invalid, Unsupported
from dirigent.core.journal import Asked, Ended, Entry, LeftOut, Slept, StepEnded, Submission
from dirigent.core.messages import Request
from dirigent.core.outputs import events_of, response_of
from dirigent.core.ports import Engine
from dirigent.core.run import Run
from dirigent.dialects.dialect import Dialect, StreamWriter
from dirigent.durable import Durable
from dirigent.gateway.call import Call
from dirigent.gateway.errors import WireFault
from dirigent.gateway.keeping import begin, ping, writer_for
from dirigent.gateway.once import KEY, keyed, sameness

__all__ = ["BACKGROUND", "PATIENCE", "Lasting"]

BACKGROUND = b"x-dirigent-background"
"""The header with which a caller has any model answer in a durable run."""
PATIENCE = 60.0
"""Seconds for which a whole answer is waited for, where nobody has said otherwise."""
_PREFER = b"prefer"
_WAIT = re.compile(rb"(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])")
_LONGEST = 86_400.0


class Lasting:
    """The durable way of answering."""

    def __init__(self, conductor: Conductor, patience: float = PATIENCE) -> None:
        self._conductor = conductor
        self._patience = patience

    def wanted(self, call: Call, run: Run) -> bool:
        """Whether a request becomes a durable run: its model is one that outlives the process, or its caller asks."""
        engine = self._conductor.ports.engine
        asked = call.exchange.headers.get(BACKGROUND, b"").strip().lower()
        if asked not in (b"", b"true", b"false"):
            raise Invalid("x-dirigent-background: true or false", param="x-dirigent-background")
        if asked == b"true":
            if engine is None:
                raise Unsupported("this node takes on no runs that outlive it", param="x-dirigent-background")
            return True
        return engine is not None and run.catalog.profile(run.model).durable

    async def answer(self, call: Call, request: Request, run: Run, dialect: Dialect) -> None:
        """Takes the request on, and answers with what comes of it, or with where it will be found."""
        engine = self._conductor.ports.engine
        if engine is None:
            raise Unsupported("this node takes on no runs that outlive it")
        patience = _patience(call.exchange.headers, self._patience, streamed=request.stream)
        await self._submitted(call, request, run, dialect, engine)
        if patience == 0.0:
            self._accepted(call, dialect)
            return
        if request.stream:
            await self._streamed(call, request, dialect, engine)
            return
        ended: Ended | None = None
        try:
            async with asyncio.timeout(patience):
                ended = await _end_of(engine, call.run_id)
        except TimeoutError:
            self._accepted(call, dialect)
            return
        self._whole(call, request, dialect, ended)

    async def _submitted(self, call: Call, request: Request, run: Run, dialect: Dialect, engine: Engine) -> None:
        """Takes the request on. Raises WireFault where its idempotency key stands for another request already."""
        exchange = call.exchange
        digest = ""
        if KEY in exchange.headers:
            call.known_as(f"run-{sha256(keyed(call).encode()).hexdigest()[:24]}")
            digest = sameness(exchange).hex()
            run.id = call.run_id
        headers = dict(dialect.kept_headers(exchange.headers))
        if kind := exchange.headers.get(b"content-type"):
            headers["content-type"] = kind.decode("latin-1")
        named = exchange.headers.get(b"x-dirigent-subject")
        submission = Durable.submission(
            run,
            request,
            exchange.body,
            target=exchange.path,
            headers=tuple(headers.items()),
            digest=digest,
            subject=named.decode("latin-1") if named is not None else "",
            transaction=call.transaction,
        )
        call.lasting = True
        if not await engine.submit(submission):
            await self._met(engine, submission)

    @staticmethod
    async def _met(engine: Engine, submission: Submission) -> None:
        """Makes sure that the run which is there already is of the same request."""
        present = await engine.submission(submission.run)
        if present is None or present.principal.key != submission.principal.key or present.digest != submission.digest:
            raise WireFault(
                "this idempotency key was used for another request: use a new one for each", "idempotency_key_reused"
            )

    def _accepted(self, call: Call, dialect: Dialect) -> None:
        """Says where the run is found."""
        place = f"/api/v1/runs/{call.run_id}"
        words = WireFault(f"the run {call.run_id} goes on; what comes of it will be at {place}", "accepted")
        call.status = 202
        body = dialect.write_error(words, 202, "accepted", call.request_id)
        headers = [*call.headers(dialect.content_type), ("location", place), ("retry-after", "5")]
        if _PREFER in call.exchange.headers:
            headers.append(("preference-applied", "respond-async"))
        call.exchange.respond(202, headers, body)

    @staticmethod
    def _whole(call: Call, request: Request, dialect: Dialect, ended: Ended) -> None:
        response = response_of(_output(ended))
        body = dialect.write_response(response, request, dialect.prefix + call.run_id, int(time()))
        call.status = 200
        call.exchange.respond(200, call.headers(dialect.answer_type(request, response)), body)

    async def _streamed(self, call: Call, request: Request, dialect: Dialect, engine: Engine) -> None:
        """Holds a stream open, tells in comments how far the run is, and writes the answer once it is there."""
        exchange, writer = call.exchange, writer_for(call, request, dialect)
        ended: Ended | None = None
        async with aclosing(engine.follow(call.run_id)) as entries:
            async for entry in entries:
                if isinstance(entry, Ended):
                    ended = entry
                else:
                    _progress(call, request, dialect, writer, entry)
        if ended is None:
            raise DirigentError("the run is gone")
        response = response_of(_output(ended))
        if not exchange.started:
            begin(call, request, dialect, writer)
        for event in events_of(response):
            exchange.write(writer.write(event))
            if exchange.congested:
                await exchange.drain()
        exchange.write(writer.end())
        exchange.finish()


class _Ended(DirigentError):
    """How a run ended that came to nothing, by the code that it left."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # it is the code of whatever ended the run


def _output(ended: Ended) -> Mapping[str, Any]:
    """What came of a run. Raises what ended it."""
    if ended.status == "done" and isinstance(ended.output, Mapping):
        return ended.output
    told = ended.output.get("error") if isinstance(ended.output, Mapping) else None
    code = ended.code or DirigentError.code
    raise _Ended(str(told) if told else f"the run has {ended.status}: {code}", code)


async def _end_of(engine: Engine, run: str) -> Ended:
    async with aclosing(engine.follow(run)) as entries:
        async for entry in entries:
            if isinstance(entry, Ended):
                return entry
    raise DirigentError("the run is gone")


def _progress(call: Call, request: Request, dialect: Dialect, writer: StreamWriter, entry: Entry) -> None:
    """One comment for what has just happened; readers of event streams pass over it."""
    match entry:
        case StepEnded(path=path):
            words = f"step {path} is done"
        case LeftOut(path=path):
            words = f"step {path} is left out"
        case Asked(path=path):
            words = f"{path} waits for people"
        case Slept(path=path):
            words = f"{path} waits for a time"
        case _:
            return
    ping(call, request, dialect, writer)
    if call.exchange.started and dialect.ping.startswith(b":"):
        call.exchange.write(f": {words.encode('ascii', 'replace').decode()}\n\n".encode())


def _patience(headers: Mapping[bytes, bytes], usual: float, *, streamed: bool) -> float:
    """Seconds for which the answer is held open, by RFC 7240 where the caller prefers something."""
    prefer = headers.get(_PREFER, b"").lower()
    if (named := _WAIT.search(prefer)) is not None:
        return min(float(named[1]), _LONGEST)
    if b"respond-async" in prefer:
        return 0.0
    return _LONGEST if streamed else usual
