"""An operator changes the configuration of a node that is at work, rightly and wrongly, and no caller ever notices."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.node import Node, node

QUESTION: Any = [{"role": "user", "content": "hello"}]
OLD = """\
    models:
      auto: {type: echo, says: old}
      slow: {type: echo, says: "one two three four five six seven eight nine ten", pause: 0.1}
    """
NEW = """\
    models:
      auto: {type: echo, says: new}
      extra: {type: echo}
    """
BAD = """\
    providers:
      vendor: {type: compatible, base_url: "ftp://nowhere"}
      other: {type: compatibel, base_url: "http://127.0.0.1:1/v1"}
    models:
      auto:
        type: router
        candidates: [far, nobody]
        strategy: {type: complexity, weights: {words: 7}}
      far: {type: deployment, provider: vendor, name: m, quality: 2}
      far: {type: deployment, provider: vender, name: m}
      loop: {type: router, candidates: [pool]}
      pool: {type: router, candidates: [loop, nobody]}
      odd: &odd {type: echo, sais: "x"}
    modles: {}
    """
BAD_LINES = {
    2: "providers.vendor",
    3: "providers.other.type",
    7: "models.auto.candidates[1]",
    8: "models.auto.strategy.weights.words",
    10: "models.far",
    11: "models.loop",
    12: "models.pool.candidates[1]",
    13: "models.odd",
    14: "modles",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with node(tmp_path_factory.mktemp("reload") / "data", OLD) as one:
        yield one


@pytest.fixture
def one(served: Node) -> Node:
    """The node of several stories, which serves by the old configuration again."""
    served.write(OLD)
    served.until(lambda: words(served) == "old")
    return served


def words(one: Node) -> str:
    """What the model says that every configuration here has."""
    said: str = one.chat().json["choices"][0]["message"]["content"]
    return said


def refusals(one: Node) -> int:
    return one.log.count("is refused")


def test_a_saved_change_takes_over_by_itself(one: Node) -> None:
    before = words(one)
    revision = one.take_over(NEW)
    after = one.chat()

    assert before == "old"
    assert after.json["choices"][0]["message"]["content"] == "new"
    assert after.headers["x-dirigent-revision"] == revision
    assert f"revision {revision} takes over" in one.log


def test_a_bad_file_is_refused_with_every_fault_at_once_and_the_old_catalog_stays(data: Path) -> None:
    with node(data, OLD) as one:
        revision = one.revision
        one.write(BAD)
        one.until(lambda: "is refused" in one.log)
        answer = one.chat()
        stays = one.revision

    assert stays == revision
    assert answer.json["choices"][0]["message"]["content"] == "old"
    for line, path in BAD_LINES.items():
        assert f"{one.config}:{line}: {path}" in one.log, f"{line} {path}\n{one.log}"
    assert one.log.count("is refused") == 1


@pytest.mark.parametrize(
    "text", ["", "models:", "models: [", "\0", "- - - -", "models: 7", "- " * 200_000], ids=range(7)
)
def test_a_file_that_holds_nothing_usable_changes_nothing(one: Node, text: str) -> None:
    before, revision = refusals(one), one.revision
    one.write(text)
    one.until(lambda: refusals(one) > before)

    assert words(one) == "old"
    assert one.revision == revision


def test_a_bad_file_that_is_mended_takes_over(one: Node) -> None:
    before = refusals(one)
    one.write(BAD)
    one.until(lambda: refusals(one) > before)
    one.take_over(NEW)

    assert words(one) == "new"


def test_a_file_that_is_gone_for_a_while_is_missed_and_welcomed_back(one: Node) -> None:
    before = one.log.count("cannot be read")
    one.config.unlink()
    one.until(lambda: one.log.count("cannot be read") > before)
    still = words(one)
    one.take_over(NEW)

    assert still == "old"
    assert words(one) == "new"


def test_a_file_that_is_still_being_written_is_not_taken_by_half(one: Node) -> None:
    first, second = "models:\n  auto: {type: echo, says: half}\n", "  extra: {type: echo}\n"
    lines = (first, *[f"  m{place}: {{type: echo}}\n" for place in range(16)], second)
    while True:
        before = one.log.count("takes over")
        longest = write_slowly(one.config, lines)
        one.until(lambda before=before: one.log.count("takes over") > before)  # type: ignore[misc]
        if longest < 0.2:
            break
        one.take_over(OLD)  # the machine was too busy: who pauses for so long has come to an end, as far as a node sees

    names = [model["id"] for model in one.call("GET", "/v1/models").json["data"]]

    assert one.log.count("takes over") == before + 1
    assert names[-1] == "extra"


def write_slowly(path: Path, lines: Iterable[str]) -> float:
    """Writes line by line; returns the longest pause between two of them in seconds."""
    times = []
    with path.open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(line)
            file.flush()
            times.append(time.monotonic())
            time.sleep(0.05)
    return max(later - earlier for earlier, later in pairwise(times))


def test_a_hup_reads_the_file_and_rotated_credentials_again_at_once(data: Path) -> None:
    secret = data / "secret"
    data.mkdir()
    config = f"""\
        providers:
          vendor: {{type: compatible, base_url: "http://127.0.0.1:1/v1", api_key: {{file: {secret}}}}}
        models:
          auto: {{type: deployment, provider: vendor, name: m}}
        """
    secret.write_text("sk-one")
    with node(data, config) as one:
        revision = one.revision
        one.signal(signal.SIGHUP)
        one.until(lambda: "nothing is new" in one.log)
        secret.write_text("")
        one.signal(signal.SIGHUP)
        one.until(lambda: "missing or empty" in one.log)

        assert one.revision == revision


async def test_no_request_is_lost_while_the_configuration_changes_under_load(data: Path) -> None:
    with node(data, OLD) as one:
        heard: list[str] = []
        stop = asyncio.Event()

        async with one.async_openai() as client:

            async def caller() -> None:
                while not stop.is_set():
                    answer = await client.chat.completions.create(model="auto", messages=QUESTION)
                    heard.append(answer.choices[0].message.content or "")

            callers = [asyncio.create_task(caller()) for _ in range(20)]
            for config in (NEW, BAD, OLD, NEW):
                await more(heard)
                if config == BAD:
                    one.write(BAD)
                    await asyncio.to_thread(one.until, lambda: "is refused" in one.log)
                else:
                    await asyncio.to_thread(one.take_over, config)
            await more(heard)
            stop.set()
            await asyncio.gather(*callers)

    assert set(heard) == {"old", "new"}
    assert heard[-1] == "new"
    assert "is refused" in one.log


async def more(heard: list[str]) -> None:
    """Returns once each of the callers has been answered several times more."""
    enough = len(heard) + 100
    async with asyncio.timeout(60):
        while len(heard) < enough:  # noqa: ASYNC110  counting is all that can be waited for
            await asyncio.sleep(0.01)


async def test_a_stream_ends_on_the_catalog_with_which_it_began(one: Node) -> None:
    async with one.async_openai() as client:
        stream = await client.chat.completions.create(model="slow", messages=QUESTION, stream=True)
        first = await anext(stream)
        await asyncio.to_thread(one.take_over, NEW)
        gone = await asyncio.to_thread(one.chat, "slow")
        rest = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]

    assert gone.status == 404
    said = (first.choices[0].delta.content or "") + "".join(rest)
    assert said == "one two three four five six seven eight nine ten"
