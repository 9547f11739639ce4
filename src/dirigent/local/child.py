"""One start of a model's process, from its launch to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import msgspec

from dirigent.local.launch import Launch, Listening, Refusal, command

__all__ = ["Child", "Refused"]

_LOG_LIMIT = 4_000_000
_GRACE = 3.0


class Refused(Exception):
    """The process ended before it served; the message says why."""


class Child:
    """A running model process."""

    def __init__(self, process: asyncio.subprocess.Process, listening: Listening) -> None:
        self._process = process
        self.listening = listening

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @classmethod
    async def start(cls, launch: Launch) -> Child:
        """Starts a process and returns when it answers. Raises Refused; cancelling ends the process."""
        process, stdin, stdout = await _spawn(Path(launch.log))
        try:
            word = await _converse(stdin, stdout, launch)
            if word is None:
                word = Refusal(f"{_ending(await process.wait())} while it loaded; its log is {launch.log}")
        except BaseException:
            await _end(process)
            raise
        if isinstance(word, Refusal):
            await _end(process)
            raise Refused(word.words)
        return cls(process, word)

    async def wait(self) -> str:
        """Returns when it has ended, with how it ended in words."""
        return _ending(await self._process.wait())

    async def end(self) -> None:
        """Ends it: with a word first, with force after three seconds."""
        await _end(self._process)


async def _spawn(log: Path) -> tuple[asyncio.subprocess.Process, asyncio.StreamWriter, asyncio.StreamReader]:
    noise = _log(log)
    try:
        process = await asyncio.create_subprocess_exec(
            *command(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=noise,
            start_new_session=True,  # Ctrl-C reaches the gateway alone, which then drains
        )  # fmt: skip
    finally:
        os.close(noise)
    if process.stdin is None or process.stdout is None:
        raise Refused("its pipes could not be opened")
    return process, process.stdin, process.stdout


async def _converse(
    stdin: asyncio.StreamWriter, stdout: asyncio.StreamReader, launch: Launch
) -> Listening | Refusal | None:
    """Says the launch and returns the answer; None where it ended without one."""
    with contextlib.suppress(ConnectionError):  # it ended already; the empty line below tells
        stdin.write(msgspec.json.encode(launch) + b"\n")
        await stdin.drain()
    line = await stdout.readline()
    return msgspec.json.decode(line, type=Listening | Refusal) if line else None


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _GRACE)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise


def _ending(code: int) -> str:
    if code >= 0:
        return f"it ended with status {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"


def _log(path: Path) -> int:
    """The log, open at its end; where it has grown long a new one begins, and one old generation is kept."""
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(path.with_name(f"{path.name}.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
