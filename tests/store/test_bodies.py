"""What is kept of texts is sealed before it leaves the process, opens for who has the keys, and can be shredded."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, text

from dirigent.store import Database
from dirigent.store.bodies import Bodies, Body, Sealed, scrub
from dirigent.store.outbox import Outbox
from dirigent.store.vault import KeyLost, Vault
from tests.folders import files_in
from tests.store.absence import away

NOW = 1_795_500_000_000
DAY = 86_400_000


def body(run: str = "r1", **more: object) -> Body:
    words = "Frau Köhler fragt nach ihrem Vertrag".encode()
    asked = Body("acme", run, "asked", words, NOW, NOW + DAY, subject="sabine@example.org")
    return msgspec.structs.replace(asked, **more)


class Safe:
    """A vault, the texts in it, and the folder of its keys."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.keys = folder / "keys"
        self.time = NOW / 1000
        self.vault = Vault(database, self.keys, clock=lambda: self.time)
        self.vault.open()
        self.bodies = Bodies(self.vault)

    def keep(self, *bodies: Body) -> int:
        sealed = self.bodies.sealed(bodies)
        return self.database.write(lambda connection: self.bodies.write_many(connection, sealed))

    def texts(self, run: str = "r1") -> list[str]:
        found = self.database.read(lambda connection: self.bodies.read(connection, "acme", run))
        return [each.text.decode() for each in found]


@pytest.fixture
def safe(database: Database, tmp_path: Path) -> Safe:
    return Safe(database, tmp_path)


def test_a_text_is_read_back_as_it_was(safe: Safe) -> None:
    asked, answered = body(), body(kind="answered", text=b"x" * 5_000)

    safe.keep(asked, answered)

    found = safe.database.read(lambda connection: safe.bodies.read(connection, "acme", "r1"))
    assert [(each.kind, each.text) for each in found] == [("asked", asked.text), ("answered", answered.text)]
    assert [each.commitment for each in found] == [asked.commitment, answered.commitment]


def test_another_process_with_the_same_keys_reads_it_too(safe: Safe, database: Database, tmp_path: Path) -> None:
    safe.keep(body())

    assert Safe(database, tmp_path).texts() == [body().text.decode()]


def test_a_node_without_the_keys_refuses_to_begin(safe: Safe, database: Database, tmp_path: Path) -> None:
    safe.keep(body())

    with pytest.raises(KeyLost, match="not in"):
        Vault(database, tmp_path / "elsewhere").open()


def test_a_node_with_other_keys_refuses_to_begin(safe: Safe, database: Database, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(safe.keys, other)
    (other / "kek-1").write_bytes(os.urandom(32))

    with pytest.raises(KeyLost, match="another key"):
        Vault(database, other).open()


def test_keys_can_be_read_by_their_owner_only(safe: Safe) -> None:
    assert {path.name for path in safe.keys.iterdir()} == {"kek-1", "search"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in safe.keys.iterdir())


@pytest.mark.parametrize("column", ["sealed", "dek", "nonce"])
def test_a_changed_byte_is_noticed(safe: Safe, column: str) -> None:
    safe.keep(body())

    def work(connection: Connection) -> None:
        found = bytes(connection.execute(text("SELECT X FROM bodies".replace("X", column))).scalar() or b"")
        changed = bytes([found[0] ^ 1]) + found[1:]
        connection.execute(text("UPDATE bodies SET X = :changed".replace("X", column)), {"changed": changed})

    safe.database.write(work)

    with pytest.raises(KeyLost, match="tampered"):
        safe.texts()


def test_a_text_that_is_put_into_another_run_does_not_open(safe: Safe) -> None:
    safe.keep(body("r1"))

    safe.database.write(lambda connection: connection.execute(text("UPDATE bodies SET run = 'r2'")))

    with pytest.raises(KeyLost, match="tampered"):
        safe.texts("r2")


def test_a_text_that_came_twice_is_kept_once(safe: Safe) -> None:
    sealed = safe.bodies.sealed([body()])

    for _ in range(2):
        safe.database.write(lambda connection: safe.bodies.write_many(connection, sealed))

    assert len(safe.texts()) == 1


def test_a_shredded_subject_can_be_read_nowhere_and_others_still_can(safe: Safe) -> None:
    safe.keep(body("r1"), body("r2", subject="peter"))

    gone = safe.database.write(lambda connection: safe.bodies.shred(connection, "acme", "Sabine@Example.org "))

    assert gone == 1
    assert safe.texts("r1") == []
    assert safe.texts("r2") == [body().text.decode()]


def test_an_old_copy_of_the_table_does_not_open_after_shredding(safe: Safe) -> None:
    sealed = safe.bodies.sealed([body()])
    safe.database.write(lambda connection: safe.bodies.write_many(connection, sealed))
    safe.database.write(lambda connection: connection.execute(text("CREATE TABLE old AS SELECT * FROM bodies")))
    safe.database.write(lambda connection: safe.bodies.shred(connection, "acme", "sabine@example.org"))

    safe.database.write(lambda connection: connection.execute(text("INSERT INTO bodies SELECT * FROM old")))

    with pytest.raises(KeyLost, match="shredded"):
        safe.texts()


def test_what_was_on_its_way_while_its_subject_was_shredded_is_not_written(safe: Safe) -> None:
    safe.keep(body("r0"))
    late = safe.bodies.sealed([body("r1"), body("r2", subject="peter")])
    safe.database.write(lambda connection: safe.bodies.shred(connection, "acme", "sabine@example.org"))

    stored = safe.database.write(lambda connection: safe.bodies.write_many(connection, late))

    assert stored == 1
    assert safe.bodies.shredded == 1
    assert safe.texts("r1") == []


def test_a_subject_that_comes_back_after_shredding_gets_a_new_key(safe: Safe) -> None:
    safe.keep(body("r1"))
    safe.database.write(lambda connection: safe.bodies.shred(connection, "acme", "sabine@example.org"))
    safe.time += 1

    assert safe.keep(body("r2")) == 1
    assert safe.texts("r2") == [body().text.decode()]


def test_after_a_rotation_everything_still_opens_and_the_old_key_is_gone(safe: Safe, database: Database) -> None:
    safe.keep(*(body(f"r{number}", subject=f"subject {number}") for number in range(20)))

    count = safe.vault.rotate()

    assert count == 20
    assert {path.name for path in safe.keys.iterdir()} == {"kek-2", "search"}
    assert safe.texts("r7") == [body().text.decode()]
    again = Safe(database, safe.keys.parent)
    again.keep(body("r99"))
    assert again.texts("r99") == [body().text.decode()]
    assert again.vault.epoch == 2


def test_a_worker_that_slept_through_a_rotation_writes_under_the_new_key(safe: Safe, database: Database) -> None:
    sleeper = Safe(database, safe.keys.parent)
    late = sleeper.bodies.sealed([body("r1", subject="peter")])
    safe.vault.rotate()

    database.write(lambda connection: sleeper.bodies.write_many(connection, late))

    assert safe.texts() == [body().text.decode()]
    sleeper.vault.refresh()
    assert sleeper.vault.epoch == 2


def test_a_rotation_that_was_cut_short_is_ended_at_the_next_start(safe: Safe, database: Database) -> None:
    old = (safe.keys / "kek-1").read_bytes()
    safe.vault.rotate()
    (safe.keys / "kek-1").write_bytes(old)  # as if the power had gone between the transaction and the file

    Safe(database, safe.keys.parent)

    assert not (safe.keys / "kek-1").exists()


def test_what_has_expired_goes_and_so_do_keys_that_seal_nothing(safe: Safe) -> None:
    safe.keep(body("r1", expires=NOW + 10), body("r2", subject="peter", expires=NOW + 20 * DAY))

    gone = safe.database.write(lambda connection: safe.bodies.expire(connection, NOW + 8 * DAY))

    assert gone == 1
    keys = safe.database.read(lambda connection: connection.execute(text("SELECT count(*) FROM subject_keys")).scalar())
    assert keys == 1
    assert safe.texts("r2") == [body().text.decode()]


def test_a_key_that_was_tidied_away_comes_back_with_the_next_text(safe: Safe) -> None:
    safe.keep(body("r1", expires=NOW + 10))
    safe.database.write(lambda connection: safe.bodies.expire(connection, NOW + 8 * DAY))

    assert safe.keep(body("r2")) == 1
    assert safe.texts("r2") == [body().text.decode()]


def test_deleting_a_run_removes_its_texts(safe: Safe) -> None:
    safe.keep(body(), body(kind="answered"))

    assert safe.database.write(lambda connection: safe.bodies.delete(connection, "acme", "r1")) == 2
    assert safe.texts() == []


def test_nobody_is_named_in_the_database_and_days_have_keys_of_their_own(safe: Safe) -> None:
    safe.keep(body("r1", subject=""), body("r2", subject="", at=NOW + DAY))

    keys = safe.database.read(lambda connection: connection.execute(text("SELECT count(*) FROM subject_keys")).scalar())

    assert keys == 2


CANARY = "KANARIENVOGEL-7Q3K-größe"


def _hits(files: list[Path], *needles: bytes) -> list[str]:
    found = []
    for file in files:
        content = file.read_bytes() if file.is_file() else b""
        found += [str(file) for needle in needles if needle in content]
    return found


def test_no_byte_of_a_text_is_in_any_file_of_the_database(
    safe: Safe, database: Database, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    plain = body(text=CANARY.encode() * 50, subject="canary@example.org")
    safe.keep(plain)
    safe.keep(body("r2", text=CANARY.encode(), subject="canary@example.org"))
    if not database.lite:
        with database.engine.connect() as connection:
            connection.execute(text("SELECT pg_switch_wal()"))
            connection.commit()
            root = Path(str(connection.execute(text("SHOW data_directory")).scalar()))
    else:
        root = tmp_path

    needles = (CANARY.encode(), CANARY.encode("utf-16-le"), CANARY.encode().hex().encode(), b"canary@example.org")
    looked, hits = 0, []
    for file, content in files_in(root):  # other databases of the same server come and go
        if safe.keys not in file.parents:
            looked += 1
            hits += [file for needle in needles if needle in content]

    assert looked > 1
    assert hits == []


def test_a_shredded_key_leaves_nothing_in_the_embedded_files(safe: Safe, database: Database, tmp_path: Path) -> None:
    safe.keep(body())
    wrapped = bytes(
        database.read(lambda connection: connection.execute(text("SELECT wrapped FROM subject_keys")).scalar() or b"")
    )
    database.write(lambda connection: safe.bodies.shred(connection, "acme", "sabine@example.org"))

    scrub(database)

    if database.lite:
        assert _hits([tmp_path / "dirigent.db", tmp_path / "dirigent.db-wal"][:1], wrapped[:16]) == []
        assert not (tmp_path / "dirigent.db-wal").exists() or (tmp_path / "dirigent.db-wal").stat().st_size == 0
    else:
        count = database.read(lambda connection: connection.execute(text("SELECT count(*) FROM subject_keys")).scalar())
        assert count == 0  # its log may still hold the sealed key, which the next epoch makes worthless


def test_sealed_rows_survive_a_file(safe: Safe) -> None:
    sealed = safe.bodies.sealed([body()])

    again = msgspec.msgpack.decode(msgspec.msgpack.encode(sealed), type=list[Sealed])

    assert again == sealed
    assert CANARY.encode() not in msgspec.msgpack.encode(safe.bodies.sealed([body(text=CANARY.encode())]))


def test_texts_that_wait_for_the_database_wait_sealed(safe: Safe, database: Database, tmp_path: Path) -> None:
    box = Outbox[Body, Sealed](
        "bodies", database, Sealed, safe.bodies.write_many, folder=tmp_path / "spool", before=safe.bodies.sealed
    )
    with away(database):
        box.put(body("r1", text=CANARY.encode(), subject="somebody new"))
        box.put(body("r2", text=CANARY.encode(), subject="somebody new"))
        box.flush()
        files = list((tmp_path / "spool").iterdir())
        assert len(files) == 1
        assert _hits(files, CANARY.encode(), b"somebody new") == []
    box.close()

    assert safe.texts("r1") == safe.texts("r2") == [CANARY]


def test_what_waited_in_a_file_while_its_subject_was_shredded_is_not_written(
    safe: Safe, database: Database, tmp_path: Path
) -> None:
    box = Outbox[Body, Sealed](
        "bodies", database, Sealed, safe.bodies.write_many, folder=tmp_path / "spool", before=safe.bodies.sealed
    )
    with away(database):
        box.put(body("r1"))
        box.flush()
    safe.time += 1
    database.write(lambda connection: Safe(database, tmp_path).bodies.shred(connection, "acme", "sabine@example.org"))
    box.close()

    assert safe.texts("r1") == []
    assert safe.bodies.shredded == 1


def test_workers_that_begin_at_once_agree_on_the_keys(database: Database, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        safes = list(threads.map(lambda _: Safe(database, tmp_path), range(4)))

    for number, safe in enumerate(safes):
        safe.keep(body(f"r{number}", subject=f"subject {number}"))

    assert [safes[0].texts(f"r{number}") for number in range(4)] == [[body().text.decode()]] * 4


def test_texts_are_written_while_subjects_are_shredded_and_keys_rotated(safe: Safe, database: Database) -> None:
    def write(worker: int) -> int:
        return sum(safe.keep(body(f"r{worker}-{number}", subject=f"s{number % 3}")) for number in range(20))

    def shred(_: int) -> int:
        for number in range(6):
            safe.time += 0.001
            database.write(lambda connection, name=f"s{number % 3}": safe.bodies.shred(connection, "acme", name))  # type: ignore[misc]
            safe.time += 0.001
        return safe.vault.rotate()

    with ThreadPoolExecutor(4) as threads:
        writing = [threads.submit(write, worker) for worker in range(3)]
        threads.submit(shred, 0).result()
        for each in writing:
            each.result()

    runs = database.read(lambda connection: connection.execute(text("SELECT run FROM bodies")).scalars().all())
    assert all(safe.texts(run) == [body().text.decode()] for run in runs), "what is still there can be read"
