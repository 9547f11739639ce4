"""Sound files: a long one is heard in pieces that lose nothing, and what is written can be read again."""

from __future__ import annotations

import io
import wave
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dirigent.core.errors import Invalid, Unavailable
from dirigent.local.carried import Carried, missing

np = pytest.importorskip("numpy", reason="numpy, of the extra `speech`, is not installed")
pytest.importorskip("av", reason="av, of the extra `speech`, is not installed")
sound = pytest.importorskip("dirigent.local.sound")


def recording(samples: object, rate: int) -> bytes:
    """A WAV file of one channel."""
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setparams((1, 2, rate, 0, "NONE", ""))
        output.writeframes((np.asarray(samples) * 32_000).astype("<i2").tobytes())
    return file.getvalue()


def test_a_long_sound_is_cut_where_it_is_quiet_and_loses_nothing() -> None:
    loud = np.random.default_rng(1).uniform(-0.5, 0.5, 16_000 * 420).astype(np.float32)
    loud[16_000 * 271 : 16_000 * 272] *= 0.001

    pieces = list(sound.pieces(recording(loud, 16_000), 3600))

    assert [round(len(piece) / 16_000) for piece in pieces] in ([271, 149], [272, 148])
    assert np.allclose(np.concatenate(pieces), loud, atol=0.05)


def test_a_sound_that_is_too_long_is_refused_while_it_is_read() -> None:
    seconds = np.zeros(16_000 * 20, np.float32)

    with pytest.raises(Invalid, match="longer than"):
        list(sound.pieces(recording(seconds, 16_000), 19))
    assert sum(map(len, sound.pieces(recording(seconds, 16_000), 20))) == 16_000 * 20


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac", "wav"])
def test_what_is_written_sounds_the_same_when_it_is_read(format: str) -> None:
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 24_000)).astype(np.float32)

    written = sound.written(tone, format)
    (heard,) = sound.pieces(written.data, 60)

    assert written.seconds == 2.0
    assert len(heard) == pytest.approx(32_000, abs=2_500)
    middle = heard[4_000:28_000]
    assert np.abs(np.fft.rfft(middle)).argmax() == pytest.approx(440 * len(middle) / 16_000, abs=1)


@pytest.mark.parametrize("tempo", [0.5, 1.5, 2.0])
def test_a_hurried_voice_keeps_its_pitch(tempo: float) -> None:
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 24_000)).astype(np.float32)

    hurried = np.frombuffer(sound.written(tone, "pcm", tempo).data, "<i2")

    assert len(hurried) == pytest.approx(48_000 / tempo, rel=0.05)
    middle = hurried[len(hurried) // 4 : -len(hurried) // 4]
    assert np.abs(np.fft.rfft(middle)).argmax() == pytest.approx(440 * len(middle) / 24_000, abs=3)


@given(
    st.sampled_from([b"RIFF\x24\0\0\0WAVEfmt ", b"\xff\xfb\x90", b"\xff\xf1\x50", b"ID3\4\0\0", b"OggS\0\2", b"fLaC\0",
                     b"\x1aE\xdf\xa3\x9f", b"\0\0\0\x18ftypM4A "]),
    st.binary(max_size=600),
)  # fmt: skip
def test_whatever_a_stranger_sends_is_sound_or_refused(head: bytes, rest: bytes) -> None:
    with suppress(Invalid):
        assert sum(map(len, sound.pieces(head + rest, 60))) > 0


def test_weights_that_are_not_the_pinned_ones_are_refused() -> None:
    wrong = Carried("the licence text", "0" * 64, (("hypothesis", "__init__.py"),))
    absent = Carried("nothing", "0" * 64, (("no_such_package", "model.bin"),))

    with pytest.raises(Unavailable, match=r"the licence text is not the one that is pinned.*reinstall hypothesis"):
        wrong.read()
    with pytest.raises(Unavailable, match="no-such-package is not installed"):
        absent.read()
    assert missing(["hypothesis", "no_such_package"]) == ["no-such-package"]
