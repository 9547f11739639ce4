"""A run on a terminal: bars by the time that was worked, steps within those that they belong to, waits apart."""

from __future__ import annotations

import io
import re
from typing import Any

import msgspec
import pytest
from rich.console import Console

from dirigent.cli.waterfall import waterfall
from dirigent.core.approvals import Question, Verdict
from dirigent.core.identity import Principal
from dirigent.core.journal import (
    Asked,
    Began,
    Decided,
    Ended,
    Entry,
    LeftOut,
    Slept,
    Spent,
    StepEnded,
    StepFailed,
    Submission,
)
from dirigent.core.traces import trace
from dirigent.core.usage import Money

START = 1_800_000_000.0
DAY = 86_400


def done(path: str, at: float, seconds: float, cost: str = "0.0125") -> StepEnded:
    spent = Spent(
        seconds=seconds,
        deployment="premium",
        input_tokens=1200,
        output_tokens=300,
        cost=Money.of(cost, "EUR"),
        attempts=1,
    )
    return StepEnded(at=START + at, path=path, step="prompt", output="x", spent=spent)


ENTRIES: list[Entry] = [
    Began(at=START),
    done("draft", 2, 2),
    done("review:checker/facts", 3, 1, "0.002"),
    done("review:checker", 4, 2, "0.002"),
    done("review", 4, 2, "0.002"),
    Asked(at=START + 4, path="release", approval="run-1-a", question=Question("May it go out?")),
    Decided(at=START + 4 + DAY, path="release", approval="run-1-a", verdict=Verdict("edited", "y", ("anna", "bob"))),
    StepEnded(at=START + 4 + DAY, path="release", step="approve", output={}),
    StepFailed(at=START + 5 + DAY, path="send", step="tool", code="timeout", words="x", spent=Spent(seconds=1)),
]
OVER = Ended(at=START + 5 + DAY, status="failed", code="timeout")


def shown(width: int, entries: list[Entry], now: float) -> list[str]:
    said = Submission(
        run="run-1", principal=Principal("default", "sales", "k-1"), model="quote", revision="3f9c2b71", submitted=START
    )
    told: dict[str, Any] = msgspec.to_builtins(trace(said, entries, int((START + now) * 1000)))
    paper = io.StringIO()
    waterfall(Console(file=paper, width=width, highlight=False), told, int((START + now) * 1000))
    return paper.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_a_day_of_waiting_does_not_hide_a_second_of_work(width: int) -> None:
    lines = shown(width, [*ENTRIES, OVER], 5 + DAY)

    assert max(map(len, lines)) <= width
    assert lines[0] == "run-1  failed  quote @3f9c2b71"
    head = next(place for place, line in enumerate(lines) if line.startswith("step"))
    said = " ".join(line.strip() for line in lines[1:head])
    assert "worked 5.0 s · waited 24h 00m · cost 0.0145 EUR · 2,400 → 600 tokens · timeout" in said
    steps = {found[1]: line for line in lines[head + 1 :] if (found := re.match(r"( *[✓✗⏸…] \w+)", line)) is not None}
    assert [*steps] == [
        "✓ draft",
        "✓ review",
        "  ✓ checker",
        "    ✓ facts",
        "✓ release",
        "✗ send",
    ]
    drawn = {name.strip()[2:]: line for name, line in steps.items()}
    assert drawn["draft"].count("█") > drawn["facts"].count("█") > 0
    assert "┊" in drawn["release"]
    assert "⏸ 24h 00m" in drawn["release"]
    assert any("edited by anna, bob" in line for line in lines)


def test_what_waits_says_what_to_do() -> None:
    lines = shown(100, ENTRIES[:6], 64)

    assert lines[0].startswith("run-1  waiting")
    assert "waited 60.0 s" in lines[1] or "waited 1m 00s" in lines[1]
    assert lines[-1] == "waits for people: dirigent approvals show run-1-a"


def test_a_pause_that_is_not_over_takes_no_room_of_the_time_to_come() -> None:
    lines = shown(100, [Began(at=START), done("draft", 2, 2), Slept(at=START + 2, path="night", until=START + DAY)], 10)

    assert "2.0 s" in lines[3]
    assert lines[-1].startswith("⏸ night")


@pytest.mark.parametrize("width", [80, 120])
def test_a_step_that_was_left_out_stands_at_its_place_with_its_condition(width: int) -> None:
    left_out = LeftOut(at=START + 2, path="check", step="check", when="draft.total > 5000 and input.new")

    lines = shown(width, [Began(at=START), done("draft", 2, 2), left_out, done("apply", 4, 2)], 4)

    assert max(map(len, lines)) <= width
    head = next(place for place, line in enumerate(lines) if line.startswith("step"))
    assert [line.split()[:2] for line in lines[head + 1 :] if line[0] != " "] == [
        ["✓", "draft"],
        ["○", "check"],
        ["✓", "apply"],
    ]
    check = next(line for line in lines if line.startswith("○ check"))
    assert "skipped" in check
    assert not any(drawn in check for drawn in "█▏0")
    below = " ".join(line.strip() for line in lines[lines.index(check) + 1 : -1])
    assert "not: draft.total > 5000" in below


def test_a_run_that_has_not_begun_says_so() -> None:
    assert shown(80, [], 1)[-1] == "no step has begun yet"
