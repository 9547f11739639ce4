"""A pipeline: a model that answers by walking steps, each of which is written down once and never made again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from time import monotonic, time
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from dirigent.core.bounds import Bounds
from dirigent.core.errors import BadAnswer, Finding, Invalid, Overrun, Unsupported
from dirigent.core.events import Answer, Event, Finished, ReasoningDelta, TextDelta, UsageReported
from dirigent.core.expression import ABSENT
from dirigent.core.journal import Began, StepEnded, read, written
from dirigent.core.logbook import Logbook
from dirigent.core.messages import FinishReason, Request
from dirigent.core.model import Mention, Model, Survey
from dirigent.core.ports import Seconds
from dirigent.core.profile import Profile
from dirigent.core.registry import nearest
from dirigent.core.run import Run, Voice
from dirigent.core.spending import seconds_at, spent_in
from dirigent.core.usage import Money, Usage
from dirigent.models.blueprint import (
    RUN,
    all_of,
    input_names,
    mentions_of,
    needs_durability,
    paths_of,
    step_at,
    step_faults,
)
from dirigent.models.filling import filled, template_faults
from dirigent.models.schemas import faults_of, schema_faults, told
from dirigent.models.steps.step import Step, names_after
from dirigent.models.walking import Walk

__all__ = ["Limits", "Pipeline"]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one run of a pipeline may use up, with all that it asks; a pipeline that it asks has no more than it has."""

    steps: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    """Steps, those within others and within other pipelines included."""
    seconds: Seconds | None = None
    """Seconds of work; waiting for people is none."""
    cost: Decimal | None = None
    """Money. Nobody is asked whose answer could cost more than is left, nor whose price nobody knows."""
    currency: str = "USD"
    """Of the money, an ISO 4217 code."""


class Pipeline(Model, frozen=True):
    """Answers by walking steps, one after the other: each reads the input and the results of those before it.

    What a step gave is written down before the next one begins. A durable run goes on from there after a crash, on
    whatever node, and waits for people for as long as they need.
    """

    steps: Annotated[tuple[Step, ...], Meta(min_length=1)]
    """The steps, in order."""
    input: Mapping[str, Any] | None = None
    """A JSON Schema: the last message is then a JSON object that fits it. Without one it is any text, which the steps
    see as `input.text`, and the whole conversation as `input.messages`."""
    output: Mapping[str, Any] | None = None
    """A JSON Schema that the result has to fit."""
    result: Any = None
    """What is answered: plain data in which every text is a template; the result of the last step where nothing is
    said. A text goes out as it is, all else as JSON."""
    limits: Limits = Limits()
    """What one run may use up."""
    durable: bool | None = None
    """Whether its runs outlive the process. Where nothing is said: if a step waits, or does what must not happen twice,
    or asks a model that is durable."""

    async def answer(self, request: Request, run: Run) -> Answer:
        """Walks the steps, and says what comes of them.

        The words of a last step go out as they come, where nobody looks at them afterwards.
        """
        if request.task != "chat":
            raise Unsupported(f"{run.model!r} is a pipeline; it takes no requests for {request.task}", param="model")
        if request.choices > 1:
            raise Unsupported(f"{run.model!r} is a pipeline; it gives one answer", param="n")
        own = _bounded(run, self.limits)
        began = _Begun(self, request, own)
        finish: FinishReason = "stop"
        try:
            if request.stream and self._streams:
                said = False
                heard = _Heard(self, began, run)
                try:
                    async for event in heard.events():
                        said = said or isinstance(event, TextDelta)
                        yield event
                finally:
                    await heard.close()
                value, finish = heard.value, heard.finish
                text = "" if said else _text(value)
            else:
                text = _text(await began.walked(self))
        finally:
            run.record.join(own.record)
        if text:
            yield TextDelta(text)
        yield Finished(finish)
        yield UsageReported(own.record.usage or Usage())

    @property
    def _streams(self) -> bool:
        """Whether the result is the text of the last step's answer, and nobody looks at it afterwards."""
        last = self.steps[-1]
        same = self.result is None or (
            isinstance(self.result, str) and self.result.replace(" ", "") == f"{{{{{last.name}}}}}"
        )
        return last.streams and same and self.output is None and not last.reuse

    async def tried(self, part: str, scope: Mapping[str, object], run: Run) -> StepEnded:
        """What comes of one step alone; `part` is its name, below those within which it stands, as in `review/grade`.

        It sees the scope that it is given, and its run. Raises Invalid where there is no such step, or where it, or one
        within it, does what must not happen twice: that is not to be tried.
        """
        step = step_at(self.steps, part)
        if step is None:
            raise Invalid(f"{run.model!r} has no step {part!r}{nearest(part, paths_of(self.steps))}", param="step")
        for _, inner in all_of((step,), ()):
            if inner.effect_of() == "once":
                raise Invalid(f"the step {inner.name!r} does what must not happen twice: it is not to be tried")
        own = _bounded(run, self.limits)
        own.bounds = Bounds(run.model, self.limits.steps, run.bounds)
        try:
            await Walk(own.bounds).step(step, own, {"run": _seen_of(run), **scope})
        finally:
            run.record.join(own.record)
        ended = own.opened().state.steps.get(f"{own.place}/{step.name}" if own.place else step.name)
        return ended or StepEnded(path=part, step=step.type_name(), facts={"left_out": True})

    def mentions(self) -> Iterable[Mention]:
        """Every model that a step may ask."""
        return mentions_of(self.steps, ("steps",))

    def faults(self, survey: Survey) -> Iterable[Finding]:
        """Names that are not there, or not yet; schemas that are none; what each step has against its settings."""
        for field, schema in (("input", self.input), ("output", self.output)):
            if schema is not None:
                yield from schema_faults(schema, (field,))
        if self.limits.cost is not None and self.limits.cost <= 0:
            yield Finding(("limits", "cost"), "a limit of money is more than nothing")
        if self.input is not None and self.input.get("type", "object") != "object":
            yield Finding(("input", "type"), "the input of a pipeline is an object")
        names = input_names(self.input) | RUN
        yield from step_faults(self.steps, ("steps",), names, survey)
        yield from template_faults(self.result, names_after(self.steps, names), ("result",))
        if self.durable is False and (why := needs_durability(self.steps, survey)) is not None:
            yield Finding(("durable",), f"this has to be durable, for {why}")

    def profile(self, survey: Survey) -> Profile:
        """Text in, text out; what it costs nobody knows before its steps are walked."""
        durable = self.durable if self.durable is not None else needs_durability(self.steps, survey) is not None
        return Profile(capabilities=frozenset(), tasks=frozenset(("chat",)), durable=durable)


class _Begun:
    """One answer of a pipeline: its input, its limits, and where it is written down."""

    def __init__(self, pipeline: Pipeline, request: Request, run: Run) -> None:
        self.run = run
        self.book: Logbook = run.opened()
        self.bounds = Bounds(run.model, pipeline.limits.steps, run.bounds)
        run.bounds = self.bounds
        self.outermost = not run.place
        known = self.book.state.input if self.outermost else None
        self.input = known if known is not None else _input_of(pipeline, request)
        self.scope: dict[str, object] = {"input": self.input, "run": _seen_of(run)}

    async def walked(self, pipeline: Pipeline, walk: Walk | None = None) -> Any:
        """The result. Raises what the steps raise, and Overrun where the time is used up."""
        if self.outermost and self.book.state.input is None:
            await self.book.write(Began(at=time(), input=self.input))
        seconds = pipeline.limits.seconds
        if seconds is None:
            return await self._result(pipeline, walk or Walk(self.bounds))
        left = seconds - self._spent()
        self.run.deadline = min(self.run.deadline, monotonic() + left)
        limit = asyncio.timeout(max(0.0, left))
        try:
            async with limit:
                return await self._result(pipeline, walk or Walk(self.bounds))
        except TimeoutError:
            if not limit.expired():
                raise
            raise Overrun(f"{self.run.model!r} takes {seconds:g} seconds at most, and they are over") from None

    async def _result(self, pipeline: Pipeline, walk: Walk) -> Any:
        results = await walk.steps(pipeline.steps, self.run, self.scope)
        if self.outermost:
            await self.book.flush()
        if pipeline.result is None:
            value = results.get(pipeline.steps[-1].name)
        else:
            value = filled(pipeline.result, {**self.scope, **results})
        if pipeline.output is not None and (faults := faults_of(value, pipeline.output)):
            raise BadAnswer(f"the result of {self.run.model!r} does not fit its schema: {told(faults, 'result')}")
        return value

    def _spent(self) -> float:
        """Seconds of work that were spent before this process took the run up."""
        return seconds_at(self.book.state, self.run.place)


class _Heard:
    """An answer whose last step is heard while it goes on. The walk is a task of its own, which ends with `close`."""

    # No group of tasks: an answer may be begun in one task and read on in another, as by a race of candidates.

    def __init__(self, pipeline: Pipeline, begun: _Begun, run: Run) -> None:
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._run = run
        self._first = True
        self.finish: FinishReason = "stop"
        self.value: Any = None
        last = pipeline.steps[-1].name
        place = f"{begun.run.place}/{last}" if begun.run.place else last
        walk = Walk(begun.bounds, (place, self._hear))
        self._task = asyncio.create_task(begun.walked(pipeline, walk))
        self._task.add_done_callback(lambda _: self._queue.put_nowait(None))

    async def events(self) -> Answer:
        """The words of the last step as they come. Raises what the walk raises."""
        while (event := await self._queue.get()) is not None:
            yield event
        self.value = await self._task

    async def close(self) -> None:
        """Ends the walk, and closes all that it had opened."""
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        with suppress(asyncio.CancelledError, Exception):  # it was told to whoever read the events
            self._task.exception()

    def _hear(self, event: Event, voice: Voice) -> None:
        if self._first:
            self._first = False
            self._run.record.voice = voice
        match event:
            case TextDelta(choice=0) | ReasoningDelta(choice=0):
                self._queue.put_nowait(event)
            case Finished(choice=0, reason=reason):
                self.finish = reason


def _bounded(run: Run, limits: Limits) -> Run:
    """The run with a record of its own, and with the money that its limits leave it."""
    run.opened()
    own = run.below("")
    own.place = run.place
    if limits.cost is None:
        return own
    most = Money.of(limits.cost, limits.currency)
    spent = spent_in(own.opened().state, own.place).cost
    if spent is not None and spent.currency == most.currency:
        most = most - min(most, spent)
    return own.within(most)


def _input_of(pipeline: Pipeline, request: Request) -> dict[str, Any]:
    """What the steps see of what was asked. Raises Invalid where it does not fit, with each field and the reason."""
    asked = next(
        (place for place in range(len(request.messages) - 1, -1, -1) if request.messages[place].role == "user"), None
    )
    if asked is None:
        raise Invalid("messages: a pipeline answers the last message of the user, and there is none", param="messages")
    text = request.messages[asked].text
    if pipeline.input is None:
        return {"text": text, "messages": [{"role": role, "content": said} for role, said in request.texts()]}
    param = f"messages[{asked}].content"
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise Invalid(f"{param}: {request.model!r} takes a JSON object that fits its schema", param=param) from None
    faults = faults_of(value, pipeline.input)
    if not isinstance(value, dict):
        faults = [("", "it is no object")]
    if faults:
        raise Invalid(told(faults, "input"), param=param)
    exact: dict[str, Any] = read(text.encode())
    return exact


def _seen_of(run: Run) -> dict[str, object]:
    return {
        "id": run.id,
        "model": run.model,
        "purpose": run.purpose,
        "priority": run.priority,
        "tenant": run.principal.tenant,
        "project": run.principal.project,
    }


def _text(value: object) -> str:
    """A result as it goes out."""
    if isinstance(value, str):
        return value
    return "" if value is None or value is ABSENT else written(value).decode()
