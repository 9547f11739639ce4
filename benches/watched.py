"""A node that can be asked what it still holds: `python -m benches.watched FILE serve …` is `dirigent serve …`.

On SIGUSR2 it writes into FILE, as JSON, its tasks, the places that are taken or waited for, and the answers in flight.
Nothing of what is watched is changed: the classes are the node's own, and only where their objects are is remembered.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from pathlib import Path

from dirigent.cli import main as dirigent
from dirigent.memory import MemorySlots, MemoryVitals
from dirigent.server import node as server

__all__ = ["main"]

_slots: list[Slots] = []
_vitals: list[Vitals] = []


class Slots(MemorySlots):
    """The node's own places, known here."""

    def __init__(self) -> None:
        super().__init__()
        _slots.append(self)

    def held(self) -> int:
        """Places that are taken or waited for."""
        return sum(desk.taken + desk.waiting for desk in self._desks.values())


class Vitals(MemoryVitals):
    """The node's own vitals, known here."""

    def __init__(self) -> None:
        super().__init__()
        _vitals.append(self)

    def flying(self) -> int:
        """Answers in flight at all deployments."""
        return sum(pulse.in_flight for pulse in self._pulses.values())


def main() -> None:
    """Serves, and tells when it is asked."""
    file = Path(sys.argv[1])
    sys.argv = ["dirigent", *sys.argv[2:]]
    for kind in (Slots, Vitals):
        name = f"Memory{kind.__name__}"
        if not hasattr(server, name):
            raise RuntimeError(f"the node is no longer made of {name}: watch what has taken its place")
        setattr(server, name, kind)

    def tell(_number: int, _frame: object) -> None:
        gc.collect()  # a circle that nobody holds is no leak, whenever it goes
        held = {
            "tasks": len(asyncio.all_tasks()),
            "slots": sum(slots.held() for slots in _slots),
            "in_flight": sum(vitals.flying() for vitals in _vitals),
        }
        draft = file.with_suffix(".draft")
        draft.write_text(json.dumps(held), encoding="utf-8")
        draft.replace(file)

    signal.signal(signal.SIGUSR2, tell)
    dirigent()


if __name__ == "__main__":
    main()
