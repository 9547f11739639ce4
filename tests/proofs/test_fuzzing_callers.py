"""A hundred thousand requests, good and vicious: the server reads what RFC 9112 says, answers it in order, and forgets."""

from __future__ import annotations

import asyncio
import random
import time
from typing import NamedTuple

from dirigent.gateway.wire import Exchange, Limits, Server
from tests.proofs.dialogue import dialogue, pieces
from tests.proofs.reference import Asked, Fault, Reading, answers_in, requests_in
from tests.proofs.wires import Memory, Wire

LIMITS = Limits(body=64 * 1024)


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
        self.server = Server(self._answer, limits, on_error=self._failed)

    async def _answer(self, exchange: Exchange) -> None:
        seen = self.seen.setdefault(exchange.peer, [])
        number = len(seen)
        manner = (number * 7 + len(exchange.path) + len(exchange.body)) % 16
        asked = Asked(
            exchange.method, exchange.path, exchange.query, dict(exchange.headers), exchange.body, exchange._modern
        )
        seen.append(Seen(asked, whole=manner not in (13, 14)))
        mark = [("x-mark", str(number))]
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


def verdict(wire: bytes, seen: list[Seen], sent: bytes, *, reading: Reading, whole: bool) -> str | None:
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
    findings: list[tuple[str, bytes]]
    seconds: float


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
    stream, count = dialogue(chance)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Memory)
    wire: Wire = loop.call(port, name)
    torn = pieces(chance, stream)
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
    while not wire.over:
        await asyncio.sleep(0)
    seen = stage.seen.pop(name, [])
    return count, len(seen), verdict(stream, seen, bytes(wire.sent), reading=reading, whole=leaving >= 0.12), stream


async def fuzz(requests: int, seed: int) -> Toll:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Memory)
    stage = Stage()
    port = await stage.server.start()
    began = time.perf_counter()
    made = served = visits = 0
    findings: list[tuple[str, bytes]] = []
    while made < requests:
        visits += 1
        chance = random.Random(f"{seed}/{visits}")
        count, some, finding, stream = await converse(stage, port, chance, f"caller-{visits}")
        made += count
        served += some
        if finding is not None:
            findings.append((f"{seed}/{visits}: {finding}", stream))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not loop.faults, loop.faults[:3]
    assert not stage.faults, stage.faults[:3]
    assert stage.server.connections == stage.at_work == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await stage.server.close()
    return Toll(made, served, findings, time.perf_counter() - began)
