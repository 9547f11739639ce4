"""A race between candidates: who is slow gets company, and the first who speaks is heard to the end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from dirigent.core.errors import BadAnswer, DirigentError, Overrun
from dirigent.core.events import Answer, Event
from dirigent.core.run import Record, Voice

__all__ = ["First", "first_to_speak"]


class Ask(Protocol):
    """How a candidate is asked."""

    def __call__(self, name: str, *, backed: bool) -> Answer:
        """Its answer; `backed` says that another one could be asked after it."""
        ...


class First(NamedTuple):
    """Who spoke first."""

    name: str
    event: Event
    rest: Answer
    """What follows, to be read and closed."""
    voice: Voice


async def first_to_speak(
    order: Iterable[str], ask: Ask, after: float, record: Record, failures: dict[str, DirigentError]
) -> First | None:
    """The candidate that says something first.

    Whenever only one runs and has said nothing for `after` seconds, or has failed, the next one starts. None where all
    have failed; `failures` says how. Raises what another candidate could not mend. All others are closed by then,
    whatever happens, a cancellation in between included.
    """
    race = _Race(order, ask, after, record, failures)
    try:
        async with asyncio.TaskGroup() as tasks:
            await race.run(tasks)
    except BaseException:
        race.winner = None
        raise
    finally:
        for runner in race.started:
            if runner.answer is not None and (race.winner is None or runner.answer is not race.winner.rest):
                await runner.answer.aclose()
    if race.winner is not None:
        record.voice = race.winner.voice
    elif (fatal := _fatal(failures)) is not None:
        raise fatal
    return race.winner


class _Runner:
    """A candidate in a race."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answer: Answer | None = None

    async def run(self, ask: Ask, record: Record, *, backed: bool) -> First | DirigentError:
        """Asks, and waits for the first event. Nothing that can be foreseen is raised: it would end the others too."""
        try:
            self.answer = answer = ask(self.name, backed=backed)
            event = await anext(answer)
        except StopAsyncIteration:
            return BadAnswer("its answer ended before it began")
        except DirigentError as error:
            return error
        return First(self.name, event, answer, record.voice)  # no other has had a turn since the event came


class _Race:
    """Who runs, and who has won."""

    def __init__(
        self, order: Iterable[str], ask: Ask, after: float, record: Record, failures: dict[str, DirigentError]
    ) -> None:
        self.winner: First | None = None
        self.started: list[_Runner] = []
        self._waiting = deque(order)
        self._running: dict[asyncio.Task[First | DirigentError], _Runner] = {}
        self._ask = ask
        self._after = after
        self._record = record
        self._failures = failures

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Until somebody has won, or nobody can any more; whoever still runs is told to stop."""
        self._start(tasks)
        while self._running:
            timeout = self._after if self._more and len(self._running) == 1 else None
            done, _ = await asyncio.wait(self._running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if self._over(done):
                break
            if self._more and (not done or not self._running):
                self._start(tasks)
        for task in self._running:
            task.cancel()

    @property
    def _more(self) -> bool:
        """Whether another one can be asked."""
        return bool(self._waiting) and self._record.tries > 0

    def _start(self, tasks: asyncio.TaskGroup) -> None:
        runner = _Runner(self._waiting.popleft())
        self.started.append(runner)
        running = runner.run(self._ask, self._record, backed=bool(self._waiting))
        self._running[tasks.create_task(running)] = runner

    def _over(self, done: set[asyncio.Task[First | DirigentError]]) -> bool:
        """Looks at who has come in: True where somebody has won, or nobody else could do better."""
        for task in [task for task in self._running if task in done]:  # in the order in which they were asked
            runner, result = self._running.pop(task), task.result()
            if isinstance(result, DirigentError):
                self._failures[runner.name] = result
            elif self.winner is None:
                self.winner = result
        return self.winner is not None or _fatal(self._failures) is not None


def _fatal(failures: dict[str, DirigentError]) -> DirigentError | None:
    """The failure that would be the same everywhere."""
    return next((error for error in failures.values() if not (error.fallback or isinstance(error, Overrun))), None)
