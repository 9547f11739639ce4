"""What the providers' own SDKs think of what is written: their types, with nothing beyond them."""

from __future__ import annotations

from base64 import b64decode
from typing import Any, Final

import anthropic.types
import botocore.session
import google.genai.types as gemini
import openai.types.chat
import openai.types.responses
from anthropic.types import RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from botocore.model import ListShape, MapShape, Shape, StructureShape
from openai.types.chat import completion_create_params
from openai.types.responses import ResponseStreamEvent, response_create_params
from openai.types.responses.response_input_audio_param import ResponseInputAudioParam
from pydantic import BaseModel, TypeAdapter

from tests.dialects.anthropic_messages.typed import assert_fits
from tests.dialects.matrix.spoken import Json

__all__ = ["assert_answer", "assert_error", "assert_event", "assert_sendable"]

_CONVERSE: Final = botocore.session.get_session().get_service_model("bedrock-runtime")
_EVENTS: Final[dict[str, TypeAdapter[Any]]] = {
    "openai_responses": TypeAdapter(ResponseStreamEvent),
    "anthropic_messages": TypeAdapter(RawMessageStreamEvent),
}
_MODELS: Final[dict[tuple[str, bool], type[BaseModel]]] = {
    ("openai_chat", False): openai.types.chat.ChatCompletion,
    ("openai_chat", True): openai.types.chat.ChatCompletionChunk,
    ("openai_responses", False): openai.types.responses.Response,
    ("anthropic_messages", False): anthropic.types.Message,
    ("google_generate", False): gemini.GenerateContentResponse,
    ("google_generate", True): gemini.GenerateContentResponse,
}
_CONTENTS: Final[dict[str, TypeAdapter[Any]]] = {
    "systemInstruction": TypeAdapter(gemini.Content),
    "contents": TypeAdapter(list[gemini.Content]),
    "tools": TypeAdapter(list[gemini.Tool]),
    "toolConfig": TypeAdapter(gemini.ToolConfig),
    "generationConfig": TypeAdapter(gemini.GenerationConfig),
    "safetySettings": TypeAdapter(list[gemini.SafetySetting]),
}
"""The fields of a request to Google, whose SDK has no type for the whole of it."""
_BEYOND: Final = {
    "openai_chat": frozenset(
        ("reasoning_content", "reasoning_details", "extra_content", "top_k", "cache_control", "stop_reason")
    ),
    "openai_responses": frozenset(("store", "error")),
    "anthropic_messages": frozenset(("temperature", "top_p", "top_k", "scope")),
}
"""What callers and providers of a dialect say beyond its types, by custom."""


def assert_sendable(name: str, body: Json) -> None:
    """Fails where the SDK of this dialect would not send such a body."""
    match name:
        case "bedrock_converse":
            shape = _CONVERSE.operation_model("Converse").input_shape
            _assert_shaped({"modelId": "x", **body}, shape, "")
        case "google_generate":
            _assert_google(body)
        case _:
            whole, streamed = {
                "openai_chat": (
                    completion_create_params.CompletionCreateParamsNonStreaming,
                    completion_create_params.CompletionCreateParamsStreaming,
                ),
                "openai_responses": (
                    response_create_params.ResponseCreateParamsNonStreaming,
                    response_create_params.ResponseCreateParamsStreaming,
                ),
                "anthropic_messages": (MessageCreateParamsNonStreaming, MessageCreateParamsStreaming),
            }[name]
            kind: Any = streamed if body.get("stream") else whole
            assert_fits(_supplied(body) if name == "openai_responses" else _plain(body, _BEYOND[name]), kind)


def _supplied(value: Any) -> Any:
    """With what the types of Responses ask for and the API does not; sound has a type of its own and no place."""
    if isinstance(value, list):
        return [_supplied(each) for each in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"type": "message", "role": "assistant"}:
            return {"id": "msg_1", "status": "completed", **value}
        case {"type": "input_image"}:
            return {"detail": "auto", **value}
        case {"type": "input_audio"}:
            assert_fits(value, ResponseInputAudioParam)
            return {"type": "input_text", "text": ""}
        case _:
            return {key: _supplied(each) for key, each in value.items()}


def _plain(value: Any, beyond: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each, beyond) for key, each in value.items() if key not in beyond}
    return [_plain(each, beyond) for each in value] if isinstance(value, list) else value


def _assert_google(body: Json) -> None:
    assert body.keys() <= _CONTENTS.keys()
    for key, value in body.items():
        _CONTENTS[key].validate_python(value)


def assert_answer(name: str, body: Json) -> None:
    """Fails where the SDK of this dialect finds anything wrong, or anything that it does not know, in an answer."""
    if name == "bedrock_converse":
        _assert_shaped(body, _CONVERSE.operation_model("Converse").output_shape, "")
    else:
        _assert_known(_MODELS[name, False].model_validate(body), _BEYOND.get(name, frozenset()))


def assert_event(name: str, event: Json) -> None:
    """The same, for an event of a stream."""
    if name == "bedrock_converse":
        _assert_shaped(event, _CONVERSE.operation_model("ConverseStream").output_shape.members["stream"], "")
    elif name in _EVENTS:
        _assert_known(_EVENTS[name].validate_python(event), _BEYOND.get(name, frozenset()))
    else:
        _assert_known(_MODELS[name, True].model_validate(event), _BEYOND.get(name, frozenset()))


def assert_error(name: str, body: Json) -> None:
    """Fails where the SDK of this dialect would not find the words of an error."""
    match name:
        case "anthropic_messages":
            TypeAdapter(anthropic.types.ErrorResponse).validate_python(body)
        case "bedrock_converse":
            assert {"message"} <= body.keys() <= {"message", "__type"}
        case "google_generate":
            assert {"code", "message", "status"} <= body["error"].keys()
        case _:
            assert body.keys() == {"error"}
            assert body["error"].keys() == {"message", "type", "param", "code"}


def _assert_known(value: Any, beyond: frozenset[str]) -> None:
    """Fails at any field that the SDK's own types do not name."""
    if isinstance(value, BaseModel):
        assert set(value.model_extra or ()) <= beyond, (type(value), value.model_extra)
        for name in type(value).model_fields:
            _assert_known(getattr(value, name), beyond)
    elif isinstance(value, list | tuple):
        for each in value:
            _assert_known(each, beyond)


def _assert_shaped(value: Any, shape: Shape, where: str) -> None:
    """Fails where JSON does not have the shape in which AWS describes its service."""
    if getattr(shape, "is_document_type", False):
        return
    match shape:
        case StructureShape():
            assert isinstance(value, dict), where
            assert set(shape.required_members) <= value.keys() <= shape.members.keys(), (where, value)
            assert len(value) == 1 or not shape.is_tagged_union, (where, value)
            for key, each in value.items():
                _assert_shaped(each, shape.members[key], f"{where}.{key}")
        case ListShape():
            assert isinstance(value, list), where
            for index, each in enumerate(value):
                _assert_shaped(each, shape.member, f"{where}[{index}]")
        case MapShape():
            assert isinstance(value, dict), where
            for key, each in value.items():
                _assert_shaped(each, shape.value, f"{where}.{key}")
        case _:
            _assert_scalar(value, shape, where)


def _assert_scalar(value: Any, shape: Shape, where: str) -> None:
    match shape.type_name:
        case "string":
            assert isinstance(value, str), where
            assert not shape.enum or value in shape.enum, (where, value)
        case "blob":
            b64decode(value, validate=True)
        case "boolean":
            assert isinstance(value, bool), where
        case _:
            assert type(value) in (int, float), (where, shape.type_name)
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    size = value if isinstance(value, int | float) else len(value)
    assert least is None or size >= least, (where, value)
    assert most is None or size <= most, (where, value)
