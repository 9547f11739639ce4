"""A router: a model that picks among candidates, says why, and goes on to the next while nothing has been said yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from time import perf_counter
from typing import Annotated

import msgspec
from msgspec import Meta

from dirigent.core.decision import Considered, Decision
from dirigent.core.errors import (
    BadAnswer,
    DirigentError,
    Finding,
    Invalid,
    Misconfigured,
    NoCandidate,
    RateLimited,
    TooLong,
    Unavailable,
    Unsupported,
)
from dirigent.core.events import Answer
from dirigent.core.messages import Audio, File, Image, Request
from dirigent.core.model import Mention, Model, Survey
from dirigent.core.ports import Capability
from dirigent.core.profile import Profile, merged
from dirigent.core.run import Run
from dirigent.models.strategies.fixed import Fixed
from dirigent.models.strategies.strategy import Question, Ranking, Strategy

__all__ = ["Router"]


class Router(Model, frozen=True):
    """Picks among candidates: hard constraints first, then the strategy's order; falls back until the first event."""

    candidates: Annotated[tuple[str, ...], Meta(min_length=1)]
    """The models to choose from. Where a strategy says nothing else, weak and cheap ones stand first."""
    strategy: Strategy = Fixed()
    """How the candidates that can take a request are put in order."""
    fallback: tuple[str, ...] = ()
    """Models that are asked only after every candidate has failed, in this order."""

    async def answer(self, request: Request, run: Run) -> Answer:
        """Asks the candidates in the order the strategy gives, until one answers."""
        decision, order, ruled_out = await self._decide(request, run)
        run.record.decisions.append(decision)
        failures: dict[str, DirigentError] = {}
        for name in order:
            started = False
            try:
                async with aclosing(run.ask(name, request)) as events:
                    async for event in events:
                        started = True
                        yield event
                if started:
                    return
                failures[name] = BadAnswer("its answer ended before it began")
            except DirigentError as error:
                if started or not error.fallback:  # the caller has read half an answer: no second voice may finish it
                    raise
                failures[name] = error
        raise _joint(run.model, failures, ruled_out)

    async def explain(self, request: Request, run: Run) -> Sequence[Decision]:
        """This router's decision, then the decisions of whom it chose."""
        decision, *_ = await self._decide(request, run, thorough=True)
        return [decision, *(await run.explain(decision.chosen, request) if decision.chosen else ())]

    async def count(self, request: Request, run: Run) -> int:
        """As whom it would ask first counts them."""
        decision, *_ = await self._decide(request, run)
        return await (run.count(decision.chosen, request) if decision.chosen else super().count(request, run))

    async def _decide(
        self, request: Request, run: Run, *, thorough: bool = False
    ) -> tuple[Decision, tuple[str, ...], Mapping[str, DirigentError]]:
        """The decision, whom to ask in which order, and who was ruled out for which reason."""
        began = perf_counter()
        ruled_out = _ruled_out((*self.candidates, *self.fallback), request, run)
        able = [name for name in self.candidates if name not in ruled_out]
        spare = [name for name in self.fallback if name not in ruled_out and name not in able]
        question = Question(request, run, able or spare or self.candidates, self.candidates)
        if len(able) == 1 and not thorough:  # whom the strategy would choose is clear, so nothing need be measured
            ranking = Ranking((able[0],), f"{able[0]} is the only candidate that can take this request")
        elif able:
            ranking = await self.strategy.order(question)
        else:
            ranking = Ranking(
                tuple(spare),
                "no candidate can take this request, so the fallbacks are asked"
                if spare
                else "no model can take this request",
            )
        order = (*ranking.order, *(name for name in spare if name not in ranking.order))
        # what the strategy did not look at is not measured for the record
        measured = thorough or "features" in vars(question)
        considered = [
            _considered(name, place, ranking, question, measured=measured) for place, name in enumerate(order)
        ]
        considered += [Considered(name, f"ruled out: {why.message}") for name, why in ruled_out.items()]
        decision = Decision(
            router=run.model,
            strategy=type(self.strategy).type_name(),
            reason=ranking.reason,
            chosen=order[0] if order else None,
            candidates=tuple(considered),
            features=msgspec.structs.asdict(question.features) if measured else {},
            details=ranking.details,
            microseconds=round((perf_counter() - began) * 1e6, 1),
        )
        return decision, order, ruled_out

    def mentions(self) -> Iterable[Mention]:
        """Candidates and fallbacks."""
        for field, names in (("candidates", self.candidates), ("fallback", self.fallback)):
            for index, name in enumerate(names):
                yield (field, index), name

    def faults(self, survey: Survey) -> Iterable[Finding]:
        """Models named twice, and what the strategy has against these candidates."""
        for index, name in enumerate(self.candidates):
            if name in self.candidates[:index]:
                yield Finding(("candidates", index), f"{name!r} is already a candidate")
        for index, name in enumerate(self.fallback):
            if name in self.candidates:
                yield Finding(("fallback", index), f"{name!r} is already a candidate, and as such asked before")
            elif name in self.fallback[:index]:
                yield Finding(("fallback", index), f"{name!r} is already a fallback")
        for fault in self.strategy.faults(self.candidates):
            yield Finding(("strategy", *fault.path), fault.message)

    def profile(self, survey: Survey) -> Profile:
        """What at least one candidate can do, at the price of the dearest."""
        return merged(survey.profile(name) for name in (*self.candidates, *self.fallback))


def _ruled_out(names: Iterable[str], request: Request, run: Run) -> Mapping[str, DirigentError]:
    """Who cannot take the request, and why: capabilities first, then room, then health."""
    needs = tuple(_needs(request))
    out: dict[str, DirigentError] = {}
    resting: list[str] = []
    for name in dict.fromkeys(names):
        profile = run.catalog.profile(name)
        if profile.tasks is not None and request.task not in profile.tasks:
            out[name] = Unsupported(f"it takes no requests for {request.task}")
            continue
        lacking = [need for need in needs if profile.capabilities is not None and need not in profile.capabilities]
        if lacking:
            out[name] = Unsupported(f"it lacks {' and '.join(lacking)}")
        elif why := _too_small(profile, request):
            out[name] = TooLong(why)
        elif not run.ports.vitals.healthy(name):
            resting.append(name)
    if len(out) + len(resting) < len(set(names)):  # were all of them resting, trying is better than refusing
        out |= {name: Unavailable("it rests after repeated failures") for name in resting}
    return out


def _needs(request: Request) -> Iterable[Capability]:
    if request.tools:
        yield "tools"
    if request.structure is not None:
        yield "json"
    kinds = {type(part) for message in request.messages for part in message.parts}
    if Image in kinds:
        yield "images"
    if Audio in kinds:
        yield "audio"
    if File in kinds:
        yield "files"


def _too_small(profile: Profile, request: Request) -> str:
    """Why the prompt surely does not fit, or nothing. Four characters are a token: it gets the benefit of the doubt."""
    if profile.context_window is None:
        return ""
    tokens = sum(len(text) for _, text in request.texts()) // 4
    return (
        f"about {tokens} tokens do not fit its window of {profile.context_window}"
        if tokens > profile.context_window
        else ""
    )


def _considered(name: str, place: int, ranking: Ranking, question: Question, *, measured: bool) -> Considered:
    quality = ranking.quality.get(name, question.profile(name).quality)
    verdict = "chosen" if place == 0 else f"fallback {place}"
    return Considered(
        name, verdict, quality, question.cost(name) if measured else None, question.latency(name) if measured else None
    )


def _joint(router: str, failures: Mapping[str, DirigentError], ruled_out: Mapping[str, DirigentError]) -> DirigentError:
    """One error for all candidates: the common one where they agree, else NoCandidate with each one's reason."""
    if len(failures) == 1 and not ruled_out:
        return next(iter(failures.values()))
    reasons = "; ".join(
        [f"{name}: {error.message}" for name, error in failures.items()]
        + [f"{name}: ruled out: {error.message}" for name, error in ruled_out.items()]
    )
    errors = [*failures.values(), *ruled_out.values()]
    if all(isinstance(error, TooLong) for error in errors):
        return TooLong(f"the prompt fits no candidate of {router!r} ({reasons})", param="messages")
    if all(isinstance(error, Invalid) for error in errors):
        return Unsupported(f"no candidate of {router!r} can take this request ({reasons})", param="model")
    able = [error for error in errors if not isinstance(error, Invalid)]
    waits = [error.retry_after for error in able if error.retry_after is not None]
    soonest = min(waits, default=None)
    if all(isinstance(error, RateLimited) for error in able):
        return RateLimited(f"every candidate of {router!r} asks to slow down ({reasons})", retry_after=soonest)
    if all(isinstance(error, Misconfigured) for error in able):
        return Misconfigured(f"every candidate of {router!r} is set up wrongly ({reasons})")
    return NoCandidate(f"no candidate of {router!r} answered ({reasons})", retry_after=soonest)
