"""From text to a graph: proposals, repairs, and what a plan from text may not say."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import orchestra
from orchestra.testing import Scripted
from orchestra_agents.errors import ContextExceeded, ManifestChanged
from orchestra_agents.journal.records import Decomposed, Record
from orchestra_agents.journal.replay import RunState
from orchestra_agents.tools import tool


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


def recipe(folder: Path, *subtasks: dict[str, object]) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(json.dumps({"subtasks": subtasks}), encoding="utf-8")
    return path


async def test_a_recipe_s_models_answer_its_subtasks(tmp_path: Path) -> None:
    """A model that one subtask names is there, as it is for a graph that is run itself."""
    made = recipe(tmp_path, {"id": "read", "description": "Read.", "model": "simulated:p=1"})
    plan = orchestra.plan("Review", model=Scripted(["never asked"]), decomposer=made)
    result = await orchestra.run(plan, journal=tmp_path / "j.db", run_id="r")
    assert (result.status, result.usage.calls) == ("ok", 1)
    assert "never" not in result.answer


async def test_a_function_s_graph_keeps_its_functions(tmp_path: Path) -> None:
    """A check that is a Python function is called in this attempt and in the next one, and stands as its name."""
    checked: list[object] = []

    def is_fine(answer: object) -> bool:
        checked.append(answer)
        return answer == "fine"

    async def split(text: str) -> orchestra.TaskGraph:
        return orchestra.TaskGraph([{"id": "only", "description": text, "verify": is_fine}])

    def plan(*replies: str) -> orchestra.Plan:
        return orchestra.plan("Do it", model=Scripted(replies), decomposer=split)

    journal = tmp_path / "j.db"
    assert (await orchestra.run(plan("bad"), journal=journal, run_id="r")).status == "failed"
    async with orchestra.Session(journal=journal) as session:
        recorded = RunState.of(session.journal.entries("r")).decomposed
        assert recorded is not None
        assert recorded.graph["subtasks"][0]["verify"].startswith("python:")
        with pytest.raises(orchestra.InputError, match=r"subtasks\[only\].verify: .* run the graph from the program"):
            await orchestra.resume("r", session=session)
    hooks = orchestra.Hooks(accept_change=True)
    changed = orchestra.plan("Do it", model=Scripted(["fine"]), choices=orchestra.Choices(seed=1), decomposer=split)
    assert (await orchestra.run(changed, journal=journal, run_id="r", hooks=hooks)).answer == "fine"
    assert checked == ["bad", "fine"]


@pytest.mark.parametrize(
    ("subtask", "told"),
    [
        ({"verify": "nosuchprogram {file}"}, "subtasks[x].verify: the program 'nosuchprogram' is not found"),
        ({"team": "vote"}, "subtasks[x].team: "),
        ({"tools": ["search"]}, "subtasks[x].tools: "),
        ({"depends_on": ["nobody"]}, "subtasks[x].depends_on"),
    ],
)
async def test_a_recipe_that_cannot_be_answered_is_refused_before_anything_is_written(
    tmp_path: Path, subtask: dict[str, object], told: str
) -> None:
    """Whatever is refused of a graph is refused of a graph that a file holds, before a call and without a journal."""
    made = recipe(tmp_path, {"id": "a", "description": "A."}, {"id": "x", "description": "X.", **subtask})
    model = Scripted(["never asked"])
    with pytest.raises(orchestra.InputError) as refused:
        await orchestra.run(orchestra.plan("Do it", model=model, decomposer=made), journal=tmp_path / "j" / "j.db")
    assert told in str(refused.value)
    assert model.asked == []
    assert not (tmp_path / "j").exists()


async def test_a_missing_recipe_or_a_function_that_raises_leaves_no_run(tmp_path: Path) -> None:
    """Exit 2 means that nothing was written, and what a function of the user's raises comes out as it is."""

    def broken(text: str) -> orchestra.TaskGraph:
        raise LookupError(text)

    missing = orchestra.plan("Do it", model="simulated", decomposer=tmp_path / "missing.yaml")
    with pytest.raises(orchestra.InputError, match=r"missing\.yaml"):
        await orchestra.run(missing, journal=tmp_path / "j" / "j.db")
    plan = orchestra.plan("Do it", model="simulated", decomposer=broken)
    with pytest.raises(LookupError, match="Do it"):
        await orchestra.run(plan, journal=tmp_path / "j" / "j.db")
    assert not (tmp_path / "j").exists()
    async with orchestra.Session(journal=tmp_path / "k.db") as session:  # a journal that is there gets no run
        await orchestra.run("Do it", model="simulated", session=session, run_id="other")
        with pytest.raises(LookupError):
            await orchestra.run(plan, session=session)
        assert session.journal.run_ids() == ["other"]


async def test_a_recipe_that_changed_is_another_task(tmp_path: Path) -> None:
    """A resumed run goes on with the recorded graph where it is still the same one, else only if that is accepted."""
    down, up = Scripted([orchestra.ModelError("down")]), Scripted(["done"])
    path = recipe(tmp_path, {"id": "a", "description": "A."})
    journal = tmp_path / "j.db"

    def plan(model: Scripted) -> orchestra.Plan:
        return orchestra.plan("Do it", model=model, decomposer=path)

    assert (await orchestra.run(plan(down), journal=journal, run_id="r")).status == "failed"
    assert (await orchestra.run(plan(down), journal=journal, run_id="r")).status == "failed"
    recipe(tmp_path, {"id": "b", "description": "B."})
    with pytest.raises(ManifestChanged, match=r"task differs \(the decomposer gave another graph\)"):
        await orchestra.run(plan(up), journal=journal, run_id="r")
    assert up.asked == []
    hooks = orchestra.Hooks(accept_change=True)
    done = await orchestra.run(plan(up), journal=journal, run_id="r", hooks=hooks)
    assert (done.status, list(done.subtasks), done.answer) == ("ok", ["b"], "done")
    async with orchestra.Session(journal=journal) as session:
        assert (await orchestra.resume("r", session=session)).answer == "done"
    assert (await orchestra.run(plan(up), journal=journal, run_id="r")).answer == "done"


async def test_a_recipe_that_is_gone_is_not_needed_to_go_on(tmp_path: Path) -> None:
    """What it held stands in the journal."""
    path = recipe(tmp_path, {"id": "a", "description": "A."})
    async with orchestra.Session(model=Scripted([orchestra.ModelError("down")]), journal=tmp_path / "j.db") as session:
        await orchestra.run(orchestra.plan("Do it", decomposer=path), session=session, run_id="r")
    path.unlink()
    async with orchestra.Session(model=Scripted(["done"]), journal=tmp_path / "j.db") as session:
        assert (await orchestra.resume("r", session=session)).answer == "done"


async def test_a_context_is_cut_to_what_the_decomposer_s_window_holds(tmp_path: Path) -> None:
    """Every proposal's prompt is counted before it is sent, repairs included, and the reason says what was cut."""
    model = Scripted(["no JSON", LEGAL])
    choices = orchestra.Choices(window=1200, max_tokens=100)
    made = await orchestra.decompose("Compare", model=model, choices=choices, context="word " * 3000)
    assert made.repairs == 1
    assert "of the context's 15,000 characters" in made.reason
    assert made.graph.context == "word " * 3000
    for prompt, _ in model.asked:
        assert "characters left out" in prompt.content()
        assert 2000 < len(prompt.content()) <= 3 * 1100
    short = await orchestra.decompose("Compare", model=Scripted([LEGAL]), choices=choices, context="few words")
    assert short.reason == "the model proposed 2 subtasks"


async def test_a_decomposer_whose_own_words_do_not_fit_is_not_asked(tmp_path: Path) -> None:
    """What could never be read is a failure with its figures, before any call, whoever knows the window."""

    class Narrow(Scripted):
        window = 300

    for model, window in ((Scripted([LEGAL]), 300), (Narrow([LEGAL]), None)):
        choices = orchestra.Choices(window=window, max_tokens=100)
        with pytest.raises(ContextExceeded, match="a window of 300 and 100 for the reply leave 200"):
            await orchestra.decompose("Compare", model=model, choices=choices, context="word " * 3000)
        plan = orchestra.plan("Compare", model=model, choices=choices, context="word " * 3000)
        result = await orchestra.run(plan, journal=tmp_path / f"{window}.db")
        assert (result.status, result.usage.calls, model.asked) == ("failed", 0, [])
        assert result.reason.startswith("context: ")


async def test_a_proposal_may_say_that_subtasks_answer_one_question(tmp_path: Path) -> None:
    """Answers to it are compared and become one; it is an id, which grants nothing."""
    views = [{"id": f"view{n}", "description": "Safe?", "answer": "choice", "choices": ["yes", "no"]} for n in (1, 2)]
    said = proposal(*({**view, "answers": "safe"} for view in views))
    model = Scripted(lambda prompt, _: said if prompt.step.startswith("<decompose>") else '{"answer": "yes"}')
    result = await orchestra.run("Is it safe?", model=model, journal=tmp_path / "j.db")
    assert (result.status, result.answer) == ("ok", "yes")
    assert result.synthesis[0]["questions"][0]["members"] == ["view1", "view2"]
    assert '"answers" id' in model.asked[0][0].content()
    blank = await orchestra.decompose("Is it safe?", model=Scripted([proposal({**views[0], "answers": " "})]))
    assert blank.graph["view1"].answers is None


async def test_one_question_is_proposed_with_one_kind_of_answer() -> None:
    """Answers that could not be compared are refused and repaired, not found out in the middle of the run."""
    odd = {"description": "Safe?", "answers": "safe"}
    said = proposal({**odd, "id": "a", "answer": "number"}, {**odd, "id": "b", "answer": "text"})
    model = Scripted([said, LEGAL])
    made = await orchestra.decompose("Is it safe?", model=model)
    assert (made.repairs, made.graph.order) == (1, ("facts", "judge"))
    assert "a, b answer 'safe' in different ways" in model.asked[1][0].content()


async def test_a_model_may_grant_fewer_tools_than_the_user_and_never_others() -> None:
    """Of the tools that the user brought a proposal may name some for a subtask; leaving them out means all of them."""

    @tool(effects="none")
    async def search(words: str) -> str:
        """Search."""
        return words

    @tool(effects="none")
    async def read(page: int) -> int:
        """Read a page."""
        return page

    plain = {"answer": "text", "choices": [], "depends_on": [], "coupling": "none", "estimated_tokens": 1}
    one = {"id": "a", "description": "A"} | plain
    model = Scripted(
        [
            proposal(one | {"tools": ["delete_all"]}),
            proposal(one | {"tools": ["read"]}, plain | {"id": "b", "description": "B", "depends_on": ["a"]}),
            '{"done": true, "answer": "x"}',
        ]
    )
    records: list[Record] = []
    hooks = orchestra.Hooks(watch=records.append)
    await orchestra.run("Do two things", model=model, tools=[search, read], hooks=hooks)
    [made] = [record for record in records if isinstance(record, Decomposed)]
    assert [one.get("tools") for one in made.graph["subtasks"]] == [["read"], ["search", "read"]]
    assert made.repairs == 1
