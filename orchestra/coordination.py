"""What coordination cost and what it brought: the figures of the agent-scaling study, counted from the journal.

The definitions are those of section 3 of the study, with these readings. A *turn* is a prompt that an agent was put,
however many votes were counted on it: a node with one input. A *message* is what an agent of a team passes on to others
at the end of a round, counted once however many read it; what only code reads is none, but for the last round of a
debate, which the study counts. *Unproductive* are the tokens of replies that were discarded, of repairs (replies asked
for because the one before could not be used or did not pass its check), and of actions that came to nothing (refused,
failed or out of time). What the paper calls error amplification are two things, both here: `failure_ratio` over
answers, and `unproductive_token_ratio` over tokens.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from statistics import fmean

from orchestra_agents.journal.records import Sampled
from orchestra_agents.journal.replay import RunState
from orchestra_agents.models.contract import Json
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.synthesis import parts

_REPAIR = re.compile(r"<(.+) repair \d+>|<repair (.+) \d+>")  # names of nodes that are asked again, and what


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordination:
    """The figures of one run; those of the last group are None without a run of one agent to compare with."""

    turns: int
    """Prompts that agents were put (T)."""
    messages: int
    """Texts that agents of teams passed on to others."""
    message_density: float | None
    """Messages a turn (c); None without turns."""
    redundancy: float | None
    """Mean similarity of the last outputs of agents of one team, over all teams (R), in [-1, 1]."""
    redundancy_basis: str | None
    """What the similarity is based on; `lexical` compares words, not meaning."""
    tokens: int
    """Input and output tokens of all replies."""
    unproductive_tokens: int
    unproductive_share: float | None
    """Share of the tokens, in [0, 1]; None without tokens."""
    actions: dict[str, int]
    """Actions with tools by what came of them: ok, error, timeout, refused."""
    success: float | None
    """Share of the parts of the answer that are right (S), or the score given; None where no reference is known, and
    of a run that has not ended."""
    error_rate: float | None
    """Share of the subtasks that ended, and whose reference is known, that are not right; None where there is none."""
    overhead_percent: float | None = None
    """(T - T_single) / T_single * 100 (O%)."""
    efficiency: float | None = None
    """S / (T / T_single) (E_c)."""
    failure_ratio: float | None = None
    """(1 - S) / (1 - S_single); None where the single agent never fails."""
    unproductive_token_ratio: float | None = None
    """Unproductive share over that of the single agent; None where that is 0."""
    absorption: float | None = None
    """(E_single - E) / E_single on the error rates; None where the single agent errs nowhere."""

    def beside(self, single: Coordination) -> Coordination:
        """Return the figures with those that compare them to a run of one agent on the same task."""
        longer = _ratio(self.turns, single.turns)
        return replace(
            self,
            overhead_percent=None if longer is None else (longer - 1) * 100,
            efficiency=_ratio(self.success, longer),
            failure_ratio=_ratio(_less(1.0, self.success), _less(1.0, single.success)),
            unproductive_token_ratio=_ratio(self.unproductive_share, single.unproductive_share),
            absorption=_ratio(_less(single.error_rate, self.error_rate), single.error_rate),
        )

    def as_dict(self) -> dict[str, Json]:
        """Return the figures as JSON."""
        return asdict(self)


def coordination_of(state: RunState, graph: TaskGraph | None, *, success: float | None = None) -> Coordination:
    """Return the figures of a run from its state.

    Args:
        state: What its journal says.
        graph: What it worked on; None where there is no graph yet.
        success: Its score in [0, 1], where somebody else tells; None compares answers with the graph's references.
    """
    samples = list(state.samples())
    turns = {(sample.node, sample.input) for sample in samples}
    wasted = {(seen.node, seen.input) for seen in state.observed.values() if seen.status != "ok"}
    tokens = sum(map(_tokens, samples))
    unproductive = sum(_tokens(sample) for sample in samples if _is_wasted(sample, wasted, state.subtasks))
    teams = [team for team in state.teams.values() if team.redundancy is not None]
    errors = [] if graph is None else list(_errors(state, graph))
    scores = [] if graph is None else list(_scores(state, graph))
    return Coordination(
        turns=len(turns),
        messages=len(state.messages),
        message_density=_ratio(len(state.messages), len(turns)),
        redundancy=fmean(team.redundancy or 0.0 for team in teams) if teams else None,
        redundancy_basis=", ".join(sorted({str(team.basis) for team in teams})) or None,
        tokens=tokens,
        unproductive_tokens=unproductive,
        unproductive_share=_ratio(unproductive, tokens),
        actions=dict(Counter(seen.status for seen in state.observed.values())),
        success=success if success is not None else fmean(scores) if scores else None,
        error_rate=fmean(errors) if errors else None,
    )


def _is_wasted(sample: Sampled, wasted: set[tuple[str, str]], ended: Collection[str]) -> bool:
    return sample.flag is not None or (sample.node, sample.input) in wasted or _is_repair(sample.node, ended)


def _is_repair(node: str, ended: Collection[str]) -> bool:
    """Whether `node` is asked for what a node that has ended could not give; a subtask may be called `repair`, too."""
    named = _REPAIR.fullmatch(node)
    return named is not None and (f"<{named[1]}>" in ended or named[2] in ended)


def _tokens(sample: Sampled) -> int:
    return sample.input_tokens + sample.output_tokens


def _errors(state: RunState, graph: TaskGraph) -> Iterator[bool]:
    """Yield for each subtask whose reference is known, and that was answered by itself, whether it is not right."""
    for subtask in graph:
        ended = state.subtasks.get(subtask.id)
        if subtask.truth is not None and ended is not None and ended.covered_by is None:
            yield not (ended.status == "ok" and _is_right(graph, subtask.id, ended.answer))


def _scores(state: RunState, graph: TaskGraph) -> Iterator[bool]:
    """Yield for each part of the answer whose reference is known whether it is right."""
    if state.ended is None or state.ended.status == "interrupted":
        return
    found, answer = parts(graph), state.ended.answer
    for part in found:
        if graph[part.members[0]].truth is not None:
            said = answer if len(found) == 1 else answer.get(part.name) if isinstance(answer, dict) else None
            yield said is not None and _is_right(graph, part.members[0], said)


def _is_right(graph: TaskGraph, one: str, answer: Json) -> bool:
    truth, kind = graph[one].truth, graph[one].answer
    return truth is not None and kind.canonical(truth.answer) == kind.canonical(answer)


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _ratio(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other
