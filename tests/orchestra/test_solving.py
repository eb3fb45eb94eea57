"""One problem as a run of its own: result, resume, budget, refusals, and what the command line says of it."""

from __future__ import annotations

import asyncio
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orchestra
from orchestra.running import resume
from orchestra.solved import Solved
from orchestra.solving import solve
from orchestra.testing import Scripted
from orchestra_agents.errors import ManifestChanged
from orchestra_agents.journal.records import Asked, RunEnded
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.models.contract import canonical_json
from orchestra_agents.plain_roles import PlainRoles
from orchestra_agents.splits import split_reply
from tests.orchestra.conftest import Call

EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "multiply.py"))
ROLES: Any = EXAMPLE["Multiplication"](orchestra.AnswerType("number"))
MODEL = "simulated:p=0.9,seed=1"


async def multiply(a: int, b: int, **options: Any) -> Solved:
    """Multiply with the example's roles."""
    defaults: dict[str, Any] = {"model": MODEL, "k": 3}
    return await solve(f"{a} x {b}", roles=ROLES, **defaults | options)


def answering(answer: object) -> Scripted:
    """A model that calls every problem atomic and gives one answer, or raises it."""

    def reply(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str | Exception:
        if prompt.messages[-1].content.endswith("or say that it is atomic."):
            return says(split_reply(None))
        return answer if isinstance(answer, Exception) else says(answer)

    return Scripted(reply)


def says(answer: object) -> str:
    """A typed reply."""
    return canonical_json({"answer": answer})


@settings(max_examples=15)
@given(a=st.integers(0, 999_999), b=st.integers(0, 999_999))
def test_without_errors_any_product_is_right(a: int, b: int) -> None:
    """A simulated model that never errs multiplies any two numbers of up to six digits, also beyond the depth cap."""
    solved = asyncio.run(multiply(a, b, model="simulated:p=1.0", k=2))
    assert (solved.status, solved.answer) == ("ok", a * b)
    assert {problem["failure"] for problem in solved.problems} == {None}
    assert max(problem["path"].count(".") for problem in solved.problems) <= 5


async def test_a_result_tells_the_whole_tree(tmp_path: Path) -> None:
    """Every problem with path, words, how it was answered, its votes and failure; and what it took."""
    solved = await multiply(12, 34, journal=tmp_path / "j.db", run_id="r")
    assert (solved.run_id, solved.status, solved.answer, solved.evidence) == ("r", "ok", 408, "simulated")
    assert [problem["path"] for problem in solved.problems] == ["1", "1.1", "1.1.1", "1.1.2", "1.2", "1.2.1", "1.2.2"]
    first, last = solved.problems[0], solved.problems[-1]
    assert (first["problem"], first["how"], first["answer"]) == ("12 x 34", "composed", 408)
    assert first["split"] == {"parts": ["10 x 34", "2 x 34"], "compose": "add the two products"}
    assert (last["problem"], last["how"], last["answer"], last["split"]) == ("4 x 2", "atomic", 8, None)
    assert sum(problem["split_votes"] + problem["votes"] for problem in solved.problems) == solved.usage.samples
    assert solved.as_dict()["journal"] == str(tmp_path / "j.db")
    assert solved.as_dict()["usage"]["calls"] == solved.usage.calls


async def test_a_finished_problem_is_returned_without_asking(tmp_path: Path) -> None:
    """The same call with the same name gives the same result, and no model is asked."""
    first = await solve("one", model=answering("x"), journal=tmp_path / "j.db", run_id="r")
    model = answering("y")
    again = await solve("one", model=model, journal=tmp_path / "j.db", run_id="r")
    assert (again, model.asked) == (first, [])
    assert again.answer == "x"


async def test_a_budget_stops_a_problem_and_no_recorded_vote_is_asked_again(tmp_path: Path) -> None:
    """Raised step by step, the budget leads to the result of one go, and every sample was asked for once."""
    whole = await multiply(98, 76)
    calls, attempts = 7, 0
    while (solved := await _capped(calls, tmp_path)).status == "budget":
        assert solved.usage.calls <= calls
        assert solved.answer is None
        assert "larger budget" in (solved.reason or "")
        calls, attempts = calls + 7, attempts + 1
    assert attempts > 3
    assert (solved.status, solved.answer, solved.problems) == ("ok", whole.answer, whole.problems)
    assert solved.usage.calls == whole.usage.calls
    with Journal(tmp_path / "j.db", "read") as journal:
        asked = Counter(entry.record.sample() for entry in journal.entries("r") if isinstance(entry.record, Asked))
    assert set(asked.values()) == {1}


async def _capped(calls: int, folder: Path) -> Solved:
    return await multiply(98, 76, journal=folder / "j.db", run_id="r", budget=orchestra.Budget(calls=calls))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"b": 35}, "task differs"),
        ({"model": "simulated:p=0.9,seed=2"}, "models.worker differs"),
        ({"k": 4}, "k differs"),
        ({"depth": 2}, "depth differs"),
    ],
)
async def test_another_question_under_the_same_name_is_refused(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    """Another problem, model, margin or depth is not a resume; the message says which."""
    options: dict[str, Any] = {"journal": tmp_path / "j.db", "run_id": "r"}
    await multiply(12, 34, **options)
    with pytest.raises(ManifestChanged, match=told):
        await multiply(12, **{"b": 34} | options | change)


async def test_other_roles_under_the_same_name_are_refused(tmp_path: Path) -> None:
    """Roles that ask in other words, or for another kind of answer, are not those of the run."""
    await solve("one", model=answering("x"), journal=tmp_path / "j.db", run_id="r")
    number = PlainRoles(orchestra.AnswerType("number"))
    with pytest.raises(ManifestChanged, match="answer"):
        await solve("one", roles=number, model=answering(1), journal=tmp_path / "j.db", run_id="r")


async def test_an_undecided_vote_is_a_status_with_the_path_it_was_at(tmp_path: Path) -> None:
    """Votes that never agree end at the cap: no answer, and the reason says where."""
    numbers = iter(range(1000))

    def reply(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str:
        is_split = prompt.messages[-1].content.endswith("or say that it is atomic.")
        return says(split_reply(None) if is_split else str(next(numbers)))

    model = Scripted(reply)
    solved = await solve("one", model=model, journal=tmp_path / "j.db")
    assert (solved.status, solved.answer) == ("undecided", None)
    assert "problem 1 ended at its cap" in (solved.reason or "")
    assert (solved.problems[0]["how"], solved.problems[0]["failure"]) == (None, "unknown")


async def test_a_stable_wrong_mode_wins_and_is_told(tmp_path: Path) -> None:
    """Votes do not mend a model that is mostly wrong: the status is ok, and the journal, which knows, says miscalc."""
    solved = await multiply(7, 8, model="simulated:p=0.1", journal=tmp_path / "j.db", k=4)
    assert (solved.status, solved.answer == 56) == ("ok", False)
    assert solved.problems[0]["failure"] == "atomic_miscalc"


async def test_a_model_that_is_down_fails_the_attempt_and_the_next_one_goes_on(tmp_path: Path) -> None:
    """The run is failed with the error's code; repeating the call asks only for what is missing."""
    down = answering(orchestra.ModelError("no connection"))
    failed = await solve("one", model=down, journal=tmp_path / "j.db", run_id="r")
    assert (failed.status, failed.reason) == ("failed", "model: no connection")
    model = answering("x")
    solved = await solve("one", model=model, journal=tmp_path / "j.db", run_id="r")
    assert (solved.status, solved.answer, len(model.asked)) == ("ok", "x", 2)


async def test_roles_that_raise_fail_the_attempt_and_the_error_is_theirs(tmp_path: Path) -> None:
    """What user code raises comes out as it is, and the journal says that the attempt failed with it."""

    class Broken(PlainRoles):
        def solution(self, problem: str) -> orchestra.Prompt:
            if problem != "one":
                raise KeyError("lost")
            return super().solution(problem)

    halves = {"atomic": False, "parts": ["a", "b"], "compose": "add"}
    model = Scripted([says(halves)])
    roles = Broken(orchestra.AnswerType("number"))
    with pytest.raises(KeyError, match="lost"):
        await solve("one", roles=roles, model=model, depth=1, journal=tmp_path / "j.db", run_id="r")
    with Journal(tmp_path / "j.db", "read") as journal:
        ended = [entry.record for entry in journal.entries("r")][-1]
    assert isinstance(ended, RunEnded)
    assert (ended.status, ended.reason) == ("failed", "roles: KeyError: 'lost'")


async def test_a_cancelled_problem_is_interrupted_and_gone_on_with(tmp_path: Path) -> None:
    """Cancellation passes through; what was recorded stands, and the next call ends well."""
    slow = "simulated:p=0.9,seed=1,latency_ms=20.0"
    running = asyncio.create_task(multiply(12, 34, model=slow, journal=tmp_path / "j.db", run_id="r"))
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with Journal(tmp_path / "j.db", "read") as journal:
        ended = [entry.record for entry in journal.entries("r")][-1]
    assert isinstance(ended, RunEnded)
    assert ended.status == "interrupted"
    assert (await multiply(12, 34, model=slow, journal=tmp_path / "j.db", run_id="r")).answer == 408


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"problem": " "}, "problem: must be a text"),
        ({"k": 0}, "k: must be an integer from 1"),
        ({"depth": 99}, "depth: must be an integer from 0 to 16"),
        ({"roles": PlainRoles(orchestra.AnswerType("text"))}, "roles.answer: must be number"),
        ({"run_id": "a b"}, "run_id: must be"),
        ({"model": {"worker": "simulated", "lead": "simulated"}}, "model: one panel answers for all roles"),
    ],
)
async def test_what_cannot_be_solved_is_refused_and_leaves_no_file(
    tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    """One clear sentence, before anything is written."""
    defaults: dict[str, Any] = {"problem": "one", "model": "simulated", "journal": tmp_path / "j.db"}
    with pytest.raises(orchestra.InputError, match=told):
        await solve(**defaults | options)
    assert not (tmp_path / "j.db").exists()


async def test_a_run_of_another_kind_is_not_taken_over(tmp_path: Path) -> None:
    """A graph's name is refused to a problem, and a problem's run cannot be resumed without its roles."""
    async with orchestra.Session(model="simulated", journal=tmp_path / "j.db") as session:
        await orchestra.run(orchestra.TaskGraph([{"id": "x", "description": "One"}]), session=session, run_id="graph")
        with pytest.raises(orchestra.InputError, match="is a graph run; name another"):
            await solve("one", session=session, run_id="graph")
        await solve("one", session=session, run_id="problem", budget=orchestra.Budget(calls=1))
        with pytest.raises(orchestra.InputError, match="repeat that call to go on"):
            await resume("problem", session=session)


def test_the_command_line_shows_a_problem_and_says_how_to_go_on(call: Call, tmp_path: Path) -> None:
    """`runs` lists it, `show` prints its tree, with --json one document, and `resume` refuses with one sentence."""
    path = tmp_path / "j.db"
    asyncio.run(multiply(12, 34, journal=path, run_id="done"))
    asyncio.run(multiply(12, 34, journal=path, run_id="stopped", budget=orchestra.Budget(calls=9)))
    listed = call("runs", "--journal", path, "--json").document["runs"]
    assert [(row["kind"], row["status"]) for row in listed] == [("solve", "ok"), ("solve", "budget")]
    assert listed[0]["subtasks"] == "7/7"
    shown = call("show", "done", "--journal", path)
    assert shown.code == 0
    for part in ("12 x 34", "1.2.2", "composed", "answer  408", "a SIMULATED model"):
        assert part in shown.out
    document = call("show", "done", "--journal", path, "--json").document
    assert (document["kind"], document["answer"], len(document["problems"])) == ("solve", 408, 7)
    assert {decision["path"] for decision in document["decisions"]} == {one["path"] for one in document["problems"]}
    assert "larger budget" in call("show", "stopped", "--journal", path).out
    refused = call("resume", "stopped", "--journal", path)
    assert (refused.code, refused.out) == (2, "")
    assert "repeat that call to go on" in refused.err
