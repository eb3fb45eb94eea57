"""A model measured on a suite: which items, what they say of a simulated model, and that nothing is asked twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestra.budget.abilities import abilities_of
from orchestra.budget.items import Item
from orchestra.budget.measuring import item_votes
from orchestra.budget.pilot import PilotDesign, calibrate
from orchestra.budget.pilot_questions import Asking
from orchestra.budget.profile import Profile
from orchestra.choices import Choices
from orchestra.session import Session
from orchestra.testing import Scripted
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import BudgetExceeded, InputError
from orchestra_agents.journal.records import Asked
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Budget
from orchestra_agents.microagent import Vote
from orchestra_evals.comparing.profiling import named_items, profile_of, suite_items
from orchestra_evals.runner.selection import Selection
from orchestra_evals.suites.catalog import make_suite
from orchestra_topologies.prompts import subtask_prompt

MODEL = "simulated:p=0.8,gamma=0.6,spoil=0.7"


async def profiled(folder: Path, suite: str, model: Any = MODEL, **more: Any) -> Profile:
    """Measure a model with a journal of its own."""
    async with Session(journal=folder / "j.db") as session:
        return (await profile_of(suite, model, session=session, **{"samples": 10, "messages": [16]} | more)).profile


def asked(folder: Path) -> list[tuple[str, str]]:
    """Every sample asked for, by run."""
    with Journal(folder / "j.db", "read") as journal:
        said = [(name, one.record) for name in journal.run_ids() for one in journal.entries(name)]
    return [(name, str(record.sample())) for name, record in said if isinstance(record, Asked)]


@pytest.mark.parametrize("name", ["addition", "multiplication", "hanoi"])
def test_a_subtask_is_asked_as_in_a_run_and_the_question_as_of_a_lone_agent(name: str) -> None:
    """Of each sample with a graph there are both; sizes are 1 and the number of subtasks."""
    suite = make_suite(name)
    samples = Selection(limit=10, split="calibrate").samples(suite)
    items = suite_items(suite, samples=10)
    parts = [item for item in items if item.name.startswith("part")]
    wholes = [item for item in items if item.name.startswith("item")]
    graphs = [suite.graph(sample) for sample in samples]
    assert {item.size for item in parts} == {1.0}
    assert [item.size for item in wholes] == [float(len(graph)) if graph else 1.0 for graph in graphs]
    assert [item.input for item in wholes] == [sample.question for sample in samples]
    assert len(parts) == sum(graph is not None for graph in graphs)
    known = {
        subtask_prompt(graph, one, []).content()
        for graph in graphs
        if graph is not None
        for one in graph
        if not one.depends_on
    }
    assert all(Asking().alone(item).prompt.content() in known for item in parts)


def test_equal_seeds_give_equal_items_and_others_give_others() -> None:
    """Which samples, and which of their subtasks, is drawn by the seed, from the split that is there for it."""
    suite = make_suite("multiplication")
    assert suite_items(suite, samples=6, seed=3) == suite_items(suite, samples=6, seed=3)
    assert {item.input for item in suite_items(suite, samples=6, seed=3)}.isdisjoint(
        item.input for item in suite_items(suite, samples=6, seed=4)
    )
    tested = {sample.question for sample in Selection(limit=100).samples(suite)}
    assert tested.isdisjoint(item.input for item in suite_items(suite, samples=50))
    assert [len(named_items(name, 20, 0)) for name in ("addition", "3sat")] == [20, 20]


async def test_a_profile_of_a_suite_with_graphs_knows_both_sizes(tmp_path: Path) -> None:
    """A simulated model is equally good at all sizes, and so the law of sizes says; gamma and spoil are measured."""
    found = await profiled(tmp_path, "addition", samples=40)
    [answer] = found.answers
    assert (answer.kind, [(size.size, size.items) for size in answer.sizes]) == (
        "json",
        [(1.0, 40), (4.0, 8), (6.0, 8), (8.0, 8), (9.0, 16)],
    )
    votes = answer.sizes[0].votes
    assert votes is not None
    assert votes.accuracy.covers(0.8)
    assert found.channels[0].gamma.covers(0.6)
    assert found.spoil is not None
    assert found.spoil.covers(0.7 * 0.8)  # a wrong input that is misread is right
    law = abilities_of(found).middle.whole
    assert law is not None
    assert sum(law.accuracy(size) for size in (4, 6, 8, 9, 9)) / 5 == pytest.approx(0.8, abs=0.1)


async def test_kinds_of_answers_are_measured_apart(tmp_path: Path) -> None:
    """Reachability asks for paths and for one of four steps, the rows of which are not chained."""
    found = await profiled(tmp_path, "reachability", samples=20)
    assert [(one.kind, one.options, [size.size for size in one.sizes]) for one in found.answers] == [
        ("json", None, [1.0]),
        ("choice", 4, [1.0]),
    ]
    assert all(one.sizes[0].items == 10 for one in found.answers)


async def test_the_same_call_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    """Raised step by step, the budget leads to the profile of one go; measured again it costs nothing."""
    whole = await profiled(tmp_path / "whole", "addition")
    calls, attempts, found = 40, 0, None
    while found is None:
        try:
            found = await profiled(tmp_path / "steps", "addition", budget=Budget(calls=calls))
        except BudgetExceeded:
            calls, attempts = calls + 40, attempts + 1
    assert attempts >= 2
    assert found == whole
    made = asked(tmp_path / "steps")
    assert set(Counter(made).values()) == {1}
    assert await profiled(tmp_path / "steps", "addition") == whole
    assert asked(tmp_path / "steps") == made
    again = await profiled(tmp_path / "steps", "addition", seed=1)
    assert again != whole
    assert len({run for run, _ in asked(tmp_path / "steps")}) == 2


async def test_replies_are_as_long_as_in_the_runs(tmp_path: Path) -> None:
    """Temperature and length are those of the choices, so that a reply cut off there is cut off here."""
    model = Scripted('{"answer":"12"}')
    await profiled(tmp_path, "addition:digits=1", model, choices=Choices(temperature=0.5, max_tokens=77), messages=[])
    assert {(sampling.temperature, sampling.max_tokens) for _, sampling in model.asked} == {(0.5, 77)}


async def test_what_the_checker_accepts_is_right(tmp_path: Path) -> None:
    """A tower that is solved with a detour is solved; votes for any right answer are votes for the target."""
    [item] = [one for one in suite_items(make_suite("hanoi:n=1"), samples=1) if one.size == 1]
    [disk, start, goal] = item.target[0]
    third = 3 - start - goal
    detour = [[disk, start, third], [disk, third, goal]]
    votes = [Vote(item.answer.canonical(said), said) for said in (item.target, detour, detour[:1])]
    counted = item_votes(item, votes)
    assert (counted.right_votes, counted.votes, len(counted.tally)) == (2, 3, 2)


@pytest.mark.parametrize(
    ("suite", "told"),
    [
        ("lookup", "lookup is acted in with tools"),
        ("hanoi:mode=generator", "is answered in code; a profile is measured on answers that can be counted"),
        ("nowhere", "must be one of 3sat"),
    ],
)
async def test_what_cannot_be_measured_is_refused_by_one_sentence(tmp_path: Path, suite: str, told: str) -> None:
    """Before anything is asked."""
    with pytest.raises(InputError, match=told):
        await profiled(tmp_path, suite)
    assert not (tmp_path / "j.db").exists()


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ([{}, {"name": "item 0"}], "a name of its own"),
        ([{}, {"wrong": ()}], "a wrong answer"),
        ([{}, {"answer": AnswerType(), "target": "a"}], "of kind text cannot be counted"),
    ],
)
async def test_ready_items_are_checked(items: list[dict[str, Any]], told: str) -> None:
    """Each has a name, a target and a wrong answer; rows are not mixed with them."""
    plain: dict[str, Any] = {"input": "?", "answer": AnswerType("number"), "target": 1, "wrong": (2,)}
    ready = [Item(**{"name": f"item {place}"} | plain | item) for place, item in enumerate(items)]
    with pytest.raises(InputError, match=told):
        await calibrate(ready, model=MODEL)
    with pytest.raises(InputError, match="not both"):
        await calibrate([ready[0], {"input": "?", "target": 1}], model=MODEL, design=PilotDesign(chain=1))


@pytest.mark.parametrize("samples", [1, 3])
async def test_a_size_of_a_single_item_is_measured_as_any_other(tmp_path: Path, samples: int) -> None:
    """There is nothing to resample, and what was paid for is a profile still."""
    profile = await profiled(tmp_path, "multiplication", "simulated:p=0.6", samples=samples)
    assert any(size.items == 1 for answer in profile.answers for size in answer.sizes)
    assert abilities_of(profile).is_known


async def test_whole_questions_of_another_kind_are_measured_as_larger_tasks(tmp_path: Path) -> None:
    """A form whose fields are numbers: what one agent makes of all of it is known, and is no skill at its parts."""
    found = await profiled(tmp_path, "addition:digits=10")
    [answer] = found.answers
    small, *larger = answer.sizes
    apart = replace(
        found,
        answers=(replace(answer, kind="number", sizes=(small,)), replace(answer, kind="json", sizes=tuple(larger))),
    )
    for able, other in zip(
        (abilities_of(found).middle, abilities_of(found).low),
        (abilities_of(apart).middle, abilities_of(apart).low),
        strict=True,
    ):
        assert other.whole == able.whole is not None
        assert set(other.skills) == {"number"}
        assert other.default == able.default
