"""An OData service as a source, such as those of SAP and Microsoft Dynamics."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from dirigent.core.ports import Secrets
from dirigent.core.source import Service
from dirigent.models.sources.service import HttpSource

__all__ = ["Odata"]


class Odata(HttpSource, frozen=True, kw_only=True):
    """An OData service, version 2 or 4: a step reads entities page by page, in the words of either version."""

    protocol: ClassVar[Literal["rest", "odata"]] = "odata"

    version: Literal[2, 4] = 4
    """Of the protocol that it speaks."""

    def service(self, name: str, secrets: Secrets) -> Service:
        """The service, with its version. Raises Misconfigured where a credential is missing."""
        return msgspec.structs.replace(HttpSource.service(self, name, secrets), version=self.version)
