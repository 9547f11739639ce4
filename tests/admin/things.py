"""A few operations that are about nothing, to look at how operations are served."""

from __future__ import annotations

import msgspec

from dirigent.control import Desk, operation
from dirigent.control.desk import Taken

__all__ = ["TABLE", "Put"]


class Colour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it looks like."""

    name: str = "red"
    shade: int = 0
    """From light to dark."""


class Put(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to put where."""

    name: str
    """What it is called."""
    count: int = 1
    tags: tuple[str, ...] = ()
    """Words about it."""
    colour: Colour = Colour()
    wanted: bool | None = None


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which things to look at."""

    tags: tuple[str, ...] = ()
    most: int | None = None
    wanted: bool | None = None


class Seen(msgspec.Struct, frozen=True):
    """What was understood."""

    said: str
    by: str
    tenant: str


@operation("things.put", permission="models.publish", changes=True)
def put(desk: Desk, order: Put) -> Seen:
    """Puts a thing there.

    It stays until somebody takes it away.
    """
    if order.name == "taken":
        raise Taken("there is one already", param="name")
    if order.name == "broken":
        raise ZeroDivisionError("secret-of-the-house")
    desk.note(f"thing:{order.name}", "was put there")
    return _seen(desk, order)


@operation("things.list", permission="models.see", changes=False)
def look(desk: Desk, order: Look) -> Seen:
    """Looks at things."""
    return _seen(desk, order)


def _seen(desk: Desk, order: msgspec.Struct) -> Seen:
    return Seen(msgspec.json.encode(order).decode(), f"{desk.actor.kind}:{desk.actor.id}", desk.tenant)


TABLE = {each.name: each for each in (put, look)}
