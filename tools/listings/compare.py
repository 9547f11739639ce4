"""Shows where the two sources differ by more than 1 %: `python -m tools.listings.compare [--vendor NAME] [--json]`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from tools.listings.build import CACHE, Difference, build
from tools.listings.sources import CROSS_CHECK, PRIMARY

__all__ = ["main", "table"]

_HEADINGS = ("vendor", "name", "figure", PRIMARY.package, CROSS_CHECK.package, "apart")


def table(differences: Sequence[Difference]) -> str:
    """The differences as aligned columns, the widest apart first; USD per million tokens."""
    ranked = sorted(differences, key=lambda found: found.apart, reverse=True)
    cells = [(*found.key, found.figure, str(found.ours), str(found.theirs), f"{found.apart:.1f} %") for found in ranked]
    rows = [_HEADINGS, *cells]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    words = (cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True))
    figures = (cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True))
    return "  ".join((*words, *figures))


def main() -> None:
    """Prints the differences and what they were found among."""
    parser = argparse.ArgumentParser(prog="tools.listings.compare", description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the wheels are kept (default: %(default)s)")
    parser.add_argument("--vendor", help="only this vendor")
    parser.add_argument("--json", action="store_true", help="an object instead of the table")
    asked = parser.parse_args()
    made = build(asked.cache)
    found = [difference for difference in made.differences if asked.vendor in (None, difference.key[0])]
    if asked.json:
        print(json.dumps({"compared": made.compared, "differences": [difference.plain() for difference in found]}))
        return
    if found:
        print(table(found))
    entries = len({difference.key for difference in found})
    print(f"{len(found)} figures of {entries} entries differ; {made.compared} entries have a price in both sources")


if __name__ == "__main__":
    main()
