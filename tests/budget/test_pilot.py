"""The pilot as a library: what it measures of models whose figures are known, how it is resumed, what it refuses."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import orchestra
from orchestra.budget.pilot import PilotDesign, calibrate
from orchestra.budget.polls import ItemVotes, Poll, law_of_votes
from orchestra.budget.profile import Profile
from orchestra.budget.recorded_votes import profile_of_run
from orchestra.report.calibration import unknown
from orchestra.testing import Scripted
from orchestra_agents.errors import AuthError, BudgetExceeded, InputError, ManifestChanged, UnknownRun
from orchestra_agents.journal.records import Asked, Record, RunEnded, Sampled
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Prompt, Sampling

PLAIN = PilotDesign(chain=1)


def statements(count: int, *, targets: bool = True) -> list[dict[str, Any]]:
    """Rows with two answers, which take turns."""
    said: list[dict[str, Any]] = [{"input": f"Is statement {place} true?"} for place in range(count)]
    return [{**row, "target": ("yes", "no")[place % 2]} if targets else row for place, row in enumerate(said)]


async def measured(path: Path, items: list[dict[str, Any]], model: Any, **options: Any) -> Profile:
    """Calibrate with a journal of its own."""
    async with orchestra.Session(journal=path / "j.db") as session:
        return await calibrate(items, model=model, session=session, **{"run_id": "r"} | options)


def asked(path: Path) -> Counter[str]:
    """How often each sample was asked for."""
    with Journal(path / "j.db", "read") as journal:
        return Counter(one.record.sample() for one in journal.entries("r") if isinstance(one.record, Asked))


@pytest.mark.parametrize(
    ("p", "rho", "gamma", "spoil", "valid"),
    [(0.8, 0.3, 0.6, 0.7, 0.9), (0.6, 0.1, 0.9, 0.3, 1.0), (0.9, 0.5, 0.3, 1.0, 0.97)],
)
async def test_intervals_hold_the_figures_of_a_simulated_model(
    tmp_path: Path, p: float, rho: float, gamma: float, spoil: float, valid: float
) -> None:
    """Of fifteen 95 % intervals (three seeds) at most two miss: p, rho, gamma, spoil and valid.

    A wrong input that is misread is right, so that spoil as it is measured is the model's times (1 + gamma)/2.
    """
    missed = []
    for seed in range(3):
        name = f"simulated:p={p},rho={rho},gamma={gamma},spoil={spoil},valid={valid},seed={seed}"
        async with orchestra.Session(journal=tmp_path / f"{seed}.db") as session:
            found = await calibrate(statements(60), model=name, messages=[16], design=PLAIN, session=session)
        [size] = found.answers[0].sizes
        assert size.votes is not None
        assert found.spoil is not None
        truths = [(size.votes.accuracy, p), (size.votes.shared.rho, rho), (found.channels[0].gamma, gamma)]
        truths += [(found.spoil, spoil * (1 + gamma) / 2), (size.valid, valid)]
        missed += [(seed, estimate, truth) for estimate, truth in truths if not estimate.covers(truth)]
    assert len(missed) <= 2, missed


async def test_tokens_of_thought_are_a_compute_axis(tmp_path: Path) -> None:
    """Beta and kappa of a model whose bias is kappa x^beta are in their intervals, and the basis says what x is."""
    design = PilotDesign(chain=1, thoughts=(512, 8, 32, 128))
    found = await measured(tmp_path, statements(120), "simulated:beta=0.3,kappa=0.1,seed=1", messages=[], design=design)
    assert found.compute is not None
    assert found.compute.beta.covers(0.3)
    assert found.compute.kappa.covers(0.1)
    assert "tokens of thought" in found.compute.beta.basis
    assert (round(found.compute.least), round(found.compute.most)) == (8, 128)  # 512 is no weak signal


def test_votes_are_a_compute_axis_by_exact_replay() -> None:
    """Levels are majorities of 1, 3, 5 and 7 votes; four votes give four levels, three give no law."""
    rng = np.random.default_rng(0)
    right = rng.binomial(7, 0.55, 400)
    poll = poll_of([(int(one), 7) for one in right])
    found = law_of_votes(poll, choices=2)
    assert found is not None
    assert 0.3 < found.beta.value < 0.6  # about a half: the bias of a majority of weak votes grows as their root
    assert "votes counted" in found.beta.basis
    assert law_of_votes(poll_of([(2, 4)] * 9 + [(3, 4)] * 9), choices=2) is not None
    assert law_of_votes(poll_of([(2, 3)] * 9), choices=2) is None


async def test_a_profile_tells_everything_and_can_be_kept(tmp_path: Path) -> None:
    """Two sizes, panels, confidences, curve and evidence stand in a profile, and the file gives the same one back."""
    found = await measured(tmp_path, statements(30), "simulated:p=0.8,rho=0.2", panel=7, messages=[8, 16])
    assert (found.model, found.evidence) == ("simulated:p=0.8,rho=0.2", "simulated")
    [answer] = found.answers
    assert (answer.kind, answer.options) == ("choice", 2)
    assert [(size.size, size.items, size.panel) for size in answer.sizes] == [(1.0, 30, 7), (2.0, 15, 7)]
    assert [gain.fan_in for gain in answer.sizes[0].panels] == [3, 5]
    assert [channel.tokens for channel in found.channels] == [8, 16]
    assert all(channel.gamma_true and channel.gamma_true.n == 15 for channel in found.channels)
    assert found.curve is not None
    assert found.compute is not None
    assert [one.source for one in found.confidences] == ["votes"]
    found.save(tmp_path / "profile.json")
    assert Profile.load(tmp_path / "profile.json") == found


async def test_without_targets_agreement_flags_and_tokens_are_measured(tmp_path: Path) -> None:
    """Accuracy, rho, gamma, spoil and beta are unknown, and the words say so."""
    found = await measured(tmp_path, statements(12, targets=False), "simulated:p=0.8,valid=0.8", choices=["yes", "no"])
    size = found.answers[0].sizes[0]
    assert (size.votes, size.panels, found.channels, found.spoil, found.compute) == (None, (), (), None, None)
    assert size.agreement is not None
    assert 0.6 < size.valid.value < 1
    assert size.input_tokens > 1
    assert unknown(found)[0].startswith("accuracy and rho")


async def test_numbers_are_measured_alone_and_as_lists(tmp_path: Path) -> None:
    """A number has no options, its wrong answer is one more, and two of them are a list."""
    said = [{"input": f"{place} + 1", "target": place + 1} for place in range(40)]
    found = await measured(tmp_path, said, "simulated:p=0.7,gamma=0.8,spoil=0.5", messages=[8])
    [answer] = found.answers
    assert (answer.kind, answer.options, len(answer.sizes)) == ("number", None, 2)
    assert all(size.votes is not None and size.votes.accuracy.covers(0.7) for size in answer.sizes)
    assert found.channels[0].gamma.covers(0.8)


async def test_rows_of_several_sizes_are_measured_apart(tmp_path: Path) -> None:
    """Sizes that rows name are those of the profile, and nothing is chained."""
    said = [row | {"size": 1 + place % 3} for place, row in enumerate(statements(18))]
    found = await measured(tmp_path, said, "simulated:p=0.8", panel=2, messages=[])
    assert [(size.size, size.items) for size in found.answers[0].sizes] == [(1, 6), (2, 6), (3, 6)]


async def test_a_budget_stops_a_pilot_and_no_recorded_vote_is_asked_again(tmp_path: Path) -> None:
    """Raised step by step, the budget leads to the profile of one go; every sample was asked for once."""
    model = "simulated:p=0.8,rho=0.3,gamma=0.7"
    options: dict[str, Any] = {"panel": 3, "messages": [8]}
    whole = await calibrate(statements(12), model=model, **options)
    calls, attempts, found = 20, 0, None
    while found is None:
        try:
            found = await measured(tmp_path, statements(12), model, budget=Budget(calls=calls), **options)
        except BudgetExceeded:
            calls, attempts = calls + 20, attempts + 1
    assert attempts >= 3
    assert found == whole
    assert set(asked(tmp_path).values()) == {1}
    before = len(asked(tmp_path))
    assert await measured(tmp_path, statements(12), model, **options) == whole
    assert len(asked(tmp_path)) == before
    with Journal(tmp_path / "j.db", "read") as journal:
        ends = [one.record.status for one in journal.entries("r") if isinstance(one.record, RunEnded)]
    assert ends == ["budget"] * attempts + ["ok"]


async def test_after_a_failure_nothing_new_is_begun(tmp_path: Path) -> None:
    """What was begun ends, the rest is not asked, the run has failed, and a model that answers goes on with it."""
    model = Scripted([AuthError("no such key")])
    with pytest.raises(AuthError):
        await measured(tmp_path, statements(40), model, panel=1, messages=[], design=PLAIN)
    assert len(model.asked) <= 16
    with Journal(tmp_path / "j.db", "read") as journal:
        [end] = [one.record for one in journal.entries("r") if isinstance(one.record, RunEnded)]
    assert end.status == "failed"
    better = Scripted(['{"answer":"yes"}'])
    found = await measured(tmp_path, statements(40), better, panel=1, messages=[], design=PLAIN)
    assert found.answers[0].sizes[0].valid.value == 1


async def test_an_interrupted_pilot_is_gone_on_with(tmp_path: Path) -> None:
    """Cancelled amid its samples it is recorded as interrupted; the next attempt asks no recorded sample again."""
    seen: list[Record] = []

    def watch(record: Record) -> None:
        seen.append(record)
        if len(seen) == 60:
            running.cancel()

    model = "simulated:p=0.8,latency_ms=1"
    running = asyncio.ensure_future(measured(tmp_path, statements(12), model, panel=3, messages=[8], watch=watch))
    with pytest.raises(asyncio.CancelledError):
        await running
    recorded = {one.sample() for one in seen if isinstance(one, Sampled)}
    assert recorded
    again: list[Record] = []
    found = await measured(tmp_path, statements(12), model, panel=3, messages=[8], watch=again.append)
    assert recorded.isdisjoint(one.sample() for one in again if isinstance(one, Asked))
    assert found == await calibrate(statements(12), model=model, panel=3, messages=[8])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"items": statements(13)}, "items differs"),
        ({"model": "simulated:p=0.7"}, "models.worker differs"),
        ({"panel": 4}, "panel differs"),
        ({"design": PilotDesign(seed=1)}, "seed differs"),
    ],
)
async def test_another_pilot_under_the_same_name_is_refused(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    """Other items, another model, panel or design is not a resume; the message says which."""
    options: dict[str, Any] = {"items": statements(6), "model": "simulated:p=0.8", "panel": 1, "messages": []}
    await measured(tmp_path, **options)
    with pytest.raises(ManifestChanged, match=told):
        await measured(tmp_path, **options | change)


async def test_examples_are_shown_and_not_measured(tmp_path: Path) -> None:
    """A model that is asked by pattern sees worked examples of both answers, and none of them is an item."""

    def reply(prompt: Prompt, sampling: Sampling) -> str:
        return " yes" if prompt.text is not None else '{"answer":"yes"}' if sampling.schema else "a message"

    model = Scripted(reply, form="pattern")
    said = [{"input": f"statement {place}", "target": ("yes", "no")[place % 2]} for place in range(10)]
    design = PilotDesign(question="Is it true?", items=6, examples=4)
    found = await measured(tmp_path, said, model, panel=2, messages=[8], design=design)
    size = found.answers[0].sizes[0]
    assert (size.items, size.valid.value) == (6, 1.0)
    patterns = {prompt.text for prompt, _ in model.asked if prompt.text is not None and "parts" not in prompt.text}
    assert len(patterns) == 6
    for pattern in patterns:
        *shown, own = [line for line in pattern.splitlines() if "->" in line]
        assert sorted(line.split(" -> ")[1] for line in shown) == ["no", "no", "yes", "yes"]
        assert own.removesuffix(" ->") not in "\n".join(shown)


async def test_a_reader_that_ignores_messages_has_no_gamma(tmp_path: Path) -> None:
    """One that always says yes agrees with half of the reports: gamma is 0, for true and for false ones."""
    model = Scripted(lambda _, sampling: '{"answer":"yes"}' if sampling.schema else "words")
    found = await measured(tmp_path, statements(40), model, panel=1, messages=[8], design=PLAIN)
    assert found.channels[0].gamma.value == 0
    assert found.channels[0].is_symmetric


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"panel": 0}, "panel"),
        ({"messages": [0]}, "messages"),
        ({"model": ["simulated:p=0.8", "simulated:p=0.9"]}, "one model"),
        ({"design": PilotDesign(examples=20)}, "20 examples leave 0 of 6 rows"),
    ],
)
async def test_options_out_of_range_are_refused(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    """Before anything is asked or written."""
    with pytest.raises(InputError, match=told):
        await measured(tmp_path, statements(6), **{"model": "simulated:p=0.8"} | options)
    assert not (tmp_path / "j.db").exists()


@pytest.mark.parametrize("design", [{"items": 1}, {"chain": 0}, {"temperature": 3.0}, {"thoughts": (1, 2, 3)}])
def test_designs_out_of_range_are_refused(design: dict[str, Any]) -> None:
    """The sentence names the field."""
    with pytest.raises(InputError, match=next(iter(design))):
        PilotDesign(**design)


async def test_votes_of_a_run_are_a_profile(tmp_path: Path) -> None:
    """The first k samples of each subtask are counted; nothing is asked, and the accuracy is in the interval."""
    graph = orchestra.TaskGraph(
        [
            {
                "id": f"s{place}",
                "description": "yes or no?",
                "answer": {"choice": ["yes", "no"]},
                "truth": {"answer": "yes", "wrong": ["no"]},
                "team": "vote",
                "k": 3,
            }
            for place in range(80)
        ]
    )
    async with orchestra.Session(journal=tmp_path / "j.db") as session:
        await orchestra.run(graph, model="simulated:p=0.8,valid=0.95", session=session, run_id="r")
    before = asked(tmp_path)
    with Journal(tmp_path / "j.db", "read") as journal:
        found = profile_of_run(journal, "r")
        with pytest.raises(InputError, match="must be one that answered"):
            profile_of_run(journal, "r", model="simulated:p=0.1")
        with pytest.raises(UnknownRun):
            profile_of_run(journal, "other")
    [size] = found.answers[0].sizes
    assert (size.items, size.panel, found.model) == (80, 3, "simulated:p=0.8,valid=0.95")
    assert size.votes is not None
    assert size.votes.accuracy.covers(0.8)
    assert size.valid.covers(0.95)
    assert asked(tmp_path) == before


async def test_a_run_without_known_answers_is_no_profile(tmp_path: Path) -> None:
    """The sentence says what is missing."""
    graph = orchestra.TaskGraph([{"id": "a", "description": "?", "answer": "number"}])
    async with orchestra.Session(journal=tmp_path / "j.db") as session:
        await orchestra.run(graph, model="simulated:p=0.8", session=session, run_id="r")
        await calibrate(statements(4), model="simulated:p=0.8", session=session, messages=[], run_id="c")
    with Journal(tmp_path / "j.db", "read") as journal:
        with pytest.raises(InputError, match="no subtask of 'r' has a truth"):
            profile_of_run(journal, "r")
        with pytest.raises(InputError, match="no run of a task graph"):
            profile_of_run(journal, "c")


async def test_inputs_known_to_be_wrong_do_not_count(tmp_path: Path) -> None:
    """A subtask that read a wrong answer says nothing of the accuracy given right inputs."""
    kind = {"choice": ["yes", "no"]}
    truth = {"answer": "yes", "wrong": ["no"]}
    first = {"id": "a", "description": "?", "answer": kind, "truth": truth}
    graph = orchestra.TaskGraph([first, {**first, "id": "b", "depends_on": {"a": "strong"}}])
    async with orchestra.Session(journal=tmp_path / "j.db") as session:
        await orchestra.run(graph, model="simulated:p=0", session=session, run_id="r")
    with Journal(tmp_path / "j.db", "read") as journal:
        assert profile_of_run(journal, "r").answers[0].sizes[0].items == 1


def poll_of(counts: list[tuple[int, int]]) -> Poll:
    """Votes on items whose right answer is yes."""
    items = [ItemVotes(tally={"yes": right, "no": votes - right}, right="yes") for right, votes in counts]
    most = max(votes for _, votes in counts)
    return Poll(size=1.0, panel=most, items=tuple(items), input_tokens=1.0, output_tokens=1.0)
