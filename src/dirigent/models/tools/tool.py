"""The contract of a tool: a typed function that a step calls, or that an agent may call."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, ClassVar

import msgspec

from dirigent.core.errors import Finding, Invalid
from dirigent.core.journal import Effect
from dirigent.core.registry import Kind
from dirigent.core.run import Run
from dirigent.core.schema import field_help

__all__ = ["Nothing", "Tool"]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No arguments."""


class Tool(Kind, frozen=True):
    """A typed function. Its settings are the operator's, its arguments the caller's, and a model may be the caller."""

    contract: ClassVar[str] = "tool"
    takes: ClassVar[type[msgspec.Struct]] = Nothing
    """Its arguments: a struct whose fields have docstrings, for a model reads them."""
    effect: ClassVar[Effect] = "pure"
    """What calling it again would do."""

    async def call(self, arguments: Any, run: Run) -> Any:
        """What it gives, as plain data; `arguments` are of the struct that it takes. Raises a DirigentError."""
        raise NotImplementedError

    async def called(self, arguments: Mapping[str, Any], run: Run) -> Any:
        """What it gives for arguments as plain data. Raises Invalid where they do not fit, with the field."""
        try:
            fitting = msgspec.convert(arguments, self.takes, strict=True)
        except msgspec.ValidationError as fault:
            raise Invalid(f"the arguments for {self.type_name()!r}: {fault}") from None
        return await self.call(fitting, run)

    def parameters(self) -> Mapping[str, Any]:
        """The JSON Schema of its arguments, for a model to read."""
        return _parameters(self.takes)

    def description(self) -> str:
        """What it does, for a model to read."""
        return self.help()

    def faults(self) -> Iterable[Finding]:
        """What is wrong with these settings beyond their fields; paths are relative to the tool."""
        return ()


@cache
def _parameters(takes: type[msgspec.Struct]) -> Mapping[str, Any]:
    (schema,), definitions = msgspec.json.schema_components([takes], ref_template="#/$defs/{name}")
    whole: dict[str, Any] = dict(definitions.pop(takes.__name__, schema))
    whole.pop("title", None)
    whole["description"] = inspect.getdoc(takes) or ""
    helps = field_help(takes)
    for field in msgspec.structs.fields(takes):
        if (words := helps.get(field.name)) and field.encode_name in whole.get("properties", {}):
            whole["properties"][field.encode_name] = {
                **whole["properties"][field.encode_name],
                "description": " ".join(words.split()),
            }
    return {**whole, "$defs": definitions} if definitions else whole
