"""How much text an answer has brought: counted where its provider reports no usage, and where it ends early."""

from __future__ import annotations

from contextlib import suppress

from dirigent.core.errors import DirigentError
from dirigent.core.events import Event, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta
from dirigent.core.tokens import estimated
from dirigent.dialects.dialect import Dialect

__all__ = ["Heard", "words_of"]

_SAMPLE = 16_384
"""Bytes or letters of an answer that are kept until its end, and counted only if its provider reports no usage."""


class Heard:
    """How much text an answer has brought, for answers whose provider never says how many tokens they have.

    Only the beginning is kept, and read if need be; all the rest is taken to be like it.
    """

    __slots__ = ("_octets", "_sample", "_sampled", "_size", "_texts")

    def __init__(self) -> None:
        self._size = 0
        self._texts: list[str] = []
        self._octets = self._sampled = 0
        self._sample: list[bytes] = []

    def said(self, text: str) -> None:
        """Takes a stretch of text."""
        if self._size < _SAMPLE:
            self._texts.append(text)
        self._size += len(text)

    def passed(self, data: bytes) -> None:
        """Takes a piece of an answer that nobody reads."""
        if self._sampled < _SAMPLE:
            self._sample.append(data)
            self._sampled += len(data)
        self._octets += len(data)

    def tokens(self, dialect: Dialect) -> int:
        """Output tokens, about."""
        text = "".join(self._texts)
        tokens = estimated(text) * self._size // len(text) if text else 0
        if self._sampled:
            tokens += estimated(_text_in(b"".join(self._sample), dialect)) * self._octets // self._sampled
        return tokens

    def most(self, dialect: Dialect) -> int:
        """The most output tokens that it can have been: none is shorter than a byte."""
        most = 4 * self._size
        if self._sampled:
            text = _text_in(b"".join(self._sample), dialect)
            most += len(text.encode("utf-8", "replace")) * self._octets // self._sampled
        return most


def _text_in(sample: bytes, dialect: Dialect) -> str:
    """The text in the beginning of an answer that went through unread, streamed or whole."""
    texts: list[str] = []
    with suppress(DirigentError):  # what cannot be read was no text for the caller either
        whole = sample.startswith(b"{")
        texts = [words_of(event) for event in (dialect.read_response if whole else dialect.reader().feed)(sample)]
    return "".join(texts)


def words_of(event: Event) -> str:
    """What a model wrote in this event, whatever for."""
    match event:
        case TextDelta(text=text) | RefusalDelta(text=text) | ReasoningDelta(text=text):
            return text
        case ToolCallDelta(name=name, arguments=arguments):
            return (name or "") + arguments
    return ""
