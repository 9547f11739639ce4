"""Deciding by a link: who got it acts by it, on that one question and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from dirigent.control.approvals import ApprovalAsked, ApprovalShown, Decide, Decision
from dirigent.control.permissions import Actor
from dirigent.control.plane import ControlPlane
from dirigent.core.errors import Unauthenticated
from dirigent.store.approval_letters import link_of, used
from dirigent.store.database import Connection, Database
from dirigent.store.people import member_of

__all__ = ["Links"]


class Links:
    """What a link opens, for as long as it lasts: it decides once."""

    def __init__(self, database: Database, plane: ControlPlane, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._plane = plane
        self._clock = clock

    async def show(self, token: str, request: str = "") -> ApprovalShown:
        """The question. Raises Unauthenticated where the link opens nothing, and what `approvals.show` raises."""
        actor, approval = await self._actor(token)
        shown: ApprovalShown = await self._perform("approvals.show", actor, ApprovalAsked(approval), request)
        return shown

    async def decide(self, token: str, order: Decide, request: str = "") -> Decision:
        """Decides it, and uses the link up. Raises as `show` and `approvals.decide` do."""
        actor, approval = await self._actor(token)
        decision: Decision = await self._perform(
            "approvals.decide", actor, msgspec.structs.replace(order, id=approval), request
        )
        now = int(self._clock() * 1000)
        await self._database.writing(partial(used, token=token, now=now))
        return decision

    async def _perform(self, name: str, actor: Actor, order: msgspec.Struct, request: str) -> Any:
        return await self._plane.performing(name, actor, order, request=request)

    async def _actor(self, token: str) -> tuple[Actor, str]:
        def find(connection: Connection) -> tuple[Actor, str] | None:
            link = link_of(connection, token, int(self._clock() * 1000))
            if link is None or link.used:
                return None
            member = member_of(connection, link.tenant, link.member)
            if member is None or member.blocked is not None:
                return None
            return Actor("member", member.id, member.role, link.tenant, member.name), link.approval

        found = await self._database.reading(find)
        if found is None:
            raise Unauthenticated("the link is used up, too old or mistyped; sign in to see what waits for you")
        return found
