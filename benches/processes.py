"""What a process of Dirigent costs before anybody asks it anything: seconds to import and to start, and memory."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from dirigent.local.kit import KIT, SMALL

__all__ = ["Memory", "Starts", "free_port", "idle_memory", "import_seconds", "node", "packages", "starts", "weights"]

ROOT = Path(__file__).resolve().parent.parent
_VENDOR = """\
providers:
  up: {type: compatible, base_url: "http://127.0.0.1:9/v1"}
models:
  one: {type: deployment, provider: up, name: one, price: {input: 1, output: 1}}
  auto: {type: router, candidates: [one], strategy: {type: complexity}}
"""
_LOCAL = """\
providers:
  local: {type: llama_cpp}
models:
  local: {type: deployment, provider: local, name: NAME}
  auto: {type: router, candidates: [local], strategy: {type: complexity}}
""".replace("NAME", SMALL)
_SUBJECTS = """\
models:
  one: {type: echo}
  two: {type: echo}
  auto:
    type: router
    candidates: [one, two]
    strategy: {type: domain, subjects: {law: two}, otherwise: one, unsure_below: 1, patience: 5}
"""
_PATIENCE = 60.0


class Starts(NamedTuple):
    """Seconds from the start of the process, one figure for each round."""

    without_model: list[float]
    """To the first 200 of `/v1/models`, with a vendor's deployment only."""
    with_model: list[float]
    """The same, with the embedded model loading behind."""
    first_words: list[float]
    """To the embedded model's first whole answer, asked as soon as the server listened."""


class Memory(NamedTuple):
    """Megabytes (10^6 bytes) of one process."""

    what: str
    resident: float
    proportional: float


def import_seconds(module: str, rounds: int = 10) -> float:
    """Median seconds of `import MODULE` in a fresh interpreter, its own start not counted."""
    code = f"import time; began = time.perf_counter(); import {module}; print(time.perf_counter() - began)"
    return statistics.median(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        for _ in range(rounds)
    )


def packages(lock: str) -> int:
    """Different packages that a lock file names, Dirigent itself not counted."""
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    return len(set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", text, re.MULTILINE)))


def weights() -> Path | None:
    """The small model's file, where `make weights` has put it."""
    file = ROOT / ".cache" / "models" / KIT[SMALL].file
    return file if file.exists() else None


def starts(rounds: int = 5) -> Starts:
    """Starts fresh nodes, one after the other."""
    told = Starts([], [], [])
    for _ in range(rounds):
        with node(_VENDOR) as (seconds, *_):
            told.without_model.append(seconds)
        if weights() is not None:
            with node(_LOCAL) as (seconds, began, port, key):
                told.with_model.append(seconds)
                body = {"model": "local", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 1}
                _call(port, key, "/v1/chat/completions", body)
                told.first_words.append(time.perf_counter() - began)
    return told


def idle_memory() -> list[Memory]:
    """Each process of nodes that have just answered and are idle again. Raises OSError on other systems than Linux."""
    found: list[Memory] = []
    with node(_VENDOR, workers=2) as (_, _, port, key):
        for _ in range(20):  # both workers have answered something
            _call(port, key, "/v1/models")
        time.sleep(1)
        found += [_memory(what, pid) for what, pid in _tree("parent of two workers", "one of two workers")]
    with node(_VENDOR) as (_, _, port, key):
        _call(port, key, "/v1/models")
        time.sleep(1)
        found += [_memory(what, pid) for what, pid in _tree("the only worker", "?")]
    if weights() is not None:
        with node(_LOCAL) as (_, _, port, key):
            body = {"model": "local", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 1}
            _call(port, key, "/v1/chat/completions", body)
            time.sleep(1)
            names = _tree("the only worker, embedded model beside it", "the embedded model's own process")
            found += [_memory(what, pid) for what, pid in names]
    with node(_SUBJECTS) as (_, _, port, key):
        _call(port, key, "/api/v1/route/explain", {"model": "auto", "text": "Ist diese Klausel wirksam?"})
        time.sleep(1)
        names = _tree("the only worker, word table read", "the encoder's own process")
        found += [_memory(what, pid) for what, pid in names]
    return found


_running: list[subprocess.Popen[bytes]] = []


@contextmanager
def node(config: str, *, workers: int = 1) -> Iterator[tuple[float, float, int, str]]:
    """A fresh node; seconds to its first 200, when it was started, its port and its key."""
    data = Path(tempfile.mkdtemp(prefix="dirigent-bench-"))
    (data / "dirigent.yaml").write_text(config, encoding="utf-8")
    (data / "models").mkdir()
    if (file := weights()) is not None:
        (data / "models" / file.name).symlink_to(file)
        checked = file.with_name(file.name + ".checked")
        if checked.exists():
            (data / "models" / checked.name).symlink_to(checked)
    key = "dk-benchmark"
    (data / "first-key").write_text(key + "\n", encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-m", "dirigent", "serve", "--data", str(data), "--port", str(port)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DIRIGENT_")}
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--workers", str(workers)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=kept
    )
    _running.append(process)
    try:
        while not _answers(port, key):
            if process.poll() is not None or time.perf_counter() - began > _PATIENCE:
                raise RuntimeError(f"a node did not answer within {_PATIENCE:.0f} s (exit status {process.poll()})")
            time.sleep(0.005)
        yield time.perf_counter() - began, began, port, key
    finally:
        _running.remove(process)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        shutil.rmtree(data, ignore_errors=True)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _call(port: int, key: str, path: str, body: object = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        None if body is None else json.dumps(body).encode(),
        {"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310
        return json.load(answer)


def _answers(port: int, key: str) -> bool:
    try:
        _call(port, key, "/v1/models")
    except (urllib.error.URLError, ConnectionError):
        return False
    return True


def _tree(parent: str, child: str) -> list[tuple[str, int]]:
    """The running node's process and its children, with what they are."""
    pid = _running[-1].pid
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return [(parent, pid), *((child, int(one)) for file in children for one in file.read_text().split())]


def _memory(what: str, pid: int) -> Memory:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    resident, proportional = (
        int(re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024 / 1e6  # type: ignore[index]  # the kernel writes both
        for name in ("Rss", "Pss")
    )
    return Memory(what, resident, proportional)
