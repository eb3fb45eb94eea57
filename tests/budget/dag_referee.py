"""Whole task graphs played out vote by vote, many runs at once: the referee of the composition of p, gamma, rho and k.

It shares no code with `orchestra.budget`. A world says what one agent is: right with probability p, with errors that
the votes on one question share, texts that are misread with probability (1-gamma)/2 by each vote that reads them, wrong
inputs that spoil, items of unequal difficulty, and accuracy lost with every token of context. What topologies and teams
do is that of their docs: who answers, who reads whom, what code counts. An answer of a kind that code can count is
handed over as it is and never misread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from orchestra_topologies.graph import Subtask, TaskGraph
from orchestra_topologies.teams.team import Team

Bits = NDArray[np.bool_]
Labels = NDArray[np.int64]
Reals = NDArray[np.float64]

RIGHT = 0
"""Label of the right answer; wrong ones are 1, 2, ..."""
_ASKED = 25  # tokens of how a reply is to look and of the rule about data
SAID = 60
"""Tokens of what a team's agents are told beside their question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What one agent is, and what happens between agents."""

    p: Mapping[str, float]
    """Accuracy of a valid vote of the median item, by kind of answer."""
    whole: Callable[[int], float] = lambda size: 1.0
    """The same of one agent with so many subtasks before it."""
    rho: float = 0.0
    correlation: Literal["mixture", "beta"] = "mixture"
    """Shared errors: votes that are copies of one, or a p of the question's own."""
    valid: float = 1.0
    wrong: int = 1
    """Equally likely wrong answers."""
    gamma: float = 1.0
    spoil: float = 1.0
    spread: float = 0.0
    """Standard deviation of difficulty on the logit scale."""
    tails: Literal["normal", "heavy"] = "normal"
    """Normal difficulties, or Student's t with two degrees of freedom."""
    overload: float = 0.0
    """Accuracy lost per 1,000 tokens of context."""
    reply: float = 8.0
    """Tokens of a reply."""
    stop: float = 0.5
    """Probability that a lead which may stop does."""

    @property
    def misread(self) -> float:
        """Probability that one text is read as its opposite."""
        return (1 - self.gamma) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What many runs came to."""

    success: float
    """Share of runs whose whole answer is right."""
    standard_error: float
    calls: float
    tokens: float
    runs: int


@dataclass(slots=True, kw_only=True)
class _Question:
    """What the votes on one question have in common, in each run."""

    accuracy: Reals
    """Of a vote that reads nothing wrong."""
    copied: Bits
    """Whether all votes are copies of the first."""
    texts: list[Bits] = field(default_factory=list)
    """Inputs that are read, by whether they are right."""
    values: list[Bits] = field(default_factory=list)
    """Inputs that code hands over."""
    prompt: float = 0.0
    """Tokens of the prompt."""


def play(
    graph: TaskGraph, topology: str, teams: Mapping[str, Team], world: World, runs: int, rng: np.random.Generator
) -> Observed:
    """Return what `runs` independent runs of a graph come to."""
    game = _Game(world, runs, rng)
    success = game.whole(graph, teams["<whole>"]) if "<whole>" in teams else game.graph(graph, topology, teams)
    share = float(success.mean())
    return Observed(
        success=share,
        standard_error=sqrt(max(share * (1 - share), 1 / runs) / runs),
        calls=float(game.calls.mean()),
        tokens=float(game.tokens.mean()),
        runs=runs,
    )


@dataclass(slots=True)
class _Game:
    world: World
    runs: int
    rng: np.random.Generator
    calls: Reals = field(init=False)
    tokens: Reals = field(init=False)

    def __post_init__(self) -> None:
        self.calls, self.tokens = np.zeros(self.runs), np.zeros(self.runs)

    def whole(self, graph: TaskGraph, team: Team) -> Bits:
        """One agent, or one team, has the whole task before it."""
        final = [one for one in graph if not graph.successors(one.id) or one.final]
        kind = final[0].answer.kind if len(final) == 1 else "text"
        prompt = _ASKED + 18 + _length(graph.goal, graph.context) + sum(_length(one.description) + 1 for one in graph)
        question = self._question(self.world.whole(len(graph)), prompt)
        return self._answered(team, kind, question)

    def graph(self, graph: TaskGraph, topology: str, teams: Mapping[str, Team]) -> Bits:
        """Every subtask has a team; the topology says what it reads."""
        right: dict[str, Bits] = {}
        is_led = topology == "hierarchical"
        for subtask in graph:
            question = self._asked(graph, subtask, topology, right)
            if is_led:  # the lead's note is one more text
                question.texts.append(np.ones(self.runs, dtype=bool))
            answered = self._answered(teams[subtask.id], subtask.answer.kind, question)
            if is_led:  # the lead reads the report once
                answered &= ~((self._draws() < self.world.misread) & (self._draws() < self.world.spoil))
            right[subtask.id] = answered
        if is_led:
            outline = _length(graph.goal, graph.context) + sum(_length(one.description) for one in graph)
            self._spend(np.full(self.runs, 2.0), outline + len(graph) * self.world.reply)
        parts = [one.id for one in graph if not graph.successors(one.id) or one.final]
        success = np.logical_and.reduce([right[one] for one in parts])
        if topology == "parallel" and len(parts) > 1:
            success = success & ~((self._draws() < self.world.misread) & (self._draws() < self.world.spoil))
        return np.asarray(success)

    def _asked(self, graph: TaskGraph, subtask: Subtask, topology: str, right: Mapping[str, Bits]) -> _Question:
        heard = [
            before
            for before, coupling in subtask.depends_on
            if topology != "parallel" or coupling in ("strong", "critical")
        ]
        prompt = _ASKED + 10 * subtask.answer.votable + _length(graph.goal, graph.context, subtask.description)
        prompt += sum(7 + (1 if graph[before].answer.votable else self.world.reply) for before in heard)
        question = self._question(self.world.p[subtask.answer.kind], prompt)
        for before in heard:
            (question.values if graph[before].answer.votable else question.texts).append(right[before])
        return question

    def _question(self, p: float, prompt: float) -> _Question:
        world = self.world
        accuracy = np.full(self.runs, p)
        if world.spread:
            score = self.rng.standard_normal(self.runs)
            if world.tails == "heavy":
                score = self.rng.standard_t(2, self.runs)
            accuracy = 1 / (1 + np.exp(np.clip(world.spread * score, -300, 300)) * (1 - p) / p)
        accuracy = np.maximum(0.0, accuracy - world.overload * prompt / 1000)
        copied = np.zeros(self.runs, dtype=bool)
        if world.correlation == "mixture":
            copied = self._draws() < world.rho
        elif world.rho:
            scale = (1 - world.rho) / world.rho
            inner = np.clip(accuracy, 1e-9, 1 - 1e-9)
            accuracy = self.rng.beta(inner * scale, (1 - inner) * scale)
        return _Question(accuracy=accuracy, copied=copied, prompt=prompt)

    def _answered(self, team: Team, kind: str, question: _Question) -> Bits:
        """Return in which runs a team's answer is right."""
        is_counted = kind not in ("text", "code")
        match team.name:
            case "solo":
                return self._alone(question, team.tries)
            case "vote":
                return self._race(question, team.k or 1)
            case "independent":
                said = self._apart(question, team.option("agents"))
                if kind == "text":  # one under the other: what is wrong in it is in it
                    return np.asarray((said == RIGHT).all(axis=1))
                return self._most(said) == RIGHT if is_counted else said[:, 0] == RIGHT
            case "decentralized":
                return self._debate(question, team, is_counted)
            case "centralized" | "peers":
                return self._led(question, team)
            case "tree":
                return self._tree(question, team)
        raise AssertionError(team.name)

    def _alone(self, question: _Question, tries: int) -> Bits:
        said = self._votes(question, np.arange(self.runs)) == RIGHT
        asked = self.rng.geometric(self.world.valid, self.runs)
        self._spend(np.minimum(asked, tries), question.prompt)
        return np.asarray(said & (asked <= tries))

    def _race(self, question: _Question, k: int) -> Bits:
        """Votes are counted one by one until an answer is k ahead, 10 k at most."""
        tally = np.zeros((self.runs, self.world.wrong + 1), dtype=np.int64)
        winner, votes = np.full(self.runs, -1), np.zeros(self.runs, dtype=np.int64)
        first = self._votes(question, np.arange(self.runs))
        going = np.arange(self.runs)
        for number in range(10 * k):
            said = first[going] if number == 0 else self._votes(question, going)
            said = np.where(question.copied[going], first[going], said)
            tally[going, said] += 1
            votes[going] += 1
            ordered = np.sort(tally[going], axis=1)
            is_over = ordered[:, -1] - ordered[:, -2] >= k
            done = going[is_over]
            winner[done] = tally[done].argmax(axis=1)
            going = going[~is_over]
            if not len(going):
                break
        self._spend(votes + self.rng.negative_binomial(votes, self.world.valid), question.prompt)
        return np.asarray(winner == RIGHT)

    def _apart(self, question: _Question, agents: int, extra: float = 0.0) -> Labels:
        """Agents answer the same question apart, one column each."""
        everywhere = np.arange(self.runs)
        said = np.stack([self._votes(question, everywhere) for _ in range(agents)], axis=1)
        said = np.where(question.copied[:, None], said[:, :1], said)
        self._spend(self._replies(agents), question.prompt + extra)
        return said

    def _debate(self, question: _Question, team: Team, is_counted: bool) -> Bits:
        """Every agent reads what all said, its own last answer included, and says what most of it is."""
        agents = team.option("agents")
        said = self._apart(question, agents, SAID) == RIGHT
        for _ in range(team.option("rounds") - 1):
            read = said[:, None, :] ^ (self.rng.random((self.runs, agents, agents)) < self.world.misread)
            own = read[:, np.arange(agents), np.arange(agents)]
            most = read.sum(axis=2) * 2
            decided = np.where(most == agents, self.rng.random((self.runs, agents)) < 0.5, most > agents)
            is_copied = self.rng.random((self.runs, agents)) < self.world.rho
            said = np.where(is_copied, own, decided)
            self._spend(self._replies(agents), question.prompt + SAID + agents * self.world.reply)
        if not is_counted:
            return np.asarray(said[:, 0])
        return self._most(np.where(said, RIGHT, 1)) == RIGHT

    def _led(self, question: _Question, team: Team) -> Bits:
        """A lead's objectives are read, its workers' findings are read by it (and by peers), and it answers of them."""
        agents, rounds, world = team.option("agents"), team.option("rounds"), self.world
        objective = np.ones(self.runs, dtype=bool)
        everywhere = np.arange(self.runs)
        self._spend(self._replies(1), question.prompt)
        last: list[Bits] = []
        going = np.ones(self.runs, dtype=bool)
        for number in range(1, rounds + 1):
            found = []
            for agent in range(agents):
                peers = [one for place, one in enumerate(last) if place != agent] if team.name == "peers" else []
                part = replace(question, texts=[*question.texts, objective, *peers])
                found.append(self._votes(part, everywhere) == RIGHT)
            heard = question.prompt + 2 * SAID + (agents * world.reply if team.name == "peers" else 0)
            self._spend(self._replies(agents) * going, heard)
            last = [np.where(going, now, before) for now, before in zip(found, last or found, strict=True)]
            if number < rounds:
                self._spend(self._replies(1) * going, question.prompt + SAID + agents * world.reply)
                if number >= 2:
                    going &= self._draws() >= world.stop
        self._spend(self._replies(1), question.prompt + SAID + agents * world.reply)
        final = replace(question, texts=[*question.texts, *last])
        return np.asarray(self._votes(final, everywhere) == RIGHT)

    def _tree(self, question: _Question, team: Team) -> Bits:
        fan_in, depth, world = team.option("fan_in"), team.option("depth"), self.world
        if team.join == "code":
            level = self._apart(question, fan_in**depth)
            while level.shape[1] > 1:
                groups = [level[:, start : start + fan_in] for start in range(0, level.shape[1], fan_in)]
                level = np.stack([self._most(group) for group in groups], axis=1)
            return np.asarray(level[:, 0] == RIGHT)
        leaves = replace(question, copied=np.zeros(self.runs, dtype=bool))  # what is shared is what a joint reads
        bits = self._apart(leaves, fan_in**depth) == RIGHT
        while bits.shape[1] > 1:
            nodes = bits.shape[1] // fan_in
            sent = bits.reshape(self.runs, nodes, fan_in)
            read = sent ^ (self.rng.random(sent.shape) < world.misread)
            is_shared = self.rng.random((self.runs, nodes)) < world.rho
            twice = read.sum(axis=2) * 2
            most = np.where(twice == fan_in, self.rng.random((self.runs, nodes)) < 0.5, twice > fan_in)
            bits = np.where(is_shared, read[:, :, 0], most)
            self._spend(self._replies(nodes), question.prompt + SAID + fan_in * world.reply)
        return np.asarray(bits[:, 0])

    def _votes(self, question: _Question, where: Labels) -> Labels:
        """Return one vote in each of the runs `where`; it reads its inputs for itself."""
        world, count = self.world, len(where)
        is_right = self.rng.random(count) < question.accuracy[where]
        inputs = [(one, world.misread) for one in question.texts] + [(one, 0.0) for one in question.values]
        for given, misread in inputs:
            seen = given[where]
            if misread:
                seen = seen ^ (self.rng.random(count) < misread)
            spoils = True if world.spoil == 1 else self.rng.random(count) < world.spoil
            is_right &= seen | ~np.asarray(spoils)
        wrong = 1 if world.wrong == 1 else self.rng.integers(1, world.wrong + 1, count)
        return np.where(is_right, RIGHT, wrong)

    def _most(self, said: Labels) -> Labels:
        """Return in each run the answer that comes most often, the first of equals."""
        counts = np.stack([(said == said[:, [place]]).sum(axis=1) for place in range(said.shape[1])], axis=1)
        return np.take_along_axis(said, counts.argmax(axis=1)[:, None], axis=1)[:, 0]

    def _draws(self) -> Reals:
        return self.rng.random(self.runs)

    def _replies(self, agents: int) -> Reals:
        """Return the replies that so many agents need, discarded ones included, three tries each."""
        if self.world.valid == 1:
            return np.full(self.runs, float(agents))
        asked = np.minimum(self.rng.geometric(self.world.valid, (self.runs, agents)), 3)
        return np.asarray(asked.sum(axis=1), dtype=np.float64)

    def _spend(self, calls: Reals | Labels, prompt: float) -> None:
        self.calls += calls
        self.tokens += calls * (prompt + self.world.reply)


def _length(*texts: str) -> float:
    """Return the tokens of texts, four characters each."""
    return sum(len(text) for text in texts) / 4


def votes_on_items(
    world: World,
    p: float,
    rng: np.random.Generator,
    *,
    items: int = 300,
    votes: int = 8,
    prompt: float = 60.0,
    value: bool | None = None,
) -> Labels:
    """Return right and valid votes of each item as a pilot would count them, shape (items, 2).

    Args:
        world: What the agents are.
        p: Accuracy of the median item.
        rng: Source of the draws.
        items: Items.
        votes: Replies asked for each.
        prompt: Tokens of a prompt.
        value: Whether the input that each item is given is right; None gives none.
    """
    game = _Game(world, items, rng)
    question = game._question(p, prompt)
    if value is not None:
        question.values.append(np.full(items, value))
    said = game._apart(question, votes)
    valid = rng.random(said.shape) < world.valid
    return np.stack([((said == RIGHT) & valid).sum(axis=1), valid.sum(axis=1)], axis=1)
