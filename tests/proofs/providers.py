"""The fuzzer towards providers: our client asks hostile ones, on wires in memory, and every answer is judged."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import NamedTuple

from dirigent.core.errors import BadAnswer, Failed, TimedOut, Unavailable
from dirigent.core.ports import HttpCall, Origin, Timeouts
from dirigent.gateway.wire import Limits
from dirigent.net import HttpClient
from tests.proofs.callers import Toll
from tests.proofs.dialogue import CANARY
from tests.proofs.reference import Fault, Told, requests_in, told_in
from tests.proofs.replies import Ending, Reply, reply
from tests.proofs.wires import Memory, Wire

__all__ = ["fuzz_client"]

_ORIGIN = Origin("provider", 80, tls=False)
_PATIENT = Timeouts(connect=2, first_byte=2, idle=2, total=4)
_BRIEF = Timeouts(connect=2, first_byte=0.1, idle=0.1, total=0.3)
_MARK = re.compile(rb"<[0-9a-f]{12}>")
_FLOOD = 512 * 1024
_ANYTHING = Limits(body=1 << 40)


class Receipt:
    """One request as the provider got it, and what it has said to it so far."""

    def __init__(self, *, reused: bool, bodiless: bool) -> None:
        self.reused = reused
        self.bodiless = bodiless
        self.said = b""
        self.ended = False
        """True once the connection was closed in order behind it."""
        self.broken = False
        """True once the connection was cut."""


class Provider:
    """Answers the request for `/7` as the plan for 7 says, on whatever wire it comes."""

    def __init__(self, loop: Memory) -> None:
        self.loop = loop
        loop.reached = self._reached
        self.plans: dict[int, Reply] = {}
        self.bodies: dict[int, bytes] = {}
        self.receipts: dict[int, list[Receipt]] = {}
        self.findings: list[str] = []
        self.wires = 0
        self.tasks: set[asyncio.Task[None]] = set()

    def _reached(self, wire: Wire) -> None:
        self.wires += 1
        _Line(self, wire)


class _Line:
    """The provider's end of one wire."""

    def __init__(self, provider: Provider, wire: Wire) -> None:
        self._provider = provider
        self._wire = wire
        self._read = 0
        self._receipt: Receipt | None = None
        wire.on_sent = self._sent

    def _sent(self) -> None:
        provider = self._provider
        pending = bytes(self._wire.sent[self._read :])
        if not pending:
            return
        reading = requests_in(pending, _ANYTHING)
        if reading.end != "between" or len(reading.requests) != 1 or reading.certain != 1:
            provider.findings.append(f"the client sent what is not one request: {pending!r:.300}")
            return
        self._read += len(pending)
        asked = reading.requests[0]
        number = int(asked.path[1:])
        before = self._receipt
        if before is not None and (fault := spoils(before.said, bodiless=before.bodiless)):
            provider.findings.append(f"{number}: asked on a connection that {fault}: {before.said!r:.300}")
        if number not in provider.plans:  # we have gone away meanwhile
            return
        if asked.body != provider.bodies[number]:
            provider.findings.append(f"{number}: the body that arrived is not the one that was sent")
        self._receipt = receipt = Receipt(reused=before is not None, bodiless=asked.method == "HEAD")
        provider.receipts.setdefault(number, []).append(receipt)
        task = provider.loop.create_task(self._answer(number, provider.plans[number], receipt))
        provider.tasks.add(task)
        task.add_done_callback(provider.tasks.discard)

    def _say(self, receipt: Receipt, data: bytes) -> bool:
        """Says it, unless the next request is there: it would be an early answer to that one, and nobody could tell."""
        if len(self._wire.sent) > self._read or receipt is not self._receipt or self._wire.is_closing():
            return False
        receipt.said += data
        self._wire.feed(data)
        return True

    async def _answer(self, number: int, plan: Reply, receipt: Receipt) -> None:
        wire = self._wire
        for piece in plan.torn:
            if not self._say(receipt, piece):
                return
            if plan.chance.random() < 0.5:
                await asyncio.sleep(0)
        if plan.late:
            for _ in range(plan.chance.randrange(4)):
                await asyncio.sleep(0)
            if not self._say(receipt, plan.late):
                return
        while not wire.drained and not wire.over:  # noqa: ASYNC110  the turns of the loop are what is waited for
            await asyncio.sleep(0)
        if len(wire.sent) > self._read or receipt is not self._receipt:
            return
        match plan.ending:
            case Ending.CLOSES:
                receipt.ended = True
                wire.end()
            case Ending.RESETS:
                receipt.broken = True
                wire.cut(ConnectionResetError())
            case Ending.FLOODS:
                await self._flood(number, plan.wire[-4_000:])

    async def _flood(self, number: int, piece: bytes) -> None:
        for count in range(_FLOOD // len(piece)):
            if self._wire.is_closing():
                return
            self._wire.feed(piece)
            if count % 32 == 31:
                await asyncio.sleep(0)
        self._provider.findings.append(f"{number}: {_FLOOD} bytes of a flood were taken: {piece[-40:]!r}")
        self._wire.cut()


def spoils(said: bytes, *, bodiless: bool) -> str:
    """Why nobody may be asked on a connection that has said this; empty where one may."""
    try:
        told = told_in(said, bodiless=bodiless, ended=False)
    except Fault as fault:
        return f"was not HTTP: {fault}"
    if said[told.size :].strip(b"\r\n"):
        return "said more than was asked for"
    return "" if told.reusable else "was to be closed"


class Outcome(NamedTuple):
    """What the client made of an answer."""

    status: int
    fields: dict[str, str]
    body: bytes
    failure: Failed | None
    left: bool
    """True where we went away in the middle."""


class Taker:
    """Is told an answer, and writes it down."""

    def __init__(self) -> None:
        self.status = 0
        self.fields: dict[str, str] = {}
        self.body = b""
        self.told: asyncio.Future[tuple[Failed | None, bool]] = asyncio.get_running_loop().create_future()

    def head(self, status: int, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self.status = status
        for raw, value in fields:
            name, text = raw.decode("latin-1").lower(), value.decode("latin-1").rstrip(" \t")
            self.fields[name] = f"{self.fields[name]}, {text}" if name in self.fields else text

    def piece(self, data: bytes) -> None:
        self.body += data

    def end(self) -> None:
        self.told.set_result((None, True))

    def failed(self, error: Failed, *, touched: bool) -> None:
        self.told.set_result((error, touched))


async def ask(client: HttpClient, chance: random.Random, call: HttpCall, timeouts: Timeouts) -> Outcome:
    """One call, in one of the ways in which an answer can be taken."""
    status, body, fields, left = 0, b"", dict[str, str](), False
    manner = chance.random()
    if call.method == "POST" and manner < 0.3:
        taker = Taker()
        if client.push(call, timeouts, taker) is not None:
            failure, touched = await taker.told
            if failure is None or touched:
                return Outcome(taker.status, taker.fields, taker.body, failure, left=False)
    try:
        answer = await client.open(call, timeouts)
        status, fields = answer.status, dict(answer.headers)
        if manner < 0.5:
            body = await answer.read()
        elif manner < 0.55:
            left = True
            answer.close()
        else:
            async with aclosing(answer.chunks()) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if manner > 0.95:
                        left = True
                        break
    except Failed as failure:
        return Outcome(status, fields, body, failure, left)
    return Outcome(status, fields, body, None, left)


def judge_answer(mark: bytes, marks: set[bytes], outcome: Outcome, receipts: list[Receipt]) -> str | None:
    """What is wrong with an answer, in the light of what the provider said."""
    text = outcome.body + repr(outcome.fields).encode()
    foreign = (set(_MARK.findall(text)) & marks) - {mark}
    if foreign:
        return f"holds the bytes of {foreign}"
    if outcome.failure is not None and not isinstance(outcome.failure, BadAnswer | TimedOut | Unavailable):
        return f"failed with {outcome.failure!r}"
    if not receipts:
        return f"was never asked for: {outcome.failure!r}"
    last = receipts[-1]
    if len(receipts) > 3 or any(not receipt.reused or receipt.said.strip(b"\r\n") for receipt in receipts[:-1]):
        return f"was asked {len(receipts)} times"
    told: Told | None
    try:
        told = told_in(last.said, bodiless=last.bodiless, ended=last.ended)
    except Fault as fault:
        told, why = None, str(fault)
    else:
        why = ""
    if told is None:
        if outcome.failure is None and not outcome.left:
            return f"was taken for whole, although there is {why}: {outcome.status} {outcome.body!r:.200}"
        return None
    if outcome.failure is not None:
        excused = not told.certain or last.broken
        return None if excused else f"was good, and failed with {outcome.failure!r}"
    if outcome.left:
        return None if told.body.startswith(outcome.body) else "broke off in other words"
    fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in told.fields.items()}
    for one in (fields, outcome.fields):  # framing, which is read already
        one.pop("content-length", None)
    fields = {name: value.replace("; ", ", ") if name == "cookie" else value for name, value in fields.items()}
    if (outcome.status, outcome.body, outcome.fields) != (told.status, told.body, fields):
        return f"reads {outcome.status} {outcome.fields} {outcome.body!r:.200}, and means {told!r:.400}"
    return None


async def fuzz_client(requests: int, seed: int, callers: int = 24) -> Toll:
    """Asks this many times, `callers` at once, over one client with one pool."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Memory)
    provider, client = Provider(loop), HttpClient(idle=64)
    began = time.perf_counter()
    asked = answered = 0
    findings: list[str] = []
    marks: set[bytes] = set()

    async def caller() -> None:
        nonlocal asked, answered
        while asked < requests:
            asked += 1
            number = asked
            chance = random.Random(f"{seed}/{number}")
            mark = b"<%012x>" % chance.getrandbits(48)
            marks.add(mark)
            plan = provider.plans[number] = reply(chance, mark)
            method = chance.choice(["POST", "POST", "POST", "GET", "HEAD"])
            body = provider.bodies[number] = chance.choice([b"", b"{}", CANARY]) if method == "POST" else b""
            call = HttpCall(_ORIGIN, f"/{number}", (("x-a", "b"),), body, method)
            brief = plan.ending in (Ending.FALLS_SILENT, Ending.FLOODS) or not _ends(plan, bodiless=method == "HEAD")
            try:
                async with asyncio.timeout(8):
                    outcome = await ask(client, chance, call, _BRIEF if brief else _PATIENT)
            except Exception as error:  # noqa: BLE001  any other than a failure of ours is what we look for
                findings.append(f"{seed}/{number}: raised {error!r}\n    in {plan.wire!r:.1500}")
                continue
            answered += outcome.failure is None
            finding = judge_answer(mark, marks, outcome, provider.receipts.pop(number, []))
            if finding is not None:
                findings.append(
                    f"{seed}/{number}: {method} {finding}\n    in {plan.wire!r:.1500} + {plan.late!r} {plan.ending}"
                )
            del provider.plans[number], provider.bodies[number]

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())
    assert client.working == 0
    client.close()
    async with asyncio.timeout(5):
        while provider.tasks:  # noqa: ASYNC110  the turns of the loop are what is waited for
            await asyncio.sleep(0)
    assert client.resting == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return Toll(asked, answered, findings + provider.findings + loop.faults, time.perf_counter() - began)


def _ends(plan: Reply, *, bodiless: bool) -> bool:
    """True where the client need not wait in vain."""
    if plan.ending in (Ending.CLOSES, Ending.RESETS):
        return True
    try:
        return told_in(plan.wire, bodiless=bodiless, ended=False).certain
    except Fault:
        return False
