"""Server-sent events as providers send them: any partition, CRLF, comments, several data lines, no last blank line."""

from __future__ import annotations

import re

from dirigent.core.errors import BadAnswer

__all__ = ["EventLines", "Frames"]

_MOST = 16 * 1024 * 1024
_BLANK = re.compile(rb"(?>\r\n|\n|\r){2}")
"""A blank line. The group never gives a byte back: else the CRLF at the end of a line would count as two line ends."""
_HALF = b"\n\r"
"""What a blank line ends with where it is cut off: the other half of its CRLF is in the next piece."""


class EventLines:
    """Collects the `data` of events out of a stream of bytes."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of a line that is not whole yet
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The data of every event that `data` completes. Raises BadAnswer where one event exceeds 16 MiB."""
        if b"\n" not in data and b"\r" not in data:
            self._hold(data)
            return []
        pending = b"".join((*self._pieces, data)) if self._pieces else data
        if b"\r" in pending:  # CRLF, and a lone CR, end lines too; a CR at the very end may be half of a CRLF
            half = pending.endswith(b"\r")
            lines = (pending[:-1] if half else pending).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
            tail = lines.pop() + (b"\r" if half else b"")
        else:
            lines = pending.split(b"\n")
            tail = lines.pop()
        self._pieces = []
        events = [event for line in lines if (event := self._line(line)) is not None]
        self._size = sum(map(len, self._data))
        self._hold(tail)
        return events

    def end(self) -> list[bytes]:
        """The data of a last event that no blank line closed."""
        lines = [*b"".join(self._pieces).replace(b"\r", b"\n").split(b"\n"), b""]
        self._pieces = []
        return [event for line in lines if (event := self._line(line)) is not None]

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size > _MOST:
                raise BadAnswer("the provider's event stream has an event without end")

    def _line(self, line: bytes) -> bytes | None:
        if line:
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            return None
        if not self._data:
            return None
        event = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data = []
        return event


class Frames:
    """Cuts a stream of bytes into whole events, each with the blank line that closes it; no byte is changed or lost."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    @property
    def empty(self) -> bool:
        """Whether everything that came in has gone out."""
        return not self._pieces

    def feed(self, data: bytes) -> list[bytes]:
        """The events that `data` completes. Raises BadAnswer where one event exceeds 16 MiB."""
        start = max(0, self._size - 3)  # a blank line has four bytes at most, so three of them may be here already
        if self._pieces:
            if b"\n" not in data and b"\r" not in data:
                self._hold(data)
                return []
            data = b"".join((*self._pieces, data))
            self._pieces, self._size = [], 0
        if b"\r" not in data:  # nearly always; searching for three line ends at once is many times dearer
            *whole, tail = data.split(b"\n\n")
            self._hold(tail)
            return [frame + b"\n\n" for frame in whole]
        frames, begin = [], 0
        for blank in _BLANK.finditer(data, start):
            if blank.end() == len(data) and blank.group().endswith(_HALF):
                break
            frames.append(data[begin : blank.end()])
            begin = blank.end()
        self._hold(data[begin:])
        return frames

    def end(self) -> bytes:
        """What no blank line has closed."""
        rest = b"".join(self._pieces)
        self._pieces, self._size = [], 0
        return rest

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size > _MOST:
                raise BadAnswer("the provider's event stream has an event without end")
