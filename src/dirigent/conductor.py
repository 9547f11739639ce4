"""The heart of the data plane: a name, a request and a principal become governed events."""

from __future__ import annotations

from collections.abc import Sequence

from dirigent.core.catalog import Catalog
from dirigent.core.decision import Decision
from dirigent.core.events import Answer
from dirigent.core.identity import Principal, Priority
from dirigent.core.messages import Request
from dirigent.core.ports import Ports
from dirigent.core.run import MAX_TRIES, Answering, Passage, Run

__all__ = ["Conductor"]


class Conductor:
    """Opens runs on the catalog of the moment. Swapping the catalog is one assignment; runs in flight keep theirs."""

    def __init__(self, catalog: Catalog, ports: Ports, *, seconds: float = 1800.0) -> None:
        self.catalog = catalog
        self.ports = ports
        self.seconds = seconds
        """How long a run may take in all."""

    def swap(self, catalog: Catalog) -> None:
        """From now on new runs see `catalog`."""
        self.catalog = catalog

    def open(
        self,
        run_id: str,
        model: str,
        principal: Principal,
        *,
        priority: Priority = "normal",
        purpose: str | None = None,
        sticky: str | None = None,
        trace: str | None = None,
        tries: int = MAX_TRIES,
    ) -> Run:
        """A new run on the present catalog, which begins with the model called `model`."""
        return Run(
            run_id, model, self.catalog, self.ports, principal, self.seconds, priority, purpose, sticky, trace, tries
        )

    def answer(self, request: Request, run: Run) -> Answer:
        """The events of the model with which `run` begins. Raises UnknownModel at once."""
        return self._facing(run).answer(request, run)

    def passage(self, request: Request, run: Run) -> Passage | None:
        """The straight way to the answer, where there is one now. Raises UnknownModel at once."""
        return self._facing(run).passage(request, run)

    async def explain(self, request: Request, run: Run) -> Sequence[Decision]:
        """The decisions that would be taken on `request`; nobody is asked. Empty where no router stands in the way."""
        return await self._facing(run).explain(request, run)

    async def count(self, request: Request, run: Run) -> int:
        """How many input tokens the request has for the model with which `run` begins; nobody answers it."""
        return await self._facing(run).count(request, run)

    @staticmethod
    def _facing(run: Run) -> Answering:
        return run.catalog.facing(run.model)
