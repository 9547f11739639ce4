"""What is measured of a request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dirigent.models import features as module
from dirigent.models.features import LOOKED_AT, NAMES, Demands, Features, Measuring, measure, tokens_in
from dirigent.models.glance import glance
from dirigent.models.terms import terms_in
from tests.models.measured import POINT, SYMBOL, WORD, obvious, signs_of_mathematics

ROLES = some.sampled_from(["system", "developer", "user", "assistant", "tool"])
LETTER = (
    "Der Arbeitnehmer hat Anspruch auf Entgeltfortzahlung im Krankheitsfall für die Dauer von sechs Wochen. "
    "Voraussetzung ist, dass das Arbeitsverhältnis länger als vier Wochen ununterbrochen besteht. "
)
# Their tokens were counted with the o200k vocabulary; they were not among the texts that the estimate was fitted to.
ENGLISH = (
    "Please review the attached purchase agreement and list all payment terms, delivery dates and penalties, "
    "sorted by date, in a table with three columns. Mark anything unusual."
)
GERMAN = (
    "Bitte prüfen Sie den beigefügten Kaufvertrag und listen Sie alle Zahlungsbedingungen, Liefertermine und "
    "Vertragsstrafen nach Datum sortiert in einer Tabelle mit drei Spalten auf. Markieren Sie Ungewöhnliches."
)
PROGRAM = (
    "async def fetch(session, url):\n    async with session.get(url) as response:\n"
    "        if response.status != 200:\n            raise ValueError(f'{url}: {response.status}')\n"
    "        return await response.json()"
)


# What the fast ways could get wrong, in any order: apostrophes, code pages, blanks of all sorts, halves of lines.
PIECES = some.sampled_from(
    re.split(
        " ",
        "' ’ a'b 'a b'1 Über œuvre Šx → ✓ ≥ ² x² ½ _ a_b 。 你好 Привет ї ، ʹ ・ “ ” – … € • İ ß"
        " é e\u0301 \ud800 ｗｈａｔ ？ \x80 \x92 - * 1. a) 12) ? ! . ... x= =3 = + ( ) \\ \\frac $"
        " % < > / ^ 3 3.4 1,000 .5 , ``` ```py ` def class return if for( import from SELECT"
        " FROM <p> </p> >>> #include @x // /* Traceback ValueError: Exception: ; { } foo(1)"
        " a[0] += : wie What is können und the Vertrag programmieren Webprogrammierer beweis"
        " due diligence at least",
    )
)
BLANKS = some.sampled_from(
    ["", "", " ", " ", "  ", "\n", "\n\n", "\t", "\r", "\x0b", "\x1c", "\x85", "\xa0", "\u2003", "\u2028"]
)
PATCHWORK = some.lists(some.tuples(PIECES, BLANKS).map("".join), max_size=40).map("".join)


def measured(*texts: tuple[str, str]) -> Features:
    """The features of a conversation with nothing beside its texts."""
    return measure(texts, tools=0, images=0, audio=0, wants_json=False, max_output=None)


def of(text: str) -> Features:
    """The features of a single question."""
    return measured(("user", text))


def test_what_comes_with_the_texts_is_taken_over() -> None:
    found = measure([("user", "hi")], tools=2, images=1, audio=3, wants_json=True, max_output=50)

    assert (found.tools, found.images, found.audio, found.wants_json, found.max_output) == (2, 1, 3, True, 50)


def test_the_prompt_is_what_the_user_said_since_the_last_answer() -> None:
    found = measured(
        ("system", "Be brief."),
        ("user", "Who wrote Faust?"),
        ("assistant", "Goethe."),
        ("user", "And when?"),
        ("user", "And where?"),
    )

    assert (found.words, found.questions, found.turns) == (4, 2, 3)
    assert found.context_tokens == sum(
        tokens_in(text) + 4 for text in ("Be brief.", "Who wrote Faust?", "Goethe.", "And when?", "And where?")
    )
    assert found.system_tokens == tokens_in("Be brief.")


def test_what_follows_the_last_question_leaves_it_the_prompt() -> None:
    found = measured(("user", "What is the weather in Rome?"), ("tool", "sunny " * 50), ("assistant", "Let me see."))

    assert (found.words, found.questions) == (6, 1)


def test_an_empty_conversation_has_empty_features() -> None:
    assert measured() == Features()
    assert of("") == Features(turns=1, context_tokens=4)


def test_words_sentences_and_their_lengths_are_counted() -> None:
    found = of("Guten Tag. Wie geht's?\n- erstens\n- zweitens")

    assert (found.characters, found.words, found.sentences) == (43, 6, 4)
    assert found.word_length == pytest.approx((5 + 3 + 3 + 6 + 7 + 8) / 6, abs=0.01)
    assert found.requirements == 2


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("Bitte schreibe eine Mahnung.\nDanke im Voraus.", 0.0, 0.0),
        ("Dear team,\nthe meeting is moved (again); sorry.\nBest regards", 0.0, 0.0),
        ("Why does this fail?\n```python\nfor x in y:\n    print(x)\n```", 0.75, 1.0),
        ("def add(a, b):\n    return a + b", 1.0, 1.0),
        ("SELECT name FROM customer WHERE id = 3", 1.0, 1.0),
        ("What is wrong here?\n\n<div class='a'>\n  <p>text</p>\n</div>", 0.5, 0.8),
        ("ValueError: invalid literal for int() with base 10: ''", 1.0, 1.0),
    ],
)
def test_the_share_of_program_text_is_that_of_its_lines(text: str, least: float, most: float) -> None:
    assert least <= of(text).code <= most


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("Schreib dem Kunden, dass die Lieferung am 3. Mai kommt.", 0.0, 0.0),
        ("Is the train and/or the bus late?", 0.0, 0.25),
        (r"Evaluate $\int_0^1 x^2 \, dx$ and simplify \frac{a}{b}.", 0.6, 1.0),
        ("Solve 3x + 5 = 20", 0.6, 1.0),
        ("Beweise, dass es unendlich viele Primzahlen gibt.", 0.2, 1.0),
        ("def f(a):\n    b = a * 2 + 1\n    return b", 0.0, 0.0),
    ],
)
def test_mathematics_shows_in_signs_and_words_but_not_in_program_text(text: str, least: float, most: float) -> None:
    assert least <= of(text).maths <= most


def test_a_question_needs_no_question_mark() -> None:
    assert of("wie hoch ist die umsatzsteuer").questions == 1
    assert of("What is VAT? And who pays it?").questions == 2
    assert of("Schreib einen Brief").questions == 0


def test_a_few_nouns_have_the_language_of_their_terms() -> None:
    assert of("Gehaltsverhandlung Kündigungsfrist").language == "de"
    assert of("refactor asynchronous thread").language == "en"
    assert of("xqzt").language == "unknown"


def test_a_long_text_is_looked_at_in_its_beginning_and_end_and_scaled_up() -> None:
    found = of(LETTER * 100)

    assert found.sampled
    assert found.characters == 100 * len(LETTER) > LOOKED_AT
    assert found.words == pytest.approx(100 * of(LETTER).words, rel=0.05)
    assert found.tokens == pytest.approx(100 * of(LETTER).tokens, rel=0.05)
    assert found.language == "de"


@pytest.mark.parametrize(("tokens", "text"), [(32, ENGLISH), (45, GERMAN), (43, PROGRAM)])
def test_tokens_are_estimated_within_a_fifth(tokens: int, text: str) -> None:
    assert tokens_in(text) == pytest.approx(tokens, rel=0.2)


@given(some.lists(some.tuples(ROLES, some.text(max_size=300)), max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_conversation_can_be_measured(texts: Sequence[tuple[str, str]]) -> None:
    found = measured(*texts)

    assert msgspec.convert(msgspec.structs.asdict(found), Features) == found
    assert found.tokens <= found.context_tokens


@given(some.one_of(PATCHWORK, some.text(max_size=200)))
@settings(max_examples=300, deadline=None)
def test_every_feature_is_what_the_obvious_way_finds(text: str) -> None:
    found = msgspec.structs.asdict(of(text))
    words = WORD.findall(text.lower())
    counted = terms_in(words)

    expected = obvious(text)
    expected |= {"specialist_terms": counted.specialist, "specialist_field": counted.field, "tasks": counted.tasks}
    expected["requirements"] = counted.requirements + len(POINT.findall(text))
    signs = signs_of_mathematics(text) * (1 - expected["code"]) + 1.5 * counted.mathematical
    expected["maths"] = min(1.0, round(signs * 3 / (len(words) + 6), 3)) if words else 0.0

    assert {name: found[name] for name in expected} == expected


@given(texts=some.lists(some.tuples(ROLES, PATCHWORK), max_size=6), weighed_first=some.booleans())
@settings(max_examples=200, deadline=None)
def test_what_is_measured_step_by_step_is_what_all_of_it_at_once_says(
    texts: Sequence[tuple[str, str]], *, weighed_first: bool
) -> None:
    measuring = Measuring(texts, 2, 1, 0, True, None)  # noqa: FBT003
    context = measuring.context_tokens if weighed_first else None

    demands = measuring.demands()
    features = measuring.features()

    assert features == measure(texts, tools=2, images=1, audio=0, wants_json=True, max_output=None)
    assert demands._asdict() == {name: getattr(features, name) for name in Demands._fields}
    assert context in (None, features.context_tokens)
    # what is known of texts that come again is what looking at them says
    assert features.context_tokens == sum(tokens_in(text) + 4 for _, text in texts)
    assert features.system_tokens == sum(tokens_in(text) for role, text in texts if role in ("system", "developer"))


@given(PATCHWORK)
@settings(max_examples=200, deadline=None)
def test_a_text_has_the_same_words_whether_or_not_another_script_stands_behind_it(text: str) -> None:
    beside = glance(f"{text}\nж")  # a Cyrillic letter: expressions must search the whole text

    alone = glance(text)

    assert [*alone.words, "ж"] == beside.words
    assert (alone.letters + 1, alone.numbers, alone.symbols) == (beside.letters, beside.numbers, beside.symbols)
    assert alone.symbols == len(SYMBOL.findall(text))


def test_a_brace_on_a_line_of_its_own_is_a_line_of_program_text() -> None:
    assert of("int main()\n{\nrun()\n}\nthanks").code == 0.6


def test_unpaired_surrogates_are_measured_too() -> None:
    assert of("\ud800 broken \udfff").words == 1


def test_a_hostile_text_takes_no_longer_than_another() -> None:
    for piece in (
        "(",
        "$",
        "\\",
        "if (",
        "```\n",
        "<a ",
        "a" * 50 + " ",
        "=",
        "\n",
        "SELECT ",
        "1.",
        "a.b(",
        "{ ",
        "\t",
    ):
        began = process_time()
        of(piece * 20_000)
        assert process_time() - began < 30, piece  # linear work takes hundredths of a second, quadratic takes minutes


def test_every_feature_says_what_it_is() -> None:
    source = Path(str(module.__file__)).read_text("utf-8")

    for name in NAMES:
        assert re.search(rf'^    {name}: .+\n    """[^"]+\."""', source, re.MULTILINE), name
