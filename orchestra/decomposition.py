"""From text to a task graph: somebody proposes, the graph's own rules and the caps decide.

A decomposer is a model, a function or a file. What a model says is untrusted text: its schema has no word for models,
roles, tools, checks, files, teams and budgets, so its plan can grant none of them. A function or a file is the user's
own and may say whatever a graph file may.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestra.choices import Choices
from orchestra.panel import ModelSpec
from orchestra.planning import Decomposer, Instruction, Plan
from orchestra.session import Session
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import ContextExceeded, InputError
from orchestra_agents.journal.records import Decomposed
from orchestra_agents.journal.replay import RunState
from orchestra_agents.json_schema import shown
from orchestra_agents.ledger import Cost
from orchestra_agents.microagent import Microagent, Question
from orchestra_agents.models.contract import Json, Message, Model, Prompt, canonical_json, digest
from orchestra_agents.models.window import count_tokens, most_tokens, smallest_window
from orchestra_agents.roles.cards import shipped_cards
from orchestra_agents.sampler import Sampler
from orchestra_agents.sections import cut, data_section
from orchestra_agents.voting.ahead import AheadByK
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.panel import Panel
from orchestra_topologies.synthesis import parts, questions
from orchestra_topologies.terms import Terms

NODE = "<decompose>"
"""Node of the decomposition; no subtask can be called so."""
ROLE = "decomposer"
"""Role of the model that proposes."""
REPAIRS = 2
"""Further attempts after a proposal that is not a legal graph."""
_LEAST = 100  # characters of a context below which it says nothing
_MARGIN = 0.95  # a context is cut by characters, its prompt counted in tokens


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


def _proposal(caps: Caps, tools: Sequence[str]) -> dict[str, Json]:
    """Return the schema of a model's proposal: what is not in it only the user grants; of `tools` it may take some."""
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
            "answers": {"type": "string", "maxLength": 40},
            **({"tools": {"type": "array", "items": {"enum": list(tools)}, "maxItems": len(tools)}} if tools else {}),
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
subtasks whose answers are the task's answer; every other one must be needed by somebody.
Where two or more subtasks answer the same question independently, give them the same "answers" id: their answers, all \
of one kind, are then compared and become one. Leave "answers" out everywhere else."""

_TOOLS = 'Under "tools" name those of the tools above that a subtask needs; it may use no others.'

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

    def to_record(self) -> Decomposed:
        """Return the journal's record of it; functions in the graph are recorded by their names."""
        return Decomposed(graph=self.graph.to_dict(), reason=self.reason, repairs=self.repairs)


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


def recorded_graph(plan: Plan, state: RunState) -> Decomposition | None:
    """Return the graph that a run's journal holds, where the plan's function or file made it and is not here any more.

    What is here is asked again, because a run goes on with what the journal holds only if that is still what is meant.
    """
    decomposer, record = plan.decomposer, state.decomposed
    if record is None or decomposer is None or decomposer in _INSTRUCTIONS:
        return None
    before = {key: state.manifest[key] for key in ("task", "context", "decomposer") if key in state.manifest}
    if callable(decomposer) or Path(decomposer).exists() or before != {"task": plan.task, **plan.text_dict()}:
        return None
    return Decomposition(graph=TaskGraph.from_dict(record.graph), reason=record.reason, repairs=record.repairs)


async def propose(plan: Plan, terms: Terms, sampler: Sampler) -> Decomposition:
    """Return the graph that a model proposes for the plan's text; one subtask if no proposal is legal.

    Args:
        plan: The text, its context, and how much a prompt may take.
        terms: Who proposes, and how it is sampled.
        sampler: Where samples come from.

    Raises:
        ContextExceeded: Not even the task's own words fit the model's window; it was not asked.
        ModelError: The model did not answer.
        BudgetExceeded: A call could pass a cap.
    """
    asker = _Asker(plan, terms)
    agent = Microagent(sampler.panel(terms.models), AheadByK(1, max_votes=1), terms.sampling, red_flag=terms.red_flag)
    problem, repairs, left_out = "", 0, ""
    for attempt in range(1 + REPAIRS):
        try:
            context = await asker.fitted(problem, attempt)
        except ContextExceeded:
            if not attempt:
                raise
            break  # no room to say what was wrong
        repairs = attempt
        left_out = "" if context == plan.context else f"; {asker.told(context)}"
        decision = await agent.decide(asker.question(context, problem, attempt))
        if not decision.decided:
            problem = f"the reply could not be used ({decision.flag or decision.reason})"
            continue
        try:
            graph = _graph(plan, decision.answer)
        except InputError as error:
            problem = str(error)
            continue
        reason = f"the model proposed {len(graph)} subtasks{left_out}"
        return Decomposition(graph=graph, reason=reason, repairs=attempt)
    alone = {"id": "task", "description": str(plan.task), "tools": list(plan.tools.tools)}
    single = TaskGraph([alone], context=plan.context)
    reason = f"one subtask, because no proposal was a legal graph after {repairs} repairs: {problem}{left_out}"
    return Decomposition(graph=single, reason=reason, repairs=repairs)


@dataclass(frozen=True, slots=True)
class _Asker:
    """What a model is asked for a proposal, made to fit its window."""

    plan: Plan
    terms: Terms

    def question(self, context: str, problem: str = "", attempt: int = 0) -> Question:
        """Return the question, with as much of the context as is given."""
        node = f"{NODE} {attempt}"
        instruction = _INSTRUCTIONS["software" if self.plan.decomposer == "software" else "general"]
        tools = self.plan.tools.tools
        material = [data_section(context, kind="context")] if context else []
        if tools:
            listed = "\n".join(f"{tool.name}: {tool.description}" for tool in tools.values())
            material += [data_section(listed, kind="tools"), _TOOLS]
        if problem:
            material.append(f"Your last proposal was refused: {problem}. Give a corrected one.")
        prompt = _prompt("\n\n".join([*material, f"The task:\n{self.plan.task}"]), instruction, node)
        answer = AnswerType("json", schema=canonical_json(_proposal(CAPS, list(tools))))
        return self.terms.told(Question(node=node, prompt=prompt, answer=answer))

    async def fitted(self, problem: str, attempt: int) -> str:
        """Return the context, cut where the prompt with all of it would not fit.

        Raises:
            ContextExceeded: The prompt does not even fit without it.
        """

        def asks(context: str) -> Prompt:
            return self.question(context, problem, attempt).prompt

        context, models, reply = self.plan.context, self.terms.models, self.terms.sampling.max_tokens
        most = most_tokens(asks(context)) + reply
        known = (await smallest_window(models, most), self.plan.choices.window)
        window = min((one for one in known if one is not None), default=most)
        room = window - reply
        if most <= window:
            return context
        tokens = await _tokens(models, asks(context))
        if tokens <= room:
            return context
        bare = await _tokens(models, asks(""))
        if bare > room:
            limits = f"a window of {window:,} and {reply:,} for the reply leave {max(0, room):,}"
            raise ContextExceeded(f"the decomposer takes {bare:,} tokens without the task's context; {limits}")
        characters = int((room - bare) * len(context) / max(1, tokens - bare) * _MARGIN)
        while characters >= _LEAST:
            shown = cut(context, characters)
            if await _tokens(models, asks(shown)) <= room:
                return shown
            characters = int(characters * 0.8)
        return ""

    def told(self, shown: str) -> str:
        """Return that it was shown no more of the context than this, as words."""
        return f"its window held about {len(shown):,} of the context's {len(self.plan.context):,} characters"


async def _tokens(models: Sequence[Model], prompt: Prompt) -> int:
    """Return the tokens of a prompt for the model that makes most of it."""
    return max([await count_tokens(model, prompt) for model in models])


def _prompt(request: str, instruction: str, node: str) -> Prompt:
    messages = (Message("system", instruction), Message("user", request))
    return Prompt(messages=messages, step=f"{node}|{digest(Prompt(messages=messages).rendered())}")


def _graph(plan: Plan, proposal: dict[str, Any]) -> TaskGraph:
    final = proposal.get("final", ())
    subtasks = [_subtask(one, list(plan.tools.tools)) | {"final": one["id"] in final} for one in proposal["subtasks"]]
    graph = TaskGraph(subtasks, goal=str(plan.task), context=plan.context)
    CAPS.check(graph)
    for question, members in questions(graph).items():
        if len({graph[one].answer for one in members}) > 1:
            raise InputError(
                "answers", f"{', '.join(members)} answer {shown(question)} in different ways; use one kind"
            )
    unknown = next((one for one in final if one not in graph), None)
    if unknown is not None:
        raise InputError("final", f"no subtask is called {shown(unknown)}")
    idle = next((one for one in graph if not one.final and not graph.successors(one.id)), None)
    is_the_end = not final and len(parts(graph)) == 1
    if idle is not None and not is_the_end:
        raise InputError(f"subtasks[{idle.id}]", "is needed by nobody and not final; drop it or say who needs it")
    return graph


def _subtask(proposed: dict[str, Any], tools: list[str]) -> dict[str, Json]:
    kind, choices = proposed["answer"], list(dict.fromkeys(proposed["choices"]))
    answer: Json = {"choice": choices} if kind == "choice" and len(choices) > 1 else kind
    return {
        "id": proposed["id"],
        "description": proposed["description"],
        "answer": "text" if answer == "choice" else answer,
        "depends_on": proposed["depends_on"],
        "coupling": proposed["coupling"],
        "estimated_tokens": proposed["estimated_tokens"],
        "answers": proposed.get("answers", "").strip() or None,
        "tools": [name for name in tools if name in proposed.get("tools", tools)],
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
        InputError: A function or file gives no legal graph, or the price of who proposes is not known.
        ModelError: The model did not answer.
        BudgetExceeded: A call could pass a cap of the session.
    """
    if session is None:
        async with Session() as own:
            return await decompose(
                text, model=model, session=own, choices=choices, context=context, decomposer=decomposer
            )
    plan = Plan(task=text, model=model, choices=choices or Choices(), context=context, decomposer=decomposer)
    if (made := await own_graph(plan)) is not None:
        return made
    card = shipped_cards()[ROLE]
    models = session.panel(model).choose(role=ROLE)
    terms = Terms(models=models, sampling=card.sampling(plan.choices.sampling()), card=card)
    session.check_prices(plan.budget, Panel(models))
    with session.journal.own(f"decompose-{secrets.token_hex(4)}") as journal:
        state = RunState()
        journal.listen(state.apply)
        ledger, limit, tariff = session.ledger(plan.budget, Cost()), session.limit, session.tariff
        sampler = Sampler(models, journal=journal, state=state, ledger=ledger, limit=limit, tariff=tariff)
        return await propose(plan, terms, sampler)
