"""Laws that hold for every expression: it ends, raises nothing, reads back as itself, and decimals stay exact."""

from __future__ import annotations

from decimal import Decimal, localcontext

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as some

from dirigent.core import expression
from dirigent.core.expression import ABSENT, Expression, ExpressionFault
from dirigent.core.expression import syntax as s
from dirigent.core.expression.functions import FUNCTIONS
from dirigent.core.expression.reader import LONGEST, read


class Item(msgspec.Struct):
    """A struct as a scope may hold one."""

    name: str = "item"
    count: int = 3


NAMES = some.sampled_from(["a", "b", "words", "language", "item", "missing"])
LITERALS = some.one_of(
    some.integers(0, 10**12),
    some.decimals(0, 10**9, places=4),
    some.text(max_size=6),
    some.booleans(),
    some.none(),
).map(s.Literal)
PATHS = some.recursive(
    NAMES.map(s.Name),
    lambda path: some.one_of(
        some.builds(s.Member, path, NAMES), some.builds(s.Index, path, some.integers(0, 3).map(s.Literal))
    ),
    max_leaves=3,
)


def _calls(name: str, node: some.SearchStrategy[s.Node]) -> some.SearchStrategy[s.Node]:
    fewest, most = FUNCTIONS[name].fewest, min(3, FUNCTIONS[name].most)
    arguments = some.lists(node, min_size=fewest, max_size=most).map(tuple)
    return some.builds(s.Call, some.just(name), arguments)


def _larger(node: some.SearchStrategy[s.Node]) -> some.SearchStrategy[s.Node]:
    several = some.lists(node, min_size=2, max_size=3).map(tuple)
    return some.one_of(
        some.builds(s.Binary, some.sampled_from(sorted(s.BINDING)), node, node),
        some.builds(s.AllOf, several),
        some.builds(s.AnyOf, several),
        some.builds(s.Not, node),
        some.builds(s.Negative, node),
        some.builds(s.Choice, node, node, node),
        some.builds(s.Member, node, NAMES),
        some.builds(s.Index, node, node),
        some.sampled_from(sorted(FUNCTIONS)).flatmap(lambda name: _calls(name, node)),
        some.builds(s.Method, node, some.sampled_from(["contains", "startsWith", "endsWith"]), node),
        some.builds(s.Has, PATHS),
        some.builds(s.ListOf, some.lists(node, max_size=3).map(tuple)),
    )


NODES: some.SearchStrategy[s.Node] = some.recursive(some.one_of(LITERALS, PATHS), _larger, max_leaves=25)
VALUES = some.recursive(
    some.one_of(
        some.none(),
        some.booleans(),
        some.integers(),
        some.floats(),
        some.decimals(),
        some.text(max_size=20),
        some.binary(max_size=4),
        some.builds(Item),
        some.just(object()),
    ),
    lambda value: some.one_of(
        some.lists(value, max_size=4),
        some.tuples(value, value),
        some.dictionaries(some.one_of(NAMES, some.integers()), value, max_size=4),
    ),
    max_leaves=8,
)
SCOPES = some.dictionaries(NAMES, VALUES, max_size=6)


def read_or_refused(text: str) -> Expression | ExpressionFault:
    """The expression that a text is, or what is wrong with it; anything else that is raised is a broken promise."""
    try:
        return expression.compile(text)
    except ExpressionFault as fault:
        return fault


@given(NODES, SCOPES)
def test_evaluating_never_raises_and_always_gives_a_value_of_the_language(
    node: s.Node, scope: dict[str, object]
) -> None:
    whole = expression.Expression("", node)

    value = whole.evaluate(scope)

    assert value is ABSENT or isinstance(value, int | Decimal | str | tuple | list | dict | Item | None)
    assert whole.holds(scope) is (value is True)
    assert isinstance(expression.show(value), str)


@given(NODES, SCOPES)
def test_explaining_never_raises_and_begins_with_the_value(node: s.Node, scope: dict[str, object]) -> None:
    whole = expression.Expression("", node)

    assert whole.explain(scope).value == expression.show(whole.evaluate(scope))


@given(NODES)
def test_what_is_written_reads_back_as_itself(node: s.Node) -> None:
    text = s.write(node)

    assume(len(text) <= LONGEST)
    assert read(text) == node
    assert s.write(read(text)) == text


@given(some.text(alphabet="ab1.5 ()[]+-*/%<>=!&|?:,'\"\\notandrihs_\n", max_size=60))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    found = read_or_refused(text)

    if isinstance(found, ExpressionFault):
        assert found.line >= 1
        assert found.column >= 1
        assert found.excerpt.endswith("^")
    else:
        assert expression.compile(found.canonical()) == found
        found.evaluate({})


@given(some.text(max_size=80))
def test_texts_of_any_characters_are_read_or_refused_too(text: str) -> None:
    found = read_or_refused(text)

    assert isinstance(found, ExpressionFault | Expression)


@given(some.decimals(-(10**12), 10**12, places=9), some.decimals(-(10**12), 10**12, places=9))
def test_sums_differences_and_products_of_decimals_are_exact(left: Decimal, right: Decimal) -> None:
    scope = {"a": left, "b": right}

    with localcontext(prec=200):
        assert expression.compile("a + b").evaluate(scope) == left + right
        assert expression.compile("a - b").evaluate(scope) == left - right
        assert expression.compile("a * b").evaluate(scope) == left * right
        assert expression.compile("a < b").evaluate(scope) is (left < right)


@given(some.integers(-(10**25), 10**25), some.integers(-(10**25), 10**25).filter(bool))
def test_whole_numbers_divide_into_a_quotient_and_a_rest_that_fit(left: int, right: int) -> None:
    scope = {"a": left, "b": right}

    rest = expression.compile("a % b").evaluate(scope)

    assert isinstance(rest, int)
    assert expression.compile("(a - a % b) / b * b + a % b == a").holds(scope)
    assert rest == 0 or (rest > 0) == (left > 0)
    assert abs(rest) < abs(right)
