"""Operations on approvals: what people are asked while runs wait, and what they say.

Longer than 400 lines, because who may decide, by which wording and by how many eyes is one set of rules, beside the
orders that it is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from difflib import SequenceMatcher
from itertools import chain
from typing import Annotated, Any, Literal

import jsonschema_rs
import msgspec

from dirigent.control.desk import Desk, Taken, Unknown
from dirigent.control.fields import Id
from dirigent.control.operation import operation
from dirigent.control.permissions import permits
from dirigent.core.approvals import Question, Verdict
from dirigent.core.canonical import canonical
from dirigent.core.changes import Change, changes
from dirigent.core.errors import Forbidden, Invalid
from dirigent.core.journal import read, written
from dirigent.store.approval_figures import Part, figures
from dirigent.store.approvals import Approvals, Decider, Kept, Manner, Standing, Vote
from dirigent.store.people import member_named, member_of
from dirigent.store.vault import KeyLost

Which = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Reason = Annotated[str, msgspec.Meta(max_length=4_000)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=500)]
Moment = Annotated[int, msgspec.Meta(ge=0, le=2**43, description="Milliseconds since 1970.")]
_MOST_WORDS = 4_000
"""Beyond so many words, how much of a text was changed is counted in lines."""
_MONTH = 30 * 86_400_000


class ApprovalsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which questions."""

    standing: Standing = "open"
    """Those that wait, those that are decided, or all."""
    mine: bool = False
    """Only those that are put to whoever asks."""
    run: Which | None = None
    after: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    """How many to pass over."""
    limit: Limit = 50


class ApprovalRow(msgspec.Struct, frozen=True):
    """One question."""

    id: str
    title: str | None
    """None where it is not put to whoever asks, or where what it was about is forgotten."""
    run: str
    path: str
    model: str
    project: str
    purpose: str | None
    why: str | None
    """The rule by which a person is asked."""
    mine: bool
    """Whether whoever asks may decide it."""
    asked: int
    due: int | None
    expires: int | None
    """When it is answered by itself."""
    escalated: int | None
    eyes: int
    """How many people have to approve."""
    given: int
    """How many have, of the wording that stands."""
    outcome: str | None
    decided: int | None
    decided_by: tuple[str, ...]
    edited: float | None
    """How much of the proposal was changed, from 0 to 1."""


class ApprovalsListed(msgspec.Struct, frozen=True):
    """Questions: those that wait by when they are due, others the latest first."""

    approvals: tuple[ApprovalRow, ...]
    waiting: int
    """How many wait for whoever asks."""
    oldest: int | None
    """Since when the oldest of them waits."""


class ApprovalAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which question."""

    id: Which


class Said(msgspec.Struct, frozen=True):
    """What one person has said."""

    by: str
    outcome: str
    version: int
    at: int
    reason: str


class ApprovalShown(msgspec.Struct, frozen=True):
    """One question, with all that it takes to decide it."""

    id: str
    title: str
    text: str
    effects: str
    """What will happen once it is approved."""
    why: str
    proposal: Any
    """What will be taken: the wording that stands."""
    original: Any
    """What was proposed at first."""
    changed: tuple[Change, ...]
    """What people have changed in it."""
    form: Any
    """The JSON Schema by which it may be changed; None where it can only be approved or rejected."""
    version: int
    """To be given back with the decision: which wording it is about."""
    run: str
    path: str
    model: str
    purpose: str | None
    asked: int
    due: int | None
    expires: int | None
    eyes: int
    given: int
    to: dict[str, Manner]
    said: tuple[Said, ...]
    outcome: str | None
    decided: int | None
    decided_by: tuple[str, ...]


class Decide(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to say to a question."""

    id: Which
    decision: Literal["approve", "edit", "reject"]
    answer: Any = None
    """With `edit`: what shall be taken instead."""
    reason: Reason = ""
    """Why; a rejection takes one."""
    version: Annotated[int, msgspec.Meta(ge=1)] = 1
    """The wording that was looked at; if somebody has changed it meanwhile, nothing is decided."""


class Decision(msgspec.Struct, frozen=True):
    """What came of it."""

    id: str
    outcome: str | None
    """None where others have to approve as well."""
    missing: int
    """How many of them."""
    version: int
    edited: float | None
    run: str


class Delegate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """To whom to put a question as well."""

    id: Which
    to: Which
    """A member, by id or e-mail address."""


class Delegated(msgspec.Struct, frozen=True):
    """Who may decide it now."""

    id: str
    member: Id


class Measure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of the decisions, and one row for what."""

    since: Moment | None = None
    """Asked from when on; thirty days ago where nothing is said."""
    until: Moment | None = None
    by: Annotated[tuple[Part, ...], msgspec.Meta(max_length=4)] = ("model", "path")


class MeasureRow(msgspec.Struct, frozen=True):
    """The figures of one group. No figure is about a person: what people did is told of five and more alone."""

    parts: dict[str, str | None]
    asked: int
    open: int
    approved: int
    edited: int
    rejected: int
    expired: int
    withdrawn: int
    overdue: int
    edit_share: float | None
    """How much of the proposals was changed, from 0 to 1."""
    few: bool
    """Whether fewer than five people decided: then what is below is withheld."""
    p50: int | None
    """Milliseconds from question to decision: half of them took no longer."""
    p90: int | None
    hasty: int | None
    """Approved within three seconds."""
    seeded: int | None
    """Wrong on purpose, and decided."""
    caught: int | None
    missed: int | None
    pairs: int | None
    """Pairs of people who looked at the same wording."""
    agreed: int | None
    """Those of them who said the same."""


class Measured(msgspec.Struct, frozen=True):
    """How decisions went."""

    since: int
    until: int
    rows: tuple[MeasureRow, ...]


@operation("approvals.list", permission="approvals.see", changes=False)
def list_approvals(desk: Desk, order: ApprovalsAsked) -> ApprovalsListed:
    """Lists the questions that runs wait for; what they are about is told to those who may decide."""
    door = _door(desk)
    who = _decider(desk)
    found = door.listed(
        desk.connection,
        desk.tenant,
        standing=order.standing,
        now=desk.now,
        names=who.names if order.mine and desk.actor.kind == "member" else (),
        run=order.run,
        after=order.after,
        limit=order.limit,
    )
    waiting, oldest = door.waiting(desk.connection, desk.tenant, who.names, desk.now)
    return ApprovalsListed(tuple(_row(desk, door, who, kept) for kept in found), waiting, oldest)


@operation("approvals.show", permission="approvals.see", changes=False)
def show_approval(desk: Desk, order: ApprovalAsked) -> ApprovalShown:
    """Shows a question to those who may decide it, and to the member whose run asks it."""
    door, kept = _found(desk, order.id)
    to = door.deciders(desk.connection, kept.id, desk.now)
    if not _theirs(desk, _decider(desk), to) and kept.submitter != desk.actor.id:
        raise Forbidden(f"{kept.id} is put to {', '.join(to)}, and not to {desk.actor.id}")
    question, votes = door.question(desk.connection, kept), door.votes(desk.connection, kept)
    stands = _standing(question, votes)
    return ApprovalShown(
        id=kept.id,
        title=question.title,
        text=question.text,
        effects=question.effects,
        why=question.why,
        proposal=stands,
        original=question.proposal,
        changed=changes(question.proposal, stands),
        form=question.form,
        version=kept.version,
        run=kept.run,
        path=kept.path,
        model=kept.model,
        purpose=kept.purpose,
        asked=kept.asked,
        due=kept.due,
        expires=kept.ends,
        eyes=kept.eyes,
        given=len(_for(kept, votes)),
        to=dict(to),
        said=tuple(Said(vote.member, vote.outcome, vote.version, vote.at, vote.reason) for vote in votes),
        outcome=kept.outcome,
        decided=kept.decided,
        decided_by=kept.decided_by,
    )


@operation("approvals.decide", permission="approvals.decide", changes=True)
def decide_approval(desk: Desk, order: Decide) -> Decision:
    """Approves, changes or rejects what a run proposes, and lets the run go on with it.

    The first decision counts; whoever comes later is told who was faster. Whoever submitted a run does not decide about
    it, unless its question says so.
    """
    door, kept = _open(desk, order.id)
    votes = door.votes(desk.connection, kept)
    if order.version != kept.version:
        raise Taken(
            f"{votes[-1].member if votes else 'somebody'} has changed the proposal meanwhile: look at its version"
            f" {kept.version} before you decide",
            param="version",
        )
    question = door.question(desk.connection, kept)
    stands = _standing(question, votes)
    outcome, answer = _said(order, question, stands)
    vote = Vote(desk.actor.id, kept.version, outcome, desk.now, answer if outcome == "edited" else None, order.reason)
    if outcome == "rejected":
        door.vote(desk.connection, kept, vote)
        return _settled(desk, door, kept, Verdict("rejected", None, (desk.actor.id,), order.reason), None)
    if outcome == "approved" and desk.actor.id in _for(kept, votes):
        raise Taken("you have approved it already; it takes another pair of eyes")
    kept = door.vote(desk.connection, kept, vote)
    votes = [*votes, vote]
    agreed = _for(kept, votes)
    edited = _share(question.proposal, answer)
    if len(agreed) < kept.eyes:
        desk.note(f"approval:{kept.id}", f"was {outcome}; others have to approve as well", version=kept.version)
        return Decision(kept.id, None, kept.eyes - len(agreed), kept.version, edited / 1_000_000, kept.run)
    reasons = "\n".join(vote.reason for vote in votes if vote.reason)
    same = canonical(answer) == canonical(question.proposal)
    verdict = Verdict("approved" if same else "edited", answer, tuple(agreed), reasons)
    return _settled(desk, door, kept, verdict, edited)


@operation("approvals.delegate", permission="approvals.decide", changes=True)
def delegate_approval(desk: Desk, order: Delegate) -> Delegated:
    """Puts a question to one more member, who is told of it and may decide it as well."""
    door, kept = _open(desk, order.id)
    find = member_named if "@" in order.to else member_of
    member = find(desk.connection, desk.tenant, order.to)
    if member is None or member.blocked is not None:
        raise Unknown(f"there is no member {order.to!r}", param="to")
    if not permits(msgspec.structs.replace(desk.actor, kind="member", role=member.role), "approvals.decide"):
        raise Invalid(f"to: the role {member.role} may not decide", param="to")
    if member.id == kept.submitter and not kept.own:
        raise Invalid("to: whoever submitted a run does not decide about it", param="to")
    door.hand_over(desk.connection, kept, member.id, desk.now)
    desk.note(f"approval:{kept.id}", "was put to another member", member=member.id)
    return Delegated(kept.id, member.id)


@operation("approvals.measure", permission="approvals.see", changes=False)
def measure_approvals(desk: Desk, order: Measure) -> Measured:
    """Tells how decisions went: how long they took, how much was changed, whether what was wrong was noticed.

    Nothing is told of single people: what they did is told of groups of five and more alone.
    """
    until = desk.now + 1 if order.until is None else order.until
    since = max(0, until - _MONTH) if order.since is None else order.since
    found = figures(desk.connection, desk.tenant, since, until, order.by, now=desk.now)
    rows = []
    for each in found:
        told = msgspec.structs.asdict(each)
        rows.append(MeasureRow(**told | {"parts": dict(zip(order.by, each.parts, strict=True))}))
    return Measured(since, until, tuple(rows))


# --- who may ----------------------------------------------------------------------------------------------------------


def _door(desk: Desk) -> Approvals:
    if desk.doors.approvals is None:
        raise Unknown("no run waits for people here: this node keeps no runs")
    return desk.doors.approvals


def _decider(desk: Desk) -> Decider:
    actor = desk.actor
    member = member_of(desk.connection, desk.tenant, actor.id) if actor.kind == "member" else None
    return Decider(actor.id, actor.role, None if member is None else member.email)


def _theirs(desk: Desk, who: Decider, to: Mapping[str, Manner]) -> bool:
    """Whether a question is put to them. Whoever holds the data folder could write what he likes, so may decide."""
    return desk.actor.kind != "member" or (
        permits(desk.actor, "approvals.decide") and not to.keys().isdisjoint(who.names)
    )


def _found(desk: Desk, id_: str) -> tuple[Approvals, Kept]:
    door = _door(desk)
    kept = door.find(desk.connection, desk.tenant, id_)
    if kept is None:
        raise Unknown(f"nobody asks a question {id_!r}", param="id")
    return door, kept


def _open(desk: Desk, id_: str) -> tuple[Approvals, Kept]:
    """The question, which is open and put to whoever asks. Raises Unknown, Forbidden and Taken."""
    door, kept = _found(desk, id_)
    to = door.deciders(desk.connection, kept.id, desk.now)
    if not _theirs(desk, _decider(desk), to):
        raise Forbidden(f"{kept.id} is put to {', '.join(to)}, and not to {desk.actor.id}")
    if desk.actor.kind == "member" and kept.submitter == desk.actor.id and not kept.own:
        raise Forbidden(f"whoever submitted a run does not decide about it: {kept.id} takes another pair of eyes")
    if kept.outcome == "withdrawn":
        raise Taken(f"its run was over at {_time(kept.decided)}, and nobody waits for a decision any more")
    if kept.outcome is not None:
        by = ", ".join(kept.decided_by) or "nobody"
        raise Taken(f"{by} was faster: it was {kept.outcome} at {_time(kept.decided)}")
    if kept.ends is not None and kept.ends <= desk.now:
        raise Taken(f"it expired at {_time(kept.ends)}, when nobody had answered")
    return door, kept


def _time(moment: int | None) -> str:
    return datetime.fromtimestamp((moment or 0) / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


# --- what is said -----------------------------------------------------------------------------------------------------


def _said(order: Decide, question: Question, stands: Any) -> tuple[Literal["approved", "edited", "rejected"], Any]:
    """What somebody says, with the wording that they want to be taken. Raises Invalid, naming the field."""
    if order.decision != "edit" and order.answer is not None:
        raise Invalid("answer: only with the decision `edit` something else is taken", param="answer")
    if order.decision == "reject":
        if not order.reason.strip():
            raise Invalid("reason: say why, for whoever goes on from here", param="reason")
        return "rejected", None
    if order.decision == "approve":
        return "approved", stands
    if question.form is None:
        raise Invalid("answer: this can only be approved or rejected", param="answer")
    answer = read(written(order.answer))
    _fits(answer, question.form)
    return ("approved" if canonical(answer) == canonical(stands) else "edited"), answer


def _fits(answer: Any, form: Mapping[str, Any]) -> None:
    """Makes sure that an answer has the form, field by field. Raises Invalid with every fault."""
    plain = msgspec.json.decode(written(answer))  # the checker knows no decimals
    faults = []
    linear = jsonschema_rs.RegexOptions()  # patterns are matched in time proportional to the text
    checker = jsonschema_rs.Draft202012Validator(dict(form), offline=True, pattern_options=linear)
    for fault in checker.iter_errors(plain):
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in fault.instance_path)
        faults.append((f"answer{place}", fault.message))
    if faults:
        raise Invalid("; ".join(f"{place}: {words}" for place, words in faults[:20]), param=faults[0][0])


def _standing(question: Question, votes: Sequence[Vote]) -> Any:
    """The wording that stands: what was proposed, or what the last one has made of it."""
    return next((vote.answer for vote in reversed(votes) if vote.outcome == "edited"), question.proposal)


def _for(kept: Kept, votes: Sequence[Vote]) -> list[str]:
    """Who is for the wording that stands: who has written it, and who has approved it since."""
    found = [
        vote.member
        for vote in votes
        if (vote.outcome == "approved" and vote.version == kept.version)
        or (vote.outcome == "edited" and vote.version == kept.version - 1)
    ]
    return list(dict.fromkeys(found))


def _settled(desk: Desk, door: Approvals, kept: Kept, verdict: Verdict, edited: int | None) -> Decision:
    if not door.settle(desk.connection, kept, verdict, desk.now, edited):
        raise Taken("its run is over, and nobody waits for a decision any more")
    desk.note(f"approval:{kept.id}", f"was {verdict.outcome}", version=kept.version, eyes=kept.eyes)
    share = None if edited is None else edited / 1_000_000
    return Decision(kept.id, verdict.outcome, 0, kept.version, share, kept.run)


def _share(before: Any, after: Any) -> int:
    """How much of a proposal was changed, in millionths: words that went or came, of all words."""
    if canonical(before) == canonical(after):
        return 0
    old, new = _words(before), _words(after)
    if max(len(old), len(new)) > _MOST_WORDS:
        old, new = (
            [" ".join(old[at : at + 20]) for at in range(0, len(old), 20)],
            [" ".join(new[at : at + 20]) for at in range(0, len(new), 20)],
        )
    return max(1, round((1 - SequenceMatcher(None, old, new, autojunk=False).ratio()) * 1_000_000))


def _words(value: Any) -> list[str]:
    match value:
        case str():
            return value.split()
        case Mapping():
            return list(chain.from_iterable([f"{name}:", *_words(inner)] for name, inner in sorted(value.items())))
        case list() | tuple():
            return list(chain.from_iterable(_words(inner) for inner in value))
    return [str(value)]


def _row(desk: Desk, door: Approvals, who: Decider, kept: Kept) -> ApprovalRow:
    theirs = _theirs(desk, who, door.deciders(desk.connection, kept.id, desk.now))
    question = None
    if theirs or kept.submitter == desk.actor.id:
        try:
            question = door.question(desk.connection, kept)
        except KeyLost:
            question = None
    return ApprovalRow(
        id=kept.id,
        title=None if question is None else question.title,
        run=kept.run,
        path=kept.path,
        model=kept.model,
        project=kept.project,
        purpose=kept.purpose,
        why=None if question is None else question.why,
        mine=theirs
        and kept.outcome is None
        and (kept.own or desk.actor.kind != "member" or kept.submitter != desk.actor.id),
        asked=kept.asked,
        due=kept.due,
        expires=kept.ends,
        escalated=kept.escalated,
        eyes=kept.eyes,
        given=len(_for(kept, door.votes(desk.connection, kept))) if kept.eyes > 1 and kept.outcome is None else 0,
        outcome=kept.outcome,
        decided=kept.decided,
        decided_by=kept.decided_by,
        edited=None if kept.edited is None else kept.edited / 1_000_000,
    )
