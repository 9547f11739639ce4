from __future__ import annotations

from typing import Any

import pytest
from openai.types.audio import (
    Transcription as SdkTranscription,
)
from openai.types.audio import (
    TranscriptionStreamEvent,
    TranscriptionVerbose,
    TranslationVerbose,
)
from pydantic import TypeAdapter

from dirigent.core.errors import BadAnswer, Invalid, Unsupported
from dirigent.core.events import Transcribed, UsageReported, folded
from dirigent.core.messages import Request, Segment, Transcript, Transcription, Wire, Word
from dirigent.core.usage import Usage
from dirigent.dialects.multipart import Form
from dirigent.dialects.openai_tasks import OpenAITranscriptions, OpenAITranslations
from dirigent.dialects.openai_tasks.languages import LANGUAGES
from tests.dialects.forms import form, headers
from tests.upstream import frames, pieces

DIALECT = OpenAITranscriptions()
SOUND = b"RIFF\r\n--\r\n\x00\xff sound"
SAID = Transcript(
    "Guten Tag. Wie --> geht es?",
    "de",
    3_661.5,
    (Segment(0.0, 1.25, " Guten Tag."), Segment(3_660.0, 3_661.5, " Wie --> geht\n\nes?")),
    (Word(0.0, 0.5, "Guten"), Word(0.5, 1.25, "Tag.")),
)


def sent(*fields: tuple[str, bytes], model: bytes = b"m") -> bytes:
    return form(("model", model), *fields, ("file", SOUND, "hello.wav"))


def asked(*fields: tuple[str, bytes], dialect: OpenAITranscriptions = DIALECT) -> Request:
    return dialect.read_request(sent(*fields), "", headers())


def written(*fields: tuple[str, bytes], dialect: OpenAITranscriptions = DIALECT) -> bytes:
    return dialect.write_response(folded([Transcribed(SAID)]), asked(*fields, dialect=dialect), "", 0)


def test_a_form_is_read_into_our_own_words() -> None:
    request = asked(
        ("language", b"de"),
        ("prompt", "für".encode()),
        ("response_format", b"verbose_json"),
        ("temperature", b"0.4"),
        ("timestamp_granularities[]", b"word"),
        ("timestamp_granularities[]", b"segment"),
        ("stream", b"true"),
        ("hotwords", b"Dirigent"),
    )

    assert request.job == Transcription(SOUND, "hello.wav", "de", "für", "verbose_json", 0.4, words=True, segments=True)
    assert (request.model, request.stream) == ("m", True)
    assert list(request.extra) == ["hotwords"]


def test_a_translation_is_read_as_one() -> None:
    job = asked(dialect=OpenAITranslations()).job

    assert isinstance(job, Transcription)
    assert job.translate


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (form(("model", b"m" * 257), ("file", SOUND, "a.wav")), "model"),
        (form(("model", b""), ("file", SOUND, "a.wav")), "model"),
        (form(("model", b"a"), ("model", b"b"), ("file", SOUND, "a.wav")), "model"),
        (form(("model", b"m")), "file"),
        (form(("model", b"m"), ("file", b"", "a.wav")), "file"),
        (sent(("temperature", b"hot")), "temperature"),
        (sent(("temperature", b"nan")), "temperature"),
        (sent(("prompt", b"\xff")), "prompt"),
        (b'{"model":"m"}', None),
    ],
)
def test_a_fault_is_named_by_its_field(body: bytes, param: str | None) -> None:
    with pytest.raises(Invalid) as refused:
        DIALECT.read_request(body, "", headers())

    assert refused.value.param == param


def test_the_callers_form_goes_on_with_another_name_and_its_boundary() -> None:
    wire = asked(("response_format", b"text"), ("unknown[]", b"1")).wire
    assert isinstance(wire, Wire)

    spliced = DIALECT.splice(wire, "whisper-large", report_usage=True)

    assert spliced == sent(("response_format", b"text"), ("unknown[]", b"1"), model=b"whisper-large")
    assert DIALECT.body_type(wire) == headers()[b"content-type"].decode()


def test_our_own_words_are_written_as_a_form_that_says_the_same() -> None:
    fields = (("language", b"de"), ("temperature", b"0.5"), ("timestamp_granularities[]", b"word"), ("hot[]", b"a"))
    request = asked(*fields, ("hot[]", b"b"))

    body = DIALECT.write_request(request.changed(), "other")

    again = DIALECT.read_request(body, "", {b"content-type": DIALECT.body_type(None).encode()})
    assert (again.model, again.job, again.extra) == ("other", request.job, request.extra)
    assert Form(body, DIALECT.body_type(None)).texts("hot[]") == ["a", "b"]


def test_what_is_no_transcription_is_never_written_as_one() -> None:
    with pytest.raises(Unsupported):
        DIALECT.write_request(asked(dialect=OpenAITranslations()).changed(), "m")


def test_the_layouts_are_what_openais_own_types_read() -> None:
    plain = SdkTranscription.model_validate_json(written(), strict=True)
    verbose = TranscriptionVerbose.model_validate_json(written(("response_format", b"verbose_json")), strict=True)
    english = written(("response_format", b"verbose_json"), dialect=OpenAITranslations())

    assert plain.text == SAID.text
    assert (verbose.language, verbose.duration, verbose.words) == ("german", SAID.seconds, None)
    assert [segment.text for segment in verbose.segments or ()] == [each.text for each in SAID.segments]
    assert TranslationVerbose.model_validate_json(english, strict=True).language == "english"


def test_words_come_only_where_they_are_asked_for() -> None:
    verbose = written(("response_format", b"verbose_json"), ("timestamp_granularities[]", b"word"))

    read = TranscriptionVerbose.model_validate_json(verbose, strict=True)
    assert [word.word for word in read.words or ()] == ["Guten", "Tag."]
    assert read.segments is None


def test_subtitles_are_timed_and_hold_no_arrow_of_their_own() -> None:
    srt = written(("response_format", b"srt")).decode()
    vtt = written(("response_format", b"vtt")).decode()

    assert srt == (
        "1\n00:00:00,000 --> 00:00:01,250\nGuten Tag.\n\n2\n01:01:00,000 --> 01:01:01,500\nWie -> geht es?\n\n"
    )
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nGuten Tag.\n\n")
    assert DIALECT.answer_type(asked(("response_format", b"vtt")), folded([])).startswith("text/plain")


def test_a_transcript_that_nobody_has_cut_is_one_subtitle() -> None:
    uncut = folded([Transcribed(Transcript("Hallo", "de", 2.0))])

    srt = DIALECT.write_response(uncut, asked(("response_format", b"srt")), "", 0)

    assert srt == b"1\n00:00:00,000 --> 00:00:02,000\nHallo\n\n"


def test_an_unknown_layout_is_refused_by_its_field() -> None:
    with pytest.raises(Unsupported) as refused:
        written(("response_format", b"braille"))

    assert refused.value.param == "response_format"


def test_a_stream_is_what_openais_own_types_read() -> None:
    writer = DIALECT.writer(asked(("stream", b"true")), "", 0)
    stream = writer.write(Transcribed(SAID)) + writer.write(UsageReported(Usage(10, 5))) + writer.end()

    *events, done = stream.strip().split(b"\n\n")
    read: list[Any] = [
        TypeAdapter(TranscriptionStreamEvent).validate_json(event.removeprefix(b"data: "), strict=True)
        for event in events
    ]
    assert [event.type for event in read] == ["transcript.text.delta", "transcript.text.done"]
    assert read[0].delta == read[1].text == SAID.text
    assert read[1].usage.input_tokens == 10
    assert done == b"data: [DONE]"


@pytest.mark.parametrize(
    ("answer", "text", "usage"),
    [
        (b'{"text":"Hi","usage":{"type":"duration","seconds":3}}', "Hi", None),
        (
            b'{"text":"Hi","usage":{"input_tokens":9,"output_tokens":2,"input_token_details":{"audio_tokens":8}}}',
            "Hi",
            Usage(9, 2, audio_input_tokens=8),
        ),
        (
            b'{"text":"Hi","language":"german","duration":"3.5","segments":[{"start":0,"end":1,"text":"Hi"}]}',
            "Hi",
            None,
        ),
        (b"{ he said }", "{ he said }", None),
        (b"1\n00:00:00,000 --> 00:00:01,000\nHi\n", "1\n00:00:00,000 --> 00:00:01,000\nHi\n", None),
    ],
)
def test_each_answer_is_read(answer: bytes, text: str, usage: Usage | None) -> None:
    read = folded(DIALECT.read_response(answer))

    assert read.transcript is not None
    assert read.transcript.text == text
    assert read.usage == usage
    assert DIALECT.usage_of(answer) == usage


def test_the_language_and_the_length_are_read() -> None:
    read = folded(DIALECT.read_response(b'{"text":"Hi","language":"german","duration":"3.5"}')).transcript

    assert read is not None
    assert (read.language, read.seconds) == ("de", 3.5)


@pytest.mark.parametrize("answer", [b"\xff\xfe", b'{"no":"text"}', b'{"text":5}'])
def test_what_is_no_transcript_is_refused(answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        DIALECT.usage_of(answer)


@pytest.mark.parametrize("cut", range(0, 200, 7))
def test_a_witness_passes_every_byte_and_learns_the_usage(cut: int) -> None:
    tokens = {"type": "tokens", "input_tokens": 14, "output_tokens": 3, "total_tokens": 17}
    stream = frames(
        {"type": "transcript.text.delta", "delta": "Guten"},
        {"type": "transcript.text.delta", "delta": " Tag"},
        {"type": "transcript.text.done", "text": "Guten Tag", "usage": tokens},
    )
    witness = DIALECT.witness(hide_usage=True)

    passed = b"".join([witness.feed(piece) for piece in pieces(stream, [cut, 2 * cut])]) + witness.end()

    assert passed == stream
    assert (witness.usage, witness.complete) == (Usage(14, 3), True)


def test_the_names_of_languages_are_unique() -> None:
    assert len(set(LANGUAGES.values())) == len(LANGUAGES)
    assert LANGUAGES["ht"] == "haitian creole"
