"""The load harness that stands beside the project, with Dirigent as a target measured in the same run as nginx."""

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
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from benches.native import Missing, Row, folder
from benches.targets import NGINX, OURS, PEERS, UPSTREAM_PORT, written

__all__ = ["CORES", "Harness", "Part", "harness", "known_peers", "measured", "middle", "standing", "troubled"]

ROOT = Path(__file__).resolve().parent.parent
CORES = (os.environ.get("GW_CPU", "0"), os.environ.get("LG_CPU", "1"))
"""The core of whoever is measured, and the core of load and upstream."""
_PATIENCE = 60.0
_NGINX_PORT = 7001


class Part(NamedTuple):
    """Scenarios of the harness that are measured together, target by target in each round."""

    scenarios: tuple[str, ...]
    targets: tuple[str, ...]
    rounds: int
    seconds: float


class Harness(NamedTuple):
    """The harness's two modules, in which Dirigent's targets are known."""

    bench: ModuleType
    targets: ModuleType
    absent: dict[str, str]
    """The targets that cannot be started here, with a word on what to do."""

    @property
    def key(self) -> str:
        """The key that every target takes."""
        return str(self.targets.KEY)


def harness() -> Harness:
    """The harness, ready, once nobody else measures on this machine. Raises Missing."""
    place = Path(os.environ.get("DIRIGENT_BENCH", ROOT.parent / "shared" / "bench"))
    if not (place / "bench.py").exists():
        raise Missing("the load harness is not beside the project; name its folder in DIRIGENT_BENCH")
    _await_free_ports()  # before the folders of whoever measures on them are made anew
    perf = folder()
    sys.path.insert(0, str(place))
    sys.dont_write_bytecode = True
    try:
        bench, targets = importlib.import_module("bench"), importlib.import_module("targets")
    finally:
        sys.path.remove(str(place))
        sys.dont_write_bytecode = False
    absent: dict[str, str] = {}
    for target in OURS.values():
        written(target, perf, targets.KEY)
        try:
            command = target.command(perf)
        except LookupError as fault:
            absent[target.name] = str(fault)
        else:
            targets.add(target.file, command, target.port, ready="/health/ready", group="dirigent")
    return Harness(bench, targets, absent)


def measured(parts: Iterable[Part], say: Callable[[str], None]) -> list[Row]:
    """The rows of the harness. Raises Missing.

    The targets take turns within each round, each on one core, with load and upstream on another. A target that is not
    built here is left out with a word, as is a peer that does not start.
    """
    found = harness()
    out = folder() / "dirigent.jsonl"
    rows: list[Row] = []
    names = {_file(name): name for part in parts for name in part.targets}
    for part in parts:
        wanted = [_file(name) for name in part.targets if name not in found.absent]
        _await_free_ports()
        say(f"load: {', '.join(part.scenarios)}: {part.rounds} x {part.seconds:g} s for each target …")
        for name in part.targets:
            if name in found.absent:
                say(f"# {name}: {found.absent[name]}")
        out.unlink(missing_ok=True)
        options: dict[str, Any] = {"targets": ",".join(wanted), "scen": ",".join(part.scenarios), "base": NGINX}
        options |= {"rounds": part.rounds, "dur": part.seconds, "warm": 0.7, "out": str(out)}
        told = io.StringIO()
        try:
            with contextlib.redirect_stdout(told):
                found.bench.run(argparse.Namespace(**options, verbose=False, no_upstream=False, tls=False))
        except (OSError, subprocess.CalledProcessError) as fault:
            raise Missing(f"the load harness could not run: {fault}; it needs gcc, taskset and two cores") from None
        for line in told.getvalue().splitlines():
            if line.startswith("#") and "ready after" not in line:
                say(line)
        rows += [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    return [{**row, "target": names[row["target"]]} for row in rows]


@contextmanager
def standing(found: Harness, names: Sequence[str], say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """The harness's processes of these targets, each answering on its port; who does not start is left out with a word.

    The upstream must listen already.
    """
    processes: dict[str, Any] = {}
    try:
        for name in names:
            if name in found.absent:
                say(f"# {name}: {found.absent[name]}")
                continue
            try:
                processes[name] = found.bench.Proc(found.targets.T[_file(name)])
            except (OSError, RuntimeError) as fault:
                say(f"# {name}: {fault}")
        yield processes
    finally:
        for process in processes.values():
            process.stop()


def middle(rows: Iterable[Row], target: str, scenario: str, figure: str) -> float | None:
    """The median of a figure over the rounds; None where nothing was measured.

    A round in which a call failed does not count: a refusal is cheap and quick.
    """
    same = [row for row in rows if (row["target"], row["scen"]) == (target, scenario) and not row["errors"]]
    found = [row[figure] for row in same if row.get(figure) is not None]
    return statistics.median(found) if found else None


def troubled(rows: Iterable[Row]) -> list[str]:
    """A sentence on every round in which a call failed."""
    return [
        f"{row['target']}, {row['scen']}: {row['errors']:,} calls of a round failed, so it does not count"
        f" ({' '.join(row['first_error'].split())[:200] or 'no answer'})"
        for row in rows
        if row.get("errors")
    ]


def _file(name: str) -> str:
    return OURS[name].file if name in OURS else name


def known_peers(names: str) -> tuple[str, ...]:
    """The peers of a list parted by commas; `all` of them where it says so. Raises Missing for one that is unknown."""
    wanted = tuple(PEERS) if names == "all" else tuple(name for name in names.split(",") if name)
    unknown = [name for name in wanted if name not in PEERS]
    if unknown:
        raise Missing(f"no peer is called {', '.join(unknown)}; there are {', '.join(PEERS)}")
    return wanted


def _await_free_ports() -> None:
    """Waits for whoever else measures on this machine; a second upstream would falsify both. Raises Missing."""
    ports = (UPSTREAM_PORT, _NGINX_PORT, *(target.port for target in OURS.values()))
    end = time.monotonic() + _PATIENCE
    while taken := [str(port) for port in ports if _taken(port)]:
        if time.monotonic() > end:
            raise Missing(f"port {', '.join(taken)} was taken for {_PATIENCE:.0f} s; somebody else may be measuring")
        time.sleep(1)


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
