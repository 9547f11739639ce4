"""The fonts that go into documents: with umlauts, the euro and typographic quotation marks, on every machine alike."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import matplotlib as mpl

__all__ = ["FONTS", "FONT_NAME"]

FONT_NAME: Final = "DejaVu Sans"
_FOLDER = Path(mpl.get_data_path()) / "fonts" / "ttf"  # they come with the library that draws the charts
FONTS: Final = {
    "": _FOLDER / "DejaVuSans.ttf",
    "B": _FOLDER / "DejaVuSans-Bold.ttf",
    "I": _FOLDER / "DejaVuSans-Oblique.ttf",
    "BI": _FOLDER / "DejaVuSans-BoldOblique.ttf",
    "mono": _FOLDER / "DejaVuSansMono.ttf",
}
