"""A reader of the results sees goals beside figures, and what was missed or could not be measured."""

from __future__ import annotations

from typing import Any

import pytest

from benches.decisions import CANDIDATES, ENCODER_AT_TIMES, Spread, Timing
from benches.durable import Step
from benches.goals import Figures, Goal, goals, ratio_to_nginx
from benches.governance import Figure, Proof
from benches.harness import middle, troubled
from benches.leaving import Left
from benches.native import Row
from benches.processes import Memory, Starts, packages
from benches.report import page
from benches.soak import Held, Soaked
from benches.streams import BURST, CHUNK, FAULTS, RAMP
from benches.targets import COMPILED, DIRECT, NGINX, PLAIN
from benches.workers import Shares


def row(target: str, cpu: float, **more: Any) -> Row:
    """A round of the load harness."""
    known = {"rps": 1.0, "p50_us": 500.0, "p99_us": 900.0, "rss_mb": 30.0, "errors": 0}
    return {"target": target, "scen": "sat", "cpu_ms_per_req": cpu, **known, **more}


def stream(target: str, scenario: str, milliseconds: float, **more: Any) -> Row:
    """A round of a thousand streams in which every latency is the same."""
    latencies = {
        f"{name}_{share}_us": milliseconds * 1000 for name in ("first", "late", "gap") for share in ("p50", "p99")
    }
    counts = dict.fromkeys((*FAULTS, "broken", "silent", "refused", "told"), 0)
    well = {
        "asked": 1000,
        "answered": 1000,
        "errors": 0,
        "events": 12_000,
        "kb_per_stream": 14.0,
        "cpu_ms_per_1k_events": 30.0,
    }
    return {"target": target, "scen": scenario, **latencies, **counts, **well, **more}


def soak(**changes: Any) -> Soaked:
    """An hour that left nothing behind."""
    nothing = Held(tasks=2, slots=0, in_flight=0, files=15, callers=0)
    given: dict[str, Any] = {
        "when": "2026-01-01 00:00 UTC",
        "seconds": 3600.0,
        "rate": 1000.0,
        "busy": 0.5,
        "ends": {"answered": 3_590_000, "told": 10_000, "broken": 0},
        "behind": 0,
        "before": nothing,
        "after": nothing,
        "megabytes": (70.0, 70.5),
        "slope": 0.5,
        "margin": 0.2,
    }
    return Soaked(**{**given, **changes})


def verdicts(given: Figures) -> dict[str, str]:
    return {goal.what: goal.verdict for goal in goals(given)}


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

    assert verdicts(nothing)["CPU per request, whole answers as fast as it goes"] == "not measured"
    assert "**Not measured:** CPU per request: there is no nginx" in page(nothing)


def test_decisions_that_wait_for_the_encoder_are_held_against_the_goal_on_a_line_of_their_own() -> None:
    timings = [
        Timing("fixed", 1000, 10, Spread(50.0, 90.0, 90.0), Spread(1.0, 1.0, 1.0)),
        Timing(ENCODER_AT_TIMES, 1000, 10, Spread(400.0, 350_000.0, 350_000.0), Spread(1.0, 1.0, 1.0)),
    ]

    text = page(figures(decisions=timings))

    assert "1 KB, p99, slowest strategy | 3 | 0.09 ms (fixed; undisturbed 0.09) | reached |" in text
    assert "1 KB, p99 | 3 | 350 ms (domain, encoder where unsure; undisturbed 350) | **missed** |" in text


def test_the_compiled_build_has_goals_of_its_own_where_it_was_measured() -> None:
    compiled = figures(rows=[row(NGINX, 0.02), row(PLAIN, 0.08), row(COMPILED, 0.03)])

    assert verdicts(compiled)["CPU per request, whole answers as fast as it goes"] == "**missed**"
    assert verdicts(compiled)["CPU per request, whole answers as fast as it goes, compiled"] == "reached"
    assert not [what for what in verdicts(figures()) if "compiled" in what]


def test_what_a_proof_noted_is_shown_and_held_against_its_goal() -> None:
    spent, faster = Figure("spent beyond a budget", 1.0, "nano-USD", 0), Figure("calls a second", 12.5)
    found = figures(governance={"storm": Proof("2026-11-30 03:00 UTC", "a thousand calls", (spent, faster))})

    assert verdicts(found)["storm: spent beyond a budget"] == "**missed**"
    assert "storm: calls a second" not in verdicts(found)
    assert "Measured on 2026-11-30 03:00 UTC: a thousand calls." in page(found)
    assert "| calls a second | 12.5 |" in page(found)


def test_what_durable_steps_cost_is_shown_and_held_against_its_goal_in_memory_alone() -> None:
    steps = [
        Step("sqlite", place, cost, cost, 1.0, 20_000, 1.0, None) for place, cost in (("tmpfs", 0.045), ("disk", 2.0))
    ]
    found = figures(durable=[*steps, Step("postgresql", "tmpfs", 0.31, 0.1, None, 9_000, 64.0, 0.02)])

    assert verdicts(found)["a durable step in memory, sqlite"] == "reached"
    assert verdicts(found)["a durable step in memory, postgresql"] == "**missed**"
    assert "| sqlite, disk | 2.000 | – | 2.000 | 1.00 | 20,000 | 1.0 | – |" in page(found)


def test_what_a_stream_is_late_without_any_gateway_is_not_held_against_the_gateway() -> None:
    rows = [stream(DIRECT, scenario, 4.0) for scenario in (RAMP, BURST)]
    rows += [stream(PLAIN, RAMP, 4.9), stream(PLAIN, BURST, 104.0)]

    found = figures(streams=rows)

    assert verdicts(found)["1,000 streams, added to the first words, p99"] == "reached"
    assert verdicts(found)["1,000 streams, added to each event, p99"] == "reached"
    assert verdicts(found)["the same, all begun at one instant"] == "**missed**"
    assert "| the same, all begun at one instant | 5 | 100 ms | **missed** |" in page(found)


@pytest.mark.parametrize("fault", [*FAULTS, "broken", "silent"])
def test_one_event_astray_among_thousands_misses_the_goal(fault: str) -> None:
    well, ill = stream(PLAIN, CHUNK, 1.0), stream(PLAIN, CHUNK, 1.0, **{fault: 1})

    assert verdicts(figures(streams=[well]))["1,000 streams byte by byte, events astray"] == "reached"
    assert verdicts(figures(streams=[well, ill]))["1,000 streams byte by byte, events astray"] == "**missed**"


def test_the_slowest_of_all_leavings_is_held_against_the_goal() -> None:
    leaving = [Left("chat", "asked", 20, 0.4, 0.6), Left("messages", "whole", 20, 0.4, 140.0)]

    text = page(figures(left=leaving))

    assert "3 APIs at 4 moments | 100 | 140 ms, slowest | **missed** |" in text
    assert "| messages | a whole answer is being waited for | 20 | 0.40 | 140.00 |" in text


def test_two_workers_are_judged_only_where_each_had_a_core_of_its_own() -> None:
    shares = [Shares(PLAIN, 1, 10_000.0, 0.1, 1.0), Shares(PLAIN, 2, 19_500.0, 0.1, 0.5)]
    what = "two workers on cores of their own, throughput"

    assert verdicts(figures(workers=shares, apart=True))[what] == "reached"
    assert verdicts(figures(workers=shares, apart=False))[what] == "not measured"
    assert "| (1.95) | 2.00 |" in page(figures(workers=shares, apart=False))
    assert Goal("", 1.9, 1.89, at_least=True).verdict == "**missed**"


def test_a_short_soak_says_what_was_left_behind_but_nothing_of_an_hour() -> None:
    left = soak(seconds=60.0, after=Held(tasks=3, slots=0, in_flight=0, files=15, callers=0))
    growth, behind = (
        "an hour at half load with failures, growth of memory",
        "the same, tasks, sockets and places left behind",
    )

    assert verdicts(figures(soak=soak()))[growth] == "reached"
    assert verdicts(figures(soak=left))[growth] == "not measured"
    assert verdicts(figures(soak=left))[behind] == "**missed**"
    assert "too short a time" in page(figures(soak=left))
    assert verdicts(figures())[behind] == "not measured"


def test_other_gateways_stand_in_a_table_of_their_own_the_cheapest_first() -> None:
    rows = [row("litellm", 6.0), row(NGINX, 0.02), row(PLAIN, 0.04)]

    text = page(figures(peers=rows))

    below = text[text.index("## Beside others") :]
    assert below.index("| nginx |") < below.index("| dirigent |") < below.index("| LiteLLM | 6.000 | 300.00 | 150.00 |")


def test_a_round_in_which_a_call_failed_is_no_measurement_for_refusals_are_cheap() -> None:
    refused = row(PLAIN, 0.001, errors=6000, first_error="HTTP/1.1 503 Service Unavailable")

    assert verdicts(figures(rows=[row(NGINX, 0.02), refused]))["CPU per request, whole answers as fast as it goes"] == (
        "not measured"
    )
    assert ratio_to_nginx([row(NGINX, 0.02), row(PLAIN, 0.04), refused], PLAIN, "sat") == pytest.approx(2.0)
    assert troubled([row(NGINX, 0.02), refused]) == [
        "dirigent, sat: 6,000 calls of a round failed, so it does not count (HTTP/1.1 503 Service Unavailable)"
    ]


def test_packages_are_counted_once_whatever_versions_and_systems_they_are_pinned_for() -> None:
    assert packages("base.txt") >= 6  # what pyproject.toml names itself
    assert packages("local.txt") > packages("base.txt")
    assert len(CANDIDATES) == 20
