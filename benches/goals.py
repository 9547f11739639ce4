"""What a run measured, and each goal beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from benches.decisions import ENCODER_AT_TIMES, Timing
from benches.durable import Step
from benches.governance import Proof
from benches.harness import middle
from benches.leaving import Left
from benches.native import Row
from benches.processes import Memory, Starts
from benches.soak import Soaked
from benches.streams import BURST, RAMP, added, astray
from benches.targets import COMPILED, GOVERNED, GOVERNED_COMPILED, NGINX, PLAIN, ROUTED
from benches.workers import Shares, gain

__all__ = ["LONG", "Figures", "Goal", "goals", "ratio_to_nginx"]

LONG = 1800.0
"""Seconds of a soak from which on its slope says something of an hour."""


class Figures(NamedTuple):
    """All that a run measured. What could not be measured is empty, and `missing` says why."""

    when: str
    machine: Sequence[tuple[str, str]]
    load_before: str
    load_after: str
    seconds: float
    rows: Sequence[Row]
    missing: Sequence[str]
    imports: dict[str, float]
    starts: Starts
    memory: Sequence[Memory]
    packages: dict[str, int]
    decisions: Sequence[Timing]
    streams: Sequence[Row] = ()
    workers: Sequence[Shares] = ()
    apart: bool = False
    """Whether each worker had a core of its own."""
    left: Sequence[Left] = ()
    peers: Sequence[Row] = ()
    """Rows of the run in which other gateways took turns with ours."""
    soak: Soaked | None = None
    conformance: Sequence[str] = ()
    """The section on the SDKs' own tests, where `make conformance` has measured it."""
    governance: Mapping[str, Proof] = {}
    """What the proofs of governance noted, each when it ran last."""
    durable: Sequence[Step] = ()
    """What a step of a durable run cost when `python -m benches.durable` ran last."""


class Goal(NamedTuple):
    """A goal, and how far it was reached."""

    what: str
    bound: float
    measured: float | None
    unit: str = ""
    at_least: bool = False
    """Whether more is better."""

    @property
    def verdict(self) -> str:
        """In a word."""
        if self.measured is None:
            return "not measured"
        reached = self.measured >= self.bound if self.at_least else self.measured <= self.bound
        return "reached" if reached else "**missed**"


def goals(figures: Figures) -> list[Goal]:
    """Every goal with what this run measured."""
    memory = [each.resident for each in figures.memory if "worker" in each.what and "parent" not in each.what]
    starting = figures.starts.with_model or figures.starts.without_model
    return [
        *_load(figures.rows),
        *_streams(figures.streams),
        Goal(
            "a caller leaves, until the provider is let go, 3 APIs at 4 moments",
            100,
            max((each.slowest for each in figures.left), default=None),
            "ms, slowest",
        ),
        Goal(
            "two workers on cores of their own, throughput",
            1.9,
            gain(figures.workers, PLAIN) if figures.apart else None,
            "x one worker",
            at_least=True,
        ),
        *_soak(figures.soak),
        Goal("`import dirigent`", 0.3, figures.imports.get("dirigent"), "s"),
        Goal("start to first 200, embedded model loading behind", 2, max(starting, default=None), "s, slowest"),
        Goal("resident memory of an idle worker", 80, max(memory, default=None), "MB, largest"),
        Goal("packages of the base installation", 25, figures.packages.get("base")),
        Goal("packages with the embedded model", 40, figures.packages.get("local")),
        *_decisions(figures.decisions),
        *_durable(figures.durable),
        *_governance(figures.governance),
    ]


def ratio_to_nginx(rows: Iterable[Row], target: str, scenario: str) -> float | None:
    """CPU per request as a multiple of nginx's in the same run; None where one of the two is missing."""
    rows = list(rows)
    ours = middle(rows, target, scenario, "cpu_ms_per_req")
    nginx = middle(rows, NGINX, scenario, "cpu_ms_per_req")
    return None if ours is None or not nginx else ours / nginx


def _builds(rows: Iterable[Row], plain: str = PLAIN, compiled: str = COMPILED) -> list[tuple[str, str]]:
    """The builds that a goal is held against, each with what is said after the goal."""
    measured = {row["target"] for row in rows}
    return [(plain, ""), *([(compiled, ", compiled")] if compiled in measured else [])]


def _load(rows: Sequence[Row]) -> list[Goal]:
    found = []
    for target, words in _builds(rows):
        for scenario, what, most in (
            ("sat", "whole answers as fast as it goes", 1.8),
            ("b32k", "bodies of 32 kB", 2),
            ("b1m", "bodies of 1 MB", 3),
            ("sse", "streamed answers", 1.25),
        ):
            ratio = ratio_to_nginx(rows, target, scenario)
            found.append(Goal(f"CPU per request, {what}{words}", most, ratio, "x nginx"))
    routed = ratio_to_nginx(rows, ROUTED, "sat")
    found.append(Goal("CPU per request, whole answers through a router", 4, routed, "x nginx"))
    for target, words in _builds(rows, GOVERNED, GOVERNED_COMPILED):
        ratio = ratio_to_nginx(rows, target, "sat")
        found.append(Goal(f"CPU per request, every policy on, 5 budgets and 3 limits{words}", 3, ratio, "x nginx"))
    return found


def _streams(rows: Sequence[Row]) -> list[Goal]:
    found = []
    for target, words in _builds(rows):
        ramps = [row for row in rows if (row["target"], row["scen"]) == (target, RAMP)]
        memory = [row["kb_per_stream"] for row in ramps if not row["errors"]]
        found += [
            Goal(f"1,000 streams, added to the first words, p99{words}", 5, _added(rows, target, RAMP, "first"), "ms"),
            Goal(f"the same, all begun at one instant{words}", 5, _added(rows, target, BURST, "first"), "ms"),
            Goal(f"1,000 streams, added to each event, p99{words}", 1, _added(rows, target, RAMP, "late"), "ms"),
            Goal(f"1,000 streams, memory for each{words}", 40, max(memory, default=None), "kB, largest"),
            Goal(f"1,000 streams byte by byte, events astray{words}", 0, astray(rows, target)),
        ]
    return found


def _added(rows: Sequence[Row], target: str, scenario: str, figure: str) -> float | None:
    return added(rows, target, scenario, f"{figure}_p99_us")


def _soak(soak: Soaked | None) -> list[Goal]:
    long = soak is not None and soak.seconds >= LONG
    margin = f"MB, ± {soak.margin:.2g}" if soak is not None else ""
    slope = soak.slope if soak is not None and long else None
    left = None if soak is None else sum(soak.left.values())
    return [
        Goal("an hour at half load with failures, growth of memory", 1, slope, margin if long else "MB"),
        Goal("the same, tasks, sockets and places left behind", 0, left),
    ]


def _durable(steps: Sequence[Step]) -> list[Goal]:
    most = {"sqlite": 0.05, "postgresql": 0.3}
    return [
        Goal(f"a durable step in memory, {each.database}", most[each.database], each.step_ms, "ms")
        for each in steps
        if each.place == "tmpfs"
    ]


def _governance(proofs: Mapping[str, Proof]) -> list[Goal]:
    return [
        Goal(f"{name}: {figure.what}", figure.most, figure.value, figure.unit)
        for name, proof in proofs.items()
        for figure in proof.figures
        if figure.most is not None
    ]


def _decisions(decisions: Sequence[Timing]) -> list[Goal]:
    found = []
    for characters in sorted({timing.characters for timing in decisions}):
        timings = [timing for timing in decisions if timing.characters == characters]
        alone = [timing for timing in timings if "encoder" not in timing.strategy]
        for place, name, most in ((0, "p50", 0.5), (1, "p99", 3.0)):
            what = f"routing decision, 20 candidates, {characters // 1000} KB, {name}"
            slowest = max(alone, key=lambda timing, place=place: timing.answering[place])  # type: ignore[misc]  # a bound default
            found.append(Goal(f"{what}, slowest strategy", most, *_decision(slowest, place)))
            found += [Goal(what, most, *_decision(one, place)) for one in timings if one.strategy == ENCODER_AT_TIMES]
    return found


def _decision(timing: Timing, place: int) -> tuple[float, str]:
    undisturbed = f"; undisturbed {timing.answering.undisturbed_p99 / 1000:.3g}" if place else ""
    return timing.answering[place] / 1000, f"ms ({timing.strategy}{undisturbed})"
