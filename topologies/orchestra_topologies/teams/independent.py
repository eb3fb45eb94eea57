"""Independent: several agents solve the whole question apart; code puts their answers together.

Texts stand one under the other, each under its agent's name; nobody reads or checks them (agent-scaling study, section
2). Any other answer cannot be concatenated, so there the one that most agents gave stands, the first of equals.
"""

from __future__ import annotations

from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from orchestra_topologies.outcome import Outcome
from orchestra_topologies.teams.assembly import Assembly, Rounds, TeamGraph
from orchestra_topologies.teams.counting import plurality


def build() -> TeamGraph:
    """Return the graph: solve, then join."""
    graph: TeamGraph = StateGraph(Rounds, context_schema=Assembly)
    graph.add_node("solve", _solve)
    graph.add_node("join", _join)
    graph.add_edge(START, "solve")
    graph.add_edge("solve", "join")
    graph.add_edge("join", END)
    return graph


async def _solve(state: Rounds, runtime: Runtime[Assembly]) -> Rounds:
    team = runtime.context
    team.round = 1

    async def one(number: int) -> None:
        await team.solve(number, truth=team.question.prompt.truth)

    await team.each(one, team.numbers)
    return {"round": 1}


async def _join(state: Rounds, runtime: Runtime[Assembly]) -> Rounds:
    team = runtime.context
    if team.question.answer.kind != "text":
        team.outcome = plurality(team, team.numbers)
        return {}
    said = [one for one in team.given(team.numbers) if not one.is_missing]
    if said:
        text = "\n\n".join(f"=== {one.name} ===\n{one.text}" for one in said)
        team.outcome = Outcome(status="ok", answer=text, selected={"by": "concatenation", "agents": len(said)})
    return {}
