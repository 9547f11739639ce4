"""The heart of the data plane: a name, a request and a principal become governed events."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dirigent.core.catalog import Catalog
from dirigent.core.decision import Decision
from dirigent.core.errors import Forbidden
from dirigent.core.events import Answer
from dirigent.core.grants import OPEN, Grant
from dirigent.core.identity import Principal, Priority
from dirigent.core.messages import Request
from dirigent.core.ports import Ports, Rights
from dirigent.core.run import MAX_TRIES, Answering, Passage, Run

__all__ = ["Conductor"]


class Conductor:
    """Opens runs on the catalog of the moment. Swapping the catalog is one assignment; runs in flight keep theirs."""

    def __init__(
        self, catalog: Catalog, ports: Ports, rights: Rights | None = None, *, seconds: float = 1800.0
    ) -> None:
        self.catalog = catalog
        self.ports = ports
        self.rights = rights
        """The rules of the moment; None where everybody with a key may do everything."""
        self.seconds = seconds
        """How long a run may take in all."""

    def swap(self, catalog: Catalog) -> None:
        """From now on new runs see `catalog`."""
        self.catalog = catalog

    def grant(self, principal: Principal, purpose: str | None) -> Grant:
        """What the principal may do for a purpose. Raises PurposeRequired."""
        return OPEN if self.rights is None else self.rights.grant(principal, purpose)

    def named(self, request: Request) -> Request:
        """A request that names no model, with the name of the one that answers then. Raises Invalid where none does."""
        return msgspec.structs.replace(request, model=self.catalog.default(request.task))

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
        """A new run on the present catalog, which begins with the model called `model`.

        Raises UnknownModel, PurposeRequired, and Forbidden with the rule that says so.
        """
        rights = self.rights
        if rights is None:
            grant = OPEN
        else:
            grant = rights.grant(principal, purpose)
            ruling = grant.may_ask(model)
            if not ruling.permitted:
                raise Forbidden(f"{ruling.rule}: {model!r} was not asked", param="model")
            purpose = grant.purpose.name if grant.purpose is not None else purpose
        run = Run(
            run_id,
            model,
            self.catalog,
            self.ports,
            principal,
            self.seconds,
            priority,
            purpose,
            sticky,
            trace,
            tries,
            grant,
        )
        if grant is not OPEN:
            run.permit(model)
        return run

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
