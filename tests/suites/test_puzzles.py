"""The four puzzles: instances that can be solved and are told apart, and a checker that a second simulator confirms."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orchestra
from orchestra.choices import Choices
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import digest
from orchestra_evals.suites.blocks import blocks
from orchestra_evals.suites.checkers import checkers
from orchestra_evals.suites.hanoi import hanoi
from orchestra_evals.suites.puzzle_suite import MODES, PuzzleSuite, budget_infeasible
from orchestra_evals.suites.river import boat_for, river
from orchestra_evals.suites.suite import Sample, Split
from orchestra_topologies.router import Topology
from orchestra_topologies.synthesis import parts
from tests.suites.puzzle_solvers import Referee, corruptions, stack_distances

SUITES: dict[str, Callable[..., PuzzleSuite]] = {
    "hanoi": hanoi,
    "checkers": checkers,
    "river": river,
    "blocks": blocks,
}
SIZES = pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.nightly)])
NAMES = pytest.mark.parametrize("name", list(SUITES))
_SMALL: dict[str, list[dict[str, Any]]] = {
    "hanoi": [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}],
    "checkers": [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}],
    "river": [{"n": 1, "boat": 2}, {"n": 2, "boat": 2}, {"n": 3, "boat": 2}, {"n": 4, "boat": 4}],
    "blocks": [{"n": 3, "layout": "paper"}, {"n": 4, "layout": "paper"}, {"n": 4, "layout": "random"}],
}


def trusted(program: str) -> str:
    """Run a program that the suite itself wrote."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(program, {})
    return printed.getvalue()


def drawn(name: str, difficulty: dict[str, Any], count: int, mode: str = "full_list", seed: int = 0) -> list[Sample]:
    suite, chosen = SUITES[name](), {**difficulty, "mode": mode}
    return [suite.sample(chosen, index, split="test", seed=seed) for index in range(count)]


def fingerprint() -> str:
    """Return the digest of samples of all suites, difficulties and modes."""
    defaults = [(name, dict(difficulty)) for name, make in SUITES.items() for difficulty in make().about.default]
    samples = [
        sample for name, difficulty in defaults for mode in MODES for sample in drawn(name, difficulty, 2, mode, 7)
    ]
    return digest([[one.id, one.digest(), one.target, list(one.wrong)] for one in samples])


@SIZES
@NAMES
def test_every_default_instance_can_be_solved_and_is_distinct(name: str, count: int) -> None:
    """The target of each sample is a solution by another simulator, as short as said, and no two samples are alike."""
    for difficulty in SUITES[name]().about.default:
        samples = drawn(name, dict(difficulty), count)
        for sample in samples:
            assert SUITES[name]().check(sample, sample.target).outcome == "right"
            assert Referee(name, sample).solves(sample.target)
            assert len(sample.target) == sample.instance["fewest"]
        assert len({sample.digest() for sample in samples}) == count
        assert len({sample.question for sample in samples}) == count


@pytest.mark.parametrize("count", [30, pytest.param(1000, marks=pytest.mark.nightly)])
@NAMES
def test_every_step_asked_for_is_distinct_and_legal(name: str, count: int) -> None:
    """In the mode stepwise the target is a legal move with the state after it, and no two samples are alike."""
    for difficulty in SUITES[name]().about.default:
        samples = drawn(name, dict(difficulty), count, "stepwise")
        for sample in samples:
            referee = Referee(name, sample)
            after = referee.move(referee.start, sample.target["move"])
            assert referee.key(after) == referee.key(sample.target["state"])
        assert len({sample.question for sample in samples}) == count


def test_samples_are_equal_in_two_processes() -> None:
    """Equal seeds give equal samples in a process that hashes texts in another order."""
    code = "from tests.suites.test_puzzles import fingerprint; print(fingerprint())"
    other = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "1"}, capture_output=True, check=True
    )
    assert other.stdout.decode().strip() == fingerprint()


@NAMES
def test_other_seeds_and_splits_give_other_samples(name: str) -> None:
    """No sample of one seed and split is a sample of another, but for the paper's own, which only `test` has."""
    suite = SUITES[name]()
    chosen = suite.about.default[0]
    places: list[tuple[Split, int]] = [("test", 0), ("test", 1), ("calibrate", 0), ("held_out", 0)]
    found = [
        {suite.sample(chosen, index, split=split, seed=seed).digest() for index in range(50)} for split, seed in places
    ]
    assert len(found[0] & found[1]) == 1
    assert len(set.union(*found)) == 199


@NAMES
def test_the_first_sample_is_the_papers(name: str) -> None:
    """Sample 0 is the instance of the paper in the paper's names, in every mode."""
    difficulty = _SMALL[name][1]
    starts = {
        "hanoi": [[2, 1], [], []],
        "checkers": ["R", "R", "_", "B", "B"],
        "river": {"left": ["a_1", "A_1", "a_2", "A_2"], "right": [], "boat": "left"},
        "blocks": [["A", "B"], ["C", "D"], []],
    }
    goals = {
        "hanoi": [[], [], [2, 1]],
        "checkers": ["B", "B", "_", "R", "R"],
        "river": {"left": [], "right": ["a_1", "A_1", "a_2", "A_2"], "boat": "right"},
        "blocks": [["D", "B", "C", "A"], [], []],
    }
    for mode in MODES:
        referee = Referee(name, drawn(name, difficulty, 1, mode)[0])
        assert (referee.start, referee.goal) == (starts[name], goals[name])


def test_the_longer_blocks_example_of_the_paper() -> None:
    """Six blocks are rebuilt as in the paper."""
    referee = Referee("blocks", drawn("blocks", {"n": 6, "layout": "paper"}, 1)[0])
    assert referee.start == [["A", "B", "C"], ["D", "E", "F"], []]
    assert referee.goal == [["F", "C", "E", "B", "D", "A"], [], []]


def fewest(name: str, **difficulty: Any) -> int | None:
    try:
        return int(drawn(name, difficulty, 1)[0].instance["fewest"])
    except InputError:
        return None


def test_the_solvability_tables_are_reproduced() -> None:
    """The fewest moves are those of the specification; what cannot be solved is refused."""
    assert [fewest("hanoi", n=n) for n in range(1, 11)] == [2**n - 1 for n in range(1, 11)]
    assert [fewest("checkers", n=n) for n in range(1, 7)] == [3, 8, 15, 24, 35, 48]
    assert [fewest("blocks", n=n, layout="paper") for n in range(2, 10)] == [3, 6, 7, 10, 11, 14, 15, 18]
    table = {2: [1, 5, 11, *[None] * 4], 3: [1, 3, 5, 9, 11, None, None], 4: [1, 1, 3, 5, 7, 9, 11]}
    for boat, row in table.items():
        assert [fewest("river", n=n, boat=boat) for n in range(1, 8)] == row
    assert [fewest("river", n=n, boat=4) for n in range(8, 21)] == [2 * n - 3 for n in range(8, 21)]


def test_river_crossing_is_never_asked_without_a_solution() -> None:
    """The boat that is taken by default brings any number of pairs over; a boat for one brings nobody."""
    assert all(fewest("river", n=n, boat=boat_for(n)) for n in range(1, 21))
    for size, boat in ((1, 1), (4, 2), (20, 2), (6, 3), (20, 3)):
        with pytest.raises(InputError, match="no solution"):
            river().sample({"n": size, "boat": boat, "mode": "stepwise"}, 3, split="held_out", seed=1)


def test_unsolvable_crossings_have_no_solution_by_brute_force() -> None:
    """Four pairs cannot cross two at a time, found by trying every set of passengers."""
    solvable = drawn("river", {"n": 4, "boat": 3}, 1)[0]
    referee = Referee("river", solvable)
    assert referee.fewest(referee.start) == 9
    referee.instance = {**referee.instance, "boat": 2}
    assert referee.fewest(referee.start) is None


@NAMES
def test_the_fewest_moves_are_those_of_a_search(name: str) -> None:
    """Of small instances a breadth-first search finds no shorter solution."""
    for difficulty in _SMALL[name]:
        for sample in drawn(name, difficulty, 3):
            referee = Referee(name, sample)
            assert referee.fewest(referee.start) == sample.instance["fewest"]


@NAMES
def test_right_steps_are_those_that_a_search_finds_nearer(name: str) -> None:
    """Of all legal moves exactly those are right from which a search needs fewer moves."""
    suite = SUITES[name]()
    for difficulty in _SMALL[name]:
        for sample in drawn(name, difficulty, 3, "stepwise"):
            referee = Referee(name, sample)
            before = referee.fewest(referee.start)
            for move in referee.legal(referee.start):
                after = referee.move(referee.start, move)
                left = referee.fewest(after)
                is_nearer = left is not None and before is not None and left < before
                score = suite.check(sample, {"move": move, "state": after})
                assert (score.value == 1.0) == is_nearer
                assert score.parts == {"legal": 1.0, "nearer": float(is_nearer), "state": 1.0}
                assert suite.check(sample, {"move": move, "state": referee.start}).value == 0.0


@pytest.mark.parametrize("size", [7, pytest.param(8, marks=pytest.mark.nightly)])
def test_right_steps_of_many_blocks_are_those_that_a_search_finds_nearer(size: int) -> None:
    """What is known of the shortest solutions of more blocks than are searched agrees with a search."""
    suite, goal = blocks(), (tuple(range(size)), (), ())
    distances = stack_distances(goal)
    for sample in drawn("blocks", {"n": size, "layout": "paper"}, 40, "stepwise"):
        referee = Referee("blocks", sample)
        stack = next(stack for stack, content in enumerate(referee.goal) if content)
        order = [stack, *({0, 1, 2} - {stack})]
        rank = {block: height for height, block in enumerate(referee.goal[stack])}

        def left(state: Any, order: list[int] = order, rank: dict[str, int] = rank) -> int:
            return distances[tuple(tuple(rank[block] for block in state[stack]) for stack in order)]

        assert left(referee.start) == sample.instance["fewest"]
        for move in referee.legal(referee.start):
            after = referee.move(referee.start, move)
            score = suite.check(sample, {"move": move, "state": after})
            assert (score.value == 1.0) == (left(after) < left(referee.start))


@pytest.mark.parametrize("count", [4, pytest.param(1000, marks=pytest.mark.nightly)])
@NAMES
def test_the_checker_accepts_targets_and_rejects_corruptions(name: str, count: int) -> None:
    """A target is right; of its corruptions, and the wrong answers, only what the other simulator solves is."""
    suite = SUITES[name]()
    for difficulty in suite.about.default:
        for sample in drawn(name, dict(difficulty), count):
            assert suite.check(sample, sample.target).outcome == "right"
            referee = Referee(name, sample)
            wrong = {kind: answer for kind, answer in corruptions(sample.target).items() if not referee.solves(answer)}
            assert len(wrong) >= 20
            for answer in (*wrong.values(), *sample.wrong):
                assert suite.check(sample, answer).value == 0.0
            assert sample.wrong
            for answer in sample.wrong:
                assert sample.answer.problem(answer) is None
                assert not referee.solves(answer)


@NAMES
def test_the_checker_accepts_every_solution(name: str) -> None:
    """Detours and corruptions that happen to solve the puzzle are right."""
    suite, found = SUITES[name](), 0
    for sample in drawn(name, _SMALL[name][-1], 10):
        referee = Referee(name, sample)
        for answer in corruptions(sample.target).values():
            if referee.solves(answer) and len(answer) <= 2 * len(sample.target) + 8:
                found += 1
                assert suite.check(sample, answer).outcome == "right"
        if name != "checkers":  # nothing can be taken back there
            there = referee.legal(referee.start)[0]
            state = referee.move(referee.start, there)
            back = [one for one in referee.legal(state) if referee.is_equal(referee.move(state, one), referee.start)]
            assert suite.check(sample, [there, back[0], *sample.target]).outcome == "right"
    assert found or name != "river"


@NAMES
def test_wrong_steps_are_wrong(name: str) -> None:
    """Wrong answers to the mode stepwise have the shape asked for and are refused; so is what has another shape."""
    suite = SUITES[name]()
    for difficulty in suite.about.default:
        for sample in drawn(name, dict(difficulty), 10, "stepwise"):
            assert suite.check(sample, sample.target).outcome == "right"
            assert sample.wrong
            assert {suite.check(sample, answer).outcome for answer in sample.wrong} == {"wrong"}
            target = sample.target
            shapes = [None, [], "", target["move"], {"move": target["move"]}, {**target, "more": 1}, [target], 3.5]
            shapes += [{**target, "state": state} for state in (None, "", 1, [None], {}, float("nan"))]
            assert {suite.check(sample, answer).outcome for answer in shapes} == {"malformed"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.sampled_from(list(SUITES)), st.sampled_from(MODES), _JSON)
@settings(max_examples=150)
def test_the_checker_takes_any_json(name: str, mode: str, answer: Any) -> None:
    """Whatever the answer is, it gets a score, and no random JSON is right."""
    suite = SUITES[name]()
    sample = suite.sample({**suite.about.default[0], "mode": mode}, 5, split="test", seed=0)
    assert suite.check(sample, answer).value == 0.0


def test_the_parts_of_a_score_tell_where_a_list_goes_wrong() -> None:
    """`prefix` ends at the first illegal move, `legal` skips illegal ones, and the detail names the rule."""
    suite = hanoi()
    sample = drawn("hanoi", {"n": 2}, 1)[0]
    score = suite.check(sample, [[1, 0, 1], [1, 0, 2], [2, 0, 2], [1, 1, 2]])
    assert score.outcome == "wrong"
    assert score.detail == "move 1: the disk is not on top of the peg it is taken from"
    assert score.parts == {"prefix": 0.25, "legal": 0.75, "moves": 4.0}
    short = suite.check(sample, [[1, 0, 1]])
    assert (short.outcome, short.parts["prefix"]) == ("wrong", 1.0)
    assert short.detail == "all moves are legal, but they miss the goal"
    assert suite.check(sample, []).parts == {"prefix": 0.0, "legal": 0.0, "moves": 0.0}
    assert suite.check(sample, [[1, 0, 3], [2, 0, 1]]).detail == "move 0: there is no such peg"
    assert suite.check(sample, [[1.0, 0, 1.0], [2, 0.0, 2], [1, 1, 2]]).outcome == "right"


@pytest.mark.parametrize(
    ("move", "reason"),
    [
        ([], "the boat never crosses empty"),
        (["a_1", "a_2", "a_3"], "the boat does not hold so many"),
        (["a_1", "a_1"], "somebody is named twice"),
        (["a_9"], "somebody is not on the bank where the boat is"),
        (["a_1", "A_2"], "an actor is alone with another's agent in the boat"),
        (["A_1"], "an actor is alone with another's agent on a bank"),
    ],
)
def test_each_rule_of_the_crossing_is_told(move: list[str], reason: str) -> None:
    """The detail of an illegal crossing names the rule that it breaks."""
    sample = drawn("river", {"n": 3, "boat": 2}, 1)[0]
    assert river().check(sample, [move]).detail == f"move 0: {reason}"


@pytest.mark.parametrize(
    ("moves", "reason"),
    [
        ([["R", 1, 5]], "there is no such cell"),
        ([["B", 1, 2]], "no checker of that colour stands there"),
        ([["R", 0, 1]], "the cell it goes to is not empty"),
        ([["R", 1, 2], ["R", 2, 1]], "checkers of that colour do not go that way"),
        ([["R", 0, 2]], "a checker does not jump over one of its own colour"),
        ([["R", 1, 2], ["B", 4, 1]], "a checker goes by one cell or two"),
    ],
)
def test_each_rule_of_the_checkers_is_told(moves: list[Any], reason: str) -> None:
    """The detail of an illegal move of a checker names the rule that it breaks."""
    sample = drawn("checkers", {"n": 2}, 1)[0]
    assert checkers().check(sample, moves).detail == f"move {len(moves) - 1}: {reason}"


def test_people_may_be_named_in_any_order() -> None:
    """Who is in the boat and on a bank is a set; somebody who is missing or doubled makes the state wrong."""
    for sample in drawn("river", {"n": 4, "boat": 3}, 20, "stepwise"):
        move, state = sample.target["move"], sample.target["state"]
        turned = {key: said[::-1] if isinstance(said, list) else said for key, said in state.items()}
        assert river().check(sample, {"move": move[::-1], "state": turned}).outcome == "right"
        bank = next(bank for bank in sample.instance["banks"] if state[bank])
        for people in (state[bank][1:], [*state[bank][1:], *state[bank][-1:]], [*state[bank][1:], "?"]):
            score = river().check(sample, {"move": move, "state": {**state, bank: people}})
            assert (score.outcome, score.parts["nearer"], score.parts["state"]) == ("wrong", 1.0, 0.0)


@NAMES
def test_a_program_is_checked_by_what_it_prints(name: str) -> None:
    """With a runner, a program that prints a solution is right; without one nothing is run."""
    suite, bare = SUITES[name](run=trusted), SUITES[name]()
    for sample in drawn(name, _SMALL[name][-1], 3, "generator"):
        assert Referee(name, sample).solves(json.loads(trusted(sample.target)))
        assert suite.check(sample, sample.target).outcome == "right"
        assert {suite.check(sample, program).outcome for program in sample.wrong} == {"wrong"}
        assert suite.check(sample, "print('no list')").outcome == "malformed"
        assert suite.check(sample, "print({})").outcome == "malformed"
        assert suite.check(sample, "print('[' * 100000)").outcome == "malformed"
        assert suite.check(sample, "raise ValueError('lost')").detail == "the program failed: 'lost'"
        unchecked = bare.check(sample, sample.target)
        assert (unchecked.outcome, unchecked.value) == ("malformed", 0.0)
        assert "not allowed" in unchecked.detail


def test_a_broken_runner_is_no_wrong_answer() -> None:
    """An error that is not the program's passes through the checker."""

    def broken(program: str) -> str:
        raise OSError("no process can be started")

    sample = drawn("hanoi", {"n": 3}, 1, "generator")[0]
    with pytest.raises(OSError, match="no process"):
        hanoi(run=broken).check(sample, sample.target)


def test_a_list_longer_than_the_output_is_marked() -> None:
    """At about 10 tokens a move, 1,023 moves do not fit into 8,192 tokens; a step and a program do."""
    listed, stepped, programmed = (drawn("hanoi", {"n": 10}, 1, mode)[0] for mode in MODES)
    assert budget_infeasible(listed, 8192)
    assert budget_infeasible(listed, 10_229)
    assert not budget_infeasible(listed, 10_230)
    assert not budget_infeasible(stepped, 8192)
    assert budget_infeasible(stepped, 9)
    assert not budget_infeasible(programmed, 9)


@pytest.mark.parametrize("size", [2, 3, 4, 6, 8])
def test_a_tower_is_divided_into_parts_whose_moves_join(size: int) -> None:
    """Right answers to all parts, joined as the last subtask says, are the target; nothing else is final."""
    suite = hanoi()
    divided = 0
    for sample in drawn("hanoi", {"n": size}, 10):
        graph = suite.graph(sample)
        if graph is None:
            continue
        divided += 1
        *pieces, whole = graph
        assert [part.name for part in parts(graph)] == [whole.id]
        assert whole.depends_on == tuple((piece.id, "strong") for piece in pieces)
        answers = {piece.id: piece.truth.answer for piece in pieces if piece.truth}
        joined: list[Any] = []
        for line in whole.description.splitlines()[1:]:
            said = line.split()[-1]
            joined += answers[said] if said in answers else [json.loads(line.removeprefix("- the move "))]
        assert joined == sample.target
        assert whole.answer == sample.answer
        for piece in pieces:
            assert piece.truth is not None
            assert piece.answer.problem(piece.truth.answer) is None
            assert piece.truth.distractors()
    assert divided >= (5 if size > 2 else 1)


@pytest.mark.parametrize("topology", ["parallel", "sequential"])
def test_a_run_of_the_parts_gives_all_moves(topology: Topology, tmp_path: Path) -> None:
    """Simulated agents that are right in every part give the right answer to the whole sample."""
    suite = hanoi()
    sample = drawn("hanoi", {"n": 5}, 1)[0]
    graph = suite.graph(sample)
    assert graph is not None
    planned = orchestra.plan(graph, model="simulated:p=1", choices=Choices(topology=topology, k=1))
    result = orchestra.run_sync(planned, journal=tmp_path / "journal.db")
    assert suite.check(sample, result.answer).outcome == "right"


@NAMES
def test_no_other_question_has_a_graph(name: str) -> None:
    """Only the list of moves of a tower is divided."""
    suite = SUITES[name]()
    for mode in MODES:
        sample = drawn(name, _SMALL[name][-1], 1, mode)[0]
        assert (suite.graph(sample) is not None) == (name == "hanoi" and mode == "full_list")
    assert hanoi().graph(drawn("hanoi", {"n": 1}, 1)[0]) is None


@NAMES
def test_what_a_suite_does_not_have_is_refused(name: str) -> None:
    """Unknown axes, sizes out of range and unknown modes are refused; the axes offered are not."""
    suite = SUITES[name]()
    chosen = dict(suite.about.default[0])
    for change in ({"n": 0}, {"n": 51}, {"n": "3"}, {"n": True}, {"mode": "guess"}, {"mode": None}, {"colour": 1}):
        with pytest.raises(InputError):
            suite.sample({**chosen, **change}, 0, split="test", seed=0)
    with pytest.raises(InputError):
        suite.sample({"mode": "full_list"}, 0, split="test", seed=0)
    assert suite.name == name
    assert all(set(one) == set(suite.about.axes) for one in suite.about.default)


def test_random_layouts_of_many_blocks_are_refused() -> None:
    """More blocks than can be searched have the paper's layout only."""
    with pytest.raises(InputError, match="at most 6"):
        drawn("blocks", {"n": 7, "layout": "random"}, 2)


def test_instances_of_a_size_are_harder_than_all_of_the_size_before() -> None:
    """Random towers and lines take more moves than any smaller one."""
    for size in (3, 4, 5):
        assert min(one.instance["fewest"] for one in drawn("hanoi", {"n": size}, 100)) >= 2 ** (size - 1)
        assert min(one.instance["fewest"] for one in drawn("checkers", {"n": size}, 100)) >= size**2
