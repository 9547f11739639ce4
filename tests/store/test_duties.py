"""A duty is one worker's at a time: it stays while it is renewed, and goes on when it is given up or has run out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import sleep

from dirigent.store import Database, duties


def taken(database: Database, holder: str, life: int = 60_000) -> bool:
    return database.write(partial(duties.take, duty="alerts", holder=holder, life=life))


def has(database: Database, holder: str) -> bool:
    return database.write(partial(duties.has, duty="alerts", holder=holder))


def test_of_many_who_want_a_duty_one_gets_it_and_keeps_it(database: Database) -> None:
    with ThreadPoolExecutor(8) as workers:
        got = [*workers.map(lambda number: taken(database, f"n/{number}"), range(8))]

    (first,) = [f"n/{number}" for number, mine in enumerate(got) if mine]
    assert taken(database, first)
    assert not taken(database, "n/another")
    assert has(database, first)
    assert not has(database, "n/another")


def test_a_duty_that_is_given_up_is_free_and_another_s_cannot_be_given_up(database: Database) -> None:
    taken(database, "n/1")

    database.write(partial(duties.give_up, duty="alerts", holder="n/2"))
    kept = has(database, "n/1")
    database.write(partial(duties.give_up, duty="alerts", holder="n/1"))

    assert kept
    assert taken(database, "n/2")


def test_a_duty_that_nobody_renews_runs_out(database: Database) -> None:
    taken(database, "n/1", life=50)
    sleep(0.1)  # by the clock of the database, which no test can set

    assert not has(database, "n/1")
    assert taken(database, "n/2")
