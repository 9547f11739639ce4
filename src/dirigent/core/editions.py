"""Catalogs of other revisions than the present one, as a conductor asks for them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from dirigent.core.catalog import Catalog
from dirigent.core.errors import Unavailable
from dirigent.core.ports import Ports

__all__ = ["Edition", "Editions", "Listed", "NotAtHand"]


class Edition(NamedTuple):
    """The catalog of one revision, and the ports of runs on it: what is learnt of a deployment there stays there."""

    catalog: Catalog
    ports: Ports


class Listed(NamedTuple):
    """A name by which callers ask, the model that answers, and the catalog that this one stands in."""

    name: str
    model: str
    catalog: Catalog


class Editions(Protocol):
    """All that was ever published, as far as this node can serve it."""

    def at_hand(self, letters: str) -> Edition | None:
        """The revision whose name begins so, where it is ready; None where it has to be made ready first."""
        ...

    async def edition(self, letters: str) -> Edition:
        """The revision whose name begins so, made ready if need be.

        Raises UnknownModel where there is none, or several; Misconfigured where this node cannot serve it.
        """
        ...


class NotAtHand(Unavailable):
    """A revision is asked for that is not ready yet; whoever can wait has it made ready, and opens the run again."""

    def __init__(self, letters: str) -> None:
        super().__init__(f"the revision {letters} is not ready yet", param="model")
        self.letters = letters
