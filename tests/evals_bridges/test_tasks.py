"""Our suites as tasks of Inspect: the samples of our runner, scored by our checkers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai import Task
from inspect_ai.dataset import Sample as InspectSample
from inspect_ai.model import GenerateConfig

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json
from orchestra_evals.inspect_bridge.asking import SAMPLE
from orchestra_evals.inspect_bridge.reading import read_completion
from orchestra_evals.inspect_bridge.registry import checker
from orchestra_evals.inspect_bridge.samples import sample_of
from orchestra_evals.inspect_bridge.solver import orchestra
from orchestra_evals.inspect_bridge.tasks import task_of
from orchestra_evals.runner.selection import Selection
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.suites.file_suite import from_file
from tests.evals_bridges.mock import Script, evaluate, said, typed


def test_samples_are_those_of_the_runner() -> None:
    """Ids, questions and order are those that our runner asks, and each sample can be made again from its metadata."""
    suite = make_suite("reachability:extra=2")
    made = list(task_of(suite, split="calibrate", seed=3, limit=14).dataset)
    ours = Selection(split="calibrate", seed=3, limit=14).samples(suite)
    assert [(one.id, one.input) for one in made] == [(one.id, one.question) for one in ours]
    assert [sample_of(suite, one.metadata) for one in made] == list(ours)
    assert len({(one.metadata or {})["family"] for one in made}) == 14


def knowing(spec: str, limit: int) -> Script:
    """A model that knows the answers to a suite, but for the first sample."""
    samples = Selection(limit=limit).samples(make_suite(spec))

    def reply(prompt: str, config: GenerateConfig) -> Any:
        sample = next(one for one in samples if one.question in prompt)
        return typed(sample.wrong[0] if sample is samples[0] else sample.target)

    return Script(reply)


@pytest.mark.parametrize("solver", [orchestra(k=1), None], ids=["orchestra", "generate"])
def test_checkers_score_whoever_answers(tmp_path: Path, solver: Any) -> None:
    """Right answers get 1, wrong ones what the checker says, with its sentence and its parts; solvers are exchanged."""
    spec = "hanoi:mode=full_list"
    script = knowing(spec, 4)
    log = evaluate(task_of(spec, limit=4, solver=solver), script.model(), tmp_path)
    assert log.samples is not None
    scores = [(sample.scores or {})["checker"] for sample in log.samples]
    assert [score.value for score in scores] == [0, 1, 1, 1]
    assert (scores[0].metadata or {})["outcome"] == "wrong"
    assert scores[0].explanation
    assert (scores[1].metadata or {})["parts"]
    assert log.results is not None
    assert log.results.scores[0].metrics["accuracy"].value == 0.75
    assert log.results.scores[0].metrics["stderr"].params == {"cluster": "family"}
    assert "Reply with JSON" in script.prompts[0]


def test_tasks_are_found_by_name(tmp_path: Path) -> None:
    """`orchestra_evals/suite` is a task, and a name that holds a comma comes from Inspect's command line as a list."""
    arguments = {"name": ["reachability:extra=2", "form=logic"], "limit": 2}
    model = Script(lambda prompt, config: said("?")).model()
    log = evaluate("orchestra_evals/suite", model, tmp_path, task_args=arguments)
    assert log.eval.task == "reachability:extra=2,form=logic"
    assert log.status == "success"
    assert log.samples is not None
    assert [(sample.scores or {})["checker"].value for sample in log.samples] == [0, 0]


def test_a_suite_gives_the_graph(tmp_path: Path) -> None:
    """With `decomposer: suite` a sample is answered as the suite's own graph, else as one question."""
    script = Script(lambda prompt, config: said("?"))
    for decomposer, is_split in (("suite", True), ("none", False)):
        task = task_of("hanoi:mode=full_list", limit=1, solver=orchestra(decomposer=decomposer))
        log = evaluate(task, script.model(), tmp_path)
        assert log.samples is not None
        assert (len(log.samples[0].metadata["orchestra"]["subtasks"]) > 1) is is_split


def test_suites_without_a_name_keep_their_checker(tmp_path: Path) -> None:
    """A suite made in code is scored by itself."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"input": f"{n} + 1?", "target": n + 1}) + "\n" for n in range(20)))
    suite = from_file(rows, scorer="numeric:abs=0.5")
    task = task_of(suite, limit=3, solver=orchestra(k=1))
    script = Script(lambda prompt, config: typed(int(prompt.rpartition(" + 1?")[0].split()[-1]) + 1.25))
    log = evaluate(task, script.model(), tmp_path)
    assert log.results is not None
    assert log.results.scores[0].metrics["accuracy"].value == 1


def test_what_only_our_runner_can_score_is_refused(tmp_path: Path) -> None:
    """Suites that are acted in, those that a model judges, and programs that may not be run are no tasks."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"input": f"{n}?", "target": str(n)}) + "\n" for n in range(20)))
    with pytest.raises(InputError, match="tools"):
        task_of("lookup", limit=1)
    with pytest.raises(InputError, match="allow-code"):
        task_of("hanoi:mode=generator", limit=1)
    with pytest.raises(InputError, match="judged"):
        task_of(from_file(rows, scorer="judge"), limit=1)
    with pytest.raises(InputError, match="suite"):
        task_of("nothing")


def test_the_checker_refuses_samples_of_others(tmp_path: Path) -> None:
    """A sample that no suite made is an error, not a wrong answer."""
    task = Task(dataset=[InspectSample(input="?", metadata={SAMPLE: {"suite": "addition"}})], scorer=checker())
    log = evaluate(task, Script(lambda prompt, config: said("?")).model(), tmp_path)
    assert log.samples is not None
    assert log.samples[0].error is not None or log.status == "error"


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("number", "3", 3),
        ("number", '{"answer": 3}', 3),
        ("number", 'So:\n```json\n{"answer": 3}\n```\nDone.', 3),
        ("number", "It is\n3", 3),
        ("number", "three", "three"),
        ({"choice": ["a", "b"]}, "b", "b"),
        ({"choice": ["a", "b"]}, '{"answer": "b"}', "b"),
        ({"json": {"type": "array"}}, "[1, 2]", [1, 2]),
        ("text", " Paris. ", "Paris."),
        ("code", "```python\nx = 1\n```", "x = 1"),
        ("number", "  ", None),
    ],
)
def test_completions_are_read_by_type(kind: Json, text: str, answer: Json) -> None:
    """Agents' objects, plain JSON, a last fenced block and a last line are read; anything else stays what it is."""
    assert read_completion(AnswerType.parse(kind), text) == answer
