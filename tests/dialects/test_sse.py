"""Server-sent events, however they are cut and ended."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.dialects.sse import EventLines, Frames
from tests.upstream import pieces

ends = some.sampled_from([b"\n", b"\r\n", b"\r"])
events = some.lists(
    some.lists(some.binary(max_size=5).map(lambda raw: raw.hex().encode()), min_size=1, max_size=3), max_size=5
)


def data_of(stream: list[bytes]) -> list[bytes]:
    lines = EventLines()
    return [event for piece in stream for event in lines.feed(piece)] + lines.end()


@given(
    told=events,
    end=ends,
    cuts=some.lists(some.integers(0, 999), max_size=20),
    ending=some.sampled_from(["closed", "open"]),
)
def test_events_of_several_lines_are_found_whatever_ends_their_lines(
    told: list[list[bytes]], end: bytes, cuts: list[int], ending: str
) -> None:
    stream = b"".join([b"".join([b"data: " + line + end for line in event]) + end for event in told])
    if ending == "open":
        stream = stream.removesuffix(end)

    assert data_of(pieces(stream, cuts)) == [b"\n".join(event) for event in told]


@given(
    raw=some.lists(some.sampled_from([b"data: x", b"\n", b"\r", b"\r\n", b": c", b"y"]), max_size=30),
    cuts=some.lists(some.integers(0, 999), max_size=20),
)
def test_frames_lose_and_change_no_byte(raw: list[bytes], cuts: list[int]) -> None:
    stream, frames = b"".join(raw), Frames()

    found = [frame for piece in pieces(stream, cuts) for frame in frames.feed(piece)]
    rest = frames.end()

    assert b"".join(found) + rest == stream
    assert frames.empty
    assert data_of([*found, rest]) == data_of([stream])


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("size", range(1, 12))
def test_a_frame_has_all_of_its_blank_line_wherever_the_stream_is_cut(end: bytes, size: int) -> None:
    told, frames = [b"data: one" + end, b"data: two" + end], Frames()
    stream = b"".join(told)

    found = [frame for at in range(0, len(stream), size) for frame in frames.feed(stream[at : at + size])]

    assert found == told


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        (b"data:x\n\n", [b"x"]),
        (b"data:  x\n\n", [b" x"]),
        (b"data\n\nid: 7\nevent: x\nretry: 1\n\n", []),
        (b"data: a\r\ndata: b\n\r\n", [b"a\nb"]),
        (b"data: a\n\n\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\n\nnonsense\n\ndata: b", [b"a", b"b"]),
        (b"data: \xff\n\n", [b"\xff"]),
    ],
)
def test_lines_that_are_no_data_are_passed_over(stream: bytes, told: list[bytes]) -> None:
    assert data_of([stream]) == told


def test_a_long_event_in_small_pieces_takes_no_longer_than_its_length() -> None:
    stream = [b"data: ", *([b"x" * 100] * 40_000), b"\n\n"]

    began = time.process_time()
    assert len(data_of(stream)[0]) == 4_000_000
    frames = Frames()
    assert sum(len(frame) for piece in stream for frame in frames.feed(piece)) == 4_000_008

    assert time.process_time() - began < 30  # typically a tenth of a second; quadratic work would take minutes
