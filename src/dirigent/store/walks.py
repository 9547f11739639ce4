"""What requests did step by step that were no durable runs: the facts of it, kept beside the runs that were.

They are written down when the request is over, off its way. What people wrote stays out: it is the archive's to keep,
where a purpose says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
from sqlalchemy import Connection, text

from dirigent.core.identity import Principal
from dirigent.core.journal import Ended, Entry, Submission, parted
from dirigent.core.observations import Served, Walked
from dirigent.store import journal_rows as kept
from dirigent.store.database import Database
from dirigent.store.outbox import Outbox

__all__ = ["Walks"]

_MOST = 1_000
"""Entries of one request that are kept at most."""


class _Line(msgspec.Struct, frozen=True):
    at: int
    kind: str
    path: str | None
    facts: str


class _Kept(msgspec.Struct, frozen=True):
    """A request as it is written, and as it may wait in a file: without a word of its content."""

    submission: Submission
    status: str
    begun: int
    ended: int
    lines: tuple[_Line, ...]


class Walks:
    """An observer that keeps the steps of requests; `start` begins to write, `close` writes what is left."""

    hears: ClassVar[tuple[type, ...]] = (Walked,)
    """What else it is told it leaves aside."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.outbox: Outbox[Walked, _Kept] = Outbox(
            "walks", database, _Kept, _write, folder=folder, before=_prepared, most=20_000, batch=200
        )

    def start(self) -> None:
        """Begins to write."""
        self.outbox.start()

    def close(self) -> None:
        """Writes what is left, and ends."""
        self.outbox.close()

    def observe(self, observation: msgspec.Struct) -> None:
        """Keeps the steps of a request; anything else is not for here."""
        if isinstance(observation, Walked):
            self.outbox.put(observation)


def _prepared(batch: Sequence[Walked]) -> list[_Kept]:
    return [_stripped(each) for each in batch]


def _stripped(walked: Walked) -> _Kept:
    served = walked.served
    status = "done" if served.code is None else "failed"
    ended = Ended(at=served.at, status=status, code=served.code)  # type: ignore[arg-type]
    entries: list[Entry] = [*walked.entries[: _MOST - 1], ended]
    return _Kept(
        submission=_submission(served),
        status=status,
        begun=kept.milliseconds(served.at - served.seconds),
        ended=kept.milliseconds(served.at),
        lines=tuple(_line(entry, served) for entry in entries),
    )


def _submission(served: Served) -> Submission:
    return Submission(
        run=served.run,
        principal=Principal(served.tenant or "", served.project or "", served.key or "", served.member),
        model=served.model or "",
        revision=served.revision or "",
        target=served.path,
        purpose=served.purpose,
        transaction=served.transaction,
        submitted=served.at - served.seconds,
    )


def _line(entry: Entry, served: Served) -> _Line:
    facts, _ = parted(entry)
    kind = str(type(entry).__struct_config__.tag)
    return _Line(kept.milliseconds(entry.at or served.at), kind, getattr(entry, "path", None), facts.decode())


def _write(connection: Connection, rows: Sequence[_Kept]) -> None:
    for row in rows:
        values = {
            **kept.columns(row.submission),
            "status": row.status,
            "begun": row.begun,
            "ended": row.ended,
            "length": len(row.lines),
            "facts": msgspec.json.encode(row.submission).decode(),
        }
        made = connection.execute(
            text("""
                INSERT INTO runs (
                    id, tenant, project, virtual_key, purpose, model, revision, status, priority, fence, news, lapses,
                    length, submitted, ended, facts
                ) VALUES (
                    :run, :tenant, :project, :virtual_key, :purpose, :model, :revision, :status, :priority, 0, 0, 0,
                    :length, :begun, :ended, :facts
                ) ON CONFLICT (id) DO NOTHING"""),
            values,
        )
        if made.rowcount and row.lines:
            connection.execute(
                text("""
                    INSERT INTO run_entries (run, seq, at, kind, path, facts)
                    VALUES (:run, :seq, :at, :kind, :path, :facts)"""),
                [
                    {"run": row.submission.run, "seq": seq, **msgspec.structs.asdict(line)}
                    for seq, line in enumerate(row.lines, 1)
                ],
            )
