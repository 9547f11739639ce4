"""The table of sources: what runs may reach outside of models."""

from __future__ import annotations

from dirigent.core.registry import Registry
from dirigent.core.source import Source
from dirigent.models.sources.collection import Collection
from dirigent.models.sources.files import Files
from dirigent.models.sources.odata import Odata
from dirigent.models.sources.rest import Rest
from dirigent.models.sources.sql import Sql

__all__ = ["SOURCES"]

SOURCES: Registry[Source] = Registry(Source, [Sql, Files, Rest, Odata, Collection])
