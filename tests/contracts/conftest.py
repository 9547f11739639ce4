"""The databases of the store's own tests, for the contracts that hold over both."""

from tests.store.conftest import database, url

__all__ = ["database", "url"]
