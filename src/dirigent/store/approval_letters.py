"""Telling people that they are asked: who is to be told, the links that they get, and what became of a letter."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from secrets import token_urlsafe

import msgspec
from sqlalchemy import Connection, text

from dirigent.core.identity import Role
from dirigent.store.approvals import Decider
from dirigent.store.people import Member, member_of, members

__all__ = ["Letter", "Link", "any_letter", "claim", "link_of", "put_off", "told", "used"]

_CLAIMED = 60_000
"""Milliseconds for which whoever writes a letter may be at it; then somebody else does."""
_PAUSE = 300_000
"""Milliseconds after which a letter that did not arrive is tried again."""
_LIFE = 7 * 86_400_000
"""Milliseconds for which a link lasts where its question has no end."""
_AT_ONCE = 20
_DIGEST = 32


class Letter(msgspec.Struct, frozen=True):
    """What one person is told: that a run waits for them, and where to answer. It holds no word of the question."""

    approval: str
    tenant: str
    model: str
    member: str
    address: str
    name: str
    token: str
    """For a link that this person alone gets; it is kept nowhere."""
    due: int | None
    escalated: bool


class Link(msgspec.Struct, frozen=True):
    """Who a link was given to, and for what."""

    approval: str
    tenant: str
    member: str
    used: bool


def any_letter(connection: Connection, now: int) -> bool:
    """Whether somebody is to be told of something now."""
    return (
        connection.execute(
            text("SELECT 1 FROM approvals WHERE tells <= :now AND outcome IS NULL LIMIT 1"), {"now": now}
        ).scalar()
        is not None
    )


def claim(connection: Connection, now: int, deciding: frozenset[Role]) -> Sequence[Letter]:
    """The letters that are to be written now; nobody else writes them until this one is told of, or a minute later.

    Those who hold none of the roles that may decide are told nothing, nor is the one whose run asks.
    """
    lock = " FOR UPDATE SKIP LOCKED" if connection.dialect.name == "postgresql" else ""
    rows = connection.execute(
        text(f"""
            SELECT id, tenant, model, submitter, own, due, ends, escalated FROM approvals
            WHERE tells <= :now AND outcome IS NULL ORDER BY tells LIMIT {_AT_ONCE}{lock}"""),  # noqa: S608 -- no input
        {"now": now},
    ).all()
    letters = []
    for row in rows:
        connection.execute(
            text("UPDATE approvals SET tells = :until WHERE id = :id"), {"id": row.id, "until": now + _CLAIMED}
        )
        found = _to_tell(connection, row.tenant, row.id, now, deciding)
        if not found:
            told(connection, row.id, now)
        for member in found:
            if member.email is None or (member.id == row.submitter and not row.own):
                continue
            token = token_urlsafe(_DIGEST)
            connection.execute(
                text("""
                    INSERT INTO approval_links (digest, approval, member, expires)
                    VALUES (:digest, :approval, :member, :expires)"""),
                {
                    "digest": _digest(token),
                    "approval": row.id,
                    "member": member.id,
                    "expires": now + _LIFE if row.ends is None else min(row.ends, now + _LIFE),
                },
            )
            due = row.due if row.due is not None and row.escalated is None else row.ends
            letters.append(
                Letter(
                    row.id,
                    row.tenant,
                    row.model,
                    member.id,
                    member.email,
                    member.name,
                    token,
                    due,
                    row.escalated is not None,
                )
            )
    return letters


def told(connection: Connection, approval: str, now: int) -> None:
    """Notes that everybody who is to know of a question by now has been told."""
    connection.execute(
        text("UPDATE approval_deciders SET told = :now WHERE approval = :id AND since <= :now AND told IS NULL"),
        {"id": approval, "now": now},
    )
    connection.execute(text("UPDATE approvals SET tells = NULL WHERE id = :id"), {"id": approval})


def put_off(connection: Connection, approval: str, now: int) -> None:
    """Has it tried again later: a letter has not arrived. The links that nobody has got are worth nothing."""
    connection.execute(
        text("UPDATE approvals SET tells = :later WHERE id = :id AND outcome IS NULL"),
        {"id": approval, "later": now + _PAUSE},
    )


def link_of(connection: Connection, token: str, now: int) -> Link | None:
    """To whom a link was given; None where it was never given, or its time is over."""
    row = connection.execute(
        text("""
            SELECT l.approval, l.member, l.used, a.tenant
            FROM approval_links l JOIN approvals a ON a.id = l.approval
            WHERE l.digest = :digest AND l.expires > :now"""),
        {"digest": _digest(token), "now": now},
    ).one_or_none()
    return None if row is None else Link(row.approval, row.tenant, row.member, row.used is not None)


def used(connection: Connection, token: str, now: int) -> bool:
    """Uses a link up; False where it was used already."""
    return (
        connection.execute(
            text("UPDATE approval_links SET used = :now WHERE digest = :digest AND used IS NULL"),
            {"digest": _digest(token), "now": now},
        ).rowcount
        == 1
    )


def _to_tell(
    connection: Connection, tenant: str, approval: str, now: int, deciding: frozenset[Role]
) -> Sequence[Member]:
    """The members to whom a question is put and who have not been told."""
    names = set(
        connection.execute(
            text("SELECT who FROM approval_deciders WHERE approval = :id AND since <= :now AND told IS NULL"),
            {"id": approval, "now": now},
        ).scalars()
    )
    alone = [name.removeprefix("member:") for name in names if name.startswith("member:")]
    if len(alone) == len(names):
        found = [member for id_ in alone if (member := member_of(connection, tenant, id_)) is not None]
    else:
        found = [
            member
            for member in members(connection, tenant)
            if not names.isdisjoint(Decider(member.id, member.role, member.email).names)
        ]
    return [member for member in found if member.blocked is None and member.role in deciding]


def _digest(token: str) -> bytes:
    return blake2b(token.encode("utf-8", "replace"), digest_size=_DIGEST, person=b"approval link").digest()
