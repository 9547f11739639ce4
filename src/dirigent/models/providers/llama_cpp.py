"""The embedded model: llama.cpp in a process of its own on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, ClassVar

from msgspec import Meta

from dirigent.core.errors import Finding
from dirigent.core.messages import Task
from dirigent.core.model import Survey
from dirigent.core.ports import Listing, Listings, LocalSetup, Origin
from dirigent.core.purposes import LOCAL
from dirigent.core.run import Run
from dirigent.core.usage import Price
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.models.providers.provider import Address, Provider

__all__ = ["LlamaCpp"]


class LlamaCpp(Provider, frozen=True):
    """A model on this machine, without account or internet: the pinned weights of the kit, or any GGUF file of yours.

    The deployment's `name` is a name of the kit (`dirigent pull --help` lists them), a file in the data folder's
    `models`, or the absolute path of a `.gguf` file.
    """

    lasting: ClassVar[bool] = False

    slots: Annotated[int, Meta(ge=1, le=64)] | None = None
    """How many requests it answers at once; by default 2 on up to two cores, else 4."""
    context: Annotated[int, Meta(ge=256, le=1_048_576)] = 4096
    """Tokens of context per slot: what one request and its answer may have together."""
    threads: Annotated[int, Meta(ge=1, le=512)] | None = None
    """Threads that compute; by default the cores that this process may use."""
    patience: Annotated[float, Meta(ge=0, le=600)] = 60.0
    """Seconds that a request waits while the model is still loading."""

    max_output: Annotated[int, Meta(ge=1)] = 1024
    """Tokens of an answer where the request sets no bound; a small model would ramble until its context is full."""

    def dialect(self, task: Task = "chat", preferred: str = "") -> Dialect | None:
        """OpenAI chat completions as llama.cpp speaks it.

        It notices that a caller has gone in streams only, and during the prompt only where progress is asked for.
        """
        return _dialect(self.max_output) if task == "chat" else None

    @property
    def setup(self) -> LocalSetup:
        """How its process is to run."""
        return LocalSetup(self.slots, self.context, self.threads)

    async def address(self, deployment: str, dialect: Dialect, run: Run) -> Address:
        """The model's own process, started if need be. Raises Unavailable in words while it is not there."""
        patience = min(self.patience, run.seconds_left)
        endpoint = await run.ports.local.endpoint(deployment, self.setup, patience)
        headers = (("authorization", f"Bearer {endpoint.key}"),)
        return Address(Origin(endpoint.host, endpoint.port, tls=False), "/v1", headers)

    def concurrency(self, deployment: str, run: Run) -> int | None:
        """Its slots: more than that would wait within its process, where nobody has priority."""
        return run.ports.local.slots(self.setup)

    def located(self) -> str | None:
        """On this machine."""
        return LOCAL

    def listing(self, deployment: str, listings: Listings) -> Listing | None:
        """Free of charge; its window is that of a slot."""
        return Listing(
            price=Price(Decimal(0), Decimal(0)),
            context_window=self.context,
            capabilities=frozenset(("json", "logprobs")),
            source="this machine",
        )

    def faults(self, deployment: str, survey: Survey) -> Iterable[Finding]:
        """None: which weights this machine has is known where they are, and asking for others says so."""
        return ()


@lru_cache(maxsize=16)
def _dialect(max_output: int) -> OpenAIChat:
    return OpenAIChat(
        passes_verbatim=False,
        always_streams=True,
        one_choice=True,
        usual_output=max_output,
        adds={"return_progress": True},
    )
