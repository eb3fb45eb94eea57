"""What a sample of Inspect asks, as a question of ours: its words, the kind of answer, and perhaps a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from inspect_ai.model import ChatMessage
from inspect_ai.solver import TaskState

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json, canonical_json
from orchestra_topologies.graph import TaskGraph

SAMPLE = "orchestra_sample"
"""Metadata of a sample that one of our suites made: suite, split, seed, difficulty, index, and the two below."""
ANSWER, GRAPH = "answer", "graph"
"""Keys of it: the answer type and the suite's own graph, as a graph file says them."""
_TEXT = AnswerType("text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question."""

    text: str
    answer: AnswerType
    graph: TaskGraph | None = None
    """The suite's own graph of it; None where there is none."""
    letters: tuple[str, ...] = ()
    """The letters of the choices that the sample offers; empty where it offers none."""

    def task(self) -> TaskGraph:
        """Return the question as a graph of one subtask."""
        return TaskGraph([{"id": "answer", "description": self.text, "answer": self.answer.spec()}])

    def words(self) -> str:
        """Return the question as somebody reads it who splits it up: with the type of the answer it is to come to."""
        if self.answer.kind == "text":
            return self.text
        return f"{self.text}\n\nThe final answer is of this type: {canonical_json(self.answer.spec())}"


def asked_of(state: TaskState, answer: AnswerType | None) -> Asked:
    """Return what the messages of a sample ask, with its choices by letter.

    Args:
        state: The sample's.
        answer: What kind of answer is wanted; None takes a letter where the sample offers choices, else what our suite
            says, else a text.

    Raises:
        InputError: The sample asks with more than text, brings tools along, or offers more choices than letters.
    """
    if state.tools:
        raise InputError("sample", "brings tools of Inspect along, which orchestra's agents cannot call")
    text, choices = text_of(state.messages), [choice.value for choice in state.choices]
    if answer is None and choices:
        letters = _letters(len(choices))
        listed = "\n".join(f"{letter}) {choice}" for letter, choice in zip(letters, choices, strict=True))
        return Asked(text=f"{text}\n\n{listed}", answer=AnswerType("choice", choices=letters), letters=letters)
    said = (state.metadata or {}).get(SAMPLE)
    ours: Mapping[str, Json] = said if isinstance(said, Mapping) else {}
    told = AnswerType.parse(ours[ANSWER]) if ANSWER in ours else _TEXT
    graph = TaskGraph.from_dict(ours[GRAPH]) if ours.get(GRAPH) is not None else None
    return Asked(text=text, answer=answer or told, graph=graph)


def text_of(messages: Sequence[ChatMessage]) -> str:
    """Return the words of a conversation: who speaks is said where somebody has answered already.

    Raises:
        InputError: A message holds more than text.
    """
    for message in messages:
        parts = [] if isinstance(message.content, str) else message.content
        other = next((part.type for part in parts if part.type not in ("text", "reasoning")), None)
        if other is not None:
            raise InputError("sample", f"holds {other}; orchestra's agents read text only")
    spoken = [message for message in messages if message.text.strip()]
    if all(message.role in ("system", "user") for message in spoken):
        return "\n\n".join(message.text for message in spoken)
    return "\n\n".join(f"{message.role}: {message.text}" for message in spoken)


def _letters(count: int) -> tuple[str, ...]:
    if not 2 <= count <= len(ascii_uppercase):
        raise InputError("sample", f"must offer 2 to {len(ascii_uppercase)} choices, got {count}")
    return tuple(ascii_uppercase[:count])
