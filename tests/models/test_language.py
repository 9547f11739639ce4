"""The language of short and long business texts."""

from __future__ import annotations

import pytest

from dirigent.models.language import UNKNOWN, language_of


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Schreib eine Mahnung an den Kunden"),
        ("de", "Was kostet ein Handelsregisterauszug?"),
        ("de", "Bitte fasse das angehängte Protokoll in fünf Stichpunkten zusammen und nenne offene Aufgaben."),
        ("en", "Write a reminder to the customer"),
        ("en", "What is the capital of Australia?"),
        ("en", "We need a market analysis for heat pumps in Austria by Friday, with sources and a table."),
        ("fr", "Veuillez résumer le compte rendu ci-joint en cinq points et nommer les tâches ouvertes."),
        ("es", "¿Cuál es la capital de Australia?"),
        ("it", "Per favore riassumi il verbale allegato in cinque punti e indica le attività aperte."),
        ("pt", "Qual é a capital da Austrália?"),
        ("nl", "Schrijf een herinnering aan de klant"),
        ("pl", "Napisz przypomnienie do klienta"),
        ("cs", "Jaké je hlavní město Austrálie?"),
        ("sv", "Vad är huvudstaden i Australien?"),
        ("da", "Hvad er hovedstaden i Australien?"),
        ("fi", "Mikä on Australian pääkaupunki?"),
        ("hu", "Mi Ausztrália fővárosa?"),
        ("ro", "Scrie un memento clientului"),
        ("tr", "Müşteriye bir hatırlatma yaz"),
        ("ru", "Напиши напоминание клиенту"),
        ("uk", "Напиши нагадування клієнту, будь ласка"),
        ("el", "Γράψε μια υπενθύμιση στον πελάτη"),
        ("zh", "给客户写一封提醒信"),
        ("ja", "お客様にリマインダーを書いてください"),
        ("ko", "고객에게 알림을 작성하세요"),
        ("ar", "اكتب تذكيرا للعميل"),
    ],
)
def test_a_text_is_known_by_its_language(language: str, text: str) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize("text", ["", "42", "???", "OK", "3x + 5 = 20", "xqzt vrrk"])
def test_what_has_no_language_is_unknown(text: str) -> None:
    assert language_of(text) == UNKNOWN


def test_a_greek_letter_in_a_formula_makes_no_greek() -> None:
    assert language_of("Berechne die Summe über α und β für die Werte aus der Tabelle") == "de"


def test_a_german_text_with_english_terms_stays_german() -> None:
    assert language_of("Wir müssen das Onboarding und das Reporting im Team bis zum Release fertig haben") == "de"
