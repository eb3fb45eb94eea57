"""reasoning-gym as suites: which generators are fit for it, and what their verifiers may be shown."""

from __future__ import annotations

import importlib
import inspect
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import digest
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.suites.gym import UNSUITABLE, generators
from orchestra_evals.suites.suite import Sample, Suite

factory = pytest.importorskip("reasoning_gym.factory")
FEW = (
    *("base_conversion", "binary_matrix", "chain_sum", "countdown", "course_schedule", "knights_knaves"),
    *("maze", "n_queens", "prime_factorization", "spiral_matrix", "string_insertion", "syllogism"),
)
EVALUATING = ("binary_matrix", "countdown", "n_queens", "spiral_matrix", "string_insertion")


def samples(name: str, count: int) -> tuple[Suite, list[Sample]]:
    suite = make_suite(f"gym:{name}")
    return suite, [suite.sample({}, index, split="test", seed=0) for index in range(count)]


def check_generator(name: str, count: int) -> None:
    """Check that targets are right, wrong answers wrong, and anything else at most a refusal."""
    suite, made = samples(name, count)
    assert len({sample.digest() for sample in made}) == count
    for sample in made:
        score = suite.check(sample, sample.target)
        assert (score.value, score.outcome) == (1.0, "right"), sample.target
        assert sample.wrong
        assert all(suite.check(sample, slip).outcome == "wrong" for slip in sample.wrong)
        assert all(suite.check(sample, slip).value < 1 for slip in sample.wrong)
        for answer in (None, "", " ", [], {}, True, 0, math.nan, math.inf, [sample.target], {"answer": sample.target}):
            assert suite.check(sample, answer).outcome == "malformed"
        for answer in ("no such answer", "9" * 5_000, "(" * 300, "x" * 10**6, "\ud800", "[[[]]]", "{}", "1/0"):
            assert suite.check(sample, answer).outcome in ("wrong", "malformed")


@pytest.mark.parametrize("name", FEW)
def test_some_generators_make_suites(name: str) -> None:
    """Their own answers get full marks, wrong ones do not, and no answer makes them fail."""
    check_generator(name, 5)


@pytest.mark.nightly
@pytest.mark.parametrize("name", generators())
def test_all_generators_make_suites_but_those_that_are_named(name: str) -> None:
    """What holds for some generators holds for all that are not named as unfit."""
    check_generator(name, 10)


def test_the_unfit_generators_are_named_and_refused() -> None:
    """Every generator either makes a suite or is refused with the reason."""
    assert set(generators()) | set(UNSUITABLE) == set(factory.DATASETS)
    assert not set(generators()) & set(UNSUITABLE)
    for name, reason in UNSUITABLE.items():
        with pytest.raises(InputError, match=f"^suite: gym:{name} makes no suite: {reason}$"):
            make_suite(f"gym:{name}")
    with pytest.raises(InputError, match=r"^suite: gym has no generator 'chainsum'; near it are chain_sum, "):
        make_suite("gym:chainsum")


def test_the_reasons_still_hold() -> None:
    """The faults for which verifiers and generators are refused are there in the installed release."""

    def made(name: str) -> tuple[Any, dict[str, Any]]:
        dataset = factory.create_dataset(name, seed=5, size=1)
        return dataset, dataset[0]

    for name in ("boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"):
        assert made(name)[1]["answer"] is None
    for name, answer in (("coin_flip", "0"), ("game_of_life_halting", "anything"), ("puzzle24", "6*4*1*1")):
        dataset, entry = made(name)
        assert dataset.score_answer(answer, entry) == 1, name


def test_no_other_verifier_runs_answers_as_code() -> None:
    """Of the suitable generators only the guarded ones have eval, exec or a symbolic parser in their verifier."""
    found = set()
    for name in generators():
        dataset_class = factory.DATASETS[name][0]
        if re.search(r"\b(eval|exec|parse_expr|sympify)\(", inspect.getsource(dataset_class.score_answer)):
            found.add(name)
    # number_sorting evaluates the right answer; bitwise_arithmetic the question
    assert found - {"number_sorting", "bitwise_arithmetic"} == set(EVALUATING)


@pytest.mark.parametrize("name", EVALUATING)
def test_answers_are_never_run(name: str, tmp_path: Path) -> None:
    """An answer that is code is malformed, and nothing of it happens."""
    suite, (sample,) = samples(name, 1)
    mark = tmp_path / "mark"
    for code in (
        f"open({str(mark)!r}, 'w')",
        f"[open({str(mark)!r}, 'w')]",
        f"__import__('pathlib').Path({str(mark)!r}).touch()",
        "9**9**9**9",
        "9* *9",
        "[x for x in range(10**10)]",
    ):
        assert suite.check(sample, code).outcome == "malformed"
    assert not mark.exists()


def fingerprints(names: list[str]) -> dict[str, str]:
    """Return a digest of two samples of each generator."""
    made = {name: samples(name, 2)[1] for name in names}
    return {name: digest([[one.digest(), one.target, list(one.wrong)] for one in both]) for name, both in made.items()}


def check_processes(names: list[str]) -> None:
    """Check that another process with another hash seed, in another order, makes the same samples."""
    code = f"from tests.suites.test_gym import fingerprints, json; print(json.dumps(fingerprints({names[::-1]!r})))"
    environment = os.environ | {"PYTHONHASHSEED": "4711"}
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=os.getcwd()
    )
    assert json.loads(other.stdout) == fingerprints(names)


def test_samples_are_the_same_in_every_process() -> None:
    """Equal seeds give equal samples, whatever the process."""
    check_processes(list(FEW[:6]))


@pytest.mark.nightly
def test_samples_of_all_generators_are_the_same_in_every_process() -> None:
    """What holds for some generators holds for all."""
    check_processes(generators())


def test_splits_and_seeds_share_no_sample() -> None:
    """Another split, seed or index gives another sample, the same the same one."""
    suite = make_suite("gym:chain_sum")
    made = [
        suite.sample({}, index, split=split, seed=seed)
        for index in range(4)
        for split in ("calibrate", "test", "held_out")
        for seed in (0, 1)
    ]
    assert len({sample.question for sample in made}) == len(made)
    assert suite.sample({}, 0, split="calibrate", seed=0) == made[0]
    with pytest.raises(InputError, match=r"^difficulty\.terms: is no axis"):
        suite.sample({"terms": 3}, 0, split="test", seed=0)


def test_a_sample_of_another_release_is_not_scored() -> None:
    """What cannot be made again cannot be checked."""
    suite, (sample,) = samples("chain_sum", 1)
    other = Sample(
        id="old", question="?", answer=sample.answer, target="1", instance={**sample.instance, "release": "0"}
    )
    with pytest.raises(
        InputError, match=r"^sample: old was made by reasoning-gym 0, not by [0-9.]+, which is installed$"
    ):
        suite.check(other, "1")


def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without reasoning-gym the message says what to install."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "reasoning_gym"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(InputError, match=r'^suite: gym needs the "gym" extra: pip install "orchestra-mas\[gym\]"$'):
        make_suite("gym:chain_sum")
    assert importlib.import_module("orchestra_evals.suites.gym").UNSUITABLE
