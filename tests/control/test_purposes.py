"""Operations on purposes, and the question of who may use what for which."""

from __future__ import annotations

import pytest

from dirigent.control.desk import Taken, Unknown
from dirigent.core.errors import Invalid, PurposeRequired
from dirigent.store.keys import digest
from tests.control.office import Office


def test_a_purpose_permits_nothing_that_it_does_not_name(office: Office) -> None:
    office.does("purposes.register", name="offers")
    issued = office.does("keys.issue", purposes=["offers"])

    principal = office.follow().principal(digest(issued.key))

    assert principal is not None
    ruling = office.rights.grant(principal, None).may_ask("gpt-4o")
    assert (ruling.permitted, ruling.rule) == (False, "the purpose offers permits no model 'gpt-4o'")


def test_each_change_is_a_revision_and_leaves_the_rest_as_it_was(office: Office) -> None:
    office.does(
        "purposes.register", name="offers", basis="contract", models=["gpt-*"], regions=["eu"], bodies_days=30,
        owner="Sales", review="2027-01-31",
    )  # fmt: skip

    office.does("purposes.update", name="offers", denied=["gpt-4"], records_days=90)
    changed = office.does("purposes.update", name="offers", anywhere=True, blocked=True).purpose
    shown = office.does("purposes.show", name="offers").purposes

    assert [each.revision for each in shown] == [3, 2, 1]
    assert (changed.basis, changed.models, changed.denied) == ("contract", ("gpt-*",), ("gpt-4",))
    assert (changed.retention.bodies, changed.retention.records) == (30, 90)
    assert (changed.regions, changed.blocked, changed.owner) == (None, True, "Sales")
    assert shown[1].purpose.regions == ("eu",)
    assert str(shown[2].purpose.review) == "2027-01-31"


def test_a_retired_purpose_is_named_by_nobody_and_may_be_registered_anew(office: Office) -> None:
    office.does("purposes.register", name="offers", models=["*"])
    issued = office.does("keys.issue", purposes=["offers", "general"])
    principal = office.follow().principal(digest(issued.key))
    assert principal is not None

    office.does("purposes.retire", name="offers")
    with pytest.raises(PurposeRequired, match="which this key implies, is not registered: it may name general"):
        office.follow().grant(principal, None)
    with pytest.raises(Unknown):
        office.does("purposes.update", name="offers", title="still here?")
    again = office.does("purposes.register", name="offers", models=["claude"])

    assert again.revision == 3
    assert office.follow().grant(principal, None).may_ask("claude").permitted


def test_a_register_lists_what_may_be_named_and_on_request_what_was_retired(office: Office) -> None:
    office.does("purposes.register", name="offers")
    office.does("purposes.retire", name="offers")

    present = [each.purpose.name for each in office.does("purposes.list").purposes]
    ever = [each.purpose.name for each in office.does("purposes.list", retired=True).purposes]

    assert (present, ever) == (["general"], ["general", "offers"])


def test_a_purpose_is_registered_once(office: Office) -> None:
    with pytest.raises(Taken, match="there is a purpose 'general' already"):
        office.does("purposes.register", name="general")


def test_data_go_anywhere_or_to_some_regions_not_both(office: Office) -> None:
    with pytest.raises(Invalid, match="not both"):
        office.does("purposes.update", name="general", anywhere=True, regions=["eu"])


# --- who may use what -------------------------------------------------------------------------------------------------


def test_which_models_a_key_may_use_is_a_question_with_reasons(office: Office) -> None:
    office.does("purposes.register", name="offers", models=["gpt-*", "auto"], denied=["auto"])
    issued = office.does("keys.issue", purposes=["offers", "general"], denied=["claude"])

    implied = office.does("access.query", key=issued.id).rulings
    named = office.does("access.query", key=issued.id, purpose="general").rulings

    assert [(each.model, each.permitted, each.purpose) for each in implied] == [
        ("gpt-4o", True, "offers"), ("claude", False, "offers"), ("auto", False, "offers"),
    ]  # fmt: skip
    assert [each.rule for each in implied] == [
        f"the key {issued.id} permits '*'",
        f"the key {issued.id} denies 'claude'",
        "the purpose offers denies 'auto'",
    ]
    assert [each.model for each in named if each.permitted] == ["gpt-4o", "auto"]


def test_which_models_a_member_may_use_is_asked_of_all_the_keys(office: Office) -> None:
    member = office.does("members.invite", name="Erika", email="erika@example.com")
    one = office.does("keys.issue", member=member.id, models=["claude"])
    other = office.does("keys.issue", member=member.id, models=["gpt-*"])
    gone = office.does("keys.issue", member=member.id)
    office.does("keys.revoke", id=gone.id)

    rulings = office.does("access.query", member=member.id).rulings

    assert {(each.key, each.model) for each in rulings if each.permitted} == {
        (one.id, "claude"),
        (other.id, "gpt-4o"),
    }
    assert gone.id not in {each.key for each in rulings}


def test_which_models_a_new_key_of_a_project_could_use(office: Office) -> None:
    office.does("projects.create", name="sales", models=["gpt-*"])
    office.does("purposes.register", name="offers", models=["*"])

    rulings = office.does("access.query", project="sales", purpose="offers").rulings

    assert [each.model for each in rulings if each.permitted] == ["gpt-4o"]
    assert {each.key for each in rulings} == {None}


def test_an_alias_may_be_asked_where_either_of_its_names_may(office: Office) -> None:
    office.aliases = {"chat": "gpt-4o", "secret": "gpt-4o", "claude": "gpt-4o"}
    office.does("projects.create", name="sales", models=["gpt-*"], denied=["secret"])

    rulings = office.does("access.query", project="sales").rulings

    assert {each.model: each.permitted for each in rulings} == {
        "gpt-4o": True, "claude": False, "auto": False, "chat": True, "secret": False
    }  # fmt: skip


def test_what_is_refused_as_a_whole_is_refused_for_each_model_in_the_same_words(office: Office) -> None:
    issued = office.does("keys.issue")

    rulings = office.does("access.query", key=issued.id, purpose="offers").rulings
    office.does("projects.block", name="default")
    blocked = office.does("access.query", key=issued.id).rulings

    assert {each.permitted for each in (*rulings, *blocked)} == {False}
    assert {each.rule for each in rulings} == {"this key may not name the purpose 'offers': it may name general"}
    assert {each.rule for each in blocked} == {"the project default is blocked"}


def test_the_question_says_the_same_as_a_node_would(office: Office) -> None:
    office.does("projects.create", name="sales", models=["gpt-*"], denied=["auto"])
    issued = office.does("keys.issue", project="sales")
    principal = office.follow().principal(digest(issued.key))
    assert principal is not None
    grant = office.rights.grant(principal, None)

    for ruling in office.does("access.query", key=issued.id).rulings:
        assert (ruling.permitted, ruling.rule) == (
            grant.may_ask(ruling.model).permitted,
            grant.may_ask(ruling.model).rule,
        )


def test_nobody_is_asked_about_two_at_once_or_about_another_tenant(office: Office) -> None:
    office.does("tenants.create", name="acme")
    theirs = office.does("keys.issue", tenant="acme")

    with pytest.raises(Invalid, match="one of them"):
        office.does("access.query")
    with pytest.raises(Invalid, match="one of them"):
        office.does("access.query", key="first", project="default")
    with pytest.raises(Unknown, match="there is no key"):
        office.does("access.query", key=theirs.id)
