"""Texts as sounds: where a sentence is cut, and what is written out first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dirigent.local.carried import missing
from dirigent.local.phonemes import Phonemiser, clauses

installed = pytest.mark.skipif(
    bool(missing(["espeakng_loader"])), reason="espeakng-loader, of the extra `speech`, is missing"
)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Ja, gut. Und nun?", [("Ja", ","), ("gut", "."), ("Und nun", "?")]),
        ("um 15:30 Uhr 1.250 Euro", [("um 15:30 Uhr 1.250 Euro", "")]),
        ("Titel\nText", [("Titel", "\n"), ("Text", "")]),
        ("Er sagte: »Nein!« und ging…", [("Er sagte", ":"), ("»Nein", "!"), ("« und ging", "…")]),
        ("dirigent.example ist da", [("dirigent.example ist da", "")]),
    ],
)
def test_punctuation_ends_a_clause_unless_it_stands_within_a_word(text: str, cut: list[tuple[str, str]]) -> None:
    assert list(clauses(text)) == cut


@given(st.text(alphabet="ab1ü .,;:!?…—\n\"'»", max_size=80))
def test_no_word_is_lost_or_said_twice(text: str) -> None:
    said = "".join(words for words, _ in clauses(text))

    assert [sign for sign in said if sign.isalnum()] == [sign for sign in text if sign.isalnum()]


@installed
def test_german_is_written_out_before_it_is_read() -> None:
    phonemiser = Phonemiser()

    def read(text: str) -> list[str]:
        return list(phonemiser.breaths(text, "de"))

    assert read("am 14. Oktober") == read("am vierzehnten Oktober")
    assert read("am 31. Mai") == read("am einunddreißigsten Mai")
    assert read("50 % mehr") == read("50 Prozent mehr")
    assert len(read("Es waren 14. Oktopusse schwimmen gern.")) == 2, "a number may well end a sentence"


@installed
@pytest.mark.parametrize("language", ["de", "es", "fr", "it"])
def test_no_breath_is_longer_than_the_model_can_take(language: str) -> None:
    breaths = list(Phonemiser().breaths("ein langer Satz ohne Ende " * 60 + "! Und " + "a" * 900, language))

    assert len(breaths) > 3
    assert max(map(len, breaths)) <= 400
    assert not any("(" in breath for breath in breaths), "the marks of foreign words are no sounds"
