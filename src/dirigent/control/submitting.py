"""From an order to a run: on whose account, on which revision, and what is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from secrets import token_hex
from typing import Annotated, Any

import msgspec

from dirigent.control.desk import Desk, Unknown
from dirigent.core.errors import Invalid
from dirigent.core.identity import Principal
from dirigent.core.journal import Submission, written
from dirigent.store.beginning import DEFAULT
from dirigent.store.keys import VirtualKey, key_of, keys
from dirigent.store.people import member_of
from dirigent.store.revisions import head

__all__ = ["Account", "Asks", "Word", "account", "asked", "new_run", "revision_now", "submission"]

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_CHAT = "openai_chat"


class Account(msgspec.Struct, frozen=True):
    """On whose account and behalf a run acts, and for what."""

    principal: Principal
    purpose: str | None


class Asks(msgspec.Struct, frozen=True):
    """What is asked of which model."""

    model: str
    dialect: str
    """Empty where it is plain data."""
    body: bytes


def new_run() -> str:
    """An id that no run has."""
    return f"run-{token_hex(12)}"


def account(desk: Desk, key: str | None, member: str | None, purpose: str | None) -> Account:
    """On whose account: a live key of the tenant, the only one there is where none is named. Raises Invalid, Unknown.

    A member who asks acts on their own behalf, where nobody else is named.
    """
    found = _key(desk, key)
    if member is not None and member_of(desk.connection, desk.tenant, member) is None:
        raise Unknown(f"there is no member {member!r}", param="member")
    if purpose is not None and purpose not in (found.purposes or ("general",)):
        raise Invalid(f"purpose: the key {found.id} may not name {purpose!r}", param="purpose")
    own = desk.actor.id if desk.actor.kind == "member" else None
    expires = None if found.expires is None else found.expires / 1000
    principal = Principal(
        desk.tenant, found.project, found.id, member or found.member or own, found.purposes or ("general",), expires
    )
    return Account(principal, purpose)


def asked(model: str, input: Any, messages: Sequence[Mapping[str, Any]]) -> Asks:
    """What is asked of a model, as text or data or as a conversation. Raises Invalid where it is nothing, or both."""
    if messages:
        if input is not None:
            raise Invalid("input: either this or `messages`", param="input")
        return Asks(model, _CHAT, written({"model": model, "messages": list(messages)}))
    if input is None:
        raise Invalid("input: say what is asked, as text or data, or as `messages`", param="input")
    return Asks(model, "", written(input))


def submission(desk: Desk, run: str, whose: Account, said: Asks, **more: Any) -> Submission:
    """The run to be, on the revision of now. Raises Unknown where there is no such model."""
    model = said.model
    known = desk.doors.models()
    if known and model not in known:
        raise Unknown(f"there is no model {model!r}", param="model")
    return Submission(
        run=run,
        principal=whose.principal,
        model=model,
        revision=revision_now(desk),
        dialect=said.dialect,
        body=said.body,
        target="/v1/chat/completions" if said.dialect else "",
        headers=(("content-type", "application/json"),) if said.dialect else (),
        purpose=whose.purpose,
        submitted=desk.now / 1000,
        **more,
    )


def revision_now(desk: Desk) -> str:
    """The revision of everything published. Raises Unknown where nothing is."""
    found = head(desk.connection, DEFAULT)
    if found is None:
        raise Unknown("nothing is published yet")
    return found.revision


def _key(desk: Desk, id_: str | None) -> VirtualKey:
    if id_ is not None:
        found = key_of(desk.connection, desk.tenant, id_)
        if found is None:
            raise Unknown(f"there is no key {id_!r}", param="key")
        if (state := found.state(desk.now)) != "live":
            raise Invalid(f"key: {id_} is {state}", param="key")
        return found
    live = [each for each in keys(desk.connection, desk.tenant) if each.state(desk.now) == "live"]
    if len(live) != 1:
        raise Invalid(f"key: say on whose account; {len(live)} keys are live", param="key")
    return live[0]
