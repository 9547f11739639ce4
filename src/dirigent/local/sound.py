"""Sound files written and read, by FFmpeg's libraries. Lives in the processes of the voice and of the ears alone."""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
import av.filter
import numpy as np
from numpy.typing import NDArray

from dirigent.core.errors import Invalid
from dirigent.core.messages import Sound
from dirigent.local.speech_message import CONTENT_TYPES, Format

__all__ = ["HEARD", "SPOKEN", "Samples", "pieces", "written"]

SPOKEN, HEARD = 24_000, 16_000
"""Samples a second: as the voice speaks, and as the ears hear."""
Samples = NDArray[np.float32]

_CODECS: dict[Format, tuple[str, str, int, int]] = {
    # container, codec, samples a second, bits a second
    "mp3": ("mp3", "libmp3lame", SPOKEN, 64_000),
    "opus": ("ogg", "libopus", 48_000, 32_000),
    "aac": ("adts", "aac", SPOKEN, 64_000),
    "flac": ("flac", "flac", SPOKEN, 0),
    "wav": ("wav", "pcm_s16le", SPOKEN, 0),
}
_PIECE, _SEARCHED, _PAUSE = 300 * HEARD, 60 * HEARD, HEARD // 5
"""Samples that are heard in one go, how far back from there a pause is looked for, and what counts as one moment."""


def written(samples: Samples, format: Format, tempo: float = 1.0) -> Sound:
    """The samples as a file, `tempo` times as fast at the same pitch."""
    if tempo != 1.0:
        samples = _hurried(samples, tempo)
    whole = (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2")
    seconds = round(len(whole) / SPOKEN, 3)
    data = whole.tobytes() if format == "pcm" else _encoded(whole, format)
    return Sound(data, CONTENT_TYPES[format], seconds)


def pieces(audio: bytes, longest: float) -> Iterator[Samples]:
    """What a file sounds like, at most five minutes at a time, cut where it is quietest.

    Memory is that of one piece, however long the file. Raises Invalid where it is no sound, or longer than `longest`
    seconds.
    """
    waiting: list[Samples] = []
    count = total = 0
    for block in _decoded(audio):
        waiting.append(block)
        count += len(block)
        total += len(block)
        if total > longest * HEARD:
            raise Invalid(f"the sound is longer than {longest / 60:g} minutes: send it in parts", param="file")
        if count >= _PIECE:
            whole = np.concatenate(waiting)
            cut = _pause(whole)
            yield whole[:cut]
            waiting, count = [whole[cut:]], count - cut
    if total == 0:
        raise Invalid("the file holds no sound that can be read", param="file")
    if count:
        yield np.concatenate(waiting)


def _pause(samples: Samples) -> int:
    """The middle of the quietest moment near the end."""
    start = len(samples) - _SEARCHED
    moments = samples[start:].reshape(-1, _PAUSE)
    return start + int((moments * moments).mean(axis=1).argmin()) * _PAUSE + _PAUSE // 2


def _decoded(audio: bytes) -> Iterator[Samples]:
    # the container is named: left to guess, FFmpeg also takes playlists, which name other files and addresses to open
    try:
        with av.open(io.BytesIO(audio), format=_container(audio)) as file:
            if not file.streams.audio:
                raise Invalid("the file holds no sound: it has no audio track", param="file")
            resampler = av.AudioResampler("flt", "mono", HEARD)
            for packet in file.demux(file.streams.audio[0]):
                try:
                    frames = packet.decode()
                except av.InvalidDataError:
                    continue  # one damaged stretch; a file of nothing else gives no sound at all
                for frame in frames:
                    for heard in resampler.resample(frame):
                        yield heard.to_ndarray().ravel()
            for heard in resampler.resample(None):
                yield heard.to_ndarray().ravel()
    except (av.FFmpegError, ValueError) as fault:
        raise Invalid(f"the sound cannot be decoded: {getattr(fault, 'strerror', fault)}", param="file") from None


def _container(audio: bytes) -> str:
    head = audio[:16]
    if head[:4] in {b"RIFF", b"RF64"} and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] == b"OggS":
        return "ogg"
    if head[4:8] == b"ftyp":
        return "mov"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    if head[:3] == b"ID3":
        return "mp3"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3" if head[1] & 0x06 else "aac"
    raise Invalid(
        "the file is no sound that we know: send flac, mp3, mp4, m4a, aac, ogg, opus, wav or webm", param="file"
    )


def _encoded(samples: NDArray[np.int16], format: Format) -> bytes:
    container, codec, rate, bits = _CODECS[format]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        if bits:
            stream.bit_rate = bits
        resampler = av.AudioResampler(stream.format.name, "mono", rate, frame_size=stream.frame_size or 4096)
        for frame in [*resampler.resample(_frame(samples[None, :], "s16")), *resampler.resample(None)]:
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def _hurried(samples: Samples, tempo: float) -> Samples:
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=SPOKEN, format="flt", layout="mono")
    change, sink = graph.add("atempo", str(tempo)), graph.add("abuffersink")
    source.link_to(change)
    change.link_to(sink)
    graph.configure()
    graph.push(_frame(samples[None, :], "flt"))
    graph.push(None)
    heard: list[Samples] = []
    while True:
        try:
            heard.append(graph.pull().to_ndarray().ravel())
        except (av.BlockingIOError, av.EOFError):
            return np.concatenate(heard) if heard else samples[:0]


def _frame(samples: NDArray[np.float32] | NDArray[np.int16], format: str) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(samples, format=format, layout="mono")
    frame.sample_rate = SPOKEN
    return frame
