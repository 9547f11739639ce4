"""What is said is kept as long as it may be, sealed before it goes anywhere, and gone when it has to be."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dirigent.core.ports import Said
from dirigent.store import Database
from dirigent.store.archive import Archive
from dirigent.store.vault import KeyLost
from tests.store.absence import away

NOW = 1_795_500_000.0
DAY = 86_400
WORDS = "Frau Köhler fragt nach ihrem Vertrag".encode()


def said(run: str = "r1", **more: object) -> Said:
    fields: dict[str, object] = {
        "tenant": "acme", "run": run, "at": NOW, "days": 30, "asked": WORDS, "answered": b"Gern." * 100
    }  # fmt: skip
    return Said(**{**fields, **more})  # type: ignore[arg-type]


class Cellar:
    """An archive with a clock that is put forward by hand."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.now = NOW
        self.folder = folder
        self.archive = Archive(database, folder / "keys", folder / "spool", clock=lambda: self.now)

    def read(self, run: str = "r1", tenant: str = "acme") -> list[tuple[str, bytes]]:
        found = self.database.read(lambda connection: self.archive.read(connection, tenant, run))
        return [(each.kind, each.text) for each in found]

    def erase(self, subject: str) -> int:
        return self.database.write(lambda connection: self.archive.erase(connection, "acme", subject))[1]


@pytest.fixture
def cellar(database: Database, tmp_path: Path) -> Cellar:
    return Cellar(database, tmp_path)


def test_both_sides_are_read_back_and_another_tenant_reads_nothing(cellar: Cellar) -> None:
    cellar.archive.keep(said())
    cellar.archive.close()

    assert cellar.read() == [("asked", WORDS), ("answered", b"Gern." * 100)]
    assert cellar.read(tenant="other") == []


def test_a_node_that_keeps_nothing_has_no_keys_and_finds_nothing(cellar: Cellar) -> None:
    cellar.archive.start()

    assert cellar.read() == []
    assert cellar.erase("anybody") == 0
    cellar.archive.close()
    assert not (cellar.folder / "keys").exists()


def test_a_text_is_gone_when_its_time_is_over(cellar: Cellar) -> None:
    cellar.archive.keep(said("short", days=1))
    cellar.archive.keep(said("long", days=30))
    cellar.archive.outbox.flush()

    cellar.now += 2 * DAY
    gone = cellar.archive.forget()
    cellar.archive.close()

    assert gone == 2
    assert cellar.read("short") == []
    assert cellar.read("long") != []


def test_erasing_a_subject_reaches_what_names_it_and_nothing_else(cellar: Cellar) -> None:
    cellar.archive.keep(said("hers", subject="Sabine Köhler"))
    cellar.archive.keep(said("his", subject="Jonas Brandt"))
    cellar.archive.keep(said("nobodys"))
    cellar.archive.outbox.flush()

    gone = cellar.erase("sabine KÖHLER ")
    cellar.now += 1
    cellar.archive.keep(said("after", subject="Sabine Köhler"))
    cellar.archive.close()

    assert gone == 2
    assert cellar.read("hers") == []
    assert all(cellar.read(run) for run in ("his", "nobodys", "after"))


def test_what_waits_for_the_database_is_sealed_and_written_once_it_is_back(
    cellar: Cellar, database: Database, tmp_path: Path
) -> None:
    cellar.archive.keep(said("first"))
    cellar.archive.outbox.flush()
    with away(database):
        cellar.archive.keep(said("waiting"))
        cellar.archive.close()
        waiting = b"".join(file.read_bytes() for file in (tmp_path / "spool").iterdir())
    following = Cellar(database, tmp_path)
    following.archive.start()
    following.archive.close()

    assert waiting
    assert WORDS not in waiting
    assert "Köhler".encode() not in waiting
    assert following.read("waiting") == [("asked", WORDS), ("answered", b"Gern." * 100)]


def test_a_node_with_other_keys_keeps_no_texts_and_says_which_file_is_missing(
    cellar: Cellar, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cellar.archive.keep(said("kept"))
    cellar.archive.outbox.flush()
    stranger = Cellar(database, tmp_path / "elsewhere")

    stranger.archive.keep(said("lost"))
    stranger.archive.outbox.flush()

    assert stranger.archive.lost == 2
    assert "the key search, which is not in" in caplog.text
    assert "Köhler" not in caplog.text
    with pytest.raises(KeyLost):
        stranger.read("kept")
    shutil.copytree(tmp_path / "keys", tmp_path / "elsewhere" / "keys", dirs_exist_ok=True)
    stranger.archive.keep(said("found"))
    stranger.archive.outbox.flush()
    assert stranger.read("found") != []
    assert cellar.read("found") != []
    stranger.archive.close()
    cellar.archive.close()


def test_what_is_kept_stands_nowhere_in_plain(cellar: Cellar, tmp_path: Path) -> None:
    cellar.archive.keep(said(subject="Sabine Köhler"))
    cellar.archive.close()

    everything = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert WORDS not in everything
    assert "Köhler".encode() not in everything


def test_another_process_takes_over_what_was_shredded(cellar: Cellar, database: Database, tmp_path: Path) -> None:
    cellar.archive.keep(said("one", subject="sabine"))
    cellar.archive.outbox.flush()
    other = Cellar(database, tmp_path)
    other.archive.keep(said("two", subject="sabine"))
    other.archive.outbox.flush()

    gone = cellar.erase("sabine")
    other.now += 1
    other.archive.refresh()
    other.archive.keep(said("three", subject="sabine"))
    other.archive.outbox.flush()

    assert gone == 4
    assert other.read("three") != []
    cellar.archive.close()
    other.archive.close()
