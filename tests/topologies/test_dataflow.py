"""The ready queue: order, speed and what a failure does to those behind it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.testing import run_virtual
from orchestra_topologies.dataflow import dataflow
from orchestra_topologies.graph import Subtask, TaskGraph
from orchestra_topologies.outcome import Cause, Outcome

OK = Outcome(status="ok", answer="done")


def graph_of(edges: Mapping[str, list[str]]) -> TaskGraph:
    return TaskGraph([{"id": one, "description": one, "depends_on": needs} for one, needs in edges.items()])


@st.composite
def random_graphs(draw: st.DrawFn) -> TaskGraph:
    size = draw(st.integers(1, 30))
    needs = [draw(st.sets(st.integers(0, place - 1), max_size=4)) if place else set() for place in range(size)]
    return graph_of({f"n{place}": [f"n{before}" for before in sorted(befores)] for place, befores in enumerate(needs)})


async def flow(graph: TaskGraph, work: object, settled: dict[str, Outcome] | None = None) -> dict[str, Outcome]:
    settled = {} if settled is None else settled
    await dataflow(graph, work, settled, ids=graph.order, settle=lambda *_: None)  # type: ignore[arg-type]
    return settled


@given(random_graphs(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_every_subtask_runs_once_and_never_before_its_inputs(graph: TaskGraph, seed: int) -> None:
    """Each subtask is worked on exactly once, when all its declared inputs are settled."""
    rng, ran = random.Random(seed), []
    settled: dict[str, Outcome] = {}

    async def work(subtask: Subtask) -> Outcome:
        assert all(before in settled for before in graph.predecessors(subtask.id))
        ran.append(subtask.id)
        await asyncio.sleep(rng.random())
        return OK

    run_virtual(flow(graph, work, settled))
    assert sorted(ran) == sorted(graph.order)


@given(random_graphs(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_with_no_other_limit_a_dag_takes_its_critical_path(graph: TaskGraph, seed: int) -> None:
    """The makespan is the longest path of work, because nothing waits for a sibling."""
    rng = random.Random(seed)
    takes = {one: rng.uniform(0.1, 5) for one in graph.order}
    ends: dict[str, float] = {}
    for one in graph.order:
        ends[one] = takes[one] + max((ends[before] for before in graph.predecessors(one)), default=0.0)

    async def timed() -> float:
        async def work(subtask: Subtask) -> Outcome:
            await asyncio.sleep(takes[subtask.id])
            return OK

        await flow(graph, work)
        return asyncio.get_running_loop().time()

    assert run_virtual(timed()) == pytest.approx(max(ends.values()))


def test_a_branch_of_two_does_not_wait_for_its_sibling() -> None:
    """Two 5-unit subtasks in a row beside one of 20 units take 20 units together, not 25."""
    graph = graph_of({"first": [], "second": ["first"], "long": []})
    takes = {"first": 5, "second": 5, "long": 20}

    async def timed() -> float:
        async def work(subtask: Subtask) -> Outcome:
            await asyncio.sleep(takes[subtask.id])
            return OK

        await flow(graph, work)
        return asyncio.get_running_loop().time()

    assert run_virtual(timed()) == 20


def test_dependants_of_a_failure_are_skipped_and_name_the_root() -> None:
    """Only what depends on a failed subtask is skipped, and each says because of whom; siblings finish."""
    graph = graph_of({"bad": [], "next": ["bad"], "last": ["next", "fine"], "fine": []})
    failed = Outcome(status="failed", cause=Cause(code="server", message="it broke"))

    async def work(subtask: Subtask) -> Outcome:
        return failed if subtask.id == "bad" else OK

    settled = run_virtual(flow(graph, work))
    assert {one: outcome.status for one, outcome in settled.items()} == {
        "bad": "failed",
        "fine": "ok",
        "next": "skipped",
        "last": "skipped",
    }
    causes = [settled[one].cause for one in ("next", "last")]
    assert [(cause.code, cause.because) for cause in causes if cause] == [("dependency", "bad")] * 2


def test_a_cancelled_input_cancels_what_needs_it() -> None:
    """What a spent budget cancels is cancelled all the way down, so that a resume takes it up again."""
    graph = graph_of({"stopped": [], "next": ["stopped"]})
    cancelled = Outcome(status="cancelled", cause=Cause(code="budget", message="no calls left"))

    async def work(_: Subtask) -> Outcome:
        return cancelled

    settled = run_virtual(flow(graph, work))
    assert settled["next"].status == "cancelled"
    assert settled["next"].cause is not None
    assert settled["next"].cause.code == "budget"


def test_a_long_chain_of_skips_needs_no_recursion() -> None:
    """Five thousand dependants of a failure are skipped without a stack of five thousand calls."""
    graph = graph_of({"n0": []} | {f"n{place}": [f"n{place - 1}"] for place in range(1, 5000)})

    async def work(_: Subtask) -> Outcome:
        return Outcome(status="failed", cause=Cause(code="server", message="it broke"))

    settled = run_virtual(flow(graph, work))
    assert sum(outcome.status == "skipped" for outcome in settled.values()) == 4999


def test_an_unexpected_error_cancels_the_siblings_and_is_raised() -> None:
    """A defect in a subtask's work is not data: it ends the flow and leaves no task behind."""
    graph = graph_of({"buggy": [], "slow": []})
    ended: list[str] = []

    async def work(subtask: Subtask) -> Outcome:
        if subtask.id == "buggy":
            raise ZeroDivisionError
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            ended.append("slow cancelled")
            raise
        return OK

    with pytest.raises(ExceptionGroup) as caught:
        run_virtual(flow(graph, work))
    assert caught.group_contains(ZeroDivisionError)
    assert ended == ["slow cancelled"]
