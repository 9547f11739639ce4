"""Questions to people: the first decision counts, whoever decides and whenever, on both databases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from dirigent.control import OPERATIONS
from dirigent.control.desk import Doors, Taken, Unknown
from dirigent.control.permissions import Actor
from dirigent.control.plane import ControlPlane
from dirigent.core.approvals import Question, Verdict
from dirigent.core.errors import Forbidden, Invalid
from dirigent.core.identity import Principal, Role
from dirigent.core.journal import Asked, Decided, Entry, Submission
from dirigent.store import Database
from dirigent.store.approvals import Approvals
from dirigent.store.beginning import bootstrap
from dirigent.store.bodies import Bodies
from dirigent.store.database import Connection
from dirigent.store.keys import digest
from dirigent.store.people import Member, keep_member
from dirigent.store.pulse import bump
from dirigent.store.vault import KeyLost, Vault

START = 1_800_000_000
FORM = {
    "type": "object",
    "properties": {"text": {"type": "string", "minLength": 1}, "price": {"type": "number", "minimum": 0}},
    "required": ["text", "price"],
    "additionalProperties": False,
}
QUOTE = {"text": "We offer ten chairs at a good price", "price": 500}


class Bureau:
    """People who decide, a clock that is moved by hand, and what the journal was told."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.now = float(START)
        self.woken: list[tuple[str, Entry]] = []
        self.over: set[str] = set()
        """Runs that nobody can wake any more."""
        self.vault = Vault(database, folder / "keys", clock=lambda: self.now)
        self.vault.open()
        self.approvals = Approvals(self.vault, self._wake)
        database.write(lambda connection: bootstrap(connection, digest("dk-first"), START * 1000))
        for name, role in (("anna", "reviewer"), ("bob", "reviewer"), ("carl", "admin"), ("dora", "owner")):
            self.member(name, role)  # type: ignore[arg-type]
        self.plane = ControlPlane(
            database,
            OPERATIONS,
            Doors(approvals=self.approvals),
            append=lambda *_: None,
            clock=lambda: self.now,
        )

    def _wake(self, _: Connection, run: str, entry: Entry) -> bool:
        if run in self.over:
            return False
        self.woken.append((run, entry))
        return True

    def member(self, name: str, role: Role) -> None:
        member = Member("default", name, name.title(), role, f"{name}@example.org")
        self.database.write(lambda connection: keep_member(connection, member, bump(connection, "rights")))

    def ask(self, question: Question, run: str = "run-1", *, member: str | None = None, subject: str = "") -> str:
        """A run asks a question, as its journal notes it."""
        principal = Principal("default", "sales", "k-1", member)
        submission = Submission(run=run, principal=principal, model="quote", revision="r", subject=subject)
        asked = Asked(path="release", approval=f"{run}-a", question=question)
        now = int(self.now * 1000)
        self.database.write(lambda connection: self.approvals.keep(connection, submission, asked, now))
        return asked.approval

    def does(self, name: str, by: str, role: Role = "reviewer", /, **order: Any) -> Any:
        actor = Actor("member", by, role, "default")
        return self.plane.perform(name, actor, msgspec.convert(order, OPERATIONS[name].order))

    def decide(self, id_: str, by: str, decision: str = "approve", **more: Any) -> Any:
        roles: Mapping[str, Role] = {"carl": "admin", "dora": "owner"}
        return self.does("approvals.decide", by, roles.get(by, "reviewer"), id=id_, decision=decision, **more)

    def tend(self) -> tuple[list[str], list[str]]:
        escalated, expired = self.database.write(
            lambda connection: self.approvals.tend(connection, int(self.now * 1000))
        )
        return list(escalated), list(expired)

    @property
    def verdicts(self) -> list[Verdict]:
        return [entry.verdict for _, entry in self.woken if isinstance(entry, Decided) and entry.verdict is not None]


@pytest.fixture
def bureau(database: Database, tmp_path: Path) -> Iterator[Bureau]:
    bureau = Bureau(database, tmp_path)
    yield bureau
    bureau.plane.close()


def test_an_approval_wakes_the_run_with_what_was_proposed(bureau: Bureau) -> None:
    id_ = bureau.ask(Question("May it go out?", "**Ten chairs**", QUOTE, "An e-mail goes out.", why="more than 400"))

    shown = bureau.does("approvals.show", "anna", id=id_)
    decided = bureau.decide(id_, "anna")

    assert (shown.title, shown.proposal, shown.effects, shown.why) == (
        "May it go out?", QUOTE, "An e-mail goes out.", "more than 400",
    )  # fmt: skip
    assert (decided.outcome, decided.missing, decided.edited) == ("approved", 0, 0.0)
    assert bureau.woken[0][0] == "run-1"
    assert bureau.verdicts == [Verdict("approved", QUOTE, ("anna",))]


def test_a_change_is_held_against_the_form_field_by_field_and_measured(bureau: Bureau) -> None:
    id_ = bureau.ask(Question("May it go out?", proposal=QUOTE, form=FORM))

    with pytest.raises(Invalid, match=r"answer\.price: .*minimum") as refused:
        bureau.decide(id_, "anna", "edit", answer={"text": "We offer", "price": -1})
    decided = bureau.decide(id_, "anna", "edit", answer={**QUOTE, "price": 450}, reason="10 % for a good customer")
    listed = bureau.does("approvals.list", "anna", standing="decided").approvals

    assert refused.value.param == "answer.price"
    assert decided.outcome == "edited"
    assert decided.edited == pytest.approx(0.090909)  # one of eleven words on either side
    assert bureau.verdicts == [Verdict("edited", {**QUOTE, "price": 450}, ("anna",), "10 % for a good customer")]
    assert [(row.outcome, row.edited) for row in listed] == [("edited", pytest.approx(0.090909))]


def test_what_has_no_form_can_only_be_approved_or_rejected_and_a_rejection_says_why(bureau: Bureau) -> None:
    id_ = bureau.ask(Question("May it go out?", proposal="Dear Ms Müller"))

    with pytest.raises(Invalid, match="only be approved or rejected"):
        bureau.decide(id_, "anna", "edit", answer="Dear Mr Müller")
    with pytest.raises(Invalid, match="reason"):
        bureau.decide(id_, "anna", "reject")
    bureau.decide(id_, "anna", "reject", reason="the price is wrong")

    assert bureau.verdicts == [Verdict("rejected", None, ("anna",), "the price is wrong")]


def test_of_many_decisions_at_once_the_first_counts_and_the_others_are_told_who_was_faster(bureau: Bureau) -> None:
    people = [f"p{number}" for number in range(8)]
    for name in people:
        bureau.member(name, "reviewer")
    id_ = bureau.ask(Question("May it go out?", proposal=QUOTE))
    together = Barrier(len(people))

    def decides(name: str) -> str:
        together.wait()
        try:
            return str(bureau.decide(id_, name, "approve" if name < "p4" else "reject", reason="so").outcome)
        except Taken as late:
            return f"{late.code}: {late.message}"

    with ThreadPoolExecutor(len(people)) as pool:
        said = list(pool.map(decides, people))

    (verdict,) = bureau.verdicts
    assert said.count(verdict.outcome) == 1
    late = [words for words in said if words != verdict.outcome]
    assert len(late) == 7
    assert all(
        f"conflict: {verdict.by[0]} was faster: it was {verdict.outcome} at 2027-01-15 08:00:00" in words
        for words in late
    )


def test_four_eyes_are_two_people_who_have_seen_the_same_wording(bureau: Bureau) -> None:
    id_ = bureau.ask(Question("May it go out?", proposal=QUOTE, form=FORM, eyes=2))

    first = bureau.decide(id_, "anna")
    with pytest.raises(Taken, match="another pair of eyes"):
        bureau.decide(id_, "anna")
    edited = bureau.decide(id_, "bob", "edit", answer={**QUOTE, "price": 1})
    with pytest.raises(Taken, match="bob has changed the proposal meanwhile"):
        bureau.decide(id_, "carl", version=1)
    row = bureau.does("approvals.list", "anna").approvals[0]
    last = bureau.decide(id_, "carl", version=2)

    assert (first.outcome, first.missing) == (None, 1)
    assert (edited.outcome, edited.missing, edited.version) == (None, 1, 2)
    assert (row.eyes, row.given) == (2, 1)
    assert (last.outcome, bureau.verdicts) == ("edited", [Verdict("edited", {**QUOTE, "price": 1}, ("bob", "carl"))])


def test_one_who_rejects_is_enough(bureau: Bureau) -> None:
    id_ = bureau.ask(Question("May it go out?", proposal=QUOTE, eyes=2))

    bureau.decide(id_, "anna")
    bureau.decide(id_, "bob", "reject", reason="no")

    assert bureau.verdicts == [Verdict("rejected", None, ("bob",), "no")]


def test_whoever_submitted_a_run_does_not_decide_about_it_unless_its_question_says_so(bureau: Bureau) -> None:
    strict = bureau.ask(Question("May it go out?", proposal=QUOTE), member="anna")
    loose = bureau.ask(Question("May it go out?", proposal=QUOTE, own=True), "run-2", member="anna")

    with pytest.raises(Forbidden, match="another pair of eyes"):
        bureau.decide(strict, "anna")
    with pytest.raises(Invalid, match="whoever submitted"):
        bureau.does("approvals.delegate", "bob", id=strict, to="anna")
    rows = {row.id: row.mine for row in bureau.does("approvals.list", "anna").approvals}
    bureau.decide(loose, "anna")
    bureau.decide(strict, "bob")

    assert rows == {strict: False, loose: True}
    assert len(bureau.verdicts) == 2


def test_what_is_put_to_some_is_neither_shown_to_nor_decided_by_others(bureau: Bureau) -> None:
    id_ = bureau.ask(Question("A secret offer", proposal=QUOTE, to=("Anna@example.org", "owner")))

    row = bureau.does("approvals.list", "bob").approvals[0]
    with pytest.raises(Forbidden, match="is put to member:anna, role:owner, and not to bob"):
        bureau.does("approvals.show", "bob", id=id_)
    with pytest.raises(Forbidden):
        bureau.decide(id_, "bob")
    mine = bureau.does("approvals.list", "bob", mine=True)
    hers = bureau.does("approvals.list", "anna", mine=True)
    bureau.does("approvals.delegate", "anna", id=id_, to="bob@example.org")
    shown = bureau.does("approvals.show", "bob", id=id_)
    bureau.decide(id_, "bob")

    assert (row.title, row.mine) == (None, False)
    assert (mine.approvals, mine.waiting, hers.waiting, hers.oldest) == ((), 0, 1, START * 1000)
    assert shown.to == {"member:anna": "to", "role:owner": "to", "member:bob": "delegated"}
    assert bureau.verdicts[0].by == ("bob",)


def test_somebody_who_becomes_a_member_later_finds_what_was_put_to_their_address(bureau: Bureau) -> None:
    bureau.ask(Question("May it go out?", proposal=QUOTE, to=("eve@example.org",)))

    before = bureau.does("approvals.list", "anna").waiting
    bureau.member("eve", "reviewer")

    assert before == 0
    assert bureau.does("approvals.list", "eve").waiting == 1


def test_what_is_overdue_goes_to_others_as_well_and_ends_when_its_time_is_over(bureau: Bureau) -> None:
    question = Question(
        "May it go out?", proposal=QUOTE, to=("anna",), due=START + 60, escalate=("owner",), expires=START + 3600,
        otherwise={"text": "later", "price": 0},
    )  # fmt: skip
    id_ = bureau.ask(question)

    early = bureau.tend()
    with pytest.raises(Forbidden):
        bureau.decide(id_, "dora")
    bureau.now = START + 60
    overdue = bureau.tend()
    again = bureau.tend()
    seen = bureau.does("approvals.list", "dora", "owner").waiting
    bureau.now = START + 3600
    with pytest.raises(Taken, match="it expired at 2027-01-15 09:00:00 UTC, when nobody had answered"):
        bureau.decide(id_, "dora")  # the clock has not looked yet, and it is over all the same
    expired = bureau.tend()
    with pytest.raises(Taken, match="nobody was faster: it was expired"):
        bureau.decide(id_, "dora")

    assert (early, overdue, again) == (([], []), ([id_], []), ([], []))
    assert seen == 1
    assert expired == ([], [id_])
    assert bureau.verdicts == [Verdict("expired", {"text": "later", "price": 0})]
    assert bureau.verdicts[0].accepted


def test_without_anybody_to_escalate_to_it_ends_when_it_is_due_and_nothing_otherwise_is_no(bureau: Bureau) -> None:
    id_ = bureau.ask(Question("May it go out?", proposal=QUOTE, due=START + 60))

    bureau.now = START + 61
    expired = bureau.tend()

    assert expired == ([], [id_])
    assert not bureau.verdicts[0].accepted


def test_of_many_clocks_one_ends_a_question(bureau: Bureau) -> None:
    for number in range(40):
        bureau.ask(Question("May it go out?", proposal=QUOTE, due=START + 60), f"run-{number}")
    bureau.now = START + 61

    with ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(lambda _: bureau.tend()[1], range(8)))

    assert sorted(id_ for each in ended for id_ in each) == sorted(f"run-{number}-a" for number in range(40))
    assert len(bureau.verdicts) == 40


def test_a_run_that_is_over_asks_nothing_any_more(bureau: Bureau) -> None:
    withdrawn = bureau.ask(Question("May it go out?", proposal=QUOTE))
    raced = bureau.ask(Question("May it go out?", proposal=QUOTE), "run-2")

    bureau.database.write(lambda connection: bureau.approvals.withdraw(connection, "run-1", START * 1000))
    bureau.over.add("run-2")

    with pytest.raises(Taken, match="its run was over"):
        bureau.decide(withdrawn, "anna")
    with pytest.raises(Taken, match="its run is over"):
        bureau.decide(raced, "anna")
    assert bureau.does("approvals.show", "anna", id=raced).said == ()


def test_an_answer_to_a_question_that_nobody_asks_is_refused(bureau: Bureau) -> None:
    with pytest.raises(Unknown):
        bureau.decide("run-1-a", "anna")
    bureau.ask(Question("May it go out?"))

    assert bureau.decide("run-1-a", "anna").outcome == "approved"


def test_asking_again_after_a_crash_is_the_same_question(bureau: Bureau) -> None:
    bureau.ask(Question("May it go out?", proposal=QUOTE))
    bureau.ask(Question("May it go out?", proposal="another one"))

    assert len(bureau.does("approvals.list", "anna").approvals) == 1
    assert bureau.does("approvals.show", "anna", id="run-1-a").proposal == QUOTE


def test_texts_lie_sealed_and_are_gone_with_whom_they_were_about(bureau: Bureau) -> None:
    id_ = bureau.ask(
        Question("Köhler's offer", proposal="Dear Köhler", form={"type": "string"}, eyes=2), subject="köhler"
    )
    bureau.decide(id_, "anna", "edit", answer="Dear Ms Köhler", reason="Köhler is a Ms")

    def everything(connection: Connection) -> str:
        queries = ("SELECT * FROM approvals", "SELECT * FROM approval_votes", "SELECT * FROM approval_deciders")
        return "".join(str(connection.execute(text(query)).all()) for query in queries)

    before = bureau.database.read(everything)
    bureau.database.write(lambda connection: Bodies(bureau.vault).shred(connection, "default", "Köhler"))
    row = bureau.does("approvals.list", "bob").approvals[0]

    assert "hler" not in before
    assert row.title is None
    with pytest.raises(KeyLost):
        bureau.decide(id_, "bob", version=2)


def test_the_keys_of_old_questions_stay_as_long_as_they_do(bureau: Bureau) -> None:
    id_ = bureau.ask(Question("May it go out?", proposal=QUOTE))

    later = (START + 30 * 86_400) * 1000
    bureau.database.write(lambda connection: Bodies(bureau.vault).expire(connection, later))

    assert bureau.does("approvals.show", "anna", id=id_).proposal == QUOTE
    bureau.database.write(lambda connection: bureau.approvals.forget(connection, ["run-1"]))
    with pytest.raises(Unknown):
        bureau.does("approvals.show", "anna", id=id_)


def test_what_people_did_is_told_of_five_and_more_alone(bureau: Bureau) -> None:
    for number in range(4):
        id_ = bureau.ask(Question("May it go out?", proposal="a b c d", form={"type": "string"}), f"run-{number}")
        bureau.now += 10
        bureau.decide(id_, "anna", "edit", answer="a b c e")

    few = bureau.does("approvals.measure", "carl", "admin").rows[0]

    assert (few.asked, few.edited, few.edit_share, few.few) == (4, 4, 0.25, True)
    assert (few.p50, few.hasty, few.caught, few.agreed) == (None, None, None, None)


def test_how_decisions_went_is_told_exactly(bureau: Bureau) -> None:
    people = [f"p{number}" for number in range(5)]
    for name in people:
        bureau.member(name, "reviewer")
    for number in range(10):
        seeded = "the price" if number % 2 else None
        id_ = bureau.ask(Question("May it go out?", proposal="a b", eyes=2, seeded=seeded), f"run-{number}")
        bureau.decide(id_, people[number % 5])
        bureau.now += number + 1
        rejects = number in (1, 2)
        bureau.decide(id_, people[(number + 1) % 5], "reject" if rejects else "approve", reason="no" if rejects else "")
    bureau.ask(Question("May it go out?", due=bureau.now + 5), "run-open")
    bureau.now += 10

    row = bureau.does("approvals.measure", "carl", "admin").rows[0]

    assert row.parts == {"model": "quote", "path": "release"}
    assert (row.asked, row.open, row.approved, row.rejected, row.overdue) == (11, 1, 8, 2, 1)
    assert (row.p50, row.p90, row.hasty) == (5_000, 9_000, 1)
    assert (row.seeded, row.caught, row.missed) == (5, 1, 4)
    assert (row.pairs, row.agreed) == (10, 8)
    assert row.edit_share == 0.0
