"""A suite of a user's own, by the example that ships: named on the command line, right, and measured like any other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestra.budget.pilot_questions import Asking
from orchestra.choices import Choices
from orchestra_agents.errors import InputError
from orchestra_evals import Keeping, Selection, Wiring, evaluate, make_suite
from orchestra_evals.comparing.profiling import suite_items

NAME = "examples.suites.stays:Stays"


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])


def test_the_example_accepts_its_targets_and_refuses_its_slips() -> None:
    """Samples differ, targets are right, and each slip costs the part that it gets wrong."""
    suite = make_suite(NAME)
    samples = Selection(limit=200).samples(suite)
    assert len({sample.digest() for sample in samples}) >= 195  # six reviews, four cities and eight numbers meet again
    for sample in samples:
        assert suite.check(sample, sample.target).outcome == "right"
        assert {round(suite.check(sample, slip).value, 9) for slip in sample.wrong} <= {
            round(2 / 3, 9),
            round(1 / 3, 9),
        }
        assert suite.check(sample, {"city_a": "Lisbon"}).outcome == "malformed"


@pytest.mark.parametrize("topology", ["single", "sequential", "parallel", "hierarchical", "hybrid"])
def test_a_model_that_never_errs_is_right_in_every_topology(tmp_path: Path, topology: str) -> None:
    """The graph's answer is the sample's: who knows the truth of each subtask scores 1."""
    wired = Wiring(choices=Choices(topology=topology, team="solo"))  # type: ignore[arg-type]
    keeping = Keeping(journal=tmp_path / "journal.db")
    found = asyncio.run(
        evaluate(NAME, systems=[wired], models=["simulated:p=1"], selection=Selection(limit=5), keeping=keeping)
    )
    assert (found.cells[0].mean.score, found.cells[0].mean.n) == (1.0, 5)


def test_a_model_is_measured_with_the_worked_examples_of_the_graph() -> None:
    """What is measured is asked as in a run: with the subtask's own examples, and without them by agents in between."""
    parts = [item for item in suite_items(make_suite(NAME), samples=10) if item.name.startswith("part")]
    assert {item.answer.kind for item in parts} == {"choice", "number"}
    for item in parts:
        asked = Asking().alone(item)
        assert asked.pattern is not None
        assert asked.pattern.text is not None
        assert all(f"{one.input} -> {one.answer}" in asked.pattern.text for one in item.examples)
        assert Asking().thought(item).prompt.content().count(item.examples[0].input) == 0


@pytest.mark.parametrize("name", ["examples.suites.stays:Nobody", "no.such.module:Suite", "stays"])
def test_what_is_no_suite_is_refused_in_a_sentence(name: str) -> None:
    """A module or name that is not there is said, with what went wrong."""
    with pytest.raises(InputError, match=r"^suite: "):
        make_suite(name)
