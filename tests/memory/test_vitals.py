"""How deployments are doing: what is measured, when one rests, and who finds out how it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from dirigent.core.errors import Unavailable
from dirigent.core.ports import Breaker, Standing
from dirigent.memory import MemoryVitals


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr("dirigent.memory.vitals.monotonic", one)
    return one


def test_a_deployment_that_nobody_asked_is_well_and_unmeasured() -> None:
    vitals = MemoryVitals()

    assert vitals.healthy("new")
    assert vitals.first_token("new") is None
    assert vitals.pace("new") is None


def test_three_failures_in_a_row_are_a_reason_to_rest_and_two_are_not(clock: Clock) -> None:
    vitals = MemoryVitals()

    seen = []
    for _ in range(3):
        vitals.failed("m")
        seen.append(vitals.healthy("m"))

    assert seen == [True, True, False]


def test_a_success_in_between_starts_the_count_anew(clock: Clock) -> None:
    vitals = MemoryVitals()

    for _ in range(5):
        vitals.failed("m")
        vitals.failed("m")
        vitals.succeeded("m", 0.1, 1.0, 10)

    assert vitals.healthy("m")


def test_each_further_failure_doubles_the_rest_up_to_five_minutes(clock: Clock) -> None:
    vitals = MemoryVitals()
    vitals.failed("m")
    vitals.failed("m")

    rests = []
    for _ in range(8):
        vitals.failed("m")
        began = clock.now
        while not vitals.healthy("m"):
            clock.now += 1
        rests.append(clock.now - began)

    assert rests == [10, 20, 40, 80, 160, 300, 300, 300]


def test_after_its_rest_one_success_makes_it_well_for_good(clock: Clock) -> None:
    vitals = MemoryVitals()
    for _ in range(3):
        vitals.failed("m")
    clock.now += 10

    tried = vitals.healthy("m")
    vitals.succeeded("m", 0.1, 1.0, 10)

    assert tried
    assert vitals.healthy("m")


def test_figures_move_towards_what_was_measured_lately() -> None:
    vitals = MemoryVitals()

    vitals.succeeded("m", 1.0, 3.0, 100)
    first = (vitals.first_token("m"), vitals.pace("m"))
    for _ in range(40):
        vitals.succeeded("m", 0.1, 1.1, 10)

    assert first == (1.0, 50.0)
    assert vitals.first_token("m") == pytest.approx(0.1, abs=0.01)
    assert vitals.pace("m") == pytest.approx(10, abs=0.1)


def test_an_answer_in_one_piece_is_paced_by_the_whole_of_its_time() -> None:
    vitals = MemoryVitals()

    vitals.succeeded("m", 2.0, 2.0, 100)

    assert vitals.pace("m") == 50.0


def test_an_answer_without_usage_says_nothing_about_pace() -> None:
    vitals = MemoryVitals()

    vitals.succeeded("m", 0.5, 2.0, None)

    assert vitals.first_token("m") == 0.5
    assert vitals.pace("m") is None


def test_a_deployment_that_failed_many_thousand_times_rests_like_one_that_failed_often() -> None:
    vitals = MemoryVitals()

    for _ in range(5_000):
        vitals.failed("m")

    assert not vitals.healthy("m")


# --- the circuit breaker ----------------------------------------------------------------------------------------------


def fallen(vitals: MemoryVitals, breaker: Breaker | None = None, times: int = 3) -> MemoryVitals:
    """The same, after so many failures of `m`."""
    for _ in range(times):
        vitals.failed("m", 0.0, breaker)
    return vitals


def test_all_that_fell_at_once_are_one_fall_and_do_not_lengthen_the_rest(clock: Clock) -> None:
    vitals = fallen(MemoryVitals())

    for _ in range(200):
        vitals.failed("m", 0.5)

    assert vitals.standing("m") == Standing("resting", 10.0, 203, 0)


def test_a_share_of_failures_is_a_reason_to_rest_though_no_two_stand_in_a_row(clock: Clock) -> None:
    vitals, rule = MemoryVitals(), Breaker(failures=100, share=0.5, fewest=20, window=60)

    healthy = []
    for _ in range(10):
        vitals.succeeded("m", 0.1, 0.1, 1)
        vitals.failed("m", 0.1, rule)
        healthy.append(vitals.healthy("m"))

    assert healthy == [True] * 9 + [False]


def test_what_is_older_than_the_window_does_not_count_for_the_share(clock: Clock) -> None:
    vitals, rule = MemoryVitals(), Breaker(failures=100, share=0.5, fewest=20, window=60)
    for _ in range(19):
        vitals.failed("m", 0.0, rule)
    clock.now += 61

    vitals.failed("m", 0.0, rule)

    assert vitals.healthy("m")


def test_after_its_rest_one_request_at_a_time_finds_out_how_it_is(clock: Clock) -> None:
    vitals = fallen(MemoryVitals())
    clock.now += 10

    before = (vitals.healthy("m"), vitals.standing("m").state)
    first = vitals.enter("m")
    during = (vitals.healthy("m"), vitals.standing("m").in_flight)
    with pytest.raises(Unavailable, match="another request is finding out") as refused:
        vitals.enter("m")
    insisting = vitals.enter("m", insists=True)
    vitals.leave("m", probe=insisting)
    vitals.leave("m", probe=first)

    assert before == (True, "trying")
    assert during == (False, 1)
    assert refused.value.retry_after == 1.0
    assert vitals.healthy("m")
    assert vitals.enter("m")


def test_one_request_may_look_even_during_the_rest_and_its_failure_does_not_lengthen_it(clock: Clock) -> None:
    vitals = fallen(MemoryVitals())
    clock.now += 4

    probe = vitals.enter("m")
    with pytest.raises(Unavailable) as refused:
        vitals.enter("m")
    vitals.leave("m", probe=probe)
    vitals.failed("m", 0.1)

    assert refused.value.retry_after == 6.0
    assert vitals.standing("m").rests == 6.0


def test_an_answer_that_was_begun_before_the_failures_does_not_end_the_rest(clock: Clock) -> None:
    vitals = fallen(MemoryVitals())
    clock.now += 5

    vitals.succeeded("m", 0.1, 8.0, 10)
    early = vitals.healthy("m")
    vitals.succeeded("m", 0.1, 4.0, 10)

    assert not early
    assert vitals.standing("m") == Standing("well", 0.0, 0, 0)


def test_a_longer_wait_that_a_provider_asked_for_is_never_shortened(clock: Clock) -> None:
    vitals = MemoryVitals()

    vitals.told_to_wait("m", 60)
    vitals.told_to_wait("m", 2)
    fallen(vitals)
    clock.now += 30
    told = (vitals.healthy("m"), vitals.standing("m").rests)
    clock.now += 30

    assert told == (False, 30.0)
    assert vitals.healthy("m")


def test_who_is_only_told_to_wait_is_asked_all_the_same_where_it_is_named(clock: Clock) -> None:
    vitals = MemoryVitals()
    vitals.told_to_wait("m", 60)

    entered = [vitals.enter("m"), vitals.enter("m")]

    assert entered == [False, False]
    assert vitals.standing("m") == Standing("limited", 60.0, 0, 2)


def test_the_longest_rest_never_shortens_the_first() -> None:
    vitals = fallen(MemoryVitals(), Breaker(failures=1, rest=20, longest=5), 1)

    assert vitals.standing("m").rests > 19


@given(some.lists(some.sampled_from(["enter", "insist", "leave", "answer", "fail", "wait", "tick"]), max_size=60))
def test_however_it_goes_nobody_is_counted_twice_and_it_recovers(steps: list[str]) -> None:
    vitals, inside = MemoryVitals(), []
    rule = Breaker(failures=2, rest=0.000_001, longest=0.000_001)
    for step in steps:
        match step:
            case "enter" | "insist":
                try:
                    inside.append(vitals.enter("m", insists=step == "insist"))
                except Unavailable:
                    assert any(inside)
            case "leave" if inside:
                vitals.leave("m", probe=inside.pop())
            case "answer":
                vitals.succeeded("m", 0.0, 0.0, None)
            case "fail":
                vitals.failed("m", 0.0, rule)
            case "wait":
                vitals.told_to_wait("m", 0.000_001)
        assert vitals.standing("m").in_flight == len(inside)
    while inside:
        vitals.leave("m", probe=inside.pop())
    vitals.succeeded("m", 0.0, 0.0, None)

    assert vitals.healthy("m")
    assert vitals.standing("m") == Standing("well", 0.0, 0, 0)


def test_a_rest_is_told_when_it_begins_and_when_it_is_over_and_not_between(clock: Clock) -> None:
    told: list[tuple[str, int, float]] = []
    vitals = MemoryVitals(lambda *said: told.append(said))
    rule = Breaker(failures=2, rest=10)

    for _ in range(3):
        vitals.failed("m", breaker=rule)
    clock.now += 11
    vitals.failed("m", breaker=rule)  # the one that tries whether it is well again
    resting = list(vitals.resting())
    clock.now += 30
    vitals.succeeded("m", 0.1, 0.2, 5)

    assert told == [("m", 2, 10.0), ("m", 0, 0.0)]
    assert resting == ["m"]
    assert vitals.resting() == []
