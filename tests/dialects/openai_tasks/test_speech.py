from __future__ import annotations

from base64 import b64decode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.errors import BadAnswer, Invalid, Rejected
from dirigent.core.events import Spoken, UsageReported
from dirigent.core.messages import Request, Sound, Speech, Wire
from dirigent.core.usage import Usage
from dirigent.dialects.openai_tasks import OpenAISpeech
from tests.upstream import frames, pieces

DIALECT = OpenAISpeech()
STREAM = frames(
    {"type": "speech.audio.delta", "audio": "AAAA"},
    {"type": "speech.audio.done", "usage": {"input_tokens": 4, "output_tokens": 90, "total_tokens": 94}},
)


def asked(**fields: Any) -> Request:
    return DIALECT.read_request(msgspec.json.encode({"model": "m", "input": "hello", "voice": "echo", **fields}))


def test_a_request_is_read_into_our_own_words() -> None:
    request = asked(response_format="wav", speed=1.5, instructions="softly", lang="de")

    assert request.job == Speech("hello", "echo", "wav", 1.5, "softly")
    assert dict(request.extra) == {"lang": msgspec.Raw(b'"de"')}


def test_a_voice_of_ones_own_is_read_by_its_id() -> None:
    assert asked(voice={"id": "voice_1"}).job == Speech("hello", "voice_1")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": None}, "input"),
        ({"speed": 9}, "speed"),
        ({"stream_format": "ogg"}, "stream_format"),
        ({"voice": {"id": ""}}, "voice.id"),
    ],
)
def test_a_fault_is_named_by_its_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as refused:
        asked(**fields)

    assert refused.value.param == param


def test_the_callers_bytes_go_on_with_another_name() -> None:
    wire = asked(speed=1.5, new_field={"deep": [1]}, instructions=None).wire
    assert isinstance(wire, Wire)

    sent = msgspec.json.decode(DIALECT.splice(wire, "tts-1", report_usage=True))

    assert sent == {"model": "tts-1", "input": "hello", "voice": "echo", "speed": 1.5, "new_field": {"deep": [1]}}


def test_our_own_words_are_written_as_openai_takes_them() -> None:
    sent = msgspec.json.decode(DIALECT.write_request(asked(stream_format="sse", lang="de"), "tts-1"))

    assert sent == {"model": "tts-1", "input": "hello", "voice": "echo", "response_format": "mp3", "lang": "de"}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "audio/mpeg"),
        ({"response_format": "wav"}, "audio/wav"),
        ({"response_format": "brandnew"}, "application/octet-stream"),
        ({"stream_format": "sse"}, "text/event-stream; charset=utf-8"),
    ],
)
def test_what_is_streamed_says_what_it_is(fields: dict[str, Any], kind: str) -> None:
    assert DIALECT.stream_type(asked(**fields)) == kind


def test_a_sound_is_written_bare() -> None:
    writer = DIALECT.writer(asked(), "", 0)

    assert writer.write(Spoken(Sound(b"ID3sound", "audio/mpeg"))) + writer.end() == b"ID3sound"


def test_a_sound_is_written_in_events_that_make_it_up_again() -> None:
    sound = bytes(range(256)) * 200
    writer = DIALECT.writer(asked(stream_format="sse"), "", 0)

    stream = writer.write(Spoken(Sound(sound, "audio/mpeg"))) + writer.write(UsageReported(Usage(3, 40))) + writer.end()

    *deltas, done = [msgspec.json.decode(line.removeprefix(b"data: ")) for line in stream.strip().split(b"\n\n")]
    assert b"".join(b64decode(delta["audio"], validate=True) for delta in deltas) == sound
    assert len(deltas) > 1
    assert done == {
        "type": "speech.audio.done",
        "usage": {"input_tokens": 3, "output_tokens": 40, "total_tokens": 43},
    }


def test_events_tell_no_usage_that_nobody_has_told() -> None:
    writer = DIALECT.writer(asked(stream_format="sse"), "", 0)

    *_, done = (writer.write(Spoken(Sound(b"ID3", "audio/mpeg"))) + writer.end()).strip().split(b"\n\n")

    assert done == b'data: {"type":"speech.audio.done"}'


@pytest.mark.parametrize("fields", [{}, {"stream_format": "sse"}])
def test_an_object_in_place_of_a_sound_is_passed_on_as_the_provider_wrote_it(fields: dict[str, Any]) -> None:
    writer = DIALECT.writer(asked(**fields), "", 0)

    told = [writer.write(event) for event in DIALECT.read_response(b'{"audio":"UklGRg=="}')]

    assert b"".join(told) + writer.end() == b'{"audio":"UklGRg=="}'


@pytest.mark.parametrize("fields", [{}, {"stream_format": "sse"}])
def test_silence_is_never_written_as_an_answer(fields: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        DIALECT.writer(asked(**fields), "", 0).end()


def test_a_bare_sound_that_breaks_off_says_nothing_that_could_be_heard() -> None:
    assert DIALECT.writer(asked(), "", 0).fail(b"{}") == b""
    assert DIALECT.writer(asked(stream_format="sse"), "", 0).fail(b"{}") == b"data: {}\n\n"


@given(sound=some.binary(min_size=1, max_size=80), at=some.lists(some.integers(0, 10**6), max_size=8))
def test_a_witness_passes_every_byte_of_a_sound(sound: bytes, at: list[int]) -> None:
    sound = b"\xff" + sound
    witness = DIALECT.witness(hide_usage=True)

    passed = b"".join([witness.feed(piece) for piece in pieces(sound, at)]) + witness.end()

    assert passed == sound
    assert witness.usage is None


@given(at=some.lists(some.integers(0, 10**6), max_size=20), crlf=some.booleans())
def test_a_witness_passes_every_byte_of_events_and_learns_their_usage(at: list[int], crlf: bool) -> None:  # noqa: FBT001
    stream = STREAM.replace(b"\n", b"\r\n") if crlf else STREAM
    witness = DIALECT.witness(hide_usage=True)

    passed = b"".join([witness.feed(piece) for piece in pieces(stream, at)]) + witness.end()

    assert passed == stream
    assert witness.usage == Usage(4, 90)


def test_a_line_end_that_is_cut_in_two_at_the_very_end_is_passed_as_well() -> None:
    stream = STREAM.replace(b"\n", b"\r\n")
    witness = DIALECT.witness(hide_usage=True)

    assert witness.feed(stream[:-1]) + witness.feed(stream[-1:]) + witness.end() == stream


@pytest.mark.parametrize("stream", [b"", STREAM[:40], STREAM.split(b"\n\n", maxsplit=1)[0] + b"\n\n"])
def test_events_that_stop_early_are_never_taken_for_a_whole_answer(stream: bytes) -> None:
    witness = DIALECT.witness(hide_usage=True)

    witness.feed(stream)

    with pytest.raises(BadAnswer):
        witness.end()


def test_an_error_among_the_events_is_raised() -> None:
    witness = DIALECT.witness(hide_usage=True)

    with pytest.raises(Rejected, match="no such voice"):
        witness.feed(frames({"type": "error", "error": {"message": "no such voice", "type": "invalid_request_error"}}))


@pytest.mark.parametrize(
    ("sound", "kind"),
    [
        (b"RIFF....WAVE", "audio/wav"),
        (b"ID3....", "audio/mpeg"),
        (b"\xff\xfb\x90", "audio/mpeg"),
        (b"\xff\xf1\x50", "audio/aac"),
        (b"OggS", "audio/ogg"),
        (b"fLaC", "audio/flac"),
        (b"{not json", "application/octet-stream"),
        (b"\x00\x01", "application/octet-stream"),
    ],
)
def test_a_whole_sound_is_known_by_its_first_bytes(sound: bytes, kind: str) -> None:
    assert DIALECT.read_response(sound) == [Spoken(Sound(sound, kind))]
    assert DIALECT.usage_of(sound) is None


def test_an_error_in_the_place_of_a_sound_is_raised() -> None:
    with pytest.raises(Rejected, match="no such voice"):
        DIALECT.read_response(b'{"error":{"message":"no such voice","type":"invalid_request_error"}}')
    with pytest.raises(BadAnswer):
        DIALECT.read_response(b"")
