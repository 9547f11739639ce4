"""A model that says what it was told: for tests, and for first steps without any weights."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from dirigent.core.errors import Unavailable, Unsupported
from dirigent.core.events import Answer, Finished, TextDelta, UsageReported
from dirigent.core.messages import Request
from dirigent.core.model import Model, Survey
from dirigent.core.profile import Profile
from dirigent.core.run import Attempt, Run
from dirigent.core.usage import Money, Price, Usage

__all__ = ["Echo"]


class Echo(Model, frozen=True):
    """Says the last message back, word by word. It costs nothing and asks nobody."""

    says: str | None = None
    """Say this instead of what was asked."""
    pause: Annotated[float, Meta(ge=0, le=60)] = 0.0
    """Seconds between two words."""
    fails: bool = False
    """Fail before the first word, to see what a fallback does."""

    async def answer(self, request: Request, run: Run) -> Answer:
        """The words, one event each, and a usage of one token a word."""
        if request.task != "chat":
            raise Unsupported(f"{run.model!r} only echoes; it takes no requests for {request.task}", param="model")
        if self.fails:
            run.record.attempts.append(Attempt(run.model, Unavailable.code, 0.0))
            raise Unavailable(f"{run.model!r} fails because its configuration says so")
        asked = request.messages[-1].text if request.messages else ""
        text = self.says if self.says is not None else asked
        run.record.deployment = run.model
        words = text.split(" ")
        for index, word in enumerate(words):
            if self.pause:
                await asyncio.sleep(self.pause)
            yield TextDelta(word if index == 0 else f" {word}")
        usage = Usage(sum(len(message.text.split()) for message in request.messages), len(words))
        run.record.attempts.append(Attempt(run.model, "answered", 0.0))
        run.record.settle(usage, Money(0))
        yield Finished("stop")
        yield UsageReported(usage)

    def profile(self, survey: Survey) -> Profile:
        """Free, and plain text only."""
        return Profile(price=Price(Decimal(0), Decimal(0)), capabilities=frozenset(), tasks=frozenset(("chat",)))
