"""Questions to people that runs wait for: kept, found, answered, and looked after once their time is over.

A question is kept in the transaction in which its run writes down that it asks, and a decision wakes the run in the
transaction that keeps it: neither can be there without the other.

Longer than 400 lines, because each thing that becomes of a question stands beside the others that it must agree with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import sha256
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Row, bindparam, text

from dirigent.core.approvals import Outcome, Question, Verdict
from dirigent.core.identity import ROLES
from dirigent.core.journal import Asked, Decided, Entry, Submission, read, written
from dirigent.store.people import member_named, member_of
from dirigent.store.sealing import Place, Sealed, Sealer, Shredded
from dirigent.store.vault import KeyLost, Vault

__all__ = ["Approvals", "Decider", "Kept", "Manner", "Standing", "Vote", "Wake", "names_of"]

Wake = Callable[[Connection, str, Entry], bool]
"""Writes into a run's journal what comes from outside, and makes it ready; False where it comes too late."""
Manner = Literal["to", "escalated", "delegated"]
Standing = Literal["open", "decided", "all"]
_AT_ONCE = 500


class Decider(msgspec.Struct, frozen=True):
    """Somebody who looks at questions, and by what they are told which are theirs."""

    id: str
    role: str
    address: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All under which a question may be put to them."""
        own = ("anybody", f"role:{self.role}", f"member:{self.id}")
        return own if self.address is None else (*own, _address(self.address))


class Kept(msgspec.Struct, frozen=True):
    """What is known of a question in the open."""

    id: str
    tenant: str
    run: str
    path: str
    model: str
    project: str
    purpose: str | None
    submitter: str | None
    """The member on whose behalf the run acts."""
    own: bool
    eyes: int
    asked: int
    due: int | None
    ends: int | None
    """When nobody can answer any more, in milliseconds since 1970."""
    escalated: int | None
    version: int
    """Which wording of the proposal stands; the first is the one that was asked."""
    outcome: Outcome | Literal["withdrawn"] | None
    """None while it is open; `withdrawn` where its run ended first."""
    decided: int | None
    decided_by: tuple[str, ...]
    edited: int | None
    """How much of the proposal was changed, in millionths."""
    sealed: Sealed


class Vote(msgspec.Struct, frozen=True):
    """What one person has said."""

    member: str
    version: int
    """The wording that they had before them; one who changes it makes the next."""
    outcome: Literal["approved", "edited", "rejected"]
    at: int
    answer: Any = None
    """The new wording, where they changed it."""
    reason: str = ""


class Approvals:
    """The questions of all runs in one database."""

    def __init__(self, vault: Vault, wake: Wake) -> None:
        self._sealer = Sealer(vault)
        self._wake = wake

    # --- from the journal ---------------------------------------------------------------------------------------------

    def keep(self, connection: Connection, submission: Submission, asked: Asked, now: int) -> None:
        """Keeps a question; to be called in the transaction in which the run writes down that it asks."""
        question = asked.question if asked.question is not None else Question("")
        due, ends = _times(question)
        place = Place(submission.principal.tenant, submission.subject, _about(asked.approval), now)
        sealed = self._sealer.seal(connection, place, written(msgspec.to_builtins(question)))
        found = connection.execute(
            text("""
                INSERT INTO approvals (
                    id, tenant, run, path, model, project, purpose, submitter, own, eyes, asked, due, ends, looks,
                    tells, version, seeded, key, sealed
                ) VALUES (
                    :id, :tenant, :run, :path, :model, :project, :purpose, :submitter, :own, :eyes, :asked, :due, :ends,
                    :looks, :asked, 1, :seeded, :key, :sealed
                ) ON CONFLICT (id) DO NOTHING"""),
            {
                "id": asked.approval,
                "tenant": submission.principal.tenant,
                "run": submission.run,
                "path": asked.path,
                "model": submission.model,
                "project": submission.principal.project,
                "purpose": submission.purpose,
                "submitter": submission.principal.member,
                "own": int(question.own),
                "eyes": max(1, question.eyes),
                "asked": now,
                "due": due,
                "ends": ends,
                "looks": _sooner(due, ends),
                "seeded": int(question.seeded is not None),
                "key": sealed.key,
                "sealed": sealed.text,
            },
        )
        if found.rowcount:
            tenant = submission.principal.tenant
            self._let(connection, asked.approval, names_of(connection, tenant, question.to or ("anybody",)), now, "to")
            if due is not None:
                escalated = names_of(connection, tenant, question.escalate)
                self._let(connection, asked.approval, escalated, due, "escalated")

    def withdraw(self, connection: Connection, run: str, now: int) -> int:
        """Closes what a run that is over still asks; how many questions that were."""
        return connection.execute(
            text("""
                UPDATE approvals SET outcome = 'withdrawn', decided = :now, looks = NULL, tells = NULL
                WHERE run = :run AND outcome IS NULL"""),
            {"run": run, "now": now},
        ).rowcount

    @staticmethod
    def empty(connection: Connection, runs: Collection[str]) -> None:
        """Forgets what the questions of these runs were about and what was said to them; who decided when stays."""
        if runs:
            for query in (
                """UPDATE approval_votes SET key = NULL, sealed = NULL
                    WHERE approval IN (SELECT id FROM approvals WHERE run IN :runs)""",
                "UPDATE approvals SET key = NULL, sealed = NULL WHERE run IN :runs",
            ):
                connection.execute(text(query).bindparams(bindparam("runs", expanding=True)), {"runs": list(runs)})

    @staticmethod
    def forget(connection: Connection, runs: Collection[str]) -> int:
        """Forgets all questions of these runs, and what was said to them."""
        query = text("DELETE FROM approvals WHERE run IN :runs").bindparams(bindparam("runs", expanding=True))
        return connection.execute(query, {"runs": list(runs)}).rowcount if runs else 0

    # --- finding ------------------------------------------------------------------------------------------------------

    def find(self, connection: Connection, tenant: str, id_: str) -> Kept | None:
        """The question of this id; until a transaction that writes ends, nobody else decides it, nor ends its run."""
        lock = " FOR UPDATE" if connection.dialect.name == "postgresql" and not _reads(connection) else ""
        if lock:  # first the run, as whoever ends it does: in one order nobody waits for one who waits for him
            connection.execute(
                text("SELECT id FROM runs WHERE id = (SELECT run FROM approvals WHERE id = :id) FOR UPDATE"),
                {"id": id_},
            )
        row = connection.execute(
            text(f"SELECT * FROM approvals WHERE tenant = :tenant AND id = :id{lock}"),  # noqa: S608 -- no input
            {"tenant": tenant, "id": id_},
        ).one_or_none()
        return None if row is None else _kept(row)

    def listed(
        self,
        connection: Connection,
        tenant: str,
        *,
        standing: Standing,
        now: int,
        names: Sequence[str] = (),
        run: str | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> Sequence[Kept]:
        """Questions, the longest waiting first, those decided the latest first; with `names`, what is put to those."""
        conditions = ["a.tenant = :tenant"]
        if standing != "all":
            conditions.append("a.outcome IS NULL" if standing == "open" else "a.outcome IS NOT NULL")
        if names:
            conditions.append("""EXISTS (
                SELECT 1 FROM approval_deciders d WHERE d.approval = a.id AND d.since <= :now AND d.who IN :names)""")
        if run is not None:
            conditions.append("a.run = :run")
        order = "coalesce(a.due, a.ends, 9223372036854775807), a.asked, a.id"
        if standing != "open":
            order = "a.asked DESC, a.id"
        query = text(f"""
            SELECT a.* FROM approvals a WHERE {" AND ".join(conditions)}
            ORDER BY {order} LIMIT :limit OFFSET :after""")  # noqa: S608 -- no input
        if names:
            query = query.bindparams(bindparam("names", expanding=True))
        said: dict[str, Any] = {"tenant": tenant, "limit": limit, "after": after}
        said |= {"names": list(names), "now": now} if names else {}
        said |= {"run": run} if run is not None else {}
        return [_kept(row) for row in connection.execute(query, said)]

    def waiting(self, connection: Connection, tenant: str, names: Sequence[str], now: int) -> tuple[int, int | None]:
        """How many open questions are put to these, and since when the oldest waits."""
        query = text("""
            SELECT count(*) AS waiting, min(a.asked) AS oldest FROM approvals a
            WHERE a.tenant = :tenant AND a.outcome IS NULL AND EXISTS (
                SELECT 1 FROM approval_deciders d WHERE d.approval = a.id AND d.since <= :now AND d.who IN :names)""")
        query = query.bindparams(bindparam("names", expanding=True))
        row = connection.execute(query, {"tenant": tenant, "names": list(names), "now": now}).one()
        return row.waiting, row.oldest

    def deciders(self, connection: Connection, id_: str, now: int) -> Mapping[str, Manner]:
        """To whom a question is put by now, and how it came to them."""
        rows = connection.execute(
            text("""
                SELECT who, manner FROM approval_deciders
                WHERE approval = :id AND since <= :now ORDER BY since, who"""),
            {"id": id_, "now": now},
        )
        return {row.who: row.manner for row in rows}

    def question(self, connection: Connection, kept: Kept) -> Question:
        """What was asked. Raises KeyLost where it was shredded."""
        return msgspec.convert(read(self._sealer.open(connection, kept.tenant, _about(kept.id), kept.sealed)), Question)

    def votes(self, connection: Connection, kept: Kept) -> Sequence[Vote]:
        """What people have said so far, in order. Texts that were shredded are left out of it."""
        rows = connection.execute(
            text("SELECT * FROM approval_votes WHERE approval = :id ORDER BY number"), {"id": kept.id}
        )
        return [self._vote(connection, kept, row) for row in rows]

    # --- deciding -----------------------------------------------------------------------------------------------------

    def vote(self, connection: Connection, kept: Kept, vote: Vote) -> Kept:
        """Writes down what somebody says; one who changes the proposal makes its next wording."""
        number = connection.execute(
            text("SELECT count(*) FROM approval_votes WHERE approval = :id"), {"id": kept.id}
        ).scalar_one()
        content = written({"answer": vote.answer, "reason": vote.reason})
        about = f"{_about(kept.id)}|{number}"
        sealed = self._sealer.seal_like(connection, kept.tenant, kept.sealed, about, content)
        connection.execute(
            text("""
                INSERT INTO approval_votes (approval, number, member, version, outcome, at, key, sealed)
                VALUES (:approval, :number, :member, :version, :outcome, :at, :key, :sealed)"""),
            {
                "approval": kept.id,
                "number": number,
                "member": vote.member,
                "version": vote.version,
                "outcome": vote.outcome,
                "at": vote.at,
                "key": sealed.key,
                "sealed": sealed.text,
            },
        )
        if vote.outcome != "edited":
            return kept
        connection.execute(text("UPDATE approvals SET version = version + 1 WHERE id = :id"), {"id": kept.id})
        return msgspec.structs.replace(kept, version=kept.version + 1)

    def settle(self, connection: Connection, kept: Kept, verdict: Verdict, now: int, edited: int | None = None) -> bool:
        """Ends a question that is open, and wakes its run; False where either comes too late."""
        done = connection.execute(
            text("""
                UPDATE approvals SET outcome = :outcome, decided = :now, decided_by = :by, edited = :edited,
                    looks = NULL, tells = NULL
                WHERE id = :id AND outcome IS NULL"""),
            {
                "id": kept.id,
                "outcome": verdict.outcome,
                "now": now,
                "by": msgspec.json.encode(verdict.by).decode(),
                "edited": edited,
            },
        ).rowcount
        if not done:
            return False
        return self._wake(
            connection, kept.run, Decided(at=now / 1000, path=kept.path, approval=kept.id, verdict=verdict)
        )

    def hand_over(self, connection: Connection, kept: Kept, member: str, now: int) -> None:
        """Puts a question to one more member, who is told of it."""
        self._let(connection, kept.id, names_of(connection, kept.tenant, (member,)), now, "delegated")
        connection.execute(
            text("UPDATE approvals SET tells = :now WHERE id = :id AND outcome IS NULL"), {"id": kept.id, "now": now}
        )

    # --- the clock ----------------------------------------------------------------------------------------------------

    def overdue(self, connection: Connection, now: int) -> bool:
        """Whether there is a question whose time has come."""
        found = connection.execute(text("SELECT 1 FROM approvals WHERE looks <= :now LIMIT 1"), {"now": now}).scalar()
        return found is not None

    def tend(self, connection: Connection, now: int) -> tuple[Sequence[str], Sequence[str]]:
        """Escalates what is overdue and ends what has expired, each once, whoever looks; their ids."""
        rows = connection.execute(
            text(f"SELECT id, run FROM approvals WHERE looks <= :now ORDER BY run, id LIMIT {_AT_ONCE}"),  # noqa: S608 -- no input
            {"now": now},
        ).all()
        escalated, expired = [], []
        for id_, run in rows:
            kept = self._due(connection, id_, run, now)
            if kept is None:
                continue
            if kept.ends is not None and kept.ends <= now:
                self.expire(connection, kept, now)
                expired.append(kept.id)
                continue
            connection.execute(
                text("UPDATE approvals SET escalated = :now, looks = ends, tells = :now WHERE id = :id"),
                {"id": kept.id, "now": now},
            )
            escalated.append(kept.id)
        return escalated, expired

    def expire(self, connection: Connection, kept: Kept, now: int) -> None:
        """Ends a question that nobody has answered in time: what it says is to be taken then is taken."""
        try:
            otherwise = self.question(connection, kept).otherwise
        except Shredded:
            otherwise = None  # whom it was about is forgotten, and so is what was to be done
        self.settle(connection, kept, Verdict("expired", otherwise), now)

    @staticmethod
    def _due(connection: Connection, id_: str, run: str, now: int) -> Kept | None:
        """The question, held; None where somebody else is at it, or its time has not come any more."""
        lock = ""
        if connection.dialect.name == "postgresql":
            lock = " FOR UPDATE"
            free = connection.execute(text("SELECT 1 FROM runs WHERE id = :run FOR UPDATE SKIP LOCKED"), {"run": run})
            if free.first() is None:
                there = connection.execute(text("SELECT 1 FROM runs WHERE id = :run"), {"run": run})
                if there.first() is not None:
                    return None
        row = connection.execute(
            text(f"SELECT * FROM approvals WHERE id = :id AND looks <= :now{lock}"),  # noqa: S608 -- no input
            {"id": id_, "now": now},
        ).one_or_none()
        return None if row is None else _kept(row)

    # --- what they share ----------------------------------------------------------------------------------------------

    def _let(self, connection: Connection, kept: str, whom: Sequence[str], since: int, manner: Manner) -> None:
        """Puts a question to these from a time on."""
        rows = [{"approval": kept, "who": who, "since": since, "manner": manner} for who in dict.fromkeys(whom)]
        if rows:
            connection.execute(
                text("""
                    INSERT INTO approval_deciders (approval, who, since, manner)
                    VALUES (:approval, :who, :since, :manner)
                    ON CONFLICT (approval, who) DO UPDATE SET
                        since = CASE WHEN excluded.since < approval_deciders.since
                            THEN excluded.since ELSE approval_deciders.since END"""),
                rows,
            )

    def _vote(self, connection: Connection, kept: Kept, row: Row[Any]) -> Vote:
        said: Mapping[str, Any] = {}
        try:
            about = f"{_about(kept.id)}|{row.number}"
            said = read(self._sealer.open(connection, kept.tenant, about, Sealed(row.key, row.sealed)))
        except KeyLost:
            pass
        return Vote(row.member, row.version, row.outcome, row.at, said.get("answer"), said.get("reason", ""))


def names_of(connection: Connection, tenant: str, to: Sequence[str]) -> Sequence[str]:
    """How those to whom a question is put are kept: roles, members by their id, and addresses by the member's id.

    An address that no member has yet is kept as a digest, and counts once somebody comes who has it.
    """
    names = []
    for each in to:
        if each == "anybody":
            names.append(each)
        elif each in ROLES:
            names.append(f"role:{each}")
        elif "@" in each:
            member = member_named(connection, tenant, each)
            names.append(_address(each) if member is None else f"member:{member.id}")
        else:
            member = member_of(connection, tenant, each)
            names.append(f"member:{each if member is None else member.id}")
    return names


def _times(question: Question) -> tuple[int | None, int | None]:
    """When it is overdue and when it ends, in milliseconds; what nobody is escalated to ends when it is overdue."""
    due = None if question.due is None else int(question.due * 1000)
    ends = None if question.expires is None else int(question.expires * 1000)
    if due is not None and not question.escalate:
        ends = due if ends is None else min(due, ends)
    return (None if due is None or (ends is not None and due >= ends) else due), ends


def _sooner(*times: int | None) -> int | None:
    return min((time for time in times if time is not None), default=None)


def _about(id_: str) -> str:
    return f"approval|{id_}"


def _address(address: str) -> str:
    return f"address:{sha256(address.strip().lower().encode()).hexdigest()[:32]}"


def _reads(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("postgresql_readonly"))


def _kept(row: Row[Any]) -> Kept:
    by = () if row.decided_by is None else msgspec.json.decode(row.decided_by, type=tuple[str, ...])
    return Kept(
        row.id,
        row.tenant,
        row.run,
        row.path,
        row.model,
        row.project,
        row.purpose,
        row.submitter,
        bool(row.own),
        row.eyes,
        row.asked,
        row.due,
        row.ends,
        row.escalated,
        row.version,
        row.outcome,
        row.decided,
        by,
        row.edited,
        Sealed(row.key, None if row.sealed is None else bytes(row.sealed)),
    )
