"""The front of the control plane: everything that answers below `/api/`, put together for the server to open."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dirigent.admin.access import Access
from dirigent.admin.app import Admin, Live
from dirigent.admin.bridge import Bridge
from dirigent.admin.coming import provider_paths
from dirigent.admin.deciding import deciding_paths
from dirigent.admin.folder import operator_key
from dirigent.admin.following import following_paths
from dirigent.admin.oidc import IdentityProvider
from dirigent.admin.signing import paths
from dirigent.control.approval_links import Links
from dirigent.control.desk import Doors
from dirigent.control.operation import Operation
from dirigent.control.plane import ControlPlane
from dirigent.control.sessions import Sessions
from dirigent.store.database import Database

__all__ = ["Front"]


class Front:
    """Answers the control plane's requests; belongs to one event loop. `bridge.answer(exchange)` answers one."""

    def __init__(
        self,
        database: Database,
        data: Path,
        operations: Mapping[str, Operation[Any, Any]],
        doors: Doors | None = None,
        *,
        live: Live | None = None,
        provider: IdentityProvider | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.plane = ControlPlane(database, operations, doors, clock=clock)
        """Carries operations out, also for who comes in by another way, such as a file that was read."""
        sessions = Sessions(database, self.plane, clock)
        key = operator_key(data)
        access = Access(key, sessions)
        further = [
            *paths(sessions, access, data, clock),
            *deciding_paths(Links(database, self.plane, clock)),
        ]
        if doors is not None and doors.runs is not None:
            further += following_paths(database, access, doors.runs)
        if provider is not None:
            further += provider_paths(provider, sessions, key)
        self._admin = Admin(self.plane, access, further, live)
        self.application = self._admin.application
        self.bridge = Bridge(self._admin.application)

    def owns(self, path: str) -> bool:
        """Whether a path is one of the control plane's."""
        return path in self._admin.paths

    def close(self) -> None:
        """Lets operations that have begun come to their end."""
        self.plane.close()
