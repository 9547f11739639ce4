"""What is published has a name, a history and a way back, and a file never undoes what somebody did since."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from dirigent.core.aliases import Alias, Share
from dirigent.core.canonical import plain, revision_of, stored
from dirigent.core.changes import Change, changes
from dirigent.core.errors import DirigentError, Invalid
from dirigent.store import Database
from dirigent.store.aliases import aliases, drop_alias, point
from dirigent.store.nodes import lagging, leave, posts, report
from dirigent.store.pulse import sequence_of
from dirigent.store.revisions import (
    Publication,
    UnknownRevision,
    document_of,
    head,
    publication,
    publications,
    publish,
    revision_like,
    take_file,
)

NOW = 1_795_500_000_000


def document(price: str = "2.50", **models: Any) -> dict[str, Any]:
    premium = {"type": "deployment", "provider": "vendor", "name": "gpt-4o", "price": {"input": Decimal(price)}}
    return {"providers": {"vendor": {"type": "openai"}}, "models": {"premium": premium, **models}}


def publishing(database: Database, what: dict[str, Any], tenant: str = "acme", reason: str = "why") -> Publication:
    return database.write(
        lambda connection: publish(connection, tenant, what, author="member:m1", reason=reason, now=NOW)
    )


def taking(database: Database, node: str, what: dict[str, Any]) -> tuple[str, bool]:
    present, taken = database.write(lambda connection: take_file(connection, "acme", node, what, NOW))
    return present.revision, taken


def test_what_was_published_is_read_back_to_the_last_digit(database: Database) -> None:
    made = publishing(database, document("2.5000"))

    found = database.read(lambda connection: document_of(connection, "acme", made.revision))

    assert found == document("2.5000")
    assert str(found["models"]["premium"]["price"]["input"]) == "2.5000"
    assert revision_of(found) == made.revision


def test_a_publication_tells_what_changed(database: Database) -> None:
    first = publishing(database, document())
    second = publishing(database, document("3.00", cheap={"type": "echo"}))

    line, found = database.read(lambda connection: publication(connection, "acme", 2))

    assert line == second
    assert (second.number, second.parent) == (2, first.revision)
    assert found == (
        Change(("models", "cheap"), after={"type": "echo"}),
        Change(("models", "premium", "price", "input"), before=2.5, after=3.0),
    )


def test_what_is_present_already_leaves_no_new_line(database: Database) -> None:
    made = publishing(database, document())

    again = publishing(database, document())

    assert again == made
    assert len(database.read(lambda connection: publications(connection, "acme"))) == 1


def test_the_same_document_has_the_same_revision_again(database: Database) -> None:
    first = publishing(database, document())
    publishing(database, document("9.00"))

    third = publishing(database, document())

    assert (third.number, third.revision) == (3, first.revision)
    history = database.read(lambda connection: publications(connection, "acme", before=3))
    assert [line.number for line in history] == [2, 1]


def test_each_publication_counts_the_catalog_on(database: Database) -> None:
    publishing(database, document())
    publishing(database, document("9.00"))
    publishing(database, document("9.00"))

    assert database.read(lambda connection: sequence_of(connection, "catalog")) == 2


def test_publications_at_once_happen_one_after_the_other(database: Database) -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda number: publishing(database, document(f"{number}.00")), range(12)))

    history = database.read(lambda connection: publications(connection, "acme"))
    assert sorted(line.number for line in made) == list(range(1, 13))
    assert [line.parent for line in history] == [*(line.revision for line in history[1:]), None]


def test_tenants_do_not_see_each_others_revisions(database: Database) -> None:
    made = publishing(database, document())

    assert database.read(lambda connection: head(connection, "other")) is None
    with pytest.raises(UnknownRevision):
        database.read(lambda connection: document_of(connection, "other", made.revision))


def test_a_changed_document_in_the_table_is_not_taken_for_what_was_published(database: Database) -> None:
    made, other = publishing(database, document()), publishing(database, document("0.01"))
    database.write(
        lambda connection: connection.execute(
            text("""
                UPDATE documents SET body = (SELECT d.body FROM documents d WHERE d.revision = :other)
                WHERE revision = :made"""),
            {"made": made.revision, "other": other.revision},
        )
    )

    with pytest.raises(DirigentError, match="not the one"):
        database.read(lambda connection: document_of(connection, "acme", made.revision))


def test_a_revision_may_be_named_by_its_first_letters(database: Database) -> None:
    made = publishing(database, document())

    assert database.read(lambda connection: revision_like(connection, "acme", made.revision[:5])) == made.revision
    for words in ("zzzz", made.revision[:3], "%%%%", "____"):
        with pytest.raises(UnknownRevision):
            database.read(lambda connection, words=words: revision_like(connection, "acme", words))  # type: ignore[misc]


def test_the_first_file_is_published(database: Database) -> None:
    assert taking(database, "n1", document()) == (revision_of(document()), True)


def test_an_unchanged_file_never_overrides_what_was_published_since(database: Database) -> None:
    taking(database, "n1", document())
    later = publishing(database, document("9.00"))

    assert taking(database, "n1", document()) == (later.revision, False)


def test_an_unchanged_file_never_overrides_a_rollback(database: Database) -> None:
    taking(database, "n1", document())
    taking(database, "n1", document("9.00"))
    back = publishing(database, document(), reason="back")

    assert taking(database, "n1", document("9.00")) == (back.revision, False)


def test_a_changed_file_is_published_also_after_somebody_published_something_else(database: Database) -> None:
    taking(database, "n1", document())
    publishing(database, document("9.00"))

    assert taking(database, "n1", document("5.00")) == (revision_of(document("5.00")), True)


def test_a_file_that_goes_back_to_what_it_was_counts_as_changed(database: Database) -> None:
    taking(database, "n1", document())
    taking(database, "n1", document("5.00"))

    assert taking(database, "n1", document()) == (revision_of(document()), True)


def test_two_nodes_with_different_files_do_not_override_each_other_at_each_start(database: Database) -> None:
    taking(database, "n1", document())
    taking(database, "n2", document("5.00"))

    restarts = [taking(database, "n1", document()), taking(database, "n2", document("5.00"))]

    assert restarts == [(revision_of(document("5.00")), False)] * 2


def test_a_node_that_joins_does_not_override_what_a_person_published(database: Database) -> None:
    taking(database, "n1", document())
    present = publishing(database, document("9.00"))

    assert taking(database, "n2", document("5.00")) == (present.revision, False)


def test_where_all_comes_from_files_a_new_node_brings_the_newest(database: Database) -> None:
    taking(database, "pod-1", document())
    taking(database, "pod-2", document("5.00"))

    assert taking(database, "pod-3", document()) == (revision_of(document("5.00")), False), "an old one, started late"


def test_nodes_that_lag_are_known_until_nobody_hears_of_them(database: Database) -> None:
    def said(node: str, number: int) -> None:
        database.write(lambda connection: report(connection, "acme", node, "0", number=number, revision="abc"))

    def late() -> list[str]:
        return [post.node for post in database.read(lambda connection: lagging(connection, "acme", 2))]

    said("n1", 2)
    said("n2", 1)
    said("dead", 1)
    database.write(
        lambda connection: connection.execute(text("UPDATE nodes SET seen = seen - 60000 WHERE node = 'dead'"))
    )
    assert late() == ["n2"]

    said("n2", 2)
    assert late() == []
    database.write(lambda connection: leave(connection, "acme", "n2", "0"))
    assert [post.node for post in database.read(lambda connection: posts(connection, "acme"))] == ["n1"]


def test_an_alias_points_where_it_was_told_to(database: Database) -> None:
    first = Alias("chat", "premium", (Share(None, 1_000),))
    second = Alias("chat", "premium", (Share("abc", 50), Share(None, 950)))

    for each in (first, second):
        database.write(
            lambda connection, each=each: point(connection, "acme", each, author="member:m1", now=NOW)  # type: ignore[misc]
        )

    assert database.read(lambda connection: aliases(connection, "acme")) == [second]
    assert database.write(lambda connection: drop_alias(connection, "acme", "chat"))
    assert not database.write(lambda connection: drop_alias(connection, "acme", "chat"))


def test_shares_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(Invalid, match="add up"):
        Alias("chat", "premium", (Share("abc", 50),))
    with pytest.raises(Invalid, match="twice"):
        Alias("chat", "premium", (Share("abc", 500), Share("abc", 500)))


def test_a_growing_canary_keeps_whom_it_has_and_gets_its_share() -> None:
    units = [f"conversation {number}" for number in range(5_000)]
    small = Alias("chat", "premium", (Share("new", 50), Share("old", 950)))
    large = Alias("chat", "premium", (Share("new", 600), Share("old", 400)))

    met_small = {unit for unit in units if small.chosen(unit) == "new"}
    met_large = {unit for unit in units if large.chosen(unit) == "new"}

    assert met_small < met_large
    assert 200 < len(met_small) < 300
    assert 2_900 < len(met_large) < 3_100


_plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=20)
    | st.decimals(allow_nan=False, allow_infinity=False, places=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=8), _plain, max_size=5))
def test_a_document_keeps_its_name_however_often_it_is_written_and_read(what: dict[str, Any]) -> None:
    once = plain(stored(what))

    assert once == what
    assert plain(stored(once)) == once
    assert revision_of(once) == revision_of(what)
    assert stored(once) == stored(what)


@given(_plain, _plain)
def test_changes_lead_from_the_one_document_to_the_other(before: object, after: object) -> None:
    found = changes({"at": before}, {"at": after})

    assert _applied({"at": before}, found) == {"at": after}
    assert changes(before, before) == ()


def _applied(document: Any, found: tuple[Change, ...]) -> Any:
    for change in found:
        place = document = _copied(document)
        for step in change.path[:-1]:
            place = place[step]
        if change.after is msgspec.UNSET:
            del place[change.path[-1]]
        else:
            place[change.path[-1]] = change.after
    return document


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def test_a_number_has_the_same_name_wherever_it_was_read_from() -> None:
    assert revision_of({"a": 1.5}) == revision_of({"a": Decimal("1.5")})
    assert revision_of({"a": Decimal("1.50")}) != revision_of({"a": Decimal("1.5")})
