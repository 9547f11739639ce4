"""People are asked before anything goes on."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from hashlib import sha256
from time import time
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dirigent.core.approvals import NotApproved, Question, Verdict
from dirigent.core.changes import changes
from dirigent.core.errors import Finding, Invalid
from dirigent.core.model import Survey
from dirigent.models.filling import expression_faults, template_faults
from dirigent.models.spans import fixed, seconds_of, span_faults
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Approve", "Escalation", "Limit", "Needed", "Seed"]

Share = Annotated[float, Meta(ge=0, le=1)]
Long = Annotated[float, Meta(gt=0, le=31_536_000)] | str


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number of the run, and the limit that it is held against."""

    of: str
    """An expression that gives the number: `draft.total`."""
    limit: float


class Needed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a person is asked: where any of these holds. What cannot be told counts as holding."""

    when: str | None = None
    """A condition: `draft.discount > 10`."""
    because: str = ""
    """Why people are asked where `when` holds, in their words; the condition itself where nothing is said."""
    amount_over: Limit | None = None
    """A number that asks for a person above its limit: `{of: draft.total, limit: 500}`."""
    confidence_below: Limit | None = None
    """A number that asks for a person below its limit: `{of: check.score, limit: 0.8}`."""
    sample: Share = 0.0
    """The share of all others that is looked at as well; which ones is decided by the run, and stays so."""


class Escalation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may decide as well where nobody has."""

    to: Annotated[tuple[str, ...], Meta(min_length=1)]
    """Roles, or members by their id or address."""
    after: Long
    """How long after the question: seconds, or a template such as `90s`, `15m`, `36h`, `3d`, `2w`."""


class Seed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A proposal that is wrong on purpose, put to people now and then to see whether they look."""

    share: Share
    """The share of questions that is asked so; which ones is decided by the run, and stays so."""
    proposal: Any
    """The wrong proposal, with templates. It never goes on: the true one is asked again, whatever is said to this."""
    wrong: str
    """What is wrong with it, in words that deciders read afterwards."""


class Approve(Step, frozen=True, kw_only=True):
    """Ask people, and go on with what they have approved or changed.

    Its result has `outcome` (`approved`, `edited`, `rejected`, `expired`, or `passed` where nobody had to be asked),
    `answer`, `diff` (what was changed), `by` (who decided) and `reason`. The run waits for as long as it takes and
    holds nothing meanwhile.
    """

    title: str
    """The question in a few words, for a list; with templates, as the texts below."""
    text: str = ""
    """What is asked, in Markdown."""
    proposal: Any = None
    """What will be taken if somebody approves: text or data."""
    effects: str = ""
    """What will happen then, for the one who decides to read."""
    form: dict[str, Any] | None = None
    """The JSON Schema by which the proposal may be changed; without one it can only be approved or rejected."""
    to: tuple[str, ...] = ()
    """Who may decide: roles, or members by their id or address; every reviewer where nobody is named."""
    eyes: Annotated[int, Meta(ge=1, le=10)] = 1
    """How many people have to approve the same wording; one who rejects is enough."""
    own: bool = False
    """Whether the member who submitted the run may decide as well."""
    deadline: Long | None = msgspec.field(name="within", default=None)  # that name is taken by the contract
    """How long people may decide, in seconds or as a template such as `72h`; then `otherwise` is taken."""
    escalate: Escalation | None = None
    """Who may decide as well where nobody has in time."""
    otherwise: Any = None
    """What is taken where nobody has decided `within` the time; without it that is a rejection."""
    needed: Needed | None = None
    """When a person is asked at all; always where nothing is said."""
    seed: Seed | None = None
    """Now and then a proposal that is wrong on purpose, to see whether it is noticed."""
    rejected: Literal["fails", "goes_on"] = "fails"
    """What becomes of the run where it was rejected: it fails, or goes on with `outcome` for later steps to read."""

    async def work(self, place: Place) -> Any:
        """What people have approved. Raises Suspended until they have, NotApproved where they have not."""
        asks, rule = self._rule(place)
        if not asks:
            place.tell(outcome="passed", rule=rule)
            proposal = place.value(self.proposal)
            return {"outcome": "passed", "answer": proposal, "diff": [], "by": [], "reason": rule}
        if self.seed is not None and _drawn(place, "seed") < self.seed.share:
            verdict = await self._after_seed(place, self.seed, rule)
        else:
            verdict = await place.approve(self._question(place, rule))
        place.tell(outcome=verdict.outcome, rule=rule, people=len(verdict.by))
        if not verdict.accepted and self.rejected == "fails":
            words = "nobody has decided in time" if verdict.outcome == "expired" else verdict.reason
            raise NotApproved(f"{place.path} was not approved: {words}".rstrip(": "))
        return self._result(place, verdict)

    def _rule(self, place: Place) -> tuple[bool, str]:
        """Whether a person is asked, and by which rule."""
        needed = self.needed
        if needed is None:
            return True, "a person is always asked here"
        if needed.when is not None and place.holds(needed.when):
            return True, needed.because or f"{needed.when} holds"
        for limit, above in ((needed.amount_over, True), (needed.confidence_below, False)):
            if limit is None:
                continue
            word = "above" if above else "below"
            number = _number(place, limit.of)
            if number is None:
                return True, f"{limit.of} is not known, and people are asked where it is {word} {limit.limit:g}"
            bound = Decimal(str(limit.limit))
            if (number > bound) if above else (number < bound):
                return True, f"{limit.of} is {word} {limit.limit:g}"
        if _drawn(place, "sample") < needed.sample:
            return True, f"one of a sample of {needed.sample:.4g} of what nobody would look at"
        return False, "no rule asks for a person"

    async def _after_seed(self, place: Place, seed: Seed, rule: str) -> Verdict:
        """What people say to the true proposal, once they have said something to the wrong one."""
        wrong = place.text(seed.wrong)
        asked = self._question(place, rule)
        first = await place.approve(msgspec.structs.replace(asked, proposal=place.value(seed.proposal), seeded=wrong))
        place.tell(seeded="missed" if first.outcome == "approved" else first.outcome)
        if first.outcome == "expired":  # nobody was there to look: what was to be done then is done
            return first
        noticed = "it was approved all the same" if first.outcome == "approved" else "it was noticed"
        again = (
            f"{rule}. What was asked just before was wrong on purpose ({wrong}), and {noticed}: this is the true one"
        )
        return await place.approve(msgspec.structs.replace(asked, why=again))

    def _question(self, place: Place, rule: str) -> Question:
        now = time()
        return Question(
            title=place.text(self.title),
            text=place.text(self.text),
            proposal=place.value(self.proposal),
            effects=place.text(self.effects),
            form=None if self.form is None else place.value(self.form),
            to=tuple(place.text(each) for each in self.to),
            eyes=self.eyes,
            own=self.own,
            due=None if self.escalate is None else now + _seconds(place, self.escalate.after),
            escalate=() if self.escalate is None else tuple(place.text(each) for each in self.escalate.to),
            expires=None if self.deadline is None else now + _seconds(place, self.deadline),
            otherwise=place.value(self.otherwise),
            why=rule,
        )

    def _result(self, place: Place, verdict: Verdict) -> Any:
        differs = changes(place.value(self.proposal), verdict.answer) if verdict.accepted else ()
        return {
            "outcome": verdict.outcome,
            "answer": verdict.answer,
            "diff": [msgspec.to_builtins(each, builtin_types=(Decimal,)) for each in differs],
            "by": list(verdict.by),
            "reason": verdict.reason,
        }

    def gives(self) -> Iterable[str]:
        """The fields of its result."""
        return ("outcome", "answer", "diff", "by", "reason")

    def waits(self) -> bool:
        """It waits for people."""
        return True

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Expressions and templates that cannot be filled in here, and times that make no sense."""
        for field in ("title", "text", "proposal", "effects", "form", "to", "otherwise"):
            yield from template_faults(getattr(self, field), names, (field,))
        yield from template_faults(self.deadline, names, ("within",))
        yield from span_faults(self.deadline, ("within",))
        if self.escalate is not None:
            yield from template_faults(self.escalate.to, names, ("escalate", "to"))
            yield from template_faults(self.escalate.after, names, ("escalate", "after"))
            yield from span_faults(self.escalate.after, ("escalate", "after"))
            after, ends = fixed(self.escalate.after), fixed(self.deadline)
            if after is not None and ends is not None and after >= ends:
                yield Finding(("escalate", "after"), "it has ended by then: `within` has to be longer")
        if self.otherwise is not None and self.deadline is None:
            yield Finding(("otherwise",), "it is never taken: say `within` which time people have to decide")
        if self.needed is not None:
            yield from expression_faults(self.needed.when, names, ("needed", "when"))
            for field, limit in (
                ("amount_over", self.needed.amount_over),
                ("confidence_below", self.needed.confidence_below),
            ):
                if limit is not None:
                    yield from expression_faults(limit.of, names, ("needed", field, "of"))
        if self.seed is not None:
            yield from template_faults(self.seed.proposal, names, ("seed", "proposal"))
            yield from template_faults(self.seed.wrong, names, ("seed", "wrong"))


def _number(place: Place, expression: str) -> Decimal | None:
    """The number that an expression gives; None where it gives none."""
    try:
        value = place.evaluate(expression)
    except Invalid:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return Decimal(str(value))


def _seconds(place: Place, span: float | str) -> float:
    """How long that is here. Raises Invalid where it is no while."""
    return seconds_of(place.text(span) if isinstance(span, str) else span)


def _drawn(place: Place, what: str) -> float:
    """A number from 0 to 1 that this place of this run draws, the same whenever it is walked."""
    digest = sha256(f"{place.run.id}|{place.path}|{what}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
