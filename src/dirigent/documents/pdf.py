"""Pages: a document as PDF, set on a grid of a few sizes, with its fonts inside.

Longer than 400 lines, because a page is one thing: margins, header, text, tables and footer share its measures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from typing import Any

from fontTools.ttLib import TTFont
from fpdf import FPDF
from fpdf.enums import TableBordersLayout
from fpdf.errors import FPDFException
from fpdf.fonts import FontFace
from fpdf.util import Padding
from PIL import Image

from dirigent.core.documents import Document, Grid, Made
from dirigent.documents.blocks import (
    Block,
    Code,
    Cut,
    Figure,
    Heading,
    Listing,
    Matrix,
    Paragraph,
    Quotation,
    Rule,
    Run,
    Runs,
    plain_text,
)
from dirigent.documents.cells import cells_of, worded
from dirigent.documents.charts import drawn
from dirigent.documents.fonts import FONTS
from dirigent.documents.looks import BORDER, INK, MUTED, SUNKEN, WORDS
from dirigent.documents.markdown import blocks_of

__all__ = ["made"]

_PAGES = {"A4": (210.0, 297.0), "Letter": (215.9, 279.4)}
_LEFT, _RIGHT, _TOP, _BOTTOM = 25.0, 20.0, 28.0, 28.0
_TEXT, _LINE = 9.5, 5.1
"""Points of the text, and millimetres from one line to the next."""
_HEADINGS = {1: (15.0, 7.2), 2: (12.0, 6.2), 3: (10.5, 5.6)}
_BEFORE = {1: 7.0, 2: 5.5, 3: 4.0}
_AFTER = 2.6
_LONGEST_CELL = 600
_MOST_ROWS = 2_000
_SHORT, _ROW = 12, 6.3
"""Rows of a table that is not parted if that can be, and millimetres of a row of one line."""
_NARROW = 1.35
"""Points that a table loses for each step in which it would be too wide."""


def made(document: Document) -> Made:
    """The document as PDF."""
    page = _Page(document)
    page.begin()
    page.blocks(blocks_of(document.markdown))
    return Made(bytes(page.output()), "application/pdf", "pdf", page.pages_count, tuple(page.notes))


class _Page(FPDF):
    """The pages while they are set."""

    def __init__(self, document: Document) -> None:
        super().__init__(unit="mm", format=_PAGES[document.style.page])
        self.document = document
        self.style, self.words = document.style, WORDS[document.language]
        self.notes: list[str] = []
        for style, file in FONTS.items():
            if style == "mono":
                self.add_font("mono", "", file)
            else:
                self.add_font("text", style, file)
        self.set_title(document.title or document.style.company or "Dokument")
        self.set_author(document.style.company)
        self.set_creator("Dirigent")
        self.set_lang(document.language)
        self.set_creation_date(datetime.now(UTC))
        self.set_margins(_LEFT, _TOP, _RIGHT)
        self.set_auto_page_break(True, _BOTTOM)  # noqa: FBT003 -- the library's own signature
        self.alias_nb_pages()
        self.c_margin = 0
        self._look()

    # --- what stands on every page ------------------------------------------------------------------------------------

    def header(self) -> None:
        """Who and what, in small; the first page says it in large."""
        if self.page_no() == 1 and self.document.template != "plain":
            self._masthead()
            return
        if self.page_no() == 1 and not self.style.company:
            return
        self._look(size=7.5, colour=MUTED)
        self.set_xy(_LEFT, 14)
        self.cell(self.epw / 2, 4, self._known(self.style.company))
        self.set_xy(_LEFT + self.epw / 2, 14)
        self.cell(self.epw / 2, 4, self._fitting(self.document.title, self.epw / 2), align="R")
        self._across(19.5)
        self.set_y(_TOP)

    def footer(self) -> None:
        """The house's own lines, and which page it is."""
        first = self.page_no() == 1 and self.document.template in ("letter", "quote")
        lines = [*self.style.address, *self.style.contact] if first else []
        rows = -(-len(lines) // 3)
        top = self.h - 14 - (rows * 3.4 if lines else 0)
        self._across(top - 2)
        self._look(size=6.8, colour=MUTED)
        for index, line in enumerate(lines):
            self.set_xy(_LEFT + (index // rows) * self.epw / 3, top + (index % rows) * 3.4)
            self.cell(self.epw / 3 - 3, 3.4, self._fitting(line, self.epw / 3 - 3))
        self.set_xy(_LEFT, self.h - 12.5)
        self.cell(self.epw * 0.75, 4, self._fitting(self.style.footer, self.epw * 0.75))
        self.set_xy(_LEFT + self.epw * 0.5, self.h - 12.5)
        later = self.get_string_width("{nb}") - self.get_string_width(
            "9"
        )  # how many pages there are is known at the end
        self.cell(self.epw * 0.5 + later, 4, self.words["page"].format(self.page_no(), "{nb}"), align="R")

    def _masthead(self) -> None:
        """The house's name or logo at the top of a first page."""
        shown = self._logo()
        if self.style.company:
            self.set_xy(_LEFT, 15)
            self._look("B", 11, self.style.colour)
            self.cell(self.epw * (0.6 if shown else 1), 6, self._fitting(self.style.company, self.epw * 0.6))
        self._across(30 if shown else 24.5, self.style.colour, 0.5)
        self.set_y(34 if shown else _TOP)

    def _logo(self) -> bool:
        data = self.document.images.get("logo")
        if data is None:
            return False
        with suppress(OSError, FPDFException):
            with Image.open(BytesIO(data)) as picture:
                width = min(52.0, 15.0 * picture.width / max(1, picture.height))
                height = width * picture.height / picture.width
            self.image(BytesIO(data), x=self.w - _RIGHT - width, y=12, w=width, h=height, alt_text=self.style.company)
            return True
        self.notes.append("the logo is no PNG or JPEG")
        return False

    def _across(self, y: float, colour: str = BORDER, width: float = 0.2) -> None:
        self.set_draw_color(colour)
        self.set_line_width(width)
        self.line(_LEFT, y, self.w - _RIGHT, y)

    # --- how it begins ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The first page up to where the text begins."""
        self.add_page()
        document = self.document
        match document.template:
            case "letter" | "quote":
                self._addressed()
            case _ if document.title:
                self._look("B", 20, INK)
                self.multi_cell(0, 9, self._known(document.title), align="L", new_x="LMARGIN", new_y="NEXT")
                if document.subtitle:
                    self._look(size=11, colour=MUTED)
                    self.ln(1)
                    self.multi_cell(0, 6, self._known(document.subtitle), align="L", new_x="LMARGIN", new_y="NEXT")
                if document.facts:
                    self.ln(3)
                    self._facts_in_line()
                self.ln(6)
            case _:
                pass
        self._look()

    def _facts_in_line(self) -> None:
        for index, (name, value) in enumerate(self.document.facts.items()):
            if index:
                self._write("   ·   ", colour=BORDER)
            self._write(f"{name} ", colour=MUTED, size=8.5)
            self._write(worded(value, self.document.language), size=8.5)
        self.ln(5)

    def _addressed(self) -> None:
        """Sender's line, recipient, facts beside it, subject: where a window envelope wants them (DIN 5008, form B)."""
        document = self.document
        sender = " · ".join(filter(None, (self.style.company, *self.style.address)))
        self.set_xy(_LEFT, 46)
        self._look(size=6.5, colour=MUTED)
        self.cell(85, 3, self._fitting(sender, 85))
        self.set_draw_color(BORDER)
        self.line(_LEFT, 49.6, _LEFT + 85, 49.6)
        self._look(size=_TEXT)
        for index, line in enumerate(document.to[:8]):
            self.set_xy(_LEFT, 52 + index * 4.6)
            self.cell(85, 4.6, self._fitting(line, 85))
        top = 52.0
        for name, value in document.facts.items():
            self.set_xy(126, top)
            self._look(size=8, colour=MUTED)
            self.cell(30, 4.6, self._fitting(str(name), 29))
            self._look(size=8.5)
            self.set_xy(156, top)
            self.multi_cell(self.w - _RIGHT - 156, 4.6, self._known(worded(value, document.language)), align="L")
            top = max(top + 5.2, self.get_y() + 0.6)
        self.set_draw_color(BORDER)
        self.set_line_width(0.2)
        for mark in (105, 210):
            self.line(5, mark, 8.5, mark)
        self.set_xy(_LEFT, max(98.0, top + 6))
        if document.title:
            self._look("B", 12 if document.template == "letter" else 15, INK)
            self.multi_cell(0, 7, self._known(document.title), align="L", new_x="LMARGIN", new_y="NEXT")
        if document.subtitle:
            self._look(size=10, colour=MUTED)
            self.multi_cell(0, 5.4, self._known(document.subtitle), align="L", new_x="LMARGIN", new_y="NEXT")
        self.ln(5)

    # --- the text -----------------------------------------------------------------------------------------------------

    def blocks(self, blocks: Sequence[Block]) -> None:
        """Sets blocks one below the other."""
        for index, block in enumerate(blocks):
            if isinstance(block, Heading):
                self._heading(block, self._height_of(blocks[index + 1 : index + 2]))
            else:
                self._block(block)

    def _height_of(self, following: Sequence[Block]) -> float:
        """What has to stand on the page of a heading: the picture right below it, or three lines of whatever comes."""
        for block in following:
            if isinstance(block, Figure) and block.what != "table":
                return 82.0
            if isinstance(block, Figure) and block.name in self.document.tables:
                return _height(self.document.tables[block.name])
        return 3 * _LINE

    def _block(self, block: Block) -> None:
        match block:
            case Heading():
                self._heading(block, 3 * _LINE)
            case Paragraph(runs=runs):
                self._keep(2 * _LINE)
                self._runs(runs)
                self.ln(_LINE + _AFTER)
            case Listing():
                self._list(block)
            case Quotation(blocks=inner):
                with self._indented(6), self._barred():
                    self.blocks(inner)
            case Code(text=text):
                self._code(text)
            case Matrix():
                self._matrix(block)
            case Rule():
                self._keep(6)
                self._across(self.get_y() + 1)
                self.ln(2 + _AFTER)
            case Cut():
                self.add_page()
            case Figure():
                self._figure(block)

    def _heading(self, heading: Heading, below: float) -> None:
        size, line = _HEADINGS.get(heading.level, (_TEXT, _LINE))
        self._keep(line + below)  # a heading never stands alone at the foot of a page
        if self.get_y() > _TOP + 1:
            self.ln(_BEFORE.get(heading.level, 3.0))
        colour = self.style.colour if heading.level <= 2 else INK
        text = self._known(plain_text(heading.runs))
        if text:
            self.start_section(text, min(heading.level - 1, 3), strict=False)
        self._look("B", size, colour)
        self.multi_cell(0, line, text, align="L", new_x="LMARGIN", new_y="NEXT")
        self.ln(1.6)
        self._look()

    def _runs(self, runs: Runs, *, size: float = _TEXT, bold: bool = False) -> None:
        for run in runs:
            if run.text == "\n":
                self.ln(_LINE)
            else:
                self._write_run(run, size, bold=bold)
        self._look()

    def _write_run(self, run: Run, size: float, *, bold: bool) -> None:
        style = ("B" if run.bold or bold else "") + ("I" if run.italic else "") + ("S" if run.struck else "")
        if run.code:
            self.set_font("mono", "S" if run.struck else "", size - 0.6)
            self.set_text_color(INK)
        else:
            self._look(style, size, self.style.colour if run.link else INK)
        text = self._known(run.text)
        word = text.partition(" ")[0]
        if (
            word
            and self.get_x() > self.l_margin
            and self.get_x() + self.get_string_width(word) > self.w - self.r_margin
        ):
            self.ln(_LINE)  # the library would break a word that begins where there is no room for it
        self.write(_LINE, text, run.link)

    def _list(self, listing: Listing) -> None:
        number = listing.start
        for item in listing.items:
            self._keep(2 * _LINE)
            mark = "•" if number is None else f"{number}."
            self._look(colour=MUTED)
            self.set_x(self.l_margin + (1.2 if number is None else 0))
            self.cell(5, _LINE, mark)
            self._look()
            with self._indented(6 if number is None or number < 100 else 9):
                for index, block in enumerate(item):
                    if isinstance(block, Paragraph):
                        self._runs(block.runs)
                        self.ln(_LINE + (0.7 if index == len(item) - 1 else 1.6))
                    else:
                        self._block(block)
            if not item:
                self.ln(_LINE)
            number = None if number is None else number + 1
        self.ln(_AFTER - 0.7)

    def _code(self, text: str) -> None:
        self._keep(2 * _LINE)
        self.set_font("mono", "", 8)
        self.set_text_color(INK)
        self.set_fill_color(SUNKEN)
        self.c_margin = 2
        self.multi_cell(
            0,
            4.3,
            self._known(text),
            fill=True,
            align="L",
            new_x="LMARGIN",
            new_y="NEXT",
            padding=Padding(1.5, 0, 1.5, 0),
        )
        self.c_margin = 0
        self._look()
        self.ln(_AFTER)

    # --- tables and pictures ------------------------------------------------------------------------------------------

    def _figure(self, figure: Figure) -> None:
        document = self.document
        if figure.what == "table" and figure.name in document.tables:
            self._grid(document.tables[figure.name], figure.caption)
        elif figure.what == "chart" and figure.name in document.charts:
            data = drawn(document.charts[figure.name], document.language, self.style.colour)
            self._picture(data, figure.caption, self.epw)
        elif figure.what == "image" and figure.name in document.images:
            self._picture(document.images[figure.name], figure.caption, self.epw * 0.8)
        else:
            self.notes.append(f"there is no {figure.what} called {figure.name!r}")
            self._runs((Run(self.words["missing"].format(figure.name), italic=True),))
            self.ln(_LINE + _AFTER)

    def _picture(self, data: bytes, caption: str, width: float) -> None:
        try:
            with Image.open(BytesIO(data)) as picture:
                natural = picture.width / 96 * 25.4 if picture.width < 500 else width
                width = min(width, natural)
                height = width * picture.height / picture.width
        except OSError:
            self.notes.append(f"the image {caption!r} is no PNG or JPEG")
            return
        room = self.h - _TOP - _BOTTOM - 10
        if height > room:
            width, height = width * room / height, room
        self._keep(height + (6 if caption else 0))
        self.image(BytesIO(data), x=self.l_margin, y=self.get_y(), w=width, h=height, alt_text=caption or None)
        self.set_y(self.get_y() + height + 1)
        self._caption(caption)
        self.ln(_AFTER)

    def _caption(self, caption: str) -> None:
        if caption:
            self._look(size=8, colour=MUTED)
            self.multi_cell(0, 4.2, self._known(caption), align="L", new_x="LMARGIN", new_y="NEXT")
            self._look()

    def _grid(self, grid: Grid, caption: str) -> None:
        cells = cells_of(grid, self.document.language)
        rows = list(cells.rows[:_MOST_ROWS])
        self._keep(_height(grid))
        if caption or grid.title:
            self._look("B", 8.5, INK)
            self.multi_cell(0, 4.6, self._known(caption or grid.title), align="L", new_x="LMARGIN", new_y="NEXT")
            self.ln(1)
        self._table(cells.head, rows, cells.right, cells.totals)
        if len(cells.rows) > _MOST_ROWS:
            self._caption(self.words["rest"].format(len(cells.rows) - _MOST_ROWS))

    def _matrix(self, matrix: Matrix) -> None:
        head = [plain_text(runs) for runs in matrix.head]
        rows = [[plain_text(runs) for runs in row] for row in matrix.rows]
        total = None
        if rows and matrix.rows[-1] and all(runs == () or all(run.bold for run in runs) for runs in matrix.rows[-1]):
            total = rows.pop()  # whoever writes a last line in bold means a sum
        self._table(head, rows, matrix.right, total)

    def _table(
        self, head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], total: Sequence[str] | None
    ) -> None:
        if not head:
            return
        everything = [head, *rows, *([total] if total else [])]
        lines = [[self._known(_cut(text, _LONGEST_CELL)) for text in row] for row in everything]
        size, widths = self._widths(lines, right)
        self._keep(4 * _LINE)
        self._look(size=size)
        self.set_draw_color(BORDER)
        self.set_line_width(0.2)
        try:
            with self.table(
                width=self.epw,
                align="L",
                col_widths=widths,
                text_align=tuple("R" if each else "L" for each in right),
                borders_layout=TableBordersLayout.HORIZONTAL_LINES,
                headings_style=FontFace(emphasis="B", color=MUTED, fill_color=SUNKEN),
                line_height=size * 0.5,
                padding=(1.0, 1.4),
                v_align="T",
                first_row_as_headings=True,
            ) as table:
                for index, row in enumerate(lines):
                    summed = total is not None and index == len(lines) - 1
                    table.row(row, style=FontFace(emphasis="B", fill_color=SUNKEN) if summed else None)
        except FPDFException as fault:  # a row that is higher than a page
            self.notes.append(f"a table could not be set: {fault}")
        self._look()
        self.ln(_AFTER + 1.5)

    def _widths(self, lines: Sequence[Sequence[str]], right: Sequence[bool]) -> tuple[float, tuple[float, ...]]:
        """The size of a table's text and the widths of its columns: no word is broken as long as that can be."""
        size, words, whole = 0.0, [0.0], [0.0]
        for size in (8.5, 7.5, 6.5):
            self._look("B", size)
            padding = 3.2
            columns = list(zip(*lines, strict=True))
            words = [max(self._widest(text.split()) for text in column) + padding for column in columns]
            whole = [max(self._widest(text.split("\n")) for text in column) + padding for column in columns]
            words = [full if number else word for word, full, number in zip(words, whole, right, strict=True)]
            if sum(words) <= self.epw:
                break
        room = self.epw - sum(words)
        if room < 0:
            return size, tuple(word * self.epw / sum(words) for word in words)
        wish = [max(0.0, min(full, self.epw * 0.55) - word) for word, full in zip(words, whole, strict=True)]
        if sum(wish) > room:
            return size, tuple(word + more * room / sum(wish) for word, more in zip(words, wish, strict=True))
        rest = room - sum(wish)
        wide = [0.0 if number else 1.0 for number in right]
        wide = wide if sum(wide) else [1.0] * len(right)
        return size, tuple(
            word + more + rest * share / sum(wide) for word, more, share in zip(words, wish, wide, strict=True)
        )

    def _widest(self, texts: Sequence[str]) -> float:
        return max((self.get_string_width(text) for text in texts), default=0.0)

    # --- measures -----------------------------------------------------------------------------------------------------

    def _look(self, style: str = "", size: float = _TEXT, colour: str = INK) -> None:
        self.set_font("text", style, size)
        self.set_text_color(colour)

    def _write(self, text: str, *, colour: str = INK, size: float = _TEXT) -> None:
        self._look(size=size, colour=colour)
        self.write(_LINE, self._known(text))

    def _keep(self, height: float) -> None:
        """Begins a new page where there is no room for so much."""
        if self.get_y() + height > self.h - _BOTTOM and self.get_y() > _TOP + 1:
            self.add_page()

    @contextmanager
    def _indented(self, by: float) -> Iterator[None]:
        self.set_left_margin(self.l_margin + by)
        self.set_x(self.l_margin)
        try:
            yield
        finally:
            self.set_left_margin(self.l_margin - by)
            self.set_x(self.l_margin)

    @contextmanager
    def _barred(self) -> Iterator[None]:
        """A bar to the left of what is set meanwhile, as far as it stays on its page."""
        page, top, left = self.page_no(), self.get_y(), self.l_margin - 4
        yield
        start = top if self.page_no() == page else _TOP
        self.set_draw_color(self.style.colour)
        self.set_line_width(0.7)
        self.line(left, start, left, max(start, self.get_y() - _AFTER))

    def _known(self, text: str) -> str:
        """The text without signs that the font has no picture of; they are noted once."""
        unknown = {sign for sign in text if ord(sign) not in _drawable() and sign not in "\n\t"}
        if not unknown:
            return text
        note = "signs that the font lacks were left out"
        if note not in self.notes:
            self.notes.append(note)
        return "".join(sign for sign in text if sign not in unknown)

    def _fitting(self, text: str, width: float) -> str:
        """The text, cut where it would be wider."""
        text = self._known(text)
        while text and self.get_string_width(text) > width:
            text = f"{text.rstrip('…')[:-1]}…" if len(text) > 1 else ""
        return text


@cache
def _drawable() -> frozenset[int]:
    with TTFont(FONTS[""]) as font:
        table: Any = font.getBestCmap()
        return frozenset(table)


def _height(grid: Grid) -> float:
    """What of a table and its title has to stand on one page: all of it where it is short, else its first rows."""
    rows = len(grid.rows) + (2 if any(column.total for column in grid.columns) else 1)
    return 5.6 + rows * _ROW if rows <= _SHORT else 5 * _LINE


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
