"""Figures as the table writes them: exact decimals per million, without the noise of the sources' floating point."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from dirigent.core.usage import Price

__all__ = ["known", "per_million", "priced", "tidy"]

MILLION = 1_000_000
_NANO = Decimal("1e-9")


def tidy(figure: Decimal) -> Decimal:
    """`figure` to the ninth decimal, without trailing zeros.

    The sources write 2e-7 as 2.0000000000000002E-7 here and there. The ninth decimal of a price per million is 1e-15
    of a currency unit per token: far below any published price, far above that noise.
    """
    return Decimal(format(figure.quantize(_NANO).normalize(), "f"))


def per_million(figure: object) -> Decimal | None:
    """The price per million of a price per one; None where nothing is stated.

    A stated zero is None too: it stands for "not charged this way", for "not known" and for passing promotions alike,
    and a cost that nobody can vouch for must not look like none.
    """
    return None if not isinstance(figure, Decimal) else known(figure * MILLION)


def known(figure: Decimal | None) -> Decimal | None:
    """`figure` tidied; None where it is missing or zero. Raises ValueError where it is negative."""
    if figure is None:
        return None
    if figure < 0:
        raise ValueError(f"{figure} is no price")
    return tidy(figure) or None


def priced(figures: Mapping[str, Decimal | None]) -> Price | None:
    """The price of these figures by field; None where not one is known."""
    stated = {name: figure for name, figure in figures.items() if figure is not None}
    return msgspec.convert(stated, Price) if stated else None
