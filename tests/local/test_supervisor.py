from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dirigent.core.errors import Unavailable
from dirigent.core.ports import LocalEndpoint, LocalSetup
from dirigent.local.kit import KIT, SMALL, Weights
from dirigent.local.latch import Latch
from dirigent.local.launch import Tuning
from dirigent.local.supervisor import LocalModels, Post
from tests.local.workbench import Talk, alive, events


@asynccontextmanager
async def running(data: Path, tuning: Tuning) -> AsyncGenerator[LocalModels, None]:
    local = LocalModels(data, tuning)
    try:
        yield local
    finally:
        await local.close()


def post(data: Path) -> Post:
    (board,) = (data / "local").glob("*.json")
    return msgspec.json.decode(board.read_bytes(), type=Post)


async def until(claim: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits until the claim is true."""
    began = time.monotonic()
    while not claim():
        assert time.monotonic() - began < seconds, "it never came true"
        await asyncio.sleep(0.01)


async def test_a_real_answer_streams_with_its_usage_at_the_end(data: Path, tuning: Tuning) -> None:
    async with running(data, tuning) as local:
        endpoint = await local.endpoint(SMALL, LocalSetup(), 120)

        heard = await asyncio.to_thread(
            lambda: [*events(Talk(endpoint).chat(max_tokens=8, stream=True, stream_options={"include_usage": True}))]
        )

    text = "".join(piece["choices"][0]["delta"].get("content") or "" for piece in heard if piece["choices"])
    assert len(heard) > 5
    assert text.strip()
    assert heard[-1]["usage"]["completion_tokens"] == 8
    assert {piece["model"] for piece in heard} == {SMALL}


async def test_an_answer_under_a_schema_keeps_to_it(data: Path, tuning: Tuning) -> None:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["city", "year", "sunny"],
        "properties": {
            "city": {"type": "string", "maxLength": 20},
            "year": {"type": "integer", "minimum": 1900, "maximum": 2100},
            "sunny": {"type": "boolean"},
        },
    }
    async with running(data, tuning) as local:
        talk = Talk(await local.endpoint(SMALL, LocalSetup(), 120))
        shape = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}}

        answer = await asyncio.to_thread(lambda: talk.answer(max_tokens=120, response_format=shape))

    said = json.loads(answer["choices"][0]["message"]["content"])
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert set(said) == {"city", "year", "sunny"}
    assert isinstance(said["city"], str)
    assert 1900 <= said["year"] <= 2100
    assert isinstance(said["sunny"], bool)


async def test_a_key_is_wanted_and_other_users_of_the_machine_cannot_see_it(data: Path, tuning: Tuning) -> None:
    async with running(data, tuning) as local:
        endpoint = await local.endpoint(SMALL, LocalSetup(), 120)
        stranger = LocalEndpoint(endpoint.port, "guess")

        status = await asyncio.to_thread(lambda: Talk(stranger).chat(max_tokens=1).status)
        shown = (Path("/proc") / str(post(data).pid) / "cmdline").read_text("utf-8")
        (mode,) = {path.stat().st_mode & 0o777 for path in (data / "local").glob("*.json")}

    assert status == 401
    assert endpoint.key not in shown
    assert mode == 0o600


async def test_a_killed_model_rises_again_and_answers(data: Path, tuning: Tuning) -> None:
    async with running(data, tuning) as local:
        await local.endpoint(SMALL, LocalSetup(), 120)
        first = post(data).pid

        os.kill(first, signal.SIGKILL)
        await until(lambda: local.state(SMALL).words == "it was ended by SIGKILL; it is started again")
        phase = local.state(SMALL).phase
        talk = Talk(await local.endpoint(SMALL, LocalSetup(), 120))
        answer = await asyncio.to_thread(lambda: talk.answer(max_tokens=2))
        second = post(data).pid

    assert phase == "loading"
    assert second != first
    assert answer["usage"]["completion_tokens"] == 2


async def test_an_abandoned_answer_frees_its_slot_at_once(data: Path, tuning: Tuning) -> None:
    async with running(data, tuning) as local:
        endpoint = await local.endpoint(SMALL, LocalSetup(), 120)
        watch, talk = Talk(endpoint), Talk(endpoint)
        reply = await asyncio.to_thread(lambda: talk.chat(max_tokens=1500, ignore_eos=True, stream=True))
        await asyncio.to_thread(lambda: [next(events(reply)) for _ in range(3)])
        during = await asyncio.to_thread(busy, watch)

        abandon(talk, reply)
        await until_idle(watch)
        metrics = await asyncio.to_thread(lambda: text(watch, "/metrics"))

    assert during == 1
    assert counted(metrics, "n_decode_total") < 1500


async def test_an_abandoned_prompt_frees_its_slot_before_it_is_read_to_its_end(data: Path, tuning: Tuning) -> None:
    async with running(data, tuning) as local:
        endpoint = await local.endpoint(SMALL, LocalSetup(), 120)
        watch, talk = Talk(endpoint), Talk(endpoint)
        long = [{"role": "user", "content": "word one two " * 600}]
        fields: dict[str, Any] = {"max_tokens": 1, "stream": True, "return_progress": True}
        reply = await asyncio.to_thread(lambda: talk.chat(messages=long, **fields))
        first = await asyncio.to_thread(lambda: next(events(reply)))

        abandon(talk, reply)
        await until_idle(watch)
        metrics = await asyncio.to_thread(lambda: text(watch, "/metrics"))

    assert first["prompt_progress"]["total"] > 1500
    assert counted(metrics, "prompt_tokens_total") < 1500


async def test_two_workers_share_one_process_and_the_second_takes_over(data: Path, tuning: Tuning) -> None:
    async with running(data, tuning) as second:
        async with running(data, tuning) as first:
            one = await first.endpoint(SMALL, LocalSetup(), 120)
            two = await second.endpoint(SMALL, LocalSetup(), 120)
            shared = post(data).pid
            assert one == two
            assert second.state(SMALL).phase == "ready"
        assert not alive(shared)

        await until(lambda: second.state(SMALL).phase != "ready")
        three = await second.endpoint(SMALL, LocalSetup(), 120)
        answer = await asyncio.to_thread(lambda: Talk(three).answer(max_tokens=2))

    assert three.key != one.key
    assert answer["choices"]


async def test_a_worker_that_follows_never_sends_anybody_to_a_dead_process(data: Path, tuning: Tuning) -> None:
    async with running(data, tuning) as first, running(data, tuning) as second:
        await first.endpoint(SMALL, LocalSetup(), 120)
        await second.endpoint(SMALL, LocalSetup(), 120)

        os.kill(post(data).pid, signal.SIGKILL)
        await until(lambda: first.state(SMALL).phase == "loading")
        at_once = second.state(SMALL)
        talk = Talk(await second.endpoint(SMALL, LocalSetup(), 120))
        answer = await asyncio.to_thread(lambda: talk.answer(max_tokens=2))

    assert at_once.phase == "loading"
    assert answer["usage"]["completion_tokens"] == 2


async def test_closing_ends_the_process_and_leaves_no_post(data: Path, tuning: Tuning) -> None:
    local = LocalModels(data, tuning)
    await local.endpoint(SMALL, LocalSetup(), 120)
    pid = post(data).pid

    await local.close()

    assert not alive(pid)
    assert list((data / "local").glob("*.json")) == []
    with pytest.raises(Unavailable, match="this node is closing"):
        await local.endpoint(SMALL, LocalSetup(), 1)


async def test_the_process_ends_when_its_parent_is_killed(data: Path, tuning: Tuning) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path; from dirigent.local.supervisor import LocalModels\n"
        "from dirigent.core.ports import LocalSetup\n"
        "async def main():\n"
        "    local = LocalModels(Path(sys.argv[1])); await local.endpoint(sys.argv[2], LocalSetup(), 120)\n"
        "    print('ready', flush=True); await asyncio.sleep(600)\n"
        "asyncio.run(main())"
    )
    command = [sys.executable, "-c", script, str(data), SMALL]
    worker = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.PIPE)
    assert worker.stdout is not None
    assert await asyncio.to_thread(worker.stdout.readline) == b"ready\n"
    child = post(data).pid
    assert alive(child)

    worker.kill()
    await asyncio.to_thread(worker.communicate)

    await until(lambda: not alive(child))


async def test_the_loop_goes_on_while_the_model_loads_and_impatience_is_told_so(data: Path, tuning: Tuning) -> None:
    async with running(data, tuning) as local:
        assert local.state(SMALL).phase == "loading"
        with pytest.raises(Unavailable, match=f"the local model {SMALL} is loading"):
            await local.endpoint(SMALL, LocalSetup(), 0.01)
        still = local.state(SMALL).phase

        turns = 0
        while local.state(SMALL).phase == "loading":
            await asyncio.sleep(0.01)
            turns += 1

    assert still == "loading"
    assert turns > 5  # a loop that loads by itself would have one


async def test_absent_weights_are_told_at_once_with_what_to_do_and_found_when_they_come(
    tmp_path: Path, small_model: Path, tuning: Tuning
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    async with running(tmp_path, tuning) as local:
        local.start(SMALL)
        absent = local.state(SMALL)
        with pytest.raises(Unavailable, match=f"fetch it with `dirigent pull {SMALL}`"):
            await local.endpoint(SMALL, LocalSetup(), 120)

        (models / KIT[SMALL].file).symlink_to(small_model)
        endpoint = await local.endpoint(SMALL, LocalSetup(), 120)

    assert absent.phase == "absent"
    assert endpoint.port


async def test_weights_on_their_way_are_told_with_how_much_is_here(mini: Weights, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "mini.gguf.part").write_bytes(bytes(1_000_000))
    puller = Latch(models / "mini.gguf.lock")
    assert puller.seize()

    state = LocalModels(tmp_path).state("mini")

    assert state.phase == "pulling"
    assert state.words == "1 of 0 MB are here"


async def test_a_file_that_is_no_model_fails_at_once_without_a_process(tmp_path: Path, tuning: Tuning) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "notes.gguf").write_text("Dear diary", encoding="utf-8")

    async with running(tmp_path, tuning) as local:
        with pytest.raises(Unavailable, match="is not a model in GGUF"):
            await local.endpoint("notes", LocalSetup(), 120)
        state = local.state("notes")

    assert state.phase == "failed"
    assert not (tmp_path / "local").exists()


async def test_a_model_that_llama_cpp_cannot_load_fails_in_its_words(
    tmp_path: Path, small_model: Path, tuning: Tuning
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    with small_model.open("rb") as whole:
        (models / "torn.gguf").write_bytes(whole.read(10_000_000))

    async with running(tmp_path, tuning) as local:
        with pytest.raises(Unavailable, match="model is corrupted or incomplete"):
            await local.endpoint("torn", LocalSetup(), 120)
        state = local.state("torn")

    assert state.phase == "failed"
    assert state.words.startswith("llama.cpp cannot load torn.gguf")


def busy(talk: Talk) -> int:
    return sum(slot["is_processing"] for slot in talk.get("/slots"))


def text(talk: Talk, path: str) -> str:
    talk.connection.request("GET", path, headers=talk.headers)
    return talk.connection.getresponse().read().decode()


def abandon(talk: Talk, reply: Any) -> None:
    reply.close()
    talk.close()


def counted(metrics: str, name: str) -> float:
    """What the process says that it has counted so far."""
    return float(next(line for line in metrics.splitlines() if line.startswith(f"llamacpp:{name}")).split()[1])


async def until_idle(watch: Talk) -> None:
    while await asyncio.to_thread(busy, watch):
        pass
