"""How documents look, in one place: colours, sizes and words that all formats share.

The colours are those of the console, chosen for the largest distance between any two, also for eyes that see fewer
colours; none of them is alone in what it says.
"""

from __future__ import annotations

from typing import Final

from dirigent.core.forms import Language

__all__ = ["BORDER", "INK", "MUTED", "SERIES", "SUNKEN", "WORDS", "series"]

INK: Final = "#14171c"
MUTED: Final = "#565e6c"
BORDER: Final = "#dfe3e9"
SUNKEN: Final = "#f6f7f9"
SERIES: Final = ("#1b4b9b", "#9c3a11", "#209993", "#66294e", "#ac7d1b", "#855dd7")
WORDS: Final[dict[Language, dict[str, str]]] = {
    "de": {"page": "Seite {} von {}", "missing": "(hier fehlt {})", "rest": "… und {} weitere Zeilen"},
    "en": {"page": "Page {} of {}", "missing": "({} is missing here)", "rest": "… and {} more rows"},
}


def series(colour: str) -> tuple[str, ...]:
    """The colours of series, the house's own first."""
    return (colour, *(each for each in SERIES if each.lower() != colour.lower()))
