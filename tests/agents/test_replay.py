"""The state of a run, folded from its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.journal.records import (
    Asked,
    CallFailed,
    Decomposed,
    Record,
    Routed,
    RunEnded,
    RunResumed,
    RunStarted,
    Sampled,
    Status,
    SubtaskEnded,
    SubtaskStarted,
)
from orchestra_agents.journal.replay import RunState, Usage
from orchestra_agents.journal.sqlite import Entry
from orchestra_agents.ledger import Cost
from orchestra_agents.payment import Payment

LATER = RunResumed(at="later", evidence="simulated")
STARTED = RunStarted(what="graph", manifest={"task": "t", "k": 3}, evidence="simulated", at="then")


def folded(records: Iterable[Record]) -> RunState:
    """The state after some records."""
    return RunState.of(Entry(place + 1, record) for place, record in enumerate(records))


WORST = 100
"""Tokens that a call may take."""


def asked(index: int, node: str = "n") -> Asked:
    """A call about to be made."""
    return Asked(**named(index, node), worst_tokens=WORST, worst_usd=0.25)


def named(index: int, node: str = "n") -> dict[str, Any]:
    """Its identity."""
    return {"node": node, "input": "i", "model": "m", "policy": "p", "index": index}


def replied(
    index: int,
    *,
    node: str = "n",
    flag: str | None = None,
    tokens: tuple[int, int] = (0, 0),
    attempts: int = 1,
    cost_usd: float = 0.0,
    estimated: bool = False,
) -> Sampled:
    """Its reply."""
    return Sampled(
        **named(index, node),
        text="t",
        finish_reason="stop",
        flag=flag,
        input_tokens=tokens[0],
        output_tokens=tokens[1],
        estimated=estimated,
        cost_usd=cost_usd,
        attempts=attempts,
        seconds=0.0,
    )


def failed(index: int, *, attempts: int = 1, unknown: int = 0, calls: int = 0) -> CallFailed:
    """Its failure."""
    counts = {"attempts": attempts, "calls": calls, "unknown": unknown}
    return CallFailed(**named(index), code="server", **counts, lost_tokens=WORST * (calls + unknown))


def ended(node: str = "n", *, status: Status = "ok") -> SubtaskEnded:
    """A subtask's outcome."""
    return SubtaskEnded(node=node, input=None, status=status, seconds=1.0)


outcomes = st.one_of(
    st.builds(
        replied,
        st.just(0),
        flag=st.sampled_from([None, None, "truncated"]),
        tokens=st.tuples(st.integers(0, 500), st.integers(0, 500)),
        attempts=st.integers(1, 8),
        cost_usd=st.integers(0, 8).map(lambda eighths: eighths / 8),
        estimated=st.booleans(),
    ),
    st.builds(failed, st.just(0), attempts=st.integers(1, 8), unknown=st.integers(0, 8), calls=st.integers(0, 8)),
    st.none(),
)


@given(calls=st.lists(outcomes, max_size=30), resumed=st.sets(st.integers(0, 29)))
def test_usage_is_the_sum_over_all_attempts_at_the_run(
    calls: list[Sampled | CallFailed | None], resumed: set[int]
) -> None:
    """Replies are summed, failures only as attempts, and calls without a known end are unknown and count as calls."""
    records: list[Record] = [STARTED]
    for index, outcome in enumerate(calls):
        if index in resumed:
            records.append(LATER)
        records.append(asked(index))
        if outcome is not None:
            records.append(outcome.model_copy(update={"index": index}))
    replies = [call for call in calls if isinstance(call, Sampled)]
    failures = [call for call in calls if isinstance(call, CallFailed)]
    attempts = [reply.attempts for reply in replies] + [failure.attempts for failure in failures]
    unknown = calls.count(None) + sum(failure.unknown for failure in failures)
    assert folded(records).usage == Usage(
        calls=len(replies) + sum(failure.calls for failure in failures) + unknown,
        samples=len(replies),
        attempts=sum(attempts),
        unknown=unknown,
        flagged=sum(reply.flag is not None for reply in replies),
        input_tokens=sum(reply.input_tokens for reply in replies),
        output_tokens=sum(reply.output_tokens for reply in replies),
        estimated=any(reply.estimated for reply in replies),
        paid=Payment(
            usd=sum(reply.cost_usd for reply in replies),
            lost_tokens=WORST * (unknown + sum(failure.calls for failure in failures)),
            lost_usd=0.25 * calls.count(None),
        ),
    )


def test_usage_without_records_is_nothing() -> None:
    """A run that has not asked anything took nothing."""
    assert folded([]).usage == folded([STARTED]).usage == Usage()


@given(order=st.permutations(list(range(6))), answered=st.integers(0, 6))
def test_open_calls_are_unknown_whatever_the_order_of_replies(order: list[int], answered: int) -> None:
    """Calls made side by side and answered in any order leave exactly the unanswered ones unknown."""
    state = folded([*map(asked, range(6)), *map(replied, order[:answered])])
    assert (state.usage.unknown, state.usage.samples, state.usage.calls) == (6 - answered, answered, 6)


def test_a_call_cut_off_by_a_kill_stays_unknown_after_it_is_asked_again() -> None:
    """A call that was open at a kill may have been paid for: the second try does not take it back."""
    state = folded([STARTED, asked(0), LATER, asked(0), replied(0, tokens=(3, 4))])
    assert (state.usage.calls, state.usage.samples, state.usage.unknown) == (2, 1, 1)
    assert state.usage.as_cost() == Cost(calls=2, tokens=7 + WORST, usd=0.25)


@pytest.mark.parametrize(("unknown", "calls"), [(1, 2), (0, 1), (8, 9)])
def test_a_failed_call_that_is_asked_again(unknown: int, calls: int) -> None:
    """A failure that certainly cost nothing is attempts only; one of unknown outcome stays a call."""
    state = folded([asked(0), failed(0, attempts=8, unknown=unknown), asked(0), replied(0, attempts=2)])
    assert (state.usage.calls, state.usage.unknown, state.usage.attempts) == (calls, calls - 1, 10)


def test_samples_of_one_request_close_it_once() -> None:
    """Several samples of one request end that request alone, not single calls for them that a kill cut off."""
    several = asked(0).model_copy(update={"samples": 3})
    later = [replied(index, attempts=0).model_copy(update={"calls": 0}) for index in (1, 2)]
    state = folded([asked(1), asked(2), LATER, several, replied(0), *later])
    assert (state.usage.calls, state.usage.unknown, state.usage.samples) == (3, 2, 3)
    assert state.usage.paid.lost_tokens == 2 * WORST


def test_recorded_replies_are_found_by_identity() -> None:
    """A reply is found by node, input, model, policy and index, flagged or not; what was only asked is not."""
    flagged = replied(1, flag="truncated")
    state = folded([asked(0), replied(0), asked(1), flagged, asked(2), asked(3), failed(3)])
    assert state.reply(asked(0).sample()) == replied(0)
    assert state.reply(asked(1).sample()) == flagged
    for other in (asked(2), asked(3), asked(0, "another"), asked(0).model_copy(update={"model": "x"})):
        assert state.reply(other.sample()) is None


@pytest.mark.parametrize("part", ["node", "input", "model", "policy", "index"])
def test_every_part_of_an_identity_tells_samples_apart(part: str) -> None:
    """Two samples that differ in one part have different identities."""
    one = asked(1)
    assert one.model_copy(update={part: 2 if part == "index" else "x"}).sample() != one.sample()


@given(
    ends=st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["ok", "undecided", "failed", "skipped"])), max_size=9
    )
)
def test_undecided_votes_are_counted_by_subtask(ends: list[tuple[str, Status]]) -> None:
    """How often each subtask's vote ended at its cap is counted over all attempts, and the latest outcome stands."""
    records: list[Record] = []
    for node, status in ends:
        records += [
            SubtaskStarted(node=node, team="vote"),
            ended(node, status=status),
            LATER,
        ]
    state = folded(records)
    assert state.undecided == Counter(node for node, status in ends if status == "undecided")
    assert {node: end.status for node, end in state.subtasks.items()} == dict(ends)


def test_subtasks_run_until_they_end_or_the_attempt_does() -> None:
    """A subtask is at work from its start to its end, and none is when a further attempt begins."""
    records: list[Record] = [SubtaskStarted(node="a", team="solo"), SubtaskStarted(node="b", team="vote"), ended("a")]
    assert list(folded(records).running) == ["b"]
    assert list(folded([*records, LATER]).running) == []
    assert list(folded([*records, ended("never started", status="skipped")]).running) == ["b"]


def test_seconds_are_summed_over_attempts_that_ended() -> None:
    """Wall-clock seconds add up over attempts; a killed one, which has no end, adds none."""
    state = folded(
        [
            STARTED,
            RunEnded(status="interrupted", seconds=1.5),
            RunResumed(at="second, killed", evidence="simulated"),
            RunResumed(at="third", evidence="simulated"),
            RunEnded(status="ok", answer="x", seconds=2.25),
        ]
    )
    assert state.seconds == 3.75
    assert state.ended == RunEnded(status="ok", answer="x", seconds=2.25)


def test_a_resumed_run_has_not_ended() -> None:
    """How the last attempt ended is forgotten when the next begins."""
    state = folded([STARTED, RunEnded(status="budget", seconds=1.0), LATER])
    assert state.ended is None


def test_accepted_changes_replace_the_manifests_entries() -> None:
    """The manifest is that of the start with what later attempts changed, and the start itself stays as it was."""
    state = folded(
        [
            STARTED,
            RunResumed(at="a", evidence="simulated", changed={"k": 5}),
            RunResumed(at="b", evidence="simulated", changed=None),
        ]
    )
    assert state.manifest == {"task": "t", "k": 5}
    assert state.started == STARTED
    assert STARTED.manifest == {"task": "t", "k": 3}


def test_graph_and_route_are_kept() -> None:
    """The decomposition and the route that a run follows are read from its state."""
    decomposed = Decomposed(graph={"goal": "g"}, reason="because", repairs=1)
    routed = Routed(shape={}, route={}, decision={"topology": "single"}, ignored_edges=[["a", "b"]])
    state = folded([STARTED, decomposed, routed])
    assert (state.decomposed, state.routed) == (decomposed, routed)


def test_figures_as_json_name_every_field() -> None:
    """Usage as JSON holds each of its figures under its own name."""
    assert folded([asked(0), replied(0, tokens=(1, 2), cost_usd=0.5)]).usage.as_dict() == {
        "calls": 1,
        "samples": 1,
        "attempts": 1,
        "unknown": 0,
        "flagged": 0,
        "input_tokens": 1,
        "output_tokens": 2,
        "cost_usd": 0.5,
        "estimated": False,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "lost_tokens": 0,
        "lost_usd": 0.0,
    }


def test_one_unknown_price_makes_the_cost_unknown() -> None:
    """A sum with a price that nobody knows is no sum: null, never less than it was."""
    told = [replied(0, cost_usd=0.5), replied(1).model_copy(update={"cost_usd": None})]
    assert folded([asked(0), asked(1), *told]).usage.as_dict()["cost_usd"] is None
