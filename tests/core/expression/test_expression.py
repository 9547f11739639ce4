"""What expressions mean: values, truths, what is absent, and what they refuse to read."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

import msgspec
import pytest

from dirigent.core import expression
from dirigent.core.expression import ABSENT, ExpressionFault

SCOPE: Mapping[str, object] = {
    "words": 300,
    "share": 0.35,
    "price": Decimal("1.10"),
    "language": "de",
    "json": True,
    "nothing": None,
    "tags": ["law", "tax"],
    "request": {"tools": 2, "texts": ["a", "b"]},
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("words", 300),
        ("share", Decimal("0.35")),
        ("request.tools + 1", 3),
        ('request["tools"]', 2),
        ("request.texts[1]", "b"),
        ("0.1 + 0.2", Decimal("0.3")),
        ("price * 3", Decimal("3.30")),
        ("7 / 2", Decimal("3.5")),
        ("6 / 2", 3),
        ("-7 % 3", -1),
        ("2 + 3 * 4 - -1", 15),
        ("(2 + 3) * 4", 20),
        ("\"a\" + 'b'", "ab"),
        ("[1, 2] + [3]", (1, 2, 3)),
        ("size(tags)", 2),
        ('size("über")', 4),
        ('lower("ÄB")', "äb"),
        ('words > 200 ? "long" : "short"', "long"),
        ("false ? 1 : true ? 2 : 3", 2),
        (r'"tab\tquote\" \u00e9"', 'tab\tquote" é'),
        ("null", None),
    ],
)
def test_an_expression_has_the_value_that_it_says(source: str, value: object) -> None:
    found = expression.compile(source).evaluate(SCOPE)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "source",
    [
        "words > 200 and language == 'de'",
        "words > 200 && !(language == 'en') || false",
        "share == 0.35",
        "not share > 0.4",
        "'law' in tags",
        "'it' not in tags",
        "'tools' in request",
        "'d' in language",
        "tags.contains('tax') and language.startsWith('d') and language.endsWith('e')",
        "nothing == null",
        "1 == 1.0",
        "[1, [2.0]] == [1.0, [2]]",
        "has(request.tools) and not has(request.images)",
        "has(nothing)",
        "'Z' < 'a'",
    ],
)
def test_a_condition_holds_where_it_is_true(source: str) -> None:
    assert expression.compile(source).holds(SCOPE)


@pytest.mark.parametrize(
    "source",
    [
        "missing",
        "missing.deeper[3].still",
        "words.part",
        "tags[2]",
        "tags[-1]",
        "tags[0.0]",
        "1 / 0",
        "1.5 % 0",
        "words + language",
        "-language",
        "not words",
        "size(words)",
        "lower(words)",
        "words.startsWith('3')",
        "missing + 1",
        "words ? 1 : 2",
        "true and missing",
        "false or missing",
        "not missing",
    ],
)
def test_what_has_no_answer_is_absent_and_does_not_hold(source: str) -> None:
    condition = expression.compile(source)

    assert condition.evaluate(SCOPE) is ABSENT
    assert not condition.holds(SCOPE)


@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
def test_a_comparison_with_what_is_absent_is_false(operator: str) -> None:
    assert expression.compile(f"missing {operator} words").evaluate(SCOPE) is False
    assert expression.compile(f"missing {operator} 3").evaluate(SCOPE) is False
    assert expression.compile(f"words {operator} missing").evaluate(SCOPE) is False


@pytest.mark.parametrize(
    ("left", "right", "both", "either"),
    [
        ("true", "true", True, True),
        ("true", "false", False, True),
        ("true", "absent", ABSENT, True),
        ("false", "false", False, False),
        ("false", "absent", False, ABSENT),
        ("absent", "absent", ABSENT, ABSENT),
    ],
)
def test_and_and_or_follow_the_truth_table_in_either_order(left: str, right: str, both: object, either: object) -> None:
    for first, second in ((left, right), (right, left)):
        assert expression.compile(f"{first} and {second}").evaluate({}) is both
        assert expression.compile(f"{first} or {second}").evaluate({}) is either


def test_values_of_unlike_kinds_differ_and_have_no_order() -> None:
    for pair in ("1 {} '1'", "true {} 1", "null {} 0", "[1] {} 1", "false {} null"):
        assert expression.compile(pair.format("==")).evaluate({}) is False
        assert expression.compile(pair.format("!=")).evaluate({}) is True
        assert expression.compile(pair.format("<")).evaluate({}) is False
        assert expression.compile(pair.format(">=")).evaluate({}) is False


def test_an_expression_sees_declared_fields_and_nothing_else_of_what_it_is_given() -> None:
    class Colour(StrEnum):
        RED = "red"

    class Inner(msgspec.Struct):
        size: int

        def method(self) -> int:
            return self.size

    scope = {"inner": Inner(3), "colour": Colour.RED, "function": len, "proxy": MappingProxyType({"a": 1})}

    assert expression.compile("inner.size == 3 and colour == 'red'").holds(scope)
    for path in ("inner.method", "inner.__class__", "function", "proxy.a", "colour.value", "inner.__dict__"):
        assert expression.compile(path).evaluate(scope) is ABSENT
    assert expression.compile("size == 3").holds(Inner(3))


def test_results_stay_within_their_bounds() -> None:
    scope = {
        "text": "x" * 60_000,
        "long": [0] * 1_000,
        "big": 10**59,
        "huge": 10**60,
        "nan": float("nan"),
        "inf": 1e999,
    }

    for source in ("text + text", "long + long", "big * 10", "huge", "nan", "inf", "big * big * 0.5"):
        assert expression.compile(source).evaluate(scope) is ABSENT
    assert expression.compile("big + 1").evaluate(scope) == 10**59 + 1


def test_calculating_with_money_is_exact_to_the_last_digit() -> None:
    scope = {"price": Decimal("2.50"), "tokens": 123_456_789}

    cost = expression.compile("price * tokens / 1000000").evaluate(scope)

    assert cost == Decimal("308.6419725")


def test_a_quotient_that_never_ends_is_rounded_half_even_to_28_digits() -> None:
    assert expression.compile("2 / 3").evaluate({}) == Decimal("0." + "6" * 27 + "7")


def test_the_names_that_are_read_are_known() -> None:
    condition = expression.compile("request.tools > 0 and tags[position].name == 'x' and has(words)")

    assert condition.names == {"request.tools", "tags", "position", "words"}


def test_explaining_gives_the_value_of_every_part() -> None:
    condition = expression.compile("words > 200 and missing.name == 'x'")

    explained = condition.explain(SCOPE)

    assert (explained.source, explained.value) == ('words > 200 and missing.name == "x"', "false")
    assert [(part.source, part.value) for part in explained.parts] == [
        ("words > 200", "true"),
        ('missing.name == "x"', "false"),
    ]
    assert explained.parts[0].parts == (expression.Explanation("words", "300"),)
    assert explained.parts[1].parts == (expression.Explanation("missing.name", "absent"),)


def test_what_is_shown_of_a_value_is_short() -> None:
    assert expression.show("a" * 1_000) == '"' + "a" * 78 + "…"
    assert expression.show([1, "b", None, True, Decimal("1.50")]) == '[1, "b", null, true, 1.50]'
    assert expression.show({"a": 1}) == "an object"


@pytest.mark.parametrize(
    ("source", "place", "problem"),
    [
        ("", "1:1", "expected a value, found the end"),
        ("words >", "1:8", "expected a value, found the end"),
        ("words > 3 4", "1:11", "expected an operator or the end, found `4`"),
        ("(1", "1:3", "expected `)`, found the end"),
        ("[1, 2", "1:6", "expected `]`, found the end"),
        ("a and\n  b ==", "2:7", "expected a value, found the end"),
        ("1 < 2 < 3", "1:7", "comparisons do not chain"),
        ("a = 1", "1:3", "expected `==`"),
        ("a ^ 2", "1:3", "there is no power"),
        ("2 ** 3", "1:4", "expected a value, found `*`"),
        ("'open", "1:1", "expected the closing quotation mark"),
        (r"'\q'", "1:2", "expected one of"),
        ("12abc", "1:3", "expected an operator after the number 12"),
        ("1" * 61, "1:1", "expected a number of at most 60 digits"),
        ("sise(a)", "1:1", "there is no function `sise`; did you mean 'size'?"),
        ("open('x')", "1:1", "there is no function `open`"),
        ("a.matches('x')", "1:3", "there is no method `matches`"),
        ("has(1 + 2)", "1:5", "expected a path"),
        ("a.in", "1:3", '`in` is a word of the language: write `["in"]`'),
        ("1 + not a", "1:5", "`not` needs parentheses here"),
        ("a ? b", "1:6", "expected `:`, found the end"),
        ("a b c", "1:3", "expected an operator or the end, found `b`"),
        ("(" * 100, "1:65", "expected at most 64 levels"),
        ("1" + "+1" * 80, "1:32", "expected at most 64 levels"),
        ("a" + " " * 4_096, "1:4097", "expected at most 4096 characters, found 4097"),
    ],
)
def test_a_fault_says_where_it_is_and_what_was_expected(source: str, place: str, problem: str) -> None:
    with pytest.raises(ExpressionFault) as caught:
        expression.compile(source)

    assert str(caught.value).startswith(f"{place}: ")
    assert problem in str(caught.value)


def test_a_fault_points_at_its_place() -> None:
    with pytest.raises(ExpressionFault) as caught:
        expression.compile("a and\n  wrds > > 2")

    assert caught.value.excerpt == "    wrds > > 2\n           ^"
    assert (caught.value.line, caught.value.column) == (2, 10)


def test_names_outside_the_vocabulary_are_faults_with_the_nearest_that_is_known() -> None:
    vocabulary = {"words", "request.tools", "input"}

    expression.compile("words > 1 and request.tools > 0 and has(request) and input.anything.below == 1", vocabulary)
    with pytest.raises(ExpressionFault, match="there is no `wrods`; did you mean 'words'"):
        expression.compile("wrods > 1", vocabulary)
    with pytest.raises(ExpressionFault, match=r"there is no `request.tool`; did you mean 'request.tools'"):
        expression.compile("request.tool > 1", vocabulary)
    with pytest.raises(ExpressionFault, match=r"there is no `zzz`; known are input, request.tools, words"):
        expression.compile("zzz", vocabulary)
