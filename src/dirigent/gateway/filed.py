"""The files that runs have written, for whoever asked for the run."""

from __future__ import annotations

from urllib.parse import quote, unquote

from dirigent.conductor import Conductor
from dirigent.core.errors import Invalid
from dirigent.gateway.call import Call
from dirigent.gateway.errors import WireFault

__all__ = ["FILES", "Filed"]

FILES = "/api/v1/files/"


class Filed:
    """Hands files out by their ids, within the tenant of the key that asks."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    async def sent(self, call: Call) -> None:
        """The bytes of a file, to be saved under its name and never to be shown as a page of ours."""
        name = unquote(call.exchange.path.removeprefix(FILES))
        files = self._conductor.ports.files
        if files is None:
            raise WireFault("this node keeps no files", "not_found")
        try:
            filed, data = await files.read(call.authenticate().tenant, name)
        except Invalid as fault:
            raise WireFault(fault.message, "not_found") from None
        call.status = 200
        headers = [
            *call.headers(filed.content_type),
            ("content-disposition", f"attachment; filename*=UTF-8''{quote(filed.name)}"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "sandbox; default-src 'none'"),
            ("cache-control", "no-store"),
        ]
        call.exchange.respond(200, headers, data)
