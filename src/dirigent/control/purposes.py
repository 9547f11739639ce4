"""Operations on the register of purposes, and the question of who may use what for which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated

import msgspec

from dirigent.control.desk import Desk, Taken, Unknown
from dirigent.control.fields import Id, Name, Patterns, Title
from dirigent.control.operation import operation
from dirigent.control.people import project_at
from dirigent.core.errors import Denied, Invalid
from dirigent.core.identity import Principal
from dirigent.core.purposes import GENERAL, Basis, DataClass, Days, Purpose, Retention
from dirigent.core.rulebook import Rulebook
from dirigent.core.rules import KeyRule, Rules
from dirigent.store import keys, people, purposes
from dirigent.store.purposes import Registered
from dirigent.store.rights import rules_since

Regions = Annotated[tuple[Name, ...], msgspec.Meta(max_length=100)]
Words = Annotated[tuple[Title, ...], msgspec.Meta(max_length=100)]
Classes = Annotated[tuple[DataClass, ...], msgspec.Meta(max_length=5)]


class NewPurpose(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A purpose to be: what it does not permit is forbidden."""

    name: Name
    title: Title = ""
    basis: Basis = "legitimate_interests"
    """The legal basis, after Article 6(1) GDPR."""
    data_classes: Classes = ("public", "internal")
    """What may be in the texts."""
    subjects: Words = ()
    """Whose data it is about, in words, such as `customers`."""
    models: Patterns = ()
    """Names or patterns of models that may be asked; none permits nothing."""
    denied: Patterns = ()
    """Names or patterns of models that may not be reached, not even through a router that may be asked."""
    regions: Regions | None = None
    """Where the data may go besides the operator's own machines; where it is not given, anywhere."""
    bodies_days: Days = 0
    """Days for which what was asked and answered is kept; 0 keeps nothing of it."""
    records_days: Days = 395
    """Days for which is kept who asked, when, which model and at what cost."""
    owner: Title = ""
    """Who answers for it."""
    review: date | None = None
    """When it must be looked at again."""


class PurposeChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of a purpose changes; what is not given stays."""

    name: Name
    title: Title | None = None
    basis: Basis | None = None
    data_classes: Classes | None = None
    subjects: Words | None = None
    models: Patterns | None = None
    denied: Patterns | None = None
    regions: Regions | None = None
    anywhere: bool = False
    """Whether the data may go to any region from now on."""
    bodies_days: Days | None = None
    records_days: Days | None = None
    owner: Title | None = None
    review: date | None = None
    blocked: bool | None = None
    """Whether it is out of use for now."""


class PurposeChosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which purpose."""

    name: Name


class PurposesAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which purposes."""

    retired: bool = False
    """Whether those too that nobody may name any more."""


class PurposeListed(msgspec.Struct, frozen=True):
    """A purpose at one of its revisions."""

    purpose: Purpose
    revision: int
    since: int
    retired: int | None = None


class PurposesListed(msgspec.Struct, frozen=True):
    """Purposes, or the revisions of one."""

    purposes: tuple[PurposeListed, ...]


@operation("purposes.register", permission="purposes.change", changes=True)
def register(desk: Desk, order: NewPurpose) -> PurposeListed:
    """Registers a purpose, which keys may then be bound to. One that was retired may be registered anew."""
    changed = desk.change()
    before = purposes.purpose_named(desk.connection, desk.tenant, order.name)
    if before is not None and before.retired is None:
        raise Taken(f"there is a purpose {order.name!r} already", param="name")
    purpose = Purpose(
        order.name,
        order.title,
        order.basis,
        order.data_classes,
        order.subjects,
        order.models,
        order.denied,
        order.regions,
        Retention(order.bodies_days, order.records_days),
        order.owner,
        order.review,
    )
    return _kept(desk, Registered(desk.tenant, purpose, _next(before), desk.now), changed, "was registered")


@operation("purposes.update", permission="purposes.change", changes=True)
def update(desk: Desk, order: PurposeChange) -> PurposeListed:
    """Changes a purpose, as a new revision of it; nodes follow within a second."""
    changed = desk.change()
    before = _purpose_at(desk, order.name)
    if order.anywhere and order.regions is not None:
        raise Invalid("regions: the data may go anywhere, or to these regions, not both", param="regions")
    given = {
        field: value
        for field in msgspec.structs.asdict(before.purpose)
        if (value := getattr(order, field, None)) is not None
    }
    kept = before.purpose.retention
    retention = Retention(
        kept.bodies if order.bodies_days is None else order.bodies_days,
        kept.records if order.records_days is None else order.records_days,
    )
    if order.anywhere:
        given["regions"] = None
    purpose = msgspec.structs.replace(before.purpose, **given, retention=retention)
    return _kept(desk, Registered(desk.tenant, purpose, _next(before), desk.now), changed, "changed")


@operation("purposes.retire", permission="purposes.change", changes=True)
def retire(desk: Desk, order: PurposeChosen) -> PurposeListed:
    """Takes a purpose out of the register: nobody may name it any more. Its revisions are kept."""
    changed = desk.change()
    before = _purpose_at(desk, order.name)
    retired = Registered(desk.tenant, before.purpose, _next(before), desk.now, desk.now)
    return _kept(desk, retired, changed, "was retired")


@operation("purposes.list", permission="purposes.see", changes=False)
def list_purposes(desk: Desk, order: PurposesAsked) -> PurposesListed:
    """Lists the register of purposes."""
    found = purposes.purposes(desk.connection, desk.tenant)
    return PurposesListed(tuple(_listed(each) for each in found if order.retired or each.retired is None))


@operation("purposes.show", permission="purposes.see", changes=False)
def show(desk: Desk, order: PurposeChosen) -> PurposesListed:
    """Shows a purpose with all its revisions, the last one first."""
    found = purposes.revisions_of(desk.connection, desk.tenant, order.name)
    if not found:
        raise Unknown(f"there is no purpose {order.name!r}", param="name")
    return PurposesListed(tuple(_listed(each) for each in found))


# --- who may use what -------------------------------------------------------------------------------------------------


class AccessAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose access: that of one key, of all keys of one member, or of any new key of a project."""

    key: Id | None = None
    member: Id | None = None
    project: Name | None = None
    purpose: Name | None = None
    """For what; the purpose that the key implies where none is named."""


class AccessRuling(msgspec.Struct, frozen=True):
    """Whether a model may be asked, and the rule that decides it."""

    model: str
    permitted: bool
    rule: str
    key: str | None = None
    """By which key, where one was asked about, or a member who has several."""
    purpose: str | None = None
    """For which purpose."""


class Access(msgspec.Struct, frozen=True):
    """One ruling for each key and model."""

    rulings: tuple[AccessRuling, ...]


@operation("access.query", permission="keys.see", changes=False)
def query(desk: Desk, order: AccessAsked) -> Access:
    """Says which models may be asked by whom for which purpose, each with the rule that decides it.

    It asks the very evaluator by which nodes decide, over the rules that stand in the database.
    """
    if sum(each is not None for each in (order.key, order.member, order.project)) != 1:
        raise Invalid("say whose access it is about: `key`, `member` or `project`, one of them")
    book = Rulebook.of(rules_since(desk.connection, -1, desk.now))
    principals: list[tuple[str | None, Principal]]
    if order.project is not None:
        project_at(desk, order.project)
        anybody = KeyRule("(any new one)", b"", desk.tenant, order.project, purposes=(order.purpose or GENERAL,))
        book = book.extended(Rules(book.sequence, whole=False, keys=(anybody,)))
        principals = [(None, book.principals[b""])]
    else:
        principals = [
            (key.id, book.principals[key.digest]) for key in _keys_of(desk, order) if key.digest in book.principals
        ]
    models = {name: name for name in desk.doors.models()}
    names = models | {alias: model for alias, model in desk.doors.aliases().items() if alias not in models}
    return Access(
        tuple(
            ruling for key, principal in principals for ruling in _rulings(book, principal, order.purpose, names, key)
        )
    )


def _keys_of(desk: Desk, order: AccessAsked) -> list[keys.VirtualKey]:
    if order.key is not None:
        key = keys.key_of(desk.connection, desk.tenant, order.key)
        if key is None:
            raise Unknown(f"there is no key {order.key!r}", param="key")
        if (state := key.state(desk.now)) in {"revoked", "expired"}:
            raise Invalid(f"the key {key.id} is {state}: it may nothing at all", param="key")
        return [key]
    member = order.member or ""
    if people.member_of(desk.connection, desk.tenant, member) is None:
        raise Unknown(f"there is no member {member!r}", param="member")
    return list(keys.keys(desk.connection, desk.tenant, member=member, now=desk.now))


def _rulings(
    book: Rulebook, principal: Principal, purpose: str | None, names: Mapping[str, str], key: str | None
) -> Iterator[AccessRuling]:
    try:
        grant = book.grant(principal, purpose)
    except Denied as refusal:
        for name in names:
            yield AccessRuling(name, permitted=False, rule=refusal.message, key=key, purpose=purpose)
        return
    of = None if grant.purpose is None else grant.purpose.name
    for name, model in names.items():
        ruling = grant.may_ask(name) if name == model else grant.may_ask_as(name, model)
        yield AccessRuling(name, ruling.permitted, ruling.rule, key, of)


def _purpose_at(desk: Desk, name: str) -> Registered:
    found = purposes.purpose_named(desk.connection, desk.tenant, name)
    if found is None or found.retired is not None:
        raise Unknown(f"there is no purpose {name!r}", param="name")
    return found


def _next(before: Registered | None) -> int:
    return 1 if before is None else before.revision + 1


def _kept(desk: Desk, registered: Registered, changed: int, words: str) -> PurposeListed:
    purposes.keep_purpose(desk.connection, registered, changed)
    purpose = registered.purpose
    desk.note(
        f"purpose:{purpose.name}",
        words,
        revision=registered.revision,
        basis=purpose.basis,
        models=" ".join(purpose.models),
        denied=" ".join(purpose.denied),
        regions=None if purpose.regions is None else " ".join(purpose.regions),
        blocked=purpose.blocked,
    )
    return _listed(registered)


def _listed(registered: Registered) -> PurposeListed:
    return PurposeListed(registered.purpose, registered.revision, registered.since, registered.retired)
