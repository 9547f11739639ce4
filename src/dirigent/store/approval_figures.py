"""What can be told of decisions without telling anything of a person: how long they took, how good proposals were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import msgspec
from sqlalchemy import Connection, text

__all__ = ["FEWEST", "Figures", "Part", "figures"]

Part = Literal["model", "path", "purpose", "project"]
FEWEST = 5
"""People without whom nothing is told of how they decided: of fewer, a figure would be about a person."""
_HASTY = 3_000
"""Milliseconds in which nobody can have read what they approve."""


class Figures(msgspec.Struct, frozen=True):
    """The figures of one group of questions. What is None is not told, or there is nothing to tell."""

    parts: tuple[str | None, ...]
    asked: int
    open: int
    approved: int
    edited: int
    rejected: int
    expired: int
    withdrawn: int
    overdue: int
    """Decided or ended after they were due, or overdue now."""
    edit_share: float | None
    """How much of the proposals was changed, over all that were approved or edited."""
    few: bool
    """Whether fewer than five people decided: then the figures below are withheld."""
    p50: int | None = None
    """Milliseconds from the question to the decision: half of them took no longer."""
    p90: int | None = None
    hasty: int | None = None
    """Approved within three seconds."""
    seeded: int | None = None
    """Proposals that were made wrong on purpose, and decided."""
    caught: int | None = None
    missed: int | None = None
    pairs: int | None = None
    """Pairs of people who looked at the same wording."""
    agreed: int | None = None


class _Row(msgspec.Struct):
    id: str
    parts: tuple[str | None, ...]
    asked: int
    due: int | None
    outcome: str | None
    decided: int | None
    seeded: bool
    edited: int | None
    votes: list[tuple[str, int, str]]


def figures(
    connection: Connection, tenant: str, since: int, until: int, by: Sequence[Part], *, now: int
) -> Sequence[Figures]:
    """The figures of the questions that were asked in a time, by these parts; exact, for each is looked at."""
    groups: dict[tuple[str | None, ...], list[_Row]] = defaultdict(list)
    for row in _rows(connection, tenant, since, until, by):
        groups[row.parts].append(row)
    return [_of(parts, rows, now) for parts, rows in sorted(groups.items(), key=lambda item: str(item[0]))]


def _rows(connection: Connection, tenant: str, since: int, until: int, by: Sequence[Part]) -> Sequence[_Row]:
    names = {"tenant": tenant, "since": since, "until": until}
    found = {
        row.id: _Row(
            row.id,
            tuple(getattr(row, part) for part in by),
            row.asked,
            row.due if row.due is not None else row.ends,
            row.outcome,
            row.decided,
            bool(row.seeded),
            row.edited,
            [],
        )
        for row in connection.execute(
            text("""
                SELECT id, model, path, purpose, project, asked, due, ends, outcome, decided, seeded, edited
                FROM approvals WHERE tenant = :tenant AND asked >= :since AND asked < :until"""),
            names,
        )
    }
    votes = connection.execute(
        text("""
            SELECT v.approval, v.member, v.version, v.outcome
            FROM approval_votes v JOIN approvals a ON a.id = v.approval
            WHERE a.tenant = :tenant AND a.asked >= :since AND a.asked < :until ORDER BY v.approval, v.number"""),
        names,
    )
    for vote in votes:
        found[vote.approval].votes.append((vote.member, vote.version, vote.outcome))
    return list(found.values())


def _of(parts: tuple[str | None, ...], rows: Sequence[_Row], now: int) -> Figures:
    outcomes = [row.outcome for row in rows]
    told = Figures(
        parts,
        asked=len(rows),
        open=outcomes.count(None),
        approved=outcomes.count("approved"),
        edited=outcomes.count("edited"),
        rejected=outcomes.count("rejected"),
        expired=outcomes.count("expired"),
        withdrawn=outcomes.count("withdrawn"),
        overdue=sum(row.due is not None and (row.decided if row.outcome else now) > row.due for row in rows),  # type: ignore[operator]  # what has an outcome was decided
        edit_share=_edit_share(rows),
        few=len({member for row in rows for member, _, _ in row.votes}) < FEWEST,
    )
    return told if told.few else _of_people(told, rows)


def _of_people(told: Figures, rows: Sequence[_Row]) -> Figures:
    decided = [row for row in rows if row.outcome in {"approved", "edited", "rejected"}]
    took = sorted((row.decided or 0) - row.asked for row in decided)
    seeded = [row for row in decided if row.seeded]
    pairs, agreed = _agreement(decided)
    return msgspec.structs.replace(
        told,
        p50=_rank(took, 50),
        p90=_rank(took, 90),
        hasty=sum(row.outcome == "approved" and (row.decided or 0) - row.asked < _HASTY for row in decided),
        seeded=len(seeded),
        caught=sum(row.outcome != "approved" for row in seeded),
        missed=sum(row.outcome == "approved" for row in seeded),
        pairs=pairs,
        agreed=agreed,
    )


def _edit_share(rows: Sequence[_Row]) -> float | None:
    """Over real proposals alone: what was made wrong has to be changed."""
    found = [row.edited or 0 for row in rows if row.outcome in {"approved", "edited"} and not row.seeded]
    return None if not found else sum(found) / len(found) / 1_000_000


def _agreement(rows: Sequence[_Row]) -> tuple[int, int]:
    """Pairs of people who said something to the same wording, and how many of them said the same."""
    pairs = agreed = 0
    for row in rows:
        for place, (member, version, outcome) in enumerate(row.votes):
            for other, same, said in row.votes[place + 1 :]:
                if same == version and other != member:
                    pairs += 1
                    agreed += said == outcome
    return pairs, agreed


def _rank(ordered: Sequence[int], percent: int) -> int | None:
    """The smallest value that so many of a hundred do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None
