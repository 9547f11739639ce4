"""What a second worker is worth: throughput where the machine has cores for it, cost and evenness everywhere.

`python -m benches.workers` runs alone, on any Linux machine with gcc; nginx beside it is the control.
With six cores or more the node, the callers and the upstream have cores of their own, and the ratio of the two
throughputs is measured. With fewer the second worker shares the core of load and upstream: then that ratio cannot be
had, and what is shown is what a request costs with one worker and with two, and how evenly connections are spread.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from benches.native import Missing, body, call, calling, folder, pinned, told, upstream
from benches.targets import NGINX, PLAIN, UPSTREAM_PORT, Target, written

__all__ = ["CONFIG", "Layout", "Shares", "gain", "layout", "promised", "shared", "worked"]

_KEY = "dk-benchmark"
_PORT = 7910
_CONNECTIONS = 64
_PATIENCE = 20.0
_NGINX = """\
worker_processes {workers}; daemon off; pid {folder}/pid; error_log {folder}/errors warn;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000; }}
  server {{ listen 127.0.0.1:{port} reuseport backlog=4096; location / {{
    proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }}
}}
"""
CONFIG = f"""\
providers:
  up: {{type: compatible, base_url: "http://127.0.0.1:{UPSTREAM_PORT}/v1"}}
models:
  gpt-4o: {{type: deployment, provider: up, name: gpt-4o, price: {{input: 0.15, output: 0.60}}}}
"""


class Layout(NamedTuple):
    """Which cores are whose."""

    node: tuple[str, str]
    """Those of a node with one worker, and with two."""
    callers: tuple[str, ...]
    upstreams: tuple[str, ...]
    apart: bool
    """Whether each has cores of its own, so that throughputs can be compared."""


class Shares(NamedTuple):
    """One round with so many workers, as fast as it goes."""

    system: str
    workers: int
    a_second: float
    cpu_ms: float
    """CPU milliseconds of the whole node for each request."""
    busiest: float
    """The share of connections that the worker with the most of them holds; with two workers 0.5 is even."""


def layout(cores: Sequence[int]) -> Layout:
    """How cores are shared out. Raises Missing where there is but one."""
    names = [str(core) for core in sorted(cores)]
    if len(names) < 2:
        raise Missing("two workers need two cores")
    node = (names[0], f"{names[0]},{names[1]}")
    if len(names) < 6:
        return Layout(node, (names[1],), (names[1],), apart=False)
    return Layout(node, tuple(names[2:4]), tuple(names[4:6]), apart=True)


def worked(say: Callable[[str], None], rounds: int = 3, seconds: float = 2.0) -> list[Shares]:
    """Rounds of one worker and two in turn. Raises Missing."""
    cores = layout(sorted(os.sched_getaffinity(0)))
    request = body("whole", model="gpt-4o")
    say(f"workers: {rounds} x {seconds:g} s, one and two in turn …")
    systems = {PLAIN: _dirigent, NGINX: _nginx}
    if shutil.which("nginx") is None:
        say(f"# {systems.popitem()[0]} is not here")
    found: list[Shares] = []
    with ExitStack() as stack:
        for core in cores.upstreams:
            stack.enter_context(upstream(UPSTREAM_PORT, core, "-S"))
        for _ in range(rounds):
            for system, node in systems.items():
                for workers in (1, 2):
                    with node(workers, cores.node[workers - 1]) as pid:
                        found.append(_round((system, workers, pid), cores, request, seconds))
    return found


def gain(found: Sequence[Shares], system: str) -> float | None:
    """Throughput of two workers as a multiple of one's: medians of the rounds. None where nothing was measured."""
    one, two = ([each.a_second for each in shared(found, system, workers)] for workers in (1, 2))
    return statistics.median(two) / statistics.median(one) if one and two else None


def promised(found: Sequence[Shares], system: str) -> float | None:
    """What that multiple would be on cores of their own, computed from cost and spread, with every connection as busy.

    The worker with the most connections is the first that can take no more. None where nothing was measured.
    """
    one, two = ([each.cpu_ms for each in shared(found, system, workers)] for workers in (1, 2))
    if not one or not two:
        return None
    busiest = statistics.median(each.busiest for each in shared(found, system, 2))
    return statistics.median(one) / statistics.median(two) / busiest


def shared(found: Sequence[Shares], system: str, workers: int) -> list[Shares]:
    """The rounds of one system with so many workers."""
    return [each for each in found if each[:2] == (system, workers)]


def _round(place: tuple[str, int, int], cores: Layout, request: str, seconds: float) -> Shares:
    system, workers, pid = place
    call(_PORT, cores.callers[0], _KEY, "-b", request, "-c", "32", "-d", "0.7")
    options = ("-b", request, "-c", str(_CONNECTIONS // len(cores.callers)), "-d", str(seconds))
    before = _spent(pid)
    with ExitStack() as stack:
        callers = [stack.enter_context(calling(_PORT, core, _KEY, *options)) for core in cores.callers]
        time.sleep(seconds / 2)
        held = _held(_tree(pid))
        rows = [told(each, _PATIENCE) for each in callers]
    spent = _spent(pid) - before
    answered = sum(row["answered"] for row in rows)
    if answered != sum(row["asked"] for row in rows):
        raise Missing(f"{system} with {workers} workers refused or broke requests: {rows}")
    seconds = max(row["secs"] for row in rows)
    return Shares(system, workers, answered / seconds, spent * 1000 / answered, max(held) / sum(held))


@contextmanager
def _dirigent(workers: int, cores: str) -> Iterator[int]:
    target = Target("dirigent, workers", _PORT, CONFIG)
    written(target, folder(), _KEY)
    with _started([*target.command(folder()), "--workers", str(workers)], cores) as pid:
        yield pid


@contextmanager
def _nginx(workers: int, cores: str) -> Iterator[int]:
    place = folder() / "run" / "nginx-workers"
    place.mkdir(exist_ok=True)
    config = place / "nginx.conf"
    config.write_text(
        _NGINX.format(workers=workers, folder=place, port=_PORT, upstream=UPSTREAM_PORT), encoding="utf-8"
    )
    with _started(["nginx", "-p", str(place), "-c", str(config)], cores) as pid:
        yield pid


@contextmanager
def _started(command: Sequence[str], cores: str) -> Iterator[int]:
    """The process of a node all of whose workers have come up."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DIRIGENT_")}
    process = subprocess.Popen(pinned(cores, command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=kept)
    try:
        end = time.monotonic() + _PATIENCE
        while not _listening():
            if process.poll() is not None or time.monotonic() > end:
                raise Missing(f"{command[0]} did not start (exit status {process.poll()})")
            time.sleep(0.05)
        _await_rest(process.pid)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(40)


def _await_rest(pid: int) -> None:
    """Waits until a node that listens has stopped starting: a late worker would find all connections taken."""
    end = time.monotonic() + _PATIENCE
    before = -1.0
    while (spent := _spent(pid)) - before > 0.02 and time.monotonic() < end:
        before = spent
        time.sleep(0.75)


def _listening() -> bool:
    """Whether anybody listens on the port, asked of the kernel: a connection would stay in somebody's queue."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    return any(line.split()[1].endswith(f":{_PORT:04X}") and line.split()[3] == "0A" for line in lines)


def _tree(pid: int) -> list[int]:
    """A process and those below it."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
    return found


def _spent(pid: int) -> float:
    """CPU seconds of a process and of those below it, as the scheduler has them."""
    tasks = [task for one in _tree(pid) for task in Path(f"/proc/{one}/task").iterdir()]
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


def _held(pids: Sequence[int]) -> list[int]:
    """How many callers' connections each process holds, those that hold none left out."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    ours = {f"socket:[{line[9]}]" for line in lines if line[1].endswith(f":{_PORT:04X}") and line[3] == "01"}
    counts = []
    for pid in pids:
        opened = []
        for file in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                opened.append(str(file.readlink()))
        counts.append(len(ours.intersection(opened)))
    return [count for count in counts if count] or [1]


def main() -> int:
    """Prints every round and what two workers are worth."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    try:
        found = worked(print, given.rounds, given.seconds)
    except Missing as fault:
        print(f"not measured: {fault}")
        return 1
    for each in found:
        print(each)
    apart = layout(sorted(os.sched_getaffinity(0))).apart
    for system in (PLAIN, NGINX):
        measured, computed = gain(found, system), promised(found, system)
        if measured is not None and computed is not None:
            print(f"{system}, two workers / one: throughput {measured:.2f}, from cost and spread {computed:.2f}")
    if not apart:
        print("load and upstream shared the second worker's core: on this machine the first ratio says little")
    return 0


if __name__ == "__main__":
    sys.exit(main())
