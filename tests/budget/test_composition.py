"""What joins p, gamma, rho and k over a graph: against figures worked out by hand, laws, the referee and real runs."""

from __future__ import annotations

import ast
from dataclasses import replace
from itertools import product
from math import sqrt
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orchestra
from orchestra.budget.composition import Abilities, SizeLaw, SizePoint, compose
from orchestra.budget.spending import spending
from orchestra.budget.team_spending import Spending
from orchestra.budget.teamwork import Reading, Skill, team_accuracy
from orchestra.designing import design
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.models.simulated import SimulatedModel
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.router import Topology
from orchestra_topologies.teams.team import Team, TeamSpec, choose_team
from tests.budget import dag_referee
from tests.budget.dag_referee import World, play

CHOICE, TEXT = AnswerType("choice", choices=("yes", "no")), AnswerType("text")
TOPOLOGIES: tuple[Topology, ...] = ("single", "sequential", "parallel", "hierarchical", "hybrid")
TEAMS = ("solo", "vote", "independent", "decentralized", "centralized:rounds=2", "peers:rounds=2", "tree:depth=2")
MAJORITY = 0.8**3 + 3 * 0.8**2 * 0.2
"""Most of three at p = 0.8."""


def team(spec: str, answer: AnswerType = CHOICE, k: int | None = None) -> Team:
    """Return a team as a user asks for it."""
    return choose_team(TeamSpec.parse(spec, "team"), answer, k=k, field="team")


def able(p: float, *, gamma: float = 1.0, spoil: float = 1.0, rho: float = 0.0, **law: Any) -> Abilities:
    """Return a model that is the same at every kind of answer."""
    return Abilities(skills={}, default=Skill(p=p, rho=rho), gamma=gamma, spoil=spoil, **law)


def dag(edges: dict[str, list[str]], *, texts: str = "", coupling: str = "strong") -> TaskGraph:
    """Return a graph by the inputs of each subtask; those named in `texts` answer in words, the others by a choice."""
    choice = {"choice": ["yes", "no"]}
    return TaskGraph(
        [
            {
                "id": one,
                "description": f"Tell what follows from case {one}.",
                "answer": "text" if one in texts else choice,
                "depends_on": dict.fromkeys(before, coupling),
            }
            for one, before in edges.items()
        ]
    )


def ends(
    graph: TaskGraph, topology: Topology, spec: str, model: Abilities, k: int | None = None
) -> tuple[float, float]:
    """Return both ends of a graph that a topology and a team answer."""
    teams = design(graph, orchestra.Choices(topology=topology, team=spec, k=k)).teams
    found = compose(graph, topology, teams, model)
    return found.pessimistic, found.optimistic


@pytest.mark.parametrize(
    ("spec", "answer", "strict", "mild"),
    [
        ("solo", CHOICE, 0.8, 0.8),
        ("vote", CHOICE, 1 / (1 + (0.2 / 0.8) ** 3), 1 / (1 + (0.2 / 0.8) ** 3)),
        ("independent", CHOICE, MAJORITY, MAJORITY),
        ("independent", TEXT, 0.8**3, 0.8**3),
        ("decentralized:rounds=1", CHOICE, MAJORITY, MAJORITY),
        ("decentralized", CHOICE, MAJORITY, MAJORITY),
        ("decentralized", TEXT, MAJORITY, MAJORITY),
        ("decentralized:rounds=1", TEXT, 0.8, 0.8),
        ("centralized", CHOICE, 0.8**4, 0.8**4),
        ("peers:agents=2,rounds=1", CHOICE, 0.8**3, 0.8**3),
        # two peers read each other once: both right needs both first findings right, unless both were new and right
        ("peers:agents=2,rounds=2", CHOICE, 0.8 * 0.8**4, 0.8 * 0.8**4),
        ("tree", CHOICE, MAJORITY, MAJORITY),
        ("tree:depth=2", CHOICE, MAJORITY**3 + 3 * MAJORITY**2 * (1 - MAJORITY), None),
        ("tree:join=model", TEXT, MAJORITY, MAJORITY),
        ("tree:fan_in=2,join=model", CHOICE, 0.8, 0.8),
    ],
)
def test_each_team_by_hand(spec: str, answer: AnswerType, strict: float, mild: float | None) -> None:
    """With texts that are read without loss and no shared errors, every team is what plain counting says."""
    asked, skill = team(spec, answer), Skill(p=0.8)
    assert team_accuracy(asked, answer, skill, Reading(is_strict=True)) == pytest.approx(strict)
    assert team_accuracy(asked, answer, skill, Reading()) == pytest.approx(strict if mild is None else mild)


def test_teams_that_read_one_another_by_hand() -> None:
    """At gamma = .8 a text is read right with probability .9; luck with wrong ones counts at the optimistic end."""
    skill, lossy = Skill(p=0.8), Reading(gamma=0.8)
    seen = 0.8 * 0.9 + 0.2 * 0.1
    joined = seen**3 + 3 * seen**2 * (1 - seen)
    assert team_accuracy(team("tree:join=model"), CHOICE, skill, lossy) == pytest.approx(joined)
    strict = Reading(gamma=0.8, is_strict=True)
    works = 0.8 * 0.9
    assert team_accuracy(team("centralized:agents=2"), CHOICE, skill, strict) == pytest.approx(0.8 * (works * 0.9) ** 2)
    mild = works * 0.9 + (1 - works) * 0.1
    assert team_accuracy(team("centralized:agents=2"), CHOICE, skill, lossy) == pytest.approx(0.8 * mild**2)
    half = Reading(gamma=1.0, spoil=0.5)
    assert team_accuracy(team("centralized:agents=2"), CHOICE, skill, half) == pytest.approx(0.8 * 0.9**2)


def test_shared_errors_leave_what_no_vote_removes() -> None:
    """At rho = 1 every team whose answers are counted is worth one agent."""
    for spec in ("vote", "independent", "decentralized", "tree:depth=2", "tree:join=model"):
        assert team_accuracy(team(spec), CHOICE, Skill(p=0.8, rho=1.0), Reading()) == pytest.approx(0.8)


def test_a_lone_agent_has_three_tries() -> None:
    """Where half of the replies are flagged, one subtask in eight fails."""
    assert team_accuracy(team("solo"), CHOICE, Skill(p=0.8, valid=0.5), Reading()) == pytest.approx(0.8 * 7 / 8)


def test_each_topology_by_hand() -> None:
    """A text read by a choice at p = .8, gamma = .8: the edge, the lead's note and report, the synthesis, the whole."""
    chain, pair = dag({"a": [], "b": ["a"]}, texts="a"), dag({"a": [], "b": []})
    model, mild = able(0.8, gamma=0.8), 0.8 * (0.8 * 0.9 + 0.2 * 0.1)
    for topology in ("sequential", "hybrid", "parallel"):
        assert ends(chain, topology, "solo", model) == pytest.approx((0.8 * 0.8 * 0.9, mild))
    led = (0.8 * 0.9 * 0.9) * (0.8 * 0.9 * 0.9 * 0.9)
    assert ends(chain, "hierarchical", "solo", model)[0] == pytest.approx(led)
    assert ends(chain, "single", "solo", model) == pytest.approx((0.64, 0.64))
    assert ends(pair, "hybrid", "solo", model) == pytest.approx((0.64, 0.64))
    assert ends(pair, "parallel", "solo", model) == pytest.approx((0.64 * 0.9, 0.64 * 0.9))
    law = SizeLaw(small=SizePoint(size=1, p=0.9), large=SizePoint(size=3, p=0.5))
    known = able(0.9, whole=law)
    triple = dag({"a": [], "b": ["a"], "c": ["b"]})
    assert ends(triple, "single", "solo", known) == pytest.approx((0.5, 0.5))
    split = ends(triple, "sequential", "solo", known)[0]
    assert split == pytest.approx(0.9**3)
    assert split > 0.5  # a task that is more than the sum of its parts is worth being taken apart
    assert ends(triple, "single", "vote", able(0.9))[0] == pytest.approx(1 / (1 + (1 / 0.729 - 1) ** 3))


def test_every_vote_reads_for_itself() -> None:
    """What single votes misread is voted away; what the input has wrong is not."""
    graph = dag({"a": [], "b": ["a"]}, texts="a")
    strict, mild = ends(graph, "sequential", "vote", able(0.95, gamma=0.8))
    inner = 0.95 * 0.9
    assert strict == pytest.approx(0.95 / (1 + (1 / inner - 1) ** 3))
    lucky = 0.95 * 0.1
    assert mild == pytest.approx(0.95 / (1 + (1 / inner - 1) ** 3) + 0.05 / (1 + (1 / lucky - 1) ** 3))


def test_answers_that_rest_on_the_same_are_right_together() -> None:
    """In a diamond whose arms never err, one wrong top is one wrong input, not two."""
    graph = dag({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]})
    strict, mild = ends(graph, "hybrid", "solo", able(0.9))
    assert strict == pytest.approx(0.9**4)
    assert mild >= strict
    assert ends(dag({"a": [], "b": [], "c": ["a", "b"]}), "hybrid", "solo", able(0.9, spoil=0.5)) == pytest.approx(
        (0.9**3, 0.9 * 0.95**2)
    )


def test_a_parallel_subtask_is_not_shown_a_weak_input() -> None:
    """It reads nothing that could be misread; the pessimistic end counts what it does without as needed."""
    graph = dag({"a": [], "b": ["a"]}, texts="a", coupling="weak")
    assert ends(graph, "parallel", "solo", able(0.9, gamma=0.5)) == pytest.approx((0.81, 0.9))


@given(st.integers(1, 12), st.floats(0.3, 0.999), st.sampled_from(["sequential", "hybrid", "parallel"]))
def test_a_chain_of_values_is_the_product(length: int, p: float, topology: Topology) -> None:
    """With gamma = 1 a chain of n is right as often as all of its subtasks are: p^n, at both ends."""
    graph = dag({str(place): [str(place - 1)] if place else [] for place in range(length)})
    assert ends(graph, topology, "solo", able(p)) == pytest.approx((p**length, p**length))


@given(st.floats(0.3, 0.99), st.floats(0.05, 0.98), st.floats(1.5, 20))
def test_the_law_of_sizes_goes_through_its_points(p: float, share: float, size: float) -> None:
    """It meets both measured sizes, falls with the size, and is farther down where a low end is asked for."""
    large = SizePoint(size=size, p=p * share)
    law = SizeLaw(small=SizePoint(size=1, p=p), large=large)
    assert law.accuracy(1) == pytest.approx(p)
    assert law.accuracy(size) == pytest.approx(p * share)
    assert law.accuracy(size * 1.1) < law.accuracy(size)
    doubted = SizeLaw(
        small=SizePoint(size=1, p=p, low=p - 0.02), large=SizePoint(size=size, p=p * share, low=p * share / 2)
    )
    assert doubted.accuracy(size) == pytest.approx(p * share / 2)
    assert doubted.accuracy(size * 2) <= law.accuracy(size * 2)
    assert SizeLaw(small=SizePoint(size=2, p=p)).accuracy(4) == pytest.approx(p**2)


@given(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0, 1), st.floats(0, 1), st.floats(1, 40))
def test_a_larger_task_is_no_easier_in_a_forecast(p: float, q: float, cut: float, other: float, size: float) -> None:
    """Not at the pessimistic end either, whose doubts at two sizes balance each other between them."""
    points = SizePoint(size=1, p=p, low=p * cut), SizePoint(size=9, p=q, low=q * other)
    law = SizeLaw(small=points[0], large=points[1])
    assert law.accuracy(size) <= law.accuracy(1) * (1 + 1e-9)
    assert replace(law, small=replace(points[0], low=None)).accuracy(size) <= p * (1 + 1e-9)


def test_a_model_that_was_always_right_is_doubted_between_sizes_too() -> None:
    """Where nothing went wrong the loss is next to 0, and only the low ends say anything."""
    law = SizeLaw(small=SizePoint(size=1, p=1.0, low=0.8), large=SizePoint(size=10, p=1.0, low=0.8))
    assert [law.accuracy(size) for size in (1, 2, 5, 10)] == pytest.approx([0.8] * 4)


def test_a_share_outside_its_domain_is_named() -> None:
    """Skills and readings refuse what is no probability."""
    for name, make in (("p", Skill), ("rho", Skill), ("gamma", Reading), ("spoil", Reading)):
        with pytest.raises(InputError, match=name):
            make(**{"p": 0.5, name: 1.5} if make is Skill else {name: 1.5})


@st.composite
def graphs(draw: st.DrawFn) -> TaskGraph:
    """Random DAGs of up to eight subtasks, some of which answer in words."""
    size = draw(st.integers(1, 8))
    names = "abcdefgh"[:size]
    edges = {name: [one for one in names[:place] if draw(st.booleans())] for place, name in enumerate(names)}
    return dag(edges, texts="".join(one for one in names if draw(st.booleans())))


shares = st.floats(0.0, 1.0)


@settings(max_examples=60, deadline=None)
@given(graphs(), st.sampled_from(TOPOLOGIES), st.sampled_from(TEAMS), shares, shares, shares, shares)
def test_ends_are_probabilities_in_order(
    graph: TaskGraph, topology: Topology, spec: str, p: float, gamma: float, spoil: float, rho: float
) -> None:
    """Whatever the graph and the model, 0 <= pessimistic <= optimistic <= 1."""
    spec = "auto" if spec == "vote" else spec
    strict, mild = ends(graph, topology, spec, able(p, gamma=gamma, spoil=spoil, rho=rho))
    assert 0 <= strict <= mild + 1e-12
    assert mild <= 1 + 1e-12


@settings(max_examples=40, deadline=None)
@given(graphs(), st.sampled_from(TOPOLOGIES), st.sampled_from(TEAMS), st.floats(0.5, 0.99), shares, st.integers(1, 6))
def test_more_of_p_gamma_and_k_is_never_worse(
    graph: TaskGraph, topology: Topology, spec: str, p: float, gamma: float, k: int
) -> None:
    """Both ends rise with p, the pessimistic one with gamma, and with k where a vote is likelier right than wrong."""
    spec = "auto" if spec == "vote" else spec
    here = ends(graph, topology, spec, able(p, gamma=gamma))
    better = ends(graph, topology, spec, able(p + 0.009, gamma=gamma))
    assert better[0] >= here[0] - 1e-12
    assert better[1] >= here[1] - 1e-9
    assert ends(graph, topology, spec, able(p, gamma=(1 + gamma) / 2))[0] >= here[0] - 1e-12
    if topology != "single":
        low, high = (ends(graph, topology, "auto", able(p), k=margin)[0] for margin in (k, k + 1))
        assert high >= low - 1e-12


WIRINGS = {
    "values": dag({"a": [], "b": ["a"], "c": ["a", "b"]}),
    "texts": dag({"a": [], "b": [], "c": ["a", "b"], "d": ["c"]}, texts="ab"),
    "parts": dag({"a": [], "b": [], "c": []}, texts="c"),
}


@pytest.mark.parametrize(("name", "spec"), list(product(WIRINGS, TEAMS)))
def test_the_referee_stands_between_the_ends(name: str, spec: str) -> None:
    """In worlds that are what they are taken to be, runs played out come out right between both ends."""
    graph = WIRINGS[name]
    asked = "auto" if spec == "vote" else spec
    for place, topology in enumerate(TOPOLOGIES):
        model = able(0.85, gamma=0.9, spoil=0.8 if place % 2 else 1.0, rho=0.1)
        teams = design(graph, orchestra.Choices(topology=topology, team=asked)).teams
        strict, mild = ends(graph, topology, asked, model)
        world = World(
            p={"choice": 0.85, "text": 0.85}, whole=lambda n: 0.85**n, rho=0.1, gamma=0.9, spoil=model.spoil, stop=1.0
        )
        seen = play(graph, topology, teams, world, 1500, np.random.default_rng(place))
        assert strict - 4 * seen.standard_error <= seen.success <= mild + 4 * seen.standard_error, topology
        taken = spending(graph, topology, teams, model)
        if ":rounds" in spec or "centralized" not in spec:
            assert taken.calls == pytest.approx(seen.calls, rel=0.06), topology


STORY = {
    "choice": ({"choice": ["yes", "no"]}, {"answer": "yes", "wrong": ["no"]}),
    "text": ("text", {"answer": "the report of the matter", "wrong": ["no such thing at all!!"]}),
}
REPLY = {"choice": 4.5, "text": 6.0}
"""Tokens of a simulated reply to each."""


def told(kind: str) -> TaskGraph:
    """Return three subtasks with known answers, each of which reads the ones before."""
    answer, truth = STORY[kind]
    words = "Look at the case at hand and say what follows from it, with all that you know. "
    asked: dict[str, Any] = {"answer": answer, "truth": truth}
    return TaskGraph(
        [
            {"id": "a", "description": f"{words}A?", **asked},
            {"id": "b", "description": f"{words}B?", "depends_on": ["a"], **asked},
            {"id": "c", "description": f"{words}{words}C?", "depends_on": ["a", "b"], **asked},
        ],
        goal="Find it out.",
        context="It was a dark night. " * 10,
    )


def run_mean(graph: TaskGraph, topology: Topology, spec: str, folder: Path, model: str, seeds: int) -> Spending:
    """Return what real runs with simulated models take on average."""
    seen = Spending()
    choices = orchestra.Choices(topology=topology, team=spec)
    for seed in range(seeds):
        who = SimulatedModel.parse(f"{model},seed={seed}")
        usage = orchestra.run_sync(
            orchestra.plan(graph, model=who, choices=choices), journal=folder / f"{topology}{spec}{seed}.db"
        ).usage
        seen += Spending(calls=usage.calls, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
    return Spending(
        calls=seen.calls / seeds, input_tokens=seen.input_tokens / seeds, output_tokens=seen.output_tokens / seeds
    )


FIXED = [
    (topology, kind, spec)
    for topology in ("sequential", "hierarchical")
    for kind in STORY
    for spec in TEAMS
    if spec != "vote"  # its calls are chance's
]


@pytest.mark.parametrize(("topology", "kind", "spec"), FIXED)
def test_spending_is_what_real_runs_take(tmp_path: Path, topology: Topology, kind: str, spec: str) -> None:
    """Where the number of calls is fixed it is met exactly, tokens within 15 %."""
    graph = told(kind)
    seen = run_mean(graph, topology, spec, tmp_path, "p=0.8", 1)
    teams = design(graph, orchestra.Choices(topology=topology, team=spec)).teams
    skill = Skill(p=0.8, output_tokens=REPLY[kind])
    taken = spending(graph, topology, teams, Abilities(skills={}, default=skill))
    if topology != "hierarchical":  # a simulated lead may send a subtask back
        assert taken.calls == pytest.approx(seen.calls)
    assert taken.tokens == pytest.approx(seen.tokens, rel=0.15 if topology != "hierarchical" else 0.3)


def test_votes_are_what_real_runs_take(tmp_path: Path) -> None:
    """Votes on 100 questions, flagged replies among them, take the calls of the law within a few percent."""
    answer, truth = STORY["choice"]
    graph = TaskGraph(
        [
            {"id": f"s{place}", "description": f"Case {place}: yes or no?", "answer": answer, "truth": truth}
            for place in range(100)
        ]
    )
    seen = run_mean(graph, "parallel", "vote", tmp_path, "p=0.85,valid=0.8", 3)
    teams = design(graph, orchestra.Choices(topology="parallel", team="vote")).teams
    skill = Skill(p=0.85, valid=0.8, output_tokens=REPLY["choice"])
    taken = spending(graph, "parallel", teams, Abilities(skills={}, default=skill))
    assert taken.calls == pytest.approx(seen.calls, rel=0.05)
    assert taken.input_tokens == pytest.approx(seen.input_tokens, rel=0.08)


COPIES = 80
"""Independent copies of one small graph in a real run, each of which counts as a run of its own."""
SETTINGS: list[tuple[str, str, dict[str, list[str]], str, str]] = [
    ("vote", "p=0.8,rho=0.2", {"a": [], "b": ["a"]}, "", "hybrid"),
    ("solo", "p=0.9,gamma=0.7", {"a": [], "b": ["a"]}, "a", "parallel"),
    ("tree:join=model", "p=0.7,gamma=0.8,rho=0.2", {"a": []}, "", "parallel"),
    ("decentralized:agents=5,rounds=2", "p=0.7,gamma=0.8", {"a": []}, "", "parallel"),
    ("centralized:rounds=2", "p=0.9,gamma=0.9,spoil=0.6", {"a": []}, "", "parallel"),
]


@pytest.mark.parametrize(("spec", "model", "edges", "texts", "topology"), SETTINGS, ids=[one[0] for one in SETTINGS])
def test_real_topologies_meet_the_referee(
    tmp_path: Path, spec: str, model: str, edges: dict[str, list[str]], texts: str, topology: str
) -> None:
    """Real runs with simulated models are right as often as the referee says, within 4 standard errors."""
    subtasks, finals = [], []
    for copy in range(COPIES):
        for one, before in edges.items():
            answer, truth = STORY["text" if one in texts else "choice"]
            subtasks.append(
                {
                    "id": f"{one}{copy}",
                    "description": f"Tell what follows from case {one}{copy}.",
                    "answer": answer,
                    "truth": truth,
                    "depends_on": [f"{name}{copy}" for name in before],
                }
            )
        finals.append((f"{one}{copy}", cast("dict[str, Any]", truth)["answer"]))
    said = SimulatedModel.parse(model)
    choices = orchestra.Choices(topology=cast(Topology, topology), team=spec)
    result = orchestra.run_sync(
        orchestra.plan(TaskGraph(subtasks), model=said, choices=choices), journal=tmp_path / "j.db"
    )
    right = sum(result.subtasks[name]["answer"] == answer for name, answer in finals) / COPIES
    graph = dag(edges, texts=texts)
    world = World(p={"choice": said.p, "text": said.p}, rho=said.rho, gamma=said.gamma, spoil=said.spoil)
    referee = play(graph, "hybrid", design(graph, choices).teams, world, 20_000, np.random.default_rng(0))
    error = sqrt(referee.success * (1 - referee.success) / COPIES + referee.standard_error**2)
    assert abs(right - referee.success) <= 4 * error


def test_the_referee_shares_no_code_with_what_it_judges() -> None:
    """It knows graphs and teams by name, and nothing of the budget model or of how runs are carried out."""
    tree = ast.parse(Path(dag_referee.__file__).read_text())
    used = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert {one for one in used if one.startswith("orchestra")} == {
        "orchestra_topologies.graph",
        "orchestra_topologies.teams.team",
    }
