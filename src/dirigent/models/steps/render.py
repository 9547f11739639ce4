"""The step that writes documents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Final, get_args

import msgspec
from msgspec import Meta

from dirigent.core.documents import (
    Chart,
    ChartKind,
    Column,
    Document,
    DocumentFormat,
    Form,
    Grid,
    Style,
    Template,
)
from dirigent.core.errors import Finding, Invalid, Unavailable
from dirigent.core.forms import Language
from dirigent.core.journal import Effect
from dirigent.core.model import Survey
from dirigent.models.filling import template_faults
from dirigent.models.steps.step import Names, Place, Step

__all__ = ["DrawnChart", "Render", "SetTable"]

_MOST_IMAGES = 20
_LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
_PLACED = re.compile(r"!\[[^\]\n]*\]\((chart|table|image):([^)\s]+)\)")
_UNSAFE = re.compile(r"[^\w.,()+=@ -]+")


class SetTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A table of a document."""

    rows: Any
    """A template that gives a list of objects, such as `{{ orders.rows }}`."""
    columns: tuple[Column, ...] = ()
    """Its columns, their titles with templates; all fields of the rows where none is named."""
    title: str = ""
    """Above it, and the name of its sheet in a workbook; templates are filled in."""
    last_is_sum: bool = False
    """Whether the last row is the sum of those above it: then it stands out."""


class DrawnChart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A chart of a document."""

    kind: ChartKind
    """How numbers are drawn; a `waterfall` adds its first series up to a result."""
    rows: Any
    """A template that gives a list of objects."""
    x: Annotated[str, Meta(min_length=1)]
    """The field that names each row: a category, a date, a month."""
    y: Annotated[tuple[str, ...], Meta(min_length=1, max_length=6)]
    """The fields whose numbers are drawn."""
    title: str = ""
    """Above it; templates are filled in."""
    names: Mapping[str, str] = {}
    """What a series is called, by its field; templates are filled in."""
    form: Form = "number"
    """How its numbers are written."""
    decimals: Annotated[int, Meta(ge=0, le=9)] | None = None
    """Digits behind the point."""
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] = "EUR"
    """Of money."""


class Render(Step, frozen=True, kw_only=True):
    """Write a document: Markdown with tables and charts as PDF, Word, HTML or Markdown, or tables as a workbook.

    In the text, a paragraph that is one picture places a chart, a table or an image: `![Caption](chart:sales)`,
    `![Caption](table:positions)`, `![Caption](image:photo)`. A paragraph that is `<pagebreak>` begins a page. The
    result has the `file`, its `name`, `content_type` and `size`, how many `pages` it has, and `notes` on what could not
    be shown.
    """

    effect: ClassVar[Effect] = "idempotent"

    format: DocumentFormat = "pdf"
    """What is written."""
    file_name: Annotated[str, Meta(min_length=1, max_length=300)] = "{{ run.id }}"
    """What the file is called, without its ending; templates are filled in."""
    markdown: str = ""
    """The text; templates are filled in."""
    title: str = ""
    """Above the text; templates are filled in."""
    subtitle: str = ""
    """Below the title; templates are filled in."""
    language: str = "de"
    """Of numbers, dates and the few words that are ours: `de`, `en`, or a template that gives one of them."""
    template: Template = "plain"
    """What stands around the text: nothing, the head of a report, or the addresses of a quote or letter."""
    to: tuple[str, ...] = ()
    """Lines of the recipient's address; templates are filled in, and a line that becomes empty is left out."""
    facts: Mapping[str, Any] = {}
    """What stands beside the address or below the title, such as number and date; templates are filled in."""
    tables: Mapping[str, SetTable] = {}
    """Tables by name."""
    charts: Mapping[str, DrawnChart] = {}
    """Charts by name."""
    images: Mapping[str, str] = {}
    """Images by name: templates that give the id of a file of the run."""
    style: Style = Style()
    """How the house looks."""

    async def work(self, place: Place) -> Any:
        """The file. Raises Invalid where it cannot be written so, Unavailable."""
        run = place.run
        if run.ports.documents is None or run.ports.files is None:
            raise Unavailable("this node writes no documents: that takes the extra `dirigent[office]`")
        document = Document(
            markdown=place.text(self.markdown),
            title=place.text(self.title).strip(),
            subtitle=place.text(self.subtitle).strip(),
            language=self._tongue(place),
            template=self.template,
            to=tuple(line for each in self.to for line in place.text(each).strip().splitlines() if line.strip()),
            facts={name: place.value(value) for name, value in self.facts.items()},
            tables={name: self._table(name, table, place) for name, table in self.tables.items()},
            charts={name: self._chart(name, chart, place) for name, chart in self.charts.items()},
            images=await self._images(place),
            style=self.style,
        )
        made = await run.ports.documents.render(document, self.format)
        name = f"{_file_name(place.text(self.file_name))}.{made.extension}"
        filed = await run.ports.files.keep(run.principal.tenant, run.id, name, made.content_type, made.data)
        place.tell(format=self.format, size=filed.size, pages=made.pages, notes=len(made.notes))
        return {
            "file": filed.file,
            "name": filed.name,
            "content_type": filed.content_type,
            "size": filed.size,
            "pages": made.pages,
            "notes": made.notes,
        }

    def faults(self, survey: Survey, names: Names) -> Iterable[Finding]:
        """A workbook without tables, and what the text places that is not there."""
        if self.format == "xlsx" and not self.tables:
            yield Finding(("tables",), "a workbook is made of tables, and there is none")
        if self.format != "xlsx" and not (self.markdown or self.title):
            yield Finding(("markdown",), "the document has no text")
        for setting in ("file_name", "markdown", "title", "subtitle", "to", "facts", "images"):
            yield from template_faults(getattr(self, setting), names, (setting,))
        for setting, shown in (("tables", self.tables), ("charts", self.charts)):
            for name, each in shown.items():
                yield from template_faults(each.rows, names, (setting, name, "rows"))
                yield from template_faults(each.title, names, (setting, name, "title"))
        for name, table in self.tables.items():
            titles = [column.title for column in table.columns]
            yield from template_faults(titles, names, ("tables", name, "columns"))
        for name, chart in self.charts.items():
            yield from template_faults(chart.names, names, ("charts", name, "names"))
        yield from template_faults(self.language, names, ("language",))
        if "{{" not in self.language and self.language not in _LANGUAGES:
            known_ones = " or ".join(_LANGUAGES)
            yield Finding(("language",), f"documents are written in {known_ones}, not in {self.language!r}")
        known = {"chart": self.charts, "table": self.tables, "image": self.images}
        for what, name in _PLACED.findall(self.markdown):
            if "{{" not in name and name not in known[what]:
                yield Finding(("markdown",), f"it places the {what} {name!r}, and there is none of that name")
        if len(self.images) > _MOST_IMAGES:
            yield Finding(("images",), f"a document holds {_MOST_IMAGES} images at most")

    def _tongue(self, place: Place) -> Language:
        """The language. Raises Invalid where the template gives none that is known."""
        wanted = place.text(self.language).strip()
        for language in _LANGUAGES:
            if wanted == language:
                return language
        raise Invalid(f"language: documents are written in {' or '.join(_LANGUAGES)}, not in {wanted!r}")

    def _table(self, name: str, table: SetTable, place: Place) -> Grid:
        columns = tuple(
            column if column.title is None else msgspec.structs.replace(column, title=place.text(column.title))
            for column in table.columns
        )
        rows = _rows(place.value(table.rows), f"tables.{name}")
        return Grid(rows, columns, place.text(table.title), table.last_is_sum)

    def _chart(self, name: str, chart: DrawnChart, place: Place) -> Chart:
        names = {field: place.text(called) for field, called in chart.names.items()}
        return Chart(
            chart.kind, _rows(place.value(chart.rows), f"charts.{name}"), chart.x, chart.y, place.text(chart.title),
            names, chart.form, chart.decimals, chart.currency,
        )  # fmt: skip

    async def _images(self, place: Place) -> dict[str, bytes]:
        files, tenant = place.run.ports.files, place.run.principal.tenant
        wanted = {name: place.text(file).strip() for name, file in self.images.items()}
        if self.style.logo:
            wanted["logo"] = place.text(self.style.logo).strip()
        found: dict[str, bytes] = {}
        for name, file in wanted.items():
            if file and files is not None:
                _, found[name] = await files.read(tenant, file)
        return found


def _rows(value: object, where: str) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(row, Mapping) for row in value):
        raise Invalid(f"{where}: the rows are no list of objects")
    return tuple(value)


def _file_name(text: str) -> str:
    name = _UNSAFE.sub(" ", text).strip(" .")[:120]
    return " ".join(name.split()) or "document"
