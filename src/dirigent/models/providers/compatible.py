"""Every vendor and server that speaks OpenAI's chat completions: a vendor is a row."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from dirigent.core.errors import Finding
from dirigent.core.messages import Task
from dirigent.core.model import Survey
from dirigent.core.ports import Listing, Listings, Origin, Secret
from dirigent.core.registry import nearest
from dirigent.core.run import Run
from dirigent.dialects.anthropic_messages import AnthropicMessages
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.dialects.openai_responses import OpenAIResponses
from dirigent.dialects.openai_tasks import OPENAI_TASKS
from dirigent.models.providers.provider import OPENAI_CHAT, Address, Provider, origin_and_path, revealed

__all__ = ["VENDORS", "Compatible", "Vendor"]

Spoken = Literal["openai_chat", "openai_responses", "anthropic_messages"]


class Vendor(msgspec.Struct, frozen=True):
    """What is special about a vendor."""

    base_url: str = ""
    """Empty where each customer has an address of its own."""
    listed_as: str | None = None
    """Under which name its prices are published, where they are."""
    region: str | None = None
    """Where it processes data; None where that depends, or nobody says."""
    variable: str = ""
    """The variable in which its own documents put the key; `NAME_API_KEY` where it is empty."""
    needs_key: bool = True
    dialect: OpenAIChat = OPENAI_CHAT
    speaks: tuple[Spoken, ...] = ("openai_chat",)
    tasks: frozenset[Task] | None = None
    """The only tasks that it serves; None where the others are worth trying."""
    shape: str = ""
    """How the address of a customer looks, where there is no common one."""


_PLAIN_STREAM = OpenAIChat(usage_in_stream=False)
_MISTRAL = OpenAIChat(usage_in_stream=False, only_output_field=True)  # it refuses fields that it does not know
_TOP_K = OpenAIChat(takes_top_k=True)
_OPENROUTER = OpenAIChat(takes_cache_marks=True, takes_seals=True, takes_file_addresses=True, takes_top_k=True)
_MARKS = OpenAIChat(takes_cache_marks=True)
_VECTORS: frozenset[Task] = frozenset({"embeddings"})
_CHAT: frozenset[Task] = frozenset({"chat"})

VENDORS: dict[str, Vendor] = {
    # Europe
    "berget": Vendor("https://api.berget.ai/v1", region="eu"),
    "cortecs": Vendor("https://api.cortecs.ai/v1", region="eu"),
    "infomaniak": Vendor(shape="https://api.infomaniak.com/2/ai/PRODUCT/openai/v1", region="ch"),
    "ionos": Vendor("https://openai.inference.de-txl.ionos.com/v1", region="eu", variable="IONOS_API_TOKEN"),
    "mistral": Vendor("https://api.mistral.ai/v1", "mistral", region="eu", dialect=_MISTRAL),
    "mittwald": Vendor("https://llm.aihosting.mittwald.de/v1", region="eu"),
    "nebius": Vendor("https://api.tokenfactory.nebius.com/v1", "nebius"),
    "nscale": Vendor("https://inference.api.nscale.com/v1", "nscale", variable="NSCALE_SERVICE_TOKEN"),
    "ovhcloud": Vendor("https://oai.endpoints.kepler.ai.cloud.ovh.net/v1", "ovhcloud", region="eu"),
    "regolo": Vendor("https://api.regolo.ai/v1", region="eu"),
    "scaleway": Vendor("https://api.scaleway.ai/v1", "scaleway", region="eu", variable="SCW_SECRET_KEY"),
    "stackit": Vendor("https://api.openai-compat.model-serving.eu01.onstackit.cloud/v1", region="eu"),
    "t_systems": Vendor("https://llm-server.llmhub.t-systems.net/v2"),
    # America
    "ai21": Vendor("https://api.ai21.com/studio/v1", "ai21"),
    "baseten": Vendor("https://inference.baseten.co/v1", "baseten"),
    "cerebras": Vendor("https://api.cerebras.ai/v1", "cerebras"),
    "cloudflare": Vendor(
        shape="https://api.cloudflare.com/client/v4/accounts/ACCOUNT/ai/v1",
        listed_as="cloudflare",
        variable="CLOUDFLARE_API_TOKEN",
    ),
    "cohere": Vendor("https://api.cohere.ai/compatibility/v1", "cohere", variable="CO_API_KEY"),
    "databricks": Vendor(
        shape="https://WORKSPACE.cloud.databricks.com/serving-endpoints",
        listed_as="databricks",
        variable="DATABRICKS_TOKEN",
    ),
    "deepinfra": Vendor("https://api.deepinfra.com/v1/openai", "deepinfra", region="us", variable="DEEPINFRA_TOKEN"),
    "featherless": Vendor("https://api.featherless.ai/v1", "featherless_ai"),
    "fireworks": Vendor("https://api.fireworks.ai/inference/v1", "fireworks", region="us", dialect=_TOP_K),
    "friendli": Vendor("https://api.friendli.ai/serverless/v1", "friendliai", variable="FRIENDLI_TOKEN"),
    "github": Vendor("https://models.github.ai/inference", variable="GITHUB_TOKEN"),
    "groq": Vendor("https://api.groq.com/openai/v1", "groq", region="us"),
    "hyperbolic": Vendor("https://api.hyperbolic.xyz/v1", "hyperbolic"),
    "inception": Vendor("https://api.inceptionlabs.ai/v1", "inception"),
    "morph": Vendor("https://api.morphllm.com/v1", "morph"),
    "nvidia": Vendor("https://integrate.api.nvidia.com/v1", "nvidia_nim"),
    "openrouter": Vendor("https://openrouter.ai/api/v1", "openrouter", dialect=_OPENROUTER),
    "perplexity": Vendor("https://api.perplexity.ai", "perplexity", region="us", dialect=_PLAIN_STREAM),
    "sambanova": Vendor("https://api.sambanova.ai/v1", "sambanova"),
    "together": Vendor("https://api.together.xyz/v1", "together", region="us", dialect=_TOP_K),
    "vercel": Vendor("https://ai-gateway.vercel.sh/v1", "vercel", variable="AI_GATEWAY_API_KEY"),
    "xai": Vendor("https://api.x.ai/v1", "xai", region="us", speaks=("openai_chat", "openai_responses")),
    # Asia
    "bigmodel": Vendor("https://open.bigmodel.cn/api/paas/v4", "bigmodel", region="cn"),
    "dashscope": Vendor("https://dashscope.aliyuncs.com/compatible-mode/v1", "dashscope", region="cn", dialect=_MARKS),
    "dashscope_intl": Vendor(
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "dashscope",
        region="sg",
        variable="DASHSCOPE_API_KEY",
        dialect=_MARKS,
    ),
    "deepseek": Vendor("https://api.deepseek.com/v1", "deepseek", region="cn", tasks=_CHAT),
    "minimax": Vendor("https://api.minimax.io/v1", "minimax"),
    "moonshot": Vendor("https://api.moonshot.ai/v1", "moonshot"),
    "novita": Vendor("https://api.novita.ai/openai/v1", "novita"),
    "qianfan": Vendor("https://qianfan.baidubce.com/v2", region="cn"),
    "tencent": Vendor("https://api.hunyuan.cloud.tencent.com/v1", "tencent", region="cn", variable="HUNYUAN_API_KEY"),
    "volcengine": Vendor("https://ark.cn-beijing.volces.com/api/v3", "volcengine", region="cn", variable="ARK_API_KEY"),
    "zai": Vendor("https://api.z.ai/api/paas/v4", "zai"),
    # vectors alone
    "jina": Vendor("https://api.jina.ai/v1", "jina", tasks=_VECTORS),
    "voyage": Vendor("https://api.voyageai.com/v1", "voyage", tasks=_VECTORS),
    # servers of one's own
    "docker": Vendor("http://127.0.0.1:12434/engines/v1", needs_key=False),
    "jan": Vendor("http://127.0.0.1:1337/v1", needs_key=False),
    "llama_server": Vendor("http://127.0.0.1:8080/v1", needs_key=False, dialect=_TOP_K),
    "lm_studio": Vendor("http://127.0.0.1:1234/v1", needs_key=False, dialect=_TOP_K),
    "localai": Vendor("http://127.0.0.1:8080/v1", needs_key=False, dialect=_TOP_K),
    "nim": Vendor("http://127.0.0.1:8000/v1", needs_key=False),
    "ollama": Vendor("http://127.0.0.1:11434/v1", "ollama", needs_key=False),
    "sglang": Vendor("http://127.0.0.1:30000/v1", needs_key=False, dialect=_TOP_K),
    "tei": Vendor("http://127.0.0.1:8080/v1", needs_key=False, tasks=_VECTORS),
    "tgi": Vendor("http://127.0.0.1:8080/v1", needs_key=False),
    "vllm": Vendor("http://127.0.0.1:8000/v1", needs_key=False, dialect=_TOP_K),
}
"""The known vendors. One that is not here needs no row: give its `base_url`."""

_OTHERS: dict[Spoken, Dialect] = {"openai_responses": OpenAIResponses(), "anthropic_messages": AnthropicMessages()}
_TAKEN = ("host", "content-length", "transfer-encoding", "connection", "authorization")


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
    speaks: Annotated[tuple[Spoken, ...], Meta(min_length=1)] | None = None
    """The dialects for chat that it has under this address, the first for callers of every other one. A caller of one
    of them gets the server's own answer unbuilt; vLLM, Ollama, LM Studio and llama.cpp know all three by now."""
    region: str | None = None
    """Where data is processed, such as `eu`; the vendor's row may know."""

    def __post_init__(self) -> None:
        if self.vendor is not None and self.vendor not in VENDORS:
            hint = nearest(self.vendor, VENDORS)
            raise ValueError(f"there is no vendor {self.vendor!r} in the table{hint}; give `base_url` for others")
        row = self._row
        if self.base_url is None and row is None:
            raise ValueError("one of `base_url` and `vendor` is needed to know where requests go")
        if self.base_url is None and row is not None and not row.base_url:
            raise ValueError(f"`base_url` is missing: {self.vendor} gives each customer its own, such as {row.shape}")
        origin_and_path(self._base)
        if self.api_key is None and row is not None and row.needs_key and (self.base_url is None or not row.base_url):
            variable = row.variable or f"{self.vendor}_API_KEY".upper()
            raise ValueError(f"`api_key` is missing: {self.vendor} wants one, such as {{env: {variable}}}")
        for name, value in self.headers.items():
            if not _token(name):
                raise ValueError(f"{name!r} is not a header name")
            if name.lower() in _TAKEN:
                raise ValueError(f"the header {name!r} is not yours to set here")
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"the header {name!r} holds a line break or a sign that cannot be sent")

    def dialect(self, task: Task = "chat", preferred: str = "") -> Dialect | None:
        """The caller's dialect where the server has it, else its first; OpenAI's own words for every other task."""
        row = self._row
        if row is not None and row.tasks is not None and task not in row.tasks:
            return None
        if task != "chat":
            return OPENAI_TASKS.get(task)
        spoken = self.speaks or (row.speaks if row is not None else ("openai_chat",))
        for name in spoken:
            if name == preferred:
                return self._spoken(name)
        return self._spoken(spoken[0])

    async def address(self, deployment: str, dialect: Dialect, run: Run) -> Address:
        """The vendor's address, let in by the key where one is given."""
        origin, path = _split(self._base)
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        if self.api_key is not None:
            headers.append(("authorization", f"Bearer {revealed(self.api_key, run)}"))
        return Address(origin, path, tuple(headers))

    def located(self) -> str | None:
        """What the file says; else what the vendor's row knows, unless its address is not the vendor's."""
        row = self._row
        own = row is not None and (self.base_url is None or not row.base_url)
        return self.region or (row.region if row is not None and own else None)

    def listing(self, deployment: str, listings: Listings) -> Listing | None:
        """What is published under the vendor's name."""
        row = self._row
        found = listings.find(row.listed_as, deployment) if row is not None and row.listed_as else None
        if found is None or found.tasks is None or "chat" not in found.tasks or self.dialect("completions") is None:
            return found
        # published as one that chats; these servers let it complete texts as well, which nobody writes down
        return msgspec.structs.replace(found, tasks=found.tasks | {"completions"})

    def faults(self, deployment: str, survey: Survey) -> Iterable[Finding]:
        """None: what a server of one's own serves is not known beforehand."""
        return ()

    @property
    def _row(self) -> Vendor | None:
        return VENDORS[self.vendor] if self.vendor is not None else None

    @property
    def _base(self) -> str:
        return self.base_url or (self._row.base_url if self._row is not None else "")

    def _spoken(self, name: Spoken) -> Dialect:
        if name in _OTHERS:
            return _OTHERS[name]
        known = self._row.dialect if self._row is not None else OPENAI_CHAT
        if self.usage_in_stream is None:
            return known
        return msgspec.structs.replace(known, usage_in_stream=self.usage_in_stream)


@lru_cache(maxsize=256)
def _split(base_url: str) -> tuple[Origin, str]:
    return origin_and_path(base_url)


def _token(name: str) -> bool:
    return bool(name) and all(letter.isascii() and (letter.isalnum() or letter in "!#$%&'*+-.^_`|~") for letter in name)
