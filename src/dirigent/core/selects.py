"""One SELECT and nothing else: the text of a query, read before any database sees it.

This is the first of several locks. It knows no dialect to the end and errs on the side of refusing: what it lets
through is one statement that begins like a query, holds no word that changes anything, and no sign that two databases
read differently. The databases themselves are opened for reading only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from dirigent.core.errors import Invalid

__all__ = ["LONGEST", "Select", "read_select"]

LONGEST = 20_000
"""Characters of a query."""

_BEGINS = frozenset(("select", "values", "with"))
_CHANGES = frozenset(
    [
        "alter",
        "attach",
        "copy",
        "create",
        "deallocate",
        "delete",
        "detach",
        "drop",
        "execute",
        "grant",
        "insert",
        "install",
        "into",
        "merge",
        "pragma",
        "prepare",
        "reindex",
        "revoke",
        "truncate",
        "update",
        "upsert",
        "vacuum",
    ]
)
"""Words of statements that are no queries; as the name of a column each may stand in double quotes."""
_REACHES = re.compile(
    r"set_config|nextval|setval|query_to_xml\w*|table_to_xml\w*|schema_to_xml\w*|database_to_xml\w*|cursor_to_xml\w*"
    r"|xpath_table|dblink\w*|lo_\w+|pg_(?:read|ls|stat_file|file|terminate|cancel|reload|rotate|sleep|advisory|try|"
    r"promote|switch|create|drop|logical|replication|backup|start|stop|export|notify|logdir|hba|execute|import|"
    r"wal|log|current_logfile|signal|copy)\w*|load_extension|fts3_tokenizer|readfile|writefile|edit|"
    r"read_\w+|parquet_\w+|sniff_csv|glob|getenv|query|query_table|postgres_\w+|sqlite_\w+|mysql_\w+|iceberg_\w+|"
    r"delta_\w+|duckdb_secrets|which_secret|from_substrait\w*|st_read\w*"
)
"""Functions that reach beyond the tables, or change something though they stand in a query."""
_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<line>--[^\r\n]*)
  | (?P<block>/\*(?:(?!/\*|\*/).)*\*/)
  | (?P<text>'(?:[^']|'')*')
  | (?P<quoted>"(?:[^"]|"")*")
  | (?P<cast>::)
  | (?P<name>:[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>\d[\w.]*(?:(?<=[eE])[+-]\d+)?|\.\d[\w]*)
  | (?P<word>[^\W\d]\w*)
  | (?P<end>;)
  | (?P<sign>[-+*/%<>=~!^|&@(),.:\[\]{}#])
    """,
    re.VERBOSE | re.DOTALL,
)


class Select(msgspec.Struct, frozen=True):
    """A query in pieces, without its comments: texts that stay as they are, and the names of its parameters."""

    pieces: tuple[tuple[str, bool], ...]
    """Each with whether it is the name of a parameter."""

    @property
    def names(self) -> frozenset[str]:
        """The parameters that it takes."""
        return frozenset(text for text, parameter in self.pieces if parameter)

    def written(self, mark: Callable[[str], str], text: Callable[[str], str] = str) -> str:
        """The query with each parameter as `mark` writes it, and all else as `text` does."""
        return "".join(mark(piece) if parameter else text(piece) for piece, parameter in self.pieces)


def read_select(sql: str) -> Select:
    """The query that `sql` is. Raises Invalid where it is anything but one query that only reads."""
    if len(sql) > LONGEST:
        raise Invalid(f"a query has {LONGEST} characters at most")
    tokens = list(_tokens(sql))
    while tokens and tokens[-1][0] == "end":
        tokens.pop()
    words = [(index, text.lower()) for index, (kind, text) in enumerate(tokens) if kind == "word"]
    first = next((text.lower() for kind, text in tokens if kind != "sign" or text != "("), "")
    if not words or first not in _BEGINS:
        raise Invalid(f"a query begins with SELECT, WITH or VALUES, not with {first.upper() or 'nothing'!r}")
    for index, word in words:
        called = index + 1 < len(tokens) and tokens[index + 1] == ("sign", "(")
        member = index > 0 and tokens[index - 1] == ("sign", ".")
        if word in _CHANGES and not member:
            raise Invalid(f"{word.upper()} has no place in a query; a column of that name stands in double quotes")
        if called and _REACHES.fullmatch(word):
            raise Invalid(f"the function {word} may not be called: it reaches beyond the tables")
    quoted = [text[1:-1].lower() for kind, text in tokens if kind == "quoted"]
    if reaching := next((text for text in quoted if _REACHES.fullmatch(text)), None):
        raise Invalid(f"nothing may be called {reaching!r}: a function of that name reaches beyond the tables")
    if any(kind == "end" for kind, _ in tokens):
        raise Invalid("a query is one statement: a semicolon may stand at its end alone")
    return Select(tuple(_joined(tokens)))


def _tokens(sql: str) -> Iterator[tuple[str, str]]:
    at, before = 0, ""
    while at < len(sql):
        found = _TOKEN.match(sql, at)
        if found is None:
            raise Invalid(f"the query cannot be read from {sql[at : at + 20]!r} on: that sign has no place in it")
        kind, text = str(found.lastgroup), found[0]
        at = found.end()
        if "\0" in text:
            raise Invalid("a query holds no zero byte")
        if kind == "text" and before in ("word", "number", "text", "quoted"):
            raise Invalid("a text in a query stands in single quotes, with nothing right before them")
        before = kind
        if kind in ("space", "line", "block"):
            yield "space", " "
        else:
            yield kind, text[1:] if kind == "name" else text


def _joined(tokens: list[tuple[str, str]]) -> Iterator[tuple[str, bool]]:
    text: list[str] = []
    for kind, piece in tokens:
        if kind == "name":
            yield "".join(text), False
            yield piece, True
            text = []
        else:
            text.append(piece)
    yield "".join(text).rstrip(), False
