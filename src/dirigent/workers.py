"""Several workers on one port: each a process of its own, and one parent that starts them again when they end."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from threading import Event

__all__ = ["run_workers"]

_log = logging.getLogger("dirigent.workers")
_TOO_SOON = 2.0
"""Seconds of life below which an end counts as a failed start."""
_MOST_FAILED_STARTS = 5
_PATIENCE = 40.0


def run_workers(command: Sequence[str], count: int, ready: Callable[[], None]) -> int:
    """Runs `count` processes of `command` until told to stop; returns the exit code for the shell.

    SIGTERM and SIGINT end all of them, SIGHUP reaches each. One that ends by itself is replaced; after five failed
    starts in a row the parent gives up, because a restart will not mend what is wrong.
    """
    stopping = Event()
    children: dict[int, subprocess.Popen[bytes]] = {}
    born: dict[int, float] = {}

    def forward(number: int, _frame: object) -> None:
        if number != signal.SIGHUP:
            stopping.set()
        for child in children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGTERM if number == signal.SIGINT else number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    failed_starts = 0
    for place in range(count):
        children[place], born[place] = _started(command), time.monotonic()
    ready()
    while not stopping.is_set():
        time.sleep(0.2)
        for place, child in list(children.items()):
            if stopping.is_set() or child.poll() is None:
                continue
            lived = time.monotonic() - born[place]
            failed_starts = failed_starts + 1 if lived < _TOO_SOON else 0
            if failed_starts >= _MOST_FAILED_STARTS:
                _log.error("workers end as soon as they start (exit code %s); giving up", child.returncode)
                _end(children.values())
                return 1
            _log.error("a worker ended with %s after %.0f s; another takes its place", child.returncode, lived)
            children[place], born[place] = _started(command), time.monotonic()
    _end(children.values())
    return 0


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    # its own process group: a Ctrl-C at the terminal reaches the parent alone, which then ends all in order
    return subprocess.Popen([sys.executable, "-m", "dirigent", *command], process_group=0)


def _end(children: Iterable[subprocess.Popen[bytes]]) -> None:
    running = [child for child in children if child.poll() is None]
    for child in running:
        child.terminate()
    until = time.monotonic() + _PATIENCE
    for child in running:
        try:
            child.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
