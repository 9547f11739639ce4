"""Figures that no source states are found, whichever way they are said; what it states may be said in another way."""

from __future__ import annotations

import pytest

from dirigent.models.figures import unfounded

SOURCE = (
    "Umsatz 1.284.500 €, plus 12,4 % zum Vorjahr; 3 Regionen, Ziel 1.200.000 €, Lieferzeit 5 Werktage, "
    "gültig bis 31.12.2026, Preis 19,90 €, bestellt 40 Stück, davon 2 doppelwandig"
)
LIES = (
    "Der Umsatz hat sich verdoppelt.", "Das ist doppelt so viel.", "die Hälfte des Ziels", "Ein Drittel kommt aus Süd.",
    "Dreimal so viel wie zuvor.", "das Dreifache", "zwanzig Prozent mehr", "a rise of twenty-five percent",
    "sales doubled", "they have tripled", "half of the target", "a quarter of sales", "three quarters of the revenue",
    "twice as much", "twice the price", "hundert Stück", "tausend Euro", "eine Million Euro", "one million euros",
    "fünfundzwanzig Stück", "zweihundert Stück", "two hundred and fifty units", "½ des Umsatzes", "eine halbe Million",
    "anderthalb Jahre", "zweieinhalb Tage", "zehnprozentig", "halbiert", "it was halved", "a tenfold rise",
    "null Reklamationen", "zero complaints", "1,284,501 EUR", "1.3 Mio. €", "12,5 %", "-12,4 %", "19,90 $", "1990 Cent",
    "am 31. Januar 2027", "im März 2025", "im Jahr 2027", "Q3 2025", "KW 12", "4O Stück", "14:30",
)  # fmt: skip
TRUTHS = (
    "1,284,500 EUR", "1.2845 million euros", "12.4 percent", "drei Regionen", "three regions", "five working days",
    "forty units", "vierzig Stück", "December 31, 2026", "31/12/2026", "19.90 Euro", "einem Tag",
    "Einer von ihnen", "und so weiter", "Tausend Dank", "im Mai", "halbe Sachen", "The first half was good",
)  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_figure_that_no_source_states_is_found_however_it_is_said(lie: str) -> None:
    found = unfounded(f"Kurz gesagt: {lie}", [SOURCE])

    assert found


@pytest.mark.parametrize("truth", TRUTHS)
def test_what_the_source_states_may_be_said_in_another_way(truth: str) -> None:
    found = unfounded(f"Kurz gesagt: {truth}", [SOURCE])

    assert found == []


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("Der Umsatz hat sich verdoppelt.", "plus 100 %"),
        ("doppelt so viel", "200 % des Vorjahres"),
        ("ein Drittel", "33,3 %"),
        ("half of the revenue", "a share of 0.5"),
        ("the price was halved", "50 percent less"),
        ("two thirds of all", "zwei Drittel aller"),
    ],
)
def test_factors_and_shares_are_founded_by_percentages_that_say_the_same(said: str, source: str) -> None:
    assert unfounded(said, [source]) == []


def test_a_mere_two_doubles_nothing() -> None:
    assert [figure.text for figure in unfounded("Der Preis hat sich verdoppelt.", ["2 Stück zu 200 €"])] == [
        "verdoppelt"
    ]
