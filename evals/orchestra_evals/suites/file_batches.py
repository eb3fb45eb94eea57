"""Rows of a file asked at once: several samples as one, its score, and its graph, in which each row is a subtask."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import closed_object
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.file_rows import Row
from orchestra_evals.suites.judging import Judged
from orchestra_evals.suites.scorers import Scorer
from orchestra_evals.suites.scoring import Check, malformed, right, with_slips, wrong
from orchestra_evals.suites.suite import Sample, Score
from orchestra_topologies.graph import TaskGraph

_WANTED = {"choice": "the text of one of its choices, without the letter", "number": "a number"}
"""What is said of the answers of each kind; rows with other kinds are not asked at once."""

RowCheck = Callable[[Json, Json], Score]
"""What an answer is worth to a row, given the instance of the row's own sample."""


def check_rows(rows: Sequence[Row], scorer: Scorer | Judged) -> None:
    """Refuse rows that cannot be asked at once.

    Raises:
        InputError: A model judges, or the answer to a row is neither a choice nor a number.
    """
    if isinstance(scorer, Judged):
        raise InputError("batch", f"needs a scorer that decides by itself, not {scorer.name}; leave batch out")
    for row in rows:
        if row.answer.kind not in _WANTED:
            ways = "name choices (answer=yes|no), score numbers (scorer=numeric), or leave batch out"
            problem = f"needs answers that are choices or numbers, and not {row.answer.kind}, as row {row.id} has"
            raise InputError("batch", f"{problem}; {ways}")


def scoring_of(size: int, scorer: Scorer | Judged) -> str:
    """Return when an answer to `size` rows is right."""
    says = scorer.says
    return f"All {size} parts are right, the value being the share that is; of each part: {says[:1].lower()}{says[1:]}"


def batched(samples: Sequence[Sample], check: Check) -> Sample:
    """Return the samples of several rows as one, whose answer is an object with the answer to each.

    Args:
        samples: Of one difficulty, in the order in which they are asked.
        check: The checker of batches.
    """
    asked = dict(zip(_keys(len(samples)), samples, strict=True))
    families = {sample.family for sample in samples}
    made = Sample(
        id="+".join(sample.id for sample in samples),
        question=_question(asked),
        answer=AnswerType.parse({"json": closed_object({key: _schema(one.answer) for key, one in asked.items()})}),
        target={key: one.target for key, one in asked.items()},
        difficulty=samples[0].difficulty,
        family=families.pop() if len(families) == 1 else "",
        instance={
            "rows": {key: {"id": one.id, **one.instance} for key, one in asked.items()},
            "subtasks": [_subtask(key, one) for key, one in asked.items()],
        },
    )
    return with_slips(made, check, _one_wrong(asked, random.Random(made.digest())))


def check_batch(sample: Sample, answer: Json, check: RowCheck) -> Score:
    """Return the share of the rows that are answered right; the answer is right where all are.

    A part that the row's scorer cannot read is a wrong one. Malformed is what has not one part for each row.
    """
    rows: Mapping[str, Json] = sample.instance["rows"]
    if not isinstance(answer, dict) or answer.keys() != rows.keys():
        return malformed(f"the answer is no object with the keys {', '.join(rows)}")
    scores = {key: check(row, answer[key]) for key, row in rows.items()}
    slips = [key for key, score in scores.items() if score.outcome != "right"]
    if not slips:
        return right()
    first = slips[0]
    detail = f"{first}, row {rows[first]['id']}: {scores[first].detail}"
    return wrong(detail, value=(len(rows) - len(slips)) / len(rows))


def batch_graph(sample: Sample) -> TaskGraph:
    """Return the rows as subtasks that do not depend on one another; their answers by id are the sample's answer.

    It has no goal: each subtask is shown its own question and nothing of the others.
    """
    return TaskGraph(sample.instance["subtasks"])


def _keys(count: int) -> list[str]:
    """Return names that are in order as texts, too, since schemas keep their keys sorted.

    >>> _keys(10)[::9]
    ['q01', 'q10']
    """
    width = len(str(count))
    return [f"q{place:0{width}}" for place in range(1, count + 1)]


def _question(asked: Mapping[str, Sample]) -> str:
    first, *_, last = asked
    kinds = {one.answer.kind for one in asked.values()}
    wanted = ", or ".join(says for kind, says in _WANTED.items() if kind in kinds)
    head = (
        f"Answer each of these {len(asked)} questions by itself. The answer is an object with the keys {first} to "
        f"{last}, each with the answer to the question of that name: {wanted}."
    )
    return "\n\n".join([head, *(f"{key}. {one.question}" for key, one in asked.items())])


def _schema(answer: AnswerType) -> Json:
    return {"type": "string", "enum": list(answer.choices)} if answer.choices else {"type": "number"}


def _subtask(key: str, sample: Sample) -> Json:
    return {
        "id": key,
        "description": sample.question,
        "answer": sample.answer.spec(),
        "truth": {"answer": sample.target, "wrong": list(sample.wrong)},
    }


def _one_wrong(asked: Mapping[str, Sample], rng: random.Random) -> Iterator[Json]:
    """Yield the right answer with one part wrong, the parts by turns."""
    target = {key: one.target for key, one in asked.items()}
    keys = rng.sample(list(asked), len(asked))
    for rank in range(max(len(one.wrong) for one in asked.values())):
        for key in keys:
            if rank < len(asked[key].wrong):
                yield {**target, key: asked[key].wrong[rank]}
