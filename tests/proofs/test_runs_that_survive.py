"""Durable runs go on through a storm of kills: on another live process, within three seconds, repeating nothing.

`KILLS=1000` makes the storm as long as that; it is shorter otherwise. Each worker is a process of its own that is
killed with SIGKILL at a moment drawn by lot while it walks runs; the others take its runs over by their leases.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import resource
import signal
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, process_time, time
from typing import Any

import pytest

from dirigent.core.approvals import Question, Verdict
from dirigent.core.identity import Principal
from dirigent.core.journal import Asked, Cancelled, Claimed, Decided, Ended, Spent, State, StepEnded, Submission
from dirigent.core.logbook import Append, Facts, Logbook
from dirigent.engines import EmbeddedEngine
from dirigent.store import Database, upgrade
from dirigent.store.journal import StoredJournal
from dirigent.store.pulse import Pulse
from dirigent.store.runs import Runs
from dirigent.store.vault import Vault
from tests.postgres import a_database
from tests.proofs.walker import STEPS, result_of, serve

pytestmark = pytest.mark.prove

KILLS = int(os.environ.get("KILLS", "60"))
WORKERS = 3
WAITING = int(os.environ.get("WAITING", "10000"))
WHO = Principal("acme", "sales", "k-1")
PROCESSES = multiprocessing.get_context("forkserver")


def a_run(run: str) -> Submission:
    return Submission(run=run, principal=WHO, model="m", revision="r", body=b"{}", submitted=time())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database; the proof runs once on each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'dirigent.db'}"
        return
    with a_database(request.getfixturevalue("postgres")) as found:
        yield found


class Storm:
    """Workers that are killed one after the other, and a person who answers what interrupted steps ask."""

    def __init__(self, address: str, folder: Path) -> None:
        PROCESSES.set_forkserver_preload(["tests.proofs.walker"])
        self.address, self.keys, self.notes = address, folder / "keys", folder / "notes"
        self.workers: list[Any] = []
        self.killed: list[tuple[float, int]] = []

    def begin(self) -> None:
        ready = PROCESSES.Event()
        worker = PROCESSES.Process(
            target=serve, args=(self.address, str(self.keys), str(self.notes), ready), daemon=True
        )
        worker.start()
        ready.wait(30)
        self.workers.append(worker)

    def kill(self) -> None:
        worker = self.workers.pop(0)
        os.kill(worker.pid, signal.SIGKILL)
        self.killed.append((time(), worker.pid))
        worker.join()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.notes.read_text().splitlines()]


async def vouch(journal: StoredJournal, left: set[str]) -> None:
    """Answers for interrupted steps that must not happen twice: as a person who has looked whether it was done."""
    for run in list(left):
        entries = await journal.load(run)
        if entries and isinstance(entries[-1], Ended):
            left.discard(run)
            continue
        decided = {entry.path for entry in entries if isinstance(entry, Decided)}
        for entry in entries:
            if isinstance(entry, Asked) and entry.path not in decided:
                verdict = Verdict("approved", answer={"result": f"{run}:send"}, by=("m-1",))
                await journal.wake(run, Decided(at=time(), path=entry.path, approval=entry.approval, verdict=verdict))


async def test_a_storm_of_kills_loses_nothing_and_repeats_nothing(url: str, tmp_path: Path) -> None:
    found = Database.at(url)
    upgrade(found)
    journal = StoredJournal(found, Vault(found, tmp_path / "keys"))
    journal.start()
    storm = Storm(url, tmp_path)
    runs: set[str] = set()
    await journal.submit(a_run("run-first"))
    runs.add("run-first")
    for _ in range(WORKERS):
        await asyncio.to_thread(storm.begin)

    for number in range(KILLS):
        for part in range(6):
            run = f"run-{number}-{part}"
            await journal.submit(a_run(run))
            runs.add(run)
        await asyncio.sleep(random.uniform(0.0, 0.12))
        storm.kill()
        await asyncio.to_thread(storm.begin)
    left = set(runs)
    async with asyncio.timeout(60):
        while left:
            await vouch(journal, left)
            await asyncio.sleep(0.1)
    for _ in range(WORKERS):
        storm.kill()

    lines = storm.lines()
    taken, interrupted = recoveries(lines, storm.killed[:-WORKERS])
    effects: dict[str, Counter[str]] = defaultdict(Counter)
    later: dict[tuple[str, str], float] = {}
    for line in lines:
        if line["what"] == "effect":
            effects[line["run"]][line["step"]] += 1
            later[line["run"], line["step"]] = line["at"]
    repeated = 0
    for run in runs:
        entries = await journal.load(run)
        ended = entries[-1]
        assert isinstance(ended, Ended)
        assert (ended.status, ended.output) == ("done", result_of(run)), run
        for entry in entries:
            if isinstance(entry, StepEnded) and (run, entry.path) in later:
                repeated += later[run, entry.path] > entry.at
        assert effects[run]["send"] <= 1, f"{run}: what must not happen twice has happened twice"
    again = sum(count - 1 for each in effects.values() for count in each.values() if count > 1)
    print(
        f"{'sqlite' if found.lite else 'postgresql'}: {KILLS} kills, {len(runs)} runs, {interrupted} interrupted;"
        f" another process went on after {median(taken):.2f} s (median), {max(taken):.2f} s at most;"
        f" finished steps done again: {repeated}; interrupted ones done again: {again}; `once` twice: 0"
    )
    assert repeated == 0
    assert max(taken) <= 3.0
    assert len(taken) == interrupted
    journal.close()
    found.close()


def recoveries(lines: list[dict[str, Any]], killed: list[tuple[float, int]]) -> tuple[list[float], int]:
    """For each run that a killed worker was walking: seconds until another process went on with it."""
    walked: dict[str, list[tuple[float, int]]] = defaultdict(list)
    holds: dict[int, set[str]] = defaultdict(set)
    for line in lines:
        if line["what"] == "walk":
            walked[line["run"]].append((line["at"], line["pid"]))
            holds[line["pid"]].add(line["run"])
        elif line["what"] == "rested":
            holds[line["pid"]].discard(line["run"])
    taken: list[float] = []
    interrupted = 0
    for at, pid in killed:
        for run in holds[pid]:
            following = [began - at for began, by in walked[run] if by != pid and began > at - 0.001]
            interrupted += 1
            if following:
                taken.append(min(following))
            else:
                interrupted -= 1  # its end was durable before the worker could note it
    return taken, interrupted


class Asking:
    """Asks people once, and is done."""

    def __init__(self) -> None:
        self.went_on: dict[str, float] = {}

    async def walk(self, claimed: Claimed, state: State, append: Append) -> Ended:
        book = Logbook(claimed.submission.run, state, append)
        verdict = await book.ask("ok", Question("Fine?", proposal={"a": 1}))
        self.went_on[claimed.submission.run] = monotonic()
        return Ended(status="done", output=verdict.answer)

    def over(self, claimed: Claimed, state: State, ended: Ended) -> None:
        pass

    def rested(self, run: str) -> None:
        pass


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_ten_thousand_runs_wait_for_people_as_rows(tmp_path: Path) -> None:
    found = Database.at(f"sqlite:///{tmp_path / 'd.db'}")
    upgrade(found)
    journal = StoredJournal(found, Vault(found, tmp_path / "keys"))
    journal.start()
    engine, asking = EmbeddedEngine(journal, "w"), Asking()
    pulse = Pulse(found)
    journal.news = engine.told  # as a node has it
    deciding = Runs(Vault(found, tmp_path / "keys"), news=engine.told)
    await engine.start(asking)
    pulse.start(lambda _: engine.told())
    for number in range(200):  # what is made once is not what ten thousand cost
        await engine.submit(a_run(f"warm-{number}"))
    await waiting(found, 200)
    before, threads = resident(), threading.active_count()

    began = monotonic()
    for number in range(WAITING):
        await engine.submit(a_run(f"run-{number}"))
    await waiting(found, 200 + WAITING)
    reached = monotonic() - began
    grown = (resident() - before) / 1e6
    busy, since = process_time(), monotonic()
    await asyncio.sleep(10)
    idle = (process_time() - busy) / (monotonic() - since)
    delays: list[float] = []
    for number in range(0, WAITING, max(1, WAITING // 200)):
        run, decided = f"run-{number}", monotonic()
        decision = Decided(at=time(), path="ok", approval="q", verdict=Verdict("approved", answer=1))
        await found.writing(partial(deciding.wake, run=run, entry=decision))  # as the control plane does it
        async with asyncio.timeout(5):
            while run not in asking.went_on:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        delays.append(asking.went_on[run] - decided)
    slowest = quantiles(delays, n=100)[98]
    print(
        f"{WAITING} waiting runs: {grown:.1f} MB more, {threading.active_count() - threads} threads more,"
        f" {100 * idle:.2f} % of a core; {WAITING / reached:.0f} runs/s came to wait;"
        f" decision to continued {1000 * median(delays):.1f} ms (median), {1000 * slowest:.1f} ms (p99)"
    )
    pulse.close()
    await engine.close()
    journal.close()
    found.close()
    assert grown <= 20
    assert idle <= 0.02
    assert slowest <= 0.1


async def waiting(database: Database, many: int) -> None:
    async with asyncio.timeout(300):
        while True:
            found = await database.reading(
                lambda connection: connection.exec_driver_sql(
                    "SELECT count(*) FROM runs WHERE status = 'waiting'"
                ).scalar()
            )
            if found == many:
                return
            await asyncio.sleep(0.05)


class Hanging:
    """Waits for an upstream that says nothing, and notes when that is closed."""

    def __init__(self) -> None:
        self.closed: dict[str, float] = {}
        self.begun: set[str] = set()
        self.asked_after = 0

    async def walk(self, claimed: Claimed, state: State, append: Append) -> Ended:
        run = claimed.submission.run

        async def work() -> tuple[object, Facts]:
            if run in self.closed:
                self.asked_after += 1
            self.begun.add(run)
            try:
                await asyncio.sleep(600)
            finally:
                self.closed[run] = monotonic()
            return None, {}

        for step, _ in STEPS:
            await Logbook(run, state, append).step(step, "hangs", work, Spent)
        return Ended(status="done")

    def over(self, claimed: Claimed, state: State, ended: Ended) -> None:
        pass

    def rested(self, run: str) -> None:
        pass


async def test_an_order_to_end_from_another_worker_closes_upstreams_at_once(url: str, tmp_path: Path) -> None:
    found = Database.at(url)
    upgrade(found)
    journal = StoredJournal(found, Vault(found, tmp_path / "keys"))
    other = StoredJournal(found, Vault(found, tmp_path / "keys"))  # as another process has it
    for each in (journal, other):
        each.start()
    engine, hanging, pulse = EmbeddedEngine(journal, "w"), Hanging(), Pulse(found)
    await engine.start(hanging)
    pulse.start(lambda _: engine.told())
    delays: list[float] = []
    for number in range(100):
        await engine.submit(a_run(f"run-{number}"))
        async with asyncio.timeout(5):
            while f"run-{number}" not in hanging.begun:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        ordered = monotonic()
        await other.wake(f"run-{number}", Cancelled(at=time(), by="m-1"))
        async with asyncio.timeout(5):
            while f"run-{number}" not in hanging.closed:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        delays.append(hanging.closed[f"run-{number}"] - ordered)
    print(
        f"{'sqlite' if found.lite else 'postgresql'}: cancelled from another worker; closed after"
        f" {1000 * median(delays):.1f} ms (median), {1000 * max(delays):.1f} ms at most; asked after that: "
        f"{hanging.asked_after}"
    )
    pulse.close()
    await engine.close()
    for each in (journal, other):
        each.close()
    found.close()
    assert quantiles(delays, n=100)[98] <= 0.1
    assert hanging.asked_after == 0
