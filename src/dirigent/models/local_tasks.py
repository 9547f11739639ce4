"""What this machine does beside chat, without any provider: vectors of texts, spoken texts, written sounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from time import monotonic
from typing import ClassVar, Literal

from dirigent.core.errors import DirigentError, Invalid, TooLong, Unsupported
from dirigent.core.events import Answer, Embedded, Spoken, Transcribed, UsageReported
from dirigent.core.messages import Embedding, Request, Speech, Task, Transcription
from dirigent.core.model import Model, Survey
from dirigent.core.profile import Profile
from dirigent.core.run import Attempt, Run
from dirigent.core.tokens import estimated
from dirigent.core.usage import Money, Price, Usage

__all__ = ["LocalEmbedding", "LocalSpeech", "LocalTranscription"]

_DIMENSIONS = 384
_LONGEST = 32_000
"""Characters of one text, about eight thousand tokens: the bound that callers know from elsewhere."""
_SIDES: dict[bytes, Literal["query", "passage"]] = {
    b'"query"': "query",
    b'"search_query"': "query",
    b'"passage"': "passage",
    b'"document"': "passage",
    b'"search_document"': "passage",
}
"""What callers say in `input_type`, which several vendors take beside OpenAI's fields."""


class _Here(Model, frozen=True):
    """A model that this machine runs by itself, for nothing."""

    tasks: ClassVar[frozenset[Task]]

    def profile(self, survey: Survey) -> Profile:
        """Free, and for its own tasks only."""
        return Profile(price=Price(Decimal(0), Decimal(0)), capabilities=frozenset(), tasks=self.tasks)

    def unsuited(self, request: Request, run: Run) -> Unsupported:
        """The refusal of a request that asks for something else."""
        tasks = " and ".join(sorted(self.tasks))
        return Unsupported(f"{run.model!r} does {tasks}; it takes no requests for {request.task}", param="model")


class LocalEmbedding(_Here, frozen=True):
    """Turns texts in a hundred languages into vectors of 384 dimensions, on this machine.

    It needs the optional packages of `dirigent[local]`. Its tokens are estimated. Vectors of texts that are sought and
    of texts that are searched differ a little: a request says which it has in `input_type`, `query` or `passage`.
    """

    tasks: ClassVar[frozenset[Task]] = frozenset(("embeddings",))

    side: Literal["query", "passage"] = "query"
    """What its texts are where the request does not say: sought or compared (`query`), or searched (`passage`)."""

    async def answer(self, request: Request, run: Run) -> Answer:
        """One vector for each text, in order."""
        job = request.job
        if not isinstance(job, Embedding):
            raise self.unsuited(request, run)
        texts = _readable(job)
        with _noted(run) as settle:
            vectors = await run.ports.embedder.encode(texts, self._side(request), run.principal.tenant)
            usage = settle(Usage(sum(map(estimated, texts)), estimated=True))
            for index, vector in enumerate(vectors):
                yield Embedded(index, tuple(vector))
            yield UsageReported(usage)

    async def count(self, request: Request, run: Run) -> int:
        """Estimated from the texts."""
        job = request.job
        return sum(map(estimated, _readable(job))) if isinstance(job, Embedding) else 0

    def _side(self, request: Request) -> Literal["query", "passage"]:
        given = request.extra.get("input_type")
        return self.side if given is None else _SIDES.get(bytes(given), self.side)


class LocalSpeech(_Here, frozen=True):
    """Speaks texts on this machine. It needs the optional packages of `dirigent[speech]`."""

    tasks: ClassVar[frozenset[Task]] = frozenset(("speech",))

    voice: str | None = None
    """The voice that speaks, whichever is asked for; by default the one that is asked for."""

    async def answer(self, request: Request, run: Run) -> Answer:
        """The whole sound at once."""
        job = request.job
        if not isinstance(job, Speech):
            raise self.unsuited(request, run)
        voice = self.voice or job.voice
        with _noted(run) as settle:
            sound = await run.ports.speech.speak(job.text, voice=voice, format=job.format, speed=job.speed)
            settle(Usage(estimated(job.text), estimated=True))
            yield Spoken(sound)


class LocalTranscription(_Here, frozen=True):
    """Writes down what is said in a sound, on this machine, and in English where it is asked to translate.

    It needs the optional packages of `dirigent[speech]`.
    """

    tasks: ClassVar[frozenset[Task]] = frozenset(("transcriptions", "translations"))

    language: str | None = None
    """What is spoken where the request does not say, such as `de`; by default it is recognised."""

    async def answer(self, request: Request, run: Run) -> Answer:
        """The whole transcript at once."""
        job = request.job
        if not isinstance(job, Transcription):
            raise self.unsuited(request, run)
        with _noted(run) as settle:
            transcript = await run.ports.speech.transcribe(
                job.audio,
                language=job.language or self.language,
                prompt=job.prompt,
                translate=job.translate,
                words=job.words,
                temperature=job.temperature,
            )
            settle(Usage(output_tokens=estimated(transcript.text), estimated=True))
            yield Transcribed(transcript)


@contextmanager
def _noted(run: Run) -> Iterator[Callable[[Usage], Usage]]:
    """Notes the attempt with its end; what it gives settles the usage, at no cost, once the work is done."""
    began, record = monotonic(), run.record

    def settle(usage: Usage) -> Usage:
        record.deployment = run.model
        record.settle(usage, Money(0))
        return usage

    try:
        yield settle
    except DirigentError as error:
        record.attempts.append(Attempt(run.model, error.code, monotonic() - began, error.message, began - run.started))
        raise
    except BaseException:  # cancelled, or left by whoever read it: nobody waits any more
        record.attempts.append(Attempt(run.model, "abandoned", monotonic() - began, "", began - run.started))
        raise
    record.attempts.append(Attempt(run.model, "answered", monotonic() - began, "", began - run.started))


def _readable(job: Embedding) -> list[str]:
    """The texts of a job that this machine can do. Raises Invalid that names the field at fault."""
    if job.dimensions not in (None, _DIMENSIONS):
        raise Invalid(f"dimensions: vectors made here have {_DIMENSIONS}, neither more nor fewer", param="dimensions")
    texts: list[str] = []
    for index, text in enumerate(job.texts):
        if not isinstance(text, str):
            raise Invalid(
                f"input[{index}]: these are tokens of another model's vocabulary; send the text", param="input"
            )
        if len(text) > _LONGEST:
            raise TooLong(
                f"input[{index}]: {len(text)} characters are more than {_LONGEST}, the most of one text", param="input"
            )
        texts.append(text)
    return texts
