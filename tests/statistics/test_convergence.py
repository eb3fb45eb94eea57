"""The convergence score: variances without noise, an interval that holds the truth, and the paper's bound."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from orchestra_agents.errors import InputError
from orchestra_evals.statistics.convergence import ConvergenceScore, convergence_bound, convergence_score
from tests.statistics.making import rng, scores

TOPOLOGIES_MATTER = np.array([[0.4, 0.45], [0.5, 0.55], [0.6, 0.6]])
MODELS_MATTER = np.array([[0.4, 0.6], [0.42, 0.6], [0.44, 0.6]])
EQUAL = np.full((4, 2), 0.5)


def measured(means: np.ndarray, samples: int, source: np.random.Generator) -> ConvergenceScore:
    """The score of systems with these probabilities to be right, on samples of other difficulty for all of them."""
    ease = source.normal(0, 0.15, size=samples)
    systems = {
        (f"topology {row}", f"model {column}"): scores(
            source.random(samples) < np.clip(means[row, column] + ease, 0, 1)
        )
        for row, column in np.ndindex(means.shape)
    }
    found = convergence_score(systems, rng=source)
    assert found is not None
    return found


def true_share(means: np.ndarray) -> float:
    by_topology, by_model = means.var(axis=0, ddof=1).mean(), means.var(axis=1, ddof=1).mean()
    return float(by_topology / (by_topology + by_model)) if by_topology + by_model else 0.5


@pytest.mark.parametrize(
    ("width", "coupling", "subtasks", "eps", "bound"), [(3.4, 0.35, 5, 0.05, 48.67), (3, 0.4, 6, 0.05, 24.0)]
)
def test_the_bound_has_the_values_of_the_notes(
    width: float, coupling: float, subtasks: float, eps: float, bound: float
) -> None:
    """(omega - 1)^2 (1 - gamma)^2 / (4 eps^2 k)."""
    found = convergence_bound(width=width, coupling=coupling, subtasks=subtasks, eps=eps)
    assert found == pytest.approx(bound, abs=0.005)


def test_the_bound_at_its_ends() -> None:
    """Equal models make it infinite, and a chain has none; a width below 1 is no width."""
    assert convergence_bound(width=2, coupling=0.5, subtasks=4, eps=0) == inf
    assert convergence_bound(width=1, coupling=0.5, subtasks=4, eps=0) == 0
    with pytest.raises(InputError, match="width"):
        convergence_bound(width=0.5, coupling=0.5, subtasks=4, eps=0.1)


def test_what_matters_is_told() -> None:
    """With 1,000 samples, topologies that differ have a ratio above 1 for certain, and models that differ one below."""
    topologies, models = (measured(means, 1000, rng(1)) for means in (TOPOLOGIES_MATTER, MODELS_MATTER))
    assert topologies.ratio.low > 1
    assert models.ratio.high < 1
    assert (models.topologies, models.models) == (3, 2)
    assert models.eps == pytest.approx(0.18, abs=0.04)
    assert models.over_models == pytest.approx(MODELS_MATTER.var(axis=1, ddof=1).mean(), rel=0.3)
    assert topologies.ratio.value == pytest.approx(topologies.over_topologies / topologies.over_models)


def test_equal_systems_tell_nothing() -> None:
    """Where all systems are the same runs the ratio may be anything, and so it may from fewer than 30 samples."""
    same = {(topology, model): scores([0, 1] * 40) for topology in "ab" for model in "cd"}
    found = convergence_score(same, rng=rng())
    assert found is not None
    assert (found.over_topologies, found.over_models, found.eps) == (0, 0, 0)
    assert (found.share.value, found.share.low, found.share.high, found.ratio.high) == (0.5, 0, 1, inf)
    few = measured(MODELS_MATTER, 20, rng(2))
    assert (few.share.low, few.share.high, few.share.basis) == (0, 1, "too few clusters")
    single = measured(MODELS_MATTER, 1, rng(2))
    assert (single.share.low, single.share.high) == (0, 1)


def test_exchanged_roles_turn_the_share_round() -> None:
    """Models called topologies and topologies called models have the other part of the variance."""
    drawn = rng(3)
    systems = {
        (t, m): scores(drawn.random(200) < p)
        for t, m, p in (("a", "c", 0.3), ("a", "d", 0.5), ("b", "c", 0.4), ("b", "d", 0.7))
    }
    one, other = (
        convergence_score(each, rng=rng()) for each in (systems, {(m, t): s for (t, m), s in systems.items()})
    )
    assert one is not None
    assert other is not None
    assert one.share.value == pytest.approx(1 - other.share.value)
    assert (one.over_topologies, one.over_models) == pytest.approx((other.over_models, other.over_topologies))


def test_every_topology_needs_every_model() -> None:
    """A missing pair is named, one model is not enough, and systems without a common sample have no score."""
    with pytest.raises(InputError, match="b with d is missing"):
        convergence_score({("a", "c"): [], ("a", "d"): [], ("b", "c"): []}, rng=rng())
    with pytest.raises(InputError, match="two or more"):
        convergence_score({("a", "c"): [], ("b", "c"): []}, rng=rng())
    assert convergence_score({(t, m): [] for t in "ab" for m in "cd"}, rng=rng()) is None


def covered(means: np.ndarray, samples: int, repetitions: int, seed: int) -> int:
    source, truth = rng(seed), true_share(means)
    return sum(measured(means, samples, source).share.covers(truth) for _ in range(repetitions))


def test_the_share_is_covered() -> None:
    """Of 20 intervals all but a few hold the true share."""
    assert covered(TOPOLOGIES_MATTER, samples=200, repetitions=20, seed=4) >= 16


@pytest.mark.nightly
@pytest.mark.parametrize("means", [TOPOLOGIES_MATTER, MODELS_MATTER, EQUAL], ids=["topologies", "models", "equal"])
def test_the_share_is_covered_in_the_long_run(means: np.ndarray) -> None:
    """At least 93 % of 300 intervals hold the true share."""
    assert covered(means, samples=200, repetitions=300, seed=5) >= 279
