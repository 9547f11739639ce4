"""Deciding by a link in a letter: a small page, and nothing is decided by looking at it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from dirigent.admin.deciding import DECIDE_PATH
from dirigent.control.permissions import PERMISSIONS
from dirigent.core.approvals import Question, Verdict
from dirigent.core.identity import Principal
from dirigent.core.journal import Asked, Decided, Submission
from dirigent.store.approval_letters import Letter, claim, told
from dirigent.store.approvals import Approvals
from dirigent.store.audit import entries
from tests.admin.house import House, house
from tests.journeys.node import Answered

FORM = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "price": {"type": "number", "minimum": 0},
        "urgent": {"type": "boolean"},
    },
    "required": ["text", "price"],
}
QUOTE = {"text": "Ten chairs", "price": 500, "urgent": False}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as one:
        yield one


def ask(served: House, question: Question, run: str = "run-1") -> list[Letter]:
    """The letters that are written about a question."""
    door = served.front.plane._doors.approvals
    assert isinstance(door, Approvals)
    submission = Submission(run=run, principal=Principal("default", "sales", "k-1"), model="quote", revision="r")
    now = int(served.now() * 1000)
    asked = Asked(path="release", approval=f"{run}-a", question=question)
    served.database.write(lambda connection: door.keep(connection, submission, asked, now))
    return list(served.database.write(partial(claim, now=now, deciding=PERMISSIONS["approvals.decide"])))


def look(served: House, token: str) -> Answered:
    return served.call("GET", f"{DECIDE_PATH}?token={token}", key=None)


def send(served: House, token: str, **fields: Any) -> Answered:
    body = urlencode({"token": token, "version": 1, **fields}).encode()
    return served.call(
        "POST", DECIDE_PATH, body, key=None, headers={"content-type": "application/x-www-form-urlencoded"}
    )


def verdicts(served: House) -> list[Verdict | None]:
    return [entry.verdict for _, entry in served.woken if isinstance(entry, Decided)]


def test_whoever_may_decide_gets_a_letter_of_their_own_and_is_told_once(served: House) -> None:
    for role in ("reviewer", "viewer", "owner"):
        served.member(role)

    letters = ask(served, Question("Köhler's offer", proposal=QUOTE))
    now = int(served.now() * 1000)
    meanwhile = served.database.write(partial(claim, now=now + 1, deciding=PERMISSIONS["approvals.decide"]))
    served.database.write(partial(told, approval="run-1-a", now=now))
    later = served.database.write(partial(claim, now=now + 90_000, deciding=PERMISSIONS["approvals.decide"]))

    assert {letter.address for letter in letters} == {"reviewer@default.example", "owner@default.example"}
    assert len({letter.token for letter in letters}) == 2
    assert (list(meanwhile), list(later)) == ([], [])


def test_looking_at_the_page_decides_nothing_and_sending_it_does_once(served: House) -> None:
    served.member("reviewer")
    (letter,) = ask(served, Question("May it go <out>?", "**Ten**", QUOTE, "An e-mail goes out.", why="500 > 400"))

    pages = [look(served, letter.token) for _ in range(3)]
    assert verdicts(served) == []
    sent = send(served, letter.token, decision="approve")
    again = send(served, letter.token, decision="reject", reason="no")
    gone = look(served, letter.token)

    assert {page.status for page in pages} == {200}
    assert "May it go &lt;out&gt;?" in pages[0].body.decode()
    assert "An e-mail goes out." in pages[0].body.decode()
    assert "<script" not in pages[0].body.decode()
    assert (sent.status, verdicts(served)) == (200, [Verdict("approved", QUOTE, ("m-reviewer-default",))])
    assert (again.status, gone.status) == (401, 401)
    (line,) = served.database.read(lambda connection: entries(connection, "default", limit=1))
    assert (line.actor, line.action, line.resource) == (
        "member:m-reviewer-default", "approvals.decide", "approval:run-1-a",
    )  # fmt: skip


def test_what_somebody_changes_on_the_page_is_taken_by_the_form(served: House) -> None:
    served.member("reviewer")
    (letter,) = ask(served, Question("May it go out?", proposal=QUOTE, form=FORM))
    page = look(served, letter.token).body.decode()
    fields = {
        name: unescape(text).removeprefix("\n")
        for name, text in re.findall(r'<textarea id="[^"]*" name="([^"]*)"[^>]*>([^<]*)</textarea>', page)
    }

    wrong = send(
        served, letter.token, **fields | {"decision": "edit", "answer.price": "cheap", "answer.urgent": "true"}
    )
    below = send(served, letter.token, **fields | {"decision": "edit", "answer.price": "-1", "answer.urgent": "true"})
    sent = send(served, letter.token, **fields | {"decision": "edit", "answer.price": "450,5", "answer.urgent": "true"})

    assert fields == {"answer.text": "Ten chairs", "answer.price": "500", "reason": ""}
    assert (wrong.status, below.status, sent.status) == (400, 400, 200)
    assert "&#x27;cheap&#x27; is no number" in wrong.body.decode()
    assert "answer.price" in below.body.decode()
    assert "cheap</textarea>" in wrong.body.decode()
    (verdict,) = verdicts(served)
    assert verdict is not None
    assert (verdict.outcome, str(verdict.answer["price"]), verdict.answer["urgent"]) == ("edited", "450.5", True)


def test_a_link_is_worth_nothing_once_its_time_is_over_or_its_owner_may_not_decide_any_more(served: House) -> None:
    served.member("reviewer")
    (late,) = ask(served, Question("May it go out?", proposal=QUOTE, expires=served.now() + 60))
    (blocked,) = ask(served, Question("May it go out?", proposal=QUOTE), "run-2")

    served.ahead = 61
    expired = look(served, late.token)
    served.perform("members.block", {"id": "m-reviewer-default"})
    locked_out = send(served, blocked.token, decision="approve")
    made_up = look(served, "a" * 43)

    assert (expired.status, locked_out.status, made_up.status) == (401, 401, 401)
    assert verdicts(served) == []


def test_a_link_decides_about_its_own_question_alone(served: House) -> None:
    served.member("reviewer")
    (one,) = ask(served, Question("One", proposal=QUOTE))
    ask(served, Question("Two", proposal=QUOTE), "run-2")

    send(served, one.token, decision="approve", id="run-2-a", approval="run-2-a")

    assert [run for run, _ in served.woken] == ["run-1"]


def test_the_page_runs_no_script_and_sends_to_nobody_else(served: House) -> None:
    served.member("reviewer")
    (letter,) = ask(served, Question("One", proposal="<script>alert(1)</script>", form={"type": "string"}))

    page = look(served, letter.token)

    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "form-action 'self'" in policy
    assert (page.headers["cache-control"], page.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert "<script>" not in page.body.decode()


@pytest.mark.parametrize("fields", [{}, {"decision": "perhaps"}, {"decision": "approve", "version": "x"}])
def test_a_form_that_says_nothing_decides_nothing(served: House, fields: dict[str, str]) -> None:
    served.member("reviewer")
    (letter,) = ask(served, Question("One", proposal=QUOTE))

    assert send(served, letter.token, **fields).status == 400
    assert verdicts(served) == []
