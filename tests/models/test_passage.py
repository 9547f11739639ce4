"""What the heads of good answers tell is read once where they are the same, and anew where they are not."""

from __future__ import annotations

from dirigent.core.messages import Task
from dirigent.models.passage import Told


def test_what_a_provider_says_of_its_limits_is_kept_for_the_caller() -> None:
    told = Told("chat")

    told.read([(b"Server", b"x"), (b"X-RateLimit-Remaining-Tokens", b"9"), (b"x-ratelimit-reset", b"1s")])

    assert told.forwarded == (("x-ratelimit-remaining-tokens", "9"), ("x-ratelimit-reset", "1s"))


def test_the_next_head_tells_nothing_of_the_one_before() -> None:
    told = Told("speech")
    told.read([(b"content-type", b"audio/mpeg"), (b"anthropic-ratelimit-requests-limit", b"5")])
    assert (told.content_type, len(told.forwarded)) == ("audio/mpeg", 1)

    told.read([(b"x-request-identifier", b"r")])

    assert (told.content_type, told.forwarded) == (None, ())


def test_the_type_of_an_answer_that_its_dialect_knows_is_not_taken_from_the_provider() -> None:
    types: dict[Task, str | None] = {"chat": None, "speech": "audio/wav"}

    for task, expected in types.items():
        told = Told(task)
        told.read([(b"Content-Type", b"audio/wav"), (b"x-ratelimit-limit-requests", b"1")])

        assert told.content_type == expected
        assert told.forwarded
