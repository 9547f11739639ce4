"""Whether plain data has the shape that one of the SDK's typed dictionaries names, with nothing beyond."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Required, Union, get_args, get_origin, get_type_hints

import typing_extensions
from anthropic.types import MessageCountTokensParams
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming

__all__ = ["assert_counted", "assert_fits", "assert_sendable"]

_SAMPLES = ("temperature", "top_p", "top_k")
"""What the SDK's types no longer know, because the latest models take none of it."""


def assert_sendable(body: Mapping[str, Any]) -> None:
    """Fails where Anthropic's SDK would not send such a request."""
    asked = {key: value for key, value in body.items() if key not in _SAMPLES}
    assert_fits(asked, MessageCreateParamsStreaming if body.get("stream") else MessageCreateParamsNonStreaming)


def assert_counted(body: Mapping[str, Any]) -> None:
    """Fails where Anthropic's SDK would not send such a request to be counted."""
    assert_fits(body, MessageCountTokensParams)


def assert_fits(body: Mapping[str, Any], kind: type) -> None:
    """Fails where the body has not the shape of this typed dictionary, or anything beyond."""
    hints = _hints(kind)
    wrong = [key for key, value in body.items() if key not in hints or not _fits(value, hints[key])]
    assert not wrong, {key: body[key] for key in wrong}
    assert _required(hints) <= body.keys()


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _required(hints: Mapping[str, Any]) -> set[str]:
    """The fields that must be there; the types themselves lose them, because their annotations are texts."""
    return {key for key, hint in hints.items() if get_origin(hint) is Required}


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Required, Annotated):
        return _fits(value, arguments[0])
    if hint is Any or hint is object:
        return True
    if hint is None or hint is type(None):
        return value is None
    if origin is Literal:
        return value in arguments
    if origin is Union:
        return any(_fits(value, option) for option in arguments)
    if typing_extensions.is_typeddict(hint):
        hints = _hints(hint)
        return (
            isinstance(value, dict)
            and _required(hints) <= value.keys() <= hints.keys()
            and all(_fits(each, hints[key]) for key, each in value.items())
        )
    if origin is dict:
        return isinstance(value, dict) and all(_fits(each, arguments[1]) for each in value.values())
    if origin is not None and arguments:  # every other container of the SDK's types is a list in JSON
        return isinstance(value, list) and all(_fits(each, arguments[0]) for each in value)
    if hint in (str, bool, dict):
        return type(value) is hint
    if hint in (int, float):
        return type(value) in (int, float)
    return False  # the SDK's own objects, of which JSON knows nothing
