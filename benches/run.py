"""`make bench`: every figure that the project states about itself, measured anew and written into RESULTS.md."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from benches.decisions import decided
from benches.durable import Step
from benches.durable import load as load_durable
from benches.goals import Figures, goals
from benches.governance import Proof
from benches.governance import load as load_governance
from benches.harness import Part, known_peers, measured, troubled
from benches.leaving import left
from benches.native import Missing, Row
from benches.processes import Memory, Starts, idle_memory, import_seconds, packages, starts, weights
from benches.report import page
from benches.soak import Soaked
from benches.soak import load as load_soak
from benches.streams import Pace, streamed
from benches.targets import COMPILED, GOVERNED, GOVERNED_COMPILED, NGINX, PEERS, PLAIN, ROUTED
from benches.workers import layout, worked
from tools.conformance.report import load as load_conformance
from tools.conformance.report import section

RESULTS = Path(__file__).with_name("RESULTS.md")
CONFORMANCE = Path(__file__).with_name("conformance.json")
LOAD = ("sat", "low", "b32k", "b1m", "sse")
BESIDE = ("sat", "sse", "b32k", "b1m")
"""What other gateways are measured by."""

_began = time.monotonic()
_Found = TypeVar("_Found")


def main() -> int:
    """Measures, prints the goals, writes the page. Returns 0 also where a goal is missed: a machine is no judge."""
    given = _asked()
    try:
        peers = known_peers(given.peers)
    except Missing as fault:
        print(fault)
        return 2
    figures = everything(given.rounds, given.seconds, peers)
    given.page.write_text(page(figures), encoding="utf-8")
    for goal in goals(figures):
        value = "–" if goal.measured is None else f"{goal.measured:.3g}"
        print(f"{goal.verdict.strip('*'):<13} {value:>7} of {goal.bound:g} {goal.unit}: {goal.what}")
    for words in figures.missing:
        print(f"not measured: {words}")
    say(f"written: {given.page.name}")
    return 0


def everything(rounds: int, seconds: float, peers: tuple[str, ...]) -> Figures:
    """Measures all there is to measure here, and says what is missing."""
    before = load()
    missing: list[str] = []

    def tried(what: str, measure: Callable[[], list[_Found]]) -> list[_Found]:
        try:
            return measure()
        except (Missing, OSError) as fault:  # what the other parts have found is not lost for one that broke
            missing.append(f"{what}: {fault}")
            return []

    say("import and start …")
    imports = {name: import_seconds(name) for name in ("dirigent", "dirigent.server.node")}
    started = starts()
    if weights() is None:
        missing.append("the embedded model: its weights are not here; `make weights` fetches them")
    say("memory …")
    memory = _memory(missing)
    say("routing decisions …")
    decisions = asyncio.run(decided())
    part = Part(LOAD, (NGINX, PLAIN, COMPILED, ROUTED, GOVERNED, GOVERNED_COMPILED), rounds, seconds)
    rows = tried("CPU per request", lambda: measured([part], say))
    streams = tried("a thousand streams", lambda: streamed(say, Pace(rounds=rounds, bursts=min(2, rounds))))
    say("callers who leave …")
    leaving = tried("callers who leave", lambda: asyncio.run(left()))
    workers = tried("two workers", lambda: worked(say, rounds, seconds))
    apart = bool(workers) and layout(sorted(os.sched_getaffinity(0))).apart
    beside = Part(BESIDE, (NGINX, PLAIN, COMPILED, *peers), rounds, seconds)
    others = tried("other gateways", lambda: measured([beside], say)) if peers else []
    missing += _absent(rows, others, peers)
    if workers and not apart:
        missing.append("two workers on cores of their own: this run may use too few cores for it")
    missing += [words for found in (rows, streams, others) for words in troubled(found)]
    return Figures(
        when=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        machine=machine(),
        load_before=before,
        load_after=load(),
        seconds=time.monotonic() - _began,
        rows=rows,
        missing=missing,
        imports=imports,
        starts=Starts(*started),
        memory=memory,
        packages={name: packages(f"{name}.txt") for name in ("base", "local")},
        decisions=decisions,
        streams=streams,
        left=leaving,
        workers=workers,
        apart=apart,
        peers=others,
        soak=_soak(missing),
        conformance=_conformance(missing),
        governance=_governance(missing),
        durable=_durable(missing),
    )


def _memory(missing: list[str]) -> list[Memory]:
    try:
        return idle_memory()
    except OSError as fault:
        missing.append(f"memory: this system does not tell it ({fault})")
        return []


def _absent(rows: list[Row], others: list[Row], peers: tuple[str, ...]) -> list[str]:
    """A sentence on whoever took no turn."""
    found = []
    here = {row["target"] for row in rows}
    if rows and NGINX not in here:
        found.append("ratios to nginx: it is not here; install the package `nginx-light`")
    if rows and COMPILED not in here:
        found.append("the compiled build: none of these sources is here; `make compile` makes one")
    if absent := [PEERS[name] for name in peers if name not in {row["target"] for row in others}]:
        found.append(f"beside us: {', '.join(absent)}, which did not start here; the harness installs them")
    return found


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", default="", help="other gateways to measure as well, parted by commas, or `all`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each target, scenario and round")
    parser.add_argument("--page", type=Path, default=RESULTS, help="where to write the results")
    return parser.parse_args()


def _governance(missing: list[str]) -> Mapping[str, Proof]:
    """What the proofs of governance noted when they ran last."""
    try:
        return load_governance()
    except OSError:
        missing.append("the proofs of governance: none has noted its figures here")
        return {}


def _durable(missing: list[str]) -> Sequence[Step]:
    """What `python -m benches.durable` found when it ran last."""
    try:
        return load_durable()
    except OSError:
        missing.append("durable steps: `python -m benches.durable` has not run here")
        return ()


def _soak(missing: list[str]) -> Soaked | None:
    """What `python -m benches.soak` found when it ran last."""
    try:
        return load_soak()
    except OSError:
        missing.append("an hour of load: `python -m benches.soak` has not run here")
        return None


def _conformance(missing: list[str]) -> list[str]:
    """What `make conformance` found when it ran last."""
    try:
        return section(load_conformance(CONFORMANCE))
    except OSError:
        missing.append("the SDKs' own tests: `make conformance` has not run here")
        return []


def say(words: str) -> None:
    """One line of progress."""
    print(f"[{time.monotonic() - _began:4.0f} s] {words}", flush=True)


def load() -> str:
    """The machine's load average."""
    return ", ".join(f"{one:.2f}" for one in os.getloadavg())


def machine() -> list[tuple[str, str]]:
    """What the figures depend on, without a name or a path in it."""
    facts = [("system", f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}")]
    with contextlib.suppress(OSError):
        cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        facts.append(("processor", cpu[1] if cpu else "unknown"))
    facts.append(("cores that this run may use", str(len(os.sched_getaffinity(0)))))
    facts.append(("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB"))
    facts.append(("Python", platform.python_version()))
    with contextlib.suppress(OSError):
        told = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False).stderr
        facts.append(("nginx", told.rpartition("/")[2].strip()))
    return facts


if __name__ == "__main__":
    sys.exit(main())
