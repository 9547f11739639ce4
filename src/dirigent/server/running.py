"""Where a node listens, for the command line to find."""

from __future__ import annotations

import msgspec

__all__ = ["Running"]


class Running(msgspec.Struct, frozen=True):
    """Where a node listens, as written into its data folder for the command line to find."""

    host: str
    port: int
    pid: int

    @property
    def address(self) -> str:
        """The address to call, without a slash at its end."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
