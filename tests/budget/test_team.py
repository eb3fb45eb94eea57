"""The agent-scaling law: every figure of the study's re-fit, what it leaves open, and laws of one's own runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.budget.team import TeamLaw, fit, predict, published_law
from orchestra.budget.team_priors import ARCHITECTURES, TABLE_5, turns_of
from orchestra.budget.team_runs import TeamRun, published_runs, read_runs, single_accuracies
from orchestra.budget.team_terms import TERMS
from orchestra.budget.team_validation import selection
from orchestra_agents.errors import InputError

MEAN = 56.889
RUNS = published_runs()

# Section 5.2: name, b, mean and deviation of the raw column, and v2's 95 % interval where b is identified.
TABLE = [
    ("I-Ibar", 0.17053, 0, 9.5154, (0.070, 0.272)),
    ("(I-Ibar)^2", 0.00663, 90.5432, 77.2722, (-0.013, 0.026)),
    ("log(1+T)", 0.41086, 1.9052, 0.5547, (0.291, 0.531)),
    ("log(1+n)", 0.04166, 1.3369, 0.3370, None),
    ("P_SA", 0.31530, 0.4658, 0.1678, (0.185, 0.445)),
    ("log(1+O%)", 0.05662, 4.3111, 2.2713, None),
    ("c", -0.05972, 0.2080, 0.1797, None),
    ("R", 0.01168, 0.3700, 0.1874, None),
    ("Ec", -0.07066, 0.2052, 0.1405, None),
    ("log(1+Ae)", -0.04366, 1.8528, 0.7180, None),
    ("P_SA log(1+n)", -0.40426, 0.6228, 0.2859, (-0.557, -0.252)),
    ("Ec T", -0.26663, 1.4364, 1.6333, (-0.355, -0.178)),
    ("O% T", -0.16220, 1569.40, 1986.81, (-0.241, -0.083)),
    ("Ae T", -0.01898, 49.700, 60.7995, (-0.075, 0.037)),
    ("R n", 0.05855, 1.2840, 0.6566, None),
    ("(I-Ibar) Ec", -0.02240, 0, 2.3663, (-0.075, 0.030)),
    ("Ae P_SA", -0.06529, 3.3074, 3.0039, (-0.146, 0.015)),
    ("c (I-Ibar)", -0.01140, 0, 2.6156, (-0.057, 0.034)),
    ("(I-Ibar) log(1+T)", -0.06873, 0, 18.8813, (-0.138, 0.000)),
]

# T, P_SA, I and the accuracies of section 5.2, in the order of ARCHITECTURES.
VECTORS = [
    ((4, 0.57, None), (0.559, 0.241, 0.372, 0.318, 0.364)),
    ((5, 0.35, None), (0.425, 0.428, 0.516, 0.517, 0.555)),
    ((3, 0.318, MEAN), (0.250, 0.238, 0.315, 0.321, 0.383)),
    ((4, 0.57, 71), (0.685, 0.397, 0.516, 0.465, 0.527)),
    ((5, 0.35, 42), (0.340, 0.310, 0.411, 0.408, 0.431)),
]

points = st.tuples(st.sampled_from((3, 4, 5, 16, 7)), st.floats(0, 1), st.floats(42, 71))


def raw(law: TeamLaw, point: tuple[int, float, float]) -> list[float]:
    """Return the raw predictions of a law."""
    return [one.raw for one in law.predict(*point).predictions.values()]


def own_runs(families: Sequence[tuple[str, int]] = (("ours", 2), ("theirs", 6))) -> list[TeamRun]:
    """Return made-up runs of two families and three models, which know no intelligence."""
    rng = np.random.RandomState(1)
    return [
        TeamRun(family=family, architecture=name, model=model, tools=tools, accuracy=float(rng.uniform(0.2, 0.9)))
        for family, tools in families
        for model in ("a", "b", "c")
        for name in ARCHITECTURES
    ]


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_coefficients_of_the_study(row: tuple[str, float, float, float, tuple[float, float] | None]) -> None:
    """Each coefficient, mean and deviation of section 5.2 to its digits; intervals b +- 1.96 SE where identified."""
    name, b, mean, deviation, interval = row
    found = next(one for one in published_law().coefficients if one.name == name)
    assert found.value == pytest.approx(b, abs=6e-6)
    assert found.centre == pytest.approx(mean, rel=1e-4, abs=6e-5)
    assert found.scale == pytest.approx(deviation, rel=1e-4, abs=6e-5)
    assert (found.standard_error is None) == (interval is None)
    if found.standard_error is not None and interval is not None:
        ends = (b - 1.96 * found.standard_error, b + 1.96 * found.standard_error)
        assert ends == pytest.approx(interval, abs=1.2e-3)


def test_goodness_of_the_fit() -> None:
    """The re-fit's figures of section 5.2, and the seven columns that take five values and are not identified."""
    law = published_law()
    assert (law.runs, law.rank, len(law.coefficients) + 1) == (180, 17, 20)
    assert law.architectures == ARCHITECTURES
    assert law.intercept == pytest.approx(0.45278, abs=6e-6)
    assert law.mean_intelligence == pytest.approx(MEAN, abs=5e-4)
    assert law.r2 == pytest.approx(0.6132, abs=5e-5)
    assert law.aic == pytest.approx(-201.2, abs=0.05)
    assert law.mean_error == pytest.approx(0.103, abs=5e-4)
    assert law.root_mean_square_error == pytest.approx(0.126, abs=5e-4)
    assert law.sigma == pytest.approx(0.132, abs=5e-4)
    assert set(law.not_identified) == {"log(1+n)", "log(1+O%)", "c", "R", "Ec", "log(1+Ae)", "R n"}


def test_validation_of_the_study() -> None:
    """Shuffled folds look good because they know every benchmark; a benchmark left out is worse than its own mean."""
    law = published_law()
    assert law.cross_validation is not None
    assert law.cross_validation.r2 == pytest.approx(0.534, abs=5e-4)
    assert law.cross_validation.r2_deviation == pytest.approx(0.087, abs=5e-4)
    assert law.left_out is not None
    scores = {one.family: one.r2 for one in law.left_out.families}
    assert scores == {
        "PlanCraft": pytest.approx(-0.11, abs=0.005),
        "Finance-Agent": pytest.approx(-0.29, abs=0.005),
        "BrowseComp-Plus": pytest.approx(-1.03, abs=0.005),
        "Workbench": pytest.approx(-163, abs=0.5),
    }
    picked = law.left_out.selection
    assert picked is not None
    assert picked.cells == 36
    assert (picked.exact, picked.near, picked.regret) == pytest.approx((0.36, 0.61, 0.065), abs=0.005)


def test_selection_of_the_study() -> None:
    """In sample the arg-max is right in half of the 36 cells and near-optimal in 83 to 86 % (section 6)."""
    picked = selection(RUNS, published_law().fitted)
    assert picked is not None
    assert (picked.cells, picked.exact) == (36, 0.5)
    assert 0.83 <= picked.near <= 0.865
    assert 0.78 <= picked.single_or_team <= 0.81
    assert 0.022 <= picked.regret <= 0.031


def test_selection_by_what_a_user_knows() -> None:
    """A user's single accuracy is the model's own, for one agent too: 47 % exact, 81 % within .05 (section 6)."""
    law, solo = published_law(), {(run.family, run.model): run.accuracy for run in RUNS if run.architecture == "solo"}
    told = {key: law.predict(_tools(key[0]), own, _index(key[1])).predictions for key, own in solo.items()}
    expected = np.array([told[run.family, run.model][run.architecture].raw for run in RUNS])
    picked = selection(RUNS, expected)
    assert picked is not None
    assert (picked.exact, picked.near, picked.single_or_team) == pytest.approx((0.47, 0.81, 0.69), abs=0.006)
    assert picked.regret == pytest.approx(0.039, abs=5e-4)


def _tools(family: str) -> int:
    return next(run.tools for run in RUNS if run.family == family)


def _index(model: str) -> float | None:
    return next(run.intelligence for run in RUNS if run.model == model)


@pytest.mark.parametrize(("setting", "accuracies"), VECTORS)
def test_vectors_of_the_study(setting: tuple[int, float, float | None], accuracies: tuple[float, ...]) -> None:
    """The predictions of section 5.2 within .002, and the architecture that it prints in bold as the best."""
    forecast = predict(*setting)
    assert tuple(forecast.predictions) == ARCHITECTURES
    assert [one.accuracy for one in forecast.predictions.values()] == pytest.approx(accuracies, abs=0.002)
    assert forecast.best == ARCHITECTURES[int(np.argmax(accuracies))]
    assert forecast.near_best[0] == forecast.best
    assert set(forecast.near_best) == {
        name
        for name, one in forecast.predictions.items()
        if one.accuracy >= forecast.predictions[forecast.best].accuracy - 0.05
    }
    assert (forecast.extrapolated, forecast.outside) == (False, ())
    assert forecast.is_intelligence_assumed == (setting[2] is None)
    assert forecast.left_out is published_law().left_out


@pytest.mark.parametrize(("tools", "crossing"), [(3, 0.414), (4, 0.429), (5, 0.444), (16, 0.733)])
def test_where_one_agent_overtakes_teams(tools: int, crossing: float) -> None:
    """One agent's curve crosses the best team's at the single accuracies of section 6, not at a constant .45."""

    def lead(single: float) -> float:
        solo, *teams = (one.raw for one in predict(tools, single).predictions.values())
        return solo - max(teams)

    assert lead(crossing - 6e-4) < 0 < lead(crossing + 6e-4)


def test_intervals_are_of_a_new_run() -> None:
    """Half a width is t sigma sqrt(1 + leverage): a little above 1.97 * .132, growing away from the data."""
    one = predict(4, 0.57).predictions["solo"]
    assert one.raw_high - one.raw == pytest.approx(1.9746 * np.hypot(0.13229, 0.04485), abs=1e-4)
    covered = [
        abs(run.accuracy - expected) <= 0.262 for run, expected in zip(RUNS, published_law().fitted, strict=True)
    ]
    assert 0.92 <= np.mean(covered) <= 0.99
    far = predict(1000, 0.57).predictions["solo"]
    assert far.raw_high - far.raw > 10


def test_an_impossible_figure_is_no_certainty() -> None:
    """A thousand tools give raw accuracies and intervals far outside [0, 1]: clipped, and any accuracy is possible."""
    for one in predict(1000, 0.57).predictions.values():
        assert one.raw_high < 0 or one.raw_low > 1
        assert one.accuracy in (0, 1)
        assert (one.low, one.high) == (0, 1)


@pytest.mark.parametrize(
    ("setting", "reasons"),
    [
        ((7, 0.5, None), ("tools 7 is none of 3, 4, 5, 16",)),
        ((4, 0.2, None), ("single accuracy 0.2 is outside 0.38 to 0.768 (PlanCraft, 4 tools)",)),
        ((5, 0.3, 75), ("intelligence 75 is outside 42 to 71 (Finance-Agent, 5 tools)",)),
        (
            (0, 0.9, 20),
            (
                "tools 0 is none of 3, 4, 5, 16",
                "single accuracy 0.9 is outside 0.1 to 0.768",
                "intelligence 20 is outside 42 to 71",
            ),
        ),
    ],
)
def test_outside_the_data(setting: tuple[int, float, float | None], reasons: tuple[str, ...]) -> None:
    """Outside what a benchmark spans the forecast is extrapolated and says in which respects."""
    forecast = predict(*setting)
    assert (forecast.extrapolated, forecast.outside) == (True, reasons)
    best = forecast.predictions[forecast.best]
    overlapping = {name for name, one in forecast.predictions.items() if one.raw_high >= best.raw_low}
    assert overlapping <= set(forecast.near_best)


@given(tools=st.integers(0, 1000), single=st.floats(0, 1), index=st.floats(0, 100))
def test_best_never_stands_alone_outside(tools: int, single: float, index: float) -> None:
    """Whatever is asked, the best has the highest figure, and company if extrapolated; intervals hold accuracies."""
    forecast = predict(tools, single, index)
    best = forecast.predictions[forecast.best]
    assert best.raw == max(one.raw for one in forecast.predictions.values())
    assert forecast.near_best[0] == forecast.best
    assert len(forecast.near_best) >= 1 + forecast.extrapolated
    assert forecast.extrapolated == bool(forecast.outside)
    for one in forecast.predictions.values():
        assert 0 <= one.low <= one.accuracy <= one.high <= 1
        assert one.raw_low < one.raw < one.raw_high
        assert one.is_identified


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), point=points)
def test_the_order_of_runs_does_not_matter(seed: int, point: tuple[int, float, float]) -> None:
    """Permuted runs give the same predictions, errors and left-out figures; only shuffled folds depend on the order."""
    permuted = fit([RUNS[place] for place in np.random.RandomState(seed).permutation(len(RUNS))])
    assert raw(permuted, point) == pytest.approx(raw(published_law(), point), abs=1e-8)
    assert permuted.sigma == pytest.approx(published_law().sigma)
    assert permuted.not_identified == published_law().not_identified
    picked, once = (law.left_out.selection for law in (permuted, published_law()) if law.left_out is not None)
    assert picked is not None
    assert once is not None
    assert (picked.exact, picked.near, picked.single_or_team) == (once.exact, once.near, once.single_or_team)
    assert picked.regret == pytest.approx(once.regret)


@settings(max_examples=25)
@given(again=st.lists(st.sampled_from(TERMS), min_size=1, max_size=5), point=points)
def test_a_column_said_twice_changes_nothing(again: list[Any], point: tuple[int, float, float]) -> None:
    """Exact duplicates of columns leave rank, predictions and intervals as they are: of many solutions, one law."""
    twice, once = fit(RUNS, terms=(*TERMS, *again)), published_law()
    assert twice.rank == once.rank
    assert raw(twice, point) == pytest.approx(raw(once, point), abs=1e-8)
    wide, narrow = (law.predict(*point).predictions["peers"].raw_high for law in (twice, once))
    assert wide == pytest.approx(narrow, abs=1e-8)
    assert twice.aic == pytest.approx(once.aic)
    assert {term.name for term in again} <= set(twice.not_identified)


def test_table_5_hangs_together() -> None:
    """Overhead and efficiency are what turns and success make of them (section 3)."""
    solo = TABLE_5["solo"]
    for prior in TABLE_5.values():
        assert prior.overhead_percent == pytest.approx((prior.turns / solo.turns - 1) * 100, abs=0.5)
        assert prior.efficiency == pytest.approx(prior.success / (prior.turns / solo.turns), abs=1e-3)
    assert [prior.agents for prior in TABLE_5.values()] == [1, 3, 3, 4, 4]
    assert [prior.amplification for prior in TABLE_5.values()] == [1.0, 17.2, 7.8, 4.4, 5.1]


@pytest.mark.parametrize(("agents", "turns"), [(1, 5.5), (3, 23.6), (4, 36.4), (6, 68.6), (9, 131.9), (10, 156.7)])
def test_turn_law(agents: int, turns: float) -> None:
    """T = 2.72 (n + .5)^1.724 (section 3)."""
    assert turns_of(agents) == pytest.approx(turns, abs=0.1)
    with pytest.raises(InputError, match="agents: must be an integer of at least 1, got 0"):
        turns_of(0)


@pytest.mark.parametrize(
    ("name", "success", "mean_ratio", "pooled_ratio"),
    [
        ("independent", 0.370, 1.30, 1.18),
        ("decentralized", 0.488, 1.05, 0.96),
        ("centralized", 0.463, 1.11, 1.01),
        ("peers", 0.477, 1.07, 0.98),
    ],
)
def test_failures_in_the_data(name: str, success: float, mean_ratio: float, pooled_ratio: float) -> None:
    """Task-level failure ratios from the CSV (section 3), which are not table 5's amplification of tokens."""
    solo = {(run.family, run.model): run.accuracy for run in RUNS if run.architecture == "solo"}
    pairs = [(1 - run.accuracy, 1 - solo[run.family, run.model]) for run in RUNS if run.architecture == name]
    assert len(pairs) == 36
    assert np.mean([1 - team for team, _ in pairs]) == pytest.approx(success, abs=6e-4)
    assert np.mean([team / one for team, one in pairs]) == pytest.approx(mean_ratio, abs=0.006)
    assert sum(team for team, _ in pairs) / sum(one for _, one in pairs) == pytest.approx(pooled_ratio, abs=0.006)


def test_means_by_benchmark() -> None:
    """The published mean successes of section 4 come out of the shipped file."""
    means = {
        (family, name): np.mean([run.accuracy for run in RUNS if (run.family, run.architecture) == (family, name)])
        for family in ("BrowseComp-Plus", "Finance-Agent", "PlanCraft", "Workbench")
        for name in ARCHITECTURES
    }
    told = [0.318, 0.206, 0.347, 0.318, 0.336, 0.349, 0.547, 0.609, 0.631, 0.604]
    told += [0.568, 0.170, 0.333, 0.282, 0.346, 0.629, 0.557, 0.664, 0.621, 0.621]
    assert list(means.values()) == pytest.approx(told, abs=6e-4)


def test_runs_of_ones_own() -> None:
    """A user's runs are fitted as they are: no index, two families, repeated runs; what they leave open is told."""
    runs = own_runs()
    law = fit([*runs, replace(runs[0], accuracy=0.5)])
    assert (law.runs, law.mean_intelligence, law.architectures) == (31, None, ARCHITECTURES)
    assert {"I-Ibar", "(I-Ibar) log(1+T)"} <= set(law.not_identified)
    assert law.left_out is not None
    assert [one.family for one in law.left_out.families] == ["ours", "theirs"]
    forecast = law.predict(2, 0.5)
    assert (forecast.intelligence, forecast.is_intelligence_assumed) == (None, False)
    assert all(one.is_identified for one in forecast.predictions.values())
    with pytest.raises(InputError, match="intelligence: must be left out: no fitted run has one"):
        law.predict(2, 0.5, 50)


def test_one_family_says_nothing_about_other_tools() -> None:
    """Runs of one family have no error for a new one, and a number of tools they do not have is not identified."""
    law = fit(own_runs([("ours", 2)]))
    assert law.left_out is None
    assert law.predict(2, 0.5).predictions["peers"].is_identified
    far = law.predict(3, 0.5)
    assert far.extrapolated
    assert (far.predictions["peers"].is_identified, far.predictions["peers"].raw_high) == (False, float("inf"))
    assert set(far.near_best) == set(ARCHITECTURES)


def test_an_architecture_without_runs_is_not_predicted() -> None:
    """A law speaks only of what was measured; with few runs there are no folds."""
    runs = [run for run in own_runs() if run.architecture in ("solo", "peers")][:9]
    law = fit(runs)
    assert tuple(law.predict(2, 0.5).predictions) == ("solo", "peers")
    assert law.cross_validation is None


def test_single_accuracies_are_derived() -> None:
    """A team's is the mean of its model's solo runs; a solo run has its family's mean; a given one stands."""
    runs = [
        TeamRun(family="f", architecture="solo", model="a", tools=1, accuracy=0.2),
        TeamRun(family="f", architecture="solo", model="a", tools=1, accuracy=0.4),
        TeamRun(family="f", architecture="solo", model="b", tools=1, accuracy=0.9),
        TeamRun(family="f", architecture="peers", model="a", tools=1, accuracy=0.1),
        TeamRun(family="g", architecture="peers", model="a", tools=1, accuracy=0.1, single_accuracy=0.7),
    ]
    assert single_accuracies(runs) == pytest.approx([0.5, 0.5, 0.5, 0.3, 0.7])


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (lambda run: replace(run, accuracy=1.2), "runs[3].accuracy: must be a number from 0 to 1, got 1.2"),
        (lambda run: replace(run, accuracy=float("nan")), "runs[3].accuracy: must be a number from 0 to 1, got nan"),
        (lambda run: replace(run, tools=2.5), "runs[3].tools: must be an integer from 0 to 1000, got 2.5"),
        (lambda run: replace(run, intelligence=-1), "runs[3].intelligence: must be a number from 0 to 100, got -1"),
        (lambda run: replace(run, single_accuracy=2), "runs[3].single_accuracy: must be a number from 0 to 1, got 2"),
        (
            lambda run: replace(run, architecture="hybrid"),
            "runs[3].architecture: must be one of solo, independent, decentralized, centralized, peers, got 'hybrid'",
        ),
        (
            lambda run: replace(run, model="z"),
            "runs[3].single_accuracy: must be given, as there is no solo run of model 'z' on 'ours'",
        ),
    ],
)
def test_a_bad_run_is_refused(spoil: Callable[[TeamRun], TeamRun], refusal: str) -> None:
    """One sentence says which run, which value and what is allowed."""
    runs = own_runs()
    runs[3] = spoil(runs[3])
    with pytest.raises(InputError) as refused:
        fit(runs)
    assert str(refused.value) == refusal


@pytest.mark.parametrize(
    ("runs", "refusal"),
    [
        ([], "runs: must be of at least two architectures, got no run"),
        (own_runs()[:1], "runs: must be of at least two architectures, got solo"),
        (own_runs()[:5], "runs: must be more than the 5 coefficients they determine, got 5"),
        ([replace(run, accuracy=0.5) for run in own_runs()], "runs: must differ in accuracy, got 0.5 in all 30"),
    ],
)
def test_too_little_to_fit_is_refused(runs: list[TeamRun], refusal: str) -> None:
    """Runs that determine nothing are refused with what is missing."""
    with pytest.raises(InputError) as refused:
        fit(runs)
    assert str(refused.value) == refusal


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    """A CSV file is read with our names or the study's, and without an index; a bad line is named."""
    path = tmp_path / "runs.csv"
    lines = ["benchmark,architecture,model,tools,accuracy,single_accuracy", "x,SAS,m,2,0.5,", "x,Hybrid,m,2,0.6,0.4"]
    path.write_text("\n".join([*lines, "x,peers,m,2,0.7,"]), encoding="utf-8")
    runs = read_runs(path)
    assert [(run.architecture, run.single_accuracy) for run in runs] == [
        ("solo", None),
        ("peers", 0.4),
        ("peers", None),
    ]
    assert {run.intelligence for run in runs} == {None}
    for line, refusal in (
        ("x,SAS,m,2,much,", f"{path}, line 2.accuracy: must be a number, got 'much'"),
        ("x,SAS,m,,0.5,", f"{path}, line 2.tools: must be an integer, got ''"),
        ("x,SAS,m", f"{path}, line 2.tools: must be an integer, got ''"),
        ("x,swarm,m,2,0.5,", f"{path}, line 2.architecture: must be one of {', '.join(ARCHITECTURES)}, got 'swarm'"),
    ):
        path.write_text(f"{lines[0]}\n{line}\n", encoding="utf-8")
        with pytest.raises(InputError) as refused:
            read_runs(path)
        assert str(refused.value) == refusal


def test_a_file_that_is_none(tmp_path: Path) -> None:
    """A missing file and missing columns are one sentence each."""
    with pytest.raises(InputError, match="cannot be read as a CSV file"):
        read_runs(tmp_path / "none.csv")
    path = tmp_path / "empty.csv"
    path.write_text("model,tools\n", encoding="utf-8")
    with pytest.raises(InputError, match="benchmark, architecture, accuracy missing"):
        read_runs(path)
