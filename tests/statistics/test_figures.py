"""Figures of a report: scores over repeats, tokens, cost per success, E^3, rare successes and confidences."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.budget.skill import skill_of
from orchestra_agents.errors import InputError
from orchestra_evals.statistics.confidences import confidence_figures
from orchestra_evals.statistics.efficiency import cost_per_success, e_cubed, tokens_per_success
from orchestra_evals.statistics.figures import figures_of, majority_score
from orchestra_evals.statistics.rare import rare_rate
from orchestra_evals.statistics.runs import Repeats, Run, scores_of
from tests.statistics.making import repeats, rng

tables = st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=5), min_size=1, max_size=20)


def run(answer: str | None, score: float = 0.0) -> Run:
    return Run(answer=answer, score=score)


@given(tables)
@settings(max_examples=40)
def test_worst_average_and_best_are_in_order(table: list[list[float]]) -> None:
    """Worst-of-n is at most the average, which is at most best-of-n; each holds its value in its interval."""
    found = figures_of(repeats(table), rng=rng())
    assert found.worst_of_n is not None
    assert found.average is not None
    assert found.best_of_n is not None
    assert found.worst_of_n.value - 1e-9 <= found.average.value <= found.best_of_n.value + 1e-9
    assert found.average.value == pytest.approx(np.mean([np.mean(row) for row in table]))
    for each in (found.worst_of_n, found.average, found.best_of_n):
        assert 0 <= each.low <= each.value <= each.high <= 1


def test_every_figure_by_hand() -> None:
    """Three samples, one of which the infrastructure lost."""
    samples = [
        Repeats(
            sample="a",
            runs=tuple(
                Run(score=s, answer=a, output_tokens=t) for s, a, t in [(1, "x", 10), (0, "y", 20), (1, "x", 30)]
            ),
        ),
        Repeats(sample="b", runs=(Run(score=0.5, answer="z", output_tokens=40),)),
        Repeats(sample="c", runs=()),
    ]
    found = figures_of(samples, rng=rng())
    assert (found.samples, found.lost, found.fewest_runs, found.most_runs) == (2, 1, 1, 3)
    assert found.average is not None
    assert found.worst_of_n is not None
    assert found.majority is not None
    assert found.best_of_n is not None
    means = (found.average.value, found.worst_of_n.value, found.majority.value, found.best_of_n.value)
    assert means == pytest.approx(((2 / 3 + 0.5) / 2, 0.25, 0.75, 0.75))
    assert found.output_tokens is not None
    assert found.output_tokens.mean == 30
    assert found.output_tokens.sd_within == pytest.approx(10)
    assert found.output_tokens.sd_between == pytest.approx(sqrt(200))
    assert scores_of(samples)[0].score == pytest.approx(2 / 3)


def test_nothing_measured_has_no_figures() -> None:
    """Samples that were all lost are counted and give no figure; runs without answers give no majority."""
    found = figures_of([Repeats(sample="a", runs=())], rng=rng())
    assert (found.samples, found.lost, found.average, found.majority, found.output_tokens) == (0, 1, None, None, None)
    single = figures_of(repeats([[1]]), rng=rng())
    assert single.majority is None
    assert single.output_tokens is not None
    assert (single.output_tokens.sd_within, single.output_tokens.sd_between) == (None, None)


def test_the_majority_of_equals_is_the_first_seen() -> None:
    """Ties go to the answer seen first; a run without an answer has no vote."""
    assert majority_score([run("a", 1), run("b"), run("b"), run("a", 1)]) == 1
    assert majority_score([run(None), run(None), run("b", 0.5)]) == 0.5
    assert majority_score([run(None, 1)]) == 0


def test_impossible_runs_are_refused() -> None:
    """Scores and confidences are from 0 to 1, and nothing costs less than nothing; a sample comes once."""
    for wrong in (
        {"score": 2},
        {"score": 1, "confidence": 1.5},
        {"score": 1, "output_tokens": -1},
        {"score": 1, "cost_usd": -1},
    ):
        with pytest.raises(InputError):
            Run(**wrong)
    with pytest.raises(InputError, match="twice"):
        figures_of(repeats([[1]]) * 2, rng=rng())


def spending(right: int, wrong: int, cost: float | None = 0.01) -> list[Repeats]:
    runs = [Run(score=1, input_tokens=60, output_tokens=40, cost_usd=cost)] * right
    runs += [Run(score=0, input_tokens=150, output_tokens=50, cost_usd=cost)] * wrong
    return [Repeats(sample=f"s{place}", runs=(one,)) for place, one in enumerate(runs)]


@pytest.mark.parametrize(("right", "wrong"), [(60, 60), (9, 1)])
def test_what_a_success_costs(right: int, wrong: int) -> None:
    """Tokens and dollars of all runs over the successes; the intervals hold them."""
    samples, total = spending(right, wrong), right + wrong
    tokens, cost = tokens_per_success(samples, rng=rng()), cost_per_success(samples, rng=rng())
    cubed = e_cubed(samples, rng=rng())
    assert tokens is not None
    assert cost is not None
    assert cubed is not None
    assert tokens.value == pytest.approx((100 * right + 200 * wrong) / right)
    assert cost.value == pytest.approx(0.01 * total / right)
    assert cubed.value == pytest.approx((right / total) ** 2 / ((40 * right + 50 * wrong) / total))
    for each in (tokens, cost, cubed):
        assert 0 < each.low < each.value < each.high


def test_no_success_and_no_price_have_no_ratio() -> None:
    """Nothing was bought, or nobody knows for how much, or nothing was measured."""
    assert tokens_per_success(spending(0, 5), rng=rng()) is None
    assert cost_per_success(spending(3, 5, cost=None), rng=rng()) is None
    assert cost_per_success([*spending(3, 0), Repeats(sample="x", runs=(Run(score=1),))], rng=rng()) is None
    assert e_cubed([], rng=rng()) is None
    assert e_cubed(repeats([[1]]), rng=rng()) is None


def test_e_cubed_takes_accuracy_as_a_fraction() -> None:
    """Accuracy .8 with 400 tokens is .0016 per token; a percentage would make it ten thousand times as much."""
    found = e_cubed(repeats([[1]] * 80 + [[0]] * 20, tokens=400), rng=rng())
    assert found is not None
    assert found.value == pytest.approx(0.0016)


def test_rare_rates_are_unbiased() -> None:
    """Over 20,000 searches that end with the fifth success, the mean of (r - 1)/(n - 1) is the rate."""
    attempts = 5 + rng(1).negative_binomial(5, 0.02, size=20_000)
    assert float(np.mean(4 / (attempts - 1))) == pytest.approx(0.02, rel=0.02)
    assert rare_rate(5, 201).value == pytest.approx(0.02)
    for successes, trials in ((1, 10), (3, 2)):
        with pytest.raises(InputError):
            rare_rate(successes, trials)


@pytest.mark.parametrize("rate", [0.005, 0.1, 0.6])
def test_rare_rates_are_covered(rate: float) -> None:
    """Exact intervals hold the rate in at least 95 % of searches, within the error of 1,000."""
    attempts = 3 + rng(2).negative_binomial(3, rate, size=1000)
    assert sum(rare_rate(3, int(each)).covers(rate) for each in attempts) >= 930
    assert rare_rate(4, 4).high == 1


def test_confidences_are_judged_by_the_budget_models_figures() -> None:
    """Brier skill and ECE are those of `skill_of`; runs without a confidence are counted; the skill has an interval."""
    source = rng(5)
    confidences = source.random(300)
    right = source.random(300) < confidences
    samples = [
        Repeats(sample=f"s{place}", runs=(Run(score=float(one), confidence=float(c)), Run(score=0)))
        for place, (one, c) in enumerate(zip(right, confidences, strict=True))
    ]
    found = confidence_figures(samples, rng=rng())
    assert found is not None
    assert found.left_out == 300
    assert found.quality == skill_of(confidences, right)
    assert found.skill is not None
    assert found.skill.value == pytest.approx(found.quality.skill)
    assert found.skill.covers(1 / 3)
    assert confidence_figures(repeats([[1]]), rng=rng()) is None
    few = confidence_figures(samples[:20], rng=rng())
    assert few is not None
    assert few.skill is None
