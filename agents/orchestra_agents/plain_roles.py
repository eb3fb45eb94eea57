"""The roles of recursive decomposition in plain words: what each is asked, and which splits are refused."""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestra_agents.answers import AnswerType
from orchestra_agents.models.contract import Json, Message, Prompt, canonical_json
from orchestra_agents.sections import DATA_RULE, as_text, data_section
from orchestra_agents.splits import Split

_DECOMPOSER = """You decompose problems. Split the problem into exactly two subproblems and one composition:
- Each subproblem is self-contained: whoever solves it sees its text and nothing else, so repeat every figure it needs.
- The subproblems are independent: neither mentions the other, its answer, or the whole problem.
- Each is easier than the problem itself.
- The composition is trivial: one operation that makes the problem's answer from the two answers, and it says which one.
If the problem can be answered reliably in one step, it is atomic: do not split it.
Reply with JSON, the key answer being an object: atomic (true or false), parts (the two subproblems, none if atomic) \
and compose (the operation, empty if atomic)."""
_SOLVER = "You solve one small problem, exactly and on your own. Reply with JSON, the key answer being "
_COMPOSER = (
    "You compose: two parts of a problem are answered, and you make the problem's answer of them by the operation "
    "given, without solving the parts anew. Reply with JSON, the key answer being "
)
_REFERENCE = re.compile(
    r"\b(?:other|first|second|former|latter|previous|preceding|above|whole|original)\s+"
    r"(?:sub)?-?(?:part|problem|question|task|answer|result|solution)s?\b"
    r"|\b(?:sub)?-?(?:part|problem|question|task|answer|result|solution)s?\s+(?:of\s+)?(?:part\s+)?(?:[12]|one|two)\b"
    r"|\b(?:previous|preceding)\s+(?:step|sum|product|number|value)s?\b"
    r"|\bp[12]\b",
    re.IGNORECASE,
)
_VAGUE = re.compile(r"(?<!logical )\bor\b|\b(?:either|depending|somehow|perhaps|maybe)\b|\?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PlainRoles:
    """Asks for a split, an answer and a composition in words; the problem and all that models wrote stand as data.

    Args:
        answer: The kind of answer that the problem and all its parts have.
    """

    answer: AnswerType

    def decomposition(self, problem: str) -> Prompt:
        """Return what the decomposer is asked."""
        return _prompt(
            _DECOMPOSER,
            data_section(problem, kind="problem"),
            "Split this problem in two, or say that it is atomic.",
        )

    def solution(self, problem: str) -> Prompt:
        """Return what the solver is asked."""
        return _prompt(f"{_SOLVER}{self._kind()}.", data_section(problem, kind="problem"), "Solve this problem.")

    def composition(self, problem: str, split: Split, answers: tuple[Json, ...]) -> Prompt:
        """Return what the composer is asked."""
        solved = [
            f"{data_section(part, kind=f'part {place}')}\n{data_section(as_text(answer), kind=f'answer {place}')}"
            for place, (part, answer) in enumerate(zip(split.parts, answers, strict=True), 1)
        ]
        sections = [
            data_section(problem, kind="problem"),
            *solved,
            data_section(split.compose, kind="operation"),
        ]
        return _prompt(f"{_COMPOSER}{self._kind()}.", *sections, "Compose the two answers to the problem's answer.")

    def fault(self, problem: str, split: Split) -> str | None:
        """Return the failure class of a split that must not be used, or None.

        `malformed_final` is a part that is blank or the problem itself; `non_independent_subproblems` a part that
        refers to another one in words that the problem does not use itself; `ambiguous_composition_op` a composition
        that is blank, asks, or leaves a choice. The words are English; what is wrong in substance shows in no words.
        """
        plain = _plain(problem)
        parts = [_plain(part) for part in split.parts]
        if any(part in ("", plain) for part in parts):
            return "malformed_final"
        if any(found.group() not in plain for part in parts for found in _REFERENCE.finditer(part)):
            return "non_independent_subproblems"
        if not split.compose.strip() or _VAGUE.search(split.compose):
            return "ambiguous_composition_op"
        return None

    def _kind(self) -> str:
        match self.answer.kind:
            case "number":
                return "a number"
            case "choice":
                return f"one of {canonical_json(list(self.answer.choices))}"
            case _:
                return f"a value of the JSON schema {self.answer.schema}"


def _prompt(system: str, *sections: str) -> Prompt:
    return Prompt(messages=(Message("system", f"{system}\n{DATA_RULE}"), Message("user", "\n\n".join(sections))))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
