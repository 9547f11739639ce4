"""Operations on virtual keys."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dirigent.control.desk import Desk, Taken, Unknown
from dirigent.control.fields import Amount, Currency, Duration, Id, Name, Patterns, Title, milliseconds, money
from dirigent.control.operation import operation
from dirigent.control.people import project_at
from dirigent.core.allowances import Allowance
from dirigent.core.errors import Invalid
from dirigent.store import keys, people, purposes
from dirigent.store.allowances import keep_allowance
from dirigent.store.beginning import DEFAULT
from dirigent.store.keys import VirtualKey

Seconds = Annotated[int, msgspec.Meta(ge=0, le=31_536_000)]


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a key is to be bound to."""

    project: Name = DEFAULT
    """The project that it belongs to."""
    purposes: Annotated[tuple[Name, ...], msgspec.Meta(max_length=100)] = ()
    """The purposes that it may name; the first is implied where a request names none. Without any it is `general`."""
    member: Id | None = None
    """For whom it is; None for a program of the project."""
    title: Title = ""
    models: Patterns = ("*",)
    """Names or patterns of models that it may ask."""
    denied: Patterns = ()
    """Names or patterns of models that it may never reach."""
    budget: Amount | None = None
    """What may be spent on it in all its time."""
    currency: Currency | None = None
    """Of the budget; the tenant's where none is named."""
    expires: Duration | None = None
    """After how long it ends; None for never."""


class KeyIssued(msgspec.Struct, frozen=True):
    """A new key, in clear this once."""

    key: str
    id: str
    expires: int | None = None
    replaces: str | None = None

    def __repr__(self) -> str:
        return f"KeyIssued(id={self.id!r})"


class KeyChosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which key."""

    id: Id


class KeyBlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which key."""

    id: Id
    lift: bool = False
    """Whether a block is to be lifted instead."""


class KeyRotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which key is to be replaced, and how."""

    id: Id
    overlap: Seconds = 3_600
    """For how many seconds the old key goes on being valid beside the new one."""
    expires: Duration | None = None
    """After how long the new key ends; as long as the old one was to last, where nothing is said."""


class KeyRow(msgspec.Struct, frozen=True):
    """A key as lists show it."""

    id: str
    hint: str
    """Its first letters."""
    project: str
    state: str
    """`live`, `blocked`, `expired` or `revoked`."""
    purposes: tuple[str, ...]
    member: str | None
    title: str
    models: tuple[str, ...]
    denied: tuple[str, ...]
    created: int
    expires: int | None
    replaces: str | None


class KeysListed(msgspec.Struct, frozen=True):
    """Keys, the newest first."""

    keys: tuple[KeyRow, ...]


class KeysAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of which project or member; of all where neither is named."""

    project: Name | None = None
    member: Id | None = None
    live: bool = False
    """Whether only those that are valid now."""


@operation("keys.issue", permission="keys.change", changes=True)
def issue(desk: Desk, order: NewKey) -> KeyIssued:
    """Issues a key, which is shown this once; only a digest of it is kept."""
    changed = desk.change()
    project_at(desk, order.project)
    for name in order.purposes:
        registered = purposes.purpose_named(desk.connection, desk.tenant, name)
        if registered is None or registered.retired is not None:
            raise Unknown(f"there is no purpose {name!r}: register it first", param="purposes")
    if order.member is not None and people.member_of(desk.connection, desk.tenant, order.member) is None:
        raise Unknown(f"there is no member {order.member!r}", param="member")
    clear, digest, hint = keys.new_key()
    key = VirtualKey(
        keys.new_id("k"),
        desk.tenant,
        order.project,
        digest,
        hint,
        order.member,
        order.title,
        tuple(dict.fromkeys(order.purposes)),
        order.models,
        order.denied,
        created=desk.now,
        expires=None if order.expires is None else desk.now + milliseconds(order.expires),
    )
    keys.keep_key(desk.connection, key, changed)
    if order.budget is not None:
        _give_budget(desk, key, order.budget, order.currency, changed)
    desk.note(
        f"key:{key.id}",
        "was issued",
        project=key.project,
        purposes=" ".join(key.purposes),
        member=key.member,
        budget=order.budget,
        expires=key.expires,
    )
    return KeyIssued(clear, key.id, key.expires)


@operation("keys.revoke", permission="keys.change", changes=True)
def revoke(desk: Desk, order: KeyChosen) -> KeyRow:
    """Revokes a key for good; every node refuses it within a second."""
    changed = desk.change()
    key = _key_at(desk, order.id)
    key = msgspec.structs.replace(key, revoked=key.revoked or desk.now)
    keys.keep_key(desk.connection, key, changed)
    desk.note(f"key:{key.id}", "was revoked")
    return _row(key, desk.now)


@operation("keys.rotate", permission="keys.change", changes=True)
def rotate(desk: Desk, order: KeyRotation) -> KeyIssued:
    """Replaces a key by a new one of the same rights and budgets; both are valid while they overlap."""
    changed = desk.change()
    old = _key_at(desk, order.id)
    if (state := old.state(desk.now)) in {"revoked", "expired"}:
        raise Taken(f"the key {old.id} is {state}, so there is nothing to replace: issue a new one", param="id")
    if (successor := keys.successor_of(desk.connection, old)) is not None:
        raise Taken(f"the key {old.id} has been replaced by {successor} already", param="id")
    clear, digest, hint = keys.new_key()
    lasted = None if old.expires is None else old.expires - old.created
    lasts = lasted if order.expires is None else milliseconds(order.expires)
    new = msgspec.structs.replace(
        old,
        id=keys.new_id("k"),
        digest=digest,
        hint=hint,
        replaces=old.id,
        created=desk.now,
        expires=None if lasts is None else desk.now + lasts,
    )
    end = desk.now + order.overlap * 1000
    old = msgspec.structs.replace(old, expires=end if old.expires is None else min(old.expires, end))
    keys.keep_key(desk.connection, old, changed)
    keys.keep_key(desk.connection, new, changed)
    desk.note(f"key:{old.id}", "was replaced", successor=new.id, until=old.expires)
    return KeyIssued(clear, new.id, new.expires, old.id)


@operation("keys.block", permission="keys.change", changes=True)
def block(desk: Desk, order: KeyBlock) -> KeyRow:
    """Takes a key out of use at once; or lifts that again."""
    changed = desk.change()
    key = _key_at(desk, order.id)
    key = msgspec.structs.replace(key, blocked=None if order.lift else key.blocked or desk.now)
    keys.keep_key(desk.connection, key, changed)
    desk.note(f"key:{key.id}", "may be used again" if order.lift else "was blocked")
    return _row(key, desk.now)


@operation("keys.list", permission="keys.see", changes=False)
def list_keys(desk: Desk, order: KeysAsked) -> KeysListed:
    """Lists keys by their first letters and what they are bound to; none is ever shown again."""
    found = keys.keys(
        desk.connection,
        desk.tenant,
        project=order.project,
        member=order.member,
        now=desk.now if order.live else None,
    )
    return KeysListed(tuple(_row(key, desk.now) for key in found))


def _key_at(desk: Desk, id_: str) -> VirtualKey:
    key = keys.key_of(desk.connection, desk.tenant, id_)
    if key is None:
        raise Unknown(f"there is no key {id_!r}", param="id")
    return key


def _give_budget(desk: Desk, key: VirtualKey, amount: str, currency: str | None, changed: int) -> None:
    tenant = people.tenant_named(desk.connection, desk.tenant)
    if tenant is None:
        raise Invalid(f"there is no tenant {desk.tenant!r}")
    spoken = currency or tenant.currency
    budget = Allowance(
        keys.new_id("a"),
        "key",
        key.id,
        "money",
        money(amount, spoken, "budget"),
        zone=tenant.zone,
        currency=spoken,
        tenant=desk.tenant,
    )
    keep_allowance(desk.connection, budget, desk.now, changed)


def _row(key: VirtualKey, now: int) -> KeyRow:
    return KeyRow(
        key.id,
        key.hint,
        key.project,
        key.state(now),
        key.purposes,
        key.member,
        key.title,
        key.models,
        key.denied,
        key.created,
        key.expires,
        key.replaces,
    )
