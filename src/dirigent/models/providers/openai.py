"""OpenAI."""

from __future__ import annotations

from dirigent.core.messages import Task
from dirigent.core.ports import Listing, Listings, Secret
from dirigent.core.run import Run
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.models.providers.provider import Address, Provider, origin_and_path, revealed

__all__ = ["Openai"]

_DIALECT = OpenAIChat(output_field="max_completion_tokens", only_output_field=True)


class Openai(Provider, frozen=True):
    """OpenAI's own API."""

    api_key: Secret
    """Where the key is: `{env: OPENAI_API_KEY}` or `{file: /run/secrets/openai}`."""
    base_url: str = "https://api.openai.com/v1"
    """The address up to and including `/v1`; change it for a regional endpoint such as the European one."""
    organization: str | None = None
    """Sent as `openai-organization`."""
    project: str | None = None
    """Sent as `openai-project`."""
    region: str | None = None
    """Where data is processed, such as `us` or `eu`."""

    def __post_init__(self) -> None:
        origin_and_path(self.base_url)

    def dialect(self, task: Task = "chat", preferred: str = "") -> Dialect | None:
        """OpenAI chat completions, with the present name of the output bound."""
        return _DIALECT if task == "chat" else None

    async def address(self, deployment: str, dialect: Dialect, run: Run) -> Address:
        """OpenAI's address, let in by the key."""
        origin, path = origin_and_path(self.base_url)
        headers = [("authorization", f"Bearer {revealed(self.api_key, run)}")]
        if self.organization:
            headers.append(("openai-organization", self.organization))
        if self.project:
            headers.append(("openai-project", self.project))
        return Address(origin, path, tuple(headers))

    def located(self) -> str | None:
        """What the file says."""
        return self.region

    def listing(self, deployment: str, listings: Listings) -> Listing | None:
        """OpenAI's published figures."""
        return listings.find("openai", deployment)
