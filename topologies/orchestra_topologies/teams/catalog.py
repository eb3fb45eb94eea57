"""The teams of several agents by name, and how one of them is put to work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from langgraph.graph.state import CompiledStateGraph

from orchestra_agents.microagent import Question
from orchestra_topologies.outcome import Outcome
from orchestra_topologies.teams import centralized, decentralized, independent, tree
from orchestra_topologies.teams.assembly import Assembly, Rounds, TeamGraph
from orchestra_topologies.teams.team import Team, TeamName
from orchestra_topologies.terms import Terms

if TYPE_CHECKING:
    from orchestra_topologies.execution import Execution

TEAMS: Mapping[TeamName, Callable[[], TeamGraph]] = {
    "independent": independent.build,
    "decentralized": decentralized.build,
    "centralized": centralized.build,
    "peers": centralized.build_peers,
    "tree": tree.build,
}
"""Builders of the graphs of those teams that work in rounds."""
_ENDLESS = 100_000  # LangGraph's recursion limit; every team ends by its own count of rounds


async def several(run: Execution, question: Question, team: Team, terms: Terms) -> Outcome:
    """Return what a team of several agents comes to about `question`.

    Raises:
        JournalError: Something could not be recorded.
    """
    assembly = Assembly(run=run, question=terms.told(question), bare=question, team=team, terms=terms)
    await _app(team.name).ainvoke({"round": 0}, {"recursion_limit": _ENDLESS}, context=assembly)
    if assembly.cut is not None:  # what some of its agents said is not what it would have said
        return replace(assembly.cut, samples=assembly.samples)
    await assembly.record()
    return replace(assembly.outcome or assembly.failed(), samples=assembly.samples)


@cache
def _app(name: TeamName) -> CompiledStateGraph[Rounds, Assembly, Rounds, Rounds]:
    return TEAMS[name]().compile(checkpointer=False)
