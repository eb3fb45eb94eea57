"""Finding a path in a graph, or the next step of a proof, where wrong ways look right for long (DeepRD)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.path_graphs import PathGraph, draw_graph, steps_to
from orchestra_evals.suites.path_words import draw_adjectives, draw_person, implications
from orchestra_evals.suites.scoring import misshapen, right, with_slips, wrong
from orchestra_evals.suites.suite import About, Difficulty, Sample, Score, Split, check_difficulty, rng_of, sample_id
from orchestra_topologies.graph import TaskGraph

_MOST_EXTRA = 200
_RANGES = {"lookahead": (2, 800), "branching": (1, 16)}
_FORMS = ("symbolic", "logic")
_DECOYS = 3  # further choices where there is but one first step
_ABOUT = About(
    summary="A path between two nodes of a graph (symbolic), or the next step of a proof in invented words (logic).",
    scoring="Every edge of the path exists and it joins the two nodes, or the step is one that leads to the goal.",
    licence="Apache-2.0, generated",
    axes={"lookahead": (2, 4, 8, 16, 32, 64, 128), "branching": (1, 2, 4, 8, 16), "form": _FORMS},
    default=tuple(
        {"lookahead": lookahead, "branching": 4, "form": form} for form in _FORMS for lookahead in (2, 4, 8, 16, 32)
    ),
    steps="lookahead",
)
_SYMBOLIC = """These are the edges of a directed graph; a -> b leads from node a to node b, and not back.
{edges}
There is a path from node {start} to node {goal}.
Give the nodes on it in order, from {start} to {goal}, both included, as a JSON list of numbers."""
_LOGIC = """{rules}
{person} is {start}. We want to prove that {person} is {goal}, applying one rule at a time.
What is the next step of the proof: {person} is ...?"""


class Reachability:
    """Samples whose first step is a guess for whoever looks less far ahead than asked.

    Args:
        extra: Nodes that are woven in beside the chains of each graph, 0 to 200.

    Raises:
        InputError: It is out of its range.
    """

    def __init__(self, extra: int = 0) -> None:
        if type(extra) is not int or not 0 <= extra <= _MOST_EXTRA:
            raise InputError("suite", f"reachability: extra must be an integer from 0 to {_MOST_EXTRA}, got {extra!r}")
        self._extra = extra

    @property
    def name(self) -> str:
        """Return `reachability`, with the extra nodes if there are any."""
        return f"reachability:extra={self._extra}" if self._extra else "reachability"

    @property
    def about(self) -> About:
        """What it measures."""
        return _ABOUT

    def sample(self, difficulty: Difficulty, index: int, *, split: Split, seed: int) -> Sample:
        """Return a sample.

        Raises:
            InputError: The suite has no such difficulty.
        """
        check_difficulty(_ABOUT, difficulty, _RANGES)
        rng = rng_of(self.name, _ABOUT.version, difficulty, index, split=split, seed=seed)
        graph = draw_graph(difficulty["lookahead"], difficulty["branching"], self._extra, rng)
        make, candidates = (_symbolic, _paths) if difficulty["form"] == "symbolic" else (_logic, _steps)
        sample = make(graph, rng, sample_id(difficulty, index, split=split, seed=seed), dict(difficulty))
        return with_slips(sample, self.check, candidates(sample, graph))

    def check(self, sample: Sample, answer: Json) -> Score:
        """Return whether every edge exists and the ends are right, or whether the step leads on."""
        if problem := misshapen(sample, answer):
            return problem
        instance = sample.instance
        edges = {(one, other) for one, other in instance["edges"]}
        leading = steps_to(edges, instance["goal"])
        if "names" in instance:
            step = instance["names"].index(answer)
            is_right = step in leading and (instance["start"], step) in edges
            return right(first_step=1.0) if is_right else wrong(f"{answer} does not lead to the goal", first_step=0.0)
        invented = [step for step in pairwise(answer) if step not in edges]
        is_led = answer[1] in leading and (instance["start"], answer[1]) in edges
        parts = {"first_step": float(is_led), "invented_edges": len(invented) / (len(answer) - 1)}
        if answer[0] != instance["start"]:
            return wrong(f"the path begins at {shown(answer[0])}, not at {instance['start']}", **parts)
        if invented:
            return wrong(f"there is no edge {shown(invented[0][0])} -> {shown(invented[0][1])}", **parts)
        if answer[-1] != instance["goal"]:
            return wrong(f"the path ends at {shown(answer[-1])}, not at {instance['goal']}", **parts)
        return right(**parts)

    def graph(self, sample: Sample) -> TaskGraph | None:
        """Return None: a sample is one question."""
        return None


def _symbolic(graph: PathGraph, rng: random.Random, name: str, difficulty: Difficulty) -> Sample:
    edges = ", ".join(f"{one} -> {other}" for one, other in graph.edges)
    node = {"type": "integer", "minimum": 0, "maximum": graph.nodes - 1}
    return Sample(
        id=name,
        question=_SYMBOLIC.format(edges=edges, start=graph.start, goal=graph.goal),
        answer=AnswerType.parse({"json": {"type": "array", "items": node, "minItems": 2, "maxItems": graph.nodes}}),
        target=list(graph.path),
        difficulty=difficulty,
        instance=_instance(graph),
    )


def _logic(graph: PathGraph, rng: random.Random, name: str, difficulty: Difficulty) -> Sample:
    names, person = draw_adjectives(graph.nodes, rng), draw_person(rng)
    choices = [names[other] for one, other in graph.edges if one == graph.start]
    if len(choices) == 1:
        choices += [names[node] for node in range(graph.nodes) if node not in graph.path[:2]][:_DECOYS]
    return Sample(
        id=name,
        question=_LOGIC.format(
            rules=implications(graph.edges, names, rng),
            person=person,
            start=names[graph.start],
            goal=names[graph.goal],
        ),
        answer=AnswerType.parse({"choice": sorted(choices)}),
        target=names[graph.path[1]],
        difficulty=difficulty,
        instance=_instance(graph) | {"names": names},
    )


def _instance(graph: PathGraph) -> dict[str, Json]:
    return {"edges": [list(edge) for edge in graph.edges], "start": graph.start, "goal": graph.goal}


def _paths(sample: Sample, graph: PathGraph) -> Iterator[Json]:
    """Yield wrong paths: down a wrong way with a jump to the goal, a node left out, two swapped, short of the goal."""
    path = list(graph.path)
    children: dict[int, list[int]] = {}
    for one, other in graph.edges:
        children.setdefault(one, []).append(other)
    for node in (one for one in children[graph.start] if one != path[1]):
        way = [graph.start]
        while len(way) < len(path) - 1:
            way.append(node)
            node = children.get(node, [node])[0]
        yield [*way, graph.goal]
    middle = len(path) // 2
    yield path[:middle] + path[middle + 1 :]
    yield path[: middle - 1] + path[middle - 1 : middle + 1][::-1] + path[middle + 1 :]
    yield path[:-1]
    yield path[::-1]


def _steps(sample: Sample, graph: PathGraph) -> Iterator[Json]:
    yield from sample.answer.choices
