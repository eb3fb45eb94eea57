"""A whole run as one node of your own LangGraph application, which asks a person before anything is spent.

python examples/langgraph_app.py [provider:model]
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

import orchestra

GRAPH = orchestra.TaskGraph(
    [
        {"id": "fast", "description": "Which engine is fastest?", "answer": {"choice": ["alpha", "beta"]}},
        {"id": "safe", "description": "Which engine loses no data?", "answer": {"choice": ["alpha", "beta"]}},
        {"id": "pick", "description": "Which one do you take?", "answer": {"choice": ["alpha", "beta"]},
         "depends_on": ["fast", "safe"]},
    ],
    context="Alpha writes twice as fast. Beta survives a power cut.",
)  # fmt: skip


class State(TypedDict, total=False):
    """The state of your application; `answer` is the key it shares with the run."""

    answer: str
    letter: str


def letter(state: State) -> State:
    return {"letter": f"Dear all, we take {state['answer']}."}


async def main(model: str) -> None:
    yours = StateGraph(State)
    yours.add_node("engine", orchestra.as_subgraph(GRAPH, model=model, approve=True))
    yours.add_node("letter", letter)
    yours.add_edge(START, "engine")
    yours.add_edge("engine", "letter")
    yours.add_edge("letter", END)
    app = yours.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "today"}}
    [question] = (await app.ainvoke({}, config))["__interrupt__"]
    print(f"may it spend? {question.value['topology']} x {question.value['team']}: {question.value['reason']}")
    modes: Any = ["custom", "values"]
    async for _, mode, event in app.astream(Command(resume=True), config, stream_mode=modes, subgraphs=True):
        if mode == "custom" and event["kind"] == "subtask.ended":
            print(f"  {event['node']}: {event['answer']} ({event['votes']} votes)")
    print((await app.aget_state(config)).values["letter"])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "simulated:p=0.95,seed=1"))
