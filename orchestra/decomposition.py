"""From text to a task graph: a model proposes under a schema, the graph's own rules decide."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from orchestra.planning import Choices, ModelSpec
from orchestra.session import Session
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.journal.replay import RunState
from orchestra_agents.ledger import Budget, Ledger
from orchestra_agents.microagent import Microagent, Question
from orchestra_agents.models.contract import Json, Message, Prompt, Sampling, canonical_json
from orchestra_agents.sampler import Sampler
from orchestra_agents.voting.ahead import AheadByK
from orchestra_topologies.graph import TaskGraph

NODE = "<decompose>"
"""Node of the decomposition; no subtask can be called so."""
REPAIRS = 2
"""Further attempts after a proposal that is not a legal graph."""
MAX_PROPOSED = 12
"""Most subtasks a model may propose: a plan from untrusted text stays small."""

# What a plan may say. Models, tools, files, teams and budgets are not in it: only the user grants those.
_PROPOSAL: dict[str, Json] = {
    "type": "object",
    "properties": {
        "subtasks": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_PROPOSED,
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "maxLength": 40},
                    "description": {"type": "string", "maxLength": 400},
                    "answer": {"enum": ["choice", "number", "text"]},
                    "choices": {"type": "array", "items": {"type": "string", "maxLength": 60}, "maxItems": 8},
                    "depends_on": {"type": "array", "items": {"type": "string", "maxLength": 40}, "maxItems": 8},
                    "coupling": {"enum": ["none", "weak", "strong", "critical"]},
                    "estimated_tokens": {"type": "integer", "minimum": 1},
                },
                "required": ["id", "description", "answer", "choices", "depends_on", "coupling", "estimated_tokens"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["subtasks"],
    "additionalProperties": False,
}

_INSTRUCTION = """You split a task into subtasks that separate workers can answer.
For each subtask give: a short unique id; a description that can be understood alone; how it is answered: "choice" \
(with the list of choices), "number", or "text"; the ids of the subtasks whose answers it needs; its estimated length \
in tokens; and its coupling to those it needs: "critical" (one meaning must run through both), "strong" (their answer \
is its direct input), "weak" (shared background helps), "none".
Prefer choice and number to text, because such answers can be checked by voting. Depend only on what is needed, so \
that work can go on side by side. End with one subtask that gives the task's answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposition:
    """A task graph made of text."""

    graph: TaskGraph
    reason: str
    """How it came about, as one sentence."""
    repairs: int
    """Proposals that were refused before."""


async def decompose_text(text: str, sampler: Sampler, sampling: Sampling) -> Decomposition:
    """Return a task graph for `text`, proposed by the sampler's model; one subtask if no proposal is legal.

    Raises:
        ModelError: The model did not answer.
        BudgetExceeded: A call could pass a cap.
    """
    agent = Microagent(sampler, AheadByK(1, max_votes=1), sampling)
    answer = AnswerType("json", schema=canonical_json(_PROPOSAL))
    problem = ""
    for attempt in range(1 + REPAIRS):
        decision = await agent.decide(
            Question(node=f"{NODE} {attempt}", prompt=_prompt(text, problem, attempt), answer=answer)
        )
        if not decision.decided:
            problem = f"the reply could not be used ({decision.reason})"
            continue
        try:
            graph = _graph(text, decision.answer)
        except InputError as error:
            problem = str(error)
            continue
        return Decomposition(graph=graph, reason=f"the model proposed {len(graph)} subtasks", repairs=attempt)
    single = TaskGraph([{"id": "task", "description": text}], goal="", context="")
    reason = f"one subtask, because no proposal was a legal graph after {REPAIRS} repairs: {problem}"
    return Decomposition(graph=single, reason=reason, repairs=REPAIRS)


def _prompt(text: str, problem: str, attempt: int) -> Prompt:
    repair = f"Your last proposal was refused: {problem}. Give a corrected one.\n\n" if problem else ""
    return Prompt(
        messages=(Message("system", _INSTRUCTION), Message("user", f"{repair}The task:\n{text}")),
        step=f"{NODE} {attempt}",
    )


def _graph(text: str, proposal: dict[str, Any]) -> TaskGraph:
    said = {"goal": text, "subtasks": [_subtask(one) for one in proposal["subtasks"]]}
    return TaskGraph.from_dict(said, max_subtasks=MAX_PROPOSED)


def _subtask(proposed: dict[str, Any]) -> dict[str, Json]:
    kind, choices = proposed["answer"], list(dict.fromkeys(proposed["choices"]))
    answer: Json = {"choice": choices} if kind == "choice" and len(choices) > 1 else kind
    return {
        "id": proposed["id"],
        "description": proposed["description"],
        "answer": "text" if answer == "choice" else answer,
        "depends_on": proposed["depends_on"],
        "coupling": proposed["coupling"],
        "estimated_tokens": proposed["estimated_tokens"],
    }


async def decompose(
    text: str, *, model: ModelSpec | None = None, session: Session | None = None, choices: Choices | None = None
) -> Decomposition:
    """Return a task graph for `text`; the calls it takes are recorded in a run of their own.

    Args:
        text: The task, in words.
        model: Who proposes; the role `decomposer` goes first, then the default.
        session: Owner of models and journal; None makes one with a temporary journal.
        choices: Seed, temperature and length of the proposals.

    Raises:
        ModelError: The model did not answer.
    """
    if session is None:
        async with Session() as own:
            return await decompose(text, model=model, session=own, choices=choices)
    panel = session.panel(model).choose(role="decomposer")
    with session.journal.own(f"decompose-{secrets.token_hex(4)}") as journal:
        state = RunState()
        journal.listen(state.apply)
        sampler = Sampler(panel, journal=journal, state=state, ledger=Ledger(Budget()), limit=session.limit)
        return await decompose_text(text, sampler, (choices or Choices()).sampling())
