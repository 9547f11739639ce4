"""Records are kept small, found again by whatever is asked, added up exactly, and forgotten when they are too old."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from sqlalchemy import Connection

from dirigent.core.observations import Served
from dirigent.core.purposes import Purpose, Retention
from dirigent.core.usage import Money
from dirigent.store import Database, upgrade
from dirigent.store.migrations import migrate
from dirigent.store.people import Tenant, keep_tenant
from dirigent.store.purposes import Registered, keep_purpose
from dirigent.store.records import Filter, Kept, Records, found, prune, record_of, write
from dirigent.store.usage import DAY, HOUR, MINUTE, Question, latency, tiles, usage

NOW = 1_800_000_123_456
SECOND = 1000


def served(number: int, at: int = NOW, **other: object) -> Served:
    said: dict[str, object] = {
        "at": at / 1000,
        "run": f"run-{number:024x}",
        "request": f"run-{number:024x}",
        "tenant": "acme",
        "project": "sales",
        "key": "k-1",
        "path": "/v1/chat/completions",
        "model": "auto",
        "deployment": "gpt-4o",
        "revision": "3f9c2b71",
        "status": 200,
        "attempts": 1,
        "input_tokens": 100,
        "output_tokens": 10,
        "cost": Money(350),
        "seconds": 0.5,
        "purpose": "support",
    } | other
    return Served(**said)  # type: ignore[arg-type]


def keep(database: Database, *several: Served) -> None:
    database.write(lambda connection: write(connection, several))


def runs(database: Database, which: Filter | None = None, tenant: str = "acme", **more: int) -> list[Kept]:
    return list(database.read(lambda connection: found(connection, tenant, which or Filter(), **more)).records)


def test_a_record_comes_back_as_it_was(database: Database) -> None:
    whole = served(
        1,
        route="the cheapest that can see",
        code="provider_failed",
        status=502,
        streamed=True,
        first_token=0.25,
        member="m-1",
        transaction="order 7/2027",
        cached_tokens=40,
        reasoning_tokens=5,
        estimated=True,
        request="mine",
        cost=Money(12_345_678_901, "EUR"),
    )
    keep(database, whole)

    kept = database.read(lambda connection: record_of(connection, "acme", whole.run))

    assert kept == Kept(
        place=kept.place if kept is not None else 0,
        at=NOW,
        run=whole.run,
        request="mine",
        path="/v1/chat/completions",
        project="sales",
        purpose="support",
        key="k-1",
        member="m-1",
        model="auto",
        deployment="gpt-4o",
        revision="3f9c2b71",
        route="the cheapest that can see",
        status=502,
        code="provider_failed",
        streamed=True,
        attempts=1,
        input_tokens=100,
        output_tokens=10,
        cached_tokens=40,
        reasoning_tokens=5,
        estimated=True,
        cost=Money(12_345_678_901, "EUR"),
        milliseconds=500,
        first_token=250,
        transaction="order 7/2027",
    )


def test_nothing_of_another_tenant_is_found(database: Database) -> None:
    keep(database, served(1), served(2, tenant="other"), served(3, tenant=None))

    assert [kept.run for kept in runs(database)] == [served(1).run]
    assert database.read(lambda connection: record_of(connection, "acme", served(2).run)) is None
    assert runs(database, tenant="nobody") == []
    of_other = database.read(lambda connection: usage(connection, asked(tenant="other")))
    assert [row.requests for row in of_other] == [1]


@pytest.mark.parametrize("run", ["run-00", "run-" + "0" * 24, "run-" + "F" * 24, "elsewhere-1", "x" * 12, "x" * 300])
def test_every_id_of_a_run_is_found_again(database: Database, run: str) -> None:
    keep(database, served(1), served(2, run=run))

    kept = database.read(lambda connection: record_of(connection, "acme", run))

    assert kept is not None
    assert kept.run == run


def test_many_that_ended_in_the_same_millisecond_are_all_kept(database: Database) -> None:
    keep(database, *(served(number) for number in range(600)))
    keep(database, *(served(number) for number in range(600, 1200)), served(1200, NOW + 1))

    listed = runs(database, limit=2000)

    assert {kept.run for kept in listed} == {served(number).run for number in range(1201)}
    assert listed[0].at >= listed[-1].at == NOW


def test_the_latest_stand_first_and_pages_follow_each_other(database: Database) -> None:
    numbers = list(range(25))
    random.Random(7).shuffle(numbers)
    keep(database, *(served(number, NOW + number * SECOND) for number in numbers))

    seen: list[str] = []
    before = None
    while True:
        page = database.read(lambda connection, at=before: found(connection, "acme", Filter(), before=at, limit=10))  # type: ignore[misc]
        seen += [kept.run for kept in page.records]
        before = page.before
        if before is None:
            break

    assert seen == [served(number).run for number in reversed(range(25))]


@pytest.mark.parametrize(
    ("which", "numbers"),
    [
        (Filter(project="law"), [2]),
        (Filter(key="k-2"), [3]),
        (Filter(key="k-2", model="auto"), [3]),
        (Filter(key="k-2", model="writer"), []),
        (Filter(member="m-1"), [4]),
        (Filter(failed=True), [5]),
        (Filter(failed=False, key="k-1"), [7, 6, 4, 2, 1]),
        (Filter(code="budget_exceeded"), [5]),
        (Filter(transaction="order-7"), [6]),
        (Filter(purpose="unheard of"), []),
        (Filter(since=NOW + 6 * SECOND), [7, 6]),
        (Filter(until=NOW + 2 * SECOND), [1]),
    ],
)
def test_records_are_found_by_what_they_have(database: Database, which: Filter, numbers: list[int]) -> None:
    special: dict[int, dict[str, object]] = {
        2: {"project": "law"},
        3: {"key": "k-2"},
        4: {"member": "m-1"},
        5: {"code": "budget_exceeded", "status": 402, "cost": None},
        6: {"transaction": "order-7"},
    }
    keep(database, *(served(number, NOW + number * SECOND, **special.get(number, {})) for number in range(1, 8)))

    assert [kept.run for kept in runs(database, which)] == [served(number).run for number in numbers]


def test_failures_are_found_however_few_they_are_among_the_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dirigent.store.records._LOOKED_THROUGH", 10)
    refused = {"code": "busy", "status": 503}
    keep(
        database,
        *(served(n, NOW + n * SECOND, **(refused if n in (1, 30) else {})) for n in range(200)),
        served(500, NOW + 500 * SECOND, tenant="other", **refused),
    )

    for which in (Filter(failed=True), Filter(code="busy"), Filter(failed=True, model="auto")):
        page = database.read(lambda connection, which=which: found(connection, "acme", which))  # type: ignore[misc]
        assert [kept.run for kept in page.records] == [served(30).run, served(1).run]
        assert page.before is None


def test_where_few_match_the_next_page_goes_on_where_this_one_stopped(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dirigent.store.records._LOOKED_THROUGH", 10)
    keep(database, served(0, NOW, model="rare"), *(served(n, NOW + n * SECOND) for n in range(1, 35)))

    pages, before = 0, None
    seen: list[str] = []
    while True:
        page = database.read(
            lambda connection, at=before: found(connection, "acme", Filter(model="rare"), before=at, limit=5)  # type: ignore[misc]
        )
        pages, before = pages + 1, page.before
        seen += [kept.run for kept in page.records]
        if before is None:
            break

    assert seen == [served(0).run]
    assert pages == 4


def test_the_records_of_a_key_are_found_however_rare_it_is(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dirigent.store.records._STRETCHES_AT_ONCE", 3)
    monkeypatch.setattr("dirigent.store.records._LOOKED_THROUGH", 60)
    rare = {number: NOW + number * MINUTE for number in (1, 3, 4, 15, 16, 31, 80, 119, 120, 121, 300)}
    keep(
        database,
        *(served(number, at, key="k-rare", purpose=None if number % 2 else "law") for number, at in rare.items()),
        *(served(1000 + number, NOW + number * MINUTE) for number in range(400)),
    )

    seen: list[str] = []
    pages, before = 0, None
    while True:
        page = database.read(
            lambda connection, at=before: found(connection, "acme", Filter(key="k-rare"), before=at, limit=4)  # type: ignore[misc]
        )
        pages, before = pages + 1, page.before
        seen += [kept.run for kept in page.records]
        if before is None:
            break

    assert seen == [served(number).run for number in sorted(rare, reverse=True)]
    assert pages <= 4
    assert [kept.run for kept in runs(database, Filter(key="k-rare", since=rare[119], until=rare[121]))] == [
        served(number).run for number in (120, 119)
    ]


def test_what_overflows_its_millisecond_at_the_end_of_a_stretch_is_found_by_its_key(database: Database) -> None:
    at = NOW - NOW % (10 * MINUTE) - 1
    keep(database, *(served(number, at) for number in range(300)))

    assert len(runs(database, Filter(key="k-1"), limit=500)) == 300


def asked(*by: str, since: int = 0, until: int = NOW + DAY, tenant: str = "acme", **only: str) -> Question:
    return Question(tenant, since, until, NOW, by, only)  # type: ignore[arg-type]


def test_sums_agree_with_records_whatever_they_are_asked_by(database: Database) -> None:
    chance = random.Random(11)
    everything = [
        served(
            number,
            NOW - chance.randrange(5 * DAY),
            project=chance.choice(["sales", "law"]),
            model=chance.choice(["auto", "writer", None]),
            key=chance.choice(["k-1", "k-2", "k-3"]),
            member=chance.choice([None, "m-1"]),
            code=chance.choice([None, None, "timed_out"]),
            transaction=chance.choice([None, "t-1", "t-2"]),
            cost=chance.choice([Money(chance.randrange(10**12)), Money(5, "EUR"), None]),
            input_tokens=chance.randrange(10**6),
        )
        for number in range(400)
    ]
    for start in range(0, 400, 100):
        keep(database, *everything[start : start + 100])

    for by in ("project", "model", "key", "member", "code", "day", "hour", "minute", "transaction"):
        expected: dict[tuple[object, object], list[int]] = {}
        for each in everything:
            at = round(each.at * 1000)
            value = {"day": at - at % DAY, "hour": at - at % HOUR, "minute": at - at % MINUTE}.get(by) or getattr(
                each, by, None
            )
            if by == "transaction" and value is None:
                continue
            row = expected.setdefault((value, each.cost.currency if each.cost else None), [0] * 5)
            row[0] += 1
            row[1] += each.code is not None
            row[2] += each.input_tokens or 0
            row[3] += each.cost.nano if each.cost else 0
            row[4] += each.cost is None
        got = database.read(lambda connection, by=by: usage(connection, asked(by)))  # type: ignore[misc]
        assert {
            (row.parts[0], row.currency): [row.requests, row.errors, row.input_tokens, row.cost, row.unpriced]
            for row in got
        } == expected, by


def test_sums_are_asked_of_a_part_alone(database: Database) -> None:
    keep(database, served(1), served(2, project="law"), served(3, key="k-2", model="writer", transaction="t-1"))

    def requests(*by: str, **only: str) -> list[int]:
        return [row.requests for row in database.read(lambda connection: usage(connection, asked(*by, **only)))]  # type: ignore[arg-type]

    assert requests(project="law") == [1]
    assert requests(key="k-2") == [1]
    assert requests("key", model="auto") == [2]
    assert requests("model", transaction="t-1") == [1]
    assert requests(model="unheard of") == []


def test_a_refusal_costs_nothing_and_is_not_called_unpriced(database: Database) -> None:
    refused = served(1, cost=None, input_tokens=None, output_tokens=None, code="budget_exceeded")
    keep(database, refused, served(2, cost=None))

    rows = database.read(lambda connection: usage(connection, asked()))

    assert [(row.requests, row.errors, row.unpriced) for row in rows] == [(2, 1, 1)]


def test_percentiles_are_right_within_one_percent(database: Database) -> None:
    chance = random.Random(3)
    durations = sorted(chance.lognormvariate(0, 1) for _ in range(2000))
    mixed = chance.sample(durations, len(durations))
    for start in range(0, 2000, 250):
        keep(
            database,
            *(
                served(start + n, NOW - chance.randrange(3 * DAY), seconds=seconds, first_token=seconds / 2)
                for n, seconds in enumerate(mixed[start : start + 250])
            ),
        )

    [row] = database.read(lambda connection: latency(connection, asked()))

    assert row.requests == 2000
    assert row.p50 == pytest.approx(durations[999], rel=0.011)
    assert row.p95 == pytest.approx(durations[1899], rel=0.011)
    assert row.p99 == pytest.approx(durations[1979], rel=0.011)
    assert row.first_p95 == pytest.approx(durations[1899] / 2, rel=0.011)


@given(since=some.integers(0, 40 * DAY), length=some.integers(1, 40 * DAY))
def test_tiles_cover_a_time_once_and_without_gaps(since: int, length: int) -> None:
    since += NOW - 40 * DAY
    until = since + length

    laid = tiles(since, until, NOW)

    assert all(first < last and first % grain == last % grain == 0 for grain, first, last in laid)
    assert all(before[2] == behind[1] for before, behind in pairwise(laid))
    assert since - HOUR < laid[0][1] <= since
    assert until <= laid[-1][2] < until + HOUR
    assert sum((last - first) // grain for grain, first, last in laid) <= 2 * (60 + 24) + 40


def test_what_fine_sums_no_longer_tell_coarse_ones_do() -> None:
    assert {grain for grain, _, _ in tiles(NOW - 2 * DAY, NOW, NOW)} == {DAY, HOUR, MINUTE}
    assert {grain for grain, _, _ in tiles(NOW - 50 * DAY, NOW, NOW)} == {DAY, HOUR}
    assert {grain for grain, _, _ in tiles(NOW - 400 * DAY, NOW, NOW)} == {DAY}


def test_records_are_forgotten_when_their_purpose_says_so(database: Database) -> None:
    database.write(lambda connection: keep_tenant(connection, Tenant("acme"), 1))
    brief = Registered("acme", Purpose("support", retention=Retention(records=7)))
    database.write(lambda connection: keep_purpose(connection, brief, 1))
    keep(
        database,
        served(1, NOW - 8 * DAY),
        served(2, NOW - 6 * DAY),
        served(3, NOW - 300 * DAY, purpose=None),
        served(4, NOW - 400 * DAY, purpose=None),
        *(served(number, NOW - 20 * DAY - number) for number in range(10, 4010)),
    )

    gone = prune(database, NOW)

    assert gone == 4002
    assert [kept.run for kept in runs(database)] == [served(2).run, served(3).run]
    of_people = database.read(lambda connection: usage(connection, asked("key")))
    assert sum(row.requests for row in of_people) == 2
    assert rows_of(database, "record_stretches") == 2
    assert rows_of(database, "record_groups") == 2
    of_all = database.read(lambda connection: usage(connection, asked()))
    assert sum(row.requests for row in of_all) == 4004  # how many there were still stands, nobody's name does
    assert prune(database, NOW) == 0


def rows_of(database: Database, table: str) -> int:
    count = f"SELECT count(*) FROM {table}"  # noqa: S608
    return int(database.read(lambda connection: connection.exec_driver_sql(count).scalar()) or 0)


def test_what_is_observed_is_found(database: Database, tmp_path: Path) -> None:
    records = Records(database, tmp_path / "spool")
    records.start()

    for number in range(100):
        records.observe(served(number))
    records.observe(served(100, tenant=None))
    records.outbox.flush()

    assert len(runs(database, limit=500)) == 100
    assert records.outbox.refused == records.outbox.dropped == 0
    records.close()


def test_a_record_needs_little_room_and_gives_it_back(tmp_path: Path) -> None:
    database = Database.within(tmp_path)
    upgrade(database)
    database.write(lambda connection: keep_tenant(connection, Tenant("acme"), 1))
    many, chance = 20_000, random.Random(5)
    before = size(database)
    for start in range(0, many, 1000):
        keep(database, *(plausible(chance, number) for number in range(start, start + 1000)))

    used = size(database) - before
    gone = prune(database, NOW + 500 * DAY)
    left = size(database) - before
    database.close()

    assert used / many < 120  # the sums among it, which weigh little once there are more records
    assert gone == many
    assert left < used / 10


def plausible(chance: random.Random, number: int) -> Served:
    """One of ten a second, from a hundred keys, for three models."""
    return served(
        number,
        NOW - DAY + number * 100,
        **dict.fromkeys(("run", "request"), f"run-{chance.randbytes(12).hex()}"),
        key=f"k-{chance.randrange(100)}",
        project=f"p-{chance.randrange(5)}",
        model=f"m-{chance.randrange(3)}",
        input_tokens=chance.randrange(4000),
        output_tokens=chance.randrange(800),
        cost=Money(chance.randrange(10**7)),
        seconds=chance.lognormvariate(0, 0.7),
    )


def size(database: Database) -> int:
    def bytes_of(connection: Connection) -> int:
        pages, each = (connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("page_count", "page_size"))
        return int(pages or 0) * int(each or 0)

    return database.read(bytes_of)


def test_records_of_an_earlier_schema_are_found_by_their_keys_and_runs(database: Database) -> None:
    keep(database, *(served(number, NOW + number * 11 * MINUTE, key=f"k-{number % 2}") for number in range(6)))
    migrate(database, "0007_watching")
    migrate(database)

    kept = runs(database, Filter(key="k-1"))
    found_again = database.read(lambda connection: record_of(connection, "acme", served(3).run))

    assert [each.run for each in kept] == [served(number).run for number in (5, 3, 1)]
    assert found_again == kept[1]


def test_records_come_back_from_an_earlier_schema_as_they_were(database: Database) -> None:
    keep(
        database,
        served(1),
        served(2, NOW + 1, code="busy", status=503, member="m-1", cost=None, streamed=True, deployment=None),
        served(3, NOW + 2, project=None, key=None, purpose=None, transaction="order 7", route="the cheapest"),
    )
    before = runs(database)

    migrate(database, "0011_knowledge")
    migrate(database)

    assert runs(database) == before
    assert [kept.run for kept in runs(database, Filter(failed=True))] == [served(2).run]
    keep(database, served(4, NOW + 3))
    assert rows_of(database, "record_groups") == 3
