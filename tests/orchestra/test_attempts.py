"""What a later attempt at a run takes over from an earlier one, and what it must not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import orchestra
from orchestra.testing import Scripted
from orchestra_agents.models.contract import Evidence, Prompt, Sampling

ACCEPT = orchestra.Hooks(accept_change=True)


class Real(Scripted):
    """A scripted model that passes for a real one."""

    @property
    def evidence(self) -> Evidence:
        return "real"


def voter(answer: object, kind: type[Scripted] = Scripted) -> Scripted:
    return kind(lambda prompt, sampling: json.dumps({"answer": answer}) if sampling.schema else str(answer))


def subtask(**said: object) -> dict[str, object]:
    return {"id": "q", "description": "Which?", "answer": {"choice": ["a", "b"]}, **said}


def question(**said: object) -> orchestra.TaskGraph:
    return orchestra.TaskGraph([subtask(**said)])


async def test_evidence_is_simulated_as_soon_as_one_attempt_was(tmp_path: Path) -> None:
    """A run begun on a real model and continued on a simulated one never passes for real."""
    graph = orchestra.TaskGraph([*question(), {"id": "r", "description": "Then?", "depends_on": ["q"]}])
    down = Real([orchestra.ModelError("down")])
    first = await orchestra.run(graph, model=down, journal=tmp_path / "j.db", run_id="r")
    assert first.evidence == "real"
    last = await orchestra.run(graph, model=voter("a"), journal=tmp_path / "j.db", run_id="r", hooks=ACCEPT)
    assert (last.status, last.evidence) == ("ok", "simulated")


async def test_another_k_type_or_model_asks_again(tmp_path: Path) -> None:
    """An accepted change of what decides an answer makes the old outcome worth nothing."""
    journal = tmp_path / "j.db"
    await orchestra.run(question(k=1), model=voter("a"), journal=journal, run_id="r")
    wider = await orchestra.run(question(k=4), model=voter("a"), journal=journal, run_id="r", hooks=ACCEPT)
    assert wider.subtasks["q"]["votes"] == 4
    typed = await orchestra.run(
        question(k=4, answer="number"), model=voter(3), journal=journal, run_id="r", hooks=ACCEPT
    )
    assert typed.answer == 3


async def test_another_task_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    """A run of text that is continued with a graph, accepted, is a run of that graph."""
    proposal = {"id": "x", "description": "X", "answer": "text", "choices": [], "depends_on": []}
    plan = json.dumps({"answer": {"subtasks": [proposal | {"coupling": "none", "estimated_tokens": 1}]}})
    model = Scripted(lambda prompt, sampling: plan if sampling.schema else "old")
    journal = tmp_path / "j.db"
    first = await orchestra.run("Do X", model=model, journal=journal, run_id="r")
    assert list(first.subtasks) == ["x"]
    last = await orchestra.run(question(), model=voter("b"), journal=journal, run_id="r", hooks=ACCEPT)
    assert (list(last.subtasks), last.answer) == (["q"], "b")


async def test_a_cap_outlives_the_attempt_and_each_is_replaced_by_itself(tmp_path: Path) -> None:
    """Resuming without caps keeps those of the run; giving one replaces only that one."""
    graph = orchestra.TaskGraph(
        [{"id": f"q{n}", "description": "?", "answer": {"choice": ["a", "b"]}} for n in range(4)]
    )
    async with orchestra.Session(model="simulated", journal=tmp_path / "j.db") as session:
        budget = orchestra.Budget(calls=5, tokens=100_000)
        assert (
            await orchestra.run(orchestra.plan(graph, budget=budget), session=session, run_id="r")
        ).status == "budget"
        again = await orchestra.resume("r", session=session)
        assert (again.status, again.usage.calls) == ("budget", 5)
        more = await orchestra.resume("r", session=session, budget=orchestra.Budget(tokens=200_000))
        assert (more.status, more.usage.calls) == ("budget", 5)
        done = await orchestra.resume("r", session=session, budget=orchestra.Budget(calls=12))
        assert (done.status, done.usage.calls) == ("ok", 12)


async def test_a_finished_run_needs_no_model_to_be_shown(tmp_path: Path) -> None:
    """Resuming a finished run gives its result although its model cannot be had any more."""
    journal = tmp_path / "j.db"
    gone = Scripted(lambda prompt, sampling: '{"answer": "a"}', name="openai:gone")
    first = await orchestra.run(question(), model=gone, journal=journal, run_id="r")
    async with orchestra.Session(journal=journal, environ={}) as session:
        assert (await orchestra.resume("r", session=session)).as_dict() == first.as_dict()


async def test_a_session_s_model_objects_take_part_in_a_resume(tmp_path: Path) -> None:
    """A run that was made with an object is resumed with the session's object of that name, never by its name alone."""
    down = Scripted([orchestra.ModelError("down")], name="openai:mine")
    async with orchestra.Session(model=down, journal=tmp_path / "j.db", environ={}) as session:
        assert (await orchestra.run(question(), session=session, run_id="r")).status == "failed"
    up = Scripted(['{"answer": "a"}'], name="openai:mine")
    async with orchestra.Session(model=up, journal=tmp_path / "j.db", environ={}) as session:
        assert (await orchestra.resume("r", session=session)).status == "ok"
    assert len(up.asked) == 3


async def test_a_lead_without_a_usable_briefing_is_noted(tmp_path: Path) -> None:
    """The result says that the plain subtasks were run, and why."""
    mute = Scripted(lambda prompt, sampling: "no JSON" if sampling.schema else "text")
    graph = orchestra.TaskGraph([{"id": "a", "description": "A"}, {"id": "b", "description": "B", "depends_on": ["a"]}])
    plan = orchestra.plan(graph, model=mute, choices=orchestra.Choices(topology="hierarchical"))
    result = await orchestra.run(plan, journal=tmp_path / "j.db")
    assert result.status == "ok"
    assert "no usable plan" in result.notes[0]


async def test_one_agent_says_what_of_the_subtasks_did_not_apply(tmp_path: Path) -> None:
    """With topology single, keys of single subtasks that have no effect are named; the vote stands under `whole`."""
    graph = orchestra.TaskGraph([{"id": "a", "description": "A", "timeout_s": 5}, subtask(depends_on=["a"], k=2)])
    plan = orchestra.plan(graph, model=voter("a"), choices=orchestra.Choices(topology="single"))
    result = await orchestra.run(plan, journal=tmp_path / "j.db")
    assert "k, timeout_s" in result.notes[0]
    assert result.whole is not None
    assert (result.whole["answer"], result.whole["votes"]) == ("a", 3)
    assert {subtask["votes"] for subtask in result.subtasks.values()} == {0}


async def test_a_proposal_of_too_many_subtasks_is_refused(tmp_path: Path) -> None:
    """However many subtasks a model proposes, a plan from text stays small."""
    flood = [{"id": f"n{n}", "description": "?", "answer": "text", "choices": [], "depends_on": []} for n in range(500)]
    said = json.dumps({"answer": {"subtasks": [one | {"coupling": "none", "estimated_tokens": 1} for one in flood]}})

    def reply(prompt: Prompt, sampling: Sampling) -> str:
        return said if sampling.schema else "done"

    result = await orchestra.run("Flood", model=Scripted(reply), journal=tmp_path / "j.db")
    assert list(result.subtasks) == ["task"]


async def test_a_model_for_a_role_that_nobody_has_is_refused(tmp_path: Path) -> None:
    """A mistyped role is named with the roles there are, and nothing is written."""
    with pytest.raises(orchestra.InputError, match="'leed'; roles here are worker, arbiter, decomposer, judge, lead"):
        await orchestra.run(question(), model={"worker": "simulated", "leed": "simulated"}, journal=tmp_path / "j.db")
    assert os.listdir(tmp_path) == []
