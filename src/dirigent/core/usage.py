"""Usage in tokens, prices per token, and money: the only place where money is computed.

Money is an integer number of nano-units of one currency (1 USD = 1,000,000,000 nano-USD), so sums are exact and never
drift. Prices are written as exact decimals per million tokens, as providers publish them; a price that nobody knows
is None and makes the cost unknown, never zero.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal, DecimalException, Inexact, InvalidOperation
from fractions import Fraction

import msgspec

__all__ = ["Money", "Price", "Tariff", "Tier", "Usage"]

NANO = 1_000_000_000
_NANO_PER_MILLIONTH = NANO // 1_000_000
_EXACT = Context(prec=120, traps=[Inexact, InvalidOperation])
"""Arithmetic that would rather fail than round: the usual 28 digits are too few for a long price times many tokens."""
_FINEST = 40
_LARGEST = 20
"""The digits of a price behind and before its point: with them, the cost of 64 bits of tokens stays exact."""
_HOUR_AT_MOST = Decimal(2)
"""Times as much as writing to a cache for minutes at most costs writing for an hour, where nobody says how much it is:
Anthropic, and who sells its models, charge 1.6 times as much."""


class Money(msgspec.Struct, frozen=True):
    """An exact amount: `nano` billionths of one unit of `currency` (an ISO 4217 code)."""

    nano: int
    currency: str = "USD"

    @classmethod
    def of(cls, amount: Decimal | int | str, currency: str = "USD") -> Money:
        """The money for a decimal amount; digits beyond the ninth are rounded up, so nothing is ever undercharged.

        Raises ValueError where it is no finite number.
        """
        try:
            return cls(_rounded_up(_EXACT.multiply(Decimal(amount), NANO)), currency)
        except (DecimalException, OverflowError, ValueError):
            raise ValueError(f"{amount!r} is no amount of money") from None

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.nano + other.nano, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.nano - other.nano, self.currency)

    # each of the four is written out: a struct has all of them already, so nothing would be derived from one
    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.nano < other.nano

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.nano <= other.nano

    def __gt__(self, other: Money) -> bool:
        self._same(other)
        return self.nano > other.nano

    def __ge__(self, other: Money) -> bool:
        self._same(other)
        return self.nano >= other.nano

    def __str__(self) -> str:
        """The exact decimal and the currency, such as `0.00125 USD`: the form of the header `x-dirigent-cost`."""
        nano, sign = self.nano, ""
        if nano < 0:
            nano, sign = -nano, "-"
        whole, fraction = divmod(nano, NANO)
        amount = f"{whole}.{fraction:09d}".rstrip("0") if fraction else whole
        return f"{sign}{amount} {self.currency}"

    def added_to(self, nano: int) -> int:
        """`nano` and this amount, for whoever keeps sums of each currency as whole numbers."""
        return nano + self.nano

    def converted(self, rate: Fraction, currency: str) -> Money:
        """This amount in another currency, of which one unit of its own is worth `rate`; rounded up to a nano-unit."""
        return Money(-(-self.nano * rate.numerator // rate.denominator), currency)

    def times(self, other: Money) -> float | None:
        """How many times `other` this amount is; None of nothing."""
        self._same(other)
        return self.nano / other.nano if other.nano else None

    def decimal(self) -> Decimal:
        """The amount in whole units of the currency, exactly."""
        return _EXACT.scaleb(Decimal(self.nano), -9)

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise ValueError(f"{self} and {other} are of different currencies")


class Usage(msgspec.Struct, frozen=True):
    """What one answer used. Totals include their parts: input tokens the cached ones, output tokens the reasoning."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    estimated: bool = False
    """True where the provider reported nothing and the tokens were counted here."""
    cache_write_hour_tokens: int = 0
    """Of those written to the cache, the ones that stay there for an hour, which costs more than a few minutes."""
    cache_write_untold_tokens: int = 0
    """Of those written to the cache, the ones of which the provider does not say how long they stay there."""

    def within_an_hour(self) -> Usage:
        """The same where all of which nothing is told stays in the cache for an hour, which is the dearest."""
        untold = self.cache_write_untold_tokens
        return msgspec.structs.replace(
            self, cache_write_hour_tokens=self.cache_write_hour_tokens + untold, cache_write_untold_tokens=0
        )

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_input_tokens + other.cached_input_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.audio_input_tokens + other.audio_input_tokens,
            self.audio_output_tokens + other.audio_output_tokens,
            self.estimated or other.estimated,
            self.cache_write_hour_tokens + other.cache_write_hour_tokens,
            self.cache_write_untold_tokens + other.cache_write_untold_tokens,
        )


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a deployment charges, as exact decimals per million tokens. What is not given is unknown, not free."""

    input: Decimal | None = None
    """Per million input tokens."""
    output: Decimal | None = None
    """Per million output tokens."""
    cached_input: Decimal | None = None
    """Per million input tokens that the provider read from its cache; falls back to `input`, which is never lower."""
    cache_write: Decimal | None = None
    """Per million input tokens that the provider wrote to its cache; falls back to `input`."""
    cache_write_hour: Decimal | None = None
    """Per million input tokens that the provider wrote to its cache for an hour; unknown where that was done and this
    is not given, unless `cache_write` is not given either."""
    audio_input: Decimal | None = None
    """Per million audio tokens in; unknown where audio was used and this is not given."""
    audio_output: Decimal | None = None
    """Per million audio tokens out; unknown where audio was used and this is not given."""
    currency: str = "USD"
    """ISO 4217 code."""
    tiers: tuple[Tier, ...] = ()
    """Other prices for long inputs, by rising `above`."""

    def __post_init__(self) -> None:
        if not (len(self.currency) == 3 and self.currency.isascii() and self.currency.isupper()):
            raise ValueError(f"{self.currency!r} is no ISO 4217 code, such as USD or EUR")
        for name in _PRICED:
            price: Decimal | None = getattr(self, name)
            if price is not None and not (price.is_finite() and price >= 0):
                raise ValueError(f"the price {name!r} is {price}, and a price is a number that is not negative")
            if price is not None and not _short(price):
                raise ValueError(f"the price {name!r} has too many digits: {price}")
        above = [tier.above for tier in self.tiers]
        if above != sorted(set(above)):
            raise ValueError("the tiers of a price stand by rising `above`")
        if any(tier.price.currency != self.currency or tier.price.tiers for tier in self.tiers):
            raise ValueError("the tiers of a price have its currency and no tiers of their own")

    def at(self, input_tokens: int) -> Price:
        """The price that every token of a request of this many input tokens has."""
        dearer = [tier.price for tier in self.tiers if input_tokens > tier.above]
        return dearer[-1] if dearer else self

    def cost(self, usage: Usage) -> Money | None:
        """The exact cost of `usage`, rounded up once to a nano-unit; None as soon as one part has no known price."""
        if self.tiers and (tier := self.at(usage.input_tokens)) is not self:
            return tier.cost(usage)
        if self.input is not None and self.output is not None and not _beyond_plain(usage):  # nearly every answer
            total = _EXACT.add(
                _EXACT.multiply(self.input, usage.input_tokens), _EXACT.multiply(self.output, usage.output_tokens)
            )
        else:
            parts = self._parts(usage)
            if parts is None:
                return None
            total = parts
        return Money(_rounded_up(_EXACT.multiply(total, _NANO_PER_MILLIONTH)), self.currency)

    def _parts(self, usage: Usage) -> Decimal | None:
        audio_in, audio_out = usage.audio_input_tokens, usage.audio_output_tokens
        hour = usage.cache_write_hour_tokens
        plain_in = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens - audio_in
        total = Decimal(0)
        for tokens, price in (
            (plain_in, self.input),
            (usage.cached_input_tokens, self.cached_input if self.cached_input is not None else self.input),
            (usage.cache_write_tokens - hour, self.cache_write if self.cache_write is not None else self.input),
            # who charges more for writing charges still more for keeping it longer: how much must be known
            (
                hour,
                self.cache_write_hour
                if self.cache_write_hour is not None or self.cache_write is not None
                else self.input,
            ),
            (usage.output_tokens - audio_out, self.output),
            (audio_in, self.audio_input),
            (audio_out, self.audio_output),
        ):
            if tokens <= 0:
                continue
            if price is None:
                return None
            total = _EXACT.add(total, _EXACT.multiply(price, tokens))
        return total

    @property
    def free(self) -> bool:
        """True where the operator or the listing says in so many words that tokens cost nothing (a local model)."""
        return self.input == 0 and self.output == 0


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The price of every token of a request whose input is longer than `above` tokens."""

    above: int
    price: Price


_PRICED = ("input", "output", "cached_input", "cache_write", "cache_write_hour", "audio_input", "audio_output")


def _short(price: Decimal) -> bool:
    exponent = price.as_tuple().exponent
    return isinstance(exponent, int) and -exponent <= _FINEST and price.adjusted() < _LARGEST


def _rounded_up(nano: Decimal) -> int:
    return int(nano.to_integral_value(ROUND_CEILING))


class Tariff:
    """A price made ready for many answers: the same costs, in whole numbers where nothing special was used."""

    __slots__ = ("_currency", "_input", "_output", "_parts", "_worst", "price")

    def __init__(self, price: Price) -> None:
        self.price = price
        self._currency = price.currency
        self._parts = 0
        """How many parts one nano-unit has here; 0 where the price itself must be asked."""
        if price.input is not None and price.output is not None and not price.tiers:
            places = max(0, *(-int(each.as_tuple().exponent) for each in (price.input, price.output)))
            self._parts = 10**places
            self._input, self._output = (
                int(_EXACT.multiply(_EXACT.scaleb(each, places), _NANO_PER_MILLIONTH))
                for each in (price.input, price.output)
            )
        self._worst = _worst(price)

    def cost(self, usage: Usage) -> Money | None:
        """What `Price.cost` says."""
        parts = self._parts
        if not parts or _beyond_plain(usage):
            return self.price.cost(usage)
        return Money(
            -(-(usage.input_tokens * self._input + usage.output_tokens * self._output) // parts), self._currency
        )

    def most(self, input_tokens: int, output_tokens: int) -> Money | None:
        """The most that so many tokens can cost, of whatever kind they are; None where a price is unknown."""
        worst = self._worst
        if worst is None:
            return None
        parts, dearest_input, dearest_output = worst
        return Money(-(-(input_tokens * dearest_input + output_tokens * dearest_output) // parts), self._currency)

    def affordable(self, money: Money, input_tokens: int) -> int | None:
        """The output tokens that `money` surely pays besides so many input tokens; None for any number of them."""
        worst = self._worst
        if worst is None or money.currency != self._currency:
            return 0
        parts, dearest_input, dearest_output = worst
        left = money.nano * parts - input_tokens * dearest_input
        return max(0, left // dearest_output) if dearest_output else None


def _beyond_plain(usage: Usage) -> int:
    return (
        usage.cached_input_tokens or usage.cache_write_tokens or usage.audio_input_tokens or usage.audio_output_tokens
    )


def _worst(price: Price) -> tuple[int, int, int] | None:
    """The parts of a nano-unit, and in these the dearest input and the dearest output token; None if one is unknown."""
    every = (price, *(tier.price for tier in price.tiers))
    if any(each.input is None or each.output is None for each in every):
        return None
    given = [(name, getattr(each, name)) for each in every for name in _PRICED]
    outputs = [value for name, value in given if value is not None and "output" in name]
    inputs = [value for name, value in given if value is not None and "output" not in name]
    inputs += [
        _EXACT.multiply(each.cache_write, _HOUR_AT_MOST)
        for each in every
        if each.cache_write is not None and each.cache_write_hour is None
    ]
    places = max(0, *(-int(value.as_tuple().exponent) for value in (*inputs, *outputs)))
    dearest = (
        int(_EXACT.multiply(_EXACT.scaleb(max(side), places), _NANO_PER_MILLIONTH)) for side in (inputs, outputs)
    )
    return 10**places, *dearest
