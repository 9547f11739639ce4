"""How long a router takes to decide among 20 candidates, for each strategy, in this process and without a network.

`answering` is what the decision on the way to an answer takes, as the run's record says: a strategy that looks at no
feature has none measured. `explaining` is timed from outside and does strictly more: every feature, and the expected
cost and latency of every candidate. No two questions have the same text.

On a machine with other work the slowest of a hundred is one whom the kernel took off its core for some milliseconds. So
the 99th percentile is given twice: of all, and of those that were left alone.
"""

from __future__ import annotations

import asyncio
import random
import resource
import statistics
from collections.abc import AsyncGenerator, Mapping
from time import perf_counter
from typing import Any, NamedTuple

from dirigent.core.catalog import publishable
from dirigent.core.events import collect
from dirigent.core.identity import Principal
from dirigent.core.messages import Message, Request, Text
from dirigent.core.ports import HttpCall, HttpTaker, Ports, Timeouts
from dirigent.core.registry import Reader
from dirigent.core.run import Run
from dirigent.local.embedder import LocalEmbedder
from dirigent.memory import (
    MemoryAffinity,
    MemoryListings,
    MemoryObserver,
    MemorySecrets,
    MemorySlots,
    MemoryVitals,
    NoLocalModels,
    NoSpeech,
)
from dirigent.models import MODELS
from dirigent.models.providers import PROVIDERS
from dirigent.models.providers.provider import Provider
from dirigent.models.strategies import STRATEGIES
from dirigent.models.verifiers import VERIFIERS

__all__ = ["CANDIDATES", "ENCODER_AT_TIMES", "Spread", "Timing", "decided"]

CANDIDATES = tuple(f"model-{number:02}" for number in range(20))
ENCODER_AT_TIMES = "domain, encoder where unsure"
"""`domain` as it is set unless somebody says otherwise, its patience included."""
_WARM = 50
_SENTENCES = """\
Bitte fassen Sie den Vertrag mit der Druckerei zusammen und nennen Sie alle Fristen.
Which of the two offers is cheaper over three years, and which risks does it carry?
Der Kunde wartet seit Montag auf die Lieferung und bittet um einen Rückruf.
Write a short note to the team about the change of the release date.
Die Umsatzsteuer für die Rechnung aus Österreich wurde nicht ausgewiesen.
The indemnity clause must survive the termination of this agreement.
Wie viele Urlaubstage stehen einer Teilzeitkraft mit 24 Stunden in der Woche zu?
Our gateway restarts every night at 3 and drops 120 open connections.
Vergleichen Sie beide Entwürfe und begründen Sie, welcher besser zur Zielgruppe passt.
The sensor reports 4.7 bar although the valve is closed; what should we check first?
def total(rows): return sum(row["price"] * row["count"] for row in rows)
SELECT customer, sum(amount) FROM invoice WHERE paid IS NULL GROUP BY customer;
Prove that the sum of two even numbers is even.
Der Pressespiegel soll mindestens fünf Quellen enthalten, ohne Werbung.
Please translate the manual into French and keep the numbering of the chapters.
Die Patientin klagt seit zwei Wochen über Kopfschmerzen und Schwindel.
Calculate the net present value for a rate of 6.5 % over 10 years.
Explain to a new colleague how we approve an order above 5,000 euros.""".splitlines()


class Spread(NamedTuple):
    """Microseconds."""

    median: float
    p99: float
    undisturbed_p99: float
    """Of those during which the kernel did not take the core away."""


class Timing(NamedTuple):
    """How long one strategy takes on prompts of one size."""

    strategy: str
    characters: int
    asked: int
    answering: Spread
    explaining: Spread


def _strategies() -> dict[str, tuple[Mapping[str, Any], int]]:
    """The settings of each strategy, and how many questions it is asked."""
    first, *_, last = CANDIDATES
    middle = CANDIDATES[10]
    rules = [
        {"when": "tools > 0 or images > 0", "use": last},
        {"when": "code > 0.8", "use": middle},
        {"when": "language == 'fr' or specialist_terms > 40", "use": CANDIDATES[5]},
        {"when": "words > 100 and questions > 0", "use": [last, middle]},
    ]
    domain = {"type": "domain", "subjects": {"law": last, "technology": middle, "finance": last}, "otherwise": first}
    return {
        "fixed": ({"type": "fixed"}, 600),
        "weighted": ({"type": "weighted", "weights": dict.fromkeys(CANDIDATES, 1.0), "together": "conversation"}, 600),
        "cheapest": ({"type": "cheapest"}, 600),
        "fastest": ({"type": "fastest"}, 600),
        "rules": ({"type": "rules", "rules": rules}, 600),
        "complexity": ({"type": "complexity"}, 600),
        "least_busy": ({"type": "least_busy"}, 600),
        "cascade": ({"type": "cascade", "verify": ["structure"]}, 600),
        "domain, word table alone": ({**domain, "encoder": False}, 600),
        ENCODER_AT_TIMES: (domain, 100),
        "domain, encoder always": ({**domain, "patience": 2.0, "unsure_below": 1.0}, 20),
    }


async def decided() -> list[Timing]:
    """Times every strategy of the table on prompts of 1,000 and 8,000 characters."""
    strategies = _strategies()
    untimed = set(STRATEGIES.kinds) - {settings["type"] for settings, _ in strategies.values()}
    if untimed:
        raise RuntimeError(f"no questions for {', '.join(sorted(untimed))}: say here with which settings it is timed")
    embedder = LocalEmbedder()
    ports = Ports(
        http=_Instant(),
        local=NoLocalModels(),
        embedder=embedder,
        speech=NoSpeech(),
        listings=MemoryListings(),
        vitals=MemoryVitals(),
        slots=MemorySlots(),
        affinity=MemoryAffinity(),
        secrets=MemorySecrets(),
        observer=MemoryObserver(),
    )
    try:
        return [
            await _timed(name, settings, characters, asked, ports)
            for name, (settings, asked) in strategies.items()
            for characters in (1_000, 8_000)
        ]
    finally:
        await embedder.close()


async def _timed(name: str, settings: Mapping[str, Any], characters: int, asked: int, ports: Ports) -> Timing:
    deployments = {
        candidate: {
            "type": "deployment",
            "provider": "up",
            "name": candidate,
            "price": {"input": 1 + place / 10, "output": 4 + place / 5},
            "context_window": 128_000,
            "quality": place / 20,
        }
        for place, candidate in enumerate(CANDIDATES)
    }
    router = {"type": "router", "candidates": list(CANDIDATES), "strategy": settings}
    document = {
        "providers": {"up": {"type": "compatible", "base_url": "http://127.0.0.1:9/v1"}},
        "models": {**deployments, "auto": router},
    }
    reader = Reader((MODELS, PROVIDERS, STRATEGIES, VERIFIERS))
    catalog = publishable(document, reader, ports.listings, ports.secrets, Provider)
    chance = random.Random(characters)
    answering: list[tuple[float, bool]] = []
    explaining: list[tuple[float, bool]] = []
    warm = min(_WARM, asked // 6)
    for number in range(warm + asked):
        # another text for each, for the encoder remembers what it has read
        request, other = (
            Request(model="auto", messages=(Message("user", (Text(_text(chance, characters)),)),)) for _ in range(2)
        )
        run = Run(f"run-{number}", "auto", catalog, ports, Principal("t", "p", "k"), 60.0)
        switches = _switches()
        await collect(run.ask("auto", request))
        answering.append((run.record.decisions[0].microseconds, _switches() == switches))
        switches, began = _switches(), perf_counter()
        await run.explain("auto", other)
        explaining.append(((perf_counter() - began) * 1e6, _switches() == switches))
    return Timing(name, characters, asked, _spread(answering[warm:]), _spread(explaining[warm:]))


def _switches() -> int:
    """How often the kernel has taken the core away from this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _text(chance: random.Random, characters: int) -> str:
    """German and English sentences of an office, with some program text, in a new order and with new numbers."""
    said: list[str] = []
    length = 0
    while length < characters:
        sentence = f"{chance.choice(_SENTENCES)} ({chance.randrange(10_000)})"
        said.append(sentence)
        length += len(sentence) + 1
    return "\n".join(said)[:characters]


def _spread(figures: list[tuple[float, bool]]) -> Spread:
    everything = [microseconds for microseconds, _ in figures]
    alone = [microseconds for microseconds, undisturbed in figures if undisturbed]
    return Spread(statistics.median(everything), _p99(everything), _p99(alone))


def _p99(figures: list[float]) -> float:
    return statistics.quantiles(figures, n=100)[98] if len(figures) > 1 else float("nan")


class _Instant:
    """An HTTP client whose provider answers at once, without any network."""

    async def open(self, call: HttpCall, timeouts: Timeouts) -> _Answer:
        return _Answer()

    def push(self, call: HttpCall, timeouts: Timeouts, taker: HttpTaker) -> None:
        """No connection waits: every answer is waited for."""


class _Answer:
    """A whole chat completion."""

    status = 200
    ahead = False
    headers: Mapping[str, str] = {"content-type": "application/json"}
    _BODY = (
        b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":'
        b'"assistant","content":"Yes."},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1,'
        b'"total_tokens":10}}'
    )

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        yield self._BODY

    async def read(self) -> bytes:
        return self._BODY

    def close(self) -> None:
        """There is nothing to close."""


if __name__ == "__main__":
    for timing in asyncio.run(decided()):
        print(timing)
