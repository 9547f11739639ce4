"""What others have written is read for what it holds, within limits, and what is broken is refused."""

from __future__ import annotations

from decimal import Decimal
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dirigent.core.documents import ReadLimits
from dirigent.core.errors import Invalid
from dirigent.documents import pdf, word, workbook
from dirigent.documents.reading import extract
from tests.documents.samples import sample

LIMITS = ReadLimits()


@pytest.mark.parametrize(
    "text",
    [
        "id;name;total\n1;Müller;1.234,50\n002;O'Neil;-3\n",
        "id,name,total\n1,Müller,1234.50\n002,O'Neil,-3\n",
        "id\tname\ttotal\n1\tMüller\t1234.50\n002\tO'Neil\t-3\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_table_in_text_is_read_whatever_parts_its_cells(text: str, encoding: str) -> None:
    found = extract("a.csv", "text/csv", text.encode(encoding), LIMITS)

    assert found.tables[0].columns == ("id", "name", "total")
    assert list(found.tables[0].rows) == [
        {"id": 1, "name": "Müller", "total": Decimal("1234.50")},
        {"id": "002", "name": "O'Neil", "total": -3},
    ]


def test_a_workbook_is_read_as_tables() -> None:
    found = extract("x", "", workbook.made(sample()).data, LIMITS)

    assert found.kind == "xlsx"
    assert found.tables[0].name == "Positionen"
    assert found.tables[0].rows[0]["Bezeichnung"] == "Wartung"


def test_a_word_file_is_read_with_headings_and_tables() -> None:
    found = extract("x", "", word.made(sample()).data, LIMITS)

    assert "# Zusammenfassung" in found.text
    assert "- Unterpunkt" in found.text
    assert found.tables[0].columns[0] == "Pos."


def test_a_pdf_is_read_page_by_page_up_to_its_limit() -> None:
    data = pdf.made(sample()).data

    whole, first = extract("x", "", data, LIMITS), extract("x", "", data, ReadLimits(pages=1))

    assert len(whole.pages) > 1
    assert whole.facts["title"] == "Quartalsbericht"
    assert len(first.pages) == 1
    assert first.cut == ("the document was cut after 1 pages",)


def test_parquet_is_read_with_exact_numbers(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    table = "SELECT 1 AS id, 19.90::DECIMAL(9,2) AS total, DATE '2026-01-02' AS day"
    duckdb.execute(f"COPY ({table}) TO '{file}' (FORMAT parquet)")

    found = extract("x.parquet", "", file.read_bytes(), LIMITS)

    assert list(found.tables[0].rows) == [{"id": 1, "total": Decimal("19.90"), "day": "2026-01-02"}]


def test_of_a_page_only_what_is_seen_is_read() -> None:
    page = (
        "<html><head><title>Über uns</title><style>x{}</style></head><body><h2>Größe</h2><script>evil()</script>"
        "<p>Ein <b>Text</b>&nbsp;&amp; mehr</p><ul><li>eins</ul><table><tr><th>a<th>b<tr><td>1<td>2</table></body>"
    )

    found = extract("a.html", "text/html", page.encode(), LIMITS)

    assert found.facts == {"title": "Über uns"}
    assert "## Größe" in found.text
    assert "Ein Text & mehr" in found.text.replace("\u00a0", " ")
    assert "evil" not in found.text


def test_a_mail_is_read_with_its_sender_and_the_names_of_what_is_attached() -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Erika <erika@example.org>", "max@example.org", "Anfrage: Größe"
    mail["Date"] = "Mon, 30 Nov 2026 10:00:00 +0100"
    mail.set_content("Guten Tag,\nwas kostet es?")
    mail.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="plan.pdf")

    found = extract("a.eml", "", mail.as_bytes(), LIMITS)

    assert found.facts["subject"] == "Anfrage: Größe"
    assert found.facts["date"] == "2026-11-30T10:00:00+01:00"
    assert found.text == "Guten Tag,\nwas kostet es?"
    assert found.attachments == ("plan.pdf",)


def test_what_unfolds_without_end_is_refused_before_it_is_read() -> None:
    sink = BytesIO()
    with ZipFile(sink, "w", ZIP_DEFLATED) as packed:
        packed.writestr("word/document.xml", b"0" * 5_000_000)

    with pytest.raises(Invalid, match="more than 1000000 bytes"):
        extract("bomb.docx", "", sink.getvalue(), ReadLimits(unpacked=1_000_000))


def test_rows_and_characters_beyond_their_limits_are_left_out_and_said_so() -> None:
    text = "a\n" + "".join(f"{n}\n" for n in range(100))

    found = extract("a.csv", "text/csv", text.encode(), ReadLimits(rows=10, characters=20))

    assert len(found.tables[0].rows) == 10
    assert len(found.text) == 20
    assert len(found.cut) == 2


@pytest.mark.parametrize(
    ("name", "data"),
    [("x.exe", b"MZ\0"), ("x.pdf", b"%PDF-1.7 broken"), ("a.docx", b"PK\x03\x04x"), ("a.txt", b"a\0b")],
)
def test_what_is_broken_or_unknown_is_refused(name: str, data: bytes) -> None:
    with pytest.raises(Invalid):
        extract(name, "", data, LIMITS)


@settings(max_examples=40)
@given(some.binary(max_size=200), some.sampled_from(["a.csv", "a.html", "a.eml", "a.md", "a.pdf", "a.xlsx", ""]))
def test_whatever_the_bytes_are_they_are_read_or_refused(data: bytes, name: str) -> None:
    for start in (b"", b"%PDF-", b"PK\x03\x04", b"PAR1"):
        try:
            extract(name, "", start + data, LIMITS)
        except Invalid:
            continue
