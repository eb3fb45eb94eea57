"""A profile from the votes of a run that was: what its journal holds on subtasks whose answer is known.

A vote goes on until somebody is ahead, so that its length depends on what was said, and shares of such votes are
biased. Only the first k samples of a subtask were drawn whatever they said (k its margin), and only they are counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from orchestra.budget.items import Item
from orchestra.budget.measuring import kind_of
from orchestra.budget.polls import ItemVotes, Poll, law_of_votes, size_profile, vote_confidence
from orchestra.budget.profile import AnswerProfile, Profile
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError, RedFlag, UnknownRun
from orchestra_agents.journal.records import Sampled
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.microagent import Vote
from orchestra_topologies.graph import Subtask, TaskGraph


@dataclass(frozen=True, slots=True)
class _Asked:
    """A subtask with a known answer, and the first samples drawn for it."""

    subtask: Subtask
    samples: tuple[Sampled, ...]


def profile_of_run(journal: Journal, run_id: str, *, model: str | None = None) -> Profile:
    """Return what the votes of a run say of a model; nothing is asked.

    Counted are subtasks with a known answer and a typed one, answered by samples of their own (solo or vote), whose
    inputs are not known to have been wrong.

    Args:
        journal: Where the run is.
        run_id: A run of a task graph.
        model: Whose votes are counted; may be left out where one model answered.

    Raises:
        UnknownRun: The journal holds no such run.
        InputError: It is no run of a task graph, no answer of it is known, several models answered and none is named,
            or nothing of it can be counted.
    """
    state = RunState.of(journal.entries(run_id))
    if state.started is None:
        raise UnknownRun(run_id, str(journal.path))
    task = state.manifest.get("task")
    if state.started.what != "graph" or not isinstance(task, Mapping):
        raise InputError("--from-run", f"{run_id!r} is no run of a task graph, which alone holds known answers")
    graph = TaskGraph.from_dict(task, max_subtasks=10**9, max_layers=10**9)
    known = [one for one in graph if one.truth is not None and one.answer.votable]
    if not known:
        raise InputError("--from-run", f"no subtask of {run_id!r} has a truth and an answer that can be counted")
    drawn: dict[str, dict[int, Sampled]] = defaultdict(dict)
    for sample in state.samples():
        drawn[sample.node][sample.index] = sample
    wrong = {one.id for one in known if _is_wrong(one, state)}
    asked = [
        one
        for subtask in known
        if wrong.isdisjoint(graph.predecessors(subtask.id))
        and (one := _asked(subtask, state, drawn[subtask.id])) is not None
    ]
    name = _only_model(asked, model)
    grouped = defaultdict(list)
    for one in asked:
        if {sample.model for sample in one.samples} == {name}:
            grouped[kind_of(_item(one.subtask))].append(one)
    if not grouped:
        raise InputError("--from-run", f"nothing in {run_id!r} is a vote of {name} that can be counted")
    polls = {kind: _poll(journal, group) for kind, group in grouped.items()}
    first, (_, options) = next(iter(polls.values())), next(iter(polls))
    rng = np.random.default_rng(0)
    confidence = vote_confidence(first, rng=rng)
    return Profile(
        model=name,
        date=state.started.at[:10],
        evidence=state.evidence,
        answers=tuple(
            AnswerProfile(kind=kind, options=options, sizes=(size_profile(poll, rng=rng),))
            for (kind, options), poll in polls.items()
        ),
        compute=law_of_votes(first, choices=options or 2),
        confidences=(confidence,) if confidence is not None else (),
    )


def _asked(subtask: Subtask, state: RunState, drawn: Mapping[int, Sampled]) -> _Asked | None:
    """Return the samples that were drawn whatever they said; None where not all of them are there."""
    ended = state.subtasks.get(subtask.id)
    if ended is None:
        return None
    first = range(ended.k or 1)
    return _Asked(subtask, tuple(drawn[place] for place in first)) if all(map(drawn.__contains__, first)) else None


def _is_wrong(subtask: Subtask, state: RunState) -> bool:
    """Tell whether the answer of a subtask whose truth is known is wrong."""
    ended = state.subtasks.get(subtask.id)
    if subtask.truth is None or ended is None or ended.status != "ok":
        return False
    return subtask.answer.canonical(ended.answer) != subtask.answer.canonical(subtask.truth.answer)


def _only_model(asked: Sequence[_Asked], model: str | None) -> str:
    names = sorted({sample.model for one in asked for sample in one.samples})
    if model is None and len(names) > 1:
        raise InputError("--model", f"must name one of those that answered: {', '.join(names)}")
    if not names or (model is not None and model not in names):
        raise InputError("--model", f"must be one that answered ({', '.join(names) or 'nobody did'}), got {model!r}")
    return model or names[0]


def _poll(journal: Journal, group: Sequence[_Asked]) -> Poll:
    """Return the votes of subtasks, as many of each as the one with the fewest has."""
    votes = min(len(one.samples) for one in group)
    samples = [sample for one in group for sample in one.samples[:votes]]
    return Poll(
        size=1.0,
        panel=votes,
        items=tuple(_votes(journal, one.subtask, one.samples[:votes]) for one in group),
        input_tokens=float(np.mean([sample.input_tokens for sample in samples])),
        output_tokens=float(np.mean([sample.output_tokens for sample in samples])),
    )


def _votes(journal: Journal, subtask: Subtask, samples: Sequence[Sampled]) -> ItemVotes:
    answer, truth = subtask.answer, subtask.truth
    assert truth is not None
    said = [vote_of(journal, answer, sample).canonical for sample in samples if sample.flag is None]
    return ItemVotes(tally=Counter(said), right=answer.canonical(truth.answer))


def vote_of(journal: Journal, answer: AnswerType, sample: Sampled) -> Vote:
    """Return what a recorded reply without a flag votes for, asked for as JSON or as the rest of a line."""
    if sample.opaque is not None:
        return Vote(sample.opaque, sample.opaque)
    text = journal.blob(sample.text)
    try:
        value = answer.read(text)
    except RedFlag:
        value = answer.read_line(text)
    return Vote(answer.canonical(value), value)


def _item(subtask: Subtask) -> Item:
    return Item(name=subtask.id, input=subtask.description, answer=subtask.answer)
