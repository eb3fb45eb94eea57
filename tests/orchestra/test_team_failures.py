"""Teams in which something goes wrong: agents and leads that fail, a budget that ends, time that is up, a check."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import orchestra
from tests.agents.fake_openai import Reply, fake_server
from tests.orchestra.team_server import CHOICE, TEAMS, Seen, Server, asked, records, verdict

Json = Any
GOOD_AND_BAD = ["vllm:good", "vllm:bad", "vllm:good"]


def is_bad(seen: Seen) -> bool:
    """Whether it is asked of the model that always fails."""
    return seen.model == "bad"


@pytest.mark.parametrize("team", TEAMS)
async def test_a_team_does_without_agents_that_fail(tmp_path: Path, team: str) -> None:
    """What the others say makes the answer; whoever reads them sees the empty place, not why it is empty."""
    server = Server(refuses=is_bad)
    model = {"worker": GOOD_AND_BAD, "lead": "vllm:good", "summariser": "vllm:good"}
    result = await asked(server, tmp_path, team, model=model)
    assert (result.status, result.notes) == ("ok", [])
    assert [seen for seen in server.seen if "refused here" in seen.text] == []
    said = {seen.said for seen in server.seen if is_bad(seen)}
    assert [seen for seen in server.seen if said & {*seen.data()}] == []
    readers = [seen for seen in server.seen if seen.heard()]
    if team == "tree:join=model":  # a joint reads those answers that there are
        assert [len(seen.heard()) for seen in readers] == [2]
    elif team != "independent":
        assert {seen.heard().count("(no answer)") for seen in readers if not is_bad(seen)} == {1}
    if team == "independent":
        assert [line for line in result.answer.splitlines() if "=" in line] == ["=== agent 1 ===", "=== agent 3 ==="]


@pytest.mark.parametrize("team", TEAMS)
async def test_a_team_all_of_whose_agents_fail_fails(tmp_path: Path, team: str) -> None:
    """The cause is the first agent's, and is not shown to anybody but the user."""
    server = Server(refuses=lambda seen: seen.kind in ("solve", "work"))
    result = await asked(server, tmp_path, team)
    assert (result.status, result.answer) == ("failed", None)
    cause = result.subtasks["a"]["cause"]
    assert cause["code"] == "invalid"
    assert cause["message"].startswith("none of the 3 agents gave an answer; the first: ")
    assert "refused here" in cause["message"]
    assert server.of("join", "synthesise") == []


async def test_agents_that_keep_failing_keep_what_they_said_before(tmp_path: Path) -> None:
    """An agent that fails in a later round stands by its last answer, for its peers and for the vote."""
    server = Server(refuses=lambda seen: bool(seen.own()))
    result = await asked(server, tmp_path, "decentralized")
    first, second, third = server.in_rounds(3, "solve")
    assert result.answer in [seen.said for seen in first]
    assert [sorted(seen.data()) for seen in second] == [sorted(seen.said for seen in first)] * 3
    assert [sorted(seen.data()) for seen in third] == [sorted(seen.said for seen in first)] * 3


@pytest.mark.parametrize("team", ["centralized", "peers"])
async def test_where_a_lead_gives_no_plan_each_agent_takes_an_aspect(tmp_path: Path, team: str) -> None:
    """A plan that cannot be used is asked for again twice; then plain aspects are worked on, and the run says so."""
    server = Server(lambda seen: "no plan" if seen.kind == "plan" else verdict(seen, "STOP"))
    result = await asked(server, tmp_path, team)
    assert Counter(seen.kind for seen in server.seen) == {"plan": 3, "work": 6, "coordinate": 2, "synthesise": 1}
    assert ["could not be used" in seen.text for seen in server.of("plan")] == [False, True, True]
    objectives = [text for seen in server.in_rounds(3, "work")[0] for text in seen.data('kind="objective"')]
    assert sorted(objectives) == ["aspect 1 of 3", "aspect 2 of 3", "aspect 3 of 3"]
    assert result.status == "ok"
    [note] = result.notes
    assert note.startswith("the lead of a gave no usable plan (")
    assert note.endswith("); each agent took an aspect")


@pytest.mark.parametrize("team", ["centralized", "peers"])
async def test_a_lead_that_cannot_read_the_findings_ends_the_rounds(tmp_path: Path, team: str) -> None:
    """The findings stand as they are, are put together by the synthesis, and the run says so."""
    server = Server(lambda seen: "what?" if seen.kind == "coordinate" else None)
    result = await asked(server, tmp_path, team)
    assert Counter(seen.kind for seen in server.seen) == {"plan": 1, "work": 3, "coordinate": 3, "synthesise": 1}
    assert result.status == "ok"
    [note] = result.notes
    assert note.startswith("the lead of a did not read the findings (")


async def test_without_a_synthesis_there_is_no_answer(tmp_path: Path) -> None:
    """A lead that is out of order altogether costs the team its answer, after its workers did what they could."""
    model = {"worker": "vllm:good", "lead": "vllm:bad"}
    result = await asked(Server(refuses=is_bad), tmp_path, "centralized", model=model)
    assert (result.status, result.subtasks["a"]["cause"]["code"]) == ("failed", "invalid")
    assert [note.partition(" (")[0] for note in result.notes] == [
        "the lead of a gave no usable plan",
        "the lead of a did not read the findings",
    ]


async def test_where_no_joint_of_a_level_can_read_its_messages_the_tree_fails(tmp_path: Path) -> None:
    """It fails as its first joint did, and nothing is asked above it; one joint that can is enough to go on."""
    server = Server(refuses=lambda seen: seen.kind == "join")
    result = await asked(server, tmp_path, "tree:depth=2,join=model")
    assert Counter(seen.kind for seen in server.seen) == {"solve": 9, "join": 3}
    assert (result.status, result.subtasks["a"]["cause"]["code"]) == ("failed", "invalid")
    assert result.subtasks["a"]["cause"]["message"].count("none of") == 0
    (tmp_path / "some").mkdir()
    model = {"worker": "vllm:good", "summariser": GOOD_AND_BAD}
    server = Server(refuses=is_bad)
    result = await asked(server, tmp_path / "some", "tree:depth=2,join=model", model=model)
    assert result.status == "ok"
    assert len(server.of("join")[-1].heard()) == 2


@pytest.mark.parametrize(("graph", "calls"), [("text", 1), ("text", 4), (CHOICE, 2)], ids=["1", "4", "2 choice"])
@pytest.mark.parametrize("team", [*TEAMS, "decentralized:rounds=2"])
async def test_a_budget_that_ends_in_the_middle_leaves_a_run_that_goes_on(
    tmp_path: Path, team: str, calls: int, graph: Json
) -> None:
    """Nothing is made of what some agents said: the subtask waits for more budget, and then ends as it would have.

    Nothing that was answered is asked again, and nothing is told of agents that had no turn.
    """
    server = Server(lambda seen: verdict(seen, "STOP"))
    (tmp_path / "calm").mkdir()
    calm = await asked(server, tmp_path / "calm", team, graph)
    needed = calm.usage.calls
    seeds = Counter(seen.seed for seen in server.seen)
    assert needed > 1
    server.seen.clear()
    first = await asked(server, tmp_path, team, graph, budget=orchestra.Budget(calls=min(calls, needed - 1)))
    assert (first.status, first.answer, first.notes) == ("budget", None, [])
    assert first.subtasks["a"]["cause"]["code"] == "budget"
    assert len(server.seen) == min(calls, needed - 1)
    assert records(tmp_path, "team.ended") == []
    again = await asked(server, tmp_path, team, graph, budget=orchestra.Budget(calls=needed))
    assert (again.status, again.answer) == ("ok", calm.answer)
    assert again.subtasks["a"] | {"seconds": 0} == calm.subtasks["a"] | {"seconds": 0}
    assert Counter(seen.seed for seen in server.seen) == seeds
    assert again.coordination == calm.coordination


@pytest.mark.parametrize("team", ["decentralized", "centralized:rounds=3"])
async def test_a_team_whose_time_is_up_fails_as_a_whole(tmp_path: Path, team: str) -> None:
    """`timeout_s` is the team's, from its first call to its answer, whatever its agents took each; others go on."""
    server = Server(stalls=lambda seen: bool(seen.own()) and seen.words.startswith("a"), takes_s=0.01)
    graph = [{"id": "a", "description": "a: say it.", "timeout_s": 0.6}, {"id": "b", "description": "b: say it."}]
    result = await asked(server, tmp_path, team, graph, topology="parallel")
    a, b = result.subtasks["a"], result.subtasks["b"]
    assert (a["status"], a["cause"]["code"]) == ("failed", "timeout")
    assert a["cause"]["message"] == "no answer within timeout_s=0.6"
    assert 0.5 <= a["seconds"] < 2
    assert (b["status"], result.status) == ("ok", "failed")
    assert [one["node"] for one in records(tmp_path, "team.ended")] == ["b"]


@pytest.mark.parametrize("team", TEAMS)
async def test_an_agent_that_is_slow_alone_costs_the_team_its_time(tmp_path: Path, team: str) -> None:
    """One agent that never answers is cut short with its team."""
    server = Server(stalls=lambda seen: len(server.seen) == 2)
    result = await asked(server, tmp_path, team, timeout_s=0.4)
    assert result.subtasks["a"]["cause"]["code"] == "timeout"


@pytest.mark.parametrize("team", TEAMS)
async def test_fail_fast_cuts_a_team_short(tmp_path: Path, team: str) -> None:
    """A sibling that fails cancels all agents of a team at work, which is no end of the team."""
    server = Server(refuses=lambda seen: seen.words.startswith("b"), stalls=lambda seen: seen.words.startswith("a"))
    graph = [{"id": "a", "description": "a: say it."}, {"id": "b", "description": "b: say it.", "team": "solo"}]
    result = await asked(server, tmp_path, team, graph, topology="parallel", fail_fast=True)
    assert {one: subtask["status"] for one, subtask in result.subtasks.items()} == {"a": "cancelled", "b": "failed"}
    assert records(tmp_path, "team.ended") == []


@pytest.mark.parametrize("team", TEAMS)
async def test_a_check_is_made_of_the_teams_answer(tmp_path: Path, team: str) -> None:
    """`verify` looks at what the team came to, once, and not at what its agents say; what does not pass is mended."""
    checked: list[Json] = []

    def is_mended(answer: Json) -> bool | str:
        checked.append(answer)
        return True if "MENDED" in answer else "say MENDED"

    server = Server(lambda seen: "MENDED" if seen.data('kind="what its check said"') else verdict(seen, "STOP"))
    graph = [{"id": "a", "description": "a: say it.", "verify": is_mended, "repair": {"times": 1}}]
    result = await asked(server, tmp_path, team, graph)
    assert (result.status, result.answer) == ("ok", "MENDED")
    assert len(checked) == 2
    [mended] = [seen for seen in server.seen if seen.data('kind="what its check said"')]
    assert mended.data('kind="answer that failed"') == [checked[0]]
    assert result.notes == ["a passed its check after 1 repair"]


async def test_a_teams_answer_that_does_not_pass_fails_the_subtask(tmp_path: Path) -> None:
    """The check decides: a team whose answer it refuses has none."""
    graph = [{"id": "a", "description": "a: say it.", "verify": "grep -q nothing"}]
    result = await asked(Server(), tmp_path, "decentralized:rounds=1", graph)
    assert (result.status, result.subtasks["a"]["cause"]["code"]) == ("failed", "verify")


async def test_a_comparison_that_would_pass_a_cap_does_not_cost_the_answer(tmp_path: Path) -> None:
    """Where vectors of the agents' words are too dear, they are not compared, and the run says so."""
    result = await asked(
        Server(), tmp_path, "decentralized:rounds=1", embedding="vllm:e", budget=orchestra.Budget(calls=3)
    )
    assert result.status == "ok"
    assert result.coordination.redundancy is None
    [note] = result.notes
    assert note.startswith("the agents of a were not compared: ")


async def test_vectors_of_the_agents_words_are_asked_for_once(tmp_path: Path) -> None:
    """The agents are compared by embeddings where there are some, in the order of their numbers."""
    asked_for: list[Json] = []

    def default(request: Any) -> Reply:
        if request.path.endswith("/embeddings"):
            asked_for.append(request.body["input"])
            data = [{"index": place, "embedding": [1, place]} for place in range(len(request.body["input"]))]
            return Reply(body={"data": data})
        return server(request)

    server = Server()
    choices = orchestra.Choices(team="decentralized:rounds=1", embedding="vllm:e")
    plan = orchestra.plan(orchestra.TaskGraph([{"id": "a", "description": "a: say it."}]), choices=choices)
    async with (
        fake_server(default=default) as there,
        orchestra.Session(model="vllm:m", journal=tmp_path / "j.db", base_url=there.url) as session,
    ):
        result = await orchestra.run(plan, session=session, run_id="r")
    ended = {one["node"]: one["answer"] for one in records(tmp_path, "subtask.ended")}
    assert asked_for == [[ended[f"<a agent {number}>"] for number in (1, 2, 3)]]
    cosines = [1 / 2**0.5, 1 / 5**0.5, 3 / 10**0.5]
    assert result.coordination.redundancy == pytest.approx(sum(cosines) / 3, abs=1e-5)
    assert result.coordination.redundancy_basis == "embeddings vllm:e"
