"""The text format of Prometheus: families of series, written as lines that a scraper reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

__all__ = ["Family", "Samples", "exposed"]

Samples = dict[str, dict[tuple[str, ...], list[float]]]
"""By the name of a family and the values of its labels: one value, or the counts of buckets and the sum behind them."""

_NANO = 1_000_000_000
_COST = "dirigent_cost_total"


class Family(msgspec.Struct, frozen=True):
    """All series of one name."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...] = ()
    workers: Literal["sum", "max"] = "sum"
    """What becomes of the values of several workers."""


def exposed(families: Mapping[str, Family], samples: Samples, most: int) -> str:
    """The samples as text; where a family has more than `most` series, the rest of them are one called `other`."""
    lines: list[str] = []
    for name, family in sorted(families.items()):
        series = samples.get(name)
        if not series:
            continue
        lines += (f"# HELP {name} {_escaped(family.help, quoted=False)}", f"# TYPE {name} {family.kind}")
        for labels, values in _bounded(family, series, most):
            lines += _lines(family, labels, values)
    return "\n".join(lines) + "\n" if lines else ""


def _bounded(
    family: Family, series: Mapping[tuple[str, ...], list[float]], most: int
) -> Iterator[tuple[tuple[str, ...], Sequence[float]]]:
    """Several workers may have met different labels, and all of them together too many."""
    ordered = sorted(series)
    if len(ordered) > most:
        rest = [series[labels] for labels in ordered[most - 1 :]]
        ordered = ordered[: most - 1]
        yield ("other",) * len(family.labels), [sum(values) for values in zip(*rest, strict=True)]
    for labels in ordered:
        yield labels, series[labels]


def _lines(family: Family, labels: tuple[str, ...], values: Sequence[float]) -> Iterator[str]:
    said = [f'{name}="{_escaped(value)}"' for name, value in zip(family.labels, labels, strict=True)]
    if family.kind != "histogram":
        yield f"{family.name}{_braced(said)} {_money(values[0]) if family.name == _COST else _number(values[0])}"
        return
    *counts, total = values
    so_far = 0
    for bound, count in zip((*map(_number, family.bounds), "+Inf"), counts, strict=True):
        so_far += int(count)
        yield f"{family.name}_bucket{_braced([*said, f'le={chr(34)}{bound}{chr(34)}'])} {so_far}"
    yield f"{family.name}_sum{_braced(said)} {_number(total)}"
    yield f"{family.name}_count{_braced(said)} {so_far}"


def _braced(said: Sequence[str]) -> str:
    return "{" + ",".join(said) + "}" if said else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _money(nano: float) -> str:
    """Nano-units in whole units, to the last digit."""
    whole, rest = divmod(int(nano), _NANO)
    return f"{whole}.{rest:09d}"


def _escaped(words: str, *, quoted: bool = True) -> str:
    words = words.replace("\\", "\\\\").replace("\n", "\\n")
    return words.replace('"', '\\"') if quoted else words
