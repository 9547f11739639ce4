"""A model that says what a test has written down for it, one text after the other."""

from __future__ import annotations

from typing import cast

from dirigent.core.errors import Unavailable
from dirigent.core.events import Answer, Finished, TextDelta, UsageReported
from dirigent.core.messages import Request
from dirigent.core.model import Model
from dirigent.core.run import Attempt, Run
from dirigent.core.usage import Money, Usage
from tests.world import World

__all__ = ["Recited", "asked_of"]


class Recited(Model, frozen=True):
    """Says these texts, one for each request, then the last for ever; `!` stands for a failure that may pass."""

    says: tuple[str, ...] = ("",)

    async def answer(self, request: Request, run: Run) -> Answer:
        heard = cast("list[Request]", run.catalog.kept.setdefault(("recited", run.model), []))
        text = self.says[min(len(heard), len(self.says) - 1)]
        heard.append(request)
        if text == "!":
            run.record.attempts.append(Attempt(run.model, Unavailable.code, 0.0))
            raise Unavailable(f"{run.model!r} fails")
        run.record.deployment = run.model
        yield TextDelta(text)
        run.record.attempts.append(Attempt(run.model, "answered", 0.0))
        run.record.settle(Usage(1, 1), Money(1_000_000))
        yield Finished("stop")
        yield UsageReported(Usage(1, 1))


def asked_of(world: World, model: str) -> list[Request]:
    """What such a model was asked, in order."""
    return cast("list[Request]", world.catalog.kept.get(("recited", model), []))
