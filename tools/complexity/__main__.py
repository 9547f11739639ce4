"""Prints the table of `docs/complexity.md`: `python -m tools.complexity FOLDER`.

The folder holds `queries.parquet` and `outcomes.parquet`. It needs pyarrow, which nothing else here does: install it
first.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet  # type: ignore[import-not-found]  # wanted here alone, so not part of the environment

from dirigent.models.features import measure
from dirigent.models.strategies.complexity import Weights, score_of

PAIRS = {
    "mmlu_pro": ("Meta-Llama-3_1-8B-Instruct", "gemini-1.5-pro-002"),
    "routellm_mmlu": ("mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"),
    "llmrouter": ("mistral-7b-instruct-v0.3", "llama-3.1-nemotron-51b-instruct"),
    "zeroeval_gsm": ("Meta-Llama-3.1-8B-Instruct", "claude-3-5-sonnet-20241022"),
    "zeroeval_crux": ("Meta-Llama-3.1-8B-Instruct", "claude-3-5-sonnet-20241022"),
    "zeroeval_math-l5": ("Meta-Llama-3.1-8B-Instruct", "claude-3-5-sonnet-20241022"),
    "bfcl_v1": ("meta-llama_Meta-Llama-3-8B-Instruct", "gpt-4-0125-preview"),
}
"""The cheap and the strong model of each source."""


class Case(NamedTuple):
    """One question, its score, and how well the cheap and the strong model did."""

    source: str
    score: float
    cheap: float
    strong: float

    @property
    def telling(self) -> bool:
        """Whether the strong model was worth its money: the cheap one failed, and it did not."""
        return self.cheap < 0.5 <= self.strong


def cases(folder: Path, split: str) -> Iterator[Case]:
    """The questions of a split for which both models of the pair were scored."""
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    for row in _rows(folder / "outcomes.parquet", ["query_id", "model", "score"]):
        scores[row["query_id"]][row["model"]] = row["score"]
    for row in _rows(folder / "queries.parquet", ["query_id", "source", "prompt", "split"]):
        cheap, strong = (scores[row["query_id"]].get(name) for name in PAIRS[row["source"]])
        if row["split"] == split and cheap is not None and strong is not None:
            features = measure([("user", row["prompt"])], tools=0, images=0, audio=0, wants_json=False, max_output=None)
            yield Case(row["source"], score_of(features, Weights()), cheap, strong)


def area(found: Sequence[Case]) -> float:
    """Area under the ROC curve of the score for the telling cases; equal scores count half."""
    places: dict[float, list[int]] = defaultdict(list)
    for place, score in enumerate(sorted(case.score for case in found), 1):
        places[score].append(place)
    telling = [case for case in found if case.telling]
    ranks = sum(sum(places[case.score]) / len(places[case.score]) for case in telling)
    positive, negative = len(telling), len(found) - len(telling)
    return (ranks - positive * (positive + 1) / 2) / (positive * negative)


def recovered(found: Sequence[Case], share: float) -> float:
    """The part of the quality between cheap and strong that is won where this share, by score, goes to strong."""
    dear = sorted(found, key=lambda case: -case.score)[: round(share * len(found))]
    return sum(case.strong - case.cheap for case in dear) / sum(case.strong - case.cheap for case in found)


def main() -> None:
    """Prints one line for all, one for all that were fitted, and one for each source of the development split."""
    found = list(cases(Path(sys.argv[1]), "dev"))
    fitted = [case for case in found if case.source != "bfcl_v1"]
    sources = sorted({case.source for case in found})
    groups: Iterable[tuple[str, Sequence[Case]]] = [
        ("all", found),
        ("all but tool calls", fitted),
        *((source, [case for case in found if case.source == source]) for source in sources),
    ]
    for name, group in groups:
        telling = sum(case.telling for case in group)
        print(f"{name:<20} {len(group):>6} questions  {telling:>5} telling  AUC {area(group):.3f}")
    print(f"half to the strong model, by score: {recovered(fitted, 0.5):.1%} of the quality between the two")


def _rows(path: Path, columns: list[str]) -> Iterable[dict[str, Any]]:
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path, columns=columns).to_pylist()
    return rows


if __name__ == "__main__":
    main()
