"""Failure as data: joins, fail-fast, root causes, time limits, checks and selection."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import orchestra
from orchestra.testing import Scripted, run_virtual
from orchestra_topologies.router import Topology

Json = Any
WIRED: tuple[Topology, ...] = ("sequential", "parallel", "hierarchical", "hybrid")
ERROR = "SECRET WORDS OF THE ERROR"


def failing(*names: str, text: str = "fine") -> Scripted:
    """Return a model that fails for these subtasks and answers all others."""

    def reply(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str | Exception:
        node = prompt.step.split("|")[0]
        if sampling.schema is not None:
            return "no lead"
        return orchestra.ModelError(ERROR) if node in names else f"{text} {node}"

    return Scripted(reply)


def joined(join: Json) -> orchestra.TaskGraph:
    """Return two subtasks, their reader with this join, and its reader."""
    return orchestra.TaskGraph(
        [
            {"id": "bad", "description": "Bad."},
            {"id": "good", "description": "Good."},
            {"id": "reader", "description": "Read.", "depends_on": ["bad", "good"], "join": join},
            {"id": "after", "description": "After.", "depends_on": ["reader"]},
        ]
    )


async def run(graph: orchestra.TaskGraph, model: Scripted, folder: Path, **choices: Json) -> orchestra.RunResult:
    plan = orchestra.plan(graph, model=model, choices=orchestra.Choices(**choices))
    return await orchestra.run(plan, journal=folder / "j.db")


@pytest.mark.parametrize("topology", WIRED)
@pytest.mark.parametrize(
    ("join", "starts"),
    [("all", False), ("any", True), ({"quorum": 1}, True), ({"quorum": 2}, False), ("best-effort", True)],
)
async def test_a_join_says_how_many_inputs_must_be_ok(
    tmp_path: Path, topology: Topology, join: Json, starts: bool
) -> None:
    """One of two inputs failed: all and quorum(2) skip the reader, any, quorum(1) and best-effort start it."""
    model = failing("bad")
    result = await run(joined(join), model, tmp_path, topology=topology)
    statuses = {one: subtask["status"] for one, subtask in result.subtasks.items()}
    behind = "ok" if starts else "skipped"
    assert statuses == {"bad": "failed", "good": "ok", "reader": behind, "after": behind}
    assert result.status == ("ok" if starts else "failed")
    assert [(cause["subtask"], cause["kept"]) for cause in result.causes] == [
        ("bad", [] if starts else ["reader", "after"])
    ]
    assert [prompt for prompt, _ in model.asked if ERROR in prompt.content()] == []


async def test_a_reader_that_does_without_an_input_sees_its_empty_place(tmp_path: Path) -> None:
    """Slots stay aligned, why one is empty is not told, and the run says what was done without."""
    model = failing("bad")
    result = await run(joined("any"), model, tmp_path)
    reader = next(prompt for prompt, _ in model.asked if prompt.step.startswith("reader|"))
    assert '<data from="bad">\n(no answer)\n</data>\n\n<data from="good">' in reader.content()
    assert result.notes == ["bad is failed, and those who depend on it did without"]


@pytest.mark.parametrize("join", ["any", {"quorum": 1}])
async def test_none_of_the_inputs_is_too_few(tmp_path: Path, join: Json) -> None:
    """A join of at least one is skipped where all inputs failed; best-effort is not."""
    result = await run(joined(join), failing("bad", "good"), tmp_path)
    assert result.subtasks["reader"]["status"] == "skipped"
    assert result.status == "failed"


async def test_a_final_failure_is_never_tolerated(tmp_path: Path) -> None:
    """A failed subtask whose answer belongs to the task's fails the run, whatever its readers did without."""
    graph = joined("any").to_dict()
    graph["subtasks"][0]["final"] = True
    result = await run(orchestra.TaskGraph.from_dict(graph), failing("bad"), tmp_path)
    assert (result.status, result.answer) == ("failed", {"bad": None, "after": "fine after"})


@pytest.mark.parametrize("topology", WIRED)
async def test_fail_fast_cancels_all_others_and_names_whom_for(tmp_path: Path, topology: Topology) -> None:
    """The first subtask that does not end ok stops admission and cuts short what is in flight."""
    subtasks = [{"id": "bad", "description": "Bad."}]
    subtasks += [{"id": f"g{place}", "description": "Good.", "depends_on": []} for place in range(3)]
    result = await run(orchestra.TaskGraph(subtasks), failing("bad"), tmp_path, topology=topology, fail_fast=True)
    assert result.status == "failed"
    others = [result.subtasks[f"g{place}"] for place in range(3)]
    assert {(one["status"], one["cause"]["code"], one["cause"]["because"]) for one in others} == {
        ("cancelled", "fail_fast", "bad")
    }


def test_fail_fast_does_not_wait_for_what_is_in_flight(tmp_path: Path) -> None:
    """A sibling that would take a day is cut short, recorded as cancelled, and asked for again by a resume."""
    subtasks = [
        {"id": "slow", "description": "Slow.", "latency_ms": 86_400_000},
        {"id": "bad", "description": "Bad.", "model": "simulated:window=10", "latency_ms": 10},
    ]

    async def timed() -> tuple[orchestra.RunResult, float]:
        plan = orchestra.plan(
            orchestra.TaskGraph(subtasks), model="simulated", choices=orchestra.Choices(fail_fast=True)
        )
        result = await orchestra.run(plan, journal=tmp_path / "j.db")
        return result, asyncio.get_running_loop().time()

    result, seconds = run_virtual(timed())
    assert seconds < 10
    assert {one: subtask["status"] for one, subtask in result.subtasks.items()} == {
        "slow": "cancelled",
        "bad": "failed",
    }


def test_a_time_limit_for_all_subtasks_yields_to_a_subtask_s_own(tmp_path: Path) -> None:
    """`timeout_s` of the choices counts from a subtask's first call; its own key wins."""
    subtasks = [
        {"id": "late", "description": "Late.", "latency_ms": 5000},
        {"id": "patient", "description": "Patient.", "latency_ms": 5000, "timeout_s": 60},
    ]

    async def main() -> orchestra.RunResult:
        choices = orchestra.Choices(timeout_s=2)
        plan = orchestra.plan(orchestra.TaskGraph(subtasks), model="simulated", choices=choices)
        return await orchestra.run(plan, journal=tmp_path / "j.db")

    result = run_virtual(main())
    assert result.subtasks["late"]["cause"]["code"] == "timeout"
    assert result.subtasks["patient"]["status"] == "ok"


async def test_the_time_of_the_run_bounds_a_check_too(tmp_path: Path) -> None:
    """A check that is running when the run's seconds are up is given up, and the run can be resumed."""
    graph = orchestra.TaskGraph([{"id": "a", "description": "A.", "verify": "sleep 30"}])
    plan = orchestra.plan(graph, model=failing(), budget=orchestra.Budget(seconds=0.3))
    result = await orchestra.run(plan, journal=tmp_path / "j.db")
    assert (result.status, result.subtasks["a"]["cause"]["code"]) == ("budget", "budget")


async def test_a_check_decides_and_is_not_made_twice(tmp_path: Path) -> None:
    """An answer that does not pass fails its subtask with what the check said; a resume does not check it again."""
    checked: list[Json] = []

    def check(answer: Json) -> bool | str:
        checked.append(answer)
        return "too fine"

    graph = orchestra.TaskGraph([{"id": "a", "description": "A.", "verify": check}])
    plan = orchestra.plan(graph, model=failing())
    for _ in range(2):
        result = await orchestra.run(plan, journal=tmp_path / "j.db", run_id="r")
        assert result.subtasks["a"]["cause"]["code"] == "verify"
        assert "too fine" in result.subtasks["a"]["cause"]["message"]
    assert checked == ["fine a"]


async def test_a_python_check_cannot_come_out_of_a_journal(tmp_path: Path) -> None:
    """`resume` of a run whose check is a function says in one sentence who has it."""
    graph = orchestra.TaskGraph([{"id": "a", "description": "A.", "verify": lambda answer: False}])
    async with orchestra.Session(model=failing(), journal=tmp_path / "j.db") as session:
        await orchestra.run(graph, session=session, run_id="r")
        with pytest.raises(orchestra.InputError, match="is a Python function"):
            await orchestra.resume("r", session=session)


SAID = ["the sky is green today", "the sky is blue today", "a sky is blue today"]


@pytest.mark.parametrize(
    ("select", "answer"),
    [("medoid", SAID[1]), ("judge", SAID[2]), ("verify:grep -q ^a", SAID[2]), ("verify:false", None)],
)
async def test_one_of_several_samples_is_selected(tmp_path: Path, select: str, answer: str | None) -> None:
    """Text is drawn n times; the one most like the others, the judge's choice, or the first that passes is taken."""

    def reply(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str:
        return '{"answer":"3"}' if sampling.schema else SAID[sampling.index]

    model = Scripted(reply)
    graph = orchestra.TaskGraph([{"id": "a", "description": "Describe the sky.", "select": select, "samples": 3}])
    result = await run(graph, model, tmp_path)
    subtask = result.subtasks["a"]
    assert subtask["answer"] == answer
    assert subtask["status"] == ("ok" if answer else "failed")
    assert (subtask["voted"], subtask["samples"]) == (False, 3)
    if select == "judge":
        assert model.asked[-1][0].content().count("\n</data>") == 4
        assert subtask["selected"]["votes"] == 3


async def test_a_judge_is_not_asked_where_all_samples_are_the_same(tmp_path: Path) -> None:
    """There is nothing to choose from."""
    model = failing()
    graph = orchestra.TaskGraph([{"id": "a", "description": "A.", "select": "judge", "samples": 5}])
    result = await run(graph, model, tmp_path)
    assert (result.answer, len(model.asked)) == ("fine a", 5)


async def test_a_lead_sends_work_back_and_only_that_and_what_depends_on_it_is_done_again(tmp_path: Path) -> None:
    """The lead reads the reports and names a subtask with a note, which reaches the worker as data; twice at most."""
    rounds = 0

    def reply(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str:
        nonlocal rounds
        if "redo" in str(sampling.schema):
            rounds += 1
            return f'{{"answer":{{"redo":[{{"id":"b","note":"NOTE {rounds}"}}]}}}}'
        return '{"answer":{"a":"","b":"","c":""}}' if sampling.schema else f"text {len(prompt.content())}"

    model = Scripted(reply)
    subtasks: list[dict[str, Json]] = [{"id": one, "description": one.upper()} for one in "abc"]
    subtasks[2]["depends_on"] = ["b"]
    result = await run(orchestra.TaskGraph(subtasks), model, tmp_path, topology="hierarchical")
    steps = [prompt.step.split("|")[0] for prompt, _ in model.asked]
    assert steps == ["<lead>", "a", "b", "c", "<lead>", "b", "c", "<lead>", "b"]
    assert '<data kind="note">\nNOTE 2\n</data>' in model.asked[-1][0].content()
    assert result.notes == ["the lead sent back b", "the lead sent back b"]
