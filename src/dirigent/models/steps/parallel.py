"""Several ways are taken at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from msgspec import Meta

from dirigent.core.errors import Finding
from dirigent.core.model import Survey
from dirigent.models.steps.step import Names, Place, Step, named
from dirigent.models.together import together

__all__ = ["Parallel"]


class Parallel(Step, frozen=True, kw_only=True):
    """Walk several lists of steps at the same time; the result has, by name, that of the last step of each.

    The first that fails ends the others at once. One that waits for people lets the others come to their end, so that
    several people can be asked at the same time.
    """

    branches: Annotated[Mapping[str, Annotated[tuple[Step, ...], Meta(min_length=1)]], Meta(min_length=1)]
    """The lists of steps, by name. None sees what another does."""

    async def work(self, place: Place) -> Any:
        """The results by name."""
        results = await together([partial(_last, place, steps, name) for name, steps in self.branches.items()])
        return dict(zip(self.branches, results, strict=True))

    def within(self) -> Iterator[tuple[tuple[str | int, ...], Sequence[Step], Names]]:
        """Every list."""
        for name, steps in self.branches.items():
            yield ("branches", name), steps, frozenset()

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Its names."""
        yield from named(self.branches, ("branches",))

    def gives(self) -> Iterable[str]:
        """The names of the lists."""
        return self.branches.keys()


async def _last(place: Place, steps: Sequence[Step], key: str) -> object:
    return (await place.steps(steps, key)).get(steps[-1].name)
