"""Maps, theorem and bounds: every check value of phase_transition.md A.2, B.1 to B.5, B.7 and B.8, and the laws."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestra.budget import depth, joint, phase
from orchestra.budget.joint import Joint, Share
from orchestra_agents.errors import InputError

unit = st.floats(0, 1)
gammas = st.floats(0.01, 1)
fan_ins = st.integers(3, 25)
shares = st.sampled_from(("after", "before"))


@st.composite
def joints(draw: st.DrawFn) -> Joint:
    """A joint of any kind."""
    return Joint(fan_in=draw(fan_ins), gamma=draw(gammas), rho=draw(unit), share=draw(shares))


def counted(bias: float, fan_in: int) -> float:
    """The definition in B.1, with fair tie-breaks: 2 P[Bin(b, (1+u)/2) > b/2] + P[tie] - 1."""
    p = (1 + bias) / 2
    weights = [comb(fan_in, k) * p**k * (1 - p) ** (fan_in - k) for k in range(fan_in + 1)]
    tie = weights[fan_in // 2] if fan_in % 2 == 0 else 0.0
    return 2 * sum(weights[fan_in // 2 + 1 :]) + tie - 1


@pytest.mark.parametrize(("fan_in", "slope"), [(3, 1.5), (5, 1.875), (7, 2.1875), (9, 2.461)])
def test_slopes_of_a_2(fan_in: int, slope: float) -> None:
    """A.2: f_b'(0) is 1.5, 1.875, 2.1875, 2.461 for b = 3, 5, 7, 9."""
    assert float(joint.majority_slope(0.0, fan_in)) == pytest.approx(slope, abs=5e-4)
    exact = fan_in * comb(fan_in - 1, (fan_in - 1) // 2) / 2 ** (fan_in - 1)
    assert float(joint.majority_slope(0.0, fan_in)) == pytest.approx(exact, rel=1e-14)


@given(bias=st.floats(-1, 1), fan_in=st.integers(3, 60))
def test_majority_is_the_binomial_sum(bias: float, fan_in: int) -> None:
    """B.1: f_b as defined; an even b with fair ties equals b-1 (to 4e-16 there, 1e-13 in this sum); f_b is odd."""
    value = float(joint.majority(bias, fan_in))
    assert value == pytest.approx(counted(bias, fan_in), abs=1e-13)
    assert value == -float(joint.majority(-bias, fan_in))
    if fan_in % 2 == 0:
        assert value == float(joint.majority(bias, fan_in - 1))


def test_majority_of_b_1() -> None:
    """B.1: f_3 = (3u - u^3)/2 and f_5 = (15u - 10u^3 + 3u^5)/8; f_b'(0) ~ sqrt(2b/pi); no digit is lost near 0."""
    bias = np.linspace(-1, 1, 41)
    assert joint.majority(bias, 3) == pytest.approx((3 * bias - bias**3) / 2, abs=1e-15)
    assert joint.majority(bias, 5) == pytest.approx((15 * bias - 10 * bias**3 + 3 * bias**5) / 8, abs=1e-15)
    assert float(joint.majority_slope(0.0, 100_001)) == pytest.approx((2 * 100_001 / np.pi) ** 0.5, rel=1e-5)
    assert float(joint.majority(1e-12, 201)) == pytest.approx(1e-12 * float(joint.majority_slope(0.0, 201)), rel=1e-12)


def test_the_series_and_the_incomplete_beta_function_agree() -> None:
    """Both ways to sum a majority give the same, arrays of fan-ins included."""
    bias, many = np.linspace(-1, 1, 21)[:, np.newaxis], np.array([3, 8, 51, 101])
    columns = [joint.majority(bias[:, 0], int(fan_in)) for fan_in in many]
    assert joint.majority(bias, many) == pytest.approx(np.stack(columns, axis=1), abs=1e-14)


@given(which=joints(), points=st.tuples(unit, unit, unit))
def test_the_map_is_concave_and_increasing(which: Joint, points: tuple[float, float, float]) -> None:
    """A.2, B.1: T is increasing and concave on [0, 1] with T(0) = 0, and its slope is `step_slope`."""
    low, high, share = min(points[:2]), max(points[:2]), points[2]
    middle = low + share * (high - low)
    at_low, at_middle, at_high = (float(joint.step(bias, which)) for bias in (low, middle, high))
    assert at_low <= at_middle + 1e-14
    assert at_middle >= at_low + share * (at_high - at_low) - 1e-14
    assert float(joint.step(0.0, which)) == 0
    assert at_high <= at_low + float(joint.step_slope(low, which)) * (high - low) + 1e-13


@given(which=joints(), lift=unit)
def test_a_better_channel_never_hurts(which: Joint, lift: float) -> None:
    """alpha, mu* and every level rise with gamma."""
    better = Joint(fan_in=which.fan_in, gamma=which.gamma + lift * (1 - which.gamma), rho=which.rho, share=which.share)
    assert joint.alpha(better) >= joint.alpha(which) - 1e-13
    levels = depth.bias_by_depth(0.2, better, 6) - depth.bias_by_depth(0.2, which, 6)
    assert levels.min() >= -1e-13
    goals = phase.fixed_point(better), phase.fixed_point(which)
    assert np.isnan(goals[0]) or goals[0] >= goals[1] - 1e-9


@given(which=joints())
def test_copies_of_what_was_sent_lose_less(which: Joint) -> None:
    """B.2: the map with sharing before the channel is the larger one."""
    other = {share: Joint(fan_in=which.fan_in, gamma=which.gamma, rho=which.rho, share=share) for share in SHARES}
    assert joint.step(0.4, other["before"]) >= joint.step(0.4, other["after"]) - 1e-15


SHARES: tuple[Share, ...] = ("after", "before")


@given(which=joints())
def test_the_fixed_point_is_one(which: Joint) -> None:
    """A.2: above alpha = 1 mu* is a fixed point in (0, 1], crossed downwards; at or below, it is 0."""
    goal = float(phase.fixed_point(which))
    if float(joint.alpha(which)) - 1 <= 1e-12:
        assert goal == 0 or which.gamma == 1
        return
    assert 0 < goal <= 1
    assert float(joint.step(goal, which)) == pytest.approx(goal, rel=1e-12)
    assert float(joint.step_slope(goal, which)) <= 1 + 1e-12


@pytest.mark.parametrize(("gamma", "rho", "goal"), [(0.9, 0.1, 0.9642), (0.8, 0.1, 0.8333), (0.9, 0.3, 0.9180)])
def test_fixed_points_of_b_1(gamma: float, rho: float, goal: float) -> None:
    """B.1: mu* of b = 3 is .9642, .8333, .9180, the closed form."""
    which = Joint(fan_in=3, gamma=gamma, rho=rho)
    assert float(phase.fixed_point(which)) == pytest.approx(goal, abs=5e-5)
    closed = 2 * (float(joint.alpha(which)) - 1) / ((1 - rho) * gamma**3)
    assert float(phase.fixed_point(which)) ** 2 == pytest.approx(closed, rel=1e-14)


@given(fan_in=fan_ins, rho=st.floats(0, 0.999), share=shares)
def test_votes_counted_by_code_cannot_collapse(fan_in: int, rho: float, share: Share) -> None:
    """B.1, B.2: gamma = 1 and rho < 1 give alpha > 1 and mu* = 1."""
    which = Joint(fan_in=fan_in, rho=rho, share=share)
    assert joint.alpha(which) > 1
    assert phase.fixed_point(which) == 1
    assert phase.critical_rho(fan_in, 1.0, share=share) == 1


def test_all_copies_read_without_loss_keep_their_bias() -> None:
    """Where gamma and rho are 1 the map is the identity: no bias is special."""
    which = Joint(fan_in=3, gamma=1.0, rho=1.0)
    assert np.isnan(phase.fixed_point(which))
    assert depth.bias_by_depth(0.3, which, 4).tolist() == [0.3] * 5


@pytest.mark.parametrize(
    ("fan_in", "critical"),
    [
        (3, (0.895, 0.778, 0.500, 0.143, 0.0)),
        (5, (0.940, 0.873, 0.714, 0.510, 0.238)),
        (7, (0.956, 0.906, 0.789, 0.639, 0.439)),
    ],
)
def test_critical_correlations_of_b_1(fan_in: int, critical: tuple[float, ...]) -> None:
    """B.1: the table of rho_c; b = 3 at gamma = .6 always collapses, which is rho_c = 0."""
    found = phase.critical_rho(fan_in, np.array([0.95, 0.9, 0.8, 0.7, 0.6]))
    assert found == pytest.approx(critical, abs=6e-4)


def test_critical_gammas_of_b_1() -> None:
    """B.1: 1/f_b'(0) at rho = 0 is .667, .533, .457 for b = 3, 5, 7."""
    assert [float(phase.critical_gamma(b, 0.0)) for b in (3, 5, 7)] == pytest.approx([0.667, 0.533, 0.457], abs=5e-4)


@given(fan_in=fan_ins, rho=st.floats(0, 0.99), gamma=gammas, share=shares, exponent=st.floats(0, 0.3))
def test_critical_lines_are_where_the_gain_is(
    fan_in: int, rho: float, gamma: float, share: Share, exponent: float
) -> None:
    """On either critical line the exponent is the one asked for, in both variants of sharing."""
    limit = float(phase.critical_gamma(fan_in, rho, share=share, exponent=exponent))
    if not np.isnan(limit):
        there = Joint(fan_in=fan_in, gamma=limit, rho=rho, share=share)
        assert float(phase.exponent(there)) == pytest.approx(exponent, abs=1e-9)
    edge = float(phase.critical_rho(fan_in, gamma, share=share, exponent=exponent))
    if 0 < edge < 1:
        there = Joint(fan_in=fan_in, gamma=gamma, rho=edge, share=share)
        assert float(phase.exponent(there)) == pytest.approx(exponent, abs=1e-9)


@pytest.mark.parametrize(
    ("fan_in", "gamma", "exponents"),
    [
        (3, 1.0, (0.369, 0.338, 0.273, 0.203)),
        (3, 0.9, (0.273, 0.242, 0.177, 0.107)),
        (3, 0.8, (0.166, 0.135, 0.070, 0.0)),
        (5, 1.0, (0.391, 0.361, 0.297, 0.225)),
        (5, 0.9, (0.325, 0.295, 0.231, 0.160)),
        (5, 0.8, (0.252, 0.222, 0.158, 0.087)),
    ],
)
def test_exponents_of_b_3(fan_in: int, gamma: float, exponents: tuple[float, ...]) -> None:
    """B.3: s for rho = 0, .1, .3, .5; it is below 1/2 always, and .410 for b = 9."""
    found = phase.exponent(Joint(fan_in=fan_in, gamma=gamma, rho=np.array([0.0, 0.1, 0.3, 0.5])))
    assert found == pytest.approx(exponents, abs=6e-4)
    assert float(phase.exponent(Joint(fan_in=9))) == pytest.approx(0.410, abs=5e-4)
    assert phase.exponent(Joint(fan_in=np.arange(3, 2001, 2))).max() < 0.5


@pytest.mark.parametrize(
    ("fan_in", "levels", "gamma", "rho", "mu0", "after", "before"),
    [
        (3, 6, 1.0, 0.1, 0.05, 0.4383, 0.4383),
        (3, 6, 0.8, 0.1, 0.3, 0.5880, 0.6245),
        (5, 4, 0.9, 0.3, 0.05, 0.2178, 0.2356),
        (5, 4, 0.6, 0.5, 0.3, 0.1600, 0.2915),
        (7, 3, 0.9, 0.2, 0.1, 0.4923, 0.5081),
    ],
)
def test_recursions_of_b_2(
    fan_in: int, levels: int, gamma: float, rho: float, mu0: float, after: float, before: float
) -> None:
    """B.2: the recursion's five values, with sharing after and before the channel."""
    for share, value in zip(SHARES, (after, before), strict=True):
        which = Joint(fan_in=fan_in, gamma=gamma, rho=rho, share=share)
        assert float(depth.bias_by_depth(mu0, which, levels)[-1]) == pytest.approx(value, abs=6e-5)


@pytest.mark.parametrize(
    ("rho", "gain", "goal", "tenth", "thirtieth"),
    [
        (0.0, 1.1250, 0.699, 0.1590, 0.6584),
        (0.15, 1.0463, 0.454, 0.0779, 0.1799),
        (0.2, 1.0200, 0.306, 0.0606, 0.0880),
        (0.3, 0.9675, 0.0, 0.0358, 0.0184),
        (0.4, 0.9150, 0.0, 0.0205, 0.0035),
        (0.5, 0.8625, 0.0, 0.0114, 0.0006),
    ],
)
def test_validation_values_of_b_7(rho: float, gain: float, goal: float, tenth: float, thirtieth: float) -> None:
    """B.7: b = 5, gamma = .6, mu0 = .05; alpha = 1.125 - .525 rho."""
    which = Joint(fan_in=5, gamma=0.6, rho=rho)
    assert float(joint.alpha(which)) == pytest.approx(gain, abs=6e-5)
    assert float(joint.alpha(which)) == pytest.approx(1.125 - 0.525 * rho)
    assert float(phase.fixed_point(which)) == pytest.approx(goal, abs=6e-4)
    levels = depth.bias_by_depth(0.05, which, 30)
    assert levels[[10, 30]] == pytest.approx([tenth, thirtieth], abs=6e-5)


@pytest.mark.parametrize(
    ("given_", "gain", "goal", "slope", "growth", "least", "estimate"),
    [
        ((3, 0.9, 0.1, 0.05), 1.305, 0.9642, 0.390, 11.1, 13, 13.6),
        ((3, 0.8, 0.1, 0.05), 1.160, 0.8333, 0.680, 19.0, 23, 24.9),
        ((5, 0.9, 0.3, 0.05), 1.451, 0.9527, 0.353, 7.9, 10, 10.1),
        ((5, 0.8, 0.2, 0.02), 1.360, 0.9154, 0.418, 12.4, 15, 15.1),
        ((7, 0.9, 0.2, 0.05), 1.755, 0.9748, 0.199, 5.3, 7, 6.7),
        ((5, 0.6, 0.2, 0.05), 1.020, 0.3058, 0.960, 91.4, 127, 148.5),
    ],
)
def test_depths_of_b_5(
    given_: tuple[int, float, float, float],
    gain: float,
    goal: float,
    slope: float,
    growth: float,
    least: int,
    estimate: float,
) -> None:
    """B.5: alpha, mu*, lambda, L_grow, the least L with mu_L >= .9 mu*, its estimate; N_mix = (mu*/mu0)^(1/s)."""
    fan_in, gamma, rho, mu0 = given_
    which = Joint(fan_in=fan_in, gamma=gamma, rho=rho)
    found = float(phase.fixed_point(which))
    assert float(joint.alpha(which)) == pytest.approx(gain, abs=6e-4)
    assert found == pytest.approx(goal, abs=6e-5)
    assert float(joint.step_slope(found, which)) == pytest.approx(slope, abs=6e-4)
    assert float(depth.growth_depth(mu0, which)) == pytest.approx(growth, abs=0.06)
    assert float(depth.mixing_depth(mu0, which)) == least
    assert float(depth.mixing_depth_estimate(mu0, which)) == pytest.approx(estimate, abs=0.06)
    leaves = (found / mu0) ** (1 / float(phase.exponent(which)))
    assert float(depth.leaves_worth_buying(mu0, which)) == pytest.approx(leaves)


def test_leaves_of_b_5() -> None:
    """B.5: the first row needs 2e5 leaves."""
    leaves = float(depth.leaves_worth_buying(0.05, Joint(fan_in=3, gamma=0.9, rho=0.1)))
    assert leaves == pytest.approx(2e5, rel=0.02)


def test_depths_of_a_collapse_and_of_a_strong_leaf() -> None:
    """Where nothing grows no depth is enough; a leaf within a tenth of mu* needs none, one above comes down to it."""
    dead, alive = Joint(fan_in=5, gamma=0.5), Joint(fan_in=5, gamma=0.6)
    assert np.isnan(
        [depth.growth_depth(0.1, dead), depth.mixing_depth(0.1, dead), depth.mixing_depth(0.0, alive)]
    ).all()
    assert depth.mixing_depth(0.7, alive) == depth.growth_depth(0.7, alive) == 0
    assert depth.mixing_depth(1.0, alive) > 0
    assert np.isinf(depth.growth_depth(0.0, alive))


@given(which=joints(), mu0=unit, levels=st.integers(0, 60), share=st.floats(0.01, 1))
def test_the_bounds_hold(which: Joint, mu0: float, levels: int, share: float) -> None:
    """B.5: the recursion lies between the conservative predictor, at any clip, and the clipped one."""
    bias = float(depth.bias_by_depth(mu0, which, levels)[-1])
    assert bias <= float(depth.upper_bias(mu0, which, levels)) * (1 + 1e-12) + 1e-15
    goal = float(np.nan_to_num(phase.fixed_point(which)))
    best = float(depth.lower_bias(mu0, which, levels))
    assert best <= bias * (1 + 1e-12) + 1e-15
    if goal * share > 0:
        one = float(depth.lower_bias(mu0, which, levels, clip=goal * share))
        assert one <= bias * (1 + 1e-12) + 1e-15
        assert one <= best * (1 + 1e-9) + 1e-15


@given(which=joints(), mu0=unit, levels=st.integers(0, 60))
def test_a_bias_stays_between_its_leaf_and_the_fixed_point(which: Joint, mu0: float, levels: int) -> None:
    """B.1: aggregation raises what is below mu*, lowers what is above, and never passes it."""
    goal = float(phase.fixed_point(which))
    assume(not np.isnan(goal))
    path = depth.bias_by_depth(mu0, which, levels)
    low, high = sorted((mu0, goal))
    assert ((path >= low - 1e-9) & (path <= high + 1e-9)).all()


@given(which=joints(), share=st.floats(0.01, 0.99))
def test_the_safe_exponent_is_smaller(which: Joint, share: float) -> None:
    """B.5: s_c < s, so that s_c > beta is the safer test."""
    goal = float(np.nan_to_num(phase.fixed_point(which)))
    assume(goal * share > 1e-6)
    assert depth.safe_exponent(goal * share, which) <= phase.exponent(which) + 1e-12


@pytest.mark.parametrize(
    ("fan_in", "rho", "mixture", "measured"),
    [(3, 0.3, 1.350, 1.189), (5, 0.3, 1.613, 1.267), (5, 0.5, 1.438, 1.112), (7, 0.3, 1.831, 1.310)]
    + [(9, 0.3, 2.023, 1.337)],
)
def test_gains_of_b_8(fan_in: int, rho: float, mixture: float, measured: float) -> None:
    """B.8.4: the mixture's gain at rho; a measured (beta-binomial) gain acts like a larger rho."""
    assert float(joint.alpha(Joint(fan_in=fan_in, rho=rho))) == pytest.approx(mixture, abs=6e-4)
    like = float(joint.equivalent_rho(measured, fan_in))
    assert like > rho
    assert float(joint.alpha(Joint(fan_in=fan_in, rho=like))) == pytest.approx(measured)


def test_the_grid_is_its_points() -> None:
    """A grid, cut into blocks or not, is what single points say; its regimes are those of a budget without end."""
    columns, rows = np.linspace(0.3, 1.0, 700), np.linspace(0.0, 1.0, 200)
    grid = phase.phase_grid(5, columns, rows, beta=0.15)
    for row, column in ((0, 0), (17, 400), (99, 699), (150, 620), (199, 699)):
        one = Joint(fan_in=5, gamma=float(columns[column]), rho=float(rows[row]))
        assert grid.alpha[row, column] == joint.alpha(one)
        assert grid.exponent[row, column] == pytest.approx(float(phase.exponent(one)))
        assert grid.fixed_point[row, column] == pytest.approx(float(phase.fixed_point(one)), rel=1e-12, nan_ok=True)
    assert set(np.unique(grid.regime)) == {phase.COLLAPSE, phase.SATURATION, phase.SYNERGY}
    assert (grid.regime[:-1, -1] != phase.COLLAPSE).all()
    assert phase.UNSURE in phase.phase_grid(5, columns[-2:], rows[:2]).regime


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        (lambda: Joint(fan_in=2), "fan_in: must be from 3 to 1,000,000, got 2"),
        (lambda: Joint(fan_in=3, gamma=0.0), "gamma: must be above 0 and at most 1, got 0"),
        (lambda: Joint(fan_in=3, gamma=float("nan")), "gamma: must be above 0 and at most 1, got nan"),
        (lambda: Joint(fan_in=3, rho=np.array([0.1, 1.2])), "rho: must be from 0 to 1, got 1.2"),
        (lambda: depth.bias_by_depth(1.5, Joint(fan_in=3), 2), "mu0: must be from 0 to 1, got 1.5"),
        (lambda: depth.bias_by_depth(0.5, Joint(fan_in=3), -1), "depth: must be from 0 to 10,000, got -1"),
    ],
)
def test_values_outside_are_refused(refused: object, field: str) -> None:
    """A value outside its domain is refused by its name, with the range."""
    assert callable(refused)
    with pytest.raises(InputError) as caught:
        refused()
    assert str(caught.value) == field
