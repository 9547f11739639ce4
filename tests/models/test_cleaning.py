"""Texts of mails are read without what programs write below them."""

from __future__ import annotations

import pytest

from dirigent.models.cleaning import cleaned


@pytest.mark.parametrize(
    "line",
    [
        "Gesendet von meinem Telefon",
        "Gesendet von meinem iPhone",
        "Von meinem Samsung-Gerät gesendet",
        "Gesendet mit der WEB.DE Mail App",
        "Sent from my phone",
        "Sent from Outlook for iOS",
        "Get Outlook for Android",
    ],
)
def test_what_a_telephone_writes_below_a_mail_is_no_part_of_it(line: str) -> None:
    assert cleaned(f"Wo bleibt die Ware?\n\n{line}\n", ["whitespace", "mail"]) == "Wo bleibt die Ware?"


def test_what_somebody_says_about_sending_stays() -> None:
    text = "Gesendet von meinem Lager wurde alles.\nBitte prüfen Sie das."

    assert cleaned(text, ["mail"]) == text
