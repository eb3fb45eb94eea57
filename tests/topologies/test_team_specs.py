"""Teams as a user asks for them: every way of writing one, the study's defaults, refusals, sizes, who gets which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orchestra
from orchestra_agents.answers import AnswerType
from orchestra_topologies.teams.team import _OPTIONS, MOST_AGENTS, Joint, Team, TeamName, TeamSpec, choose_team

Json = Any
CHOICE = {"choice": ["a", "b"]}
NAMES: tuple[TeamName, ...] = get_args(TeamName)


def parsed(said: Json) -> TeamSpec:
    """Return the team that `said` names, which is not `auto`."""
    spec = TeamSpec.parse(said, "team")
    assert spec is not None
    return spec


def subtask(said: Json, **more: Json) -> Json:
    return {"id": "a", "description": "Say it.", "team": said, **more}


@st.composite
def specs(draw: st.DrawFn) -> TeamSpec:
    """Return a team with any of its options, in any order, within their ranges and the most agents of a team."""
    name = draw(st.sampled_from(NAMES))
    options = draw(st.permutations(list(_OPTIONS[name])))
    asked = options[: draw(st.integers(0, len(options)))]
    given = tuple((one, draw(st.integers(_OPTIONS[name][one].low, _OPTIONS[name][one].high))) for one in asked)
    joints: list[Joint | None] = [None, "code", "model"]
    join = draw(st.sampled_from(joints)) if name == "tree" else None
    spec = TeamSpec(name=name, options=given, join=join)
    return spec if spec.agents <= MOST_AGENTS else TeamSpec(name=name, join=join)


@given(specs())
def test_what_a_team_is_called_parses_back_to_it(spec: TeamSpec) -> None:
    """`str` round-trips, and the mapping of a graph file says the same as the text."""
    assert parsed(str(spec)) == spec
    options = dict(spec.options) | ({"join": spec.join} if spec.join else {})
    assert parsed({spec.name: options}) == spec
    assert parsed(str(spec)).agents == spec.agents


@pytest.mark.parametrize("name", NAMES)
def test_a_name_alone_is_a_team(name: TeamName) -> None:
    """Each team has its defaults, so that its name says all."""
    assert parsed(name) == parsed({name: {}}) == parsed(f"{name}:") == TeamSpec(name=name)
    assert str(parsed(name)) == name


def test_auto_is_no_team() -> None:
    """`auto` leaves the choice to the answer type, and has no options."""
    assert TeamSpec.parse("auto", "team") is None
    assert TeamSpec.parse({"auto": {}}, "team") is None
    with pytest.raises(orchestra.InputError, match="must be auto, solo"):
        TeamSpec.parse("auto:agents=3", "team")


def test_defaults_are_those_of_the_study() -> None:
    """Three agents; three rounds of debate; at most five rounds under a lead; three turns a round, ten alone."""
    said = {
        name: {option: parsed(name).option(option) for option in ("agents", "rounds", "turns")} for name in NAMES[2:6]
    }
    assert said == {
        "independent": {"agents": 3, "rounds": 0, "turns": 10},
        "centralized": {"agents": 3, "rounds": 5, "turns": 3},
        "decentralized": {"agents": 3, "rounds": 3, "turns": 3},
        "peers": {"agents": 3, "rounds": 5, "turns": 3},
    }
    assert [parsed(name).option("turns") for name in ("solo", "vote", "tree")] == [10, 10, 10]
    assert [parsed("tree").option(option) for option in ("fan_in", "depth", "tokens")] == [3, 1, 0]


@pytest.mark.parametrize(
    ("said", "agents"),
    [
        ("solo", 1),
        ("vote", 1),
        ("independent:agents=7", 7),
        ("decentralized", 3),
        ("centralized", 4),
        ("peers:agents=5", 6),
        ("tree", 4),
        ("tree:fan_in=2,depth=9", 1023),
    ],
)
def test_a_team_knows_how_many_agents_it_has(said: str, agents: int) -> None:
    """A lead counts, and so does every joint of a tree, whoever joins."""
    assert parsed(said).agents == agents


@pytest.mark.parametrize("fan_in", [2, 3, 5, 9])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_tree_has_b_to_the_l_plus_1_less_1_over_b_less_1_agents(fan_in: int, depth: int) -> None:
    """(b^(L+1) - 1)/(b - 1) agents, b^L of which are leaves, the only ones that are asked where code joins."""
    spec = parsed(f"tree:fan_in={fan_in},depth={depth}")
    assert spec.agents == (fan_in ** (depth + 1) - 1) // (fan_in - 1)
    calls = {join: Team("tree", spec=spec, join=join).calls for join in ("code", "model")}
    assert calls == {"code": fan_in**depth, "model": spec.agents}


@pytest.mark.parametrize(
    ("said", "calls"),
    [
        ("independent:agents=4", 4),
        ("decentralized:agents=4,rounds=2", 8),
        ("centralized:agents=3,rounds=1", 1 + 3 + 1),
        ("centralized:agents=3,rounds=2", 1 + 3 + 1 + 3 + 1),
        ("centralized:agents=3", 1 + 3 + 1 + 3 + 1 + 1),
        ("peers:agents=2", 1 + 2 + 1 + 2 + 1 + 1),
    ],
)
def test_a_team_knows_how_many_calls_it_makes(said: str, calls: int) -> None:
    """Plan, rounds, readings between them and synthesis; a lead that has enough stops after the second round."""
    spec = parsed(said)
    assert Team(spec.name, spec=spec).calls == calls


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("quartet", "team: must be auto, solo, vote, independent, centralized, decentralized, peers or tree, got"),
        ("Solo", "must be auto, solo"),
        ("", "must be auto, solo"),
        ({"solo": {}, "vote": {}}, "alone or with options"),
        ({"tree": 3}, "alone or with options"),
        ({"tree": {3: 3}}, "alone or with options"),
        ({"tree": None}, "alone or with options"),
        (["solo"], "alone or with options"),
        (3, "alone or with options"),
        (True, "alone or with options"),
        ("tree:fan_in", "must be written NAME:option=value,option=value, each once"),
        ("tree:depth=1,depth=2", "must be written NAME:option=value,option=value, each once"),
        ("solo:agents=3", "team: solo has no option 'agents'; it has turns"),
        ("independent:rounds=3", "independent has no option 'rounds'; it has agents, turns"),
        ("tree:agents=3", "tree has no option 'agents'; it has fan_in, depth, tokens, turns, join"),
        ("peers:join=code", "peers has no option 'join'; it has agents, rounds, turns"),
        ("decentralized:agents=1", "team.agents: must be an integer from 2 to 64, agents that work, got 1"),
        ("decentralized:agents=65", "team.agents: must be an integer from 2 to 64"),
        ("decentralized:rounds=0", "team.rounds: must be an integer from 1 to 20, rounds, got 0"),
        ("centralized:agents=three", "got 'three'"),
        ("centralized:agents=-3", "got '-3'"),
        ("centralized:agents=3.0", "got '3.0'"),
        ("centralized:agents=99999999999999999999", "must be an integer from 2 to 64"),
        ("centralized:agents=\N{ARABIC-INDIC DIGIT THREE}", "must be an integer from 2 to 64"),
        ({"centralized": {"agents": 3.0}}, "got 3.0"),
        ({"centralized": {"agents": True}}, "must be an integer from 2 to 64, agents that work, got"),
        ({"centralized": {"agents": "3"}}, "got '3'"),
        ({"centralized": {"agents": [3]}}, "must be an integer from 2 to 64"),
        ("tree:join=judge", "team.join: must be code or model, got 'judge'"),
        ({"tree": {"join": ["code"]}}, "team.join: must be code or model"),
        ("tree:fan_in=10,depth=4", "team: must have at most 2,000 agents, this tree has 11,111"),
    ],
)
def test_what_is_no_team_is_refused_in_one_sentence(said: Json, message: str) -> None:
    """The sentence names the field, what may stand there and what does, on the command line and in a graph file."""
    with pytest.raises(orchestra.InputError) as refused:
        TeamSpec.parse(said, "team")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(orchestra.InputError, match=r"subtasks\[a\]\.team"):
        orchestra.TaskGraph([subtask(said)])
    if isinstance(said, str):
        with pytest.raises(orchestra.InputError) as refused:
            orchestra.Choices(team=said)
        assert message in str(refused.value)


@pytest.mark.parametrize(
    "said",
    ["tree:fan_in=2,depth=2,join=model,tokens=64", {"tree": {"fan_in": 2, "depth": 2, "join": "model", "tokens": 64}}],
)
@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_graph_file_says_a_team_as_text_or_as_a_mapping(tmp_path: Path, said: Json, suffix: str) -> None:
    """Both mean the same subtask, which a written graph says as text."""
    path = tmp_path / f"graph.{suffix}"
    path.write_text(json.dumps({"subtasks": [subtask(said)]}))  # JSON is YAML
    graph = orchestra.TaskGraph.load(path)
    [team] = orchestra.plan(graph).design.teams.values()
    assert str(team) == "tree(fan_in=2, depth=2, tokens=64, join=model)"
    assert orchestra.TaskGraph.from_dict(graph.to_dict()) == graph
    assert graph.to_dict()["subtasks"][0]["team"] == "tree:fan_in=2,depth=2,tokens=64,join=model"


@pytest.mark.parametrize(
    ("asked", "answer", "team"),
    [
        (None, CHOICE, "vote(k=3)"),
        (None, "text", "solo"),
        ("solo", CHOICE, "solo"),
        ("solo:turns=4", "text", "solo(turns=4)"),
        ("vote:turns=4", "number", "vote(k=3, turns=4)"),
        ("independent", "text", "independent(agents=3)"),
        ("decentralized:rounds=2,turns=1", "code", "decentralized(agents=3, rounds=2, turns=1)"),
        ("centralized", CHOICE, "centralized(agents=3, rounds=5)"),
        ("peers:rounds=2", "text", "peers(agents=3, rounds=2)"),
        ("tree", "number", "tree(fan_in=3, depth=1, join=code)"),
        ("tree", "text", "tree(fan_in=3, depth=1, join=model)"),
        ("tree", "code", "tree(fan_in=3, depth=1, join=model)"),
        ("tree:tokens=9,join=model", CHOICE, "tree(fan_in=3, depth=1, tokens=9, join=model)"),
    ],
)
def test_what_was_asked_for_is_told_with_all_that_decides_the_answer(
    asked: str | None, answer: Json, team: str
) -> None:
    """Sizes, rounds and joint are told always, turns where they were asked for: they count with tools only."""
    spec = None if asked is None else parsed(asked)
    assert str(choose_team(spec, AnswerType.parse(answer), k=None, field="team")) == team


@pytest.mark.parametrize(
    ("asked", "answer", "message"),
    [
        ("vote", "text", "team: vote needs an answer that can be counted, not text; use solo or auto"),
        ("vote", "code", "not code; use solo or auto"),
        ("tree:join=code", "text", "tree:join=code needs an answer that can be counted, not text; use join=model"),
    ],
)
def test_a_subtasks_own_team_must_be_able_to_answer_it(asked: str, answer: str, message: str) -> None:
    """Code counts no prose: such a team is refused where the subtask itself asks for it."""
    with pytest.raises(orchestra.InputError) as refused:
        choose_team(parsed(asked), AnswerType.parse(answer), k=None, field="team")
    assert message in str(refused.value)
    graph = orchestra.TaskGraph([subtask(asked, answer=answer)])
    with pytest.raises(orchestra.InputError, match=r"^subtasks\[a\]\.team: "):
        orchestra.plan(graph)


@pytest.mark.parametrize(
    ("asked", "counted", "prose"),
    [
        ("auto", "vote(k=3)", "solo"),
        ("solo", "solo", "solo"),
        ("vote", "vote(k=3)", "solo"),
        ("independent", "independent(agents=3)", "independent(agents=3)"),
        ("decentralized", "decentralized(agents=3, rounds=3)", "decentralized(agents=3, rounds=3)"),
        ("tree", "tree(fan_in=3, depth=1, join=code)", "tree(fan_in=3, depth=1, join=model)"),
        ("tree:join=code", "tree(fan_in=3, depth=1, join=code)", "tree(fan_in=3, depth=1, join=model)"),
        ("tree:join=model", "tree(fan_in=3, depth=1, join=model)", "tree(fan_in=3, depth=1, join=model)"),
    ],
)
def test_under_a_run_wide_team_what_cannot_be_counted_gets_the_nearest_that_can_answer(
    asked: str, counted: str, prose: str
) -> None:
    """Where votes are asked for, text has one agent; where code is to join, a model joins it; all else is the same."""
    graph = orchestra.TaskGraph(
        [
            {"id": "counted", "description": "Which?", "answer": CHOICE},
            {"id": "prose", "description": "Tell."},
            {"id": "own", "description": "Tell.", "team": "peers:agents=2"},
        ]
    )
    made = orchestra.plan(graph, choices=orchestra.Choices(team=asked)).design
    assert {one: str(team) for one, team in made.teams.items()} == {
        "counted": counted,
        "prose": prose,
        "own": "peers(agents=2, rounds=5)",
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_task_has_the_run_wide_team(name: str) -> None:
    """Under `single` one team answers for all subtasks; one that cannot count the whole answer is refused."""
    counted: list[Json] = [{"id": "a", "description": "Tell."}, {"id": "b", "description": "Which?", "answer": CHOICE}]
    choices = orchestra.Choices(topology="single", team=name)
    graph = orchestra.TaskGraph([counted[0], counted[1] | {"depends_on": ["a"]}])
    assert list(orchestra.plan(graph, choices=choices).design.teams) == ["<whole>"]
    if name == "vote":
        with pytest.raises(orchestra.InputError, match="needs an answer that can be counted"):
            orchestra.plan(orchestra.TaskGraph(counted), choices=choices)


def test_choices_keep_a_team_as_it_is_written() -> None:
    """A plan file holds the team as text, and planning it again gives the same teams."""
    plan = orchestra.plan(
        orchestra.TaskGraph([subtask(None)]), choices=orchestra.Choices(team="decentralized:rounds=2,agents=5")
    )
    assert plan.choices.team == "decentralized:rounds=2,agents=5"
    again = orchestra.Plan.from_dict(plan.to_dict() | {"decision": plan.design.decision_dict()})
    assert again.design.team == plan.design.team == "decentralized(agents=5, rounds=2)"
