"""A suite of a user's own: the rows of a file, read once, dealt out to splits and put in an order by seed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json, canonical_json, digest
from orchestra_agents.sections import as_text
from orchestra_evals.suites.file_batches import batch_graph, batched, check_batch, check_rows, scoring_of
from orchestra_evals.suites.file_names import Settings, Shares, name_of_file, read_name
from orchestra_evals.suites.file_rows import SPLITS, Fields, Row, best, bound, rows_of
from orchestra_evals.suites.judging import Judged
from orchestra_evals.suites.pinned import Pinned
from orchestra_evals.suites.scorers import Function, Scorer, scorer_of
from orchestra_evals.suites.scoring import malformed, with_slips
from orchestra_evals.suites.suite import About, Difficulty, Sample, Score, Split, Suite, check_difficulty
from orchestra_evals.suites.tables import read_records
from orchestra_evals.suites.text_scorers import Exact
from orchestra_topologies.graph import TaskGraph

MOST_VALUES = 100
"""Most values of one axis of difficulty."""
_VERSION = 1
_CANDIDATES = 12

Cell: TypeAlias = tuple[Split, tuple[Json, ...]]
"""A split, and a value on each axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSuite:
    """The rows of a file as samples, each by itself or several at once.

    Which split a row is in does not depend on the seed; their order does, and with it which are asked at once.
    """

    name: str
    about: About
    scorer: Scorer
    """What decides, or where a model does, which answers are right without it: those that are a target."""
    judged: Judged | None
    """What to ask a model about answers that `check` finds wrong; None where `check` decides."""
    shuffle_choices: bool
    """Whether choices are in another order for each row and seed."""
    batch: int | None
    """How many rows one sample asks; None asks each by itself."""
    cells: Mapping[Cell, tuple[Row, ...]]
    answers: tuple[Json, ...]
    """The right answers of all rows, each once."""

    def count(self, difficulty: Difficulty, split: Split) -> int:
        """Return how many samples a split has at one difficulty.

        Raises:
            InputError: The suite has no such difficulty.
        """
        return len(self._rows(difficulty, split)) // (self.batch or 1)

    def sample(self, difficulty: Difficulty, index: int, *, split: Split, seed: int) -> Sample:
        """Return a sample; all indices below `count` give each row once, in an order that the seed decides.

        The last rows of that order are left out where they fill no batch.

        Raises:
            InputError: The suite has no such difficulty, or no so many samples there.
        """
        rows, size = self._rows(difficulty, split), self.batch or 1
        count = len(rows) // size
        if not count:
            ways = "deal out other shares" if self.batch is None else "deal out other shares, or ask fewer rows at once"
            raise InputError("split", f"{split} holds no sample of {self.name} here; {ways}")
        if not 0 <= index < count:
            raise InputError("index", f"must be from 0 to {count - 1}, all that {split} holds here, got {index}")
        order = _order(len(rows), canonical_json([_VERSION, split, dict(difficulty), seed]))
        made = [self._sample(rows[place], difficulty, seed) for place in order[index * size : (index + 1) * size]]
        return made[0] if self.batch is None else batched(made, self.check)

    def check(self, sample: Sample, answer: Json) -> Score:
        """Return what the scorer gives an answer for the best of the targets, malformed where it cannot read it.

        Of several rows asked at once, it is the share of those that are right.

        Where a model judges, it is asked by whoever runs the suite, and only about answers that are wrong here.
        """
        return self._check(sample.instance, answer) if self.batch is None else check_batch(sample, answer, self._check)

    def graph(self, sample: Sample) -> TaskGraph | None:
        """Return the rows that are asked at once as subtasks; None where a sample is one row, and so one question."""
        return None if self.batch is None else batch_graph(sample)

    def _sample(self, row: Row, difficulty: Difficulty, seed: int) -> Sample:
        """Return the sample that is one row."""
        rng = random.Random(canonical_json([_VERSION, row.key(), seed]))
        choices = rng.sample(row.choices, len(row.choices)) if self.shuffle_choices else row.choices
        sample = Sample(
            id=f"{row.id}@{seed}" if self.shuffle_choices else row.id,
            question=row.question(choices),
            answer=replace(row.answer, choices=tuple(choices)) if row.answer.choices else row.answer,
            target=row.accepted,
            difficulty=dict(difficulty),
            family=row.family,
            instance={"targets": list(row.targets), "choices": list(choices)},
        )
        return with_slips(sample, lambda one, answer: self._check(one.instance, answer), self._candidates(sample, rng))

    def _check(self, instance: Json, answer: Json) -> Score:
        """Return what an answer to one row is worth, given the instance of the row's sample."""
        if answer is None or (isinstance(answer, str) and not answer.strip()):
            return malformed("there is no answer")
        return best(bound(self.scorer, instance["choices"]), answer, instance["targets"])

    def _rows(self, difficulty: Difficulty, split: Split) -> tuple[Row, ...]:
        check_difficulty(self.about, difficulty, {})
        return self.cells.get((split, tuple(difficulty[axis] for axis in self.about.axes)), ())

    def _candidates(self, sample: Sample, rng: random.Random) -> Iterator[Json]:
        """Yield what somebody might answer: other choices, the answers to other rows, and at last a slip."""
        others = rng.sample(range(len(self.answers)), min(_CANDIDATES, len(self.answers)))
        slip = sample.target + 1 if sample.answer.kind == "number" else f"not {sample.target}"
        for one in (*sample.instance["choices"], *(self.answers[place] for place in others), slip):
            if not sample.answer.problem(one):
                yield one


def from_file(
    path: str | PathLike[str],
    fields: Fields | None = None,
    *,
    scorer: str | Scorer | Judged | Function | None = None,
    answer: AnswerType | None = None,
    shares: Shares | None = None,
    shuffle_choices: bool = False,
    batch: int | None = None,
) -> FileSuite:
    """Return a suite of the rows of a file: JSONL, JSON, CSV or YAML, as its name ends.

    Args:
        path: The file; it is read once, now.
        fields: Which columns say what; None is the default of each.
        scorer: How answers are scored: a name, `numeric:abs=0.01`, or a function of answer and target. None takes
            `choice` where there are choices, `numeric` where all targets are numbers, else `exact`.
        answer: What kind of answer is wanted; None takes a choice where there are choices, else a number for
            `numeric`, else a text.
        shares: How rows are dealt out to the splits where no column says it; None is the default of each.
        shuffle_choices: Whether choices are put in another order for each row and seed.
        batch: How many rows of one split and difficulty a sample asks at once, 2 to 20; their answers must be choices
            or numbers. Such samples have graphs, in which each row is a subtask. None asks each row by itself.

    Raises:
        InputError: The file cannot be read or a row is not what it should be; the sentence names the line. Or the rows
            cannot be asked at once.
    """
    fields, shares = fields or Fields(), shares or Shares()
    asked = None if scorer is None else scorer_of(scorer)
    rows, decides = rows_of(read_records(Path(path)), fields, scorer=asked, answer=answer)
    settings = Settings(
        fields=fields,
        scorer=asked.name if asked else None,
        answer=answer,
        shares=shares,
        shuffle_choices=shuffle_choices,
        batch=batch,
    )
    if batch is not None:
        check_rows(rows, decides)
    cells = {(split, place): dealt for place, group in _grouped(rows) for split, dealt in _dealt(group, shares).items()}
    summary, scoring, size = f"The {len(rows):,} rows of {Path(path).name}", decides.says, len(rows)
    if batch is not None:
        size = _batches(cells.values(), batch)
        summary += f", {batch} at once; left out: {len(rows) - size * batch:,}"
        scoring = scoring_of(batch, decides)
    return FileSuite(
        name=name_of_file(str(path), settings),
        about=_about(f"{summary}.", scoring, fields.axes(), rows, size),
        scorer=Exact() if isinstance(decides, Judged) else decides,
        judged=decides if isinstance(decides, Judged) else None,
        shuffle_choices=shuffle_choices,
        batch=batch,
        cells=MappingProxyType(cells),
        answers=tuple({row.answer.canonical(row.accepted): row.accepted for row in rows}.values()),
    )


def from_jsonl(
    path: str | PathLike[str],
    *,
    input: str = "input",
    target: str = "target",
    choices: str | Sequence[str] | None = None,
    id: str | None = None,
    family: str | None = None,
    scorer: str | Scorer | Judged | Function | None = None,
    batch: int | None = None,
) -> FileSuite:
    """Return a suite of the rows of a file with what is wanted most; `from_file` says what all of it means, and more.

    Raises:
        InputError: The file cannot be read or a row is not what it should be; the sentence names the line.
    """
    fields = Fields(input=input, target=target, choices=choices, id=id, family=family)
    return from_file(path, fields, scorer=scorer, batch=batch)


def named_file(text: str) -> Suite:
    """Return the suite that a name gives behind `file:`; how names are written, `file_names` says.

    Raises:
        InputError: The name, the file or one of its rows is not what it should be.
    """
    path, settings = read_name(text)
    suite = from_file(
        path,
        settings.fields,
        scorer=settings.scorer,
        answer=settings.answer,
        shares=settings.shares,
        shuffle_choices=settings.shuffle_choices,
        batch=settings.batch,
    )
    kept = suite.about.default
    for axis, said in settings.pins.items():
        kept = tuple(one for one in kept if as_text(one[axis]) == said)
    if not kept:
        raise InputError("suite", f"file: no row of {path} has all of {dict(settings.pins)}")
    name = f"file:{text}"
    return Pinned(suite=suite, name=name, about=replace(suite.about, default=kept)) if settings.pins else suite


def judge_of(suite: Suite) -> Judged | None:
    """Return what to ask a model about answers that `suite.check` finds wrong, None where the check decides."""
    while isinstance(suite, Pinned):
        suite = suite.suite
    return suite.judged if isinstance(suite, FileSuite) else None


def _about(summary: str, scoring: str, names: Sequence[str], rows: Sequence[Row], size: int) -> About:
    axes = _axes(names, rows)
    return About(
        summary=summary,
        scoring=scoring,
        licence="that of the file",
        axes=axes,
        default=tuple(dict(zip(axes, place, strict=True)) for place in _ordered(axes, rows)),
        version=_VERSION,
        size=size,
    )


def _batches(dealt: Iterable[Sequence[Row]], size: int) -> int:
    """Return how many batches the rows of all cells fill.

    Raises:
        InputError: There is none.
    """
    count = sum(len(rows) // size for rows in dealt)
    if not count:
        problem = f"asks {size} rows of one split and difficulty at once, and none has so many"
        raise InputError("batch", f"{problem}: ask fewer, or deal out other shares")
    return count


def _axes(names: Sequence[str], rows: Sequence[Row]) -> Mapping[str, tuple[Json, ...]]:
    """Return the values on each axis: numbers from small to large, else in the order in which they come."""
    axes = {}
    for place, name in enumerate(names):
        values = tuple(dict.fromkeys(row.place[place] for row in rows))
        if len(values) > MOST_VALUES:
            raise InputError("difficulty", f"{name} has {len(values):,} values; at most {MOST_VALUES} make an axis")
        are_numbers = all(isinstance(value, int | float) for value in values)
        axes[name] = tuple(sorted(values)) if are_numbers else values
    return MappingProxyType(axes)


def _ordered(axes: Mapping[str, tuple[Json, ...]], rows: Sequence[Row]) -> list[tuple[Json, ...]]:
    """Return the places that have rows, from easy to hard, the first axis counting most."""
    ranks = [{value: rank for rank, value in enumerate(values)} for values in axes.values()]
    return sorted(
        {row.place for row in rows},
        key=lambda place: [rank[value] for rank, value in zip(ranks, place, strict=True)],
    )


def _grouped(rows: Sequence[Row]) -> Iterable[tuple[tuple[Json, ...], list[Row]]]:
    groups: dict[tuple[Json, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.place, []).append(row)
    return groups.items()


def _dealt(rows: Sequence[Row], shares: Shares) -> Mapping[Split, tuple[Row, ...]]:
    """Return the rows of each split: as their column says, else in shares of an order that only the questions decide.

    Equal questions are in the same split, and neither their place in the file nor other rows' ids matter.
    """
    if rows[0].split is not None:
        return {split: tuple(row for row in rows if row.split == split) for split in SPLITS}
    keyed = sorted(((digest([shares.seed, row.key()]), row) for row in rows), key=lambda pair: pair[0])
    dealt: dict[Split, tuple[Row, ...]] = {}
    start, share = 0, 0.0
    for split in SPLITS:
        share += shares.of(split)
        end = max(start, min(len(rows), int(len(rows) * share + 0.5)))
        while start < end < len(rows) and keyed[end][0] == keyed[end - 1][0]:
            end += 1
        dealt[split] = tuple(row for _, row in keyed[start:end])
        start = end
    return dealt


@lru_cache(maxsize=64)
def _order(count: int, seed: str) -> tuple[int, ...]:
    """Return the numbers below `count` in an order that the seed decides."""
    rng = random.Random(seed)
    return tuple(rng.sample(range(count), count))
