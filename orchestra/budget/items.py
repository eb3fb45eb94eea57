"""Items to calibrate on: rows of questions with their answers, checked, and the type of answer they have in common."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import object_without_doubles, shown
from orchestra_agents.models.contract import Json, Truth, canonical_json
from orchestra_agents.sections import as_text
from orchestra_topologies.subtask import Example

MOST_WORDS = 10
"""Most distinct targets that make a choice where no choices are named."""
LONGEST_WORD = 40
"""Longest such target, in characters."""
MOST_JOINT = 64
"""Most answers to several items at once that are still put as one choice."""


class Row(BaseModel):
    """One item as a user writes it: an object of a JSONL file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    input: str = Field(min_length=1)
    """What is asked, or the text that the question is about."""
    target: Json = None
    """The right answer; None is not known."""
    choices: list[str] | None = None
    """The allowed answers."""
    size: float | None = Field(default=None, gt=0)
    """How many steps, or simple items, it is worth; None counts as 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question with its answer, ready to be asked."""

    name: str
    """Under what it is recorded, from its place among the rows."""
    input: str
    answer: AnswerType
    target: Json = None
    """The right answer; None is not known."""
    wrong: tuple[Json, ...] = ()
    """Wrong answers, at least one where the right one is known: all of a choice, else one."""
    size: float = 1.0
    goal: str = ""
    """What the whole is about that it is a part of, shown before it as in a run."""
    context: str = ""
    """Text to read beside it, likewise."""
    examples: tuple[Example, ...] = ()
    """Worked examples of its own, likewise."""
    check: Callable[[Json], bool] | None = field(default=None, compare=False)
    """Whether an answer is right, where others than the target are, too; they are then counted as the target."""

    @property
    def truth(self) -> Truth | None:
        """What a simulated model may know."""
        return None if self.target is None else Truth(answer=self.target, wrong=self.wrong)


def load_rows(path: Path) -> list[Row]:
    """Return the rows of a JSONL file; empty lines are left out.

    Raises:
        InputError: It cannot be read, or a line is no row; the sentence names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(str(path), f"must be UTF-8: {error.reason}") from error
    return [_row_of_line(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def rows_of(said: Iterable[Row | Mapping[str, Json]]) -> list[Row]:
    """Return rows that are given as values.

    Raises:
        InputError: One is no row; the sentence names its place from 0.
    """
    return [one if isinstance(one, Row) else _row(one, f"items[{place}]") for place, one in enumerate(said)]


def items_of(rows: Sequence[Row], choices: Sequence[str] = ()) -> list[Item]:
    """Return the items with the type of answer that all rows have in common.

    A choice, where `choices` are given, where every row names choices (all as many), or where the targets are 2 to
    `MOST_WORDS` short texts that come twice or more on average. A number, where every target is one. Nothing else.

    Args:
        rows: At least one; all of them with a target, or none.
        choices: The allowed answers of every row, for rows that name none.

    Raises:
        InputError: The rows have no such type in common, or a target is none of its row's choices.
    """
    if not rows:
        raise InputError("items", "must hold at least one item")
    without = [place for place, row in enumerate(rows) if row.target is None]
    if without and len(without) < len(rows):
        raise InputError(f"items[{without[0]}]", "has no target but others have; give all of them one, or none")
    kinds = _kinds(rows, choices)
    return [_item(place, row, kind) for place, (row, kind) in enumerate(zip(rows, kinds, strict=True))]


def ready_items(said: Sequence[Row | Mapping[str, Json] | Item], choices: Sequence[str] = ()) -> list[Item]:
    """Return items that are ready as they are, and of rows the items that `items_of` makes of them.

    Raises:
        InputError: Rows and items are mixed, a row is wrong, two items have one name, or one cannot be measured.
    """
    items = [one for one in said if isinstance(one, Item)]
    rows = [one for one in said if not isinstance(one, Item)]
    if not items:
        return items_of(rows_of(rows), choices)
    if rows or choices:
        raise InputError("items", "must be rows, or items that are ready and name their own choices, not both")
    names = Counter(item.name for item in items)
    for item in items:
        if not item.answer.votable:
            raise InputError("items", f"{item.name}: answers of kind {item.answer.kind} cannot be counted")
        if names[item.name] > 1 or item.target is None or not item.wrong:
            raise InputError("items", f"{item.name}: needs a name of its own, a target and a wrong answer")
    return items


def chained(items: Sequence[Item], count: int) -> list[Item]:
    """Return items that ask for `count` of the given ones at once, and are right where all of them are.

    What is left over is left out. Their answer is a choice among all joint answers where these are few, else a list.
    """
    groups = [items[start : start + count] for start in range(0, len(items) - count + 1, count)]
    return [_chain(group) for group in groups]


def _item(place: int, row: Row, kind: AnswerType) -> Item:
    if row.target is not None and (problem := kind.problem(row.target)):
        raise InputError(f"items[{place}].target", problem)
    wrong = tuple(choice for choice in kind.choices if choice != row.target)
    if row.target is not None and not kind.choices:
        wrong = (row.target + 1,)
    return Item(
        name=f"item {place}", input=row.input, answer=kind, target=row.target, wrong=wrong, size=row.size or 1.0
    )


def _chain(group: Sequence[Item]) -> Item:
    text = "\n".join(f"{place}. {item.input}" for place, item in enumerate(group, 1))
    name = f"items {' '.join(item.name.removeprefix('item ') for item in group)}"
    joint, size = _joint(group), sum(item.size for item in group)
    targets = [item.target for item in group]
    if None in targets:
        return Item(name=name, input=text, answer=joint, size=size)
    if joint.choices:
        target: Json = ", ".join(map(as_text, targets))
        wrong: tuple[Json, ...] = tuple(choice for choice in joint.choices if choice != target)
    else:
        target, wrong = targets, ([*targets[:-1], group[-1].wrong[0]],)
    return Item(name=name, input=text, answer=joint, target=target, wrong=wrong, size=size)


def _joint(group: Sequence[Item]) -> AnswerType:
    answers = [item.answer for item in group]
    count = 1
    for answer in answers:
        count *= len(answer.choices)
    if 0 < count <= MOST_JOINT:
        texts = [", ".join(each) for each in product(*(answer.choices for answer in answers))]
        if len(set(texts)) == len(texts):
            return AnswerType("choice", choices=tuple(texts))
    part: Json = {"type": "number"}
    if answers[0].choices:
        part = {"type": "string", "enum": sorted({choice for answer in answers for choice in answer.choices})}
    return AnswerType(
        "json",
        schema=canonical_json({"type": "array", "items": part, "minItems": len(group), "maxItems": len(group)}),
    )


def _kinds(rows: Sequence[Row], choices: Sequence[str]) -> list[AnswerType]:
    if choices or any(row.choices is not None for row in rows):
        return _named_choices(rows, choices)
    targets = [row.target for row in rows]
    if all(isinstance(target, int | float) and not isinstance(target, bool) for target in targets):
        return [AnswerType("number")] * len(rows)
    if targets[0] is None:
        raise InputError("choices", "must be named where no targets are: nothing else tells which answers count")
    if all(isinstance(target, str) for target in targets):
        words = sorted(set(targets))
        is_short = all(len(word.strip()) > 0 and len(word) <= LONGEST_WORD and "\n" not in word for word in words)
        if is_short and 2 <= len(words) <= MOST_WORDS and len(rows) >= 2 * len(words):
            return [AnswerType("choice", choices=tuple(words))] * len(rows)
    told = f"or 2 to {MOST_WORDS} short texts that come twice or more (name the choices of others)"
    raise InputError("target", f"must be a number in every row, {told}; free text and JSON cannot be counted here")


def _named_choices(rows: Sequence[Row], choices: Sequence[str]) -> list[AnswerType]:
    kinds = []
    for place, row in enumerate(rows):
        named = tuple(choices if row.choices is None else row.choices)
        if not named:
            raise InputError(f"items[{place}]", "names no choices but others do; name them in every row")
        try:
            kinds.append(AnswerType("choice", choices=named))
        except InputError as error:
            raise InputError(f"items[{place}].choices", str(error).partition(": ")[2]) from error
        if len(named) != len(kinds[0].choices):
            told = f"must be as many in every row ({len(kinds[0].choices)} in the first), got {len(named)}"
            raise InputError(f"items[{place}].choices", told)
    return [kinds[0] if set(kind.choices) == set(kinds[0].choices) else kind for kind in kinds]


def _row_of_line(line: str, where: str) -> Row:
    try:
        said = json.loads(line, object_pairs_hook=object_without_doubles)
    except (ValueError, RecursionError) as error:
        raise InputError(where, f"must be a JSON object: {error}") from error
    return _row(said, where)


def _row(said: Json, where: str) -> Row:
    if not isinstance(said, Mapping):
        raise InputError(where, f"must be an object with the keys input and target, got {shown(said)}")
    try:
        return Row.model_validate(dict(said))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        told = {"missing": "is missing", "extra_forbidden": "is not a key here"}.get(first["type"])
        raise InputError(where, f"{key} {told or first['msg'][:1].lower() + first['msg'][1:]}") from error
