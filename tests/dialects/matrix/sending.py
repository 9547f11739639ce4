"""What becomes of a caller's request where its provider speaks another dialect."""

from __future__ import annotations

from typing import Any

import msgspec

from dirigent.core.errors import Unsupported
from dirigent.core.messages import Request
from tests.dialects.matrix.spoken import DIALECTS, Json, kept

__all__ = ["asked", "body_of", "sent"]


def body_of(inbound: str, feature: str, *, stream: bool) -> tuple[bytes, str]:
    """The body in which a caller asks for this, and the path."""
    spoken = DIALECTS[inbound]
    body = kept("asked", inbound)[feature]
    if stream and not spoken.streaming_path:
        body["stream"] = True
        if inbound == "openai_chat":
            body["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(body), spoken.streaming_path if stream else spoken.path


def asked(inbound: str, feature: str, *, stream: bool) -> Request:
    """The request of a caller of this dialect who asks for this."""
    return DIALECTS[inbound].dialect.read_request(*body_of(inbound, feature, stream=stream))


def sent(inbound: str, feature: str, outbound: str) -> Json:
    """What a provider of one dialect is sent for a caller of the other: the body, or why there is none."""
    whole, streamed = (_sent(asked(inbound, feature, stream=stream), outbound) for stream in (False, True))
    if (before := whole.get("body")) is None:
        assert streamed == whole
        return whole
    after: dict[str, Any] = streamed.pop("body")
    assert before.items() <= after.items()  # a stream is asked for with more words, never with fewer or others
    assert streamed.items() <= whole.items()
    added = {key: value for key, value in after.items() if key not in before}
    return {**whole, **({"streamed_adds": added} if added else {})}


def _sent(request: Request, outbound: str) -> Json:
    """Several answers are asked for one by one where the provider gives one at a time."""
    dialect, deployment, *_ = DIALECTS[outbound]
    times = request.choices if dialect.one_choice else 1
    request = request.changed(choices=1) if times > 1 else request
    try:
        body = dialect.write_request(request, deployment)
    except Unsupported as refusal:
        return {"refused": refusal.message}
    left_out = [] if request.dialect == dialect.name else sorted(dialect.unsaid(request))
    said: Json = {"body": msgspec.json.decode(body)}
    return said | ({"left_out": left_out} if left_out else {}) | ({"times": times} if times > 1 else {})
