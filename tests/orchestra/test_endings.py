"""How a run ends: what its status is, and what its notes tell of how the answer came about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import orchestra
from orchestra.testing import Scripted
from orchestra_topologies.outcome import Cause, Outcome
from orchestra_topologies.synthesis import overall

Json = Any
OK, FAILED = Outcome(status="ok", answer="x"), Outcome(status="failed", cause=Cause(code="server", message="down"))
UNDECIDED = Outcome(status="undecided", cause=Cause(code="undecided", message="torn"))


def because(status: Any, root: str | None, code: str = "fail_fast") -> Outcome:
    return Outcome(status=status, cause=Cause(code=code, message="stopped", because=root))


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        ({"a": OK, "b": OK}, "ok"),
        ({"a": OK, "b": because("cancelled", None)}, "failed"),
        ({"a": OK, "b": because("skipped", "gone", "dependency")}, "failed"),
        ({"a": UNDECIDED, "b": because("skipped", "a", "dependency")}, "undecided"),
        ({"a": UNDECIDED, "b": because("cancelled", "a")}, "undecided"),
        ({"a": FAILED, "b": because("skipped", "a", "dependency")}, "failed"),
        ({"a": UNDECIDED, "b": FAILED}, "failed"),
        ({"a": FAILED, "b": because("cancelled", "a", "budget")}, "budget"),
        ({"a": FAILED, "b": OK}, "ok"),
        ({"a": because("cancelled", None, "budget"), "b": OK}, "ok"),
    ],
)
def test_a_run_is_ok_only_where_everything_ended_ok_or_was_done_without(ended: dict[str, Outcome], status: str) -> None:
    """What was skipped or cancelled counts as what its root ended as; budget goes before failed before undecided."""
    last = {"id": "b", "description": "B.", "depends_on": ["a"], "join": "best-effort"}
    assert overall(orchestra.TaskGraph([{"id": "a", "description": "A."}, last]), ended) == status


def views(kind: Json) -> orchestra.TaskGraph:
    """Return two subtasks that answer one question."""
    return orchestra.TaskGraph(
        {"id": f"r{place}", "description": "Is it safe?", "answer": kind, "answers": "verdict"} for place in range(2)
    )


def torn() -> Scripted:
    """Return a model whose workers contradict each other, and whose arbiter says yes."""

    def reply(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str:
        node, schema = prompt.step.split("|")[0], str(sampling.schema)
        if "conflicts" in schema:
            return json.dumps({"answer": {"conflicts": ["yes against no"], "choice": "yes", "evidence": "the log"}})
        if node.startswith("<lead"):
            return json.dumps({"answer": {"redo": []} if "redo" in schema else {"r0": "note", "r1": "note"}})
        return json.dumps({"answer": "yes" if node == "r0" else "no"})

    return Scripted(reply)


async def run(graph: orchestra.TaskGraph, model: Scripted, folder: Path, calls: int, **said: Json) -> Any:
    choices, budget = orchestra.Choices(**said), orchestra.Budget(calls=calls)
    plan = orchestra.plan(graph, model=model, choices=choices, budget=budget)
    return await orchestra.run(plan, journal=folder / "j.db")


async def test_an_arbiter_that_could_not_be_paid_ends_the_run_by_its_budget(tmp_path: Path) -> None:
    """The question is not undecided: nobody was asked."""
    result = await run(views({"choice": ["yes", "no"]}), torn(), tmp_path, 6, topology="parallel")
    assert (result.status, result.answer) == ("budget", None)
    assert any("'verdict' there is no answer, because" in note for note in result.notes)


async def test_a_merge_that_could_not_be_paid_is_told(tmp_path: Path) -> None:
    """The answer that is most like the others stands, and a note says that and why."""
    texts = {"r0": "It is safe to open the valve", "r1": "It is safe to open the valve now"}
    model = Scripted(lambda prompt, _: texts[prompt.step.split("|")[0]])
    result = await run(views("text"), model, tmp_path, 2, topology="parallel")
    assert (result.status, result.answer in texts.values()) == ("ok", True)
    [note] = [note for note in result.notes if "most like the others" in note]
    assert "merging failed: the next call may need 1 calls" in note


async def test_who_kept_the_topology_is_told_as_it_is(tmp_path: Path) -> None:
    """A topology that the user chose and re-routes that he switched off are different reasons."""
    (tmp_path / "a").mkdir()
    kept = await run(views({"choice": ["yes", "no"]}), torn(), tmp_path / "a", 99, reroutes=0)
    assert kept.synthesis[0]["verdict"] == "kept"
    assert any("because reroutes is 0, so nothing was routed again" in note for note in kept.notes)
    assert not any("chosen by you" in note for note in kept.notes)
    chosen = await run(views({"choice": ["yes", "no"]}), torn(), tmp_path, 99, topology="parallel")
    assert any("the topology was chosen by you" in note for note in chosen.notes)


async def test_what_every_pass_says_is_told_once(tmp_path: Path) -> None:
    """Passes over the graph repeat their notes; the result holds each of them once, in order."""
    graph = orchestra.TaskGraph(
        [
            {"id": "side", "description": "Aside."},
            *(
                {**one.to_dict(), "depends_on": ["side"], "join": "best-effort"}
                for one in views({"choice": ["yes", "no"]})
            ),
        ]
    )
    base = torn()

    def reply(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str:
        assert base._choose is not None
        if prompt.step.startswith("side"):
            return "word " * 500
        if prompt.step.startswith("<condense"):
            return "summary"
        return str(base._choose(prompt, sampling))

    result = await run(graph, Scripted(reply), tmp_path, 99, window=500, max_tokens=100)
    assert result.reroutes == 5
    assert any("reads 1 answers" in note for note in result.notes)
    assert len(result.notes) == len(set(result.notes))
