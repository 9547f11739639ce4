"""Azure: OpenAI's models, and others of the Foundry, in a resource of one's own."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dirigent.core.messages import Task
from dirigent.core.ports import HttpCall, Listing, Listings, Secret
from dirigent.core.run import Run
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.dialects.openai_responses import OpenAIResponses
from dirigent.dialects.openai_tasks import OPENAI_TASKS
from dirigent.models.providers.provider import Address, Provider, origin_and_path, revealed

__all__ = ["Azure"]

_RESOURCE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?")
_RESPONSES = OpenAIResponses()


class Azure(Provider, frozen=True):
    """Azure OpenAI by its v1 API, which needs no `api-version`.

    A deployment's `name` is the name that was given to it in Azure. What the content filter refuses is refused with
    Azure's own reason, `content_filter`; what it says of a good answer goes on to callers of the same dialect.
    """

    resource: str | None = None
    """The resource, as in `https://RESOURCE.openai.azure.com`."""
    base_url: str | None = None
    """The whole address up to and including `/openai/v1` where it is another, such as that of a private endpoint."""
    api_key: Secret | None = None
    """Where the resource's key is: `{env: AZURE_OPENAI_API_KEY}` or `{file: /run/secrets/azure}`."""
    token: Secret | None = None
    """In place of a key, where an access token of Entra ID is: `{file: …}`. Whoever renews it, such as a sidecar,
    replaces the file before the token ends; each request takes the one that stands there then."""
    models: dict[str, str] = {}
    """Which model each deployment is, for those whose name does not say it: `{team-writer: gpt-5-mini}`."""
    zone: Literal["apac", "eu", "us"] | None = None
    """The data zone of the deployments, which has prices of its own."""
    region: str | None = None
    """Where data is processed, such as `germanywestcentral`; the data zone where it is left out."""
    output_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """How the bound of an answer is called; several models of the Foundry that are not OpenAI's want `max_tokens`."""
    speaks: Annotated[tuple[Literal["openai_chat", "openai_responses"], ...], Meta(min_length=1)] = (
        "openai_chat",
        "openai_responses",
    )
    """The dialects for chat, the first for callers of every other one. Models without responses: `[openai_chat]`."""

    def __post_init__(self) -> None:
        if (self.resource is None) == (self.base_url is None):
            raise ValueError("one of `resource` and `base_url` says where requests go")
        if self.resource is not None and not _RESOURCE.fullmatch(self.resource):
            raise ValueError(f"{self.resource!r} is not the name of a resource: letters, digits and hyphens")
        origin_and_path(self._base)
        if (self.api_key is None) == (self.token is None):
            raise ValueError("one of `api_key` and `token` lets requests in, such as {env: AZURE_OPENAI_API_KEY}")

    @property
    def signs(self) -> bool:
        """Whether each call gets the token of its moment: one that was kept would end within the hour."""
        return self.token is not None

    def dialect(self, task: Task = "chat", preferred: str = "") -> Dialect | None:
        """The caller's dialect where it `speaks` it, else the first; OpenAI's own words for every other task."""
        if task != "chat":
            return OPENAI_TASKS.get(task)
        spoken = preferred if preferred in self.speaks else self.speaks[0]
        if spoken == _RESPONSES.name:
            return _RESPONSES
        return OpenAIChat(output_field=self.output_field, only_output_field=True)

    async def address(self, deployment: str, dialect: Dialect, run: Run) -> Address:
        """The resource's address, let in by its key where it has one."""
        origin, path = origin_and_path(self._base)
        headers = () if self.api_key is None else (("api-key", revealed(self.api_key, run)),)
        return Address(origin, path, headers)

    async def signed(self, call: HttpCall, run: Run) -> HttpCall:
        """`call` with the token that stands in its place now."""
        if self.token is None:
            return call
        bearer = ("authorization", f"Bearer {revealed(self.token, run)}")
        return msgspec.structs.replace(call, headers=(*call.headers, bearer))

    def located(self) -> str | None:
        """What the file says, else the data zone."""
        return self.region or self.zone

    def listing(self, deployment: str, listings: Listings) -> Listing | None:
        """The published figures of the model behind the deployment, those of the data zone first."""
        name = self.models.get(deployment, deployment)
        zoned = listings.find("azure", f"{self.zone}/{name}") if self.zone is not None else None
        return zoned or listings.find("azure", name)

    @property
    def _base(self) -> str:
        return self.base_url or f"https://{self.resource}.openai.azure.com/openai/v1"
