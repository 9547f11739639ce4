"""Faults that msgspec finds in a caller's body, named as OpenAI names parameters; it knows no wire format."""

from __future__ import annotations

import re

from dirigent.core.errors import Invalid

__all__ = ["invalid", "missing"]

_PLACE = re.compile(r" - at `(?:key` in `)?\$([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]+)`")


def invalid(fault: Exception, prefix: str = "") -> Invalid:
    """msgspec's words with the path that it found, such as `messages[0].role`."""
    words = str(fault)
    place = _PLACE.search(words)
    path = prefix + (place[1] if place else "")
    message = words[: place.start()] if place else words
    if absent := _MISSING.search(message):
        path = f"{path}.{absent[1]}"
        message = "this field is missing"
    param = path.removeprefix(".") or None
    return Invalid(f"{param}: {message[:1].lower()}{message[1:]}" if param else message, param=param)


def missing(param: str, rule: str) -> Invalid:
    """The fault that a field is not there; `rule` says why it has to be."""
    return Invalid(f"{param}: {rule}", param=param)
