"""What is remembered of conversations, and for how long."""

from __future__ import annotations

import pytest

from dirigent.memory import MemoryAffinity


def test_what_was_kept_last_is_known_and_nothing_else() -> None:
    affinity = MemoryAffinity()

    affinity.keep(b"mark", ("a", "auto"))
    affinity.keep(b"mark", ("b", "auto"))

    assert affinity.kept(b"mark") == ("b", "auto")
    assert affinity.kept(b"other") == ()


def test_the_oldest_make_room() -> None:
    affinity = MemoryAffinity(most=2)

    for mark in (b"1", b"2", b"1", b"3"):
        affinity.keep(mark, ("a",))

    assert [affinity.kept(mark) for mark in (b"1", b"2", b"3")] == [("a",), (), ("a",)]


def test_what_is_older_than_asked_for_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("dirigent.memory.affinity.monotonic", lambda: now[0])
    affinity = MemoryAffinity()
    affinity.keep(b"mark", ("a",))

    now[0] += 299
    early = affinity.kept(b"mark", 300)
    now[0] += 2
    late = affinity.kept(b"mark", 300)
    now[0] += 86_400

    assert (early, late, affinity.kept(b"mark")) == (("a",), (), ())
