"""Whatever a run asks, in whatever order and however nested: no part of it spends more than it was given."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dirigent.core.allotment import Allotment, Allotments, Held
from dirigent.core.allowances import Allowance, Charge, Unit, no_rates
from dirigent.core.errors import BudgetExceeded, LimitExceeded, PriceUnknown
from dirigent.core.usage import Money


def budget(most: int, unit: Unit = "money", **more: object) -> Allowance:
    currency = "EUR" if unit == "money" else ""
    fields: dict[str, object] = {
        "id": f"a-{unit}", "level": "key", "subject": "k-1", "unit": unit, "most": most, "window": "run",
        "currency": currency,
    }  # fmt: skip
    return Allowance(**{**fields, **more})  # type: ignore[arg-type]


def euros(nano: int, tokens: int = 0) -> Charge:
    return Charge(Money(nano, "EUR"), tokens)


def held(allotment: Allotment, nano: int, least: int | None = None) -> Held:
    return allotment.hold((), euros(nano), euros(nano if least is None else least))


def test_what_is_held_counts_until_it_is_settled_at_what_it_was() -> None:
    whole = Allotment("run-1", (budget(100),))

    first = held(whole, 60)
    with pytest.raises(BudgetExceeded, match=r"of each run of the key k-1 has 0\.00000004 EUR left") as refused:
        held(whole, 50)
    first.settle(euros(10))
    second = held(whole, 90)

    assert (refused.value.level, refused.value.subject) == ("run", "run-1")
    assert refused.value.rule == "the budget of 0.0000001 EUR of each run of the key k-1"
    assert whole.used == {"a-money": 100}
    second.release()
    assert whole.left() == Money(90, "EUR")


def test_as_much_is_held_as_is_left_if_that_is_enough() -> None:
    whole = Allotment("run-1", (budget(100),))

    assert held(whole, 500, least=20).charge.money == Money(100, "EUR")
    with pytest.raises(BudgetExceeded):
        held(whole, 500, least=20)


def test_what_a_part_spends_is_spent_of_the_whole() -> None:
    whole = Allotment("run-1", (budget(100),))
    part = whole.within(Money(70, "EUR"))
    inner = part.within(Money(500, "EUR"))

    held(inner, 60).settle(euros(60))
    with pytest.raises(BudgetExceeded, match="this part of the run"):
        held(inner, 20)
    held(whole, 40).settle(euros(40))

    assert inner.left() == Money(0, "EUR")
    assert (whole.used, part.used) == ({"a-money": 100}, {"within": 60})


def test_a_part_of_a_run_without_any_budget_is_bounded_too() -> None:
    part = Allotment("run-1").within(Money(50, "EUR"))

    held(part, 50)

    with pytest.raises(BudgetExceeded):
        held(part, 1)


def test_what_nobody_knows_the_end_of_is_spent() -> None:
    whole = Allotment("run-1", (budget(100),))

    held(whole, 60).settle(None)

    assert whole.left() == Money(40, "EUR")


def test_tokens_and_requests_are_counted_like_money() -> None:
    whole = Allotment("run-1", (budget(1_000, "tokens"), budget(2, "requests")))

    whole.hold((), Charge(None, 600), Charge(None, 600)).settle(Charge(None, 500))
    assert whole.hold((), Charge(None, 600), Charge(None, 100)).charge.tokens == 500
    with pytest.raises(LimitExceeded, match="requests"):
        whole.hold((), Charge(None, 0), Charge(None, 0))


def test_an_unknown_price_or_rate_is_not_affordable() -> None:
    whole = Allotment("run-1", (budget(100),))

    with pytest.raises(PriceUnknown):
        whole.hold((), Charge(None, 5), Charge(None, 5))
    with pytest.raises(PriceUnknown, match="USD"):
        whole.hold((), Charge(Money(1, "USD")), Charge(Money(1, "USD")))


def test_who_goes_on_with_a_run_begins_with_what_it_has_used() -> None:
    first = Allotment("run-1", (budget(100),))
    held(first, 80).settle(euros(80))

    following = Allotment("run-1", (budget(100),), used=first.used)

    with pytest.raises(BudgetExceeded):
        held(following, 30)


def test_what_is_allotted_to_one_model_counts_for_the_run_as_a_whole() -> None:
    whole = Allotment("run-1")
    of_model = (budget(100, level="model", subject="dear"),)
    part = whole.within(Money(1_000, "EUR"))

    part.hold(of_model, euros(80), euros(80))

    with pytest.raises(BudgetExceeded, match="each run of the model dear"):
        whole.hold(of_model, euros(30), euros(30))
    whole.hold((), euros(30), euros(30))


@given(st.data())
def test_no_part_of_a_run_spends_more_than_it_was_given(data: st.DataObject) -> None:
    """Any tree of parts, any calls in it that go on at the same time, settled in any order at any cost."""
    amounts = st.integers(0, 200)
    parts = [Allotment("run-1", (budget(data.draw(amounts)),))]
    caps = {0: parts[0].allowances[0].most}
    spent = {0: 0}
    above: dict[int, int] = {}
    running: list[tuple[int, Held]] = []
    for _ in range(data.draw(st.integers(1, 40))):
        step = data.draw(st.sampled_from(("part", "call", "call", "settle", "lose", "release")))
        if step == "part" and len(parts) < 8:
            outer = data.draw(st.integers(0, len(parts) - 1))
            cap = data.draw(amounts)
            above[len(parts)], caps[len(parts)], spent[len(parts)] = outer, cap, 0
            parts.append(parts[outer].within(Money(cap, "EUR")))
        elif step == "call":
            place = data.draw(st.integers(0, len(parts) - 1))
            most = data.draw(amounts)
            left = min(caps[each] - parts[each].used.get(_id(each), 0) for each in _up(place, above))
            least = data.draw(st.integers(0, most))
            try:
                hold = parts[place].hold((), euros(most), euros(least))
            except BudgetExceeded:
                assert left < least  # nothing is refused that could have been borne
            else:
                assert hold.charge.money == Money(min(most, left), "EUR")
                running.append((place, hold))
        elif running:
            place, hold = running.pop(data.draw(st.integers(0, len(running) - 1)))
            worth = hold.charge.money.nano if hold.charge.money is not None else 0
            cost = {"settle": data.draw(st.integers(0, worth)), "lose": worth}.get(step, 0)
            if step == "lose":
                hold.settle(None)
            elif step == "release":
                hold.release()
            else:
                hold.settle(euros(cost))
            for each in _up(place, above):
                spent[each] += cost
        for place, part in enumerate(parts):
            open_here = sum(_worth(hold) for at, hold in running if place in _up(at, above))
            assert part.used.get(_id(place), 0) == spent[place] + open_here
            assert spent[place] + open_here <= caps[place]


def _up(place: int, above: dict[int, int]) -> list[int]:
    found = [place]
    while found[-1] in above:
        found.append(above[found[-1]])
    return found


def _id(place: int) -> str:
    return "within" if place else "a-money"


def _worth(hold: Held) -> int:
    return hold.charge.money.nano if hold.charge.money is not None else 0


def test_what_is_stopped_by_hand_is_stopped_for_runs_in_progress_and_these_are_known() -> None:
    mine, of_model = budget(100), budget(100, id="a-model", level="model")
    allotments = Allotments()
    one = allotments.opened("run-1", (mine,), no_rates)
    other = allotments.opened("run-2", (), no_rates)
    part = one.within(Money(50, "EUR"))
    other.hold((of_model,), euros(10), euros(10))

    assert (allotments.running(mine.id), allotments.running(of_model.id)) == (["run-1"], ["run-2"])
    allotments.learn([msgspec.structs.replace(each, stopped=True) for each in (mine, of_model)])
    for refused in (one, part):
        with pytest.raises(BudgetExceeded, match="stopped by hand"):
            held(refused, 1)
    with pytest.raises(BudgetExceeded, match="stopped by hand"):
        other.hold((of_model,), euros(1), euros(1))
    held(other, 1)  # which none of them counts
    allotments.learn([mine])
    assert held(part, 1).charge.money == Money(1, "EUR")


def test_a_run_that_is_over_is_not_among_those_in_progress() -> None:
    allotments = Allotments()
    one = allotments.opened("run-1", (budget(100),), no_rates)

    del one

    assert allotments.running("a-money") == []
