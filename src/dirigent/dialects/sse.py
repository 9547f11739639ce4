"""Server-sent events as providers really send them: any partition, CRLF, comments, several data lines, no last blank line."""

from __future__ import annotations

from dirigent.core.errors import BadAnswer

__all__ = ["EventLines", "whole_frames"]

_MOST = 16 * 1024 * 1024


class EventLines:
    """Collects the `data` of events out of a stream of bytes."""

    def __init__(self) -> None:
        self._tail = b""
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        """The data of every event that `data` completes. Raises BadAnswer where one line exceeds 16 MiB."""
        pending = self._tail + data if self._tail else data
        if b"\r" in pending:  # CRLF, and a lone CR, end lines too; a CR at the very end may be half of a CRLF
            held = pending.endswith(b"\r")
            pending = (pending[:-1] if held else pending).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            lines = pending.split(b"\n")
            self._tail = lines.pop() + (b"\r" if held else b"")
        else:
            lines = pending.split(b"\n")
            self._tail = lines.pop()
        if len(self._tail) > _MOST:
            raise BadAnswer("the provider's event stream has a line without end")
        return [event for line in lines if (event := self._line(line)) is not None]

    def end(self) -> list[bytes]:
        """The data of a last event that no blank line closed."""
        lines = [self._tail.rstrip(b"\r"), b""]
        self._tail = b""
        return [event for line in lines if (event := self._line(line)) is not None]

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


def whole_frames(pending: bytes) -> int:
    """How many bytes of `pending` are whole events: the end of its last blank line."""
    return max(_after(pending, b"\n\n"), _after(pending, b"\r\n\r\n"), _after(pending, b"\r\r"))


def _after(pending: bytes, blank: bytes) -> int:
    at = pending.rfind(blank)
    return at + len(blank) if at >= 0 else 0
