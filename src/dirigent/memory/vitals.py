"""How deployments are doing, in memory: averages, a circuit breaker for each, and who is in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Literal

from dirigent.core.errors import Unavailable
from dirigent.core.ports import Breaker, Standing

__all__ = ["MemoryVitals"]

Told = Callable[[str, int, float], None]
"""Hears of a deployment, its failures in a row, and the seconds that it rests first; 0 where its rests are over."""

_WEIGHT = 0.2
"""How much the newest answer counts in an average: the last ten or so make up nearly all of it."""
_REMEMBERED = 1000
_MOST_DOUBLINGS = 20
"""More would overflow one day; a deployment that everybody needs may fail many thousand times."""
_LONGEST_WAIT = 86_400.0
"""A provider that asks for a longer wait than a day has counted wrongly."""
_USUAL = Breaker()
_UNASKED = Standing("well", 0.0, 0, 0)


class _Pulse:
    """How one deployment has been doing."""

    __slots__ = (
        "answers",
        "failures",
        "first_token",
        "in_flight",
        "opened",
        "pace",
        "probes",
        "rests",
        "rests_until",
        "waits_until",
    )

    def __init__(self) -> None:
        self.failures = 0
        self.opened: float | None = None
        """When the rests began; None while it is well."""
        self.rests = 0
        """How many rests in a row have not helped."""
        self.rests_until = 0.0
        self.waits_until = 0.0
        """Until when its provider asked to wait."""
        self.probes = 0
        self.in_flight = 0
        self.answers: deque[float] = deque(maxlen=_REMEMBERED)
        """When each of the latest came, failures as negative numbers."""
        self.first_token: float | None = None
        self.pace: float | None = None

    def share(self, now: float, breaker: Breaker) -> float:
        """Of failures among the latest answers; 0 where these are too few."""
        since = now - breaker.window
        recent = [at for at in self.answers if abs(at) >= since]
        return sum(at < 0 for at in recent) / len(recent) if len(recent) >= breaker.fewest else 0.0


class MemoryVitals:
    """Vitals of this process (core.ports.Vitals)."""

    def __init__(self, told: Told | None = None) -> None:
        """`told` hears of each deployment that begins to rest, and of each that is well again."""
        self._pulses: dict[str, _Pulse] = {}
        self._told = told

    def enter(self, model: str, *, insists: bool = False) -> bool:
        """Counts the request in; while the deployment rests, one at a time may find out how it is."""
        pulse = self._pulses.get(model) or self._begun(model)
        if pulse.opened is None:
            pulse.in_flight += 1
            return False
        if pulse.probes and not insists:
            wait = max(1.0, pulse.rests_until - monotonic())
            words = f"{model!r} rests after repeated failures, and another request is finding out how it is"
            raise Unavailable(words, retry_after=wait)
        pulse.in_flight += 1
        pulse.probes += 1
        return True

    def leave(self, model: str, *, probe: bool = False) -> None:
        """Counts the request out."""
        pulse = self._pulses[model]
        pulse.in_flight -= 1
        pulse.probes -= probe

    def succeeded(self, model: str, first_token: float, seconds: float, output_tokens: int | None) -> None:
        """Averages the answer in; one that was begun during a rest ends it."""
        pulse = self._pulses.get(model) or self._begun(model)
        now = monotonic()
        pulse.answers.append(now)
        if pulse.opened is None:
            pulse.failures = 0
        elif now - seconds >= pulse.opened:  # one that was begun before the failures tells nothing of the time since
            pulse.failures = pulse.rests = 0
            pulse.opened = None
            pulse.rests_until = 0.0
            if self._told is not None:
                self._told(model, 0, 0.0)
        pulse.first_token = _averaged(pulse.first_token, first_token)
        if output_tokens and seconds > 0:
            # an answer that came in one piece has no time between its first and last token: then all of it counts
            generating = seconds - first_token if seconds - first_token > 0.2 * seconds else seconds
            pulse.pace = _averaged(pulse.pace, output_tokens / generating)

    def failed(self, model: str, seconds: float = 0.0, breaker: Breaker | None = None) -> None:
        """Counts the failure; so many in a row, or too large a share of all, begin a rest."""
        pulse = self._pulses.get(model) or self._begun(model)
        rule = breaker or _USUAL
        now = monotonic()
        pulse.failures += 1
        pulse.answers.append(-now)
        if pulse.opened is not None:
            if now - seconds < pulse.rests_until:  # begun before the rest was over: all that fell at once are one fall
                return
            pulse.rests = min(pulse.rests + 1, _MOST_DOUBLINGS)
        elif pulse.failures < rule.failures and pulse.share(now, rule) < rule.share:
            return
        else:
            pulse.opened = now
            pulse.answers.clear()
        rest = min(rule.rest * 2.0**pulse.rests, max(rule.rest, rule.longest))
        pulse.rests_until = max(pulse.rests_until, now + rest)
        if pulse.opened == now and self._told is not None:
            self._told(model, pulse.failures, rest)

    def told_to_wait(self, model: str, seconds: float) -> None:
        """Keeps the later of the two where it was told before."""
        pulse = self._pulses.get(model) or self._begun(model)
        pulse.waits_until = max(pulse.waits_until, monotonic() + min(seconds, _LONGEST_WAIT))

    def resting(self) -> Sequence[str]:
        """The deployments that rest, or that one request is trying."""
        return [name for name, pulse in self._pulses.items() if pulse.opened is not None]

    def healthy(self, model: str) -> bool:
        """True unless the deployment rests, waits, or is being tried now."""
        pulse = self._pulses.get(model)
        if pulse is None or (pulse.opened is None and pulse.waits_until == 0.0):
            return True
        now = monotonic()
        return now >= pulse.waits_until and (pulse.opened is None or (now >= pulse.rests_until and not pulse.probes))

    def standing(self, model: str) -> Standing:
        """As of now."""
        pulse = self._pulses.get(model)
        if pulse is None:
            return _UNASKED
        now = monotonic()
        rests = max(0.0, pulse.waits_until - now, pulse.rests_until - now)
        state: Literal["well", "limited", "resting", "trying"]
        if pulse.opened is not None:
            state = "resting" if now < pulse.rests_until else "trying"
        else:
            state = "limited" if rests else "well"
        return Standing(state, rests, pulse.failures, pulse.in_flight)

    def first_token(self, model: str) -> float | None:
        """The moving average, in seconds."""
        pulse = self._pulses.get(model)
        return pulse.first_token if pulse else None

    def pace(self, model: str) -> float | None:
        """The moving average, in tokens per second."""
        pulse = self._pulses.get(model)
        return pulse.pace if pulse else None

    def _begun(self, model: str) -> _Pulse:
        pulse = self._pulses[model] = _Pulse()
        return pulse


def _averaged(old: float | None, new: float) -> float:
    return new if old is None else old + _WEIGHT * (new - old)
