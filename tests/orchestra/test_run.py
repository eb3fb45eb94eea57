"""Whole runs through the library: what is asked, what is answered, what fails and what is resumed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

import orchestra
from orchestra.designing import Design
from orchestra.testing import Scripted, run_virtual
from orchestra_agents.errors import ManifestChanged, ServerError
from orchestra_agents.models.contract import Prompt, Sampling
from orchestra_topologies.router import Topology


def say(**answers: object) -> Scripted:
    """Return a model that answers each subtask (by id, found in the step) with the text or JSON answer given."""

    def reply(prompt: Prompt, sampling: Sampling) -> str | Exception:
        answer = next(value for one, value in answers.items() if prompt.step.split("|")[0] == one)
        if isinstance(answer, Exception):
            return answer
        return json.dumps({"answer": answer}) if sampling.schema else str(answer)

    return Scripted(reply)


def chain(**last: object) -> orchestra.TaskGraph:
    return orchestra.TaskGraph(
        [
            {"id": "facts", "description": "List facts."},
            {"id": "judge", "description": "Which?", "answer": {"choice": ["a", "b"]}, "depends_on": ["facts"], **last},
        ]
    )


def asked_for(model: Scripted) -> Counter[str]:
    return Counter(prompt.step.split("|")[0] for prompt, _ in model.asked)


async def test_text_takes_one_call_and_a_choice_is_voted_ahead_by_3(tmp_path: Path) -> None:
    """By default free text is asked once and a choice until one answer is three votes ahead."""
    model = say(facts="x is fast", judge="a")
    result = await orchestra.run(chain(), model=model, journal=tmp_path / "j.db")
    assert result.status == "ok"
    assert result.answer == "a"
    assert asked_for(model) == {"facts": 1, "judge": 3}
    assert (result.subtasks["facts"]["voted"], result.subtasks["judge"]["votes"]) == (False, 3)
    assert result.evidence == "simulated"
    assert result.journal == tmp_path / "j.db"


async def test_upstream_answers_reach_dependants_and_failed_ones_reach_nobody(tmp_path: Path) -> None:
    """A failed subtask's reply never stands in another prompt; its dependants are skipped because of it."""
    graph = orchestra.TaskGraph(
        [
            {"id": "good", "description": "Say good."},
            {"id": "bad", "description": "Say bad.", "answer": "number"},
            {"id": "after", "description": "Go on.", "depends_on": ["bad", "good"]},
            {"id": "last", "description": "End.", "depends_on": ["after"]},
            {"id": "side", "description": "Aside.", "depends_on": ["good"]},
        ]
    )

    def reply(prompt: Prompt, sampling: Sampling) -> str:
        return "POISON, no number" if sampling.schema else "GOOD TEXT"

    model = Scripted(reply)
    result = await orchestra.run(graph, model=model, journal=tmp_path / "j.db")
    statuses = {one: subtask["status"] for one, subtask in result.subtasks.items()}
    assert statuses == {"good": "ok", "bad": "failed", "side": "ok", "after": "skipped", "last": "skipped"}
    assert result.subtasks["bad"]["cause"]["code"] == "red_flag"
    assert {result.subtasks[one]["cause"]["because"] for one in ("after", "last")} == {"bad"}
    assert result.status == "failed"
    rendered = [json.dumps(prompt.rendered()) for prompt, _ in model.asked]
    assert not any("POISON" in text for text in rendered)
    assert any("GOOD TEXT" in text for text in rendered)


async def test_an_endpoint_s_error_is_an_outcome_and_its_text_reaches_nobody(tmp_path: Path) -> None:
    """A model error fails its subtask with the error's code; siblings finish."""
    model = say(facts=ServerError("ERROR TEXT"), side="fine", judge="a")
    graph = orchestra.TaskGraph([*chain().subtasks, {"id": "side", "description": "Aside."}])
    result = await orchestra.run(graph, model=model, journal=tmp_path / "j.db")
    assert result.subtasks["facts"]["cause"]["code"] == "server"
    assert result.subtasks["side"]["status"] == "ok"
    assert result.subtasks["judge"]["status"] == "skipped"
    assert not any("ERROR TEXT" in json.dumps(prompt.rendered()) for prompt, _ in model.asked)


async def test_a_resumed_run_retries_what_an_endpoint_failed_and_keeps_the_rest(tmp_path: Path) -> None:
    """After an endpoint's failure, resuming asks only for what has no answer yet."""
    graph = orchestra.TaskGraph([*chain().subtasks, {"id": "side", "description": "Aside."}])
    journal = tmp_path / "j.db"
    broken = say(facts=ServerError("down"), side="fine", judge="a")
    first = await orchestra.run(graph, model=broken, journal=journal, run_id="r")
    assert first.status == "failed"
    mended = say(facts="x", side="never asked", judge="a")
    second = await orchestra.run(graph, model=mended, journal=journal, run_id="r")
    assert second.status == "ok"
    assert asked_for(mended) == {"facts": 1, "judge": 3}
    assert second.subtasks["side"]["answer"] == "fine"
    assert second.usage.samples == 5


async def test_a_finished_run_is_returned_as_it_stands(tmp_path: Path) -> None:
    """Running a finished run again asks nothing and gives the stored result."""
    journal = tmp_path / "j.db"
    first = await orchestra.run(chain(), model=say(facts="x", judge="a"), journal=journal, run_id="r")
    silent = Scripted([AssertionError("nobody may be asked")])
    second = await orchestra.run(chain(), model=silent, journal=journal, run_id="r")
    assert second.as_dict() == first.as_dict()
    assert silent.asked == []


async def test_a_run_started_with_something_else_is_refused_unless_accepted(tmp_path: Path) -> None:
    """Resuming with another graph or choice names what differs; accepting the change goes on."""
    journal = tmp_path / "j.db"
    await orchestra.run(chain(), model=say(facts="x", judge=ServerError("down")), journal=journal, run_id="r")
    changed = orchestra.plan(chain(), model=say(facts="x", judge="b"), choices=orchestra.Choices(k=2))
    with pytest.raises(ManifestChanged, match=r"choices\.k differs"):
        await orchestra.run(changed, journal=journal, run_id="r")
    accepted = await orchestra.run(changed, journal=journal, run_id="r", hooks=orchestra.Hooks(accept_change=True))
    assert (accepted.answer, accepted.subtasks["judge"]["votes"]) == ("b", 2)


async def test_an_undecided_vote_is_an_outcome_and_may_go_further_on_resume(tmp_path: Path) -> None:
    """A vote at its cap ends undecided, never by plurality; a resumed run adds to the votes it has."""
    replies = Counter[str]()

    def torn(prompt: Prompt, sampling: Sampling) -> str:
        replies["all"] += 1
        return json.dumps({"answer": "a" if sampling.index % 2 or sampling.index >= 30 else "b"})

    graph = orchestra.TaskGraph([{"id": "judge", "description": "Which?", "answer": {"choice": ["a", "b"]}}])
    first = await orchestra.run(graph, model=Scripted(torn), journal=tmp_path / "j.db", run_id="r")
    assert (first.status, first.answer, first.subtasks["judge"]["votes"]) == ("undecided", None, 30)
    second = await orchestra.run(graph, model=Scripted(torn), journal=tmp_path / "j.db", run_id="r")
    assert (second.status, second.answer) == ("ok", "a")
    assert replies["all"] == second.usage.samples == 33


async def test_a_spent_budget_stops_the_run_and_a_larger_one_finishes_it(tmp_path: Path) -> None:
    """The cap holds over the whole run, what stopped is cancelled, and resuming repeats no call."""
    journal = tmp_path / "j.db"
    model = say(facts="x", judge="a")
    stopped = await orchestra.run(chain(), model=model, budget=orchestra.Budget(calls=2), journal=journal, run_id="r")
    assert stopped.status == "budget"
    assert stopped.usage.calls == 2
    assert stopped.subtasks["judge"]["status"] == "cancelled"
    assert stopped.subtasks["judge"]["cause"]["code"] == "budget"
    done = await orchestra.run(chain(), model=model, budget=orchestra.Budget(calls=4), journal=journal, run_id="r")
    assert (done.status, done.usage.calls, len(model.asked)) == ("ok", 4, 4)


async def test_a_person_may_decline_before_anything_is_spent(tmp_path: Path) -> None:
    """The approval hook sees graph and design before the first call; no means nobody is asked."""
    model, seen = say(facts="x", judge="a"), []

    async def approve(graph: orchestra.TaskGraph, made: Design) -> bool:
        seen.append((len(graph), made.topology))
        return False

    with pytest.raises(orchestra.OrchestraError, match="declined"):
        await orchestra.run(chain(), model=model, journal=tmp_path / "j.db", approve=approve)
    assert seen == [(2, "sequential")]
    assert model.asked == []


async def test_a_cancelled_run_can_be_resumed(tmp_path: Path) -> None:
    """Cancellation passes through, the run is marked interrupted, and resuming finishes it."""
    started = asyncio.Event()

    class Stuck(Scripted):
        async def sample(self, prompt, sampling, count=1):  # type: ignore[no-untyped-def]
            started.set()
            await asyncio.sleep(3600)

    journal = tmp_path / "j.db"
    running = asyncio.create_task(orchestra.run(chain(), model=Stuck([]), journal=journal, run_id="r"))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    done = await orchestra.run(chain(), model=say(facts="x", judge="a"), journal=journal, run_id="r")
    assert (done.status, done.usage.unknown, done.usage.calls) == ("ok", 1, 5)


@pytest.mark.parametrize("topology", ["sequential", "parallel", "hierarchical", "hybrid"])
async def test_every_topology_answers_every_subtask(topology: str, tmp_path: Path) -> None:
    """Each wiring settles the whole graph and gives the final subtask's answer."""
    graph = orchestra.TaskGraph(
        [
            {"id": "one", "description": "One."},
            {"id": "two", "description": "Two.", "answer": "number"},
            {"id": "sum", "description": "Sum.", "answer": "number", "depends_on": ["one", "two"]},
        ]
    )
    plan = orchestra.plan(graph, model="simulated:seed=1", choices=orchestra.Choices(topology=topology))  # type: ignore[arg-type]
    result = await orchestra.run(plan, journal=tmp_path / "j.db")
    assert (result.status, result.topology) == ("ok", topology)
    assert all(subtask["status"] == "ok" for subtask in result.subtasks.values())
    assert result.answer == result.subtasks["sum"]["answer"]


async def test_single_covers_all_subtasks_in_one_conversation(tmp_path: Path) -> None:
    """One agent gets the outline; each subtask is ok, without an answer of its own, covered by the whole."""
    plan = orchestra.plan(chain(), model="simulated", choices=orchestra.Choices(topology="single"))
    result = await orchestra.run(plan, journal=tmp_path / "j.db")
    covered = {one: (subtask["status"], subtask["answer"]) for one, subtask in result.subtasks.items()}
    assert covered == {"facts": ("ok", None), "judge": ("ok", None)}
    assert {subtask["covered_by"] for subtask in result.subtasks.values()} == {"whole"}
    assert result.answer in ("a", "b")
    assert result.usage.samples == 3


async def test_parallel_passes_text_along_strong_edges_only(tmp_path: Path) -> None:
    """A weak edge keeps the order but carries no text, and the result lists it."""
    graph = orchestra.TaskGraph(
        [
            {"id": "weakly", "description": "One."},
            {"id": "strongly", "description": "Two."},
            {"id": "end", "description": "End.", "depends_on": {"weakly": "weak", "strongly": "strong"}},
        ]
    )
    model = say(weakly="WEAK TEXT", strongly="STRONG TEXT", end="done")
    plan = orchestra.plan(graph, model=model, choices=orchestra.Choices(topology="parallel"))
    result = await orchestra.run(plan, journal=tmp_path / "j.db")
    [last] = [prompt for prompt, _ in model.asked if prompt.step.startswith("end")]
    assert "STRONG TEXT" in str(last.rendered())
    assert "WEAK TEXT" not in str(last.rendered())
    assert result.ignored_edges == [["weakly", "end"]]


async def test_a_lead_briefs_every_worker_and_an_unreadable_briefing_costs_nothing_else(tmp_path: Path) -> None:
    """The lead is asked first and its notes reach the workers as data; without them the plain subtasks are run."""
    plan_of = {"topology": "hierarchical"}
    notes = {"facts": "NOTE ONE", "judge": "NOTE TWO"}

    def lead_says(sampling: Sampling) -> object:
        return {"redo": []} if "redo" in str(sampling.schema) else notes

    model = Scripted(
        lambda prompt, sampling: (
            json.dumps({"answer": lead_says(sampling) if prompt.step.startswith("<lead>") else "a"})
            if sampling.schema
            else "fact"
        )
    )
    plan = orchestra.plan(chain(), model=model, choices=orchestra.Choices(**plan_of))  # type: ignore[arg-type]
    assert (await orchestra.run(plan, journal=tmp_path / "j.db")).status == "ok"
    steps = [prompt.step.split("|")[0] for prompt, _ in model.asked]
    assert steps == ["<lead>", "facts", "judge", "judge", "judge", "<lead>"]
    assert "NOTE ONE" in str(model.asked[1][0].rendered())
    mute = Scripted(
        lambda prompt, sampling: (
            ("no JSON" if prompt.step.startswith("<lead>") else '{"answer": "a"}') if sampling.schema else "fact"
        )
    )
    plain = orchestra.plan(chain(), model=mute, choices=orchestra.Choices(**plan_of))  # type: ignore[arg-type]
    assert (await orchestra.run(plain, journal=tmp_path / "k.db")).status == "ok"


@pytest.mark.parametrize("topology", ["sequential", "hybrid", "hierarchical"])
async def test_ancestors_are_shown_where_that_is_asked_for(tmp_path: Path, topology: Topology) -> None:
    """With context=ancestors a subtask reads all that it depends on, directly or not, and nothing else."""
    edges = {"a": [], "b": ["a"], "other": [], "c": ["b"]}
    graph = orchestra.TaskGraph({"id": one, "description": one, "depends_on": needs} for one, needs in edges.items())
    model = Scripted(lambda prompt, sampling: "no lead" if sampling.schema else f"text of {prompt.step.split('|')[0]}")
    choices = orchestra.Choices(topology=topology, context="ancestors")
    await orchestra.run(orchestra.plan(graph, model=model, choices=choices), journal=tmp_path / "j.db")
    last = next(prompt.content() for prompt, _ in model.asked if prompt.step.startswith("c|"))
    assert [one for one in edges if f"text of {one}" in last] == ["a", "b"]


async def test_layers_show_all_earlier_answers_and_wait_for_them(tmp_path: Path) -> None:
    """With context=layers a hybrid subtask sees every earlier layer, not only what it declares."""
    graph = orchestra.TaskGraph(
        [
            {"id": "one", "description": "One."},
            {"id": "two", "description": "Two."},
            {"id": "end", "description": "End.", "depends_on": ["one"]},
        ]
    )
    model = say(one="FIRST", two="SECOND", end="done")
    choices = orchestra.Choices(topology="hybrid", context="layers")
    await orchestra.run(orchestra.plan(graph, model=model, choices=choices), journal=tmp_path / "j.db")
    assert all(word in str(model.asked[-1][0].rendered()) for word in ("FIRST", "SECOND"))


async def test_each_model_of_a_panel_is_asked_in_the_form_that_suits_it(tmp_path: Path) -> None:
    """A subtask with examples goes as a pattern with a grammar to one model and as chat with a schema to another."""
    graph = orchestra.TaskGraph(
        [
            {
                "id": "mood",
                "description": "Good or bad?",
                "answer": {"choice": ["good", "bad"]},
                "examples": [{"input": "It rained.", "answer": "bad"}],
            }
        ],
        context="It shone.",
    )
    small, large = Scripted([" good"], name="scripted:small", form="pattern"), Scripted(['{"answer": "good"}'])
    result = await orchestra.run(graph, model=[small, large], journal=tmp_path / "j.db")
    assert (result.status, result.subtasks["mood"]["tally"]) == ("ok", {"good": 3})
    prompt, sampling = small.asked[0]
    assert prompt.text == "Good or bad?\n\nIt rained. -> bad\nIt shone. ->"
    assert (sampling.grammar, sampling.schema, sampling.stop) == ('root ::= " good" | " bad"', None, ("\n",))
    prompt, sampling = large.asked[0]
    assert (prompt.text, sampling.grammar, sampling.schema is None) == (None, None, False)


async def test_models_take_turns_over_agents_mix_over_votes_and_follow_roles(tmp_path: Path) -> None:
    """A panel goes round-robin over subtasks and over the votes of one; roles and names have their own models."""
    graph = orchestra.TaskGraph(
        [
            {"id": "one", "description": "One."},
            {"id": "two", "description": "Two."},
            {"id": "vote", "description": "Vote.", "answer": {"choice": ["a", "b"]}},
            {"id": "judge", "description": "Judge.", "role": "judge"},
        ]
    )
    first, second, judge = (say(one="x", two="x", vote="a", judge="x") for _ in range(3))
    await orchestra.run(graph, model={"worker": [first, second], "judge": judge}, journal=tmp_path / "j.db")
    assert asked_for(first) + asked_for(second) == {"one": 1, "two": 1, "vote": 3}
    assert all(asked_for(model)["vote"] for model in (first, second))
    assert asked_for(first)["one"] != asked_for(second)["one"]
    assert asked_for(judge) == {"judge": 1}


async def test_a_slow_subtask_fails_by_its_own_time_limit(tmp_path: Path) -> None:
    """timeout_s fails the subtask with the cause timeout, and its call counts as one of unknown outcome."""
    graph = orchestra.TaskGraph([{"id": "slow", "description": "Wait.", "timeout_s": 0.01, "latency_ms": 60_000}])
    result = await orchestra.run(graph, model="simulated", journal=tmp_path / "j.db")
    assert result.subtasks["slow"]["cause"]["code"] == "timeout"
    assert (result.status, result.usage.unknown) == ("failed", 1)


async def test_a_stream_tells_every_record_after_its_commit(tmp_path: Path) -> None:
    """orchestra.stream yields the run's records in the order of the journal, up to its end."""
    kinds = [
        record.kind
        async for record in orchestra.stream(chain(), model=say(facts="x", judge="a"), journal=tmp_path / "j.db")
    ]
    assert kinds[:2] == ["run.started", "run.routed"]
    assert kinds[-1] == "run.ended"
    assert Counter(kinds)["sample.replied"] == 4


def test_run_sync_works_twice_and_says_what_to_await_inside_a_loop() -> None:
    """The synchronous door opens any number of times, but not inside a running event loop."""
    for _ in range(2):
        assert orchestra.run_sync(chain(), model=say(facts="x", judge="a")).answer == "a"

    async def inside() -> None:
        orchestra.run_sync(chain(), model="simulated")

    with pytest.raises(orchestra.InputError, match="await orchestra"):
        asyncio.run(inside())


def test_a_session_shares_models_ledger_and_journal_over_runs(tmp_path: Path) -> None:
    """A session's budget caps all its runs together, and its journal holds them all."""

    async def two_runs() -> tuple[str, str, list[str]]:
        budget = orchestra.Budget(calls=6)
        async with orchestra.Session(model="simulated", budget=budget, journal=tmp_path / "j.db") as session:
            first = await orchestra.run(chain(), session=session)
            second = await orchestra.run(chain(), session=session)
            return first.status, second.status, session.journal.run_ids()

    first, second, runs = run_virtual(two_runs())
    assert (first, second, len(runs)) == ("ok", "budget", 2)


def test_equal_seeds_give_equal_decisions_whatever_the_concurrency(tmp_path: Path) -> None:
    """A simulated run's answers and vote counts depend on its seed, not on how many calls are in flight."""
    graph = orchestra.TaskGraph(
        [
            {
                "id": f"q{place}",
                "description": f"Question {place}?",
                "answer": {"choice": ["a", "b", "c"]},
                "depends_on": [f"q{place - 3}"] if place >= 3 else [],
                "truth": {"answer": "a", "wrong": ["b", "c"]},
            }
            for place in range(12)
        ]
    )

    async def answers(concurrency: int) -> dict[str, object]:
        path = tmp_path / f"{concurrency}.db"
        model = "simulated:p=0.6,wrong=2,seed=5,latency_ms=10,jitter=1"
        async with orchestra.Session(model=model, journal=path, concurrency=concurrency) as session:
            result = await orchestra.run(graph, session=session)
        return {one: (subtask["answer"], subtask["tally"]) for one, subtask in result.subtasks.items()}

    assert run_virtual(answers(1)) == run_virtual(answers(3)) == run_virtual(answers(64))


@pytest.mark.parametrize("topology", ["parallel", "hybrid"])
async def test_a_defect_in_a_model_is_raised_as_itself(topology: str, tmp_path: Path) -> None:
    """An error that is not ours passes through unchanged, not as a group of errors, and the run can be resumed."""
    graph = orchestra.TaskGraph([{"id": "a", "description": "A"}, {"id": "b", "description": "B"}])
    choices = orchestra.Choices(topology=topology)  # type: ignore[arg-type]
    plan = orchestra.plan(graph, model=Scripted([ZeroDivisionError("a bug")]), choices=choices)
    with pytest.raises(ZeroDivisionError):
        await orchestra.run(plan, journal=tmp_path / "j.db", run_id="r")
    mended = orchestra.plan(graph, model=Scripted(["fine"]), choices=choices)
    assert (await orchestra.run(mended, journal=tmp_path / "j.db", run_id="r")).status == "ok"
