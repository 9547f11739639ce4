"""Signing in and out: sessions, their cookie, their token, and those who try too often."""

from __future__ import annotations

import time

import msgspec
import pytest

from dirigent.admin.folder import LINK_LIFE, new_link
from dirigent.store.audit import entries
from dirigent.store.people import keep_member
from dirigent.store.pulse import bump
from tests.admin.house import PASSWORD, Browser, House

LIST, PUT = "/api/v1/things/list", "/api/v1/things/put"


def test_a_member_signs_in_and_acts_in_the_own_name(things: House) -> None:
    browser = things.browser("operator")

    answer = browser.call("POST", PUT, {"name": "a"})

    assert (answer.status, answer.json["by"]) == (200, "member:m-operator-default")


def test_who_is_signed_in_learns_what_they_may(things: House) -> None:
    browser = things.browser("viewer")

    told = browser.call("GET", "/api/v1/session").json

    assert (told["role"], told["tenant"], told["csrf"]) == ("viewer", "default", browser.csrf)
    assert "models.see" in told["permissions"]
    assert "models.publish" not in told["permissions"]


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(things: House) -> None:
    member = things.member("viewer")

    plain = Browser(things).sign_in(member.email or "", PASSWORD).headers["set-cookie"]
    secure = things.call(
        "POST",
        "/api/v1/session",
        {"email": member.email, "password": PASSWORD},
        key=None,
        headers={"x-forwarded-proto": "https"},
    ).headers["set-cookie"]

    assert "httponly" in plain.lower()
    assert "samesite=lax" in plain.lower()
    assert "secure" not in plain.lower()
    assert "secure" in secure.lower()


@pytest.mark.parametrize("token", ["", "wrong", "ünïcode"])
def test_a_change_without_the_sessions_token_is_refused(things: House, token: str) -> None:
    browser = things.browser("admin")
    browser.csrf = token.encode().decode("latin-1")

    changing = browser.call("POST", PUT, {"name": "a"})
    reading = browser.call("GET", LIST)

    assert (changing.status, changing.json["error"]["code"]) == (403, "csrf")
    assert reading.status == 200


def test_the_token_of_one_session_is_no_good_for_another(things: House) -> None:
    one, other = things.browser("admin"), things.browser("operator")
    one.csrf = other.csrf

    assert one.call("POST", PUT, {"name": "a"}).status == 403


def test_a_form_of_another_site_cannot_sign_anybody_in(things: House) -> None:
    member = things.member("viewer")
    form = f'{{"email": "{member.email}", "password": "{PASSWORD}"}}'.encode()

    answer = things.call("POST", "/api/v1/session", form, key=None, headers={"content-type": "text/plain"})

    assert answer.status == 415


def test_signing_out_ends_the_session(things: House) -> None:
    browser = things.browser("viewer")

    out = browser.call("DELETE", "/api/v1/session")

    assert (out.status, out.json) == (200, {"ended": True})
    assert browser.call("GET", LIST).status == 401


@pytest.mark.parametrize(("hours", "status"), [(1.9, 200), (2.1, 401)])
def test_a_session_that_nobody_uses_ends(things: House, hours: float, status: int) -> None:
    browser = things.browser("viewer")

    things.ahead = hours * 3600

    assert browser.call("GET", LIST).status == status


def test_a_session_ends_after_half_a_day_however_busy(things: House) -> None:
    browser = things.browser("viewer")

    statuses = []
    for hour in range(1, 13):
        things.ahead = hour * 3600 + 60
        statuses.append(browser.call("GET", LIST).status)

    assert statuses == [200] * 11 + [401]


def test_a_member_who_is_blocked_is_out_at_once(things: House) -> None:
    browser = things.browser("viewer")
    member = things.member("viewer")

    blocked = msgspec.structs.replace(member, blocked=1)
    things.database.write(lambda connection: keep_member(connection, blocked, bump(connection, "rights")))

    assert browser.call("GET", LIST).status == 401


@pytest.mark.parametrize(
    ("email", "password"), [("viewer@default.example", "wrong"), ("nobody@default.example", PASSWORD), ("", "")]
)
def test_a_wrong_address_and_a_wrong_password_are_refused_in_the_same_words(
    things: House, email: str, password: str
) -> None:
    things.member("viewer")

    answer = Browser(things).sign_in(email, password)

    assert (answer.status, answer.json["error"]["code"]) == (401, "sign_in_refused")
    assert answer.json["error"]["message"] == "the e-mail address and the password do not belong to a member"


def test_signing_in_in_a_tenant_that_is_none_is_refused_in_the_same_words(things: House) -> None:
    assert (
        Browser(things).sign_in("viewer@default.example", PASSWORD, "ghost").json["error"]["code"] == "sign_in_refused"
    )


def test_who_tries_too_often_has_to_wait_even_with_the_right_password(things: House) -> None:
    member = things.member("viewer")
    refused = [Browser(things).sign_in(member.email or "", "wrong").status for _ in range(5)]

    waiting = Browser(things).sign_in(member.email or "", PASSWORD)
    things.ahead = 3600
    later = Browser(things).sign_in(member.email or "", PASSWORD)

    assert refused == [401] * 5
    assert (waiting.status, waiting.json["error"]["code"]) == (429, "too_many_attempts")
    assert int(waiting.headers["retry-after"]) >= 1
    assert later.status == 200


def test_who_comes_and_goes_stands_in_the_audit_without_a_name(things: House) -> None:
    browser = things.browser("viewer")
    Browser(things).sign_in("viewer@default.example", "wrong")
    browser.call("DELETE", "/api/v1/session")

    lines = things.database.read(lambda connection: entries(connection, "default"))

    assert [(each.action, each.decision) for each in reversed(lines)] == [
        ("session.open", "permitted"),
        ("session.open", "denied"),
        ("session.close", "permitted"),
    ]
    assert not any("viewer@default" in str(each) or "The viewer" in str(each) for each in lines)


def test_the_link_signs_the_first_owner_in_once(things: House) -> None:
    things.member("owner")
    token = new_link(things.data, time.time())

    first = things.call("GET", f"/api/v1/session/link?token={token}", key=None)
    again = things.call("GET", f"/api/v1/session/link?token={token}", key=None)
    cookie = first.headers["set-cookie"].partition(";")[0]
    who = things.call("GET", "/api/v1/session", key=None, headers={"cookie": cookie})

    assert (first.status, first.headers["location"]) == (303, "/")
    assert who.json["role"] == "owner"
    assert (again.status, again.json["error"]["code"]) == (401, "sign_in_refused")


def test_a_link_that_is_too_old_or_mistyped_signs_nobody_in(things: House) -> None:
    things.member("owner")
    token = new_link(things.data, time.time())

    mistyped = things.call("GET", f"/api/v1/session/link?token={token}x", key=None)
    things.ahead = LINK_LIFE + 60
    late = things.call("GET", f"/api/v1/session/link?token={token}", key=None)

    assert (mistyped.status, late.status) == (401, 401)
