"""What a model's server sees of each team: who is asked what, when, and with whose words in the prompt."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import orchestra
from orchestra_agents.roles.cards import RoleCard
from orchestra_topologies.router import Topology
from tests.orchestra.team_server import CHOICE, TEAMS, Server, answer, asked, records, verdict

Json = Any
TOPOLOGIES: tuple[Topology, ...] = ("single", "sequential", "parallel", "hierarchical", "hybrid")
OBJECT = {"json": {"type": "object", "properties": {"size": {"type": "number"}}, "required": ["size"]}}
DIAMOND: list[Json] = [
    {"id": "left", "description": "left: say it."},
    {"id": "right", "description": "right: say it."},
    {"id": "middle", "description": "middle: which?", "answer": CHOICE, "depends_on": {"left": "weak"}},
    {"id": "last", "description": "last: say it.", "depends_on": {"middle": "strong", "right": "weak"}},
]


async def test_independent_is_n_separate_solves_of_the_goal(tmp_path: Path) -> None:
    """The same prompt n times at once, with n seeds; nobody's words in it, and nothing else is asked."""
    server = Server(together=4)
    result = await asked(server, tmp_path, "independent:agents=4")
    assert [seen.kind for seen in server.seen] == ["solve"] * 4
    assert len({seen.text for seen in server.seen}) == 1
    assert len({seen.seed for seen in server.seen}) == 4
    assert server.seen[0].data() == []
    assert max(seen.in_flight for seen in server.seen) == 4
    assert result.usage.calls == result.subtasks["a"]["samples"] == 4
    parts = re.findall(r"=== (agent \d) ===\n(WORDS \w+)", result.answer)
    assert [name for name, _ in parts] == ["agent 1", "agent 2", "agent 3", "agent 4"]
    assert {text for _, text in parts} == {seen.said for seen in server.seen}


async def test_decentralized_is_d_rounds_in_which_everybody_reads_everybody(tmp_path: Path) -> None:
    """There are d rounds of n; later ones carry all peers' texts of the round before, and the agent's own."""
    server = Server()
    result = await asked(server, tmp_path, "decentralized:agents=4,rounds=3")
    rounds = server.in_rounds(4, "solve")
    assert [len(round_) for round_ in rounds] == [4, 4, 4]
    assert len(server.seen) == 12
    assert len({seen.seed for seen in server.seen}) == 12
    assert [seen.data() for seen in rounds[0]] == [[]] * 4
    for before, after in pairwise(rounds):
        said = {seen.said for seen in before}
        assert {text for seen in after for text in seen.own()} == said
        for seen in after:
            assert len(seen.own()) == 1
            assert sorted(seen.heard() + seen.own()) == sorted(said)
            assert len(seen.data()) == 4
    assert result.answer in [seen.said for seen in rounds[2]]


async def test_the_first_of_equals_is_agent_1s(tmp_path: Path) -> None:
    """Texts that all differ are a tie, which goes to agent 1, whoever answers first."""
    await asked(Server(), tmp_path, "decentralized:agents=3,rounds=1")
    ended = {one["node"]: one["answer"] for one in records(tmp_path, "subtask.ended")}
    assert ended["a"] == ended["<a agent 1>"] != ended["<a agent 2>"]


async def test_what_each_agent_said_last_is_counted(tmp_path: Path) -> None:
    """The answer that most agents gave in the last round wins, whatever they said before."""
    told = iter(["red", "red", "green", "green", "green", "blue"])
    server = Server(lambda seen: answer(next(told)))
    result = await asked(server, tmp_path, "decentralized:rounds=2", CHOICE, topology="sequential")
    assert result.answer == "green"
    assert result.subtasks["a"]["selected"] == {"by": "majority", "agents": 3, "tally": {"green": 2, "blue": 1}}


@pytest.mark.parametrize("team", ["centralized", "peers"])
async def test_centralized_is_a_plan_rounds_and_a_synthesis(tmp_path: Path, team: str) -> None:
    """The lead plans, reads the findings between rounds and synthesises all of them in the end.

    Each worker reads its own objective and, later, its own findings and its guidance; with `peers` what its peers
    found in the round before, too.
    """
    server = Server(lambda seen: verdict(seen, "CONTINUE"))
    result = await asked(server, tmp_path, f"{team}:agents=3,rounds=3")
    kinds = ["work", "work", "work", "coordinate"]
    assert [seen.kind for seen in server.seen] == ["plan", *kinds, *kinds, *kinds[:3], "synthesise"]
    assert result.usage.calls == 13
    assert result.answer == server.seen[-1].said
    check_objectives(server)
    rounds, leads = server.in_rounds(3, "work"), server.of("coordinate", "synthesise")
    for round_, lead in zip(rounds, leads, strict=True):
        assert max(seen.left for seen in round_) <= lead.came
        assert sorted(lead.heard()) == sorted(seen.said for seen in round_)
    for before, lead, after in zip(rounds, leads, rounds[1:], strict=False):
        assert lead.left <= min(seen.came for seen in after)
        guidance = json.loads(lead.said)["answer"]["guidance"]
        assert sorted(text for seen in after for text in seen.data('kind="guidance"')) == sorted(guidance)
        said = {seen.said for seen in before}
        assert {text for seen in after for text in seen.own()} == said
        for seen in after:
            assert set(seen.heard()) == (said - set(seen.own()) if team == "peers" else set())
    assert [seen.heard() + seen.own() for seen in rounds[0]] == [[], [], []]


def check_objectives(server: Server) -> None:
    """Check that each worker has one objective of the plan in all rounds, and never reads another one's."""
    plan = json.loads(server.seen[0].said)["answer"]["subtasks"]
    objectives = [f"{part['objective']} {part['focus']}" for part in plan]
    for number, round_ in enumerate(server.in_rounds(3, "work"), 1):
        told = [seen.data('kind="objective"') for seen in round_]
        assert sorted(told) == sorted([one] for one in objectives)
        for seen, mine in zip(round_, told, strict=True):
            assert [one for one in objectives if one in seen.text] == mine
            assert f"This is round {number}." in seen.text
            assert seen.words == "a: say it."


@pytest.mark.parametrize("team", ["centralized", "peers"])
async def test_a_lead_is_not_believed_after_the_first_round(tmp_path: Path, team: str) -> None:
    """One that says STOP from the start is heard after the second round."""
    server = Server(lambda seen: verdict(seen, "STOP"))
    await asked(server, tmp_path, team)
    kinds = [seen.kind for seen in server.seen]
    assert kinds == ["plan", *["work"] * 3, "coordinate", *["work"] * 3, "coordinate", "synthesise"]


async def test_a_lead_that_goes_on_gets_five_rounds(tmp_path: Path) -> None:
    """After the last round there is nothing to coordinate, so it is not asked whether to stop."""
    server = Server(lambda seen: verdict(seen, "CONTINUE"))
    await asked(server, tmp_path, "centralized")
    assert Counter(seen.kind for seen in server.seen) == {"plan": 1, "work": 15, "coordinate": 4, "synthesise": 1}


async def test_with_no_findings_a_lead_is_not_believed_before_the_third_round(tmp_path: Path) -> None:
    """Where nobody finds anything there are three rounds, no synthesis and no answer."""
    server = Server(lambda seen: verdict(seen, "STOP"), refuses=lambda seen: seen.kind == "work")
    result = await asked(server, tmp_path, "centralized:agents=2")
    assert Counter(seen.kind for seen in server.seen) == {"plan": 1, "work": 6, "coordinate": 3}
    assert server.of("coordinate")[0].heard() == ["(no answer)", "(no answer)"]
    assert (result.status, result.answer) == ("failed", None)


async def test_a_lead_has_room_for_its_plan(tmp_path: Path) -> None:
    """Its notes fit where a reply of the run would be too short; its synthesis is a reply like any other."""
    server = Server(lambda seen: verdict(seen, "STOP"))
    await asked(server, tmp_path, "centralized:agents=4", max_tokens=20)
    room = {seen.kind: seen.max_tokens for seen in server.seen}
    assert room == {"plan": 9 * 150, "work": 20, "coordinate": 4 * 150, "synthesise": 20}


@pytest.mark.parametrize(("fan_in", "depth"), [(3, 1), (3, 2), (2, 3)])
async def test_a_tree_joined_by_a_model_asks_each_of_its_agents_once(tmp_path: Path, fan_in: int, depth: int) -> None:
    """b^L leaves that know nothing of one another; then, level by level, each joint reads b messages of m tokens."""
    server = Server()
    result = await asked(server, tmp_path, f"tree:fan_in={fan_in},depth={depth},join=model,tokens=40")
    assert result.usage.calls == len(server.seen) == (fan_in ** (depth + 1) - 1) // (fan_in - 1)
    assert len({seen.seed for seen in server.seen}) == len(server.seen)
    messages, joints = server.of("solve"), server.of("join")
    assert len({seen.text for seen in messages}) == 1
    assert messages[0].data() == []
    while joints:
        readers, joints = joints[: len(messages) // fan_in], joints[len(messages) // fan_in :]
        assert {seen.max_tokens for seen in messages} == {40}
        assert max(seen.left for seen in messages) <= min(seen.came for seen in readers)
        assert {len(seen.heard()) for seen in readers} == {fan_in}
        assert sorted(text for seen in readers for text in seen.heard()) == sorted(seen.said for seen in messages)
        messages = readers
    assert [(seen.max_tokens, seen.said) for seen in messages] == [(512, result.answer)]


async def test_messages_of_a_tree_are_never_longer_than_a_reply_may_be(tmp_path: Path) -> None:
    """A run's own cap on replies holds where messages might be longer."""
    server = Server()
    await asked(server, tmp_path, "tree:join=model,tokens=1000", max_tokens=100)
    assert {seen.max_tokens for seen in server.seen} == {100}


async def test_a_tree_joined_by_code_asks_nobody_above_its_leaves(tmp_path: Path) -> None:
    """Nine leaves and nothing else; each joint counts its three, so that the answer of most triples wins."""
    told = iter(["red", "red", "blue", "red", "green", "red", "blue", "blue", "blue"])
    server = Server(lambda seen: answer(next(told)))
    result = await asked(server, tmp_path, "tree:depth=2,tokens=30", CHOICE, topology="sequential")
    assert [(seen.kind, seen.max_tokens, seen.data()) for seen in server.seen] == [("solve", 30, [])] * 9
    assert result.subtasks["a"]["selected"] == {"by": "majority", "tally": {"red": 2, "blue": 1}}
    assert result.answer == "red"
    assert records(tmp_path, "message.sent") == []


@pytest.mark.parametrize("team", [*TEAMS, "tree"])
async def test_in_sequential_no_team_has_two_requests_in_flight(tmp_path: Path, team: str) -> None:
    """Agents work one after the other there, in the order of their numbers."""
    server = Server(takes_s=0)
    graph = [subtask | {"answer": CHOICE} for subtask in DIAMOND] if team == "tree" else DIAMOND
    result = await asked(server, tmp_path, team, graph, topology="sequential")
    assert result.status == "ok"
    assert {seen.in_flight for seen in server.seen} == {1}


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("team", TEAMS)
async def test_each_team_works_in_every_topology(tmp_path: Path, team: str, topology: Topology) -> None:
    """For one subtask after another, for several at once, and for the whole task under `single`."""
    server = Server()
    result = await asked(server, tmp_path, team, DIAMOND, topology=topology)
    assert (result.status, result.topology) == ("ok", topology)
    ended = {one["node"]: one["team"] for one in records(tmp_path, "team.ended")}
    assert ended.keys() == ({"<whole>"} if topology == "single" else result.subtasks.keys())
    assert set(ended.values()) == {result.team}
    if topology == "single":
        assert {subtask["covered_by"] for subtask in result.subtasks.values()} == {"whole"}
        assert {seen.words for seen in server.seen} == {"4. last: say it."}
    else:
        middle = result.subtasks["middle"]["answer"]
        readers = [seen for seen in server.seen if seen.words == "last: say it."]
        assert {tuple(seen.data('from="middle"')) for seen in readers} == {(middle,)}


@pytest.mark.parametrize("team", TEAMS)
async def test_a_team_works_in_a_run_that_was_approved(tmp_path: Path, team: str) -> None:
    """The checkpointer that the question needs does not get between the teams of a run, several at once."""
    plan = orchestra.plan(
        orchestra.TaskGraph(DIAMOND), model="simulated", choices=orchestra.Choices(topology="hybrid", team=team)
    )
    result = await orchestra.run(plan, journal=tmp_path / "j.db", approve=lambda graph, design: True)
    assert result.status == "ok"


@pytest.mark.parametrize("kind", ["text", "code", "number", CHOICE, OBJECT], ids=str)
@pytest.mark.parametrize("team", TEAMS)
async def test_a_teams_answer_is_of_the_questions_type(tmp_path: Path, team: str, kind: Json) -> None:
    """Whoever has the last word, code or a model, gives a choice, a number, an object, a text or code."""
    server = Server()
    result = await asked(server, tmp_path, team, kind)
    assert result.status == "ok"
    assert orchestra.AnswerType.parse(kind).problem(result.answer) is None
    last = server.of("synthesise", "join") or server.seen
    if kind in ("text", "code") and team != "independent":
        assert result.answer in [seen.said for seen in last]
    if kind == "code":
        assert re.fullmatch(r"WORDS \w+", result.answer)


async def test_members_of_a_panel_take_turns(tmp_path: Path) -> None:
    """Agent i asks member i of the panel, round and round, in every round, beginning elsewhere for another subtask."""
    server = Server()
    graph = [{"id": name, "description": f"{name}: say it."} for name in "ab"]
    models = ["vllm:m0", "vllm:m1", "vllm:m2"]
    await asked(server, tmp_path, "decentralized:agents=4,rounds=2", graph, model=models, topology="sequential")
    assert [seen.model for seen in server.seen] == [
        *["m0", "m1", "m2", "m0", "m0", "m1", "m2", "m0"],
        *["m1", "m2", "m0", "m1", "m1", "m2", "m0", "m1"],
    ]


PANELS = {"worker": "vllm:w", "lead": ["vllm:l0", "vllm:l1"], "summariser": ["vllm:s0", "vllm:s1"]}


async def test_a_lead_is_one_member_of_its_panel(tmp_path: Path) -> None:
    """All that the lead of one question says comes from one model, and another one leads the next question."""
    server = Server(lambda seen: verdict(seen, "STOP"))
    graph = [{"id": name, "description": f"{name}: say it."} for name in "ab"]
    await asked(server, tmp_path, "centralized", graph, model=PANELS, topology="sequential")
    leads = [(seen.words, seen.model) for seen in server.of("plan", "coordinate", "synthesise")]
    assert leads == [("a: say it.", "l0")] * 4 + [("b: say it.", "l1")] * 4
    assert {seen.model for seen in server.of("work")} == {"w"}


async def test_joints_of_a_tree_are_summarisers_and_take_turns(tmp_path: Path) -> None:
    """The joints of a level are spread over the summarisers' panel; the leaves are workers."""
    server = Server()
    await asked(server, tmp_path, "tree:depth=2,join=model", model=PANELS, topology="sequential")
    assert [seen.model for seen in server.of("join")] == ["s0", "s1", "s0", "s0"]
    assert {seen.model for seen in server.of("solve")} == {"w"}


async def test_each_agent_has_the_card_of_its_role(tmp_path: Path) -> None:
    """A subtask's role is that of the agents that work, said to each of them once; lead and joints have their own."""
    cards = {name: RoleCard(name=name, words=f"I AM {name}.") for name in ("poet", "lead", "summariser")}
    graph = [{"id": "a", "description": "a: say it.", "role": "poet"}]
    for team in ("peers:rounds=2", "tree:join=model"):
        server, folder = Server(), tmp_path / team[:4]
        folder.mkdir()
        await asked(server, folder, team, graph, roles=cards)
        roles = {(seen.kind, *re.findall(r"I AM \w+", seen.text)) for seen in server.seen}
        led = {(kind, "I AM lead") for kind in ("plan", "coordinate", "synthesise")} | {("work", "I AM poet")}
        assert roles == (led if team[0] == "p" else {("solve", "I AM poet"), ("join", "I AM summariser")})


async def test_teams_of_one_run_work_side_by_side(tmp_path: Path) -> None:
    """Teams that may start together do: one does not wait for the rounds of the other."""
    server = Server(together=6)
    await asked(server, tmp_path, "decentralized:rounds=2", DIAMOND[:2], topology="parallel")
    assert Counter(seen.words for seen in server.seen[:6]) == {"left: say it.": 3, "right: say it.": 3}
    assert server.seen[5].in_flight == 6


async def test_inputs_that_do_not_fit_are_condensed_for_each_agent(tmp_path: Path) -> None:
    """What peers say is made to fit the window, by a summariser, or cut where nothing may be in flight beside."""
    words = " ".join(f"word{place}" for place in range(200))
    for topology in ("single", "sequential"):
        server, folder = Server(lambda seen: words if seen.kind == "solve" else None), tmp_path / topology
        folder.mkdir()
        choices: Json = {"window": 900, "max_tokens": 100, "topology": topology}
        result = await asked(server, folder, "decentralized:rounds=2", model=PANELS, **choices)
        assert result.status == "ok"
        how = {(one["node"], one["how"]) for one in records(folder, "input.condensed")}
        wanted = "aggregated" if topology == "single" else "truncated"
        assert how == {(f"<a agent {number} round 2>", wanted) for number in (1, 2, 3)}


@pytest.mark.parametrize("right", [3.0, 1e3])
async def test_a_simulated_agent_reads_equal_numbers_as_equal(tmp_path: Path, right: float) -> None:
    """A number that a peer gives as 3 is the reference 3.0: agents that never err agree on it in every round."""
    graph: list[Json] = [
        {"id": "a", "description": "a: how many?", "answer": "number", "truth": {"answer": right, "wrong": [7]}}
    ]
    for team in ("decentralized:rounds=3", "tree:depth=2,join=model", "peers"):
        choices = orchestra.Choices(team=team)
        plan = orchestra.plan(orchestra.TaskGraph(graph), model="simulated:p=1", choices=choices)
        result = await orchestra.run(plan, journal=tmp_path / "j.db")
        assert (result.answer, result.coordination.error_rate) == (right, 0)
