"""Driving a chain: what is decided, recorded and told, and what a resumed chain goes on with."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import orchestra
from orchestra import DrivePolicy, DriveResult
from orchestra.driving import DriveHooks
from orchestra.testing import Scripted, run_virtual
from orchestra_agents.errors import InputError, ManifestChanged, ServerError
from orchestra_agents.journal.chain import ChainState
from orchestra_agents.journal.chain_records import StepDecided
from orchestra_agents.journal.registry import load
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.models.contract import Completion, Prompt, Sampling, TokenLogprob
from orchestra_agents.voting.jury import Juror, Jury
from orchestra_agents.voting.law import k_min, votes_per_step
from tests.chains.walk import Ledgered, TypedWalk, Walk

FIXED = DrivePolicy(adaptive=False)


def decided(path: Path, run_id: str) -> list[StepDecided]:
    """The steps of a chain, as its journal holds them."""
    with Journal(path, "read") as journal:
        return [row.record for row in journal.steps(run_id)]


def state_of(path: Path, run_id: str) -> ChainState:
    """What the journal says of a chain."""
    with Journal(path, "read") as journal:
        return ChainState.whole(journal, run_id)


def places(length: int) -> list[int]:
    """The right walk."""
    walk, state = Walk(length), [1, 0]
    found = []
    while not walk.is_done(state):
        found.append(walk.reference(state))
        state = walk.advance(state, found[-1])
    return found


async def test_a_chain_is_decided_step_by_step(tmp_path: Path) -> None:
    """Every step is decided by vote and recorded; the result counts votes, questions and errors, and says its basis."""
    path = tmp_path / "j.db"
    model = "simulated:p=0.9,seed=1"
    result = await orchestra.drive(Walk(200), model=model, k=4, journal=path, run_id="w", policy=FIXED)
    rows = decided(path, "w")
    assert [row.action for row in rows] == places(200)
    assert (result.status, result.steps, result.correct, result.final) == ("ok", 200, True, [places(200)[-1], 200])
    assert result.votes == sum(row.votes for row in rows) == result.usage.calls
    right = [(row.tally or {str(row.action): row.votes})[str(row.action)] for row in rows]
    assert result.wrong_votes == result.votes - sum(right)
    assert result.distinct_questions == len({1, *places(200)[:-1]})
    assert (result.k, result.k_last, result.evidence, result.state_by) == (4, 4, "simulated", "code")
    estimate = result.p_estimate
    assert estimate["basis"] == "agreement"
    assert estimate["low"] < 0.9 < estimate["high"]


async def test_wrong_decisions_are_walked_on_from(tmp_path: Path) -> None:
    """Truth is an instrument: after a wrong decision the chain goes on from the state it reached, and says so."""
    result = await orchestra.drive(Walk(300), model="simulated:p=0.6,seed=2", k=1, journal=tmp_path / "j.db")
    assert (result.status, result.correct, result.steps) == ("ok", False, 300)
    assert result.wrong_decisions is not None
    assert 60 < result.wrong_decisions < 180
    assert result.error_bound is not None
    assert result.error_bound > result.wrong_decisions / 300


async def test_opaque_wrong_answers_lead_nowhere_but_are_counted(tmp_path: Path) -> None:
    """A wrong answer that stands for no action is recorded by its name; the chain goes on as if it had been right."""
    model = "simulated:p=0.3,wrong=5,seed=2"
    result = await orchestra.drive(Walk(100), model=model, k=1, journal=tmp_path / "j.db", run_id="w")
    rows = decided(tmp_path / "j.db", "w")
    assert {row.opaque for row in rows} >= {"wrong-3", "wrong-4", "wrong-5", None}
    assert result.wrong_decisions == sum(row.opaque is not None or row.action != want for row, want in compared(rows))


def compared(rows: list[StepDecided]) -> list[tuple[StepDecided, int]]:
    """Each step with what would have been right where it was taken."""
    walk, state, found = Walk(), [1, 0], []
    for row in rows:
        found.append((row, walk.reference(state)))
        state = walk.advance(state, row.action)
    return found


async def test_a_process_without_reference_is_never_called_correct(tmp_path: Path) -> None:
    """Without a reference correct and wrong decisions are null, and sentinels are refused."""

    class Blind(Walk):
        reference = None  # type: ignore[assignment]

    model = Scripted(lambda prompt, sampling: "5")
    result = await orchestra.drive(Blind(4), model=model, k=2, journal=tmp_path / "j.db")
    assert (result.correct, result.wrong_decisions, result.error_bound, result.steps) == (None, None, None, 4)
    with pytest.raises(InputError, match="knows no right answers"):
        await orchestra.drive(Blind(4), model=model, k=2, journal=tmp_path / "k.db", policy=DrivePolicy(sentinels=1.0))


async def test_states_and_actions_may_be_dataclasses(tmp_path: Path) -> None:
    """A dataclass state comes back from a snapshot as the dataclass it was, and a chain stopped by steps goes on."""
    path = tmp_path / "j.db"
    first = await orchestra.drive(TypedWalk(), model="simulated:p=1", k=1, steps=5, journal=path, run_id="t")
    assert first.final == {"at": 6, "visited": [3, 4, 5]}
    more = await orchestra.drive(TypedWalk(), model="simulated:p=1", k=1, steps=9, journal=path, run_id="t")
    assert (more.steps, more.final) == (9, {"at": 10, "visited": [7, 8, 9]})
    assert [row.action["at"] for row in decided(path, "t")] == list(range(2, 11))


@pytest.mark.parametrize(
    ("state", "said"),
    [((1, 2), "lists, not tuples"), ({1: 2}, "read back"), (float("nan"), "JSON"), (object(), "JSON")],
    ids=["tuple", "keys", "nan", "object"],
)
async def test_states_that_json_does_not_keep_are_refused(tmp_path: Path, state: Any, said: str) -> None:
    """What would come back from the journal changed is refused before the first step."""

    class Odd(Walk):
        def first(self) -> Any:
            return state

    with pytest.raises(InputError, match=said) as caught:
        await orchestra.drive(Odd(), model="simulated:p=1", k=1, journal=tmp_path / "j.db")
    assert caught.value.field == "state"


async def test_a_finished_chain_is_not_asked_again(tmp_path: Path) -> None:
    """Driving a finished run again returns what it came to and asks nothing."""
    model = Scripted(lambda prompt, sampling: "5")
    options: dict[str, Any] = {"model": model, "k": 3, "journal": tmp_path / "j.db", "run_id": "w"}
    first = await orchestra.drive(Walk(10), **options)
    asked = len(model.asked)
    assert await orchestra.drive(Walk(10), **options) == first
    assert len(model.asked) == asked


async def test_another_process_or_policy_is_refused_by_name(tmp_path: Path) -> None:
    """A run goes on only with the process, models and margin policy that it was started with, unless told otherwise."""
    path = tmp_path / "j.db"
    await orchestra.drive(Walk(100), model="simulated:p=1", k=3, steps=5, journal=path, run_id="w")
    with pytest.raises(ManifestChanged, match=r"policy.k differs \(3 then, 4 now\)"):
        await orchestra.drive(Walk(100), model="simulated:p=1", k=4, steps=9, journal=path, run_id="w")
    with pytest.raises(ManifestChanged, match=r"simulated:p=0\.8"):
        await orchestra.drive(Walk(100), model="simulated:p=0.8", k=3, journal=path, run_id="w")
    hooks = DriveHooks(accept_change=True)
    went_on = await orchestra.drive(Walk(100), model="simulated:p=0.99", k=3, journal=path, run_id="w", hooks=hooks)
    assert (went_on.status, went_on.steps) == ("ok", 100)


async def test_only_processes_that_ship_are_made_from_a_journal(tmp_path: Path) -> None:
    """A run of a built-in process resumes by its id; a journal never imports a user's own, which is asked for."""
    path = tmp_path / "j.db"
    named: list[Any] = ["hanoi:disks=4", "tests.chains.walk:Walk", TypedWalk()]
    for number, process in enumerate(named):
        await orchestra.drive(process, model="simulated:p=1", k=1, steps=3, journal=path, run_id=f"r{number}")
        with Journal(path) as journal, journal.own(f"r{number}") as run:
            run.append(orchestra_ended())
    async with orchestra.Session(journal=path) as session:
        result = await orchestra.resume("r0", session=session)
        assert isinstance(result, DriveResult)
        assert result.steps == 3
        for number in (1, 2):
            with pytest.raises(InputError, match="drive it again with that run id"):
                await orchestra.resume(f"r{number}", session=session)
        again = await orchestra.drive(named[1], model="simulated:p=1", k=1, steps=5, session=session, run_id="r1")
        assert again.steps == 5


def orchestra_ended() -> Any:
    """An attempt that was interrupted."""
    return load("run.ended", json.dumps({"status": "interrupted", "seconds": 0.0}))


@pytest.mark.parametrize("stops", [[7], [1, 2, 3], [30, 3_999, 4_000, 4_001, 4_500]])
async def test_decisions_do_not_depend_on_where_a_chain_stops(tmp_path: Path, stops: list[int]) -> None:
    """Stopped anywhere, snapshots included, and taken up again, a chain decides as in one go; the sums agree, too."""
    options: dict[str, Any] = {"model": "simulated:p=0.8,seed=5,valid=0.9", "k": 3, "policy": DrivePolicy(record="all")}
    length = stops[-1] + 20
    whole = await orchestra.drive(Walk(length), journal=tmp_path / "a.db", run_id="w", **options)
    for stop in [*stops, None]:
        parts = await orchestra.drive(Walk(length), journal=tmp_path / "b.db", run_id="w", steps=stop, **options)
    assert decided(tmp_path / "a.db", "w") == decided(tmp_path / "b.db", "w")
    own = {"journal", "seconds", "steps_per_second"}
    assert {name: value for name, value in whole.as_dict().items() if name not in own} == {
        name: value for name, value in parts.as_dict().items() if name not in own
    }


async def test_flagged_replies_are_paid_for_and_never_repaired(tmp_path: Path) -> None:
    """Truncated and unreadable replies are no votes; they are counted, recorded on request, and billed."""
    replies = iter(["5", "five", Completion(text="5", finish_reason="length"), "5", "5"])
    model = Scripted(lambda prompt, sampling: next(replies))
    policy = DrivePolicy(record="disagreements", adaptive=False)
    result = await orchestra.drive(Walk(1), model=model, k=3, journal=tmp_path / "j.db", run_id="w", policy=policy)
    [row] = decided(tmp_path / "j.db", "w")
    assert (row.votes, row.flagged, result.red_flags, result.usage.samples) == (3, 2, 2, 5)
    assert row.samples is not None
    assert [vote.flag for vote in row.samples] == [None, "unparsable", "truncated", None, None]


async def test_a_wary_vote_wants_more_after_dissent(tmp_path: Path) -> None:
    """With adaptation a step that disagrees needs a larger lead; without, k is k."""
    for policy, votes in ((DrivePolicy(), 6), (FIXED, 5)):
        replies = iter(["5", "6", *["5"] * 20])
        model = Scripted(lambda prompt, sampling, replies=replies: next(replies))
        path = tmp_path / f"{policy.adaptive}.db"
        await orchestra.drive(Walk(1), model=model, k=3, journal=path, run_id="w", policy=policy)
        [row] = decided(path, "w")
        assert row.votes == votes
        assert row.tally == {"5": votes - 1, "6": 1}


async def test_undecided_is_an_outcome_that_can_be_taken_up(tmp_path: Path) -> None:
    """A vote at its cap stops the chain, says how it stands, and a later attempt asks for new samples."""
    seen: list[int] = []

    def torn(prompt: Prompt, sampling: Sampling) -> str:
        seen.append(sampling.index)
        return "56"[sampling.index % 2] if sampling.index < 10 else "5"

    policy = DrivePolicy(max_votes=6, adaptive=False)
    options: dict[str, Any] = {"model": Scripted(torn), "k": 3, "journal": tmp_path / "j.db", "run_id": "w"}
    stopped = await orchestra.drive(Walk(2), policy=policy, **options)
    assert (stopped.status, stopped.steps, stopped.undecided) == ("undecided", 0, 1)
    assert stopped.reason == "step 0 is undecided: no answer was 3 ahead after 6 votes: 5 3, 6 3"
    assert stopped.usage.calls == 6
    again = await orchestra.drive(Walk(2), policy=policy, **options)
    assert (again.status, again.undecided) == ("undecided", 2)
    done = await orchestra.drive(Walk(1), policy=policy, **options, hooks=DriveHooks(accept_change=True))
    assert done.status == "ok"
    assert seen == list(range(len(seen)))


async def test_other_words_and_then_another_model_are_tried(tmp_path: Path) -> None:
    """An undecided step climbs: the process's other words, then the reserve, then a person; all are recorded."""

    class Varied(Walk):
        def variants(self, state: list[int]) -> list[Prompt]:
            return [Prompt(text=f"{word} {state[0]}") for word in ("From", "At", "Leaving")]

    def torn(prompt: Prompt, sampling: Sampling) -> str:
        return "56"[sampling.index % 2]

    def agreed(prompt: Prompt, sampling: Sampling) -> str:
        return torn(prompt, sampling) if prompt.text is None else "7"

    policy = DrivePolicy(max_votes=4, adaptive=False)
    told = {"policy": policy, "k": 2}
    path = tmp_path / "j.db"
    varied = await orchestra.drive(Varied(1), model=Scripted(agreed), journal=path, run_id="v", **told)
    assert [row.action for row in decided(path, "v")] == [7]
    assert (varied.status, varied.undecided) == ("ok", 1)
    models = {"worker": Scripted(torn), "reserve": Scripted(["8"], name="scripted:reserve")}
    reserved = await orchestra.drive(Varied(1), model=models, journal=path, run_id="r", **told)
    assert [row.action for row in decided(path, "r")] == [8]
    assert reserved.undecided == 2

    async def ask(question: Any, how_it_stands: str) -> str:
        assert "5 2, 6 2" in how_it_stands
        return "9"

    asked = await orchestra.drive(
        Walk(1), model=Scripted(torn), journal=path, run_id="p", hooks=DriveHooks(ask=ask), **told
    )
    [row] = decided(path, "p")
    assert (row.action, row.by, row.votes, asked.status) == (9, "person", 0, "ok")
    assert asked.usage.calls == 4


async def test_effects_happen_once_a_step_between_commit_and_next_step(tmp_path: Path) -> None:
    """`observe` runs after its step's commit, its result changes the state, and a resume repeats nothing."""
    process, path = Ledgered(tmp_path / "effects"), tmp_path / "j.db"
    await orchestra.drive(process, model="simulated:p=1", k=1, steps=3, journal=path, run_id="e")
    result = await orchestra.drive(process, model="simulated:p=1", k=1, journal=path, run_id="e")
    lines = process.path.read_text().splitlines()
    assert lines == [f"e/{step} {place}" for step, place in enumerate(places(6))]
    assert result.final == [places(6)[-1], 6, 6]


async def test_a_budget_ends_at_a_step_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    """Calls are reserved before they are made: the cap is never passed, and what was decided stands."""
    options: dict[str, Any] = {"model": "simulated:p=0.9,seed=4", "k": 3, "journal": tmp_path / "j.db", "run_id": "w"}
    stopped = await orchestra.drive(Walk(100), budget=orchestra.Budget(calls=100), **options)
    assert stopped.status == "budget"
    assert 90 <= stopped.usage.calls <= 100
    assert 20 < stopped.steps < 34
    assert len(decided(tmp_path / "j.db", "w")) == stopped.steps
    done = await orchestra.drive(Walk(100), budget=orchestra.Budget(calls=10_000), **options)
    assert (done.status, done.correct) == ("ok", True)
    assert done.usage.calls >= done.votes


async def test_tokens_and_seconds_are_capped_too(tmp_path: Path) -> None:
    """A cap in tokens ends the chain as one in calls does; one in seconds does in virtual time."""
    tokens = await orchestra.drive(
        Walk(100), model="simulated:p=1", k=3, journal=tmp_path / "j.db", budget=orchestra.Budget(tokens=3_000)
    )
    assert tokens.status == "budget"
    assert tokens.usage.input_tokens + tokens.usage.output_tokens <= 3_000

    async def slow() -> DriveResult:
        return await orchestra.drive(
            Walk(100), model="simulated:p=1,latency_ms=1000", k=3, budget=orchestra.Budget(seconds=10.5)
        )

    assert run_in_thread(slow).steps == 10


def run_in_thread(work: Callable[[], Any]) -> Any:
    """Run a coroutine in virtual time, away from the test's own loop."""
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: run_virtual(work())).result()


async def test_a_failing_model_ends_the_attempt_and_what_it_took_is_counted(tmp_path: Path) -> None:
    """An endpoint that gives up fails the attempt; the next one goes on at the same step."""
    replies: list[Any] = ["5", "5", "5", "5", ServerError("gone")]
    model = Scripted(replies)
    options: dict[str, Any] = {"k": 2, "journal": tmp_path / "j.db", "run_id": "w"}
    failed = await orchestra.drive(Walk(4), model=model, **options)
    assert (failed.status, failed.steps, failed.reason) == ("failed", 2, "server: gone")
    assert failed.final == [5, 2]
    done = await orchestra.drive(Walk(4), model=Scripted(["5"]), **options)
    assert (done.status, done.steps) == ("ok", 4)


async def test_cancelling_stops_between_commits(tmp_path: Path) -> None:
    """Cancellation passes through, the attempt counts as interrupted, and the next one finishes."""
    path, seen = tmp_path / "j.db", asyncio.Event()

    def step(number: int, body: str) -> None:
        if number == 40:
            seen.set()

    options: dict[str, Any] = {"model": "simulated:p=0.99,seed=1", "k": 3, "journal": path, "run_id": "w"}
    task = asyncio.create_task(orchestra.drive(Walk(5_000), hooks=DriveHooks(step=step), **options))
    await seen.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    state = state_of(path, "w")
    assert state.ended is not None
    assert state.ended.status == "interrupted"
    assert 40 < state.steps < 5_000
    done = await orchestra.drive(Walk(5_000), **options)
    assert (done.status, done.correct) == ("ok", True)


async def test_steps_are_streamed_after_their_commit(tmp_path: Path) -> None:
    """`stream` yields every step once, in order, and a slow reader holds the chain back instead of piling steps up."""
    path, seen = tmp_path / "j.db", []
    async for step in orchestra.stream(Walk(3_000), model="simulated:p=1", k=1, journal=path, run_id="w"):
        seen.append(step.number)  # type: ignore[union-attr]
        if step.number == 100:  # type: ignore[union-attr]
            await asyncio.sleep(0.05)
            with Journal(path, "read") as journal:
                assert 100 < journal.step_count("w") < 1_300
    assert seen == list(range(3_000))


async def test_many_chains_share_models_limit_and_budget(tmp_path: Path) -> None:
    """Independent chains take turns; each is a run of its own; a second call goes on where the first one stopped."""
    async with orchestra.Session(model="simulated:p=0.9,seed=3", journal=tmp_path / "j.db", concurrency=4) as session:
        results = await orchestra.drive_many((Walk(n) for n in (5, 9, 7)), session=session, run_id="rows", k=3)
        assert [result.steps for result in results] == [5, 9, 7]
        assert [result.run_id for result in results] == ["rows-0", "rows-1", "rows-2"]
        calls = sum(result.usage.calls for result in results)
        again = await orchestra.drive_many((Walk(n) for n in (5, 9, 7)), session=session, run_id="rows", k=3)
        assert sum(result.usage.calls for result in again) == calls
    budget = orchestra.Budget(calls=60)
    async with orchestra.Session(model="simulated:p=0.9,seed=3", budget=budget, journal=tmp_path / "k.db") as session:
        results = await orchestra.drive_many((Walk(20) for _ in range(4)), session=session, k=3)
        assert {result.status for result in results} == {"budget"}
        assert sum(result.usage.calls for result in results) <= 60


def test_chains_that_share_a_limit_take_turns() -> None:
    """In virtual time two chains of equal steps end together, at the pace that the limit allows."""

    async def both() -> float:
        model = "simulated:p=1,latency_ms=100"
        async with orchestra.Session(model=model, concurrency=3) as session:
            ends: list[float] = []

            async def one() -> None:
                await orchestra.drive(Walk(10), session=session, k=3)
                ends.append(asyncio.get_running_loop().time())

            await asyncio.gather(one(), one())
            assert ends[1] - ends[0] <= 0.21
            return ends[1]

    assert run_virtual(both()) == pytest.approx(2.0, abs=0.11)


class Majority(Walk):
    """A walk that asks a jury of five, each of whom says one thing only."""

    def prompt(self, state: list[int]) -> Jury:
        """Ask in five ways."""
        fixed = Sampling(temperature=0.0, max_tokens=4)
        return Jury(tuple(Juror(prompt=Prompt(text=f"{way}: {state[0]}"), sampling=fixed) for way in range(5)), k=4)


async def test_a_deterministic_jury_is_drawn_without_replacement(tmp_path: Path) -> None:
    """Each juror votes once; a lead that the rest cannot overturn decides, a tie of all is undecided."""

    def says(right: set[int]) -> Scripted:
        return Scripted(lambda prompt, sampling: "5" if int((prompt.text or "")[0]) in right else "6")

    for right, votes in (({0, 1, 2}, {5}), ({0, 1, 2, 3, 4}, {4}), ({3, 1, 2, 4}, {4, 5})):
        model, path = says(right), tmp_path / f"{len(right)}.db"
        policy = DrivePolicy(record="all")
        await orchestra.drive(Majority(1), model=model, k=1, journal=path, run_id="m", policy=policy)
        [row] = decided(path, "m")
        assert row.action == 5
        assert row.votes in votes
        assert row.samples is not None
        assert len({vote.juror for vote in row.samples}) == row.votes


async def test_temperature_zero_gives_copies_not_votes(tmp_path: Path) -> None:
    """A real model at temperature 0 repeats itself: counting that as votes is refused, one sample is not."""

    class Real(Scripted):
        evidence = "real"  # type: ignore[assignment]

    policy = DrivePolicy(temperature=0.0)
    with pytest.raises(InputError, match="copies of one reply"):
        await orchestra.drive(Walk(2), model=Real(["5"]), k=3, journal=tmp_path / "j.db", policy=policy)
    single = await orchestra.drive(Walk(2), model=Real(["5"]), k=1, journal=tmp_path / "j.db", policy=policy)
    assert single.status == "ok"


async def test_the_first_sample_may_be_colder_than_the_rest(tmp_path: Path) -> None:
    """Only sample 0 is drawn at the first temperature: a flagged one is not asked again at it."""
    replies = iter(["no answer", *["5"] * 9])
    model = Scripted(lambda prompt, sampling: next(replies))
    policy = DrivePolicy(temperature=0.4, first_temperature=0.0, adaptive=False)
    await orchestra.drive(Walk(1), model=model, k=3, journal=tmp_path / "j.db", policy=policy)
    drawn = [(sampling.index, sampling.temperature) for _, sampling in model.asked]
    assert drawn == [(0, 0.0), (1, 0.4), (2, 0.4), (3, 0.4)]


async def test_a_panel_takes_turns_over_votes(tmp_path: Path) -> None:
    """Votes of one step are mixed over the panel's members, and recorded with their names on request."""
    models = [Scripted(["5"], name=f"scripted:{name}") for name in "ab"]
    policy = DrivePolicy(record="all")
    await orchestra.drive(Walk(1), model=models, k=4, journal=tmp_path / "j.db", run_id="p", policy=policy)
    [row] = decided(tmp_path / "j.db", "p")
    assert row.samples is not None
    assert Counter(vote.model for vote in row.samples) == {"scripted:a": 2, "scripted:b": 2}


def test_k_auto_is_the_laws_for_a_model_that_states_its_p(tmp_path: Path) -> None:
    """A simulated model states its p; the margin is the law's for it, the target and the number of steps."""
    for p, steps in ((0.9, 2_000), (0.99, 500), (0.7, 50)):
        result = asyncio.run(orchestra.drive(Walk(steps), model=f"simulated:p={p},seed=1", policy=FIXED))
        assert result.k == k_min(p, steps, 0.95)
        assert result.forecast is not None
        assert result.forecast["votes_per_step"] == pytest.approx(votes_per_step(p, result.k))
    with pytest.raises(InputError, match="no margin reaches"):
        asyncio.run(orchestra.drive(Walk(50), model="simulated:p=0.5", journal=tmp_path / "j.db"))
    assert not list(tmp_path.glob("*.lock"))


async def test_an_unknown_model_is_piloted(tmp_path: Path) -> None:
    """Nothing is known of a served model: 200 steps at a safe margin, then the law at the lower bound of its p."""
    rough = __import__("random").Random(1)
    model = Scripted(lambda prompt, sampling: "5" if rough.random() < 0.85 else "6")
    await orchestra.drive(Walk(400), model=model, journal=tmp_path / "j.db", run_id="w")
    first, *later = state_of(tmp_path / "j.db", "w").margins
    assert (first.step, first.k) == (0, k_min(0.9, 200, 0.95))
    assert "pilot" in first.reason
    assert later[0].step == 200
    assert later[0].k > first.k
    assert "lower" in later[0].reason or "at least" in later[0].reason


async def test_the_hard_tail_raises_the_margin(tmp_path: Path) -> None:
    """Where some steps are much harder than the mean, the margin of the run is raised, with its reason recorded."""

    class Uneven(Walk):
        def prompt(self, state: list[int]) -> Prompt:
            return Prompt(text=f"at {state[0]} after {state[1]}")

    rough = __import__("random").Random(2)

    def says(prompt: Prompt, sampling: Sampling) -> str:
        hard = int((prompt.text or "").split()[-1]) % 10 == 0
        return "5" if rough.random() < (0.65 if hard else 0.999) else "6"

    result = await orchestra.drive(Uneven(1_000), model=Scripted(says), k=3, journal=tmp_path / "j.db", run_id="w")
    assert result.k == 3
    assert result.k_last > 3
    raised = state_of(tmp_path / "j.db", "w").margins[1:]
    assert all("contested" in margin.reason for margin in raised)
    assert [margin.k for margin in raised] == sorted(margin.k for margin in raised)


async def test_red_flags_of_a_process_are_checked_before_parsing(tmp_path: Path) -> None:
    """A process's own red flag discards a reply that would parse."""

    class Picky(Walk):
        def red_flag(self, completion: Completion) -> str | None:
            return "shouting" if completion.text == "66" else None

    replies = iter(["66", "5", "5"])
    model = Scripted(lambda prompt, sampling: next(replies))
    await orchestra.drive(Picky(1), model=model, k=2, journal=tmp_path / "j.db", run_id="w", policy=FIXED)
    [row] = decided(tmp_path / "j.db", "w")
    assert (row.action, row.flagged) == (5, 1)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"k": 0}, "k"),
        ({"k": True}, "k"),
        ({"target": 1.0}, "target"),
        ({"target": 0.0}, "target"),
        ({"p": 1.5}, "p"),
        ({"rho": -1}, "rho"),
        ({"sentinels": 2}, "sentinels"),
        ({"record": "some"}, "record"),
        ({"speculate": 65}, "speculate"),
        ({"k": 5, "max_votes": 4}, "max_votes"),
        ({"temperature": 3}, "temperature"),
    ],
)
def test_policies_out_of_range_are_refused(changed: dict[str, Any], field: str) -> None:
    """Every option names its range."""
    with pytest.raises(InputError, match="must be") as caught:
        replace(DrivePolicy(), **changed)
    assert caught.value.field == field


async def test_what_is_no_process_is_refused_by_what_it_lacks(tmp_path: Path) -> None:
    """A process that lacks a method is told which."""

    class Half:
        def first(self) -> int:
            return 1

    with pytest.raises(InputError, match="lacks prompt, parse, advance, is_done"):
        await orchestra.drive(Half(), model="simulated:p=1", journal=tmp_path / "j.db")  # type: ignore[arg-type]


async def test_power_durability_decides_the_same(tmp_path: Path) -> None:
    """With `durability="power"` chains commit in groups off the event loop, and come to the same."""
    options: dict[str, Any] = {"k": 3, "run_id": "w"}
    plain = await orchestra.drive(Walk(60), model="simulated:p=0.8,seed=7", journal=tmp_path / "a.db", **options)
    async with orchestra.Session(
        model="simulated:p=0.8,seed=7", journal=tmp_path / "b.db", durability="power"
    ) as session:
        safe = await orchestra.drive(Walk(60), session=session, **options)
        many = await orchestra.drive_many((Walk(20) for _ in range(10)), session=session, k=3)
    assert decided(tmp_path / "a.db", "w") == decided(tmp_path / "b.db", "w")
    assert safe.votes == plain.votes
    assert {result.status for result in many} == {"ok"}


async def test_bodies_written_by_hand_are_records(tmp_path: Path) -> None:
    """The hot path writes steps as text; all of them read back as the records that they stand for."""
    model = "simulated:p=0.5,wrong=4,valid=0.7,seed=9"
    policy = DrivePolicy(record="all", max_votes=400)
    await orchestra.drive(Walk(300), model=model, k=2, journal=tmp_path / "j.db", run_id="w", policy=policy)
    with Journal(tmp_path / "j.db", "read") as journal:
        for row in journal.steps("w"):
            record = load("step.decided", row.body)
            assert isinstance(record, StepDecided)
            again = json.loads(record.model_dump_json(exclude_defaults=True))
            assert again == json.loads(row.body)


def test_low_logprobs_are_a_flag_that_a_process_can_use() -> None:
    """The shipped flags combine on completions with log-probabilities."""
    from orchestra_agents.flags import unlikely

    sure = Completion(text="a", logprobs=(TokenLogprob("a", -0.1),))
    unsure = Completion(text="a", logprobs=(TokenLogprob("a", -5.0),))
    assert unlikely(logprob=-1.0)(sure) is None
    assert unlikely(logprob=-1.0)(unsure) == "unlikely"
