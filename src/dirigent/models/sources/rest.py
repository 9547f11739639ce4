"""A REST service as a source."""

from __future__ import annotations

from dirigent.models.sources.service import HttpSource

__all__ = ["Rest"]


class Rest(HttpSource, frozen=True, kw_only=True):
    """An HTTP service that speaks JSON or text. It is reached for any address that the operator names here."""
