"""What templates say, in German and in English, and what is wrong with them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from dirigent.core import template
from dirigent.core.errors import Invalid
from dirigent.core.expression import ExpressionFault

GAP = "\N{NO-BREAK SPACE}"
ROWS = [{"name": "a|b", "price": Decimal("1.50")}, {"name": "c"}]


@pytest.mark.parametrize(
    ("source", "scope", "expected"),
    [
        ("Hello {{ a.b }}!", {"a": {"b": "you"}}, "Hello you!"),
        ("{{ a }}{{ missing }}{{ n }}", {"a": True, "n": None}, "true"),
        ("{{ x }}", {"x": Decimal("1E+3")}, "1000"),
        ('{{ x | money("EUR", "de") }}', {"x": Decimal("-1234.5")}, f"-1.234,50{GAP}€"),
        ('{{ x | money("EUR", "en") }}', {"x": Decimal("-1234.5")}, "-€1,234.50"),
        ('{{ x | money("CHF", "de-CH") }}', {"x": 1234567}, f"CHF{GAP}1’234’567.00"),
        ('{{ x | money("JPY", "en") }}', {"x": Decimal("1234.5")}, "¥1,235"),
        ('{{ x | number("de") }}', {"x": Decimal("1234567.891")}, "1.234.567,891"),
        ('{{ x | number("en", 1) }}', {"x": Decimal("0.25")}, "0.3"),
        ('{{ 0.19 | percent("de") }} {{ 0.075 | percent }} {{ 1 | percent("en", 1) }}', {}, f"19{GAP}% 7.5% 100.0%"),
        ('{{ d | date("de") }}', {"d": "2026-03-05"}, "5. März 2026"),
        ('{{ d | date("en-US") }}', {"d": "2026-03-05T10:20:30Z"}, "March 5, 2026"),
        ('{{ d | date("DD.MM.YYYY HH:mm") }}', {"d": "2026-03-05T10:20:30Z"}, "05.03.2026 10:20"),
        ('{{ d | date("dddd, D. MMMM", "de") }}', {"d": 0}, "Donnerstag, 1. Januar"),
        ('{{ d | date("de") }}', {"d": "next week"}, "next week"),
        ('{{ x | default("–") }}{{ y | default(z) }}', {"x": "", "z": 3}, "–3"),
        ('{{ x | join(" / ") }}', {"x": [1, "b", None]}, "1 / b / "),
        ("{{ x | bullets }}", {"x": ["a", "b\nc"]}, "- a\n- b\n  c"),
        ("{{ x | numbered }}", {"x": ["a", "b"]}, "1. a\n2. b"),
        ("{{ x | lines | first }}", {"x": "one\ntwo"}, "one"),
        ("{{ x | last }}", {"x": [1, 2]}, "2"),
        ("{{ rows | table }}", {"rows": ROWS}, "| name | price |\n|---|---|\n| a\\|b | 1.50 |\n| c |  |"),
        ('{{ rows | table("price", "Preis") }}', {"rows": ROWS}, "| Preis |\n|---|\n| 1.50 |\n|  |"),
        ('{{ rows | csv(["name", "price"], ";") }}', {"rows": [{"name": 'a;"b', "price": 1}]}, 'name;price\n"a;""b";1'),
        ("{{ x | json }}", {"x": {"a": Decimal("1.50"), "b": ["ü"]}}, '{"a":1.50,"b":["ü"]}'),
        ("{{ x }}", {"x": []}, "[]"),
        ("{{ x | slug }}", {"x": "Grüße aus Köln, Straße 5!"}, "gruesse-aus-koeln-strasse-5"),
        ("{{ x | truncate(12) }}", {"x": "Hello wonderful world"}, "Hello…"),
        ('{{ x | split(";") | numbered }}', {"x": "a; b"}, "1. a\n2. b"),
        ("{{ x | escape }}", {"x": '<a href="b">&'}, "&lt;a href=&quot;b&quot;&gt;&amp;"),
        ("{{ x | quote }}", {"x": "a\n\nb"}, "> a\n>\n> b"),
        ('{{ "{{ a | b }}" }} {{ a || b ? "x" : "y" }}', {"a": False, "b": True}, "{{ a | b }} x"),
    ],
)
def test_a_template_says(source: str, scope: dict[str, Any], expected: str) -> None:
    if expected.startswith("["):
        assert template.compile(f"{source} ").text(scope) == f"{expected} "
        return
    assert template.compile(source).text(scope) == expected


def test_a_blank_alone_keeps_its_type_and_anything_around_it_makes_it_a_text() -> None:
    scope = {"x": {"a": [1, Decimal("2.50")]}}

    assert template.compile("{{ x }}").value(scope) == {"a": [1, Decimal("2.50")]}
    assert template.compile(" {{ x }}").value(scope) == ' {"a":[1,2.50]}'
    assert template.compile("{{ y }}").value(scope) is None


@pytest.mark.parametrize(
    ("source", "problem", "place"),
    [
        ("a\n {{ x | uper }}", "there is no filter `uper`; did you mean 'upper'?", "2:9"),
        ("{{ x + }}", "expected a value", "1:8"),
        ("{{ x", "expected `}}`", "1:1"),
        ("{{ x | truncate }}", "takes 1 to 2 values, found 0", "1:8"),
        ("{{ x | upper(1) }}", "takes 0 values, found 1", "1:8"),
        ('{{ x | number("dk") }}', "`number` does not know 'dk'", "1:8"),
        ("{{ namme }}", "there is no `namme`; did you mean 'name'?", "1:4"),
        ("{{ name | default(nam) }}", "there is no `nam`; did you mean 'name'?", "1:19"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(source: str, problem: str, place: str) -> None:
    with pytest.raises(ExpressionFault) as caught:
        template.compile(source, {"name", "x"})

    assert problem in caught.value.problem
    assert str(caught.value).startswith(f"{place}: ")


@pytest.mark.parametrize(
    "source",
    [
        "{{ big }}{{ big }}",
        '{{ big | replace("x", "yyy") }}',
        '{{ many | join("xxxxxxxxxxxxxxxxxxxx") }}',
        "{{ [big, big] }}",
        "{{ [big, big] | json }}",
        "{{ big | escape }}",
        "{{ lines | indent(40) }}",
    ],
)
def test_what_would_grow_too_long_is_refused_before_it_is_built(source: str) -> None:
    scope = {"big": "x" * 400_000 + "&" * 200_000, "many": ["a"] * 60_000, "lines": "\n" * 40_000}

    with pytest.raises(Invalid, match="1,000,000 characters"):
        template.compile(source).text(scope)
