"""What was served, as JSON lines in a file: who, what, how long, at what cost, and never a word of its content."""

from __future__ import annotations

import fcntl
import logging
import os
from collections import deque
from pathlib import Path
from threading import Event, Thread

import msgspec

from dirigent.core.observations import Refused, Walked

__all__ = ["LogObserver"]

_log = logging.getLogger("dirigent.telemetry")
_MOST = 100_000
"""Lines that wait for the disk; above them the oldest are dropped."""
_EVERY = 0.5
_LARGEST = 64 * 1024 * 1024


class LogObserver:
    """Appends observations to a file in batches, on a thread of its own, so that no answer waits for a disk.

    The queue is bounded: where the disk cannot keep up, the oldest lines are dropped and their number is logged. A
    file of more than `largest` bytes is put aside as `NAME.1`, whose predecessor goes. Several processes may write to
    the same file: no line of theirs is torn, and one alone puts it aside.
    """

    def __init__(self, file: Path, *, largest: int = _LARGEST) -> None:
        self._file = file
        self._largest = largest
        self._queue: deque[msgspec.Struct] = deque(maxlen=_MOST)
        self._some = Event()
        """Set while there may be lines."""
        self._stop = Event()
        self._taken = 0
        self._settled = 0
        """How many of the taken lines were written, or counted as lost."""
        self._thread = Thread(target=self._flush_until_stopped, name="observations", daemon=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def observe(self, observation: msgspec.Struct) -> None:
        """Queues one line; of a refusal the line on what was served tells as well, and steps hold content."""
        if isinstance(observation, Refused | Walked):
            return
        self._queue.append(observation)
        self._taken += 1  # after it: the other thread may count too few as taken, never too many as lost
        if not self._some.is_set():
            self._some.set()

    def close(self) -> None:
        """Writes what is still queued."""
        self._stop.set()
        self._some.set()
        self._thread.join()

    def _flush_until_stopped(self) -> None:
        while not self._stop.is_set():
            self._some.wait()
            self._stop.wait(_EVERY)
            self._some.clear()
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines: list[bytes] = []
        encode = msgspec.json.Encoder().encode
        for _ in range(len(self._queue)):
            try:
                lines.append(encode(self._queue.popleft()))
            except IndexError:  # the other thread has dropped it to make room
                break
            except (TypeError, ValueError, UnicodeError) as fault:
                _log.error("a line that is no JSON was left out: %s", fault)
        if lines:
            try:
                self._append(b"\n".join(lines) + b"\n")
            except OSError as fault:
                _log.error("%d lines of %s could not be written: %s", len(lines), self._file, fault.strerror)
        self._settled += len(lines)
        lost = self._taken - self._settled - len(self._queue)
        if lost > 0:
            _log.error("%d observations were dropped because %s could not be written fast enough", lost, self._file)
            self._settled += lost

    def _append(self, data: bytes) -> None:
        while True:
            with self._file.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                status = os.fstat(file.fileno())
                if status.st_nlink == 0 or not _is_at(self._file, status):
                    continue  # while we waited for the lock, another process put this file aside
                if status.st_size > self._largest:
                    self._file.replace(self._file.with_name(f"{self._file.name}.1"))
                    continue
                file.write(data)
                return


def _is_at(path: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), status)
    except FileNotFoundError:
        return False
