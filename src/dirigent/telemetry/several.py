"""Several observers as one."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dirigent.core.ports import Observer

__all__ = ["Several"]

_EVERYTHING: tuple[type, ...] = (msgspec.Struct,)


class Several:
    """Tells each of its observers, in their order, what it `hears`: everything, where it does not say.

    Who hears of which kind is found out once: every request is told of, and most who listen wait for something rare.
    """

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers
        self._hearing: dict[type, tuple[Callable[[msgspec.Struct], None], ...]] = {}

    def observe(self, observation: msgspec.Struct) -> None:
        """Tells all who hear of its kind."""
        kind = type(observation)
        hearing = self._hearing.get(kind)
        if hearing is None:
            hearing = self._hearing[kind] = tuple(
                each.observe for each in self._observers if issubclass(kind, getattr(each, "hears", _EVERYTHING))
            )
        for observe in hearing:
            observe(observation)
