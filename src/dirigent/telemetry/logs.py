"""What was served, as JSON lines in a file: who, what, how long, at what cost, and never a word of its content."""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path
from threading import Event, Thread

import msgspec

__all__ = ["LogObserver"]

_log = logging.getLogger("dirigent.telemetry")
_MOST = 100_000
_EVERY = 0.5


class LogObserver:
    """Appends observations to a file in batches, on a thread of its own, so that no answer waits for a disk.

    The queue is bounded: where the disk cannot keep up, the oldest lines are dropped and their number is logged.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._queue: deque[msgspec.Struct] = deque(maxlen=_MOST)
        self._stop = Event()
        self._taken = 0
        self._written = 0
        self._thread = Thread(target=self._flush_until_stopped, name="observations", daemon=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        self._thread.start()

    def observe(self, observation: msgspec.Struct) -> None:
        """Queues one line."""
        self._taken += 1
        self._queue.append(observation)

    def close(self) -> None:
        """Writes what is still queued."""
        self._stop.set()
        self._thread.join()

    def _flush_until_stopped(self) -> None:
        while not self._stop.wait(_EVERY):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        count = len(self._queue)
        if not count:
            return
        encode = msgspec.json.Encoder().encode
        lines = [encode(self._queue.popleft()) for _ in range(count)]
        try:
            with self._file.open("ab") as file:
                file.write(b"\n".join(lines) + b"\n")
        except OSError as fault:
            _log.error("%d lines of %s could not be written: %s", count, self._file, fault.strerror)
        self._written += count
        lost = self._taken - self._written - len(self._queue)
        if lost > 0:
            _log.error("%d observations were dropped because %s could not be written fast enough", lost, self._file)
            self._written += lost
