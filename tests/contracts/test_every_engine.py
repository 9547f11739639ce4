"""What every engine promises, over every journal: a run goes on until it is over, whoever dies or waits meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from time import time

import pytest

from dirigent.core.approvals import Question, Verdict
from dirigent.core.errors import Invalid
from dirigent.core.identity import Principal
from dirigent.core.journal import Cancelled, Claimed, Decided, Ended, Entry, Spent, State, StepEnded, Submission
from dirigent.core.logbook import Append, Facts, Logbook
from dirigent.core.ports import Journal
from dirigent.engines import EmbeddedEngine
from dirigent.engines.dbos import DbosEngine
from dirigent.memory.journal import MemoryJournal
from dirigent.store import Database, upgrade
from dirigent.store.journal import StoredJournal
from dirigent.store.vault import Vault

Story = Callable[[Logbook], Awaitable[object]]
WHO = Principal("acme", "sales", "k-1")


class Told:
    """Walks a story told in steps, and notes what happened."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.ended: list[tuple[str, Ended]] = []
        self.begun = asyncio.Event()
        self.left: list[str] = []

    async def walk(self, claimed: Claimed, state: State, append: Append) -> Ended:
        self.begun.set()
        output = await self.story(Logbook(claimed.submission.run, state, append))
        return Ended(status="done", output=output)

    def over(self, claimed: Claimed, state: State, ended: Ended) -> None:
        self.ended.append((claimed.submission.run, ended))

    def rested(self, run: str) -> None:
        self.left.append(run)


class Node:
    """Engines over one journal, as the workers of a node have them."""

    def __init__(self, journal: Journal, dbos: str | None = None) -> None:
        self.journal = journal
        self.dbos = dbos
        """Where DBOS keeps its own tables; the first engine is then its, and others are embedded ones beside it."""
        self.engines: list[EmbeddedEngine] = []

    async def engine(self, told: Told, *, lease: float = 60.0) -> EmbeddedEngine:
        if self.dbos is not None and not self.engines:
            assert isinstance(self.journal, StoredJournal)
            engine: EmbeddedEngine = DbosEngine(self.journal, "w-0", self.dbos, lease=lease)
        else:
            engine = EmbeddedEngine(self.journal, f"w-{len(self.engines)}", lease=lease)
        self.engines.append(engine)
        await engine.start(told)
        return engine


@pytest.fixture(params=["memory", "sqlite", "postgresql", "dbos"])
async def node(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Node]:
    if request.param == "memory":
        made = Node(MemoryJournal())
        yield made
        for engine in made.engines:
            await engine.close()
        return
    lite = request.param == "sqlite"
    address = f"sqlite:///{tmp_path / 'dirigent.db'}" if lite else request.getfixturevalue("founded_postgres")
    database = Database.at(address)
    upgrade(database)
    journal = StoredJournal(database, Vault(database, tmp_path / "keys"))
    journal.start()
    made = Node(journal, address if request.param == "dbos" else None)
    yield made
    for engine in made.engines:
        await engine.close()
    journal.close()
    database.close()


def a_run(run: str = "run-1") -> Submission:
    return Submission(run=run, principal=WHO, model="m", revision="r", body=b"{}", submitted=time())


async def step(book: Logbook, path: str, work: Callable[[], Awaitable[object]]) -> object:
    async def done() -> tuple[object, Facts]:
        return await work(), {}

    return await book.step(path, "test", done, Spent)


async def end_of(engine: EmbeddedEngine, run: str = "run-1") -> tuple[Ended, list[Entry]]:
    entries: list[Entry] = []
    async with asyncio.timeout(30), aclosing(engine.follow(run)) as told:
        entries.extend([entry async for entry in told])
    assert isinstance(entries[-1], Ended)
    return entries[-1], entries


async def test_a_run_is_walked_to_its_end_and_its_follower_hears_all_of_it(node: Node) -> None:
    async def story(book: Logbook) -> object:
        async def one() -> object:
            return 1

        return {"sum": [await step(book, "a", one), await step(book, "b", one)]}

    told = Told(story)
    engine = await node.engine(told)

    assert await engine.submit(a_run())
    ended, entries = await end_of(engine)

    assert (ended.status, ended.output) == ("done", {"sum": [1, 1]})
    assert [entry.path for entry in entries if isinstance(entry, StepEnded)] == ["a", "b"]
    await engine.close(10.0)  # whoever follows may read the end before it is told here
    assert [(run, end.status) for run, end in told.ended] == [("run-1", "done")]
    assert not await engine.submit(a_run())


async def test_what_fails_ends_the_run_with_its_code_and_words(node: Node) -> None:
    async def story(book: Logbook) -> object:
        raise Invalid("this cannot be")

    engine = await node.engine(Told(story))
    await engine.submit(a_run())
    ended, _ = await end_of(engine)

    assert (ended.status, ended.code, ended.output) == ("failed", "invalid_request", {"error": "this cannot be"})


async def test_a_fault_of_ours_ends_the_run_and_the_engine_goes_on(node: Node) -> None:
    async def story(book: Logbook) -> object:
        if book.run == "run-1":
            raise ZeroDivisionError
        return "fine"

    engine = await node.engine(Told(story))
    await engine.submit(a_run())
    await engine.submit(a_run("run-2"))

    assert (await end_of(engine))[0].code == "internal_error"
    assert (await end_of(engine, "run-2"))[0].output == "fine"


async def test_a_run_waits_for_people_as_a_row_and_goes_on_at_their_word(node: Node) -> None:
    done: list[str] = []

    async def story(book: Logbook) -> object:
        async def work() -> object:
            done.append("before")
            return "draft"

        draft = await step(book, "draft", work)
        verdict = await book.ask("ok", Question("Fine?", proposal=draft))
        return verdict.answer

    told = Told(story)
    engine = await node.engine(told)
    await engine.submit(a_run())
    async with asyncio.timeout(30):
        while told.left != ["run-1"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    decision = Decided(at=1.0, path="ok", approval="q", verdict=Verdict("edited", answer="better"))
    assert await engine.wake("run-1", decision)
    ended, _ = await end_of(engine)

    assert ended.output == "better"
    assert done == ["before"]
    assert not await engine.wake("run-1", decision)


async def test_a_run_sleeps_and_goes_on_by_itself(node: Node) -> None:
    async def story(book: Logbook) -> object:
        until = await book.remember("until", lambda: time() + 0.3)
        await book.sleep("nap", float(until))
        return "awake"

    engine = await node.engine(Told(story))
    await engine.submit(a_run())
    ended, _ = await end_of(engine)

    assert ended.output == "awake"


async def test_the_order_to_end_closes_what_is_open_at_once(node: Node) -> None:
    closed = asyncio.Event()

    async def story(book: Logbook) -> object:
        async def work() -> object:
            try:
                await asyncio.sleep(60)
            finally:
                closed.set()
            return None

        return await step(book, "long", work)

    told = Told(story)
    engine = await node.engine(told, lease=60.0)
    await engine.submit(a_run())
    await told.begun.wait()

    await engine.wake("run-1", Cancelled(at=1.0, by="m-1"))
    async with asyncio.timeout(30):
        await closed.wait()
    ended, _ = await end_of(engine)

    assert (ended.status, ended.code) == ("cancelled", "cancelled")
    assert [end.status for _, end in told.ended] == ["cancelled"]


async def test_a_run_whose_worker_stops_goes_on_at_another_one_and_repeats_nothing(node: Node) -> None:
    done: list[str] = []
    stuck = asyncio.Event()

    def story(by: str, last: Callable[[], Awaitable[object]]) -> Story:
        async def walked(book: Logbook) -> object:
            async def first() -> object:
                done.append(by)
                return by

            return [await step(book, "first", first), await step(book, "second", last)]

        return walked

    async def hangs() -> object:
        stuck.set()
        await asyncio.sleep(60)
        return None

    async def works() -> object:
        return "there"

    one = await node.engine(Told(story("one", hangs)), lease=60.0)
    await one.submit(a_run())
    await stuck.wait()
    other = await node.engine(Told(story("other", works)))

    await one.close()
    ended, _ = await end_of(other)

    assert ended.output == ["one", "there"]
    assert done == ["one"]


async def test_a_worker_that_was_taken_over_writes_nothing_more(node: Node) -> None:
    go_on, stuck = asyncio.Event(), asyncio.Event()
    told: list[str] = []

    async def slow(book: Logbook) -> object:
        async def work() -> object:
            stuck.set()
            await asyncio.shield(go_on.wait())
            return "slow"

        told.append(str(await step(book, "only", work)))
        return "slow"

    async def swift(book: Logbook) -> object:
        async def work() -> object:
            return "swift"

        return await step(book, "only", work)

    journal = node.journal
    await journal.submit(a_run())
    (claim,) = await journal.claim("paused", 0.05, 1)

    async def append(entries: Sequence[Entry]) -> None:
        await journal.append("run-1", claim.fence, entries)

    paused = asyncio.create_task(slow(Logbook("run-1", None, append)))
    await stuck.wait()
    other = await node.engine(Told(swift))
    ended, _ = await end_of(other)
    go_on.set()
    with pytest.raises(Exception, match="another worker goes on"):
        await paused

    assert ended.output == "swift"
    assert told == []
    outputs = [entry.output for entry in await journal.load("run-1") if isinstance(entry, StepEnded)]
    assert outputs == ["swift"]


async def test_a_hundred_runs_share_two_workers(node: Node) -> None:
    async def story(book: Logbook) -> object:
        async def work() -> object:
            await asyncio.sleep(0)
            return book.run

        return [await step(book, f"s{number}", work) for number in range(3)]

    first, second = Told(story), Told(story)
    engines = [await node.engine(first), await node.engine(second)]
    await asyncio.gather(*(engines[0].submit(a_run(f"run-{number}")) for number in range(100)))

    for number in range(100):
        ended, _ = await end_of(engines[0], f"run-{number}")
        assert ended.output == [f"run-{number}"] * 3

    assert len(first.ended) + len(second.ended) == 100
