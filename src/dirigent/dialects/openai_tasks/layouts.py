"""A transcript in each of the layouts that callers may ask for."""

from __future__ import annotations

from typing import Any

from dirigent.core.errors import Unsupported
from dirigent.core.messages import Segment, Transcript, Transcription
from dirigent.core.usage import Usage
from dirigent.dialects.openai_tasks.languages import LANGUAGES
from dirigent.dialects.openai_tasks.task import encode

__all__ = ["code_of", "laid_out"]

_CODES = {name: code for code, name in LANGUAGES.items()}


def code_of(language: str) -> str:
    """The ISO 639-1 code of a language, which OpenAI writes out in English; other words stay as they are."""
    return _CODES.get(language.lower(), language.lower())


def laid_out(transcript: Transcript, job: Transcription, usage: Usage | None) -> bytes:
    """The transcript as `job` asks for it. Raises Unsupported where nobody here knows the layout."""
    match job.format:
        case "json":
            return encode({"text": transcript.text, "usage": _used(transcript, usage)})
        case "text":
            return f"{transcript.text}\n".encode()
        case "verbose_json":
            return encode(_verbose(transcript, job))
        case "srt":
            return "".join(_srt(index, each) for index, each in enumerate(_segments(transcript), 1)).encode()
        case "vtt":
            return ("WEBVTT\n\n" + "".join(map(_vtt, _segments(transcript)))).encode()
    raise Unsupported(
        f"response_format: {job.format!r} is not one of json, text, srt, vtt, verbose_json", param="response_format"
    )


def _used(transcript: Transcript, usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {"type": "duration", "seconds": round(transcript.seconds, 3)}
    asked, answered = usage.input_tokens, usage.output_tokens
    return {"type": "tokens", "input_tokens": asked, "output_tokens": answered, "total_tokens": asked + answered}


def _verbose(transcript: Transcript, job: Transcription) -> dict[str, Any]:
    code = transcript.language
    body: dict[str, Any] = {
        "task": "translate" if job.translate else "transcribe",
        "language": "english" if job.translate else LANGUAGES.get(code, code),
        "duration": round(transcript.seconds, 3),
        "text": transcript.text,
    }
    if job.words:
        body["words"] = [
            {"word": each.word, "start": round(each.start, 3), "end": round(each.end, 3)} for each in transcript.words
        ]
    if job.segments or not job.words:
        body["segments"] = [_measured(index, each, job) for index, each in enumerate(_segments(transcript))]
    return {**body, "usage": {"type": "duration", "seconds": round(transcript.seconds, 3)}}


def _measured(index: int, segment: Segment, job: Transcription) -> dict[str, Any]:
    """A segment with all that OpenAI's types want of one; what nobody has measured is 0."""
    return {
        "id": index,
        "seek": 0,
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "tokens": [],
        "temperature": job.temperature,
        "avg_logprob": 0.0,
        "compression_ratio": 0.0,
        "no_speech_prob": 0.0,
    }


def _segments(transcript: Transcript) -> tuple[Segment, ...]:
    """The stretches of a transcript: the whole of it where nobody has cut it."""
    if transcript.segments or not transcript.text:
        return transcript.segments
    return (Segment(0.0, transcript.seconds, transcript.text),)


def _srt(index: int, segment: Segment) -> str:
    return f"{index}\n{_clock(segment.start, ',')} --> {_clock(segment.end, ',')}\n{_line(segment)}\n\n"


def _vtt(segment: Segment) -> str:
    return f"{_clock(segment.start, '.')} --> {_clock(segment.end, '.')}\n{_line(segment)}\n\n"


def _line(segment: Segment) -> str:
    """The words of a subtitle: an arrow in them would be taken for a time, a blank line for the end."""
    return " ".join(segment.text.replace("-->", "->").split())


def _clock(seconds: float, mark: str) -> str:
    thousandths = max(0, round(seconds * 1000))
    minutes, rest = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
