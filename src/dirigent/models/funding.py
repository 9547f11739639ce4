"""What a call to a provider can cost at most, and what of it is reserved before anybody is asked.

Byte-level vocabularies never make more tokens of a text than it has bytes, so the size of a body bounds its text; what
is in pictures and documents is bounded by their greatest weight at any vendor, and all of it by the context window.
The output is bounded by what the caller asks for, or the deployment gives; where the money that is left pays for less,
the reservation becomes the bound that the provider is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dirigent.core.allotment import Allotment, Held
from dirigent.core.allowances import Allowance, Charge, no_price
from dirigent.core.errors import BudgetExceeded, Denied
from dirigent.core.messages import File, Image, Message, Opaque, Request, Text, Tool, ToolCall
from dirigent.core.ports import Ledger, Reservation
from dirigent.core.profile import Profile
from dirigent.core.run import Run
from dirigent.core.usage import Money, Tariff, Usage

__all__ = ["Funds", "bounded", "funded", "funded_at_once", "keeps_long", "most_input", "nearly_spent"]

_FRAME = 512
"""Tokens that a vendor's template may put around a request, beyond the bytes that it has in JSON."""
_TOOLS = 2_000
"""Tokens of the instructions that some vendors add for tools."""
_PICTURE = 50_000
"""The most tokens that any vendor counts for one picture: gpt-4o-mini has 48,169 for the largest."""
_DOCUMENT = 1_000_000
"""What a document or an address may hold where no context window bounds it."""
_USUAL = 16_384
"""The bound of an answer that nobody bounds: it is told to the provider."""
_LEAST = 64
"""Output tokens without which an answer is not worth its question."""
_PATIENCE = 2.0
"""Seconds that other nodes are given to return what they do not use."""
_PICTURES = frozenset((b"image_url", b"input_image", b"image", b"source", b"inlineData", b"inline_data"))
_DOCUMENTS = frozenset((b"file", b"file_data", b"file_id", b"file_url", b"fileData", b"document", b"video"))
_TOLD = frozenset((b"tools", b"toolConfig"))
_WEIGHED = re.compile(rb'"(%b)"\s*:' % b"|".join(sorted((*_PICTURES, *_DOCUMENTS, *_TOLD))))
"""The fields that may weigh more than their bytes."""
_LONGER = re.compile(rb'"ttl"\s*:(?!\s*(?:"5m"|null))')
"""A mark of the cache that asks for more than the usual five minutes, or something that looks like one."""
_ESCAPED = re.compile(rb"\\u00([0-7][0-9A-Fa-f])")
_LONG = 4_096
"""The bytes between two quotation marks from which it is worth while to pass them over."""


class Funds:
    """What is reserved for one try, and what it was reserved for."""

    __slots__ = ("_held", "_input", "_ledger", "_reservation", "_silent", "_tariff", "charge")

    def __init__(  # noqa: PLR0917  made for each call that is counted, and names cost time there
        self,
        ledger: Ledger | None,
        reservation: Reservation | None,
        tariff: Tariff | None,
        input_tokens: int,
        charge: Charge,
        held: Held | None = None,
        *,
        silent: bool = False,
    ) -> None:
        self._ledger = ledger
        self._reservation = reservation
        self._tariff = tariff
        self._input = input_tokens
        self.charge = charge
        """What is reserved: in the books, of what the run has for itself, or in both."""
        self._held = held
        self._silent = silent
        """Whether the model may think without a word."""

    @property
    def money(self) -> Money | None:
        """What of it is money."""
        return self.charge.money

    def settle(self, usage: Usage | None, cost: Money | None) -> None:
        """Books what a whole answer used and cost; all that was reserved where its provider does not say."""
        self._book(None if usage is None else Charge(cost, usage.input_tokens + usage.output_tokens))

    def settle_by_ear(self, heard: int) -> None:
        """Books the most that an answer can have cost of which nothing is known but what was heard, in tokens.

        A model that thinks in silence may have made more: then nobody knows, and all that was reserved is presumed.
        """
        if self._silent:
            self._book(None)
            return
        reserved = self.charge
        cost = self._tariff.most(self._input, heard) if self._tariff is not None else None
        if cost is None or (reserved.money is not None and reserved.money < cost):
            cost = reserved.money
        self._book(Charge(cost, min(reserved.tokens, self._input + heard)))

    def release(self) -> None:
        """Gives all of it back: the provider was not asked, or has refused."""
        money = self.charge.money
        self._book(Charge(None if money is None else Money(0, money.currency), 0))

    def _book(self, charge: Charge | None) -> None:
        if self._reservation is not None and self._ledger is not None:
            self._ledger.settle(self._reservation, charge)
        if self._held is not None:
            self._held.settle(charge)


def funded_at_once(request: Request, body: bytes, run: Run, tariff: Tariff | None, profile: Profile) -> Funds | None:
    """The funds for a call with this body, without waiting; None where they are not at hand, or not enough."""
    ledger, allowances, allotment = run.ports.ledger, run.grant.counted(run.model), run.allotment
    input_tokens, output_tokens, capped = _bounds(request, body, profile)
    if capped:
        return None
    charge = _charge(tariff, input_tokens, output_tokens)
    if charge.money is None and _counts_money(allowances):
        return None
    held = None
    if allotment is not None:
        try:
            held = _held(run, allotment, charge, charge)
        except Denied:
            return None
    reservation = None
    if ledger is not None and allowances:
        reservation = ledger.at_once(run.id, allowances, charge)
        if reservation is None:
            if held is not None:
                held.release()
            return None
    return Funds(ledger, reservation, tariff, input_tokens, charge, held, silent=_silent(profile))


async def funded(
    request: Request, body: bytes, run: Run, tariff: Tariff | None, profile: Profile
) -> tuple[Funds | None, int | None]:
    """The funds for a call with this body, and the bound for each choice that the provider must be told, if any.

    Raises BudgetExceeded, LimitExceeded and PriceUnknown: then nobody may be asked.
    """
    ledger, allowances, allotment = run.ports.ledger, run.grant.counted(run.model), run.allotment
    counted = ledger is not None and bool(allowances)
    if not counted and allotment is None:
        return None, None
    input_tokens, output_tokens, capped = _bounds(request, body, profile)
    most = _charge(tariff, input_tokens, output_tokens)
    if counted and most.money is None and (budget := _counts_money(allowances)):
        raise no_price(budget, most)
    least = _charge(tariff, input_tokens, min(output_tokens, _LEAST * request.choices))
    held = _held(run, allotment, most, least) if allotment is not None else None
    got, reservation = most if held is None else held.charge, None
    if ledger is not None and counted:
        try:
            reservation = await ledger.reserve(run.id, allowances, got, least, min(_PATIENCE, run.seconds_left))
        except BaseException:
            if held is not None:
                held.release()
            raise
        got = reservation.charge
        if held is not None:
            held.shrink(got)
    funds = Funds(ledger, reservation, tariff, input_tokens, got, held, silent=_silent(profile))
    bound = output_tokens // request.choices if capped else None
    if got.money is not None and most.money is not None and got.money < most.money and tariff is not None:
        paid = tariff.affordable(got.money, input_tokens)
        bound = bound if paid is None else min(paid // request.choices, bound or paid)
    if got.tokens < most.tokens:
        left = max(0, got.tokens - input_tokens) // request.choices
        bound = left if bound is None else min(left, bound)
    if bound is not None and bound < 1:
        funds.release()
        raise BudgetExceeded("what is left pays for no answer", level="run", subject=run.id)
    return funds, bound


def _held(run: Run, allotment: Allotment, most: Charge, least: Charge) -> Held:
    of_model = run.grant.allotted(run.model)
    held = allotment.hold(of_model, most, least)
    if of_model:  # its journal says what of it is used: whoever goes on with the run has no other source
        run.record.holds += (held,)
    return held


def nearly_spent(run: Run) -> Allowance | None:
    """A budget of which so much is used that cheaper models come first; None where all have enough."""
    ledger = run.ports.ledger
    if run.allotment is not None and (scarce := run.allotment.scarce()) is not None:
        return scarce
    if ledger is None:
        return None
    return next(
        (each for each in run.grant.allowances if each.unit == "money" and ledger.share(each) * 100 >= each.thrift),
        None,
    )


def _bounds(request: Request, body: bytes, profile: Profile) -> tuple[int, int, bool]:
    """The most input and output tokens, and whether the latter is our own bound, which the provider must be told."""
    input_tokens = most_input(body, profile.context_window)
    if request.task != "chat":
        return input_tokens, 0, False
    asked, given = request.max_output or None, profile.max_output  # some servers take 0 for no bound
    each = min(asked, given) if asked is not None and given is not None else asked or given
    capped = each is None
    if each is None:
        each = min(_USUAL, profile.context_window or _USUAL)
    return input_tokens, each * request.choices, capped


def most_input(body: bytes, window: int | None) -> int:
    """The most tokens that a provider can count for this body, of a model whose context window is known or not."""
    size = len(body)
    if window is not None and size >= window:
        return window
    tokens = size + _FRAME
    found = _weighed(body)
    if found:
        if not _TOLD.isdisjoint(found):
            tokens += _TOOLS
        tokens += _PICTURE * sum(name in _PICTURES for name in found)
        if not _DOCUMENTS.isdisjoint(found):
            tokens += window or _DOCUMENT
    return tokens if window is None else min(tokens, window)


def keeps_long(request: Request) -> bool:
    """Whether a request may have its provider keep what it writes to its cache for longer than five minutes."""
    body = request.wire.body if request.wire is not None else b" ".join(_marks(request))
    return _LONGER.search(_unescaped(body)) is not None


def _marks(request: Request) -> Iterator[bytes]:
    """Whatever of a request in our own words may hold a mark of the cache."""
    for each in (*request.tools, *(part for message in request.messages for part in (message, *message.parts))):
        match each:
            case Opaque(raw=raw):
                yield raw
            case Text(cache=mark) | Image(cache=mark) | File(cache=mark) | ToolCall(cache=mark) | Tool(cache=mark):
                yield bytes(mark or b"")
            case Message(cache=mark, extra=extra):
                yield from (bytes(mark or b""), *map(bytes, extra.values()))
    yield from map(bytes, request.extra.values())


def _weighed(body: bytes) -> list[bytes]:
    """The names of all fields that may weigh more than their bytes, one for each that there is, or seems to be."""
    if len(body) >= _LONG:
        body = _passed_over(body)
    return _WEIGHED.findall(_unescaped(body))


def _unescaped(body: bytes) -> bytes:
    """The body with each letter that is written by its number, as one of a name may be as well."""
    return _ESCAPED.sub(_letter, body) if b"\\" in body and b"\\u00" in body else body


def _passed_over(body: bytes) -> bytes:
    """The body with a colon for each long stretch without a quotation mark, such as a picture: no name is lost so.

    That takes a few searches for a single byte, a hundredth of what looking at each byte of a picture would.
    """
    kept: list[bytes] = []
    at, done, size = _LONG, 0, len(body)
    while at < size:
        end = body.find(b'"', at)
        if end < 0:
            end = size
        start = body.rfind(b'"', done, at) + 1
        if end - start >= _LONG:
            kept.append(body[done:start])
            done = end
        at = end + _LONG
    kept.append(body[done:])
    return b":".join(kept)  # what stands behind a name may be part of the stretch: it counts as one that is a field's


def _letter(escaped: re.Match[bytes]) -> bytes:
    return bytes((int(escaped[1], 16),))


def _silent(profile: Profile) -> bool:
    return profile.capabilities is not None and "reasoning" in profile.capabilities


def _charge(tariff: Tariff | None, input_tokens: int, output_tokens: int) -> Charge:
    money = tariff.most(input_tokens, output_tokens) if tariff is not None else None
    return Charge(money, input_tokens + output_tokens)


def _counts_money(allowances: tuple[Allowance, ...]) -> Allowance | None:
    return next((each for each in allowances if each.unit == "money"), None)


def bounded(request: Request, bound: int) -> Request:
    """The request with this bound for each of its choices, where it had none or a higher one."""
    given = request.max_output
    return request if given and given <= bound else request.changed(max_output=bound)
