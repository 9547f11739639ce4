"""What the gateway asks of the voice and of the ears."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["CONTENT_TYPES", "LANGUAGES", "Format", "Listen", "Say"]

Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

CONTENT_TYPES: dict[Format, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}

LANGUAGES = ("de", "en", "es", "fr", "it")
"""Languages that the voice speaks."""


class Say(msgspec.Struct, frozen=True, array_like=True):
    """A text to be spoken."""

    text: str
    language: str
    """One of `LANGUAGES`."""
    deep: bool
    """Whether in the deep voice instead of the bright one."""
    format: Format
    speed: float


class Listen(msgspec.Struct, frozen=True, array_like=True):
    """A sound file to be written down."""

    audio: bytes
    language: str | None
    prompt: str | None
    translate: bool
    words: bool
    temperature: float
