"""How runs stand in their tables: their statements, and what is sealed on the way in and opened on the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, text

from dirigent.core.identity import Priority
from dirigent.core.journal import Cancelled, Entry, Fenced, Submission, joined
from dirigent.store.brief import Brief
from dirigent.store.vault import Envelope, KeyLost, enclosed, opened

__all__ = [
    "APPEND", "APPEND_BRIEF", "CLAIM", "CLAIM_SHARED", "END", "ENTRIES", "ENVELOPE", "INSERT", "LOCK", "PRIORITIES",
    "RENEW", "RENEW_SHARED", "REST", "SUBMIT", "TAKE", "WAKE", "WAKE_ONCE", "about", "cancelled",
    "columns", "due_now", "entries_of", "envelope_in", "envelope_of", "fenced", "milliseconds", "opened_entry",
    "opened_submission", "sealed_submission", "submitted", "walked",
]  # fmt: skip

PRIORITIES: Mapping[Priority, int] = {"critical": 0, "normal": 1, "bulk": 2}
Words = tuple[bytes, str, str | None]
"""What of a submission people may have written: what was asked, whom it is about, and what keeps it at one place."""


def columns(submission: Submission) -> dict[str, Any]:
    """What of a submission stands in columns of its own."""
    principal = submission.principal
    return {
        "run": submission.run,
        "tenant": principal.tenant,
        "project": principal.project,
        "virtual_key": principal.key,
        "purpose": submission.purpose,
        "model": submission.model,
        "revision": submission.revision,
        "bulk": submission.bulk,
        "place": submission.row,
        "priority": PRIORITIES[submission.priority],
    }


def sealed_submission(submission: Submission, cipher: AESGCM) -> tuple[str, bytes]:
    """The facts of a submission, and the rest of it sealed."""
    bare = _ENCODER.encode(msgspec.structs.replace(submission, body=b"", subject="", sticky=None))
    words: Words = (submission.body, submission.subject, submission.sticky)
    return bare.decode(), enclosed(cipher, msgspec.msgpack.encode(words), about(submission.run, bare))


def opened_submission(facts: str, sealed: bytes | None, cipher: AESGCM | None, *, whole: bool = False) -> Submission:
    """What was submitted. Where it cannot be read it comes without the words of people, or as KeyLost if `whole`."""
    bare = _SUBMISSIONS.decode(facts)
    if sealed is None or cipher is None:
        if whole:
            raise KeyLost(f"what the run {bare.run} was asked cannot be read any more")
        return bare
    try:
        plain = opened(cipher, bytes(sealed), about(bare.run, facts.encode()))
    except InvalidTag:
        raise KeyLost(f"what the run {bare.run} was asked was tampered with") from None
    body, subject, sticky = msgspec.msgpack.decode(plain, type=tuple[bytes, str, str | None])
    return msgspec.structs.replace(bare, body=body, subject=subject, sticky=sticky)


def opened_entry(run: str, row: Any, cipher: AESGCM | None, *, whole: bool = False) -> Entry:
    """An entry. Where its body cannot be read it comes without, or as KeyLost if `whole`."""
    facts, sealed = row
    body = None
    if sealed is not None:
        try:
            body = None if cipher is None else opened(cipher, bytes(sealed), about(run, facts.encode()))
        except InvalidTag:
            cipher = None
        if cipher is None and whole:
            raise KeyLost(f"what the run {run} wrote down cannot be read any more")
    return joined(facts.encode(), body)


def about(run: str, facts: bytes) -> bytes:
    """What binds a body to its place: the run, and the facts beside it to the last byte."""
    return run.encode() + b"|" + facts


def cancelled(facts: str) -> Cancelled:
    """The order to end that these facts tell of."""
    entry = joined(facts.encode(), None)
    return entry if isinstance(entry, Cancelled) else Cancelled(by="")


def milliseconds(seconds: float) -> int:
    """A time as tables have it."""
    return int(seconds * 1000)


def fenced(run: str) -> Fenced:
    """The fault of a worker that no longer has a run."""
    return Fenced(f"another worker goes on with the run {run}, or it is over")


def envelope_in(row: Any) -> Envelope | None:
    """The envelope in a row; None where there is no row."""
    return None if row is None else Envelope(row[0], row[1], bytes(row[2]), row[3], bytes(row[4]), row[5])


_ENCODER = msgspec.json.Encoder()
_SUBMISSIONS = msgspec.json.Decoder(Submission)


# --- the statements --------------------------------------------------------------------------------------------------


def soonest(connection: Connection) -> int | None:
    """When the next run may be taken; None where none waits for its time. Three steps along an index."""
    found = connection.execute(
        text("""
            SELECT (SELECT min(due) FROM runs WHERE priority = 0 AND due IS NOT NULL),
                (SELECT min(due) FROM runs WHERE priority = 1 AND due IS NOT NULL),
                (SELECT min(due) FROM runs WHERE priority = 2 AND due IS NOT NULL)""")
    ).one()
    return min((due for due in found if due is not None), default=None)


def due_now(connection: Connection, now: int, most: int) -> list[tuple[str, int]]:
    """Runs that may be taken now, each with its present fence."""
    rows = connection.execute(
        text("""SELECT id, fence FROM runs WHERE due <= :now ORDER BY priority, due LIMIT :most"""),
        {"now": now, "most": most},
    )
    return [(row.id, row.fence) for row in rows]


def walked(connection: Connection, run: str, fence: int, now: int) -> bool:
    """Whether the segment that began at this fence is still walked by whoever took it."""
    found = connection.execute(
        text("""SELECT 1 FROM runs WHERE id = :run AND fence = :next AND status = 'running' AND due > :now"""),
        {"run": run, "next": fence + 1, "now": now},
    )
    return found.scalar() is not None


def entries_of(connection: Connection, run: str, after: int) -> tuple[Sequence[Any], Envelope | None]:
    """What a run wrote down behind the first `after`, and the key to it."""
    rows = connection.execute(text(ENTRIES), {"run": run, "after": after}).all()
    return rows, envelope_of(connection, run) if rows else None


def envelope_of(connection: Connection, run: str) -> Envelope | None:
    """The key to a run; None where there is none any more."""
    row = connection.execute(
        text("""
            SELECT k.id, k.tenant, k.subject, k.epoch, k.wrapped, k.made
            FROM runs r JOIN subject_keys k ON k.id = r.key WHERE r.id = :run"""),
        {"run": run},
    ).one_or_none()
    return envelope_in(row)


def submitted(connection: Connection, run: str) -> tuple[str, bytes | None, Envelope | None] | None:
    """What was submitted under this id, and the key to it."""
    row = connection.execute(text("""SELECT facts, sealed FROM runs WHERE id = :run"""), {"run": run}).one_or_none()
    return None if row is None else (row.facts, row.sealed, envelope_of(connection, run))


SUBMIT = """
    INSERT INTO runs (
        id, tenant, project, virtual_key, purpose, model, revision, bulk, place, status, priority, fence, due, news,
        lapses, length, submitted, facts, key, sealed
    ) VALUES (
        :run, :tenant, :project, :virtual_key, :purpose, :model, :revision, :bulk, :place, 'ready', :priority, 0, :due,
        0, 0, 0, :now, :facts, :key, :sealed
    ) ON CONFLICT (id) DO NOTHING RETURNING id"""

CLAIM = """
    UPDATE runs SET status = 'running', owner = :worker, fence = fence + 1, due = :until, news = 0,
        lapses = CASE WHEN status = 'running' THEN lapses + 1 ELSE 0 END
    WHERE id IN (SELECT id FROM runs WHERE due <= :now ORDER BY priority, due LIMIT :most)
    RETURNING id, fence, facts, sealed, key, lapses"""

TAKE = """
    UPDATE runs SET status = 'running', owner = :worker, fence = fence + 1, due = :until, news = 0,
        lapses = CASE WHEN status = 'running' THEN lapses + 1 ELSE 0 END
    WHERE id = :run AND fence = :fence AND due <= :now
    RETURNING id, fence, facts, sealed, key, lapses"""

CLAIM_SHARED = """
    UPDATE runs SET status = 'running', owner = :worker, fence = fence + 1, due = :until, news = 0,
        lapses = CASE WHEN status = 'running' THEN lapses + 1 ELSE 0 END
    WHERE id IN (SELECT id FROM runs WHERE due <= :now ORDER BY priority, due LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING id, fence, facts, sealed, key, lapses"""

ENVELOPE = """SELECT id, tenant, subject, epoch, wrapped, made FROM subject_keys WHERE id = :key"""

ENTRIES = """SELECT facts, sealed FROM run_entries WHERE run = :run AND seq > :after ORDER BY seq"""

RENEW = """
    UPDATE runs SET due = :until
    WHERE id = :run AND fence = :fence AND owner = :worker AND status = 'running' RETURNING id, stopped"""

RENEW_SHARED = """
    WITH held AS (
        SELECT r.id FROM runs r JOIN unnest(:runs::text[], :fences::bigint[]) AS mine (id, fence)
            ON r.id = mine.id AND r.fence = mine.fence
        WHERE r.owner = :worker AND r.status = 'running' ORDER BY r.id FOR UPDATE OF r
    )
    UPDATE runs SET due = :until FROM held WHERE runs.id = held.id RETURNING runs.id, runs.stopped"""

# What is nearly always all there is to say: nothing of the run itself changes, so the entries count how many there are.
APPEND_BRIEF = Brief(
    "append",
    """
    INSERT INTO run_entries (run, seq, at, kind, path, facts, sealed)
    SELECT id, (SELECT coalesce(max(seq), 0) FROM run_entries WHERE run = ?1) + 1, ?3, ?4, ?5, ?6, ?7
    FROM runs WHERE id = ?1 AND fence = ?2 AND status = 'running' AND lapses = 0
        AND (key IS NULL OR EXISTS (SELECT 1 FROM subject_keys WHERE subject_keys.id = runs.key))""",
    """
    INSERT INTO run_entries (run, seq, at, kind, path, facts, sealed)
    SELECT id, (SELECT coalesce(max(seq), 0) FROM run_entries WHERE run = ?1) + 1,
        ?3::bigint, ?4::text, ?5::text, ?6::text, ?7::bytea
    FROM runs WHERE id = ?1::text AND fence = ?2::bigint AND status = 'running' AND lapses = 0
        AND (key IS NULL OR EXISTS (SELECT 1 FROM subject_keys WHERE subject_keys.id = runs.key))
    FOR NO KEY UPDATE OF runs""",
)

APPEND = """
    UPDATE runs SET length = (SELECT coalesce(max(seq), 0) FROM run_entries WHERE run = runs.id) + :many, lapses = 0
    WHERE id = :run AND fence = :fence AND status = 'running'
    RETURNING length, key IS NULL OR EXISTS (SELECT 1 FROM subject_keys WHERE subject_keys.id = runs.key)"""

INSERT = """
    INSERT INTO run_entries (run, seq, at, kind, path, facts, sealed)
    VALUES (:run, :seq, :at, :kind, :path, :facts, :sealed)"""

REST = """
    UPDATE runs
    SET status = CASE WHEN news = 1 OR CAST(:due AS BIGINT) <= :now THEN 'ready' ELSE 'waiting' END,
        due = CASE WHEN news = 1 THEN :now ELSE CAST(:due AS BIGINT) END, owner = NULL, news = 0
    WHERE id = :run AND fence = :fence AND status = 'running' RETURNING status"""

END = """
    UPDATE runs SET status = :status, due = NULL, owner = NULL, ended = :now,
        length = (SELECT coalesce(max(seq), 0) FROM run_entries WHERE run = runs.id) + 1
    WHERE id = :run AND fence = :fence AND status = 'running'
    RETURNING length, key IS NULL OR EXISTS (SELECT 1 FROM subject_keys WHERE subject_keys.id = runs.key)"""

LOCK = """SELECT id FROM runs WHERE id = :run FOR UPDATE"""

WAKE = """
    UPDATE runs
    SET length = (SELECT coalesce(max(seq), 0) FROM run_entries WHERE run = runs.id) + 1, news = 1,
        stopped = coalesce(stopped, :stopped),
        due = CASE WHEN status = 'running' THEN due ELSE :now END,
        status = CASE WHEN status = 'running' THEN 'running' ELSE 'ready' END
    WHERE id = :run AND status IN ('ready', 'running', 'waiting') RETURNING length"""

# that nobody else has answered is looked at here, and made sure of by the index run_entries_one_decision
WAKE_ONCE = """
    UPDATE runs
    SET length = (SELECT coalesce(max(seq), 0) FROM run_entries WHERE run = runs.id) + 1, news = 1,
        stopped = coalesce(stopped, :stopped),
        due = CASE WHEN status = 'running' THEN due ELSE :now END,
        status = CASE WHEN status = 'running' THEN 'running' ELSE 'ready' END
    WHERE id = :run AND status IN ('ready', 'running', 'waiting')
        AND NOT EXISTS (SELECT 1 FROM run_entries e WHERE e.run = runs.id AND e.kind = 'decided' AND e.path = :path)
    RETURNING length"""
