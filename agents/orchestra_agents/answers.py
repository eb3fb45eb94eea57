"""What kind of answer a question wants, how a reply is read as one, and which answers count as equal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from orchestra_agents.errors import InputError, RedFlag
from orchestra_agents.json_schema import canonical_value, mismatch, parse_json, schema_problem, shown
from orchestra_agents.models.contract import Json, canonical_json

AnswerKind = Literal["text", "choice", "number", "json", "code"]
"""The kinds of answers; all but text and code are votable."""

_NUMBER_LINE = r'root ::= " " "-"? [0-9]{1,9} ("." [0-9]{1,6})? "\n"'
"""A number of bounded length; without the line's end small models run on."""

_ALLOWED = "text, number, code, {choice: [a, b]} or {json: {schema}}"


@dataclass(frozen=True, slots=True)
class AnswerType:
    """The type of an answer.

    Raises:
        InputError: A choice has fewer than 2 distinct texts, or a schema is none.
    """

    kind: AnswerKind = "text"
    choices: tuple[str, ...] = ()
    """The allowed answers of a choice, in the order given; empty for other kinds."""
    schema: str | None = None
    """Canonical text of the JSON schema of a `json` answer; None for other kinds."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(AnswerKind):
            raise InputError("answer", f"must be {_ALLOWED}, got {shown(self.kind)}")
        if (self.kind == "choice") != bool(self.choices) or (self.kind == "json") != (self.schema is not None):
            raise InputError("answer", "choices belong to a choice, a schema to json, each to nothing else")
        if self.choices:
            _check_choices(self.choices)

    @classmethod
    def parse(cls, spec: Json) -> AnswerType:
        """Return the type that a graph file's `answer` names.

        Raises:
            InputError: It is not one of text, number, code, {choice: [...]} and {json: {schema}}.

        >>> AnswerType.parse({"choice": ["alpha", "beta"]}).choices
        ('alpha', 'beta')
        """
        if isinstance(spec, str) and spec in ("text", "number", "code"):
            return cls(spec)  # type: ignore[arg-type] # mypy does not narrow str by membership
        if isinstance(spec, Mapping) and list(spec) == ["choice"]:
            return cls("choice", choices=_choices(spec["choice"]))
        if isinstance(spec, Mapping) and list(spec) == ["json"]:
            return cls("json", schema=_schema(spec["json"]))
        raise InputError("answer", f"must be {_ALLOWED}, got {shown(spec)}")

    def spec(self) -> Json:
        """Return what a graph file says for this type; `parse` reads it back."""
        if self.kind == "choice":
            return {"choice": list(self.choices)}
        return {"json": json.loads(self.schema)} if self.schema is not None else self.kind

    @property
    def votable(self) -> bool:
        """Whether equal answers can be counted."""
        return self.kind not in ("text", "code")

    def constraint(self) -> str | None:
        """Return the JSON schema a reply is constrained to, an object with the key `answer`; None for text and code."""
        if not self.votable:
            return None
        answer = {"choice": {"type": "string", "enum": list(self.choices)}, "number": {"type": "number"}}.get(self.kind)
        return canonical_json(
            {
                "type": "object",
                "properties": {"answer": json.loads(self.schema) if self.schema is not None else answer},
                "required": ["answer"],
                "additionalProperties": False,
            }
        )

    def read(self, text: str) -> Json:
        """Return the typed answer that a reply gives.

        A votable answer is the JSON object of `constraint()` and nothing else, 3.0 read as 3. Text is the reply without
        outer white space. Code is the inside of the fenced block, if the reply is one, else the reply.

        Raises:
            RedFlag: `unparsable`, on any deviation; nothing is repaired.
        """
        if not self.votable:
            return self._checked(_code(text) if self.kind == "code" else text.strip())
        try:
            reply = parse_json(text)
        except ValueError as error:
            raise RedFlag("unparsable", f"not the JSON object asked for: {error}") from error
        if not isinstance(reply, dict) or list(reply) != ["answer"]:
            raise RedFlag("unparsable", "not a JSON object with the one key answer")
        return self._checked(reply["answer"])

    def grammar(self) -> str | None:
        """Return the GBNF grammar of an answer that ends a line, ` -> answer`; None where the line is free."""
        if self.kind == "choice":
            return f"root ::= {' | '.join(json.dumps(f' {choice}', ensure_ascii=False) for choice in self.choices)}"
        return _NUMBER_LINE if self.kind == "number" else None

    def read_line(self, text: str) -> Json:
        """Return the typed answer that the rest of a line gives.

        Raises:
            RedFlag: `unparsable`, on any deviation; nothing is repaired.
        """
        line = text.strip()
        if self.kind != "number":
            return self._checked(line)
        try:
            return self._checked(parse_json(line))
        except ValueError as error:
            raise RedFlag("unparsable", f"not a number: {error}") from error

    def problem(self, value: Json) -> str | None:
        """Return why `value` is no answer of this type, or None."""
        if self.kind == "choice":
            return (
                None if isinstance(value, str) and value in self.choices else f"{shown(value)} is none of the choices"
            )
        if self.kind == "number":
            return mismatch(value, {"type": "number"})
        if self.schema is not None:
            return mismatch(value, json.loads(self.schema))
        return None if isinstance(value, str) and value.strip() else "answer must be a non-empty text"

    def canonical(self, value: Json) -> str:
        """Return the text by which equal answers count as equal.

        Choices, texts and code are themselves; all else is canonical JSON, in which 3, 3.0 and 3.00 are the same.

        Raises:
            ValueError: `value` is not a JSON value.

        >>> AnswerType("number").canonical(3.0)
        '3'
        """
        is_own_text = isinstance(value, str) and self.kind in ("text", "choice", "code")
        return value if is_own_text else canonical_value(value)

    def _checked(self, value: Json) -> Json:
        if problem := self.problem(value):
            raise RedFlag("unparsable", problem)
        return value


def _choices(given: Json) -> tuple[str, ...]:
    if not isinstance(given, (list, tuple)):
        raise InputError("answer", f"choice must be a list of texts, got {shown(given)}")
    return tuple(given) if given else _check_choices(())


def _check_choices(choices: tuple[Json, ...]) -> tuple[str, ...]:
    for choice in choices:
        if not isinstance(choice, str):
            raise InputError(
                "answer", f'every choice must be a text, got {shown(choice)}; put it in quotes, as in ["yes", "no"]'
            )
    if len(set(choices)) < max(2, len(choices)) or not all(choice.strip() for choice in choices):
        raise InputError("answer", f"a choice needs at least 2 distinct non-empty texts, got {shown(list(choices))}")
    return choices


def _schema(given: Json) -> str:
    try:
        problem = schema_problem(given)
        text = canonical_json(given)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError("answer", "the schema of json must be made of JSON values, not nested too deeply") from error
    if problem:
        raise InputError("answer", f"json: {problem}")
    return text


def _code(text: str) -> str:
    first, *inside = text.strip().split("\n")
    is_fenced = first.startswith("```") and bool(inside) and inside.pop().rstrip() == "```"
    if is_fenced and not any(line.startswith("```") for line in inside):
        return "\n".join(inside)
    return text.strip("\r\n").rstrip()
