"""What is wrong with the text of an expression, and where."""


class ExpressionFault(ValueError):
    """The source is no expression of the language: says line and column, what was expected, and points at the place.

    It is a `ValueError`, so a kind that compiles an expression while it is built has the fault reported under the
    path of its setting.
    """

    def __init__(self, source: str, at: int, problem: str) -> None:
        self.problem = problem
        self.at = at
        """The place, in characters from the beginning."""
        self.line = source.count("\n", 0, at) + 1
        start = source.rfind("\n", 0, at) + 1
        self.column = at - start + 1
        self.excerpt = _excerpt(source, start, at)
        super().__init__(f"{self.line}:{self.column}: {problem}\n{self.excerpt}")


def _excerpt(source: str, start: int, at: int, width: int = 72) -> str:
    end = source.find("\n", start)
    line = source[start:] if end < 0 else source[start:end]
    column = at - start
    # A long line is shown around the place, so that the caret stays in sight.
    first = max(0, column - width // 2) if len(line) > width else 0
    shown = line[first : first + width].replace("\t", " ")
    return f"  {shown}\n  {' ' * (column - first)}^"
