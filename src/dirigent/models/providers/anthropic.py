"""Anthropic."""

from __future__ import annotations

from dirigent.core.messages import Task
from dirigent.core.ports import Listing, Listings, Secret
from dirigent.core.run import Run
from dirigent.dialects.anthropic_messages import AnthropicMessages
from dirigent.dialects.dialect import Dialect
from dirigent.models.providers.provider import Address, Provider, origin_and_path, revealed

__all__ = ["Anthropic"]

_BASE = "https://api.anthropic.com/v1"
_VERSION = "2023-06-01"
_BETA = "anthropic-beta"
_DIALECT = AnthropicMessages()


class Anthropic(Provider, frozen=True):
    """Anthropic's own API, or a server that speaks it, such as Ollama, vLLM and llama.cpp do.

    Callers may ask for beta features by the header `anthropic-beta`; `allow_betas` and `refuse_betas` say which of
    them go on. What is refused is left out quietly, for a server that does not know a feature refuses the request.
    """

    api_key: Secret | None = None
    """Where the key is: `{env: ANTHROPIC_API_KEY}` or `{file: /run/secrets/anthropic}`; none for your own server."""
    base_url: str = _BASE
    """The address up to and including `/v1`."""
    betas: tuple[str, ...] = ()
    """Beta features that every request asks for, such as `context-1m-2025-08-07`."""
    allow_betas: tuple[str, ...] | None = None
    """The only beta features that callers may ask for; all where it is left out. `name-*` stands for every version."""
    refuse_betas: tuple[str, ...] = ()
    """Beta features that callers may not ask for."""
    region: str | None = None
    """Where data is processed, such as `us` or `eu`."""

    def __post_init__(self) -> None:
        origin_and_path(self.base_url)
        if self.api_key is None and self.base_url == _BASE:
            raise ValueError("`api_key` is missing: Anthropic wants one, such as {env: ANTHROPIC_API_KEY}")
        for name in self.betas:
            if not name or not name.isascii() or not name.isprintable() or "," in name or " " in name:
                raise ValueError(f"{name!r} is not the name of a beta feature")

    def dialect(self, task: Task = "chat", preferred: str = "") -> Dialect | None:
        """Anthropic messages."""
        return _DIALECT if task == "chat" else None

    async def address(self, deployment: str, dialect: Dialect, run: Run) -> Address:
        """Anthropic's address, let in by the key, in the version that this dialect is."""
        origin, path = origin_and_path(self.base_url)
        headers = [("anthropic-version", _VERSION)]
        if self.api_key is not None:
            headers.insert(0, ("x-api-key", revealed(self.api_key, run)))
        if self.betas:
            headers.append((_BETA, ",".join(self.betas)))
        return Address(origin, path, tuple(headers))

    def forwarded(self, headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        """The caller's version, and the beta features that it may have beside those that all have."""
        return tuple(
            (name, taken) for name, value in headers if (taken := self._betas(value) if name == _BETA else value)
        )

    def located(self) -> str | None:
        """What the file says."""
        return self.region

    def listing(self, deployment: str, listings: Listings) -> Listing | None:
        """Anthropic's published figures."""
        return listings.find("anthropic", deployment)

    def _betas(self, value: str) -> str:
        asked = (name.strip() for name in value.split(","))
        taken = (name for name in asked if name and self._allowed(name))
        return ",".join(dict.fromkeys((*self.betas, *taken)))

    def _allowed(self, name: str) -> bool:
        if _listed(name, self.refuse_betas):
            return False
        return self.allow_betas is None or _listed(name, self.allow_betas)


def _listed(name: str, names: tuple[str, ...]) -> bool:
    return any(name.startswith(each[:-1]) if each.endswith("*") else name == each for each in names)
