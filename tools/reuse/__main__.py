"""`python -m tools.reuse`: hits and false hits over thresholds, with and without guards. Wants the extra `local`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from itertools import product
from operator import mul
from pathlib import Path

from dirigent.local.embedder import LocalEmbedder
from dirigent.policies.reuse.guards import differ

__all__ = ["Pair", "halves", "pairs"]

PAIRS = Path(__file__).with_name("pairs.txt")
THRESHOLDS = (0.84, 0.86, 0.88, 0.90, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)
Pair = tuple[str, str, bool]
"""Two questions, and whether they mean the same."""


def halves() -> tuple[list[str], list[str]]:
    """The topics by which guards and threshold were chosen, and those held out: every other one."""
    topics = list(_table())
    return topics[::2], topics[1::2]


def pairs(topics: Sequence[str]) -> list[Pair]:
    """The pairs of some topics: each question with its paraphrase, and with its double that means something else."""
    table = _table()
    return [
        (question, other, same)
        for topic in topics
        for question, paraphrase, double in table[topic]
        for other, same in ((paraphrase, True), (double, False))
    ]


def _table() -> dict[str, list[list[str]]]:
    """By topic: a question, another that means the same, and one that does not though it looks alike."""
    table: dict[str, list[list[str]]] = {}
    topic: list[list[str]] = []
    for line in PAIRS.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            topic = table.setdefault(line[2:], [])
        else:
            topic.append(line.split(" | "))
    return table


async def _alike(of: Sequence[Pair]) -> list[float]:
    embedder = LocalEmbedder()
    try:
        texts = sorted({text for one, other, _ in of for text in (one, other)})
        vectors = dict(zip(texts, await embedder.encode(texts, "query", "tools"), strict=True))
    finally:
        await embedder.close()
    return [sum(map(mul, vectors[one], vectors[other])) for one, other, _ in of]


def main() -> int:
    """Prints one table for each half."""
    for name, topics in zip(("train", "held out"), halves(), strict=True):
        labelled = pairs(topics)
        scores = asyncio.run(_alike(labelled))
        same = sum(each[2] for each in labelled)
        print(f"{name}: {same} that mean the same, {len(labelled) - same} that do not\n")
        print("| threshold | hits | false hits | hits, guarded | false hits, guarded |\n|---|---|---|---|---|")
        for threshold in THRESHOLDS:
            cells: list[str] = []
            for guarded, wanted in product((False, True), (True, False)):
                hits = sum(
                    score >= threshold and not (guarded and differ(one, other))
                    for (one, other, means), score in zip(labelled, scores, strict=True)
                    if means is wanted
                )
                cells.append(f"{hits / (same if wanted else len(labelled) - same):.1%}")
            print(f"| {threshold:.2f} | {' | '.join(cells)} |")
        missed = [
            (round(score, 3), one, other)
            for (one, other, means), score in zip(labelled, scores, strict=True)
            if not means and not differ(one, other)
        ]
        print("\nlet through by the guards:", *sorted(missed, reverse=True)[:25], "", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
