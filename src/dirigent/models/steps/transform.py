"""Texts and lists are put into another form."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from dirigent.core.canonical import canonical
from dirigent.core.errors import Finding, Invalid
from dirigent.core.expression import ABSENT
from dirigent.core.expression.values import greater, less
from dirigent.core.journal import Effect
from dirigent.core.model import Survey
from dirigent.core.template.plain import shown
from dirigent.models.cleaning import Rest, chunks, cleaned
from dirigent.models.filling import expression_faults, filled, holding, template_faults, valued
from dirigent.models.language import language_of
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["Operation", "Sort", "Split", "Transform"]


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a text is cut into pieces."""

    by: Literal["paragraphs", "sentences", "tokens"] = "paragraphs"
    """Where it may be cut; what is longer by itself is cut at the next smaller border."""
    most: Annotated[int, Meta(ge=8, le=100_000)] = 500
    """Tokens of a piece at most, as they are estimated."""
    overlap: Annotated[int, Meta(ge=0, le=50_000)] = 0
    """Tokens at most with which a piece repeats the end of the one before."""


class Sort(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a list is put in order; what is alike stays in its order, and what has no order stands last."""

    by: str = "item"
    """An expression over each `item`: a number or a text."""
    descending: bool = False
    """Whether the greatest stands first."""


class Operation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing that is done; exactly one of these is said."""

    clean: tuple[Rest, ...] | None = None
    """Takes rests out of a text: odd whitespace, the quoted history and signature of a mail, boilerplate, markup."""
    normalise: Literal["NFC", "NFKC"] | None = None
    """Writes each letter of a text in one way; `NFKC` also makes plain letters of ligatures and wide forms."""
    split: Split | None = None
    """Cuts a text into a list of pieces."""
    language: bool | None = None
    """Makes of a text the ISO 639-1 code of its language, or `unknown`."""
    select: str | None = None
    """Keeps of a list each `item` for which this expression holds."""
    each: Any = None
    """Makes of each `item` of a list this plain data with templates in it."""
    sort: Sort | None = None
    """Puts a list in order."""
    unique: str | None = None
    """Keeps of a list the first of those that are equal in this expression over `item`."""
    group: str | None = None
    """Makes of a list one of `key` and `items` for each value of this expression over `item`, in order."""
    limit: Annotated[int, Meta(ge=0)] | None = None
    """Keeps of a list so many from its beginning."""

    @property
    def said(self) -> list[str]:
        """Which of them are said."""
        return [name for name in self.__struct_fields__ if getattr(self, name) is not None]


class Transform(Step, frozen=True, kw_only=True):
    """Put a text or a list into another form, one operation after the other. No model is asked."""

    effect: ClassVar[Effect] = "pure"

    of: Any
    """A template, or plain data with templates in it: what is put into another form."""
    operations: Annotated[tuple[Operation, ...], Meta(min_length=1)]
    """What is done, in order."""

    async def work(self, place: Place) -> Any:
        """What has become of it."""
        value = place.value(self.of)
        for operation in self.operations:
            for name in operation.said:
                value = _OPERATIONS[name](value, operation, place.scope)
        return value

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """Its templates and expressions, and operations that say nothing or too much."""
        yield from template_faults(self.of, names, ("of",))
        inner = frozenset(name for name in names if name.partition(".")[0] != "item") | {"item"}
        for number, operation in enumerate(self.operations):
            path = ("operations", number)
            if len(operation.said) != 1:
                yield Finding(path, f"one operation says one thing, and this says {len(operation.said)}")
            for field in ("select", "unique", "group"):
                yield from expression_faults(getattr(operation, field), inner, (*path, field))
            if operation.sort is not None:
                yield from expression_faults(operation.sort.by, inner, (*path, "sort", "by"))
            yield from template_faults(operation.each, inner, (*path, "each"))


Scope = Mapping[str, object]


def _select(value: object, operation: Operation, scope: Scope) -> object:
    condition = operation.select or "true"
    return [item for item in _list(value) if holding(condition, {**scope, "item": item})]


def _each(value: object, operation: Operation, scope: Scope) -> object:
    return [filled(operation.each, {**scope, "item": item}) for item in _list(value)]


def _sort(value: object, operation: Operation, scope: Scope) -> object:
    sort = operation.sort or Sort()
    marked = [(valued(sort.by, {**scope, "item": item}), item) for item in _list(value)]
    numbers = [pair for pair in marked if less(pair[0], 0) or greater(pair[0], 0) or pair[0] == 0]
    texts = [pair for pair in marked if isinstance(pair[0], str)]
    for pairs in (numbers, texts):
        pairs.sort(key=lambda pair: pair[0], reverse=sort.descending)
    placed = {id(pair) for pair in (*numbers, *texts)}
    return [item for _, item in (*numbers, *texts, *(pair for pair in marked if id(pair) not in placed))]


def _unique(value: object, operation: Operation, scope: Scope) -> object:
    kept: dict[bytes, object] = {}
    for item in _list(value):
        kept.setdefault(_mark(operation.unique or "item", item, scope), item)
    return list(kept.values())


def _group(value: object, operation: Operation, scope: Scope) -> object:
    groups: dict[bytes, dict[str, Any]] = {}
    for item in _list(value):
        source = operation.group or "item"
        key = valued(source, {**scope, "item": item})
        mark = _mark(source, item, scope)
        groups.setdefault(mark, {"key": None if key is ABSENT else key, "items": []})["items"].append(item)
    return list(groups.values())


_OPERATIONS: dict[str, Callable[[object, Operation, Scope], object]] = {
    "clean": lambda value, done, _: cleaned(_text(value), done.clean or ()),
    "each": _each,
    "group": _group,
    "language": lambda value, *_: language_of(_text(value)),
    "limit": lambda value, done, _: _list(value)[: done.limit],
    "normalise": lambda value, done, _: unicodedata.normalize(done.normalise or "NFC", _text(value)),
    "select": _select,
    "sort": _sort,
    "split": lambda value, done, _: _pieces(_text(value), done.split or Split()),
    "unique": _unique,
}


def _mark(source: str, item: object, scope: Scope) -> bytes:
    value = valued(source, {**scope, "item": item})
    return b"" if value is ABSENT else canonical(value)


def _pieces(text: str, split: Split) -> list[str]:
    return chunks(text, split.by, split.most, split.overlap)


def _text(value: object) -> str:
    if isinstance(value, list | dict):
        raise Invalid("this operation takes a text, and it is given a list or an object")
    return shown(value)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise Invalid("this operation takes a list, and it is given something else")
    return value
