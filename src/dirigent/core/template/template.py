"""Logic-less texts with blanks, such as `We offer {{ total | money("EUR", "de") }}`.

A template ends in time proportional to what it reads and writes, reaches nothing but its scope, and becomes no longer
than a bound. What is absent fills in as nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, NamedTuple

from dirigent.core import expression
from dirigent.core.expression import Expression, ExpressionFault
from dirigent.core.registry import nearest
from dirigent.core.template.filters import FILTERS, known
from dirigent.core.template.plain import LONGEST, plain, shown, too_long

__all__ = ["Template", "compile"]

_LONGEST_SOURCE: Final = 200_000


class _Filtering(NamedTuple):
    name: str
    given: Expression | None
    """The values that it is given, as a list."""


class _Blank(NamedTuple):
    expression: Expression
    filters: tuple[_Filtering, ...]

    def value(self, scope: Mapping[str, object]) -> object:
        value = self.expression.evaluate(scope)
        for each in self.filters:
            given: Any = () if each.given is None else each.given.evaluate(scope)
            value = FILTERS[each.name].apply(value, *given)
        return value


class Template:
    """A text that was read and found to be a template."""

    __slots__ = ("_parts", "names", "source")

    def __init__(self, source: str, parts: tuple[str | _Blank, ...]) -> None:
        self.source = source
        self._parts = parts
        blanks = [part for part in parts if isinstance(part, _Blank)]
        given = [each.given for blank in blanks for each in blank.filters if each.given is not None]
        self.names: frozenset[str] = frozenset[str]().union(
            *(blank.expression.names for blank in blanks), *(each.names for each in given)
        )
        """Every path that is read from the scope, as far as it is made of plain names."""

    @property
    def fixed(self) -> bool:
        """Whether there is no blank in it."""
        return all(isinstance(part, str) for part in self._parts)

    def text(self, scope: Mapping[str, object]) -> str:
        """The template filled in. Raises Invalid where it would become too long."""
        written: list[str] = []
        size = 0
        for part in self._parts:
            text = part if type(part) is str else shown(part.value(scope))  # type: ignore[union-attr]
            size += len(text)
            if size > LONGEST:
                raise too_long()
            written.append(text)
        return "".join(written)

    def value(self, scope: Mapping[str, object]) -> Any:
        """The same, but that one which is a blank and nothing else keeps the type of its value, as plain data."""
        if len(self._parts) == 1 and type(only := self._parts[0]) is _Blank:
            return plain(only.value(scope))
        return self.text(scope)


@lru_cache(maxsize=4_096)
def _read(source: str) -> Template:
    return Template(source, tuple(_Reader(source).parts(None)))


def compile(source: str, names: Collection[str] | None = None) -> Template:  # noqa: A001 - as `re.compile`
    """Reads a template of at most 200,000 characters; the same text is read once.

    Where `names` are given, each path in it is one of them, as in an expression. Raises ExpressionFault with line,
    column, what was expected and the place.
    """
    if names is not None:
        return Template(source, tuple(_Reader(source).parts(names)))
    return _read(source)


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        if len(source) > _LONGEST_SOURCE:
            raise ExpressionFault(source, _LONGEST_SOURCE, f"expected at most {_LONGEST_SOURCE:,} characters")

    def parts(self, names: Collection[str] | None) -> list[str | _Blank]:
        parts: list[str | _Blank] = []
        place = 0
        while (opens := self.source.find("{{", place)) >= 0:
            if opens > place:
                parts.append(self.source[place:opens])
            bars, place = self._bars(opens)
            parts.append(self._blank(bars, names))
        if place < len(self.source):
            parts.append(self.source[place:])
        return parts

    def _bars(self, opens: int) -> tuple[list[int], int]:
        """Where a blank begins, each of its filters, and its end; and where the text goes on behind it."""
        source, place = self.source, opens + 2
        bars = [place]
        quote = ""
        while place < len(source):
            sign = source[place]
            if quote:
                if sign == "\\":
                    place += 1
                elif sign in (quote, "\n"):
                    quote = ""
            elif sign in "\"'":
                quote = sign
            elif source.startswith("}}", place):
                return [*bars, place + 1], place + 2
            elif source.startswith("||", place):
                place += 1
            elif sign == "|":
                bars.append(place + 1)
            place += 1
        raise ExpressionFault(source, opens, "expected `}}` at the end of what `{{` begins")

    def _blank(self, bars: list[int], names: Collection[str] | None) -> _Blank:
        spans = [(start, end - 1) for start, end in pairwise(bars)]
        filters = tuple(self._filter(start, end, names) for start, end in spans[1:])
        return _Blank(self._expression(*spans[0], names), filters)

    def _filter(self, start: int, end: int, names: Collection[str] | None) -> _Filtering:
        written = self.source[start:end]
        at = start + len(written) - len(written.lstrip())
        name, bracket, rest = written.strip().partition("(")
        name = name.strip()
        kind = FILTERS.get(name)
        if kind is None:
            words = f"there is no filter `{name}`{nearest(name, FILTERS)}; known are {known(FILTERS)}"
            raise ExpressionFault(self.source, at, words)
        given: Expression | None = None
        count = 0
        if bracket:
            if not rest.endswith(")"):
                raise ExpressionFault(self.source, end, f"expected `)` after what `{name}` is given")
            inner = self.source.index("(", start) + 1
            close = self.source.rindex(")", start, end)
            given = self._given(inner, close, names)
            count = given.elements or 0
        if not kind.fewest <= count <= kind.most:
            wanted = str(kind.fewest) if kind.fewest == kind.most else f"{kind.fewest} to {kind.most}"
            words = f"the filter `{name}` takes {wanted} value{'' if wanted == '1' else 's'}, found {count}"
            raise ExpressionFault(self.source, at, words)
        self._refuse_strangers(name, given, at)
        return _Filtering(name, given if count else None)

    def _given(self, start: int, end: int, names: Collection[str] | None) -> Expression:
        """The values in parentheses, read as one list."""
        return self._expression(start, end, names, "[", "]")

    def _refuse_strangers(self, name: str, given: Expression | None, at: int) -> None:
        """Where a value that is written out must be one of several, whether it is."""
        if given is None or given.names or not FILTERS[name].choices:
            return
        values: Any = given.evaluate({})
        for place, options in FILTERS[name].choices.items():
            if place < len(values) and values[place] not in options:
                value = shown(values[place])
                words = f"`{name}` does not know {value!r}{nearest(value, options)}; known are {known(options)}"
                raise ExpressionFault(self.source, at, words)

    def _expression(
        self, start: int, end: int, names: Collection[str] | None, before: str = "", after: str = ""
    ) -> Expression:
        source = self.source[start:end]
        try:
            return expression.compile(f"{before}{source}{after}", names)
        except ExpressionFault as fault:
            at = start + fault.at - len(before)
            raise ExpressionFault(self.source, max(start, min(at, end)), fault.problem) from None
