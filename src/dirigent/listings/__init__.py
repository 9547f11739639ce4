"""Published prices, context windows and capabilities: a sorted text file, searched where it lies.

The table has thousands of rows and a node needs a handful, so nothing is loaded: a look-up maps the file, halves it a
dozen times and decodes one line. `tools/listings` makes the table; a line is `vendor/name`, a tab and an `Entry` as
JSON, sorted by the bytes of the key.
"""

from __future__ import annotations

from mmap import ACCESS_READ, mmap
from pathlib import Path

import msgspec

from dirigent.listings.entry import Entry, Package, Provenance
from dirigent.listings.modes import tasks_of

__all__ = ["Entry", "Listings", "Package", "Provenance"]

_TABLE = Path(__file__).with_name("table.txt")
_HOUR = "cache_write_1h"
"""The rate at which a vendor keeps what is written to its cache for an hour."""
_PROVENANCE = b"#"  # sorts before every vendor, and no vendor is called so

_entry = msgspec.json.Decoder(Entry)
_provenance = msgspec.json.Decoder(Provenance)


class Listings:
    """The table of published prices and capabilities, as the port `Listings` promises it."""

    def __init__(self, table: Path = _TABLE) -> None:
        """Looks up in `table`, a newer file of an operator's or the one that came with the package.

        Nothing is read before the first look-up. Look-ups raise OSError where the file is not there, and
        msgspec.MsgspecError where the line they need is not an entry.
        """
        self._table = table

    def find(self, vendor: str, name: str) -> Entry | None:
        """The listing of exactly this name; None where it is not listed, for a similar name proves nothing.

        `name` may carry the vendor as a prefix (`groq/…`). A dated snapshot is found only if it is itself listed.
        """
        with _mapped(self._table) as table:
            row = _row(table, _key(vendor, name))
            if row is None and name.startswith(f"{vendor}/"):
                row = _row(table, _key(vendor, name.removeprefix(f"{vendor}/")))
        if row is None:
            return None
        entry = _entry.decode(row)
        tasks = tasks_of(entry.mode, name, converses=entry.context_window is not None)
        price, hour = entry.price, entry.rates.get(_HOUR)
        if price is not None and hour is not None:
            price = msgspec.structs.replace(price, cache_write_hour=hour)
        return msgspec.structs.replace(entry, tasks=tasks, price=price)

    def names(self, vendor: str) -> list[str]:
        """The names that are listed for `vendor`, sorted; empty where the vendor is not in the table."""
        prefix = _key(vendor, "")
        names: list[str] = []
        with _mapped(self._table) as table:
            start = _position(table, prefix)
            while table[start : start + len(prefix)] == prefix:
                names.append(table[start + len(prefix) : table.find(b"\t", start)].decode())
                start = table.find(b"\n", start) + 1
        return names

    def provenance(self) -> Provenance:
        """Which packages, versions and day the table comes from."""
        with _mapped(self._table) as table:
            return _provenance.decode(_row(table, _PROVENANCE) or b"")


def _key(vendor: str, name: str) -> bytes:
    return f"{vendor}/{name}".encode(errors="surrogatepass")  # any string may be asked for; none but UTF-8 is listed


def _mapped(path: Path) -> mmap:
    with path.open("rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_READ)


def _row(table: mmap, key: bytes) -> bytes | None:
    start, wanted = _position(table, key), key + b"\t"
    if table[start : start + len(wanted)] != wanted:
        return None
    return table[start + len(wanted) : table.find(b"\n", start)]


def _position(table: mmap, key: bytes) -> int:
    """Where the first line begins whose key is not before `key`."""
    low, high = 0, len(table)  # always the beginning of a line, or the end of the file
    while low < high:
        middle = (low + high) // 2
        start = table.rfind(b"\n", low, middle) + 1 or low
        end = table.find(b"\n", middle) + 1
        if table[start : table.find(b"\t", start)] < key:
            low = end
        else:
            high = start
    return low
