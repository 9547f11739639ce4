"""HTTP/1.1 as callers speak it: a strict server that hands each request to one function as an Exchange."""

from dirigent.gateway.wire.exchange import Exchange, Exchanging
from dirigent.gateway.wire.limits import Limits
from dirigent.gateway.wire.server import Server

__all__ = ["Exchange", "Exchanging", "Limits", "Server"]
