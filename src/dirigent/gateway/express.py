"""The straight way through the gateway: a request whose answer is one provider's bytes, answered without a task.

It does what the general way does, and steps back to it whenever anything is out of the ordinary: where no connection
waits, where the provider refuses, where the connection breaks before the first word.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic, time
from typing import Protocol

from dirigent.core.errors import BadAnswer, DirigentError, Failed
from dirigent.core.messages import Request
from dirigent.core.ports import Http, HttpFlow
from dirigent.core.run import Passage
from dirigent.gateway.call import Call, Route
from dirigent.gateway.heads import head_of_answer
from dirigent.gateway.keeping import ping

__all__ = ["CopyingExpress", "Express", "Way"]

_MOST = 64 * 1024 * 1024
"""Bytes of a whole answer; the general way reads no more either."""


class Way(Protocol):
    """What an express needs of the gateway that sent it."""

    def go_on(self, call: Call, route: Route) -> None:
        """Answers the call on the general way."""
        ...

    def refuse(self, call: Call, error: DirigentError, route: Route) -> None:
        """Answers the call with an error, and ends it."""
        ...

    def fail(self, call: Call, route: Route) -> None:
        """Logs the fault of our own that is being handled, tells the caller where the log has it, and ends the call."""
        ...

    def close(self, call: Call) -> None:
        """Notes a call that is over."""
        ...


class Express:
    """One request on the straight way; the loop tells it how its answer comes (core.ports.HttpTaker)."""

    __slots__ = (
        "_behind",
        "_call",
        "_exchange",
        "_fields",
        "_flow",
        "_passage",
        "_pieces",
        "_request",
        "_route",
        "_size",
        "_spoke",
        "_status",
        "_streams",
        "_way",
    )

    def __init__(self, way: Way, call: Call, route: Route, request: Request, passage: Passage) -> None:
        self._way = way
        self._call = call
        self._exchange = call.caller
        self._route = route
        self._request = request
        self._passage = passage
        self._flow: HttpFlow | None = None
        self._fields: Sequence[tuple[bytes, bytes]] = ()
        self._status = 0
        self._pieces: list[bytes] = []
        self._size = 0
        self._behind = False
        """Whether the caller was once too slow for it: what waits on the line then, nobody here has heard."""
        self._streams = False
        """Whether the answer has begun as a stream: a later piece may begin with a brace by chance."""
        self._spoke = False
        """Whether the caller has had a piece of it."""

    def sent(self, http: Http) -> bool:
        """Sends the request; False where no connection waits for it, or it cannot be sent as it is."""
        passage = self._passage
        try:
            flow = http.push(passage.call, passage.timeouts, self)
        except DirigentError:  # the general way meets it again, and knows whether somebody else can be asked
            flow = None
        if flow is None:
            passage.dropped()
            return False
        passage.asked()
        self._flow = flow
        self._exchange.on_gone = self._gone
        self._call.stop = self._break
        if passage.stream and self._route.quiet:
            self._exchange.watch(self._route.quiet, self._ping)
        return True

    # --- told by the loop ---------------------------------------------------------------------------------------------

    def head(self, status: int, fields: Sequence[tuple[bytes, bytes]]) -> None:
        """The provider has begun to answer."""
        self._status = status
        self._fields = fields
        if status != 200:
            return
        try:
            self._passage.head(fields)
        except Exception:  # noqa: BLE001  as everywhere here: the loop would only log it, and the caller would wait on
            self._fault()

    def piece(self, data: bytes) -> None:
        """A piece of its answer."""
        if not self._streams and not self._begins(data):
            self._pieces.append(data)
            self._size += len(data)
            if self._size > _MOST:
                self._break(BadAnswer(f"the provider's answer exceeds {_MOST} bytes"))
            return
        try:
            passed = self._passage.piece(data)
            if passed:
                self._pass(passed)
        except DirigentError as error:
            self._break(error)
        except Exception:  # noqa: BLE001
            self._fault()

    def end(self) -> None:
        """The answer is whole."""
        passage, pieces = self._passage, self._pieces
        try:
            if self._status != 200:
                raise passage.refusal(self._status, self._fields, b"".join(pieces))
            if passage.stream:
                self._end_stream(b"".join(pieces))
                return
            self._whole(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        except DirigentError as error:
            self._broke(error)
        except Exception:  # noqa: BLE001
            self._fault()

    def failed(self, error: Failed, *, touched: bool) -> None:
        """The connection broke, or a wait is over."""
        if touched or self._spoke:
            self._broke(error)
        else:  # it was dead before the request came: nobody has been asked yet
            self._passage.undone()
            self._way.go_on(self._call, self._route)

    # ------------------------------------------------------------------------------------------------------------------

    def _begins(self, data: bytes) -> bool:
        """Whether a stream begins here, and no whole answer in its place: some servers do not stream their errors."""
        self._streams = self._status == 200 and self._passage.stream and not self._pieces and not data.startswith(b"{")
        return self._streams

    def _whole(self, body: bytes) -> None:
        self._passage.whole(body)
        call = self._call
        call.status = 200
        self._exchange.respond_as(head_of_answer(call, self._route.dialect), body)
        self._way.close(call)

    def _pass(self, data: bytes) -> None:
        exchange = self._exchange
        if not self._spoke:
            self._speak()
        exchange.write(data)
        if exchange.congested and exchange.on_room is None and self._flow is not None:
            exchange.on_room, self._behind = self._go_on_reading, True
            self._flow.pause()

    def _speak(self) -> None:
        """Sends the head of a stream, unless the first ping was faster."""
        self._spoke = True
        call, exchange = self._call, self._exchange
        call.first_token = monotonic() - call.began
        if not exchange.started:
            dialect = self._route.dialect
            call.status = 200
            call.broken_off = dialect.writer(self._request, call.run_id, int(time())).fail
            exchange.start_as(head_of_answer(call, dialect, streamed=True))

    def _ping(self) -> None:
        ping(self._call, self._request, self._route.dialect)

    def _go_on_reading(self) -> None:
        self._exchange.on_room = None
        if self._flow is not None:
            self._flow.resume()

    def _end_stream(self, unstreamed: bytes) -> None:
        """The end of a stream, or a whole answer in its place."""
        call, passage = self._call, self._passage
        if unstreamed:
            self._tell(unstreamed)
            return
        rest = passage.end()
        if rest:
            self._pass(rest)
        self._exchange.finish()
        self._way.close(call)

    def _tell(self, body: bytes) -> None:
        """Streams a whole answer to a caller who asked for a stream."""
        dialect, call = self._route.dialect, self._call
        events = dialect.read_response(body)
        writer = dialect.writer(self._request, dialect.prefix + call.run_id, int(time()))
        self._passage.whole(body)
        self._pass(b"".join([writer.write(event) for event in events]) + writer.end())
        self._exchange.finish()
        self._way.close(call)

    def _break(self, error: DirigentError) -> None:
        """Cuts an answer off that cannot go on."""
        if self._flow is not None:
            self._flow.close()
        self._broke(error)

    def _broke(self, error: DirigentError) -> None:
        self._passage.broke(error, behind=self._behind)
        call = self._call
        if self._spoke:  # the caller has read half an answer: no second voice may finish it
            self._way.refuse(call, error, self._route)
            return
        if call.run is not None:
            call.run.record.failed_first = error
        self._way.go_on(call, self._route)

    def _fault(self) -> None:
        """Ends an answer on a fault of our own, whose trace is being handled; what the try has used is settled."""
        if self._flow is not None:
            self._flow.close()
        try:
            self._passage.broke(DirigentError("something went wrong on our side"), behind=True)
        finally:
            self._way.fail(self._call, self._route)

    def _gone(self) -> None:
        if self._flow is not None:
            self._flow.close()
        self._passage.left(behind=self._behind)
        call = self._call
        call.status, call.code = 499, "caller_gone"
        self._way.close(call)


class CopyingExpress(Express):
    """The straight way, which hands its bytes over to the copy of the call as well."""

    __slots__ = ()

    def __init__(self, way: Way, call: Call, route: Route, request: Request, passage: Passage) -> None:
        super().__init__(way, call, route, request, passage)
        if call.copy is not None:
            call.copy.begin()

    def _pass(self, data: bytes) -> None:
        if (copy := self._call.copy) is not None:
            copy.add(data)
        super()._pass(data)

    def _whole(self, body: bytes) -> None:
        if (copy := self._call.copy) is not None:
            record = self._call.run.record if self._call.run is not None else None
            copy.head((("content-type", (record.content_type if record is not None else None) or "application/json"),))
            copy.add(body)
        super()._whole(body)
