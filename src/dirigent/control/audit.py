"""Operations on the audit: to read it, to show that nobody has changed it, and to take it elsewhere."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Annotated, Literal

import msgspec

from dirigent.control.desk import Desk
from dirigent.control.operation import operation
from dirigent.control.people import Nothing
from dirigent.core.errors import Unavailable
from dirigent.store import audit
from dirigent.store.audit import Fact, Kept
from dirigent.store.database import Database
from dirigent.store.notary import Notary

_PAGE = 5_000
_FEWEST_DAYS = 180
_DAY = 86_400_000

Place = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
Word = Annotated[str, msgspec.Meta(max_length=512)]


class EntriesAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries."""

    before: Place | None = None
    """Entries below this place; the latest where none is given."""
    actor: Word | None = None
    """Who, such as `member:m-51ab`."""
    action: Word | None = None
    """What, such as `keys.issue`, or `keys.*`."""
    resource: Word | None = None
    """To what, such as `key:7f3a`."""
    limit: Limit = 50


class EntryRow(msgspec.Struct, frozen=True):
    """One entry."""

    seq: int
    at: int
    actor: str
    action: str
    resource: str
    decision: Literal["permitted", "denied"]
    purpose: str
    policy: str
    revision: str
    request: str
    words: str
    commitments: dict[str, str]
    facts: dict[str, Fact]


class EntriesListed(msgspec.Struct, frozen=True):
    """Entries, the latest first."""

    entries: tuple[EntryRow, ...]


class FaultRow(msgspec.Struct, frozen=True):
    """One thing that is wrong with the chain."""

    kind: str
    seq: int
    words: str


class Verified(msgspec.Struct, frozen=True):
    """What the verification found."""

    ok: bool
    entries: int
    first: int
    last: int
    head: str
    """The hash of the last entry."""
    signed: int
    """The entry up to which signatures of a known key vouch."""
    anchors: int
    """How many of the signatures that this node remembers outside the database agree."""
    keys: tuple[str, ...]
    """The public keys whose signatures were met."""
    faults: tuple[FaultRow, ...]
    notes: tuple[str, ...]
    not_proved: tuple[str, ...]
    """What this does not show."""


class ExportAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From where on."""

    after: Place = 0
    """Entries after this place. The first page, after 0, begins with the chain's head and its signatures."""


class Exported(msgspec.Struct, frozen=True):
    """One page of an export: lines of JSON, to be written to a file one after the other."""

    lines: tuple[str, ...]
    after: int | None
    """From where on the next page is to be asked for; None where this was the last one."""


class Anchored(msgspec.Struct, frozen=True):
    """A signature on all that the chain holds."""

    seq: int
    hash: str
    key: str
    """The public key that verifies it."""
    line: str
    """What to keep at another place; the verifier takes a file of such lines as `--anchor`."""


class Pruning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the audit is to stay."""

    days: Annotated[int, msgspec.Meta(ge=_FEWEST_DAYS, le=36_500)]
    """Days of the past to keep: half a year at least, as the AI Act wants it."""


class Pruned(msgspec.Struct, frozen=True):
    """How many entries were removed."""

    entries: int


@operation("audit.list", permission="audit.see", changes=False)
def list_entries(desk: Desk, order: EntriesAsked) -> EntriesListed:
    """Lists what was done and decided."""
    found = audit.entries(
        desk.connection,
        desk.tenant,
        before=order.before,
        actor=order.actor,
        action=order.action,
        resource=order.resource,
        limit=order.limit,
    )
    return EntriesListed(tuple(_row(entry) for entry in found))


@operation("audit.verify", permission="audit.see", changes=False)
def verify(desk: Desk, order: Nothing) -> Verified:  # noqa: ARG001  each operation takes an order
    """Shows whether anybody has changed, removed, added or reordered anything in the audit."""
    notary = desk.doors.notary
    verdict = audit.verified(
        desk.connection,
        desk.tenant,
        trusted=sorted(notary.trusted) if notary is not None else (),
        anchors=notary.anchors(desk.tenant) if notary is not None else (),
    )
    return Verified(
        ok=verdict.ok,
        entries=verdict.entries,
        first=verdict.first,
        last=verdict.last,
        head=verdict.head,
        signed=verdict.signed,
        anchors=verdict.anchors,
        keys=tuple(verdict.keys),
        faults=tuple(FaultRow(fault.kind, fault.seq, fault.words) for fault in verdict.faults),
        notes=tuple(verdict.notes),
        not_proved=tuple(verdict.not_proved),
    )


@operation("audit.export", permission="audit.see", changes=False)
def export(desk: Desk, order: ExportAsked) -> Exported:
    """Gives the audit in the form that the stand-alone verifier reads."""
    start = audit.beginning(desk.connection, desk.tenant, desk.now) if order.after == 0 else ()
    found = list(islice(audit.lines(desk.connection, desk.tenant, order.after), _PAGE))
    following = audit.place_of(found[-1]) if len(found) == _PAGE else None
    return Exported(tuple(line.decode().rstrip("\n") for line in (*start, *found)), following)


@operation("audit.anchor", permission="audit.anchor", changes=True)
def anchor(desk: Desk, order: Nothing) -> Anchored:  # noqa: ARG001  each operation takes an order
    """Signs all that the audit holds, and gives the signature to be kept at another place."""
    notary = _notary(desk)
    desk.note("audit", "signs the audit")
    desk.afterwards(partial(_anchored, notary=notary, tenant=desk.tenant))
    return Anchored(0, "", notary.key.public, "")


@operation("audit.prune", permission="audit.anchor", changes=True)
def prune(desk: Desk, order: Pruning) -> Pruned:
    """Removes what is older, and leaves a signature by which the rest can still be verified."""
    notary = _notary(desk)
    desk.note("audit", "removes old entries of the audit", days=order.days)
    before = desk.now - order.days * _DAY
    desk.afterwards(lambda _: Pruned(notary.prune(desk.tenant, before)))
    return Pruned(0)


def _anchored(_: Database, *, notary: Notary, tenant: str) -> Anchored:
    point = notary.sign(tenant)
    notary.tell()
    if point is None:
        raise Unavailable("another node is signing this audit just now")
    return Anchored(point.seq, point.hash, point.key, audit.anchor_line(point).decode().rstrip("\n"))


def _notary(desk: Desk) -> Notary:
    if desk.doors.notary is None:
        raise Unavailable("no key that signs the audit is in use here")
    return desk.doors.notary


def _row(entry: Kept) -> EntryRow:
    return EntryRow(
        entry.seq,
        entry.at,
        entry.actor,
        entry.action,
        entry.resource,
        entry.decision,
        entry.purpose,
        entry.policy,
        entry.revision,
        entry.request,
        entry.words,
        dict(entry.commitments),
        dict(entry.facts),
    )
