"""The other ports in memory, and what a node says that has no such thing."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
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
    "NoEmbedder",
    "NoLocalModels",
    "NoSpeech",
    "NoSubjects",
]


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

    def slots(self, setup: LocalSetup) -> int:
        """As many as the setup says, else one."""
        return setup.slots or 1

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
