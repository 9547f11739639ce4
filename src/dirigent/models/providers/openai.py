"""OpenAI."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from dirigent.core.messages import Task
from dirigent.core.ports import Listing, Listings, Secret
from dirigent.core.run import Run
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.dialects.openai_responses import OpenAIResponses
from dirigent.dialects.openai_tasks import OPENAI_TASKS
from dirigent.models.providers.provider import Address, Provider, origin_and_path, revealed

__all__ = ["Openai"]

_SPOKEN: dict[str, Dialect] = {
    "openai_chat": OpenAIChat(output_field="max_completion_tokens", only_output_field=True),
    "openai_responses": OpenAIResponses(),
}
_REGIONS = {"eu.api.openai.com": "eu", "us.api.openai.com": "us"}


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
    speaks: Annotated[tuple[Literal["openai_chat", "openai_responses"], ...], Meta(min_length=1)] = (
        "openai_chat",
        "openai_responses",
    )
    """The dialects for chat, the first for callers of every other one. Models that OpenAI serves by responses alone,
    such as those for deep research, are asked through a provider with `speaks: [openai_responses]`."""
    region: str | None = None
    """Where data is processed, such as `us` or `eu`; a regional address says so itself."""

    def __post_init__(self) -> None:
        origin_and_path(self.base_url)

    def dialect(self, task: Task = "chat", preferred: str = "") -> Dialect | None:
        """The caller's dialect where it `speaks` it, else the first; chat with the present name of the output bound."""
        if task != "chat":
            return OPENAI_TASKS.get(task)
        return _SPOKEN[preferred if preferred in self.speaks else self.speaks[0]]

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
        """What the file says, else what the address does."""
        return self.region or _REGIONS.get(origin_and_path(self.base_url)[0].host)

    def listing(self, deployment: str, listings: Listings) -> Listing | None:
        """OpenAI's published figures."""
        return listings.find("openai", deployment)
