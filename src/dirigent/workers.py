"""Several workers on one port: each a process of its own, and one parent that starts them again when they end."""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from threading import Event

__all__ = ["listening", "run_workers"]

_log = logging.getLogger("dirigent.workers")
_LOOK_EVERY = 0.1
_TOO_SOON = 2.0
"""Seconds of life below which an end counts as a failed start, even of a worker that had answered."""
_MOST_FAILED_STARTS = 5
_LONGEST_PAUSE = 5.0
_BACKLOG = 2048
_PATIENCE = 40.0
"""Seconds that a worker is given to leave: ten more than it gives to its running answers."""


def listening(host: str, port: int) -> socket.socket:
    """The socket on which all workers accept; port 0 takes a free one. Raises OSError where that is not possible.

    They share one, instead of each listening for itself under SO_REUSEPORT: so callers whom a worker has not accepted
    when it dies are accepted by the next, and a second node cannot take half the calls without a word.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address[:2], family=family, backlog=_BACKLOG)


def run_workers(command: Sequence[str], count: int, listener: socket.socket, ready: Callable[[], None]) -> int:
    """Runs `count` processes of `command` until told to stop; returns the exit code for the shell.

    Each is told with `--listener` which descriptor to accept on, and writes a byte to its standard input, a socket, as
    soon as it answers: at the first one `ready` is called. SIGTERM and SIGINT end all of them, SIGHUP reaches each. One
    that ends by itself is replaced, after a pause that grows while starts fail. When five starts have failed in a row
    and nobody is left, the parent gives up: a restart will not mend what is wrong.
    """
    parent = _Parent(command, listener)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, parent.heard)
    return parent.run(count, ready)


class _Parent:
    def __init__(self, command: Sequence[str], listener: socket.socket) -> None:
        self._command = command
        self._listener = listener
        self._stopping = Event()
        self._children: dict[int, _Child | None] = {}
        self._failed_starts = 0
        self._next_start = 0.0

    def heard(self, number: int, _frame: object) -> None:
        """Passes a signal on; a second one to stop makes the workers hurry, as it does a single one."""
        if number != signal.SIGHUP:
            self._stopping.set()
        for child in self._running():
            child.process.send_signal(signal.SIGHUP if number == signal.SIGHUP else signal.SIGTERM)

    def run(self, count: int, ready: Callable[[], None]) -> int:
        self._children = {place: self._born() for place in range(count)}
        announced = False
        while not self._stopping.is_set():
            time.sleep(_LOOK_EVERY)
            if not announced and any(child.answers() for child in self._running()):
                announced = True
                ready()
            self._replace()
            if self._failed_starts >= _MOST_FAILED_STARTS and not self._running():
                _log.error("workers end as soon as they start; giving up")
                return 1
        self._listener.close()  # from the moment that the workers have closed theirs, callers are refused at once
        _await_end(self._running())
        return 0

    def _born(self) -> _Child:
        return _Child(self._command, self._listener.fileno())

    def _running(self) -> list[_Child]:
        return [child for child in self._children.values() if child is not None and child.process.poll() is None]

    def _replace(self) -> None:
        for place, child in self._children.items():
            if child is not None and (code := child.process.poll()) is not None:
                self._children[place] = None
                child.answers()  # it may have done so since somebody looked
                child.tie.close()
                self._bury(child, code)
        for place, child in self._children.items():
            if child is None and time.monotonic() >= self._next_start and not self._stopping.is_set():
                self._children[place] = self._born()
                if self._failed_starts:
                    break  # one at a time, to see whether it holds

    def _bury(self, child: _Child, code: int) -> None:
        lived = time.monotonic() - child.born
        # How long a start takes is the machine's business: one that never answered has failed, however long it lived.
        failed = not child.answered or lived < _TOO_SOON
        self._failed_starts = self._failed_starts + 1 if failed else 0
        pause = min(_LONGEST_PAUSE, 0.1 * 2**self._failed_starts) if self._failed_starts else 0.0
        self._next_start = time.monotonic() + pause
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        _log.error("worker %d ended with %s after %.1f s; another takes its place", child.process.pid, how, lived)


class _Child:
    def __init__(self, command: Sequence[str], listener: int) -> None:
        self.born = time.monotonic()
        self.answered = False
        self.tie, theirs = socket.socketpair()
        self.tie.settimeout(0)
        with theirs:
            # Its own process group: a Ctrl-C at the terminal reaches the parent alone, which then ends all in order.
            # Its standard input ends when the parent ends, however that one ends.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dirigent", *command, "--listener", str(listener)],
                stdin=theirs.fileno(),
                pass_fds=(listener,),
                process_group=0,
            )

    def answers(self) -> bool:
        """Whether it has said that it answers."""
        if not self.answered:
            with suppress(OSError):
                self.answered = bool(self.tie.recv(1))
        return self.answered


def _await_end(running: Iterable[_Child]) -> None:
    until = time.monotonic() + _PATIENCE
    for child in running:
        try:
            child.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
