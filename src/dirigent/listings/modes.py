"""What a listed deployment can be asked for, by the mode that is published of it."""

from __future__ import annotations

from dirigent.core.messages import Task

__all__ = ["tasks_of"]

_TASKS: dict[str, frozenset[Task]] = {
    "chat": frozenset({"chat"}),
    "responses": frozenset({"chat"}),
    "completion": frozenset({"completions"}),
    "embedding": frozenset({"embeddings"}),
    "image": frozenset({"images", "image_edits", "image_variations"}),
    "image_edit": frozenset({"image_edits"}),
    "moderation": frozenset({"moderations"}),
    "speech": frozenset({"speech"}),
    "transcription": frozenset({"transcriptions"}),
    # nothing that can be asked for here: routers pass them over
    "ocr": frozenset(),
    "realtime": frozenset(),
    "rerank": frozenset(),
    "search": frozenset(),
    "vector_store": frozenset(),
    "video": frozenset(),
}
_CONVERSING: frozenset[Task] = frozenset({"chat"})
_TRANSLATING: frozenset[Task] = frozenset({"transcriptions", "translations"})


def tasks_of(mode: str, name: str, *, converses: bool) -> frozenset[Task] | None:
    """The tasks of a deployment of this name and mode; None where the mode says nothing of them.

    `converses` is whether it reads tokens of a conversation, which a painter or speaker of pictures alone does not:
    models of Google's that paint or speak are asked for it in a conversation.
    """
    if mode == "transcription" and "whisper" in name.lower():  # of all that write down, these alone translate as well
        return _TRANSLATING
    tasks = _TASKS.get(mode)
    if tasks and converses and mode in ("image", "image_edit", "speech"):
        return tasks | _CONVERSING
    return tasks
