"""What webhooks are to be told of runs: written down with what happened, and tried until it has arrived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection, bindparam, text

from dirigent.core.journal import Ended, Submission
from dirigent.store.keys import new_id

__all__ = ["Delivery", "any_delivery", "arrived", "claim", "deliver_asked", "deliver_end", "failed"]

_CLAIMED = 45_000
"""Milliseconds for which whoever has taken a message may be at it."""
_FIRST_PAUSE, _LONGEST_PAUSE = 5_000, 3_600_000
_MOST_ATTEMPTS = 10
_AT_ONCE = 20


class Delivery(msgspec.Struct, frozen=True):
    """One message on its way to a webhook."""

    id: str
    tenant: str
    run: str
    target: str
    body: str
    made: int
    attempts: int


def deliver_end(connection: Connection, run: str, ended: Ended, now: int) -> None:
    """Has a run's webhook told that it is over, where it has one; in the transaction in which it ends."""
    facts = connection.execute(text("SELECT facts FROM runs WHERE id = :run"), {"run": run}).scalar()
    if facts is None or '"webhook"' not in facts:
        return
    said = msgspec.json.decode(facts, type=Submission)
    told = {"event": "run.ended", "run": run, "status": ended.status, "code": ended.code, "at": now}
    _deliver(connection, said, told, now)


def deliver_asked(connection: Connection, submission: Submission, approval: str, due: int | None, now: int) -> None:
    """Has a run's webhook told that people are asked, where it has one; never what."""
    told = {"event": "approval.asked", "run": submission.run, "approval": approval, "due": due, "at": now}
    _deliver(connection, submission, told, now)


def any_delivery(connection: Connection, now: int) -> bool:
    """Whether a message is to be sent now."""
    found = connection.execute(text("SELECT 1 FROM run_deliveries WHERE due <= :now LIMIT 1"), {"now": now})
    return found.scalar() is not None


def claim(connection: Connection, now: int) -> Sequence[Delivery]:
    """The messages that are to be sent now; nobody else is given them until they are told of or a while has passed."""
    lock = " FOR UPDATE SKIP LOCKED" if connection.dialect.name == "postgresql" else ""
    rows = connection.execute(
        text(f"""
            SELECT id, tenant, run, target, body, made, attempts FROM run_deliveries
            WHERE due <= :now ORDER BY due LIMIT {_AT_ONCE}{lock}"""),  # noqa: S608 -- no input
        {"now": now},
    )
    found = [Delivery(*row) for row in rows]
    if found:
        query = text("UPDATE run_deliveries SET due = :until WHERE id IN :ids")
        connection.execute(
            query.bindparams(bindparam("ids", expanding=True)),
            {"ids": [each.id for each in found], "until": now + _CLAIMED},
        )
    return found


def arrived(connection: Connection, delivery: Delivery) -> None:
    """Forgets a message that has arrived."""
    connection.execute(text("DELETE FROM run_deliveries WHERE id = :id"), {"id": delivery.id})


def failed(connection: Connection, delivery: Delivery, fault: str, now: int) -> None:
    """Notes why a message has not arrived, and when it is tried next: later each time, ten times in all."""
    attempts = delivery.attempts + 1
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**delivery.attempts)
    connection.execute(
        text("UPDATE run_deliveries SET due = :due, attempts = :attempts, fault = :fault WHERE id = :id"),
        {
            "id": delivery.id,
            "due": None if attempts >= _MOST_ATTEMPTS else now + pause,
            "attempts": attempts,
            "fault": fault[:500],
        },
    )


def _deliver(connection: Connection, submission: Submission, told: Mapping[str, object], now: int) -> None:
    if submission.webhook is None:
        return
    id_ = new_id("n")
    body = {"delivery": id_, **told, "model": submission.model, "transaction": submission.transaction}
    connection.execute(
        text("""
            INSERT INTO run_deliveries (id, tenant, run, target, body, made, due, attempts)
            VALUES (:id, :tenant, :run, :target, :body, :now, :now, 0)"""),
        {
            "id": id_,
            "tenant": submission.principal.tenant,
            "run": submission.run,
            "target": submission.webhook,
            "body": msgspec.json.encode(body).decode(),
            "now": now,
        },
    )
