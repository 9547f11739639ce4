from __future__ import annotations

import re

import pytest

from dirigent.local.kit import BETTER, DEFAULT, KIT, SMALL, UnknownWeights, in_kit


def test_the_kit_holds_the_default_the_better_and_the_small_model() -> None:
    assert {DEFAULT, BETTER, SMALL} == set(KIT)


@pytest.mark.parametrize("name", sorted(KIT))
def test_the_parts_of_each_model_add_up_to_the_file_and_every_hash_is_whole(name: str) -> None:
    weights = KIT[name]

    hashes = [weights.sha256, *(part.sha256 for part in weights.parts), *(part.wheel_sha256 for part in weights.parts)]

    assert sum(part.bytes for part in weights.parts) == weights.bytes
    assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in hashes)
    assert len(set(hashes)) == len(hashes) or len(weights.parts) == 1
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", part.requirement) for part in weights.parts)


def test_a_name_that_is_nearly_right_is_answered_with_the_right_one() -> None:
    with pytest.raises(UnknownWeights, match="did you mean 'smollm2-135m-instruct'"):
        in_kit("smollm-135m-instruct")
