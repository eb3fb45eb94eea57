"""What coordination cost, counted again from the raw rows of the journal by definitions written down here.

The definitions are those of section 3 of the agent-scaling study (shared/papers/scaling_agent_systems.md), with the
readings that `orchestra.coordination` states; nothing here is computed by its code.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from dataclasses import fields
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

import orchestra
from orchestra.coordination import Coordination
from orchestra.testing import Scripted
from orchestra_agents.tools import Situation, Tool, Toolbox, tool
from tests.orchestra.conftest import Call

Json = Any
MODEL = "simulated:p=0.6,valid=0.7,gamma=0.9,seed=5"
CHOICE = {"choice": ["red", "green", "blue"]}
TEAMS = {
    "solo": 0,
    "vote": 0,
    "independent:agents=4": 0,
    "decentralized:agents=4,rounds=2": 2 * 4,
    "decentralized": 3 * 3,
    "centralized:rounds=1": 1 * 3,
    "peers:rounds=1": 2 * 3,
    "tree": 0,
    "tree:fan_in=2,depth=3,join=model": 2 + 4 + 8,
}
"""Teams, and the messages that their agents send for one question where nobody fails."""


def graph(*, with_tools: bool = False) -> orchestra.TaskGraph:
    """Return six subtasks whose references are known, two of them final; what acts answers a choice."""
    kinds = [(CHOICE, "red", ["green", "blue"]), ("number", 4.0, [7]), ("text", "four words of truth", ["a lie"])]
    subtasks: list[Json] = []
    for place in range(6):
        answer, right, wrong = kinds[0 if with_tools else place % 3]
        before = {f"s{place - 2}": "strong"} if place > 1 else {}
        one = {"id": f"s{place}", "description": f"Question {place}?", "depends_on": before, "answer": answer}
        one |= {"tools": ["look", "fail"]} if with_tools else {}
        subtasks.append(one | {"truth": {"answer": right, "wrong": wrong}})
    return orchestra.TaskGraph(subtasks)


@tool(effects="none")
async def look(where: str) -> str:
    """Look somewhere."""
    return f"something in {where}"


@tool(effects="none")
async def fail(why: str) -> str:
    """Fail."""
    raise LookupError(why)


def reference(situation: Situation) -> orchestra.Truth:
    """Return what is right to do: look twice, then say red; fail, look nowhere or say blue are the other ways."""
    turn = len(situation.turns)
    right: Json = {"tool": "look", "arguments": {"where": str(turn)}} if turn < 2 else {"done": True, "answer": "red"}
    wrong: list[Json] = [{"tool": "fail", "arguments": {"why": "no"}}, {"tool": "look", "arguments": {}}]
    return orchestra.Truth(answer=right, wrong=[*wrong, {"done": True, "answer": "blue"}])


TOOLS: list[Tool] = [look, fail]


def ran(journal: Path, run_id: str, team: str, *, topology: str = "hybrid", with_tools: bool = False) -> Json:
    """Run the graph by a team of simulated agents and return the result as JSON."""
    choices = orchestra.Choices(topology=topology, team=team, k=2)  # type: ignore[arg-type]
    plan = orchestra.plan(graph(with_tools=with_tools), model=MODEL, choices=choices)
    tools = Toolbox(TOOLS if with_tools else [], reference=reference)
    return orchestra.run_sync(plan, journal=journal, run_id=run_id, tools=tools).as_dict()


class Raw:
    """The rows of one run, read beside orchestra."""

    def __init__(self, journal: Path, run_id: str) -> None:
        db = sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)
        query = "SELECT kind, body FROM records JOIN runs USING (run) WHERE name = ? ORDER BY seq"
        self.rows = [(kind, json.loads(body)) for kind, body in db.execute(query, (run_id,))]
        self.texts = dict(db.execute("SELECT hash, text FROM blobs"))
        db.close()

    def of(self, kind: str) -> list[Json]:
        """Return the bodies of one kind, in order."""
        return [body for one, body in self.rows if one == kind]


def recounted(journal: Path, run_id: str) -> dict[str, Json]:
    """Return the figures of one run, counted from its rows."""
    raw = Raw(journal, run_id)
    replies = raw.of("sample.replied")
    turns = len({(one["node"], one["input"]) for one in replies})
    messages = len(raw.of("message.sent"))
    tokens = sum(one["input_tokens"] + one["output_tokens"] for one in replies)
    missed = {(one["node"], one["input"]) for one in raw.of("tool.observed") if one["status"] != "ok"}
    repairs = re.compile(r"<.* repair \d+>|<repair .* \d+>")  # no subtask of these tests is called so
    unproductive = sum(
        one["input_tokens"] + one["output_tokens"]
        for one in replies
        if one["flag"] is not None or repairs.fullmatch(one["node"]) or (one["node"], one["input"]) in missed
    )
    alike = [figure for one in raw.of("team.ended") if (figure := likeness(raw, one["node"])) is not None]
    success, error_rate = graded(raw)
    return {
        "turns": turns,
        "messages": messages,
        "message_density": messages / turns if turns else None,
        "redundancy": fmean(alike) if alike else None,
        "redundancy_basis": "lexical" if alike else None,
        "tokens": tokens,
        "unproductive_tokens": unproductive,
        "unproductive_share": unproductive / tokens if tokens else None,
        "actions": dict(Counter(one["status"] for one in raw.of("tool.observed"))),
        "success": success,
        "error_rate": error_rate,
    }


def likeness(raw: Raw, question: str) -> float | None:
    """Return the mean likeness of the last outputs of a team's agents, which tool calls are not, by shared words."""
    last: dict[int, tuple[int, Json]] = {}
    for one in raw.of("sample.replied"):
        agent = re.fullmatch(rf"<{re.escape(question)} agent (\d+)(?: round (\d+))?>", one["node"])
        if agent is not None and one["flag"] is None and '"tool":' not in raw.texts[one["text"]]:
            number, round_ = int(agent[1]), int(agent[2] or 1)
            if round_ >= last.get(number, (0, None))[0]:
                last[number] = (round_, one)
    texts: list[str] = [said(raw, one) for _, one in last.values()]
    pairs = [shared(one, other) for one, other in combinations(texts, 2)]
    return fmean(pairs) if pairs else None


def said(raw: Raw, reply: Json) -> Json:
    """Return what a reply says: the text, or the typed answer under its key; of one that ends the work its answer."""
    text = raw.texts[reply["text"]]
    try:
        value = json.loads(text)["answer"]
    except (ValueError, TypeError, KeyError):
        return text.strip()
    value = value["answer"] if isinstance(value, dict) and value.get("done") else value
    value = int(value) if isinstance(value, float) and value.is_integer() else value
    return value if isinstance(value, str) else json.dumps(value)


def shared(one: str, other: str) -> float:
    """Return the share of words that two texts have in common, counted as often as they come."""
    if one == other:
        return 1.0
    bags = [Counter(re.findall(r"\w+", text.casefold())) for text in (one, other)]
    return (bags[0] & bags[1]).total() / (bags[0] | bags[1]).total()


def graded(raw: Raw) -> tuple[float | None, float | None]:
    """Return the share of final answers that are right, and of subtasks answered by themselves that are not."""
    subtasks = raw.of("run.started")[0]["manifest"]["task"]["subtasks"]
    right = {one["id"]: one["truth"]["answer"] for one in subtasks if "truth" in one}
    read = {before for one in subtasks for before in one.get("depends_on", {})}
    final = [one["id"] for one in subtasks if one["id"] not in read]
    answer = raw.of("run.ended")[-1]["answer"]
    given = {final[0]: answer} if len(final) == 1 else answer if isinstance(answer, dict) else {}
    ended = {one["node"]: one for one in raw.of("subtask.ended")}
    scores = [given.get(one) == right[one] for one in final if one in right]
    alone = [one for one in right if ended[one]["covered_by"] is None]
    errors = [ended[one]["status"] != "ok" or ended[one]["answer"] != right[one] for one in alone]
    return fmean(scores) if scores else None, fmean(errors) if errors else None


def compared(many: dict[str, Json], one: dict[str, Json]) -> dict[str, Json]:
    """Return the figures of a run beside those of a single agent (section 3, and the two readings of A_e)."""
    longer = many["turns"] / one["turns"]
    failing = 1 - one["success"]
    share, errors = one["unproductive_share"], one["error_rate"]
    return many | {
        "overhead_percent": (many["turns"] - one["turns"]) / one["turns"] * 100,
        "efficiency": many["success"] / longer,
        "failure_ratio": (1 - many["success"]) / failing if failing else None,
        "unproductive_token_ratio": many["unproductive_share"] / share if share else None,
        "absorption": (errors - many["error_rate"]) / errors if errors else None,
    }


def check(figures: dict[str, Json], recount: dict[str, Json]) -> None:
    """Check that figures are those counted here, up to the rounding of likeness."""
    assert figures.keys() == recount.keys()
    assert figures["actions"] == recount["actions"]
    assert _without_actions(figures) == pytest.approx(_without_actions(recount), abs=1e-6)


def _without_actions(figures: dict[str, Json]) -> dict[str, Json]:
    return {name: figure for name, figure in figures.items() if name != "actions"}


ALONE = ("overhead_percent", "efficiency", "failure_ratio", "unproductive_token_ratio", "absorption")


@pytest.mark.parametrize("with_tools", [False, True], ids=["", "tools"])
@pytest.mark.parametrize("team", TEAMS)
def test_figures_are_those_of_the_rows(tmp_path: Path, team: str, with_tools: bool) -> None:
    """Turns, messages, likeness, wasted tokens and scores of a run are what its rows say, and so beside one agent."""
    journal = tmp_path / "j.db"
    figures = ran(journal, "many", team, with_tools=with_tools)["coordination"]
    single = ran(journal, "one", "solo", with_tools=with_tools)["coordination"]
    assert {name: figures.pop(name) for name in ALONE} == dict.fromkeys(ALONE)
    recount = recounted(journal, "many")
    check(figures, recount)
    assert figures["unproductive_tokens"] > 0
    assert 0 <= figures["success"] <= 1
    known = [Coordination(**one) for one in (figures, single)]
    beside = known[0].beside(known[1]).as_dict()
    check(beside, compared(recount, recounted(journal, "one")))
    assert beside["efficiency"] is not None
    assert with_tools == bool(figures["actions"])


@pytest.mark.parametrize(("team", "messages"), TEAMS.items())
def test_messages_are_counted_by_what_the_protocols_say(tmp_path: Path, team: str, messages: int) -> None:
    """Rounds times agents in a debate and under a lead, twice that with peers, each agent below a root, else none."""
    choices = orchestra.Choices(topology="sequential", team=team)
    plan = orchestra.plan(graph(), model="simulated:p=0.7,gamma=0.9", choices=choices)
    result = orchestra.run_sync(plan, journal=tmp_path / "j.db")
    joined = "tree(fan_in=3, depth=1, join=model)"  # what cannot be counted is joined by a model
    extra = 2 * 3 if team == "tree" and result.team is not None and joined in result.team else 0
    assert result.coordination.messages == 6 * messages + extra


def test_a_whole_task_of_one_team_is_counted(tmp_path: Path) -> None:
    """Under `single` there is one question; subtasks that it covers are no errors of their own."""
    journal = tmp_path / "j.db"
    figures = ran(journal, "r", "decentralized", topology="single")["coordination"]
    recount = recounted(journal, "r")
    check({name: figures[name] for name in recount}, recount)
    assert (figures["messages"], figures["error_rate"]) == (9, None)


def test_replies_asked_for_again_are_unproductive(tmp_path: Path) -> None:
    """Repairs of a plan that could not be used and of an answer that did not pass count, whatever subtasks are called.

    Three replies of the lead, two of them repairs and all three flagged, and one repair of the final answer.
    """

    def reply(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> orchestra.Completion:
        is_repair = "what its check said" in prompt.content()
        usage = orchestra.TokenUsage(input_tokens=100, output_tokens=1)
        return orchestra.Completion(text="MENDED" if is_repair else "a finding", usage=usage)

    graph: list[Json] = [
        {"id": "the repair shop", "description": "Tell."},
        {"id": "repair 1", "description": "Tell.", "team": "decentralized:rounds=1"},
        {
            "id": "last",
            "description": "Tell.",
            "verify": "grep -q MENDED",
            "repair": {},
            "team": "centralized:rounds=1",
        },
    ]
    plan = orchestra.plan(orchestra.TaskGraph(graph), model=Scripted(reply))
    figures = orchestra.run_sync(plan, journal=tmp_path / "j.db", run_id="r").coordination
    nodes = [one["node"] for one in Raw(tmp_path / "j.db", "r").of("sample.replied")]
    assert {"<last lead>", "<last lead repair 1>", "<last lead repair 2>", "<repair last 1>"} < {*nodes}
    assert (figures.turns, figures.tokens) == (1 + 3 + 3 + 3 + 1 + 1, 101 * 12)
    assert figures.unproductive_tokens == 101 * 4
    assert figures.success is None


def test_a_run_that_did_not_end_has_no_score(tmp_path: Path) -> None:
    """What was not answered yet is not wrong; what was answered is graded."""

    def stop(prompt: orchestra.Prompt, sampling: orchestra.Sampling) -> str:
        if "Question 1" in prompt.content():
            raise KeyboardInterrupt
        return '{"answer":"green"}'

    plan = orchestra.plan(
        graph(with_tools=False), model=Scripted(stop), choices=orchestra.Choices(topology="sequential")
    )
    with pytest.raises(KeyboardInterrupt):
        orchestra.run_sync(plan, journal=tmp_path / "j.db", run_id="r")
    with orchestra.Journal(tmp_path / "j.db", "read") as journal:
        from orchestra.result import result_of
        from orchestra_agents.journal.replay import RunState

        figures = result_of("r", RunState.of(journal.entries("r")), journal.path).coordination
    assert (figures.success, figures.error_rate) == (None, 1.0)


def figures(**said: Json) -> Coordination:
    """Return figures that are all 0 or unknown but for those said."""
    none: dict[str, Json] = dict.fromkeys(field.name for field in fields(Coordination))
    return Coordination(
        **none | {"turns": 0, "messages": 0, "tokens": 0, "unproductive_tokens": 0, "actions": {}} | said
    )


def test_what_cannot_be_compared_is_unknown() -> None:
    """Without turns, errors, waste or a reference on either side there is no ratio, and no error either."""
    none = figures().beside(figures())
    assert [getattr(none, name) for name in ALONE] == [None] * 5
    perfect = figures(turns=2, success=1.0, error_rate=0.0, unproductive_share=0.0)
    many = figures(turns=6, success=0.5, error_rate=0.5, unproductive_share=0.2).beside(perfect)
    assert [many.overhead_percent, many.efficiency] == pytest.approx([200, 0.5 / 3])
    assert (many.failure_ratio, many.unproductive_token_ratio, many.absorption) == (None, None, None)
    same = perfect.beside(perfect)
    assert (same.overhead_percent, same.efficiency) == (0, 1)
    worse = perfect.beside(figures(turns=2, success=0.75, error_rate=0.25, unproductive_share=0.1))
    assert (worse.failure_ratio, worse.unproductive_token_ratio, worse.absorption) == (0, 0, 1)


def test_show_tells_the_figures_and_compares_them(tmp_path: Path, call: Call) -> None:
    """`show --json` and results carry the same figures; `--baseline` adds those beside a run of one agent."""
    journal = tmp_path / "j.db"
    result = ran(journal, "many", "decentralized")
    ran(journal, "one", "solo")
    shown = call("show", "many", "--journal", journal, "--json").document["coordination"]
    assert shown == json.loads(json.dumps(result["coordination"]))
    beside = call("show", "many", "--journal", journal, "--json", "--baseline", "one").document["coordination"]
    check(beside, compared(recounted(journal, "many"), recounted(journal, "one")))
    assert beside["overhead_percent"] > 0
    itself = call("show", "one", "--journal", journal, "--json", "--baseline", "one").document["coordination"]
    assert (itself["overhead_percent"], itself["absorption"]) == (0, 0)


def test_a_baseline_is_a_run_of_a_task_graph(tmp_path: Path, call: Call) -> None:
    """A chain, a run of a team, and a run that is not there, are refused in a sentence."""
    journal = tmp_path / "j.db"
    ran(journal, "many", "solo")
    ran(journal, "team", "decentralized")
    call("drive", "hanoi:disks=2", "--model", "simulated", "--journal", journal, "--run-id", "chain")
    refused = [("many", "chain", "task graphs"), ("chain", "many", "chain"), ("many", "no", "no")]
    for run_id, baseline, told in [*refused, ("many", "team", "a run of one agent")]:
        done = call("show", run_id, "--journal", journal, "--baseline", baseline)
        assert done.code == 2
        assert told in done.err
