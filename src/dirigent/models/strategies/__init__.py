"""The table of strategies: how a router orders its candidates."""

from __future__ import annotations

from dirigent.core.registry import Registry
from dirigent.models.strategies.cascade import Cascade
from dirigent.models.strategies.cheapest import Cheapest
from dirigent.models.strategies.complexity import Complexity
from dirigent.models.strategies.domain import Domain
from dirigent.models.strategies.fastest import Fastest
from dirigent.models.strategies.fixed import Fixed
from dirigent.models.strategies.least_busy import LeastBusy
from dirigent.models.strategies.rules import Rules
from dirigent.models.strategies.strategy import Strategy
from dirigent.models.strategies.weighted import Weighted

__all__ = ["STRATEGIES"]

STRATEGIES: Registry[Strategy] = Registry(
    Strategy, [Fixed, Weighted, Cheapest, Fastest, Rules, Complexity, Domain, LeastBusy, Cascade]
)
