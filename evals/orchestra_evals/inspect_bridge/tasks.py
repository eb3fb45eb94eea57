"""Suites as tasks of Inspect: `task_of` in Python, `orchestra_evals/suite` on its command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from anyio import to_thread
from inspect_ai import Task, task
from inspect_ai.scorer import Score as InspectScore
from inspect_ai.scorer import Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import Generate, Solver, TaskState, generate, solver

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json
from orchestra_evals.inspect_bridge.asking import ANSWER, SAMPLE
from orchestra_evals.inspect_bridge.naming import named
from orchestra_evals.inspect_bridge.reading import read_completion
from orchestra_evals.inspect_bridge.samples import FAMILY, dataset_of, sample_of
from orchestra_evals.isolation import printed_by, require_isolation
from orchestra_evals.runner.selection import Selection
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.suites.file_suite import judge_of
from orchestra_evals.suites.suite import Split, Suite
from orchestra_topologies.prompts import reply_format

_METRICS = (accuracy(), stderr(cluster=FAMILY))


def task_of(
    suite: Suite | str,
    *,
    split: Split = "test",
    seed: int = 0,
    limit: int | None = None,
    allow_code: bool = False,
    solver: Solver | Sequence[Solver] | None = None,
) -> Task:
    """Return a suite as a task of Inspect: its first samples, its checker as the scorer.

    Args:
        suite: The suite, or its name as `make_suite` reads it.
        split: Which samples.
        seed: What they are made from.
        limit: Most samples, the suite's default difficulties by turns; None takes all, of a suite without end 100.
        allow_code: Whether answers that are programs may be run, in isolation; for suites by name.
        solver: Who answers; None asks the model once, told how to answer.

    Raises:
        InputError: There is no such suite or sample, it is worked on with tools, a model decides what is right, or
            answers are programs and none may be run.
        IsolationUnavailable: Programs are to be run, and this machine cannot isolate them.
    """
    made = _suite(suite, allow_code) if isinstance(suite, str) else suite
    if judge_of(made) is not None:
        raise InputError("suite", f"{made.name} is judged by a model, which only our own runner asks")
    return Task(
        dataset=dataset_of(made, Selection(split=split, seed=seed, limit=limit)),
        solver=solver if solver is not None else [answer_format(), generate()],
        scorer=checker(allow_code=allow_code) if isinstance(suite, str) else _own_checker(made),
        name=made.name,
        version=made.about.version,
        metadata={"scoring": made.about.scoring, "licence": made.about.licence},
    )


def _task(
    name: str | Sequence[str],
    split: Split = "test",
    *,
    seed: int = 0,
    limit: int | None = None,
    allow_code: bool = False,
) -> Task:
    """Return the suite `name` as a task; see `task_of`.

    Args:
        name: As `make_suite` reads it; Inspect's command line makes a list of what holds a comma.
        split: Which samples.
        seed: What they are made from.
        limit: Most samples.
        allow_code: Whether answers that are programs may be run, in isolation.
    """
    spec = name if isinstance(name, str) else ",".join(map(str, name))
    return task_of(spec, split=split, seed=seed, limit=limit, allow_code=allow_code)


def _checker(allow_code: bool = False) -> Scorer:
    """Score by the checker of the suite that made a sample, found again by its name.

    Args:
        allow_code: Whether answers that are programs may be run, in isolation.
    """
    return _scored(lambda name: _suite(name, allow_code))


def _own_checker(suite: Suite) -> Scorer:
    """Score by the checker of a suite that has no name of its own to be found by."""

    def own_checker() -> Scorer:
        return _scored(lambda _: suite)

    made: Scorer = named("own_checker", _as_scorer, own_checker)()
    return made


def _scored(suite_named: Callable[[str], Suite]) -> Scorer:
    async def score(state: TaskState, target: Target) -> InspectScore:
        suite = suite_named(str((state.metadata or {}).get(SAMPLE, {}).get("suite")))
        sample = sample_of(suite, state.metadata)
        answer = read_completion(sample.answer, state.output.completion)
        is_run = sample.answer.kind == "code"  # which takes a while
        found = await to_thread.run_sync(suite.check, sample, answer) if is_run else suite.check(sample, answer)
        return InspectScore(
            value=found.value,
            answer=state.output.completion or None,
            explanation=found.detail or None,
            metadata={"outcome": found.outcome, "parts": dict(found.parts)},
        )

    return score


def _answer_format() -> Solver:
    """Add to the question how to answer, as orchestra's agents are told it; for solvers that are not ours."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        told: dict[str, Json] = (state.metadata or {}).get(SAMPLE, {})
        answer = AnswerType.parse(told.get(ANSWER, "text"))
        schema = answer.constraint() if answer.kind == "json" else None
        words = [reply_format(answer), *([f"The schema: {schema}"] if schema is not None else [])]
        state.user_prompt.text = "\n\n".join([state.user_prompt.text, *words])
        return state

    return solve


@lru_cache(maxsize=16)
def _suite(name: str, allow_code: bool) -> Suite:
    return make_suite(name, run=printed_by(require_isolation()) if allow_code else None)


def _as_scorer(name: str) -> Callable[[Callable[..., Scorer]], Callable[..., Scorer]]:
    decorate: Callable[[Callable[..., Scorer]], Callable[..., Scorer]] = scorer(metrics=list(_METRICS), name=name)
    return decorate


suite = named("suite", lambda name: task(name=name), _task)
checker = named("checker", _as_scorer, _checker)
answer_format = named("answer_format", solver, _answer_format)
