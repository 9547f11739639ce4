"""The table of dialects: the wire formats in which callers ask and providers answer."""

from __future__ import annotations

from dirigent.core.registry import Registry
from dirigent.dialects.anthropic_messages import AnthropicMessages
from dirigent.dialects.bedrock_converse import BedrockConverse
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.google_generate import GoogleGenerate
from dirigent.dialects.openai_chat import OpenAIChat
from dirigent.dialects.openai_responses import OpenAIResponses
from dirigent.dialects.openai_tasks import OPENAI_TASKS

__all__ = ["DIALECTS"]

DIALECTS: Registry[Dialect] = Registry(
    Dialect,
    [
        OpenAIChat,
        OpenAIResponses,
        AnthropicMessages,
        GoogleGenerate,
        BedrockConverse,
        *(type(each) for each in OPENAI_TASKS.values()),
    ],
)
