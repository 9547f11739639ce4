"""The contract of a provider: where a deployment's requests go, how they are signed, which dialect they speak."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final, get_args
from urllib.parse import urlsplit

import msgspec

from dirigent.core.errors import Finding, Misconfigured
from dirigent.core.messages import Task
from dirigent.core.model import Survey
from dirigent.core.ports import HttpCall, Listing, Listings, Origin, Secret
from dirigent.core.registry import Kind
from dirigent.core.run import Run
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.openai_chat import OpenAIChat

__all__ = ["Address", "Provider", "origin_and_path", "revealed"]

OPENAI_CHAT = OpenAIChat()
_TASKS: Final[tuple[Any, ...]] = get_args(Task)


class Address(msgspec.Struct, frozen=True):
    """Where requests go, and the headers that let them in."""

    origin: Origin
    path: str
    """What stands before the path that the dialect gives; without a slash at its end."""
    headers: tuple[tuple[str, str], ...]


class Provider(Kind, frozen=True):
    """Who serves deployments."""

    contract: ClassVar[str] = "provider"
    lasting: ClassVar[bool] = True
    """Whether the address of a deployment stays the same as long as the configuration does."""

    @property
    def signs(self) -> bool:
        """Whether each call has to be signed, as a whole or by what is renewed from outside."""
        return False

    def dialect(self, task: Task = "chat", preferred: str = "") -> Dialect | None:
        """The wire format in which this provider takes requests for `task`; None where it takes none.

        Of several that it speaks, the one called `preferred`, so that a caller's own bytes can go through.
        """
        return OPENAI_CHAT if task == "chat" else None

    @property
    def only_task(self) -> frozenset[Task] | None:
        """The one task that it takes requests for; None where there are several, and it depends on the deployment."""
        served: frozenset[Task] = frozenset(task for task in _TASKS if self.dialect(task) is not None)
        return served if len(served) == 1 else None

    async def address(self, deployment: str, dialect: Dialect, run: Run) -> Address:
        """Where requests in `dialect` for the deployment of this name go.

        Raises Misconfigured where a credential is missing and Unavailable where the provider cannot be asked now.
        """
        raise NotImplementedError

    async def signed(self, call: HttpCall, run: Run) -> HttpCall:
        """`call` with its signature; asked for only where this provider `signs`. Raises Misconfigured."""
        return call

    def forwarded(self, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """Those of a caller's headers that this provider takes; the dialect has chosen which may go on at all."""
        return headers

    def concurrency(self, deployment: str, run: Run) -> int | None:
        """How many requests it answers at once where the deployment does not say; None where nobody counts."""
        return None

    def listing(self, deployment: str, listings: Listings) -> Listing | None:
        """What is published about the deployment of this name."""
        return None

    def located(self) -> str | None:
        """Where it processes data, such as `eu`; None where nobody says."""
        return None

    def faults(self, deployment: str, survey: Survey) -> Iterable[Finding]:
        """What is wrong with a deployment of this name here; paths are relative to the deployment."""
        return ()


def origin_and_path(base_url: str) -> tuple[Origin, str]:
    """An address split into where to connect and the path prefix, without a slash at its end.

    Raises ValueError in words for people where it is not an http or https address.
    """
    wrong = f"{base_url!r} is no address: it starts with http:// or https:// and names a host"
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:  # brackets that do not close, a port that is no number or too large
        raise ValueError(wrong) from None
    sendable = base_url.isascii() and base_url.isprintable() and " " not in base_url
    if port == 0 or not sendable or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(wrong)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(f"{base_url!r} carries more than host and path; credentials belong into `api_key`")
    tls = parts.scheme == "https"
    return Origin(parts.hostname, port or (443 if tls else 80), tls), parts.path.rstrip("/")


def revealed(secret: Secret, run: Run) -> str:
    """The credential. Raises Misconfigured, without a word of its value, where it is missing."""
    value = run.ports.secrets.reveal(secret)
    if value is None:
        raise Misconfigured(f"the provider's credential is not there: {secret} is missing or empty")
    return value
