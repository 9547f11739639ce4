"""Dirigent as a target of the load harness that stands beside the project, measured in the same run as nginx."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

__all__ = ["NGINX", "PLAIN", "ROUTED", "Missing", "Part", "Row", "measured", "middle"]

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("gpt-4o-mini", "gpt-4o", "gpt-4.1")
"""The names that the harness asks for."""
NGINX, PLAIN, ROUTED = "nginx", "dirigent", "dirigent, routed"
"""The targets; the second one asks a deployment by its name, the third a router by complexity over two of them."""
_PORTS = {NGINX: 7001, "upstream": 9001, PLAIN: 7900, ROUTED: 7901}
_UPSTREAM = "http://127.0.0.1:9001/v1"
_PRICE = "price: {input: 0.15, output: 0.60}"
_PATIENCE = 60.0

Row = dict[str, Any]


class Part(NamedTuple):
    """Scenarios of the harness that are measured together."""

    scenarios: tuple[str, ...]
    targets: tuple[str, ...]
    rounds: int
    seconds: float


class Missing(Exception):
    """What the load figures need is not here; the message says what, and what to do."""


def measured(parts: Iterable[Part], say: Callable[[str], None]) -> list[Row]:
    """The rows of the harness. Raises Missing.

    The targets take turns within each round, each on one core, with load and upstream on another.
    """
    bench, targets = _harness()
    for name, models in ((PLAIN, _deployments()), (ROUTED, _routers())):
        _add(targets, name, models)
    out = Path(targets.PERF) / "dirigent.jsonl"
    rows: list[Row] = []
    for part in parts:
        _await_free_ports()
        say(f"load: {', '.join(part.scenarios)}: {part.rounds} x {part.seconds:g} s for each target …")
        out.unlink(missing_ok=True)
        wanted: dict[str, Any] = {"targets": ",".join(map(_file, part.targets)), "scen": ",".join(part.scenarios)}
        wanted |= {"rounds": part.rounds, "dur": part.seconds, "warm": 0.7, "out": str(out), "base": _file(NGINX)}
        told = io.StringIO()
        try:
            with contextlib.redirect_stdout(told):
                bench.run(argparse.Namespace(**wanted, verbose=False, no_upstream=False, tls=False))
        except (OSError, subprocess.CalledProcessError) as fault:
            raise Missing(f"the load harness could not run: {fault}; it needs gcc, taskset and two cores") from None
        for line in told.getvalue().splitlines():
            if line.startswith("#") and "ready after" not in line:
                say(line)
        rows += [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    names = {_file(name): name for name in (NGINX, PLAIN, ROUTED)}
    return [{**row, "target": names[row["target"]]} for row in rows]


def middle(rows: Iterable[Row], target: str, scenario: str, figure: str) -> float | None:
    """The median of a figure over the rounds; None where nothing was measured."""
    found = [row[figure] for row in rows if (row["target"], row["scen"]) == (target, scenario) and row.get(figure)]
    return statistics.median(found) if found else None


def _harness() -> tuple[ModuleType, ModuleType]:
    folder = Path(os.environ.get("DIRIGENT_BENCH", ROOT.parent / "shared" / "bench"))
    if not (folder / "bench.py").exists():
        raise Missing("the load harness is not beside the project; name its folder in DIRIGENT_BENCH")
    perf = Path(os.environ.setdefault("PERF", str(Path(tempfile.gettempdir()) / "dirigent-bench")))
    for name in ("run", "log", "bodies", "bin"):
        (perf / name).mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        return importlib.import_module("bench"), importlib.import_module("targets")
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = False


def _add(targets: ModuleType, name: str, models: str) -> None:
    data = Path(targets.PERF) / "run" / _file(name)
    data.mkdir(parents=True, exist_ok=True)
    (data / "first-key").write_text(targets.KEY + "\n", encoding="utf-8")
    (data / "dirigent.yaml").write_text(
        f'providers:\n  up: {{type: compatible, base_url: "{_UPSTREAM}"}}\nmodels:\n{models}', encoding="utf-8"
    )
    port = _PORTS[name]
    command = [sys.executable, "-m", "dirigent", "serve", "--data", str(data), "--port", str(port)]
    targets.add(_file(name), command, port, ready="/health/ready", group="dirigent")


def _deployments() -> str:
    """One priced deployment for each name that the harness asks for."""
    return "".join(f"  {name}: {{type: deployment, provider: up, name: {name}, {_PRICE}}}\n" for name in MODELS)


def _routers() -> str:
    """A router by complexity for each of these names, with two priced deployments behind it."""
    lines = []
    for name in MODELS:
        tiers = [f"{name}-{tier}" for tier in ("weak", "strong")]
        lines += [f"  {tier}: {{type: deployment, provider: up, name: {name}, {_PRICE}}}\n" for tier in tiers]
        lines.append(f"  {name}: {{type: router, candidates: [{', '.join(tiers)}], strategy: {{type: complexity}}}}\n")
    return "".join(lines)


def _file(name: str) -> str:
    return name.replace(", ", "-")


def _await_free_ports() -> None:
    """Waits for whoever else measures on this machine; a second upstream would falsify both. Raises Missing."""
    end = time.monotonic() + _PATIENCE
    while taken := [str(port) for port in _PORTS.values() if _taken(port)]:
        if time.monotonic() > end:
            raise Missing(f"port {', '.join(taken)} was taken for {_PATIENCE:.0f} s; somebody else may be measuring")
        time.sleep(1)


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
