"""The parts of a node that the command line needs as well."""

from __future__ import annotations

from dirigent.core.registry import Reader
from dirigent.models import MODELS
from dirigent.models.providers import PROVIDERS
from dirigent.models.steps import STEPS
from dirigent.models.strategies import STRATEGIES
from dirigent.models.verifiers import VERIFIERS
from dirigent.net import Fetcher, HttpClient, Proxies
from dirigent.net.address import harmless, public
from dirigent.policies import POLICIES
from dirigent.settings import Settings, proxies

__all__ = ["client", "fetcher", "reader"]


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


def reader() -> Reader:
    """The reader of all kinds, those of installed plug-ins included."""
    return Reader(registry.with_plugins() for registry in (MODELS, PROVIDERS, STEPS, STRATEGIES, VERIFIERS, POLICIES))
