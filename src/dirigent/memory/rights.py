"""The rights of the moment in memory, and how they follow the place where the rules are kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from fractions import Fraction
from time import time

from dirigent.core.allowances import Allowance
from dirigent.core.errors import DirigentError
from dirigent.core.grants import Grant
from dirigent.core.identity import Principal
from dirigent.core.rulebook import Rulebook
from dirigent.core.rules import Rules

__all__ = ["FollowedRights", "MemoryRights"]

_log = logging.getLogger("dirigent.rights")
_PAUSE = 0.25
"""Seconds after which changed rules that could not be had are asked for again."""
_STRANGERS_EVERY = 0.1
"""Seconds at least between two looks that only those have asked for whom nobody knows."""
_STRANGERS_WAIT = 0.5
"""Seconds that one of them waits at most."""


class MemoryRights:
    """Rights (core.ports.Rights) by the rulebook of the moment, which is replaced as a whole."""

    def __init__(self, rules: Rules | None = None, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        self.book = Rulebook() if rules is None else Rulebook.of(rules)
        """The rules that count now. Another one stands here after each change, so whoever keeps what follows from one
        can see by it whether that still holds."""

    def principal(self, digest: bytes) -> Principal | None:
        """By one look-up, and a look at the clock where the key ends some time."""
        principal = self.book.principals.get(digest)
        if principal is not None and principal.expires is not None and principal.expires <= self._clock():
            return None
        return principal

    def grant(self, principal: Principal, purpose: str | None) -> Grant:
        """Worked out once for as long as the rules stand. Raises PurposeRequired or Forbidden."""
        return self.book.grant(principal, purpose)

    def allowances_of_model(self, tenant: str, name: str) -> tuple[Allowance, ...]:
        """What all calls of a tenant to the model of this name are counted against; `Grant.counted` has them too."""
        return self.book.allowances_of_model(tenant, name)

    def rate(self, tenant: str, source: str, target: str) -> Fraction | None:
        """What one unit of `source` is worth in `target` for a tenant now; None where nobody has said."""
        return self.book.rate(tenant, source, target, self._clock())

    def take(self, rules: Rules) -> None:
        """Lets changed rules count from now on."""
        self.book = self.book.extended(rules)


class FollowedRights(MemoryRights):
    """The same for rules that are kept elsewhere: `load` gives those that have changed since a number.

    While they cannot be loaded, the last known ones go on counting, and loading is tried again and again.
    """

    def __init__(self, load: Callable[[int], Awaitable[Rules]], clock: Callable[[], float] = time) -> None:
        super().__init__(clock=clock)
        self._load = load
        self._news = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[asyncio.Future[None]] = []
        """Who waits for the end of the look that begins next."""
        self._strangers: asyncio.Future[None] | None = None
        self._looked_for_strangers = -_STRANGERS_EVERY

    async def start(self) -> None:
        """Loads all rules, and follows them from then on. Raises what `load` raises."""
        self._loop = asyncio.get_running_loop()
        await self.refresh()
        self._following = asyncio.create_task(self._follow())

    def told(self) -> None:
        """Something has changed, says a thread of whatever kind: it will be loaded at once."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed already, and nobody asks for rights any more
                self._loop.call_soon_threadsafe(self._news.set)

    async def refresh(self) -> None:
        """Loads what has changed. What it says counts when this returns."""
        rules = await self._load(self.book.sequence)
        if rules.whole or rules.sequence > self.book.sequence:
            self.take(rules)

    async def reach(self, number: int, within: float) -> bool:
        """Whether the change of this number counts here: it is looked for at once, and waited for so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self.book.sequence < number and self._follows():
                    await self._look()
        return self.book.sequence >= number

    def reached(self, number: int, within: float) -> bool:
        """The same for a thread that is not the loop's, which waits."""
        if self._loop is None or self.book.sequence >= number:
            return self.book.sequence >= number
        reaching = self.reach(number, within)
        try:
            found = asyncio.run_coroutine_threadsafe(reaching, self._loop)
        except RuntimeError:  # the loop is closed already, and nobody asks for rights any more
            reaching.close()
            return False
        with suppress(TimeoutError):  # the loop has other things to do
            return found.result(within + _PAUSE)
        return False

    async def catch_up(self) -> None:
        """Returns once all changes count that were durable before; or half a second later.

        However many ask, the place where the rules are kept hears of it ten times a second at most: so a key that was
        issued at another worker is known, and a flood of keys that nobody issued is no load.
        """
        if not self._follows():
            return
        strangers = self._strangers
        if strangers is None:
            loop = asyncio.get_running_loop()
            strangers = self._strangers = loop.create_future()
            loop.call_at(max(loop.time(), self._looked_for_strangers + _STRANGERS_EVERY), self._look_for_strangers)
        await asyncio.wait({strangers}, timeout=_STRANGERS_WAIT)

    async def close(self) -> None:
        """Follows no more; what is known goes on counting."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        self._seen(self._waiting)

    def _follows(self) -> bool:
        return self._following is not None and not self._following.done()

    def _look(self) -> asyncio.Future[None]:
        """Done once a look that begins from now on has ended."""
        look = asyncio.get_running_loop().create_future()
        self._waiting.append(look)
        self._news.set()
        return look

    def _look_for_strangers(self) -> None:
        self._looked_for_strangers = asyncio.get_running_loop().time()
        if self._strangers is not None:
            self._waiting.append(self._strangers)
            self._strangers = None
            self._news.set()

    def _seen(self, looks: list[asyncio.Future[None]]) -> None:
        for look in looks:
            if not look.done():
                look.set_result(None)

    async def _follow(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            looks, self._waiting = self._waiting, []
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001  the rules that are known hold until the new ones can be had
                expected = isinstance(error, DirigentError)
                _log.warning("changed rules cannot be loaded yet: %s", error, exc_info=not expected)
                self._news.set()
                self._seen(looks)
                await asyncio.sleep(_PAUSE)
            finally:
                self._seen(looks)
