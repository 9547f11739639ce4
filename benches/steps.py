"""What a step costs in this process, and what walking five ways at once costs beside the slowest of them.

Nothing is durable here and nobody is asked over a network: this is what walking itself takes. Each figure is the best
of several rounds, for what else the machine does only ever adds to it.
"""

from __future__ import annotations

import asyncio
import sys
from time import perf_counter
from typing import Any, NamedTuple

from dirigent.core.catalog import publishable
from dirigent.core.events import collect
from dirigent.core.identity import Principal
from dirigent.core.messages import Message, Request, Text
from dirigent.core.ports import Ports
from dirigent.core.registry import Reader
from dirigent.core.run import Run
from dirigent.memory import (
    MemoryAffinity,
    MemoryListings,
    MemoryObserver,
    MemorySecrets,
    MemorySlots,
    MemoryVitals,
    NoEmbedder,
    NoLocalModels,
    NoSpeech,
)
from dirigent.models import MODELS
from dirigent.models.providers import PROVIDERS
from dirigent.models.providers.provider import Provider
from dirigent.models.steps import STEPS
from dirigent.models.strategies import STRATEGIES
from dirigent.models.tools import TOOLS
from dirigent.models.verifiers import VERIFIERS
from dirigent.net import HttpClient
from dirigent.policies import POLICIES

__all__ = ["Walked", "walked"]

STEPS_EACH = 100
PAUSE = 0.2
WAYS = 5


class Walked(NamedTuple):
    """What was found."""

    microseconds: float
    """A step of a pipeline of a hundred, every other one a `set` and a `calculate`."""
    ratio: float
    """Five ways at once, each of which takes 0.2 s, against 0.2 s."""


async def walked(rounds: int = 20) -> Walked:
    """Measures both."""
    listings, secrets = MemoryListings({}), MemorySecrets({})
    tables = (MODELS, PROVIDERS, STEPS, STRATEGIES, TOOLS, VERIFIERS, POLICIES)
    catalog = publishable(_document(), Reader(tables), listings, secrets, Provider)
    http = HttpClient()
    ports = Ports(
        http=http,
        local=NoLocalModels(),
        embedder=NoEmbedder(),
        speech=NoSpeech(),
        listings=listings,
        vitals=MemoryVitals(),
        slots=MemorySlots(),
        affinity=MemoryAffinity(),
        secrets=secrets,
        observer=MemoryObserver(),
    )

    async def seconds(model: str) -> float:
        run = Run("bench", "", catalog, ports, Principal("tenant", "project", "key"), 60.0)
        request = Request(model=model, messages=(Message("user", (Text("hello"),)),))
        began = perf_counter()
        await collect(run.ask(model, request))
        return perf_counter() - began

    many = min([await seconds("many") for _ in range(rounds)])
    wide = min([await seconds("wide") for _ in range(3)])
    http.close()
    return Walked(many / STEPS_EACH * 1e6, wide / PAUSE)


def _document() -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"type": "calculate", "name": "s0", "values": {"n": "size(input.text)"}}]
    for place in range(1, STEPS_EACH):
        if place % 2:
            values = {"x": f"{{{{ s{place - 1}.n }}}} and {{{{ input.text | upper }}}}"}
            steps.append({"type": "set", "name": f"s{place}", "values": values})
        else:
            steps.append({"type": "calculate", "name": f"s{place}", "values": {"n": f"size(s{place - 1}.x) * 1.5"}})
    ways = {f"w{place}": [{"type": "ask", "name": "a", "model": "slow"}] for place in range(WAYS)}
    return {
        "models": {
            "slow": {"type": "echo", "says": "x", "pause": PAUSE},
            "many": {"type": "pipeline", "steps": steps},
            "wide": {"type": "pipeline", "steps": [{"type": "parallel", "name": "p", "branches": ways}]},
        }
    }


def main() -> int:
    """Prints both."""
    found = asyncio.run(walked())
    print(f"{found.microseconds:.1f} µs a step of {STEPS_EACH}, `set` and `calculate` in turn, nothing durable")
    print(f"{found.ratio:.3f} of its slowest way: {WAYS} ways at once")
    return 0


if __name__ == "__main__":
    sys.exit(main())
