"""Makes the table: `python -m tools.listings.build [--cache FOLDER] [--table FILE]`.

Needs pip and, the first time, a package index. The same pins give the same bytes on any machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec

from dirigent.core.usage import Price
from dirigent.listings import Entry, Package, Provenance
from tools.listings import cross_check, primary
from tools.listings.primary import Key
from tools.listings.sources import AS_OF, CROSS_CHECK, PRIMARY, fetch, member

__all__ = ["CACHE", "Difference", "Table", "build", "main"]

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "listings"
TABLE = ROOT / "src" / "dirigent" / "listings" / "table.txt"

_TOLERANCE = Decimal(1)
"""Two figures differ where they are more than this many per cent apart."""
_encode = msgspec.json.Encoder(order="deterministic").encode


class Difference(NamedTuple):
    """One figure on which the two sources do not agree, per million tokens."""

    key: Key
    figure: str
    ours: Decimal
    theirs: Decimal

    @property
    def apart(self) -> Decimal:
        """By how many per cent of the greater figure they differ."""
        return abs(self.ours - self.theirs) * 100 / max(self.ours, self.theirs)

    def plain(self) -> dict[str, str]:
        """The difference as JSON can write it."""
        vendor, name = self.key
        return {
            "vendor": vendor,
            "name": name,
            "figure": self.figure,
            "ours": f"{self.ours}",
            "theirs": f"{self.theirs}",
        }


class Table(NamedTuple):
    """The entries by key, and what building them showed."""

    entries: dict[Key, Entry]
    compared: int
    differences: list[Difference]
    added: int
    """Entries that only the cross-check has."""

    def text(self) -> bytes:
        """The file: one line for each entry, sorted by the bytes of its key, the provenance first."""
        lines = {f"{vendor}/{name}": _encode(entry) for (vendor, name), entry in self.entries.items()}
        lines["#"] = _encode(self.provenance())
        sorted_keys = sorted(lines, key=str.encode)
        return b"".join(key.encode() + b"\t" + lines[key] + b"\n" for key in sorted_keys)

    def provenance(self) -> Provenance:
        """Where the entries come from."""
        disputed = sum(entry.disputed is not None for entry in self.entries.values())
        packages = tuple(Package(**source._asdict()) for source in (PRIMARY, CROSS_CHECK))
        return Provenance(AS_OF, packages, len(self.entries), disputed)


def build(cache: Path) -> Table:
    """The table of the pinned sources, which are fetched into `cache` and verified unless they lie there.

    Raises Unverified where a source cannot be had as pinned, ValueError where one has taken an unknown shape.
    """
    entries = primary.read(member(PRIMARY, fetch(PRIMARY, cache)), PRIMARY.package)
    opinions = cross_check.read(member(CROSS_CHECK, fetch(CROSS_CHECK, cache)), AS_OF)
    differences: list[Difference] = []
    compared = 0
    for key, entry in entries.items():
        opinion = opinions.of(key)
        if opinion is None or entry.price is None or not opinion.prices or entry.price.free:
            continue
        compared += 1
        if found := _differences(key, entry.price, opinion.prices):
            differences += found
            entries[key] = msgspec.structs.replace(entry, disputed=_in_words(found))
    added = 0
    for key, opinion in opinions.listed():
        if key not in entries and (opinion.prices or opinion.context_window):
            entries[key] = opinion.entry(CROSS_CHECK.package)
            added += 1
    return Table(entries, compared, differences, added)


def _differences(key: Key, ours: Price, theirs: list[Price]) -> list[Difference]:
    """The differences to the first of `theirs`, or none where one of them agrees."""
    found = [list(_between(key, ours, price)) for price in theirs]
    return [] if not all(found) else found[0]


def _between(key: Key, ours: Price, theirs: Price) -> Iterator[Difference]:
    for figure in ("input", "output", "cached_input", "cache_write", "audio_input", "audio_output"):
        mine, other = getattr(ours, figure), getattr(theirs, figure)
        if mine is None or other is None:
            continue
        difference = Difference(key, figure, mine, other)
        if difference.apart > _TOLERANCE:
            yield difference


def _in_words(differences: list[Difference]) -> str:
    first, second = PRIMARY.package, CROSS_CHECK.package
    figures = (f"{found.figure} {found.ours} in {first}, {found.theirs} in {second}" for found in differences)
    return f"{'; '.join(figures)} (USD per million tokens)"


def main() -> None:
    """Writes the table and says what is in it."""
    parser = argparse.ArgumentParser(prog="tools.listings.build", description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the wheels are kept (default: %(default)s)")
    parser.add_argument("--table", type=Path, default=TABLE, help="the file to write (default: %(default)s)")
    asked = parser.parse_args()
    table = build(asked.cache)
    text = table.text()
    asked.table.write_bytes(text)
    made = table.provenance()
    print(
        f"{asked.table}: {made.entries} entries, {table.added} of them from {CROSS_CHECK.package} alone; "
        f"{len(text)} bytes; {table.compared} prices compared, {made.disputed} disputed"
    )


if __name__ == "__main__":
    main()
