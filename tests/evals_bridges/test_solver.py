"""Our runs as a solver of Inspect, asked of its mock model."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai import Task
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import CachePolicy, ChatMessageSystem, ChatMessageUser, ContentImage, GenerateConfig
from inspect_ai.scorer import answer, choice, match
from inspect_ai.solver import system_message, use_tools
from inspect_ai.tool import think

from orchestra_agents.errors import InputError
from orchestra_evals.inspect_bridge.solver import orchestra, orchestra_agent
from tests.evals_bridges.mock import Script, always, evaluate, said, typed


def questions(count: int, **fields: Any) -> list[Sample]:
    """So many samples with different questions."""
    return [Sample(input=f"Question {number}?", id=number, **fields) for number in range(1, count + 1)]


def told(log: EvalLog, place: int = 0) -> dict[str, Any]:
    """What one sample's metadata say of its run."""
    assert log.samples is not None
    found: dict[str, Any] = log.samples[place].metadata["orchestra"]
    return found


def accuracy(log: EvalLog) -> float:
    """The accuracy that Inspect computed."""
    assert log.results is not None
    return log.results.scores[0].metrics["accuracy"].value


def test_samples_run_at_once_and_each_vote_is_a_call_of_its_own(tmp_path: Path) -> None:
    """Several samples and epochs are worked on together; no two votes share a seed, and Inspect counts all of them."""
    present: set[str] = set()
    together = asyncio.Event()

    async def wait(prompt: str, config: GenerateConfig) -> Any:
        present.add(prompt)
        if len(present) >= 3:
            together.set()
        async with asyncio.timeout(10):
            await together.wait()
        return typed("B")

    script = Script(wait)
    task = Task(dataset=questions(4, choices=["x", "y"], target="B"), solver=orchestra(k=3), scorer=choice())
    log = evaluate(task, script.model(), tmp_path, epochs=2, max_samples=4)
    assert log.status == "success"
    assert accuracy(log) == 1
    assert len(script.configs) == len({config.seed for config in script.configs}) == 4 * 2 * 3
    assert log.stats.model_usage["mockllm/model"].input_tokens == 7 * 24
    assert log.samples is not None
    assert all(sum(event.event == "model" for event in sample.events) == 3 for sample in log.samples)


def test_metadata_tell_how_the_answer_came_about(tmp_path: Path) -> None:
    """Run, topology, reason, votes, usage and evidence stand in the metadata of the sample and of its output."""
    task = Task(dataset=questions(1, choices=["x", "y"], target="B"), solver=orchestra(k=2), scorer=choice())
    log = evaluate(task, always(typed("B")).model(), tmp_path)
    found = told(log)
    assert (found["status"], found["topology"], found["team"]) == ("ok", "single", "vote(k=2)")
    assert found["reason"]
    assert found["votes"] == 2
    assert found["usage"]["calls"] == 2
    assert found["evidence"] == "simulated"
    assert log.samples is not None
    output = log.samples[0].output
    assert output.metadata == {"orchestra": found}
    assert output.usage is not None
    assert (output.usage.input_tokens, output.usage.output_tokens) == (14, 6)
    assert log.samples[0].messages[-1].text == "ANSWER: B"


def test_choices_are_marked_and_said_by_letter(tmp_path: Path) -> None:
    """A wrong letter is scored as wrong by the scorers of Inspect that read choices or letters."""
    task = Task(
        dataset=questions(1, choices=["x", "y"], target="A"), solver=orchestra(), scorer=[choice(), answer("letter")]
    )
    script = always(typed("B"))
    log = evaluate(task, script.model(), tmp_path)
    assert log.results is not None
    assert [score.metrics["accuracy"].value for score in log.results.scores] == [0, 0]
    assert "A) x\nB) y" in script.prompts[0]


@pytest.mark.parametrize(
    ("kind", "reply", "completion"),
    [("number", typed(3.0), "3"), ({"json": {"type": "string"}}, typed("x"), '"x"'), (None, said("Paris."), "Paris.")],
)
def test_typed_answers_are_json(tmp_path: Path, kind: Any, reply: Any, completion: str) -> None:
    """The completion of a number or a JSON answer is its JSON; a text is itself."""
    task = Task(dataset=questions(1, target=completion), solver=orchestra(answer=kind, k=1), scorer=match("exact"))
    log = evaluate(task, always(reply).model(), tmp_path)
    assert log.samples is not None
    assert log.samples[0].output.completion == completion


def test_system_messages_and_solvers_before_it_count(tmp_path: Path) -> None:
    """All of a sample's messages are read, those that earlier solvers made, too."""
    script = always(said("yes"))
    sample = Sample(input=[ChatMessageSystem(content="Be brief."), ChatMessageUser(content="Is it?")], target="yes")
    task = Task(dataset=[sample], solver=[system_message("Be kind."), orchestra()], scorer=match())
    evaluate(task, script.model(), tmp_path)
    assert all(words in script.prompts[0] for words in ("Be brief.", "Be kind.", "Is it?"))


def test_settings_of_inspect_hold_unless_the_solver_says_otherwise(tmp_path: Path) -> None:
    """Temperature, tokens, top_p and seed come from the solver's options, then Inspect, then our defaults."""
    script = always(typed(1))
    task = Task(
        dataset=questions(1),
        solver=orchestra(k=1, answer="number", choices={"max_tokens": 99}),
        config=GenerateConfig(temperature=0.9, max_tokens=50, top_p=0.5, seed=7),
    )
    log = evaluate(task, script.model(), tmp_path)
    sent = script.configs[0]
    assert (sent.temperature, sent.max_tokens, sent.top_p) == (0.9, 99, 0.5)
    assert told(log)["seed"] == 7
    assert sent.seed != 7
    assert sent.response_schema is not None
    plain = always(typed(1))
    evaluate(Task(dataset=questions(1), solver=orchestra(k=1, answer="number")), plain.model(), tmp_path)
    assert (plain.configs[0].temperature, plain.configs[0].max_tokens, plain.configs[0].top_p) == (0.3, 512, None)


def test_the_cache_gives_back_runs_and_never_copies_votes(tmp_path: Path) -> None:
    """With Inspect's cache every vote is asked once, and a second evaluation asks nothing."""
    script = Script(lambda prompt, config: typed(1))

    def run(**options: Any) -> EvalLog:
        task = Task(dataset=questions(2), solver=orchestra(k=3, answer="number"))
        return evaluate(task, script.model(), tmp_path, cache=True, **options)

    run(epochs=2)
    assert len(script.configs) == 2 * 2 * 3
    log = run(epochs=2)
    assert len(script.configs) == 12
    assert told(log)["votes"] == 3
    assert isinstance(script.configs[0].cache, CachePolicy)


def test_a_failed_call_is_an_error_of_its_sample_alone(tmp_path: Path) -> None:
    """What the provider raised is the error of that sample, and the others are scored."""

    def reply(prompt: str, config: GenerateConfig) -> Any:
        return RuntimeError("the server is on fire") if "Question 2?" in prompt else typed(1)

    script = Script(reply)
    task = Task(dataset=questions(3, target="1"), solver=orchestra(k=2, answer="number"), scorer=match())
    log = evaluate(task, script.model(), tmp_path)
    assert log.status == "success"
    assert log.samples is not None
    failed = [sample.id for sample in log.samples if sample.error is not None]
    assert failed == [2]
    error = next(sample.error for sample in log.samples if sample.id == 2)
    assert error is not None
    assert "RuntimeError('the server is on fire')" in error.message


def test_replies_that_are_no_answer_are_scored_without_one(tmp_path: Path) -> None:
    """Discarded replies are what the model did, no error: the sample counts, with an empty completion."""
    script = always(said("I would rather not.", stop_reason="content_filter"))
    task = Task(dataset=questions(1, target="1"), solver=orchestra(answer="number"), scorer=match())
    log = evaluate(task, script.model(), tmp_path)
    assert log.samples is not None
    assert log.samples[0].error is None
    assert log.samples[0].output.completion == ""
    assert told(log)["status"] in ("failed", "undecided")
    assert accuracy(log) == 0


def test_a_budget_of_ours_ends_a_sample_without_an_answer(tmp_path: Path) -> None:
    """A cap that does not pay for the votes stops them before the next call."""
    script = Script(lambda prompt, config: typed(len(script.configs)))
    task = Task(
        dataset=questions(1, target="1"), solver=orchestra(answer="number", budget={"calls": 2}), scorer=match()
    )
    log = evaluate(task, script.model(), tmp_path)
    assert len(script.configs) == 2
    assert told(log)["status"] == "budget"
    assert accuracy(log) == 0


def test_limits_of_inspect_end_a_sample_as_limits(tmp_path: Path) -> None:
    """A token limit is no error: Inspect records it and scores the sample."""
    script = Script(lambda prompt, config: typed(len(script.configs)))
    task = Task(dataset=questions(1, target="1"), solver=orchestra(answer="number"), scorer=match(), token_limit=15)
    log = evaluate(task, script.model(), tmp_path)
    assert log.samples is not None
    assert log.samples[0].error is None
    assert log.samples[0].limit is not None
    assert log.samples[0].limit.type == "token"
    assert len(script.configs) < 6


def test_cancellation_passes_through(tmp_path: Path) -> None:
    """A time limit cancels the calls of a sample at once."""
    ended: list[str] = []

    async def hang(prompt: str, config: GenerateConfig) -> Any:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(prompt)
            raise

    task = Task(dataset=questions(1), solver=orchestra(k=3, answer="number"), time_limit=1)
    log = evaluate(task, Script(hang).model(), tmp_path)
    assert log.samples is not None
    assert log.samples[0].limit is not None
    assert log.samples[0].limit.type == "time"
    assert len(ended) == 3


def test_journals_are_kept_where_one_is_named(tmp_path: Path) -> None:
    """Concurrent samples share a journal file, and each finds its run in it; without one nothing is left behind."""
    from orchestra_agents.journal.sqlite import Journal

    path = tmp_path / "journal.db"
    task = Task(dataset=questions(4), solver=orchestra(k=2, answer="number", journal=str(path)))
    log = evaluate(task, always(typed(1)).model(), tmp_path, max_samples=4)
    assert log.samples is not None
    assert [sample.error for sample in log.samples] == [None] * 4
    journal = Journal(path)
    assert all(journal.entries(told(log, place)["run_id"]) for place in range(4))
    journal.close()


def test_a_model_decomposes_where_that_is_asked(tmp_path: Path) -> None:
    """With `decomposer: model` the first call proposes a graph, and its subtasks are answered."""
    one = {"description": "Say a.", "answer": "text", "choices": [], "coupling": "strong", "estimated_tokens": 5}
    proposal = {
        "subtasks": [{**one, "id": "a", "depends_on": []}, {**one, "id": "b", "depends_on": ["a"]}],
        "final": ["b"],
    }

    def reply(prompt: str, config: GenerateConfig) -> Any:
        schema = config.response_schema
        return said(json.dumps({"answer": proposal})) if schema is not None else said("done")

    script = Script(reply)
    task = Task(dataset=questions(1, target="done"), solver=orchestra(decomposer="model"), scorer=match())
    log = evaluate(task, script.model(), tmp_path)
    assert log.samples is not None
    assert log.samples[0].error is None
    assert set(told(log)["subtasks"]) >= {"a", "b"}
    assert accuracy(log) == 1


def test_roles_of_inspect_play_ours(tmp_path: Path) -> None:
    """A model that Inspect has for a role of ours is asked where that role is."""
    lead, worker = always(said("Merged.")), always(said("Mine."))
    task = Task(dataset=questions(1), solver=orchestra(team="centralized:agents=2"))
    log = evaluate(task, worker.model(), tmp_path, model_roles={"lead": lead.model(), "grader": worker.model()})
    assert log.samples is not None
    assert log.samples[0].error is None
    assert lead.configs
    assert worker.configs


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"topology": "ring"}, "topology"),
        ({"k": 0}, "k"),
        ({"choices": {"heat": 1}}, "choices"),
        ({"budget": {"calls": -1}}, "budget"),
        ({"budget": {"usd": 1}}, "cost-limit"),
        ({"answer": "poem"}, "answer"),
        ({"decomposer": "nobody.yaml"}, "decomposer"),
    ],
)
def test_wrong_options_are_refused_before_any_sample(options: dict[str, Any], problem: str) -> None:
    """Options are checked when the solver is made."""
    with pytest.raises(InputError, match=problem):
        orchestra(**options)


def test_what_cannot_be_passed_on_is_an_error_of_the_sample(tmp_path: Path) -> None:
    """Images, tools of Inspect and several choices a call are refused, never dropped."""
    image = [ChatMessageUser(content=[ContentImage(image="data:image/png;base64,AAAA")])]
    model = always(said("x")).model()
    seen = evaluate(Task(dataset=[Sample(input=image)], solver=orchestra()), model, tmp_path)
    tools = evaluate(Task(dataset=questions(1), solver=[use_tools(think()), orchestra()]), model, tmp_path)
    several = evaluate(Task(dataset=questions(1), solver=orchestra()), model, tmp_path, num_choices=3)
    for log, words in ((seen, "text only"), (tools, "tools"), (several, "num_choices")):
        assert log.samples is not None
        assert log.samples[0].error is not None
        assert words in log.samples[0].error.message


def test_the_agent_answers_a_conversation(tmp_path: Path) -> None:
    """As an agent it appends its answer; runs of it have seeds of their own."""
    script = always(typed(4))
    task = Task(dataset=questions(2, target="4"), solver=orchestra_agent(answer="number", k=2), scorer=match())
    log = evaluate(task, script.model(), tmp_path)
    assert accuracy(log) == 1
    assert log.samples is not None
    metadata = [sample.output.metadata for sample in log.samples]
    assert len({one["orchestra"]["seed"] for one in metadata if one is not None}) == 2
