"""Which catalog a run begins on, and who may name it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from dirigent.conductor import Conductor
from dirigent.core.aliases import Alias, Share
from dirigent.core.canonical import revision_of
from dirigent.core.editions import NotAtHand
from dirigent.core.errors import DirigentError, Forbidden, Invalid, Misconfigured, UnknownModel
from dirigent.core.events import collect
from dirigent.core.identity import Principal
from dirigent.core.purposes import Purpose
from dirigent.core.rules import KeyRule, ProjectRule, PurposeRule, Rules, TenantRule
from dirigent.memory.rights import MemoryRights
from dirigent.server.shelf import Shelf
from tests.world import World, request

ANNA = Principal("acme", "sales", "k", purposes=("general",))
BROKEN = {"type": "openai", "api_key": {"env": "NOT_SET_ANYWHERE"}}


def echo(says: str) -> dict[str, Any]:
    return {"models": {"writer": {"type": "echo", "says": says}}}


class Press:
    """A conductor over all that a press has published, the last of it present, and how often it made a catalog."""

    def __init__(self, *documents: Mapping[str, Any], models: tuple[str, ...] = ("*",), most: int = 16) -> None:
        self.world = World({})
        self.documents = {revision_of(document): document for document in documents}
        self.revisions = list(self.documents)
        self.made: list[str] = []
        self.shelf = Shelf(self._find, self._make, self.world.ports, most)
        present = self.world.published(documents[-1])
        key = KeyRule("k", b"k", "acme", "sales", models=models)
        rights = MemoryRights(
            Rules(
                tenants=(TenantRule("acme", denied=("secret",)),),
                projects=(ProjectRule("acme", "sales"),),
                purposes=(PurposeRule("acme", Purpose("general", models=("*",))),),
                keys=(key,),
            )
        )
        self.conductor = Conductor(present, self.world.ports, rights, editions=self.shelf)

    def _find(self, letters: str) -> tuple[str, Mapping[str, Any]]:
        found = [name for name in self.documents if name.startswith(letters)]
        if len(found) != 1:
            raise Invalid(f"there is no revision {letters!r}")
        return found[0], self.documents[found[0]]

    def _make(self, document: Mapping[str, Any]) -> Any:
        self.made.append(revision_of(document))
        return self.world.published(document)

    async def says(self, model: str) -> str:
        asked = request("hi", model)
        try:
            run = self.conductor.open("run", model, ANNA, request=asked)
        except NotAtHand as missing:
            await self.conductor.make_ready(missing)
            run = self.conductor.open("run", model, ANNA, request=asked)
        return (await collect(self.conductor.answer(asked, run))).text


async def test_many_who_ask_for_the_same_revision_at_once_have_it_made_once() -> None:
    press = Press(echo("old"), echo("new"))

    heard = await asyncio.gather(*(press.says(f"writer@{press.revisions[0]}") for _ in range(50)))

    assert heard == ["old"] * 50
    assert press.made == press.revisions[:1]


async def test_a_revision_that_this_node_cannot_serve_is_refused_in_words_and_not_tried_for_each_request() -> None:
    deployment = {"writer": {"type": "deployment", "provider": "vendor", "name": "gpt-4o"}}
    press = Press({"providers": {"vendor": BROKEN}, "models": deployment}, echo("new"))

    faults = []
    for _ in range(3):
        with pytest.raises(
            Misconfigured, match=r"cannot be served by this node, for the sake of providers\.vendor"
        ) as e:
            await press.says(f"writer@{press.revisions[0]}")
        faults.append(e.value)

    assert len(press.made) == 1
    assert "NOT_SET_ANYWHERE" not in faults[0].message
    assert await press.says("writer") == "new"


async def test_as_many_revisions_are_kept_as_there_is_room_for_and_those_of_aliases_in_any_case() -> None:
    press = Press(*(echo(f"number {number}") for number in range(8)), most=2)
    press.shelf.hold({press.revisions[0]})

    for revision in press.revisions[:7]:
        await press.conductor.pinned(revision)
    for revision in (*press.revisions[:1], *press.revisions[5:7]):
        await press.conductor.pinned(revision)

    assert press.made == press.revisions[:7]


async def test_a_run_can_go_on_with_exactly_the_revision_that_an_earlier_one_began_with() -> None:
    press = Press(echo("old"), echo("new"))
    asked = request("hi", "writer")

    catalog = await press.conductor.pinned(press.revisions[0])
    run = press.conductor.open("run", "writer", ANNA, on=catalog)

    assert run.catalog.revision == press.revisions[0]
    assert (await collect(press.conductor.answer(asked, run))).text == "old"
    assert (await press.conductor.pinned(press.revisions[1])) is press.conductor.catalog


async def test_what_goes_wrong_in_one_revision_says_nothing_of_a_model_of_that_name_in_another() -> None:
    press = Press(echo("old"), echo("new"))
    catalog = await press.conductor.pinned(press.revisions[0])
    old = press.conductor.open("run", "writer", ANNA, on=catalog)

    for _ in range(5):
        old.ports.vitals.failed("writer")

    assert not old.ports.vitals.healthy("writer")
    assert press.conductor.open("run", "writer", ANNA).ports.vitals.healthy("writer")


@pytest.mark.parametrize(
    ("permitted", "name", "heard"),
    [
        (("chat",), "chat", "new"),
        (("writer",), "chat", "new"),
        (("other",), "chat", ""),
        (("chat",), "writer", ""),
        (("*",), "secret", ""),
        (("chat",), "writer@{}", ""),
        (("writer",), "writer@{}", "old"),
    ],
)
async def test_who_may_ask_by_either_name_may_ask_by_the_alias(
    permitted: tuple[str, ...], name: str, heard: str
) -> None:
    press = Press(echo("old"), echo("new"), models=permitted)
    press.conductor.point({alias: Alias(alias, "writer", (Share(None, 1000),)) for alias in ("chat", "secret")})

    try:
        said = await press.says(name.format(press.revisions[0]))
    except Forbidden:
        said = ""

    assert said == heard


@pytest.mark.parametrize("name", ["nobody", "nobody@{}", "writer@ffffffffffff", "writer@..", "@", "writer@"])
async def test_a_name_that_stands_for_nothing_is_unknown(name: str) -> None:
    press = Press(echo("old"), echo("new"))

    with pytest.raises(UnknownModel):
        await press.says(name.format(press.revisions[0]))


async def test_a_model_comes_before_an_alias_of_its_name() -> None:
    press = Press(echo("old"), echo("new"))
    press.conductor.point({"writer": Alias("writer", "writer", (Share(press.revisions[0], 1000),))})

    assert await press.says("writer") == "new"


async def test_without_other_revisions_a_name_with_one_is_unknown() -> None:
    world = World({"writer": {"type": "echo"}})
    conductor = Conductor(world.catalog, world.ports)

    with pytest.raises(DirigentError) as unknown:
        await conductor.pinned("abcd")

    assert unknown.value.code == "model_not_found"
