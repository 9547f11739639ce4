"""What holds for the golden exchanges of every dialect: they mean what their providers meant, however they arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from dirigent.core.events import Finished, UsageReported, folded
from dirigent.dialects import DIALECTS
from tests.dialects.anthropic_messages.test_golden import EXCHANGES as ANTHROPIC
from tests.dialects.bedrock_converse.test_golden import EXCHANGES as BEDROCK
from tests.dialects.exchanges import Exchanges, cut, until_it_fails
from tests.dialects.google_generate.test_golden import EXCHANGES as GOOGLE
from tests.dialects.openai_chat.test_golden import EXCHANGES as CHAT
from tests.dialects.openai_responses.test_golden import EXCHANGES as RESPONSES

ALL: Final = {each.dialect.name: each for each in (CHAT, RESPONSES, ANTHROPIC, GOOGLE, BEDROCK)}


def every(named: Callable[[Exchanges], Any], *, but: tuple[Exchanges, ...] = ()) -> pytest.MarkDecorator:
    """Each file of one kind, of every dialect."""
    cases = [(golden, name) for golden in ALL.values() if golden not in but for name in named(golden)]
    return pytest.mark.parametrize(
        ("golden", "name"), cases, ids=[f"{golden.dialect.name}-{name}" for golden, name in cases]
    )


def test_every_dialect_that_holds_conversations_has_golden_exchanges() -> None:
    assert ALL.keys() == {kind.name for kind in DIALECTS.kinds.values() if kind.task == "chat"}


@pytest.mark.parametrize("golden", ALL.values(), ids=ALL)
def test_each_file_is_read_by_a_test(golden: Exchanges) -> None:
    streams, whole = ({path.stem for path in golden.folder.glob(f"*.{suffix}")} for suffix in (golden.suffix, "json"))

    assert streams - golden.others == {*golden.streams, *golden.broken} - golden.others
    assert whole - golden.others == golden.whole.keys()
    assert golden.others <= streams | whole


@pytest.mark.parametrize("size", [1, 7, 65536])
@every(lambda golden: golden.streams)
def test_a_stream_means_what_its_provider_meant_however_it_is_cut(golden: Exchanges, name: str, size: int) -> None:
    said, usage = golden.streams[name]

    response = folded(golden.read(golden.stream(name), size))

    assert golden.meaning(response) == said
    assert response.usage == usage


@pytest.mark.parametrize("ending", [b"\r\n", b"\r"])
@every(lambda golden: golden.streams, but=(BEDROCK,))
def test_line_ends_do_not_matter(golden: Exchanges, name: str, ending: bytes) -> None:
    data = golden.stream(name)

    assert golden.read(data.replace(b"\r\n", b"\n").replace(b"\n", ending)) == golden.read(data)


@every(lambda golden: golden.streams)
def test_each_choice_is_finished_once_and_says_nothing_afterwards(golden: Exchanges, name: str) -> None:
    events = [event for event in golden.read(golden.stream(name)) if not isinstance(event, UsageReported)]

    said, _ = golden.streams[name]
    for choice in range(len(said) if isinstance(said, tuple) else 1):
        of_it = [event for event in events if getattr(event, "choice", None) == choice]
        assert [type(event) is Finished for event in of_it] == [False] * (len(of_it) - 1) + [True]


@pytest.mark.parametrize("size", [1, 7, 65536])
@every(lambda golden: golden.streams, but=(CHAT,))  # of a chat the caller may not have asked for the usage
def test_verbatim_every_byte_goes_on_and_the_same_usage_is_learnt(golden: Exchanges, name: str, size: int) -> None:
    data = golden.stream(name)
    witness = golden.dialect.witness(hide_usage=True)

    passed = b"".join([witness.feed(piece) for piece in cut(data, size)]) + witness.end()

    assert passed == data
    assert witness.usage == golden.streams[name][1]


@pytest.mark.parametrize("size", [1, 7, 65536])
@every(lambda golden: golden.broken)
def test_a_stream_that_breaks_off_is_an_error_and_what_came_before_it_stays(
    golden: Exchanges, name: str, size: int
) -> None:
    kind, words, before = golden.broken[name]
    reader = golden.dialect.reader()

    events, told = until_it_fails(reader.feed, cut(golden.stream(name), size), reader.end)

    assert type(told) is kind
    assert words in told.message
    if size < 65536:  # else all of it is in one piece, and the piece fails
        assert [event for event in events if not isinstance(event, UsageReported)] == [
            event for event in before if not isinstance(event, UsageReported)
        ]


@pytest.mark.parametrize("size", [1, 7, 65536])
@every(lambda golden: sorted(golden.broken.keys() - golden.unwatched))
def test_verbatim_it_is_the_same_error_and_never_passed_on(golden: Exchanges, name: str, size: int) -> None:
    kind, words, before = golden.broken[name]
    witness = golden.dialect.witness(hide_usage=True)

    passed, told = until_it_fails(
        lambda piece: [witness.feed(piece)], cut(golden.stream(name), size), lambda: [witness.end()]
    )

    assert type(told) is kind
    assert words in told.message
    assert size == 65536 or bool(b"".join(passed)) == bool(before)
    assert b'"error":{' not in b"".join(passed)


@every(lambda golden: golden.whole)
def test_a_whole_answer_means_what_its_provider_meant(golden: Exchanges, name: str) -> None:
    said, usage = golden.whole[name]

    response = folded(golden.dialect.read_response(golden.body(name)))

    assert golden.meaning(response) == said
    assert response.usage == usage
    assert golden.dialect.usage_of(golden.body(name)) == usage
