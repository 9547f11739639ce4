"""OpenAI."""

from __future__ import annotations

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

    def dialect(self) -> Dialect:
        """OpenAI chat completions, with the present name of the output bound."""
        return _DIALECT

    async def address(self, deployment: str, run: Run) -> Address:
        """The chat endpoint, signed with the key."""
        origin, path = origin_and_path(self.base_url)
        headers = [("authorization", f"Bearer {revealed(self.api_key, run)}"), ("content-type", "application/json")]
        if self.organization:
            headers.append(("openai-organization", self.organization))
        if self.project:
            headers.append(("openai-project", self.project))
        return Address(origin, f"{path}/chat/completions", tuple(headers))

    def located(self) -> str | None:
        """What the file says."""
        return self.region

    def listing(self, deployment: str, listings: Listings) -> Listing | None:
        """OpenAI's published figures."""
        return listings.find("openai", deployment)
