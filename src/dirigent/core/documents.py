"""What documents are made of, and what is read out of them: data that any format can be written from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from dirigent.core.forms import Language

__all__ = [
    "Chart",
    "ChartKind",
    "Column",
    "Document",
    "DocumentFormat",
    "Extract",
    "Form",
    "Grid",
    "Made",
    "ReadLimits",
    "Sheet",
    "Style",
    "Template",
]

DocumentFormat = Literal["md", "html", "docx", "pdf", "xlsx"]
Form = Literal["text", "integer", "number", "money", "percent", "date", "time", "month"]
"""How a value is shown. `percent` shows 0.125 as 12.5 %."""
ChartKind = Literal["bar", "stacked", "line", "pie", "waterfall"]
Template = Literal["plain", "report", "quote", "letter"]
Field = Annotated[str, Meta(min_length=1, max_length=200)]
Colour = Annotated[str, Meta(pattern="^#[0-9a-fA-F]{6}$")]


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One column of a table."""

    field: Field
    """Of the row, whose value stands there."""
    title: str | None = None
    """Its heading; the field's name where nothing is said."""
    form: Form | None = None
    """How its values are shown; found out from the values where nothing is said."""
    decimals: Annotated[int, Meta(ge=0, le=9)] | None = None
    """Digits behind the point; two for money, one for a share, as many as there are for other numbers."""
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "EUR"
    """Of money."""
    total: bool = False
    """Whether the last line has its sum; in a workbook as a formula."""
    formula: str | None = None
    """In a workbook, what computes its cells, fields in braces: `{quantity}*{price}`; elsewhere the values stand."""


class Grid(msgspec.Struct, frozen=True, omit_defaults=True):
    """A table of data."""

    rows: tuple[Mapping[str, Any], ...]
    columns: tuple[Column, ...] = ()
    """All fields of the first rows where none is named."""
    title: str = ""
    last_is_sum: bool = False
    """Whether the last row is the sum of those above it: then it stands out."""


class Chart(msgspec.Struct, frozen=True, omit_defaults=True):
    """A picture of numbers."""

    kind: ChartKind
    rows: tuple[Mapping[str, Any], ...]
    x: str
    """The field that names each row: a category, or a date."""
    y: tuple[str, ...]
    """The fields whose numbers are drawn, one series each."""
    title: str = ""
    names: Mapping[str, str] = {}
    """What a series is called, by its field; else the field's name."""
    form: Form = "number"
    decimals: int | None = None
    currency: str = "EUR"


class Style(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the documents of a house look."""

    company: str = ""
    """Stands in the header, and before the sender's line of a letter."""
    address: tuple[str, ...] = ()
    """Lines of the house's own address."""
    contact: tuple[str, ...] = ()
    """Further lines about the house, such as telephone, register and bank; they stand in the footer."""
    colour: Colour = "#1b4b9b"
    """Of headings, rules and the first series of a chart."""
    logo: str = ""
    """A PNG or JPEG, by the id of a file of the run."""
    footer: str = ""
    """A line at the bottom of each page, beside its number."""
    page: Literal["A4", "Letter"] = "A4"


class Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document before it has a format."""

    markdown: str = ""
    """The text. A paragraph that is one picture alone places a chart, table or image by its name:
    `![Caption](chart:sales)`, `![](table:positions)`, `![](image:photo)`; one that is `<pagebreak>` begins a page."""
    title: str = ""
    subtitle: str = ""
    language: Language = "de"
    template: Template = "plain"
    to: tuple[str, ...] = ()
    """Lines of the recipient's address, for quotes and letters."""
    facts: Mapping[str, Any] = {}
    """What stands beside the address, such as number and date, in this order."""
    tables: Mapping[str, Grid] = {}
    charts: Mapping[str, Chart] = {}
    images: Mapping[str, bytes] = {}
    """PNG or JPEG, by name; `logo` is the house's own."""
    style: Style = Style()


class Made(msgspec.Struct, frozen=True):
    """A document in its format."""

    data: bytes
    content_type: str
    extension: str
    pages: int | None = None
    """Where the format has pages."""
    notes: tuple[str, ...] = ()
    """What could not be shown as it was asked, such as a picture that is none."""


class ReadLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How much of a file is read."""

    bytes: Annotated[int, Meta(ge=1, le=200_000_000)] = 25_000_000
    """Of the file; a larger one is refused."""
    unpacked: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 200_000_000
    """Of what a packed file holds once unpacked; more is refused."""
    pages: Annotated[int, Meta(ge=1, le=10_000)] = 500
    """Pages, or sheets of a workbook; what lies behind is left out, and said so."""
    rows: Annotated[int, Meta(ge=1, le=1_000_000)] = 50_000
    """Rows of one table; what lies behind is left out, and said so."""
    characters: Annotated[int, Meta(ge=1, le=50_000_000)] = 2_000_000
    """Of text; what lies behind is left out, and said so."""


class Sheet(msgspec.Struct, frozen=True, omit_defaults=True):
    """A table that was read."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    lines: tuple[int, ...] = ()
    """The line in the file on which each row stands."""


class Extract(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was read out of a file."""

    kind: str
    """pdf, docx, xlsx, csv, parquet, html, markdown, text or mail."""
    text: str = ""
    """With headings as Markdown has them, as far as the format knows any."""
    pages: tuple[str, ...] = ()
    """The text of each page, where the format has pages."""
    tables: tuple[Sheet, ...] = ()
    facts: Mapping[str, Any] = {}
    """What the file tells of itself: author, dates, subject, sender …"""
    attachments: tuple[str, ...] = ()
    """Names of files within it, which were not read."""
    cut: tuple[str, ...] = ()
    """What was left out, in words; empty where all of it was read."""
