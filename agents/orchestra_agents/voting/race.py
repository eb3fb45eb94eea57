"""A race to be k ahead of several rivals, as a Markov chain: where ahead-by-k has no closed form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from math import comb

MOST_STATES = 20_000
"""Largest chain that is built."""
MOST_VISITS = 2_000_000
"""Most visits to states before a race is given up: well under a second."""
TOLERANCE = 1e-5
"""Relative error at which a race counts as solved."""
_UNDECIDED = 1e-12
"""Probability of a race still going on, relative to that of a wrong end, that is neglected."""
_RIGHT, _WRONG = -1, -2

_State = tuple[int, tuple[int, ...]]
"""Votes of the right answer behind the leader, and how many wrong answers are 0, 1, 2, ... votes behind it."""


@dataclass(frozen=True, slots=True)
class Race:
    """How a race ends."""

    wrong: float
    """Probability that a wrong answer wins, in [0, 1]."""
    votes: float
    """Mean votes until one wins, at least k."""
    exact: bool
    """Whether both are within `TOLERANCE`; otherwise they are good to a few percent."""


@dataclass(frozen=True, slots=True)
class _Solved:
    wrong: float
    votes: float
    sweeps: int


@lru_cache(maxsize=256)
def race(p: float, k: int, wrong: int) -> Race | None:
    """Solve the race of the right answer (probability p) against `wrong` answers of equal probability (1-p)/wrong.

    By symmetry the sorted lags of the wrong answers are all that counts. An answer that is far behind hardly ever comes
    back, so lags are capped, and the cap is raised until it no longer matters: the error falls geometrically in it.

    Args:
        p: Probability of the right answer, strictly between 0 and 1.
        k: Lead that wins, at least 2.
        wrong: Number of wrong answers, at least 2.

    Returns:
        The race, not exact where the next cap would take more than `MOST_STATES` or `MOST_VISITS`, or None where the
        first one would.
    """
    found: list[_Solved] = []
    visits = MOST_VISITS
    for cap in count(k, max(1, k // 4)):
        states = count_states(k, wrong, cap)
        solved = _solve(p, k, wrong, cap, most_sweeps=visits // states) if states <= MOST_STATES else None
        if solved is None:
            return Race(found[-1].wrong, found[-1].votes, exact=False) if found else None
        visits -= states * solved.sweeps
        found.append(solved)
        if len(found) >= 3 and _is_settled(found[-3:]):
            break
    return Race(found[-1].wrong, found[-1].votes, exact=True)


def count_states(k: int, wrong: int, cap: int) -> int:
    """Return the number of undecided states with lags up to `cap`, which is at least k (k at least 2).

    >>> count_states(3, 4, cap=6)
    599
    """
    right_leads = comb(cap + wrong, wrong) - comb(cap - k + wrong, wrong)
    others = comb(cap + wrong - 1, wrong - 1)
    return right_leads + (k - 1) * others + (cap - k + 1) * (others - comb(cap - k + wrong - 1, wrong - 1))


def _is_settled(found: list[_Solved]) -> bool:
    """Tell whether what is left of a geometric series of corrections is within the tolerance."""
    for a, b, c in (tuple(one.wrong for one in found), tuple(one.votes for one in found)):
        before, last = abs(b - a), abs(c - b)
        left = last * last / (before - last) if last < before else last
        if left > TOLERANCE * c:
            return False
    return True


def _solve(p: float, k: int, wrong: int, cap: int, *, most_sweeps: int) -> _Solved | None:
    chain = _chain(p, k, wrong, cap)
    mass = [1.0] + [0.0] * (len(chain) - 1)
    lost = votes = 0.0
    undecided, sweeps = 1.0, 0
    while undecided > _UNDECIDED * lost:
        if sweeps >= most_sweeps:
            return None
        sweeps += 1
        following = [0.0] * len(chain)
        won_now = lost_now = 0.0
        for probability, steps in zip(mass, chain, strict=True):
            if probability:
                for target, weight in steps:
                    if target >= 0:
                        following[target] += probability * weight
                    elif target == _WRONG:
                        lost_now += probability * weight
                    else:
                        won_now += probability * weight
        mass, lost = following, lost + lost_now
        votes += sweeps * (won_now + lost_now)
        undecided = sum(mass)
    return _Solved(lost, votes, sweeps)


def _chain(p: float, k: int, wrong: int, cap: int) -> list[list[tuple[int, float]]]:
    """Return, for each undecided state, the states that one vote leads to and the probability of that vote."""
    each = (1 - p) / wrong
    start: _State = (0, (wrong, *[0] * cap))
    place = {start: 0}
    states, chain = [start], []
    for lag, others in states:  # grows while it is walked
        steps = []
        moves = [(p, _right_gains(lag, others))]
        moves += [(n * each, _wrong_gains(lag, others, at)) for at, n in enumerate(others) if n]
        for weight, state in moves:
            target = _end(state, k)
            if target is None:
                target = place.setdefault(state, len(states))
                if target == len(states):
                    states.append(state)
            steps.append((target, weight))
        chain.append(steps)
    return chain


def _right_gains(lag: int, others: tuple[int, ...]) -> _State:
    return (lag - 1, others) if lag else (0, _further_behind(others))


def _wrong_gains(lag: int, others: tuple[int, ...], at: int) -> _State:
    left = [n - (place == at) for place, n in enumerate(others)]
    if at:
        left[at - 1] += 1
        return lag, tuple(left)
    return min(lag + 1, len(others) - 1), (1, *_further_behind(tuple(left))[1:])


def _further_behind(others: tuple[int, ...]) -> tuple[int, ...]:
    return 0, *others[:-2], others[-2] + others[-1]


def _end(state: _State, k: int) -> int | None:
    lag, others = state
    if lag == 0 and not any(others[:k]):
        return _RIGHT
    if lag >= k and others[0] == 1 and not any(others[1:k]):
        return _WRONG
    return None
