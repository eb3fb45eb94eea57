"""Single: the whole task, all subtasks as an outline, goes to one agent in one conversation."""

from __future__ import annotations

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from orchestra_agents.microagent import Question
from orchestra_topologies.conduct import WHOLE
from orchestra_topologies.execution import Execution
from orchestra_topologies.outcome import Outcome
from orchestra_topologies.progress import Progress, TopologyGraph
from orchestra_topologies.prompts import whole_prompt, whole_words
from orchestra_topologies.synthesis import lost_together, whole_answer


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
    lost = lost_together(run.graph)
    if ignored := ", ".join(key for key in lost if key != "tools"):
        run.notes.append(f"one agent answered the whole task: {ignored} of single subtasks did not apply")
    if "tools" in lost:
        run.notes.append("one agent answered the whole task, and so could call the tools of every subtask")
    for subtask in subtasks:
        run.settle(subtask, Outcome(status=outcome.status, cause=outcome.cause, covered_by="whole"))
    return {"settled": len(subtasks)}
