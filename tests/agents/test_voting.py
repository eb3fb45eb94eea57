"""First-to-ahead-by-k against a brute-force reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_agents.voting.ahead import CAP_FACTOR, AheadByK
from orchestra_agents.voting.tally import Capped, Decided, Tally, Undecided

ANSWERS = "abcd"
margins = st.integers(1, 4)
ballots = st.lists(st.sampled_from(ANSWERS), max_size=14)


def counted(votes: Sequence[str], flagged: int = 0) -> Tally:
    """The tally of some votes."""
    tally = Tally(flagged=flagged)
    for vote in votes:
        tally.add(vote)
    return tally


def winner_of(votes: Sequence[str], k: int) -> str | None:
    """The reference: the answer that stands k votes above every other one, looked for one by one."""
    counts = Counter(votes)
    for answer in counts:
        if all(counts[answer] - counts[other] >= k for other in {*ANSWERS, "new"} - {answer}):
            return answer
    return None


def least_deciding(votes: Sequence[str], k: int) -> int:
    """The reference: the length of the shortest continuation that decides, all of them tried."""
    length = 0
    while True:
        if any(winner_of([*votes, *more], k) for more in product(sorted({*votes, "new"}), repeat=length)):
            return length
        length += 1


@given(votes=ballots, k=margins)
def test_decides_at_the_first_prefix_that_is_k_ahead(votes: list[str], k: int) -> None:
    """Counted one by one, votes decide exactly when some answer first stands k above all others, and for it."""
    rule = AheadByK(k, max_votes=100)
    for length in range(len(votes) + 1):
        expected, verdict = winner_of(votes[:length], k), rule(counted(votes[:length]))
        if expected is None:
            assert isinstance(verdict, Undecided)
        else:
            assert isinstance(verdict, Decided)
            assert verdict.answer == expected
            assert verdict.margin >= k


@given(votes=ballots, k=margins, names=st.permutations(["b", "", "zzz", "c"]))
def test_relabelling_changes_no_verdict(votes: list[str], k: int, names: list[str]) -> None:
    """With answers renamed, the winner is renamed with them and all else stays as it was."""
    renamed = dict(zip(ANSWERS, names, strict=True))
    before, after = AheadByK(k)(counted(votes)), AheadByK(k)(counted([renamed[vote] for vote in votes]))
    match before:
        case Decided(answer, margin):
            assert after == Decided(renamed[answer], margin)
        case Undecided():
            assert after == before
        case Capped():
            assert isinstance(after, Capped)


@given(votes=ballots, k=margins, order=st.randoms(use_true_random=False))
def test_order_of_counting_changes_no_winner(votes: list[str], k: int, order: Random) -> None:
    """The verdict on a tally is that of its counts, in whatever order they were counted."""
    shuffled = list(votes)
    order.shuffle(shuffled)
    assert type(AheadByK(k)(counted(votes))) is type(AheadByK(k)(counted(shuffled)))
    if isinstance(verdict := AheadByK(k)(counted(votes)), Decided):
        assert AheadByK(k)(counted(shuffled)) == verdict


@given(votes=st.lists(st.sampled_from("abc"), max_size=9), k=st.integers(1, 3), spare=st.integers(0, 6))
@settings(deadline=None)
def test_shortfall_is_the_least_number_of_votes_that_could_decide(votes: list[str], k: int, spare: int) -> None:
    """No fewer votes than the shortfall suffice and so many may, unless the cap leaves fewer."""
    rule = AheadByK(k, max_votes=max(k, len(votes) + spare))
    verdict = rule(counted(votes))
    if isinstance(verdict, Undecided):
        left = rule.cap - len(votes)
        assert verdict.shortfall == min(least_deciding(votes, k), left) >= 1


@given(k=margins, rounds=st.integers(0, 5))
def test_a_vote_without_lead_ends_at_the_cap(k: int, rounds: int) -> None:
    """At the cap the verdict is Capped with the counts as reason, never the plurality."""
    cap = 2 * (k + rounds) + 1
    votes = ["a" if place % 2 else "b" for place in range(cap)]
    rule = AheadByK(k + 1, max_votes=cap)
    assert isinstance(rule(counted(votes[:-1])), Undecided)
    verdict = rule(counted(votes))
    assert isinstance(verdict, Capped)
    assert f"{k + 1} ahead" in verdict.reason
    assert f"b {cap // 2 + 1}, a {cap // 2}" in verdict.reason


@given(votes=ballots, k=margins, flagged=st.integers(0, 50))
def test_flags_are_no_votes_and_have_a_cap_of_their_own(votes: list[str], k: int, flagged: int) -> None:
    """Flagged replies change nothing until there are as many as the cap, and then end what votes did not decide."""
    rule = AheadByK(k)
    without, verdict = rule(counted(votes)), rule(counted(votes, flagged))
    if isinstance(without, Decided) or flagged < rule.cap:
        assert verdict == without
    else:
        assert isinstance(verdict, Capped)
        assert f"{flagged} replies were flagged" in verdict.reason


def test_cap_without_any_vote_says_so() -> None:
    """Flags alone end a vote with a reason that says that nothing was counted."""
    assert AheadByK(2, max_votes=3)(Tally(flagged=3)) == Capped("3 replies were flagged; votes: no valid vote")


@pytest.mark.parametrize("k", [1, 3, 7])
def test_default_cap_is_ten_times_k(k: int) -> None:
    """Without max_votes the cap is 10 k."""
    assert CAP_FACTOR == 10
    assert AheadByK(k).cap == 10 * k


@given(answer=st.text())
def test_one_vote_decides_with_k_of_1(answer: str) -> None:
    """With k = 1 the first vote decides, whatever it is; before it one is asked for."""
    assert AheadByK(1)(Tally()) == Undecided(1)
    assert AheadByK(1)(counted([answer])) == Decided(answer, 1)


@pytest.mark.parametrize(("k", "max_votes"), [(0, None), (-1, None), (3, 2), (3, 0), (1, -1)])
def test_illegal_margins_are_refused(k: int, max_votes: int | None) -> None:
    """A margin below 1, or a cap below the margin, is refused with what is allowed."""
    with pytest.raises(ValueError, match=f"k must be at least 1 and max_votes at least k, got k={k}"):
        AheadByK(k, max_votes)


@given(votes=ballots)
def test_leader_and_margin(votes: list[str]) -> None:
    """The leader has most votes, the first counted of equals, and its margin is over the best of the others."""
    counts, (answer, margin) = Counter(votes), counted(votes).leader()
    assert counted(votes).votes == len(votes)
    if not votes:
        assert (answer, margin) == ("", 0)
    else:
        assert answer == max(counts, key=lambda one: counts[one])
        assert margin == counts[answer] - max([0, *(counts[one] for one in counts if one != answer)])
