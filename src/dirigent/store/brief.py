"""A statement that is said for each step of each run: prepared once, and carried out with next to nothing around it.

What it changes is all that its transaction does. So a shared database is asked once where it would be asked three
times, and for many at once it is asked once as well: all is on its way before the first answer is there.
"""

from __future__ import annotations

import re
import select
from collections.abc import Sequence
from itertools import count
from struct import Struct
from typing import Any

from sqlalchemy import Connection

__all__ = ["Brief", "Values"]

Values = tuple[str | int | bytes | None, ...]
_numbers = count(1)
_NUMBER = Struct("!q").pack
_DONE, _TOGETHER = 1, 10
"""What a shared database answers to a statement that gives no rows, and to the end of what belongs together."""
_READABLE, _WRITABLE = select.POLLIN, select.POLLIN | select.POLLOUT


class Brief:
    """An INSERT of at most one row with numbered values, `?1` and so on; for a shared database each with its type."""

    def __init__(self, name: str, lite: str, shared: str) -> None:
        self.name = name
        self.lite = lite
        self.shared = re.sub(r"\?(\d)", r"$\1", shared)

    def put(self, driver: Any, values: Values) -> bool:
        """Whether it has put its row into the embedded database, within the transaction that there is."""
        return bool(driver.execute(self.lite, values).rowcount)

    def put_all(self, connection: Connection, said: Sequence[Values]) -> list[bool] | None:
        """For each whether it has put its row into a shared database, once all are durable.

        None where none has, or nobody can tell, or texts would have to be spelled in the server's own way.
        """
        driver: Any = connection.connection.driver_connection
        way = driver.pgconn
        name = connection.info.get(self)
        if name is None:
            name = connection.info[self] = self._prepared(way)
        put = _put_all(way, name, said) if name else None
        if name and put is None:  # whatever it was: it may be that the server has forgotten the statement
            del connection.info[self]
        return put

    def _prepared(self, way: Any) -> bytes:
        """The name by which this way knows the statement; empty where it takes no texts as they are."""
        if way.parameter_status(b"client_encoding") != b"UTF8":
            return b""
        name = f"{self.name}_{next(_numbers)}".encode()
        return name if way.prepare(name, self.shared.encode()).status == _DONE else b""


def _put_all(way: Any, name: bytes, said: Sequence[Values]) -> list[bool] | None:
    if len(said) == 1:
        answer = way.exec_prepared(name, *_bound(said[0]))  # the driver lets others go on meanwhile
        return [answer.command_tuples == 1] if answer.status == _DONE else None
    way.enter_pipeline_mode()
    for values in said:
        way.send_query_prepared(name, *_bound(values))
    way.pipeline_sync()
    while way.flush():
        _wait(way, _WRITABLE)
    answers = [_answered(way) for _ in said]
    whole = _next(way).status == _TOGETHER and all(answer.status == _DONE for answer in answers)
    way.exit_pipeline_mode()
    return [answer.command_tuples == 1 for answer in answers] if whole else None


def _answered(way: Any) -> Any:
    answer = _next(way)
    _next(way)  # there is none between two of them
    return answer


def _next(way: Any) -> Any:
    """The next answer. It is waited for here, for the driver would let nobody else go on meanwhile."""
    while way.is_busy():
        _wait(way, _READABLE)
    return way.get_result()


def _wait(way: Any, events: int) -> None:
    poll = select.poll()
    poll.register(way.socket, events)
    if poll.poll()[0][1] & ~select.POLLOUT:
        way.consume_input()  # raises where the way is gone


def _bound(values: Values) -> tuple[list[bytes | None], list[int]]:
    """Values as they travel; texts are counted out, not ended by a zero."""
    told = [value.encode() if isinstance(value, str) else value for value in values]
    bound = [_NUMBER(value) if isinstance(value, int) else value for value in told]
    return bound, [1] * len(bound)
