"""Context limits are real: what does not fit is condensed by a tree of aggregators, or cut, and the run says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orchestra
from orchestra.testing import Scripted
from orchestra_agents.models.contract import estimate_tokens
from orchestra_agents.sections import cut
from orchestra_topologies.fitting import grouped, shares
from orchestra_topologies.prompts import Given
from orchestra_topologies.router import Topology

Json = Any
INPUTS = 40


class Narrow(Scripted):
    """A scripted model with a context window, which it checks like a server; four characters make a token."""

    window = 700

    async def count_tokens(self, prompt: orchestra.Prompt) -> int:
        """Return the tokens of a prompt."""
        return estimate_tokens(prompt.content())

    async def sample(self, prompt: orchestra.Prompt, sampling: orchestra.Sampling, count: int = 1) -> list[Any]:
        """Answer what fits."""
        assert await self.count_tokens(prompt) + sampling.max_tokens <= self.window
        return await super().sample(prompt, sampling, count)


def wordy() -> Narrow:
    """Return a model whose workers are wordy and whose aggregators are brief."""

    def reply(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str:
        node = prompt.step.split("|")[0]
        if node.startswith("<condense"):
            return f"summary of {node}"
        return f"fact {node} " * 30 if node.startswith("s") else "done"

    return Narrow(reply)


def funnel(inputs: int = INPUTS) -> orchestra.TaskGraph:
    """Return many subtasks and one that reads them all, every second one by a weak edge."""
    many = [{"id": f"s{place}", "description": "Say."} for place in range(inputs)]
    edges = {f"s{place}": "strong" if place % 2 else "weak" for place in range(inputs)}
    return orchestra.TaskGraph([*many, {"id": "end", "description": "Sum it up.", "depends_on": edges}])


async def run(graph: orchestra.TaskGraph, model: Scripted, folder: Path, topology: Topology) -> orchestra.RunResult:
    choices = orchestra.Choices(topology=topology, max_tokens=150)
    plan = orchestra.plan(graph, model=model, choices=choices)
    return await orchestra.run(plan, journal=folder / "j.db", run_id="r")


@pytest.mark.parametrize("topology", ["hybrid", "parallel", "hierarchical"])
async def test_beyond_the_window_a_tree_of_aggregators_is_built(tmp_path: Path, topology: Topology) -> None:
    """Each aggregator and the reader fit their window, the fan-in is what fits, and the reason gives the figures."""
    model = wordy()
    result = await run(funnel(), model, tmp_path, topology)
    assert result.status == "ok"
    record = next(one for one in result.condensed if one["node"] == "end")
    assert record["how"] == "aggregated"
    assert record["tokens"] > record["window"] == 550
    asked = {prompt.step.split("|")[0] for prompt, _ in model.asked}
    assert record["agents"] == len([one for one in asked if one.startswith("<condense end")])
    assert record["agents"] >= record["inputs"] / record["fan_in"]
    assert record["reason"] in result.notes
    assert f"at most {record['fan_in']} answers each" in record["reason"]


async def test_many_levels_where_one_is_not_enough(tmp_path: Path) -> None:
    """Summaries that still do not fit are condensed again."""
    model = wordy()
    result = await run(funnel(400), model, tmp_path, "hybrid")
    [record] = result.condensed
    assert record["levels"] >= 2
    assert any(prompt.step.startswith("<condense end 2.") for prompt, _ in model.asked)


@pytest.mark.parametrize("window", [190, 200, 220, 260, 320, 400])
async def test_a_tight_window_ends_one_way_or_another(tmp_path: Path, window: int) -> None:
    """However little a window leaves, the run ends: with an answer, or with a failure that gives the figures."""

    class Tight(Narrow):
        def __init__(self) -> None:
            super().__init__(lambda prompt, sampling: "word " * 60 if prompt.step.startswith("s") else "done {x}")
            self.window = window

    graph = funnel(12).to_dict()
    graph["subtasks"][-1]["id"] = "{end}"
    model = Tight()
    choices = orchestra.Choices(topology="hybrid", max_tokens=80)
    plan = orchestra.plan(orchestra.TaskGraph.from_dict(graph), model=model, choices=choices)
    result = await orchestra.run(plan, journal=tmp_path / "j.db")
    end = result.subtasks["{end}"]
    assert end["status"] == "ok" or end["cause"]["code"] == "context"
    assert result.usage.calls < 200


async def test_an_input_longer_than_a_window_is_read_in_parts(tmp_path: Path) -> None:
    """No aggregator is sent more than it can read, however long one answer is."""

    def reply(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str:
        return "word " * 4000 if prompt.step.startswith("long") else "short"

    graph = orchestra.TaskGraph(
        [{"id": "long", "description": "Go on."}, {"id": "end", "description": "Sum up.", "depends_on": ["long"]}]
    )
    model = Narrow(reply)
    result = await run(graph, model, tmp_path, "hybrid")
    assert result.status == "ok"
    assert result.condensed[0]["agents"] > 5


async def test_sequential_cuts_the_weakly_coupled_first(tmp_path: Path) -> None:
    """Strong inputs keep more than weak ones, and where not all can say something, weak ones are left out first."""
    model = wordy()
    result = await run(funnel(), model, tmp_path, "sequential")
    [record] = result.condensed
    assert (record["how"], record["agents"]) == ("truncated", 0)
    last = next(prompt.content() for prompt, _ in model.asked if prompt.step.startswith("end|"))
    shown = [place for place in range(INPUTS) if f'from="s{place}"' in last]
    assert 0 < len(shown) < INPUTS
    assert all(place % 2 for place in shown)
    assert "characters left out" in last
    assert "left out" in record["reason"]


async def test_a_reader_whose_own_words_do_not_fit_fails_and_is_not_sent(tmp_path: Path) -> None:
    """What can never fit is a failure with its figures, before any call."""
    model = wordy()
    graph = orchestra.TaskGraph([{"id": "a", "description": "word " * 2000}])
    result = await run(graph, model, tmp_path, "single")
    assert (result.status, result.usage.calls) == ("failed", 0)
    assert result.subtasks["a"]["cause"]["code"] == "context"
    assert "window of 700" in result.subtasks["a"]["cause"]["message"]


async def test_a_window_of_the_user_s_holds_where_the_model_says_nothing(tmp_path: Path) -> None:
    """`window` caps prompts for models that do not tell theirs."""
    model = Scripted(wordy()._choose)  # type: ignore[arg-type]
    plan = orchestra.plan(funnel(), model=model, choices=orchestra.Choices(window=800, max_tokens=100))
    result = await orchestra.run(plan, journal=tmp_path / "j.db")
    assert result.condensed[0]["window"] == 700


async def test_a_condensed_run_is_resumed_without_asking_again(tmp_path: Path) -> None:
    """Aggregators are recorded like everybody else."""
    whole = wordy()
    await run(funnel(), whole, tmp_path, "hybrid")
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    plan = orchestra.plan(funnel(), model=wordy(), choices=orchestra.Choices(topology="hybrid", max_tokens=150))
    first = await orchestra.run(plan, journal=stopped / "j.db", run_id="r", budget=orchestra.Budget(calls=INPUTS + 3))
    assert first.status == "budget"
    rest = wordy()
    again = orchestra.plan(funnel(), model=rest, choices=orchestra.Choices(topology="hybrid", max_tokens=150))
    done = await orchestra.run(again, journal=stopped / "j.db", run_id="r", budget=orchestra.Budget(calls=200))
    assert done.status == "ok"
    assert len(rest.asked) == len(whole.asked) - INPUTS - 3


SIZES = st.lists(st.tuples(st.integers(0, 500), st.sampled_from([0.0, 0.3, 0.7, 1.0])), max_size=30)


@given(SIZES, st.integers(0, 5000))
def test_shares_fill_the_room_and_never_pass_it(inputs: list[tuple[int, float]], room: int) -> None:
    """Nobody gets more than he needs, all together no more than there is, and everything where it fits."""
    sizes, weights = [size for size, _ in inputs], [weight for _, weight in inputs]
    kept = shares(sizes, weights, room)
    assert all(0 <= one <= size for one, size in zip(kept, sizes, strict=True))
    assert sum(kept) <= room
    if sum(sizes) <= room // 2:
        assert kept == sizes


@given(st.text(max_size=2000), st.integers(40, 500))
def test_a_cut_text_is_no_longer_than_asked(text: str, most: int) -> None:
    """Beginning and end stay; what fits is untouched."""
    short = cut(text, most)
    assert len(short) <= most + 2
    assert (short == text) or len(text) > most


@given(st.lists(st.text(max_size=300), min_size=1, max_size=20), st.integers(10, 200))
def test_groups_hold_everything_in_order_and_no_more_than_fits(texts: list[str], room: int) -> None:
    """Nothing is lost or doubled by grouping, and no group passes its room."""
    groups = list(grouped([Given(name=str(place), answer=text) for place, text in enumerate(texts)], room))
    assert "".join(one.text for group in groups for one in group) == "".join(texts)
    assert all(len(group) == 1 or sum(len(one.text) for one in group) <= room for group in groups)
    assert all(groups)


async def test_aggregators_that_do_not_condense_are_not_asked_for_ever(tmp_path: Path) -> None:
    """Where a level says as much as it read, what it says is cut, and the run says so."""

    class Verbose(Scripted):
        """Says as much as it may, in words that take fewer tokens than we estimate."""

        window = 1024

        async def sample(self, prompt: orchestra.Prompt, sampling: orchestra.Sampling, count: int = 1) -> list[Any]:
            text = "abcdef" * sampling.max_tokens
            usage = orchestra.TokenUsage(input_tokens=1, output_tokens=sampling.max_tokens)
            return [orchestra.Completion(text=text, usage=usage)] * count

    inputs = [{"id": f"s{place}", "description": "S"} for place in range(6)]
    last = {"id": "z", "description": "Z", "depends_on": [one["id"] for one in inputs]}
    choices = orchestra.Choices(topology="hybrid", max_tokens=256)
    plan = orchestra.plan(
        orchestra.TaskGraph([*inputs, last]), model=Verbose([]), choices=choices, budget=orchestra.Budget(calls=200)
    )
    result = await orchestra.run(plan, journal=tmp_path / "j.db")
    assert result.status == "ok"
    assert result.usage.calls < 60
    assert "was cut" in result.condensed[0]["reason"]
