"""The ways out of a node: to providers, and to what callers name."""

from __future__ import annotations

from dirigent.net import Fetcher, HttpClient, Proxies
from dirigent.net.address import harmless, public
from dirigent.settings import Settings, proxies

__all__ = ["client", "fetcher"]


def client(settings: Settings) -> HttpClient:
    """The HTTP client with the operator's proxies and certificate authorities."""
    given = proxies()
    return HttpClient(authorities=settings.ca_file, proxies=Proxies(given.http, given.https, given.exempt))


def fetcher(settings: Settings) -> Fetcher | None:
    """Who fetches what callers name; None where the operator has switched that off."""
    if settings.fetch == "off":
        return None
    given = proxies()
    permits = harmless if settings.fetch == "any" else public
    around = Proxies(given.http, given.https, given.exempt)
    return Fetcher(permits=permits, authorities=settings.ca_file, proxies=around)
