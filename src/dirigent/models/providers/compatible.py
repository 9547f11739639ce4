"""Every vendor and server that speaks OpenAI's chat completions: a vendor is a row."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import msgspec

from dirigent.core.errors import Finding
from dirigent.core.messages import Task
from dirigent.core.model import Survey
from dirigent.core.ports import Listing, Listings, Origin, Secret
from dirigent.core.registry import nearest
from dirigent.core.run import Run
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.models.providers.provider import OPENAI_CHAT, Address, Provider, origin_and_path, revealed

__all__ = ["VENDORS", "Compatible", "Vendor"]


class Vendor(msgspec.Struct, frozen=True):
    """What is special about a vendor."""

    base_url: str
    listed_as: str | None = None
    """Under which name its prices are published, where they are."""
    needs_key: bool = True
    region: str | None = None
    dialect: OpenAIChat = OPENAI_CHAT


_PLAIN_STREAM = OpenAIChat(usage_in_stream=False)
_MISTRAL = OpenAIChat(usage_in_stream=False, only_output_field=True)  # it refuses fields that it does not know

VENDORS: dict[str, Vendor] = {
    "mistral": Vendor("https://api.mistral.ai/v1", "mistral", region="eu", dialect=_MISTRAL),
    "groq": Vendor("https://api.groq.com/openai/v1", "groq", region="us"),
    "together": Vendor("https://api.together.xyz/v1", "together", region="us"),
    "deepseek": Vendor("https://api.deepseek.com/v1", "deepseek", region="cn"),
    "openrouter": Vendor("https://openrouter.ai/api/v1", "openrouter"),
    "fireworks": Vendor("https://api.fireworks.ai/inference/v1", "fireworks", region="us"),
    "perplexity": Vendor("https://api.perplexity.ai", "perplexity", region="us", dialect=_PLAIN_STREAM),
    "xai": Vendor("https://api.x.ai/v1", "xai", region="us"),
    "cohere": Vendor("https://api.cohere.ai/compatibility/v1", "cohere"),
    "scaleway": Vendor("https://api.scaleway.ai/v1", "scaleway", region="eu"),
    "ionos": Vendor("https://openai.inference.de-txl.ionos.com/v1", region="eu"),
    "ollama": Vendor("http://127.0.0.1:11434/v1", "ollama", needs_key=False),
    "vllm": Vendor("http://127.0.0.1:8000/v1", needs_key=False),
    "lm_studio": Vendor("http://127.0.0.1:1234/v1", needs_key=False),
    "llama_server": Vendor("http://127.0.0.1:8080/v1", needs_key=False),
}
"""The known vendors. One that is not here needs no row: give its `base_url`."""


class Compatible(Provider, frozen=True):
    """A vendor or server that speaks OpenAI's chat completions, by its row in the table or by its address."""

    vendor: str | None = None
    """A row of the table, such as `mistral`, `ollama` or `vllm`; not needed where `base_url` is given."""
    base_url: str | None = None
    """The address up to and including `/v1`; wins over the vendor's own."""
    api_key: Secret | None = None
    """Where the key is: `{env: VENDOR_KEY}` or `{file: /run/secrets/vendor}`; none for servers that want none."""
    headers: dict[str, str] = {}
    """Further headers to send, without credentials."""
    usage_in_stream: bool | None = None
    """Whether it understands `stream_options.include_usage`; the vendor's row knows, others are taken to."""
    region: str | None = None
    """Where data is processed, such as `eu`; the vendor's row may know."""

    def __post_init__(self) -> None:
        if self.vendor is not None and self.vendor not in VENDORS:
            hint = nearest(self.vendor, VENDORS)
            raise ValueError(f"there is no vendor {self.vendor!r} in the table{hint}; give `base_url` for others")
        if self.base_url is None and self.vendor is None:
            raise ValueError("one of `base_url` and `vendor` is needed to know where requests go")
        origin_and_path(self._base)
        if self.api_key is None and self._row is not None and self._row.needs_key and self.base_url is None:
            variable = f"{self.vendor}_API_KEY".upper()
            raise ValueError(f"`api_key` is missing: {self.vendor} wants one, such as {{env: {variable}}}")
        for name, value in self.headers.items():
            if not _token(name):
                raise ValueError(f"{name!r} is not a header name")
            if name.lower() in ("host", "content-length", "transfer-encoding", "connection", "authorization"):
                raise ValueError(f"the header {name!r} is not yours to set here")
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"the header {name!r} holds a line break or a sign that cannot be sent")

    def dialect(self, task: Task = "chat", preferred: str = "") -> Dialect | None:
        """OpenAI chat completions, as far as this vendor knows them."""
        if task != "chat":
            return None
        known = self._row.dialect if self._row is not None else OPENAI_CHAT
        if self.usage_in_stream is None:
            return known
        return msgspec.structs.replace(known, usage_in_stream=self.usage_in_stream)

    async def address(self, deployment: str, dialect: Dialect, run: Run) -> Address:
        """The vendor's address, let in by the key where one is given."""
        origin, path = _split(self._base)
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        if self.api_key is not None:
            headers.append(("authorization", f"Bearer {revealed(self.api_key, run)}"))
        return Address(origin, path, tuple(headers))

    def located(self) -> str | None:
        """What the file says; else what the vendor's row knows, unless its address is not the vendor's."""
        return self.region or (self._row.region if self._row is not None and self.base_url is None else None)

    def listing(self, deployment: str, listings: Listings) -> Listing | None:
        """What is published under the vendor's name."""
        listed = self._row.listed_as if self._row is not None else None
        return listings.find(listed, deployment) if listed else None

    def faults(self, deployment: str, survey: Survey) -> Iterable[Finding]:
        """None: what a server of one's own serves is not known beforehand."""
        return ()

    @property
    def _row(self) -> Vendor | None:
        return VENDORS[self.vendor] if self.vendor is not None else None

    @property
    def _base(self) -> str:
        return self.base_url or (self._row.base_url if self._row is not None else "")


@lru_cache(maxsize=256)
def _split(base_url: str) -> tuple[Origin, str]:
    return origin_and_path(base_url)


def _token(name: str) -> bool:
    return bool(name) and all(letter.isascii() and (letter.isalnum() or letter in "!#$%&'*+-.^_`|~") for letter in name)
