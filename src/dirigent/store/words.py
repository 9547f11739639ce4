"""The words of records: each stands once, and rows name it by its number."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, text

from dirigent.store.rows import Statement

__all__ = ["ids_of", "kept", "words_of"]

_MANY = 500
_FIND = Statement("SELECT word, id FROM record_words WHERE word IN :ids")
_TELL = Statement("SELECT id, word FROM record_words WHERE id IN :ids")


def ids_of(connection: Connection, words: Iterable[str]) -> dict[str, int]:
    """The numbers of those words that have one."""
    wanted = sorted(set(words))
    found: dict[str, int] = {}
    for start in range(0, len(wanted), _MANY):
        found.update(_FIND.rows(connection, {"ids": wanted[start : start + _MANY]}))
    return found


def words_of(connection: Connection, ids: Iterable[int]) -> dict[int, str]:
    """The words of these numbers."""
    wanted = sorted({id_ for id_ in ids if id_})
    found: dict[int, str] = {}
    for start in range(0, len(wanted), _MANY):
        found.update(_TELL.rows(connection, {"ids": wanted[start : start + _MANY]}))
    return found


def kept(connection: Connection, words: Iterable[str]) -> dict[str, int]:
    """The numbers of these words; one that is new gets a number."""
    wanted = set(words)
    found = ids_of(connection, wanted)
    new = sorted(wanted - found.keys())  # in one order, so that no two writers wait for each other
    if new:
        connection.execute(
            text("""INSERT INTO record_words (word) VALUES (:word) ON CONFLICT (word) DO NOTHING"""),
            [{"word": word} for word in new],
        )
        found |= ids_of(connection, new)
    return found
