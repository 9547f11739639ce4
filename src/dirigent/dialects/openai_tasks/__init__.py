"""OpenAI's jobs beside chat, one small dialect each: vectors, sounds, transcripts, pictures, verdicts, completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dirigent.core.messages import Task as AnyTask
from dirigent.dialects.dialect import Dialect
from dirigent.dialects.openai_tasks.completions import OpenAICompletions
from dirigent.dialects.openai_tasks.embeddings import OpenAIEmbeddings
from dirigent.dialects.openai_tasks.images import OpenAIImageEdits, OpenAIImages, OpenAIImageVariations
from dirigent.dialects.openai_tasks.moderations import OpenAIModerations
from dirigent.dialects.openai_tasks.speech import OpenAISpeech
from dirigent.dialects.openai_tasks.transcripts import OpenAITranscriptions, OpenAITranslations

__all__ = [
    "OPENAI_TASKS",
    "OpenAICompletions",
    "OpenAIEmbeddings",
    "OpenAIImageEdits",
    "OpenAIImageVariations",
    "OpenAIImages",
    "OpenAIModerations",
    "OpenAISpeech",
    "OpenAITranscriptions",
    "OpenAITranslations",
]

OPENAI_TASKS: Final[Mapping[AnyTask, Dialect]] = {
    dialect.task: dialect
    for dialect in (
        OpenAICompletions(),
        OpenAIEmbeddings(),
        OpenAIImageEdits(),
        OpenAIImages(),
        OpenAIImageVariations(),
        OpenAIModerations(),
        OpenAISpeech(),
        OpenAITranscriptions(),
        OpenAITranslations(),
    )
}
"""The dialect of each job, for whoever serves it as OpenAI does."""
