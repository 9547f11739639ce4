"""Streams of OpenAI chat completions, watched while they go by verbatim."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dirigent.core.errors import BadAnswer
from dirigent.dialects.openai_chat.answers import finish_reason, reported
from dirigent.dialects.openai_chat.streams import DONE
from dirigent.dialects.openai_errors import broken_off, error_of
from dirigent.dialects.raw import NULL, UNREADABLE
from dirigent.dialects.watching import BEFORE_IT_BEGAN, Watching

__all__ = ["Witness"]

_USAGE = b'"usage"'
_NO_USAGE = b'"usage":null'
"""What OpenAI sends with every event but the last, as soon as usage is asked for."""
_ERROR = b'"error"'
_SILENT = (NULL, Raw(b'""'), Raw(b"[]"), Raw(b"{}"))
"""What a field of a delta has where it says nothing."""


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: dict[str, Raw] | None = None
    finish_reason: str | None = None
    error: Raw = NULL


class _Groq(msgspec.Struct):
    usage: Raw = NULL


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Raw = NULL
    error: Raw = NULL
    x_groq: _Groq | None = None


_chunk = msgspec.json.Decoder(_Chunk)


class Witness(Watching):
    """Watches a verbatim stream; the usage event that the caller did not ask for stays here."""

    def __init__(self, *, hide_usage: bool, choices: int) -> None:
        super().__init__()
        self._hide = hide_usage
        self._choices = choices
        self._finished: set[int] = set()

    def _tells(self, data: bytes) -> bool:
        # quotes inside of texts are escaped, so texts do not match
        return (
            DONE in data
            or (_USAGE in data and data.count(_USAGE) != data.count(_NO_USAGE))
            or _ERROR in data
            or b'finish_reason":"' in data
            or b'finish_reason": "' in data
        )

    def _whole(self) -> bool:
        return self.complete or len(self._finished) >= self._choices

    def _learnt(self, data: bytes) -> bool:
        if data.startswith(DONE):
            if self._waiting is not None:
                raise BadAnswer(BEFORE_IT_BEGAN)
            self.complete = True
            return False
        try:
            chunk = _chunk.decode(data)
        except UNREADABLE as fault:
            if self._waiting is None:  # the caller's own reader may make something of it
                return False
            raise error_of(data) or BadAnswer(f"an event of the provider's stream cannot be read: {fault}") from None
        if chunk.error != NULL:
            raise broken_off(chunk.error)
        if not chunk.choices and (error := error_of(data)) is not None:
            raise error
        for choice in chunk.choices or ():
            if choice.error != NULL:
                raise broken_off(choice.error)
            if choice.finish_reason:
                finish_reason(choice.finish_reason, called=False)  # raises where it is none
                self._finished.add(choice.index or 0)
        usage = chunk.usage if chunk.usage != NULL or chunk.x_groq is None else chunk.x_groq.usage
        self.usage = reported(usage) or self.usage
        self._hidden = self._hidden or (self._hide and chunk.usage != NULL and not chunk.choices)
        return any(map(_speaks, chunk.choices or ()))


def _speaks(choice: _Choice) -> bool:
    """Whether a caller reads something in this choice: anything but the role, or its end."""
    if choice.finish_reason:
        return True
    return any(key != "role" and raw not in _SILENT for key, raw in (choice.delta or {}).items())
