"""Procedural suites: samples are distinct and the same everywhere, and checkers agree with solvers of another kind."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra import run_sync
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json, digest
from orchestra_evals.environments.environment import Environment
from orchestra_evals.suites.acting import environment_of
from orchestra_evals.suites.cascade import RELATIONS, dominant_relation, edit_distance, run_cascade
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.suites.path_graphs import lookahead_of
from orchestra_evals.suites.reachability import Reachability
from orchestra_evals.suites.sat import Sat
from orchestra_evals.suites.suite import Difficulty, Sample, Suite
from tests.suites.solvers import (
    clauses_of,
    corruptions,
    depth_of,
    distance,
    edges_of,
    first_steps,
    is_right,
    satisfiable,
)

NAMES = ("3sat", "addition", "craft", "lookup", "multiplication", "reachability", "rewrite")
CASES = [(name, difficulty) for name in NAMES for difficulty in make_suite(name).about.default]
each_case = pytest.mark.parametrize(("name", "difficulty"), CASES, ids=[f"{name}-{dict(one)}" for name, one in CASES])


def samples(name: str, difficulty: Difficulty, count: int, seed: int = 0) -> list[Sample]:
    suite = make_suite(name)
    return [suite.sample(difficulty, index, split="test", seed=seed) for index in range(count)]


def check_samples(name: str, difficulty: Difficulty, count: int, *, every: int = 1) -> None:
    """Check that samples are distinct, that targets are right, and that what `every`-th one says is wrong is so."""
    suite, made = make_suite(name), samples(name, difficulty, count)
    assert len({sample.digest() for sample in made}) == count
    assert len({sample.id for sample in made}) == count
    for sample in made:
        score = suite.check(sample, sample.target)
        assert (score.value, score.outcome, score.detail) == (1.0, "right", "")
        assert sample.answer.problem(sample.target) is None
        assert is_right(name, sample, sample.target)
        assert 1 <= len(sample.wrong) <= 4
    for sample in made[::every]:
        for slip in sample.wrong:
            score = suite.check(sample, slip)
            assert score.outcome == "wrong"
            assert score.value < 1
            assert not is_right(name, sample, slip)


def check_corruptions(name: str, made: Iterable[Sample]) -> None:
    """Check that the checker takes an answer for right exactly where the solver does."""
    suite = make_suite(name)
    for sample in made:
        tried = list(corruptions(sample.target))
        assert len(tried) >= 20
        for answer in tried:
            score = suite.check(sample, answer)
            assert (score.outcome == "right") == is_right(name, sample, answer), (sample.question, answer, score)
            assert (score.outcome == "right") == (score.value == 1.0) == (score.detail == "")
            assert 0 <= score.value <= 1
            if sample.answer.problem(answer) is not None:
                assert score.outcome == "malformed"


@each_case
def test_samples_are_distinct_and_can_be_solved(name: str, difficulty: Difficulty) -> None:
    """Every sample differs from the others, its target is right, and its wrong answers are wrong."""
    check_samples(name, difficulty, 100, every=5)


@each_case
def test_checkers_refuse_corrupted_answers(name: str, difficulty: Difficulty) -> None:
    """No corruption of a target is taken for right unless a solver of another kind finds that it is."""
    check_corruptions(name, samples(name, difficulty, 6))


@pytest.mark.nightly
@each_case
def test_a_thousand_samples_of_each_difficulty(name: str, difficulty: Difficulty) -> None:
    """What holds for a hundred samples holds for a thousand."""
    check_samples(name, difficulty, 1_000)
    check_corruptions(name, samples(name, difficulty, 1_000))


DIGESTS = "from tests.suites.test_procedural import fingerprint; print(fingerprint())"


def fingerprint() -> str:
    """Return one digest of a few samples of every suite at every default difficulty."""
    made = [samples(name, difficulty, 2, seed=7) for name, difficulty in CASES]
    made.append(samples("reachability:extra=30", {"lookahead": 4, "branching": 3, "form": "logic"}, 5))
    return digest([[one.id, one.digest(), one.target, list(one.wrong)] for group in made for one in group])


def test_samples_are_the_same_in_every_process() -> None:
    """Equal arguments give equal samples, whatever the process and its hash seed."""
    environment = os.environ | {"PYTHONHASHSEED": "4711"}
    other = subprocess.run(
        [sys.executable, "-c", DIGESTS], capture_output=True, text=True, check=True, env=environment, cwd=os.getcwd()
    )
    assert other.stdout.strip() == fingerprint()


@pytest.mark.parametrize("name", NAMES)
def test_splits_and_seeds_share_no_sample(name: str) -> None:
    """Another split, seed or index gives another sample; the same gives the same."""
    suite = make_suite(name)
    difficulty = suite.about.default[-1]
    made = [
        suite.sample(difficulty, index, split=split, seed=seed)
        for index in range(8)
        for split in ("calibrate", "test", "held_out")
        for seed in (0, 1)
    ]
    assert len({sample.digest() for sample in made}) == len(made)
    again = suite.sample(difficulty, 0, split="calibrate", seed=0)
    assert again == made[0]


@pytest.mark.parametrize("name", NAMES)
def test_difficulties_are_checked(name: str) -> None:
    """An axis that is missing or unknown, or a value that is not allowed, is refused in one sentence."""
    suite = make_suite(name)
    default = dict(suite.about.default[0])
    axis = next(iter(default))
    for bad in ({}, default | {"other": 1}, default | {axis: 10**9}, default | {axis: True}, default | {axis: "x"}):
        with pytest.raises(InputError, match=r"^difficulty\."):
            suite.sample(bad, 0, split="test", seed=0)


@given(
    st.integers(2, 9),
    st.integers(1, 6),
    st.sampled_from(["symbolic", "logic"]),
    st.sampled_from([0, 0, 25]),
    st.integers(0, 10**6),
)
@settings(max_examples=60)
def test_the_lookahead_is_what_was_asked_for(lookahead: int, branching: int, form: str, extra: int, seed: int) -> None:
    """The first step is a guess until the search is as deep as asked, and one of as many as asked."""
    difficulty = {"lookahead": lookahead, "branching": branching, "form": form}
    suite = Reachability(extra)
    sample = suite.sample(difficulty, 0, split="test", seed=seed)
    instance = sample.instance
    edges = [(one, other) for one, other in instance["edges"]]
    assert len(set(edges)) == len(edges) == len(edges_of(sample))
    assert len([one for one, _ in edges if one == instance["start"]]) == branching
    assert depth_of(sample) == lookahead == lookahead_of(edges, instance["start"], instance["goal"])
    assert len(first_steps(sample)) == 1
    if extra == 0:
        assert len(edges) <= 2 * (branching * lookahead + 1)
    if branching == extra + 1 == 1:
        assert len(edges) == lookahead
    assert suite.check(sample, sample.target).outcome == "right"


def test_any_path_counts_and_invented_edges_are_measured() -> None:
    """A path that is not the target is right; a wrong one is measured by its first step and its invented edges."""
    suite = Reachability()
    plain = suite.sample({"lookahead": 2, "branching": 2, "form": "symbolic"}, 0, split="test", seed=0)
    detour = {"edges": [[0, 1], [1, 2], [1, 3], [3, 2], [0, 4]], "start": 0, "goal": 2}
    sample = Sample(id="", question="", answer=plain.answer, target=[0, 1, 2], instance=detour)
    assert suite.check(sample, [0, 1, 3, 2]).value == 1
    wrong = suite.check(sample, [0, 1, 4, 2])
    assert wrong.parts == {"first_step": 1.0, "invented_edges": pytest.approx(2 / 3)}
    assert wrong.detail == "there is no edge 1 -> 4"
    assert suite.check(sample, [0, 4]).parts == {"first_step": 0.0, "invented_edges": 0.0}
    assert suite.check(sample, [0, 4]).detail == "the path ends at 4, not at 2"
    assert suite.check(sample, [1, 2]).detail == "the path begins at 1, not at 0"


@given(st.text("ab c", max_size=7), st.text("ab c", max_size=7))
def test_distances_are_in_letters(one: str, other: str) -> None:
    """The edit distance is that of its definition, spaces being letters like all others."""
    assert edit_distance(one, other) == distance(one, other)


def test_the_reward_counts_letters_not_words() -> None:
    """A string that is one letter off is not as wrong as one that is all wrong (a bug of the original)."""
    suite = make_suite("rewrite")
    plain = suite.sample({"programs": 2, "relation": "feeding"}, 0, split="test", seed=0)
    instance = {"inputs": ["abcd"], "outputs": ["wxyz"]}
    sample = Sample(id="", question="", answer=plain.answer, target=None, instance=instance)
    assert suite.check(sample, [["ab", "wx"], ["cd", "yy"]]).parts == {"reward": 0.75, "valid_programs": 1.0}
    assert suite.check(sample, [["", "wx"], ["k", "k"]]).parts == {"reward": 0.0, "valid_programs": 0.5}
    assert suite.check(sample, [["ab", "wx"], ["cd", "yz"]]).value == 1


def test_the_relations_are_balanced_and_dominate() -> None:
    """Each relation comes as often as the others, and more pairs of programs have it than any other."""
    made = samples("rewrite", {"programs": 5, "relation": "balanced"}, 40)
    assert Counter(sample.instance["relation"] for sample in made) == dict.fromkeys(RELATIONS, 10)
    for sample in made:
        programs = [(find, write) for find, write in sample.target]
        assert dominant_relation(programs, sample.instance["inputs"]) == sample.instance["relation"]
        assert 2 * sample.instance["effective"] >= 5
    assert dominant_relation([("a", "b"), ("b", "c")], ["ad", "e"]) == "feeding"
    assert dominant_relation([("b", "c"), ("a", "b")], ["ad", "e"]) == "counterfeeding"
    assert dominant_relation([("a", "d"), ("ab", "c")], ["ab", "e"]) is None
    assert dominant_relation([("ab", "d"), ("b", "be")], ["ab", "b"]) == "bleeding"
    assert dominant_relation([("a", "d"), ("e", "f")], ["ae"]) is None


def test_a_cascade_cannot_fill_the_memory() -> None:
    """Programs that triple a string again and again are given up, not run to the end."""
    bomb = [["a", "aaa"]] * 30
    assert run_cascade([("a", "aaa")] * 30, ["a"]) is None
    sample = samples("rewrite", {"programs": 30, "relation": "counterbleeding"}, 1)[0]
    with_a = Sample(id="", question="", answer=sample.answer, target=None, instance={"inputs": ["a"], "outputs": ["b"]})
    score = make_suite("rewrite").check(with_a, bomb)
    assert (score.outcome, score.parts["reward"]) == ("wrong", -1.0)


def test_formulas_are_of_their_class() -> None:
    """Hard formulas have one solution or none, half of each; several means several; easy ones are as expected."""
    solvable = {}
    for kind in ("easy-under", "easy-over", "hard-several", "hard"):
        made = samples("3sat", {"variables": 8, "class": kind}, 60)
        counts = [sample.instance["solutions"] for sample in made]
        assert [satisfiable(clauses_of(sample.question)) for sample in made] == [count > 0 for count in counts]
        assert all(
            len(set(map(str, clauses_of(sample.question)))) == len(clauses_of(sample.question)) for sample in made
        )
        solvable[kind] = sum(count > 0 for count in counts)
        assert kind != "hard" or set(counts) == {0, 1}
        assert kind != "hard-several" or min(counts) > 1
    assert solvable["easy-under"] == solvable["hard-several"] == 60
    assert solvable["easy-over"] <= 6
    assert 15 <= solvable["hard"] <= 45


@pytest.mark.nightly
def test_half_of_the_hard_formulas_can_be_satisfied() -> None:
    """At the numbers of clauses of the table, satisfiability is within 6 % of one half, for every size."""
    import random

    from orchestra_evals.suites.sat import _HARD, _draw_clauses
    from orchestra_evals.suites.sat_solver import solutions

    rng = random.Random(1)
    for variables, count in _HARD.items():
        found = sum(solutions(_draw_clauses(variables, count, rng), variables) > 0 for _ in range(1_000))
        assert abs(found / 1_000 - 0.5) < 0.06, (variables, found)


@given(st.integers(4, 7), st.sampled_from(["easy-under", "easy-over", "hard"]), st.integers(0, 10**6), st.data())
@settings(max_examples=60)
def test_any_assignment_is_judged_as_by_the_clauses(variables: int, kind: str, seed: int, data: st.DataObject) -> None:
    """Every list of values, and the refusal, is right exactly where the clauses say so."""
    suite = Sat()
    sample = suite.sample({"variables": variables, "class": kind}, 0, split="test", seed=seed)
    values = data.draw(st.lists(st.booleans(), min_size=variables, max_size=variables))
    for answer in (values, "unsatisfiable"):
        assert (suite.check(sample, answer).outcome == "right") == is_right("3sat", sample, answer)


@pytest.mark.parametrize("name", ["addition", "multiplication"])
@pytest.mark.parametrize("digits", [2, 3, 5, 12, 40])
def test_graphs_of_numbers_end_in_the_answer(name: str, digits: int) -> None:
    """A faultless model answers the graph with the target; every subtask's own truth is of its type and not wrong."""
    suite = make_suite(name)
    sample = suite.sample({"digits": digits}, 0, split="test", seed=1)
    graph = suite.graph(sample)
    if graph is None:
        assert (name, digits) == ("addition", 2)
        return
    for subtask in graph:
        assert subtask.truth is not None
        assert subtask.truth.answer not in subtask.truth.distractors()
        assert all(subtask.answer.problem(slip) is None for slip in subtask.truth.distractors())
    if name == "addition":
        assert len(graph.layers) == len(graph) <= 9
    else:
        assert len(graph.layers) == 1 + math.ceil(math.log2(digits))
    assert run_sync(graph, model="simulated:p=1").answer == sample.target


def test_the_parts_of_a_number_are_its_columns() -> None:
    """Columns are counted from the right; zeros in front make another answer, and signs make none."""
    suite = make_suite("addition")
    plain = suite.sample({"digits": 3}, 0, split="test", seed=0)
    sample = Sample(id="", question="", answer=plain.answer, target="", instance={"numbers": ["120", "214"]})
    assert suite.check(sample, "334").parts == {"columns": 1.0}
    assert suite.check(sample, "324").parts == {"columns": pytest.approx(2 / 3)}
    assert suite.check(sample, "34").parts == {"columns": pytest.approx(2 / 3)}
    assert suite.check(sample, "0334").outcome == "wrong"
    assert [suite.check(sample, answer).outcome for answer in ("-334", "\uff13\uff13\uff14", 334)] == ["malformed"] * 3


async def play(environment: Environment) -> None:
    """Do what the environment's reference policy does, to the end."""
    from tests.evals.team import Team

    await Team(environment).work(400)


@pytest.mark.parametrize("name", ["craft", "lookup"])
async def test_final_states_score_as_the_environment_scores_them(name: str) -> None:
    """The state after faultless work is right, and every state on the way is worth what the environment says."""
    suite = make_suite(name)
    for difficulty in suite.about.default[:4]:
        sample = suite.sample(difficulty, 3, split="test", seed=0)
        environment = environment_of(sample)
        assert environment is not None
        assert sample.question == environment.goal
        assert suite.check(sample, environment.state()).value == environment.score() == 0
        await play(environment)
        assert environment.state() == sample.target
        assert suite.check(sample, environment.state()).value == environment.score() == 1
    assert environment_of(samples("addition", {"digits": 5}, 1)[0]) is None


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("chess", r"^suite: must be one of 3sat, .*, module.path:Name \(with :key=value,\.\.\.\), got 'chess'$"),
        ("addition:size=3", "^suite: addition: 'size' is no parameter; allowed, once each: digits$"),
        ("reachability:size=3", "allowed, once each: extra, lookahead, branching, form$"),
        ("addition:digits", "^suite: addition: 'digits' must be key=value, each key once$"),
        ("addition:digits=5,digits=6", "'digits=6' must be key=value, each key once$"),
        ("addition:digits=0", r"^difficulty\.digits: must be an integer from 1 to 1000, got 0$"),
        ("reachability:form=prose", r"^difficulty\.form: must be one of symbolic, logic, got 'prose'$"),
        ("reachability:extra=many", "^suite: reachability: extra must be an integer from 0 to 200, got 'many'$"),
        ("rewrite:strings=4", "^suite: rewrite: strings must be an integer from 5 to 50, got 4$"),
    ],
)
def test_what_is_no_suite_is_refused_in_one_sentence(spec: str, sentence: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(InputError, match=sentence):
        make_suite(spec)


def test_axes_can_be_pinned() -> None:
    """A pinned axis keeps its value in all default difficulties; samples are those of the suite itself."""
    suite = make_suite("reachability:extra=5,form=logic,lookahead=3")
    assert suite.name == "reachability:extra=5,form=logic,lookahead=3"
    assert suite.about.default == ({"lookahead": 3, "branching": 4, "form": "logic"},)
    own: Suite = Reachability(5)
    difficulty = suite.about.default[0]
    assert suite.sample(difficulty, 1, split="test", seed=0) == own.sample(difficulty, 1, split="test", seed=0)
    assert make_suite("reachability:extra=5").name == own.name


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=20))
@settings(max_examples=50)
def test_no_answer_makes_a_checker_fail(answer: Json) -> None:
    """Whatever JSON is handed in, and NaN, gets a score."""
    for name, difficulty in islice(CASES, 0, None, 7):
        score = make_suite(name).check(samples(name, difficulty, 1)[0], answer)
        assert score.outcome in ("right", "wrong", "malformed")
