"""How a document gets an earlier definition of one of its models back, and with it what that definition needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from dirigent.core.errors import Finding

__all__ = ["restored", "section"]

_SECTIONS = ("models", "providers", "sources")


def restored(
    model: str,
    old: Mapping[str, Any],
    present: Mapping[str, Any],
    faults: Callable[[dict[str, Any]], Sequence[Finding]],
) -> dict[str, Any]:
    """The present document with one model as it was in the old one.

    What its definition names and what is not there any more comes back too, but only where the document has `faults`
    without it.
    """
    document = _with(present, {"models": {model: section(old, "models")[model]}})
    return document if not faults(document) else _with(document, _missing(old, document, model))


def section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section of a document; empty where there is none."""
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}


def _missing(old: Mapping[str, Any], present: Mapping[str, Any], model: str) -> dict[str, dict[str, Any]]:
    """What an earlier definition names, and what that names in turn, as far as it is not there any more."""
    found: dict[str, dict[str, Any]] = {kind: {} for kind in _SECTIONS}
    waiting: list[Any] = [section(old, "models")[model]]
    while waiting:
        for word in _words(waiting.pop()):
            for kind in _SECTIONS:
                there = section(old, kind)
                if word in there and word not in section(present, kind) and word not in found[kind]:
                    found[kind][word] = there[word]
                    waiting.append(there[word])
    return found


def _words(value: object) -> Iterator[str]:
    """Every text in it that could be a name. What a deployment is called by its provider is none of ours."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not (key == "name" and "provider" in value):
                yield from _words(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _words(item)


def _with(document: Mapping[str, Any], added: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    changed = {kind: {**section(document, kind), **entries} for kind, entries in added.items() if entries}
    return {**document, **changed}
