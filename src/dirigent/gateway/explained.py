"""Why a request would go where it goes: the decision, without asking anybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from dirigent.conductor import Conductor
from dirigent.core.decision import Decision
from dirigent.core.errors import Invalid
from dirigent.core.messages import Message, Request, Text
from dirigent.dialects.dialect import Dialect
from dirigent.gateway.call import Call
from dirigent.gateway.shown import respond

__all__ = ["Explain"]


class _Short(msgspec.Struct):
    text: str
    model: str = ""


class Explain:
    """`POST /api/v1/route/explain`: a chat request, or `{model, text}`, is decided upon and nobody is asked."""

    def __init__(self, conductor: Conductor, dialect: Dialect) -> None:
        self._conductor = conductor
        self._dialect = dialect

    async def answer(self, call: Call) -> None:
        """The decision as data, the outermost first."""
        request = self._request(call.exchange.body)
        if not request.model:
            request = self._conductor.named(request)
        run = await call.opened(request)
        decisions = await self._conductor.explain(request, run)
        respond(call, _explained(run.model, decisions))

    def _request(self, body: bytes) -> Request:
        try:
            short = msgspec.json.decode(body, type=_Short)
        except msgspec.DecodeError:
            return self._dialect.read_request(body)
        if not short.text:
            raise Invalid("text: there is nothing to decide upon", param="text")
        return Request(model=short.model, messages=(Message("user", (Text(short.text),)),))


def _explained(model: str, decisions: Sequence[Decision]) -> dict[str, Any]:
    if not decisions:
        reason = f"{model} is asked by its name; no router stands in between"
        return {
            "model": model,
            "deployment": model,
            "reason": reason,
            "features": {},
            "candidates": [],
            "microseconds": 0,
            "decisions": [],
        }
    outer = decisions[0]
    return {
        "model": model,
        "deployment": decisions[-1].chosen,
        "reason": outer.reason,
        "features": outer.features,
        "candidates": [_candidate(each) for each in outer.candidates],
        "microseconds": sum(decision.microseconds for decision in decisions),
        "decisions": [
            {**decision.asdict(), "candidates": [_candidate(each) for each in decision.candidates]}
            for decision in decisions
        ],
    }


def _candidate(considered: Any) -> dict[str, Any]:
    return {**msgspec.structs.asdict(considered), "cost": str(considered.cost) if considered.cost is not None else None}
