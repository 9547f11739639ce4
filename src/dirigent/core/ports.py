"""What the data plane needs from outside: the only doors through which a model reaches anything beyond its own words.

`server.py` puts a real implementation behind each; `memory.py` has one in memory for tests and first steps.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import date
from typing import Annotated, Literal, Protocol

import msgspec

from dirigent.core.messages import Sound, Task, Transcript
from dirigent.core.subjects import SubjectReader
from dirigent.core.usage import Price

__all__ = [
    "Capability",
    "Embedder",
    "Http",
    "HttpAnswer",
    "HttpCall",
    "Listing",
    "Listings",
    "LocalEndpoint",
    "LocalModels",
    "LocalSetup",
    "LocalSpeech",
    "LocalState",
    "Observer",
    "Origin",
    "Ports",
    "Secret",
    "Secrets",
    "Timeouts",
    "Vitals",
]


# --- HTTP out ---------------------------------------------------------------------------------------------------------


class Origin(msgspec.Struct, frozen=True):
    """Where to connect: the pool key of the HTTP client."""

    host: str
    port: int
    tls: bool


Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Four waits in seconds: for the connection, for the first byte, between two pieces, and for all of the answer."""

    connect: Seconds = 5.0
    first_byte: Seconds = 300.0
    idle: Seconds = 120.0
    total: Seconds = 900.0


class HttpCall(msgspec.Struct, frozen=True):
    """One request to a provider. Header names are lower case; `host` and `content-length` are the client's business."""

    origin: Origin
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    method: str = "POST"


class HttpAnswer(Protocol):
    """A provider's answer whose head has arrived and whose body is still coming."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Header names in lower case; repeated ones joined by a comma."""
        ...

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Closing the generator early closes the connection at once."""
        ...

    async def read(self) -> bytes:
        """The whole body."""
        ...

    def close(self) -> None:
        """Ends the exchange: cuts the connection at once unless the answer has wholly arrived."""
        ...


class Http(Protocol):
    """The HTTP client."""

    async def open(self, call: HttpCall, timeouts: Timeouts) -> HttpAnswer:
        """Sends `call` and returns when the answer's head has arrived, whatever its status.

        Raises Unavailable where no connection comes about or it breaks, TimedOut where a wait runs out, BadAnswer where
        the peer does not speak HTTP. Cancelling closes the connection at once.
        """
        ...


# --- models on this machine -------------------------------------------------------------------------------------------


class LocalState(msgspec.Struct, frozen=True):
    """How an embedded model stands, and the words for a person."""

    phase: Literal["absent", "pulling", "loading", "ready", "failed"]
    words: str


class LocalEndpoint(msgspec.Struct, frozen=True):
    """Where an embedded model's process listens on this machine, and the key that it wants."""

    port: int
    key: str
    host: str = "127.0.0.1"


class LocalSetup(msgspec.Struct, frozen=True):
    """How an embedded model is to run. None leaves the choice to the machine."""

    slots: int | None = None
    """Answers at once; by default 2 on up to two cores, else 4."""
    context: int | None = None
    """Tokens that one request and its answer may have together; 4,096 by default."""
    threads: int | None = None


class LocalModels(Protocol):
    """The embedded models, each in a process of its own."""

    def state(self, name: str) -> LocalState:
        """How the model of these weights stands now."""
        ...

    async def endpoint(self, name: str, setup: LocalSetup, patience: float) -> LocalEndpoint:
        """The endpoint of the model of these weights, started with `setup` if need be.

        Waits `patience` seconds at most for it to load, then raises Unavailable in words that say how it stands.
        """
        ...


class Embedder(Protocol):
    """Local embeddings: a static table in this process and a multilingual encoder in one of its own."""

    def vector(self, text: str) -> Sequence[float]:
        """The static vector of a text, within microseconds; all zeros where no word is known."""
        ...

    async def encode(
        self, texts: Sequence[str], side: Literal["query", "passage"] = "query", scope: str = ""
    ) -> Sequence[Sequence[float]]:
        """The encoder's vectors, unit length, remembered for a while within `scope`, such as a tenant.

        Raises Unavailable where the encoder is not installed or does not answer.
        """
        ...

    def subjects(self, examples: Mapping[str, Sequence[str]]) -> SubjectReader:
        """Who reads the built-in subjects and those that `examples` add; cheap to ask for again and again."""
        ...


class LocalSpeech(Protocol):
    """Speaking and writing down what is said, on this machine."""

    async def speak(self, text: str, *, voice: str, format: str, speed: float) -> Sound:
        """The text as sound in `format`: mp3, opus, aac, flac, wav or pcm.

        Raises Invalid that names the field at fault, and Unavailable where the voices are not installed.
        """
        ...

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
        """What is said in a sound file of any usual format; in English with `translate`.

        Raises Invalid where it is no sound, and Unavailable where the recogniser is not installed.
        """
        ...


# --- what is known of deployments -------------------------------------------------------------------------------------

Capability = Literal["tools", "images", "audio", "files", "json", "reasoning", "logprobs"]


class Listing(msgspec.Struct, frozen=True):
    """What is published about a vendor's deployment. What nobody published is None."""

    price: Price | None = None
    context_window: int | None = None
    """Tokens in and out together, or in alone, as the vendor counts."""
    max_output: int | None = None
    capabilities: frozenset[Capability] = frozenset()
    mode: str = "chat"
    tasks: frozenset[Task] | None = None
    """What it can be asked for; None where nobody says."""
    retires: date | None = None
    source: str = ""
    disputed: str | None = None
    """Where two sources differ on the price, both figures in words."""


class Listings(Protocol):
    """The table of published prices and capabilities."""

    def find(self, vendor: str, name: str) -> Listing | None:
        """The listing of exactly this name; None where it is not listed, for a similar name proves nothing."""
        ...


class Vitals(Protocol):
    """How each deployment has been doing lately, on this node."""

    def succeeded(self, model: str, first_token: float, seconds: float, output_tokens: int | None) -> None:
        """Records an answer: seconds to its first token, seconds in all, and its tokens where known."""
        ...

    def failed(self, model: str) -> None:
        """Records a failure that was not the caller's fault."""
        ...

    def healthy(self, model: str) -> bool:
        """False while the deployment rests after repeated failures."""
        ...

    def first_token(self, model: str) -> float | None:
        """Typical seconds to the first token; None before the first answer."""
        ...

    def pace(self, model: str) -> float | None:
        """Typical output tokens per second; None before the first answer that reported usage."""
        ...


# --- the rest ---------------------------------------------------------------------------------------------------------


class Secret(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A credential by reference, never by value: `{env: NAME}` or `{file: PATH}`."""

    env: str | None = None
    file: str | None = None

    def __str__(self) -> str:
        return f"the environment variable {self.env}" if self.env else f"the file {self.file}"


class Secrets(Protocol):
    """Where credentials come from."""

    def reveal(self, secret: Secret) -> str | None:
        """The credential itself; None where the variable or file is missing or empty."""
        ...


class Observer(Protocol):
    """Who watches. Observing never waits and never raises."""

    def observe(self, observation: msgspec.Struct) -> None:
        """Takes note of a fact, such as the record of a finished run."""
        ...


class Ports(msgspec.Struct, frozen=True):
    """All doors at once, as a run carries them."""

    http: Http
    local: LocalModels
    embedder: Embedder
    speech: LocalSpeech
    listings: Listings
    vitals: Vitals
    secrets: Secrets
    observer: Observer
