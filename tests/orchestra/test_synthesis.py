"""Several answers to one question: compared, merged, counted or arbitrated, and routed again while they conflict."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import orchestra
from orchestra.testing import Scripted
from tests.agents.fake_openai import Reply, Request, fake_server

Json = Any
CHOICE = {"choice": ["yes", "no"]}


def members(count: int, answer: Json = CHOICE, **said: Json) -> list[dict[str, Json]]:
    """Return subtasks that answer the question `verdict`."""
    one = {"description": "Is it safe?", "answer": answer, "answers": "verdict", **said}
    return [one | {"id": f"r{place}"} for place in range(count)]


def panel(answers: Mapping[str, Json], choice: Json = "yes") -> Scripted:
    """Return a model that answers each node as told, arbitrates for `choice`, and leads without a word."""

    def reply(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str:
        node, schema = prompt.step.split("|")[0], str(sampling.schema)
        if "conflicts" in schema:
            return json.dumps({"answer": {"conflicts": ["yes against no"], "choice": choice, "evidence": "the log"}})
        if node.startswith("<lead"):
            return json.dumps({"answer": {"redo": []} if "redo" in schema else dict.fromkeys(answers, "note")})
        if node.startswith("<merge"):
            return "one merged text"
        return json.dumps({"answer": answers[node]}) if sampling.schema else str(answers[node])

    return Scripted(reply)


def asked(model: Scripted) -> Counter[str]:
    """Return how often each node was asked."""
    return Counter(prompt.step.split("|")[0] for prompt, _ in model.asked)


async def run(subtasks: list[dict[str, Json]], model: Scripted, folder: Path, **choices: Json) -> orchestra.RunResult:
    graph = orchestra.TaskGraph(subtasks)
    plan = orchestra.plan(graph, model=model, choices=orchestra.Choices(**choices))
    return await orchestra.run(plan, journal=folder / "j.db", run_id="r")


async def test_conflicts_are_arbitrated_and_routed_again_five_times_at_most_then_forced(tmp_path: Path) -> None:
    """Each pass raises the coupling by 0.2, at most to 1; the fifth re-route is hierarchical and its result stands."""
    model = panel({"r0": "yes", "r1": "no", "r2": "yes", "r3": "no"})
    result = await run(members(4), model, tmp_path)
    assert (result.status, result.answer, result.topology, result.reroutes) == ("ok", "yes", "hierarchical", 5)
    assert [one["coupling"] for one in result.synthesis] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert [one["verdict"] for one in result.synthesis] == ["rerouted"] * 5 + ["forced"]
    [question] = result.synthesis[0]["questions"]
    assert (question["operator"], question["consistency"], question["after"]) == (
        "arbitrate",
        pytest.approx(1 / 3),
        0.5,
    )
    assert question["conflicts"] == ["yes against no"]
    assert result.reason.startswith("answers still contradict each other after 4 re-routes")


async def test_passes_whose_prompts_do_not_change_cost_nothing(tmp_path: Path) -> None:
    """Outputs whose inputs are unchanged are reused; the lead, told of the conflicts, has the others asked again."""
    model = panel({"r0": "yes", "r1": "no"})
    await run(members(2), model, tmp_path)
    assert asked(model) == {"r0": 6, "r1": 6, "<arbitrate verdict>": 1, "<lead>": 2}
    plan = next(prompt for prompt, _ in model.asked if prompt.step.startswith("<lead>"))
    assert "yes against no" in plan.content()


async def test_consistent_answers_never_call_the_arbiter(tmp_path: Path) -> None:
    """Equal choices are counted by code: one pass, no further call."""
    model = panel(dict.fromkeys(("r0", "r1", "r2"), "no"))
    result = await run(members(3), model, tmp_path)
    assert (result.answer, result.reroutes) == ("no", 0)
    assert asked(model) == {"r0": 3, "r1": 3, "r2": 3}
    [question] = result.synthesis[0]["questions"]
    assert (question["operator"], question["consistency"], question["basis"]) == ("same", 1.0, "exact")


async def test_a_settled_arbitration_needs_no_other_pass(tmp_path: Path) -> None:
    """Three against one is inconsistent, but what the arbiter chooses is close enough to what it was made from."""
    model = panel({"r0": "yes", "r1": "yes", "r2": "yes", "r3": "no"})
    result = await run(members(4), model, tmp_path)
    [question] = result.synthesis[0]["questions"]
    assert (question["consistency"], question["after"]) == (0.5, 0.75)
    assert (result.answer, result.reroutes, result.synthesis[0]["verdict"]) == ("yes", 0, "accepted")


async def test_different_questions_are_composed_and_never_compared(tmp_path: Path) -> None:
    """Answers of different questions stand side by side, however different, those of one question as one."""
    other = {"id": "when", "description": "When?", "answer": "number"}
    model = panel({"r0": "yes", "r1": "yes", "when": 7})
    result = await run([*members(2), other], model, tmp_path)
    assert result.answer == {"verdict": "yes", "when": 7}
    assert set(asked(model)) == {"r0", "r1", "when"}


async def test_consistent_texts_are_merged_by_a_model(tmp_path: Path) -> None:
    """Texts that agree are synthesised in one call; without embeddings the basis says that words were compared."""
    model = panel({"r0": "It is safe to open the valve", "r1": "It is safe to open the valve now"})
    result = await run(members(2, "text"), model, tmp_path)
    assert result.answer == "one merged text"
    [question] = result.synthesis[0]["questions"]
    assert (question["operator"], question["basis"]) == ("merge", "lexical")
    assert question["consistency"] == pytest.approx(7 / 8)
    assert any("words alone" in note for note in result.notes)


async def test_sequential_returns_the_last_output_without_a_gate(tmp_path: Path) -> None:
    """Algorithm 2 begins with it: under tau_S the last output is the answer."""
    model = panel({"r0": "yes", "r1": "no"})
    result = await run(members(2), model, tmp_path, topology="sequential")
    assert (result.answer, result.reroutes) == ("no", 0)
    assert set(asked(model)) == {"r0", "r1"}


async def test_a_topology_chosen_by_the_user_is_kept(tmp_path: Path) -> None:
    """The arbiter's choice stands and the run says that it is unconfirmed."""
    model = panel({"r0": "yes", "r1": "no"})
    result = await run(members(2), model, tmp_path, topology="parallel")
    assert (result.answer, result.topology, result.reroutes) == ("yes", "parallel", 0)
    assert result.synthesis[0]["verdict"] == "kept"
    assert "contradict each other" in result.notes[0]


async def test_another_pass_must_fit_the_budget(tmp_path: Path) -> None:
    """Where the ledger would refuse a pass, the arbiter's output is returned and says so."""
    model = panel({"r0": "yes", "r1": "no"})
    plan = orchestra.plan(orchestra.TaskGraph(members(2)), model=model, budget=orchestra.Budget(calls=12))
    result = await orchestra.run(plan, journal=tmp_path / "j.db")
    assert (result.status, result.answer, result.usage.calls) == ("ok", "yes", 7)
    assert result.synthesis[0]["verdict"] == "budget_stopped"


async def test_what_was_routed_again_before_a_stop_stays_so_however_little_is_left(tmp_path: Path) -> None:
    """A resumed run follows the recorded decisions: their price is paid."""
    answers = {"r0": "yes", "r1": "no"}
    plan = orchestra.plan(orchestra.TaskGraph(members(2)), model=panel(answers), budget=orchestra.Budget(calls=15))
    with pytest.raises(_Stop):
        await orchestra.run(plan, journal=tmp_path / "j.db", run_id="r", hooks=orchestra.Hooks(watch=_after(50)))
    result = await orchestra.run(plan, journal=tmp_path / "j.db", run_id="r")
    assert (result.status, result.reroutes, result.usage.calls) == ("ok", 5, 15)


async def test_a_check_overrides_consistency(tmp_path: Path) -> None:
    """Where answers passed a check, the check decides and nobody arbitrates."""
    model = panel({"r0": "no", "r1": "yes"})
    graph = members(2, verify="grep -qx yes")
    result = await run(graph, model, tmp_path)
    assert result.subtasks["r0"]["status"] == "failed"
    assert result.synthesis[0]["questions"][0]["operator"] == "verified"
    assert result.synthesis[0]["questions"][0]["answer"] == "yes"


async def test_an_arbiter_is_repaired_twice_and_its_silence_leaves_the_question_undecided(tmp_path: Path) -> None:
    """A reply that cannot be used is asked for again with what was wrong; after that there is no answer."""
    base = panel({"r0": "yes", "r1": "no"})

    def mute(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str:
        return "no JSON" if "conflicts" in str(sampling.schema) else str(base._choose(prompt, sampling))  # type: ignore[misc]

    model = Scripted(mute)
    result = await run(members(2), model, tmp_path, topology="parallel")
    assert (result.status, result.answer) == ("undecided", None)
    arbiters = [prompt for prompt, _ in model.asked if prompt.step.startswith("<arbitrate")]
    assert len(arbiters) == 3
    assert "could not be used" in arbiters[1].content()


async def test_answers_of_one_question_must_be_of_one_type(tmp_path: Path) -> None:
    """Nothing is written where answers could not be compared."""
    odd = [*members(1), members(2, "number")[1]]
    with pytest.raises(orchestra.InputError, match=r"subtasks\[r1\].answers: answers the question 'verdict' as number"):
        await run(odd, panel({}), tmp_path)
    assert os.listdir(tmp_path) == []


async def test_embeddings_compare_meaning_and_are_paid_and_recorded_once(tmp_path: Path) -> None:
    """Any server with /embeddings; its calls are booked, and a resumed run does not ask it again."""

    def embed(request: Request) -> Reply:
        vectors = [[1.0, 0.2] if "secure" in text else [1.0, 0.1] for text in request.body["input"]]
        data = [{"index": place, "embedding": vector} for place, vector in enumerate(vectors)]
        return Reply(body={"data": data, "usage": {"prompt_tokens": 11}})

    model = panel({"r0": "nothing to fear here", "r1": "all secure"})
    graph = orchestra.TaskGraph(members(2, "text"))
    async with fake_server(default=embed) as server:
        environ = {"VLLM_BASE_URL": server.url}
        plan = orchestra.plan(graph, model=model, choices=orchestra.Choices(embedding="vllm:bge"))
        async with orchestra.Session(journal=tmp_path / "j.db", environ=environ) as session:
            result = await orchestra.run(plan, session=session, run_id="r")
    [question] = result.synthesis[0]["questions"]
    assert (question["basis"], question["operator"]) == ("embeddings vllm:bge", "merge")
    assert question["consistency"] > 0.99
    assert result.usage.calls == 4
    assert [request.path for request in server.requests] == ["/v1/embeddings"]


@pytest.mark.parametrize("place", range(5, 55, 15))
async def test_stopped_anywhere_a_disputed_run_resumes_to_the_same_end(tmp_path: Path, place: int) -> None:
    """However far the budget reached, going on asks only what is not recorded and ends as if never stopped."""
    answers = {"r0": "yes", "r1": "no"}
    (tmp_path / "whole").mkdir()
    whole = await run(members(2), panel(answers), tmp_path / "whole")
    model = panel(answers)
    plan = orchestra.plan(orchestra.TaskGraph(members(2)), model=model)
    journal = tmp_path / "j.db"
    with pytest.raises(_Stop):
        await orchestra.run(plan, journal=journal, run_id="r", hooks=orchestra.Hooks(watch=_after(place)))
    result = await orchestra.run(plan, journal=journal, run_id="r")
    assert (result.answer, result.reroutes, result.synthesis) == (whole.answer, whole.reroutes, whole.synthesis)
    assert asked(model).total() <= 15 + 2  # a reply whose record was the last one was never acted on


class _Stop(Exception):
    """Stops a run at a record."""


def _after(count: int) -> Callable[[object], None]:
    seen = 0

    def watch(record: object) -> None:
        nonlocal seen
        seen += 1
        if seen == count:
            raise _Stop

    return watch


async def test_answers_that_others_read_are_weighed_by_them(tmp_path: Path) -> None:
    """A question within the graph is not arbitrated: who reads its answers is shown them all."""
    last = {"id": "z", "description": "Z", "answer": CHOICE, "depends_on": ["r0", "r1"]}
    model = panel({"r0": "yes", "r1": "no", "z": "no"})
    result = await run([*members(2), last], model, tmp_path, topology="auto")
    assert (result.status, result.answer, result.reroutes) == ("ok", "no", 0)
    assert {node for node in asked(model) if node.startswith("<arbitrate")} == set()


def test_a_question_is_not_called_like_another_subtask() -> None:
    """Question and subtask would be one part of the answer, and one of the two lost."""
    graph = orchestra.TaskGraph([*members(2), {"id": "verdict", "description": "V"}])
    with pytest.raises(orchestra.InputError, match=r"subtasks\[r0\].answers: 'verdict' is the id of another subtask"):
        orchestra.plan(graph)
