"""From text to a graph: proposals, repairs, and what a plan from text may not say."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

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


async def test_an_output_that_nobody_needs_and_that_is_not_final_is_refused() -> None:
    """A second loose end is repaired, told which one; declared final it is part of the answer."""
    loose = {"id": "loose", "description": "Also this."}
    both = json.loads(proposal({"id": "main", "description": "This."}, loose))
    declared = json.loads(json.dumps(both))
    declared["answer"]["final"] = ["main", "loose"]
    model = Scripted([json.dumps(both), json.dumps(declared)])
    made = await orchestra.decompose("Do both", model=model)
    assert (made.repairs, made.graph.order) == (1, ("main", "loose"))
    assert "subtasks[main]: is needed by nobody" in model.asked[1][0].content()


async def test_what_is_final_and_read_is_both(tmp_path: Path) -> None:
    """A declared final answer belongs to the task's answer although another subtask reads it."""
    said = json.loads(LEGAL)
    said["answer"]["final"] = ["facts", "judge"]

    def reply(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str:
        if prompt.step.startswith("<decompose>"):
            return json.dumps(said)
        return '{"answer": "b"}' if sampling.schema else "the facts"

    result = await orchestra.run("Compare", model=Scripted(reply), journal=tmp_path / "j.db")
    assert result.answer == {"facts": "the facts", "judge": "b"}


async def test_a_graph_too_wide_or_too_deep_is_refused() -> None:
    """Caps on layers and fan-out hold for what a model proposes, whatever its schema lets through."""
    deep = [{"id": f"n{n}", "description": "?", "depends_on": [f"n{n - 1}"] if n else []} for n in range(10)]
    wide = [{"id": f"n{n}", "description": "?", "depends_on": ["n0"] if n else []} for n in range(11)]
    end = {"id": "end", "description": "?", "depends_on": [f"n{n}" for n in range(1, 9)]}
    for flood, told in (([*deep], "at most 8 layers"), ([*wide, end], "at most 8 subtasks that depend on n0")):
        model = Scripted([proposal(*flood), LEGAL])
        made = await orchestra.decompose("Flood", model=model)
        assert made.graph.order == ("facts", "judge")
        assert told in model.asked[1][0].content()


async def test_instruction_and_context_reach_the_decomposer_and_the_workers(tmp_path: Path) -> None:
    """The software instruction names the usual chain; the context is data to the decomposer and to every subtask."""
    model = Scripted(lambda prompt, sampling: LEGAL if prompt.step.startswith("<decompose>") else '{"answer": "a"}')
    plan = orchestra.plan("Fix it", model=model, context="def f(): </data> pass", decomposer="software")
    result = await orchestra.run(plan, journal=tmp_path / "j.db")
    assert result.status == "ok"
    first = model.asked[0][0].content()
    assert "localise the files" in first
    assert "def f(): &lt;/data> pass" in first
    assert all("def f()" in prompt.content() for prompt, _ in model.asked)


async def test_a_function_or_a_file_decomposes_without_a_model(tmp_path: Path) -> None:
    """Both are the user's own: they may grant what a model cannot, and cost no call."""

    async def split(text: str) -> dict[str, object]:
        return {"subtasks": [{"id": "only", "description": text, "verify": "grep -q fine"}]}

    model = Scripted(["fine"])
    result = await orchestra.run(orchestra.plan("Do it", model=model, decomposer=split), journal=tmp_path / "j.db")
    assert (result.answer, len(model.asked)) == ("fine", 1)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("subtasks:\n  - {id: read, description: Read it.}\n", encoding="utf-8")
    made = await orchestra.decompose("Review the change", model=model, decomposer=recipe)
    assert (made.graph.goal, made.graph.order, len(model.asked)) == ("Review the change", ("read",), 1)


async def test_what_a_function_gives_must_be_a_graph() -> None:
    """Anything else is one sentence."""
    for said in ([], None, {"subtasks": []}):
        with pytest.raises(orchestra.InputError):
            await orchestra.decompose("Do it", model=Scripted(["x"]), decomposer=lambda text, said=said: said)  # type: ignore[misc,arg-type]


async def test_a_decomposed_run_is_resumed_without_its_function(tmp_path: Path) -> None:
    """The graph stands in the journal; a run that died before has no graph, and says who makes it."""

    def split(text: str) -> orchestra.TaskGraph:
        return orchestra.TaskGraph([{"id": "only", "description": text}])

    down = Scripted([orchestra.ModelError("down")], name="openai:mine")
    async with orchestra.Session(model=down, journal=tmp_path / "j.db", environ={}) as session:
        plan = orchestra.plan("Do it", decomposer=split)
        assert (await orchestra.run(plan, session=session, run_id="r")).status == "failed"
    up = Scripted(["done"], name="openai:mine")
    async with orchestra.Session(model=up, journal=tmp_path / "j.db", environ={}) as session:
        assert (await orchestra.resume("r", session=session)).answer == "done"


def test_a_plan_in_words_is_written_and_read_back(tmp_path: Path) -> None:
    """Context, instruction and recipe survive the plan file; a function has no name that a file could bring back."""
    recipe = tmp_path / "recipe.yaml"
    for decomposer in ("software", recipe, None):
        plan = orchestra.plan("Do it", context="notes", decomposer=decomposer)
        assert orchestra.Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    named = orchestra.plan("Do it", decomposer=lambda text: {}).to_dict()
    with pytest.raises(orchestra.InputError, match="Python function"):
        asyncio.run(orchestra.decompose("Do it", decomposer=named["decomposer"]))
    with pytest.raises(orchestra.InputError, match="decomposer: must be general, software"):
        orchestra.plan("Do it", decomposer="clever")
    with pytest.raises(orchestra.InputError, match="context: is for a task in words"):
        orchestra.plan(orchestra.TaskGraph([{"id": "a", "description": "A"}]), context="notes")
