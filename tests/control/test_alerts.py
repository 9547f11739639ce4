"""Rules of alerts: how they are set and shown, when their conditions hold, and that each is told once."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from dirigent.control.watching import Sight, apply, changes
from dirigent.core.errors import Forbidden, Invalid
from dirigent.core.observations import BreakerOpened, RowsDropped, Served
from dirigent.store.alerts import alerts
from dirigent.store.allowances import allowances
from dirigent.store.happenings import tell
from dirigent.store.ledger.books import window_at
from dirigent.store.nodes import report
from dirigent.store.records import write
from tests.control.office import START, Office

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
HOOK: dict[str, Any] = {
    "webhook": "https://hooks.example.org/services/T0/secret",
    "webhook_secret": {"env": "ALERT_HOOK"},
}


def looks(office: Office, sight: Sight | None = None) -> list[tuple[str, str, str]]:
    """What one look at the rules raises and resolves: what happened, of which rule, about what."""
    now = int(office.now * 1000)
    found = office.database.read(partial(changes, tenant="default", now=now, sight=sight or Sight()))
    office.database.write(partial(apply, changed=found, now=now))
    return [("raised" if each.raised else "resolved", each.alert.rule, each.alert.about) for each in found]


def serves(office: Office, *codes: str | None, **more: Any) -> None:
    fields = {"tenant": "default", "project": "default", "key": "k", "path": "/v1", "status": 200, **more}
    runs = [
        Served(at=office.now - 1, run=f"run-{number}", request="", code=code, **fields)
        for number, code in enumerate(codes)
    ]
    office.database.write(lambda connection: write(connection, runs))


def spends(office: Office, budget: str, nano: int) -> None:
    """Books so much of a budget in its present window, as a node does."""
    (one,) = [each for each in office.database.read(lambda found: allowances(found, "default")) if each.id == budget]
    window = window_at(one, START)
    statement = text("""
        INSERT INTO ledger_windows (id, tenant, allowance, unit, span, starts, ends, most, version, booked, presumed,
                                    overrun, leased, wanted, scarce)
        VALUES (:id, 'default', :allowance, 'money', :span, :starts, :ends, :most, 1, :nano, 0, 0, 0, 0, 0)
        ON CONFLICT (id) DO UPDATE SET booked = :nano""")
    values = {"id": window.id, "allowance": budget, "span": one.window, "starts": window.starts, "ends": window.ends}
    office.database.write(lambda found: found.execute(statement, {**values, "most": one.most, "nano": nano}))


# --- setting and showing ----------------------------------------------------------------------------------------------


def test_a_rule_that_says_little_gets_what_is_usual_for_its_kind(office: Office) -> None:
    rule = office.does("alerts.set", name="errors", kind="error_rate")

    assert (rule.threshold, rule.unit, rule.window_seconds, rule.least) == (5.0, "%", 300, 20)
    assert office.does("alerts.list").rules == (rule,)


def test_a_rule_is_audited_without_addresses_and_its_webhook_is_shown_by_its_host_alone(office: Office) -> None:
    rule = office.does("alerts.set", name="errors", kind="error_rate", mail=["ada@example.org"], **HOOK)

    said = msgspec.json.encode((rule, office.audit[-1].note)).decode()
    assert rule.webhook == "https://hooks.example.org/…"
    assert "services" not in said
    assert "ada@" not in msgspec.json.encode(office.audit[-1].note).decode()
    assert office.audit[-1].note.facts["people"] == 1


def test_who_may_only_look_sees_no_addresses_of_people(office: Office) -> None:
    office.does("alerts.set", name="errors", kind="error_rate", mail=["ada@example.org"])

    seen = office.does("alerts.list", by="viewer").rules[0]

    assert seen.mail == ("a…@example.org",)
    with pytest.raises(Forbidden):
        office.does("alerts.set", by="viewer", name="x", kind="audit")


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"kind": "latency"}, "threshold"),
        ({"kind": "error_rate", "window": "8d"}, "window"),
        ({"kind": "audit", "webhook": "https://example.org"}, "webhook_secret"),
        ({"kind": "audit", "webhook_secret": {"env": "ALERT_X"}}, "webhook_secret"),
        (
            {"kind": "audit", "webhook": "https://example.org", "webhook_secret": {"env": "ALERT_X", "file": "x"}},
            "webhook_secret",
        ),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_the_field_at_fault(
    office: Office, order: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        office.does("alerts.set", name="x", **order)

    assert refused.value.param == field


@pytest.mark.parametrize(
    "secret", [{"env": "OPENAI_API_KEY"}, {"env": "ALERT_x"}, {"file": "../first-key"}, {"file": "/etc/passwd"}]
)
def test_a_rule_can_name_no_secret_that_is_not_meant_for_it(office: Office, secret: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        office.does("alerts.set", name="x", kind="audit", webhook="https://example.org", webhook_secret=secret)


@pytest.mark.parametrize("address", ["a@b\r\nBcc: c@d", "two@x, three@y", "nobody", "<x@y>"])
def test_what_is_no_address_of_a_person_is_refused(office: Office, address: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        office.does("alerts.set", name="x", kind="audit", mail=[address])


def test_what_all_tenants_have_in_common_is_watched_in_the_first_tenant_alone(office: Office) -> None:
    office.does("tenants.create", name="acme")

    for kind in ("breaker", "provider", "outbox"):
        with pytest.raises(Invalid):
            office.does("alerts.set", tenant="acme", name="x", kind=kind)
    office.does("alerts.set", tenant="acme", name="x", kind="audit")

    assert office.does("alerts.list").rules == ()


def test_a_rule_that_tells_nobody_cannot_be_tried(office: Office) -> None:
    office.does("alerts.set", name="quiet", kind="audit")

    with pytest.raises(Invalid):
        office.does("alerts.test", name="quiet")


# --- when conditions hold ---------------------------------------------------------------------------------------------


def test_too_many_failures_are_told_once_and_again_when_it_is_over(office: Office) -> None:
    office.does("alerts.set", name="errors", kind="error_rate", threshold=50, least=4, **HOOK)
    serves(office, "unavailable", "timeout", None, None)

    first, second = looks(office), looks(office)
    office.now += 10 * MINUTE
    third, fourth = looks(office), looks(office)

    assert first == [("raised", "errors", "tenant")]
    assert third == [("resolved", "errors", "tenant")]
    assert second == fourth == []
    (shown,) = office.does("alerts.history").alerts
    assert shown.words == "2 of 4 requests (50.0 %) failed within 5 min"
    assert [message.event for message in shown.messages] == ["raised", "resolved"]
    assert shown.resolved - shown.raised == 600_000


def test_what_callers_do_wrong_is_no_failure_and_few_requests_say_nothing(office: Office) -> None:
    office.does("alerts.set", name="errors", kind="error_rate", threshold=10, least=4)

    serves(office, "invalid_request", "budget_exceeded", "forbidden", None)
    wrong = looks(office)
    office.now += 10 * MINUTE
    serves(office, "unavailable", "unavailable", "unavailable")
    few = looks(office)

    assert wrong == few == []


def test_a_rule_for_one_project_does_not_look_at_the_others(office: Office) -> None:
    office.does("alerts.set", name="errors", kind="error_rate", least=2, project="sales")

    serves(office, "unavailable", "unavailable")
    others = looks(office)
    serves(office, "unavailable", "unavailable", project="sales")

    assert others == []
    assert looks(office) == [("raised", "errors", "project:sales")]


def test_what_comes_and_goes_is_told_once_in_its_quiet_time(office: Office) -> None:
    office.does("alerts.set", name="errors", kind="error_rate", least=2, quiet="1h")
    serves(office, "unavailable", "unavailable")
    looks(office)
    office.now += 10 * MINUTE
    looks(office)

    serves(office, "unavailable", "unavailable")
    again = looks(office)
    office.now += HOUR
    serves(office, "unavailable", "unavailable")
    later = looks(office)

    assert again == []
    assert later == [("raised", "errors", "tenant")]


def test_slow_answers_are_told_with_how_slow_they_are(office: Office) -> None:
    office.does("alerts.set", name="slow", kind="latency", threshold=2_000, least=3)

    serves(office, None, None, None, seconds=3.0)

    assert looks(office) == [("raised", "slow", "tenant")]
    assert "of 3 answers took" in office.does("alerts.history").alerts[0].words


def test_a_budget_is_told_at_its_threshold_and_passes_when_there_is_more_of_it(office: Office) -> None:
    budget = office.does("budgets.set", limit="10", currency="USD", window="total")
    office.does("alerts.set", name="money", kind="budget", threshold=80)

    spends(office, budget.id, 7_999_999_999)
    below = looks(office)
    spends(office, budget.id, 8_000_000_000)
    at = looks(office)
    words = office.does("alerts.history").alerts[0].words
    office.does("budgets.set", limit="20", currency="USD", window="total")

    assert below == []
    assert at == [("raised", "money", f"budget:{budget.id}")]
    assert words == "the budget of the tenant default (total) has 8 USD spent of 10 USD (80 %)"
    assert looks(office) == [("resolved", "money", f"budget:{budget.id}")]


def test_a_forecast_tells_early_what_a_month_will_cost_and_nothing_on_its_first_day(office: Office) -> None:
    budget = office.does("budgets.set", limit="10", currency="USD", window="month")
    office.does("alerts.set", name="ahead", kind="forecast")
    (shown,) = office.does("budgets.list").budgets
    assert shown.resets is not None
    ends = shown.resets
    spends(office, budget.id, 4_000_000_000)

    office.now = ends - 31 * DAY + HOUR
    first_day = looks(office)
    office.now = ends - 21 * DAY  # a third of the month: 4 become 12 or so
    third = looks(office)
    office.now = ends - 10 * DAY
    two_thirds = looks(office)

    assert first_day == []
    assert third == [("raised", "ahead", f"budget:{budget.id}")]
    assert two_thirds == [("resolved", "ahead", f"budget:{budget.id}")]
    assert "if it goes on like this, it will be" in office.does("alerts.history").alerts[0].words


def test_a_key_is_told_before_it_ends_unless_another_has_replaced_it(office: Office) -> None:
    office.does("alerts.set", name="keys", kind="key_expiry", threshold=7)
    office.does("keys.issue", expires="30d")
    soon = office.does("keys.issue", expires="3d")
    replaced = office.does("keys.issue", expires="3d")
    new = office.does("keys.rotate", id=replaced.id, overlap=86_400)  # which ends when the old one would have

    raised = looks(office)
    office.now += 4 * DAY
    ended = looks(office)

    assert {about for _, _, about in raised} == {f"key:{soon.id}", f"key:{new.id}"}
    assert {(what, about) for what, _, about in ended} == {("resolved", about) for _, _, about in raised}


def test_a_resting_deployment_is_told_as_long_as_a_worker_that_rests_it_is_there(office: Office) -> None:
    office.does("alerts.set", name="rests", kind="breaker")
    sight = Sight(lambda: {"premium": "vendor"})
    opened = BreakerOpened(
        tenant="default", at=int(office.now * 1000), node="n", worker="1", deployment="premium", failures=3, rests=10.0
    )
    office.database.write(lambda connection: tell(connection, opened))

    of_nobody = looks(office, sight)
    office.database.write(lambda connection: report(connection, "default", "n", "1", number=1, revision="r"))
    office.now += 5
    of_a_worker = looks(office, sight)

    assert of_nobody == []
    assert of_a_worker == [("raised", "rests", "deployment:premium")]
    assert looks(office, Sight(dict)) == [("resolved", "rests", "deployment:premium")]  # published no more


def test_a_provider_is_away_once_none_of_its_deployments_has_answered_for_a_while(office: Office) -> None:
    office.does("alerts.set", name="away", kind="provider", window="1m")
    sight = Sight(lambda: {"big": "vendor", "small": "vendor", "other": "another"})
    office.database.write(lambda connection: report(connection, "default", "n", "1", number=1, revision="r"))
    opened = BreakerOpened(
        tenant="default", at=int(office.now * 1000), node="n", worker="1", deployment="big", failures=3, rests=10.0
    )
    office.database.write(lambda connection: tell(connection, opened))
    office.now += 2 * MINUTE
    serves(office, None, deployment="small")

    while_one_answers = looks(office, sight)
    office.now += 5 * MINUTE
    later = looks(office, sight)

    assert while_one_answers == []
    assert later == [("raised", "away", "provider:vendor")]


def test_rows_that_were_lost_and_a_broken_chain_are_told(office: Office) -> None:
    office.does("alerts.set", name="lost", kind="outbox", threshold=10)
    office.does("alerts.set", name="chain", kind="audit", severity="critical")
    for rows in (4, 6):
        lost = RowsDropped(
            tenant="default", at=int(office.now * 1000), node="n", worker="1", outbox="records", rows=rows
        )
        office.database.write(lambda connection, lost=lost: tell(connection, lost))  # type: ignore[misc]

    raised = looks(office, Sight(broken={"default": "entry 7 was changed", "acme": "another's"}))

    assert raised == [("raised", "chain", "audit"), ("raised", "lost", "outbox")]
    assert office.does("alerts.history", rule="chain").alerts[0].words.endswith("entry 7 was changed")


def test_what_a_removed_rule_has_raised_passes_without_a_word(office: Office) -> None:
    office.does("alerts.set", name="errors", kind="error_rate", least=2, **HOOK)
    serves(office, "unavailable", "unavailable")
    looks(office)

    office.does("alerts.remove", name="errors")
    passed = looks(office)

    assert passed == [("resolved", "errors", "tenant")]
    (shown,) = office.does("alerts.history").alerts
    assert [(message.event, message.words) for message in shown.messages] == [("raised", "the rule was removed")]


def test_two_nodes_that_see_the_same_raise_one_alert(office: Office) -> None:
    office.does("alerts.set", name="errors", kind="error_rate", least=2, **HOOK)
    serves(office, "unavailable", "unavailable")
    now = int(office.now * 1000)

    both = [office.database.read(partial(changes, tenant="default", now=now, sight=Sight())) for _ in range(2)]
    done = [office.database.write(partial(apply, changed=found, now=now)) for found in both]

    assert done == [1, 0]
    assert len(office.database.read(lambda connection: alerts(connection, "default"))) == 1
