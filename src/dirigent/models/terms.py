"""The words that say what a prompt is about and what it asks for, found in `lexicon/` within microseconds.

A term of the lexicon is a word, two words, or a word with a star for what may stand before or after it; so `*vertrag*`
finds `Mietvertrag` and `Vertragsstrafe`, though nobody listed them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from typing import Final, NamedTuple

from dirigent.models.language import LISTED

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
    different = set(words)
    found: dict[str, tuple[str, ...]] = {}
    strange = different - _PLAIN
    # What has been looked up is known by its hash alone, so that no word of anybody's prompt is kept. An unseen word
    # comes back itself, a word without term drops out.
    hits: Iterator[Term | str] = filter(None, map(_seen.get, map(hash, strange), strange))
    for hit in hits:
        stem, lists = _look_up(hit) if isinstance(hit, str) else hit
        # `beweis*` and `*beweis` stand in different lists; a text with both has both
        found[stem] = (*found[stem], *(name for name in lists if name not in found[stem])) if stem in found else lists
    found.pop(_NO_TERM[0], None)
    for first in _FIRST_WORDS & different:
        if not different.isdisjoint(_SECOND_WORDS[first]):
            found |= {" ".join(pair): _PAIRS[pair] for pair in pairwise(words) if pair[0] == first and pair in _PAIRS}
    if not found:
        return _NOTHING
    counts = dict.fromkeys(_COUNTED, 0)
    specialist = 0
    for lists in found.values():
        for name in lists:
            counts[name] += 1
        specialist += not _SUBJECTS.isdisjoint(lists)
    field = max(FIELDS, key=counts.__getitem__)
    german, english = counts["de"], counts["en"]
    return Terms(
        specialist,
        field if counts[field] else "",
        counts["mathematics"],
        counts["tasks"],
        counts["requirements"],
        "de" if german and not english else "en" if english and not german else "",
    )


_SUBJECTS: Final = frozenset(FIELDS)
_COUNTED: Final = (*_LISTS, "de", "en", "")
_NOTHING: Final = Terms(0, "", 0, 0, 0, "")
_MOST_SEEN: Final = 20_000
"""About 2 MB; then it starts anew."""
Term = tuple[str, tuple[str, ...]]
"""A word or stem, and its lists."""
_seen: dict[int, Term | None] = {}
_NO_TERM: Final[Term] = ("", ())


def _look_up(word: str) -> Term:
    if len(_seen) >= _MOST_SEEN:
        _seen.clear()
    term = _seen[hash(word)] = _term(word)
    return term or _NO_TERM


def _term(word: str) -> Term | None:
    """The term by which a word counts, and its lists; None for most words."""
    if (lists := _WHOLE.get(word)) is not None:
        return word, lists
    if len(word) <= _STEM:
        return None
    for stem, lists in _BEGINNINGS.get(word[:_STEM], ()):
        if word.startswith(stem):
            return stem, lists
    for stem, lists in _ENDINGS.get(word[-_STEM:], ()):
        if word.endswith(stem):
            return stem, lists
    return None


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
_SECOND_WORDS: Final = {word: frozenset(second for first, second in _PAIRS if first == word) for word in _FIRST_WORDS}
_STARRED: Final = [(term.strip("*"), term, lists) for term, lists in _TERMS.items() if "*" in term]
_BEGINNINGS: Final = _by_key((stem[:_STEM], stem, lists) for stem, term, lists in _STARRED if term.endswith("*"))
_ENDINGS: Final = _by_key((stem[-_STEM:], stem, lists) for stem, term, lists in _STARRED if term.startswith("*"))
_PLAIN: Final = frozenset(word for word in LISTED if _term(word) is None)
"""Everyday words that are no terms: half of most texts, and they need no second look."""
