"""Names of fields in the two spellings that Google takes: as JSON has them, and as its descriptions write them."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

__all__ = ["in_camel_case"]

_SNAKE = re.compile(
    rb'"(?:system_instruction|generation_config|safety_settings|tool_config|cached_content|function_declarations|'
    rb"function_calling_config|function_call|function_response|inline_data|file_data|mime_type|file_uri|"
    rb"thought_signature|thinking_config|max_output_tokens|top_p|top_k|stop_sequences|candidate_count|"
    rb"response_mime_type|response_schema|response_json_schema|generate_content_request|google_search|"
    rb'code_execution|url_context)"\s*:'
)
_NOT_OURS: Final = frozenset((
    *("args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "labels"),
    *("partMetadata",),
))  # fmt: skip
"""Fields whose contents have names of somebody else."""
_DEEPEST: Final = 64


def in_camel_case(body: bytes) -> bytes:
    """The same body with the names as JSON has them. Raises what msgspec does for what is no JSON."""
    if _SNAKE.search(body) is None:
        return body
    return msgspec.json.encode(_renamed(msgspec.json.decode(body), 0))


def _renamed(value: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return value
    if isinstance(value, list):
        return [_renamed(each, depth + 1) for each in value]
    if not isinstance(value, dict):
        return value
    named = ((_camel(key), each) for key, each in value.items())
    return {key: each if key in _NOT_OURS else _renamed(each, depth + 1) for key, each in named}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others) if first else name
