"""Words become nodes: a reader by binding strength, so that deep nesting costs few frames and loops stay loops."""

from __future__ import annotations

from typing import Final

from dirigent.core.expression import syntax
from dirigent.core.expression.fault import ExpressionFault
from dirigent.core.expression.functions import FUNCTIONS
from dirigent.core.expression.syntax import Node
from dirigent.core.expression.values import METHODS
from dirigent.core.expression.words import Word, cut
from dirigent.core.registry import nearest

__all__ = ["DEEPEST", "LONGEST", "read"]

LONGEST: Final = 4_096
"""Characters of one expression."""
DEEPEST: Final = 64
"""How deep nodes may lie in one another."""


def read(source: str) -> Node:
    """The node that the source says. Raises ExpressionFault with line, column and what was expected there."""
    if len(source) > LONGEST:
        raise ExpressionFault(source, LONGEST, f"expected at most {LONGEST} characters, found {len(source)}")
    reader = _Reader(source)
    node = reader.value(syntax.CHOICE)
    if reader.word.kind != "end":
        raise reader.fault("expected an operator or the end")
    _refuse_depth(source, node)
    return node


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        self.words = cut(source)
        self.next = 0
        self.depth = 0

    @property
    def word(self) -> Word:
        return self.words[self.next]

    def fault(self, problem: str) -> ExpressionFault:
        return ExpressionFault(self.source, self.word.at, f"{problem}, found {self.word}")

    def take(self, *signs: str) -> bool:
        if self.word.kind in ("sign", "keyword") and self.word.value in signs:
            self.next += 1
            return True
        return False

    def demand(self, sign: str) -> None:
        if not self.take(sign):
            raise self.fault(f"expected `{sign}`")

    def value(self, binding: int) -> Node:
        """A value whose operators all bind at least so tightly."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise ExpressionFault(self.source, self.word.at, f"expected at most {DEEPEST} levels of nesting")
        left = self.first(binding)
        while (joined := self.join(left, binding)) is not None:
            left = joined
        self.depth -= 1
        return left

    def first(self, binding: int) -> Node:
        """What stands before any operator, with the members and elements that follow it."""
        at, word = self.word.at, self.word
        if word.kind == "keyword" and word.value == "not" and binding > syntax.NOT:
            raise self.fault("expected a value; `not` needs parentheses here: `(not …)`")
        if self.take("not"):
            return syntax.Not(self.value(syntax.NOT), at)
        if self.take("!"):
            return syntax.Not(self.value(syntax.SIGN), at)
        if self.take("-"):
            return syntax.Negative(self.value(syntax.SIGN), at)
        if self.take("("):
            node = self.value(syntax.CHOICE)
            self.demand(")")
        elif self.take("["):
            node = syntax.ListOf(self.items("]"), at)
        elif word.kind in ("number", "text"):
            self.next += 1
            node = syntax.Literal(word.value, at)
        elif word.kind == "keyword" and word.value in ("true", "false", "null"):
            self.next += 1
            node = syntax.Literal({"true": True, "false": False, "null": None}[str(word.value)], at)
        elif word.kind == "name":
            node = self.name()
        else:
            raise self.fault("expected a value")
        return self.places(node)

    def join(self, left: Node, binding: int) -> Node | None:
        """The left value joined with what the next operator asks for; None where that operator binds too loosely."""
        at, operator = self.word.at, self.operator()
        if operator == "?" and binding <= syntax.CHOICE:
            self.next += 1
            then = self.value(syntax.CHOICE)
            self.demand(":")
            return syntax.Choice(left, then, self.value(syntax.CHOICE), at)
        if operator == "or" and binding <= syntax.ANY:
            return syntax.AnyOf((left, *self.parts(syntax.ANY + 1, "or", "||")), at)
        if operator == "and" and binding <= syntax.ALL:
            return syntax.AllOf((left, *self.parts(syntax.ALL + 1, "and", "&&")), at)
        strength = syntax.BINDING.get(operator, -1)
        if strength < binding:
            return None
        self.next += 2 if operator == "not in" else 1
        right = self.value(strength + 1)
        if strength == syntax.COMPARISON and syntax.BINDING.get(self.operator()) == syntax.COMPARISON:
            raise self.fault("comparisons do not chain, write `a < b and b < c`: expected `and`, `or` or the end")
        return syntax.Binary(operator, left, right, at)

    def operator(self) -> str:
        """The operator that comes next in its canonical spelling; empty where none does."""
        word = self.word
        if word.kind not in ("sign", "keyword"):
            return ""
        if word.value == "not":
            after = self.words[self.next + 1]
            return "not in" if after.kind == "keyword" and after.value == "in" else ""
        return {"&&": "and", "||": "or"}.get(str(word.value), str(word.value))

    def parts(self, binding: int, *signs: str) -> list[Node]:
        parts: list[Node] = []
        while self.take(*signs):
            parts.append(self.value(binding))
        return parts

    def items(self, end: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self.take(end):
            items.append(self.value(syntax.CHOICE))
            if not self.take(","):
                self.demand(end)
                break
        return tuple(items)

    def name(self) -> Node:
        name, at = str(self.word.value), self.word.at
        self.next += 1
        if not self.take("("):
            return syntax.Name(name, at)
        if name != "has" and name not in FUNCTIONS:
            self.unknown(at, "function", name, ["has", *FUNCTIONS])
        start = self.word.at
        if name != "has":
            return self.call(name, at)
        argument = self.value(syntax.CHOICE)
        self.demand(")")
        if not isinstance(argument, syntax.Name | syntax.Member | syntax.Index):
            raise ExpressionFault(self.source, start, "expected a path such as `a.b` or `a[0]` in `has(…)`")
        return syntax.Has(argument, at)

    def call(self, name: str, at: int) -> Node:
        function = FUNCTIONS[name]
        if self.word.kind == "sign" and self.word.value == ")":
            raise self.fault("expected a value")
        arguments = self.items(")")
        if not function.fewest <= len(arguments) <= function.most:
            few, many = function.fewest, function.most
            wanted = str(few) if few == many else f"{few} to {many}"
            words = f"`{name}` takes {wanted} value{'' if wanted == '1' else 's'}, found {len(arguments)}"
            raise ExpressionFault(self.source, at, words)
        return syntax.Call(name, arguments, at)

    def places(self, node: Node) -> Node:
        """The node with the members, elements and methods that follow it."""
        while True:
            at = self.word.at
            if self.take("["):
                node = syntax.Index(node, self.value(syntax.CHOICE), at)
                self.demand("]")
            elif self.take("."):
                node = self.member(node)
            else:
                return node

    def member(self, of: Node) -> Node:
        word = self.word
        if word.kind not in ("name", "keyword"):
            raise self.fault("expected a name after `.`")
        self.next += 1
        name = str(word.value)
        if not self.take("("):
            if word.kind == "keyword":
                raise ExpressionFault(self.source, word.at, f'`{name}` is a word of the language: write `["{name}"]`')
            return syntax.Member(of, name, word.at)
        if name not in METHODS:
            self.unknown(word.at, "method", name, METHODS)
        argument = self.value(syntax.CHOICE)
        self.demand(")")
        return syntax.Method(of, name, argument, word.at)

    def unknown(self, at: int, what: str, name: str, known: object) -> None:
        names = sorted(known)  # type: ignore[call-overload]
        hint = nearest(name, names)
        raise ExpressionFault(self.source, at, f"there is no {what} `{name}`{hint}; known are {', '.join(names)}")


def _refuse_depth(source: str, node: Node) -> None:
    # Sums and paths are read in a loop and still lie deep; the nodes are therefore counted themselves.
    level: list[Node] = [node]
    for _ in range(DEEPEST):
        level = [child for parent in level for child in syntax.children(parent)]
        if not level:
            return
    raise ExpressionFault(source, level[0].at, f"expected at most {DEEPEST} levels of nesting")
