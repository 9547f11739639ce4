"""One connection to a provider: a request out, an answer in, and back to the pool if both sides agree."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import cast

import httptools
import msgspec

from dirigent.core.errors import BadAnswer, Failed, Unavailable
from dirigent.core.ports import HttpTaker, Timeouts
from dirigent.net.answer import Answer
from dirigent.net.flow import Flow
from dirigent.net.sweep import Sweep

__all__ = ["Connection", "Known"]

_HEAD = 64 * 1024
_FIELDS = 200
_JOINED = 64 * 1024  # above this size, copying a body behind its head costs more than a second buffer in the same write
_BODILESS = frozenset({204, 304})
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ?([0-9]{1,12})\r\n")
_SIZES = {form % size: size for size in range(1, 2048) for form in (b"%x", b"%X")}
"""How the sizes of most chunks are spelled; whatever is spelled otherwise is the parser's business."""
_CR, _LF = b"\r\n"
_VARIED = 8
"""Heads in a row without the form of the one before, after which looking for it is given up."""


class _Form(msgspec.Struct, frozen=True):
    """The head of an answer that llhttp has read, cut where the length of its body stands.

    A provider's heads are often the same but for that: what is the same byte for byte means the same, so it is compared
    instead of being read again.
    """

    before: bytes
    after: bytes
    fields: list[tuple[bytes, bytes]]


class Known:
    """The form of the last head that was read, shared by all connections to one origin."""

    __slots__ = ("form",)

    def __init__(self) -> None:
        self.form: _Form | None = None


class Connection(asyncio.Protocol):
    """The client's end of one connection: `spare` gets it when it may carry another exchange, `lost` when it ends."""

    __slots__ = (
        "_answer",
        "_barren",
        "_between",
        "_complete",
        "_fields",
        "_finished",
        "_form",
        "_interim",
        "_keep",
        "_known",
        "_left",
        "_lost",
        "_opening",
        "_parser",
        "_paused",
        "_peer",
        "_spare",
        "_sweep",
        "_to_the_end",
        "_transport",
        "_varied",
        "closed",
        "since",
    )

    _transport: asyncio.Transport

    def __init__(
        self,
        peer: str,
        sweep: Sweep,
        spare: Callable[[Connection], None],
        lost: Callable[[Connection], None],
        known: Known | None = None,
    ) -> None:
        self._peer = peer
        self._sweep = sweep
        self._spare = spare
        self._lost = lost
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Answer | Flow | None = None
        self._fields: list[tuple[bytes, bytes]] = []
        self._finished = self._to_the_end = self._interim = self._keep = self._paused = False
        self._complete = False
        """Whether the last thing that the parser saw was the end of a chunk."""
        self._between = False
        """Whether it stands behind a chunk and before the next."""
        self._left = self._varied = 0
        self._barren = 0
        """Bytes since the last one of a body."""
        self._opening = b""
        self._known = known or Known()
        self._form = self._known.form
        self.closed = False
        self.since = 0.0
        """When it went to the pool, in the sweep's time."""

    def ask(self, head: bytes, body: bytes, timeouts: Timeouts, ends: float, *, bodiless: bool) -> Answer:
        """Sends a request and returns the answer that has yet to begin; `ends` is when all of it must be there."""
        answer = Answer(self, self._peer, self._sweep, timeouts, ends, bodiless=bodiless)
        self._send(head, body, answer)
        return answer

    def push(self, head: bytes, body: bytes, timeouts: Timeouts, ends: float, taker: HttpTaker) -> Flow:
        """Sends a request whose answer is told to `taker`."""
        flow = Flow(self, self._peer, self._sweep, timeouts, ends, taker)
        self._send(head, body, flow)
        return flow

    def _send(self, head: bytes, body: bytes, answer: Answer | Flow) -> None:
        self._finished = self._to_the_end = self._between = self._complete = False
        self._barren = self._left = 0
        self._answer = answer
        self._fields = answer.fields
        if len(body) < _JOINED:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    # --- called by the answer and the pool ----------------------------------------------------------------------------

    def drop(self) -> None:
        """Cuts the connection at once."""
        self._answer = None
        self.closed = True
        self._transport.abort()

    def pause(self) -> None:
        """Reads no more for now."""
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Reads on."""
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    # --- called by the transport --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:  # words that nobody asked for: whatever follows could be taken for the next answer
            self.drop()
            return
        if self._between:
            data = self._read_chunks(data, answer)
            if not data or self._answer is not answer:
                return
        elif self._left:
            self._read_rest(data, answer)
            return
        if not self._barren and not answer.status and not self._interim:
            if self._form is not None and not answer.bodiless and self._read_known(data, self._form, answer):
                return
            self._opening = data
        self._barren += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._finished:
                self._fail(answer, self._fault(error))
                return
            self._keep = False  # more than was asked for
        except httptools.HttpParserUpgrade:
            self._fail(answer, BadAnswer(f"{self._peer} changed to a protocol that nobody asked for"))
            return
        if self._finished:
            self._note(answer)
            self._release()
        elif self._complete and data.endswith(b"\r\n"):
            self._between = True
        elif self._barren > _HEAD:  # a head, chunk sizes, trailers: whatever it is, it does not end
            self._fail(answer, self._oversized())

    def _read_chunks(self, data: bytes, answer: Answer | Flow) -> bytes:
        """Takes whole chunks without the parser, which stands between two of them; returns what it is to read on."""
        begin, total = 0, len(data)
        while True:
            at = data.find(b"\r", begin, begin + 4)
            size = _SIZES.get(data[begin:at]) if at >= 0 else None
            if size is None:
                break
            end = at + 2 + size
            if end + 2 > total or data[at + 1] != _LF or data[end] != _CR or data[end + 1] != _LF:
                break
            answer.receive(data[at + 2 : end])
            begin = end + 2
            if begin == total or self._answer is not answer:
                return b""
        self._between = self._complete = False
        return data[begin:] if begin else data

    def _read_known(self, data: bytes, form: _Form, answer: Answer | Flow) -> bool:
        """Takes an answer whose head has the form, and tells whether it has it."""
        before, after = form.before, form.after
        begin = len(before)
        end = data.find(b"\r", begin, begin + 13)
        if end < 0 or not data.startswith(before) or not data.startswith(after, end):
            return False
        digits = data[begin:end]
        if not digits.isdigit():
            return False
        body, length = data[end + len(after) :], int(digits)
        if len(body) > length:  # more than was asked for: llhttp shall say what it is
            return False
        self._varied = 0
        answer.touched = True
        answer.fields = form.fields
        answer.begin(200)
        if body and self._answer is answer:
            answer.receive(body)
        if self._answer is answer:
            self._left = length - len(body)
            if not self._left:
                self._keep = True
                self._finish(answer)
                self._release()
        return True

    def _read_rest(self, data: bytes, answer: Answer | Flow) -> None:
        """Takes the rest of a body of known length."""
        left = self._left
        self._left = max(0, left - len(data))
        answer.receive(data if len(data) <= left else data[:left])
        if not self._left and self._answer is answer:
            self._keep = len(data) == left  # else more than was asked for
            self._finish(answer)
            self._release()

    def _note(self, answer: Answer | Flow) -> None:
        """Keeps the form of the answer's head, if it was read whole and the next one may well have it too."""
        data, self._opening = self._opening, b""
        if not (self._keep and answer.status == 200 and self._varied < _VARIED) or answer.bodiless:
            return
        self._varied += 1
        end = data.find(b"\r\n\r\n") + 4
        found = _LENGTH.search(data, 0, end)
        if end >= 4 and found and data.startswith(b"HTTP/1.1 200") and b"ransfer-" not in data[:end]:
            fields = [field for field in answer.fields if field[0].lower() != b"content-length"]  # the next has another
            before, after, known = data[: found.start(1)], data[found.end(1) : end], self._known.form
            if known is None or known.before != before or known.after != after:
                known = self._known.form = _Form(before, after, fields)
            self._form = known  # the same for all connections, so that whoever has read its fields knows them again

    def eof_received(self) -> None:
        self.closed = True  # the transport closes itself now, and the pool must not give this connection out meanwhile

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        answer, self._answer = self._answer, None
        if answer is None:
            self._lost(self)
        elif self._to_the_end and exc is None:
            answer.finish()
        elif answer.status:
            answer.fail(Unavailable(f"{self._peer} broke off in the middle of its answer"))
        else:
            answer.fail(Unavailable(f"{self._peer} closed the connection without an answer"))

    # --- called by the parser -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._answer is not None:
            self._answer.touched = True
        if self._finished:
            self._keep = False  # more than was asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        answer = self._answer
        if answer is None or self._finished:
            return
        fields = self._fields
        may_be_large = self._barren > _HEAD  # else they need not be added up
        if len(fields) > _FIELDS or (
            may_be_large and sum(len(name) + len(value) + 4 for name, value in fields) > _HEAD
        ):
            raise self._oversized()
        status = self._parser.get_status_code()
        self._interim = 100 <= status < 200
        if self._interim:
            if any(name.lower() in _FRAMING for name, _ in fields):  # the parser would take what follows for its body
                raise BadAnswer(f"{self._peer} sent an interim answer with a body, which HTTP does not have")
            fields.clear()
            return
        if not 200 <= status <= 999:
            raise BadAnswer(f"{self._peer} answered with the status {status:03d}, which HTTP does not have")
        self._read_framing(fields, bodiless=answer.bodiless or status in _BODILESS)
        self._fields = []  # what comes now is a trailer, which nobody reads
        answer.begin(status)
        if answer.bodiless:
            self._finish(answer)
            self._keep = False  # the parser would wait for the body that stays out

    def on_body(self, piece: bytes) -> None:
        self._barren = 0
        if self._answer is not None and not self._finished:
            self._answer.receive(piece)

    def on_chunk_header(self) -> None:
        self._complete = False

    def on_chunk_complete(self) -> None:
        self._complete = True

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif self._answer is not None and not self._finished:
            self._keep = self._parser.should_keep_alive()
            self._finish(self._answer)

    # ------------------------------------------------------------------------------------------------------------------

    def _read_framing(self, fields: list[tuple[bytes, bytes]], *, bodiless: bool) -> None:
        """Refuses a framing that the parser lets pass; the parser itself refuses two lengths."""
        framed, coded = bodiless, False
        for name, value in fields:
            size = len(name)
            if size == 14 and name.lower() == b"content-length":
                framed = True
            elif size == 17 and name.lower() == b"transfer-encoding":
                if coded or value.strip().lower() != b"chunked" or self._parser.get_http_version() != "1.1":
                    raise BadAnswer(f"{self._peer} sent its answer in a transfer-encoding that is not read here")
                framed = coded = True
        self._to_the_end = not framed

    def _finish(self, answer: Answer | Flow) -> None:
        self._finished = True
        if type(answer) is Answer:
            answer.finish()

    def _release(self) -> None:
        answer, self._answer = self._answer, None
        self._spare_or_drop()
        if type(answer) is Flow:  # told last, so that who hears it finds the connection free already
            answer.finish()

    def _spare_or_drop(self) -> None:
        if self.closed:
            return
        if not self._keep or self._transport.get_write_buffer_size():  # it answered before it had read the request
            self.drop()
            return
        if self._paused:
            self.resume()
        self.since = self._sweep.ahead
        self._spare(self)

    def _fail(self, answer: Answer | Flow, failure: Failed) -> None:
        self.drop()
        answer.fail(failure)

    def _fault(self, error: httptools.HttpParserError) -> Failed:
        cause = error.__context__
        return cause if isinstance(cause, Failed) else BadAnswer(f"{self._peer} does not speak HTTP/1.1: {error}")

    def _oversized(self) -> BadAnswer:
        return BadAnswer(f"{self._peer} sent more than {_FIELDS} header fields or {_HEAD} bytes around its answer")
