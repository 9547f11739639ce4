"""How the workers of a node know what the others have counted: each leaves its counts in a file of a shared folder.

A worker holds a lock on a file of its own as long as it lives. Whoever adds up folds what a worker that is gone has
counted into one file more, so that no counter ever goes back while the node runs.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import BinaryIO
from uuid import uuid4

import msgspec

from dirigent.telemetry.exposition import Samples

__all__ = ["Gathering"]

_log = logging.getLogger("dirigent.telemetry")
_EVERY = 0.5
"""Seconds between two times that a worker leaves its counts: so old at most is what others see of them."""
_STANDING = 4.0
"""The same for where its gauges stand while nothing is counted."""
_Line = tuple[str, tuple[str, ...], list[int | float]]  # money stays whole numbers
_READER = msgspec.msgpack.Decoder(list[_Line])
_WRITER = msgspec.msgpack.Encoder()


class Gathering:
    """The counts of all workers that share a folder, as one of them sees them.

    `greatest` are the families of which not the sum but the greatest value counts, `passing` those whose values end
    with the worker that has them.
    """

    def __init__(
        self, folder: Path, *, greatest: frozenset[str] = frozenset(), passing: frozenset[str] = frozenset()
    ) -> None:
        self._folder = folder
        self._greatest, self._passing = greatest, passing
        self._name = uuid4().hex
        self._alive: BinaryIO | None = None
        self._snapshot: Callable[[], Samples] = dict
        self._counted = Event()
        self._stop = Event()
        self._thread = Thread(target=self._leave_until_stopped, name="metrics", daemon=True)

    def start(self, snapshot: Callable[[], Samples], counted: Event) -> None:
        """Begins to leave what `snapshot` gives, half a second after `counted` was set and now and then besides."""
        self._snapshot, self._counted = snapshot, counted
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            if not any(self._living()):  # the first worker of a node begins anew
                self._fold()
                self._ended.unlink(missing_ok=True)
            self._alive = (self._folder / f"{self._name}.alive").open("wb")
            fcntl.flock(self._alive, fcntl.LOCK_EX)
        self._leave()
        self._thread.start()

    def close(self) -> None:
        """Leaves the last counts for good."""
        self._stop.set()
        self._counted.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._alive is not None:
            self._leave()
            self._alive.close()
            self._alive = None

    def gathered(self, own: Samples) -> Samples:
        """These counts together with those of all other workers, the living and the gone."""
        if self._alive is None:
            return own
        total: Samples = {}
        self._take(total, own)
        try:
            with self._locked():
                self._fold()
                for name in self._living():
                    if name != self._name:
                        self._take(total, _read(self._counts(name)))
                self._take(total, _read(self._ended))
        except OSError as fault:
            _log.warning("the counts of other workers cannot be read: %s", fault.strerror)
        return total

    def _take(self, total: Samples, counts: Samples) -> None:
        for name, series in counts.items():
            together = total.setdefault(name, {})
            for labels, values in series.items():
                before = together.get(labels)
                if before is None or len(before) != len(values):
                    together[labels] = values
                elif name in self._greatest:
                    together[labels] = [max(a, b) for a, b in zip(before, values, strict=True)]
                else:
                    together[labels] = [a + b for a, b in zip(before, values, strict=True)]

    # --- the folder ---------------------------------------------------------------------------------------------------

    @property
    def _ended(self) -> Path:
        return self._folder / "ended.counts"

    def _counts(self, name: str) -> Path:
        return self._folder / f"{name}.counts"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One at a time looks after the folder."""
        with (self._folder / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _living(self) -> list[str]:
        return [file.stem for file in self._folder.glob("*.alive") if file.stem == self._name or not _free(file)]

    def _fold(self) -> None:
        """Adds what workers that are gone have counted to what is counted for good."""
        gone = [file for file in self._folder.glob("*.alive") if file.stem != self._name and _free(file)]
        if not gone:
            return
        total = _read(self._ended)
        for file in gone:
            left = _read(self._counts(file.stem))
            self._take(total, {name: series for name, series in left.items() if name not in self._passing})
        _write(self._ended, total)
        for file in gone:
            self._counts(file.stem).unlink(missing_ok=True)
            file.unlink(missing_ok=True)

    def _leave_until_stopped(self) -> None:
        while not self._stop.is_set():
            self._counted.wait(_STANDING)
            if self._stop.wait(_EVERY):
                return
            self._counted.clear()
            try:
                self._leave()
            except Exception:  # noqa: BLE001 -- half a second later it may well work
                _log.exception("what was counted could not be left for the other workers")

    def _leave(self) -> None:
        with suppress(FileNotFoundError):  # the folder was removed: then nobody shares it
            _write(self._counts(self._name), self._snapshot())


def _free(file: Path) -> bool:
    """Whether nobody holds the file's lock any more."""
    try:
        with file.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True
    return True


def _read(file: Path) -> Samples:
    samples: Samples = {}
    try:
        lines = _READER.decode(file.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return samples
    for name, labels, values in lines:
        samples.setdefault(name, {})[labels] = [*values]
    return samples


def _write(file: Path, samples: Samples) -> None:
    lines = [(name, labels, values) for name, series in samples.items() for labels, values in series.items()]
    part = file.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(_WRITER.encode(lines))
    part.replace(file)
