"""Systems: what each is asked, what it answers, and how it ends."""

from __future__ import annotations

import asyncio
import json
from math import sqrt
from pathlib import Path
from typing import Any

import pytest

from orchestra.choices import Choices
from orchestra.running import resume
from orchestra.session import Session
from orchestra.testing import Scripted
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError, ServerError
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Prompt, Sampling
from orchestra_agents.voting.law import step_reliability
from orchestra_evals.runner.composing import Systems
from orchestra_evals.runner.evaluating import evaluate
from orchestra_evals.runner.evaluation import Evaluation
from orchestra_evals.runner.selection import Selection
from orchestra_evals.suites.acting import environment_of
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.suites.suite import Sample
from orchestra_evals.systems.acting_runs import reference_turns, roomy
from orchestra_evals.systems.own import Desk
from orchestra_evals.systems.questions import fitted, repeated
from orchestra_evals.systems.self_consistency import SelfConsistency
from orchestra_evals.systems.system import Answered, Reported
from orchestra_evals.systems.wiring import Wiring
from orchestra_topologies.graph import TaskGraph
from tests.evals_runner.samples import SIMULATED, kept, wired

Json = Any


def measured(suite: str, systems: Systems, model: Any = SIMULATED, *, limit: int = 6, **more: Any) -> Evaluation:
    """Return an evaluation of a few samples."""
    models = [] if model is None else [model]
    return asyncio.run(evaluate(suite, systems=systems, models=models, selection=Selection(limit=limit), **more))


def is_within(score: float | None, expected: float, n: int) -> bool:
    """Tell whether a score is within four standard errors of what is expected."""
    assert score is not None
    return abs(score - expected) <= 4 * sqrt(expected * (1 - expected) / n) + 1e-9


def knowing(prompt: Prompt, sampling: Sampling) -> str:
    """Answer from the truth of the prompt."""
    assert prompt.truth is not None
    return json.dumps({"answer": prompt.truth.answer})


def test_a_lone_agent_is_asked_the_samples_own_question() -> None:
    """Topology single gets the question in its own words and type, although the suite has a graph of it."""
    model = Scripted(knowing)
    found = measured("addition:digits=10", [wired()], model, limit=2)
    assert found.cells[0].mean.score == 1.0
    suite = make_suite("addition:digits=10")
    questions = {one.question for one in Selection(limit=2).samples(suite)}
    assert {prompt.messages[-1].content for prompt, _ in model.asked} == questions
    assert found.cells[0].graphs == {"source": "suite", "graphs": 0, "degenerate": 0, "nodes": None}


def test_other_topologies_get_the_suites_graph() -> None:
    """A graph of the suite's is answered subtask by subtask, and every row says so."""
    cell = measured("addition:digits=10", [wired("hybrid", "vote")]).cells[0]
    assert {(row.graph.source, row.graph.nodes) for row in cell.rows} == {("suite", 6)}
    assert {row.topology for row in cell.rows} == {"hybrid"}
    assert cell.graphs["degenerate"] == 0


def test_nobody_or_a_model_may_split_samples_up() -> None:
    """`none` asks the question as it is; `model` leaves it to the decomposer, whose graphs may be a single subtask."""
    systems = {name: wired("auto", "auto", decompose=name) for name in ("none", "model")}  # type: ignore[arg-type]
    found = measured("addition:digits=10", systems)
    assert {(row.graph.source, row.graph.nodes) for row in found["none"].rows} == {("none", 1)}
    assert found["model"].graphs["source"] == "model"
    assert found["model"].graphs["graphs"] == found["model"].graphs["degenerate"] == 6
    alone = measured("addition:digits=10", [wired("single", "solo", decompose="model")]).cells[0]
    assert {(row.graph.source, row.graph.nodes) for row in alone.rows} == {("none", 1)}


def test_a_graph_that_a_model_proposes_is_used() -> None:
    """What the decomposer says becomes the graph, and the text of its answer is read as the type that is wanted."""
    part = {"answer": "text", "choices": [], "depends_on": [], "coupling": "none", "estimated_tokens": 9}
    parts = [part | {"id": "a", "description": "Say it."}, part | {"id": "b", "description": "b", "depends_on": ["a"]}]
    target = Selection(limit=1).samples(make_suite("addition:digits=4"))[0].target

    def reply(prompt: Prompt, sampling: Sampling) -> str:
        is_split = sampling.schema is not None and "subtasks" in sampling.schema
        return json.dumps({"answer": {"subtasks": parts}} if is_split else {"answer": target})

    system = wired("sequential", "auto", decompose="model")
    cell = measured("addition:digits=4", [system], Scripted(reply), limit=1).cells[0]
    assert (cell.rows[0].graph.source, cell.rows[0].graph.nodes, cell.mean.score) == ("model", 2, 1.0)


@pytest.mark.parametrize(
    ("kind", "said", "read"),
    [
        ("number", "12", 12),
        ("number", '{"answer": 3.0}', 3),
        ("number", "about 12", "about 12"),
        ("text", 12, "12"),
        ({"choice": ["a", "b"]}, '"a"', "a"),
        ({"choice": ["a", "b"]}, {"x": 1}, {"x": 1}),
        ({"json": {"type": "array", "items": {"type": "integer"}}}, "[1, 2]", [1, 2]),
        ("number", None, None),
    ],
)
def test_answers_whose_type_nobody_checked_are_read_as_the_one_wanted(kind: Json, said: Json, read: Json) -> None:
    """Text that holds the JSON of an answer is that answer; what cannot be read stays as it is, and is malformed."""
    assert fitted(AnswerType.parse(kind), said) == read


def test_scores_are_what_p_and_the_law_of_a_vote_imply() -> None:
    """One agent is right with p, a vote ahead by k as often as its law says, within four standard errors."""
    systems = {"solo": wired(), "vote": wired(team="vote", k=2)}
    found = measured("addition:digits=20", systems, "simulated:p=0.7,seed=11", limit=120)
    assert is_within(found["solo"].mean.score, 0.7, 120)
    assert is_within(found["vote"].mean.score, step_reliability(0.7, 2), 120)
    confidences = {row.confidence for row in found["vote"].rows}
    assert all(confidence is not None and 0.5 < confidence <= 1 for confidence in confidences)


def test_repeats_are_drawn_anew() -> None:
    """Every repeat of a sample is another draw, of simulated models too, and statistics see them as one sample's."""
    selection = Selection(limit=8, repeats=6)
    found = asyncio.run(evaluate("addition", systems=[wired()], models=["simulated:p=0.5"], selection=selection))
    cell = found.cells[0]
    assert len({row.run_id for row in cell.rows}) == 48
    by_sample = [{row.outcome for row in cell.rows if row.sample_id == one} for one in {r.sample_id for r in cell.rows}]
    assert sum(len(outcomes) > 1 for outcomes in by_sample) >= 6
    figures = cell.figures
    assert figures.samples == 8
    assert figures.worst_of_n is not None
    assert figures.best_of_n is not None
    assert figures.worst_of_n.value < cell.mean.score < figures.best_of_n.value  # type: ignore[operator]


def test_only_simulated_models_change_their_seed_with_the_repeat() -> None:
    """The first repeat is the model as it was named; so is every one of a real model."""
    assert repeated("simulated:p=0.9,seed=4", 0) == "simulated:p=0.9,seed=4"
    first, second = repeated("simulated:p=0.9,seed=4", 1), repeated("simulated:p=0.9,seed=4", 2)
    assert first != second
    assert str(first).startswith("simulated:p=0.9,seed=") or str(first).startswith("simulated:seed=")
    assert repeated(["openai:gpt-4.1", "embedded"], 3) == ["openai:gpt-4.1", "embedded"]
    assert repeated({"worker": "embedded", "judge": "simulated:p=1.0"}, 1) != {"worker": "embedded"}


def test_self_consistency_spends_to_the_cap_and_gains() -> None:
    """It votes as often as its share of the calls allows on every sample, and is right more often than one agent."""
    budget = Budget(calls=60 * 9)
    systems = {"one": wired(), "many": SelfConsistency()}
    found = measured("addition:digits=20", systems, "simulated:p=0.7,seed=3", limit=60, budget=budget)
    many = found["many"]
    assert {row.usage.samples for row in many.rows} == {9}
    assert many.spent.calls == 540
    assert found["one"].spent.calls == 60
    assert is_within(many.mean.score, 0.901, 60)  # at least 5 of 9


@pytest.mark.parametrize("budget", [Budget(tokens=9_000), Budget(calls=40, tokens=9_000)])
def test_self_consistency_keeps_the_cap_in_tokens(budget: Budget) -> None:
    """What may be reserved for one more vote is all that is left over of a sample's share."""
    cell = measured("addition:digits=4", [SelfConsistency()], budget=budget).cells[0]
    share = 9_000 / 6
    assert all(row.spent.tokens <= share for row in cell.rows)
    assert all(row.usage.samples >= 6 for row in cell.rows)
    assert all(row.spent.tokens >= share - 1_300 or row.usage.samples == 6 for row in cell.rows)


def test_self_consistency_needs_a_cap_and_a_question() -> None:
    """Without a cap it would never end, and no votes are counted on what agents do."""
    with pytest.raises(InputError, match="budget: selfconsistency spends to the cap"):
        measured("addition", [SelfConsistency()])
    with pytest.raises(InputError, match="system: selfconsistency votes on answers"):
        measured("lookup", [SelfConsistency(samples=3)])
    assert measured("addition", [SelfConsistency(samples=3)]).cells[0].spent.calls == 18


def test_a_function_competes() -> None:
    """Any async function of a sample is a system; what it took is unknown, and it needs no model."""

    async def mine(sample: Sample) -> Json:
        return sample.target if sample.difficulty["digits"] < 50 else "1"

    found = measured("addition", {"mine": mine}, None, limit=10)
    cell = found["mine"]
    assert (cell.mean.n, cell.mean.score) == (10, 0.6)
    assert {row.usage_source for row in cell.rows} == {"none"}
    assert cell.evidence == "real"


async def with_client(sample: Sample, desk: Desk) -> Json:
    """Ask twice in chat, and then let a team answer."""
    first, second = [await desk.complete("Think of a digit.") for _ in range(2)]
    question = {"id": "it", "description": f"{first}{second}", "answer": sample.answer}
    result = await desk.run(TaskGraph([question | {"truth": {"answer": sample.target}}]))
    return result.answer


def test_a_function_may_use_our_client(tmp_path: Path) -> None:
    """Calls at the desk are recorded and counted as the sample's; the same prompt again is another sample."""
    model = Scripted(lambda prompt, _: knowing(prompt, _) if prompt.truth else "7")
    found = measured("addition:digits=4", {"mine": with_client}, model, limit=2)
    cell = found["mine"]
    assert cell.mean.score == 1.0
    assert {(row.usage_source, row.usage.calls) for row in cell.rows} == {("client", 5)}
    assert cell.evidence == "simulated"
    assert sorted(sampling.index for prompt, sampling in model.asked if not prompt.truth) == [0, 0, 1, 1]


def test_a_function_may_tell_what_it_took() -> None:
    """What a system says itself is added up, marked, and stops the cell at its cap."""

    async def mine(sample: Sample) -> Answered:
        usage = Reported(calls=2, input_tokens=40, output_tokens=10, cost_usd=0.25)
        return Answered(answer=sample.target, usage=usage, confidence=0.75)

    cell = measured("addition", {"mine": mine}, None, limit=12, budget=Budget(usd=1.0))["mine"]
    assert cell.statuses == {"ok": 4, "budget": 8, "infra_error": 0, "missing": 0}
    assert (cell.spent.usd, cell.cost, cell.usage_dict()["source"]) == (1.0, 1.0, "none+self")
    assert {row.confidence for row in cell.measured} == {0.75}


def test_errors_of_a_function_are_its_own_or_those_of_the_network() -> None:
    """A crash is a sample that the system failed; what the network or a model did is not scored."""

    async def crashes(sample: Sample) -> Json:
        raise ValueError("no idea")

    async def is_offline(sample: Sample) -> Json:
        raise ConnectionResetError("gone")

    async def is_refused(sample: Sample) -> Json:
        raise ServerError("overloaded")

    async def is_odd(sample: Sample) -> Json:
        return {1, 2}

    systems = {"crashes": crashes, "offline": is_offline, "refused": is_refused, "odd": is_odd}
    found = measured("addition", systems, None, limit=2)
    for name in ("crashes", "odd"):
        assert (found[name].mean.score, found[name].outcomes) == (0.0, {"failed": 2})
    for name in ("offline", "refused"):
        assert (found[name].mean.score, found[name].statuses["infra_error"]) == (None, 2)
    assert found["crashes"].rows[0].detail == "ValueError: no idea"


def test_a_function_must_take_a_sample() -> None:
    """Anything else is refused before it is called."""

    async def nothing() -> Json:
        return 1

    with pytest.raises(InputError, match=r"systems\[nothing\]"):
        measured("addition", {"nothing": nothing}, None)


async def test_a_lone_agent_gets_twice_the_turns_that_the_work_takes() -> None:
    """Turns that nobody asked for grow with the work from the study's defaults; those asked for stay."""
    suite = make_suite("lookup:tools=3")
    small, large = (suite.sample({"queries": size, "tools": 3}, 0, split="test", seed=0) for size in (4, 24))
    for sample, turns in ((small, 20), (large, 100)):
        environment = environment_of(sample)
        assert environment is not None
        assert (await roomy(Choices(), environment)).team == f"solo:turns={turns}"
    environment = environment_of(small)
    assert environment is not None
    assert (await roomy(Choices(team="solo:turns=3"), environment)).team == "solo:turns=3"
    assert (await roomy(Choices(team="peers"), environment)).team == "peers:turns=6"


def test_environments_are_acted_in_and_scored_on_what_is_left() -> None:
    """Right agents reach every goal; erring ones reach it as often as p to the power of their steps says."""
    found = measured("craft:steps=3,tools=3", [wired("auto", "auto")], "simulated:p=1.0", limit=3)
    assert (found.cells[0].mean.score, found.cells[0].rows[0].output["made"]) == (1.0, 3)
    cell = measured("craft:steps=3,tools=3", [wired("auto", "auto")], "simulated:p=0.95,seed=2", limit=80).cells[0]
    assert is_within(cell.mean.score, 0.95**6, 80)
    assert {row.team for row in cell.rows} == {"solo(turns=14)"}


def test_a_function_acts_in_an_environment() -> None:
    """The state that it leaves behind is scored, whatever it answers."""

    async def acts(sample: Sample, desk: Desk) -> Json:
        assert desk.environment is not None
        await reference_turns(desk.environment)
        return "done"

    assert measured("lookup:queries=4", {"acts": acts}, None, limit=2)["acts"].mean.score == 1.0


def test_names_tell_systems_apart() -> None:
    """A system is called by what was asked for."""
    assert Wiring().name == "auto x auto"
    assert wired("hybrid", "vote", k=5).name == "hybrid x vote(k=5)"
    assert SelfConsistency(samples=9).name == "selfconsistency(samples=9)"
    with pytest.raises(InputError, match="decompose"):
        wired(decompose="nobody")  # type: ignore[arg-type]


def test_resume_leaves_samples_to_the_evaluation_that_began_them(tmp_path: Path) -> None:
    """Only the evaluation knows how a function answers a sample: `resume` would answer it in another way."""
    keeping = kept(tmp_path)
    systems = {"votes": SelfConsistency()}
    budget, selection = Budget(calls=6), Selection(limit=2)
    found = asyncio.run(
        evaluate("addition", systems=systems, models=[SIMULATED], budget=budget, selection=selection, keeping=keeping)
    )
    first = found["votes"].rows[0].run_id

    async def resumed() -> None:
        async with Session(journal=tmp_path / "journal.db") as session:
            await resume(first, session=session)

    with pytest.raises(InputError, match="begun by an evaluation, whose system is not in the journal; repeat"):
        asyncio.run(resumed())
