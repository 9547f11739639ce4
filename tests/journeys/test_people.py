"""A pipeline asks people: a caller waits, a reviewer decides on the terminal, and the answer is what was made of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import performed, ran
from tests.journeys.node import Node, node

CONFIG = """\
    models:
      writer: {type: echo}
      quote:
        type: pipeline
        steps:
          - {type: prompt, name: draft, model: writer, prompt: "An offer for {{ input.text }}"}
          - type: approve
            name: release
            title: "An offer"
            proposal: "{{ draft }}"
            effects: "It goes out."
            form: {type: string, minLength: 1}
            needed: {when: draft.contains("chairs")}
        result: "{{ release.answer }}"
    """


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node(tmp_path_factory.mktemp("people") / "data", CONFIG) as one:
        yield one


def told(office: Node, *words: str) -> Any:
    done = performed(*words, "--data", office.data, "--json")
    assert done.status == 0, done.err
    return json.loads(done.out)


def question(office: Node) -> Any:
    """The question that somebody has to answer, once there is one."""
    for _ in range(600):
        if waiting := told(office, "approvals", "list")["approvals"]:
            return waiting[0]
        time.sleep(0.05)
    raise AssertionError("nobody asks")


def test_a_caller_gets_what_a_reviewer_has_made_of_the_proposal(office: Node) -> None:
    ask = lambda: office.openai().chat.completions.create(  # noqa: E731  in a thread of its own
        model="quote", messages=[{"role": "user", "content": "ten chairs"}]
    )

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask)
        asked = question(office)
        shown = told(office, "approvals", "show", asked["id"])
        decided = told(office, "approvals", "decide", asked["id"], "--decision", "edit", "--answer", '"A dear offer"')
        completion = answer.result(60)
    trace = told(office, "runs", "show", asked["run"])
    late = ran("approvals", "decide", asked["id"], "--decision", "reject", "--reason", "no", "--data", office.data)

    assert (asked["title"], shown["proposal"], shown["effects"]) == (
        "An offer",
        "An offer for ten chairs",
        "It goes out.",
    )
    assert decided["outcome"] == "edited"
    assert completion.choices[0].message.content == "A dear offer"
    assert (trace["status"], [step["path"] for step in trace["steps"]]) == ("done", ["draft", "release"])
    assert (trace["steps"][1]["outcome"], trace["steps"][1]["by"]) == ("edited", ["operator"])
    assert (late.status, "was faster" in late.err) == (1, True)


def test_nobody_is_asked_where_no_rule_says_so(office: Node) -> None:
    answer = office.chat("quote", "a table")

    assert answer.json["choices"][0]["message"]["content"] == "An offer for a table"


def test_one_who_does_not_wait_follows_the_run_and_finds_its_answer(office: Node) -> None:
    begun = office.call("POST", "/api/v1/runs", {"model": "quote", "input": "ten chairs", "transaction": "case 7"})
    place = begun.json["location"]
    asked = question(office)
    waiting = office.call("GET", place).json
    told(office, "approvals", "decide", asked["id"], "--decision", "approve")
    events = office.call("GET", f"{place}/events", headers={"last-event-id": "1"})
    done = office.call("GET", place).json
    stranger = told(office, "keys", "issue", "--project", "default")["key"]

    assert (begun.status, begun.headers["location"]) == (202, place)
    assert (waiting["status"], waiting["waiting"]) == ("waiting", [asked["id"]])
    assert re.findall(rb"event: (\w+)", events.body) == [b"step_ended", b"asked", b"decided", b"step_ended", b"ended"]
    assert events.body.startswith(b"id: 2\n")
    assert (done["status"], done["output"], done["transaction"]) == ("done", "An offer for ten chairs", "case 7")
    assert office.call("GET", place, key=stranger).status == 404
    assert office.call("POST", f"{place}/cancel").status == 409
    assert office.call("GET", f"{place}/events", key=stranger).status == 404


def test_a_run_that_waits_is_cancelled_and_its_question_is_withdrawn(office: Node) -> None:
    begun = office.call("POST", "/api/v1/runs", {"model": "quote", "input": "ten chairs"}).json
    asked = question(office)

    cancelled = office.call("POST", f"{begun['location']}/cancel")
    office.until(lambda: office.call("GET", begun["location"]).json["status"] == "cancelled")

    assert cancelled.status == 202
    assert told(office, "approvals", "list")["approvals"] == []
    assert ran("approvals", "decide", asked["id"], "--decision", "approve", "--data", office.data).status == 1


def test_a_table_goes_in_and_what_came_of_its_rows_comes_out(office: Node, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("who,what\n" + "".join(f"customer {n},{n} tables\n" for n in range(1, 26)), encoding="utf-8")

    done = told(
        office, "runs", "bulk", "quote", "--in", str(table), "--column", "what", "--parallel", "5", "--key", "first"
    )
    again = told(office, "runs", "bulk", "quote", "--in", str(table), "--column", "what", "--key", "first")
    lines = (tmp_path / "rows.results.csv").read_text(encoding="utf-8").splitlines()

    assert (done["state"], done["done"], done["failed"], done["total"]) == ("done", 25, 0, 25)
    assert again["id"] == done["id"]
    assert lines[0].startswith("who,what,output,status,error")
    assert lines[25].startswith("customer 25,25 tables,An offer for 25 tables,done,,")


def test_a_schedule_is_run_by_hand_and_shown_with_its_next_times(office: Node) -> None:
    set_ = told(
        office,
        "schedules",
        "set",
        "weekly",
        "--model",
        "writer",
        "--cron",
        "0 7 * * 1",
        "--input",
        '"hello"',
        "--key",
        "first",
    )
    begun = told(office, "schedules", "run", "weekly")

    office.until(lambda: told(office, "runs", "show", begun["run"])["status"] == "done")

    assert len(set_["next"]) == 5
    assert told(office, "schedules", "remove", "weekly") == {"name": "weekly"}
