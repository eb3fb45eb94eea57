"""The rows of a user's file as questions with targets, each checked: columns mapped, and the answer's type derived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import parse_json, shown
from orchestra_agents.models.contract import Json, digest
from orchestra_agents.sections import as_text
from orchestra_evals.suites.choice_reading import LETTERS, lettered
from orchestra_evals.suites.judging import Judged
from orchestra_evals.suites.scorers import Choice, Numeric, Scorer
from orchestra_evals.suites.suite import Score, Split
from orchestra_evals.suites.tables import Record
from orchestra_evals.suites.templates import Gap, Template, displayed
from orchestra_evals.suites.text_scorers import Exact

SPLITS: tuple[Split, ...] = ("calibrate", "test", "held_out")
"""The splits in the order in which rows are dealt out."""
LONGEST_VALUE = 100
"""Longest text on an axis of difficulty, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Which columns of a file say what; `answers.text` is a key of an object in a column."""

    input: str = "input"
    """A column, or a template of columns, `{title}: {question}`; choices go where `{choices}` is, else to the end."""
    target: str = "target"
    """Right answers: one, or a list any of which counts; of choices their text, letter or place (`choice:first=0`)."""
    choices: str | Sequence[str] | None = None
    """A column with a list of texts, or several columns with one each. None: `choices`, where the file has it."""
    id: str | None = None
    """Names of the samples, each its own. None: `id`, where the file has it, else the rows are numbered from 1."""
    family: str | None = None
    """What samples have in common that are alike, for statistics. None: `family`, where the file has it."""
    difficulty: str | Sequence[str] = ()
    """A column, or several, that are axes of difficulty; texts of digits on them are integers."""
    split: str | None = None
    """Which samples are calibrate, test and held_out. None: they are dealt out by `Shares`."""
    example: str | None = None
    """Answers that are right, where the target itself is none: for patterns, and functions of a user's own."""

    def found_in(self, records: Sequence[Record]) -> Fields:
        """Return these fields, None being the usual name where a record has such a column."""

        def found(usual: str) -> str | None:
            return usual if any(record.has(usual) for record in records) else None

        return replace(
            self,
            choices=self.choices or found("choices"),
            id=self.id or found("id"),
            family=self.family or found("family"),
        )

    def axes(self) -> tuple[str, ...]:
        """Return the columns that are axes of difficulty."""
        return (self.difficulty,) if isinstance(self.difficulty, str) else tuple(self.difficulty)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question of a file, checked."""

    id: str
    pieces: tuple[str, ...]
    """The question, cut where its choices are listed; one piece where there are none."""
    choices: tuple[str, ...]
    """The choices as they stand in the file."""
    answer: AnswerType
    targets: tuple[Json, ...]
    """What the scorer compares with, any of which counts; of choices their texts."""
    accepted: Json
    """An answer of the right type that is right."""
    family: str
    place: tuple[Json, ...]
    """The value on each axis of difficulty."""
    split: Split | None
    """None where nothing says it."""

    def question(self, choices: Sequence[str]) -> str:
        """Return the question with its choices in this order."""
        return lettered(choices).join(self.pieces)

    def key(self) -> str:
        """Return the digest of the question: equal for equal ones, wherever they stand."""
        return digest([list(self.pieces), list(self.choices)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Makes rows of records, all in the same way."""

    fields: Fields
    template: Template
    answer: AnswerType | None
    """The type of all answers; None derives each."""
    scorer: Scorer
    is_judged: bool
    """Whether a model decides, so that nothing can be known of an example."""

    def row(self, record: Record, number: int) -> Row:
        """Return the row of a record.

        Raises:
            InputError: A column is missing or not what it should be; the sentence names file, line and column.
        """
        choices = self._choices(record)
        answer = self._answer(record, choices)
        targets = self._targets(record, choices)
        return Row(
            id=_name(record, self.fields.id) if self.fields.id else str(number),
            pieces=self._pieces(record, bool(choices)),
            choices=choices,
            answer=answer,
            targets=targets,
            accepted=self._accepted(record, answer, choices, targets),
            family=_name(record, self.fields.family) if self.fields.family else "",
            place=tuple(_place(record, axis) for axis in self.fields.axes()),
            split=self._split(record),
        )

    def _choices(self, record: Record) -> tuple[str, ...]:
        named = self.fields.choices
        if named is None:
            return self.answer.choices if self.answer else ()
        said = record.value(named) if isinstance(named, str) else [record.value(column) for column in named]
        column = named if isinstance(named, str) else ", ".join(named)
        if isinstance(said, str):
            try:
                said = parse_json(said)
            except ValueError as error:
                raise InputError(record.where, f"{column} must be a JSON list of texts, got {shown(said)}") from error
        if not isinstance(said, list) or not 2 <= len(said) <= len(LETTERS):
            problem = f"must be a list of 2 to {len(LETTERS)} choices, got {shown(said)}"
            raise InputError(record.where, f"{column} {problem}")
        return tuple(as_text(choice).strip() for choice in said)

    def _answer(self, record: Record, choices: tuple[str, ...]) -> AnswerType:
        if self.answer is not None:
            return self.answer
        if not choices:
            return AnswerType("number" if isinstance(self.scorer, Numeric) else "text")
        try:
            return AnswerType("choice", choices=choices)
        except InputError as error:
            raise InputError(record.where, f"choices: {problem_of(error)}") from error

    def _targets(self, record: Record, choices: tuple[str, ...]) -> tuple[Json, ...]:
        column = self.fields.target
        said = record.value(column)
        targets = said if isinstance(said, list) else [said]
        if any(target is None or (isinstance(target, str) and not target.strip()) for target in targets):
            raise InputError(record.where, f"{column} must not hold an empty target")
        if not choices:
            return tuple(targets)
        choice = replace(self.scorer if isinstance(self.scorer, Choice) else Choice(), choices=choices)
        try:
            return tuple(choices[choice.place(target)] for target in targets)
        except InputError as error:
            raise InputError(record.where, f"{column} {problem_of(error)}") from error

    def _accepted(
        self, record: Record, answer: AnswerType, choices: tuple[str, ...], targets: tuple[Json, ...]
    ) -> Json:
        """Return the example, or the first target as an answer, which the scorer must take for right."""
        column = self.fields.example or self.fields.target
        try:
            accepted = _fitting(record.value(column) if self.fields.example else targets[0], answer, self.scorer)
            problem = answer.problem(accepted)
            score = best(bound(self.scorer, choices), accepted, targets)
        except InputError as error:
            raise InputError(record.where, f"{column} {problem_of(error)}") from error
        if problem:
            raise InputError(record.where, f"{column} is no answer of the type asked for: {problem}")
        if score.outcome != "right" and not self.is_judged:
            refused = f"{column}, given as the answer {shown(accepted)}, is not right ({score.detail})"
            raise InputError(record.where, f"{refused}; name a right one in a column: example=COLUMN")
        return accepted

    def _pieces(self, record: Record, has_choices: bool) -> tuple[str, ...]:
        """Return the question, cut where the choices go."""
        own = self.fields.choices if isinstance(self.fields.choices, str) else None
        pieces: list[list[str]] = [[]]
        for part in self.template.parts:
            if isinstance(part, str):
                pieces[-1].append(part)
            elif has_choices and part.name in ("choices", own):
                pieces.append([])
            else:
                pieces[-1].append(displayed(record.value_or_none(part.name)))
        if not any(part.strip() for piece in pieces for part in piece):
            raise InputError(record.where, f"{', '.join(self.template.names)} is empty")
        if has_choices and len(pieces) == 1:
            pieces = [[*pieces[0], "\n\n"], []]
        return tuple("".join(piece) for piece in pieces)

    def _split(self, record: Record) -> Split | None:
        if self.fields.split is None:
            return None
        said = record.value(self.fields.split)
        if said not in SPLITS:
            raise InputError(record.where, f"{self.fields.split} must be one of {', '.join(SPLITS)}, got {shown(said)}")
        return SPLITS[SPLITS.index(said)]


def rows_of(
    records: Sequence[Record], fields: Fields, *, scorer: Scorer | Judged | None, answer: AnswerType | None
) -> tuple[list[Row], Scorer | Judged]:
    """Return the rows of records, and what scores them.

    Args:
        records: At least one.
        fields: Which columns say what.
        scorer: None takes `choice` where there are choices, `numeric` where all targets are numbers, else `exact`.
        answer: The type of all answers; None takes a choice where there are choices, else a number for `numeric`,
            else a text.

    Raises:
        InputError: A record is no row, or two have one id.
    """
    fields = fields.found_in(records)
    if fields.choices and answer is not None and answer.choices:
        raise InputError("answer", "must not name choices where a column does")
    if scorer is None:
        scorer = Choice() if fields.choices or (answer and answer.choices) else _by_targets(records, fields.target)
    reader = Reader(
        fields=fields,
        template=_template(fields.input),
        answer=answer,
        scorer=Exact() if isinstance(scorer, Judged) else scorer,
        is_judged=isinstance(scorer, Judged),
    )
    rows = []
    seen: dict[str, str] = {}
    for number, record in enumerate(records, 1):
        row = reader.row(record, number)
        if row.id in seen:
            raise InputError(record.where, f"{fields.id} {shown(row.id)} comes twice, first in {seen[row.id]}")
        seen[row.id] = record.where
        rows.append(row)
    return rows, scorer


def bound(scorer: Scorer, choices: Sequence[str]) -> Scorer:
    """Return the scorer of a question with these choices, whose targets are texts of choices."""
    return Choice(choices=tuple(choices)) if isinstance(scorer, Choice) and choices else scorer


def best(scorer: Scorer, answer: Json, targets: Sequence[Json]) -> Score:
    """Return what an answer is worth where any of the targets counts: the best score, of equal ones the first."""
    scores = [scorer(answer, target) for target in targets]
    return max(scores, key=lambda score: (score.value, score.outcome == "wrong"))


def problem_of(error: InputError) -> str:
    """Return what an error says, without the field that it names."""
    return str(error).removeprefix(f"{error.field}: ")


def _template(text: str) -> Template:
    is_column = "{" not in text and "}" not in text
    return Template((Gap(text),)) if is_column else Template.parse(text, "input")


def _by_targets(records: Sequence[Record], column: str) -> Scorer:
    said = (record.value(column) for record in records)
    targets = (target for one in said for target in (one if isinstance(one, list) else [one]))
    are_numbers = all(isinstance(target, int | float) and not isinstance(target, bool) for target in targets)
    return Numeric() if are_numbers else Exact()


def _fitting(target: Json, answer: AnswerType, scorer: Scorer) -> Json:
    """Return a target as an answer of the type asked for."""
    if answer.kind == "number":
        return (scorer if isinstance(scorer, Numeric) else Numeric()).answer_of(target)
    return target if answer.kind in ("json", "choice") else as_text(target)


def _name(record: Record, column: str) -> str:
    said = record.value(column)
    if not isinstance(said, str | int):
        raise InputError(record.where, f"{column} must be a text or an integer, got {shown(said)}")
    return str(said)


def _place(record: Record, axis: str) -> Json:
    said = record.value(axis)
    is_scalar = isinstance(said, int | float) or (isinstance(said, str) and len(said) <= LONGEST_VALUE)
    if not is_scalar:
        problem = f"must be a number, or a text of at most {LONGEST_VALUE} characters, to be a difficulty"
        raise InputError(record.where, f"{axis} {problem}, got {shown(said)}")
    text = said.strip() if isinstance(said, str) else said
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 19 else text
