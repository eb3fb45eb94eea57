"""The law of ahead-by-k against its source's figures, its own symmetries, and votes drawn at random."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_agents.voting.ahead import LARGEST_K, AheadByK
from orchestra_agents.voting.law import (
    calls,
    is_exact,
    k_exact,
    k_min,
    mixed_reliability,
    rho_allowed,
    run_reliability,
    step_error,
    step_reliability,
    votes_per_step,
)
from orchestra_agents.voting.race import TOLERANCE, _chain, count_states, race
from orchestra_agents.voting.tally import Decided, Tally

MILLION = 1_048_575
probabilities = st.floats(0.0, 1.0)
better_than_even = st.floats(0.501, 0.999)
margins = st.integers(1, 40)
rhos = st.floats(0.0, 1.0)


def drawn(p: float, k: int, wrong: int, random: Random) -> tuple[bool, int]:
    """Draw votes until AheadByK decides; return whether for the wrong, and after how many."""
    rule, tally = AheadByK(k, max_votes=100_000), Tally()
    while not isinstance(verdict := rule(tally), Decided):
        tally.add("right" if random.random() < p else f"wrong {random.randrange(wrong)}")
    return verdict.answer != "right", tally.votes


@pytest.mark.parametrize(
    ("p", "wrong", "right"), [(0.6, 1, 0.77), (0.6, 2, 0.946), (0.6, 4, 0.990), (0.4, 4, 0.897), (0.4, 1, 0.229)]
)
def test_more_rivals_make_a_step_more_reliable(p: float, wrong: int, right: float) -> None:
    """At k = 3 the reliability of a step is that of section 3: two candidates are the worst case."""
    assert step_reliability(p, 3, wrong=wrong) == pytest.approx(right, abs=0.0021)
    assert is_exact(p, 3, wrong=wrong)


@pytest.mark.parametrize(
    ("p", "k", "wrong"), [(0.6, 3, 1), (0.6, 3, 2), (0.4, 3, 4), (0.35, 2, 3), (0.5, 4, 2), (0.2, 2, 2), (0.45, 1, 3)]
)
def test_votes_drawn_at_random_agree(p: float, k: int, wrong: int) -> None:
    """Errors and votes of 4,000 seeded races that AheadByK itself decides are those of the law, within 4 sigma."""
    random = Random(f"{p} {k} {wrong}")
    races = [drawn(p, k, wrong, random) for _ in range(4_000)]
    error, votes = step_error(p, k, wrong=wrong), votes_per_step(p, k, wrong=wrong)
    mean = sum(length for _, length in races) / len(races)
    spread = math.sqrt(sum((length - mean) ** 2 for _, length in races) / len(races))
    assert is_exact(p, k, wrong=wrong)
    assert sum(is_wrong for is_wrong, _ in races) / len(races) == pytest.approx(
        error, abs=4 * math.sqrt(error * (1 - error) / len(races))
    )
    assert mean == pytest.approx(votes, abs=4 * spread / math.sqrt(len(races)) + 1e-9)


@pytest.mark.parametrize(
    ("p", "k", "votes"), [(0.9, 3, 3.740), (0.6, 3, 8.143), (0.8, 4, 6.615), (0.65, 9, 29.8), (0.9978, 3, 3.013)]
)
def test_votes_per_step(p: float, k: int, votes: float) -> None:
    """The mean number of votes is the exact one of section 3, not its limit k/(2p-1)."""
    assert votes_per_step(p, k) == pytest.approx(votes, rel=1e-3)


def test_votes_at_even_odds() -> None:
    """At p = 1/2 a race takes k^2 votes, which is the limit from both sides."""
    for k in (1, 2, 7, LARGEST_K):
        assert votes_per_step(0.5, k) == k * k
        assert votes_per_step(0.5 + 1e-9, k) == pytest.approx(k * k, rel=1e-4)


@pytest.mark.parametrize(
    ("p", "real", "k", "full"),
    [
        (1 - 0.3571, 28.63, 29, 0.960),
        (1 - 0.0040, 3.05, 4, 0.9997),
        (1 - 0.0022, 2.75, 3, 0.989),
        (1 - 0.0018, 2.66, 3, 0.994),
        (1 - 0.0358, 5.11, 6, 0.997),
        (1 - 0.0569, 5.99, 6, 0.951),
    ],
    ids=["nano", "mini T=1", "mini T=.1", "o3-mini", "gpt-oss", "deepseek"],
)
def test_cost_table(p: float, real: float, k: int, full: float) -> None:
    """The paper's cost table: real-valued and least margin for .95 over 20 disks, and what the run then reaches."""
    assert k_exact(p, MILLION, 0.95) == pytest.approx(real, abs=0.006)
    assert k_min(p, MILLION, 0.95) == k
    assert run_reliability(p, k, MILLION) == pytest.approx(full, abs=0.0007)


def test_a_million_steps_at_99_percent() -> None:
    """A model that is right 99 times of 100 needs k = 4 for a million steps."""
    assert k_min(0.99, MILLION, 0.95) == 4


@pytest.mark.parametrize(
    ("k", "rho", "full"),
    [
        (3, 1e-5, 0.966), (3, 2.2e-5, 0.940), (3, 1e-4, 0.785), (3, 1e-3, 0.098),
        (6, 1e-5, 0.977), (6, 2.2e-5, 0.951), (6, 1e-4, 0.794), (6, 1e-3, 0.100),
    ],
)  # fmt: skip
def test_shared_errors_are_a_floor(k: int, rho: float, full: float) -> None:
    """Section 4.1: errors that all votes share are not outvoted by any margin."""
    assert run_reliability(0.9978, k, MILLION, rho=rho) == pytest.approx(full, abs=6e-4)


def test_rho_that_a_target_allows() -> None:
    """Section 4.1: .95 needs rho below 2.2e-5 from k = 4 on, and below 1.7e-5 at k = 3; k = 2 is not enough at all."""
    assert rho_allowed(0.9978, 4, MILLION, 0.95) == pytest.approx(2.2e-5, rel=0.02)
    assert rho_allowed(0.9978, 3, MILLION, 0.95) == pytest.approx(1.7e-5, rel=0.03)
    assert rho_allowed(0.9978, 2, MILLION, 0.95) == 0
    assert rho_allowed(1.0, 1, MILLION, 0.95) == 1


@pytest.mark.parametrize(("k", "full"), [(3, 0.0004), (6, 0.52), (8, 0.89), (10, 0.98)])
def test_a_few_hard_steps_decide(k: int, full: float) -> None:
    """Section 4.2: with one step in 10,000 at p = .7 the margin follows the hard tail."""
    mixed = mixed_reliability([(0.0001, 0.7), (0.9999, 0.9985)], k, MILLION)
    assert mixed == pytest.approx(full, abs=0.00005 if k == 3 else 0.006)


@given(p=better_than_even, k=margins)
def test_one_share_is_no_mixture(p: float, k: int) -> None:
    """Where all steps are equally hard, the mixed law is the plain one."""
    assert mixed_reliability([(1.0, p)], k, 1000) == pytest.approx(run_reliability(p, k, 1000), rel=1e-9)


@pytest.mark.parametrize(("k", "full"), [(2, 0.005), (3, 0.988), (4, 0.99997)])
def test_one_more_vote(k: int, full: float) -> None:
    """Section 4.4: what one more vote is worth at p = .99777."""
    assert run_reliability(0.99777, k, MILLION) == pytest.approx(full, abs=7e-4)


@given(p=st.floats(0.5, 1.0), k=st.integers(1, LARGEST_K - 1), rho=rhos)
def test_a_larger_margin_is_no_worse_above_one_half(p: float, k: int, rho: float) -> None:
    """For p of at least 1/2 the error falls in k; the last digits may be rounding."""
    assert step_error(p, k + 1, rho=rho) <= step_error(p, k, rho=rho) * (1 + 1e-12)


@given(p=probabilities, more=st.floats(0.0, 1.0), k=margins, rho=rhos)
def test_a_better_model_is_no_worse(p: float, more: float, k: int, rho: float) -> None:
    """The error falls in p."""
    better = p + (1 - p) * more
    assert step_error(better, k, rho=rho) <= step_error(p, k, rho=rho) + 1e-12


@given(p=probabilities, k=margins)
def test_right_and_wrong_are_mirror_images(p: float, k: int) -> None:
    """With one wrong answer, the two change places with p and 1 - p, and the votes stay as many."""
    assert step_error(p, k) + step_error(1 - p, k) == pytest.approx(1.0)
    assert votes_per_step(p, k) == pytest.approx(votes_per_step(1 - p, k), rel=1e-6)


@given(p=probabilities, wrong=st.integers(1, 50), rho=rhos)
def test_one_vote_is_the_model_itself(p: float, wrong: int, rho: float) -> None:
    """With k = 1 a step is as reliable as a vote and takes one."""
    assert step_error(p, 1, wrong=wrong, rho=rho) == 1 - p
    assert votes_per_step(p, 1, wrong=wrong, rho=rho) == 1


@given(p=st.floats(0.3, 0.99), wrong=st.integers(2, 3), k=st.integers(2, 4))
@settings(max_examples=30)
def test_several_rivals_lie_between_the_bounds(p: float, wrong: int, k: int) -> None:
    """The odds of a wrong end lie between (q/p)^k and W (q/p)^k, and one rival of their joint strength is worse."""
    rival = (1 - p) / wrong
    if rival >= p:
        return
    error = step_error(p, k, wrong=wrong)
    odds = error / (1 - error)
    assert (rival / p) ** k * (1 - TOLERANCE) <= odds <= wrong * (rival / p) ** k * (1 + TOLERANCE)
    assert error <= step_error(p, k) * (1 + TOLERANCE)
    assert k <= votes_per_step(p, k, wrong=wrong) <= max(k * k, k / max(2 * p - 1, 1e-9)) * (wrong + 1)


@given(p=st.floats(0.35, 0.95), wrong=st.integers(2, 3))
@settings(max_examples=20)
def test_with_several_rivals_too_a_larger_margin_is_no_worse(p: float, wrong: int) -> None:
    """Where the right answer is the likeliest, the error falls in k."""
    errors = [step_error(p, k, wrong=wrong) for k in range(1, 5)]
    assert all(after <= before * (1 + TOLERANCE) for before, after in pairwise(errors))


@pytest.mark.parametrize(("wrong", "k"), [(1, 3), (2, 4), (4, 3), (9, 5), (99, 7)])
def test_equal_chances_win_equally_often(wrong: int, k: int) -> None:
    """Where all answers are equally likely, each wins as often, whether the race can be solved or not."""
    assert step_error(1 / (wrong + 1), k, wrong=wrong) == pytest.approx(wrong / (wrong + 1), rel=1e-4)


def test_what_cannot_be_solved_is_bounded() -> None:
    """Too many rivals or too large a margin give a bound that is no lower than the truth, and say so."""
    assert not is_exact(0.6, 4, wrong=9)
    random = Random(5)
    seen = sum(drawn(0.4, 2, 20, random)[0] for _ in range(4_000)) / 4_000
    assert not is_exact(0.4, 2, wrong=20)
    assert seen <= step_error(0.4, 2, wrong=20) <= 1 - 0.4
    assert step_error(0.99, 5, wrong=10_000_000) < 1e-9
    assert step_error(0.001, 900, wrong=5) == 1


@pytest.mark.parametrize(("p", "wrong"), [(0.6, 9), (0.3, 20), (0.05, 5), (0.99, 1000)])
def test_votes_that_cannot_be_solved_are_estimated(p: float, wrong: int) -> None:
    """An estimate of the votes is at least k and finite."""
    assert 100 * (1 - 1e-9) <= votes_per_step(p, 100, wrong=wrong) < 1e6


@pytest.mark.parametrize(("k", "wrong", "cap"), [(4, 2, 9), (2, 2, 5), (3, 4, 6), (2, 9, 4), (5, 3, 5)])
def test_states_are_counted_before_they_are_built(k: int, wrong: int, cap: int) -> None:
    """The number of states that decides whether a chain is built is the number that it then has."""
    assert len(_chain(0.5, k, wrong, cap)) == count_states(k, wrong, cap)


def test_a_race_is_solved_or_given_up_soon() -> None:
    """However hard the race, it takes about a second at most (and some room for slow machines)."""
    race.cache_clear()
    for p, k, wrong in [(0.3, 3, 9), (0.34, 12, 2), (0.6, 100, 2), (0.2, 3, 4)]:
        begun = time.process_time()
        race(p, k, wrong)
        assert time.process_time() - begun < 4


@given(p=better_than_even, steps=st.integers(1, 10**9), target=st.floats(0.01, 0.9999), rho=st.floats(0, 1e-6))
def test_k_min_is_the_least_that_reaches_the_target(p: float, steps: int, target: float, rho: float) -> None:
    """The margin reaches the target and one less does not; it is the next integer after the real-valued one."""
    k = k_min(p, steps, target, rho=rho)
    if k is None:
        assert run_reliability(p, LARGEST_K, steps, rho=rho) < target
        return
    assert run_reliability(p, k, steps, rho=rho) >= target
    assert k == 1 or run_reliability(p, k - 1, steps, rho=rho) < target
    if rho == 0:
        assert k == pytest.approx(max(1, math.ceil(k_exact(p, steps, target) - 1e-6)))


@pytest.mark.parametrize(("p", "wrong"), [(0.9, 4), (0.6, 2), (0.45, 2)])
def test_k_min_with_several_rivals(p: float, wrong: int) -> None:
    """With several rivals, too, the margin is enough and one less is not; it is no larger than with one."""
    k = k_min(p, 1000, 0.95, wrong=wrong)
    assert k is not None
    assert run_reliability(p, k, 1000, wrong=wrong) >= 0.95 > run_reliability(p, k - 1, 1000, wrong=wrong)
    assert k <= (k_min(p, 1000, 0.95) or LARGEST_K)


@pytest.mark.parametrize(
    "arguments",
    [{"p": 0.5}, {"p": 0.3}, {"p": 0.0}, {"p": 0.2, "wrong": 4}, {"p": 0.9, "rho": 1e-3}, {"p": 0.9, "rho": 1.0}],
)
def test_where_no_margin_is_enough(arguments: dict[str, float]) -> None:
    """Nothing helps where the right answer is not the likeliest, or where shared errors are too frequent."""
    assert k_min(steps=10_000, target=0.95, **arguments) is None  # type: ignore[arg-type]


def test_margins_beyond_the_largest_are_none() -> None:
    """Just above 1/2 a margin exists on paper, and is larger than any that is allowed."""
    assert k_min(0.5001, MILLION, 0.95) is None
    assert k_exact(0.5001, MILLION, 0.95) > LARGEST_K


def test_easy_targets_need_one_vote() -> None:
    """Where a single vote is enough k is 1, even for a model that is mostly wrong."""
    assert k_min(0.3, 1, 0.25) == 1
    assert k_min(1.0, MILLION, 0.999) == 1
    assert k_exact(1.0, MILLION, 0.999) == 0


@pytest.mark.parametrize("m", [2, 5, 20])
def test_longer_calls_cost_more_for_fewer_decisions(m: int) -> None:
    """Calls of m steps race as before over fewer decisions, and pay for the votes that are for neither racer."""
    assert run_reliability(0.99, 4, MILLION, m=m) == pytest.approx(run_reliability(0.99, 4, MILLION) ** (1 / m))
    assert k_exact(0.99, MILLION, 0.95, m=m) < k_exact(0.99, MILLION, 0.95)
    expected = votes_per_step(0.99, 4) / 0.99 ** (m - 1) / m
    assert votes_per_step(0.99, 4, m=m) == pytest.approx(expected)


def test_one_vote_for_a_long_call() -> None:
    """With k = 1 the first vote decides, whatever it is, so all m steps must be right in it."""
    assert run_reliability(0.99, 1, 100, m=10) == pytest.approx(0.99**100)
    assert votes_per_step(0.99, 1, m=10) == pytest.approx(0.1)
    assert rho_allowed(0.99, 1, 100, 0.3, m=10) == 1


def test_a_call_that_is_never_right_takes_for_ever() -> None:
    """Where p^(m-1) is too small for a number, votes are infinite, unless all of them are copies of one draw."""
    assert votes_per_step(0.5, 3, m=10_000) == math.inf
    assert votes_per_step(0.5, 3, m=10_000, rho=1.0) == 3 / 10_000


@given(p=probabilities, k=margins, rho=rhos)
def test_copies_end_a_race_after_k(p: float, k: int, rho: float) -> None:
    """Votes are the mixture of k for copies and a race for the rest."""
    mixture = rho * k + (1 - rho) * votes_per_step(p, k)
    assert votes_per_step(p, k, rho=rho) == pytest.approx(mixture)


@given(p=better_than_even, k=st.integers(2, 40), target=st.floats(0.5, 0.999))
def test_rho_allowed_just_reaches_the_target(p: float, k: int, target: float) -> None:
    """With the largest rho the target is met, with any more it is not; 0 where it is missed without shared errors."""
    rho = rho_allowed(p, k, 1000, target)
    if rho == 0:
        assert run_reliability(p, k, 1000) < target * (1 + 1e-9)
    else:
        assert run_reliability(p, k, 1000, rho=rho) == pytest.approx(max(target, p**1000), rel=1e-6)


@pytest.mark.parametrize(("steps", "votes", "valid", "expected"), [(1000, 3.0, 0.75, 4000.0), (7, 0.0, 1.0, 0.0)])
def test_calls(steps: int, votes: float, valid: float, expected: float) -> None:
    """Flagged replies are calls, too: calls are steps * votes / valid."""
    assert calls(steps, votes, valid) == expected


@given(p=st.floats(0.501, 1.0, exclude_max=True), k=st.integers(1, LARGEST_K), steps=st.integers(1, 10**15))
def test_nothing_overflows(p: float, k: int, steps: int) -> None:
    """However extreme the question, the figures are numbers in their ranges."""
    assert 0 <= step_error(p, k) <= 1
    assert 0 <= run_reliability(p, k, steps) <= 1
    assert k <= votes_per_step(p, k) * (1 + 1e-12) < math.inf
    assert math.isfinite(k_exact(p, steps, 0.95))


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("p", {"p": -0.1}), ("p", {"p": 1.1}), ("p", {"p": math.nan}), ("steps", {"steps": 0}),
        ("target", {"target": 0.0}), ("target", {"target": 1.0}), ("target", {"target": math.nan}),
        ("m", {"m": 0}), ("m", {"m": 11}), ("rho", {"rho": -1e-9}), ("rho", {"rho": 1.5}), ("rho", {"rho": math.nan}),
        ("wrong", {"wrong": 0}),
    ],
)  # fmt: skip
def test_values_outside_their_domain_are_refused(field: str, change: dict[str, float]) -> None:
    """A value outside its domain is refused by its name, with what is allowed."""
    question = {"p": 0.9, "steps": 10, "target": 0.95, **change}
    with pytest.raises(InputError, match="must be") as refused:
        k_min(**question)  # type: ignore[arg-type]
    assert refused.value.field == field


@pytest.mark.parametrize("k", [0, -1, LARGEST_K + 1])
def test_margins_outside_their_domain_are_refused(k: int) -> None:
    """A margin is from 1 to the largest one."""
    for function in (step_error, step_reliability, votes_per_step, is_exact):
        with pytest.raises(InputError, match=f"k: must be an integer from 1 to {LARGEST_K}, got {k}"):
            function(0.9, k)


@pytest.mark.parametrize(("votes", "valid", "field"), [(-1.0, 1.0, "votes"), (3.0, 0.0, "valid"), (3.0, 1.1, "valid")])
def test_calls_outside_their_domain_are_refused(votes: float, valid: float, field: str) -> None:
    """Votes are not negative, and some replies are valid."""
    with pytest.raises(InputError, match="must be") as refused:
        calls(10, votes, valid)
    assert refused.value.field == field


@pytest.mark.parametrize("shares", [[], [(0.5, 0.9)], [(1.5, 0.9), (-0.5, 0.9)], [(math.nan, 0.9)]])
def test_shares_that_are_no_whole_are_refused(shares: list[tuple[float, float]]) -> None:
    """Shares of steps sum to 1."""
    with pytest.raises(InputError, match="shares: must be from 0 to 1 each and 1 in all"):
        mixed_reliability(shares, 3, 10)


@pytest.mark.parametrize("p", [0.5, 0.2])
def test_no_real_valued_margin_at_even_odds(p: float) -> None:
    """The real-valued margin is for p above 1/2."""
    with pytest.raises(InputError, match="p: must be above 1/2"):
        k_exact(p, 10, 0.9)


def test_planning_is_fast() -> None:
    """With one wrong answer the least margin takes well under a millisecond."""
    begun = time.process_time()
    for steps in range(1_000, 2_000):
        k_min(0.9, steps, 0.95)
    assert (time.process_time() - begun) / 1_000 < 0.001
