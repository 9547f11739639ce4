"""The words that say what a prompt is about and what it asks for, found in `lexicon/` within microseconds.

A term of the lexicon is a word, two words, or a word with a star for what may stand before or after it; so `*vertrag*`
finds `Mietvertrag` and `Vertragsstrafe`, though nobody listed them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from typing import Final, NamedTuple

__all__ = ["FIELDS", "Terms", "terms_in"]

FIELDS: Final = ("law", "technology", "medicine", "finance", "marketing", "hr", "science", "mathematics")
"""The subjects that have a lexicon."""

_LISTS: Final = (*FIELDS, "tasks", "requirements")
_STEM: Final = 3
"""Letters of a starred term by which it is looked up; no starred term is shorter."""


class Terms(NamedTuple):
    """How many different terms of each sort a text has."""

    specialist: int
    """Terms of any subject; a term of two subjects counts once."""
    field: str
    """The subject with most terms; the first in the order of FIELDS where two have as many, empty without any."""
    mathematical: int
    tasks: int
    requirements: int
    language: str
    """`de` or `en` where only terms of that language were found, else empty."""


def terms_in(words: Sequence[str]) -> Terms:
    """The terms among the words of a text, in small letters and in order."""
    found: dict[str, tuple[str, ...]] = {}
    different = set(words)
    for word in different:
        if (lists := _WHOLE.get(word)) is not None:
            found[word] = lists
        elif len(word) > _STEM:
            for stem, lists in _BEGINNINGS.get(word[:_STEM], ()):
                if word.startswith(stem):
                    found[stem] = lists
                    break
            else:
                for stem, lists in _ENDINGS.get(word[-_STEM:], ()):
                    if word.endswith(stem):
                        found[stem] = lists
                        break
    if not _FIRST_WORDS.isdisjoint(different):
        found |= {" ".join(pair): _PAIRS[pair] for pair in pairwise(words) if pair in _PAIRS}
    counts = Counter(name for lists in found.values() for name in lists)
    field = max(FIELDS, key=counts.__getitem__)
    return Terms(
        specialist=sum(not _SUBJECTS.isdisjoint(lists) for lists in found.values()),
        field=field if counts[field] else "",
        mathematical=counts["mathematics"],
        tasks=counts["tasks"],
        requirements=counts["requirements"],
        language="de" if counts["de"] and not counts["en"] else "en" if counts["en"] and not counts["de"] else "",
    )


_SUBJECTS: Final = frozenset(FIELDS)


def _listed(name: str) -> Iterator[tuple[str, str]]:
    language = ""
    text = (files("dirigent") / "models" / "lexicon" / f"{name}.txt").read_text("utf-8")
    for line in text.splitlines():
        if line.startswith("["):
            language = line.strip("[]")
        elif not line.startswith("#"):
            yield from (
                (" ".join(term.replace("-", " ").split()), language) for term in line.split(",") if term.strip()
            )


Stems = Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]


def _by_key(stems: Iterable[tuple[str, str, tuple[str, ...]]]) -> Stems:
    """Stems and their lists by the letters under which they are looked up."""
    index: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for key, stem, lists in stems:
        index.setdefault(key, []).append((stem, lists))
    # The longest stem is tried first: it says most of the word, and a word counts by one term.
    return {key: tuple(sorted(found, key=lambda entry: -len(entry[0]))) for key, found in index.items()}


def _owners(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Each term with the lists and the languages in which it stands."""
    owners: dict[str, tuple[str, ...]] = {}
    for name in names:
        for term, language in _listed(name):
            owners[term] = tuple(dict.fromkeys((*owners.get(term, ()), name, language)))
    return owners


_TERMS: Final = _owners(_LISTS)
_WHOLE: Final = {term.strip("*"): lists for term, lists in _TERMS.items() if " " not in term}
_PAIRS: Final = {(term.split()[0], term.split()[1]): lists for term, lists in _TERMS.items() if " " in term}
_FIRST_WORDS: Final = frozenset(first for first, _ in _PAIRS)
_STARRED: Final = [(term.strip("*"), term, lists) for term, lists in _TERMS.items() if "*" in term]
_BEGINNINGS: Final = _by_key((stem[:_STEM], stem, lists) for stem, term, lists in _STARRED if term.endswith("*"))
_ENDINGS: Final = _by_key((stem[-_STEM:], stem, lists) for stem, term, lists in _STARRED if term.startswith("*"))
