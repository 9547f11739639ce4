"""The static word table: the format, the arithmetic in long integers, and what is read out of a text."""

from __future__ import annotations

import hashlib
from math import sqrt
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dirigent.local.static_table import DATA, StaticTable, excerpt, packed
from dirigent.local.subject_heads import read_trained

ROOT = Path(__file__).parents[2]
SHIPPED = StaticTable()


def table(folder: Path, rows: dict[str, tuple[int, ...]]) -> StaticTable:
    """A table of these words and values."""
    path = folder / "table.bin"
    raw = bytes(value + 128 for row in rows.values() for value in row)
    path.write_bytes(packed(list(rows), raw, len(next(iter(rows.values())))))
    return StaticTable(path)


def closeness(one: str, other: str) -> float:
    """The cosine of two texts' vectors."""
    a, b = SHIPPED.vector(one), SHIPPED.vector(other)
    return sum(x * y for x, y in zip(a, b, strict=True)) / sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def test_a_text_is_the_sum_of_its_words(tmp_path: Path) -> None:
    small = table(tmp_path, {"red": (1, -2, 127, 0), "wine": (5, 5, -127, -1)})

    vector = small.vector("Red wine, red WINE and red nothing")

    assert vector == [3 + 10, -6 + 10, 3 * 127 - 2 * 127, -2]


def test_even_the_longest_text_of_the_largest_values_does_not_overflow(tmp_path: Path) -> None:
    small = table(tmp_path, {"no": (127, -127), "yes": (-127, 127)})

    assert small.vector("no " * 5000) == [256 * 127, -256 * 127]
    assert small.vector("yes " * 5000) == [-256 * 127, 256 * 127]


def test_a_compound_is_read_as_the_longest_words_it_is_made_of(tmp_path: Path) -> None:
    small = table(tmp_path, {"liefer": (1, 0), "lieferketten": (10, 0), "ketten": (0, 1), "gesetz": (0, 10)})

    assert small.vector("Lieferkettengesetz") == [10, 10]


@pytest.mark.parametrize("spelling", ["Kündigung", "KÜNDIGUNG", "Kuendigung", "kuendigung"])
def test_a_word_is_known_in_any_spelling_that_germans_type(tmp_path: Path, spelling: str) -> None:
    small = table(tmp_path, {"kündigung": (7, 0), "strasse": (0, 7)})

    assert small.vector(spelling) == [7, 0]
    assert small.vector("Straße") == small.vector("Strasse") == [0, 7]


def test_a_text_without_a_known_word_is_all_zeros(tmp_path: Path) -> None:
    small = table(tmp_path, {"red": (1, 2)})

    assert small.vector("") == small.vector("12 + 30 = 42 ?!") == small.vector("ψυχή") == [0, 0]


@given(st.text(max_size=400))
def test_any_text_at_all_has_a_vector(text: str) -> None:
    assert len(SHIPPED.vector(text)) == SHIPPED.dimensions


@given(st.permutations(["please", "review", "the", "termination", "clause", "of", "this", "contract"]))
def test_the_order_of_words_does_not_matter(words: list[str]) -> None:
    assert SHIPPED.vector(" ".join(words)) == SHIPPED.vector("Please review the termination clause of this contract.")


def test_beginning_and_end_of_a_long_text_are_read() -> None:
    text = "contract " * 100 + "x" * 100_000 + " quantum physics"

    assert len(excerpt(text)) < 2100
    assert SHIPPED.vector(text) != SHIPPED.vector("contract " * 100)


def test_what_means_the_same_in_two_languages_lies_close() -> None:
    german = "Der Vertrag und die Klausel vor Gericht"

    assert closeness(german, "contract clause court") > closeness(german, "chicken recipe dinner") + 0.3


def test_a_hostile_text_costs_milliseconds_at_most() -> None:
    letters = "qxzjvwkpqyxzjhvqkwpzxqjyvhkzqwxp"
    hostile = [" ".join(letters[turn:] + letters[:turn] + letters[turn:6] for turn in range(30)), "qx" * 5000]

    began = process_time()
    for text in hostile:
        SHIPPED.vector(text)

    assert process_time() - began < 30  # typically 3 ms; quadratic work would take minutes


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: b"X" + raw[1:], lambda raw: raw + b"\0"])
def test_a_damaged_table_is_refused(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "table.bin"
    path.write_bytes(damage(packed(["red"], bytes(4), 4)))  # type: ignore[operator]

    with pytest.raises(ValueError, match="not a static table"):
        StaticTable(path)


@pytest.mark.parametrize("tier", ["static", "encoder"])
def test_the_shipped_subjects_were_fitted_on_the_texts_as_they_are_now(tier: str) -> None:
    texts = ROOT / "tools" / "domain"
    digest = hashlib.sha256((texts / "examples.yaml").read_bytes() + (texts / "terms.yaml").read_bytes()).hexdigest()

    trained = read_trained(DATA / f"subjects_{tier}.msgpack")

    assert trained.digest == digest, "examples or terms have changed: run tools/domain/build.py"
