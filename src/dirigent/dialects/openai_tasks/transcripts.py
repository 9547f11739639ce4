"""OpenAI's transcriptions and translations: what is said in a sound is written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from secrets import token_hex
from typing import Any, ClassVar

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer, Invalid, Unsupported
from dirigent.core.events import Event, Transcribed, UsageReported, Verbatim
from dirigent.core.messages import Request, Response, Segment, Transcript, Transcription, Wire, Word
from dirigent.core.messages import Task as AnyTask
from dirigent.core.usage import Usage
from dirigent.dialects.dialect import StreamWriter, Witness
from dirigent.dialects.multipart import Form, written
from dirigent.dialects.openai_tasks.forms import FormTask, model_of, yes
from dirigent.dialects.openai_tasks.layouts import code_of, laid_out
from dirigent.dialects.openai_tasks.task import answer_in, encode, is_object, reported
from dirigent.dialects.openai_tasks.watching import EventWitness
from dirigent.dialects.raw import NULL

__all__ = ["OpenAITranscriptions", "OpenAITranslations"]

_BOUNDARY = token_hex(24)
"""Of the forms that are written here; drawn anew by each process, so that no sound can hold it on purpose."""
_UNDERSTOOD = frozenset(
    (
        "file",
        "model",
        "language",
        "prompt",
        "response_format",
        "temperature",
        "stream",
        "timestamp_granularities",
        "timestamp_granularities[]",
    )
)


class _Segment(msgspec.Struct):
    start: float = 0.0
    end: float = 0.0
    text: str = ""


class _Word(msgspec.Struct):
    start: float = 0.0
    end: float = 0.0
    word: str = ""


class _Answer(msgspec.Struct):
    text: str
    language: str | None = None
    duration: float | str | None = None
    segments: list[_Segment] | None = None
    words: list[_Word] | None = None
    usage: Raw = NULL


_answer = msgspec.json.Decoder(_Answer)


class OpenAITranscriptions(FormTask, frozen=True):
    """OpenAI's `/v1/audio/transcriptions`."""

    name: ClassVar[str] = "openai_transcriptions"
    task: ClassVar[AnyTask] = "transcriptions"
    endpoint: ClassVar[str] = "/audio/transcriptions"
    needs: ClassVar[tuple[str, ...]] = ("file",)

    def read_request(self, body: bytes, path: str = "", headers: Mapping[bytes, bytes] = {}) -> Request:
        form = self.form(body, headers)
        sound = form.one("file")
        if sound is None or sound.begin == sound.end:
            raise Invalid("file: there is no sound in it", param="file")
        grains = {*form.texts("timestamp_granularities[]"), *form.texts("timestamp_granularities")}
        job = Transcription(
            form.contents(sound),
            sound.filename or "audio",
            form.text("language") or None,
            form.text("prompt") or None,
            form.text("response_format") or "json",
            _temperature(form.text("temperature")),
            words="word" in grains,
            segments="segment" in grains,
            translate=self.task == "translations",
        )
        return Request(
            model=model_of(form),
            task=self.task,
            job=job,
            dialect=self.name,
            stream=yes(form.text("stream")),
            extra=_others(form),
            wire=self.kept(body, headers),
        )

    def body_type(self, wire: Wire | None) -> str:
        return f"multipart/form-data; boundary={_BOUNDARY}" if wire is None else wire.content_type

    def write_request(self, request: Request, deployment: str) -> bytes:
        job = request.job
        if not isinstance(job, Transcription) or job.translate is not (self.task == "translations"):
            raise Unsupported(f"{self.endpoint} writes down what is said in a sound, and nothing else", param="model")
        fields = {
            "model": deployment,
            "language": None if job.translate else job.language,
            "prompt": job.prompt,
            "response_format": job.format,
            "temperature": f"{job.temperature:g}" if job.temperature else None,
        }
        plain = [(name, None, value.encode()) for name, value in fields.items() if value is not None]
        plain += [("timestamp_granularities[]", None, grain.encode()) for grain in _grains(job)]
        if request.dialect == self.name:
            for name, raw in request.extra.items():
                plain += [(name, None, value.encode()) for value in msgspec.json.decode(raw, type=list[str])]
        return written([*plain, ("file", job.name, job.audio)], _BOUNDARY)

    def read_response(self, body: bytes) -> Sequence[Event]:
        if not is_object(body):
            return [Transcribed(Transcript(_text_of(body), "", 0.0))]
        answer: _Answer = answer_in(body, _answer)
        transcript = Transcript(
            answer.text,
            code_of(answer.language or ""),
            _seconds(answer.duration),
            tuple(Segment(each.start, each.end, each.text) for each in answer.segments or ()),
            tuple(Word(each.start, each.end, each.word) for each in answer.words or ()),
        )
        usage = reported(answer.usage)
        return [Transcribed(transcript), *([UsageReported(usage)] if usage is not None else [])]

    def usage_of(self, body: bytes) -> Usage | None:
        if not is_object(body):
            _text_of(body)
            return None
        answer: _Answer = answer_in(body, _answer)
        return reported(answer.usage)

    def witness(self, *, hide_usage: bool, choices: int = 1) -> Witness:
        return EventWitness()

    def write_response(self, response: Response, request: Request, answer_id: str, created: int) -> bytes:
        if response.transcript is None:
            raise BadAnswer(f"{request.model!r} answered without a transcript")
        job = request.job if isinstance(request.job, Transcription) else Transcription(b"")
        return laid_out(response.transcript, job, response.usage)

    def answer_type(self, request: Request, response: Response) -> str:
        asked = request.job.format if isinstance(request.job, Transcription) else "json"
        return self.content_type if asked.endswith("json") else "text/plain; charset=utf-8"

    def writer(self, request: Request, answer_id: str, created: int) -> StreamWriter:
        return _Writer(request.model)


class OpenAITranslations(OpenAITranscriptions, frozen=True):
    """OpenAI's `/v1/audio/translations`: the transcript is in English, whatever is spoken."""

    name: ClassVar[str] = "openai_translations"
    task: ClassVar[AnyTask] = "translations"
    endpoint: ClassVar[str] = "/audio/translations"


class _Writer:
    """Writes a transcript as a stream of events."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._text: str | None = None
        self._usage: Usage | None = None

    def write(self, event: Event) -> bytes:
        match event:
            case Verbatim(data=data):
                return data
            case Transcribed(transcript=transcript):
                self._text = transcript.text
                return _framed({"type": "transcript.text.delta", "delta": transcript.text})
            case UsageReported(usage=usage):
                self._usage = usage
        return b""

    def end(self) -> bytes:
        if self._text is None:
            raise BadAnswer(f"{self._model!r} answered without a transcript")
        done: dict[str, Any] = {"type": "transcript.text.done", "text": self._text}
        if (usage := self._usage) is not None:
            asked, answered = usage.input_tokens, usage.output_tokens
            counted = {"input_tokens": asked, "output_tokens": answered, "total_tokens": asked + answered}
            done["usage"] = {"type": "tokens", **counted}
        return _framed(done) + b"data: [DONE]\n\n"

    def fail(self, error: bytes) -> bytes:
        return b"data: " + error + b"\n\n"


def _temperature(words: str | None) -> float:
    if not words:
        return 0.0
    try:
        given = float(words)
    except ValueError:
        given = float("nan")
    if not (isfinite(given) and 0 <= given <= 2):
        raise Invalid(f"temperature: {words[:40]!r} is no number from 0 to 2", param="temperature")
    return given


def _others(form: Form) -> dict[str, Raw]:
    """The fields that have no word of ours, each with all its texts."""
    names = dict.fromkeys(part.name for part in form.parts if part.filename is None and part.name not in _UNDERSTOOD)
    return {name: Raw(encode(form.texts(name))) for name in names}


def _grains(job: Transcription) -> list[str]:
    return ["word"] * job.words + ["segment"] * job.segments


def _text_of(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BadAnswer("the provider's transcript is no text") from None


def _seconds(duration: float | str | None) -> float:
    """How long the sound is; some write it as a text."""
    try:
        seconds = float(duration or 0)
    except ValueError:
        return 0.0
    return seconds if isfinite(seconds) and seconds > 0 else 0.0


def _framed(body: dict[str, Any]) -> bytes:
    return b"data: " + encode(body) + b"\n\n"
