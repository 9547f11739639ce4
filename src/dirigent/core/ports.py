"""What the data plane needs from outside: the only doors through which a model reaches anything beyond its own words.

Longer than 400 lines, because one look shows everything that a model can reach, each door with its promise.

`server/` puts a real implementation behind each; `memory/` has one in memory for tests and first steps.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal, Protocol

import msgspec

from dirigent.core.allotment import Allotments
from dirigent.core.allowances import Allowance, Charge, Rates, no_rates
from dirigent.core.documents import Document, DocumentFormat, Extract, Made, ReadLimits
from dirigent.core.errors import Failed
from dirigent.core.events import Event
from dirigent.core.grants import Grant
from dirigent.core.identity import Principal, Priority
from dirigent.core.journal import Cancelled, Claimed, Ended, Entry, Submission
from dirigent.core.messages import Sound, Task, Transcript
from dirigent.core.subjects import SubjectReader
from dirigent.core.tables import Bounds, Rows, TableSource
from dirigent.core.usage import Price, Usage

__all__ = [
    "Affinity",
    "Archive",
    "Breaker",
    "Cache",
    "Capability",
    "Cited",
    "Documents",
    "Embedder",
    "Engine",
    "Fetch",
    "Fetched",
    "Filed",
    "Files",
    "Http",
    "HttpAnswer",
    "HttpCall",
    "HttpFlow",
    "HttpTaker",
    "Journal",
    "Kept",
    "Knowledge",
    "Ledger",
    "Library",
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
    "Queue",
    "Replay",
    "Replays",
    "Reservation",
    "Rights",
    "Said",
    "Seconds",
    "Secret",
    "Secrets",
    "Slots",
    "Standing",
    "Tables",
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

    @property
    def ahead(self) -> bool:
        """Whether more of the body may have been sent than was read."""
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


class HttpTaker(Protocol):
    """To whom an answer is told as it comes, by the loop itself: none of these may wait or raise."""

    def head(self, status: int, fields: Sequence[tuple[bytes, bytes]]) -> None:
        """The status and the header fields, as they were sent."""
        ...

    def piece(self, data: bytes) -> None:
        """The next piece of the body."""
        ...

    def end(self) -> None:
        """The answer is whole; nothing more is told."""
        ...

    def failed(self, error: Failed, *, touched: bool) -> None:
        """It came to nothing or broke off, and nothing more is told.

        Where it was not `touched`, no byte of an answer had come over a connection that had waited for long: it had
        most likely been closed, and nobody has read the request.
        """
        ...


class HttpFlow(Protocol):
    """An exchange whose answer is told."""

    def pause(self) -> None:
        """Reads no more for now."""
        ...

    def resume(self) -> None:
        """Reads on."""
        ...

    def close(self) -> None:
        """Ends the exchange and cuts the connection; nothing more is told."""
        ...


class Http(Protocol):
    """The HTTP client."""

    def push(self, call: HttpCall, timeouts: Timeouts, taker: HttpTaker) -> HttpFlow | None:
        """Sends `call` now, over a connection that waits for it, and tells `taker`; None where no connection waits.

        Raises Misconfigured where a header cannot be sent.
        """
        ...

    async def open(self, call: HttpCall, timeouts: Timeouts) -> HttpAnswer:
        """Sends `call` and returns when the answer's head has arrived, whatever its status.

        Raises Unavailable where no connection comes about or it breaks, TimedOut where a wait runs out, BadAnswer where
        the peer does not speak HTTP. Cancelling closes the connection at once.
        """
        ...


class Fetched(msgspec.Struct, frozen=True):
    """What stood at an address; text is in UTF-8."""

    data: bytes
    content_type: str
    """The media type alone, in lower case, such as `image/png`."""


class Fetch(Protocol):
    """Who fetches what stands at an address that a caller named, and never anything that a caller may not see."""

    async def fetch(self, url: str, most: int) -> Fetched:
        """The picture, document, text or sound at `url`, of `most` bytes at most.

        Raises Invalid in words that the caller may read, whatever went wrong. Cancelling closes the connection at once.
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

    def slots(self, setup: LocalSetup) -> int:
        """How many requests a model of this setup answers at once."""
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


class Breaker(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a deployment rests after failures, and for how long."""

    failures: Annotated[int, msgspec.Meta(ge=1)] = 3
    """Failures in a row after which it rests."""
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    """Share of failures among its latest answers from which it rests, in a row or not."""
    window: Seconds = 60.0
    """Seconds after which an answer no longer counts for the share; at most the last 1,000 answers count."""
    fewest: Annotated[int, msgspec.Meta(ge=1)] = 20
    """Answers without which the share says nothing."""
    rest: Seconds = 10.0
    """Seconds of the first rest. A try after the rest that fails as well doubles the next one."""
    longest: Seconds = 300.0
    """The longest rest in seconds; only a provider that asks for a longer one gets it."""


class Standing(msgspec.Struct, frozen=True):
    """How a deployment stands on this node now."""

    state: Literal["well", "limited", "resting", "trying"]
    """Well; asked by its provider to wait; resting after failures; rested, and one request finds out how it is."""
    rests: float
    """Seconds until routers ask it again; 0 where they do now."""
    failures: int
    """Failures in a row."""
    in_flight: int
    """Requests that it answers now, or that wait for a place."""


class Vitals(Protocol):
    """How each deployment has been doing lately, on this node."""

    def enter(self, model: str, *, insists: bool = False) -> bool:
        """Counts one more request in flight; True where it is the one that finds out how a resting deployment is.

        Raises Unavailable where it rests and another request is finding out already, unless this one `insists`.
        """
        ...

    def leave(self, model: str, *, probe: bool = False) -> None:
        """Counts one less; `probe` is what `enter` said of it."""
        ...

    def succeeded(self, model: str, first_token: float, seconds: float, output_tokens: int | None) -> None:
        """Records an answer: seconds to its first token, seconds in all, and its tokens where known."""
        ...

    def failed(self, model: str, seconds: float = 0.0, breaker: Breaker | None = None) -> None:
        """Records a failure that was not the caller's fault, `seconds` after the request was begun."""
        ...

    def told_to_wait(self, model: str, seconds: float) -> None:
        """Lets routers pass the deployment over for as long as its provider says; never shortens what was said."""
        ...

    def healthy(self, model: str) -> bool:
        """Whether routers ask it; False while it rests, and while one request finds out how it is."""
        ...

    def standing(self, model: str) -> Standing:
        """All of it at once."""
        ...

    def first_token(self, model: str) -> float | None:
        """Typical seconds to the first token; None before the first answer."""
        ...

    def pace(self, model: str) -> float | None:
        """Typical output tokens per second; None before the first answer that reported usage."""
        ...


class Queue(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How requests wait for a place at a deployment that answers a bounded number at once."""

    length: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 100
    """Requests that wait at most; beyond it the latest of the lowest priority is refused."""
    patience: Seconds = 30.0
    """Seconds that a request waits at most."""
    backed: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 1.0
    """Seconds that it waits at most where another candidate of a router can take it."""


class Slots(Protocol):
    """The places at deployments that answer a bounded number of requests at once."""

    async def take(
        self, model: str, places: int, queue: Queue, *, priority: Priority, principal: Principal, patience: float
    ) -> None:
        """Returns with one of the `places`, to be freed again, after `patience` seconds of waiting at most.

        Critical requests come before normal ones and these before bulk; of one priority each virtual key has its turn.
        Raises Busy, with the time after which a place is likely, where the queue is full or the time is over.
        """
        ...

    def free(self, model: str, seconds: float) -> None:
        """Gives the place, which was held for `seconds`, to whoever is next."""
        ...


class Affinity(Protocol):
    """Which deployments have something that belongs to a conversation; bounded, and forgotten in time."""

    def keep(self, mark: bytes, names: Sequence[str]) -> None:
        """Remembers by whom what bears this mark was given: a model's name, and those of the models that asked it."""
        ...

    def kept(self, mark: bytes, within: float | None = None) -> Sequence[str]:
        """The names; none where nobody knows, or not `within` these seconds."""
        ...


# --- who may, and at whose expense ------------------------------------------------------------------------------------


class Rights(Protocol):
    """The rules of the moment on keys, purposes and access; what changes in them counts within a second."""

    def principal(self, digest: bytes) -> Principal | None:
        """On whose behalf the key of this digest acts; None where it was never issued, was revoked or has expired."""
        ...

    def grant(self, principal: Principal, purpose: str | None) -> Grant:
        """What the principal may do for the purpose that the request names, or else for the one that its key implies.

        Raises PurposeRequired, and Forbidden where a level of it is blocked.
        """
        ...


class Reservation(Protocol):
    """What is held for one call to a provider, until it is settled."""

    @property
    def charge(self) -> Charge:
        """What is held: no less than the least that was asked for."""
        ...


class Ledger(Protocol):
    """What was reserved and settled. Booked and reserved together never exceed an allowance, whatever crashes."""

    def at_once(self, run: str, allowances: tuple[Allowance, ...], charge: Charge) -> Reservation | None:
        """Reserves from what this node has at hand; None where others must be asked first."""
        ...

    async def reserve(
        self, run: str, allowances: tuple[Allowance, ...], most: Charge, least: Charge, patience: float
    ) -> Reservation:
        """Reserves `most` of every allowance, or what there is if it is `least` at least, within `patience` seconds.

        Raises BudgetExceeded, LimitExceeded, or PriceUnknown where money is to be reserved and none is known.
        """
        ...

    def settle(self, reservation: Reservation, charge: Charge | None) -> None:
        """Books what the call used up in truth, once; None where nobody knows, and all of it is then presumed spent."""
        ...

    def share(self, allowance: Allowance) -> float:
        """How much of an allowance is used up, as far as this node knows, as a share of all of it."""
        ...


# --- runs that outlive this process -----------------------------------------------------------------------------------


class Journal(Protocol):
    """Where runs are written down, append-only and fenced: the state of record of everything that must not be lost."""

    async def submit(self, submission: Submission) -> bool:
        """Takes a run on, once it is durable; False where one of this id is there already, which stays as it is."""
        ...

    async def claim(self, worker: str, seconds: float, most: int) -> Sequence[Claimed]:
        """Takes up to `most` runs that are ready, or whose worker has not renewed its claim, for so many seconds.

        Critical runs come before normal ones and these before bulk; of one priority the longest waiting.
        """
        ...

    async def soonest(self) -> float | None:
        """In how many seconds the next run can be claimed, as the last `claim` saw it: 0 for now, None for no time."""
        ...

    async def renew(self, worker: str, fences: Mapping[str, int], seconds: float) -> Mapping[str, Cancelled | None]:
        """Keeps hold of these runs; those that still are this worker's, with the order to end where there is one."""
        ...

    async def append(self, run: str, fence: int, entries: Sequence[Entry]) -> None:
        """Returns once the entries are durable, all or none. Raises Fenced where another worker has the run."""
        ...

    async def rest(self, run: str, fence: int, until: float | None) -> None:
        """Lets the run go: it is ready again at `until`, or as soon as it is woken. Raises Fenced."""
        ...

    async def end(self, run: str, fence: int, ended: Ended) -> None:
        """Writes the last entry, and lets the run go for good. Raises Fenced."""
        ...

    async def wake(self, run: str, entry: Entry) -> bool:
        """Writes what comes from outside (a decision, an order to end) and makes a waiting run ready.

        False where it comes too late: the question is answered already, or the run is over.
        """
        ...

    async def load(self, run: str, after: int = 0) -> Sequence[Entry]:
        """The entries behind the first `after`, in order; none where the run is unknown."""
        ...

    async def submission(self, run: str) -> Submission | None:
        """What was submitted under this id; None where nothing was."""
        ...


class Engine(Protocol):
    """Who runs durable runs."""

    async def submit(self, submission: Submission) -> bool:
        """Takes a run on; it begins as soon as a worker of any node has room, and survives all of them.

        False where there is one of this id already, which stays as it is.
        """
        ...

    async def submission(self, run: str) -> Submission | None:
        """What was submitted under this id; None where nothing was."""
        ...

    async def wake(self, run: str, entry: Entry) -> bool:
        """Tells a run what comes from outside: a decision, or the order to end; False where it comes too late."""
        ...

    async def entries(self, run: str, after: int = 0) -> Sequence[Entry]:
        """The entries of a run that are written by now, those behind the first `after`."""
        ...

    def follow(self, run: str, after: int = 0) -> AsyncGenerator[Entry, None]:
        """The entries of a run as they are written, wherever it runs, those behind the first `after`; ends with it."""
        ...


class Filed(msgspec.Struct, frozen=True):
    """A file that belongs to a run."""

    file: str
    """Its id."""
    name: str
    content_type: str
    size: int
    """Bytes."""
    digest: str
    """SHA-256, in hex."""


class Files(Protocol):
    """The documents that runs read and write, sealed where they are kept."""

    async def keep(
        self, tenant: str, run: str, name: str, content_type: str, data: bytes, *, subject: str = ""
    ) -> Filed:
        """Keeps a file for as long as its run is kept; the same file of the same run and name is there once."""
        ...

    async def read(self, tenant: str, file: str) -> tuple[Filed, bytes]:
        """The file of this id. Raises Invalid where this tenant has none."""
        ...


# --- what lies outside of models --------------------------------------------------------------------------------------


class Tables(Protocol):
    """Tables wherever they lie, for reading only."""

    async def query(self, source: TableSource, sql: str, parameters: Mapping[str, Any], bounds: Bounds) -> Rows:
        """What one SELECT finds, its parameters bound and never spliced, as plain data.

        Raises QueryFailed where it is refused or finds too much, TimedOut, and Unavailable where nothing answers.
        """
        ...


class Documents(Protocol):
    """Documents written and read, in a process of its own."""

    async def render(self, document: Document, form: DocumentFormat) -> Made:
        """The document in that format. Raises Invalid where it cannot be written so, Unavailable."""
        ...

    async def read(self, name: str, content_type: str, data: bytes, limits: ReadLimits) -> Extract:
        """Text, tables and facts of a file. Raises Invalid where it is none of a known kind or beyond its limits."""
        ...


class Library(msgspec.Struct, frozen=True):
    """Documents to be searched: where they lie, and how they are cut."""

    name: str
    """As the configuration calls it."""
    folder: str
    """Below the node's folder of sources."""
    languages: tuple[str, ...] = ("de", "en")
    chunk: int = 900
    """Characters of one piece, about."""


class Cited(msgspec.Struct, frozen=True):
    """A piece of a document that answers a question, with all that a citation needs."""

    document: str
    """The file's path below the collection's folder."""
    heading: str
    """The headings above it, outermost first, parted by ` › `."""
    text: str
    position: int
    """Which piece of its document it is, counted from 1."""
    page: int | None
    score: float
    """Of this search alone: scores of two searches do not compare."""


class Knowledge(Protocol):
    """Collections of documents, learned and searched within a tenant."""

    async def search(self, tenant: str, library: Library, question: str, most: int) -> Sequence[Cited]:
        """The pieces that answer best, the best first; files that have changed are learned before.

        Raises Unavailable where the encoder or the database does not answer.
        """
        ...

    async def forget(self, tenant: str, library: str, document: str | None = None) -> int:
        """Forgets one document of a collection, or all of it; how many pieces that were."""
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


class Said(msgspec.Struct, frozen=True):
    """What was asked and answered in one run, where its purpose keeps that."""

    tenant: str
    run: str
    at: float
    """When it was over, in seconds since 1970."""
    days: int
    """For how long it is kept."""
    asked: bytes
    answered: bytes
    subject: str = ""
    """Whom it is about, as the caller named them; empty where nobody is named."""


class Archive(Protocol):
    """Where texts are kept. Each is sealed before it leaves this process, and nobody waits for that."""

    def keep(self, said: Said) -> None:
        """Takes what was said in one run."""
        ...


class Replay(msgspec.Struct, frozen=True):
    """An answer to a request with an idempotency key, as it was written."""

    digest: bytes
    """Of the request that it answers."""
    status: int
    headers: tuple[tuple[str, str], ...]
    pieces: tuple[bytes, ...]
    """The body, as it was cut when it was written."""
    streamed: bool


class Replays(Protocol):
    """Where such answers are kept. The key names tenant and virtual key, so that nobody meets another's."""

    async def find(self, key: str) -> Replay | None:
        """The answer kept under `key`; None where there is none, or none any more."""
        ...

    async def keep(self, key: str, replay: Replay, seconds: float) -> None:
        """Keeps an answer for so many seconds, or less where room is short."""
        ...


class Kept(msgspec.Struct, frozen=True):
    """A whole answer that may be given again, and what was said of it."""

    run: str
    """The run that was answered so."""
    tenant: str
    events: tuple[Event, ...]
    deployment: str | None = None
    usage: Usage | None = None
    content_type: str | None = None
    left_out: tuple[str, ...] = ()
    question: str = ""
    """The text that was asked last, where others that mean the same may get this answer too."""


class Cache(Protocol):
    """Where answers are kept to be given again. A partition names all that an answer must never leave."""

    async def find(self, partition: str, key: bytes) -> Kept | None:
        """The answer kept there under `key`; None where there is none, or none any more."""
        ...

    async def near(self, partition: str, family: bytes, vector: Sequence[float], least: float) -> Sequence[Kept]:
        """Answers kept there to questions of the same family that are alike to `least` at least, the nearest first."""
        ...

    async def keep(
        self,
        partition: str,
        key: bytes,
        kept: Kept,
        seconds: float,
        *,
        family: bytes = b"",
        vector: Sequence[float] | None = None,
    ) -> None:
        """Keeps an answer for so many seconds, or less where room is short; by its vector too where one is given."""
        ...

    async def forget(self, tenant: str, run: str | None = None) -> int:
        """Forgets what one run of this tenant was answered, or all its runs; how many answers that were."""
        ...


class Ports(msgspec.Struct, frozen=True):
    """All doors at once, as a run carries them."""

    http: Http
    local: LocalModels
    embedder: Embedder
    speech: LocalSpeech
    listings: Listings
    vitals: Vitals
    slots: Slots
    affinity: Affinity
    secrets: Secrets
    observer: Observer
    cache: Cache | None = None
    """None where this node keeps no answers to give them again."""
    fetch: Fetch | None = None
    """None where this node fetches nothing that a caller names."""
    ledger: Ledger | None = None
    """None where nothing is counted."""
    engine: Engine | None = None
    """None where no run outlives this process."""
    files: Files | None = None
    """None where runs have no files."""
    archive: Archive | None = None
    """None where nothing of what is asked and answered is kept."""
    rates: Rates = no_rates
    """What currencies are worth, for what is counted with a run."""
    allotments: Allotments = msgspec.field(default_factory=Allotments)
    """What runs in progress have for themselves."""
    tables: Tables | None = None
    """None where no tables can be asked."""
    documents: Documents | None = None
    """None where no documents are written and read."""
    knowledge: Knowledge | None = None
    """None where nothing is learned of documents."""
