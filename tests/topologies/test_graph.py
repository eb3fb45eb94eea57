"""Task graphs: what is accepted, what is refused and how it is named, and what can be asked of a graph."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Truth
from orchestra_topologies.graph import COUPLING, Example, Subtask, TaskGraph
from orchestra_topologies.subtask import Join, Repair

FACTS = {"id": "facts", "description": "List the facts."}
JUDGE = {"id": "judge", "description": "Which one wins?", "answer": {"choice": ["alpha", "beta"]}}
FULL = {
    **JUDGE,
    "context": "Notes of its own",
    "depends_on": {"facts": "weak"},
    "estimated_tokens": 2.5,
    "role": "critic",
    "model": "openai:gpt-4.1-mini",
    "team": "vote",
    "k": 4,
    "tools": ["search"],
    "verify": "pytest -q",
    "repair": {"role": "mender", "times": 2},
    "join": {"quorum": 1},
    "final": True,
    "select": None,
    "samples": None,
    "timeout_s": 30,
    "answers": "winner",
    "examples": [{"input": "Which one loses?", "answer": "beta"}],
    "truth": {"answer": "alpha", "wrong": ["beta"], "difficulty": -0.5},
    "latency_ms": 0,
}


def judge(**said: Any) -> dict[str, Any]:
    """Return a second subtask that says this, too."""
    return {**JUDGE, "depends_on": ["facts"], **said}


def linked(edges: dict[str, list[str]]) -> TaskGraph:
    """Return the graph of these dependencies."""
    return TaskGraph({"id": name, "description": "Do it.", "depends_on": befores} for name, befores in edges.items())


def test_every_key_reaches_the_subtask() -> None:
    """What a file says about a subtask stands in the value, typed."""
    said = TaskGraph([FACTS, FULL])["judge"]
    assert said == Subtask(
        id="judge",
        description="Which one wins?",
        answer=AnswerType("choice", choices=("alpha", "beta")),
        context="Notes of its own",
        depends_on=(("facts", "weak"),),
        estimated_tokens=2.5,
        role="critic",
        model="openai:gpt-4.1-mini",
        team="vote",
        k=4,
        tools=("search",),
        verify="pytest -q",
        repair=Repair(role="mender", times=2),
        join=Join("quorum", 1),
        final=True,
        timeout_s=30,
        answers="winner",
        examples=(Example("Which one loses?", "beta"),),
        truth=Truth(answer="alpha", wrong=("beta",), difficulty=-0.5),
        latency_ms=0,
    )
    assert set(FULL) == {field.name for field in dataclasses.fields(Subtask)}


def test_defaults_are_those_of_the_page() -> None:
    """A subtask that says nothing more is text, costs 1 and leaves model and team to the run."""
    assert TaskGraph([FACTS])["facts"] == Subtask(id="facts", description="List the facts.")
    assert Subtask(id="a", description="b").answer == AnswerType("text")
    assert Subtask(id="a", description="b").estimated_tokens == 1


@pytest.mark.parametrize(
    ("said", "edges"),
    [
        ({"depends_on": ["facts"]}, (("facts", "strong"),)),
        ({"depends_on": ["facts"], "coupling": "weak"}, (("facts", "weak"),)),
        ({"depends_on": {"facts": "critical"}}, (("facts", "critical"),)),
        ({"depends_on": [("facts", "none")]}, (("facts", "none"),)),
        ({"depends_on": [], "coupling": "weak"}, ()),
    ],
)
def test_dependencies_are_lists_or_mappings(said: dict[str, Any], edges: tuple[Any, ...]) -> None:
    """A list takes one coupling for all, strong by default; a mapping says one for each."""
    assert TaskGraph([FACTS, judge(**said)])["judge"].depends_on == edges


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"k": "three"}, "k", "must be an integer from 1 to 1000, got 'three'"),
    ({"k": 0}, "k", "must be an integer from 1 to 1000, got 0"),
    ({"k": True}, "k", "must be an integer from 1 to 1000, got True"),
    ({"k": 2.0}, "k", "must be an integer from 1 to 1000, got 2.0"),
    ({"k": 16**5000}, "k", "must be an integer from 1 to 1000, got a huge int"),
    ({"estimated_tokens": "medium"}, "estimated_tokens", "must be a number above 0 and at most 1e15, got 'medium'"),
    ({"estimated_tokens": "400"}, "estimated_tokens", "must be a number above 0 and at most 1e15, got '400'"),
    ({"estimated_tokens": 0}, "estimated_tokens", "must be a number above 0 and at most 1e15, got 0"),
    ({"estimated_tokens": math.inf}, "estimated_tokens", "must be a number above 0 and at most 1e15, got inf"),
    ({"estimated_tokens": None}, "estimated_tokens", "must be a number above 0 and at most 1e15, got None"),
    ({"description": " "}, "description", "must be a non-empty text, got ' '"),
    ({"description": 3}, "description", "must be a non-empty text, got 3"),
    ({"role": ""}, "role", "must be a non-empty text, got ''"),
    ({"model": ["a", "b"]}, "model", "must be a non-empty text, got ['a', 'b']"),
    ({"verify": True}, "verify", "must be a command line or a Python function, got True"),
    ({"verify": "'"}, "verify", 'must be a command line with its quotes closed, got "\'"'),
    ({"answers": 1}, "answers", "must be a non-empty text, got 1"),
    (
        {"team": "crowd"},
        "team",
        "must be auto, solo, vote, independent, centralized, decentralized, peers or tree, got",
    ),
    ({"tools": "search"}, "tools", "must be a list of names, got 'search'"),
    ({"tools": ["search", 3]}, "tools[1]", "must be a list of names, got 3"),
    ({"timeout_s": 0}, "timeout_s", "must be a number of seconds above 0, got 0"),
    ({"latency_ms": -1}, "latency_ms", "must be a number of milliseconds of at least 0, got -1"),
    ({"coupling": "hard"}, "coupling", "must be none, weak, strong or critical, got 'hard'"),
    ({"coupling": 0.7}, "coupling", "must be none, weak, strong or critical, got 0.7"),
    ({"depends_on": {"facts": "hard"}}, "depends_on[facts]", "must be none, weak, strong or critical, got 'hard'"),
    ({"depends_on": {"facts": "weak"}, "coupling": "weak"}, "coupling", "is said twice"),
    ({"depends_on": "facts"}, "depends_on", "must be a list of subtask ids, or a mapping"),
    ({"depends_on": [1]}, "depends_on", "must name subtasks by id, got 1"),
    ({"depends_on": [("facts",)]}, "depends_on", "must name subtasks by id"),
    ({"depends_on": ["facts", "facts"]}, "depends_on", "must name every subtask once"),
    ({"depends_on": ["fact"]}, "depends_on", "no subtask is called 'fact'; did you mean 'facts'?"),
    ({"depends_on": ["judge"]}, "depends_on", "a subtask must not depend on itself"),
    ({"answer": {"choice": [True, False]}}, "answer", "every choice must be a text, got True; put it in quotes"),
    ({"answer": "prose"}, "answer", "must be text, number, code, {choice: [a, b]} or {json: {schema}}, got 'prose'"),
    ({"chosen": "judge"}, "chosen", "is not a key here; known are id, description, answer, context, depends_on"),
    ({"select": "best"}, "select", "must be judge, medoid, verify or verify:COMMAND, got 'best'"),
    ({"select": "judge"}, "select", "is for text and code; choice answers are counted by votes, with k"),
    ({"select": "judge", "answer": "text"}, "samples", "must be an integer from 2 to 100 beside select, got None"),
    ({"select": "verify", "answer": "code", "samples": 2}, "select", "verify needs a command"),
    ({"samples": 5}, "samples", "needs select to say who picks one: judge, medoid or verify"),
    ({"samples": 101}, "samples", "must be an integer from 2 to 100, got 101"),
    ({"join": "most"}, "join", "must be all, any, best-effort or {quorum: N}, got 'most'"),
    ({"join": {"quorum": 2}}, "join.quorum", "must be an integer from 1 to 1, the subtask's inputs, got 2"),
    ({"final": "yes"}, "final", "must be true or false, got 'yes'"),
    ({"a\nb": 1}, "'a\\nb'", "is not a key here"),
    ({"depends_on": {"a\nb": 1}}, "depends_on['a\\nb']", "must be none, weak, strong or critical, got 1"),
    (
        {"answer": 16**5000},
        "answer",
        "must be text, number, code, {choice: [a, b]} or {json: {schema}}, got a huge int",
    ),
    ({"truth": {"answer": "alpha", 3: 4}}, "truth", "must have texts as keys, got 3"),
    ({"examples": {"input": "x"}}, "examples", "must be a list of {input: text, answer: value}"),
    ({"examples": [{"input": "x"}]}, "examples[0].answer", "is missing; it must be a JSON value"),
    ({"examples": [{"input": 1, "answer": "beta"}]}, "examples[0].input", "must be a non-empty text, got 1"),
    (
        {"examples": [{"input": "x", "answer": 3}]},
        "examples[0].answer",
        "must be an answer of the subtask's type",
    ),
    ({"truth": "alpha"}, "truth", "must be a mapping with answer and optionally wrong and difficulty, got 'alpha'"),
    ({"truth": {"wrong": []}}, "truth.answer", "is missing; it must be a JSON value"),
    ({"truth": {"answer": "gamma"}}, "truth.answer", "must be an answer of the subtask's type"),
    ({"truth": {"answer": "alpha", "wrong": "beta"}}, "truth.wrong", "must be a list of JSON values"),
    ({"truth": {"answer": "alpha", "wrong": [b"x"]}}, "truth.wrong[0]", "must be a list of JSON values"),
    ({"truth": {"answer": "alpha", "difficulty": "hard"}}, "truth.difficulty", "must be a number, got 'hard'"),
    ({"truth": {"answer": "alpha", "inputs": []}}, "truth.inputs", "is not a key here; known are answer, wrong"),
    ({"truth": {"answer": math.nan}}, "truth.answer", "must be a JSON value, got nan"),
]


@pytest.mark.parametrize(("said", "field", "says"), REFUSED)
def test_a_wrong_value_is_one_sentence_with_its_field(said: dict[str, Any], field: str, says: str) -> None:
    """Every wrong value is refused in one line that names subtask and key and says what is allowed."""
    with pytest.raises(InputError) as caught:
        TaskGraph([FACTS, judge(**said)])
    assert caught.value.field == f"subtasks[judge].{field}"
    assert f"subtasks[judge].{field}: {says}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " a",
        "a\n",
        "a\nb",
        "a\x00",
        "a\u2028b",
        "<a>",
        'a"b',
        "it's",
        "`a`",
        "x" * 101,
        "\ud800",
        7,
        None,
        ["a"],
    ],
)
def test_an_id_that_could_mislead_is_refused(name: Any) -> None:
    """Ids are short, plain and printable, so that they can stand in prompts, files and messages."""
    with pytest.raises(InputError, match="must be a text of 1 to 100 characters") as caught:
        TaskGraph([FACTS, {"id": name, "description": "x"}])
    assert str(caught.value).isprintable()
    assert caught.value.field.endswith(".id")


@pytest.mark.parametrize("name", ["a", "x" * 100, "größer-als 3", "v1.2/β", "日本"])
def test_plain_ids_are_accepted(name: str) -> None:
    """Letters of all languages, digits, inner spaces and most punctuation may stand in an id."""
    assert TaskGraph([{"id": name, "description": "x"}]).order == (name,)


@pytest.mark.parametrize(
    ("said", "field", "says"),
    [
        ({}, "subtasks", "is missing; it must be a list of subtasks"),
        ({"subtasks": []}, "subtasks", "must name at least one subtask"),
        ({"subtasks": "facts"}, "subtasks", "must be a list of subtasks, got 'facts'"),
        ({"subtasks": {"facts": "x"}}, "subtasks", "must be a list of subtasks"),
        ({"subtasks": ["facts"]}, "subtasks[0]", "must be a mapping of a subtask's keys, got 'facts'"),
        ({"subtasks": [FACTS], 3: 4}, "graph", "must have texts as keys, got 3"),
        ({"subtasks": [{"id": "a", "description": "x", 3: 4}]}, "subtasks[a]", "must have texts as keys, got 3"),
        ({"subtasks": [None]}, "subtasks[0]", "must be a mapping"),
        ({"subtasks": [{"description": "x"}]}, "subtasks[0].id", "is missing"),
        ({"subtasks": [{"id": "a"}]}, "subtasks[a].description", "is missing; it must be a non-empty text"),
        ({"subtasks": [FACTS], "goal": 3}, "goal", "must be a text, got 3"),
        ({"subtasks": [FACTS], "context": ["notes.txt"]}, "context", "only a graph file may list files"),
        ({"subtasks": [FACTS], "title": "x"}, "title", "is not a key here; known are goal, context, subtasks"),
        ({"subtasks": [FACTS, JUDGE, FACTS]}, "subtasks[facts].id", "must be unique, but subtasks 1 and 3"),
    ],
)
def test_a_wrong_graph_is_refused_by_field(said: dict[str, Any], field: str, says: str) -> None:
    """What is wrong with the graph itself is named as well."""
    with pytest.raises(InputError) as caught:
        TaskGraph.from_dict(said)
    assert caught.value.field == field
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("edges", "says"),
    [
        ({"a": ["b"], "b": ["a"]}, "a -> b -> a"),
        ({"x": [], "a": ["x", "c"], "b": ["a"], "c": ["b"], "y": ["c"]}, "a -> b -> c -> a"),
        ({"late": ["b"], "a": ["b"], "b": ["a"]}, "a -> b -> a"),
        (
            {f"s{place}": [f"s{(place - 1) % 5000}"] for place in range(5000)},
            "s0 -> s1 -> s2 -> s3 -> s4 -> (4994 more) -> s4999 -> s0",
        ),
    ],
)
def test_one_cycle_is_named(edges: dict[str, list[str]], says: str) -> None:
    """A circle is refused by the names on it, along the flow, from the first in the file; long ones are shortened."""
    with pytest.raises(InputError) as caught:
        linked(edges)
    assert str(caught.value) == f"subtasks: must not depend on one another in a circle: {says}"


def test_limits_are_those_of_load() -> None:
    """More subtasks or layers than allowed are refused by the name of the limit; a graph built in Python has none."""
    chain = [{"id": f"s{n}", "description": "x", "depends_on": [f"s{n - 1}"] if n else []} for n in range(5)]
    assert len(TaskGraph.from_dict({"subtasks": chain}, max_subtasks=5, max_layers=5)) == 5
    with pytest.raises(InputError, match=r"subtasks: must be at most 4 \(max_subtasks\), got 5"):
        TaskGraph.from_dict({"subtasks": chain}, max_subtasks=4)
    with pytest.raises(InputError, match=r"subtasks: must have at most 4 layers \(max_layers\), got 5"):
        TaskGraph.from_dict({"subtasks": chain}, max_layers=4)


def test_a_very_deep_chain_is_refused_not_recursed_into() -> None:
    """A chain of 100,000 is refused by max_layers, and a deep one is a plain graph where no limit is asked."""
    chain = [{"id": f"s{n}", "description": "x", "depends_on": [f"s{n - 1}"] if n else []} for n in range(100_000)]
    with pytest.raises(InputError, match="max_layers"):
        TaskGraph.from_dict({"subtasks": chain}, max_subtasks=100_000)
    graph = TaskGraph(chain[:20_000])
    assert len(graph.layers) == len(graph.order) == 20_000


def test_values_are_checked_like_files() -> None:
    """A `Subtask` built in Python passes the same door as a file's mapping."""
    with pytest.raises(InputError, match=r"subtasks\[a\]\.k: must be an integer from 1 to 1000, got 'three'"):
        TaskGraph([Subtask(id="a", description="x", k="three")])  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"subtasks\[0\]\.id"):
        TaskGraph([Subtask(id="", description="x")])
    assert TaskGraph([FACTS, FULL]) == TaskGraph(TaskGraph([FACTS, FULL]).subtasks)


def test_a_graph_is_read_in_topological_order() -> None:
    """Iteration goes layer by layer, file order breaking ties; neighbours, membership and length are at hand."""
    graph = linked({"end": ["b", "a"], "b": ["start"], "lone": [], "a": ["start"], "start": []})
    assert [subtask.id for subtask in graph] == ["lone", "start", "b", "a", "end"]
    assert graph.order == ("lone", "start", "b", "a", "end")
    assert graph.layers == (("lone", "start"), ("b", "a"), ("end",))
    assert [subtask.id for subtask in graph.subtasks] == ["end", "b", "lone", "a", "start"]
    assert graph.predecessors("end") == ("b", "a")
    assert graph.successors("start") == ("b", "a")
    assert graph.successors("end") == graph.predecessors("lone") == ()
    assert graph["a"].id == "a"
    assert "a" in graph
    assert "z" not in graph
    assert len(graph) == 5
    with pytest.raises(KeyError):
        graph["z"]


def test_a_graph_is_frozen_and_keeps_no_string_on_what_it_was_given() -> None:
    """Neither assignment nor a change to the mappings it came from changes a graph."""
    said = {"id": "a", "description": "x", "answer": {"json": {}}, "truth": {"answer": {"list": [1]}}, "tools": ["t"]}
    graph = TaskGraph([said], goal="g")
    before = graph.digest()
    said["truth"]["answer"]["list"].append(2)  # type: ignore[index]
    said["tools"].append("u")  # type: ignore[attr-defined]
    assert graph.digest() == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.goal = "h"  # type: ignore[misc]


def test_the_digest_says_everything() -> None:
    """Equal graphs have one digest, however written; any other word gives another."""
    digest = TaskGraph([FACTS, judge()]).digest()
    assert digest == TaskGraph([FACTS, judge(coupling="strong", estimated_tokens=1.0)]).digest()
    others = [
        TaskGraph([FACTS, judge()], goal="g"),
        TaskGraph([FACTS, judge()], context="c"),
        TaskGraph([FACTS, judge(coupling="weak")]),
        TaskGraph([FACTS, judge(k=2)]),
        TaskGraph([FACTS, judge(truth={"answer": "beta"})]),
        TaskGraph([judge(), FACTS]),
    ]
    assert len({digest, *(graph.digest() for graph in others)}) == 7


def test_to_dict_says_only_what_differs_from_the_defaults() -> None:
    """The written form is as short as the file a person would write."""
    assert TaskGraph([FACTS, judge()], goal="g").to_dict() == {
        "goal": "g",
        "subtasks": [FACTS, {**JUDGE, "depends_on": {"facts": "strong"}}],
    }
    said = {name: value for name, value in FULL.items() if value is not None}
    assert TaskGraph([FACTS, FULL]).to_dict()["subtasks"] == [FACTS, said]


def test_networkx_graphs_come_and_go() -> None:
    """Node attributes are the subtask's keys, an edge's `coupling` its label; a plain edge is strong."""
    drawn: nx.DiGraph[str] = nx.DiGraph(goal="g")
    drawn.add_node("facts", description="List the facts.")
    drawn.add_node("judge", **{name: value for name, value in JUDGE.items() if name != "id"})
    drawn.add_edge("facts", "judge")
    graph = TaskGraph.from_networkx(drawn)
    assert graph == TaskGraph([FACTS, judge()], goal="g")
    assert graph.to_networkx().edges["facts", "judge"] == {"coupling": "strong"}
    assert TaskGraph.from_networkx(graph.to_networkx()) == graph


@pytest.mark.parametrize(
    ("drawn", "field", "says"),
    [
        (nx.Graph([("a", "b")]), "graph", "must be a networkx.DiGraph, got Graph"),
        (nx.MultiDiGraph([("a", "b")]), "graph", "must be a networkx.DiGraph, got MultiDiGraph"),
        (nx.DiGraph([("a", "b")]), "subtasks[a].description", "is missing"),
        (nx.DiGraph(), "subtasks", "must name at least one subtask"),
    ],
)
def test_other_networkx_graphs_are_refused(drawn: Any, field: str, says: str) -> None:
    """What is no directed graph of described subtasks is refused by name."""
    with pytest.raises(InputError, match=says) as caught:
        TaskGraph.from_networkx(drawn)
    assert caught.value.field == field


def test_networkx_dependencies_are_edges() -> None:
    """A node of another type than text, a wrong label, and dependencies as attributes are refused."""
    numbered: Any = nx.DiGraph()
    numbered.add_node(1, description="x")
    with pytest.raises(InputError, match=r"subtasks\[0\]\.id"):
        TaskGraph.from_networkx(numbered)
    twice: Any = nx.DiGraph()
    twice.add_node("a", description="x", depends_on=["b"])
    with pytest.raises(InputError, match=r"subtasks\[a\]: has its id as the node"):
        TaskGraph.from_networkx(twice)
    looped: Any = nx.DiGraph([("a", "a", {"coupling": "weak"})])
    looped.nodes["a"]["description"] = "x"
    with pytest.raises(InputError, match=r"subtasks\[a\]\.depends_on: a subtask must not depend on itself"):
        TaskGraph.from_networkx(looped)


@st.composite
def said_graphs(draw: st.DrawFn) -> dict[str, Any]:
    """Return what files may say."""
    names = draw(
        st.lists(st.text("abcß -", min_size=1, max_size=4).map(str.strip).filter(bool), min_size=1, unique=True)
    )
    subtasks = []
    for place, name in enumerate(names):
        befores = draw(st.lists(st.sampled_from(names[:place]), unique=True)) if place else []
        said: dict[str, Any] = {"id": name, "description": draw(st.text(min_size=1).filter(str.strip))}
        said["depends_on"] = {before: draw(st.sampled_from(list(COUPLING))) for before in befores}
        said["estimated_tokens"] = draw(st.integers(1, 900) | st.floats(0.5, 900))
        said["answer"] = draw(st.sampled_from(["text", "number", {"choice": ["a", "b"]}, {"json": {"type": "array"}}]))
        said |= draw(st.fixed_dictionaries({}, optional={"k": st.integers(1, 9), "timeout_s": st.floats(0.1, 9)}))
        subtasks.append(said)
    return {"goal": draw(st.text()), "context": draw(st.text()), "subtasks": draw(st.permutations(subtasks))}


@given(said_graphs())
def test_round_trips_lose_nothing(said: dict[str, Any]) -> None:
    """A graph survives its written form, JSON and networkx, with the same digest."""
    graph = TaskGraph.from_dict(said)
    written = json.loads(json.dumps(graph.to_dict()))
    for other in (TaskGraph.from_dict(written), TaskGraph.from_networkx(graph.to_networkx())):
        assert other == graph
        assert other.digest() == graph.digest()


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.sampled_from(["facts", "text"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FULL, "coupling", "x"]), inner),
        max_leaves=10,
    ),
    st.sampled_from([*FULL, "coupling"]),
)
def test_any_value_is_accepted_or_refused_by_name(value: Any, key: str) -> None:
    """No value under any key makes a graph fail with anything but an input error in one line."""
    try:
        graph = TaskGraph([FACTS, {**JUDGE, key: value}])
    except InputError as error:
        refused = str(error)
    else:
        refused = "subtasks[judge]"
        assert TaskGraph.from_dict(graph.to_dict()) == graph
    assert refused.startswith("subtasks[")
    assert len(refused.splitlines()) == 1
