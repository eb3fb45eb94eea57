"""LangGraph for what it is good at: the gate before spending, drawing, a run as a node of somebody's application."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

import orchestra
from orchestra.designing import Design
from orchestra.performance import app
from orchestra.report.mermaid import mermaid
from orchestra.testing import Scripted
from orchestra_agents.errors import RunDeclined
from orchestra_agents.journal.records import Record, RunEnded
from orchestra_agents.journal.sqlite import RunJournal
from orchestra_topologies.catalog import TOPOLOGIES
from orchestra_topologies.router import Topology

Json = Any
CHAIN = orchestra.TaskGraph(
    [
        {"id": "a", "description": "A?", "answer": {"choice": ["x", "y"]}},
        {"id": "b", "description": "B?", "answer": {"choice": ["x", "y"]}, "depends_on": ["a"]},
    ]
)


def voter() -> Scripted:
    return Scripted(['{"answer": "x"}'])


@pytest.mark.parametrize(
    ("topology", "rounds"),
    [
        ("single", {("__start__", "answer"), ("answer", "__end__")}),
        ("sequential", {("next_subtask", "next_subtask")}),
        ("parallel", {("__start__", "fan_out"), ("fan_out", "__end__")}),
        (
            "hierarchical",
            {("plan", "delegate"), ("delegate", "monitor"), ("monitor", "delegate"), ("monitor", "reconcile")},
        ),
        ("hybrid", {("next_group", "next_group")}),
    ],
)
def test_the_drawn_graph_of_each_topology_shows_its_rounds(topology: Topology, rounds: set[tuple[str, str]]) -> None:
    """Rounds are edges of a real LangGraph graph, and the control loop around them is drawn with the way back."""
    drawn = TOPOLOGIES[topology]().compile().get_graph()
    assert rounds <= {(edge.source, edge.target) for edge in drawn.edges}
    loop = {(edge.source, edge.target) for edge in app().get_graph().edges}
    assert {("decompose", "route"), ("route", "approve"), ("approve", topology), (topology, "synthesise")} <= loop
    assert ("synthesise", "route") in loop
    picture = mermaid(CHAIN, orchestra.plan(CHAIN, choices=orchestra.Choices(topology=topology)).design)
    assert "|conflict|" in picture
    assert [name for other in TOPOLOGIES if other != topology for name in [f'["{other}"]'] if name in picture] == []


async def test_nothing_is_spent_before_the_gate_and_a_yes_goes_on(tmp_path: Path) -> None:
    """The gate is asked once, with graph and design, before the first call on the graph; plain functions will do."""
    model, asked = voter(), []

    def approve(graph: orchestra.TaskGraph, made: Design) -> bool:
        asked.append((len(graph), made.topology, len(model.asked)))
        return True

    result = await orchestra.run(CHAIN, model=model, journal=tmp_path / "j.db", approve=approve)
    assert (result.status, asked) == ("ok", [(2, "sequential", 0)])


async def test_a_run_stopped_at_the_gate_asks_again_whoever_resumes_it(tmp_path: Path) -> None:
    """A no, or a death at the question, is journaled: without an approval the run never spends, with one it goes on."""
    model = voter()
    async with orchestra.Session(model=model, journal=tmp_path / "j.db") as session:
        with pytest.raises(RunDeclined, match="declined"):
            await orchestra.run(CHAIN, session=session, run_id="r", approve=lambda *_: False)
        with pytest.raises(RunDeclined, match="waits for approval"):
            await orchestra.resume("r", session=session)
        assert model.asked == []
        done = await orchestra.resume("r", session=session, approve=lambda *_: True)
        assert (done.status, len(model.asked)) == ("ok", 6)


async def test_only_true_is_a_yes(tmp_path: Path) -> None:
    """A word, a number or nothing is no approval."""
    for said in ("yes", 1, None):
        with pytest.raises(RunDeclined):
            await orchestra.run(CHAIN, model=voter(), approve=lambda *_, said=said: said)  # type: ignore[misc]


async def test_an_approval_given_is_not_asked_for_again(tmp_path: Path) -> None:
    """A run that was approved and then stopped by its budget resumes without a question."""
    async with orchestra.Session(model=voter(), journal=tmp_path / "j.db") as session:
        plan = orchestra.plan(CHAIN, budget=orchestra.Budget(calls=4))
        first = await orchestra.run(plan, session=session, run_id="r", approve=lambda *_: True)
        assert first.status == "budget"
        done = await orchestra.resume("r", session=session, budget=orchestra.Budget(calls=9))
        assert done.status == "ok"


class Theirs(TypedDict, total=False):
    """The state of somebody's application."""

    task: str
    answer: Json
    run: dict[str, Json]
    told: str


def application(node: Any) -> StateGraph[Theirs, None, Theirs, Theirs]:
    """Return somebody's graph with a run in its middle."""
    graph = StateGraph(Theirs)
    graph.add_node("before", lambda state: {"told": "before"})
    graph.add_node("research", node)
    graph.add_node("after", lambda state: {"told": f"{state['told']}, {state['answer']}"})
    for edge in ((START, "before"), ("before", "research"), ("research", "after"), ("after", END)):
        graph.add_edge(*edge)
    return graph


def thread(name: str) -> Any:
    return {"configurable": {"thread_id": name}}


async def test_a_run_is_a_node_of_somebody_s_application(tmp_path: Path) -> None:
    """Without checkpointer or gate it just runs, and its answer and result stand in the state around it."""
    node = orchestra.as_subgraph(CHAIN, model=voter(), journal=tmp_path / "j.db")
    state = await application(node).compile().ainvoke({})
    assert state["told"] == "before, x"
    assert (state["run"]["status"], state["run"]["usage"]["calls"]) == ("ok", 6)


async def test_it_interrupts_and_goes_on_with_their_checkpointer_and_streams_through_theirs(tmp_path: Path) -> None:
    """The plan is an interrupt of the application; after it the records come as custom events, nodes as updates."""
    model = voter()
    node = orchestra.as_subgraph(CHAIN, model=model, journal=tmp_path / "j.db", approve=True)
    running = application(node).compile(checkpointer=InMemorySaver())
    [question] = (await running.ainvoke({}, thread("t")))["__interrupt__"]
    assert question.value["topology"] == "sequential"
    assert model.asked == []
    kinds: Counter[str] = Counter()
    nodes: set[str] = set()
    modes: Any = ["custom", "updates"]
    async for _, mode, event in running.astream(Command(resume=True), thread("t"), stream_mode=modes, subgraphs=True):
        if mode == "custom":
            kinds[event["kind"]] += 1
        else:
            nodes |= event.keys()
    assert (kinds["sample.replied"], kinds["subtask.ended"]) == (6, 2)
    assert {"approve", "next_subtask", "sequential", "synthesise", "after"} <= nodes
    state = (await running.aget_state(thread("t"))).values
    assert (state["told"], state["run"]["run_id"]) == ("before, x", question.value["run_id"])
    assert len(model.asked) == 6


async def test_a_declined_run_is_a_result_without_answer(tmp_path: Path) -> None:
    """No is no failure of the application around it."""
    node = orchestra.as_subgraph(CHAIN, model=voter(), journal=tmp_path / "j.db", approve=True)
    running = application(node).compile(checkpointer=InMemorySaver())
    await running.ainvoke({}, thread("t"))
    state = await running.ainvoke(Command(resume=False), thread("t"))
    assert (state["answer"], state["run"]["status"]) == (None, "interrupted")


async def test_the_state_s_task_is_what_is_done(tmp_path: Path) -> None:
    """Without a plan the node carries out the `task` of the state around it."""

    def reply(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str:
        return "no JSON" if sampling.schema else f"did {prompt.messages[-1].content}"

    node = orchestra.as_subgraph(model=Scripted(reply), journal=tmp_path / "j.db")
    state = await application(node).compile().ainvoke({"task": "Count to three"})
    assert state["answer"] == "did Count to three"


async def test_a_node_that_is_run_again_asks_nothing_twice(tmp_path: Path) -> None:
    """An application that fails in its middle is resumed by its checkpointer; the run's votes come from the journal."""
    model = Scripted(lambda prompt, sampling: '{"answer": "x"}')
    is_down = True

    def watch(record: object) -> None:
        if is_down and len(model.asked) == 5:
            raise ConnectionError("the application's machine went down")

    async with orchestra.Session(model=model, journal=tmp_path / "j.db") as session:
        node = orchestra.as_subgraph(CHAIN, session=session, hooks=orchestra.Hooks(watch=watch))
        running = application(node).compile(checkpointer=InMemorySaver())
        with pytest.raises((ConnectionError, ExceptionGroup)):
            await running.ainvoke({}, thread("t"))
        is_down = False
        asked = len(model.asked)
        state = await running.ainvoke(None, thread("t"))
    assert (state["told"], state["run"]["status"]) == ("before, x", "ok")
    assert len({(prompt.step, sampling.index) for prompt, sampling in model.asked}) == 6
    assert len(model.asked) <= asked + 1 + 6 - 5


async def test_an_end_that_was_not_recorded_is_reached_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their checkpoint may be at the end of the run's graph when the journal is not: the answer comes from there."""
    model, append, is_down = voter(), RunJournal.append, True

    def failing(self: RunJournal, record: Record, **said: Any) -> Any:
        nonlocal is_down
        if isinstance(record, RunEnded) and is_down:
            is_down = False
            raise ConnectionError("the machine went down")
        return append(self, record, **said)

    monkeypatch.setattr(RunJournal, "append", failing)
    node = orchestra.as_subgraph(CHAIN, model=model, journal=tmp_path / "j.db")
    running = application(node).compile(checkpointer=InMemorySaver())
    with pytest.raises(ConnectionError):
        await running.ainvoke({}, thread("t"))
    asked = len(model.asked)
    state = await running.ainvoke(None, thread("t"))
    assert (state["told"], state["run"]["status"], state["run"]["answer"]) == ("before, x", "ok", "x")
    assert len(model.asked) == asked


async def test_a_run_that_failed_is_gone_through_again_when_its_node_is(tmp_path: Path) -> None:
    """A resumed application asks again what failed, although the run's graph had come to its end."""
    is_down = True

    def watch(record: object) -> None:
        if isinstance(record, RunEnded) and is_down:
            raise ConnectionError("the application's machine went down")

    model = Scripted(lambda prompt, sampling: orchestra.ModelError("down") if is_down else '{"answer": "x"}')
    hooks = orchestra.Hooks(watch=watch)
    node = orchestra.as_subgraph(CHAIN, model=model, journal=tmp_path / "j.db", hooks=hooks)
    running = application(node).compile(checkpointer=InMemorySaver())
    with pytest.raises(ConnectionError):
        await running.ainvoke({}, thread("t"))
    is_down = False
    state = await running.ainvoke(None, thread("t"))
    assert (state["told"], state["run"]["status"]) == ("before, x", "ok")


async def test_two_threads_and_two_rounds_are_runs_of_their_own(tmp_path: Path) -> None:
    """Each execution of the node has a run id of its own."""
    node = orchestra.as_subgraph(CHAIN, model="simulated:p=1", journal=tmp_path / "j.db")
    running = application(node).compile(checkpointer=InMemorySaver())
    states = await asyncio.gather(*(running.ainvoke({}, thread(name)) for name in "ab"))
    states.append(await running.ainvoke({}, thread("a")))
    assert len({state["run"]["run_id"] for state in states}) == 3


def test_a_wrong_plan_is_refused_when_the_application_is_built() -> None:
    """Not in the middle of somebody's run."""
    graph = orchestra.TaskGraph([{"id": "a", "description": "A.", "tools": ["search"]}])
    with pytest.raises(orchestra.InputError):
        orchestra.as_subgraph(graph, model="simulated")
