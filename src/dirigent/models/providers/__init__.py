"""The table of providers: who serves deployments."""

from __future__ import annotations

from dirigent.core.registry import Registry
from dirigent.models.providers.anthropic import Anthropic
from dirigent.models.providers.azure import Azure
from dirigent.models.providers.bedrock import Bedrock
from dirigent.models.providers.compatible import Compatible
from dirigent.models.providers.google import Google
from dirigent.models.providers.llama_cpp import LlamaCpp
from dirigent.models.providers.openai import Openai
from dirigent.models.providers.provider import Provider

__all__ = ["PROVIDERS"]

PROVIDERS: Registry[Provider] = Registry(Provider, [LlamaCpp, Openai, Anthropic, Azure, Google, Bedrock, Compatible])
