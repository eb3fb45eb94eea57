"""From text to a task graph: somebody proposes, the graph's own rules and the caps decide.

A decomposer is a model, a function or a file. What a model says is untrusted text: its schema has no word for models,
roles, tools, checks, files, teams and budgets, so its plan can grant none of them. A function or a file is the user's
own and may say whatever a graph file may.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestra.planning import Choices, Decomposer, Instruction, ModelSpec, Plan
from orchestra.session import Session
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.journal.replay import RunState
from orchestra_agents.json_schema import shown
from orchestra_agents.ledger import Budget, Ledger
from orchestra_agents.microagent import Microagent, Question
from orchestra_agents.models.contract import Json, Message, Prompt, Sampling, canonical_json
from orchestra_agents.sampler import Sampler
from orchestra_agents.sections import data_section
from orchestra_agents.voting.ahead import AheadByK
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.synthesis import parts

NODE = "<decompose>"
"""Node of the decomposition; no subtask can be called so."""
REPAIRS = 2
"""Further attempts after a proposal that is not a legal graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How large a graph may be that is made of text; checked before a subtask is asked."""

    subtasks: int = 12
    layers: int = 8
    """Layers, which bound the depth."""
    fan_out: int = 8
    """Subtasks that may depend on one."""

    def check(self, graph: TaskGraph) -> None:
        """Refuse a graph that is too large.

        Raises:
            InputError: It passes a cap; the field is `subtasks`.
        """
        widest = max(graph, key=lambda subtask: len(graph.successors(subtask.id)))
        for name, count, most in (
            ("subtasks", len(graph), self.subtasks),
            ("layers", len(graph.layers), self.layers),
            (f"subtasks that depend on {widest.id}", len(graph.successors(widest.id)), self.fan_out),
        ):
            if count > most:
                raise InputError("subtasks", f"must have at most {most} {name}, got {count}")


CAPS = Caps()


def _proposal(caps: Caps) -> dict[str, Json]:
    """Return the schema of a model's proposal. Only the user grants what is not in it."""
    ids = {"type": "array", "items": {"type": "string", "maxLength": 40}, "maxItems": 8}
    subtask = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "maxLength": 40},
            "description": {"type": "string", "maxLength": 400},
            "answer": {"enum": ["choice", "number", "text"]},
            "choices": {"type": "array", "items": {"type": "string", "maxLength": 60}, "maxItems": 8},
            "depends_on": ids,
            "coupling": {"enum": ["none", "weak", "strong", "critical"]},
            "estimated_tokens": {"type": "integer", "minimum": 1},
        },
        "required": ["id", "description", "answer", "choices", "depends_on", "coupling", "estimated_tokens"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "subtasks": {"type": "array", "minItems": 1, "maxItems": caps.subtasks, "items": subtask},
            "final": ids,
        },
        "required": ["subtasks"],
        "additionalProperties": False,
    }


_COMMON = """For each subtask give: a short unique id; a description that can be understood alone; how it is answered: \
"choice" (with the list of choices), "number", or "text"; the ids of the subtasks whose answers it needs; its \
estimated length in tokens; and its coupling to those it needs: "critical" (one meaning must run through both), \
"strong" (their answer is its direct input), "weak" (shared background helps), "none".
Add a dependency only where an answer is really needed, so that work can go on side by side. Under "final" list the \
subtasks whose answers are the task's answer; every other one must be needed by somebody."""

_INSTRUCTIONS: dict[Instruction, str] = {
    "general": f"""You split a task into subtasks that separate workers can answer.
{_COMMON}
Prefer choice and number to text, because such answers can be checked by voting.""",
    "software": f"""You split the repair of a bug, given as a report with its repository, into subtasks that separate \
workers can answer.
{_COMMON}
The usual chain is: localise the files, understand the context, write the patch, verify the patch.""",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposition:
    """A task graph made of text."""

    graph: TaskGraph
    reason: str
    """How it came about, as one sentence."""
    repairs: int
    """Proposals that were refused before."""


async def own_graph(plan: Plan) -> Decomposition | None:
    """Return the graph that the plan's function or file gives its text; None where a model is to be asked.

    Raises:
        InputError: It gives no legal graph.
    """
    text, decomposer = str(plan.task), plan.decomposer
    if decomposer is None or decomposer in _INSTRUCTIONS:
        return None
    if isinstance(decomposer, str):
        raise InputError("decomposer", f"{decomposer} is a Python function; run the task from the program that has it")
    if callable(decomposer):
        said = decomposer(text)
        graph, reason = _own(await said if inspect.isawaitable(said) else said), "a function of yours made"
    else:
        recipe = TaskGraph.load(decomposer)
        graph, reason = TaskGraph(recipe.subtasks, context=recipe.context), f"{decomposer} holds"
    graph = TaskGraph(graph.subtasks, goal=graph.goal or text, context=_joined(graph.context, plan.context))
    return Decomposition(graph=graph, reason=f"{reason} {len(graph)} subtasks", repairs=0)


async def propose(plan: Plan, sampler: Sampler, sampling: Sampling) -> Decomposition:
    """Return the graph that the sampler's model proposes for the plan's text; one subtask if no proposal is legal.

    Raises:
        ModelError: The model did not answer.
        BudgetExceeded: A call could pass a cap.
    """
    text, context = str(plan.task), plan.context
    instruction = _INSTRUCTIONS["software" if plan.decomposer == "software" else "general"]
    agent = Microagent(sampler, AheadByK(1, max_votes=1), sampling)
    answer = AnswerType("json", schema=canonical_json(_proposal(CAPS)))
    problem = ""
    for attempt in range(1 + REPAIRS):
        prompt = _prompt(text, context, instruction, problem, attempt)
        decision = await agent.decide(Question(node=f"{NODE} {attempt}", prompt=prompt, answer=answer))
        if not decision.decided:
            problem = f"the reply could not be used ({decision.flag or decision.reason})"
            continue
        try:
            graph = _graph(text, context, decision.answer)
        except InputError as error:
            problem = str(error)
            continue
        return Decomposition(graph=graph, reason=f"the model proposed {len(graph)} subtasks", repairs=attempt)
    single = TaskGraph([{"id": "task", "description": text}], context=context)
    reason = f"one subtask, because no proposal was a legal graph after {REPAIRS} repairs: {problem}"
    return Decomposition(graph=single, reason=reason, repairs=REPAIRS)


def _prompt(text: str, context: str, instruction: str, problem: str, attempt: int) -> Prompt:
    material = f"{data_section(context, kind='context')}\n\n" if context else ""
    repair = f"Your last proposal was refused: {problem}. Give a corrected one.\n\n" if problem else ""
    return Prompt(
        messages=(Message("system", instruction), Message("user", f"{material}{repair}The task:\n{text}")),
        step=f"{NODE} {attempt}",
    )


def _graph(text: str, context: str, proposal: dict[str, Any]) -> TaskGraph:
    final = proposal.get("final", ())
    subtasks = [_subtask(one) | {"final": one["id"] in final} for one in proposal["subtasks"]]
    graph = TaskGraph(subtasks, goal=text, context=context)
    CAPS.check(graph)
    unknown = next((one for one in final if one not in graph), None)
    if unknown is not None:
        raise InputError("final", f"no subtask is called {shown(unknown)}")
    idle = next((one for one in graph if not one.final and not graph.successors(one.id)), None)
    is_the_end = not final and len(parts(graph)) == 1
    if idle is not None and not is_the_end:
        raise InputError(f"subtasks[{idle.id}]", "is needed by nobody and not final; drop it or say who needs it")
    return graph


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


def _own(said: object) -> TaskGraph:
    if isinstance(said, TaskGraph):
        return said
    if isinstance(said, Mapping):
        return TaskGraph.from_dict(said)
    raise InputError("decomposer", f"must return a TaskGraph or the keys of a graph file, got {shown(said)}")


def _joined(*texts: str) -> str:
    return "\n\n".join(filter(None, texts))


async def decompose(
    text: str,
    *,
    model: ModelSpec | None = None,
    session: Session | None = None,
    choices: Choices | None = None,
    context: str = "",
    decomposer: Decomposer | None = None,
) -> Decomposition:
    """Return a task graph for `text`; the calls it takes are recorded in a run of their own.

    Args:
        text: The task, in words.
        model: Who proposes; the role `decomposer` goes first, then the default.
        session: Owner of models and journal; None makes one with a temporary journal.
        choices: Seed, temperature and length of the proposals.
        context: Text that the decomposer, and then every subtask, may read.
        decomposer: An instruction for the model, a graph file, or a function; None is the general instruction.

    Raises:
        InputError: A function or file gives no legal graph.
        ModelError: The model did not answer.
    """
    if session is None:
        async with Session() as own:
            return await decompose(
                text, model=model, session=own, choices=choices, context=context, decomposer=decomposer
            )
    plan = Plan(task=text, model=model, choices=choices or Choices(), context=context, decomposer=decomposer)
    if (made := await own_graph(plan)) is not None:
        return made
    panel = session.panel(model).choose(role="decomposer")
    with session.journal.own(f"decompose-{secrets.token_hex(4)}") as journal:
        state = RunState()
        journal.listen(state.apply)
        sampler = Sampler(panel, journal=journal, state=state, ledger=Ledger(Budget()), limit=session.limit)
        return await propose(plan, sampler, plan.choices.sampling())
