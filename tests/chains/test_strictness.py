"""What a process takes for an answer, for an end and for a process: nothing that only resembles one."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.naming import process_of
from orchestra_agents.errors import InputError, RedFlag
from orchestra_agents.processes.addition import Addition
from orchestra_agents.processes.hanoi import Hanoi, HanoiState

GOOD = "move = [1, 0, 2]\nnext_state = [[3, 2], [], [1]]"


@pytest.mark.parametrize(
    ("last", "flag"),
    [
        ("next_state = [[3, 2], [1]]", "no_state"),
        ("next_state = [[3, 2], [], [1]", "no_state"),
        ("next_state = unclear", "no_state"),
        ("move = [[1, 0, 2]]", "no_move"),
        ("move = [1, 0, 2", "no_move"),
        ("move = 1, 0, 2", "no_move"),
    ],
)
def test_a_malformed_last_answer_is_not_replaced_by_an_earlier_one(last: str, flag: str) -> None:
    """A reply that ends in another form than asked for is discarded, however well it began."""
    hanoi = Hanoi(3)
    assert hanoi.parse(GOOD, hanoi.first()).action == [1, 0, 2]
    with pytest.raises(RedFlag) as caught:
        hanoi.parse(f"{GOOD}\n{last}", hanoi.first())
    assert caught.value.reason == flag


def test_a_malformed_last_column_is_not_replaced_by_an_earlier_one() -> None:
    """Addition reads the last digit and carry, or nothing."""
    addition = Addition(3)
    assert addition.parse("digit = 9, carry = 0\ndigit = 4, carry = 1", addition.first()) == [4, 1]
    with pytest.raises(RedFlag):
        addition.parse("digit = 4, carry = 1\ndigit = 14, carry = 1", addition.first())


def test_disks_in_another_order_are_no_solution() -> None:
    """A model may predict a state that has every disk on the goal, upside down: that is not solved."""
    hanoi = Hanoi(3)
    assert hanoi.is_correct(HanoiState(((), (), (3, 2, 1)), (1, 0, 2), 7))
    assert not hanoi.is_correct(HanoiState(((), (), (1, 2, 3)), (1, 0, 2), 7))


@pytest.mark.parametrize("disks", [9, 10])
def test_larger_towers_are_solved_by_reference(disks: int) -> None:
    """Odd and even, beyond the sizes of the other tests."""
    hanoi = Hanoi(disks)
    state = hanoi.first()
    while not hanoi.is_done(state):
        state = hanoi.reference(state).state
    assert hanoi.is_correct(state)


@pytest.mark.parametrize("digits", [6, 13, 20, 50, 10_000])
def test_sentinels_reach_every_column(digits: int) -> None:
    """As many sentinels as there are columns ask about each of them."""
    addition = Addition(digits)
    assert {addition.sentinel(number).place for number in range(addition.length)} == set(range(addition.length))


@pytest.mark.parametrize("body", ["raise ValueError('one\\ntwo')", "raise SystemExit(3)"])
def test_a_module_that_cannot_be_imported_is_one_sentence(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a user's module raises, leaving included, is told on one line."""
    (tmp_path / "unimportable_process.py").write_text(f"{body}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="cannot be made") as caught:
        process_of("unimportable_process:Name")
    assert "\n" not in str(caught.value)
