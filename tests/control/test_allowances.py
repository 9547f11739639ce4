"""Operations on budgets, limits and rates of exchange."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dirigent.control.desk import Taken, Unknown
from dirigent.core.errors import Invalid
from dirigent.store.keys import digest
from tests.control.office import Office


@pytest.fixture
def settled(office: Office) -> Office:
    """An office whose tenant acme counts in euros by the clock of Berlin."""
    office.does("tenants.create", name="acme", zone="Europe/Berlin", currency="EUR")
    office.does("projects.create", tenant="acme", name="sales")
    return office


def counted(office: Office, key: str) -> list[tuple[str, str, str, int, str]]:
    rights = office.follow()
    principal = rights.principal(digest(key))
    assert principal is not None
    return [
        (each.level, each.subject, each.unit, each.most, each.window)
        for each in rights.grant(principal, None).counted("gpt-4o")
    ]


def test_a_budget_is_in_the_tenants_currency_and_time_zone_unless_one_says_otherwise(settled: Office) -> None:
    budget = settled.does("budgets.set", tenant="acme", project="sales", limit="0.05", window="day")
    other = settled.does("budgets.set", tenant="acme", limit="100", currency="USD", window="month", zone="UTC")

    assert (budget.level, budget.subject, budget.limit, budget.currency, budget.zone, budget.window) == (
        "project", "sales", "0.05", "EUR", "Europe/Berlin", "day",
    )  # fmt: skip
    assert (budget.warn, budget.thrift, budget.spent, budget.held) == (80, 90, "0", "0")
    assert budget.resets is not None
    assert (other.level, other.subject, other.currency, other.zone) == ("tenant", "acme", "USD", "UTC")


def test_all_levels_that_a_call_belongs_to_count_together(settled: Office) -> None:
    member = settled.does("members.invite", tenant="acme", name="Erika", email="erika@example.com")
    issued = settled.does("keys.issue", tenant="acme", project="sales", member=member.id, budget="1")
    subjects: tuple[dict[str, Any], ...] = (
        {}, {"project": "sales"}, {"purpose": "general"}, {"member": member.id}, {"model": "gpt-4o"},
        {"model": "claude"}, {"project": "default"},
    )  # fmt: skip
    for subject in subjects:
        settled.does("budgets.set", tenant="acme", limit="2", **subject)
    settled.does("limits.set", tenant="acme", key=issued.id, unit="tokens", most=1_000, window="hour")

    assert sorted((level, unit) for level, _, unit, _, _ in counted(settled, issued.key)) == [
        ("key", "money"), ("key", "tokens"), ("member", "money"), ("model", "money"), ("project", "money"),
        ("purpose", "money"), ("tenant", "money"),
    ]  # fmt: skip


def test_setting_a_budget_again_changes_its_amount_and_nothing_that_it_has_counted(settled: Office) -> None:
    first = settled.does("budgets.set", tenant="acme", project="sales", limit="5", window="month")

    again = settled.does("budgets.set", tenant="acme", project="sales", limit="7.5", window="month", warn=50)
    other = settled.does("budgets.set", tenant="acme", project="sales", limit="1", window="day")

    assert (again.id, again.limit, again.warn) == (first.id, "7.5", 50)
    assert other.id != first.id
    listed = settled.does("budgets.list", tenant="acme", project="sales").budgets
    assert {(each.limit, each.window) for each in listed} == {("7.5", "month"), ("1", "day")}


@pytest.mark.parametrize(("field", "value"), [("currency", "USD"), ("zone", "UTC")])
def test_what_a_budget_counts_by_does_not_change_under_it(settled: Office, field: str, value: str) -> None:
    settled.does("budgets.set", tenant="acme", project="sales", limit="5")
    order: dict[str, Any] = {field: value}

    with pytest.raises(Taken, match="remove it first") as refused:
        settled.does("budgets.set", tenant="acme", project="sales", limit="5", **order)

    assert refused.value.param == field


def test_a_budget_that_is_stopped_says_so_to_every_node_until_it_is_resumed(settled: Office) -> None:
    issued = settled.does("keys.issue", tenant="acme", project="sales")
    budget = settled.does("budgets.set", tenant="acme", project="sales", limit="5")

    def stopped() -> list[bool]:
        rights = settled.follow()
        principal = rights.principal(digest(issued.key))
        assert principal is not None
        return [each.stopped for each in rights.grant(principal, None).allowances]

    before = stopped()
    settled.does("budgets.stop", tenant="acme", id=budget.id)
    during = stopped()
    settled.does("budgets.set", tenant="acme", project="sales", limit="6")  # a new amount does not start it again
    still = stopped()
    settled.does("budgets.resume", tenant="acme", id=budget.id)

    assert (before, during, still, stopped()) == ([False], [True], [True], [False])


def test_each_change_bears_a_higher_version(settled: Office) -> None:
    issued = settled.does("keys.issue", tenant="acme", project="sales")
    budget = settled.does("budgets.set", tenant="acme", project="sales", limit="5")
    versions = []

    for name in ("budgets.stop", "budgets.resume", "budgets.stop"):
        settled.does(name, tenant="acme", id=budget.id)
        rights = settled.follow()
        principal = rights.principal(digest(issued.key))
        assert principal is not None
        versions.append(rights.grant(principal, None).allowances[0].version)

    assert versions == sorted(set(versions))


def test_a_removed_budget_counts_no_longer_and_a_new_one_begins_anew(settled: Office) -> None:
    issued = settled.does("keys.issue", tenant="acme", project="sales")
    budget = settled.does("budgets.set", tenant="acme", project="sales", limit="5")

    before = counted(settled, issued.key)
    settled.does("budgets.remove", tenant="acme", id=budget.id)
    after = counted(settled, issued.key)
    again = settled.does("budgets.set", tenant="acme", project="sales", limit="5")

    assert (len(before), after) == (1, [])
    assert again.id != budget.id


def test_a_limit_of_calls_has_no_window(settled: Office) -> None:
    limit = settled.does("limits.set", tenant="acme", project="sales", unit="calls", most=4, window="hour")
    again = settled.does("limits.set", tenant="acme", project="sales", unit="calls", most=8)

    assert (limit.window, limit.resets) == ("total", None)
    assert (again.id, again.most) == (limit.id, 8)
    assert [each.unit for each in settled.does("limits.list", tenant="acme").limits] == ["calls"]
    assert settled.does("budgets.list", tenant="acme").budgets == ()


def test_a_limit_is_no_budget_and_a_budget_no_limit(settled: Office) -> None:
    budget = settled.does("budgets.set", tenant="acme", limit="5")
    limit = settled.does("limits.set", tenant="acme", unit="requests", most=5)

    with pytest.raises(Unknown):
        settled.does("limits.remove", tenant="acme", id=budget.id)
    with pytest.raises(Unknown):
        settled.does("budgets.stop", tenant="acme", id=limit.id)
    settled.does("limits.remove", tenant="acme", id=limit.id)

    assert settled.does("limits.list", tenant="acme").limits == ()


@pytest.mark.parametrize("subject", [{"project": "nowhere"}, {"purpose": "nothing"}, {"member": "m-9"}, {"key": "k-9"}])
def test_a_budget_is_for_somebody_who_exists(settled: Office, subject: dict[str, Any]) -> None:
    with pytest.raises(Unknown):
        settled.does("budgets.set", tenant="acme", limit="5", **subject)


def test_a_budget_is_for_one_subject(settled: Office) -> None:
    with pytest.raises(Invalid, match="not for both"):
        settled.does("budgets.set", tenant="acme", limit="5", project="sales", purpose="general")


@pytest.mark.parametrize("limit", ["-1", "1e3", "NaN", "", "1,5", "0.0000000001", "5 EUR", "5\n", "٥"])
def test_what_is_no_exact_amount_is_refused(settled: Office, limit: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        settled.does("budgets.set", tenant="acme", limit=limit)


def test_another_tenants_budget_is_unknown(settled: Office) -> None:
    budget = settled.does("budgets.set", tenant="acme", limit="5")

    for name in ("budgets.stop", "budgets.resume", "budgets.remove", "budgets.release"):
        with pytest.raises(Unknown):
            settled.does(name, id=budget.id)

    assert settled.does("budgets.list").budgets == ()


def test_a_rate_holds_from_its_moment_on_for_its_tenant(settled: Office) -> None:
    settled.does("rates.set", tenant="acme", source="USD", target="EUR", rate="0.92")

    rights = settled.follow()

    assert str(rights.rate("acme", "USD", "EUR")) == "23/25"
    assert rights.rate("default", "USD", "EUR") is None
    assert [each.rate for each in settled.does("rates.list", tenant="acme").rates] == ["0.92"]


@pytest.mark.parametrize(
    "order",
    [{"source": "USD", "target": "EUR", "rate": "0"}, {"source": "USD", "target": "USD", "rate": "1"}],
)
def test_a_rate_that_makes_no_sense_is_refused(settled: Office, order: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        settled.does("rates.set", tenant="acme", **order)
