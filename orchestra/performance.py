"""A whole run as a LangGraph graph: decompose, route, approve, one of five topologies, synthesise, and route again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any, Literal, TypeAlias

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from orchestra.decomposition import ROLE, propose
from orchestra.designing import Design
from orchestra.planning import Plan
from orchestra.result import graph_of
from orchestra_agents.acting import in_doubt
from orchestra_agents.errors import BudgetExceeded, RunDeclined
from orchestra_agents.journal.records import Approval, Routed, RunStatus, Synthesised
from orchestra_agents.journal.sqlite import RunJournal
from orchestra_agents.ledger import Budget, Cost
from orchestra_agents.models.contract import Json
from orchestra_agents.models.embeddings import Embedder
from orchestra_agents.sampler import Sampler
from orchestra_topologies.catalog import TOPOLOGIES
from orchestra_topologies.conduct import NO_MEANS, WHOLE, Means
from orchestra_topologies.consistency import LEXICAL
from orchestra_topologies.execution import Execution
from orchestra_topologies.gate import resolve_all
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.panel import Panel
from orchestra_topologies.progress import Progress
from orchestra_topologies.router import Topology
from orchestra_topologies.synthesis import compose, overall, questions, tolerated

App: TypeAlias = "CompiledStateGraph[Progress, Performance, Progress, Progress]"
Verdict = Literal["accepted", "rerouted", "forced", "kept", "budget_stopped"]


@dataclass(init=False, eq=False)
class Performance(Execution):
    """A graph run with its plan, from the task's text to the answer.

    Args:
        plan: The plan that is followed.
        asks_first: Whether a person is asked before anything is spent on the graph.
        panel: The models.
        sampler: Where samples come from.
        journal: The run's writing end.
        embedder: Who makes texts comparable; None compares their words.
        means: Role cards and tools.
    """

    design: Design
    answer: Json = None
    is_through: bool = False
    """Whether the last pass came to its end, so that `answer` is the run's."""

    def __init__(
        self,
        plan: Plan,
        *,
        asks_first: bool,
        panel: Panel,
        sampler: Sampler,
        journal: RunJournal,
        embedder: Embedder | None = None,
        means: Means = NO_MEANS,
    ) -> None:
        super().__init__(
            panel=panel,
            sampling=plan.choices.sampling(),
            sampler=sampler,
            journal=journal,
            state=sampler.state,
            conduct=plan.choices.conduct(),
            embedder=embedder,
            means=means,
        )
        self._passes: list[int] = []  # where in the notes each began
        self.plan, self.asks_first = plan, asks_first or self.state.approval is not None
        if self.state.routed is not None:  # somebody's checkpointer may take a run up again in its middle
            self.begin_pass(self.state.routed.reroutes)

    def begin_pass(self, reroutes: int) -> None:
        """Design the pass after `reroutes` re-routes; what earlier ones came to is read from the journal."""
        self._passes.append(len(self.notes))
        task = self.plan.task
        graph = task if isinstance(task, TaskGraph) else TaskGraph.from_dict(graph_of(self.state) or {})
        started = self.state.started  # what was decided under the first caps is not decided anew under larger ones
        first = self.plan if started is None else replace(self.plan, budget=Budget(**started.budget))
        self.design = first.decide(graph, reroutes=reroutes)
        self.assign(graph, self.design.teams, self.design.topology)
        self.sampler.expect(sum(team.calls for team in self.teams.values()))
        self.stronger = self.design.stronger
        before = self.state.passes.get(reroutes - 1)
        self.disputes = [conflict for one in before.questions for conflict in one["conflicts"]] if before else []

    def proposal(self) -> dict[str, Json]:
        """Return what a person is asked to approve, as JSON."""
        return {
            "run_id": self.journal.run_id,
            **self.design.decision_dict(),
            "shape": self.design.shape.as_dict(),
            "graph": self.graph.to_dict(),
        }

    def status(self) -> RunStatus:
        """Return how the run ended.

        Raises:
            RuntimeError: It was not gone through to its end, which is never to be recorded as one.
        """
        if not self.is_through:
            raise RuntimeError("the run's graph was left before its end")
        status = overall(self.graph, self.outcomes)
        is_open = any(resolution.answer is None for resolution in self.resolutions.values())
        if is_open and self.stop is not None:
            return "budget"
        return "undecided" if status == "ok" and is_open else status

    def verdict(self) -> Verdict:
        """Return whether the answers stand, or another pass over the graph is worth its price."""
        if self.design.is_forced:
            return "forced"
        if self.stop is not None or all(resolution.is_settled for resolution in self.resolutions.values()):
            return "accepted"
        if self.design.winner == "user" or not self.plan.choices.reroutes:
            return "kept"
        before = self.state.passes.get(self.design.reroutes)
        if before is not None and before.verdict == "rerouted" and before.questions == self.questions():
            return "rerouted"  # decided before a resume, when less was spent
        calls = 1 + sum(team.calls for team in self.teams.values())
        try:
            self.sampler.check_room(Cost(calls=calls, tokens=calls * self.sampling.max_tokens))
        except BudgetExceeded:
            return "budget_stopped"
        return "rerouted"

    def questions(self) -> list[dict[str, Json]]:
        """Return what became of each question with several answers, as JSON."""
        return [resolution.as_dict() for resolution in self.resolutions.values()]

    def told(self) -> list[str]:
        """Return the notes in order, without those that a pass over the graph repeats of an earlier one.

        Calls whose effect is in doubt come last, those of earlier attempts included.
        """
        told: list[str] = []
        for start, end in pairwise([0, *self._passes, len(self.notes)]):
            before = set(self.notes[:start])
            told += [note for note in self.notes[start:end] if note not in before]
        return told + in_doubt(self.state)

    def tell(self, verdict: Verdict) -> None:
        """Note what the user should know about how the answer came about."""
        for one in () if WHOLE in self.outcomes else tolerated(self.graph, self.outcomes):
            self.notes.append(f"{one} is {self.outcomes[one].status}, and those who depend on it did without")
        open_ = [one for one in self.resolutions.values() if not one.is_settled and one.answer is not None]
        is_yours = self.design.winner == "user"
        why = {
            "kept": f"{'the topology was chosen by you' if is_yours else 'reroutes is 0'}, so nothing was routed again",
            "budget_stopped": "what is left of the budget may not pay for another pass",
            "forced": "this was the last pass",
        }
        for resolution in open_:
            figures = f"consistency {resolution.consistency} is below {resolution.threshold}, {resolution.basis}"
            told = f"{', '.join(resolution.members)} contradict each other in {resolution.question!r} ({figures})"
            self.notes.append(f"{told}; an arbiter's choice stands, because {why.get(verdict, 'the run was stopped')}")
        for resolution in self.resolutions.values():
            if resolution.problem is not None and resolution.members:
                stands = "there is no answer" if resolution.answer is None else "the answer most like the others stands"
                self.notes.append(f"in {resolution.question!r} {stands}, because {resolution.problem}")
        if any(one.basis == LEXICAL for one in self.resolutions.values()):
            self.notes.append(
                "texts were compared by their words alone; an embedding model would compare their meaning"
            )


def app(checkpointer: BaseCheckpointSaver[Any] | None = None) -> App:
    """Return the LangGraph application of a run, which needs a `Performance` as context.

    Args:
        checkpointer: Where LangGraph keeps its counters while a person is asked; resuming a run needs none.
    """
    return _plain() if checkpointer is None else _builder().compile(checkpointer=checkpointer)


@cache
def _plain() -> App:
    return _builder().compile()


@cache
def _builder() -> StateGraph[Progress, Performance, Progress, Progress]:
    graph: StateGraph[Progress, Performance, Progress, Progress] = StateGraph(Progress, context_schema=Performance)
    graph.add_node("decompose", _decompose)
    graph.add_node("route", _route)
    graph.add_node("approve", _approve)
    graph.add_node("synthesise", _synthesise)
    for name, build in TOPOLOGIES.items():
        graph.add_node(name, build().compile(checkpointer=False))  # taken up again from its start, out of the journal
        graph.add_edge(name, "synthesise")
    graph.add_edge(START, "decompose")
    graph.add_edge("decompose", "route")
    graph.add_edge("route", "approve")
    graph.add_conditional_edges("approve", _topology, {name: name for name in TOPOLOGIES})
    graph.add_conditional_edges("synthesise", _accepted, {"conflict": "route", "accepted": END})
    return graph


async def _decompose(state: Progress, runtime: Runtime[Performance]) -> Progress:
    performance = runtime.context
    plan = performance.plan
    if isinstance(plan.task, str) and performance.state.decomposed is None:
        made = await propose(plan, performance.terms(ROLE), performance.sampler)
        performance.journal.append(made.to_record())
    return {"reroutes": 0}


async def _route(state: Progress, runtime: Runtime[Performance]) -> Progress:
    performance, reroutes = runtime.context, state.get("reroutes", 0)
    performance.begin_pass(reroutes)
    made = performance.design
    record = Routed(
        shape=asdict(made.shape),
        route=made.route_dict(),
        decision=made.decision_dict(),
        ignored_edges=[list(edge) for edge in made.ignored_edges],
        reroutes=reroutes,
    )
    if record != performance.state.routes.get(reroutes):
        performance.journal.append(record)
    return {"settled": 0}


async def _approve(state: Progress, runtime: Runtime[Performance]) -> Progress:
    performance = runtime.context
    approval = performance.state.approval
    if not performance.asks_first or (approval is not None and approval.status == "granted"):
        return {}
    if approval is None or approval.status != "waiting":
        performance.journal.append(Approval(status="waiting"))
    granted = interrupt(performance.proposal()) is True
    performance.journal.append(Approval(status="granted" if granted else "declined"))
    if not granted:
        raise RunDeclined("the plan was declined; nothing more was spent")
    return {}


async def _topology(state: Progress, runtime: Runtime[Performance]) -> Topology:
    return runtime.context.design.topology


async def _synthesise(state: Progress, runtime: Runtime[Performance]) -> Progress:
    performance = runtime.context
    if len(performance.outcomes) < len(performance.graph):
        return {"verdict": "replayed"}  # taken up again right here, the outcomes are still in the journal only
    whole = performance.outcomes.get(WHOLE)
    if whole is None and not performance.resolutions and questions(performance.graph):
        performance.resolutions = await resolve_all(performance, role="arbiter")
    verdict = performance.verdict()
    record = Synthesised(
        reroutes=performance.design.reroutes,
        topology=performance.design.topology,
        coupling=performance.design.shape.coupling,
        questions=performance.questions(),
        verdict=verdict,
    )
    if performance.state.passes.get(record.reroutes) != record:
        performance.journal.append(record)
    if verdict == "rerouted":
        return {"verdict": verdict, "reroutes": record.reroutes + 1}
    resolved = performance.resolutions
    performance.answer = whole.answer if whole else compose(performance.graph, performance.outcomes, resolved)
    performance.is_through = True
    performance.tell(verdict)
    return {"verdict": verdict}


async def _accepted(state: Progress, runtime: Runtime[Performance]) -> Literal["conflict", "accepted"]:
    return "conflict" if state.get("verdict") in ("rerouted", "replayed") else "accepted"
