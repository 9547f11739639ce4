"""Names of columns that are told apart, also by those to whom small and capital letters are the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["apart"]


def apart(names: Iterable[str], taken: Iterable[str] = ()) -> Sequence[str]:
    """The names, each there once: `name_2` and so on where it is taken, or was there before."""
    known = {name.casefold() for name in taken}
    free = []
    for name in names:
        found, number = name, 2
        while found.casefold() in known:
            found, number = f"{name}_{number}", number + 1
        known.add(found.casefold())
        free.append(found)
    return free
