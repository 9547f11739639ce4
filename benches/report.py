"""The figures of a run as a page: goals beside what was measured, then every table with how it came about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from statistics import median
from typing import Any

from benches.decisions import Timing
from benches.durable import Step
from benches.goals import LONG, Figures, Goal, goals, ratio_to_nginx
from benches.governance import Proof
from benches.harness import middle
from benches.leaving import WINDOWS, Left
from benches.native import Row
from benches.soak import Soaked
from benches.streams import BURST, CHUNK, FAULTS, RAMP, SEGMENT, added, astray
from benches.targets import COMPILED, DIRECT, GOVERNED, GOVERNED_COMPILED, NGINX, PEERS, PLAIN, ROUTED
from benches.workers import Shares, gain, promised, shared

__all__ = ["SCENARIOS", "page"]

SCENARIOS = {
    "sat": "as fast as it goes, 32 connections",
    "low": "100 requests a second",
    "b32k": "bodies of 32 kB (a picture), 16 connections",
    "b1m": "bodies of 1 MB (a picture), 4 connections",
    "sse": "20 streams of 53 events, about 1,000 events a second",
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
`{COMPILED}` is the same sources with the hot modules compiled (`make compile`);
`{ROUTED}` also measures the request and decides by `complexity` between two deployments;
`{GOVERNED}` counts each request against a budget of the tenant, the project, the purpose, the member and the key,
and against three limits of the key.
A stream's first event only names the role: Dirigent keeps it back until the first word, because until then another
candidate may still step in, so its *first event* is later by one pause between two events (20 ms in `sse`). What is
added to the first words stands under [A thousand streams](#a-thousand-streams)."""
_STREAMING = """\
A thousand streams with 12 words each, one every 500 ms (each pause up to a quarter longer or shorter), 2,000 events a
second in all. Each event carries when the upstream sent it, and the callers on the same clock note when it arrives.
*First words* is from asking to the first content event, less what the upstream itself let pass between reading the
request and sending that event: the way there and back. The role-only event before it is not counted, for it says
nothing. *Each event* is from its being sent to its being read. *Gap* is by how much a pause between two events came
out longer or shorter. `direct` is without any gateway; *added* is the difference to it. Medians of the rounds.
In a *ramp* the streams begin evenly within three seconds; in a *burst* all at one instant, so that what stands in
line behind 999 others is measured too. *kB/stream* is the growth of the target's PSS while all are open, in the round
where it was largest."""
_PARTED = """\
The same thousand streams, shorter, in pieces of one byte every 25 ms each: *chunk* makes each byte of the body an HTTP
chunk of its own, *segment* sends each byte on the wire as a TCP segment of its own. Events carry the number of their
stream and their place in it. Counted are events that were lost, that came in one with another, out of order, twice, or
in somebody else's stream, and streams that did not end as they should."""
_LEAVING = """\
From the moment in which a caller closes its connection until the provider sees the gateway close its own."""
_WORKING = """\
64 connections, as fast as it goes, one worker and two in turn. *Busiest* is the share of connections that the worker
with the most of them holds. *Computed* is what two workers would bring on cores of their own if every connection asked
equally often: the ratio of the costs, divided by that share."""
_SHARED_CORES = """\
This run had fewer than six cores, so the second worker shared its core with load and upstream, and the ratio of the two
throughputs (in brackets) says nothing of Dirigent; nginx beside it, in the same straits, shows how little.
`python -m benches.workers` measures it on a machine with six cores or more."""
_BESIDE = """\
Other gateways as the harness installs and starts them: one worker, a minimal production configuration, their features
off. They take turns with nginx and Dirigent within each round of this run."""
_SOAKING = """\
A node with calls at half of what it could take just before, whole and streamed, to a deployment, to one with a bounded
number of places and to a router with a fallback. Of a hundred calls five go wrong: the provider refuses, cuts, stalls
or ends too early in four, and the caller leaves in one. *Told* are answers that had begun and ended with an error
event, as they must; *refused* are error answers; *broken* would be any answer that is not well-formed. The slope is
fitted by least squares to the resident memory of the worker after the first sixth of the time, and ± is its 95 %
interval. What is held is compared before the first call and after the last, when providers and callers are gone."""
_GOVERNING = """\
Noted by the proofs themselves in long runs (`FIGURES=1`), each at a time of its own; `make prove` has shorter ones.
Overspent is what a provider charged beyond a budget by its own bill; a refusal is false where there was room."""
_DURABLE = """\
Through the logbook and the journal as a node has them, sealing and fences included, a kilobyte a step: one run that
takes step after step (the median of the rounds; *undisturbed* is the 10th percentile of stretches of 50 steps), and 64
that do so at once (the best round). `tmpfs` waits for no disk, so the program is measured there; on `disk` the disk is.
Noted by `python -m benches.durable`, at a time of its own."""
_STARTING = """\
Fresh processes, one after the other; the bytecode is compiled. A start ends with the first 200 of `GET /v1/models`,
asked every 5 ms. *First words*: a whole answer of the small embedded model, asked as soon as the server listens."""
_DECIDING = """\
One process, no network, 20 priced deployments as candidates, every prompt different: sentences of an office in German
and English with some program text. *Answering* is the decision on the way to an answer, as the run's record has it,
which measures only what the strategy looks at. *Explaining* is timed from outside and also measures every feature and
the expected cost and latency of each candidate. Milliseconds. *Undisturbed* is the 99th percentile of those decisions
during which the kernel did not take the core away for other work."""


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
                ((goal.what, _bound(goal), _amount(goal.measured, goal.unit), goal.verdict) for goal in goals(figures)),
            ),
            "",
            "## The machine",
            "",
            *_table(("what", ""), figures.machine),
            "",
            f"Load average (1, 5, 15 minutes) before: {figures.load_before}; after: {figures.load_after}. {_LOADED}",
            "",
            *_load(figures.rows),
            *_streams(figures.streams),
            *_left(figures.left),
            *_workers(figures.workers, apart=figures.apart),
            *_beside(figures.peers),
            *_soak(figures.soak),
            *_durable(figures.durable),
            *_governance(figures.governance),
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
        measured = _measured(rows, scenario, (NGINX, PLAIN, COMPILED, ROUTED, GOVERNED, GOVERNED_COMPILED))
        if not measured:
            continue
        streams = scenario == "sse"
        columns = ["target", "CPU ms/request", "x nginx", "requests/s per core", "p50 ms", "p99 ms", "PSS MB", "errors"]
        columns += ["CPU ms/1,000 events", "first event p50 ms"] if streams else []
        lines += [
            f"### {scenario}: {words}",
            "",
            *_table(columns, (_row(rows, n, scenario, streams=streams) for n in measured)),
            "",
        ]
    return lines


def _measured(rows: Sequence[Row], scenario: str, targets: Iterable[str]) -> list[str]:
    return [name for name in targets if any((row["target"], row["scen"]) == (name, scenario) for row in rows)]


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
    return [*cells, of("cpu_ms_per_1k_events", 1), of("ttft_p50_us", 2, 1e-3)] if streams else cells


def _streams(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    lines = ["## A thousand streams", "", _STREAMING, ""]
    columns = ["target", "first words p50 ms", "p99", "added p99", "each event p50 ms", "p99", "added p99"]
    columns += ["gap p99 ms", "CPU ms/1,000 events", "kB/stream", "ended well", "events astray"]
    for scenario in (RAMP, BURST):
        names = _measured(rows, scenario, (DIRECT, NGINX, PLAIN, COMPILED))
        lines += [f"### {scenario}", "", *_table(columns, (_stream(rows, name, scenario) for name in names)), ""]
    lines += ["### Byte by byte", "", _PARTED, ""]
    cells = []
    for scenario in (CHUNK, SEGMENT):
        for name in _measured(rows, scenario, (NGINX, PLAIN, COMPILED)):
            same = [row for row in rows if (row["target"], row["scen"]) == (name, scenario)]
            counts = [sum(row[count] for row in same) for count in ("answered", "events", *FAULTS)]
            cells.append([scenario, name, *(f"{count:,}" for count in counts)])
    return [*lines, *_table(("pieces", "target", "streams ended well", "events", *FAULTS), cells), ""]


def _stream(rows: Sequence[Row], target: str, scenario: str) -> list[str]:
    def of(figure: str, digits: int = 2, scale: float = 1e-3) -> str:
        value = middle(rows, target, scenario, figure)
        return "–" if value is None else f"{value * scale:,.{digits}f}"

    same = [row for row in rows if (row["target"], row["scen"]) == (target, scenario)]
    cells = [target]
    for figure in ("first", "late"):
        more = None if target == DIRECT else added(rows, target, scenario, f"{figure}_p99_us")
        cells += [of(f"{figure}_p50_us"), of(f"{figure}_p99_us"), "–" if more is None else f"{more:,.2f}"]
    cells.append(of("gap_p99_us"))
    if target == DIRECT:
        cells += ["–", "–"]
    else:
        cells += [of("cpu_ms_per_1k_events", 1, 1), f"{max(row['kb_per_stream'] for row in same):.1f}"]
    asked, well = (sum(row[count] for row in same) for count in ("asked", "answered"))
    return [*cells, f"{well:,} of {asked:,}", str(astray(rows, target, [scenario]))]


def _left(found: Sequence[Left]) -> list[str]:
    if not found:
        return []
    cells = [
        (each.api, WINDOWS[each.window], str(each.rounds), f"{each.median:.2f}", f"{each.slowest:.2f}")
        for each in found
    ]
    columns = ("API", "moment", "rounds", "median ms", "slowest ms")
    return ["## Callers who leave", "", _LEAVING, "", *_table(columns, cells), ""]


def _workers(found: Sequence[Shares], *, apart: bool) -> list[str]:
    if not found:
        return []
    cells = []
    for system in (PLAIN, NGINX):
        for workers in (1, 2):
            rounds = shared(found, system, workers)
            if rounds:
                cost = median(each.cpu_ms for each in rounds)
                pace = median(each.a_second for each in rounds)
                busiest = median(each.busiest for each in rounds)
                last = ["", ""] if workers == 1 else _worth(found, system, apart=apart)
                cells.append([system, str(workers), f"{cost:.4f}", f"{pace:,.0f}", f"{busiest:.2f}", *last])
    columns = ("system", "workers", "CPU ms/request", "requests/s", "busiest", "x one worker", "computed")
    return ["## Two workers", "", _WORKING, *([] if apart else [_SHARED_CORES]), "", *_table(columns, cells), ""]


def _worth(found: Sequence[Shares], system: str, *, apart: bool) -> list[str]:
    """What two workers are worth, as measured and as computed; in brackets where the measurement says nothing."""
    measured, computed = gain(found, system), promised(found, system)
    if measured is None or computed is None:
        return ["–", "–"]
    return [f"{measured:.2f}" if apart else f"({measured:.2f})", f"{computed:.2f}"]


def _beside(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    lines = ["## Beside others", "", _BESIDE, ""]
    columns = ("system", "CPU ms/request", "x nginx", "x Dirigent", "requests/s per core", "p99 ms", "PSS MB", "errors")
    for scenario, words in SCENARIOS.items():
        names = _measured(rows, scenario, dict.fromkeys(row["target"] for row in rows))
        costs = {name: middle(rows, name, scenario, "cpu_ms_per_req") or inf for name in names}
        if not names:
            continue
        cells = []
        for name in sorted(names, key=costs.__getitem__):
            cost, usual, *rest = _row(rows, name, scenario, streams=False)[1:]
            ours = f"{costs[name] / costs[PLAIN]:,.2f}" if max(costs[name], costs.get(PLAIN, inf)) < inf else "–"
            cells.append([PEERS.get(name, name), cost, usual, ours, rest[0], *rest[2:]])
        lines += [f"### {scenario}: {words}", "", *_table(columns, cells), ""]
    return lines


def _soak(soak: Soaked | None) -> list[str]:
    if soak is None:
        return []
    calls = sum(soak.ends.values())
    cells = [
        ("seconds", f"{soak.seconds:,.0f}"),
        ("calls", f"{calls:,} ({soak.rate:,.0f} a second, {soak.behind:,} more were due while no caller was free)"),
        ("how they ended", ", ".join(f"{count:,} {name}" for name, count in soak.ends.items() if count)),
        ("the node's share of its core", f"{soak.busy:.0%}"),
        ("resident memory, at first and at last", f"{soak.megabytes[0]:.1f}, {soak.megabytes[1]:.1f} MB"),
        ("slope", f"{soak.slope:+.2f} ± {soak.margin:.2f} MB an hour"),
    ]
    if soak.seconds < LONG:
        cells[-1] = ("slope", f"{cells[-1][1]}, too short a time to say anything of an hour")
    held = [(name, getattr(soak.before, name), getattr(soak.after, name)) for name in soak.before.__struct_fields__]
    cells += [(f"{name.replace('_', ' ')} held before, after", f"{before}, {after}") for name, before, after in held]
    return [
        "## Soak",
        "",
        f"Measured on {soak.when} by `python -m benches.soak`.",
        _SOAKING,
        "",
        *_table(("what", ""), cells),
        "",
    ]


def _durable(steps: Sequence[Step]) -> list[str]:
    if not steps:
        return []
    columns = (
        "database, on",
        "ms a step",
        "undisturbed",
        "of it CPU",
        "syncs",
        "64 at once, steps/s",
        "in a transaction",
        "syncs each",
    )
    return ["## Durable steps", "", _DURABLE, "", *_table(columns, map(_durable_row, steps)), ""]


def _durable_row(step: Step) -> list[str]:
    def shown(number: float | None) -> str:
        return "–" if number is None else f"{number:.2f}"

    return [
        f"{step.database}, {step.place}",
        f"{step.step_ms:.3f}",
        "–" if step.undisturbed_ms is None else f"{step.undisturbed_ms:.3f}",
        f"{step.step_cpu_ms:.3f}",
        shown(step.syncs_per_step),
        f"{step.together_per_s:,.0f}",
        f"{step.steps_per_transaction:.1f}",
        shown(step.together_syncs_per_step),
    ]


def _governance(proofs: Mapping[str, Proof]) -> list[str]:
    if not proofs:
        return []
    lines = ["## Governance", "", _GOVERNING, ""]
    for name, proof in proofs.items():
        cells = [(each.what, _number(each.value, each.unit)) for each in proof.figures]
        lines += [f"### {name}", "", f"Measured on {proof.when}: {proof.how}.", "", *_table(("what", ""), cells), ""]
    return lines


def _number(value: float, unit: str) -> str:
    return f"{value:,.10g} {unit}".rstrip()


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


def _bound(goal: Goal) -> str:
    return f"at least {goal.bound:g}" if goal.at_least else f"{goal.bound:g}"


def _amount(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.3g} {unit}".strip()


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    lines = [columns, ["---", *("---:" for _ in columns[1:])], *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]
