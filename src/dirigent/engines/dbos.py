"""The engine for many nodes that leaves it to DBOS which of them walks which segment; the journal is our own.

A segment of a run is one workflow of DBOS, named by the run and its fence, so however many nodes see that a run is
ready, it is handed out once. DBOS's rows say which run and nothing else, and may be lost: what is due stands in the
journal, and is handed out again. Its version is fixed, for a run stands on the digest of what was published and on no
source of a workflow; and that a node has died is seen by the lease in the journal, for DBOS itself has none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import time
from typing import Protocol

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID

from dirigent.core.errors import DirigentError
from dirigent.core.journal import Claimed
from dirigent.core.ports import Journal
from dirigent.engines.embedded import EmbeddedEngine
from dirigent.engines.engine import LEASE, Segment

__all__ = ["DbosEngine", "Dispatched"]

_log = logging.getLogger("dirigent.engines")
_QUEUE = "dirigent-segments"
_VERSION = "dirigent-1"
"""What a workflow does: it changes where the one below does something else, and never with what is published."""
_LOOK_EVERY = 0.2
_STALE_AFTER = 5.0
"""Seconds between two looks for workflows whose node has died."""
_AGAIN = 10.0
"""Seconds after which a segment that nobody has taken is handed out again."""
_LAST = 5
"""Seconds in which DBOS may still write down that a workflow has ended, once nothing is walked any more."""
_AT_ONCE = 100


class Dispatched(Journal, Protocol):
    """A journal whose runs can be taken one by one."""

    async def due(self, most: int) -> Sequence[tuple[str, int]]:
        """Runs that may be taken now, each with its present fence."""
        ...

    async def take(self, run: str, fence: int, worker: str, seconds: float) -> Claimed | None:
        """Takes this run, where it may still be taken and its fence is still this one."""
        ...

    async def idle(self, segments: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
        """Those of these segments, each a run and its fence before it was taken, that nobody walks any more."""
        ...


class DbosEngine(EmbeddedEngine):
    """Runs durable runs in this process and its like, as DBOS hands them out. One for each process."""

    def __init__(
        self, journal: Dispatched, worker: str, address: str, *, places: int = 50, lease: float = LEASE
    ) -> None:
        super().__init__(journal, worker, places=places, lease=lease)
        self._dispatched = journal
        self._address = address
        self._workflow: Callable[[str, int], str] = self._handed_to_us
        self._looking: asyncio.Task[None] | None = None
        self._handed: dict[tuple[str, int], float] = {}
        """What was handed out lately, and when."""

    async def start(self, segment: Segment) -> None:
        """Begins to hand segments out, and to walk those that it is handed."""
        await asyncio.to_thread(self._launch)
        await super().start(segment)
        self._looking = asyncio.create_task(self._look_for_dead())

    async def close(self, seconds: float = 0.0) -> None:
        """As the contract has it; then DBOS ends."""
        looking, self._looking = self._looking, None
        if looking is None:
            return
        looking.cancel()
        await asyncio.wait([looking])
        await super().close(seconds)
        await asyncio.to_thread(partial(DBOS.destroy, destroy_registry=True, workflow_completion_timeout_sec=_LAST))

    def _launch(self) -> None:
        config = DBOSConfig(
            name="dirigent",
            system_database_url=self._address,
            application_version=_VERSION,
            executor_id=self._worker,
            serializer=DBOSPortableJSONSerializer(),
            log_level="WARNING",
        )
        DBOS(config=config)

        def segment(run: str, fence: int) -> str:
            return self._handed_to_us(run, fence)

        self._workflow = DBOS.workflow(name="segment")(segment)
        DBOS.launch()
        DBOS.register_queue(
            _QUEUE, worker_concurrency=self._places, polling_interval_sec=_LOOK_EVERY, on_conflict="always_update"
        )

    def _handed_to_us(self, run: str, fence: int) -> str:
        """The workflow, on a thread of DBOS: has one segment walked on the loop, and says how that went."""
        loop = self._loop
        if loop is None:
            return "closed"
        return asyncio.run_coroutine_threadsafe(self._walked(run, fence), loop).result()

    async def _walked(self, run: str, fence: int) -> str:
        claimed = await self._dispatched.take(run, fence, self._worker, self._lease)
        if claimed is None:
            return "stale"
        await self._begin(claimed)
        return "walked"

    async def _take(self) -> None:
        """Hands out what is due, instead of taking it."""
        while True:
            await _news_within(self._news, _LOOK_EVERY)
            try:
                due = await self._dispatched.due(_AT_ONCE)
                if due:
                    await asyncio.to_thread(self._hand_out, due)
            except DirigentError as error:
                _log.warning("no runs can be handed out for now: %s", error.message)
            except Exception:  # noqa: BLE001  a fault of ours must not end what everybody waits for
                _log.exception("no runs can be handed out for now")

    def _hand_out(self, due: Sequence[tuple[str, int]]) -> None:
        now = time()
        self._handed = {each: at for each, at in self._handed.items() if at > now - _AGAIN}
        for each in due:
            if each in self._handed:
                continue
            self._handed[each] = now
            run, fence = each
            # the name changes in time: one that DBOS has lost or given up is handed out again
            with SetWorkflowID(f"{run}/{fence}/{int(now / _AGAIN)}"):
                DBOS.enqueue_workflow(_QUEUE, self._workflow, run, fence)

    async def _look_for_dead(self) -> None:
        """Has workflows of nodes that have died end: their runs were handed out again, so they find nothing to do."""
        while True:
            await asyncio.sleep(_STALE_AFTER)
            try:
                pending = await asyncio.to_thread(_pending, self._worker)
                idle = set(await self._dispatched.idle([segment for segment, _ in pending]))
                for segment, workflow in pending:
                    if segment in idle:
                        await asyncio.to_thread(DBOS.resume_workflow, workflow)
            except Exception:  # noqa: BLE001  it is tried again soon, and no run waits for it
                _log.exception("workflows of nodes that have died cannot be looked for")


def _pending(worker: str) -> list[tuple[tuple[str, int], str]]:
    """The segments that other nodes have begun and not ended, as DBOS knows them, each with its workflow."""
    found: list[tuple[tuple[str, int], str]] = []
    for each in DBOS.list_workflows(status="PENDING", name="segment", limit=_AT_ONCE, load_input=False):
        if each.executor_id != worker:
            run, fence, _ = each.workflow_id.rsplit("/", 2)
            found.append(((run, int(fence)), each.workflow_id))
    return found


async def _news_within(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()
