"""AWS event streams: messages of headers and a payload, each with two checksums; however the network cuts them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct, error
from typing import NamedTuple
from zlib import crc32

from dirigent.core.errors import BadAnswer

__all__ = ["EventMessage", "EventMessages", "framed"]

_PRELUDE = Struct(">III")
_CHECK = Struct(">I")
_SHORT = Struct(">H")
_LEAST = _PRELUDE.size + _CHECK.size
_MOST = 16 * 1024 * 1024
_STRING = 7
_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""How many bytes a header's value has, by its type; bytes (6) and strings (7) tell their length."""


class EventMessage(NamedTuple):
    """One message: its headers that are texts, its payload, and all its bytes."""

    headers: dict[str, str]
    payload: bytes
    whole: bytes


class EventMessages:
    """Cuts a stream of bytes into whole messages."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._wanted = _LEAST
        """Bytes without which nothing more can be said."""

    @property
    def empty(self) -> bool:
        """Whether everything that came in has gone out."""
        return not self._size

    def feed(self, data: bytes) -> list[EventMessage]:
        """The messages that `data` completes. Raises BadAnswer for what is no such stream, or exceeds 16 MiB."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size < self._wanted:
            return []
        pending = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        messages, at = [], 0
        self._wanted = _LEAST
        while len(pending) - at >= _LEAST:
            length, headers, check = _PRELUDE.unpack_from(pending, at)
            if crc32(pending[at : at + 8]) != check:
                raise BadAnswer("the provider's event stream is damaged, or none")
            if length > _MOST:
                raise BadAnswer("the provider's event stream has an event without end")
            if length < _LEAST + headers:
                raise BadAnswer("the provider's event stream has an event that is shorter than its headers")
            if len(pending) - at < length:
                self._wanted = length
                break
            messages.append(_message(pending[at : at + length], headers))
            at += length
        rest = pending[at:]
        self._pieces, self._size = [rest] if rest else [], len(rest)
        return messages


def framed(headers: Iterable[tuple[str, str]], payload: bytes) -> bytes:
    """One message of these headers."""
    written = b"".join([_header(name.encode(), value.encode()) for name, value in headers])
    length = _LEAST + len(written) + len(payload)
    prelude = _PRELUDE.pack(length, len(written), 0)[:8]
    message = b"".join((prelude, _CHECK.pack(crc32(prelude)), written, payload))
    return message + _CHECK.pack(crc32(message))


def _header(name: bytes, value: bytes) -> bytes:
    return b"%c%b%c%b%b" % (len(name), name, _STRING, _SHORT.pack(len(value)), value)


def _message(whole: bytes, headers: int) -> EventMessage:
    if crc32(whole[:-4]) != _CHECK.unpack_from(whole, len(whole) - 4)[0]:
        raise BadAnswer("an event of the provider's stream is damaged")
    begin = _PRELUDE.size + headers
    try:
        named = dict(_headers(whole, _PRELUDE.size, begin))
    except (error, IndexError, KeyError, UnicodeDecodeError):
        raise BadAnswer("an event of the provider's stream has headers that cannot be read") from None
    return EventMessage(named, whole[begin:-4], whole)


def _headers(data: bytes, at: int, end: int) -> Iterator[tuple[str, str]]:
    """The headers that are texts; what else there may be means nothing here."""
    while at < end:
        name_end = at + 1 + data[at]
        name, kind = data[at + 1 : name_end], data[name_end]
        at = name_end + 1
        if kind in _FIXED:
            at += _FIXED[kind]
            continue
        if kind not in (6, _STRING):
            raise KeyError(kind)
        size: int = _SHORT.unpack_from(data, at)[0]
        at += 2 + size
        if at > end:
            raise IndexError(at)
        if kind == _STRING:
            yield name.decode(), data[at - size : at].decode()
