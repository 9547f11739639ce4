"""The heart of the data plane: a name, a request and a principal become governed events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b

import msgspec

from dirigent.core.aliases import Alias
from dirigent.core.catalog import Catalog
from dirigent.core.decision import Decision
from dirigent.core.editions import Edition, Editions, Listed, NotAtHand
from dirigent.core.errors import Forbidden, UnknownModel
from dirigent.core.events import Answer
from dirigent.core.grants import OPEN, Grant
from dirigent.core.identity import Principal, Priority
from dirigent.core.journal import StepEnded
from dirigent.core.messages import Request
from dirigent.core.ports import Ports, Rights
from dirigent.core.run import MAX_TRIES, Answering, Passage, Run

__all__ = ["Conductor"]

_MOST = 12
"""Letters of the whole name of a revision."""
_FEWEST = 4
"""Letters of a revision's name without which a name with an `@` is none that addresses one."""


class Conductor:
    """Opens runs on the catalog of the moment. Swapping the catalog is one assignment; runs in flight keep theirs."""

    def __init__(
        self,
        catalog: Catalog,
        ports: Ports,
        rights: Rights | None = None,
        *,
        seconds: float = 1800.0,
        editions: Editions | None = None,
    ) -> None:
        self.catalog = catalog
        self.ports = ports
        self.rights = rights
        """The rules of the moment; None where everybody with a key may do everything."""
        self.seconds = seconds
        """How long a run may take in all."""
        self.editions = editions
        """The other revisions; None where there is only the present one."""
        self.aliases: Mapping[str, Alias] = {}
        """The names that stand for models, or for revisions of them. A model of the same name comes first."""

    def swap(self, catalog: Catalog) -> None:
        """From now on new runs see `catalog`."""
        self.catalog = catalog

    def point(self, aliases: Mapping[str, Alias]) -> None:
        """From now on new runs follow these aliases and no others."""
        self.aliases = aliases

    async def pinned(self, revision: str) -> Catalog:
        """The catalog of a revision, named by four of its letters at least; to be given to `open` as `on`.

        It is kept while there is room. Raises UnknownModel where there is none, or several; Misconfigured where this
        node cannot serve it.
        """
        return (await self._edition(revision)).catalog

    def grant(self, principal: Principal, purpose: str | None) -> Grant:
        """What the principal may do for a purpose. Raises PurposeRequired."""
        return OPEN if self.rights is None else self.rights.grant(principal, purpose)

    def knows(self, name: str) -> bool:
        """Whether a model or an alias has this name, or a model in the revision that stands behind it."""
        base, at, letters = name.partition("@")
        revision = not at or (letters.isalnum() and len(letters) <= _MOST)
        return revision and (base in self.catalog.models or base in self.aliases)

    def listed(self, grant: Grant) -> Sequence[Listed]:
        """All that whoever has this grant may ask: models, then aliases as far as this node can serve them."""
        catalog = self.catalog
        found = [Listed(name, name, catalog) for name in catalog.models if grant.may_ask(name).permitted]
        for alias in self.aliases.values():
            if alias.name not in catalog.models and grant.may_ask_as(alias.name, alias.model).permitted:
                with suppress(UnknownModel, NotAtHand):
                    found.append(self._mostly(alias))
        return found

    def shown(self, name: str, grant: Grant) -> Listed:
        """The same of one name. Raises UnknownModel, Forbidden with the rule that says so, and NotAtHand."""
        alias = None if name in self.catalog.models else self.aliases.get(name)
        if alias is None:
            self.catalog.answering(name)
        ruling = grant.may_ask(name) if alias is None else grant.may_ask_as(name, alias.model)
        if not ruling.permitted:
            raise Forbidden(ruling.rule, param="model")
        return Listed(name, name, self.catalog) if alias is None else self._mostly(alias)

    def named(self, request: Request) -> Request:
        """A request that names no model, with the name of the one that answers then. Raises Invalid where none does."""
        return msgspec.structs.replace(request, model=self.catalog.default(request.task))

    def open(
        self,
        run_id: str,
        model: str,
        principal: Principal,
        *,
        priority: Priority = "normal",
        purpose: str | None = None,
        sticky: str | None = None,
        trace: str | None = None,
        tries: int = MAX_TRIES,
        request: Request | None = None,
        on: Catalog | None = None,
        alias: str | None = None,
    ) -> Run:
        """A new run on the present catalog, which begins with the model called `model`.

        `model` may also be an alias, or `NAME@REVISION`: then the run is on the catalog of that revision. Of an alias
        with several it is the same one for the same `sticky`, else the same conversation of `request`, else the same
        key. `on` is a catalog that was `pinned`, to go on with exactly what an earlier run began with, and
        `alias` the name by which that one was asked.

        Raises UnknownModel, PurposeRequired, Forbidden with the rule that says so, and NotAtHand.
        """
        catalog, ports = self.catalog, self.ports
        if on is not None:
            catalog, ports = on, self._ports_of(on)
        elif model not in catalog.models:
            resolved = self._resolved(model, principal, sticky, request)
            if resolved is not None:
                alias, (model, (catalog, ports)) = model, resolved
        rights = self.rights
        if rights is None:
            grant = OPEN
        else:
            grant = rights.grant(principal, purpose)
            ruling = grant.may_ask(model) if alias is None or "@" in alias else grant.may_ask_as(alias, model)
            if not ruling.permitted:
                raise Forbidden(f"{ruling.rule}: {alias or model!r} was not asked", param="model")
            purpose = grant.purpose.name if grant.purpose is not None else purpose
        run = Run(
            run_id,
            model,
            catalog,
            ports,
            principal,
            self.seconds,
            priority,
            purpose,
            sticky,
            trace,
            tries,
            grant,
        )
        if grant is not OPEN:
            run.permit(model)
        if alias is not None and "@" not in alias:
            run.record.alias = alias
        return run

    async def make_ready(self, missing: NotAtHand) -> None:
        """Returns once what was missing is at hand. Raises as `pinned` does."""
        await self._edition(missing.letters)

    def answer(self, request: Request, run: Run) -> Answer:
        """The events of the model with which `run` begins. Raises UnknownModel at once."""
        return self._facing(run).answer(request, run)

    def passage(self, request: Request, run: Run) -> Passage | None:
        """The straight way to the answer, where there is one now. Raises UnknownModel at once."""
        return self._facing(run).passage(request, run)

    async def tried(self, part: str, scope: Mapping[str, object], run: Run) -> StepEnded:
        """What comes of one step of the model with which `run` begins. Raises Invalid where there is none."""
        return await self._facing(run).tried(part, scope, run)

    async def explain(self, request: Request, run: Run) -> Sequence[Decision]:
        """The decisions that would be taken on `request`; nobody is asked. Empty where no router stands in the way."""
        return await self._facing(run).explain(request, run)

    async def count(self, request: Request, run: Run) -> int:
        """How many input tokens the request has for the model with which `run` begins; nobody answers it."""
        return await self._facing(run).count(request, run)

    @staticmethod
    def _facing(run: Run) -> Answering:
        return run.catalog.facing(run.model)

    def _resolved(
        self, name: str, principal: Principal, sticky: str | None, request: Request | None
    ) -> tuple[str, Edition] | None:
        """The model that a name which is none stands for, and in which edition; None where it stands for nothing."""
        alias = self.aliases.get(name)
        if alias is None:
            model, at, letters = name.rpartition("@")
            if not at or self.editions is None or len(letters) < _FEWEST or not letters.isalnum():
                return None
            return self._in(self._at_hand(letters.lower()), model)
        if len(alias.shares) == 1:
            revision = alias.shares[0].revision
        else:
            revision = alias.chosen(f"{principal.tenant}\n{sticky or _conversation(principal, request)}")
        return self._in(Edition(self.catalog, self.ports) if revision is None else self._at_hand(revision), alias.model)

    def _mostly(self, alias: Alias) -> Listed:
        """An alias, with what answers most of its requests."""
        revision = max(alias.shares, key=lambda share: share.share).revision
        edition = Edition(self.catalog, self.ports) if revision is None else self._at_hand(revision)
        model, (catalog, _) = self._in(edition, alias.model)
        return Listed(alias.name, model, catalog)

    @staticmethod
    def _in(edition: Edition, model: str) -> tuple[str, Edition]:
        if model not in edition.catalog.models:
            raise UnknownModel(f"the revision {edition.catalog.revision} has no model {model!r}", param="model")
        return model, edition

    def _at_hand(self, letters: str) -> Edition:
        if letters == self.catalog.revision:
            return Edition(self.catalog, self.ports)
        found = self.editions.at_hand(letters) if self.editions is not None else None
        if found is None:
            raise NotAtHand(letters)
        return Edition(self.catalog, self.ports) if found.catalog.revision == self.catalog.revision else found

    async def _edition(self, letters: str) -> Edition:
        if letters == self.catalog.revision:
            return Edition(self.catalog, self.ports)
        if self.editions is None:
            raise UnknownModel(f"there is no revision {letters!r}", param="model")
        return await self.editions.edition(letters)

    def _ports_of(self, catalog: Catalog) -> Ports:
        found = self.editions.at_hand(catalog.revision) if self.editions is not None else None
        return found.ports if found is not None and found.catalog is catalog else self.ports


def _conversation(principal: Principal, request: Request | None) -> str:
    """What stands for a conversation as long as it goes on: how it began, and for whom; else the key alone."""
    if request is None or request.task != "chat" or request.previous is not None:
        return principal.key
    digest = blake2b(principal.key.encode(), digest_size=16)
    for message in request.messages:
        digest.update(_encode(message))
        if message.role == "user":
            break
    return digest.hexdigest()


_encode = msgspec.json.Encoder().encode
