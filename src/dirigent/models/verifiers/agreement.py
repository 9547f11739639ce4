"""Whether a model says the same when it is asked again."""

from __future__ import annotations

import asyncio
from typing import Annotated

from msgspec import Meta

from dirigent.core.errors import DirigentError, Unavailable
from dirigent.core.events import collect
from dirigent.core.messages import Request, Response
from dirigent.core.run import Run
from dirigent.models.verifiers.verifier import Verdict, Verifier, accepted, refused

__all__ = ["Agreement"]


class Agreement(Verifier, frozen=True):
    """Accept an answer that the same model gives again when it is asked several times.

    It is asked `samples` times in all, with some chance; each time is one of the run's tries and is paid for. Texts are
    the same where they differ in no more than case, punctuation and spaces; with `similarity` where the local encoder
    finds their meaning that close (without the encoder, the texts are compared after all).
    """

    samples: Annotated[int, Meta(ge=2, le=7)] = 3
    """How often the model is asked in all, the answer in question included."""
    share: Annotated[float, Meta(gt=0, le=1)] = 0.6
    """The share of all samples that have to say the same as the answer, itself included."""
    similarity: Annotated[float, Meta(gt=0, lt=1)] | None = None
    """The cosine from which two texts mean the same, such as 0.93; without it the words are compared."""
    temperature: Annotated[float, Meta(gt=0, le=2)] = 0.7
    """The chance in further samples where the request itself leaves none."""

    async def verdict(self, request: Request, response: Response, name: str, run: Run) -> Verdict:
        """Asks again, all at once, and counts who agrees."""
        again = request.changed(temperature=request.temperature or self.temperature, seed=None, choices=1, stream=False)
        voice = run.record.voice
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(_sample(name, again, run)) for _ in range(self.samples - 1)]
        run.record.voice = voice  # the samples have spoken too, but not to the caller
        texts = [sample for task in asked if (sample := task.result()) is not None]
        agreeing = 1 + await self._agreeing(response.text, texts, run)
        words = f"{agreeing} of {self.samples} samples say the same"
        return accepted(words) if agreeing / self.samples >= self.share else refused(words)

    async def _agreeing(self, text: str, others: list[str], run: Run) -> int:
        plain = _plain(text)
        same = [_plain(other) == plain for other in others]
        if self.similarity is None or all(same):
            return sum(same)
        try:
            first, *vectors = await run.ports.embedder.encode([text, *others], scope=run.principal.tenant)
        except Unavailable:
            return sum(same)
        close = [sum(map(float.__mul__, map(float, first), map(float, vector))) for vector in vectors]
        return sum(words or cosine >= self.similarity for words, cosine in zip(same, close, strict=True))


async def _sample(name: str, request: Request, run: Run) -> str | None:
    """Another answer; None where there is none, which agrees with nothing."""
    try:
        return (await collect(run.ask(name, request, backed=True))).text
    except DirigentError:
        return None


def _plain(text: str) -> str:
    """The text without case, punctuation and spaces."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())
