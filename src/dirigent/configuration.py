"""A configuration file as plain data, with the line of every path in it.

The file is YAML 1.2 in a small, safe dress: no anchors or aliases, no tags, a key twice is a fault, only `true` and
`false` are truth values, and decimal numbers stay exact. It is read from the parser's events, not from its tree of
nodes: so a fault of this kind is a finding with a path like any other, and all of them are named at once.
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
_DEEPEST = 64
"""Levels of nesting. Nobody writes more, and no recursion below has to fear for its stack."""
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_DECIMAL = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?")
_OPEN_TEMPLATE = re.compile(r"(^|[-:,\[]\s+|\[)\{\{")
_TEMPLATE = 'a text that begins with `{{` needs quotation marks: "{{ … }}"'
_WORDS: Mapping[str, object] = {"true": True, "false": False, "null": None, "~": None, "": None}


class Sheet(msgspec.Struct, frozen=True):
    """A configuration file that was read."""

    file: Path
    document: Mapping[str, Any]
    lines: Mapping[Place, int]
    """The line, counted from 1, on which each path stands."""
    faults: tuple[Finding, ...] = ()
    """What this format does not allow, although it could be read."""

    def line(self, path: Place) -> int:
        """The line of `path`, or of the nearest thing around it that stands in the file."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1


class Misread(InvalidConfiguration):
    """A refused configuration that knows the lines of its faults."""

    def __init__(self, findings: Sequence[Finding], sheet: Sheet) -> None:
        super().__init__(findings)
        self.sheet = sheet


def read_sheet(file: Path) -> Sheet:
    """The configuration in `file`. Raises Misread, with the line, where the file cannot be read or is no YAML."""
    try:
        if file.stat().st_size > _LARGEST:
            raise _misread(file, 1, "the file is larger than 4 MiB")
        data = file.read_bytes()
    except OSError as fault:
        raise _misread(file, 1, f"the file cannot be read: {fault.strerror}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise _misread(file, line, f"the file is not UTF-8: byte {data[fault.start]:#04x} is out of place") from None
    reading = _Reading(text)
    try:
        document = reading.document()
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        words = ", ".join(filter(None, (fault.context, fault.problem))).replace(", but", " but") + _advice(fault, text)
        raise _misread(file, mark.line + 1 if mark else 1, words) from None
    except yaml.YAMLError:  # the parser stops at a character that YAML forbids, and says at which
        line, sign = next(((at, sign) for at, sign in _signs(text) if not _printable(sign)), (1, ""))
        raise _misread(file, line, f"the character {sign!a} is not allowed in YAML") from None
    if not isinstance(document, Mapping):
        words = "the file holds no mapping: it has sections such as `providers:` and `models:`"
        raise _misread(file, reading.lines.get((), 1), words)
    return Sheet(file, document, reading.lines, tuple(reading.faults))


def described(error: InvalidConfiguration, file: Path) -> list[str]:
    """Each fault as `file:line: path: message`, in the order of the file."""
    known = error.sheet if isinstance(error, Misread) else Sheet(file, {}, {})
    placed = sorted((known.line(finding.path), finding.dotted(), finding.message) for finding in error.findings)
    return [f"{file}:{line}: {path}: {message}" for line, path, message in placed]


def _misread(file: Path, line: int, words: str) -> Misread:
    return Misread([Finding((), words)], Sheet(file, {}, {(): line}))


def _signs(text: str) -> Iterator[tuple[int, str]]:
    return ((line, sign) for line, row in enumerate(text.split("\n"), 1) for sign in row)


def _printable(sign: str) -> bool:
    return sign in "\t\r\x85" or "\x20" <= sign <= "\x7e" or (sign >= "\xa0" and sign not in "\ufffe\uffff")


class _Reading:
    """The plain tree of a text, the line of every path in it, and what this format does not allow."""

    def __init__(self, text: str) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self.lines: dict[Place, int] = {}
        self.faults: list[Finding] = []

    def document(self) -> object:
        """The tree; empty where the file holds nothing. Raises yaml.YAMLError where the text is no YAML."""
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return {}
        value = self._value(next(self._events), ())
        next(self._events)  # the end of the document
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            raise _misplaced("the file holds a second document; only one is read", following)
        return value

    def _value(self, event: yaml.Event, path: Place) -> object:
        self.lines.setdefault(path, _line(event))
        if len(path) > _DEEPEST:
            raise _misplaced(f"the file is nested more than {_DEEPEST} levels deep", event)
        if isinstance(event, yaml.AliasEvent):
            self._fault(path, f"the alias *{event.anchor} is not part of this format; write the value out")
            return None
        if anchor := getattr(event, "anchor", None):
            self._fault(path, f"the anchor &{anchor} is not part of this format")
        if (tag := getattr(event, "tag", None)) not in (None, "!"):
            self._fault(path, f"the tag {tag} is not part of this format")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path, flow=bool(event.flow_style))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        if not isinstance(event, yaml.ScalarEvent):
            raise _misplaced("expected a value", event)
        return event.value if event.style else _scalar(event.value)  # quoted is text, whatever it looks like

    def _mapping(self, path: Place, *, flow: bool) -> dict[str, object]:
        found: dict[str, object] = {}
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                braces = flow and isinstance(key, yaml.MappingStartEvent) and bool(key.flow_style)
                self._fault(
                    path, _TEMPLATE if braces else f"a key is a plain text, not what stands in line {_line(key)}"
                )
                self._value(key, (*path, "?"))
                self._value(next(self._events), (*path, "?"))
                continue
            inner = (*path, str(key.value))
            if key.value in found:
                first = self.lines[inner]
                self._fault(inner, f"the key {key.value!r} stands twice in the same mapping; first in line {first}")
            self.lines[inner] = _line(key)
            found[str(key.value)] = self._value(next(self._events), inner)
        return found

    def _sequence(self, path: Place) -> list[object]:
        found: list[object] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, (*path, len(found))))
        return found

    def _fault(self, path: Place, message: str) -> None:
        self.faults.append(Finding(path, message))


def _advice(fault: yaml.MarkedYAMLError, text: str) -> str:
    """What is most often behind it, for those who have not written much YAML."""
    problem, lines = fault.problem or "", text.split("\n")
    marks = [mark.line for mark in (fault.problem_mark, fault.context_mark) if mark is not None]
    if any(_OPEN_TEMPLATE.search(line) for at in marks for line in lines[max(0, at - 1) : at + 1]):
        return f": {_TEMPLATE}"
    if "'\\t'" in problem or "cannot start any token" in problem:
        return (
            ": write blanks, not a tab, at the beginning of a line, and quotation marks around a text with such signs"
        )
    if "block" in (fault.context or ""):
        return ": lines that belong together begin in the same column, and a text with `: ` in it takes quotation marks"
    return ""


def _misplaced(problem: str, at: yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=_mark(at))


def _line(event: yaml.Event) -> int:
    return int(_mark(event).line) + 1


def _mark(event: yaml.Event) -> Any:
    return event.start_mark  # the fast loader's marks are of a type of their own, with the same fields


def _scalar(text: str) -> object:
    if text.lower() in ("true", "false", "null") or text in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text.replace("_", "")) if len(text) < 32 else text
    return Decimal(text) if _DECIMAL.fullmatch(text) and len(text) < 32 else text
