"""Speaking and listening: real round trips where the optional packages are installed, and refusals everywhere."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import wave
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from dirigent.core.errors import DirigentError, Invalid, TooLarge, Unavailable, Unsupported
from dirigent.core.messages import Sound, Transcript
from dirigent.local.carried import missing
from dirigent.local.speech import EARS_NEED, VOICE_NEEDS, VOICES, VoiceAndEars
from dirigent.models.language import language_of

LACKING = missing((*VOICE_NEEDS, *EARS_NEED))
BROKEN = [
    b"no sound at all, but a text",
    b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n",
    b"RIFF\x24\x00\x00\x00WAVEfmt junk",
    b"\xff\xfb" + b"junk" * 300,
    b"ID3\x04\x00\x00\x00\x00\x00\x00" + b"junk" * 300,
    b"OggS" + bytes(200),
    b"fLaC" + bytes(200),
    b"\x1aE\xdf\xa3" + bytes(200),
    b"\x00\x00\x00\x18ftypisom" + bytes(200),
]

pytestmark = pytest.mark.asyncio(loop_scope="module")
installed = pytest.mark.skipif(
    bool(LACKING), reason=f"the extra `speech` is not installed: {', '.join(LACKING)} missing"
)

ENGLISH = "The report is ready, and the numbers are better than last year."
GERMAN = "Das Wetter wird morgen sonnig und warm, am Abend kann es regnen."
MAGIC = {
    "mp3": (b"ID3", b"\xff\xfb", b"\xff\xf3"),
    "opus": (b"OggS",),
    "aac": (b"\xff\xf1",),
    "flac": (b"fLaC",),
    "wav": (b"RIFF",),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def speech() -> AsyncGenerator[VoiceAndEars, None]:
    """Voice and ears that the tests of this file share, for a start costs seconds."""
    async with opened() as both:
        yield both


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def spoken(speech: VoiceAndEars) -> dict[str, Sound]:
    """The English sentence in each format."""
    return {name: await speech.speak(ENGLISH, voice="alloy", format=name, speed=1.0) for name in [*MAGIC, "pcm"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def german(speech: VoiceAndEars) -> dict[str, Sound]:
    """The German sentence in the bright voice and in the deep one."""
    return {voice: await speech.speak(GERMAN, voice=voice, format="opus", speed=1.0) for voice in ("nova", "onyx")}


@asynccontextmanager
async def opened(**settings: Any) -> AsyncGenerator[VoiceAndEars, None]:
    """Voice and ears, closed afterwards."""
    speech = VoiceAndEars(language_of, **settings)
    try:
        yield speech
    finally:
        await speech.close()


async def heard(speech: VoiceAndEars, audio: bytes, **wishes: Any) -> Transcript:
    """What is heard, where nothing but `wishes` was asked for."""
    usual = {"language": None, "prompt": None, "translate": False, "words": False, "temperature": 0.0}
    return await speech.transcribe(audio, **usual | wishes)


def likeness(one: str, other: str) -> float:
    """How much of the words of two texts is the same, in the same order."""
    said, meant = (re.findall(r"\w+", text.lower()) for text in (one, other))
    return SequenceMatcher(a=said, b=meant, autojunk=False).ratio()


@installed
async def test_what_is_spoken_in_english_is_understood_again_word_for_word(
    speech: VoiceAndEars, spoken: dict[str, Sound]
) -> None:
    transcript = await heard(speech, spoken["mp3"].data, words=True)

    assert likeness(transcript.text, ENGLISH) == 1.0
    assert transcript.language == "en"
    assert transcript.seconds == pytest.approx(spoken["mp3"].seconds, abs=0.1)
    assert [word.word.strip(",.").lower() for word in transcript.words] == re.findall(r"\w+", ENGLISH.lower())
    assert all(one.start <= one.end <= other.end for one, other in pairwise(transcript.words))
    assert transcript.segments[-1].end <= transcript.seconds + 0.5


@installed
@pytest.mark.parametrize("voice", ["nova", "onyx"])
async def test_what_is_spoken_in_german_is_understood_again(
    speech: VoiceAndEars, german: dict[str, Sound], voice: str
) -> None:
    transcript = await heard(speech, german[voice].data)

    assert transcript.language == "de", "nobody said so: both voice and ears found out"
    assert likeness(transcript.text, GERMAN) >= 0.75
    assert transcript.words == ()


@installed
async def test_each_format_begins_as_it_should_and_lasts_as_long_as_the_others(spoken: dict[str, Sound]) -> None:
    assert {name: spoken[name].data.startswith(magic) for name, magic in MAGIC.items()} == dict.fromkeys(MAGIC, True)
    assert len(spoken["pcm"].data) == pytest.approx(spoken["pcm"].seconds * 48_000, abs=100)
    assert {sound.seconds for sound in spoken.values()} == {spoken["pcm"].seconds}
    with wave.open(io.BytesIO(spoken["wav"].data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        assert file.readframes(file.getnframes()) == spoken["pcm"].data


@installed
async def test_a_speed_beyond_what_the_voice_can_do_is_kept_all_the_same(
    speech: VoiceAndEars, spoken: dict[str, Sound]
) -> None:
    slow, fast = [await speech.speak(ENGLISH, voice="alloy", format="pcm", speed=speed) for speed in (0.25, 4.0)]

    assert slow.seconds / spoken["pcm"].seconds == pytest.approx(4, rel=0.2)
    assert spoken["pcm"].seconds / fast.seconds == pytest.approx(4, rel=0.2)


@installed
async def test_german_speech_can_be_written_down_in_english(speech: VoiceAndEars, german: dict[str, Sound]) -> None:
    transcript = await heard(speech, german["onyx"].data, translate=True, language="de")

    assert transcript.language == "en"
    assert likeness(transcript.text, "The weather will be sunny and warm tomorrow, it may rain in the evening.") > 0.3


@installed
async def test_silence_has_no_words(speech: VoiceAndEars) -> None:
    silence = io.BytesIO()
    with wave.open(silence, "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        file.writeframes(bytes(8_000 * 2 * 3))

    transcript = await heard(speech, silence.getvalue())

    assert (transcript.text, transcript.segments, transcript.seconds) == ("", (), 3.0)


@installed
async def test_the_times_of_a_long_sound_count_from_its_beginning(
    speech: VoiceAndEars, spoken: dict[str, Sound]
) -> None:
    sentence = spoken["pcm"].data
    long = io.BytesIO()
    with wave.open(long, "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(sentence + bytes(48_000 * 310) + sentence)

    transcript = await heard(speech, long.getvalue())

    assert likeness(transcript.text, f"{ENGLISH} {ENGLISH}") == 1.0
    assert transcript.segments[0].start < 2
    assert transcript.segments[-1].start == pytest.approx(310 + spoken["pcm"].seconds, abs=2)


@installed
async def test_what_is_no_sound_is_refused_and_costs_no_process(speech: VoiceAndEars, spoken: dict[str, Sound]) -> None:
    await heard(speech, spoken["wav"].data)
    before = speech.ears.pid

    refusals = await asyncio.gather(*(heard(speech, broken) for broken in BROKEN[:5]), return_exceptions=True)
    refusals += await asyncio.gather(*(heard(speech, broken) for broken in BROKEN[5:]), return_exceptions=True)

    assert {type(refusal) for refusal in refusals} == {Invalid}
    assert {refusal.param for refusal in refusals if isinstance(refusal, Invalid)} == {"file"}
    assert speech.ears.pid == before


@installed
async def test_a_sound_longer_than_agreed_is_refused(spoken: dict[str, Sound]) -> None:
    async with opened(longest=3.0) as short:
        with pytest.raises(Invalid, match="longer than") as refusal:
            await heard(short, spoken["opus"].data)

    assert refusal.value.param == "file"


@installed
async def test_a_language_that_nobody_recognises_is_refused(speech: VoiceAndEars, spoken: dict[str, Sound]) -> None:
    with pytest.raises(Invalid, match="'tlh'") as refusal:
        await heard(speech, spoken["mp3"].data, language="tlh")

    assert refusal.value.param == "language"


@installed
async def test_a_killed_voice_is_started_anew(speech: VoiceAndEars) -> None:
    await speech.speak("One.", voice="alloy", format="pcm", speed=1.0)
    first = speech.voice.pid
    assert first is not None

    os.kill(first, signal.SIGKILL)
    results = await asyncio.gather(
        *(speech.speak("Two.", voice="alloy", format="pcm", speed=1.0) for _ in range(2)), return_exceptions=True
    )

    assert isinstance(results[1], Sound), "at most the one that met the end of the process fails"
    assert isinstance(results[0], Sound | Unavailable)
    assert speech.voice.pid not in {None, first}


@installed
async def test_who_gives_up_frees_the_voice_at_once(speech: VoiceAndEars) -> None:
    await speech.speak("One.", voice="alloy", format="pcm", speed=1.0)
    long = asyncio.create_task(speech.speak(GERMAN * 60, voice="onyx", format="pcm", speed=1.0))
    await asyncio.sleep(0.3)

    long.cancel()
    short = await asyncio.wait_for(speech.speak("Two.", voice="alloy", format="pcm", speed=1.0), 30)

    assert short.seconds > 0


@pytest.mark.parametrize(
    ("wish", "param", "error"),
    [
        ({"text": ""}, "input", Invalid),
        ({"text": " … \n"}, "input", Invalid),
        ({"text": "a" * 4097}, "input", Invalid),
        ({"text": "これは日本語の文章です。"}, "input", Unsupported),
        ({"voice": "aloy"}, "voice", Invalid),
        ({"format": "midi"}, "response_format", Invalid),
        ({"speed": 0.2}, "speed", Invalid),
        ({"speed": float("nan")}, "speed", Invalid),
    ],
)
async def test_a_wish_that_cannot_be_met_is_refused_before_anything_starts(
    wish: dict[str, Any], param: str, error: type[DirigentError]
) -> None:
    usual: dict[str, Any] = {"text": ENGLISH, "voice": "alloy", "format": "mp3", "speed": 1.0}

    async with opened(voice=["false"], ears=["false"]) as idle:
        with pytest.raises(error) as refusal:
            await idle.speak(**usual | wish)

        assert refusal.value.param == param
        assert idle.voice.pid is None


@pytest.mark.parametrize(
    ("audio", "wish", "param", "error"),
    [
        (b"", {}, "file", Invalid),
        (bytes(25 * 1024 * 1024 + 1), {}, "file", TooLarge),
        (b"RIFF", {"temperature": 1.5}, "temperature", Invalid),
    ],
    ids=["empty", "large", "temperature"],
)
async def test_a_sound_that_cannot_be_heard_is_refused_before_anything_starts(
    audio: bytes, wish: dict[str, Any], param: str, error: type[DirigentError]
) -> None:
    async with opened(voice=["false"], ears=["false"]) as idle:
        with pytest.raises(error) as refusal:
            await heard(idle, audio, **wish)

        assert refusal.value.param == param
        assert idle.ears.pid is None


async def test_without_the_packages_the_refusal_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dirigent.local.speech.missing", lambda _: ["hibari-tts"])

    async with opened() as idle:
        with pytest.raises(Unavailable, match=r"hibari-tts.*pip install 'dirigent\[speech\]'"):
            await idle.speak(ENGLISH, voice="alloy", format="mp3", speed=1.0)
        with pytest.raises(Unavailable, match=r"pip install 'dirigent\[speech\]'"):
            await heard(idle, b"RIFF")


async def test_every_voice_that_callers_of_openai_know_has_a_speaker() -> None:
    known = {"alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse"}

    assert known <= set(VOICES)
    assert set(VOICES.values()) == {False, True}


async def test_what_no_process_can_carry_is_made_speakable() -> None:
    text = "half a sign \ud800 and a \0 in between"

    async with opened(voice=["false"], ears=["false"]) as idle:
        with pytest.raises(Unavailable, match="broke off"):
            await idle.speak(text, voice="alloy", format="mp3", speed=1.0)
