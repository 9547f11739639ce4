"""A document between Markdown and its format: blocks, and the runs of text in them."""

from __future__ import annotations

import msgspec

__all__ = [
    "Block",
    "Code",
    "Cut",
    "Figure",
    "Heading",
    "Listing",
    "Matrix",
    "Paragraph",
    "Quotation",
    "Rule",
    "Run",
    "Runs",
    "plain_text",
]


class Run(msgspec.Struct, frozen=True):
    """Text of one look. A line break is a run of its own."""

    text: str
    bold: bool = False
    italic: bool = False
    code: bool = False
    struck: bool = False
    link: str = ""


Runs = tuple[Run, ...]


class Heading(msgspec.Struct, frozen=True, tag=True):
    """A heading of level 1 to 6."""

    level: int
    runs: Runs


class Paragraph(msgspec.Struct, frozen=True, tag=True):
    """Text."""

    runs: Runs


class Listing(msgspec.Struct, frozen=True, tag=True):
    """A list, whose items hold blocks; numbered from `start` where there is one."""

    items: tuple[tuple[Block, ...], ...]
    start: int | None = None


class Quotation(msgspec.Struct, frozen=True, tag=True):
    """What somebody else says."""

    blocks: tuple[Block, ...]


class Code(msgspec.Struct, frozen=True, tag=True):
    """Text that stays as it is written."""

    text: str


class Rule(msgspec.Struct, frozen=True, tag=True):
    """A line across."""


class Cut(msgspec.Struct, frozen=True, tag=True):
    """A new page begins."""


class Matrix(msgspec.Struct, frozen=True, tag=True):
    """A table that is written in the text."""

    head: tuple[Runs, ...]
    rows: tuple[tuple[Runs, ...], ...]
    right: tuple[bool, ...]
    """Which columns stand to the right."""


class Figure(msgspec.Struct, frozen=True, tag=True):
    """The place of a chart, a table or an image."""

    what: str
    """`chart`, `table` or `image`."""
    name: str
    caption: str


Block = Heading | Paragraph | Listing | Quotation | Code | Rule | Cut | Matrix | Figure


def plain_text(runs: Runs) -> str:
    """The text alone."""
    return "".join(run.text for run in runs)
