"""An annex: a process of its own for native code, which does one piece of work at a time.

It is started at the first ask, ended when nobody asks for a while, and dies with the gateway. What crashes there costs
one answer, and the next ask starts it anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Generic, TypeVar

import msgspec

from dirigent.annex.message import LENGTH, Alive, Done, Failure, Refused, Word
from dirigent.core.errors import Invalid, Unavailable, Unsupported

__all__ = ["Annex", "annex_command"]

_CRASHES, _CRASH_WINDOW, _PENANCE = 3, 60.0, 30.0
"""After so many crashes within so many seconds, nothing is started for so long."""
_WORD: msgspec.msgpack.Decoder[Word] = msgspec.msgpack.Decoder(Word)

Result = TypeVar("Result")


class _Broken(Exception):
    """The process ended, or said something else than was agreed."""


def annex_command(module: str) -> list[str]:
    """How an annex is started whose process is `python -m module`."""
    return [sys.executable, "-P", "-m", module]


class Annex(Generic[Result]):
    """The gateway's side of an annex."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        result: type[Result],
        *,
        idle: float = 300.0,
        hangs: float = 300.0,
        waiting: int = 8,
        finishes: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`name` is how people know it, such as `the voice`; `command` starts it; `result` is what its work comes to.

        After `idle` seconds without work it is ended; after `hangs` seconds without a word it counts as hung. Where
        `waiting` asks wait already, one more is refused. An annex that `finishes` does work to its end although its
        asker has left: the right thing for short work. It sees `environment` and nothing else of ours: what strangers
        send is decoded there, and no provider's key is within its reach.
        """
        self._name = name
        self._command = command
        self._result: msgspec.msgpack.Decoder[Result] = msgspec.msgpack.Decoder(result)
        self._idle, self._hangs, self._most, self._finishes = idle, hangs, waiting, finishes
        self._environment = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._environment.update(environment or {})
        self._process: asyncio.subprocess.Process | None = None
        self._ended: list[asyncio.subprocess.Process] = []
        """Processes that were ended and may not have left yet."""
        self._turn = asyncio.Lock()
        self._asks = 0
        self._last: asyncio.Task[Result] | None = None
        """What is done or was done last, where it is done to its end."""
        self._crashes: deque[float] = deque(maxlen=_CRASHES)
        self._leaving: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The process id, while the process runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def do(self, ask: msgspec.Struct) -> Result:
        """What the work comes to, after the asks that came before.

        Cancelling is safe: who still waits leaves the line, and work under way is ended together with the process,
        because native code cannot be interrupted and may have minutes before it; a new process costs about a second.
        Where this annex `finishes`, whoever comes next waits for the end of that work instead.
        Raises Invalid where the ask is at fault, else Unavailable.
        """
        if self._asks > self._most:
            raise Unavailable(f"{self._name} is overloaded: {self._most} asks wait already")
        self._asks += 1
        try:
            async with self._turn:
                return await (self._to_its_end(ask) if self._finishes else self._do(ask))
        finally:
            self._asks -= 1

    async def close(self) -> None:
        """Ends the process. What still waits is refused."""
        self._closed = True
        self._end()
        async with self._turn:  # who has it or waits for it is refused first
            self._end()
        if self._last is not None:
            await asyncio.wait({self._last})
        for process in self._ended:
            await process.wait()

    async def _to_its_end(self, ask: msgspec.Struct) -> Result:
        if self._last is not None:
            await asyncio.wait({self._last})
        self._last = asyncio.create_task(self._do(ask))
        return await asyncio.shield(self._last)

    async def _do(self, ask: msgspec.Struct) -> Result:
        if self._closed:
            raise Unavailable(f"{self._name} is being shut down")
        if self._leaving is not None:
            self._leaving.cancel()
        whole = False
        try:
            word = await self._exchange(msgspec.msgpack.encode(ask))
            result = self._result.decode(word.result) if isinstance(word, Done) else word
            whole = True
        except TimeoutError:
            self._crashes.append(monotonic())
            raise Unavailable(f"{self._name} said nothing for {self._hangs:g} seconds and was ended") from None
        except (_Broken, OSError, EOFError, msgspec.MsgspecError) as fault:
            if self._closed:
                raise Unavailable(f"{self._name} is being shut down") from None
            self._crashes.append(monotonic())
            raise Unavailable(f"{self._name}'s process broke off ({fault}); the next request starts it again") from None
        finally:
            if not whole:  # half an exchange is in the pipes, also when the asker has given up
                self._end()
        self._leaving = asyncio.get_running_loop().call_later(self._idle, self._end)
        if isinstance(result, Refused):
            raise (Unsupported if result.why == "unsupported" else Invalid)(result.words, param=result.param)
        if isinstance(result, Failure):
            raise Unavailable(f"{self._name} cannot work: {result.words}")
        return result

    async def _exchange(self, body: bytes) -> Done | Refused | Failure:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await self._start()
            if self._closed:  # meanwhile
                raise _Broken("it is not wanted any more")
        if process.stdin is None or process.stdout is None:
            raise _Broken("its pipes could not be opened")
        process.stdin.write(LENGTH.pack(len(body)) + body)
        async with asyncio.timeout(self._hangs):
            await process.stdin.drain()
        while True:
            async with asyncio.timeout(self._hangs):
                (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
                word = _WORD.decode(await process.stdout.readexactly(length))
            if not isinstance(word, Alive):
                return word

    async def _start(self) -> asyncio.subprocess.Process:
        if len(self._crashes) == _CRASHES:
            rests = self._crashes[-1] + _PENANCE - monotonic()
            if rests > 0 and self._crashes[-1] - self._crashes[0] < _CRASH_WINDOW:
                raise Unavailable(
                    f"{self._name}'s process broke off {_CRASHES} times; it rests for {rests:.0f} seconds",
                    retry_after=rests,
                )
        return await asyncio.create_subprocess_exec(
            *self._command, str(os.getpid()),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=self._environment,
            start_new_session=True,  # Ctrl-C reaches the gateway alone, which then drains
        )  # fmt: skip

    def _end(self) -> None:
        process, self._process = self._process, None
        if self._leaving is not None:
            self._leaving.cancel()
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()  # it keeps nothing, so there is nothing to put away
            self._ended = [*(left for left in self._ended if left.returncode is None), process]
