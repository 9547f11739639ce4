"""Specialist terms, German compounds among them, and the words that ask and demand."""

from __future__ import annotations

import re

import pytest

from dirigent.models.terms import FIELDS, _listed, terms_in


def words(text: str) -> list[str]:
    """The words of a text as features cut them."""
    return re.findall(r"\w+", text.lower())


@pytest.mark.parametrize("word", ["Mietvertrag", "Vertragsstrafe", "Datenschutzverstoß", "Kündigungsschutzklage"])
def test_a_german_compound_counts_by_the_term_that_it_holds(word: str) -> None:
    found = terms_in(words(word))

    assert (found.specialist, found.field) == (1, "law")


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("law", "Is the liability clause of this contract enforceable?"),
        ("technology", "Our Kubernetes pods lose the database connection"),
        ("medicine", "Welche Nebenwirkungen hat das Medikament bei Diabetes?"),
        ("finance", "Wie buche ich die Rückstellung in der Bilanz?"),
        ("marketing", "Texte für die Kampagne: Zielgruppe sind Handwerker, Slogan gesucht"),
        ("hr", "Stellenanzeige für Auszubildende, Gehalt nach Tarifvertrag"),
        ("science", "Warum ist die Entropie bei dieser Reaktion negativ?"),
        ("mathematics", "Bestimme die Nullstellen des Polynoms und die Ableitung"),
    ],
)
def test_the_field_is_the_one_with_most_terms(field: str, text: str) -> None:
    assert terms_in(words(text)).field == field


def test_a_term_counts_once_however_often_it_is_said() -> None:
    assert terms_in(words("Klausel, Klausel und noch eine Klausel")).specialist == 1


def test_a_stem_of_two_lists_counts_in_both_where_both_forms_are_said() -> None:
    ends, begins = terms_in(words("Widerspruchsbeweis")), terms_in(words("beweisen"))

    both = terms_in(words("Wir beweisen es durch einen Widerspruchsbeweis"))

    assert (ends.mathematical, ends.tasks) == (1, 0)
    assert (begins.mathematical, begins.tasks) == (0, 1)
    assert (both.mathematical, both.tasks) == (1, 1)


def test_what_was_looked_up_once_is_found_again() -> None:
    text = words("Mietvertrag, Frostgrenze und noch ein Mietvertrag mit Klausel")

    assert [terms_in(text) for _ in range(3)] == [terms_in(text)] * 3
    assert terms_in(text).specialist == 2


def test_terms_of_two_words_are_found() -> None:
    found = terms_in(words("Please do the due diligence on the balance sheet"))

    assert found.specialist == 2


def test_verbs_that_ask_for_thought_and_words_that_demand_are_counted() -> None:
    found = terms_in(words("Vergleiche und begründe; mindestens drei Quellen, ohne Fachsprache"))

    assert (found.tasks, found.requirements) == (2, 3)


def test_small_talk_holds_no_terms() -> None:
    for text in ("Hallo, wie geht es dir heute?", "Thanks, see you on Monday then!", "Das Wetter ist rechtzeitig gut"):
        assert terms_in(words(text)).specialist == 0


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("language", ["de", "en"])
def test_each_field_has_its_terms_in_both_languages(field: str, language: str) -> None:
    terms = [term for term, spoken in _listed(field) if spoken == language]

    assert len(terms) >= 45
    assert len(terms) == len(set(terms))


@pytest.mark.parametrize("name", [*FIELDS, "tasks", "requirements"])
def test_each_term_can_be_found_as_it_is_written(name: str) -> None:
    for term, language in _listed(name):
        assert language in {"de", "en"}
        assert term == term.lower()
        assert len(term.split()) <= 2, term
        assert "*" not in term or (" " not in term and len(term.strip("*")) >= 3), term
