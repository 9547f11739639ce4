"""Ports in memory: what a node needs before it has a database, and what tests need always."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Literal

import msgspec

from dirigent.core.errors import Unavailable
from dirigent.core.messages import Sound, Transcript
from dirigent.core.ports import Listing, LocalEndpoint, LocalSetup, LocalState, Secret
from dirigent.core.subjects import SUBJECTS, Reading

__all__ = [
    "MemoryListings",
    "MemoryObserver",
    "MemorySecrets",
    "MemoryVitals",
    "NoEmbedder",
    "NoLocalModels",
    "NoSpeech",
    "NoSubjects",
]

_WEIGHT = 0.2
"""How much the newest answer counts in an average: the last ten or so make up nearly all of it."""
_TOLERATED = 3
"""Failures in a row after which a deployment rests."""
_REST = 10.0
"""Seconds of the first rest; each further failure doubles it, up to five minutes."""
_LONGEST_REST = 300.0
_MOST_DOUBLINGS = 5
"""After so many the longest rest is reached; a deployment that everybody needs may fail many thousand times."""


class _Pulse:
    """How one deployment has been doing."""

    __slots__ = ("failures", "first_token", "pace", "rests_until")

    def __init__(self) -> None:
        self.failures = 0
        self.rests_until = 0.0
        self.first_token: float | None = None
        self.pace: float | None = None


class MemoryVitals:
    """Vitals of this process: moving averages, and a rest after three failures in a row."""

    def __init__(self) -> None:
        self._pulses: dict[str, _Pulse] = {}

    def succeeded(self, model: str, first_token: float, seconds: float, output_tokens: int | None) -> None:
        """Averages the answer in; one success ends the count of failures."""
        pulse = self._pulses.get(model)
        if pulse is None:
            pulse = self._pulses[model] = _Pulse()
        pulse.failures = 0
        pulse.rests_until = 0.0
        pulse.first_token = _averaged(pulse.first_token, first_token)
        if output_tokens and seconds > 0:
            # an answer that came in one piece has no time between its first and last token: then all of it counts
            generating = seconds - first_token if seconds - first_token > 0.2 * seconds else seconds
            pulse.pace = _averaged(pulse.pace, output_tokens / generating)

    def failed(self, model: str) -> None:
        """Counts the failure; from the third in a row on the deployment rests, each time twice as long."""
        pulse = self._pulses.setdefault(model, _Pulse())
        pulse.failures += 1
        if pulse.failures >= _TOLERATED:
            doublings = min(pulse.failures - _TOLERATED, _MOST_DOUBLINGS)
            pulse.rests_until = monotonic() + min(_REST * 2.0**doublings, _LONGEST_REST)

    def healthy(self, model: str) -> bool:
        """True unless the deployment rests now."""
        pulse = self._pulses.get(model)
        return pulse is None or pulse.rests_until == 0.0 or monotonic() >= pulse.rests_until

    def first_token(self, model: str) -> float | None:
        """The moving average, in seconds."""
        pulse = self._pulses.get(model)
        return pulse.first_token if pulse else None

    def pace(self, model: str) -> float | None:
        """The moving average, in tokens per second."""
        pulse = self._pulses.get(model)
        return pulse.pace if pulse else None


def _averaged(old: float | None, new: float) -> float:
    return new if old is None else old + _WEIGHT * (new - old)


class MemoryObserver:
    """Keeps the last observations; the oldest make room."""

    def __init__(self, most: int = 10_000) -> None:
        self.observed: deque[msgspec.Struct] = deque(maxlen=most)

    def observe(self, observation: msgspec.Struct) -> None:
        """Keeps it."""
        self.observed.append(observation)


class MemorySecrets:
    """Secrets from a mapping of variable names or file paths to values."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self._known = dict(known or {})

    def reveal(self, secret: Secret) -> str | None:
        """The value under the secret's variable or path."""
        return self._known.get(secret.env or secret.file or "")


class MemoryListings:
    """Listings from a mapping of (vendor, name)."""

    def __init__(self, known: Mapping[tuple[str, str], Listing] | None = None) -> None:
        self._known = dict(known or {})

    def find(self, vendor: str, name: str) -> Listing | None:
        """What the mapping holds."""
        return self._known.get((vendor, name))


class NoLocalModels:
    """A node without embedded models."""

    def state(self, name: str) -> LocalState:
        """Always absent."""
        return LocalState("absent", "this node runs no embedded models")

    async def endpoint(self, name: str, setup: LocalSetup, patience: float) -> LocalEndpoint:
        """Raises Unavailable."""
        raise Unavailable(f"the embedded model {name!r} is not available: this node runs no embedded models")


class NoEmbedder:
    """A node without local embeddings."""

    def vector(self, text: str) -> Sequence[float]:
        """Nothing is known of any text."""
        return ()

    async def encode(
        self, texts: Sequence[str], side: Literal["query", "passage"] = "query", scope: str = ""
    ) -> Sequence[Sequence[float]]:
        """Raises Unavailable."""
        raise Unavailable("this node has no encoder")

    def subjects(self, examples: Mapping[str, Sequence[str]]) -> NoSubjects:
        """A reader to whom every subject is as likely as any other."""
        return NoSubjects((*SUBJECTS, *(name for name in examples if name not in SUBJECTS)))


class NoSpeech:
    """A node that neither speaks nor listens."""

    async def speak(self, text: str, *, voice: str, format: str, speed: float) -> Sound:
        """Raises Unavailable."""
        raise Unavailable("this node has no voices")

    async def transcribe(
        self,
        audio: bytes,
        *,
        language: str | None,
        prompt: str | None,
        translate: bool,
        words: bool,
        temperature: float,
    ) -> Transcript:
        """Raises Unavailable."""
        raise Unavailable("this node has no recogniser of speech")


class NoSubjects:
    """Knows the names of subjects, and nothing of any text."""

    def __init__(self, subjects: tuple[str, ...]) -> None:
        self.subjects = subjects

    def read(self, text: str) -> Reading:
        """All subjects are equally likely."""
        even = 1 / len(self.subjects)
        return Reading("general", even, dict.fromkeys(self.subjects, even), "static")

    async def reread(self, text: str, patience: float, scope: str = "") -> Reading:
        """Raises Unavailable."""
        raise Unavailable("this node has no encoder")
