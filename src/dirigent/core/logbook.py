"""A run's own hand on its journal: what is written there is never done again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from time import time
from typing import Any

from dirigent.core.approvals import Question, Verdict
from dirigent.core.errors import DirigentError, Invalid, Overrun
from dirigent.core.journal import (
    Asked,
    Effect,
    Entry,
    LeftOut,
    Noted,
    Slept,
    Spent,
    State,
    StepBegan,
    StepEnded,
    StepFailed,
    Suspended,
    read,
    written,
)

__all__ = ["MAX_STEPS", "Append", "Facts", "Logbook"]

MAX_STEPS = 10_000
"""How many steps one run takes at most, those of nested models included, whatever its models say."""

Facts = Mapping[str, Any]
Append = Callable[[Sequence[Entry]], Awaitable[None]]
Work = Callable[[], Awaitable[tuple[object, Facts]]]


class Logbook:
    """The journal of one run while it goes on. Steps are known by their path, which is the same whenever it is walked.

    A durable one writes through `append` and goes on only when that has returned; one that is not keeps its entries
    for whoever looks at the trace.
    """

    __slots__ = ("_append", "_held", "_steps", "entries", "run", "state")

    def __init__(self, run: str, state: State | None = None, append: Append | None = None) -> None:
        self.run = run
        self.state = state if state is not None else State()
        self.entries: list[Entry] = []
        """What was written since this logbook was opened."""
        self._append = append
        self._held: dict[str, LeftOut] = {}
        self._steps = 0

    @property
    def durable(self) -> bool:
        """Whether the run outlives this process, and may wait for people."""
        return self._append is not None

    async def write(self, *entries: Entry) -> None:
        """Returns once the entries are durable. Raises Fenced where another worker has taken the run over."""
        entries = (*self._held.values(), *entries)
        self._held = {}
        if self._append is not None:
            await self._append(entries)
        for entry in entries:
            self.state.take(entry)
            self.entries.append(entry)

    async def step(
        self,
        path: str,
        kind: str,
        work: Work,
        spent: Callable[[], Spent],
        *,
        effect: Effect = "idempotent",
        attempt: int = 1,
    ) -> Any:
        """What `work` gives, as plain data; what it gave, where it was done before.

        A step with effect `once` of which nobody knows whether it was done is not done again: a person is asked. Raises
        what `work` raises, after it was written down, and Overrun where the run has taken all steps that it may.
        """
        ended = self.state.steps.get(path)
        if ended is not None:
            return ended.output
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise Overrun(f"the run has taken {MAX_STEPS} steps, which is the limit; the next would have been {path!r}")
        if effect == "once":
            if self._interrupted(path):
                return await self._doubtful(path, kind)
            await self.write(StepBegan(at=time(), path=path, step=kind, effect=effect, attempt=attempt))
        try:
            value, facts = await work()
        except DirigentError as error:
            failed = StepFailed(
                at=time(), path=path, step=kind, code=error.code, words=error.message, attempt=attempt, spent=spent()
            )
            await self.write(failed)
            raise
        plain = read(written(value))  # what goes on is what would be read after a crash, to the digit
        await self.write(StepEnded(at=time(), path=path, step=kind, output=plain, spent=spent(), facts=facts))
        return plain

    def leave_out(self, path: str, kind: str, when: str) -> None:
        """Takes note that a step is left out, for `when` does not hold; it is written with what is written next.

        What is lost of this in a crash is noted again on the next walk.
        """
        known = self.state.left_out
        if path in known or path in self.state.steps or len(known) + len(self._held) >= MAX_STEPS:
            return
        self._held.setdefault(path, LeftOut(at=time(), path=path, step=kind, when=when))

    async def flush(self) -> None:
        """Returns once nothing waits any more to be written."""
        if self._held:
            await self.write()

    async def ask(self, path: str, question: Question) -> Verdict:
        """What people say to a question. Raises Suspended until somebody has answered."""
        verdict = self.state.verdicts.get(path)
        if verdict is not None:
            return verdict
        if not self.durable:
            raise Invalid("this takes a run that can wait for people: publish its model as `durable`, or submit it")
        if path not in self.state.approvals:
            due = question.due if question.due is not None else question.expires
            await self.write(Asked(at=time(), path=path, approval=self.name(path), question=question, due=due))
        raise Suspended(path)

    async def sleep(self, path: str, until: float) -> None:
        """Returns at the time, in seconds since 1970, that was named when this was first reached; Suspended before."""
        if path not in self.state.slept:
            await self.write(Slept(at=time(), path=path, until=until))
        if self.state.slept[path] > time():
            raise Suspended(path)

    async def remember(self, path: str, value: Callable[[], Any]) -> Any:
        """What `value` gave when this was first reached: for what must be the same whenever the run is walked."""
        if path not in self.state.notes:
            await self.write(Noted(at=time(), path=path, value=read(written(value()))))
        return self.state.notes[path]

    def name(self, path: str) -> str:
        """An id that stands for a place in this run, the same on each walk; it serves as an idempotency key as well."""
        return f"{self.run}-{sha256(self.run.encode() + b'|' + path.encode()).hexdigest()[:16]}"

    def _interrupted(self, path: str) -> bool:
        """Whether nobody knows what became of the last attempt at a step."""
        begun = self.state.begun.get(path)
        told = self.state.failures.get(path, ())
        return begun is not None and all(failed.attempt != begun.attempt for failed in told)

    async def _doubtful(self, path: str, kind: str) -> Any:
        question = Question(
            title=f"Was {path} done?",
            text=f"The step `{path}` ({kind}) had begun when its worker was lost. It must not happen twice, and nobody"
            " here can tell whether it has happened. Approve if it has, with what came of it; reject to end the run.",
            proposal={"result": None},
            effects="The run goes on with the result that you give. The step is not done again.",
            form={
                "type": "object",
                "properties": {"result": {}},
                "required": ["result"],
                "additionalProperties": False,
            },
            why="a step whose effect must not happen twice was interrupted",
        )
        verdict = await self.ask(f"{path}?", question)
        if not verdict.accepted:
            raise Interrupted(
                f"the step {path!r} was interrupted, and nobody vouches for it: {verdict.reason}".rstrip(": ")
            )
        answer = verdict.answer.get("result") if isinstance(verdict.answer, Mapping) else None
        await self.write(StepEnded(at=time(), path=path, step=kind, output=answer, facts={"vouched": list(verdict.by)}))
        return answer


class Interrupted(DirigentError):
    """A step that must not happen twice was interrupted, and nobody says that it has happened."""

    code = "step_interrupted"
