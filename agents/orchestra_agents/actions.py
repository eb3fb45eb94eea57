"""What an agent may do in one turn: call a tool that it was granted, or say that it is done and answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Self

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import RedFlag
from orchestra_agents.json_schema import closed_object, parse_json, shown
from orchestra_agents.models.contract import Json, canonical_json
from orchestra_agents.tools import Toolbox

_TEXT = AnswerType()


@dataclass(frozen=True, slots=True)
class ActionType(AnswerType):
    """The answer of one turn: `{tool, arguments}` or `{done, answer}`, voted on like any answer.

    The schema that is sent names the granted tools and the types of their arguments. A reply that departs from it only
    there is read all the same: what becomes of such a call is an observation from which the agent can learn.
    """

    final: AnswerType = _TEXT
    """The kind of answer that ends the work."""

    @classmethod
    def of(cls, tools: Toolbox, final: AnswerType) -> Self:
        """Return the actions of an agent that was granted `tools` and is to answer as `final` says."""
        constraint = final.constraint()
        answer = {"type": "string"} if constraint is None else json.loads(constraint)["properties"]["answer"]
        calls = [
            closed_object({"tool": {"const": tool.name}, "arguments": dict(tool.schema)})
            for tool in tools.tools.values()
        ]
        done = closed_object({"done": {"const": True}, "answer": answer})
        return cls("json", schema=canonical_json({"anyOf": [*calls, done]}), final=final)

    def read(self, text: str) -> Json:
        """Return the action that a reply gives, under the key `answer` or as it is.

        Words that end the work are read as `final` reads a reply: without outer white space, or out of their fence.

        Raises:
            RedFlag: `unparsable`, on any deviation from the two forms of an action; nothing is repaired.
        """
        try:
            reply = parse_json(text)
        except ValueError as error:
            raise RedFlag("unparsable", f"not the JSON object asked for: {error}") from error
        action = reply["answer"] if isinstance(reply, dict) and list(reply) == ["answer"] else reply
        if problem := self.problem(action):
            raise RedFlag("unparsable", problem)
        if is_done(action) and not self.final.votable:
            return {**action, "answer": self.final.read(action["answer"])}
        return action

    def problem(self, value: Json) -> str | None:
        """Return why `value` is no action, or None; whether its tool is granted is not asked here."""
        keys = value.keys() if isinstance(value, dict) else ()
        if keys == {"done", "answer"} and value["done"] is True:
            return self.final.problem(value["answer"])
        if keys == {"tool", "arguments"} and isinstance(value["tool"], str) and isinstance(value["arguments"], dict):
            return None
        return f"an action is {{tool, arguments}} or {{done: true, answer}}, not {shown(value)}"

    def canonical(self, value: Json) -> str:
        """Return the text by which equal actions count as equal; of answers in words only that they end the work."""
        if isinstance(value, dict) and "done" in value:
            answer = self.final.canonical(value["answer"]) if self.final.votable else ""
            return f"done {answer}"
        return AnswerType.canonical(self, value)


def is_done(action: Json) -> bool:
    """Whether an action ends the work."""
    return isinstance(action, dict) and action.get("done") is True
