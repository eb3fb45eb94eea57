"""How likely a whole graph comes out right: what joins p, gamma, rho and k over a DAG (derived).

Every vote reads the inputs of its subtask for itself. A canonical value that code hands over is read as it stands; a
text is misread with probability (1 - gamma)/2. The pessimistic end is that everything an answer rests on, and every
reading of it, must be right; at the optimistic end a wrong input spoils an answer only as often as was measured, a
wrong text that is misread is right, and answers which rest on the same ones are right together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from math import exp, hypot, log, prod

from orchestra.budget.teamwork import LEAST_P, Reading, Skill, reread, team_accuracy
from orchestra_agents.answers import AnswerKind, AnswerType
from orchestra_topologies.conduct import WHOLE
from orchestra_topologies.graph import Subtask, TaskGraph
from orchestra_topologies.router import Topology
from orchestra_topologies.synthesis import parts, whole_answer
from orchestra_topologies.teams.team import Team
from orchestra_topologies.wiring import strong_inputs

_UNLIKELY = 1e-12
_HOPELESS = 7.0  # logarithm of a loss from which on an accuracy is 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SizePoint:
    """Accuracy of one agent on tasks of one size."""

    size: float
    """Above 0."""
    p: float
    """As measured, in [0, 1]."""
    low: float | None = None
    """The pessimistic end of its interval; None takes `p` for certain."""

    @property
    def loss(self) -> float:
        """-ln p, above 0."""
        return _loss(self.p)

    @property
    def doubt(self) -> float:
        """By how much the logarithm of the loss may be larger, at least 0."""
        return 0.0 if self.low is None else max(0.0, log(_loss(self.low) / self.loss))


def _no_easier(before: SizePoint, point: SizePoint) -> SizePoint:
    """Return a point, or one of its size and of the smaller size's accuracy where that was the harder one."""
    return point if point.loss >= before.loss else replace(before, size=point.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeLaw:
    """Accuracy of one agent on a whole task by its size: ln p(s) = -c s^e, through two measured sizes (derived).

    With errors that are independent a step, e is 1; a task that is more than the sum of its parts has a larger one, and
    where larger tasks are no harder it is 0. Between the two, the law goes through every other size that was measured;
    a size that was easier than a smaller one counts as no easier.
    What is in doubt at two sizes, each by itself, is the more in doubt the farther a task is from them.
    """

    small: SizePoint
    large: SizePoint | None = None
    """None takes e to be 1; so does one that is no larger."""
    between: tuple[SizePoint, ...] = ()
    """Further sizes, ascending, larger than the small one and smaller than the large one."""

    def accuracy(self, size: float) -> float:
        """Return the accuracy at a size above 0, in the unit of the points; the low end where they have one."""
        small, large = self._around(size)
        if large is None or large.size <= small.size:
            return exp(-size / small.size * small.loss * exp(small.doubt))
        way = log(size / small.size) / log(large.size / small.size)
        doubt = hypot((1 - way) * small.doubt, way * large.doubt)
        harder = max(0.0, log(large.loss / small.loss))
        loss = log(small.loss) + way * harder + doubt
        if size >= small.size:  # doubts of two sizes that balance each other make no larger task easier
            loss = max(loss, log(small.loss) + small.doubt)
        return exp(-exp(min(_HOPELESS, loss)))

    def _around(self, size: float) -> tuple[SizePoint, SizePoint | None]:
        """Return the measured sizes on either side of a size, the outer two where it is none between them."""
        if self.large is not None and self.small.size <= size < self.large.size:
            points = accumulate((self.small, *self.between, self.large), _no_easier)
            return next((one, other) for one, other in pairwise(points) if size < other.size)
        return self.small, self.large


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What is known, or assumed, of a model."""

    skills: Mapping[AnswerKind, Skill]
    default: Skill
    """For kinds of answers of which nothing is known."""
    gamma: float = 1.0
    """Correlation of a text as read with the text as written, in (0, 1]."""
    spoil: float = 1.0
    """Probability that a wrong input makes an otherwise right answer wrong, in [0, 1]."""
    whole: SizeLaw | None = None
    """Accuracy of one agent by the size of its task, in subtasks; None takes errors to be independent."""
    assumed: tuple[str, ...] = field(default=())
    """What of this was not measured, by name."""

    def skill(self, answer: AnswerType) -> Skill:
        """Return the skill at a kind of answer."""
        return self.skills.get(answer.kind, self.default)


@dataclass(frozen=True, slots=True)
class Ends:
    """A probability by its pessimistic and its optimistic end."""

    pessimistic: float
    optimistic: float


def compose(graph: TaskGraph, topology: Topology, teams: Mapping[str, Team], able: Abilities) -> Ends:
    """Return how likely the whole answer is right; O(V + E) but for subtasks with many inputs of their own.

    Args:
        graph: The subtasks.
        topology: How they are wired. A lead's note is one more text to read and its reading of the report another, so
            `hierarchical` adds two a subtask; `parallel` adds one of its several parts; `single` is one agent, or one
            team, with the whole task before it.
        teams: Who answers each subtask, by id; with `single` the whole task.
        able: What the model is able to.
    """
    strict, mild = _Wiring(graph, topology, teams, able, is_strict=True), _Wiring(graph, topology, teams, able)
    if topology == "single" and len(graph) > 1:
        return Ends(strict.whole(), mild.whole())
    final = [member for part in parts(graph) for member in part.members]
    last = topology == "parallel" and len(final) > 1
    ends = strict.all_right(final), mild.right(final)
    return Ends(*(end * wiring.reading.right_text**last for end, wiring in zip(ends, (strict, mild), strict=True)))


def votes_met(
    graph: TaskGraph, topology: Topology, teams: Mapping[str, Team], able: Abilities
) -> dict[str, list[tuple[float, Skill]]]:
    """Return what one vote on each subtask is, with the share of runs in which its inputs come out so."""
    wiring = _Wiring(graph, topology, teams, able)
    wiring.right(())
    return wiring.met


def whole_skill(graph: TaskGraph, able: Abilities) -> Skill:
    """Return what one agent is at the whole task: by the law of sizes, else right where it would be at every step."""
    skill = able.skill(whole_answer(graph))
    if able.whole is not None:
        return replace(skill, p=able.whole.accuracy(len(graph)))
    return replace(skill, p=prod(able.skill(subtask.answer).p for subtask in graph))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Resting:
    """Answers that rest on some of the same ones, and are taken to be right together as often as they can be."""

    on: int
    """The subtasks that any of them rests on, itself included, as bits."""
    right: tuple[tuple[float, bool], ...]
    """For each answer the probability that it is right, and whether it is read as text."""


@dataclass(slots=True)
class _Wiring:
    """One graph, wired and staffed."""

    graph: TaskGraph
    topology: Topology
    teams: Mapping[str, Team]
    able: Abilities
    is_strict: bool = False
    """Whether it is the pessimistic end that is asked for."""
    reading: Reading = field(init=False)
    met: dict[str, list[tuple[float, Skill]]] = field(init=False, default_factory=dict)
    """What one vote on each subtask is, with the share of runs in which it is."""

    def __post_init__(self) -> None:
        self.reading = Reading(self.able.gamma, self.able.spoil, self.is_strict)

    def whole(self) -> float:
        """Return the accuracy of whoever has the whole task before it."""
        return self._team(WHOLE, whole_answer(self.graph), whole_skill(self.graph, self.able))

    def all_right(self, final: Iterable[str]) -> float:
        """Return the probability that every subtask the final ones rest on, and every reading of it, is right."""
        needed, rest = set[str](), list(final)
        while rest:
            one = rest.pop()
            if one not in needed:
                needed.add(one)
                rest += self.graph.predecessors(one)
        return prod(self._own(one, self._skill(one)) for one in self.graph if one.id in needed)  # in a fixed order

    def right(self, final: Iterable[str]) -> float:
        """Return the probability that all final subtasks are right where wrong inputs spoil only now and then."""
        found: dict[str, _Resting] = {}
        for place, subtask in enumerate(self.graph):
            groups = _apart(found[one] for one in self._shown(subtask))
            met = _patterns(groups)
            self.met[subtask.id] = [(share, self._skill(subtask, wrong)) for wrong, share in met.items()]
            chance = sum(share * self._own(subtask, skill) for share, skill in self.met[subtask.id])
            on = 1 << place
            for group in groups:
                on |= group.on
            found[subtask.id] = _Resting(on=on, right=((min(1.0, chance), not subtask.answer.votable),))
        return prod(min(right for right, _ in group.right) for group in _apart(found[one] for one in final))

    def _skill(self, subtask: Subtask, wrong: tuple[int, int] = (0, 0)) -> Skill:
        """Return what one vote on a subtask is of whose inputs so many texts and so many values are wrong."""
        reading = self.reading
        texts = sum(not self.graph[one].answer.votable for one in self._shown(subtask))
        right_texts = texts - wrong[0] + (self.topology == "hierarchical")  # the lead's note
        kept = reading.right_text**right_texts * reading.wrong_text ** wrong[0] * reading.wrong_value ** wrong[1]
        return reread(self.able.skill(subtask.answer), kept)

    def _own(self, subtask: Subtask, skill: Skill) -> float:
        """Return the accuracy of a subtask's team, whose report a lead reads if there is one."""
        report = self.reading.right_text if self.topology == "hierarchical" else 1.0
        return report * self._team(subtask.id, subtask.answer, skill)

    def _team(self, name: str, answer: AnswerType, skill: Skill) -> float:
        return team_accuracy(self.teams[name], answer, skill, self.reading)

    def _shown(self, subtask: Subtask) -> Iterable[str]:
        return strong_inputs(subtask) if self.topology == "parallel" else self.graph.predecessors(subtask.id)


def _apart(answers: Iterable[_Resting]) -> list[_Resting]:
    """Return answers by groups none of which rests on what another rests on."""
    groups: list[_Resting] = []
    for one in answers:
        joined, others = one, []
        for group in groups:
            if group.on & joined.on:
                joined = _Resting(on=group.on | joined.on, right=group.right + joined.right)
            else:
                others.append(group)
        groups = [*others, joined]
    return groups


def _patterns(groups: Iterable[_Resting]) -> dict[tuple[int, int], float]:
    """Return how likely it is that so many texts and so many values among the answers of the groups are wrong."""
    found = {(0, 0): 1.0}
    for group in groups:
        after: dict[tuple[int, int], float] = {}
        for (texts, values), share in found.items():
            for (more_texts, more_values), chance in _together(group):
                key = texts + more_texts, values + more_values
                after[key] = after.get(key, 0.0) + share * chance
        found = {key: share for key, share in after.items() if share > _UNLIKELY}
    return found


def _together(group: _Resting) -> list[tuple[tuple[int, int], float]]:
    """Return the ways in which a group's answers are wrong: where one is, so is every one that is wrong more often."""
    ordered = sorted(group.right, reverse=True)
    texts = sum(is_text for _, is_text in ordered)
    values = len(ordered) - texts
    found, above = [], 1.0
    for right, is_text in ordered:
        found.append(((texts, values), above - right))
        texts, values, above = texts - is_text, values - (not is_text), right
    return [*found, ((texts, values), above)]


def _loss(p: float) -> float:
    return -log(min(1 - LEAST_P, max(LEAST_P, p)))
