"""A configuration file as plain data, with the line of every path in it.

The file is YAML 1.2 in a small, safe dress: no anchors or aliases, no tags, a key twice is an error, only `true` and
`false` are truth values, and decimal numbers stay exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import yaml

from dirigent.core.errors import Finding, InvalidConfiguration

__all__ = ["Misread", "Sheet", "described", "read_sheet"]

Place = tuple[str | int, ...]

_LARGEST = 4 * 1024 * 1024
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_DECIMAL = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, object] = {"true": True, "false": False, "null": None, "~": None, "": None}


class Sheet(msgspec.Struct, frozen=True):
    """A configuration file that was read."""

    file: Path
    document: Mapping[str, Any]
    lines: Mapping[Place, int]
    """The line, counted from 1, on which each path stands."""

    def line(self, path: Place) -> int:
        """The line of `path`, or of the nearest thing around it that stands in the file."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1


def read_sheet(file: Path) -> Sheet:
    """The configuration in `file`. Raises InvalidConfiguration in words with a line, also where the file cannot be read."""
    try:
        if file.stat().st_size > _LARGEST:
            raise InvalidConfiguration([Finding((), "the file is larger than 4 MiB")])
        text = file.read_text(encoding="utf-8")
    except OSError as fault:
        raise InvalidConfiguration([Finding((), f"the file cannot be read: {fault.strerror}")]) from None
    except UnicodeDecodeError as fault:
        raise InvalidConfiguration([Finding((), f"the file is not UTF-8: byte {fault.start}")]) from None
    lines: dict[Place, int] = {}
    try:
        _refuse_references(text)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
        document = _plain(root, (), lines) if root is not None else {}
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        lines[()] = mark.line + 1 if mark else 1
        raise Misread(
            [Finding((), " ".join(filter(None, (fault.problem, fault.context))))], Sheet(file, {}, lines)
        ) from None
    except yaml.YAMLError as fault:
        raise Misread([Finding((), str(fault).splitlines()[0])], Sheet(file, {}, lines)) from None
    except RecursionError:
        raise Misread([Finding((), "the file is nested too deeply")], Sheet(file, {}, lines)) from None
    sheet = Sheet(file, document if isinstance(document, Mapping) else {}, lines)
    if not isinstance(document, Mapping):
        raise Misread(
            [Finding((), "the file holds no mapping: it has sections such as `providers:` and `models:`")], sheet
        )
    return sheet


class Misread(InvalidConfiguration):
    """A refused configuration that knows the lines of its faults."""

    def __init__(self, findings: Sequence[Finding], sheet: Sheet) -> None:
        super().__init__(findings)
        self.sheet = sheet


def described(error: InvalidConfiguration, file: Path) -> list[str]:
    """Each fault as `file:line: path: message`, in the order of the file."""
    known = error.sheet if isinstance(error, Misread) else Sheet(file, {}, {})
    placed = sorted((known.line(finding.path), finding.dotted(), finding.message) for finding in error.findings)
    return [f"{file}:{line}: {path}: {message}" for line, path, message in placed]


def _misplaced(problem: str, at: yaml.Event | yaml.Node) -> yaml.MarkedYAMLError:
    mark: Any = at.start_mark  # the fast loader's marks are of a type of their own, with the same fields
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _refuse_references(text: str) -> None:
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _misplaced("anchors and aliases are not part of this format; write the value out", event)
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            raise _misplaced(f"the tag {tag} is not part of this format", event)


def _plain(node: yaml.Node, path: Place, lines: dict[Place, int]) -> object:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return dict(_pairs(node, path, lines))
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, index), lines) for index, item in enumerate(node.value)]
    return node.value if getattr(node, "style", None) else _scalar(node.value)  # quoted is text, whatever it looks like


def _pairs(node: yaml.MappingNode, path: Place, lines: dict[Place, int]) -> Iterator[tuple[str, object]]:
    seen: set[str] = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _misplaced("a key is a plain text here", key)
        name = str(key.value)
        if name in seen:
            raise _misplaced(f"the key {name!r} stands twice in the same mapping", key)
        seen.add(name)
        lines[(*path, name)] = key.start_mark.line + 1
        yield name, _plain(value, (*path, name), lines)


def _scalar(text: str) -> object:
    if text.lower() in ("true", "false", "null") or text in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", "")) if len(text) < 32 else text
    return Decimal(text) if _DECIMAL.fullmatch(text) and len(text) < 32 else text
