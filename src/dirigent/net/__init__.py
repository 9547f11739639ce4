"""HTTP and e-mail out: the only HTTP client, its pool, its time-outs, and the guard for addresses that callers name."""

from dirigent.net.address import Guarded, guard
from dirigent.net.client import HttpClient
from dirigent.net.fetching import Fetcher
from dirigent.net.proxies import Proxies

__all__ = ["Fetcher", "Guarded", "HttpClient", "Proxies", "guard"]
