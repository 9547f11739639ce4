"""The contract of a dialect: one wire format, read and written both ways, by the gateway and by providers alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from dirigent.core.errors import DirigentError
from dirigent.core.events import Event
from dirigent.core.messages import Request, Response, Wire
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

    def read_request(self, body: bytes) -> Request:
        """The request of a caller, with its wire form. Raises Invalid that names the field at fault."""
        raise NotImplementedError

    def write_request(self, request: Request, deployment: str) -> bytes:
        """The body to send to a provider. Raises Unsupported where this dialect cannot say what is asked."""
        raise NotImplementedError

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

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> DirigentError:
        """What a provider's refusal means in our own words."""
        raise NotImplementedError

    def write_response(self, response: Response, request: Request, answer_id: str, created: int) -> bytes:
        """The body of a whole answer."""
        raise NotImplementedError

    def writer(self, request: Request, answer_id: str, created: int) -> StreamWriter:
        """A writer for one streamed answer."""
        raise NotImplementedError

    def write_error(self, error: DirigentError, kind: str) -> bytes:
        """The body of an error; `kind` is the `type` that the caller's SDK sorts errors by."""
        raise NotImplementedError
