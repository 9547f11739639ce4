from __future__ import annotations

import pytest

from dirigent.core.errors import Unauthenticated
from dirigent.core.identity import Principal
from dirigent.gateway.auth import Keys

ANNA = Principal("acme", "sales", "key-1")
KEYS = Keys.of({"dk-right": ANNA})


@pytest.mark.parametrize(
    "headers",
    [
        {b"authorization": b"Bearer dk-right"},
        {b"authorization": b"bearer   dk-right "},
        {b"x-api-key": b"dk-right"},
    ],
)
def test_a_valid_key_stands_for_its_principal_in_each_spelling(headers: dict[bytes, bytes]) -> None:
    assert KEYS.principal(headers) is ANNA


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "no key was given"),
        ({b"authorization": b"Bearer "}, "no key was given"),
        ({b"authorization": b"Basic dk-right"}, "the form `Bearer KEY`"),
        ({b"authorization": b"Bearer dk-wrong"}, "not valid"),
        ({b"authorization": b"Bearer dk-righ"}, "not valid"),
        ({b"authorization": b"Bearer dk-wrong", b"x-api-key": b"dk-right"}, "not valid"),
    ],
)
def test_what_is_no_key_of_ours_is_refused_in_words_that_never_repeat_it(
    headers: dict[bytes, bytes], words: str
) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        KEYS.principal(headers)

    assert words in refusal.value.message
    assert "dk-" not in refusal.value.message


def test_no_key_is_kept_in_clear() -> None:
    assert "dk-right" not in repr(vars(KEYS))


@pytest.mark.parametrize(
    ("key", "has_form"),
    [
        (b"dk-" + b"x" * 43, True),
        (b"dk-" + b"x" * 42, False),
        (b"dk-" + b"x" * 42 + b"\n", False),
        (b"sk-" + b"x" * 43, False),
        (b"dk-" + b"." * 43, False),
    ],
)
def test_a_key_of_ours_is_told_by_its_form(key: bytes, has_form: bool) -> None:  # noqa: FBT001
    assert KEYS.has_form({b"x-api-key": key}) is has_form
