"""Nothing that opens anything is left lying about: not in the database, its log, the audit, an answer or an error."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.exc import IntegrityError

from dirigent.admin.folder import new_link
from dirigent.store.database import Connection
from dirigent.store.people import Member, keep_member
from tests.admin.house import PASSWORD, Browser, House, house
from tests.folders import files_in


def _everything(folder: Path) -> bytes:
    """All that stands in a folder, the files of keys aside."""
    return b"".join(content for file, content in files_in(folder) if file.name not in {"operator-key", "audit.key"})


@pytest.fixture
def lived_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> dict[str, object]:
    """A house in which much has happened, and all that must not be seen in it."""
    caplog.set_level(logging.DEBUG)
    with house(tmp_path / "data") as one:
        browser, secrets = _live(one)
        answers = [
            browser.perform(name).body
            for name in ("keys.list", "members.list", "audit.list", "audit.export", "projects.list", "budgets.list")
        ]
        answers += [browser.call("GET", "/api/v1/openapi.json").body]
        left = _everything(one.data)
    return {"secrets": secrets, "left": left, "answers": b"".join(answers), "log": caplog.text.encode()}


def _live(one: House) -> tuple[Browser, dict[str, str]]:
    browser = one.browser("owner")
    issued = browser.perform("keys.issue", {"title": "one"}).json
    rotated = browser.perform("keys.rotate", {"id": issued["id"]}).json
    word = "another pass phrase of somebody"
    member = browser.perform(
        "members.invite", {"name": "Ada Lovelace", "email": "ada@example.org", "role": "viewer", "password": word}
    ).json
    browser.perform("members.password", {"id": member["id"], "password": f"{word} else"})
    Browser(one).sign_in("ada@example.org", "a wrong guess of mine")
    one.call("GET", "/api/v1/keys/list", key="dk-somebody-elses-key")
    link = new_link(one.data, one.now())
    one.call("GET", f"/api/v1/session/link?token={link}", key=None)
    secrets = {
        "the operator's key": one.key,
        "a key": issued["key"],
        "its successor": rotated["key"],
        "a password": PASSWORD,
        "a new password": word,
        "a wrong password": "a wrong guess of mine",
        "a session": browser.cookie.partition("=")[2],
        "its token": browser.csrf,
        "a link": link,
        "a key that is none": "dk-somebody-elses-key",
    }
    return browser, secrets


@pytest.mark.parametrize("where", ["left", "answers", "log"])
def test_no_secret_is_left_behind(lived_in: dict[str, object], where: str) -> None:
    secrets, seen = lived_in["secrets"], lived_in[where]

    assert isinstance(secrets, dict)
    assert isinstance(seen, bytes)
    assert [name for name, secret in secrets.items() if secret.encode() in seen] == []


def test_what_is_looked_for_could_be_found(lived_in: dict[str, object]) -> None:
    left, answers = lived_in["left"], lived_in["answers"]

    assert isinstance(left, bytes)
    assert isinstance(answers, bytes)
    assert b"ada@example.org" in left
    assert b"ada@example.org" in answers
    assert b"members.invite" in answers


def test_no_name_or_address_of_a_person_stands_in_the_audit(tmp_path: Path) -> None:
    with house(tmp_path / "data") as one:
        browser, _ = _live(one)
        audit = browser.perform("audit.export").body

    assert b"members.invite" in audit
    assert not re.search(rb"Ada|Lovelace|example\.org|@|The owner", audit)


def test_a_fault_of_the_database_is_logged_without_what_was_to_be_written(
    things: House,
) -> None:
    twice = Member("default", "m-1", "Ada Lovelace", "viewer", "ada@example.org")

    def keep(connection: Connection) -> None:
        for name in ("m-1", "m-2"):
            keep_member(connection, msgspec.structs.replace(twice, id=name), 1)

    with pytest.raises(IntegrityError) as raised:
        things.database.write(keep)

    assert "ada@example.org" not in str(raised.value)
