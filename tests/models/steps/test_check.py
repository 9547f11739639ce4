"""A text is held against rules, a judge and its sources."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.errors import BadAnswer, InvalidConfiguration
from dirigent.core.forms import as_money, as_number
from dirigent.models.claims import invented_quotations, sentences_of, stands_in
from dirigent.models.figures import figures_in, unfounded
from tests.models.reciting import Recited, asked_of
from tests.world import World

SOURCE = "The hall costs 500 € a month until 30.11.2026. Heating is included."


def world(of: str = "It costs 500 euros.", says: list[str] | None = None, **settings: Any) -> World:
    step = {"type": "check", "name": "c", "of": of, **settings}
    models = {"m": {"type": "recited", "says": says or ["x"]}, "p": {"type": "pipeline", "steps": [step]}}
    return World(models, kinds=[Recited])


async def found(small: World) -> Any:
    return json.loads((await small.collect("p")).text)


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("1.410,15 €", "EUR 1,410.15"),
        ("1410,15 Euro", "1'410.15"),
        ("19 %", "a rate of 0.19"),
        ("0.19", "19 Prozent"),
        ("30. November 2026", "2026-11-30"),
        ("November 30, 2026", "am 30.11.2026"),
        ("im November 2026", "30.11.26"),
        ("2026", "2026-11-30"),
        ("1,5 Mio. Euro", "1500000 EUR"),
        ("2.5k", "2,500"),
        ("drei Wochen", "3 weeks"),
        ("14:30 Uhr", "at 14:30"),
        ("RE-2026/0815", "Rechnung re-2026/0815"),
        ("5,- €", "5.00 EUR"),
        ("3-5 Tage", "3 bis 5 Tage"),
        ("1. Erstens\n2. Zweitens", "nothing"),
        ("03/04/2026", "2026-04-03"),
    ],
)
def test_a_figure_is_founded_in_whichever_form_it_stands(text: str, sources: str) -> None:
    assert unfounded(text, [sources]) == []


@pytest.mark.parametrize(
    ("text", "source", "missing"),
    [
        ("501 €", "500 €", ["501 €"]),
        ("500 USD", "500 €", ["500 USD"]),
        ("19 €", "19 %", ["19 €"]),
        ("1.12.2026", "30.11.2026", ["1.12.2026"]),
        ("RE-2026-0816", "RE-2026-0815", ["RE-2026-0816"]),
        ("sieben Tage", "6 Tage", ["sieben"]),
        ("1,51 Mio.", "1500000", ["1,51 Mio."]),
        ("14:31", "14:30", ["14:31"]),
        ("5 and 6 and 5", "6", ["5"]),
    ],
)
def test_a_figure_that_no_source_has_is_found(text: str, source: str, missing: list[str]) -> None:
    assert [figure.text for figure in unfounded(text, [source])] == missing


@given(
    some.decimals(-(10**9), 10**9, places=2),
    some.sampled_from(["de", "en", "de-CH"]),
    some.sampled_from(["de", "en", "de-CH"]),
)
def test_an_amount_is_the_same_in_every_form_that_templates_write(amount: Any, one: str, other: str) -> None:
    text, source = as_money(amount, "EUR", one), as_number(amount, other, 2)

    assert unfounded(text, [source]) == []


@given(some.integers(1, 10**9), some.integers(1, 10**9), some.sampled_from(["de", "en"]))
def test_another_number_is_never_founded_by_one_written_with_cents(one: int, other: int, form: str) -> None:
    text, source = as_number(one, form, 2), as_number(other, form, 2)

    assert (unfounded(text, [source]) == []) is (one == other)


@given(some.text(max_size=200))
def test_any_text_is_read_and_founds_itself(text: str) -> None:
    assert unfounded(text, [text]) == []
    assert all(text[figure.at :].startswith(figure.text) or figure.text in text for figure in figures_in(text))


async def test_rules_schema_and_figures_are_looked_at_before_any_model_is_asked() -> None:
    small = world(
        "It costs 550 euros.",
        rules=[{"that": "size(value) < 10", "message": "{{ size(value) }} characters are too many"}],
        schema={"type": "string", "maxLength": 5},
        facts={"sources": [SOURCE], "statements": "m"},
        judge={"model": "m", "rubric": "good"},
        on_failure="flag",
    )

    result = await found(small)

    assert not result["passed"]
    assert [finding["by"] for finding in result["findings"]] == ["rules", "schema", "figures"]
    assert result["findings"][0]["message"] == "19 characters are too many"
    assert result["findings"][2]["where"] == "550 euros"
    assert asked_of(small, "m") == []


async def test_findings_end_the_step_unless_something_else_is_said() -> None:
    with pytest.raises(BadAnswer, match="'c' does not pass: '550 euros': it stands in no source"):
        await found(world("It costs 550 euros.", facts={"sources": [SOURCE]}))


async def test_a_judge_gives_a_mark_and_says_why() -> None:
    small = world(says=["4/10. It is rude."], judge={"model": "m", "rubric": "It is polite."}, on_failure="flag")

    result = await found(small)

    assert result["findings"] == [{"by": "judge", "message": "4 of 10, and 7 are needed: It is rude", "where": ""}] or (
        "It is rude" in result["findings"][0]["message"]
    )
    with pytest.raises(BadAnswer, match="gave no mark"):
        await found(world(says=["Fine."], judge={"model": "m", "rubric": "x"}))


def judgement(*sentences: tuple[bool, bool, str]) -> str:
    return json.dumps(
        {
            "sentences": [
                {"number": number, "claim": claim, "founded": founded, "passage": passage}
                for number, (claim, founded, passage) in enumerate(sentences, 1)
            ]
        }
    )


async def test_a_statement_stands_only_by_a_passage_that_a_source_has() -> None:
    text = "Dear Sir. Heating is included. Cleaning is free. The roof is new."
    says = judgement(
        (False, False, ""),
        (True, True, "Heating  is included"),
        (True, True, "Cleaning is free of charge"),
        (True, False, ""),
    )
    small = world(text, says=[says], facts={"sources": [SOURCE], "statements": "m"}, on_failure="flag")

    findings = (await found(small))["findings"]

    assert [(finding["where"], finding["message"]) for finding in findings] == [
        ("Cleaning is free.", "the passage that is to found it stands in no source"),
        ("The roof is new.", "no source says so"),
    ]


async def test_a_judge_that_leaves_out_a_sentence_has_judged_nothing() -> None:
    small = world(
        "One thing. Another thing.", says=[judgement((False, False, ""))], facts={"sources": ["x"], "statements": "m"}
    )

    with pytest.raises(BadAnswer, match="no judgement of sentence 2"):
        await found(small)


async def test_a_model_mends_what_was_found_and_what_it_gives_is_looked_at_again() -> None:
    small = world(
        "It costs 550 euros.",
        says=["It costs 540 euros.", "It costs 500 euros."],
        facts={"sources": [SOURCE]},
        on_failure="repair",
        repair={"model": "m"},
    )

    assert await found(small) == {"value": "It costs 500 euros.", "passed": True, "findings": []}
    assert "'540 euros': it stands in no source" in asked_of(small, "m")[1].messages[-1].text
    with pytest.raises(BadAnswer, match="540 euros"):
        await found(
            world(
                "It costs 550 euros.",
                says=["It costs 540 euros."],
                facts={"sources": [SOURCE]},
                on_failure="repair",
                repair={"model": "m", "most": 1},
            )
        )


def test_a_quotation_stands_to_the_letter_or_is_found() -> None:
    sources = ["Er sagte, der Vertrag gelte bis zum Ende des Jahres."]

    assert list(invented_quotations("„der  Vertrag gelte bis zum Ende des Jahres.“", sources)) == []
    assert list(invented_quotations("“der Vertrag gelte bis zum Ende der Woche”", sources)) == [
        "der Vertrag gelte bis zum Ende der Woche"
    ]
    assert list(invented_quotations('Das "Haus" bleibt', sources)) == []
    assert stands_in("Vertrag   gelte", sources)


def test_sentences_do_not_end_at_short_forms_dates_and_numbers() -> None:
    text = "Am 3. Mai kommt Dr. Kühn, d. h. bald. Er bleibt ca. 2 Tage! Und dann?\n- Punkt eins"

    assert sentences_of(text) == [
        "Am 3. Mai kommt Dr. Kühn, d. h. bald.",
        "Er bleibt ca. 2 Tage!",
        "Und dann?",
        "- Punkt eins",
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "it checks nothing"),
        ({"rules": [{"that": "size(valu) > 1", "message": "x"}]}, "did you mean 'value'"),
        ({"rules": [{"that": "true", "message": "x"}], "on_failure": "repair"}, "belong together"),
        ({"rules": [{"that": "true", "message": "x"}], "repair": {"model": "m"}}, "belong together"),
        ({"facts": {"sources": ["{{ inpt.text }}"]}}, "there is no `inpt.text`"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfiguration, match=words):
        world(**settings)
