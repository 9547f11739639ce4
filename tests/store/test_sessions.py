"""Who is signed in, and who has tried too often."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import text

from dirigent.store import Database
from dirigent.store.people import keep_member, member_of
from dirigent.store.sessions import (
    close_session,
    close_sessions_of,
    failed,
    open_session,
    seen,
    session_of,
    succeeded,
    waits_until,
)
from tests.store.ground import NOW, settle_in

HOUR = 3_600_000


@pytest.fixture
def settled(database: Database) -> Database:
    database.write(settle_in)
    return database


def open_one(database: Database, now: int = NOW) -> str:
    return database.write(lambda found: open_session(found, "acme", "m-1", now, 8 * HOUR))


def is_open(database: Database, token: str, now: int = NOW) -> bool:
    return database.read(lambda found: session_of(found, token, now, HOUR)) is not None


def test_a_session_is_found_by_its_token_and_by_nothing_that_is_kept(settled: Database) -> None:
    token = open_one(settled)

    session = settled.read(lambda found: session_of(found, token, NOW, HOUR))
    kept = settled.read(lambda found: found.execute(text("SELECT digest FROM sessions")).scalar_one())

    assert session is not None
    assert (session.tenant, session.member, session.expires) == ("acme", "m-1", NOW + 8 * HOUR)
    assert not is_open(settled, token + "x")
    assert token.encode() not in bytes(kept)
    assert not is_open(settled, bytes(kept).hex())


def test_a_session_ends_by_its_time_or_when_nobody_uses_it(settled: Database) -> None:
    used, unused = open_one(settled), open_one(settled)

    for hour in range(1, 8):
        settled.write(lambda found, at=NOW + hour * HOUR - 1: seen(found, used, at))  # type: ignore[misc]

    assert is_open(settled, used, NOW + 7 * HOUR)
    assert not is_open(settled, unused, NOW + 2 * HOUR)
    assert not is_open(settled, used, NOW + 8 * HOUR)


def test_signing_out_ends_one_session_or_all_of_a_member(settled: Database) -> None:
    first, second, third = (open_one(settled) for _ in range(3))

    settled.write(lambda found: close_session(found, first))
    after_one = [is_open(settled, token) for token in (first, second, third)]
    settled.write(lambda found: close_sessions_of(found, "acme", "m-1"))

    assert after_one == [False, True, True]
    assert [is_open(settled, token) for token in (first, second, third)] == [False, False, False]


def test_a_blocked_member_is_signed_out(settled: Database) -> None:
    token = open_one(settled)
    member = settled.read(lambda found: member_of(found, "acme", "m-1"))
    assert member is not None

    settled.write(lambda found: keep_member(found, msgspec.structs.replace(member, blocked=NOW), 9))

    assert not is_open(settled, token)


def test_old_sessions_are_swept_away(settled: Database) -> None:
    open_one(settled)

    open_one(settled, NOW + 9 * HOUR)

    assert settled.read(lambda found: found.execute(text("SELECT count(*) FROM sessions")).scalar()) == 1


def test_each_failure_after_five_doubles_the_wait_up_to_a_quarter_of_an_hour(settled: Database) -> None:
    waits = []
    now = NOW
    for _ in range(20):
        settled.write(lambda found, at=now: failed(found, "erika@example.com", at))  # type: ignore[misc]
        until = settled.read(lambda found, at=now: waits_until(found, "Erika@example.com ", at))  # type: ignore[misc]
        waits.append(0 if until is None else (until - now) // 1000)
        now = until or now

    assert waits[:8] == [0, 0, 0, 0, 1, 2, 4, 8]
    assert waits[-1] == 900
    assert settled.read(lambda found: waits_until(found, "somebody@else.com", now)) is None


def test_a_wait_is_over_in_time_by_success_or_after_a_day(settled: Database) -> None:
    for _ in range(9):
        settled.write(lambda found: failed(found, "erika@example.com", NOW))

    def waits(now: int) -> bool:
        return settled.read(lambda found: waits_until(found, "erika@example.com", now)) is not None

    during, after, next_day = waits(NOW + 15_000), waits(NOW + 17_000), waits(NOW + 25 * HOUR)
    settled.write(lambda found: succeeded(found, "erika@example.com"))

    assert (during, after, next_day) == (True, False, False)
    assert not waits(NOW + 1)


def test_what_people_type_into_the_wrong_field_is_not_kept(settled: Database) -> None:
    settled.write(lambda found: failed(found, "my-secret-password", NOW))

    kept = settled.read(lambda found: found.execute(text("SELECT who FROM sign_in_failures")).scalar_one())

    assert b"secret" not in bytes(kept)
