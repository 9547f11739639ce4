"""Whether a value fits a JSON Schema, in words for people; nothing is fetched, and no expression of a stranger runs.

All of the validation vocabulary of draft 2020-12 is checked but `pattern`, `patternProperties` and `format` (a caller's
expression could keep the node busy for ever), references to elsewhere, and what depends on annotations
(`unevaluatedProperties`, `unevaluatedItems`). What is not checked rules nothing out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isclose
from typing import Any

__all__ = ["fault_in"]

_DEEPEST = 64
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def fault_in(value: object, schema: object) -> str | None:
    """The first place where `value` does not fit, and why; None where it fits, or where the schema is none."""
    try:
        return next(_Check(schema).faults(value, schema, "", 0), None)
    except (TypeError, ValueError, AttributeError, ArithmeticError):  # a bound that is a text, a list that is a number
        return None


class _Check:
    """One schema, in which references are looked up."""

    def __init__(self, root: object) -> None:
        self._root = root

    def faults(self, value: object, schema: object, place: str, depth: int) -> Iterator[str]:
        """Whatever does not fit, as far as anybody reads on."""
        if isinstance(schema, bool):
            if not schema:
                yield f"{place or 'it'} may not be there"
            return
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return
        at = place or "it"
        if "type" in schema and not _is(value, schema["type"]):
            yield f"{at} is not of type {_listed(schema['type'])}"
            return
        if "const" in schema and not _same(value, schema["const"]):
            yield f"{at} is not {schema['const']!r}"
        if isinstance(options := schema.get("enum"), list) and not any(_same(value, each) for each in options):
            yield f"{at} is none of {_listed(options)}"
        yield from self._combined(value, schema, place, depth + 1)
        if isinstance(value, dict):
            yield from self._object(value, schema, place, depth + 1)
        elif isinstance(value, list):
            yield from self._array(value, schema, place, depth + 1)
        elif isinstance(value, str):
            yield from _sized(len(value), schema, "Length", f"{at} has", "characters")
        elif _is(value, "number"):
            yield from _measured(value, schema, at)

    def _combined(self, value: object, schema: Mapping[str, Any], place: str, depth: int) -> Iterator[str]:
        at = place or "it"
        if isinstance(name := schema.get("$ref"), str):
            yield from self.faults(value, self._referred(name), place, depth)
        for option in _schemas(schema.get("allOf")):
            yield from self.faults(value, option, place, depth)

        def fits(option: object) -> bool:
            return next(self.faults(value, option, place, depth), None) is None

        if (options := _schemas(schema.get("anyOf"))) and not any(map(fits, options)):
            yield f"{at} fits none of its {len(options)} forms"
        if (options := _schemas(schema.get("oneOf"))) and sum(map(fits, options)) != 1:
            yield f"{at} does not fit exactly one of its {len(options)} forms"
        if "not" in schema and fits(schema["not"]):
            yield f"{at} has a form that it may not have"
        if "if" in schema:
            yield from self.faults(value, schema.get("then" if fits(schema["if"]) else "else", True), place, depth)

    def _object(self, value: dict[str, Any], schema: Mapping[str, Any], place: str, depth: int) -> Iterator[str]:
        for name in schema.get("required") or ():
            if name not in value:
                yield f"{_below(place, name)} is missing"
        known = schema.get("properties") or {}
        further = schema.get("additionalProperties", True)
        for name, inner in value.items():
            below = _below(place, name)
            if name in known:
                yield from self.faults(inner, known[name], below, depth)
            elif further is False and "patternProperties" not in schema:
                yield f"{below} may not be there"
            elif "patternProperties" not in schema:
                yield from self.faults(inner, further, below, depth)
            if "propertyNames" in schema:
                yield from self.faults(name, schema["propertyNames"], f"the name {name!r}", depth)
        for name, others in (schema.get("dependentRequired") or {}).items():
            yield from (
                f"{_below(place, other)} is missing" for other in others if name in value and other not in value
            )
        for name, other in (schema.get("dependentSchemas") or {}).items():
            if name in value:
                yield from self.faults(value, other, place, depth)
        yield from _sized(len(value), schema, "Properties", f"{place or 'it'} has", "fields")

    def _array(self, value: list[Any], schema: Mapping[str, Any], place: str, depth: int) -> Iterator[str]:
        first = _schemas(schema.get("prefixItems"))
        for index, inner in enumerate(value):
            option = first[index] if index < len(first) else schema.get("items", True)
            yield from self.faults(inner, option, f"{place}[{index}]", depth)
        if schema.get("uniqueItems") is True and any(
            _same(one, other) for index, one in enumerate(value) for other in value[:index]
        ):
            yield f"{place or 'it'} says something twice"
        if "contains" in schema:
            found = sum(next(self.faults(each, schema["contains"], place, depth), None) is None for each in value)
            if not schema.get("minContains", 1) <= found <= schema.get("maxContains", len(value)):
                yield f"{place or 'it'} contains {found} of what it should contain"
        yield from _sized(len(value), schema, "Items", f"{place or 'it'} has", "items")

    def _referred(self, name: str) -> object:
        """What a reference within the schema means; anything where it leads elsewhere."""
        if not name.startswith("#"):
            return True
        found: Any = self._root
        for step in name[1:].split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                return True
        return found


def _is(value: object, types: object) -> bool:
    for name in types if isinstance(types, list) else [types]:
        if name == "integer":
            if (isinstance(value, int) and not isinstance(value, bool)) or (
                isinstance(value, float) and value.is_integer()
            ):
                return True
        elif name in _TYPES and isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool)):
            return True
    return False


def _same(one: object, other: object) -> bool:
    """Equal as JSON: 1 is 1.0, but true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return one == other


def _measured(value: Any, schema: Mapping[str, Any], at: str) -> Iterator[str]:
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{at} is less than {schema['minimum']}"
    if "maximum" in schema and value > schema["maximum"]:
        yield f"{at} is more than {schema['maximum']}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield f"{at} is not more than {schema['exclusiveMinimum']}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield f"{at} is not less than {schema['exclusiveMaximum']}"
    step = schema.get("multipleOf")
    if step and not isclose(value / step, round(value / step), rel_tol=1e-9, abs_tol=1e-9):
        yield f"{at} is no multiple of {step}"


def _sized(size: int, schema: Mapping[str, Any], what: str, words: str, unit: str) -> Iterator[str]:
    if size < schema.get(f"min{what}", 0):
        yield f"{words} fewer than {schema[f'min{what}']} {unit}"
    if size > schema.get(f"max{what}", size):
        yield f"{words} more than {schema[f'max{what}']} {unit}"


def _schemas(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _listed(values: object) -> str:
    return ", ".join(map(str, values)) if isinstance(values, list) else str(values)
