"""A document for Word: real styles, real lists, real tables whose head comes again on each page.

Longer than 400 lines, because the library has no words for half of what a good page needs, and these stand here.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from io import BytesIO
from typing import Any

import docx
from docx.document import Document as WordDocument
from docx.enum.section import WD_ORIENT
from docx.enum.table import WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_BREAK, WD_TAB_ALIGNMENT
from docx.image.exceptions import UnrecognizedImageError
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Length, Mm, Pt, RGBColor
from docx.styles.style import ParagraphStyle
from docx.table import Table
from docx.text.paragraph import Paragraph as WordParagraph

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
from dirigent.documents.looks import BORDER, INK, MUTED, SUNKEN, WORDS
from dirigent.documents.markdown import blocks_of

__all__ = ["made"]

_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_FONT, _MONO = "Calibri", "Consolas"
_WIDTH = Mm(165)
_PAGES = {"A4": (Mm(210), Mm(297)), "Letter": (Mm(215.9), Mm(279.4))}
_HEADINGS = {1: (16, 18), 2: (13, 14), 3: (11.5, 10), 4: (10.5, 8), 5: (10.5, 8), 6: (10.5, 8)}
_MOST_ROWS = 2_000


def made(document: Document) -> Made:
    """The document as DOCX."""
    word = _Word(document)
    word.begin()
    word.blocks(blocks_of(document.markdown))
    sink = BytesIO()
    word.file.save(sink)
    return Made(sink.getvalue(), _TYPE, "docx", None, tuple(word.notes))


class _Word:
    """The file while it is written."""

    def __init__(self, document: Document) -> None:
        self.document, self.style = document, document.style
        self.notes: list[str] = []
        self.file: WordDocument = docx.Document()
        self._styles()
        self._page()

    # --- how it looks -------------------------------------------------------------------------------------------------

    def _styles(self) -> None:
        normal = self._named("Normal")
        normal.font.name, normal.font.size, normal.font.color.rgb = _FONT, Pt(10.5), _rgb(INK)
        fonts = normal.element.get_or_add_rPr().get_or_add_rFonts()
        for script in ("w:ascii", "w:hAnsi", "w:cs", "w:eastAsia"):
            fonts.set(qn(script), _FONT)
        language = OxmlElement("w:lang")
        language.set(qn("w:val"), {"de": "de-DE", "en": "en-GB"}[self.document.language])
        normal.element.get_or_add_rPr().append(language)
        normal.paragraph_format.space_after, normal.paragraph_format.line_spacing = Pt(7), 1.15
        for level, (size, before) in _HEADINGS.items():
            heading = self._named(f"Heading {level}")
            heading.font.name, heading.font.size, heading.font.bold, heading.font.italic = _FONT, Pt(size), True, False
            heading.font.color.rgb = _rgb(self.style.colour if level <= 2 else INK)
            element = heading.element.get_or_add_rPr().get_or_add_rFonts()
            for name in list(element.attrib):
                del element.attrib[name]
            element.set(qn("w:ascii"), _FONT)
            element.set(qn("w:hAnsi"), _FONT)
            spacing = heading.paragraph_format
            spacing.space_before, spacing.space_after, spacing.keep_with_next = Pt(before), Pt(4), True
        for name in ("List Bullet", "List Number", "List Bullet 2", "List Number 2", "List Bullet 3", "List Number 3"):
            self._named(name).paragraph_format.space_after = Pt(3)
        for name in ("Header", "Footer"):
            small = self._named(name)
            small.font.size, small.font.color.rgb = Pt(8), _rgb(MUTED)

    def _named(self, name: str) -> ParagraphStyle:
        style = self.file.styles[name]
        if not isinstance(style, ParagraphStyle):
            raise TypeError(name)
        return style

    def _page(self) -> None:
        document, style = self.document, self.style
        section = self.file.sections[0]
        section.orientation = WD_ORIENT.PORTRAIT
        section.page_width, section.page_height = _PAGES[style.page]
        section.left_margin, section.right_margin = Mm(25), Mm(20)
        section.top_margin, section.bottom_margin = Mm(28), Mm(25)
        section.header_distance, section.footer_distance = Mm(12), Mm(11)
        section.different_first_page_header_footer = document.template != "plain"
        core = self.file.core_properties
        core.title, core.author = document.title, style.company
        core.language, core.comments = document.language, ""
        header = section.header.paragraphs[0]
        _tabs(header)
        header.add_run(f"{style.company}\t{document.title}")
        _ruled(header, "bottom")
        self._footed(section.footer.paragraphs[0], style.footer)
        if document.template != "plain":
            self._masthead(section.first_page_header.paragraphs[0])
            lines = [*style.address, *style.contact]
            foot = section.first_page_footer.paragraphs[0]
            if document.template in ("letter", "quote") and lines:
                _ruled(foot, "top")
                foot.add_run(" · ".join(lines))
                foot.paragraph_format.space_after = Pt(2)
                foot = section.first_page_footer.add_paragraph(style="Footer")
                self._footed(foot, style.footer, ruled=False)
            else:
                self._footed(foot, style.footer)

    def _masthead(self, head: WordParagraph) -> None:
        _tabs(head)
        company = head.add_run(self.style.company)
        company.bold, company.font.size, company.font.color.rgb = True, Pt(12), _rgb(self.style.colour)
        if (logo := self.document.images.get("logo")) is not None:
            head.add_run("\t")
            try:
                head.add_run().add_picture(BytesIO(logo), height=Mm(14))
            except UnrecognizedImageError:
                self.notes.append("the logo is no PNG or JPEG")
        _ruled(head, "bottom", self.style.colour, 8)

    def _footed(self, foot: WordParagraph, words: str, *, ruled: bool = True) -> None:
        _tabs(foot)
        if ruled:
            _ruled(foot, "top")
        before, between = WORDS[self.document.language]["page"].split("{}")[:2]
        foot.add_run(f"{words}\t{before}")
        _field(foot, "PAGE")
        foot.add_run(between)
        _field(foot, "NUMPAGES")

    # --- how it begins ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """What stands above the text."""
        document = self.document
        if document.template in ("letter", "quote"):
            self._addressed()
        if document.title:
            title = self.file.add_paragraph()
            title.paragraph_format.space_after = Pt(2)
            title.paragraph_format.keep_with_next = True
            run = title.add_run(document.title)
            run.bold, run.font.size = True, Pt(13 if document.template == "letter" else 22)
        if document.subtitle:
            run = self.file.add_paragraph().add_run(document.subtitle)
            run.font.size, run.font.color.rgb = Pt(12), _rgb(MUTED)
        if document.facts and document.template not in ("letter", "quote"):
            facts = self.file.add_paragraph()
            for index, (name, value) in enumerate(document.facts.items()):
                label = facts.add_run(f"{'   ·   ' if index else ''}{name} ")
                label.font.color.rgb = _rgb(MUTED)
                facts.add_run(worded(value, document.language))

    def _addressed(self) -> None:
        """Recipient to the left, facts to the right."""
        document = self.document
        sheet = self.file.add_table(1, 2)
        sheet.autofit = False
        left, right = sheet.rows[0].cells
        left.width, right.width = Mm(100), Mm(65)
        sender = left.paragraphs[0].add_run(" · ".join(filter(None, (self.style.company, *self.style.address))))
        sender.font.size, sender.font.color.rgb = Pt(7), _rgb(MUTED)
        for line in document.to:
            paragraph = left.add_paragraph(line)
            paragraph.paragraph_format.space_after = Pt(0)
        for index, (name, value) in enumerate(document.facts.items()):
            paragraph = right.paragraphs[0] if index == 0 else right.add_paragraph()
            paragraph.paragraph_format.space_after = Pt(1)
            paragraph.paragraph_format.tab_stops.add_tab_stop(Mm(28))
            paragraph.paragraph_format.left_indent = Mm(28)
            paragraph.paragraph_format.first_line_indent = -Mm(28)
            label = paragraph.add_run(f"{name}\t")
            label.font.color.rgb = _rgb(MUTED)
            paragraph.add_run(worded(value, document.language))
        space = self.file.add_paragraph()
        space.paragraph_format.space_after = Pt(24)

    # --- the text -----------------------------------------------------------------------------------------------------

    def blocks(self, blocks: Sequence[Block], depth: int = 0) -> None:
        """Writes blocks one below the other."""
        for block in blocks:
            self._block(block, depth)

    def _block(self, block: Block, depth: int) -> None:
        match block:
            case Heading(level=level, runs=runs):
                self._runs(self.file.add_paragraph(style=f"Heading {level}"), runs)
            case Paragraph(runs=runs):
                paragraph = self.file.add_paragraph()
                paragraph.paragraph_format.left_indent = Mm(6 * depth)
                self._runs(paragraph, runs)
            case Listing():
                self._list(block, depth)
            case Quotation(blocks=inner):
                before = len(self.file.paragraphs)
                self.blocks(inner, depth + 1)
                for paragraph in self.file.paragraphs[before:]:
                    _ruled(paragraph, "left", self.style.colour, 12)
            case Code(text=text):
                self._code(text)
            case Rule():
                _ruled(self.file.add_paragraph(), "bottom")
            case Cut():
                self.file.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
            case Matrix():
                self._matrix(block)
            case Figure():
                self._figure(block)

    def _runs(self, paragraph: WordParagraph, runs: Runs) -> None:
        for run in runs:
            if run.text == "\n":
                paragraph.add_run().add_break()
            elif run.link:
                _linked(paragraph, run, self.style.colour)
            else:
                written = paragraph.add_run(run.text)
                written.bold, written.italic = run.bold or None, run.italic or None
                written.font.strike = run.struck or None
                if run.code:
                    written.font.name, written.font.size = _MONO, Pt(9.5)

    def _list(self, listing: Listing, depth: int) -> None:
        kind = "List Bullet" if listing.start is None else "List Number"
        level = min(depth, 2)
        style = f"{kind} {level + 1}" if level else kind
        numbering = None if listing.start is None else self._numbering(style, listing.start)
        for item in listing.items:
            for index, block in enumerate(item):
                if isinstance(block, Paragraph):
                    paragraph = self.file.add_paragraph(style=style if index == 0 else None)
                    if index == 0 and numbering is not None:
                        _numbered(paragraph, numbering)
                    elif index:
                        paragraph.paragraph_format.left_indent = Mm(6.3 * (level + 1))
                    self._runs(paragraph, block.runs)
                else:
                    self._block(block, depth + 1)

    def _numbering(self, style: str, start: int) -> int:
        """A numbering of its own for one list, so that it begins at its own number."""
        part: Any = self.file.part.numbering_part.element
        properties = self._named(style).element.pPr
        own = properties.numPr.numId.val
        abstract = next(num for num in part.findall(qn("w:num")) if num.get(qn("w:numId")) == str(own))
        added = part.add_num(int(abstract.find(qn("w:abstractNumId")).get(qn("w:val"))))
        added.add_lvlOverride(ilvl=0).add_startOverride(start)
        return int(added.numId)

    def _code(self, text: str) -> None:
        paragraph = self.file.add_paragraph()
        for index, line in enumerate(text.split("\n")):
            run = paragraph.add_run(line)
            run.font.name, run.font.size = _MONO, Pt(9)
            if index < text.count("\n"):
                run.add_break()
        _shaded(paragraph._p.get_or_add_pPr())  # noqa: SLF001 -- the library has no word for shading

    # --- tables and pictures ------------------------------------------------------------------------------------------

    def _figure(self, figure: Figure) -> None:
        document = self.document
        if figure.what == "table" and figure.name in document.tables:
            self._grid(document.tables[figure.name], figure.caption)
        elif figure.what == "chart" and figure.name in document.charts:
            chart = document.charts[figure.name]
            self._picture(drawn(chart, document.language, self.style.colour), figure.caption, chart.title)
        elif figure.what == "image" and figure.name in document.images:
            self._picture(document.images[figure.name], figure.caption, figure.caption)
        else:
            self.notes.append(f"there is no {figure.what} called {figure.name!r}")
            words = WORDS[document.language]["missing"].format(figure.name)
            self._runs(self.file.add_paragraph(), (Run(words, italic=True),))

    def _picture(self, data: bytes, caption: str, words: str) -> None:
        paragraph = self.file.add_paragraph()
        paragraph.paragraph_format.keep_with_next = bool(caption)
        paragraph.paragraph_format.space_after = Pt(2)
        try:
            picture = paragraph.add_run().add_picture(BytesIO(data))
        except UnrecognizedImageError:
            self.notes.append(f"the image {caption!r} is no PNG or JPEG")
            return
        if picture.width > _WIDTH:
            picture.height = Length(picture.height * _WIDTH // picture.width)
            picture.width = _WIDTH
        described: Any = picture._inline.docPr  # noqa: SLF001 -- the library has no word for what a blind reader hears
        described.set("descr", words)
        if caption:
            run = self.file.add_paragraph().add_run(caption)
            run.font.size, run.font.color.rgb = Pt(9), _rgb(MUTED)

    def _grid(self, grid: Grid, caption: str) -> None:
        cells = cells_of(grid, self.document.language)
        title = caption or grid.title
        if title:
            paragraph = self.file.add_paragraph()
            paragraph.paragraph_format.keep_with_next, paragraph.paragraph_format.space_after = True, Pt(3)
            paragraph.add_run(title).bold = True
        rows = [*cells.rows[:_MOST_ROWS], *([cells.totals] if cells.totals else [])]
        self._table(
            [(Run(text),) for text in cells.head], [[(Run(text),) for text in row] for row in rows], cells.right,
            summed=cells.totals is not None,
        )  # fmt: skip
        if len(cells.rows) > _MOST_ROWS:
            self.file.add_paragraph(WORDS[self.document.language]["rest"].format(len(cells.rows) - _MOST_ROWS))

    def _matrix(self, matrix: Matrix) -> None:
        self._table(matrix.head, matrix.rows, matrix.right, summed=False)

    def _table(
        self, head: Sequence[Runs], rows: Sequence[Sequence[Runs]], right: Sequence[bool], *, summed: bool
    ) -> None:
        if not head:
            return
        table = self.file.add_table(len(rows) + 1, len(head))
        table.alignment = WD_TABLE_ALIGNMENT.LEFT
        table.autofit = False
        widths = _widths([[plain_text(runs) for runs in row] for row in (head, *rows)], right)
        for index, width in enumerate(widths):
            table.columns[index].width = width
        grid = table._tbl  # noqa: SLF001 -- cell by cell through the library is quadratic
        for number, (row, cells) in enumerate(zip(grid.tr_lst, (head, *rows), strict=True)):
            strong = number == 0 or (summed and number == len(rows))
            _row_properties(row, first=number == 0)
            for index, (cell, runs) in enumerate(zip(row.tc_lst, cells, strict=True)):
                cell.width = widths[index]
                _bordered(cell, self.style.colour if number == 0 else BORDER, filled=strong)
                paragraph = WordParagraph(cell.p_lst[0], table)
                paragraph.paragraph_format.space_after = paragraph.paragraph_format.space_before = Pt(2.5)
                paragraph.paragraph_format.line_spacing = 1.0
                if right[index]:
                    paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
                self._runs(paragraph, runs)
                for run in paragraph.runs:
                    run.font.size = Pt(9.5)
                    run.bold = True if strong else run.bold
        self.file.add_paragraph().paragraph_format.space_after = Pt(4)
        _margins(table)


def _widths(lines: Sequence[Sequence[str]], right: Sequence[bool]) -> list[Length]:
    """The columns' widths by what stands in them: no word is broken as long as that can be."""
    columns = list(zip(*lines, strict=True))
    words = [max(max((len(word) for word in text.split()), default=1) for text in column) for column in columns]
    whole = [max(len(text) for text in column) for column in columns]
    least = [(full if number else word) + 2.5 for word, full, number in zip(words, whole, right, strict=True)]
    room = 92.0  # characters of this size that stand side by side
    if sum(least) >= room:
        return [Length(int(_WIDTH * part / sum(least))) for part in least]
    wish = [max(0.1, min(full, 60) + 2.5 - part) for full, part in zip(whole, least, strict=True)]
    parts = [part + more * (room - sum(least)) / sum(wish) for part, more in zip(least, wish, strict=True)]
    return [Length(int(_WIDTH * part / sum(parts))) for part in parts]


# --- what the library has no words for --------------------------------------------------------------------------------


def _element(name: str, **attributes: str) -> Any:
    made = OxmlElement(name)
    for key, value in attributes.items():
        made.set(qn(f"w:{key}"), value)
    return made


def _ruled(paragraph: WordParagraph, side: str, colour: str = BORDER, width: int = 4) -> None:
    properties: Any = paragraph._p.get_or_add_pPr()  # noqa: SLF001
    borders = properties.find(qn("w:pBdr"))
    if borders is None:
        borders = _element("w:pBdr")
        properties.insert_element_before(borders, "w:shd", "w:tabs", "w:spacing", "w:ind", "w:jc", "w:rPr")
    borders.append(_element(f"w:{side}", val="single", sz=str(width), space="6", color=colour[1:]))


def _shaded(properties: Any) -> None:
    shade = _element("w:shd", val="clear", color="auto", fill=SUNKEN[1:])
    properties.insert_element_before(shade, "w:tabs", "w:spacing", "w:ind", "w:jc", "w:rPr")


def _tabs(paragraph: WordParagraph) -> None:
    stops = paragraph.paragraph_format.tab_stops
    stops.clear_all()
    stops.add_tab_stop(_WIDTH, WD_TAB_ALIGNMENT.RIGHT)
    paragraph.style.paragraph_format.tab_stops.clear_all() if paragraph.style is not None else None


def _field(paragraph: WordParagraph, name: str) -> None:
    run: Any = paragraph.add_run()._r  # noqa: SLF001
    for kind in ("begin", None, "separate", "text", "end"):
        if kind is None:
            instruction = _element("w:instrText")
            instruction.text = name
            run.append(instruction)
        elif kind == "text":
            text = _element("w:t")
            text.text = "1"
            run.append(text)
        else:
            run.append(_element("w:fldChar", fldCharType=kind))


def _linked(paragraph: WordParagraph, run: Run, colour: str) -> None:
    relation = paragraph.part.relate_to(
        run.link, "http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink", is_external=True
    )
    link = OxmlElement("w:hyperlink")
    link.set(qn("r:id"), relation)
    written = paragraph.add_run(run.text)
    written.bold, written.italic = run.bold or None, run.italic or None
    written.font.color.rgb, written.font.underline = _rgb(colour), True
    link.append(deepcopy(written._r))  # noqa: SLF001
    paragraph._p.replace(written._r, link)  # noqa: SLF001


def _numbered(paragraph: WordParagraph, numbering: int) -> None:
    properties: Any = paragraph._p.get_or_add_pPr().get_or_add_numPr()  # noqa: SLF001
    properties.get_or_add_numId().val = numbering
    properties.get_or_add_ilvl().val = 0


def _row_properties(row: Any, *, first: bool) -> None:
    properties = row.get_or_add_trPr()
    properties.append(_element("w:cantSplit"))
    if first:
        properties.append(_element("w:tblHeader"))


def _bordered(cell: Any, colour: str, *, filled: bool) -> None:
    properties = cell.get_or_add_tcPr()
    borders = _element("w:tcBorders")
    borders.append(_element("w:bottom", val="single", sz="4", space="0", color=colour[1:]))
    properties.append(borders)
    if filled:
        properties.append(_element("w:shd", val="clear", color="auto", fill=SUNKEN[1:]))


def _margins(table: Table) -> None:
    margins = _element("w:tblCellMar")
    for side in ("left", "right"):
        margins.append(_element(f"w:{side}", w="85", type="dxa"))
    table._tbl.tblPr.append(margins)  # noqa: SLF001


def _rgb(colour: str) -> RGBColor:
    return RGBColor.from_string(colour[1:].upper())
