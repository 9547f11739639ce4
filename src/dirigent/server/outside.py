"""The ways out of a node: to providers, and to what callers name."""

from __future__ import annotations

from dirigent.net import Fetcher, HttpClient, Proxies
from dirigent.net.address import harmless, public
from dirigent.settings import Reach, Settings, proxies

__all__ = ["client", "fetcher", "notifier"]


def client(settings: Settings) -> HttpClient:
    """The HTTP client with the operator's proxies and certificate authorities."""
    given = proxies()
    return HttpClient(authorities=settings.ca_file, proxies=Proxies(given.http, given.https, given.exempt))


def fetcher(settings: Settings) -> Fetcher | None:
    """Who fetches what callers name; None where the operator has switched that off."""
    return _guarded(settings, settings.fetch)


def notifier(settings: Settings) -> Fetcher | None:
    """Who hands alerts to webhooks; None where the operator has switched that off."""
    return _guarded(settings, settings.notify)


def _guarded(settings: Settings, reach: Reach) -> Fetcher | None:
    if reach == "off":
        return None
    given = proxies()
    permits = harmless if reach == "any" else public
    around = Proxies(given.http, given.https, given.exempt)
    return Fetcher(permits=permits, authorities=settings.ca_file, proxies=around)
