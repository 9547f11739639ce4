"""Runs that outlive a process, as people work with them: found, told to end, begun, and begun anew from some point.

Everything here happens in somebody else's transaction, beside the journal that the workers write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import time
from typing import Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Row, text

from dirigent.core.identity import Priority
from dirigent.core.journal import Cancelled, Decided, Entry, RunStatus, Submission, parted
from dirigent.store import journal_rows as kept
from dirigent.store.database import once_durable
from dirigent.store.grouped import Sheet
from dirigent.store.journal import TOPIC, Erased
from dirigent.store.vault import KeyLost, Vault, enclosed

__all__ = ["KeptRun", "Runs"]

_PRIORITIES: tuple[Priority, ...] = ("critical", "normal", "bulk")


class KeptRun(msgspec.Struct, frozen=True):
    """What is known of a run in the open."""

    run: str
    tenant: str
    project: str
    virtual_key: str
    purpose: str | None
    model: str
    revision: str
    bulk: str | None
    row: int | None
    status: RunStatus
    priority: Priority
    due: int | None
    """When a worker looks at it next, in milliseconds since 1970."""
    submitted: int
    ended: int | None


class Runs:
    """The runs of one database.

    `news` is called on any thread once it is durable that a run became ready or was told to end, so that on this node
    nobody waits for the pulse.
    """

    def __init__(
        self, vault: Vault, clock: Callable[[], float] = time, *, news: Callable[[], None] = lambda: None
    ) -> None:
        self._vault = vault
        self._clock = clock
        self._news = news

    # --- finding ------------------------------------------------------------------------------------------------------

    @staticmethod
    def find(connection: Connection, tenant: str, run: str) -> KeptRun | None:
        """The run of this id in a tenant."""
        row = connection.execute(
            text("SELECT * FROM runs WHERE tenant = :tenant AND id = :run"), {"tenant": tenant, "run": run}
        ).one_or_none()
        return None if row is None else _run(row)

    @staticmethod
    def listed(
        connection: Connection,
        tenant: str,
        *,
        statuses: Sequence[RunStatus] = (),
        model: str | None = None,
        key: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> Sequence[KeptRun]:
        """Runs, the latest first."""
        conditions = ["tenant = :tenant"]
        said: dict[str, Any] = {"tenant": tenant, "limit": limit}
        if statuses:
            names = {f"status_{place}": status for place, status in enumerate(statuses)}
            conditions.append(f"status IN ({', '.join(f':{name}' for name in names)})")
            said |= names
        for column, value in (("model", model), ("virtual_key", key)):
            if value is not None:
                conditions.append(f"{column} = :{column}")
                said[column] = value
        if before is not None:
            conditions.append("submitted < :before")
            said["before"] = before
        query = f"SELECT * FROM runs WHERE {' AND '.join(conditions)} ORDER BY submitted DESC, id LIMIT :limit"  # noqa: S608 -- no input
        return [_run(row) for row in connection.execute(text(query), said)]

    def submission(self, connection: Connection, run: str) -> Submission | None:
        """What was submitted; without what people wrote where that is erased."""
        found = kept.submitted(connection, run)
        if found is None:
            return None
        facts, sealed, _ = found
        return kept.opened_submission(facts, sealed, self._cipher(connection, run))

    def entries(self, connection: Connection, run: str, after: int = 0) -> Sequence[Entry]:
        """What a run has written down; without its bodies where they are erased."""
        rows, _ = kept.entries_of(connection, run, after)
        cipher = self._cipher(connection, run) if rows else None
        return [kept.opened_entry(run, (row.facts, row.sealed), cipher) for row in rows]

    # --- telling ------------------------------------------------------------------------------------------------------

    def wake(self, connection: Connection, run: str, entry: Entry) -> bool:
        """Writes what comes from outside and makes a waiting run ready; False where it comes too late."""
        cipher = self._cipher(connection, run)
        if cipher is None:
            return False
        sheet = Sheet(connection)
        facts, sealed = _written(run, entry, cipher)
        decided = isinstance(entry, Decided)
        path = getattr(entry, "path", None)
        values = {
            "run": run,
            "now": self._now(),
            "stopped": facts if isinstance(entry, Cancelled) else None,
            "path": path if decided else None,
        }
        if connection.dialect.name == "postgresql":  # who waits here sees afterwards what others have just answered
            sheet.one(kept.LOCK, values)
        found = sheet.one(kept.WAKE_ONCE if decided else kept.WAKE, values)
        if found is None:
            return False
        self._insert(sheet, run, int(found[0]), [(entry, facts, sealed)])
        sheet.tell(TOPIC)
        sheet.close()
        once_durable(connection, self._news)
        return True

    # --- beginning ----------------------------------------------------------------------------------------------------

    def submit(self, connection: Connection, submission: Submission, entries: Sequence[Entry] = ()) -> bool:
        """Takes a run on, with what it need not do again; False where there is one of this id already.

        Raises Erased where its subject is being erased, KeyLost.
        """
        name = submission.subject or f"*{datetime.fromtimestamp(self._clock(), UTC):%Y-%m-%d}"
        key = self._vault.key(submission.principal.tenant, name)
        if not self._vault.admitted(connection, key.envelope):
            self._vault.forget()
            raise Erased("what is known of this subject is being erased; ask again in a moment", retry_after=1.0)
        sheet = Sheet(connection)
        facts, sealed = kept.sealed_submission(submission, key.cipher)
        now = self._now()
        made = sheet.one(
            kept.SUBMIT,
            {
                **kept.columns(submission),
                "now": now,
                "due": now if submission.starts is None else max(now, kept.milliseconds(submission.starts)),
                "facts": facts,
                "key": key.envelope.id,
                "sealed": sealed,
            },
        )
        if made is None:
            return False
        if entries:
            rows = [(entry, *_written(submission.run, entry, key.cipher)) for entry in entries]
            self._insert(sheet, submission.run, 1, rows)
            sheet.put("UPDATE runs SET length = :length WHERE id = :run", {"length": len(rows), "run": submission.run})
        sheet.tell(TOPIC)
        sheet.close()
        once_durable(connection, self._news)
        return True

    # --- inside -------------------------------------------------------------------------------------------------------

    def _cipher(self, connection: Connection, run: str) -> AESGCM | None:
        envelope = kept.envelope_of(connection, run)
        if envelope is None:
            return None
        try:
            return self._vault.opening(envelope)
        except KeyLost:
            return None

    def _insert(self, sheet: Sheet, run: str, first: int, rows: Sequence[tuple[Entry, str, bytes | None]]) -> None:
        for seq, (entry, facts, sealed) in enumerate(rows, first):
            sheet.put(
                kept.INSERT,
                {
                    "run": run,
                    "seq": seq,
                    "at": kept.milliseconds(entry.at or self._clock()),
                    "kind": str(type(entry).__struct_config__.tag),
                    "path": getattr(entry, "path", None),
                    "facts": facts,
                    "sealed": sealed,
                },
            )

    def _now(self) -> int:
        return int(self._clock() * 1000)


def _written(run: str, entry: Entry, cipher: AESGCM) -> tuple[str, bytes | None]:
    facts, body = parted(entry)
    return facts.decode(), None if body is None else enclosed(cipher, body, kept.about(run, facts))


def _run(row: Row[Any]) -> KeptRun:
    return KeptRun(
        row.id,
        row.tenant,
        row.project,
        row.virtual_key,
        row.purpose,
        row.model,
        row.revision,
        row.bulk,
        row.place,
        row.status,
        _PRIORITIES[row.priority],
        row.due,
        row.submitted,
        row.ended,
    )
