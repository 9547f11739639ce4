"""The table of models: everything that answers."""

from __future__ import annotations

from dirigent.core.model import Model
from dirigent.core.registry import Registry
from dirigent.models.deployment import Deployment
from dirigent.models.echo import Echo
from dirigent.models.local_tasks import LocalEmbedding, LocalSpeech, LocalTranscription
from dirigent.models.pipeline import Pipeline
from dirigent.models.router import Router

__all__ = ["MODELS"]

MODELS: Registry[Model] = Registry(
    Model, [Deployment, Router, Pipeline, Echo, LocalEmbedding, LocalSpeech, LocalTranscription]
)
