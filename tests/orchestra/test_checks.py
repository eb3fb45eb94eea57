"""Checks, repairs and roles: whatever selects or answers, a check decides; who mends is told what it said."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import orchestra
from orchestra.testing import Scripted, run_virtual
from orchestra_agents.roles.cards import load_cards, shipped_cards

Json = Any
EXAMPLES = Path(__file__).parents[2] / "examples"


def spoken(replies: dict[str, list[str]]) -> Scripted:
    """Return a model that gives each node its replies in turn, the last one again and again."""
    left = {node: list(texts) for node, texts in replies.items()}

    def reply(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str:
        texts = left[prompt.step.split("|")[0]]
        return texts.pop(0) if len(texts) > 1 else texts[0]

    return Scripted(reply)


def said(model: Scripted, node: str) -> list[orchestra.Prompt]:
    """Return the prompts of a node."""
    return [prompt for prompt, _ in model.asked if prompt.step.split("|")[0] == node]


@pytest.mark.parametrize("select", ["judge", "medoid"])
async def test_a_check_decides_whoever_selected_the_answer(tmp_path: Path, select: str) -> None:
    """An answer that a judge or the likeness to others took fails its check like any other."""
    one = {"id": "a", "description": "A", "select": select, "samples": 2, "verify": "false"}
    model = spoken({"a": ["x", "y"], "<judge a>": ['{"answer": "1"}']})
    result = await orchestra.run(orchestra.TaskGraph([one]), model=model, journal=tmp_path / "j.db")
    assert (result.status, result.subtasks["a"]["cause"]["code"]) == ("failed", "verify")


async def test_a_judge_that_cannot_be_paid_stops_the_run_by_budget(tmp_path: Path) -> None:
    """The subtask is cancelled for the budget, and so is what depends on it; a larger budget goes on."""
    first = {"id": "a", "description": "A", "select": "judge", "samples": 2}
    graph = orchestra.TaskGraph([first, {"id": "b", "description": "B", "depends_on": ["a"]}])
    model = spoken({"a": ["x", "y"], "<judge a>": ['{"answer": "1"}'], "b": ["z"]})
    options: dict[str, Json] = {"model": model, "journal": tmp_path / "j.db", "run_id": "r"}
    poor = await orchestra.run(graph, budget=orchestra.Budget(calls=3), **options)
    assert poor.status == "budget"
    assert [one["cause"]["code"] for one in poor.subtasks.values()] == ["budget", "budget"]
    rich = await orchestra.run(graph, budget=orchestra.Budget(calls=30), **options)
    assert (rich.status, rich.answer) == ("ok", "z")


async def test_one_agent_s_whole_answer_passes_the_last_check(tmp_path: Path) -> None:
    """With `single` the check of the final subtask is that of the whole answer; that others do not apply is said."""
    graph = orchestra.TaskGraph(
        [
            {"id": "a", "description": "A", "verify": "true"},
            {"id": "b", "description": "B", "depends_on": ["a"], "verify": "false"},
        ]
    )
    plan = orchestra.plan(graph, model=Scripted(["text"]), choices=orchestra.Choices(topology="single"))
    result = await orchestra.run(plan, journal=tmp_path / "j.db")
    assert result.status == "failed"
    assert result.whole is not None
    assert result.whole["cause"]["code"] == "verify"
    assert any("verify" in note for note in result.notes)


def test_a_time_limit_covers_those_who_condense_first(tmp_path: Path) -> None:
    """The clock of a subtask starts with its aggregators' first call: reading takes no more time than answering."""
    inputs = [{"id": f"s{place}", "description": "S"} for place in range(12)]
    last = {"id": "z", "description": "Z", "depends_on": [one["id"] for one in inputs], "timeout_s": 1}
    slow = "simulated:latency_ms=400000,window=1000"

    class Wordy(Scripted):
        window = 700

    models = {"worker": Wordy(["word " * 100]), "summariser": slow}
    choices = orchestra.Choices(topology="hybrid", max_tokens=100)
    plan = orchestra.plan(orchestra.TaskGraph([*inputs, last]), model=models, choices=choices)
    result = run_virtual(orchestra.run(plan, journal=tmp_path / "j.db"))
    assert result.subtasks["z"]["cause"]["code"] == "timeout"
    assert result.seconds < 2


async def test_a_failed_check_is_mended_by_another_role_told_what_it_said(tmp_path: Path) -> None:
    """The mender reads the answer and the check's words; the first answer that passes stands, the last failure else."""
    check = f"{sys.executable} -c \"import sys; t = sys.stdin.read(); sys.exit(0 if t == 'right' else f'not {{t}}')\""
    one = {"id": "a", "description": "Say right.", "answer": "code", "verify": check, "repair": {"times": 2}}
    model = spoken({"a": ["wrong"], "<repair a 1>": ["worse"], "<repair a 2>": ["right"]})
    result = await orchestra.run(orchestra.TaskGraph([one]), model=model, journal=tmp_path / "j.db", run_id="r")
    assert (result.status, result.answer) == ("ok", "right")
    assert result.notes == ["a passed its check after 2 repairs"]
    [second] = said(model, "<repair a 2>")
    assert "worse" in second.messages[-1].content
    assert "not worse" in second.messages[-1].content
    assert second.messages[-1].content.endswith("Say right.")
    assert second.messages[0].content.startswith(shipped_cards()["debugger"].words)
    asked = len(model.asked)
    again = await orchestra.run(orchestra.TaskGraph([one]), model=model, journal=tmp_path / "j.db", run_id="r")
    assert (again.answer, len(model.asked)) == ("right", asked)
    hopeless = spoken({"a": ["wrong"], "<repair a 1>": ["bad"], "<repair a 2>": ["sad"]})
    failed = await orchestra.run(orchestra.TaskGraph([one]), model=hopeless, journal=tmp_path / "k.db")
    assert (failed.status, failed.subtasks["a"]["cause"]["code"]) == ("failed", "verify")
    assert len(hopeless.asked) == 3


async def test_a_role_s_card_speaks_samples_and_discards(tmp_path: Path) -> None:
    """A card of the user's folder stands first in the system message, sets the temperature and flags replies."""
    (tmp_path / "roles").mkdir()
    card = {"words": "You count.", "temperature": 1.5, "flags": ["refusal"]}
    (tmp_path / "roles" / "counter.json").write_text(json.dumps(card))
    graph = orchestra.TaskGraph([{"id": "a", "description": "Count.", "role": "counter"}])
    model = Scripted(["I'm sorry, I can't.", "seven"])
    plan = orchestra.plan(graph, model=model, roles=load_cards(tmp_path / "roles"))
    result = await orchestra.run(plan, journal=tmp_path / "j.db", run_id="r")
    assert (result.answer, result.usage.flagged) == ("seven", 1)
    prompt, sampling = model.asked[0]
    assert prompt.messages[0].content.startswith("You count. Answer briefly.")
    assert sampling.temperature == 1.5
    with pytest.raises(orchestra.JournalError, match="roles"):
        await orchestra.run(orchestra.plan(graph, model=model), journal=tmp_path / "j.db", run_id="r")


async def test_agentmesh_is_cards_and_a_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan, code that fails its check and is mended by the debugger, a review, and the code it asks for."""
    monkeypatch.chdir(EXAMPLES.parent)
    graph = orchestra.TaskGraph.load(EXAMPLES / "agentmesh" / "graph.yaml")
    right = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    model = spoken(
        {
            "plan": ["1. four digits ..."],
            "code": [r"\d+-\d+-\d+"],
            "<repair code 1>": ["("],
            "<repair code 2>": [right],
            "review": [json.dumps({"answer": {"verdict": "accept", "note": "every criterion is met"}})],
            "final": [right],
        }
    )
    result = await orchestra.run(graph, model=model, journal=tmp_path / "j.db")
    assert (result.status, result.answer, result.topology) == ("ok", right, "sequential")
    assert "matches '2026-13-25'" in said(model, "<repair code 1>")[0].messages[-1].content
    assert "not a regular expression" in said(model, "<repair code 2>")[0].messages[-1].content
    assert right in said(model, "review")[0].messages[-1].content
