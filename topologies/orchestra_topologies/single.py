"""Single: the whole task, all subtasks as an outline, goes to one agent in one conversation."""

from __future__ import annotations

from dataclasses import replace

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from orchestra_agents.microagent import Question
from orchestra_topologies.execution import WHOLE, Execution
from orchestra_topologies.progress import Progress, TopologyGraph
from orchestra_topologies.prompts import whole_prompt
from orchestra_topologies.synthesis import whole_answer


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
        outcome = await run.perform(subtasks[0])
        run.outcomes[WHOLE] = run.outcomes[subtasks[0].id] = replace(outcome, covered_by="whole")
        return {"settled": 1}
    question = Question(node=WHOLE, prompt=whole_prompt(run.graph), answer=whole_answer(run.graph))
    run.outcomes[WHOLE] = outcome = await run.ask(question, run.teams[WHOLE], models=run.panel.choose())
    for subtask in subtasks:
        run.settle(subtask, replace(outcome, answer=None, covered_by="whole"))
    return {"settled": len(subtasks)}
