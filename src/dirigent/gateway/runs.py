"""Runs that outlive a process, for who has a virtual key: begun, looked at, followed and ended, one's own alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import aclosing
from hashlib import sha256
from time import time
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec

from dirigent.conductor import Conductor
from dirigent.core.errors import Invalid, Unsupported
from dirigent.core.identity import Priority
from dirigent.core.journal import Cancelled, Ended, Entry, Submission, parted, read, written
from dirigent.core.outputs import text_of
from dirigent.core.ports import Engine
from dirigent.core.traces import trace
from dirigent.gateway.call import Call
from dirigent.gateway.errors import WireFault
from dirigent.gateway.once import KEY, keyed, sameness
from dirigent.gateway.shown import respond

__all__ = ["OwnRuns"]

_BELOW = "/api/v1/runs/"
_CHAT = "openai_chat"
_LAST = re.compile(rb"\d{1,9}")


class _Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to begin."""

    model: str
    input: Any = None
    messages: tuple[dict[str, Any], ...] = ()
    purpose: str | None = None
    transaction: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    subject: Annotated[str, msgspec.Meta(max_length=200)] = ""
    priority: Priority = "normal"
    starts: float | None = None
    """Seconds since 1970."""
    ends: float | None = None
    webhook: Annotated[str, msgspec.Meta(pattern=r"^https?://[!-~]+$(?!\n)", max_length=500)] | None = None


class OwnRuns:
    """The runs of whoever calls: of the virtual key that they were begun with."""

    def __init__(self, conductor: Conductor, elsewhere: Callable[[Call], Any]) -> None:
        """`elsewhere` answers for runs that did not outlive anything."""
        self._conductor = conductor
        self._elsewhere = elsewhere

    async def submit(self, call: Call) -> None:
        """Takes a run on, and says where it is found. The same idempotency key is the same run."""
        engine = self._engine()
        exchange = call.exchange
        try:
            order = msgspec.json.decode(exchange.body, type=_Order)
        except (msgspec.DecodeError, UnicodeDecodeError) as fault:
            raise Invalid(f"the body: {fault}") from None
        if (order.input is None) == (not order.messages):
            raise Invalid("either `input`, text or data, or `messages` says what is asked", param="input")
        digest = ""
        if KEY in exchange.headers:
            call.known_as(f"run-{sha256(keyed(call).encode()).hexdigest()[:24]}")
            digest = sameness(exchange).hex()
        call.authenticate()
        run = self._conductor.open(
            call.run_id, order.model, call.authenticate(), priority=order.priority, purpose=order.purpose
        )
        run.catalog.facing(run.model)
        chat = bool(order.messages)
        said = {"model": order.model, "messages": list(order.messages)} if chat else order.input
        submission = Submission(
            run=run.id,
            principal=run.principal,
            model=run.model,
            revision=run.catalog.revision,
            dialect=_CHAT if chat else "",
            body=written(said),
            target="/v1/chat/completions" if chat else "",
            headers=(("content-type", "application/json"),) if chat else (),
            digest=digest,
            purpose=run.purpose,
            priority=run.priority,
            subject=order.subject,
            transaction=order.transaction,
            submitted=time(),
            starts=order.starts,
            ends=order.ends,
            webhook=order.webhook,
        )
        call.lasting = True
        if not await engine.submit(submission):
            present = await engine.submission(submission.run)
            if present is None or present.principal.key != run.principal.key or present.digest != digest:
                raise WireFault(
                    "this idempotency key was used for another request: use a new one for each",
                    "idempotency_key_reused",
                )
        place = f"{_BELOW}{run.id}"
        call.status = 202
        body = msgspec.json.encode({"run": run.id, "status": "ready", "location": place, "events": f"{place}/events"})
        headers = [*call.headers("application/json"), ("location", place)]
        exchange.respond(202, headers, body)

    async def show(self, call: Call) -> None:
        """Says how far a run is, and what came of it."""
        name = unquote(call.exchange.path.removeprefix(_BELOW))
        engine = self._conductor.ports.engine
        said = None if engine is None else await self._mine(call, engine, name)
        if engine is None or said is None:
            await self._elsewhere(call)
            return
        entries = await engine.entries(name)
        told = trace(said, entries, int(time() * 1000), words=True)
        answer = msgspec.to_builtins(told, str_keys=True)
        answer["output"] = _output(entries)
        answer.pop("input", None)
        respond(call, answer)

    async def events(self, call: Call) -> None:
        """Tells each entry of a run as it is written, as server-sent events; `Last-Event-ID` goes on behind it."""
        engine = self._engine()
        name = unquote(call.exchange.path.removeprefix(_BELOW).removesuffix("/events"))
        if await self._mine(call, engine, name) is None:
            raise WireFault(f"there is no run {name!r}", "not_found")
        given = call.exchange.headers.get(b"last-event-id", b"0").strip()
        if not _LAST.fullmatch(given):
            raise Invalid("last-event-id: a number that an event had", param="last-event-id")
        seq = int(given)
        exchange = call.exchange
        call.status = 200
        exchange.start(200, [*call.headers("text/event-stream"), ("x-accel-buffering", "no")])
        async with aclosing(engine.follow(name, seq)) as entries:
            async for entry in entries:
                seq += 1
                exchange.write(_event(seq, entry))
                if exchange.congested:
                    await exchange.drain()
        exchange.finish()

    async def cancel(self, call: Call) -> None:
        """Ends a run."""
        engine = self._engine()
        name = unquote(call.exchange.path.removeprefix(_BELOW).removesuffix("/cancel"))
        said = await self._mine(call, engine, name)
        if said is None:
            raise WireFault(f"there is no run {name!r}", "not_found")
        if not await engine.wake(name, Cancelled(at=time(), by=f"key:{said.principal.key}")):
            raise WireFault(f"the run {name!r} is over", "conflict")
        call.status = 202
        call.exchange.respond(
            202, call.headers("application/json"), msgspec.json.encode({"run": name, "status": "cancelling"})
        )

    def _engine(self) -> Engine:
        engine = self._conductor.ports.engine
        if engine is None:
            raise Unsupported("this node takes on no runs that outlive it")
        return engine

    @staticmethod
    async def _mine(call: Call, engine: Engine, name: str) -> Submission | None:
        """The run that this caller's key has begun; None where it is nobody's or another one's."""
        principal = call.authenticate()
        said = await engine.submission(name)
        if said is None or (said.principal.tenant, said.principal.key) != (principal.tenant, principal.key):
            return None
        return said


def _output(entries: Any) -> Any:
    """What came of a run: the text of its answer, or the data that it is."""
    ended = next((entry for entry in entries if isinstance(entry, Ended)), None)
    if ended is None:
        return None
    text = text_of(ended.output)
    return text or ended.output


def _event(seq: int, entry: Entry) -> bytes:
    facts, body = parted(entry)
    told = msgspec.json.decode(facts)
    kind = told.pop("type", "entry")
    name = type(entry).body
    if body is not None and name is not None:
        told[name] = _without_seed(read(body))
    data = written({"seq": seq, **told})
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (seq, str(kind).encode(), data)


def _without_seed(value: Any) -> Any:
    """Who may decide a question and who may read this may be the same: nobody is told what is wrong on purpose."""
    return {key: each for key, each in value.items() if key != "seeded"} if isinstance(value, dict) else value
