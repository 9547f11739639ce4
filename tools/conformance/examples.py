"""Well-formed examples of the SDKs' answer types, as JSON: the fields of a type, filled with what it allows."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import pydantic
from pydantic.fields import FieldInfo

__all__ = ["SCRIPTS", "events", "example"]

SCRIPTS = {
    "message_start": (
        "message_start content_block_start content_block_delta content_block_stop message_delta message_stop"
    ),
    "response.created": (
        "response.created response.in_progress response.output_item.added response.content_part.added "
        "response.output_text.delta response.output_text.done response.content_part.done response.output_item.done "
        "response.completed"
    ),
}
"""By the event with which a stream opens: the events of a simple answer, in the order in which vendors send them."""

_PLAIN: dict[Any, Any] = {str: "string", int: 1, float: 1.0, bool: True, object: "string", Any: "string", bytes: ""}
_PLAIN |= {datetime: "2026-01-02T03:04:05Z", date: "2026-01-02"}
_MEANT: dict[tuple[str, type], Any] = {
    **{(name, int): 0 for name in ("index", "output_index", "content_index", "sequence_number")},
    **{(name, str): "UklGRg==" for name in ("data", "b64_json", "partial_image_b64")},
    ("arguments", str): "{}",
}
"""What is true of every vendor though no type says it: counts begin at zero, bytes are base64, calls are JSON."""
_CONTRARY = frozenset({"error", "incomplete_details", "refusal", "stop_details", "stop_sequence"})
"""What an answer that has come to a good end does not have, though its type allows it."""
_DEEPEST = 12
_NOTHING = object()


def example(kind: Any, depth: int = 0) -> Any:
    """A value of this type as JSON has it; the first alternative where there are several.

    An optional field is left out only where filling it would lead back into a type that is just being built.
    """
    made = _example(kind, (), depth)
    if made is _NOTHING:
        raise TypeError(f"no example of {kind}")
    return made


def events(kind: Any) -> list[dict[str, Any]]:
    """The events of one streamed answer: in the vendors' order where events tell their type, else a single one."""
    alternatives = {_tag(each): each for each in _alternatives(kind)}
    for script in SCRIPTS.values():
        names = script.split()
        if all(name in alternatives for name in names):
            return [_event(alternatives[name], name) for name in names]
    tag, first = next(iter(alternatives.items()))
    return [_event(first, tag)]


def _event(kind: Any, tag: str | None) -> dict[str, Any]:
    made: dict[str, Any] = example(kind)
    return made if tag is None else {**made, "type": tag}


def _tag(kind: Any) -> str | None:
    """The one value that the field `type` of an alternative may have."""
    fields: Mapping[str, FieldInfo] = getattr(kind, "model_fields", {})
    field = fields.get("type")
    values = get_args(field.annotation) if field is not None and get_origin(field.annotation) is Literal else ()
    return str(values[0]) if values else None


def _alternatives(kind: Any) -> Iterable[Any]:
    """The members of a union, of a union in a union too; a plain type is its only alternative."""
    kind = _bare(kind)
    if get_origin(kind) in (Union, types.UnionType):
        for each in get_args(kind):
            yield from _alternatives(each)
    else:
        yield kind


def _bare(kind: Any) -> Any:
    """The type without what is noted on it, and behind its alias."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif hasattr(kind, "__value__"):
            kind = kind.__value__
        elif isinstance(kind, TypeVar):
            kind = kind.__bound__ or Any
        else:
            return kind


def _example(kind: Any, above: tuple[Any, ...], depth: int) -> Any:
    """The same, or `_NOTHING` where the type could only be built out of itself."""
    kind = _bare(kind)
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if depth > _DEEPEST or kind in above:
        return _NOTHING
    if kind is None or kind is type(None):
        return None
    if origin is Literal:
        return arguments[0]
    if origin in (Union, types.UnionType):
        made = (_example(each, above, depth) for each in arguments if each is not type(None))
        found = next((each for each in made if each is not _NOTHING), _NOTHING)
        return None if found is _NOTHING and type(None) in arguments else found
    if isinstance(origin, type) and issubclass(origin, pydantic.BaseModel):
        return _model(kind, (*above, kind), depth)
    if origin in (list, set, tuple, Iterable) or getattr(origin, "__name__", "") in ("Sequence", "Iterable"):
        item = _example(arguments[0], above, depth + 1) if arguments else _NOTHING
        return [] if item is _NOTHING else [item]
    if origin in (dict, Mapping):
        value = _example(arguments[1], above, depth + 1) if arguments else "string"
        return {} if value is _NOTHING else {"key": value}
    if kind in _PLAIN:
        return _PLAIN[kind]
    raise TypeError(f"no example of {kind}")


def _model(kind: Any, above: tuple[Any, ...], depth: int) -> Any:
    made: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        if name in _CONTRARY and not field.is_required():
            continue
        meant = (_MEANT[name, each] for each in _alternatives(field.annotation) if (name, each) in _MEANT)
        value = next(meant, _NOTHING)
        if value is _NOTHING:
            value = _example(field.annotation, above, depth + 1)
        if value is not _NOTHING and (value is not None or field.is_required()):
            made[field.alias or name] = value
        elif field.is_required():
            return _NOTHING
    return made
