"""`make bench`: every figure that the project states about itself, measured anew and written into RESULTS.md."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benches.decisions import decided
from benches.harness import NGINX, PLAIN, ROUTED, Missing, Part, Row, measured
from benches.processes import Starts, idle_memory, import_seconds, packages, starts, weights
from benches.report import Figures, goals, page
from tools.conformance.report import load as load_conformance
from tools.conformance.report import section

RESULTS = Path(__file__).with_name("RESULTS.md")
CONFORMANCE = Path(__file__).with_name("conformance.json")
PARTS = (
    Part(("sat", "low", "b32k", "b1m", "sse"), (NGINX, PLAIN, ROUTED), rounds=3, seconds=2.0),
    Part(("slow1k",), (NGINX, PLAIN), rounds=1, seconds=5.0),
)

_began = time.monotonic()


def main() -> int:
    """Measures, prints the goals, writes the page. Returns 0 also where a goal is missed: a machine is no judge."""
    before = load()
    missing: list[str] = []
    say("import and start …")
    imports = {name: import_seconds(name) for name in ("dirigent", "dirigent.server")}
    started = starts()
    if weights() is None:
        missing.append("the embedded model: its weights are not here; `make weights` fetches them")
    say("memory …")
    try:
        memory = idle_memory()
    except OSError as fault:
        memory = []
        missing.append(f"memory: this system does not tell it ({fault})")
    say("routing decisions …")
    decisions = asyncio.run(decided())
    rows: list[Row] = []
    try:
        rows = measured(PARTS, say)
    except Missing as fault:
        missing.append(f"CPU per request: {fault}")
    if rows and not any(row["target"] == NGINX for row in rows):
        missing.append("ratios to nginx: it is not here; install the package `nginx-light`")
    figures = Figures(
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
        conformance=_conformance(missing),
    )
    RESULTS.write_text(page(figures), encoding="utf-8")
    for goal in goals(figures):
        value = "–" if goal.measured is None else f"{goal.measured:.3g}"
        print(f"{goal.verdict.strip('*'):<13} {value:>7} of {goal.most:g} {goal.unit}: {goal.what}")
    for words in missing:
        print(f"not measured: {words}")
    say(f"written: {RESULTS.parent.name}/{RESULTS.name}")
    return 0


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
