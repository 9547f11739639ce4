"""Our names for vendors, and what each source calls them."""

from __future__ import annotations

__all__ = ["LOCAL", "ours_of_cross_check", "ours_of_primary", "without_prefix"]

LOCAL = frozenset({"ollama", "lemonade"})
"""Vendors whose models run on the operator's own hardware: the only ones whose zero price is taken at its word."""

_PRIMARY = {
    "amazon_nova": "amazon_nova",
    "azure_text": "azure",
    "bedrock_converse": "bedrock",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks",
    "gemini": "google",
    "jina_ai": "jina",
    "lambda_ai": "lambda",
    "text-completion-codestral": "codestral",
    "text-completion-inception": "inception",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "vercel_ai_gateway": "vercel",
}
_CROSS_CHECK = {
    "anthropic": "anthropic",
    "aws": "bedrock",
    "azure": "azure",
    "baseten": "baseten",
    "cerebras": "cerebras",
    "cloudflare": "cloudflare",
    "cohere": "cohere",
    "databricks": "databricks",
    "deepseek": "deepseek",
    "elevenlabs": "elevenlabs",
    "fireworks": "fireworks",
    "google": "google",
    "groq": "groq",
    "meta": "meta",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshotai": "moonshot",
    "novita": "novita",
    "openai": "openai",
    "openrouter": "openrouter",
    "ovhcloud": "ovhcloud",
    "perplexity": "perplexity",
    "together": "together",
    "typesafe": "typesafe",
    "voyageai": "voyage",
    "x-ai": "xai",
    "zai": "zai",
    "zhipuai": "bigmodel",
}
_EXTRA_PREFIXES = {"amazon_nova": ("amazon-nova/",), "vertex": ("vertex_ai/",)}


def ours_of_primary(vendor: str) -> str:
    """Our name for a vendor of the primary source: its own name unless ours is another."""
    return "vertex" if vendor.startswith("vertex_ai") else _PRIMARY.get(vendor, vendor)


def ours_of_cross_check(vendor: str) -> str | None:
    """Our name for a vendor of the cross-check; None for vendors that we do not compare or take."""
    return _CROSS_CHECK.get(vendor)


def without_prefix(vendor: str, name: str) -> str:
    """The name that goes over the wire: without the prefix by which the primary source tells its vendors apart."""
    for prefix in (f"{vendor}/", f"{ours_of_primary(vendor)}/", *_EXTRA_PREFIXES.get(ours_of_primary(vendor), ())):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name
