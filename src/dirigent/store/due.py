"""Whether anything is due that a node looks after: one question, because mostly nothing is."""

from __future__ import annotations

from sqlalchemy import Connection, text

__all__ = ["anything_due"]


def anything_due(connection: Connection, now: int) -> bool:
    """Whether a question, a letter, a bulk run, a schedule or a message about a run may want something now.

    Five steps along five small indices.
    """
    found = connection.execute(
        text("""
            SELECT 1 WHERE EXISTS (SELECT 1 FROM approvals WHERE looks <= :now)
                OR EXISTS (SELECT 1 FROM approvals WHERE tells <= :now)
                OR EXISTS (SELECT 1 FROM bulks WHERE state = 'running')
                OR EXISTS (SELECT 1 FROM schedules WHERE next <= :now)
                OR EXISTS (SELECT 1 FROM run_deliveries WHERE due <= :now)"""),
        {"now": now},
    )
    return found.scalar() is not None
