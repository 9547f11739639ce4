"""What one worker has of the windows of allowances, and the holds on them."""

from __future__ import annotations

from dirigent.core.allowances import Allowance, Charge
from dirigent.store.ledger.books import Window

__all__ = ["Hold", "Purse", "renewed"]

_FOREVER = float("inf")


class Purse:
    """What a worker has of one window: `lease` is free, on hold, or used up and not yet told to the database."""

    __slots__ = (
        "allowance",
        "answers",
        "beyond",
        "booked",
        "consumed",
        "free",
        "full",
        "idle",
        "index",
        "known",
        "lease",
        "leased",
        "overrun",
        "owed",
        "presumed",
        "rate",
        "refused",
        "refused_until",
        "room",
        "scarce_until",
        "short",
        "spent",
        "taken",
        "told",
        "until",
        "wanted",
        "window",
        "withdrawn",
    )

    def __init__(self, window: Window, index: int) -> None:
        self.allowance = window.allowance
        """As the rules of the moment have it."""
        self.window = window
        self.index = index
        """Its number in the log."""
        self.until = 0.0
        """When the window ends, in seconds since 1970; in the past where nothing may be reserved."""
        self.free = 0
        self.lease = 0
        self.booked = self.presumed = self.overrun = 0
        """What the database has not been told yet."""
        self.consumed = 0
        """What of the lease that has used up."""
        self.withdrawn = 0
        """What goes back to the database and is not free any more."""
        self.beyond = False
        """Whether the rule was lowered below what all holders have, as far as is known here."""
        self.taken = 0
        """What was reserved since the last posting."""
        self.rate = 0.0
        """What is reserved in a second, lately."""
        self.idle = 0
        """At how many looks in a row nothing had been reserved."""
        self.owed = 0
        """What of the holds that are settled will be free again as soon as that is on the disk."""
        self.spent = self.leased = 0
        """What the database knew last: booked, presumed and overrun; leased to all."""
        self.room = 0
        """What was left there for whoever comes first."""
        self.known = False
        self.wanted = 0
        """The want under which this holder waits for others."""
        self.answers = 0
        """The want of others that is to be answered."""
        self.scarce_until = 0.0
        self.short = False
        """Whether the database had less than was needed."""
        self.full = 0
        """The last posting after which nothing more was to be had, from nobody."""
        self.refused = 0
        self.refused_until = 0.0
        """So much was refused, and until when, by a clock that only rises, nobody needs to ask for that again."""
        self.told: set[int] = set()
        self.renew()

    def renew(self) -> None:
        """Follows the rule: what is stopped admits nothing."""
        window = self.window
        self.window = Window(window.id, self.allowance, window.starts, window.ends)
        self.until = -1.0 if self.allowance.stopped else self.ends
        self.refused_until = 0.0

    @property
    def ends(self) -> float:
        """When the window ends, in seconds since 1970."""
        ends = self.window.ends
        return _FOREVER if ends is None else ends / 1000

    def withdraw(self) -> None:
        """Puts aside all that is free, to go back."""
        if self.free > 0:
            self.withdrawn += self.free
            self.free = 0

    def give_back(self, amount: int) -> None:
        """What was on hold is free again; of an allowance that was lowered it goes back until it is within its rule."""
        if self.beyond:
            self.withdrawn += amount
        else:
            self.free += amount
        self.refused_until = 0.0

    def book(self, held: int, actual: int) -> int:
        """What was on hold is used up as far as `actual` says; returns what goes beyond."""
        if actual <= held:
            self.booked += actual
            self.consumed += actual
            self.give_back(held - actual)
            return 0
        excess = actual - held
        covered = max(0, min(self.free, excess))
        self.free -= covered
        self.booked += held
        self.overrun += excess
        self.consumed += held + covered
        return excess

    def presume(self, held: int) -> None:
        """What was on hold is taken for spent."""
        self.presumed += held
        self.consumed += held

    @property
    def left(self) -> int:
        """What could be reserved once all that this worker does not use is returned."""
        return self.room + self.free + self.withdrawn + self.owed

    @property
    def share(self) -> float:
        """How much of the allowance is used up, as far as this worker knows: what others hold is not in it."""
        most = self.allowance.most
        used = self.spent + self.lease - self.free - self.withdrawn
        return used / most if most > 0 else 1.0

    @property
    def empty(self) -> bool:
        """Whether there is nothing to tell and nothing to keep."""
        return not (self.lease or self.booked or self.presumed or self.overrun)


class Hold:
    """A reservation: so much of each purse, until it is settled."""

    __slots__ = ("charge", "flat", "number", "purses", "run", "since")

    def __init__(  # noqa: PLR0917  one is made for each call, and names cost time
        self, run: str, charge: Charge, purses: list[Purse], flat: list[int], number: int, since: float
    ) -> None:
        self.run = run
        self.charge = charge
        self.purses = purses
        self.flat = flat
        """The number of each purse and the amount that is held of it, one after the other."""
        self.number = number
        """Its line in the log; 0 where nothing is counted."""
        self.since = since

    def counts_on(self, allowance: str) -> bool:
        """Whether something of this allowance is held."""
        return any(purse.allowance.id == allowance for purse in self.purses)


def renewed(purse: Purse, allowance: Allowance) -> bool:
    """Takes over a newer rule; whether what is free must go back, since less may be used than before."""
    before = purse.allowance
    if allowance.version < before.version:
        return False
    purse.allowance = allowance
    if allowance == before:
        return False
    if (allowance.window, allowance.zone) != (before.window, before.zone):
        purse.until = -1.0
        return True
    purse.renew()
    lowered = allowance.stopped or allowance.most < before.most
    purse.beyond = purse.beyond or lowered
    return lowered
