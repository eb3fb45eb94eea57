"""What the agents of a team are told beside their question; the study's prompts in substance, in words of our own."""

from __future__ import annotations

from orchestra_agents.answers import AnswerType
from orchestra_agents.json_schema import closed_object
from orchestra_agents.models.contract import Json, canonical_json
from orchestra_agents.sections import data_section
from orchestra_topologies.prompts import Given

NOTE_CHARACTERS = 300
"""Longest objective, focus and guidance of a lead."""

HINTS = (
    "Work systematically, one part after the other.",
    "Look at the whole first, then find what everything else depends on.",
    "Work backwards, from what the answer must look like.",
)
"""Strategies of agents that answer apart before they read one another, by turns."""

PLAN = (
    "You lead {count} workers who work at the same time on what is asked below. Divide it among them: for each worker "
    "an objective that can be understood alone, and what to focus on. Give your reasoning in one sentence. Do not "
    "answer it."
)
ASPECT = "aspect {number} of {count}"
COORDINATE = (
    "You lead the workers whose findings stand above. Say STOP if they are enough to answer what is asked below, else "
    "CONTINUE; and give each worker, in order, two or three sentences of guidance for the next round."
)
SYNTHESISE = "The findings of your workers stand above. Make of them the answer to this:"
FINDING = (
    "You are one of several workers. Work on your objective only, and report what you found in a few sentences that "
    "can be understood alone. The whole goal, of which your objective is a part:"
)
JOIN = (
    "The answers above are those of different agents to the same question. Give the answer that most of them support. "
    "The question:"
)


def reconsider(own: Given) -> list[str]:
    """Return what an agent reads of itself when it has read the others: its last answer, and what to do with it."""
    return [
        data_section(own.text, kind="your last answer"),
        "The answers of the other agents stand above. Compare them with your own, then defend it, refine it or replace "
        "it. The question:",
    ]


def finding_material(plan: Json, own: Given | None, number: int) -> list[str]:
    """Return what a worker reads of its lead and of itself.

    Args:
        plan: Its objective, focus and, after a round, guidance.
        own: What it found in the round before.
        number: The round, from 1.
    """
    objective = " ".join(filter(None, [str(plan["objective"]), str(plan.get("focus", ""))]))
    material = [data_section(objective, kind="objective")]
    if own is not None:
        material.append(data_section(own.text, kind="your last findings"))
    if plan.get("guidance"):
        material.append(data_section(str(plan["guidance"]), kind="guidance"))
    return [*material, f"This is round {number}."]


def plan_answer(count: int) -> AnswerType:
    """Return the answer type of a lead's plan for `count` workers."""
    note = {"type": "string", "maxLength": NOTE_CHARACTERS}
    part = closed_object({"objective": note, "focus": note})
    parts = {"type": "array", "items": part, "minItems": count, "maxItems": count}
    return AnswerType("json", schema=canonical_json(closed_object({"subtasks": parts, "reasoning": note})))


def coordination_answer(count: int) -> AnswerType:
    """Return the answer type of a lead that read the findings of `count` workers."""
    note = {"type": "string", "maxLength": NOTE_CHARACTERS}
    guidance = {"type": "array", "items": note, "minItems": count, "maxItems": count}
    verdict = {"type": "string", "enum": ["CONTINUE", "STOP"]}
    return AnswerType("json", schema=canonical_json(closed_object({"verdict": verdict, "guidance": guidance})))
