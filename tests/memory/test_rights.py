"""Rights in memory, and how they follow the place where the rules are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from threading import Thread

import pytest

from dirigent.core.errors import Forbidden, Unavailable
from dirigent.core.purposes import GENERAL, Purpose
from dirigent.core.rules import KeyRule, ProjectRule, PurposeRule, Rules, TenantRule
from dirigent.memory.rights import FollowedRights, MemoryRights

GROUND = Rules(
    tenants=(TenantRule("default"),),
    projects=(ProjectRule("default", "default"),),
    purposes=(PurposeRule("default", Purpose(GENERAL, models=("*",))),),
    keys=(KeyRule("first", b"digest", "default", "default"),),
)


class Shelf:
    """Where rules are kept, and may be out of reach."""

    def __init__(self) -> None:
        self.changes: list[Rules] = [GROUND]
        self.asked: list[int] = []
        self.gone = False

    async def load(self, since: int) -> Rules:
        self.asked.append(since)
        if self.gone:
            raise Unavailable("nobody answers")
        return self.changes.pop(0) if self.changes else Rules(max(since, 0), whole=False)


@pytest.fixture
async def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def rights(shelf: Shelf) -> AsyncIterator[FollowedRights]:
    rights = FollowedRights(shelf.load)
    await rights.start()
    yield rights
    await rights.close()


async def until_asked(shelf: Shelf, times: int) -> None:
    for _ in range(6_000):
        if len(shelf.asked) >= times:
            await asyncio.sleep(0)
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"asked {len(shelf.asked)} times instead of {times}")


def revoked(sequence: int) -> Rules:
    return Rules(sequence, whole=False, keys=(KeyRule("first", b"digest", "default", "default", revoked=True),))


def test_a_node_without_a_database_works_by_the_rules_it_is_given() -> None:
    rights = MemoryRights(GROUND)

    principal = rights.principal(b"digest")

    assert principal is not None
    assert rights.grant(principal, None).may_ask("anything").permitted
    assert rights.principal(b"another") is None


def test_a_run_that_goes_on_with_a_key_that_was_revoked_gets_no_new_grant() -> None:
    rights = MemoryRights(GROUND)
    principal = rights.principal(b"digest")
    assert principal is not None

    rights.take(revoked(1))

    with pytest.raises(Forbidden, match="the key first is no longer valid"):
        rights.grant(principal, None)


async def test_what_has_changed_counts_as_soon_as_it_is_told_by_whichever_thread(
    shelf: Shelf, rights: FollowedRights
) -> None:
    before = rights.book
    shelf.changes.append(revoked(1))

    telling = Thread(target=rights.told)
    telling.start()
    telling.join()
    await until_asked(shelf, 2)

    assert rights.principal(b"digest") is None
    assert rights.book is not before
    assert shelf.asked == [-1, 0]


async def test_many_words_of_change_are_one_question(shelf: Shelf, rights: FollowedRights) -> None:
    for _ in range(100):
        rights.told()

    await until_asked(shelf, 2)
    await asyncio.sleep(0.05)

    assert len(shelf.asked) == 2


async def test_nothing_new_leaves_the_rulebook_in_place(shelf: Shelf, rights: FollowedRights) -> None:
    before = rights.book

    rights.told()
    await until_asked(shelf, 2)

    assert rights.book is before


async def test_the_known_rules_count_until_the_new_ones_can_be_had(shelf: Shelf, rights: FollowedRights) -> None:
    shelf.gone = True
    shelf.changes.append(revoked(1))

    rights.told()
    await until_asked(shelf, 2)
    during = rights.principal(b"digest")
    shelf.gone = False
    await until_asked(shelf, 3)

    assert during is not None
    assert rights.principal(b"digest") is None


async def test_a_node_does_not_start_without_any_rules(shelf: Shelf) -> None:
    shelf.gone = True
    rights = FollowedRights(shelf.load)

    with pytest.raises(Unavailable):
        await rights.start()
    rights.told()
    await rights.close()

    assert rights.principal(b"digest") is None


async def test_a_change_of_which_one_knows_the_number_is_looked_for_at_once_and_waited_for(
    shelf: Shelf, rights: FollowedRights
) -> None:
    shelf.changes.append(revoked(1))

    known = await rights.reach(1, 5)

    assert known
    assert rights.principal(b"digest") is None
    assert shelf.asked == [-1, 0]


async def test_a_thread_may_wait_for_it_too(shelf: Shelf, rights: FollowedRights) -> None:
    shelf.changes.append(revoked(1))

    assert await asyncio.to_thread(rights.reached, 1, 5)
    assert rights.principal(b"digest") is None


async def test_a_change_that_cannot_be_had_is_waited_for_no_longer_than_was_said(
    shelf: Shelf, rights: FollowedRights
) -> None:
    shelf.gone = True

    assert not await asyncio.to_thread(rights.reached, 1, 0.01)


async def test_who_waits_for_a_change_is_let_go_when_the_node_leaves(shelf: Shelf, rights: FollowedRights) -> None:
    shelf.gone = True
    waiting = asyncio.create_task(rights.reach(1, 60))
    await until_asked(shelf, 2)

    await rights.close()

    assert not await waiting


async def test_a_look_that_has_begun_already_does_not_count_for_who_comes_now(
    shelf: Shelf, rights: FollowedRights
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    load = shelf.load

    async def slow(since: int) -> Rules:
        found = await load(since)  # what stands there now
        begun.set()
        await go_on.wait()
        return found

    rights._load = slow
    rights.told()
    await begun.wait()
    shelf.changes.append(revoked(1))
    waiting = asyncio.create_task(rights.catch_up())
    await asyncio.sleep(0)
    go_on.set()
    await waiting

    assert rights.principal(b"digest") is None


async def test_however_many_strangers_come_the_rules_are_asked_for_once(shelf: Shelf, rights: FollowedRights) -> None:
    shelf.changes.append(revoked(1))

    await asyncio.gather(*(rights.catch_up() for _ in range(1_000)))

    assert rights.principal(b"digest") is None
    assert shelf.asked == [-1, 0]


async def test_strangers_that_come_one_after_the_other_have_to_wait_for_a_look(
    shelf: Shelf, rights: FollowedRights
) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()

    for _ in range(4):
        await rights.catch_up()

    assert loop.time() - began >= 0.3  # each but the first has waited for a tenth of a second
    assert len(shelf.asked) == 5
