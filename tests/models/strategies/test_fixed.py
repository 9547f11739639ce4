"""The order in which the candidates are written."""

from __future__ import annotations

from dirigent.models.strategies.fixed import Fixed
from tests.models.strategies.world import question


async def test_the_order_is_that_of_the_configuration_and_nothing_is_measured() -> None:
    asked = question(candidates=("b", "a", "c"))

    ranking = await Fixed().order(asked)

    assert ranking.order == ("b", "a", "c")
    assert ranking.reason == "b stands first in the configuration"
    assert "features" not in vars(asked)
