"""Usage in tokens, prices per token, and money: the only place where money is computed.

Money is an integer number of nano-units of one currency (1 USD = 1,000,000,000 nano-USD), so sums are exact and never
drift. Prices are written as exact decimals per million tokens, as providers publish them; a price that nobody knows
is None and makes the cost unknown, never zero.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from functools import total_ordering

import msgspec

__all__ = ["Money", "Price", "Tier", "Usage"]

NANO = 1_000_000_000
_NANO_PER_MILLIONTH = Decimal(NANO) / 1_000_000


@total_ordering
class Money(msgspec.Struct, frozen=True):
    """An exact amount: `nano` billionths of one unit of `currency` (an ISO 4217 code)."""

    nano: int
    currency: str = "USD"

    @classmethod
    def of(cls, amount: Decimal | int | str, currency: str = "USD") -> Money:
        """The money for a decimal amount; digits beyond the ninth are rounded up, so nothing is ever undercharged."""
        return cls(int((Decimal(amount) * NANO).to_integral_value(ROUND_CEILING)), currency)

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.nano + other.nano, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.nano - other.nano, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.nano < other.nano

    def __str__(self) -> str:
        """The exact decimal and the currency, such as `0.00125 USD`: the form of the header `x-dirigent-cost`."""
        sign, nano = ("-", -self.nano) if self.nano < 0 else ("", self.nano)
        whole, rest = divmod(nano, NANO)
        fraction = f"{rest:09d}".rstrip("0")
        return f"{sign}{whole}{'.' + fraction if fraction else ''} {self.currency}"

    def decimal(self) -> Decimal:
        """The amount in whole units of the currency, exactly."""
        return Decimal(self.nano).scaleb(-9)

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise ValueError(f"{self} and {other} are of different currencies")


class Usage(msgspec.Struct, frozen=True):
    """What one answer used. Totals include their parts: `input_tokens` the cached ones, `output_tokens` the reasoning."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    estimated: bool = False
    """True where the provider reported nothing and the tokens were counted here."""

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
    audio_input: Decimal | None = None
    """Per million audio tokens in; unknown where audio was used and this is not given."""
    audio_output: Decimal | None = None
    """Per million audio tokens out; unknown where audio was used and this is not given."""
    currency: str = "USD"
    """ISO 4217 code."""
    tiers: tuple[Tier, ...] = ()
    """Other prices for long inputs, by rising `above`."""

    def at(self, input_tokens: int) -> Price:
        """The price that every token of a request of this many input tokens has."""
        dearer = [tier.price for tier in self.tiers if input_tokens > tier.above]
        return dearer[-1] if dearer else self

    def cost(self, usage: Usage) -> Money | None:
        """The exact cost of `usage`, rounded up once to a nano-unit; None as soon as one part has no known price."""
        if self.tiers and (tier := self.at(usage.input_tokens)) is not self:
            return tier.cost(usage)
        if self.input is not None and self.output is not None and not _beyond_plain(usage):  # nearly every answer
            total = usage.input_tokens * self.input + usage.output_tokens * self.output
        else:
            parts = self._parts(usage)
            if parts is None:
                return None
            total = parts
        return Money(int((total * _NANO_PER_MILLIONTH).to_integral_value(ROUND_CEILING)), self.currency)

    def _parts(self, usage: Usage) -> Decimal | None:
        audio_in, audio_out = usage.audio_input_tokens, usage.audio_output_tokens
        plain_in = usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens - audio_in
        total = Decimal(0)
        for tokens, price in (
            (plain_in, self.input),
            (usage.cached_input_tokens, self.cached_input if self.cached_input is not None else self.input),
            (usage.cache_write_tokens, self.cache_write if self.cache_write is not None else self.input),
            (usage.output_tokens - audio_out, self.output),
            (audio_in, self.audio_input),
            (audio_out, self.audio_output),
        ):
            if tokens <= 0:
                continue
            if price is None:
                return None
            total += tokens * price
        return total

    @property
    def free(self) -> bool:
        """True where the operator or the listing says in so many words that tokens cost nothing (a local model)."""
        return self.input == 0 and self.output == 0


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The price of every token of a request whose input is longer than `above` tokens."""

    above: int
    price: Price


def _beyond_plain(usage: Usage) -> int:
    return (
        usage.cached_input_tokens or usage.cache_write_tokens or usage.audio_input_tokens or usage.audio_output_tokens
    )
