"""Puts away the logs of dead holders: what they settled is booked, what was open is presumed, the rest returned."""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from dirigent.store.database import Database
from dirigent.store.ledger.books import Sums, conclude, fence
from dirigent.store.ledger.log import HEADER, HELD, OPENED, PRESUMED, SETTLED, amounts, lines, locked, pairs
from dirigent.store.ledger.opening import Header, Opened

__all__ = ["Story", "read_story", "replay_all"]

_log = logging.getLogger("dirigent.ledger")


class Story(msgspec.Struct):
    """What a log tells that the database does not know."""

    settled: dict[str, Sums]
    """Of each window, what was settled and not told."""
    opened: dict[str, int]
    """Of each window, what was on hold at the end."""
    boot: str = ""
    """The start of the machine in which it was written."""


def replay_all(database: Database, folder: Path, boot: str) -> int:
    """Puts away each log in the folder that no process writes to; how many that were. Raises DatabaseGone."""
    count = 0
    for lock in sorted(folder.glob("*.lock")):
        descriptor = locked(lock)
        if descriptor is None:
            continue
        try:
            _replay(database, folder, lock.stem, boot)
            count += 1
        finally:
            os.close(descriptor)
    return count


def _replay(database: Database, folder: Path, holder: str, boot: str) -> None:
    parts = sorted(folder.glob(f"{holder}.*.log"))
    flushed = database.write(partial(fence, holder=holder))
    if flushed is not None:
        story = read_story(parts, flushed)

        def work(connection: Connection) -> None:
            conclude(connection, holder, story.settled, story.opened, whole=bool(boot) and boot == story.boot)

        database.write(work)
        _log.warning("the ledger of a worker that died is put away: %s", holder)
    for part in parts:
        part.unlink(missing_ok=True)
    (folder / f"{holder}.lock").unlink(missing_ok=True)


def read_story(parts: list[Path], flushed: int) -> Story:
    """What stands in the parts of a log beyond the last line that the database has been told."""
    story = Story({}, {})
    windows: dict[int, str] = {}
    holds: dict[int, list[tuple[int, int]]] = {}
    for part in parts:
        for kind, number, rest in lines(part.read_bytes()):
            if kind == HEADER:
                story.boot = msgspec.json.decode(rest, type=Header).boot
            elif kind == OPENED:
                opened = msgspec.json.decode(rest, type=Opened)
                windows[opened.index] = opened.window
            elif kind == HELD:
                holds[number] = pairs(rest)
            elif kind == SETTLED:
                hold, actual = amounts(rest)
                held = holds.pop(hold, [])
                if number > flushed:
                    _settle(story, windows, held, actual)
    for held in holds.values():
        for index, amount in held:
            window = windows[index]
            story.opened[window] = story.opened.get(window, 0) + amount
    return story


def _settle(story: Story, windows: dict[int, str], held: list[tuple[int, int]], actual: tuple[int, ...]) -> None:
    for (index, amount), spent in zip(held, actual, strict=True):
        sums = story.settled.setdefault(windows[index], Sums())
        if spent == PRESUMED:
            sums.presumed += amount
        else:
            sums.booked += min(spent, amount)
            sums.overrun += max(0, spent - amount)
