"""The room in which the documents of all use cases are made: to open one takes seconds."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from dirigent.documents.room import Room


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Room]:
    """A room that the tests of this folder share; whatever the loop is in which they run, it is the same."""
    one = Room(tmp_path_factory.mktemp("documents"))
    yield one
    await one.close()
