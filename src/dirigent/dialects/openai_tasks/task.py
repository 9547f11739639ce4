"""What the dialects of OpenAI's jobs beside chat have in common: the caller's bytes go on with another model's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, Raw

from dirigent.core.errors import BadAnswer, DirigentError, Invalid, Unsupported
from dirigent.core.events import Event, Verbatim, folded
from dirigent.core.messages import Request, Wire
from dirigent.core.usage import Usage
from dirigent.dialects.dialect import Dialect, StreamReader, StreamWriter, Witness
from dirigent.dialects.faults import invalid
from dirigent.dialects.openai_errors import error_of, read_error, write_error
from dirigent.dialects.raw import NULL, UNREADABLE

__all__ = ["JSON", "Name", "Task", "answer_in", "decoded", "encode", "fields_of", "is_object", "reported"]

JSON = "application/json"
Name = Annotated[str, Meta(min_length=1, max_length=256)]
encode = msgspec.json.Encoder().encode
_fields = msgspec.json.Decoder(dict[str, Raw])


class Task(Dialect, frozen=True):
    """One of OpenAI's jobs beside chat. The verbatim path is the usual one; our own words serve models that need them.

    A field that is null counts as not given and is left out: servers that follow OpenAI refuse nulls that it takes.
    """

    endpoint: ClassVar[str] = ""

    @property
    def passes_verbatim(self) -> bool:
        return True

    @property
    def always_streams(self) -> bool:
        return False

    @property
    def one_choice(self) -> bool:
        return False

    def path(self, deployment: str, *, stream: bool) -> str:
        return self.endpoint

    def write_request(self, request: Request, deployment: str) -> bytes:
        raise Unsupported(
            f"{self.endpoint} can only be sent on as the caller wrote it, and a policy has changed it", param="model"
        )

    def body_type(self, wire: Wire | None) -> str:
        return JSON if wire is None else wire.content_type

    def splice(self, wire: Wire, deployment: str, *, report_usage: bool) -> bytes:
        fields = {name: raw for name, raw in wire.fields.items() if raw != NULL}
        fields["model"] = Raw(encode(deployment))
        return encode(fields)

    def reader(self) -> StreamReader:
        return _Whole(self)

    def witness(self, *, hide_usage: bool, choices: int = 1) -> Witness:
        raise Unsupported(f"answers of {self.endpoint} are not streamed", param="stream")

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> DirigentError:
        return read_error(status, body, retry_after)

    def writer(self, request: Request, answer_id: str, created: int) -> StreamWriter:
        return _Afterwards(self, request, answer_id, created)

    def write_error(self, error: DirigentError, status: int, kind: str, request_id: str) -> bytes:
        return write_error(error, kind)


class _Whole:
    """Reads an answer that comes piece by piece although it only means something as a whole."""

    def __init__(self, dialect: Task) -> None:
        self._dialect = dialect
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> Sequence[Event]:
        self._pieces.append(data)
        return ()

    def end(self) -> Sequence[Event]:
        return self._dialect.read_response(b"".join(self._pieces))


class _Afterwards:
    """Writes an answer that only means something as a whole once it is over."""

    def __init__(self, dialect: Task, request: Request, answer_id: str, created: int) -> None:
        self._dialect = dialect
        self._asked = (request, answer_id, created)
        self._events: list[Event] = []

    def write(self, event: Event) -> bytes:
        if isinstance(event, Verbatim):
            return event.data
        self._events.append(event)
        return b""

    def end(self) -> bytes:
        return self._dialect.write_response(folded(self._events), *self._asked)

    def fail(self, error: bytes) -> bytes:
        return b""


def fields_of(body: bytes) -> dict[str, Raw]:
    """The top-level fields of a caller's body. Raises Invalid where it is no JSON object."""
    try:
        return _fields.decode(body)
    except UNREADABLE as fault:
        raise Invalid(f"the body is not a JSON object: {fault}") from None


def decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """A caller's body. Raises Invalid with the path of the field at fault, as the caller wrote it."""
    try:
        return decoder.decode(body)
    except UNREADABLE as fault:
        raise invalid(fault) from None


def is_object(body: bytes) -> bool:
    """Whether an answer is a JSON object; a plain transcript or a sound may well begin with a brace."""
    if body.lstrip()[:1] != b"{":
        return False
    try:
        _fields.decode(body)
    except UNREADABLE:
        return False
    return True


# --- what providers answer --------------------------------------------------------------------------------------------


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    input_tokens_details: _InputDetails | None = None
    input_token_details: _InputDetails | None = None
    """How the audio endpoints write it."""


_usage = msgspec.json.Decoder(_Usage)


def reported(raw: Raw) -> Usage | None:
    """`usage` in our own words; None where it is not in tokens, cannot be read, or has tokens without a price of ours.

    Pictures that go in are counted in tokens of a price of their own, which nobody here knows: as text they would be
    charged too low, and an unknown cost is better than a wrong one.
    """
    if raw == NULL:
        return None
    try:
        wire = _usage.decode(raw)
    except UNREADABLE:
        return None
    asked = wire.input_tokens if wire.input_tokens is not None else wire.prompt_tokens
    answered = wire.output_tokens if wire.output_tokens is not None else wire.completion_tokens
    if asked is None and wire.total_tokens is not None:
        asked = wire.total_tokens - (answered or 0)
    if answered is None:
        answered = 0 if wire.total_tokens is None or asked is None else wire.total_tokens - asked
    given = wire.input_token_details or wire.input_tokens_details or wire.prompt_tokens_details or _InputDetails()
    if asked is None or given.image_tokens:
        return None
    usage = Usage(
        input_tokens=asked,
        output_tokens=answered,
        cached_input_tokens=given.cached_tokens or 0,
        audio_input_tokens=given.audio_tokens or 0,
    )
    return None if min(asked, answered, usage.cached_input_tokens, usage.audio_input_tokens) < 0 else usage


def answer_in(body: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """A provider's whole answer. Raises BadAnswer where the body is none, or the error that it carries instead."""
    if b'"error"' in body and (error := error_of(body)) is not None:
        raise error
    try:
        return decoder.decode(body)
    except UNREADABLE as fault:
        raise error_of(body) or BadAnswer(f"the provider's answer cannot be read: {fault}") from None
