"""Publishing, and every way back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest

from dirigent.control import OPERATIONS, Doors, revisions
from dirigent.control.desk import Unknown
from dirigent.control.plane import ControlPlane
from dirigent.control.revisions import Published
from dirigent.core.canonical import revision_of
from dirigent.core.errors import Finding, Forbidden, Invalid, InvalidConfiguration
from dirigent.store.nodes import report
from dirigent.store.revisions import UnknownRevision, head
from tests.control.office import Office


class Strict:
    """Refuses a configuration in which a model mentions what is not there, as the catalog does."""

    def faults(self, document: Mapping[str, Any]) -> Sequence[Finding]:
        models, providers = document.get("models") or {}, document.get("providers") or {}
        found = []
        for name, model in models.items():
            if "provider" in model and model["provider"] not in providers:
                found.append(Finding(("models", name, "provider"), f"there is no provider {model['provider']!r}"))
            for index, other in enumerate(model.get("candidates", ())):
                if other not in models:
                    found.append(Finding(("models", name, "candidates", index), f"there is no model {other!r}"))
        return found


@pytest.fixture
def press(office: Office) -> Office:
    """An office that may publish."""
    office.plane = ControlPlane(
        office.database,
        OPERATIONS,
        Doors(publisher=Strict()),
        append=lambda _, happened: office.audit.append(happened),
        clock=lambda: office.now,
    )
    return office


def deployment(name: str, provider: str = "vendor") -> dict[str, Any]:
    return {"type": "deployment", "provider": provider, "name": name}


BASE: dict[str, Any] = {
    "providers": {"vendor": {"type": "openai"}},
    "models": {"premium": deployment("gpt-4o"), "cheap": deployment("gpt-4o-mini")},
}


def changed(**models: Any) -> dict[str, Any]:
    return {**BASE, "models": {**BASE["models"], **models}}


def present(office: Office) -> dict[str, Any]:
    shown = office.does("revisions.show")
    document: dict[str, Any] = msgspec.json.decode(shown.document)
    return document


def test_what_is_published_is_shown_and_listed_and_audited(press: Office) -> None:
    made = press.does("revisions.publish", document=BASE, reason="to begin with")

    assert isinstance(made, Published)
    assert (made.number, made.revision, made.parent, made.nodes) == (1, revision_of(BASE), None, 0)
    assert present(press) == BASE
    [row] = press.does("revisions.list").revisions
    assert (row.author, row.reason, row.act) == ("operator", "to begin with", "publish")
    assert press.audit[-1].note.subject == f"revision:{made.revision}"


def test_what_is_not_publishable_changes_nothing(press: Office) -> None:
    press.does("revisions.publish", document=BASE)

    with pytest.raises(InvalidConfiguration, match="no provider 'nowhere'"):
        press.does("revisions.publish", document=changed(odd=deployment("x", "nowhere")))

    assert present(press) == BASE


def test_who_has_not_seen_the_present_revision_does_not_overwrite_it(press: Office) -> None:
    seen = press.does("revisions.publish", document=BASE).revision
    press.does("revisions.publish", document=changed(more=deployment("x")), onto=seen)

    with pytest.raises(Invalid, match="onto"):
        press.does("revisions.publish", document=changed(other=deployment("y")), onto=seen)


def test_a_viewer_publishes_nothing(press: Office) -> None:
    with pytest.raises(Forbidden):
        press.does("revisions.publish", by="viewer", document=BASE)


def test_everything_goes_back_to_the_revision_before(press: Office) -> None:
    first = press.does("revisions.publish", document=BASE)
    press.does("revisions.publish", document=changed(premium=deployment("gpt-5")))

    back = press.does("revisions.rollback")

    assert (back.revision, back.number) == (first.revision, 3)
    assert present(press) == BASE
    assert press.does("revisions.list").revisions[0].act == "rollback"


def test_everything_goes_back_to_a_revision_by_its_first_letters(press: Office) -> None:
    first = press.does("revisions.publish", document=BASE)
    for number in range(3):
        press.does("revisions.publish", document=changed(premium=deployment(f"gpt-{number}")))

    assert press.does("revisions.rollback", to=first.revision[:6]).revision == first.revision


def test_the_first_revision_has_nothing_to_go_back_to(press: Office) -> None:
    with pytest.raises(Unknown):
        press.does("revisions.rollback")
    press.does("revisions.publish", document=BASE)

    with pytest.raises(Invalid, match="first revision"):
        press.does("revisions.rollback")
    with pytest.raises(UnknownRevision):
        press.does("revisions.rollback", to="abcd")


def test_one_model_goes_back_and_what_others_changed_since_stays(press: Office) -> None:
    press.does("revisions.publish", document=BASE)
    press.does("revisions.publish", document=changed(premium=deployment("gpt-5")))
    later = changed(premium=deployment("gpt-5"), cheap=deployment("gpt-5-mini"))
    press.does("revisions.publish", document=later)

    press.does("revisions.rollback", model="premium")

    assert present(press) == changed(cheap=deployment("gpt-5-mini"))


def test_a_model_that_is_gone_comes_back(press: Office) -> None:
    press.does("revisions.publish", document=BASE)
    press.does("revisions.publish", document={**BASE, "models": {"cheap": BASE["models"]["cheap"]}})

    press.does("revisions.rollback", model="premium")

    assert present(press) == BASE


def test_a_model_brings_back_what_it_needs_and_nothing_else(press: Office) -> None:
    old = {
        "providers": {"vendor": {"type": "openai"}, "former": {"type": "anthropic"}, "unused": {"type": "google"}},
        "models": {
            "auto": {"type": "router", "candidates": ["premium", "claude"]},
            "claude": deployment("claude-5", "former"),
            "lonely": deployment("claude-5", "former"),
            "premium": deployment("lonely"),
        },
    }
    press.does("revisions.publish", document=old)
    press.does(
        "revisions.publish",
        document=changed(auto={"type": "router", "candidates": ["premium", "cheap"]}),
    )

    press.does("revisions.rollback", model="auto")

    back = present(press)
    assert back["models"]["auto"] == old["models"]["auto"]
    assert set(back["models"]) == {"auto", "claude", "premium", "cheap"}
    assert back["models"]["premium"] == BASE["models"]["premium"], "what is still there stays as it is"
    assert set(back["providers"]) == {"vendor", "former"}


def test_a_way_back_that_is_not_publishable_is_refused(press: Office) -> None:
    broken = {"providers": {"vendor": {"type": "openai"}}, "models": {"premium": deployment("a")}}
    press.does("revisions.publish", document=broken)
    press.does(
        "revisions.publish",
        document={"providers": {"other": {"type": "openai"}}, "models": {"premium": deployment("b", "other")}},
    )

    back = press.does("revisions.rollback", model="premium")

    assert set(present(press)["providers"]) == {"vendor", "other"}
    with pytest.raises(Invalid, match="no earlier revision has another"):
        press.does("revisions.rollback", model="nobody")
    with pytest.raises(Unknown, match="has no model"):
        press.does("revisions.rollback", model="nobody", to=back.revision)


def test_revisions_are_compared(press: Office) -> None:
    first = press.does("revisions.publish", document=BASE)
    second = press.does("revisions.publish", document=changed(premium=deployment("gpt-5")))

    told = press.does("revisions.diff", revision=second.revision)
    other = press.does("revisions.diff", revision=first.revision, **{"with": second.revision})

    assert (told.before, told.after) == (first.revision, second.revision)
    path = ["models", "premium", "name"]
    assert msgspec.json.decode(told.changes) == [{"path": path, "before": "gpt-4o", "after": "gpt-5"}]
    assert msgspec.json.decode(other.changes) == [{"path": path, "before": "gpt-5", "after": "gpt-4o"}]


def test_the_answer_waits_until_every_node_serves_it(press: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions, "PATIENCE", 60.0)
    press.does("revisions.publish", document=BASE)
    _says(press, "n1", 1)
    _says(press, "n2", 1)

    def follow() -> None:
        for _ in range(6_000):
            number = press.database.read(lambda connection: head(connection, "default"))
            if number is not None and number.number == 2:
                break
            time.sleep(0.01)
        _says(press, "n1", 2)
        time.sleep(0.1)
        _says(press, "n2", 2)

    follower = Thread(target=follow)
    follower.start()
    made = press.does("revisions.publish", document=changed(more=deployment("x")))
    follower.join()

    assert (made.nodes, made.lagging) == (2, ())
    assert made.milliseconds >= 90


def test_a_node_that_does_not_follow_is_named_and_holds_nobody_up_for_long(press: Office) -> None:
    press.does("revisions.publish", document=BASE)
    _says(press, "n1", 1)

    begun = time.monotonic()
    made = press.does("revisions.publish", document=changed(more=deployment("x")))

    assert (made.nodes, made.lagging) == (0, ("n1",))
    assert time.monotonic() - begun > 0.9
    assert [row.number for row in press.does("nodes.list").nodes] == [1]


def test_an_alias_points_at_a_revision_and_a_canary_gets_its_share(press: Office) -> None:
    first = press.does("revisions.publish", document=BASE).revision
    second = press.does("revisions.publish", document=changed(premium=deployment("gpt-5"))).revision

    made = press.does("aliases.set", name="chat", model="premium", revision=first[:8], canary=second, share=50)

    assert [(share.revision, share.share) for share in made.shares] == [(second, 50), (first, 950)]
    assert press.does("aliases.list").aliases == (made,)
    press.does("aliases.remove", name="chat")
    assert press.does("aliases.list").aliases == ()
    with pytest.raises(Unknown):
        press.does("aliases.remove", name="chat")


@pytest.mark.parametrize(
    ("order", "field"),
    [
        ({"name": "premium", "model": "premium"}, "name"),
        ({"name": "chat", "model": "nobody"}, "revision"),
        ({"name": "chat", "model": "premium", "share": 50}, "share"),
    ],
)
def test_an_alias_that_points_nowhere_is_refused(press: Office, order: dict[str, Any], field: str) -> None:
    press.does("revisions.publish", document=BASE)

    with pytest.raises(Invalid) as refused:
        press.does("aliases.set", **order)

    assert refused.value.param == field


def test_no_model_is_published_under_the_name_of_an_alias_nor_brought_back(press: Office) -> None:
    press.does("revisions.publish", document=changed(chat=deployment("gpt-5")))
    press.does("revisions.publish", document=BASE)
    press.does("aliases.set", name="chat", model="premium")

    orders: dict[str, dict[str, Any]] = {
        "revisions.publish": {"document": changed(chat=deployment("x"))},
        "revisions.rollback": {},
    }
    for operation, order in orders.items():
        with pytest.raises(InvalidConfiguration, match=r"models\.chat: there is an alias of this name") as refused:
            press.does(operation, **order)
        assert "'premium'" in refused.value.message
        assert len(press.does("revisions.list").revisions) == 2
    press.does("aliases.remove", name="chat")
    assert press.does("revisions.rollback").number == 3


def test_the_database_of_a_new_folder_has_no_revision(tmp_path: Path, press: Office) -> None:
    assert press.does("revisions.list").revisions == ()
    with pytest.raises(Unknown, match="nothing is published"):
        press.does("revisions.show")


def _says(office: Office, node: str, number: int) -> None:
    office.database.write(lambda connection: report(connection, "default", node, "0", number=number, revision="abc"))
