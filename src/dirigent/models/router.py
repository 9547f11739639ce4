"""A router: a model that picks among candidates, says why, and goes on to the next while nothing has been said yet.

Longer than 400 lines, because the straight way and the general one are two ways through one decision.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import aclosing
from math import inf
from time import perf_counter
from typing import Annotated, Any, Final, NamedTuple, cast

import msgspec
from msgspec import Meta

from dirigent.core.allowances import Allowance
from dirigent.core.decision import Considered, Decision, Grounds
from dirigent.core.errors import (
    BadAnswer,
    DirigentError,
    Finding,
)
from dirigent.core.events import Answer, Event, folded
from dirigent.core.messages import Request
from dirigent.core.model import Mention, Model, Survey
from dirigent.core.ports import Seconds
from dirigent.core.profile import Profile, merged
from dirigent.core.run import Passage, Run
from dirigent.core.usage import Usage
from dirigent.models.bonds import kept_by, sealed, unsealed, warm_at, warmed
from dirigent.models.constraints import Field, joint, ruled_out_of
from dirigent.models.funding import nearly_spent
from dirigent.models.hedging import First, first_to_speak
from dirigent.models.strategies.fixed import Fixed
from dirigent.models.strategies.strategy import Question, Ranking, Strategy

__all__ = ["Hedge", "Router"]

_FIELD: Final = "field"
"""Under what a catalog keeps the fields of its routers."""


class Hedge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A second candidate is asked as well where the first is slow; the one that says something first is heard."""

    after: Seconds
    """Seconds of silence after which the next candidate is asked as well."""


class Router(Model, frozen=True):
    """Picks among candidates: hard constraints first, then the strategy's order; falls back until the first event."""

    candidates: Annotated[tuple[str, ...], Meta(min_length=1)]
    """The models to choose from. Where a strategy says nothing else, weak and cheap ones stand first."""
    strategy: Strategy = Fixed()
    """How the candidates that can take a request are put in order."""
    fallback: tuple[str, ...] = ()
    """Models that are asked only after every candidate has failed, in this order."""
    hedge: Hedge | None = None
    """Whether a slow candidate gets company. It shortens the longest waits and pays for both."""
    warm: Annotated[float, Meta(ge=0, le=86_400)] = 300.0
    """Seconds for which the candidate that read a conversation last, and may have it in its prompt cache, is preferred
    among those that the strategy holds to be about as good as the first; 0 for never."""

    async def answer(self, request: Request, run: Run) -> Answer:
        """Asks the candidates in the order the strategy gives, until one answers."""
        plan, place = await self._planned(request, run)
        record = run.record
        failures: dict[str, DirigentError] = {}
        names = plan.order
        if self.strategy.verifies and plan.verified:
            accepted = await self._accepted(plan, run, failures, place)
            if accepted is not None:
                for event in accepted:
                    yield event
                return
            names = names[plan.verified :]
        elif self.hedge is not None and len(names) > 1:
            winner = await self._first(plan, run, failures, place)
            async with aclosing(winner.rest) as events:
                self._heard(winner.name, plan, run)
                yield winner.event
                async for event in events:
                    yield event
            return
        for index, name in enumerate(names, 1):
            if failures and record.tries <= 0:
                break
            started = False
            try:
                async with aclosing(run.ask(name, plan.letter(name), backed=index < len(names))) as events:
                    async for event in events:
                        if not started:
                            started = True
                            self._heard(name, plan, run)
                        yield event
                if started:
                    return
                failures[name] = BadAnswer("its answer ended before it began")
            except DirigentError as error:
                if started or not error.fallback:  # the caller has read half an answer: no second voice may finish it
                    raise
                failures[name] = error
                record.failed_first = None  # it was this one's, whether it has come to take it or not
        raise joint(run.model, failures, plan.ruled_out)

    def passage(self, request: Request, run: Run) -> Passage | None:
        """The straight way of the deployment that it chooses, where choosing waits for nothing.

        Where that one fails before its first word, the general way goes on with the same decision.
        """
        if request.wire is None or self.hedge is not None or not self.strategy.at_once or run.logbook is not None:
            return None
        catalog = run.catalog
        if catalog.profile(run.model).durable:
            return None
        plan = run.prepared = _at_once(self._decide(request, run))
        chosen = plan.decision.chosen
        if chosen is None or (plan.close and self.warm) or not catalog.profile(chosen).leaf:
            return None
        try:
            passage = run.passage(chosen, plan.letter(chosen), backed=len(plan.order) > 1)
        except DirigentError:  # the general way meets it again, and goes on to the next candidate
            return None
        if passage is not None:
            run.record.decisions.append(plan.decision)
        return passage

    async def explain(self, request: Request, run: Run) -> Sequence[Decision]:
        """This router's decision, then the decisions of whom it chose."""
        decision = (await self._decide(request, run, thorough=True)).decision
        return [decision, *(await run.explain(decision.chosen, request) if decision.chosen else ())]

    async def count(self, request: Request, run: Run) -> int:
        """As whom it would ask first counts them."""
        chosen = (await self._decide(request, run)).decision.chosen
        return await (run.count(chosen, request) if chosen else super().count(request, run))

    async def _first(self, plan: _Plan, run: Run, failures: dict[str, DirigentError], place: int) -> First:
        """The candidate that speaks first."""
        hedge, chosen = self.hedge, plan.decision.chosen
        after = hedge.after if hedge is not None else inf

        def ask(name: str, *, backed: bool) -> Answer:
            return run.ask(name, plan.letter(name), backed=backed)

        winner = await first_to_speak(plan.order, ask, after, run.record, failures)
        if winner is None:
            raise joint(run.model, failures, plan.ruled_out)
        if winner.name != chosen and chosen not in failures:
            words = f"{chosen} was silent for {after:g} s, and {winner.name} spoke first"
            run.record.decisions[place] = plan.decision.amended(plan.decision.chosen, words)
        return winner

    async def _accepted(
        self, plan: _Plan, run: Run, failures: dict[str, DirigentError], place: int
    ) -> Sequence[Event] | None:
        """The first answer that the strategy accepts, whole; None where it accepts none of those it looks at."""
        record = run.record
        reasons: dict[str, str] = {}
        found: Sequence[Event] | None = None
        for name in plan.order[: plan.verified]:
            if failures and record.tries <= 0:
                break
            # read in our own words, whatever the caller speaks: a verifier cannot look into a stranger's bytes
            asked = plan.letter(name).changed()
            try:
                async with aclosing(run.ask(name, asked, backed=True)) as events:
                    heard = [event async for event in events]
                response = folded(heard)
            except DirigentError as error:
                if not error.fallback:
                    raise
                failures[name] = error
                reasons[name] = error.message
                continue
            voice = record.voice
            verdict = await self.strategy.accepts(Question(asked, run, plan.order, self.candidates), name, response)
            reasons[name] = verdict.why
            if verdict.accepted:
                record.voice = voice
                self._heard(name, plan, run)
                found = heard
                break
            failures[name] = BadAnswer(f"its answer was not accepted: {verdict.why}")
        last = next(reversed(reasons), "")
        told = "is good enough" if found is not None else "is not good enough"
        words = f"the answer of {last} {told}: {reasons.get(last, '')}" if reasons else plan.decision.reason
        record.decisions[place] = plan.decision.amended(plan.decision.chosen, words, verdicts=reasons)
        return found

    def _heard(self, name: str, plan: _Plan, run: Run) -> None:
        """Remembers who answers, where that may count for what is said next."""
        if plan.close and self.warm:
            warmed(plan.request, run, name)

    async def _planned(self, request: Request, run: Run) -> tuple[_Plan, int]:
        """The plan, and the place of its decision in the record: both may be there from the straight way."""
        prepared, run.prepared = run.prepared, None
        plan = await _remembered(
            prepared if isinstance(prepared, _Plan) else await self._decide(request, run),
            run,
        )
        decisions = run.record.decisions
        if not (decisions and decisions[-1] is plan.decision):
            decisions.append(plan.decision)
        return plan, len(decisions) - 1

    async def _decide(self, request: Request, run: Run, *, thorough: bool = False) -> _Plan:
        """The decision, whom to ask in which order, and who was ruled out for which reason."""
        began = perf_counter()
        field = self._field(run)
        issuer = _issuer(field.names, request, run) if len(field.names) > 1 else None
        ruled_out, resting = ruled_out_of(field, request, run, issuer)
        if ruled_out:
            able = tuple([name for name in self.candidates if name not in ruled_out])
            spare = tuple([name for name in self.fallback if name not in ruled_out and name not in able])
        else:
            able, spare = self.candidates, field.spare
        question = Question(request, run, able or spare or self.candidates, self.candidates)
        if len(able) == 1 and not thorough:  # whom the strategy would choose is clear, so nothing need be measured
            ranking = Ranking(able, f"{able[0]} is the only candidate that can take this request")
        elif able and resting:
            soonest = sorted(able, key=lambda name: run.ports.vitals.standing(name).rests)
            ranking = Ranking(tuple(soonest), f"all that can take this request rest, {soonest[0]} the shortest")
        elif able:
            ranking = self._preferred(await self.strategy.order(question), request, run, issuer)
            if (scarce := nearly_spent(run)) is not None and issuer is None:
                ranking = _cheapest_first(ranking, question, scarce)
        else:
            ranking = Ranking(
                spare,
                "no candidate can take this request, so the fallbacks are asked"
                if spare
                else "no model can take this request",
            )
        order = ranking.order
        if spare:
            order = (*order, *(name for name in spare if name not in order))
        telling = _Telling(question, ranking, order, ruled_out, measured=thorough or question.measured)
        decision = Decision(
            run.model,
            field.strategy,
            ranking.reason,
            order[0] if order else None,
            round((perf_counter() - began) * 1e6, 1),
            telling,
        )
        verified = max(0, len(ranking.order) - 1) if able else 0
        return _Plan(decision, order, ruled_out, request, issuer, ranking.close, verified)

    def _field(self, run: Run) -> Field:
        """What is known of all whom it may ask, worked out once for each catalog."""
        catalog = run.catalog
        kept = catalog.kept.get((_FIELD, id(self)))
        if kept is None:
            names = (*self.candidates, *self.fallback)
            spare = tuple(name for name in self.fallback if name not in self.candidates)
            profiles = {name: catalog.profile(name) for name in names}
            kept = catalog.kept[_FIELD, id(self)] = Field(self, names, spare, profiles, type(self.strategy).type_name())
        return cast(Field, kept)

    def _preferred(self, ranking: Ranking, request: Request, run: Run, issuer: str | None) -> Ranking:
        """The ranking with the one in front to whom the conversation is bound, or who has it in its cache."""
        order = ranking.order
        if issuer in order:
            if issuer == order[0]:
                return ranking
            words = f"{issuer} sealed what it thought in this conversation, and nobody else can read it"
            return _with_first(ranking, issuer, words)
        if self.warm and len(ranking.close) > 1:
            name = warm_at(request, run, self.warm)
            if name in ranking.close and name != order[0]:
                words = f"{name} has read this conversation lately and is about as good as {order[0]}"
                return _with_first(ranking, name, f"{words}: {ranking.reason}")
        return ranking

    def mentions(self) -> Iterable[Mention]:
        """Candidates and fallbacks."""
        for field, names in (("candidates", self.candidates), ("fallback", self.fallback)):
            for index, name in enumerate(names):
                yield (field, index), name
        for path, name in self.strategy.mentions():
            yield ("strategy", *path), name

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


class _Plan(NamedTuple):
    """Whom a router asks, in which order, and what is to be known for that."""

    decision: Decision
    order: tuple[str, ...]
    ruled_out: Mapping[str, DirigentError]
    request: Request
    issuer: str | None
    """To whom the conversation is bound."""
    close: tuple[str, ...]
    verified: int
    """How many of the first are not the last candidate: their answers can be held back until they are verified."""

    def choice(self) -> dict[str, Any]:
        """What has to be the same whenever a durable run comes by here."""
        return {"order": self.order, "verified": self.verified}

    def again(self, choice: Mapping[str, Any]) -> _Plan:
        """The plan with the choice that was made when the run first came by here."""
        if tuple(choice["order"]) == self.order:
            return self
        order = tuple(choice["order"])
        reason = f"{order[0]} was chosen when this run first came by here" if order else self.decision.reason
        decision = self.decision.amended(order[0] if order else None, reason)
        return self._replace(order=order, verified=choice["verified"], decision=decision)

    def letter(self, name: str) -> Request:
        """What this candidate is asked: the request, without the seals that are not meant for it.

        Where nobody knows who gave them, they go to whoever is asked first, and to no other.
        """
        meant = name == (self.issuer or self.order[0])
        return self.request if meant or not sealed(self.request) else unsealed(self.request)


def _at_once(deciding: Coroutine[Any, Any, _Plan]) -> _Plan:
    """The plan of a strategy that waits for nothing."""
    try:
        deciding.send(None)
    except StopIteration as done:
        plan: _Plan = done.value
        return plan
    deciding.close()
    raise RuntimeError("a strategy that is to decide at once has waited")


async def _remembered(plan: _Plan, run: Run) -> _Plan:
    """The plan, as it was when a durable run first came by here."""
    book = run.logbook
    if book is None or not book.durable:
        return plan
    return plan.again(await book.remember(f"{run.place}>", plan.choice))


def _issuer(names: Iterable[str], request: Request, run: Run) -> str | None:
    """Which of them gave what only its issuer understands; None where nobody knows, or there is nothing of the kind."""
    if not sealed(request):
        return None
    path = kept_by(request, run)
    return next((name for name in names if name in path), None)


def _with_first(ranking: Ranking, name: str, reason: str) -> Ranking:
    order = (name, *(other for other in ranking.order if other != name))
    return msgspec.structs.replace(ranking, order=order, reason=reason)


def _cheapest_first(ranking: Ranking, question: Question, scarce: Allowance) -> Ranking:
    """The ranking by what the candidates cost; those whose price nobody knows stand last."""
    costs = {name: question.cost(name) for name in ranking.order}
    currencies = {cost.currency for cost in costs.values() if cost is not None}
    if len(currencies) != 1:
        return ranking
    order = tuple(sorted(ranking.order, key=lambda name: inf if (cost := costs[name]) is None else cost.nano))
    words = f"{scarce.thrift} % of the budget of the {scarce.level} {scarce.subject} are used, so cheaper ones go first"
    return msgspec.structs.replace(ranking, order=order, reason=f"{words}; before that: {ranking.reason}")


class _Telling:
    """What a decision rests on, told when somebody asks; it holds no run, or the two would hold each other."""

    __slots__ = ("_catalog", "_latencies", "_measuring", "_order", "_output", "_ranking", "_ruled_out")

    def __init__(
        self,
        question: Question,
        ranking: Ranking,
        order: tuple[str, ...],
        ruled_out: Mapping[str, DirigentError],
        *,
        measured: bool,
    ) -> None:
        self._catalog = question.run.catalog
        self._ranking = ranking
        self._order = order
        self._ruled_out = ruled_out
        self._output = question.output
        # what the strategy did not look at is not measured for the record
        self._measuring = question.measuring if measured else None
        self._latencies = [question.latency(name) for name in order] if measured else [None] * len(order)

    def __call__(self) -> Grounds:
        considered = [self._considered(place, name) for place, name in enumerate(self._order)]
        considered += [Considered(name, f"ruled out: {why.message}") for name, why in self._ruled_out.items()]
        measuring = self._measuring
        features = msgspec.structs.asdict(measuring.features()) if measuring is not None else {}
        return Grounds(tuple(considered), features, self._ranking.explained())

    def _considered(self, place: int, name: str) -> Considered:
        quality = self._ranking.quality.get(name, self._catalog.profile(name).quality)
        measuring, tariff = self._measuring, self._catalog.tariff(name)
        cost = None
        if measuring is not None and tariff is not None:
            cost = tariff.cost(Usage(measuring.context_tokens, self._output))
        verdict = "chosen" if place == 0 else f"fallback {place}"
        return Considered(name, verdict, quality, cost, self._latencies[place])
