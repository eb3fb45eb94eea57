"""The state that LangGraph carries: counters only; everything else stands in the journal."""

from __future__ import annotations

from typing import TypeAlias, TypedDict

from langgraph.graph import StateGraph

from orchestra_topologies.execution import Execution


class Progress(TypedDict, total=False):
    """How far a run is."""

    settled: int
    """Subtasks settled so far in this pass."""
    rounds: int
    """How often a lead has read the reports in this pass."""
    reroutes: int
    """Re-routes so far."""
    verdict: str
    """What became of the latest pass (see the journal's `Synthesised`)."""


TopologyGraph: TypeAlias = "StateGraph[Progress, Execution, Progress, Progress]"
"""A topology before it is compiled: nodes get the `Execution` as their runtime context."""
