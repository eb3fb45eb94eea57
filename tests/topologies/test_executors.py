"""Laws of the executors over random DAGs: each subtask once, never before its inputs, the same answers everywhere."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orchestra
from orchestra.running import Hooks
from orchestra.testing import Scripted, run_virtual
from orchestra_agents.journal.records import Record, SubtaskEnded, SubtaskStarted
from orchestra_topologies.router import Topology

WIRED: tuple[Topology, ...] = ("sequential", "parallel", "hierarchical", "hybrid")
ANSWERS = ({"choice": ["red", "green", "blue"]}, "number", "text")
LABELS = ("none", "weak", "strong", "critical")


@st.composite
def dags(draw: st.DrawFn, most: int) -> orchestra.TaskGraph:
    """Return a DAG of 1 to `most` subtasks with up to four inputs each, all answer types and couplings."""
    size = draw(st.integers(1, most))
    random = draw(st.randoms(use_true_random=False))
    subtasks = []
    for place in range(size):
        inputs = random.sample(range(place), min(place, random.choice([0, 0, 1, 1, 2, 4])))
        subtasks.append(
            {
                "id": f"n{place}",
                "description": f"Question {place}?",
                "answer": ANSWERS[place % len(ANSWERS)],
                "depends_on": {f"n{before}": random.choice(LABELS) for before in inputs},
                "latency_ms": random.choice([0, 1, 50, 1000]),
            }
        )
    random.shuffle(subtasks)
    return orchestra.TaskGraph(subtasks)


def carried_out(graph: orchestra.TaskGraph, topology: Topology) -> tuple[orchestra.RunResult, list[Record]]:
    """Run a graph by simulated workers in virtual time; a lead says nothing usable, so prompts are the plain ones."""
    records: list[Record] = []
    models = {"worker": "simulated:p=0.7,seed=5,latency_ms=20,jitter=1", "lead": Scripted(["no plan"])}
    choices = orchestra.Choices(topology=topology, k=2)
    plan = orchestra.plan(graph, model=models, choices=choices)  # type: ignore[arg-type]
    with TemporaryDirectory() as folder:
        hooks = Hooks(watch=records.append)
        result = run_virtual(orchestra.run(plan, journal=Path(folder) / "j.db", hooks=hooks))
    return result, records


def check_order(graph: orchestra.TaskGraph, records: list[Record]) -> None:
    """Check that each subtask is worked on once, ends once, and starts after all its inputs have ended."""
    started: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    for record in records:
        if isinstance(record, SubtaskStarted) and record.node in graph:
            assert [one for one in graph.predecessors(record.node) if not ended[one]] == []
            started[record.node] += 1
        elif isinstance(record, SubtaskEnded) and record.node in graph:
            ended[record.node] += 1
    assert set(ended.values()) == {1}
    assert len(ended) == len(graph)
    assert set(started.values()) <= {1}


def check_laws(graph: orchestra.TaskGraph) -> None:
    """Check the order in every topology, and that equal prompts get equal answers."""
    results = {}
    for topology in WIRED:
        result, records = carried_out(graph, topology)
        check_order(graph, records)
        results[topology] = result.subtasks
    sources = [subtask.id for subtask in graph if not subtask.depends_on]
    for topology in WIRED[1:]:
        for one in sources:
            mine, theirs = results[topology][one], results["sequential"][one]
            assert (mine["status"], mine["answer"]) == (theirs["status"], theirs["answer"])


@given(dags(most=40))
@settings(max_examples=8, deadline=None)
def test_each_subtask_once_and_never_before_its_inputs(graph: orchestra.TaskGraph) -> None:
    """In every topology a subtask is worked on once, after its declared inputs; sources answer as in sequential."""
    check_laws(graph)


@pytest.mark.nightly
@given(dags(most=200))
@settings(max_examples=40, deadline=None)
def test_the_laws_hold_up_to_200_subtasks(graph: orchestra.TaskGraph) -> None:
    """The same, at full size."""
    check_laws(graph)
