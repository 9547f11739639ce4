"""What the long proofs of governance measured when they ran last, as they noted it themselves.

A proof prints its figures, and notes them in governance.json too where `FIGURES=1` is set, so that a short run by
`make prove` never takes the place of a long one. The page of results has its section from that file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

__all__ = ["FILE", "Figure", "Proof", "load", "note"]

FILE = Path(__file__).with_name("governance.json")


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One number."""

    what: str
    value: float
    unit: str = ""
    most: float | None = None
    """The goal, where there is one: no more than this."""


class Proof(msgspec.Struct, frozen=True):
    """How a proof went."""

    when: str
    how: str
    """What was done, in a sentence."""
    figures: tuple[Figure, ...]


def note(name: str, how: str, *figures: Figure) -> None:
    """Prints the figures of a proof, and writes them down where that was asked for."""
    print(f"{name}: {how}")
    for figure in figures:
        goal = "" if figure.most is None else f" (at most {figure.most:g})"
        print(f"  {figure.what}: {figure.value:,.10g} {figure.unit}{goal}".rstrip())
    if not os.environ.get("FIGURES"):
        return
    proofs = dict(load()) if FILE.exists() else {}
    proofs[name] = Proof(f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC", how, figures)
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(proofs.items()))), indent=2) + b"\n")


def load(file: Path = FILE) -> Mapping[str, Proof]:
    """The proofs by their names. Raises OSError where none was noted."""
    return msgspec.json.decode(file.read_bytes(), type=dict[str, Proof])
