"""JSON Schemas that operators write: whether one is a schema, what does not fit it, and the fields that it names.

A schema refers to nothing outside itself, and its patterns are matched in time proportional to the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import jsonschema_rs
import msgspec

from dirigent.core.errors import Finding
from dirigent.core.journal import read

__all__ = ["as_text", "faults_of", "fields_of", "json_in", "schema_faults", "told"]

_MOST: Final = 20
"""Faults of one value that are told at most."""
_FENCE: Final = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n[ \t]*```", re.DOTALL)
_WRITER: Final = msgspec.json.Encoder(order="sorted", decimal_format="number")


def faults_of(value: object, schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where a value does not fit, such as `items[2].price`, and why; empty where it fits."""
    found = []
    for error in _validator(_WRITER.encode(schema)).iter_errors(value):
        found.append((_dotted(error.instance_path), _short(error.message)))
        if len(found) == _MOST:
            break
    return found


def told(faults: Iterable[tuple[str, str]], at: str) -> str:
    """The faults in one line, each with its place below `at`."""
    return "; ".join(f"{_joined(at, place)}: {words}" for place, words in faults)


def as_text(schema: Mapping[str, Any]) -> str:
    """The schema as a model reads it."""
    return _WRITER.encode(schema).decode()


def json_in(text: str) -> Any:
    """The JSON value in what a model says, within a fence or between its words too. Raises ValueError."""
    for piece in _pieces(text):
        try:
            return read(piece.encode())
        except (msgspec.DecodeError, RecursionError):
            continue
    raise ValueError("there is no JSON in it")


def schema_faults(schema: Mapping[str, Any], path: tuple[str | int, ...]) -> Iterator[Finding]:
    """What is wrong with what ought to be a JSON Schema of draft 2020-12."""
    try:
        _validator(_WRITER.encode(schema))
    except jsonschema_rs.ValidationError as error:
        yield Finding((*path, *error.instance_path), f"this is no JSON Schema: {_short(error.message)}")
    except (ValueError, TypeError) as fault:
        yield Finding(path, f"this is no JSON Schema: {fault}")


def fields_of(schema: Mapping[str, Any] | None, deepest: int = 4) -> Iterator[str]:
    """The fields that an object of this schema may have, with those of the objects within it, as paths.

    None where it may have any others: then nobody knows them all.
    """
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping) or not deepest or schema is None:
        return
    if schema.get("additionalProperties", False) is not False or "patternProperties" in schema or _varied(schema):
        return
    for name, inner in properties.items():
        if not str(name).isidentifier():
            continue
        below = list(fields_of(inner, deepest - 1)) if isinstance(inner, Mapping) else []
        yield from (f"{name}.{field}" for field in below) if below else (str(name),)


def _pieces(text: str) -> Iterator[str]:
    """Where JSON may stand: all of it, what is in a fence, what is between the outermost brackets."""
    yield text
    if (fence := _FENCE.search(text)) is not None:
        yield fence[1]
    for opens, closes in ("{}", "[]"):
        if 0 <= (start := text.find(opens)) < (end := text.rfind(closes)):
            yield text[start : end + 1]


def _varied(schema: Mapping[str, Any]) -> bool:
    return any(word in schema for word in ("allOf", "anyOf", "oneOf", "if", "$ref", "dependentSchemas"))


@lru_cache(maxsize=1_024)
def _validator(schema: bytes) -> jsonschema_rs.Draft202012Validator:
    linear = jsonschema_rs.RegexOptions()
    return jsonschema_rs.Draft202012Validator(msgspec.json.decode(schema), offline=True, pattern_options=linear)


def _dotted(path: Iterable[str | int]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _joined(at: str, place: str) -> str:
    return at + place if place.startswith("[") else f"{at}.{place}" if at and place else at or place


def _short(message: str) -> str:
    line = " ".join(message.partition("\n")[0].split())
    return line if len(line) <= 200 else f"{line[:199]}…"
