"""Several observers as one."""

from __future__ import annotations

import msgspec

from dirigent.core.ports import Observer

__all__ = ["Several"]


class Several:
    """Tells each of its observers everything, in their order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def observe(self, observation: msgspec.Struct) -> None:
        """Tells all of them."""
        for observer in self._observers:
            observer.observe(observation)
