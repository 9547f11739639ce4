"""Whatever is done to keys in whatever order: a node that follows knows exactly those that a simple model knows."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from dirigent.control.desk import Taken
from dirigent.core.errors import Forbidden
from dirigent.memory.rights import MemoryRights
from dirigent.store import Database
from dirigent.store.keys import digest
from dirigent.store.rights import rules_since
from tests.control.office import START, Office

MODEL = "gpt-4o"


@dataclass
class Key:
    """What is simply true of a key."""

    clear: str
    id: str
    born: float
    ends: float | None
    revoked: bool = False
    blocked: bool = False
    successor: str | None = None

    def known(self, now: float) -> bool:
        return not self.revoked and (self.ends is None or now < self.ends)


class KeysByModel(RuleBasedStateMachine):
    """Issues, revokes, rotates and blocks keys, blocks their project and purpose, and lets time pass."""

    keys: Bundle[str] = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.office = Office(Database.within(Path(self.folder.name)))
        self.office.does("projects.create", name="sales")
        self.known: dict[str, Key] = {}
        self.project_blocked = False
        self.purpose_blocked = False

    def teardown(self) -> None:
        self.office.close()
        self.folder.cleanup()

    @rule(target=keys, lasts=st.sampled_from([None, 1, 60, 3_600]))
    def issue(self, lasts: int | None) -> str:
        expires: dict[str, Any] = {} if lasts is None else {"expires": f"{lasts}s"}
        return self._keep(self.office.does("keys.issue", project="sales", **expires), lasts)

    @rule(key=keys)
    def revoke(self, key: str) -> None:
        self.office.does("keys.revoke", id=key)
        self.known[key].revoked = True

    @rule(target=keys, key=keys, overlap=st.sampled_from([0, 30, 3_600]))
    def rotate(self, key: str, overlap: int) -> str:
        old = self.known[key]
        successor = self.known.get(old.successor or "")
        if not old.known(self.office.now) or (successor is not None and not successor.revoked):
            with pytest.raises(Taken):
                self.office.does("keys.rotate", id=key, overlap=overlap)
            return key
        issued = self.office.does("keys.rotate", id=key, overlap=overlap)
        end = self.office.now + overlap
        lasts = None if old.ends is None else old.ends - old.born
        old.ends = end if old.ends is None else min(old.ends, end)
        new = self._keep(issued, lasts)
        old.successor = new
        self.known[new].blocked = old.blocked
        return new

    @rule(key=keys, lift=st.booleans())
    def block(self, key: str, lift: bool) -> None:  # noqa: FBT001  Hypothesis gives it by name
        self.office.does("keys.block", id=key, lift=lift)
        self.known[key].blocked = not lift

    @rule(lift=st.booleans())
    def block_project(self, lift: bool) -> None:  # noqa: FBT001
        self.office.does("projects.block", name="sales", lift=lift)
        self.project_blocked = not lift

    @rule(blocked=st.booleans())
    def block_purpose(self, blocked: bool) -> None:  # noqa: FBT001
        self.office.does("purposes.update", name="general", blocked=blocked)
        self.purpose_blocked = blocked

    @rule(seconds=st.sampled_from([1, 29, 30, 3_600]))
    def pass_time(self, seconds: int) -> None:
        self.office.now += seconds

    @invariant()
    def a_node_that_follows_knows_what_is_true(self) -> None:
        self._compare(self.office.follow())

    @invariant()
    def a_node_that_begins_anew_knows_the_same(self) -> None:
        now = int(self.office.now * 1000)
        rules = self.office.database.read(lambda found: rules_since(found, -1, now))
        self._compare(MemoryRights(rules, clock=lambda: self.office.now))

    def _compare(self, rights: MemoryRights) -> None:
        for key in self.known.values():
            principal = rights.principal(digest(key.clear))
            assert (principal is not None) is key.known(self.office.now)
            if principal is None:
                continue
            try:
                permitted = rights.grant(principal, None).may_ask(MODEL).permitted
            except Forbidden:
                permitted = False
            assert permitted is not (key.blocked or self.project_blocked or self.purpose_blocked)

    def _keep(self, issued: Any, lasts: float | None) -> str:
        ends = None if lasts is None else self.office.now + lasts
        self.known[issued.id] = Key(issued.key, issued.id, self.office.now, ends)
        return str(issued.id)


def test_a_node_knows_exactly_the_keys_that_count() -> None:
    assert START == 1_800_000_000  # whole seconds: a model that counts in floats agrees with one in milliseconds
    run_state_machine_as_test(
        KeysByModel,
        settings=settings(
            max_examples=20, stateful_step_count=30, deadline=None, phases=set(Phase) - {Phase.shrink, Phase.explain}
        ),
    )
