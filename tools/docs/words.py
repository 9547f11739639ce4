"""Types, defaults and tables in the words of the reference pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["default", "page", "plural", "table", "type_in_words"]


def page(*paragraphs: str) -> str:
    """A page of the paragraphs that say something."""
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"


def plural(name: str) -> str:
    """The plural of a contract's name."""
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; a cell may hold several lines."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(text) for text in row) + " |" for row in rows]
    return "\n".join(lines)


def type_in_words(schema: dict[str, Any]) -> str:
    """What may stand there, in a few words, from the JSON Schema of a setting."""
    if "$ref" in schema:
        return _linked(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        options = [type_in_words(option) for option in schema["anyOf"] if option != {"type": "null"}]
        return " or ".join(options)
    match [kind for kind in _listed(schema.get("type")) if kind != "null"]:
        case ["array"]:
            return f"list: {type_in_words(schema.get('items', {}))}"
        case ["object"]:
            return f"mapping of names: {type_in_words(schema.get('additionalProperties') or {})}"
        case ["integer"]:
            return f"whole number{_bounds(schema)}"
        case ["number"]:
            return f"number{_bounds(schema)}"
        case ["number", "string"]:
            return "exact decimal"
        case ["boolean"]:
            return "`true` or `false`"
        case ["string"]:
            return "text"
    return "anything"


def default(schema: dict[str, Any], *, required: bool) -> str:
    """What holds where nothing is said."""
    if required:
        return "**required**"
    value = schema.get("default")
    if value in (None, "", [], {}):
        return "–"
    if isinstance(value, dict) and set(value) == {"type"}:
        return f"`{value['type']}`"
    if isinstance(value, dict):
        return "its own"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _linked(name: str) -> str:
    if name[:1].isupper():
        return f"[{name}](#{name.lower()})"
    return f"[{name}]({plural(name)}.md)"


def _listed(kind: object) -> list[str]:
    return [kind] if isinstance(kind, str) else list(kind) if isinstance(kind, list) else []


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    bounds = {"at least": low, "at most": high, "above": above, "below": below}
    return "".join(f", {words} {bound}" for words, bound in bounds.items() if bound is not None)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
