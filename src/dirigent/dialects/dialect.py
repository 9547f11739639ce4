"""The contract of a dialect: one wire format, read and written both ways, by the gateway and by providers alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from dirigent.core.errors import DirigentError
from dirigent.core.events import Event
from dirigent.core.messages import Request, Response, Task, Wire
from dirigent.core.profile import Profile
from dirigent.core.registry import Kind
from dirigent.core.usage import Usage

__all__ = ["Dialect", "StreamReader", "StreamWriter", "Witness"]


class StreamReader(Protocol):
    """Turns a provider's stream into events, however the network cuts it."""

    def feed(self, data: bytes) -> Sequence[Event]:
        """The events that `data` completes. Raises what the stream reports as an error, and BadAnswer for nonsense."""
        ...

    def end(self) -> Sequence[Event]:
        """The last events. Raises BadAnswer where the stream stopped before its answer was complete."""
        ...


class StreamWriter(Protocol):
    """Turns events into the bytes of a stream."""

    def write(self, event: Event) -> bytes:
        """The bytes for one event; empty where this dialect says nothing."""
        ...

    def end(self) -> bytes:
        """What closes a complete stream."""
        ...

    def fail(self, error: bytes) -> bytes:
        """What tells the caller that the answer broke off; `error` is the body that `write_error` made."""
        ...


class Witness(Protocol):
    """Watches a verbatim stream go by, learns its usage and its end, and leaves out what the caller did not ask for.

    What says nothing yet waits for the first event that does, so that until then another deployment may take over.
    """

    usage: Usage | None
    """The latest report that has gone by."""
    complete: bool
    """Whether the stream has said that it is at its end."""

    def feed(self, data: bytes) -> bytes:
        """The bytes to send on, whole events only. Raises what the stream reports as an error."""
        ...

    def end(self) -> bytes:
        """What was kept back. Raises BadAnswer where the stream stopped before its answer was complete."""
        ...


class Dialect(Kind, frozen=True):
    """The wire format of an API."""

    contract: ClassVar[str] = "dialect"
    name: ClassVar[str] = ""
    task: ClassVar[Task] = "chat"
    """What requests of this dialect want done."""
    prefix: ClassVar[str] = ""
    """How the ids of its answers begin, such as `chatcmpl-`."""
    forwards: ClassVar[tuple[bytes, ...]] = ()
    """Headers of a caller that belong to the request and go on with it where the dialect stays the same."""
    seals: ClassVar[re.Pattern[bytes] | None] = None
    """Finds in a verbatim answer, as its only group, what its issuer alone understands: seals, ids of kept answers."""
    takes_addresses: ClassVar[bool] = True
    """Whether every provider of this dialect fetches pictures and documents itself; else they are fetched for it."""
    ping: ClassVar[bytes] = b": ping\n\n"
    """What keeps a stream alive while nothing is said; every reader of this dialect passes over it."""
    content_type: ClassVar[str] = "application/json"
    stream_content_type: ClassVar[str] = "text/event-stream; charset=utf-8"

    @property
    def passes_verbatim(self) -> bool:
        """Whether a caller of this dialect may get the provider's bytes unbuilt."""
        raise NotImplementedError

    @property
    def always_streams(self) -> bool:
        """Whether this provider is asked for a stream even where the caller wants a whole answer."""
        raise NotImplementedError

    @property
    def one_choice(self) -> bool:
        """Whether this provider is asked for one choice at a time."""
        raise NotImplementedError

    def fitted(self, deployment: str, profile: Profile) -> Dialect:
        """This dialect as it is spoken to the deployment of that name, of which so much is known."""
        return self

    def read_request(self, body: bytes, path: str = "", headers: Mapping[bytes, bytes] = {}) -> Request:
        """The request of a caller, with its wire form. Raises Invalid that names the field at fault.

        `path` is what was called, with its query, for dialects that name the model there. Header names are in lower
        case.
        """
        raise NotImplementedError

    def kept_headers(self, headers: Mapping[bytes, bytes]) -> tuple[tuple[str, str], ...]:
        """Those of a caller's headers that this dialect `forwards`."""
        return tuple((name.decode(), headers[name].decode("latin-1")) for name in self.forwards if name in headers)

    def path(self, deployment: str, *, stream: bool) -> str:
        """Where a provider takes requests of this dialect, behind its base address."""
        raise NotImplementedError

    def counting_path(self, deployment: str) -> str | None:
        """Where a provider counts the tokens of such a request without answering it; None where it does not."""
        return None

    def counting_body(self, body: bytes) -> bytes:
        """What of a request's `body` is sent to be counted."""
        return body

    def count_of(self, body: bytes) -> int:
        """The input tokens that a provider counted. Raises BadAnswer where the body does not say."""
        raise NotImplementedError

    def write_count(self, tokens: int) -> bytes:
        """The answer to a caller who asked how many tokens a request has."""
        raise NotImplementedError

    def unsaid(self, request: Request) -> Sequence[str]:
        """The settings of `request` that this dialect has no words for and that `write_request` leaves out.

        Only what shades an answer may be left out; without the rest `write_request` raises Unsupported.
        """
        return ()

    def write_request(self, request: Request, deployment: str) -> bytes:
        """The body to send to a provider. Raises Unsupported where this dialect cannot say what is asked."""
        raise NotImplementedError

    def body_type(self, wire: Wire | None) -> str:
        """The content type of what goes to a provider: of `wire` spliced, or of what `write_request` writes."""
        return "application/json"

    def splice(self, wire: Wire, deployment: str, *, report_usage: bool) -> bytes:
        """The caller's own bytes with the model's name changed and, with `report_usage`, usage asked for in a stream.

        Nothing else changes but what this provider would refuse the whole request for.
        """
        raise NotImplementedError

    def read_response(self, body: bytes) -> Sequence[Event]:
        """The events of a provider's whole answer. Raises BadAnswer where it is none."""
        raise NotImplementedError

    def reader(self) -> StreamReader:
        """A reader for one streamed answer."""
        raise NotImplementedError

    def usage_of(self, body: bytes) -> Usage | None:
        """The usage that a whole answer reports. Raises BadAnswer where the body is no answer of this dialect."""
        raise NotImplementedError

    def witness(self, *, hide_usage: bool, choices: int = 1) -> Witness:
        """A witness for one verbatim stream of so many choices; with `hide_usage` it learns the usage for itself."""
        raise NotImplementedError

    def watching(self, request: Request) -> Witness:
        """A witness for the verbatim stream that answers this request."""
        return self.witness(hide_usage=not request.include_usage, choices=request.choices)

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> DirigentError:
        """What a provider's refusal means in our own words."""
        raise NotImplementedError

    def write_response(self, response: Response, request: Request, answer_id: str, created: int) -> bytes:
        """The body of a whole answer."""
        raise NotImplementedError

    def writer(self, request: Request, answer_id: str, created: int) -> StreamWriter:
        """A writer for one streamed answer."""
        raise NotImplementedError

    def answer_type(self, request: Request, response: Response) -> str:
        """The content type of what `write_response` writes."""
        return self.content_type

    def stream_type(self, request: Request) -> str:
        """The content type of what the `writer` of this request writes."""
        return self.stream_content_type

    def write_error(self, error: DirigentError, status: int, kind: str, request_id: str) -> bytes:
        """The body of an error: `status` as HTTP has it, `kind` as OpenAI's SDKs sort errors by their `type`."""
        raise NotImplementedError
