"""The ledger of a node without a database: one worker, and all forgotten when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import time

from dirigent.core.allowances import (
    Allowance,
    AllowanceOverrun,
    AllowancePassed,
    Charge,
    Rates,
    Standing,
    amount_of,
    no_price,
    no_rates,
    reduced,
    refusal,
    stop,
)
from dirigent.core.errors import DirigentError
from dirigent.core.ports import Observer, Reservation
from dirigent.core.windows import Span, span_at

__all__ = ["MemoryLedger"]


class _Count:
    """One window of an allowance."""

    __slots__ = ("allowance", "booked", "held", "overrun", "presumed", "span", "told")

    def __init__(self, allowance: Allowance, span: Span) -> None:
        self.allowance = allowance
        self.span = span
        self.booked = self.held = self.presumed = self.overrun = 0
        self.told: set[int] = set()

    @property
    def used(self) -> int:
        return self.booked + self.held + self.presumed + self.overrun

    @property
    def left(self) -> int:
        return self.allowance.most - self.used

    @property
    def share(self) -> float:
        return self.used / self.allowance.most if self.allowance.most > 0 else 1.0

    @property
    def resets(self) -> float | None:
        return None if self.span.ends is None else self.span.ends / 1000


class _Hold:
    __slots__ = ("charge", "held", "open", "run")

    def __init__(self, run: str, charge: Charge, held: list[tuple[_Count, int]]) -> None:
        self.run = run
        self.charge = charge
        self.held = held
        self.open = True


class MemoryLedger:
    """Counts in memory by the same rule as the ledger of many workers, and never has to wait."""

    def __init__(self, observer: Observer, *, rates: Rates = no_rates, clock: Callable[[], float] = time) -> None:
        self._observer = observer
        self._rates = rates
        self._clock = clock
        self._counts: dict[str, _Count] = {}
        self._holds: dict[int, _Hold] = {}
        self.settled_twice = 0
        """How many settlements came for a reservation that was settled, and changed nothing."""

    def at_once(self, run: str, allowances: tuple[Allowance, ...], charge: Charge) -> _Hold | None:
        """Reserves, or gives None where not everything is there."""
        held: list[tuple[_Count, int]] = []
        for allowance in allowances:
            count = self._count(allowance)
            amount = amount_of(count.allowance, charge, self._rates)
            if amount is None or count.allowance.stopped or count.left < amount:
                for other, taken in held:
                    other.held -= taken
                return None
            count.held += amount
            held.append((count, amount))
        hold = _Hold(run, charge, held)
        if held:
            self._holds[id(hold)] = hold
        return hold

    async def reserve(
        self, run: str, allowances: tuple[Allowance, ...], most: Charge, least: Charge, patience: float
    ) -> Reservation:
        """Reserves `most` of every allowance, or what there is if it is `least` at least.

        Raises BudgetExceeded, LimitExceeded and PriceUnknown.
        """
        charge = most
        for allowance in allowances:
            count = self._count(allowance)
            rule = count.allowance
            if rule.stopped:
                raise stop(rule)
            if amount_of(rule, most, self._rates) is None:
                raise no_price(rule, most)
            charge = reduced(charge, least, rule, count.left, self._rates)
        hold = self.at_once(run, allowances, charge)
        if hold is None:
            raise self._refusal(allowances, charge)
        return hold

    def settle(self, reservation: Reservation, charge: Charge | None) -> None:
        """Books what the call used up in truth, once; None where nobody knows, and all of it is then presumed spent."""
        if not isinstance(reservation, _Hold) or not reservation.open:
            self.settled_twice += 1
            return
        reservation.open = False
        self._holds.pop(id(reservation), None)
        for count, held in reservation.held:
            count.held -= held
            rule = count.allowance
            if rule.unit == "calls":
                continue
            actual = None if charge is None else amount_of(rule, charge, self._rates)
            if actual is None and rule.unit == "requests":
                actual = held  # that it was made is certain
            if actual is None:
                count.presumed += held
            else:
                count.booked += max(0, min(actual, held))
                if actual > held:
                    count.overrun += actual - held
                    self._observer.observe(AllowanceOverrun(rule, reservation.run, actual - held))
            self._tell(count)

    def share(self, allowance: Allowance) -> float:
        """How much of an allowance is used up."""
        return self._count(allowance).share

    def running(self, allowance: str) -> list[str]:
        """The runs that have something on hold of the allowance of this id."""
        holds = self._holds.values()
        return list(
            dict.fromkeys(hold.run for hold in holds if any(count.allowance.id == allowance for count, _ in hold.held))
        )

    def learn(self, allowances: Iterable[Allowance]) -> None:
        """Takes over rules that have changed, for those too who were let in under the old ones."""
        for allowance in allowances:
            if allowance.id in self._counts:
                self._count(allowance)

    def standing(self, allowance: Allowance) -> Standing:
        """How an allowance stands in its present window."""
        count = self._count(allowance)
        most = count.allowance.most
        return Standing(count.booked, count.held, count.presumed, count.overrun, most, count.resets)

    def _count(self, allowance: Allowance) -> _Count:
        count = self._counts.get(allowance.id)
        if count is not None:
            if allowance.version >= count.allowance.version and count.allowance is not allowance:
                moved = (count.allowance.window, count.allowance.zone) != (allowance.window, allowance.zone)
                count.allowance = allowance
                if moved:
                    count = None
            if count is not None and (count.resets is None or self._clock() < count.resets):
                return count
        kind = "total" if allowance.unit == "calls" else allowance.window
        count = self._counts[allowance.id] = _Count(allowance, span_at(kind, allowance.zone, self._clock()))
        return count

    def _refusal(self, allowances: tuple[Allowance, ...], charge: Charge) -> DirigentError:
        """Names the first allowance with too little, in the order in which they were asked."""
        asked: dict[str, int] = {}
        for allowance in allowances:
            count = self._count(allowance)
            need = amount_of(count.allowance, charge, self._rates) or 0
            asked[allowance.id] = need + asked.get(allowance.id, 0)
            if count.left < asked[allowance.id]:
                return refusal(count.allowance, count.left, need, count.resets, self._clock())
        raise AssertionError("there was enough of everything")

    def _tell(self, count: _Count) -> None:
        rule, percent = count.allowance, count.share * 100
        for step in (rule.warn, rule.thrift, 100):
            if percent >= step and step not in count.told:
                count.told.add(step)
                self._observer.observe(AllowancePassed(rule, step, percent / 100))
