"""Requests with an idempotency key: each is answered once, and whoever asks the same again gets the same answer.

The answer is made by a task of its own and recorded as it is written. Whoever asked first listens to the recording, and
so does everybody who asks with the same key meanwhile: a later one from the beginning, and then live. When the last
listener leaves, the task is cancelled and closes its upstream at once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from hashlib import blake2b

from dirigent.core.errors import DirigentError, Invalid, Unavailable
from dirigent.core.ports import Replay, Replays
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.multipart import Form
from dirigent.gateway.call import Call, Endpoint
from dirigent.gateway.errors import WireFault
from dirigent.gateway.wire import Exchanging

__all__ = ["KEY", "Once", "keyed", "sameness"]

KEY = b"idempotency-key"
_KEY = re.compile(rb"[ -~]{1,255}")
_KEPT = 24 * 3600.0
"""Seconds for which an answer is given again."""
_AHEAD = 1024 * 1024
"""Bytes that the answer may be ahead of its fastest listener."""
_OWN = ("x-request-id", "request-id")

Headers = Iterable[tuple[str, str]]


class Once:
    """All requests with an idempotency key that this worker answers or has answered."""

    def __init__(self, replays: Replays) -> None:
        self._replays = replays
        self._running: dict[str, _Recording] = {}

    async def answer(self, call: Call, dialect: Dialect, endpoint: Endpoint) -> None:
        """Answers the call by `endpoint`, or as its key was answered before.

        Raises Invalid where the key cannot be one, and WireFault where it stands for another request already.
        """
        key, digest = keyed(call), sameness(call.exchange)
        recording = self._running.get(key)
        if recording is None:
            replay = await self._replays.find(key)
            recording = self._running.get(key)  # it may have begun meanwhile
            if recording is None and replay is not None:
                _same(replay.digest, digest)
                recording = _Recording.of(replay)
        if recording is None:
            await self._lead(key, digest, call, dialect, endpoint)
            return
        _same(recording.digest, digest)
        await self._follow(call, recording)

    async def _lead(self, key: str, digest: bytes, call: Call, dialect: Dialect, endpoint: Endpoint) -> None:
        """Has the call answered, and listens. The run is this call's: its note is written when it is over."""
        own = call.exchange
        recording = self._running[key] = _Recording(digest, own)
        call.exchange = recording
        work = asyncio.ensure_future(self._work(key, call, dialect, endpoint, recording))
        recording.abandoned = work.cancel
        try:
            await recording.told_to(own)
        finally:
            await _ended(work)
            del self._running[key]
            recording.end()
            call.exchange = own
        work.result()

    async def _work(self, key: str, call: Call, dialect: Dialect, endpoint: Endpoint, recording: _Recording) -> None:
        try:
            await endpoint(call)
        except DirigentError as error:
            recording.broken = recording.started
            call.refuse(error, dialect)
        except Exception:
            ours = DirigentError(f"something went wrong on our side; the log has it under {call.request_id}")
            recording.broken = recording.started
            call.refuse(ours, dialect)
            raise  # whoever asked first writes it into the log
        finally:
            recording.end()
        if recording.lasting:
            await self._replays.keep(key, recording.replay(), _KEPT)

    async def _follow(self, call: Call, recording: _Recording) -> None:
        """Gives the call the answer of another one."""
        exchange = call.exchange

        def marked(headers: Headers) -> Headers:
            for name, value in headers:
                yield name, call.request_id if name in _OWN else value
            yield "idempotent-replayed", "true"

        await recording.told_to(exchange, marked)
        call.status = recording.status
        if not exchange.started:
            raise Unavailable("the first request with this idempotency key broke off without an answer")


class _Recording:
    """An answer while it is written: it takes what an exchange takes, and tells all who listen."""

    def __init__(self, digest: bytes, exchange: Exchanging | None = None) -> None:
        self.digest = digest
        self.listeners = 0
        self.abandoned: Callable[[], object] = lambda: None
        """Called when the last listener has left before the end."""
        self.started = False
        self.finished = False
        self.ended = False
        """Whether nothing more will come, finished or not."""
        self.broken = False
        """Whether an error stands in the middle of it."""
        self.status = 0
        self._headers: tuple[tuple[str, str], ...] = ()
        self._streamed = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._heard = 0
        """Bytes that the fastest listener has been told."""
        self._news = asyncio.Event()
        self._exchange = exchange
        if exchange is not None:
            self.method, self.path, self.query = exchange.method, exchange.path, exchange.query
            self.target = exchange.target
            self.headers = {name: value for name, value in exchange.headers.items() if name != KEY}
            self.body = exchange.body

    @classmethod
    def of(cls, replay: Replay) -> _Recording:
        """A finished one."""
        recording = cls(replay.digest)
        recording.started = recording.finished = recording.ended = True
        recording.status, recording._headers = replay.status, replay.headers
        recording._pieces, recording._streamed = list(replay.pieces), replay.streamed
        return recording

    @property
    def lasting(self) -> bool:
        """Whether it is given again: what may go better next time is not."""
        return self.finished and not self.broken and self.status < 500 and self.status != 429

    def replay(self) -> Replay:
        """What is kept of it."""
        return Replay(self.digest, self.status, self._headers, tuple(self._pieces), self._streamed)

    # --- written as an exchange is ------------------------------------------------------------------------------------

    def respond(self, status: int, headers: Headers = (), body: bytes = b"") -> None:
        self.status, self._headers = status, tuple(headers)
        self._pieces = [body]
        self.started = self.finished = True
        self._tell()

    def start(self, status: int, headers: Headers = ()) -> None:
        self.status, self._headers = status, tuple(headers)
        self.started = self._streamed = True
        self._tell()

    def write(self, data: bytes) -> None:
        if data:
            self._pieces.append(data)
            self._size += len(data)
            self._tell()

    def finish(self) -> None:
        self.finished = True
        self._tell()

    def cut(self) -> None:
        self.broken = True
        self.end()

    def watch(self, wait: float, on_quiet: Callable[[], None]) -> None:
        if self._exchange is not None:
            self._exchange.watch(wait, on_quiet)

    @property
    def congested(self) -> bool:
        return self._size - self._heard > _AHEAD

    async def drain(self) -> None:
        while self.congested:
            await self._news.wait()

    def end(self) -> None:
        """Says that nothing more will come."""
        self.ended = True
        self._tell()

    # --- told to listeners --------------------------------------------------------------------------------------------

    async def told_to(
        self, exchange: Exchanging, marked: Callable[[Headers], Headers] = lambda headers: headers
    ) -> None:
        """Tells one listener all of it, from the beginning and as it comes; its headers as `marked` writes them."""
        self.listeners += 1
        try:
            await self._told_to(exchange, marked)
        finally:
            self.listeners -= 1
            if not self.listeners and not self.finished:
                self.abandoned()

    async def _told_to(self, exchange: Exchanging, marked: Callable[[Headers], Headers]) -> None:
        at = heard = 0
        while True:
            news = self._news
            if self.started and not self._streamed:
                exchange.respond(self.status, marked(self._headers), b"".join(self._pieces))
                return
            if self.started and not exchange.started:
                exchange.start(self.status, marked(self._headers))
            while at < len(self._pieces):
                exchange.write(self._pieces[at])
                heard += len(self._pieces[at])
                at += 1
                if heard > self._heard:
                    self._hear(heard)
                if exchange.congested:
                    await exchange.drain()
            if self.finished:
                exchange.finish()
                return
            if self.ended:
                if exchange.started:
                    exchange.cut()
                return
            if news is self._news:
                await news.wait()

    def _hear(self, heard: int) -> None:
        was = self.congested
        self._heard = heard
        if was and not self.congested:
            self._tell()

    def _tell(self) -> None:
        """Wakes everybody who waits for news; who waits after that waits for the next."""
        self._news.set()
        self._news = asyncio.Event()


def keyed(call: Call) -> str:
    """The key as the caller's own: nobody else can meet it."""
    given = call.exchange.headers[KEY]
    if not _KEY.fullmatch(given):
        raise Invalid("idempotency-key: 1 to 255 printable characters", param="idempotency-key")
    principal = call.principal or call.authenticate()
    return f"{principal.tenant}\0{principal.key}\0{given.decode()}"


def sameness(exchange: Exchanging) -> bytes:
    """What makes two requests the same. A form is told by its fields: its boundary is drawn anew for each try."""
    digest = blake2b(f"{exchange.method} {exchange.path}?{exchange.query}\n".encode(), digest_size=32)
    kind = exchange.headers.get(b"content-type", b"").decode("latin-1")
    if kind.lower().startswith("multipart/form-data"):
        try:
            form = Form(exchange.body, kind)
        except Invalid:  # the endpoint will say so
            digest.update(exchange.body)
        else:
            for part in form.parts:
                contents = blake2b(form.contents(part), digest_size=32).digest()
                digest.update(repr((part.name, part.filename, part.content_type, contents)).encode())
    else:
        digest.update(exchange.body)
    return digest.digest()


def _same(known: bytes, digest: bytes) -> None:
    if known != digest:
        raise WireFault(
            "this idempotency key was used for another request: use a new one for each", "idempotency_key_reused"
        )


async def _ended(work: asyncio.Future[None]) -> None:
    """Returns when the work is over; being cancelled meanwhile ends it."""
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:  # the server closes: nobody can be answered any more
            work.cancel()
    if not work.cancelled():
        work.exception()  # looked at, for where this call was cancelled nobody else does
