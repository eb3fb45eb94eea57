"""Single: the whole task, all subtasks as an outline, goes to one agent in one conversation."""

from __future__ import annotations

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from orchestra_agents.microagent import Question
from orchestra_topologies.conduct import WHOLE
from orchestra_topologies.execution import Execution
from orchestra_topologies.graph import Subtask
from orchestra_topologies.outcome import Outcome
from orchestra_topologies.progress import Progress, TopologyGraph
from orchestra_topologies.prompts import whole_prompt, whole_words
from orchestra_topologies.synthesis import only_final, whole_answer

_OWN = ("model", "role", "team", "k", "timeout_s", "examples", "verify", "repair", "select", "join")
_KEPT = ("verify", "repair")  # of the subtask whose answer is the whole one
_PLAIN = Subtask(id="plain", description="-")


def build() -> TopologyGraph:
    """Return the graph: one node that answers everything."""
    graph: TopologyGraph = StateGraph(Progress, context_schema=Execution)
    graph.add_node("answer", _answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    return graph


async def _answer(state: Progress, runtime: Runtime[Execution]) -> Progress:
    run = runtime.context
    subtasks = list(run.graph)
    if len(subtasks) == 1:  # the subtask is the whole task: its own prompt and answer stand
        run.outcomes[subtasks[0].id] = await run.perform(subtasks[0])
        return {"settled": 1}
    prompt = whole_prompt(run.graph)
    question = Question(node=WHOLE, prompt=prompt, answer=whole_answer(run.graph), words=whole_words(run.graph))
    run.outcomes[WHOLE] = outcome = await run.put(question, run.teams[WHOLE], run.whole_terms())
    last = only_final(run.graph)
    own = sorted({name for subtask in subtasks for name in _own(subtask) if not (subtask is last and name in _KEPT)})
    if own:
        run.notes.append(f"one agent answered the whole task: {', '.join(own)} of single subtasks did not apply")
    for subtask in subtasks:
        run.settle(subtask, Outcome(status=outcome.status, cause=outcome.cause, covered_by="whole"))
    return {"settled": len(subtasks)}


def _own(subtask: Subtask) -> list[str]:
    """Return the keys in which a subtask says something of its own about who answers it and how."""
    return [name for name in _OWN if getattr(subtask, name) != getattr(_PLAIN, name)]
