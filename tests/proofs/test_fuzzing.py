"""Good and vicious requests and answers, by the hundred thousand: read as RFC 9112 says, or refused, and forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import httptools
import pytest
import uvloop

from tests.proofs.callers import LIMITS, Toll, fuzz_in_memory, fuzz_on_sockets
from tests.proofs.dialogue import dialogue
from tests.proofs.footprint import Footprint
from tests.proofs.providers import fuzz_client
from tests.proofs.reference import requests_in
from tests.proofs.wires import Memory

SEED = 20_26
Loop = Callable[[], asyncio.AbstractEventLoop]


def run(fuzz: Coroutine[Any, Any, Toll], loop: Loop = Memory) -> Toll:
    gc.collect()  # SDK clients of earlier tests close themselves on whichever loop runs when they die: none of ours
    with asyncio.Runner(loop_factory=loop) as runner:
        toll = runner.run(fuzz)
    print(toll)
    return toll


def held() -> Counter[str]:
    """The objects of the two wires that are alive."""
    gc.collect()
    kinds = Counter(type(thing) for thing in gc.get_objects())
    rooms = ("dirigent.gateway.wire", "dirigent.net")
    return Counter({f"{kind}": count for kind, count in kinds.items() if str(kind.__module__).startswith(rooms)})


def test_what_callers_send_is_read_as_the_standard_says_or_refused() -> None:
    toll = run(fuzz_in_memory(2_400, SEED))

    assert toll.findings == []
    assert toll.served > 500


def test_what_callers_send_over_sockets_is_read_as_the_standard_says_or_refused() -> None:
    toll = run(fuzz_on_sockets(600, SEED), uvloop.new_event_loop)

    assert toll.findings == []
    assert toll.served > 100


def test_a_hostile_provider_spoils_its_own_answers_and_no_other() -> None:
    toll = run(fuzz_client(1_500, SEED))

    assert toll.findings == []
    assert toll.served > 800


def test_the_judge_objects_to_a_parser_that_nobody_watches() -> None:
    """The parser that ours is built on, without what we refuse beyond it: the streams hold what tells the two apart."""
    objections = sum(
        bare(stream) > len(requests_in(stream, LIMITS).requests)
        for stream in (b"".join(dialogue(random.Random(f"bare/{number}"))) for number in range(600))
    )

    assert objections > 3


def bare(stream: bytes) -> int:
    """How many requests the parser alone reads in the stream."""

    class Counted:
        count = 0

        def on_message_complete(self) -> None:
            self.count += 1

    counted = Counted()
    with contextlib.suppress(httptools.HttpParserError, httptools.HttpParserUpgrade):
        httptools.HttpRequestParser(counted).feed_data(stream)
    return counted.count


@pytest.mark.prove
@pytest.mark.parametrize(
    ("fuzz", "loop", "count"),
    [
        (fuzz_in_memory, Memory, 100_000),
        (fuzz_on_sockets, uvloop.new_event_loop, 20_000),
        (fuzz_client, Memory, 100_000),
    ],
    ids=["callers", "callers on sockets", "providers"],
)
def test_a_hundred_thousand_find_no_crash_no_smuggle_and_no_leak(
    fuzz: Callable[[int, int], Coroutine[Any, Any, Toll]], loop: Loop, count: int
) -> None:
    run(fuzz(count // 10, SEED), loop)  # what is made once and kept is made now
    kept, before = held(), Footprint(os.getpid())

    toll = run(fuzz(count, random.SystemRandom().randrange(1 << 32)), loop)
    left, after = held(), Footprint(os.getpid())

    print(f"memory {before.kilobytes} -> {after.kilobytes} kB; files {before.files} -> {after.files}")
    assert toll.findings == []
    assert left - kept == Counter()
    assert after.files == before.files
    assert after.kilobytes - before.kilobytes < 8_192
