"""The figures of a run as a page: goals beside what was measured, then every table with how it came about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any, NamedTuple

from benches.decisions import ENCODER_AT_TIMES, Timing
from benches.harness import NGINX, PLAIN, ROUTED, Row, middle
from benches.processes import Memory, Starts

__all__ = ["Figures", "page"]

SCENARIOS = {
    "sat": "as fast as it goes, 32 connections",
    "low": "100 requests a second",
    "b32k": "bodies of 32 kB (a picture), 16 connections",
    "b1m": "bodies of 1 MB (a picture), 4 connections",
    "sse": "20 streams of 53 events, about 1,000 events a second",
    "slow1k": "1,000 slow streams at once",
}

_LEAD = """\
Ratios and medians are what counts; single times mean little on a machine that others use."""
_LOADED = """\
The load is part of the result: other work took turns on the same cores."""
_METHOD = f"""\
One process of each target on one core; load generator and upstream on another. The targets take turns within each
round, and the median of the rounds is shown. CPU is that of the target's whole process tree, divided by its requests.
Everybody forwards the same 1 KB chat completion, unless a scenario says otherwise. nginx is a plain `proxy_pass` with
keep-alive; `{PLAIN}` authenticates, finds a deployment, reads the usage, computes the cost and writes its log;
`{ROUTED}` also measures the request and decides by `complexity` between two deployments.
A stream's first event only names the role: Dirigent keeps it back until the first word, because until then another
candidate may still step in, so its *first event* is later by one pause between two events (20 ms in `sse`)."""
_STARTING = """\
Fresh processes, one after the other; the bytecode is compiled. A start ends with the first 200 of `GET /v1/models`,
asked every 5 ms. *First words*: a whole answer of the small embedded model, asked as soon as the server listens."""
_DECIDING = """\
One process, no network, 20 priced deployments as candidates, every prompt different: sentences of an office in German
and English with some program text. *Answering* is the decision on the way to an answer, as the run's record has it,
which measures only what the strategy looks at. *Explaining* is timed from outside and also measures every feature and
the expected cost and latency of each candidate. Milliseconds. *Undisturbed* is the 99th percentile of those decisions
during which the kernel did not take the core away for other work."""


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
    conformance: Sequence[str] = ()
    """The section on the SDKs' own tests, where `make conformance` has measured it."""


class Goal(NamedTuple):
    """A goal, and how far it was reached."""

    what: str
    most: float
    measured: float | None
    unit: str = ""

    @property
    def verdict(self) -> str:
        """In a word."""
        return "not measured" if self.measured is None else "reached" if self.measured <= self.most else "**missed**"


def goals(figures: Figures) -> list[Goal]:
    """Every goal with what this run measured."""
    memory = [each.resident for each in figures.memory if "worker" in each.what and "parent" not in each.what]
    starting = figures.starts.with_model or figures.starts.without_model
    ratio = ratio_to_nginx
    found = [
        Goal("CPU per request, whole answers as fast as it goes", 1.8, ratio(figures.rows, PLAIN, "sat"), "x nginx"),
        Goal("the same, through a router", 4, ratio(figures.rows, ROUTED, "sat"), "x nginx"),
        Goal("CPU per request, bodies of 32 kB", 2, ratio(figures.rows, PLAIN, "b32k"), "x nginx"),
        Goal("CPU per request, bodies of 1 MB", 3, ratio(figures.rows, PLAIN, "b1m"), "x nginx"),
        Goal("CPU per request, streamed answers", 1.25, ratio(figures.rows, PLAIN, "sse"), "x nginx"),
        Goal("`import dirigent`", 0.3, figures.imports.get("dirigent"), "s"),
        Goal("start to first 200, embedded model loading behind", 2, max(starting, default=None), "s, slowest"),
        Goal("resident memory of an idle worker", 80, max(memory, default=None), "MB, largest"),
        Goal("packages of the base installation", 25, figures.packages.get("base")),
        Goal("packages with the embedded model", 40, figures.packages.get("local")),
    ]
    for characters in sorted({timing.characters for timing in figures.decisions}):
        timings = [timing for timing in figures.decisions if timing.characters == characters]
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


def ratio_to_nginx(rows: Iterable[Row], target: str, scenario: str) -> float | None:
    """CPU per request as a multiple of nginx's in the same run; None where one of the two is missing."""
    rows = list(rows)
    ours = middle(rows, target, scenario, "cpu_ms_per_req")
    nginx = middle(rows, NGINX, scenario, "cpu_ms_per_req")
    return None if ours is None or nginx is None else ours / nginx


def page(figures: Figures) -> str:
    """The whole page, in Markdown."""
    return "\n".join(
        [
            "<!-- Written by `make bench`. -->",
            "",
            "# Results",
            "",
            f"Measured on {figures.when} in {figures.seconds:.0f} s. {_LEAD}",
            "",
            *(f"**Not measured:** {words}\n" for words in figures.missing),
            "## Goals",
            "",
            *_table(
                ("goal", "at most", "measured", ""),
                (
                    (goal.what, f"{goal.most:g}", _amount(goal.measured, goal.unit), goal.verdict)
                    for goal in goals(figures)
                ),
            ),
            "",
            "## The machine",
            "",
            *_table(("what", ""), figures.machine),
            "",
            f"Load average (1, 5, 15 minutes) before: {figures.load_before}; after: {figures.load_after}. {_LOADED}",
            "",
            *_load(figures.rows),
            *_processes(figures),
            *_decisions(figures.decisions),
            *figures.conformance,
        ]
    )


def _load(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    lines = ["## CPU per request", "", _METHOD, ""]
    for scenario, words in SCENARIOS.items():
        measured = [
            name for name in (NGINX, PLAIN, ROUTED) if any((r["target"], r["scen"]) == (name, scenario) for r in rows)
        ]
        if not measured:
            continue
        streams = scenario in ("sse", "slow1k")
        columns = ["target", "CPU ms/request", "x nginx", "requests/s per core", "p50 ms", "p99 ms", "PSS MB", "errors"]
        columns += ["CPU ms/1,000 events", "first event p50 ms"] if streams else []
        columns += ["kB/stream"] if scenario == "slow1k" else []
        lines += [
            f"### {scenario}: {words}",
            "",
            *_table(columns, (_row(rows, n, scenario, streams=streams) for n in measured)),
            "",
        ]
    return lines


def _row(rows: Sequence[Row], target: str, scenario: str, *, streams: bool) -> list[str]:
    def of(figure: str, digits: int, scale: float = 1.0) -> str:
        value = middle(rows, target, scenario, figure)
        return "–" if value is None else f"{value * scale:,.{digits}f}"

    cpu = middle(rows, target, scenario, "cpu_ms_per_req")
    ratio = ratio_to_nginx(rows, target, scenario)
    errors = sum(row["errors"] for row in rows if (row["target"], row["scen"]) == (target, scenario))
    cells = [target, of("cpu_ms_per_req", 3), "–" if ratio is None else f"{ratio:.2f}"]
    cells += [f"{1000 / cpu:,.0f}" if cpu else "–", of("p50_us", 2, 1e-3), of("p99_us", 2, 1e-3), of("rss_mb", 0)]
    cells.append(str(errors))
    cells += [of("cpu_ms_per_1k_events", 1), of("ttft_p50_us", 2, 1e-3)] if streams else []
    return [*cells, of("kb_per_stream", 1)] if scenario == "slow1k" else cells


def _processes(figures: Figures) -> list[str]:
    lines = ["## Start", "", _STARTING, ""]
    rows = [(f"`import {name}`", f"{seconds:.4f}", "–", "10") for name, seconds in figures.imports.items()]
    for what, seconds in zip(
        ("start to first 200, vendors only", "the same, embedded model loading behind", "start to first words"),
        figures.starts,
        strict=True,
    ):
        if seconds:
            rows.append((what, f"{median(seconds):.2f}", f"{max(seconds):.2f}", str(len(seconds))))
    lines += [*_table(("what", "median s", "slowest s", "rounds"), rows), ""]
    if figures.memory:
        lines += ["## Memory", "", "A second after the last answer, from the kernel's own account of each process.", ""]
        cells = [(each.what, f"{each.resident:.0f}", f"{each.proportional:.0f}") for each in figures.memory]
        lines += [*_table(("process", "RSS MB", "PSS MB"), cells), ""]
    lines += ["## Packages", "", "Counted in the lock files; Dirigent itself comes on top.", ""]
    return [*lines, *_table(("installation", "packages"), ((n, str(c)) for n, c in figures.packages.items())), ""]


def _decisions(decisions: Sequence[Timing]) -> list[str]:
    if not decisions:
        return []
    cells = (
        [
            timing.strategy,
            f"{timing.characters:,}",
            f"{timing.asked:,}",
            *(f"{figure / 1000:.3f}" for figure in (*timing.answering, *timing.explaining)),
        ]
        for timing in decisions
    )
    return [
        "## Routing decisions",
        "",
        _DECIDING,
        "",
        *_table(
            (
                "strategy",
                "characters",
                "asked",
                "answering p50",
                "p99",
                "undisturbed",
                "explaining p50",
                "p99",
                "undisturbed",
            ),
            cells,
        ),
        "",
    ]


def _amount(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.3g} {unit}".strip()


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    lines = [columns, ["---", *("---:" for _ in columns[1:])], *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]
