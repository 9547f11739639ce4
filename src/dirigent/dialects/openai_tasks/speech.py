"""OpenAI's speech: a text is spoken."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Raw

from dirigent.core.errors import BadAnswer, Unsupported
from dirigent.core.events import Event, Spoken, UsageReported, Verbatim
from dirigent.core.messages import Request, Response, Sound, Speech, Wire
from dirigent.core.messages import Task as AnyTask
from dirigent.core.usage import Usage
from dirigent.dialects.dialect import StreamWriter, Witness
from dirigent.dialects.openai_errors import error_of
from dirigent.dialects.openai_tasks.task import Name, Task, decoded, encode, fields_of, is_object
from dirigent.dialects.openai_tasks.watching import SpeechWitness
from dirigent.dialects.raw import NULL

__all__ = ["OpenAISpeech"]

_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_MAGIC = {b"RIFF": "audio/wav", b"fLaC": "audio/flac", b"OggS": "audio/ogg", b"ID3": "audio/mpeg"}
_PIECE = 24 * 1024
"""Bytes of sound in one event: a multiple of three, so that no piece but the last is padded."""


class _Voice(msgspec.Struct):
    id: Annotated[str, Meta(min_length=1, max_length=256)]


class _Body(msgspec.Struct):
    input: Annotated[str, Meta(min_length=1)]
    voice: str | _Voice | None = None
    response_format: str | None = None
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None
    instructions: str | None = None
    stream_format: Literal["sse", "audio"] | None = None
    model: Name | None = None


_body = msgspec.json.Decoder(_Body)
_UNDERSTOOD = frozenset(_Body.__struct_fields__)
_EVENTS = Raw(b'"sse"')


class OpenAISpeech(Task, frozen=True):
    """OpenAI's `/v1/audio/speech`. Its sound goes to the caller as it comes, so every request of it is a stream."""

    name: ClassVar[str] = "openai_speech"
    task: ClassVar[AnyTask] = "speech"
    endpoint: ClassVar[str] = "/audio/speech"
    ping: ClassVar[bytes] = b""
    """Nothing can be said between two pieces of a sound that would not be heard."""

    def read_request(self, body: bytes, path: str = "", headers: Mapping[bytes, bytes] = {}) -> Request:
        fields = fields_of(body)
        read: _Body = decoded(_body, body)
        given = Speech(read.input)
        voice = read.voice.id if isinstance(read.voice, _Voice) else read.voice
        extra = {name: raw for name, raw in fields.items() if name not in _UNDERSTOOD and raw != NULL}
        if read.stream_format == "sse":
            extra["stream_format"] = _EVENTS
        return Request(
            model=read.model or "",
            task=self.task,
            job=Speech(
                read.input,
                given.voice if voice is None else voice,
                read.response_format or given.format,
                given.speed if read.speed is None else read.speed,
                read.instructions,
            ),
            dialect=self.name,
            stream=True,
            extra=extra,
            wire=Wire(self.name, body, fields),
        )

    def write_request(self, request: Request, deployment: str) -> bytes:
        job = request.job
        if not isinstance(job, Speech):
            raise Unsupported("only a text can be spoken", param="model")
        further = {name: raw for name, raw in request.extra.items() if name != "stream_format"}
        body: dict[str, Any] = {
            "model": deployment,
            "input": job.text,
            "voice": job.voice,
            "response_format": job.format,
            "speed": job.speed if job.speed != Speech("").speed else None,
            "instructions": job.instructions,
            **(further if request.dialect == self.name else {}),
        }
        return encode({name: value for name, value in body.items() if value is not None})

    def read_response(self, body: bytes) -> Sequence[Event]:
        if not body:
            raise BadAnswer("the provider's answer is empty")
        if is_object(body):
            if (error := error_of(body)) is not None:
                raise error
            return [Verbatim(body)]  # no sound looks so: whatever this provider answers in, its callers know it
        return [Spoken(Sound(body, _type_of(body)))]

    def usage_of(self, body: bytes) -> Usage | None:
        self.read_response(body)
        return None

    def witness(self, *, hide_usage: bool, choices: int = 1) -> Witness:
        return SpeechWitness()

    def write_response(self, response: Response, request: Request, answer_id: str, created: int) -> bytes:
        if response.sound is None:
            raise BadAnswer(f"{request.model!r} answered without a sound")
        return response.sound.data

    def writer(self, request: Request, answer_id: str, created: int) -> StreamWriter:
        return _EventWriter(request) if _in_events(request) else _SoundWriter(request)

    def answer_type(self, request: Request, response: Response) -> str:
        return response.sound.content_type if response.sound is not None else self.stream_type(request)

    def stream_type(self, request: Request) -> str:
        if _in_events(request):
            return self.stream_content_type
        asked = request.job.format if isinstance(request.job, Speech) else ""
        return _TYPES.get(asked, "application/octet-stream")


class _SoundWriter:
    """Writes the bare sound."""

    def __init__(self, request: Request) -> None:
        self._model = request.model
        self._silent = True
        self._passed = False
        """Whether the provider's own bytes went by, which have an end of their own."""
        self._usage: Usage | None = None

    def write(self, event: Event) -> bytes:
        match event:
            case Verbatim(data=data):
                self._passed = True
                return data
            case Spoken(sound=sound):
                self._silent = False
                return self._said(sound.data)
            case UsageReported(usage=usage):
                self._usage = usage
        return b""

    def end(self) -> bytes:
        if self._passed:
            return b""
        if self._silent:
            raise BadAnswer(f"{self._model!r} answered without a sound")
        return self._closing()

    def fail(self, error: bytes) -> bytes:
        return b""

    def _said(self, sound: bytes) -> bytes:
        return sound

    def _closing(self) -> bytes:
        return b""


class _EventWriter(_SoundWriter):
    """Writes the sound in events."""

    def fail(self, error: bytes) -> bytes:
        return b"data: " + error + b"\n\n"

    def _said(self, sound: bytes) -> bytes:
        pieces = [sound[at : at + _PIECE] for at in range(0, len(sound), _PIECE)]
        return b"".join(_framed({"type": "speech.audio.delta", "audio": b64encode(piece).decode()}) for piece in pieces)

    def _closing(self) -> bytes:
        done: dict[str, Any] = {"type": "speech.audio.done"}
        if (usage := self._usage) is not None:  # zeros would be a claim that nobody has made
            asked, answered = usage.input_tokens, usage.output_tokens
            done["usage"] = {"input_tokens": asked, "output_tokens": answered, "total_tokens": asked + answered}
        return _framed(done)


def _in_events(request: Request) -> bool:
    return request.extra.get("stream_format") == _EVENTS


def _type_of(sound: bytes) -> str:
    """The type of a sound by its first bytes."""
    for magic, content_type in _MAGIC.items():
        if sound.startswith(magic):
            return content_type
    if sound[:1] == b"\xff" and len(sound) > 1:  # frames of MPEG and ADTS begin alike, but for the layer
        return "audio/aac" if sound[1] & 0xF6 == 0xF0 else "audio/mpeg" if sound[1] & 0xE0 == 0xE0 else _UNKNOWN
    return _UNKNOWN


_UNKNOWN = "application/octet-stream"


def _framed(body: dict[str, Any]) -> bytes:
    return b"data: " + encode(body) + b"\n\n"
