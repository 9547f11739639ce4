"""The audit: what was done and decided, one chain for each tenant, in which no line can be changed unseen.

Each entry is hashed together with the hash before it, in the transaction of what it tells of. Names of people, texts
and secrets never enter: an actor is an id, and a text is a salted commitment whose salt is shredded with its subject.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, Literal

import msgspec
from sqlalchemy import Connection, text

from dirigent.core.errors import Invalid
from dirigent.store.verifier import Checkpoint, Verdict, genesis, linked, verify

__all__ = [
    "Entry",
    "Fact",
    "Kept",
    "Told",
    "anchor_line",
    "append",
    "append_many",
    "beginning",
    "checkpoints",
    "commitment",
    "entries",
    "export",
    "head",
    "lines",
    "place_of",
    "prune_entries",
    "tenants",
    "verified",
]

Fact = str | int | float | bool | None


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was done or decided."""

    actor: str
    """Who, by id: `member:…`, `key:…`, `operator`, `file`."""
    action: str
    """What, such as `keys.issue` or `request.answer`."""
    resource: str = ""
    """To what, such as `key:7f3a` or `model:premium`."""
    decision: Literal["permitted", "denied"] = "permitted"
    purpose: str = ""
    policy: str = ""
    """The version of the rules that decided."""
    revision: str = ""
    request: str = ""
    """The id of the request."""
    words: str = ""
    commitments: Mapping[str, str] = {}
    """What was asked and answered, as `commitment` gives it."""
    facts: Mapping[str, Fact] = {}


class Told(msgspec.Struct, frozen=True):
    """An entry on its way in batches: whose chain it belongs to, and when it happened."""

    tenant: str
    at: int
    entry: Entry


class Kept(Entry, frozen=True, omit_defaults=True, kw_only=True):
    """An entry as it stands in the chain."""

    seq: int
    at: int
    tenant: str


class _Head(msgspec.Struct, frozen=True):
    seq: int
    at: int
    hash: str
    signed: int
    signed_at: int


_ENCODER = msgspec.json.Encoder(order="deterministic")
_ODD = re.compile(r'["\\\x00-\x1f\x7f]')
_LONGEST = 512
_ID = re.compile(r"[A-Za-z0-9_.:/+*-]{1,128}")
_PAGE = 10_000


class _Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """The order in which fields stand in a chain. The first four are always there, so that each line begins alike."""

    seq: int
    at: int
    tenant: str
    actor: str
    action: str
    resource: str | None
    decision: str
    purpose: str = ""
    policy: str = ""
    revision: str = ""
    request: str = ""
    words: str = ""
    commitments: Mapping[str, str] = {}
    facts: Mapping[str, Fact] = {}


def append(connection: Connection, tenant: str, entry: Entry, now: int) -> int:
    """Adds an entry to its tenant's chain, in the transaction of what it tells of; its place there.

    Raises Invalid where an id holds what no id holds, such as an e-mail address.
    """
    return append_many(connection, [Told(tenant, now, entry)])


def append_many(connection: Connection, told: Sequence[Told]) -> int:
    """Adds entries to the chains of their tenants, in this order; the place of the last one."""
    seq = 0
    for tenant in sorted({each.tenant for each in told}):  # in one order, so that no two writers wait for each other
        seq = _extend(connection, tenant, [each for each in told if each.tenant == tenant])
    return seq


def commitment(salt: bytes, body: bytes) -> str:
    """What fixes a text without telling anything of it to those who lack the salt."""
    return hmac.new(salt, body, hashlib.sha256).hexdigest()


def _extend(connection: Connection, tenant: str, told: Sequence[Told]) -> int:
    """One writer at a time: the row of the head is locked until the transaction ends."""
    row = connection.execute(
        text("""
            INSERT INTO audit_heads (tenant, seq, at, hash, signed, signed_at) VALUES (:tenant, 0, 0, :genesis, 0, 0)
            ON CONFLICT (tenant) DO UPDATE SET seq = audit_heads.seq
            RETURNING seq, at, hash"""),
        {"tenant": tenant, "genesis": genesis(tenant).hex()},
    ).one()
    seq, at, before = int(row.seq), int(row.at), bytes.fromhex(row.hash)
    rows = []
    for each in told:
        seq += 1
        entry = each.entry
        facts = entry.facts
        if each.at < at:  # written late, or by a clock that is behind: the chain never goes back, and says so
            facts = {**facts, "late_ms": at - each.at}
        at = max(at, each.at)
        line = _line(tenant, seq, at, entry, facts)
        before = linked(before, line)
        rows.append(
            {
                "tenant": tenant,
                "seq": seq,
                "at": at,
                "actor": entry.actor,
                "action": entry.action,
                "resource": _resource(entry),
                "entry": line.decode(),
                "hash": before.hex(),
            }
        )
    connection.execute(
        text("""
            INSERT INTO audit_entries (tenant, seq, at, actor, action, resource, entry, hash)
            VALUES (:tenant, :seq, :at, :actor, :action, :resource, :entry, :hash)"""),
        rows,
    )
    connection.execute(
        text("""UPDATE audit_heads SET seq = :seq, at = :at, hash = :hash WHERE tenant = :tenant"""),
        {"tenant": tenant, "seq": seq, "at": at, "hash": before.hex()},
    )
    return seq


def _line(tenant: str, seq: int, at: int, entry: Entry, facts: Mapping[str, Fact]) -> bytes:
    for name in (tenant, entry.actor, entry.action):
        if not _ID.fullmatch(name):
            raise Invalid(f"{name!r} is no id that may stand in the audit")
    return _ENCODER.encode(
        _Line(
            seq,
            at,
            tenant,
            entry.actor,
            entry.action,
            _resource(entry),
            entry.decision,
            purpose=entry.purpose,
            policy=entry.policy,
            revision=entry.revision,
            request=entry.request,
            words=entry.words,
            commitments=entry.commitments,
            facts=facts,
        )
    )


def _resource(entry: Entry) -> str:
    """Without quotes and the like, so that it reads the same in a column and in the entry."""
    return _ODD.sub("?", entry.resource)[:_LONGEST]


# --- reading ----------------------------------------------------------------------------------------------------------


def head(connection: Connection, tenant: str) -> tuple[int, str]:
    """Where the chain of a tenant ends: the place and the hash of its last entry."""
    row = connection.execute(
        text("""SELECT seq, hash FROM audit_heads WHERE tenant = :tenant"""), {"tenant": tenant}
    ).one_or_none()
    return (0, genesis(tenant).hex()) if row is None else (row.seq, row.hash)


def tenants(connection: Connection) -> Sequence[str]:
    """The tenants that have a chain."""
    return list(connection.execute(text("""SELECT tenant FROM audit_heads ORDER BY tenant""")).scalars())


def entries(
    connection: Connection,
    tenant: str,
    *,
    before: int | None = None,
    actor: str | None = None,
    action: str | None = None,
    resource: str | None = None,
    limit: int = 50,
) -> Sequence[Kept]:
    """Entries from below a place, the latest first; `action` may end in a `*`."""
    rows = connection.execute(
        text("""
            SELECT entry FROM audit_entries
            WHERE tenant = :tenant AND seq < :before
              AND (:actor = '' OR actor = :actor)
              AND (:action = '' OR substr(action, 1, :letters) = :action)
              AND (:resource = '' OR resource = :resource)
            ORDER BY seq DESC LIMIT :limit"""),
        {
            "tenant": tenant,
            "before": (1 << 62) if before is None else before,
            "actor": actor or "",
            "action": (action or "").removesuffix("*"),
            "letters": len((action or "").removesuffix("*")) if (action or "").endswith("*") else 512,
            "resource": resource or "",
            "limit": limit,
        },
    ).scalars()
    return [msgspec.json.decode(row, type=Kept) for row in rows]


def lines(
    connection: Connection, tenant: str, after: int = 0, until: int | None = None, odd: list[int] | None = None
) -> Iterator[bytes]:
    """The lines of an export, from after a place on; read in pages, so that a long chain needs no memory.

    `odd` gets the places where the columns by which an entry is looked up say something else than the entry.
    """
    last = (1 << 62) if until is None else until
    while True:
        result = connection.execute(
            text("""
                SELECT seq, at, actor, action, resource, hash, entry FROM audit_entries
                WHERE tenant = :tenant AND seq > :after AND seq <= :last ORDER BY seq LIMIT :page"""),
            {"tenant": tenant, "after": after, "last": last, "page": _PAGE},
        )
        page = result.cursor.fetchall()  # bare rows: millions of them are read
        result.close()
        for seq, at, actor, action, resource, hash_, entry in page:
            label = (
                f'{{"seq":{seq},"at":{at},"tenant":"{tenant}","actor":"{actor}",'
                f'"action":"{action}","resource":"{resource}",'
            )
            if odd is not None and not entry.startswith(label):
                odd.append(seq)
            yield f'{{"hash":"{hash_}","entry":{entry}}}\n'.encode()
        if len(page) < _PAGE:
            return
        after = page[-1][0]


def checkpoints(connection: Connection, tenant: str, after: int = 0) -> Sequence[Checkpoint]:
    """What was signed, in the order of signing, from after a number on."""
    rows = connection.execute(
        text("""
            SELECT statement, public_key, signature FROM audit_checkpoints
            WHERE tenant = :tenant AND number > :after ORDER BY number"""),
        {"tenant": tenant, "after": after},
    )
    return [Checkpoint.read({"statement": row[0], "key": row[1], "signature": row[2]}) for row in rows]


def export(connection: Connection, tenant: str, out: BinaryIO, now: int) -> int:
    """Writes all that the stand-alone verifier needs, as JSON lines; how many entries that are."""
    start = beginning(connection, tenant, now)
    out.writelines(start)
    count = 0
    for line in lines(connection, tenant, until=msgspec.json.decode(start[0])["chain"]["seq"]):
        out.write(line)
        count += 1
    return count


def beginning(connection: Connection, tenant: str, now: int) -> Sequence[bytes]:
    """The lines with which an export begins: where the chain ends, and what was signed of it."""
    points = checkpoints(connection, tenant)  # first: what is written meanwhile must not seem to be missing
    seq, digest = head(connection, tenant)
    chain = {"format": 1, "tenant": tenant, "at": now, "seq": seq, "hash": digest}
    return [_ENCODER.encode({"chain": chain}) + b"\n", *map(anchor_line, points)]


def place_of(line: bytes) -> int:
    """The place of the entry in a line of an export."""
    return int(msgspec.json.decode(line)["entry"]["seq"])


def anchor_line(point: Checkpoint) -> bytes:
    """A checkpoint as a line of an export or of a file of anchors."""
    said = {"statement": point.statement, "key": point.key, "signature": point.signature}
    return _ENCODER.encode({"checkpoint": said}) + b"\n"


def verified(
    connection: Connection, tenant: str, *, trusted: Sequence[str] = (), anchors: Sequence[Checkpoint] = ()
) -> Verdict:
    """Verifies the chain of a tenant as it stands in the database, and the columns by which it is looked up."""
    points = checkpoints(connection, tenant)  # first: what is written meanwhile must not seem to be missing
    end = head(connection, tenant)
    odd: list[int] = []
    found = lines(connection, tenant, until=end[0], odd=odd)
    verdict = verify(tenant, found, points, anchors=anchors, trusted=trusted, head=end)
    for seq in odd[:100]:
        verdict.fault("changed", seq, f"the row of entry {seq} says something else than the entry")
    beyond = _beyond(connection, tenant)
    if beyond:
        verdict.fault("extra", beyond, f"entry {beyond} stands beyond the end of the chain")
    return verdict


def _beyond(connection: Connection, tenant: str) -> int:
    return int(
        connection.execute(
            text("""
                SELECT coalesce(max(e.seq), 0) FROM audit_entries e
                WHERE e.tenant = :tenant
                  AND e.seq > coalesce((SELECT seq FROM audit_heads WHERE tenant = :tenant), 0)"""),
            {"tenant": tenant},
        ).scalar()
        or 0
    )


def prune_entries(connection: Connection, tenant: str, until: int, since: int) -> int:
    """Removes entries up to a place and checkpoints below a number; how many entries that were.

    Only a signature on what was removed keeps the rest verifiable: `Notary.prune` leaves one.
    """
    gone = connection.execute(
        text("""DELETE FROM audit_entries WHERE tenant = :tenant AND seq <= :until"""),
        {"tenant": tenant, "until": until},
    ).rowcount
    connection.execute(
        text("""DELETE FROM audit_checkpoints WHERE tenant = :tenant AND number < :since"""),
        {"tenant": tenant, "since": since},
    )
    return gone
