"""What binds a conversation to whom it was led with: seals, answers kept at the provider, prompt caches.

Each bond has a mark, a digest that tells nothing of what it was made from; the port Affinity remembers by whom it was
given. Marks of different tenants never meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b

import msgspec

from dirigent.core.messages import Message, Part, Reasoning, Request, ToolCall
from dirigent.core.run import Run

__all__ = ["keep", "kept_by", "sealed", "seals", "unsealed", "warm_at", "warmed"]

_encode = msgspec.json.Encoder().encode


def seals(request: Request) -> Iterator[str]:
    """What only its issuer understands, the oldest first: what was sealed, and last the answer that is continued."""
    for message in request.messages:
        if message.role == "assistant":
            for part in message.parts:
                if isinstance(part, Reasoning):
                    yield from filter(None, (part.signature, part.sealed))
                elif isinstance(part, ToolCall) and part.signature:
                    yield part.signature
    if request.previous is not None:
        yield request.previous


def sealed(request: Request) -> bool:
    """Whether there is anything that only its issuer understands."""
    return next(seals(request), None) is not None


def unsealed(request: Request) -> Request:
    """The request without its seals, for whom they are not meant; thoughts stay as far as they can be read."""
    if not any(_carries(part) for message in request.messages for part in message.parts):
        return request
    return request.changed(messages=tuple(_bare(message) for message in request.messages))


def keep(seal: str, run: Run) -> None:
    """Remembers that the present model, asked by whom it was asked, has given this seal."""
    run.ports.affinity.keep(_mark(run, "seal", seal.encode()), run.names)


def kept_by(request: Request, run: Run) -> Sequence[str]:
    """Who gave the latest seal of the request that anybody knows of: a deployment's name, and of those that asked."""
    for seal in reversed(list(seals(request))):
        if names := run.ports.affinity.kept(_mark(run, "seal", seal.encode())):
            return names
    return ()


def warmed(request: Request, run: Run, name: str) -> None:
    """Remembers that `name` has just read this conversation, and may have it in its cache."""
    run.ports.affinity.keep(_mark(run, run.model, _encode(list(request.messages))), (name,))


def warm_at(request: Request, run: Run, within: float) -> str | None:
    """Who has read this conversation up to the last answer in it, `within` so many seconds; None where nobody has."""
    messages = request.messages
    last = next((at for at in range(len(messages) - 1, 0, -1) if messages[at].role == "assistant"), 0)
    if not last:
        return None
    names = run.ports.affinity.kept(_mark(run, run.model, _encode(list(messages[:last]))), within)
    return names[0] if names else None


def _mark(run: Run, what: str, content: bytes) -> bytes:
    digest = blake2b(digest_size=16)
    for piece in (run.principal.tenant.encode(), what.encode(), content):
        digest.update(len(piece).to_bytes(8))  # so that ("ab", "c") and ("a", "bc") are two
        digest.update(piece)
    return digest.digest()


def _carries(part: Part) -> bool:
    match part:
        case Reasoning(signature=signature, sealed=sealed, id=id):
            return bool(signature or sealed or id)
        case ToolCall(signature=signature):
            return bool(signature)
    return False


def _bare(message: Message) -> Message:
    if not any(map(_carries, message.parts)):
        return message
    parts: list[Part] = []
    for part in message.parts:
        if isinstance(part, Reasoning):
            if part.text:
                parts.append(Reasoning(part.text))
        elif isinstance(part, ToolCall):
            parts.append(msgspec.structs.replace(part, signature=None))
        else:
            parts.append(part)
    return msgspec.structs.replace(message, parts=tuple(parts))
