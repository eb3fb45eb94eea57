"""The law of first-to-ahead-by-k: what a margin is worth and what it costs (MAKER, arXiv 2511.09030).

One decision is a race. A valid vote is right with probability p; otherwise it is one of `wrong` equally likely wrong
answers, each with probability q = (1-p)/wrong. One wrong answer is the worst case and has closed forms. Several lower
the error: by a chain that is solved where that takes less than a second (`is_exact`), else bounded from above.

Shared errors are a mixture: with probability rho all votes of a decision are copies of one draw, else independent.

A call of m steps makes steps/m decisions. All m steps must be right for a vote to be (p^m), and the strongest rival
differs in one step ((1-p) p^(m-1)), so that the odds between the two, and with them the race, do not depend on m. The
other wrong votes are taken to be all different: they cost calls and never win, but for k = 1, where any vote does.

Probabilities p, rho and target, and the counts k, wrong, steps and m, mean the same in every function. A value outside
its domain raises `InputError` with its name.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import ceil, exp, expm1, fsum, inf, isfinite, log, log1p, tanh

from orchestra_agents.errors import InputError
from orchestra_agents.voting.ahead import LARGEST_K
from orchestra_agents.voting.race import race


def step_error(p: float, k: int, *, wrong: int = 1, rho: float = 0.0) -> float:
    """Return the probability that a step is decided wrong.

    With one wrong answer it is 1 / (1 + (p/(1-p))^k) (MAKER, section 3), for p of at most 1/2 too, where a larger k is
    worse. With several it is exact, or W (q/p)^k / (1 + W (q/p)^k), which is never too small: a race that the right
    answer wins becomes less likely by (q/p)^lead or more when its label is swapped with a wrong one's. Where q > p
    and the race cannot be solved, the bound is 1. The mixture is rho (1-p) + (1-rho) error.

    Args:
        p: Probability that one valid vote is right, 0 to 1.
        k: Margin, 1 to `LARGEST_K`.
        wrong: Number of equally likely wrong answers, at least 1.
        rho: Probability that all votes of the step are copies of one draw, 0 to 1.

    >>> round(step_error(0.6, 3), 4), round(step_error(0.6, 3, wrong=2), 4)
    (0.2286, 0.054)
    """
    _check(p, k=k, wrong=wrong, rho=rho)
    return _decision_error(p, k, wrong, rho, 1)


def step_reliability(p: float, k: int, *, wrong: int = 1, rho: float = 0.0) -> float:
    """Return the probability that a step is decided right: 1 - `step_error`."""
    return 1.0 - step_error(p, k, wrong=wrong, rho=rho)


def is_exact(p: float, k: int, *, wrong: int = 1) -> bool:
    """Tell whether `step_error` and `votes_per_step` are exact here (to 5 digits), not a bound and an estimate."""
    _check(p, k=k, wrong=wrong)
    if wrong == 1 or k == 1 or p in (0, 1):
        return True
    solved = race(p, k, wrong)
    return solved is not None and solved.exact


def run_reliability(p: float, k: int, steps: int, *, wrong: int = 1, rho: float = 0.0, m: int = 1) -> float:
    """Return the probability that all decisions of a run are right: (1 - error)^(steps/m) (MAKER, section 3).

    Args:
        p: Probability that one valid vote is right about one step, 0 to 1.
        k: Margin, 1 to `LARGEST_K`.
        steps: Steps of the run, at least 1.
        wrong: Number of equally likely wrong answers, at least 1.
        rho: Probability that all votes of a decision are copies of one draw, 0 to 1.
        m: Steps per call, 1 to `steps`; a last shorter call counts for its share.

    >>> round(run_reliability(0.9978, 3, 1_048_575, rho=1e-4), 3)
    0.785
    """
    _check(p, k=k, wrong=wrong, rho=rho, steps=steps, m=m)
    return _power(_decision_error(p, k, wrong, rho, m), steps / m)


def mixed_reliability(shares: Sequence[tuple[float, float]], k: int, steps: int) -> float:
    """Return the probability that all steps are right where not all are equally hard: a few hard ones decide it.

    Args:
        shares: Pairs of the share of steps, 0 to 1 and 1 in all, and the p of those, 0 to 1.
        k: Margin, 1 to `LARGEST_K`.
        steps: Steps of the run, at least 1.

    >>> round(mixed_reliability([(0.0001, 0.7), (0.9999, 0.9985)], 6, 1_048_575), 2)
    0.52
    """
    if any(not 0 <= share <= 1 for share, _ in shares) or abs(fsum(share for share, _ in shares) - 1) > 1e-9:
        raise InputError("shares", "must be from 0 to 1 each and 1 in all")
    reliability = 1.0
    for share, p in shares:
        _check(p, k=k, steps=steps)
        reliability *= _power(_decision_error(p, k, 1, 0.0, 1), share * steps)
    return reliability


def k_exact(p: float, steps: int, target: float, *, m: int = 1) -> float:
    """Return the real-valued margin that just reaches `target`: ln(t^(-m/s) - 1) / ln((1-p)/p) (MAKER, section 3).

    It holds for one wrong answer and independent errors; `k_min` is its next integer, and at least 1.

    Args:
        p: Probability that one valid vote is right about one step, above 1/2 and at most 1.
        steps: Steps of the run, at least 1.
        target: Wanted reliability of the run, strictly between 0 and 1.
        m: Steps per call, 1 to `steps`.

    >>> round(k_exact(0.9978, 1_048_575, 0.95), 2)
    2.75
    """
    _check(p, steps=steps, target=target, m=m)
    if p <= 0.5:
        raise InputError("p", f"must be above 1/2 for a margin to help against one wrong answer, got {p:g}")
    return -_log_odds_allowed(_error_allowed(target, steps / m)) / _logit(p) if p < 1 else 0.0


def k_min(p: float, steps: int, target: float, *, m: int = 1, rho: float = 0.0, wrong: int = 1) -> int | None:
    """Return the least margin whose run reaches `target`, or None if none up to `LARGEST_K` does.

    None does where the right answer is not the likeliest (p of at most 1/(wrong + 1)) unless a single vote is enough,
    and where errors are shared too often: rho (1-p) per step stays, whatever the margin. With several wrong answers it
    is the least margin of those that are exact, else one whose upper bound reaches the target.

    Args:
        p: Probability that one valid vote is right about one step, 0 to 1.
        steps: Steps of the run, at least 1.
        target: Wanted reliability of the run, strictly between 0 and 1.
        m: Steps per call, 1 to `steps`.
        rho: Probability that all votes of a decision are copies of one draw, 0 to 1.
        wrong: Number of equally likely wrong answers, at least 1.

    >>> k_min(0.99, 1_048_575, 0.95), k_min(0.99, 1_048_575, 0.95, rho=1e-3)
    (4, None)
    """
    _check(p, steps=steps, target=target, m=m, rho=rho, wrong=wrong)

    def is_enough(k: int) -> bool:
        return _power(_decision_error(p, k, wrong, rho, m), steps / m) >= target

    if is_enough(1):
        return 1
    lead = _lead(p, wrong)
    allowed = (_error_allowed(target, steps / m) - rho * (1 - p**m)) / (1 - rho) if rho < 1 else 0.0
    if lead <= 0 or allowed <= 0:
        return None
    odds = _log_odds_allowed(allowed)
    # The odds of a wrong decision lie between (q/p)^k and W (q/p)^k; one more on either side for rounding.
    least, most = max(2, ceil(-odds / lead) - 1), ceil((log(wrong) - odds) / lead) + 1
    margins = range(least, min(most, LARGEST_K) + 1)
    place = bisect_left(margins, True, key=is_enough)
    return margins[place] if place < len(margins) else None


def rho_allowed(p: float, k: int, steps: int, target: float, *, wrong: int = 1, m: int = 1) -> float:
    """Return the largest rho, 0 to 1, with which margin k still reaches `target`; 0 where none does.

    Args:
        p: Probability that one valid vote is right about one step, 0 to 1.
        k: Margin, 1 to `LARGEST_K`.
        steps: Steps of the run, at least 1.
        target: Wanted reliability of the run, strictly between 0 and 1.
        wrong: Number of equally likely wrong answers, at least 1.
        m: Steps per call, 1 to `steps`.

    >>> f"{rho_allowed(0.9978, 3, 1_048_575, 0.95):.1e}"
    '1.7e-05'
    """
    _check(p, k=k, steps=steps, target=target, wrong=wrong, m=m)
    allowed = _error_allowed(target, steps / m)
    independent, shared = _decision_error(p, k, wrong, 0.0, m), _decision_error(p, k, wrong, 1.0, m)
    if independent > allowed:
        return 0.0
    return 1.0 if shared <= allowed else (allowed - independent) / (shared - independent)


def votes_per_step(p: float, k: int, *, wrong: int = 1, rho: float = 0.0, m: int = 1) -> float:
    """Return the mean number of valid votes per step.

    With one wrong answer a race takes k (2 p_sub - 1) / (2p - 1) votes (gambler's ruin), k^2 at p = 1/2; MAKER's
    k / (2p - 1) is its limit for large k. Votes that are copies of one draw end it after k. With several wrong answers
    it is exact where `is_exact`, else an estimate: the last one of the chain (a few percent off), or k / (p-q), the
    votes to lead one rival, but at most k^2 (wrong + 1) / 2.

    Args:
        p: Probability that one valid vote is right about one step, 0 to 1.
        k: Margin, 1 to `LARGEST_K`.
        wrong: Number of equally likely wrong answers, at least 1.
        rho: Probability that all votes of a decision are copies of one draw, 0 to 1.
        m: Steps per call; a share p^(m-1) of the votes is for the two that race, and the votes of a call are divided
            among its m steps. Infinite where that share is too small for a number.

    >>> round(votes_per_step(0.9, 3), 3), round(votes_per_step(0.6, 3, wrong=4), 3)
    (3.74, 7.445)
    """
    _check(p, k=k, wrong=wrong, rho=rho, steps=m, m=m)
    if k == 1:
        return 1 / m
    racing = p ** (m - 1)
    mean = rho * k
    if rho < 1:
        mean += (1 - rho) * _race_votes(p, k, wrong) / racing if racing else inf
    return mean / m


def calls(steps: int, votes: float, valid: float) -> float:
    """Return the mean number of calls of a run: steps * votes / valid.

    Args:
        steps: Steps of the run, at least 1.
        votes: Mean valid votes per step, at least 0.
        valid: Share of replies without a red flag, above 0 and at most 1.

    >>> calls(1_000, 3.0, 0.75)
    4000.0
    """
    _check(1.0, steps=steps)
    if not votes >= 0:
        raise InputError("votes", f"must be at least 0, got {votes:g}")
    if not 0 < valid <= 1:
        raise InputError("valid", f"must be above 0 and at most 1, got {valid:g}")
    return steps * votes / valid


def _decision_error(p: float, k: int, wrong: int, rho: float, m: int) -> float:
    one_vote = 1 - p**m
    return one_vote if k == 1 else rho * one_vote + (1 - rho) * _race_error(p, k, wrong)


def _race_error(p: float, k: int, wrong: int) -> float:
    lead = _lead(p, wrong)
    if wrong > 1 and isfinite(lead):
        solved = race(p, k, wrong)
        if solved is not None and solved.exact:
            return solved.wrong
        if lead < -1e-12:  # the right answer is not the likeliest, and no bound below 1 is known
            return 1.0
    return _expit(log(wrong) - k * lead)


def _race_votes(p: float, k: int, wrong: int) -> float:
    lead = _lead(p, wrong)
    if wrong > 1 and isfinite(lead):
        solved = race(p, k, wrong)
        if solved is not None:
            return solved.votes
        gap = abs(p - (1 - p) / wrong)
        return min(k / gap if gap else inf, k * k * (wrong + 1) / 2)
    return k * tanh(k * lead / 2) / tanh(lead / 2) if lead else float(k * k)


def _lead(p: float, wrong: int) -> float:
    """Return the natural logarithm of p/q."""
    return _logit(p) + log(wrong)


def _logit(p: float) -> float:
    if p in (0, 1):
        return inf if p else -inf
    return log(p) - log1p(-p)


def _expit(x: float) -> float:
    if x > 0:
        return 1 / (1 + exp(-x))
    return exp(x) / (1 + exp(x))


def _power(error: float, decisions: float) -> float:
    """Return (1 - error)^decisions, also where the error is far below the precision of 1."""
    if error >= 1:
        return 1.0 if decisions == 0 else 0.0
    return exp(decisions * log1p(-error))


def _error_allowed(target: float, decisions: float) -> float:
    return -expm1(log(target) / decisions)


def _log_odds_allowed(error: float) -> float:
    return log(error) - log1p(-error)


def _check(
    p: float,
    *,
    k: int = 1,
    wrong: int = 1,
    rho: float = 0.0,
    steps: int = 1,
    target: float = 0.5,
    m: int = 1,
) -> None:
    if not 0 <= p <= 1:
        raise InputError("p", f"must be a probability from 0 to 1, got {p:g}")
    if not 1 <= k <= LARGEST_K:
        raise InputError("k", f"must be an integer from 1 to {LARGEST_K}, got {k}")
    if wrong < 1:
        raise InputError("wrong", f"must be an integer of at least 1, got {wrong}")
    if not 0 <= rho <= 1:
        raise InputError("rho", f"must be a probability from 0 to 1, got {rho:g}")
    if steps < 1:
        raise InputError("steps", f"must be an integer of at least 1, got {steps}")
    if not 0 < target < 1:
        raise InputError("target", f"must be above 0 and below 1, got {target:g}")
    if not 1 <= m <= steps:
        raise InputError("m", f"must be an integer from 1 to the number of steps ({steps}), got {m}")
