"""Laws that hold for every template: it ends, within its bound, and reaches nothing but its scope."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from dirigent.core import template
from dirigent.core.errors import Invalid
from dirigent.core.expression import ExpressionFault, syntax
from dirigent.core.template import FILTERS, LONGEST
from tests.core.expression.test_laws import NODES, SCOPES, VALUES

WORDS = some.text(alphabet="ab{}| \"'.\\\n", max_size=8)


def filtered(name: str) -> some.SearchStrategy[str]:
    """The filter with as many values as it takes."""
    kind = FILTERS[name]
    given_ = some.lists(NODES.map(syntax.write), min_size=kind.fewest, max_size=kind.most)
    return given_.map(lambda values: f" | {name}" + (f"({', '.join(values)})" if values else ""))


FILTERED = some.lists(some.sampled_from(sorted(FILTERS)).flatmap(filtered), max_size=3).map("".join)
BLANKS = some.builds(lambda node, filters: f"{{{{ {syntax.write(node)}{filters} }}}}", NODES, FILTERED)
SOURCES = some.lists(some.one_of(some.text(alphabet="ab \n", max_size=5), BLANKS), max_size=3).map("".join)


@given(SOURCES, SCOPES)
def test_filling_in_ends_within_the_bound_or_says_that_it_would_not(source: str, scope: dict[str, Any]) -> None:
    found = outcome(source, scope)

    if isinstance(found, Invalid):
        assert "limit" in found.message
    elif not isinstance(found, ExpressionFault):  # else a value is written out that the filter does not know
        assert len(found[0]) <= LONGEST
        assert plain(found[1])


@given(some.lists(WORDS, max_size=6).map("".join))
def test_any_text_is_read_or_refused_with_a_place(source: str) -> None:
    found = outcome(source, {"a": "x"})

    if isinstance(found, ExpressionFault):
        assert found.line >= 1
        assert found.excerpt.endswith("^")


@given(SOURCES, SCOPES, VALUES)
def test_it_reads_nothing_that_it_does_not_name(source: str, scope: dict[str, Any], other: object) -> None:
    try:
        whole = template.compile(source)
        before = whole.text(scope)
    except (ExpressionFault, Invalid):
        return

    read = {name.partition(".")[0] for name in whole.names}
    changed = {name: value if name in read else other for name, value in scope.items()}

    assert whole.text(changed | {"not_named": other}) == before


def outcome(source: str, scope: dict[str, Any]) -> tuple[str, object] | ExpressionFault | Invalid:
    """What comes of a template; anything else that is raised is a broken promise."""
    try:
        whole = template.compile(source)
        return whole.text(scope), whole.value(scope)
    except (ExpressionFault, Invalid) as fault:
        return fault


def plain(value: object) -> bool:
    """Whether it is plain data all through."""
    if isinstance(value, list):
        return all(map(plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(each) for key, each in value.items())
    return value is None or isinstance(value, str | int | bool | Decimal)
