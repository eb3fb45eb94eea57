"""What a pilot asks: the items alone, misled, chained and thought over, and messages to write and to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestra.budget.items import Item, chained
from orchestra_agents.answers import AnswerType
from orchestra_agents.microagent import Question
from orchestra_agents.models.contract import Json, Prompt, Truth
from orchestra_agents.sections import as_text, data_section
from orchestra_topologies.graph import Subtask, TaskGraph
from orchestra_topologies.prompts import (
    Given,
    condense_prompt,
    extended,
    sections,
    subtask_pattern,
    subtask_prompt,
)
from orchestra_topologies.subtask import Example

READ = (
    "The report above is that of an agent that was asked the same question. Give the answer that the report supports. "
    "The question:"
)
THINK = "Think it through step by step. Do not give the answer yet."
EACH = "Do so for each of the {count} parts above, in order"

_TEXT = AnswerType()
_WORDS_A_TOKEN = 0.6  # as aggregators are told (orchestra_topologies.fitting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How items are put to the model; the same subtask prompts as in a run."""

    question: str = ""
    """What is asked of every input; empty where the input says it itself."""
    examples: tuple[Item, ...] = ()
    """Worked examples, none of them measured."""

    def alone(self, item: Item) -> Question:
        """Return an item as one subtask."""
        return self._asked(item, item.name)

    def by_chat(self, item: Item) -> Question:
        """Return an item in chat messages for a model that is asked by pattern elsewhere: to compare it with misled."""
        return replace(self._asked(item, f"{item.name} by chat"), pattern=None)

    def misled(self, item: Item) -> Question:
        """Return an item with a wrong answer of another agent before it, as upstream answers are shown."""
        given = Given(name="colleague", answer=item.wrong[0], is_right=False)
        return replace(self._asked(item, f"{item.name} misled", [given]), pattern=None)

    def thought(self, item: Item) -> Question:
        """Return an item as it is thought about in free words, before it is answered."""
        base = self._bare(item)
        node = f"{item.name} thought"
        return extended(base, node, [], answer=_TEXT, words=f"{base.words}\n{THINK}")

    def after(self, item: Item, thoughts: str) -> Question:
        """Return an item with the model's own thoughts about it before it."""
        base = self._bare(item)
        read = [data_section(thoughts, kind="your thoughts")]
        return extended(base, f"{item.name} answered", read, truth=item.truth)

    def writer(self, item: Item, *, was_true: bool, tokens: int) -> Prompt:
        """Return what an agent is asked that puts the report of a worker into a message of so many tokens.

        The report is the item with its right answer, or with a wrong one.
        """
        report = f"{item.input}\n\nThe answer is {as_text(item.target if was_true else item.wrong[0])}."
        graph, words = self._graph(item, item.name), max(1, int(tokens * _WORDS_A_TOKEN))
        purpose = self.question or "Answer the question in the report."
        return condense_prompt(f"{item.name} written", graph, [Given("worker", report)], purpose=purpose, words=words)

    def reader(self, item: Item, message: str, *, was_true: bool, tokens: int) -> Question:
        """Return what an agent is asked that reads the message beside the question, as the joints of a tree do.

        It has the right answer and the wrong one to choose from.
        """
        right, wrong = as_text(item.target), as_text(item.wrong[0])
        told = item.answer.choices or sorted([right, wrong])
        two = AnswerType("choice", choices=tuple(choice for choice in told if choice in (right, wrong)))
        truth = Truth(answer=right, wrong=(wrong,), inputs=(was_true,), reads="most")
        read = [*sections([Given("worker", message)]), READ]
        return extended(self._bare(item), f"{item.name} read at {tokens}", read, answer=two, truth=truth)

    def joined(self, count: int) -> Asking:
        """Return how `count` items at once are asked."""
        asked = f"{self.question or 'Answer the question.'}\n{EACH.format(count=count)}."
        return Asking(question=asked, examples=tuple(chained(self.examples, count)))

    def _bare(self, item: Item) -> Question:
        """Return an item without worked examples, as agents of other roles are asked."""
        return replace(self, examples=()).alone(replace(item, examples=()))

    def _asked(self, item: Item, node: str, given: Sequence[Given] = ()) -> Question:
        graph = self._graph(item, node)
        subtask = graph[node]
        return Question(
            node=node,
            prompt=subtask_prompt(graph, subtask, given),
            answer=item.answer,
            pattern=subtask_pattern(graph, subtask, given),
            words=subtask.description,
        )

    def _graph(self, item: Item, node: str) -> TaskGraph:
        subtask = Subtask(
            id=node,
            description=self.question or item.input,
            context=item.input if self.question else item.context or None,
            answer=item.answer,
            examples=item.examples or tuple(_example(one) for one in self.examples if one.answer == item.answer),
            truth=item.truth,
        )
        return TaskGraph([subtask], goal=item.goal)


def _example(item: Item) -> Example:
    target: Json = item.target
    return Example(input=item.input, answer=target)
