"""A reader of the results sees goals beside figures, and what was missed or could not be measured."""

from __future__ import annotations

from typing import Any

import pytest

from benches.decisions import CANDIDATES, ENCODER_AT_TIMES, Spread, Timing
from benches.harness import NGINX, PLAIN, Row, middle
from benches.processes import Memory, Starts, packages
from benches.report import Figures, goals, page, ratio_to_nginx


def row(target: str, cpu: float, **more: Any) -> Row:
    """A round of the load harness."""
    known = {"rps": 1.0, "p50_us": 500.0, "p99_us": 900.0, "rss_mb": 30.0, "errors": 0}
    return {"target": target, "scen": "sat", "cpu_ms_per_req": cpu, **known, **more}


def figures(**changes: Any) -> Figures:
    """A run in which everything was measured and every goal reached."""
    given: dict[str, Any] = {
        "when": "2026-01-01 00:00 UTC",
        "machine": [("processor", "some")],
        "load_before": "0.1, 0.1, 0.1",
        "load_after": "0.2, 0.2, 0.2",
        "seconds": 200.0,
        "rows": [row(NGINX, 0.02), row(PLAIN, 0.03)],
        "missing": [],
        "imports": {"dirigent": 0.01},
        "starts": Starts([0.5], [0.6], [1.2]),
        "memory": [Memory("the only worker", 42.0, 29.0)],
        "packages": {"base": 9, "local": 13},
        "decisions": [Timing("fixed", 1000, 10, Spread(50.0, 90.0, 90.0), Spread(1.0, 1.0, 1.0))],
    }
    return Figures(**{**given, **changes})


def test_ratios_are_of_medians_so_one_odd_round_does_not_count() -> None:
    rows = [row(NGINX, cpu) for cpu in (0.01, 0.011, 9.0)] + [row(PLAIN, cpu) for cpu in (0.033, 0.001, 0.034)]

    assert middle(rows, PLAIN, "sat", "cpu_ms_per_req") == pytest.approx(0.033)
    assert ratio_to_nginx(rows, PLAIN, "sat") == pytest.approx(3.0)
    assert ratio_to_nginx(rows, PLAIN, "sse") is None


def test_a_missed_goal_is_called_missed_beside_its_figure() -> None:
    slow = [Timing("complexity", 8000, 10, Spread(1500.0, 1900.0, 1900.0), Spread(1.0, 1.0, 1.0))]

    text = page(figures(decisions=slow, rows=[row(NGINX, 0.01), row(PLAIN, 0.05)]))

    assert "| CPU per request, whole answers as fast as it goes | 1.8 | 5 x nginx | **missed** |" in text
    assert "p50, slowest strategy | 0.5 | 1.5 ms (complexity) | **missed** |" in text
    assert "p99, slowest strategy | 3 | 1.9 ms (complexity; undisturbed 1.9) | reached |" in text


def test_what_could_not_be_measured_is_said_and_never_counted_as_reached() -> None:
    nothing = figures(rows=[], missing=["CPU per request: there is no nginx"])

    verdicts = {goal.what: goal.verdict for goal in goals(nothing)}

    assert verdicts["CPU per request, whole answers as fast as it goes"] == "not measured"
    assert "**Not measured:** CPU per request: there is no nginx" in page(nothing)


def test_decisions_that_wait_for_the_encoder_are_held_against_the_goal_on_a_line_of_their_own() -> None:
    timings = [
        Timing("fixed", 1000, 10, Spread(50.0, 90.0, 90.0), Spread(1.0, 1.0, 1.0)),
        Timing(ENCODER_AT_TIMES, 1000, 10, Spread(400.0, 350_000.0, 350_000.0), Spread(1.0, 1.0, 1.0)),
    ]

    text = page(figures(decisions=timings))

    assert "1 KB, p99, slowest strategy | 3 | 0.09 ms (fixed; undisturbed 0.09) | reached |" in text
    assert "1 KB, p99 | 3 | 350 ms (domain, encoder where unsure; undisturbed 350) | **missed** |" in text


def test_packages_are_counted_once_whatever_versions_and_systems_they_are_pinned_for() -> None:
    assert packages("base.txt") >= 6  # what pyproject.toml names itself
    assert packages("local.txt") > packages("base.txt")
    assert len(CANDIDATES) == 20
