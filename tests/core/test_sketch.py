"""A sketch says in little room how long many things took, and sketches add up in any order."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from dirigent.core.sketch import Sketch

DURATIONS = st.lists(st.floats(0, 3600, allow_nan=False), max_size=60)


@given(DURATIONS)
def test_what_is_written_is_read_as_it_was(durations: Sequence[float]) -> None:
    sketch = Sketch.of(durations)

    assert Sketch.read(str(sketch)).buckets == sketch.buckets


@given(st.lists(DURATIONS, max_size=8))
def test_written_ones_add_up_to_the_sketch_of_all(several: Sequence[Sequence[float]]) -> None:
    whole = Sketch.of(duration for durations in several for duration in durations)

    together = Sketch.together(str(Sketch.of(durations)) for durations in several)

    assert together.buckets == whole.buckets


def test_what_an_earlier_version_has_written_is_read_and_added() -> None:
    written = '{"3":1,"4":2}'

    assert Sketch.read(written).buckets == {3: 1, 4: 2}
    assert Sketch.together([written, "[2,5,1]", ""]).buckets == {2: 5, 3: 2, 4: 2}


def test_durations_that_lie_close_together_take_little_room() -> None:
    close = Sketch({bucket: 10 + bucket % 7 for bucket in range(400, 600)})
    apart = Sketch({3: 1, 900: 2})

    assert len(str(close)) < 700
    assert len(str(apart)) < 20
