"""A table that the operator keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from dirigent.core.errors import Invalid
from dirigent.core.registry import nearest
from dirigent.core.run import Run
from dirigent.models.tools.tool import Tool

__all__ = ["Lookup"]


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is looked for."""

    key: str
    """The key, as the table writes it; capital and small letters are the same."""


class Lookup(Tool, frozen=True):
    """Look something up in a table by its key."""

    takes: ClassVar[type[msgspec.Struct]] = Key

    table: Annotated[Mapping[str, Any], Meta(min_length=1)]
    """The table: plain data by key."""
    about: str = ""
    """What stands in it, for a model to read."""
    otherwise: Any = None
    """What is given for a key that is not there; without it that is a failure, with the nearest key that is."""

    async def call(self, arguments: Any, run: Run) -> Any:
        """What the table has."""
        key = arguments.key.strip()
        if key in self.table:
            return self.table[key]
        small = {name.casefold(): name for name in self.table}
        if (name := small.get(key.casefold())) is not None:
            return self.table[name]
        if self.otherwise is not None:
            return self.otherwise
        raise Invalid(f"there is no {key!r} in the table{nearest(key, self.table)}")

    def description(self) -> str:
        """What it does, and what stands in the table."""
        return f"{self.help()} {self.about}".strip()
