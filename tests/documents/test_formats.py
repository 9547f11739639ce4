"""Each format holds what the document says, in its own best way, and nothing that could do harm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from decimal import Decimal
from io import BytesIO
from pathlib import Path

import docx
import msgspec
import pytest
from openpyxl import load_workbook
from pypdf import PdfReader

from dirigent.core.documents import Chart, Column, Document, Grid, ReadLimits
from dirigent.core.errors import Invalid
from dirigent.documents import page, pdf, plain, word, workbook
from dirigent.documents.charts import drawn
from dirigent.documents.room import Room
from tests.documents.samples import sample


@pytest.mark.parametrize("template", ["plain", "report", "quote", "letter"])
def test_a_pdf_holds_the_text_with_its_umlauts_and_names_its_pages(template: str) -> None:
    made = pdf.made(sample(template))

    file = PdfReader(BytesIO(made.data))
    text = "\n".join(one.extract_text() for one in file.pages)
    for words in ("Zusammenfassung", "„Größe“ – süß", "4.198,80 €", "Einzelpreis", "Anhang"):
        assert words in text, words
    assert f"Seite 1 von {len(file.pages)}" in text
    assert made.pages == len(file.pages) > 1
    assert made.notes == ("there is no chart called 'gone'",)
    assert ("80331 München" in text) is (template in ("quote", "letter"))


def test_no_line_of_a_pdf_leaves_the_page() -> None:
    columns = 14
    wide = Grid(tuple({f"Spaltenüberschrift {n}": "Donaudampfschifffahrt" for n in range(columns)} for _ in range(3)))
    made = pdf.made(Document(markdown="![](table:wide)", tables={"wide": wide}, language="de"))

    (only,) = PdfReader(BytesIO(made.data)).pages
    places: list[float] = []
    only.extract_text(visitor_text=lambda text, _, matrix, *__: places.append(matrix[4]) if text.strip() else None)

    assert places
    assert max(places) < float(only.mediabox.width)


@pytest.mark.parametrize("before", range(70, 100))
def test_a_word_in_bold_goes_to_the_next_line_as_a_whole(before: int) -> None:
    made = pdf.made(Document(markdown=f"{'i' * before}. **Gültigkeitsdauer bis** morgen, **und** _weiter_."))

    (only,) = PdfReader(BytesIO(made.data)).pages
    assert "Gültigkeitsdauer bis" in only.extract_text()


def test_a_long_table_begins_each_page_with_its_head() -> None:
    rows = tuple({"Nummer": number, "Text": f"Zeile {number}"} for number in range(200))

    made = pdf.made(Document(markdown="![](table:long)", tables={"long": Grid(rows)}))

    pages = [one.extract_text() for one in PdfReader(BytesIO(made.data)).pages]
    assert len(pages) > 2
    assert all("Nummer" in text for text in pages)


def test_html_needs_nothing_else_and_no_text_of_others_becomes_markup() -> None:
    text = page.made(sample()).data.decode()

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script" not in text
    assert "javascript:" not in text.replace("(javascript:alert(1))", "")
    assert 'href="https://example.org"' in text
    assert 'src="http' not in text
    assert "default-src 'none'" in text
    assert '<html lang="de">' in text


def test_a_word_file_has_real_headings_lists_tables_and_page_fields() -> None:
    file = docx.Document(BytesIO(word.made(sample("quote")).data))

    styles = {paragraph.text: paragraph.style.name for paragraph in file.paragraphs if paragraph.style is not None}
    assert styles["Zusammenfassung"] == "Heading 1"
    assert styles["Erstens"] == "List Number"
    assert styles["Unterpunkt"] == "List Bullet 2"
    head = [cell.text for cell in file.tables[1].rows[0].cells]
    assert head == ["Pos.", "Bezeichnung", "Menge", "Einzelpreis", "Betrag"]
    assert file.tables[1].rows[-1].cells[-1].text == "4.198,80\u00a0€"
    footer = file.sections[0].footer.paragraphs[0]._p.xml
    assert "NUMPAGES" in footer
    assert len(file.inline_shapes) == 1


def test_each_numbered_list_of_a_word_file_begins_anew() -> None:
    text = "1. a\n2. b\n\nText\n\n1. c\n2. d\n"

    file = docx.Document(BytesIO(word.made(Document(markdown=text)).data))

    numbers = [
        int(p._p.xpath("./w:pPr/w:numPr/w:numId/@w:val")[0])
        for p in file.paragraphs
        if p.style is not None and p.style.name == "List Number"
    ]
    assert numbers[0] == numbers[1] != numbers[2] == numbers[3]


def test_a_workbook_computes_and_text_of_others_is_never_a_formula() -> None:
    book = load_workbook(BytesIO(workbook.made(sample()).data))

    sheet = book["Positionen"]
    assert sheet["E2"].value == "=C2*D2"
    assert sheet["E4"].value == "=SUM(E2:E3)"
    assert (sheet["B3"].value, sheet["B3"].data_type) == ("=HYPERLINK(evil)", "s")
    assert sheet["D2"].value == pytest.approx(149.90)
    assert sheet["D2"].number_format == '#,##0.00\\ "€"'
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == "A1:E3"
    assert 10 < sheet.column_dimensions["B"].width < 61


def test_a_last_row_that_is_a_sum_stands_out_in_every_format() -> None:
    rows = ({"what": "Goods", "amount": Decimal(10)}, {"what": "Total", "amount": Decimal(12)})
    grid = Grid(rows, (Column("what"), Column("amount", form="money")), last_is_sum=True)
    document = Document(markdown="![](table:sums)", tables={"sums": grid}, language="en")

    sheet = load_workbook(BytesIO(workbook.made(document).data)).worksheets[0]
    file = docx.Document(BytesIO(word.made(document).data))

    assert [[cell.font.bold for cell in row] for row in sheet.iter_rows(min_row=2)] == [[False, False], [True, True]]
    bold = [[cell.paragraphs[0].runs[0].bold for cell in row.cells] for row in file.tables[0].rows[1:]]
    assert [all(row) for row in bold] == [False, True]
    assert "| **Total** |" in plain.made(document).data.decode()
    assert "<tfoot><tr><td>Total</td>" in page.made(document).data.decode()


@pytest.mark.parametrize("formula", ["{none}*2", "{count}*WEBSERVICE('x')", "{count}!A1", "{count}|cmd"])
def test_a_formula_that_is_more_than_arithmetic_is_refused(formula: str) -> None:
    grid = Grid(({"count": 1},), (Column("count"), Column("x", formula=formula)))

    with pytest.raises(Invalid):
        workbook.made(Document(tables={"t": grid}))


def test_markdown_stands_alone() -> None:
    text = plain.made(sample()).data.decode()

    assert "| Pos. | Bezeichnung | Menge | Einzelpreis | Betrag |" in text
    assert "| Jan.\u00a02026 | 91,00\u00a0€ |" in text
    assert "](table:" not in text


def test_the_same_numbers_stand_in_english_as_english_writes_them() -> None:
    text = page.made(sample(language="en")).data.decode()

    assert "€4,198.80" in text
    assert "1,234.5" in text
    assert "30\u00a0Nov\u00a02026" in text


@pytest.mark.parametrize("kind", ["bar", "stacked", "line", "pie", "waterfall"])
def test_every_chart_is_drawn_whatever_its_numbers(kind: str) -> None:
    rows = tuple({"a": f"Eine recht lange Bezeichnung {n}", "v": Decimal(n * (-1) ** n), "w": n} for n in range(1, 30))

    data = drawn(Chart(kind, rows, "a", ("v", "w")), "de", "#1b4b9b")  # type: ignore[arg-type]  # each that there is

    assert data.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "chart",
    [
        Chart("bar", (), "a", ("v",)),
        Chart("bar", ({"a": 1, "v": "x"},), "a", ("v",)),
        Chart("pie", ({"a": 1, "v": -1},), "a", ("v",)),
        Chart("line", ({"a": 1, "v": 1},), "a", tuple("abcdefg")),
    ],
)
def test_a_chart_of_nothing_is_refused(chart: Chart) -> None:
    with pytest.raises(Invalid):
        drawn(chart, "de", "#1b4b9b")


@pytest.fixture
async def room(tmp_path: Path) -> AsyncGenerator[Room, None]:
    opened = Room(tmp_path / "documents")
    yield opened
    await opened.close()


async def test_the_room_writes_and_reads_in_a_process_of_its_own(room: Room) -> None:
    made, sheet = await asyncio.gather(room.render(sample(), "pdf"), room.render(sample(), "xlsx"))

    read = await room.read("a.pdf", made.content_type, made.data, ReadLimits())
    book = await room.read("a.xlsx", "", sheet.data, ReadLimits())

    assert made.pages == len(read.pages)
    assert "Zusammenfassung" in read.text
    assert book.tables[0].rows[0]["Einzelpreis"] == Decimal("149.9")


async def test_what_cannot_be_written_is_the_asker_s_fault_and_the_room_goes_on(room: Room) -> None:
    with pytest.raises(Invalid, match="made of tables"):
        await room.render(Document(markdown="x"), "xlsx")

    assert (await room.render(msgspec.structs.replace(sample(), charts={}), "md")).extension == "md"
