"""From text to a graph: proposals, repairs, and what a plan from text may not say."""

from __future__ import annotations

import json
from pathlib import Path

import orchestra
from orchestra.testing import Scripted


def proposal(*subtasks: dict[str, object]) -> str:
    full = {"choices": [], "depends_on": [], "coupling": "strong", "estimated_tokens": 100, "answer": "text"}
    return json.dumps({"answer": {"subtasks": [full | subtask for subtask in subtasks]}})


LEGAL = proposal(
    {"id": "facts", "description": "List facts."},
    {"id": "judge", "description": "Which?", "answer": "choice", "choices": ["a", "b"], "depends_on": ["facts"]},
)
CYCLE = proposal(
    {"id": "x", "description": "One.", "depends_on": ["y"]}, {"id": "y", "description": "Two.", "depends_on": ["x"]}
)


async def test_a_legal_proposal_becomes_a_graph_with_typed_answers() -> None:
    """Subtasks, dependencies and answer types are taken over; the text is the goal."""
    made = await orchestra.decompose("Compare a and b", model=Scripted([LEGAL]))
    assert made.graph.goal == "Compare a and b"
    assert made.graph.order == ("facts", "judge")
    assert made.graph["judge"].answer.choices == ("a", "b")
    assert made.repairs == 0


async def test_a_refused_proposal_is_repaired_with_the_reason_for_the_refusal() -> None:
    """The second prompt says why the first proposal was no legal graph."""
    model = Scripted([CYCLE, LEGAL])
    made = await orchestra.decompose("Compare", model=model)
    assert made.repairs == 1
    assert "circle" in str(model.asked[1][0].rendered())


async def test_without_a_legal_proposal_the_task_is_one_subtask_and_says_why() -> None:
    """After two repairs the whole text is one subtask, and the reason names the last problem."""
    model = Scripted(["this is no JSON"])
    made = await orchestra.decompose("Compare", model=model)
    assert [subtask.description for subtask in made.graph] == ["Compare"]
    assert "2 repairs" in made.reason
    assert len(model.asked) == 3


async def test_a_proposal_cannot_grant_itself_models_tools_or_files() -> None:
    """Keys that only a user may set are refused like any other illegal proposal."""
    for key, value in (("model", "openai:gpt-4.1"), ("tools", ["shell"]), ("verify", "rm -rf /"), ("k", 9)):
        greedy = proposal({"id": "x", "description": "One.", key: value})
        made = await orchestra.decompose("Compare", model=Scripted([greedy]))
        assert made.graph.order == ("task",)


async def test_a_text_is_decomposed_once_and_its_graph_survives_a_resume(tmp_path: Path) -> None:
    """Running text records its graph; a resumed run uses that graph and does not ask for another."""
    down = orchestra.ModelError("down")
    first = Scripted(lambda prompt, sampling: LEGAL if prompt.step.startswith("<decompose>") else down)
    stopped = await orchestra.run("Compare", model=first, journal=tmp_path / "j.db", run_id="r")
    assert (stopped.status, list(stopped.subtasks)) == ("failed", ["facts", "judge"])

    def answer(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str:
        assert not prompt.step.startswith("<decompose>")
        return '{"answer": "b"}' if sampling.schema else "facts"

    done = await orchestra.run("Compare", model=Scripted(answer), journal=tmp_path / "j.db", run_id="r")
    assert (done.status, done.answer) == ("ok", "b")
