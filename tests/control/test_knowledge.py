"""What was learned is listed and forgotten by those who may, and the audit does not name about whom."""

from __future__ import annotations

import pytest

from dirigent.control.desk import Unknown
from dirigent.core.errors import Forbidden, Invalid
from dirigent.core.identity import Role
from dirigent.store.knowledge.pieces import Piece
from dirigent.store.knowledge.rows import keep_document, pieces
from tests.control.office import START, Office

pytestmark = pytest.mark.parametrize("office", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def taught(office: Office) -> Office:
    """An office that has learned three documents, two of which are about Frau Özdemir."""
    texts = {
        "letter.md": "Frau Özdemir fragt\nnach Filtern.",
        "note.md": "Anruf von ÖZDEMIR.",
        "filter.md": "F7 filtert.",
    }
    with office.database.engine.begin() as connection:
        for tenant in ("default", "other"):
            for name, words in texts.items():
                keep_document(
                    connection, tenant=tenant, collection="mails", document=name, stamp="1",
                    found=[Piece("", words)], fault="", now=int(START),
                )  # fmt: skip
    return office


def test_every_document_in_which_a_subject_stands_is_forgotten_and_no_other(taught: Office) -> None:
    listed = taught.does("knowledge.list", by="privacy_officer", subject="özdemir")
    gone = taught.does("knowledge.forget", by="privacy_officer", subject="özdemir")

    assert [each.document for each in listed.documents] == ["letter.md", "note.md"]
    assert (gone.documents, gone.pieces) == (("mails/letter.md", "mails/note.md"), 2)
    with taught.database.engine.begin() as connection:
        assert [each.document for each in pieces(connection, "default", "mails")] == ["filter.md"]
        assert len(pieces(connection, "other", "mails")) == 3
    assert "zdemir" not in str(taught.audit).lower()


def test_a_document_or_a_whole_collection_is_forgotten(taught: Office) -> None:
    one = taught.does("knowledge.forget", collection="mails", document="filter.md")
    rest = taught.does("knowledge.forget", collection="mails")

    assert (one.documents, rest.pieces) == (("mails/filter.md",), 2)
    assert taught.does("knowledge.list").documents == ()
    with pytest.raises(Unknown):
        taught.does("knowledge.forget", collection="mails")


@pytest.mark.parametrize("role", ["admin", "operator", "viewer", "reviewer"])
def test_who_runs_the_machines_forgets_nothing(taught: Office, role: Role) -> None:
    with pytest.raises(Forbidden):
        taught.does("knowledge.forget", by=role, collection="mails")


def test_nothing_is_forgotten_on_an_order_that_names_nothing(taught: Office) -> None:
    with pytest.raises(Invalid):
        taught.does("knowledge.forget")
    with pytest.raises(Invalid):
        taught.does("knowledge.forget", document="filter.md", subject="özdemir")
