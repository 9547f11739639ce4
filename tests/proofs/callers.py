"""The fuzzer towards callers: it speaks to a real server, in memory or on sockets, and judges all that comes of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import Coroutine
from typing import Any, NamedTuple

from dirigent.gateway.wire import Exchange, Limits, Server
from tests.proofs.dialogue import dialogue, pieces
from tests.proofs.reference import Asked, Fault, Reading, answers_in, requests_in
from tests.proofs.wires import Memory, Wire

__all__ = ["LIMITS", "Stage", "Toll", "fuzz_in_memory", "fuzz_on_sockets", "judge", "visit"]

LIMITS = Limits(body=64 * 1024)
_BROKEN = (13, 14, 18)
"""The manners of our handler that leave an answer unfinished, for which the connection must end."""


class Deliberate(Exception):
    """What our own handler raises."""


class Seen(NamedTuple):
    """One request as the handler got it, and whether its answer was to be whole."""

    asked: Asked
    whole: bool


class Stage:
    """A server with a handler that writes down all it gets, and answers in all manners."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.seen: dict[str, list[Seen]] = {}
        self.at_work = 0
        self.faults: list[str] = []
        self.server = Server(self._take, limits, on_error=self._failed)

    def _take(self, exchange: Exchange) -> Coroutine[Any, Any, None] | None:
        """Writes the request down; answers it at once, by a callback, or in a task."""
        seen = self.seen.setdefault(exchange.peer, [])
        number = len(seen)
        manner = (number * 7 + len(exchange.path) + len(exchange.body)) % 20
        fields = {name: value for name, value in exchange.headers.items() if name != b"content-length"}
        asked = Asked(exchange.method, exchange.path, exchange.query, fields, exchange.body, exchange._modern)
        seen.append(Seen(asked, whole=manner not in _BROKEN))
        mark = [("x-mark", str(number))]
        if manner in (16, 17):
            exchange.respond(200, mark, b"at once")
            exchange.over()
            return None
        if manner == 18:
            exchange.start(200, mark)
            exchange.write(b"half")
            exchange.over()
            return None
        if manner == 19:
            self._answer_later(exchange, mark)
            return None
        return self._answer(exchange, number, manner, mark)

    def _answer_later(self, exchange: Exchange, mark: list[tuple[str, str]]) -> None:
        def answer() -> None:
            self.at_work -= 1
            if not exchange.gone:
                exchange.respond(200, mark, b"later")
                exchange.over()

        self.at_work += 1
        asyncio.get_running_loop().call_soon(answer)

    async def _answer(self, exchange: Exchange, number: int, manner: int, mark: list[tuple[str, str]]) -> None:
        self.at_work += 1
        try:
            if manner < 6:
                exchange.respond(200, mark, b"answer %d" % number)
            elif manner < 8:
                await asyncio.sleep(0)
                exchange.respond(204, mark)
            elif manner == 8:
                exchange.respond(200, mark, b"a" * 70_000)
            elif manner < 12:
                exchange.start(200, mark)
                for length in (0, 1, 70_000 if manner == 9 else 7):
                    exchange.write(b"b" * length)
                    await asyncio.sleep(0)
                    await exchange.drain()
                exchange.finish()
            elif manner == 12:
                raise Deliberate(number)
            elif manner == 13:
                exchange.start(200, mark)
                exchange.write(b"half")
                raise Deliberate(number)
            elif manner == 14:
                exchange.start(200, mark)
            else:
                for _ in range(5):
                    await asyncio.sleep(0)
                exchange.respond(404, mark, b"no")
        finally:
            self.at_work -= 1

    def _failed(self, exchange: Exchange, error: Exception) -> None:
        if isinstance(error, Deliberate):
            if not exchange.started:
                exchange.respond(500, [("x-mark", str(error.args[0]))], b"deliberate")
        elif "without having finished" not in str(error):
            self.faults.append(repr(error))


def judge(  # noqa: PLR0912  one thing after the other that may be wrong
    seen: list[Seen], sent: bytes, reading: Reading, *, whole: bool
) -> str | None:
    """What is wrong with what the handler saw and the caller heard; `whole` where the caller waited for everything."""
    for place, one in enumerate(seen):
        if place >= len(reading.requests):
            return f"the handler saw {one.asked.method} {one.asked.path}, which nobody sent"
        if one.asked != reading.requests[place]:
            return f"request {place} reads {one.asked}, and means {reading.requests[place]}"
    broken = next((place for place, one in enumerate(seen) if not one.whole), None)
    if broken is not None and len(seen) > broken + 1:
        return "a request was served behind an answer that had broken off"
    try:
        answers, rest = answers_in(sent, [one.asked.method for one in seen])
    except Fault as fault:
        return f"the answers are not HTTP: {fault}"
    for place, answer in enumerate(answers[: len(seen)]):
        if answer.fields.get(b"x-mark") != b"%d" % place:
            return f"answer {place} is that of another request"
    for answer in answers[:-1]:
        if answer.fields.get(b"connection") == b"close":
            return "something was said behind the last answer"
    if not whole:
        return None
    if broken is not None:
        return None
    if rest:
        return f"behind the answers stands {rest[:60]!r}"
    if len(seen) < reading.certain:
        return f"only {len(seen)} of {reading.certain} requests were read"
    if len(answers) < len(seen):
        return f"only {len(answers)} of {len(seen)} requests were answered"
    if len(answers) > len(seen):
        refusal = answers[-1]
        if refusal.status not in (400, 405, 408, 413, 414, 417, 431) or refusal.fields.get(b"connection") != b"close":
            return f"the refusal says {refusal.status}"
        if refusal.status != 408 and reading.end in ("between", "closed"):
            return f"a good stream was refused: {refusal}"
    elif reading.end == "fault":
        return "the fault was not refused"
    return None


class Toll(NamedTuple):
    """How a run of the fuzzer went."""

    requests: int
    served: int
    findings: list[str]
    seconds: float

    def __str__(self) -> str:
        pace = self.requests / self.seconds
        return f"{self.requests} requests, {self.served} of them served, in {self.seconds:.1f} s ({pace:,.0f} a second)"


async def settled(stage: Stage, wire: Wire, name: str) -> None:
    """Returns when the server has done all that it does without waiting for the caller."""
    before: tuple[int, int, bool] | None = None
    quiet = 0
    while quiet < 5 and not wire.over:
        await asyncio.sleep(0)
        now = (len(wire.sent), len(stage.seen.get(name, ())), wire.drained)
        quiet = quiet + 1 if before == now else 0
        before = now
        if stage.at_work and quiet == 5:  # it waits for the caller to read
            wire.release()
            quiet = 0


async def converse(stage: Stage, port: int, chance: random.Random, name: str) -> tuple[int, int, str | None, bytes]:
    """One caller's whole visit: requests made, requests served, what was wrong, and the bytes."""
    requests = dialogue(chance)
    stream, count = b"".join(requests), len(requests)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Memory)
    wire: Wire = loop.call(port, name)
    torn = pieces(chance, requests)
    leaving = chance.random()
    last = chance.randrange(len(torn) + 1) if leaving < 0.12 else len(torn)
    if chance.random() < 0.05:
        wire.hold()
    try:
        for piece in torn[:last]:
            wire.feed(piece)
            if chance.random() < 0.5:
                await asyncio.sleep(0)
    except Exception as error:  # noqa: BLE001  any that comes out of the protocol is what we look for
        return count, 0, f"the protocol raised {error!r}", stream
    if leaving < 0.04:
        wire.cut(ConnectionResetError())
    elif leaving < 0.12:
        wire.end()
    else:
        await settled(stage, wire, name)
    reading = requests_in(stream, LIMITS)
    wire.release()
    wire.end()
    while not wire.over:  # noqa: ASYNC110  the turns of the loop are what is waited for
        await asyncio.sleep(0)
    seen = stage.seen.pop(name, [])
    return count, len(seen), judge(seen, bytes(wire.sent), reading, whole=leaving >= 0.12), stream


async def fuzz_in_memory(requests: int, seed: int, first: int = 0) -> Toll:
    """Makes this many requests, one caller after the other, on wires in memory."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Memory)
    stage = Stage()
    port = await stage.server.start()
    began = time.perf_counter()
    made = served = 0
    visits = first
    findings: list[str] = []
    while made < requests:
        visits += 1
        count, some, finding, stream = await converse(
            stage, port, random.Random(f"{seed}/{visits}"), f"caller-{visits}"
        )
        made += count
        served += some
        if finding is not None:
            findings.append(f"{seed}/{visits}: {finding}\n    in {stream!r:.2000}")
    await _end(stage)
    return Toll(made, served, findings + loop.faults, time.perf_counter() - began)


async def _end(stage: Stage) -> None:
    """Closes the server, after having seen that nothing is left in it."""
    async with asyncio.timeout(5):
        while stage.server.connections or stage.at_work:  # noqa: ASYNC110  the server tells nobody
            await asyncio.sleep(0)
    await stage.server.close()
    assert stage.seen == {}
    assert stage.faults == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


# --- on sockets -------------------------------------------------------------------------------------------------------

_FENCE = b"GET /fence HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
_RESET = struct.pack("ii", 1, 0)
_IMPATIENT = Limits(body=LIMITS.body, head_wait=2.0, body_wait=2.0, idle_wait=2.0, linger=0.1)


async def fuzz_on_sockets(requests: int, seed: int, callers: int = 48) -> Toll:
    """Makes this many requests, `callers` at once, over the loopback; the half that never ends meets its time-outs."""
    stage = Stage(_IMPATIENT)
    port = await stage.server.start()
    began = time.perf_counter()
    made = served = visits = 0
    findings: list[str] = []
    faults: list[str] = []
    readings: dict[str, Reading] = {}
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(f"{context!r}"))

    async def caller() -> None:
        nonlocal made, served, visits
        while made < requests:
            visits += 1
            name = f"127.{1 + visits // 64_516}.{1 + visits // 254 % 254}.{1 + visits % 254}"
            chance = random.Random(f"{seed}/{visits}")
            parts = dialogue(chance)
            made += len(parts)
            if requests_in(b"".join(parts), LIMITS).end in ("between", "unsure"):
                parts.append(_FENCE)
            stream = b"".join(parts)
            leaving = chance.random()
            sent, whole = await visit(port, name, chance, parts, leaving)
            async with asyncio.timeout(5):  # a reset is heard a moment later
                while stage.server.connections and _present(stage, name):  # noqa: ASYNC110  the server tells nobody
                    await asyncio.sleep(0.005)
            reading = requests_in(stream, LIMITS)
            if leaving < 0.12 and name not in stage.seen:
                readings[name] = reading
            seen = stage.seen.pop(name, [])
            served += len(seen)
            finding = judge(seen, sent, reading, whole=whole)
            if finding is not None:
                findings.append(f"{seed}/{visits}: {finding}\n    in {stream!r:.2000}")

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    stage.seen.pop("", None)  # a connection that was reset before anybody asked for its address
    for name in tuple(stage.seen):  # who left before the server had accepted was heard later
        finding = judge(stage.seen.pop(name), b"", readings[name], whole=False)
        if finding is not None:
            findings.append(f"{name}: {finding}")
    await _end(stage)
    return Toll(made, served, findings + faults, time.perf_counter() - began)


def _present(stage: Stage, name: str) -> bool:
    peers = {connection.transport.get_extra_info("peername") for connection in stage.server._common.connections}
    return any(peer is not None and peer[0] == name for peer in peers)


async def visit(port: int, name: str, chance: random.Random, parts: list[bytes], leaving: float) -> tuple[bytes, bool]:
    """Says `parts` from the address `name`; what was answered, and whether that is all that there was to be heard."""
    loop = asyncio.get_running_loop()
    heard = bytearray()
    with socket.socket() as line:
        line.setblocking(False)  # noqa: FBT003  the method has no name for it
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.bind((name, 0))
        await loop.sock_connect(line, ("127.0.0.1", port))
        torn = pieces(chance, parts)
        last = chance.randrange(len(torn) + 1) if leaving < 0.12 else len(torn)

        async def speak() -> None:
            for piece in torn[:last]:
                await loop.sock_sendall(line, piece)
                await asyncio.sleep(0)

        async def listen() -> None:
            while piece := await loop.sock_recv(line, 65_536):
                heard.extend(piece)

        speaking = asyncio.ensure_future(speak())
        listening = asyncio.ensure_future(listen())
        await asyncio.wait({speaking}, timeout=10)
        if leaving < 0.06:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            listening.cancel()
        elif leaving < 0.12:
            with contextlib.suppress(OSError):  # the server was quicker
                line.shutdown(socket.SHUT_WR)
        await asyncio.wait({listening}, timeout=10)
        ended = listening.done() and not listening.cancelled() and listening.exception() is None
        for task in (speaking, listening):
            task.cancel()
        ends = await asyncio.gather(speaking, listening, return_exceptions=True)
    return bytes(heard), leaving >= 0.12 and ended and not any(ends)
