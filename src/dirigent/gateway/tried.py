"""What one step of a pipeline makes of what it is given to see, alone."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import Any

import msgspec

from dirigent.conductor import Conductor
from dirigent.core.errors import Invalid
from dirigent.core.journal import read, written
from dirigent.core.messages import Request
from dirigent.gateway.call import Call
from dirigent.gateway.shown import respond

__all__ = ["Try"]


class _Asked(msgspec.Struct):
    model: str
    step: str
    scope: Mapping[str, Any] = {}


class Try:
    """`POST /api/v1/steps/try`: `{model, step, scope}`; the step is walked, and what it asks is paid for."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    async def answer(self, call: Call) -> None:
        """The result, what the step tells of itself, and what it has used up."""
        try:
            asked = msgspec.convert(read(call.exchange.body), _Asked)
        except msgspec.DecodeError:
            raise Invalid("expected a JSON object of `model`, `step` and `scope`") from None
        run = await call.opened(Request(model=asked.model))
        began = monotonic()
        ended = await self._conductor.tried(asked.step, asked.scope, run)
        record = run.record
        respond(
            call,
            {
                "model": asked.model,
                "step": asked.step,
                "type": ended.step,
                "result": msgspec.Raw(written(ended.output)),
                "facts": ended.facts,
                "deployment": record.deployment,
                "cost": str(record.known_cost) if record.known_cost is not None else None,
                "seconds": round(monotonic() - began, 6),
            },
        )
