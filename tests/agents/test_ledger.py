"""The account of a run: what is spent and set aside never passes a cap."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.testing import run_virtual
from orchestra_agents.errors import BudgetExceeded, InputError
from orchestra_agents.ledger import Budget, Cost, Ledger, Reservation

UNITS = ("calls", "tokens", "usd")
cents = st.integers(0, 300).map(lambda amount: amount / 100)
costs = st.builds(Cost, calls=st.integers(0, 3), tokens=st.integers(0, 500), usd=cents)
budgets = st.builds(
    Budget,
    calls=st.none() | st.integers(1, 20),
    tokens=st.none() | st.integers(1, 3000),
    usd=st.none() | st.integers(1, 1500).map(lambda amount: amount / 100),
)
actions = st.lists(
    st.tuples(st.sampled_from(["reserve", "commit", "release"]), costs, st.integers(0, 9), st.floats(0, 1)),
    max_size=60,
)


def share(worst: Cost, part: float) -> Cost:
    """What a call took that took `part` of the worst case."""
    return Cost(calls=worst.calls, tokens=int(worst.tokens * part), usd=worst.usd * part)


def check_caps(ledger: Ledger) -> None:
    """The law: spent and reserved together stay within every cap."""
    taken = ledger.spent + ledger.reserved
    for unit in UNITS:
        cap = getattr(ledger.budget, unit)
        assert getattr(ledger.reserved, unit) >= -1e-9
        assert cap is None or getattr(taken, unit) <= cap + 1e-9  # dollars are floats


def reserved_or_refused(ledger: Ledger, worst: Cost) -> list[Reservation]:
    """The reservation of `worst`, or none where it truly would have passed a cap and nothing was set aside."""
    before = ledger.spent + ledger.reserved
    would_take = before + worst
    caps = {unit: getattr(ledger.budget, unit) for unit in UNITS}
    if all(cap is None or getattr(would_take, unit) <= cap for unit, cap in caps.items()):
        return [ledger.reserve(worst)]
    with pytest.raises(BudgetExceeded) as caught:
        ledger.reserve(worst)
    assert getattr(would_take, caught.value.unit) > caps[caught.value.unit]
    assert ledger.spent + ledger.reserved == before
    return []


@given(budget=budgets, steps=actions)
@settings(deadline=None)
def test_spent_and_reserved_never_pass_a_cap(budget: Budget, steps: list[tuple[str, Cost, int, float]]) -> None:
    """Whatever is reserved, committed and released in whatever order, every cap holds at every moment."""

    async def play() -> None:
        ledger = Ledger(budget)
        held: list[Reservation] = []
        expected = Cost()
        for action, worst, place, part in steps:
            if action == "reserve":
                held += reserved_or_refused(ledger, worst)
            elif held:
                reservation = held.pop(place % len(held))
                if action == "commit":
                    actual = share(reservation.worst, part)
                    reservation.commit(actual)
                    expected += actual
                else:
                    reservation.release()
            check_caps(ledger)
        for reservation in held:
            reservation.release()
        assert (ledger.reserved.calls, ledger.reserved.tokens) == (0, 0)
        assert ledger.reserved.usd == pytest.approx(0, abs=1e-9)
        assert ledger.spent == expected

    run_virtual(play())


@given(closings=st.lists(st.sampled_from(["commit", "release"]), min_size=2, max_size=5))
@settings(deadline=None)
def test_a_reservation_closes_once(closings: list[str]) -> None:
    """Only the first commit or release of a reservation counts."""

    async def play() -> None:
        ledger = Ledger(Budget(), spent=Cost(calls=5))
        reservation = ledger.reserve(Cost(calls=1, tokens=100, usd=0.5))
        assert ledger.reserved == Cost(calls=1, tokens=100, usd=0.5)
        for closing in closings:
            if closing == "commit":
                reservation.commit(Cost(calls=1, tokens=7, usd=0.25))
            else:
                reservation.release()
        taken = Cost(calls=6, tokens=7, usd=0.25) if closings[0] == "commit" else Cost(calls=5)
        assert (ledger.spent, ledger.reserved) == (taken, Cost())

    run_virtual(play())


@pytest.mark.parametrize(
    ("unit", "cap", "worst"),
    [("calls", 3, Cost(calls=1)), ("tokens", 300, Cost(tokens=100)), ("usd", 0.75, Cost(usd=0.25))],
)
def test_the_error_names_the_unit(unit: str, cap: float, worst: Cost) -> None:
    """A cap can be used up exactly, and the next call is refused with the unit, the need and what is left."""

    async def play() -> None:
        ledger = Ledger(Budget(**{unit: cap}))  # type: ignore[arg-type]  # the unit is a parameter of the test
        for _ in range(3):
            ledger.reserve(worst).commit(worst)
        with pytest.raises(BudgetExceeded, match=rf"may need \S+ {unit}, 0 left; resume") as caught:
            ledger.reserve(worst)
        assert (caught.value.unit, caught.value.needed, caught.value.left) == (unit, getattr(worst, unit), 0)
        ledger.reserve(Cost())

    run_virtual(play())


def test_what_earlier_attempts_took_counts() -> None:
    """A ledger that starts with earlier spending refuses what that leaves no room for."""

    async def play() -> None:
        ledger = Ledger(Budget(calls=10), spent=Cost(calls=10))
        with pytest.raises(BudgetExceeded):
            ledger.reserve(Cost(calls=1))
        overspent = Ledger(Budget(calls=10), spent=Cost(calls=12))
        with pytest.raises(BudgetExceeded, match="0 left") as caught:
            overspent.reserve(Cost(calls=1))
        assert caught.value.left == -2

    run_virtual(play())


def test_no_call_is_admitted_after_the_seconds_are_over() -> None:
    """The seconds of an attempt run from its first reservation; at the cap nothing more is admitted."""

    async def play() -> None:
        ledger = Ledger(Budget(seconds=10))
        ledger.reserve(Cost(calls=1))
        await asyncio.sleep(9)
        late = ledger.reserve(Cost(calls=1))
        await asyncio.sleep(1)
        with pytest.raises(BudgetExceeded, match="seconds, 0 left") as caught:
            ledger.reserve(Cost())
        assert caught.value.unit == "seconds"
        late.commit(Cost(calls=1))  # what was under way is paid for all the same
        assert ledger.spent == Cost(calls=1)

    run_virtual(play())


@pytest.mark.parametrize("unit", [*UNITS, "seconds"])
@pytest.mark.parametrize("cap", [0, -1, math.nan])
def test_caps_are_above_zero(unit: str, cap: float) -> None:
    """A cap that is not above 0 is refused by name."""
    with pytest.raises(InputError, match=rf"budget\.{unit}: must be .*above 0, got {cap}"):
        Budget(**{unit: cap})  # type: ignore[arg-type]  # the unit is a parameter of the test


@given(first=costs, second=costs)
def test_costs_add_and_subtract(first: Cost, second: Cost) -> None:
    """Costs add unit by unit and subtraction takes back what was added."""
    back = first + second - second
    assert (back.calls, back.tokens) == (first.calls, first.tokens)
    assert back.usd == pytest.approx(first.usd)
