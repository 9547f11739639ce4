"""Operations on virtual keys."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from dirigent.control import OPERATIONS
from dirigent.control.desk import Doors, Taken, Unknown
from dirigent.control.plane import ControlPlane
from dirigent.core.errors import Forbidden, Invalid
from dirigent.store.keys import digest
from dirigent.store.pulse import sequence_of
from tests.control.office import Office

DAY = 86_400_000


def is_known(office: Office, key: str) -> bool:
    return office.follow().principal(digest(key)) is not None


def test_a_key_is_shown_once_and_nowhere_else(office: Office) -> None:
    issued = office.does("keys.issue", title="for the shop")

    listed = repr(office.does("keys.list"))
    kept = repr(office.database.read(lambda found: found.execute(text("SELECT * FROM virtual_keys")).all()))

    assert issued.key.startswith("dk-")
    assert len(issued.key) == 46
    assert issued.key not in listed + kept + repr(office.audit) + repr(issued)
    assert issued.key[:7] in listed


def test_a_key_is_bound_to_what_it_was_issued_for(office: Office) -> None:
    office.does("projects.create", name="sales")
    office.does("purposes.register", name="offers", models=["gpt-*"])
    office.does("purposes.register", name="letters", models=["claude"])
    member = office.does("members.invite", name="Erika", email="erika@example.com")

    issued = office.does(
        "keys.issue", project="sales", purposes=["offers", "letters"], member=member.id, denied=["gpt-4o-mini"]
    )

    principal = office.follow().principal(digest(issued.key))
    assert principal is not None
    assert (principal.project, principal.member, principal.purposes) == ("sales", member.id, ("offers", "letters"))
    implied, named = office.rights.grant(principal, None), office.rights.grant(principal, "letters")
    assert implied.may_ask("gpt-4o").permitted
    assert not implied.may_ask("gpt-4o-mini").permitted
    assert not implied.may_ask("claude").permitted
    assert named.may_ask("claude").permitted


@pytest.mark.parametrize(
    ("order", "field"),
    [({"project": "nowhere"}, "project"), ({"purposes": ["nothing"]}, "purposes"), ({"member": "m-9"}, "member")],
)
def test_a_key_is_not_bound_to_what_does_not_exist(office: Office, order: dict[str, Any], field: str) -> None:
    before = len(office.does("keys.list").keys)

    with pytest.raises(Unknown) as refused:
        office.does("keys.issue", **order)

    assert refused.value.param == field
    assert len(office.does("keys.list").keys) == before


def test_a_key_that_expires_ends_by_itself(office: Office) -> None:
    issued = office.does("keys.issue", expires="30d")

    office.now += 30 * 86_400 - 1
    early = is_known(office, issued.key)
    office.now += 1
    late = is_known(office, issued.key)

    assert (early, late) == (True, False)
    assert [key.state for key in office.does("keys.list").keys if key.id == issued.id] == ["expired"]
    assert [key.id for key in office.does("keys.list", live=True).keys] == ["first"]


@pytest.mark.parametrize("expires", ["30", "d", "0d", "-1d", "1y", "1 d", "1d\n", "9999999d"])
def test_what_is_no_duration_is_refused(office: Office, expires: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        office.does("keys.issue", expires=expires)


def test_a_revoked_key_is_nobodys_and_stays_so(office: Office) -> None:
    issued = office.does("keys.issue")
    before = is_known(office, issued.key)

    office.does("keys.revoke", id=issued.id)
    office.does("keys.block", id=issued.id, lift=True)

    assert before
    assert not is_known(office, issued.key)
    with pytest.raises(Taken, match="is revoked"):
        office.does("keys.rotate", id=issued.id)


def test_a_blocked_key_is_refused_by_its_name_until_that_is_lifted(office: Office) -> None:
    issued = office.does("keys.issue")
    principal = office.follow().principal(digest(issued.key))
    assert principal is not None

    office.does("keys.block", id=issued.id)
    with pytest.raises(Forbidden, match=f"the key {issued.id} is blocked"):
        office.follow().grant(principal, None)
    office.does("keys.block", id=issued.id, lift=True)

    assert office.follow().grant(principal, None).may_ask("gpt-4o").permitted


def test_a_rotated_key_and_its_successor_are_both_valid_while_they_overlap(office: Office) -> None:
    office.does("purposes.register", name="offers", models=["gpt-*"])
    old = office.does("keys.issue", purposes=["offers"], models=["gpt-4o"], expires="10d")

    office.now += 86_400
    new = office.does("keys.rotate", id=old.id, overlap=600)
    during = is_known(office, old.key), is_known(office, new.key)
    office.now += 600
    after = is_known(office, old.key), is_known(office, new.key)

    assert (during, after) == ((True, True), (False, True))
    assert new.replaces == old.id
    principal = office.rights.principal(digest(new.key))
    assert principal is not None
    assert principal.purposes == ("offers",)
    assert not office.rights.grant(principal, None).may_ask("gpt-4o-mini").permitted
    assert new.expires == int((office.now - 600) * 1000) + 10 * DAY


def test_a_key_without_overlap_is_replaced_at_once(office: Office) -> None:
    old = office.does("keys.issue")

    new = office.does("keys.rotate", id=old.id, overlap=0)

    assert (is_known(office, old.key), is_known(office, new.key)) == (False, True)


def test_rotating_never_prolongs_the_old_key(office: Office) -> None:
    old = office.does("keys.issue", expires="5m")

    office.does("keys.rotate", id=old.id, overlap=86_400)
    office.now += 300

    assert not is_known(office, old.key)


def test_a_key_has_one_successor(office: Office) -> None:
    old = office.does("keys.issue")
    new = office.does("keys.rotate", id=old.id)

    with pytest.raises(Taken, match=f"replaced by {new.id} already"):
        office.does("keys.rotate", id=old.id)
    office.does("keys.revoke", id=new.id)

    assert office.does("keys.rotate", id=old.id).replaces == old.id


def test_a_key_keeps_its_budget_through_all_rotations(office: Office) -> None:
    first = office.does("keys.issue", budget="5.00")
    second = office.does("keys.rotate", id=first.id)
    third = office.does("keys.rotate", id=second.id)

    rights = office.follow()
    budgets = []
    for issued in (first, second, third):
        principal = rights.principal(digest(issued.key))
        assert principal is not None
        budgets.append([(each.id, each.most) for each in rights.grant(principal, None).allowances])

    assert budgets[0] == budgets[1] == budgets[2]
    assert [most for _, most in budgets[0]] == [5_000_000_000]
    (told,) = office.does("budgets.list", key=third.id).budgets
    assert (told.level, told.subject, told.limit, told.window) == ("key", first.id, "5", "total")


def test_a_key_of_another_tenant_is_unknown(office: Office) -> None:
    office.does("tenants.create", name="acme")
    theirs = office.does("keys.issue", tenant="acme")

    for name in ("keys.revoke", "keys.block", "keys.rotate"):
        with pytest.raises(Unknown, match="there is no key"):
            office.does(name, id=theirs.id)

    assert is_known(office, theirs.key)
    assert theirs.id not in [key.id for key in office.does("keys.list").keys]


def test_a_budget_beyond_counting_is_refused_and_no_key_issued(office: Office) -> None:
    with pytest.raises(Invalid, match="more than can be counted"):
        office.does("keys.issue", budget="9999999999")

    assert [key.id for key in office.does("keys.list").keys] == ["first"]


@pytest.mark.parametrize("in_time", [True, False])
def test_an_order_is_answered_once_the_node_knows_the_change_and_at_last_all_the_same(
    office: Office,
    in_time: bool,  # noqa: FBT001
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[int] = []

    def reached(number: int) -> bool:
        seen.append(office.database.read(lambda found: sequence_of(found, "rights")) - number)
        office.follow()
        return in_time

    office.plane = ControlPlane(office.database, OPERATIONS, Doors(reached=reached), clock=lambda: office.now)
    issued = office.does("keys.issue")
    known = office.rights.principal(digest(issued.key)) is not None
    office.does("keys.list")
    office.does("projects.block", name="default")

    assert known
    assert seen == [0, 0]  # it is written by then, and what only reads waits for nobody
    assert ("as soon as this node has heard of it" in caplog.text) is not in_time
