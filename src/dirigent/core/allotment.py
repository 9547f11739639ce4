"""What one run may use up, and each part of it that a model gives less to: held before a provider is asked, then spent.

It lives in memory, with the run: nothing else counts against it, so nobody has to be asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from weakref import WeakSet

from dirigent.core.allowances import Allowance, Charge, Rates, amount_of, no_price, no_rates, reduced, stop
from dirigent.core.errors import BudgetExceeded, Denied, LimitExceeded
from dirigent.core.usage import Money

__all__ = ["Allotment", "Allotments", "Held"]


class Allotment:
    """What is used of some allowances that count for one run alone. Held and spent together never exceed one.

    What is used here is used of the `outer` allotment too, so a part never gets more than the whole has left.
    """

    __slots__ = ("__weakref__", "_rates", "_stopped", "allowances", "outer", "run", "used")

    def __init__(
        self,
        run: str,
        allowances: Sequence[Allowance] = (),
        outer: Allotment | None = None,
        *,
        rates: Rates = no_rates,
        used: Mapping[str, int] = {},
        stopped: Collection[str] = (),
    ) -> None:
        """`stopped` are the ids of allowances that somebody has stopped by now, whatever they say themselves."""
        self.run = run
        self.allowances = tuple(allowances)
        self.outer = outer
        self.used = dict(used)
        """What is held and spent of each, by its id and in its own unit; for whoever goes on with the run."""
        self._rates = rates
        self._stopped = stopped

    def resume(self, before: Charge, of_models: Mapping[str, int] = {}) -> None:
        """Counts what the run had used up before it came here, as far as its journal knows what that cost.

        `of_models` is used of what single models have for each run, by the ids of their allowances.
        """
        for id, used in of_models.items():  # noqa: A001
            self.used[id] = self.used.get(id, 0) + used
        for allowance in self.allowances:
            amount = amount_of(allowance, before, self._rates)
            if amount is not None:
                self.used[allowance.id] = self.used.get(allowance.id, 0) + amount

    def within(self, money: Money) -> Allotment:
        """A part of this one, which may spend so much and no more than is left here."""
        cap = Allowance("within", "run", self.run, "money", money.nano, "run", currency=money.currency)
        return Allotment(self.run, (cap,), self, rates=self._rates)

    def left(self) -> Money | None:
        """The least that is left of any budget here and around it that is in the same currency as the innermost."""
        found: Money | None = None
        for part in self._parts():
            for each in part.allowances:
                if each.unit == "money" and (found is None or found.currency == each.currency):
                    rest = Money(max(0, each.most - part.used.get(each.id, 0)), each.currency)
                    found = rest if found is None or rest < found else found
        return found

    def scarce(self) -> Allowance | None:
        """A budget of which so much is used that cheaper models come first."""
        for part in self._parts():
            for each in part.allowances:
                if each.unit == "money" and part.used.get(each.id, 0) * 100 >= each.most * each.thrift:
                    return each
        return None

    def hold(self, of_model: Sequence[Allowance], most: Charge, least: Charge) -> Held:
        """Holds `most`, or what is left if it is `least` at least; `of_model` count for the model that is asked alone.

        Raises BudgetExceeded of the level `run`, LimitExceeded, and PriceUnknown where money is to be held and none is
        known.
        """
        charge = most
        places: list[tuple[Allotment, Allowance]] = []
        for part in self._parts():
            allowances = part.allowances if part.outer is not None else (*part.allowances, *of_model)
            for allowance in allowances:
                if allowance.stopped or allowance.id in part._stopped:  # noqa: SLF001  it is one of us
                    raise stop(allowance)
                left = allowance.most - part.used.get(allowance.id, 0)
                charge = self._fitting(allowance, left, charge, least)
                places.append((part, allowance))
        held = Held(charge, places, self._rates, of_model)
        held.take()
        return held

    def _fitting(self, allowance: Allowance, left: int, charge: Charge, least: Charge) -> Charge:
        need = amount_of(allowance, charge, self._rates)
        if need is None:
            raise no_price(allowance, charge)
        if need <= left:
            return charge
        charge = reduced(charge, least, allowance, left, self._rates)
        need = amount_of(allowance, charge, self._rates)
        if need is None or need > left:
            raise _refusal(self.run, allowance, max(0, left), need or 0)
        return charge

    def _parts(self) -> Iterator[Allotment]:
        part: Allotment | None = self
        while part is not None:
            yield part
            part = part.outer


class Allotments:
    """What runs in progress have for themselves, and which of it somebody has stopped since they began."""

    __slots__ = ("_open", "_stopped")

    def __init__(self) -> None:
        self._open: WeakSet[Allotment] = WeakSet()
        self._stopped: set[str] = set()

    def opened(self, run: str, allowances: Sequence[Allowance], rates: Rates) -> Allotment:
        """What a run that begins now has for itself."""
        allotment = Allotment(run, allowances, rates=rates, stopped=self._stopped)
        self._open.add(allotment)
        return allotment

    def learn(self, allowances: Sequence[Allowance]) -> None:
        """From now on these are stopped and no others, for runs too that began before."""
        stopped = {each.id for each in allowances if each.stopped and each.window == "run"}
        self._stopped &= stopped  # the same set, which runs in progress look into
        self._stopped |= stopped

    def running(self, allowance: str) -> Sequence[str]:
        """The runs in progress that have something of it, or have spent some."""
        return sorted(
            each.run
            for each in list(self._open)
            if allowance in each.used or any(one.id == allowance for one in each.allowances)
        )


class Held:
    """What is held for one call, in every allotment that it counts in; settled once."""

    __slots__ = ("_amounts", "_places", "_rates", "charge", "of_model")

    def __init__(
        self,
        charge: Charge,
        places: Sequence[tuple[Allotment, Allowance]],
        rates: Rates,
        of_model: Sequence[Allowance] = (),
    ) -> None:
        self.charge = charge
        self.of_model = {allowance.id: 0 for allowance in of_model}
        """What it uses of what the model that is asked has for each run, by the ids of its allowances."""
        self._places = places
        self._rates = rates
        self._amounts = [0] * len(places)

    def take(self) -> None:
        """Counts what is held."""
        self._book(self.charge)

    def shrink(self, charge: Charge) -> None:
        """Holds less: what else the call counts against bears no more."""
        self.charge = charge
        self._book(charge)

    def settle(self, charge: Charge | None) -> None:
        """Counts what the call used up in truth; all that is held where nobody knows."""
        if charge is not None:
            self._book(charge)
        self._places = ()

    def release(self) -> None:
        """Gives all of it back."""
        money = self.charge.money
        self.settle(Charge(None if money is None else Money(0, money.currency), 0, 0))

    def _book(self, charge: Charge) -> None:
        for at, (part, allowance) in enumerate(self._places):
            amount = amount_of(allowance, charge, self._rates)
            if amount is None:  # what it cost is not known: it stays at what it could cost at most
                continue
            part.used[allowance.id] = part.used.get(allowance.id, 0) + amount - self._amounts[at]
            self._amounts[at] = amount
            if allowance.id in self.of_model:
                self.of_model[allowance.id] = amount


def _refusal(run: str, allowance: Allowance, left: int, need: int) -> Denied:
    whose = (
        "this part of the run" if allowance.level == "run" else f"each run of the {allowance.level} {allowance.subject}"
    )
    if allowance.unit == "money":
        rest, wanted, most = (Money(nano, allowance.currency) for nano in (left, need, allowance.most))
        words = f"the budget of {whose} has {rest} left of {most}, and this call may cost {wanted}"
        error: Denied = BudgetExceeded(words, level="run", subject=run)
        error.rule = f"the budget of {most} of {whose}"
        return error
    error = LimitExceeded(f"{whose} has {left} of {allowance.most} {allowance.unit} left, and this call needs {need}")
    error.rule = f"the limit of {allowance.most} {allowance.unit} of {whose}"
    return error
