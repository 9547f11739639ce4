"""Hours of half load with failures on both sides: what a node still holds afterwards, and how its memory grows.

`python -m benches.soak --seconds 3600` writes soak.json, from which the page of results has its section. Of a hundred
calls five go wrong: the provider refuses, cuts, is silent or ends too early in four, and the caller leaves in one. They
go whole and streamed to a deployment, to one with a bounded number of places, and to a router with a fallback.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

import msgspec

from benches.native import Missing, Row, body, call, calling, pinned, told, upstream

__all__ = ["CONFIG", "FILE", "Held", "Soaked", "load", "slope", "soaked"]

FILE = Path(__file__).with_name("soak.json")
_SHAKY, _STEADY, _PORT = 9011, 9012, 7920
_KEY = "dk-benchmark"
_EVENTS = 12
_FAILING = ("-f", "40", "-s", "5")
_PACE = ("-e", str(_EVENTS), "-i", "2", "-d", "5")
_CONNECTIONS = 256
_LEAVES = 50
"""The caller of each so many-th stream leaves; half of all calls are streams."""
_PATIENCE = 30.0
_BLOCKS = 20
_STUDENT = 2.101
"""The two-sided 95 % quantile for twenty blocks less two."""
_MODEL = "price: {input: 1, output: 2}, timeouts: {connect: 1, first_byte: 1, idle: 1, total: 20}"
CONFIG = f"""\
providers:
  shaky: {{type: compatible, base_url: "http://127.0.0.1:{_SHAKY}/v1"}}
  steady: {{type: compatible, base_url: "http://127.0.0.1:{_STEADY}/v1"}}
models:
  alone: {{type: deployment, provider: shaky, name: alone, {_MODEL}}}
  placed: {{type: deployment, provider: shaky, name: placed, concurrency: 128, {_MODEL}}}
  first: {{type: deployment, provider: shaky, name: first, {_MODEL}}}
  second: {{type: deployment, provider: steady, name: second, {_MODEL}}}
  routed: {{type: router, candidates: [first], fallback: [second], strategy: complexity}}
"""


class Held(msgspec.Struct, frozen=True):
    """What a node holds at one moment."""

    tasks: int
    slots: int
    """Places that are taken or waited for."""
    in_flight: int
    files: int
    """Open files and sockets."""
    callers: int
    """Connections of callers, in whatever state."""


class Soaked(msgspec.Struct, frozen=True):
    """How a soak went."""

    when: str
    seconds: float
    rate: float
    """Calls a second, half of what the node could take just before unless somebody said otherwise."""
    busy: float
    """The share of its core that the node used."""
    ends: dict[str, int]
    """How calls ended."""
    behind: int
    """Calls that were due while every caller still waited, and were left out."""
    before: Held
    after: Held
    """Seconds after the last call, with the providers gone."""
    megabytes: tuple[float, float]
    """Resident memory, the mean of the first and of the last twentieth of the time that counts."""
    slope: float
    """Megabytes an hour, fitted after a warm-up."""
    margin: float
    """Half the width of the interval in which the slope lies with 95 %."""

    @property
    def left(self) -> dict[str, int]:
        """What is held more than before, by name; nothing where nothing leaks."""
        more = {name: getattr(self.after, name) - getattr(self.before, name) for name in Held.__struct_fields__}
        return {name: count for name, count in more.items() if count > 0}


def soaked(seconds: float, rate: float | None, say: Callable[[str], None]) -> Soaked:
    """Soaks a fresh node. Raises Missing."""
    names = [str(core) for core in sorted(os.sched_getaffinity(0))]
    ours, theirs = names[0], names[-1]
    bodies: list[str] = []
    for model in ("alone", "placed", "routed"):
        bodies += ["-b", body(f"soak-{model}", model=model)]
        bodies += ["-b", body(f"soak-{model}-stream", model=model, stream=True)]
    asking = (*bodies, "-c", str(_CONNECTIONS), "-e", str(_EVENTS), "-l", str(_LEAVES))
    with _node(ours) as node:
        before = node.held()
        with upstream(_SHAKY, theirs, *_PACE, *_FAILING), upstream(_STEADY, theirs, *_PACE):
            warm = call(_PORT, theirs, _KEY, *asking, "-d", str(min(10.0, seconds / 6)))
            most = _finished(warm) / warm["secs"]
            rate = rate or most / 2
            say(f"the node takes {most:,.0f} calls a second; soaking for {seconds:,.0f} s with {rate:,.0f} a second …")
            spent, samples = node.cpu(), list[tuple[float, float]]()
            began = time.monotonic()
            with calling(_PORT, theirs, _KEY, *asking, "-d", str(seconds), "-R", str(rate)) as callers:
                while callers.poll() is None and time.monotonic() < began + seconds:
                    samples.append((time.monotonic() - began, node.resident()))
                    time.sleep(min(5.0, seconds / 200))
                row = told(callers, _PATIENCE * 2)
            spent = node.cpu() - spent
        after = node.rested(before)
    counted = [sample for sample in samples if sample[0] >= seconds / 6]
    a_second, margin = slope(counted)
    edge = max(1, len(counted) // _BLOCKS)
    return Soaked(
        when=f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC",
        seconds=seconds,
        rate=rate,
        busy=spent / row["secs"],
        ends={name: row[name] for name in ("answered", "told", "refused", "left", "broken", "silent")},
        behind=row["behind"],
        before=before,
        after=after,
        megabytes=(mean(one for _, one in counted[:edge]), mean(one for _, one in counted[-edge:])),
        slope=a_second * 3600,
        margin=margin * 3600,
    )


def slope(samples: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The slope of a straight line through (seconds, value) and half its 95 % interval, by least squares.

    Neighbours resemble each other, so the line is laid through the means of twenty blocks: each counts once.
    """
    size = len(samples) // _BLOCKS
    if not size:
        return 0.0, float("inf")
    blocks = [samples[place * size : (place + 1) * size] for place in range(_BLOCKS)]
    points = [(mean(at for at, _ in block), mean(value for _, value in block)) for block in blocks]
    middle, level = mean(at for at, _ in points), mean(value for _, value in points)
    spread = sum((at - middle) ** 2 for at, _ in points)
    steep = sum((at - middle) * (value - level) for at, value in points) / spread
    rest = sum((value - level - steep * (at - middle)) ** 2 for at, value in points)
    return float(steep), float(_STUDENT * (rest / (_BLOCKS - 2) / spread) ** 0.5)


class _Node:
    """A running node, seen from outside and, for its tasks and places, asked."""

    def __init__(self, pid: int, told: Path) -> None:
        self._pid = pid
        self._told = told

    def held(self) -> Held:
        self._told.unlink(missing_ok=True)
        os.kill(self._pid, signal.SIGUSR2)
        end = time.monotonic() + _PATIENCE
        while not self._told.exists():
            if time.monotonic() > end:
                raise Missing("the node does not say what it holds")
            time.sleep(0.02)
        files = sum(1 for _ in Path(f"/proc/{self._pid}/fd").iterdir())
        return Held(**json.loads(self._told.read_bytes()), files=files, callers=_connections())

    def rested(self, before: Held) -> Held:
        """What it holds once it holds no more than before, or after some seconds."""
        end = time.monotonic() + 10
        while True:
            now = self.held()
            if time.monotonic() > end or all(getattr(now, n) <= getattr(before, n) for n in Held.__struct_fields__):
                return now
            time.sleep(0.25)

    def cpu(self) -> float:
        """CPU seconds so far."""
        tasks = Path(f"/proc/{self._pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9

    def resident(self) -> float:
        """Resident memory in megabytes."""
        pages = int(Path(f"/proc/{self._pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def _node(core: str) -> Iterator[_Node]:
    data = Path(tempfile.mkdtemp(prefix="dirigent-soak-"))
    (data / "dirigent.yaml").write_text(CONFIG, encoding="utf-8")
    (data / "first-key").write_text(_KEY + "\n", encoding="utf-8")
    told = data / "held.json"
    serve = ["serve", "--data", str(data), "--port", str(_PORT)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DIRIGENT_")}
    with (data / "printed.log").open("w+b") as log:
        process = subprocess.Popen(
            pinned(core, [sys.executable, "-m", "benches.watched", str(told), *serve]),
            cwd=FILE.parents[1],
            stdout=log,
            stderr=log,
            env=kept,
        )
        try:
            end = time.monotonic() + _PATIENCE
            while not (data / "server.json").exists():
                if process.poll() is not None or time.monotonic() > end:
                    log.seek(0)
                    raise Missing(f"the node did not start: {log.read().decode(errors='replace')[-600:]}")
                time.sleep(0.05)
            time.sleep(0.5)
            yield _Node(process.pid, told)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_PATIENCE * 2)
            shutil.rmtree(data, ignore_errors=True)


def _connections() -> int:
    """Connections to the node's port that callers have not been let go from, in whatever state."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    ended = ("06", "0A")  # TIME_WAIT belongs to the kernel alone; the listener is no connection
    return sum(line[1].endswith(f":{_PORT:04X}") and line[3] not in ended for line in lines)


def _finished(row: Row) -> int:
    return sum(int(row[name]) for name in ("answered", "told", "refused", "left"))


def load(file: Path = FILE) -> Soaked:
    """The soak that ran last. Raises OSError where none has."""
    return msgspec.json.decode(file.read_bytes(), type=Soaked)


def main() -> int:
    """Soaks, prints how it went and writes it down."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--rate", type=float, help="calls a second; half of what the node can take, unless given")
    given = parser.parse_args()
    try:
        found = soaked(given.seconds, given.rate, lambda words: print(words, flush=True))
    except Missing as fault:
        print(f"not measured: {fault}")
        return 1
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    print(f"memory {found.slope:+.2f} ± {found.margin:.2f} MB an hour; left behind: {found.left or 'nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
