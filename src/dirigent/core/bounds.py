"""What a model that takes steps may use up, with all that it asks: nothing below it has more than it has itself."""

from __future__ import annotations

from dirigent.core.errors import Overrun

__all__ = ["Bounds"]


class Bounds:
    """How many more steps may be taken here, within what the one above allows."""

    __slots__ = ("above", "left", "model", "most")

    def __init__(self, model: str, most: int | None, above: Bounds | None) -> None:
        self.model = model
        """Whose bounds these are."""
        self.most = most
        self.left = most
        self.above = above

    def take(self, path: str) -> None:
        """Counts one step, for everybody above as well. Raises Overrun where one of them has no more."""
        here: Bounds | None = self
        while here is not None:
            if here.left is not None:
                if here.left <= 0:
                    words = f"{here.model!r} takes {here.most} steps at most; the next would have been {path!r}"
                    raise Overrun(words)
                here.left -= 1
            here = here.above
