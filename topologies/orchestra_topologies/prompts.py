"""How a subtask becomes a prompt: upstream text only as data, the subtask's own words last."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestra_agents.answers import AnswerType
from orchestra_agents.microagent import Question
from orchestra_agents.models.contract import Json, Message, Prompt, Truth, canonical_json, digest
from orchestra_agents.sections import DATA_RULE, as_text, data_section
from orchestra_topologies.graph import Subtask, TaskGraph
from orchestra_topologies.synthesis import whole_answer

VERSION = 3
"""Stands in every run's manifest; raise it with any change to the words below."""

BRIEF_CHARACTERS = 200
"""Longest note of a lead to one worker, and longest conflict and evidence of an arbiter."""
MOST_SENT_BACK = 8
"""Most subtasks that a lead sends back at a time."""
MOST_CONFLICTS = 4
"""Most conflicts that an arbiter lists."""
CHOICE_CHARACTERS = 2000
"""Longest text that an arbiter chooses."""


@dataclass(frozen=True, slots=True)
class Given:
    """The answer of an upstream subtask as it is shown to another one."""

    name: str
    answer: Json
    is_right: bool = True
    """Whether it is the reference answer, for simulated models only."""
    coupling: float = 0.7
    """Strength of the edge along which it comes, in [0, 1]."""
    is_missing: bool = False
    """Whether there is no answer, because the subtask did not end ok and is not needed."""

    @property
    def text(self) -> str:
        """The answer as it is shown."""
        return "(no answer)" if self.is_missing else as_text(self.answer)


def subtask_prompt(graph: TaskGraph, subtask: Subtask, given: Sequence[Given], *, brief: str | None = None) -> Prompt:
    """Return the prompt of one subtask: goal, context and inputs as data, its own description last."""
    read = sections(given)
    if brief:
        read.append(data_section(brief, kind="note"))
    truth = subtask.truth
    messages = (
        Message("system", _system(subtask.answer)),
        *_example_messages(subtask),
        Message("user", _join(_goal(graph), _context(_read_by(graph, subtask)), *read, subtask.description)),
    )
    return Prompt(
        messages=messages,
        step=_step(subtask.id, messages),
        truth=None
        if truth is None
        else Truth(
            answer=truth.answer,
            wrong=truth.wrong,
            difficulty=truth.difficulty,
            inputs=tuple(one.is_right for one in given if not one.is_missing),
        ),
        latency_ms=subtask.latency_ms,
    )


def subtask_pattern(graph: TaskGraph, subtask: Subtask, given: Sequence[Given]) -> Prompt | None:
    """Return a subtask with worked examples as a pattern to continue; None without examples or a one-line answer.

    The description is the first line. Then comes a line `input -> answer` for each example, and last the asked input
    with its answer left open: the upstream answers in the order of `depends_on`, or else the context. An input is one
    line and holds no arrow, so that it can neither end its line nor pass for an answer.
    """
    asked = ", ".join(as_text(one.answer) for one in given if not one.is_missing) or _read_by(graph, subtask)
    is_one_line = subtask.answer.kind not in ("json", "code") and all(map(_is_one_line, subtask.answer.choices))
    if not subtask.examples or not asked or not is_one_line:
        return None
    lines = [f"{_one_line(example.input)} -> {_one_line(as_text(example.answer))}" for example in subtask.examples]
    text = "\n".join([f"{subtask.description}\n", *lines, f"{_one_line(asked)} ->"])
    return Prompt(text=text, step=f"{subtask.id}|{digest(text)}")


def extended(
    question: Question,
    node: str,
    material: Sequence[str],
    *,
    answer: AnswerType | None = None,
    words: str | None = None,
    truth: Truth | None = None,
) -> Question:
    """Return `question` as another agent is asked it, with more to read; the words that say what to do stay the last.

    Args:
        question: A question in chat messages.
        node: Who is asked.
        material: What it reads beside, before those words.
        answer: The kind of answer wanted, if another one.
        words: What it is to do, if something else.
        truth: What a simulated model may know.
    """
    wanted, said = answer or question.answer, question.words if words is None else words
    system, *examples, last = question.prompt.messages
    reply = system.content.replace(reply_format(question.answer), reply_format(wanted))
    read = last.content.removesuffix(question.words).rstrip()
    kept = examples if wanted == question.answer and words is None else []
    messages = (Message("system", reply), *kept, Message("user", _join(read, *material, said)))
    prompt = replace(question.prompt, messages=messages, step=_step(node, messages), truth=truth)
    return Question(node=node, prompt=prompt, answer=wanted, words=said, offset=question.offset)


def repair_material(rejected: Json, problem: str) -> list[str]:
    """Return what somebody reads who is to mend an answer that did not pass its check."""
    return [
        data_section(as_text(rejected), kind="answer that failed"),
        data_section(problem, kind="what its check said"),
        "The answer above failed its check. Find the cause, and give the whole corrected answer to this:",
    ]


def whole_prompt(graph: TaskGraph) -> Prompt:
    """Return the prompt of one agent that answers the whole task: its subtasks as an outline in dependency order."""
    request = _join(_goal(graph), _context(_all_texts(graph)), whole_words(graph))
    return _prompt("<whole>", whole_answer(graph), request)


def whole_words(graph: TaskGraph) -> str:
    """Return what one agent that answers the whole task is to do."""
    outline = "\n".join(f"{place}. {subtask.description}" for place, subtask in enumerate(graph, 1))
    return f"Work through these steps in order, then give the result of the last one.\n{outline}"


def sections(given: Sequence[Given]) -> list[str]:
    """Return answers of others as data; a missing one keeps its place, and why it is missing is not told."""
    return [data_section(one.text, by=one.name) for one in given]


def repair_line(problem: str) -> list[str]:
    """Return what somebody is told whose last reply could not be used; nothing where there is no problem."""
    return [f"Your last reply could not be used: {problem}. Give a corrected one."] if problem else []


def lead_prompt(graph: TaskGraph, disputes: Sequence[str] = (), problem: str = "") -> Prompt:
    """Return the prompt of a lead that briefs the workers, one short note for each subtask id.

    Args:
        graph: The subtasks.
        disputes: What the answers of an earlier pass contradicted each other in.
        problem: Why the last reply could not be used.
    """
    outline = "\n".join(f"- {subtask.id}{_needs(graph, subtask)}: {subtask.description}" for subtask in graph)
    request = (
        f"You lead the workers who answer these subtasks:\n{outline}\n"
        "For each subtask write one short note that helps its worker: what to look at, what to avoid."
    )
    material = [_context(_all_texts(graph)), *(data_section(dispute, kind="conflict") for dispute in disputes)]
    if disputes:
        request += (
            "\nAn earlier attempt ended in the conflicts above; write the notes so that they do not come up again."
        )
    return _prompt("<lead>", briefs_answer(graph), _join(_goal(graph), *material, *repair_line(problem), request))


def monitor_prompt(graph: TaskGraph, reports: Sequence[Given], answer: AnswerType, problem: str = "") -> Prompt:
    """Return the prompt of a lead that reads the reports and says who must do a subtask again."""
    outline = "\n".join(f"- {subtask.id}{_needs(graph, subtask)}: {subtask.description}" for subtask in graph)
    request = (
        f"You lead the workers whose reports stand above. Their subtasks were:\n{outline}\n"
        "Send back, each with one short note on what to do better, the subtasks whose report is missing, does not "
        "answer its subtask, or contradicts another one. Send back none where all is well."
    )
    return _prompt("<lead>", answer, _join(_goal(graph), *sections(reports), *repair_line(problem), request))


def redo_answer(ids: Sequence[str]) -> AnswerType:
    """Return the answer type of a monitoring lead: the subtasks sent back, each with a note."""
    back = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "enum": list(ids)},
            "note": {"type": "string", "maxLength": BRIEF_CHARACTERS},
        },
        "required": ["id", "note"],
        "additionalProperties": False,
    }
    schema = {
        "type": "object",
        "properties": {
            "redo": {"type": "array", "items": back, "minItems": 0, "maxItems": min(len(ids), MOST_SENT_BACK)}
        },
        "required": ["redo"],
        "additionalProperties": False,
    }
    return AnswerType("json", schema=canonical_json(schema))


def condense_prompt(node: str, graph: TaskGraph, given: Sequence[Given], *, purpose: str, words: int) -> Prompt:
    """Return the prompt of an aggregator: answers in short, for somebody who will read them for `purpose`."""
    request = (
        f"Condense the material above for somebody who will do this: {purpose}\n"
        f"Keep every fact, name and number that matters for it. Use at most {words} words."
    )
    return _prompt(node, AnswerType("text"), _join(_goal(graph), *sections(given), request))


def judge_prompt(node: str, question: Question, candidates: Sequence[Json]) -> Prompt:
    """Return the prompt of a judge that picks the best of several answers to a question, by its number from 1."""
    answer = AnswerType("choice", choices=tuple(str(place) for place in range(1, len(candidates) + 1)))
    request = data_section(question.prompt.messages[-1].content, kind="request")
    shown = [
        data_section(as_text(candidate), kind=f"candidate {place}") for place, candidate in enumerate(candidates, 1)
    ]
    asked = "Which candidate answers the request best? Look at correctness first, then at completeness."
    return _prompt(node, answer, _join(request, *shown, asked))


def merge_prompt(node: str, graph: TaskGraph, given: Sequence[Given], *, question: str) -> Prompt:
    """Return the prompt that makes one text of consistent answers (AdaptOrch, Algorithm 2)."""
    request = f"The answers above agree. Synthesise them into one answer to this: {question}"
    return _prompt(node, AnswerType("text"), _join(_goal(graph), *sections(given), request))


def arbiter_prompt(
    node: str, graph: TaskGraph, given: Sequence[Given], *, question: str, answer: AnswerType, problem: str = ""
) -> Prompt:
    """Return the prompt that resolves answers which contradict each other (AdaptOrch, Algorithm 2 and hole 9)."""
    request = (
        "The answers above contradict each other. Resolve the conflicts: list them, give your choice as the answer, "
        f"and the evidence for it. They answer this: {question}"
    )
    verdict = arbiter_answer(answer)
    return _prompt(
        node,
        verdict,
        _join(_goal(graph), _context(_all_texts(graph)), *sections(given), *repair_line(problem), request),
    )


def arbiter_answer(answer: AnswerType) -> AnswerType:
    """Return the answer type of an arbiter over answers of type `answer`: conflicts, choice and evidence."""
    constraint = answer.constraint()
    text = {"type": "string", "maxLength": CHOICE_CHARACTERS}
    choice = text if constraint is None else json.loads(constraint)["properties"]["answer"]
    short = {"type": "string", "maxLength": BRIEF_CHARACTERS}
    schema = {
        "type": "object",
        "properties": {
            "conflicts": {"type": "array", "items": short, "maxItems": MOST_CONFLICTS},
            "choice": choice,
            "evidence": short,
        },
        "required": ["conflicts", "choice", "evidence"],
        "additionalProperties": False,
    }
    return AnswerType("json", schema=canonical_json(schema))


def briefs_answer(graph: TaskGraph) -> AnswerType:
    """Return the answer type of a lead's briefing: an object with one short text for each subtask."""
    ids = [subtask.id for subtask in graph]
    schema = {
        "type": "object",
        "properties": {one: {"type": "string", "maxLength": BRIEF_CHARACTERS} for one in ids},
        "required": ids,
        "additionalProperties": False,
    }
    return AnswerType("json", schema=canonical_json(schema))


def reply_format(answer: AnswerType) -> str:
    """Return how a reply with such an answer is asked for."""
    match answer.kind:
        case "choice":
            return f"Reply with JSON, the key answer being one of: {canonical_json(list(answer.choices))}."
        case "number":
            return "Reply with JSON, the key answer being a number."
        case "json":
            return "Reply with JSON, the key answer following the schema."
        case "code":
            return "Reply with code only."
        case _:
            return "Answer briefly."


def _system(answer: AnswerType) -> str:
    return f"{reply_format(answer)} {DATA_RULE}"


def _example_messages(subtask: Subtask) -> tuple[Message, ...]:
    messages: list[Message] = []
    for example in subtask.examples:
        reply = canonical_json({"answer": example.answer}) if subtask.answer.votable else as_text(example.answer)
        messages += [
            Message("user", _join(data_section(example.input, kind="example"), subtask.description)),
            Message("assistant", reply),
        ]
    return tuple(messages)


def _prompt(step: str, answer: AnswerType, request: str) -> Prompt:
    messages = (Message("system", _system(answer)), Message("user", request))
    return Prompt(messages=messages, step=_step(step, messages))


def _step(node: str, messages: tuple[Message, ...]) -> str:
    """Return a step's identity: who asks, and what."""
    return f"{node}|{digest(Prompt(messages=messages).rendered())}"


def _goal(graph: TaskGraph) -> str:
    return f"Goal: {graph.goal}" if graph.goal else ""


def _context(text: str) -> str:
    return data_section(text, kind="context") if text else ""


def _read_by(graph: TaskGraph, subtask: Subtask) -> str:
    return graph.context if subtask.context is None else subtask.context


def _all_texts(graph: TaskGraph) -> str:
    """Return the graph's context and every other text that single subtasks read, each once."""
    return "\n\n".join(dict.fromkeys(filter(None, [graph.context, *(subtask.context for subtask in graph)])))


def _needs(graph: TaskGraph, subtask: Subtask) -> str:
    before = graph.predecessors(subtask.id)
    return f" (needs {', '.join(before)})" if before else ""


def _join(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _one_line(text: str) -> str:
    return re.sub(r"-+>+", "-", " ".join(text.split()))


def _is_one_line(text: str) -> bool:
    return text == _one_line(text)
