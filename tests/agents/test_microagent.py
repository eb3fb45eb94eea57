"""From a question to a decision: votes, budget and journal together, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from orchestra.testing import Scripted, run_virtual
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import (
    BudgetExceeded,
    JournalError,
    ModelError,
    ModelTimeout,
    OrchestraError,
    RateLimited,
    ServerError,
)
from orchestra_agents.flags import longer_than
from orchestra_agents.journal.records import Asked, CallFailed, Record, Sampled
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Budget, Cost, Ledger
from orchestra_agents.limit import CallLimit
from orchestra_agents.microagent import Decision, Microagent, Question
from orchestra_agents.models.contract import (
    Completion,
    Evidence,
    Form,
    Model,
    ModelFacts,
    Prompt,
    Sampling,
    TokenUsage,
    Truth,
    canonical_json,
)
from orchestra_agents.models.simulated import SimulatedModel
from orchestra_agents.payment import Tariff
from orchestra_agents.prices import Prices
from orchestra_agents.sampler import Sampler
from orchestra_agents.voting.ahead import AheadByK
from orchestra_agents.voting.tally import Decided, Rule, Tally, Undecided

TARIFF = Tariff(Prices.shipped())

R = TypeVar("R", bound=Record)
CHOICE = AnswerType("choice", choices=("a", "b", "c"))
BRIEF = Sampling(max_tokens=16)
UNLIMITED = Budget()
CUT = Completion(text='{"answer":"a"}', finish_reason="length")


def says(answer: str) -> str:
    """A reply that answers a choice."""
    return canonical_json({"answer": answer})


def question(node: str = "n", *, truth: Truth | None = None, offset: int = 0) -> Question:
    """A choice between a, b and c."""
    return Question(node=node, prompt=Prompt(text="Which?", truth=truth), answer=CHOICE, offset=offset)


@dataclass
class Timed:
    """A model whose every reply is looked up by sample index and takes its own time; it keeps when each call began."""

    replies: Callable[[int], str | Completion | Exception]
    seconds: Callable[[int], float] = lambda index: 1.0
    name: str = "timed:test"
    evidence: Evidence = "simulated"
    form: Form = "chat"
    begun: list[tuple[float, int]] = field(default_factory=list)
    """Loop time and sample index of each call."""
    in_flight: int = 0
    most_in_flight: int = 0

    async def sample(self, prompt: Prompt, sampling: Sampling, count: int = 1) -> list[Completion]:
        """Return the reply of the sample's index after its time."""
        self.begun.append((asyncio.get_running_loop().time(), sampling.index))
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        try:
            await asyncio.sleep(self.seconds(sampling.index))
        finally:
            self.in_flight -= 1
        reply = self.replies(sampling.index)
        if isinstance(reply, Exception):
            raise reply
        return [reply if isinstance(reply, Completion) else Completion(text=reply)]

    async def probe(self) -> ModelFacts:
        """Return that it can be reached."""
        return ModelFacts(reachable=True)

    async def aclose(self) -> None:
        """Nothing to give back."""


@dataclass
class Desk:
    """A run's journal, state and ledger with a sampler on them."""

    sampler: Sampler
    state: RunState
    ledger: Ledger
    journal: Journal
    run_id: str

    def agent(self, k: int = 3, *, rule: Rule | None = None, sampling: Sampling = BRIEF) -> Microagent:
        """An agent that votes ahead-by-k."""
        return Microagent(self.sampler, rule or AheadByK(k), sampling)

    def records(self, kind: type[R]) -> list[R]:
        """What stands in the journal, of one type."""
        found = [] if self.run_id not in self.journal.run_ids() else self.journal.entries(self.run_id)
        return [entry.record for entry in found if isinstance(entry.record, kind)]

    def arrived(self) -> list[int]:
        """Indices of the samples whose replies stand in the journal, in the order in which they arrived."""
        return [reply.index for reply in self.records(Sampled)]


@contextmanager
def desk(
    folder: Path, *models: Model, budget: Budget = UNLIMITED, slots: int = 8, run_id: str = "run"
) -> Iterator[Desk]:
    """A desk with `models` as panel, on the journal that lies in `folder`, which keeps what earlier desks did."""
    with Journal(folder / "j.db") as journal, journal.own(run_id) as run:
        state = RunState.of(run.entries())
        run.listen(state.apply)
        ledger = Ledger(budget, state.usage.as_cost())
        limit = CallLimit(slots)
        sampler = Sampler(models, journal=run, state=state, ledger=ledger, limit=limit, tariff=TARIFF)
        yield Desk(sampler, state, ledger, journal, run_id)


def reference(answers: Sequence[str | None], rule: AheadByK) -> tuple[str | None, Tally]:
    """The reference: votes counted one at a time in index order until the rule ends it, None being a flagged reply."""
    tally = Tally()
    for answer in answers:
        if not isinstance(rule(tally), Undecided):
            break
        if answer is None:
            tally.flagged += 1
        else:
            tally.add(answer)
    verdict = rule(tally)
    return (verdict.answer if isinstance(verdict, Decided) else None), tally


@pytest.mark.parametrize("deal", range(3))
def test_votes_are_counted_in_index_order_whatever_arrives_first(tmp_path: Path, deal: int) -> None:
    """For 50 assignments of latencies the decision is the one that votes counted one at a time by index make."""
    rng = random.Random(deal)
    answers = rng.choices(["a", "b", "c", None], weights=[4, 3, 2, 2], k=100)
    expected, tally = reference(answers, AheadByK(3))
    replies = [CUT if answer is None else Completion(text=says(answer)) for answer in answers]
    orders = set()
    for trial in range(50):
        seconds = [rng.expovariate(1) for _ in answers]
        model = Timed(replies=replies.__getitem__, seconds=seconds.__getitem__)
        with desk(tmp_path, model, run_id=f"run-{trial}") as there:
            decision = run_virtual(there.agent().decide(question()))
            assert decision.answer == expected
            assert decision.tally == tally.counts
            assert (decision.votes, decision.samples) == (tally.votes, tally.votes + tally.flagged)
            assert sorted(there.arrived()) == list(range(decision.samples))
            orders.add(tuple(there.arrived()))
    assert len(orders) > 5


def test_a_batch_is_exactly_what_could_decide(tmp_path: Path) -> None:
    """First k calls run side by side, then after their replies exactly as many as the leader still needs."""
    answers = "aba" + "ab" + "aa"
    model = Timed(replies=lambda index: says(answers[index]))
    with desk(tmp_path, model) as there:
        decision = run_virtual(there.agent(3).decide(question()))
    assert Counter(begun for begun, _ in model.begun) == {0.0: 3, 1.0: 2, 2.0: 2}
    assert sorted(index for _, index in model.begun) == list(range(7))
    assert (decision.answer, decision.votes, decision.samples, decision.margin) == ("a", 7, 7, 3)


def test_unanimous_votes_cost_one_batch(tmp_path: Path) -> None:
    """Where all agree, k calls side by side take the time of the slowest."""
    model = Timed(replies=lambda index: says("b"), seconds=lambda index: 1.0 + index)

    async def play(there: Desk) -> float:
        await there.agent(4).decide(question())
        return asyncio.get_running_loop().time()

    with desk(tmp_path, model) as there:
        assert run_virtual(play(there)) == 4.0
    assert len(model.begun) == 4


@pytest.mark.parametrize("error", [RateLimited("slow down"), ModelTimeout("too late"), ServerError("broken")])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_unanswered_sample_keeps_the_others_of_its_batch(tmp_path: Path, error: ModelError, place: int) -> None:
    """A ModelError is raised as it is, after the rest of its batch has arrived and been recorded."""
    error.attempts = 8
    first = Timed(
        replies=lambda index: error if index == place else says("a"),
        seconds=lambda index: 0.5 if index == place else 5.0,
    )
    error.unknown = unknown = int(error.code == "timeout")  # the server may have answered after we stopped listening
    with desk(tmp_path, first) as there:
        with pytest.raises(type(error)) as caught:
            run_virtual(there.agent().decide(question()))
        assert caught.value is error
        assert sorted(there.arrived()) == [index for index in range(3) if index != place]
        [failure] = there.records(CallFailed)
        assert (failure.index, failure.code, failure.attempts) == (place, error.code, 8)
        usage = there.state.usage
        assert (failure.unknown, usage.unknown, usage.calls, usage.attempts) == (unknown, unknown, 2 + unknown, 10)
        assert there.ledger.spent.calls == usage.calls
        assert there.ledger.reserved == Cost()

    second = Timed(replies=lambda index: says("a"))
    with desk(tmp_path, second) as there:
        assert run_virtual(there.agent().decide(question())).answer == "a"
    assert [index for _, index in second.begun] == [place]


def test_recorded_samples_are_not_asked_again(tmp_path: Path) -> None:
    """A second agent over the same journal decides the same and asks nobody, flagged replies included."""
    answers = "acabaa"
    first = Timed(replies=lambda index: CUT if index == 1 else says(answers[index]))
    with desk(tmp_path, first) as there:
        decision = run_virtual(there.agent().decide(question()))
        usage = there.state.usage.as_dict()
    second = Timed(replies=lambda index: ServerError("must not be asked"))
    with desk(tmp_path, second, budget=Budget(calls=1)) as there:
        assert run_virtual(there.agent().decide(question())) == decision
        assert there.state.usage.as_dict() == usage
    assert second.begun == []


def test_a_vote_goes_on_from_what_is_recorded(tmp_path: Path) -> None:
    """Where only some samples of a batch are recorded, the others are asked and the decision is the same."""
    model = Timed(replies=lambda index: says("abaaa"[index]), seconds=lambda index: float(index))

    async def interrupted(there: Desk) -> None:
        async with asyncio.timeout(0.5):
            await there.agent().decide(question())

    with desk(tmp_path, model) as there, pytest.raises(TimeoutError):
        run_virtual(interrupted(there))
    again = Timed(replies=lambda index: says("abaaa"[index]))
    with desk(tmp_path, again) as there:
        assert sorted(there.arrived()) == [0]
        decision = run_virtual(there.agent().decide(question()))
    assert [index for _, index in again.begun] == [1, 2, 3, 4]
    assert (decision.answer, decision.tally) == ("a", {"a": 4, "b": 1})


@pytest.mark.parametrize(
    ("node", "prompt", "sampling", "name"),
    [
        ("another", "Which?", BRIEF, "timed:test"),
        ("n", "Which one?", BRIEF, "timed:test"),
        ("n", "Which?", Sampling(max_tokens=17), "timed:test"),
        ("n", "Which?", BRIEF, "timed:other"),
    ],
    ids=["node", "prompt", "policy", "model"],
)
def test_another_identity_is_asked_for_itself(
    tmp_path: Path, node: str, prompt: str, sampling: Sampling, name: str
) -> None:
    """A recorded sample stands for its own node, prompt, sampling and model only."""
    with desk(tmp_path, Timed(replies=lambda index: says("a"))) as there:
        run_virtual(there.agent(1).decide(question()))
    with desk(tmp_path, Timed(replies=lambda index: says("b"), name=name)) as there:
        other = Question(node=node, prompt=Prompt(text=prompt), answer=CHOICE)
        assert run_virtual(there.agent(1, sampling=sampling).decide(other)).answer == "b"


def test_flagged_replies_are_counted_and_are_no_votes(tmp_path: Path) -> None:
    """Truncated, unreadable and otherwise flagged replies are recorded with their reason, paid for, and not counted."""
    wordy = Completion(text=says("b"), usage=TokenUsage(input_tokens=5, output_tokens=99))
    replies: list[str | Completion] = [CUT, "no JSON", says("a"), wordy, says("a"), says("x"), says("a")]
    with desk(tmp_path, Timed(replies=replies.__getitem__)) as there:
        agent = Microagent(there.sampler, AheadByK(3), BRIEF, red_flag=longer_than(tokens=50))
        decision = run_virtual(agent.decide(question()))
        flags = {reply.index: reply.flag for reply in there.records(Sampled)}
        usage = there.state.usage
    assert flags == {0: "truncated", 1: "unparsable", 2: None, 3: "too_long", 4: None, 5: "unparsable", 6: None}
    assert decision == Decision(answer="a", decided=True, votes=3, samples=7, margin=3, tally={"a": 3})
    assert (usage.flagged, usage.samples, usage.calls, usage.output_tokens) == (4, 7, 7, 99)


def test_nothing_but_flags_is_undecided_without_a_vote(tmp_path: Path) -> None:
    """Where every reply is flagged the vote ends at its cap with no votes, no answer and a reason."""
    with desk(tmp_path, Timed(replies=lambda index: "?")) as there:
        decision = run_virtual(there.agent(2).decide(question()))
    assert (decision.decided, decision.answer, decision.votes, decision.samples) == (False, None, 0, 20)
    assert (decision.tally, decision.margin) == ({}, 0)
    assert "20 replies were flagged" in decision.reason


def test_votes_without_a_lead_are_undecided(tmp_path: Path) -> None:
    """Where no answer gets ahead the vote ends at its cap: never a silent plurality."""
    with desk(tmp_path, Timed(replies=lambda index: says("abc"[index % 3]))) as there:
        decision = run_virtual(there.agent(rule=AheadByK(3, max_votes=7)).decide(question()))
    assert (decision.decided, decision.answer, decision.votes) == (False, None, 7)
    assert decision.tally == {"a": 3, "b": 2, "c": 2}
    assert "no answer was 3 ahead after 7 votes" in decision.reason


def test_opaque_wrong_answers_are_votes_for_themselves(tmp_path: Path) -> None:
    """A simulated wrong answer without distractors is never parsed, and can win."""
    with desk(tmp_path, SimulatedModel(p=0, wrong=1)) as there:
        decision = run_virtual(there.agent(2).decide(question(truth=Truth(answer="a"))))
    assert (decision.answer, decision.tally) == ("wrong-1", {"wrong-1": 2})
    with desk(tmp_path, SimulatedModel(p=0, wrong=1)) as there:
        assert run_virtual(there.agent(2).decide(question(truth=Truth(answer="a")))) == decision


@pytest.mark.parametrize("slots", [1, 2, 5, 100])
def test_calls_in_flight_are_bounded(tmp_path: Path, slots: int) -> None:
    """However many questions and votes there are, no more calls than the limit run at once, and that many do."""
    model = Timed(replies=lambda index: says("ab"[index % 2]), seconds=lambda index: 1 + index % 3)

    async def play(there: Desk) -> None:
        async with asyncio.TaskGroup() as group:
            for node in range(6):
                group.create_task(there.agent(3).decide(question(f"node {node}")))

    with desk(tmp_path, model, slots=slots) as there:
        run_virtual(play(there))
    assert model.most_in_flight == min(slots, 18)


@pytest.mark.parametrize("budget", [Budget(tokens=1), Budget(tokens=16)])
def test_a_call_that_could_pass_the_budget_is_not_made(tmp_path: Path, budget: Budget) -> None:
    """Where the worst case of the first call does not fit, nothing is asked and nothing recorded."""
    model = Timed(replies=lambda index: says("a"))
    with desk(tmp_path, model, budget=budget) as there:
        with pytest.raises(BudgetExceeded, match="tokens"):
            run_virtual(there.agent().decide(question()))
        assert there.records(Record) == []
        assert there.ledger.reserved == there.ledger.spent == Cost()
    assert model.begun == []


@pytest.mark.parametrize("calls", [1, 2, 4])
def test_a_budget_in_calls_is_kept_to_the_call(tmp_path: Path, calls: int) -> None:
    """No more calls than the budget allows are made; the replies they brought are recorded, and counted on resume."""
    model = Timed(replies=lambda index: says("ab"[index % 2]))
    with desk(tmp_path, model, budget=Budget(calls=calls)) as there:
        with pytest.raises(BudgetExceeded) as caught:
            run_virtual(there.agent().decide(question()))
        assert caught.value.unit == "calls"
        assert len(model.begun) == there.state.usage.calls == there.ledger.spent.calls == calls
        assert sorted(there.arrived()) == list(range(calls))
    with desk(tmp_path, model, budget=Budget(calls=calls)) as there, pytest.raises(BudgetExceeded):
        run_virtual(there.agent().decide(question()))
    assert len(model.begun) == calls


def test_time_that_is_up_ends_calls_and_begins_none(tmp_path: Path) -> None:
    """At the cap in seconds the call in flight is given up as unknown, and who waited for a turn is not asked."""
    model = Timed(replies=lambda index: says("a"), seconds=lambda index: 10)

    async def play(there: Desk) -> float:
        with pytest.raises(BudgetExceeded, match="seconds"):
            await there.agent(5).decide(question())
        return asyncio.get_running_loop().time()

    with desk(tmp_path, model, budget=Budget(seconds=15), slots=1) as there:
        assert run_virtual(play(there)) == 15
        assert model.begun == [(0.0, 0), (10.0, 1)]
        assert there.arrived() == [0]
        usage = there.state.usage
        assert (usage.samples, usage.unknown, usage.calls) == (1, 1, 2)
        assert there.ledger.spent.calls == 2
        assert there.ledger.reserved == Cost()


def test_cancellation_passes_even_when_time_is_up_at_once(tmp_path: Path) -> None:
    """Who cancels at the very moment of the cap gets a cancellation, and no error in its place."""
    model = Timed(replies=lambda index: says("a"), seconds=lambda index: 60)

    async def play(there: Desk) -> None:
        task = asyncio.create_task(there.agent(1).decide(question()))
        await asyncio.sleep(15)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with desk(tmp_path, model, budget=Budget(seconds=15)) as there:
        run_virtual(play(there))
        assert there.state.usage.unknown == 1


def test_tokens_are_committed_as_they_were_used(tmp_path: Path) -> None:
    """The ledger holds what replies really took, in place of the worst case, and so does the journal."""
    reply = Completion(text=says("a"), usage=TokenUsage(input_tokens=7, output_tokens=3))
    with desk(tmp_path, Timed(replies=lambda index: reply)) as there:
        run_virtual(there.agent(4).decide(question()))
        assert there.ledger.spent == there.state.usage.as_cost() == Cost(calls=4, tokens=40)


def test_cancellation_leaves_an_open_call(tmp_path: Path) -> None:
    """Cancelled in the middle, calls in flight pass the cancellation on and stay in the journal as unknown."""
    model = Timed(replies=lambda index: says("a"), seconds=lambda index: 60)

    async def play(there: Desk) -> None:
        task = asyncio.create_task(there.agent().decide(question()))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    with desk(tmp_path, model, slots=2) as there:
        run_virtual(play(there))
        usage = there.state.usage
        assert (usage.unknown, usage.calls, usage.samples) == (2, 2, 0)  # the third never had its turn
        assert there.ledger.spent.calls == 2
        assert there.ledger.spent.tokens > 0  # the worst case: they may have been served
        assert there.ledger.reserved == Cost()
        assert len(there.records(Record)) == len(there.records(Asked)) == 2
        assert model.in_flight == 0
    again = Timed(replies=lambda index: says("a"))
    with desk(tmp_path, again) as there:
        run_virtual(there.agent().decide(question()))
        usage = there.state.usage
        assert (usage.unknown, usage.calls, usage.samples) == (2, 5, 3)


def test_a_journal_that_cannot_be_written_is_the_error(tmp_path: Path) -> None:
    """Where a reply cannot be recorded the journal's own error is raised, not a group of them."""
    model = Timed(replies=lambda index: says("a") + " " * 100_000)
    with desk(tmp_path, model) as there:
        [pages] = there.journal._db.execute("PRAGMA page_count").fetchone()
        there.journal._db.execute(f"PRAGMA max_page_count = {pages + 4}")  # the disk is nearly full
        with pytest.raises(JournalError, match="full") as caught:
            run_virtual(there.agent().decide(question()))
        assert isinstance(caught.value, OrchestraError)
        assert sorted(there.arrived()) == []


@pytest.mark.parametrize("offset", [0, 1, 2, 7])
def test_a_panel_takes_turns(tmp_path: Path, offset: int) -> None:
    """Sample i goes to member offset + i of the panel, round and round, and is recorded under its name."""
    panel = [Scripted(lambda prompt, sampling: says("ab"[sampling.index % 2]), name=f"scripted:{n}") for n in range(3)]
    with desk(tmp_path, *panel) as there:
        run_virtual(there.agent(rule=AheadByK(2, max_votes=8)).decide(question(offset=offset)))
        models = {reply.index: reply.model for reply in there.records(Sampled)}
    assert models == {index: f"scripted:{(offset + index) % 3}" for index in range(8)}
    for number, member in enumerate(panel):
        assert [sampling.index for _, sampling in member.asked] == [
            index for index in range(8) if (offset + index) % 3 == number
        ]


def test_no_rendered_prompt_and_no_record_holds_a_truth(tmp_path: Path) -> None:
    """In a mixed panel the truth changes nothing of what is rendered for anybody, and never reaches the journal."""
    secret = "only-the-simulated-may-know"
    told = question(truth=Truth(answer="a", wrong=(secret,)))
    other = Scripted([says("a")], name="scripted:other")
    with desk(tmp_path, SimulatedModel(p=1), other) as there:
        assert run_virtual(there.agent(4).decide(told)).votes == 4
    assert len(other.asked) == 2
    for prompt, sampling in other.asked:
        assert prompt.rendered() == Prompt(text="Which?").rendered()
        assert secret not in canonical_json(prompt.rendered()) + repr(prompt) + repr(sampling)
    assert b"Which?" not in (tmp_path / "j.db").read_bytes()  # prompts stand there by digest alone
    assert secret.encode() not in (tmp_path / "j.db").read_bytes()


def test_the_answers_schema_is_asked_for(tmp_path: Path) -> None:
    """Every sample is constrained to the answer type, numbered, and else drawn as the agent was told."""
    model = Scripted([says("a")])
    with desk(tmp_path, model) as there:
        run_virtual(there.agent(2, sampling=Sampling(temperature=0.2, max_tokens=9, seed=5)).decide(question()))
    assert [sampling for _, sampling in model.asked] == [
        Sampling(temperature=0.2, max_tokens=9, seed=5, schema=CHOICE.constraint(), index=index) for index in range(2)
    ]


def test_equal_numbers_are_one_answer(tmp_path: Path) -> None:
    """Replies that spell a value differently are votes for one answer."""
    number = Question(node="n", prompt=Prompt(text="How many?"), answer=AnswerType("number"))
    model = Scripted(['{"answer":3}', '{"answer": 3.0}', '{"answer":3.00}'])
    with desk(tmp_path, model) as there:
        decision = run_virtual(there.agent(3).decide(number))
    assert (decision.answer, decision.tally) == (3, {"3": 3})


def test_text_that_utf8_cannot_hold_is_recorded_all_the_same(tmp_path: Path) -> None:
    """A reply with half a surrogate pair is kept with a replacement, the same now and when it is read back."""
    asked = Question(node="n", prompt=Prompt(text="Say."), answer=AnswerType("text"))
    for _ in range(2):
        with desk(tmp_path, Scripted(["half \ud83d pair"])) as there:
            decision = run_virtual(there.agent(1).decide(asked))
        assert decision.answer == "half ? pair"
