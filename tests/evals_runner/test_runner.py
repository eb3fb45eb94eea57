"""Cells: budgets that hold, evaluations that go on where they stopped, and rows that say what happened."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.session import Session
from orchestra.testing import Scripted, run_virtual
from orchestra_agents.errors import ContextExceeded, InputError, RunOwned, ServerError
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Budget, Cost
from orchestra_agents.models.contract import Completion, Prompt, Sampling
from orchestra_evals.runner.composing import cells_of
from orchestra_evals.runner.evaluating import Keeping, evaluate
from orchestra_evals.runner.evaluation import CellScore
from orchestra_evals.runner.pace import Pace
from orchestra_evals.runner.rows import row_of
from orchestra_evals.runner.selection import Selection
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.suites.suite import Sample
from orchestra_evals.systems.self_consistency import SelfConsistency
from orchestra_evals.systems.system import System
from tests.evals_runner.samples import SIMULATED, kept, rows_in, table, wired

Json = Any
ROW_FIELDS = {
    *("run_id", "sample_id", "epoch", "input_hash", "output", "score", "status", "error", "usage", "cost"),
    *("estimated", "latency_s", "attempts", "model", "seed", "topology", "started_at", "schema_version"),
    *("suite", "version", "split", "difficulty", "family", "system", "team", "outcome", "cap", "spent"),
    *("graph", "instance", "retried", "usage_source"),
}


def measured(keeping: Keeping, system: System | None = None, model: Any = SIMULATED, **more: Any) -> CellScore:
    """Return the only cell of an evaluation of addition."""
    more.setdefault("selection", Selection(limit=6))
    systems = [system or wired()]
    return asyncio.run(evaluate("addition", systems=systems, models=[model], keeping=keeping, **more)).cells[0]


def test_rows_hold_what_result_files_hold(tmp_path: Path) -> None:
    """Every sample is one JSON line with the fields of the field's result files, from which it can be made again."""
    cell = measured(kept(tmp_path), selection=Selection(limit=6, seed=3, split="held_out"))
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert len(lines) == 6
    assert all(set(line) >= ROW_FIELDS for line in lines)
    assert {line["usage"]["input"] > 0 and line["usage"]["output"] > 0 for line in lines} == {True}
    first = lines[0]
    assert (first["suite"], first["split"], first["status"], first["epoch"]) == ("addition", "held_out", "ok", 0)
    assert (first["cap"], first["usage_source"], first["evidence"]) == ({}, "client", "simulated")
    suite = make_suite("addition")
    made = {one.id: one for one in Selection(limit=6, seed=3, split="held_out").samples(suite)}
    assert all(made[line["sample_id"]].digest() == line["input_hash"] for line in lines)
    assert sorted(map(row_of, map(json.dumps, lines)), key=lambda row: row.run_id) == sorted(
        cell.rows, key=lambda row: row.run_id
    )


def test_equal_seeds_give_equal_scores(tmp_path: Path) -> None:
    """Two evaluations with equal arguments are equal row by row; another seed asks other samples."""
    one, other = (measured(kept(tmp_path / name), wired(team="vote")) for name in ("a", "b"))
    assert table(one) == table(other)
    third = measured(kept(tmp_path / "c"), wired(team="vote"), selection=Selection(limit=6, seed=1))
    assert {row.input_hash for row in third.rows}.isdisjoint(row.input_hash for row in one.rows)


def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    """The same call again asks nothing, and a larger one only what is new."""
    model = Scripted(lambda prompt, _: json.dumps({"answer": prompt.truth.answer if prompt.truth else ""}))
    first = measured(kept(tmp_path), model=model)
    assert (len(model.asked), table(measured(kept(tmp_path), model=model))) == (6, table(first))
    assert len(model.asked) == 6
    more = measured(kept(tmp_path), model=model, selection=Selection(limit=10))
    assert (more.mean.n, len(model.asked), len(rows_in(tmp_path))) == (10, 10, 10)
    measured(kept(tmp_path, name="night 2"), model=model)
    assert (len(model.asked), len(rows_in(tmp_path))) == (16, 16)


@pytest.mark.parametrize("cut", [0, 1, 40, 700])
def test_a_torn_file_of_rows_is_repaired_from_the_journal(tmp_path: Path, cut: int) -> None:
    """Rows that a kill tore off or never wrote are made again out of the journal, once each, and nothing is asked."""
    model = Scripted(lambda prompt, _: json.dumps({"answer": prompt.truth.answer if prompt.truth else ""}))
    before = measured(kept(tmp_path), model=model)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(path.read_bytes()[: -cut or None])
    after = measured(kept(tmp_path), model=model)
    assert (table(after), len(model.asked)) == (table(before), 6)
    rows = rows_in(tmp_path)
    assert sorted(row.run_id for row in rows) == sorted(row.run_id for row in before.rows)
    (tmp_path / "rows.jsonl").unlink()
    assert table(measured(kept(tmp_path), model=model)) == table(before)
    assert len(model.asked) == 6


def test_rows_that_are_read_back_are_those_that_were_written(tmp_path: Path) -> None:
    """A table made of old and new rows groups them as one made at once, whatever axes the suite has."""
    more: Json = {"systems": [wired()], "models": [SIMULATED], "selection": Selection(limit=24)}
    at_once = asyncio.run(evaluate("3sat", keeping=kept(tmp_path / "a"), **more)).cells[0]
    asyncio.run(evaluate("3sat", keeping=kept(tmp_path / "b"), **more | {"selection": Selection(limit=13)}))
    in_parts = asyncio.run(evaluate("3sat", keeping=kept(tmp_path / "b"), **more)).cells[0]
    assert table(in_parts) == table(at_once)
    assert len(in_parts.by_difficulty()) == 12


def test_rows_of_others_stay_and_other_files_are_refused(tmp_path: Path) -> None:
    """A file may hold the rows of several evaluations; one that holds something else is left as it is."""
    measured(kept(tmp_path))
    measured(kept(tmp_path), wired(team="vote"))
    assert len(rows_in(tmp_path)) == 12
    (tmp_path / "notes.txt").write_text("my notes\n")
    with pytest.raises(InputError, match=r"line 1 of .*notes.txt is no row"):
        measured(Keeping(out=tmp_path / "notes.txt"))
    assert (tmp_path / "notes.txt").read_text() == "my notes\n"


def test_a_row_without_its_run_does_not_count(tmp_path: Path) -> None:
    """The journal is what counts: where it is gone, samples are asked again and their rows replaced."""
    measured(kept(tmp_path))
    (tmp_path / "journal.db").unlink()
    cell = measured(kept(tmp_path))
    assert (cell.spent.calls, len(rows_in(tmp_path))) == (6, 6)


@pytest.mark.parametrize(
    ("budget", "system"),
    [
        (Budget(calls=40), wired("auto", "auto")),
        (Budget(tokens=20_000), wired("auto", "auto")),
        (Budget(tokens=20_000), wired("single", "decentralized")),
        (Budget(calls=17), SelfConsistency()),
    ],
)
def test_no_cell_spends_more_than_its_cap(tmp_path: Path, budget: Budget, system: System) -> None:
    """The caps hold over all samples of a cell together; what they do not pay for is no wrong answer."""
    cell = measured(kept(tmp_path), system, budget=budget, selection=Selection(limit=25))
    spent, statuses = cell.spent, cell.statuses
    assert spent.calls <= (budget.calls or spent.calls)
    assert spent.tokens <= (budget.tokens or spent.tokens)
    assert statuses["ok"] + statuses["budget"] == 25
    assert statuses["ok"] > 0
    assert cell.mean.n == statuses["ok"]
    assert {row.score for row in cell.rows if row.status == "budget"} <= {None}
    again = measured(kept(tmp_path), system, budget=budget, selection=Selection(limit=25))
    assert (table(again), again.spent) == (table(cell), spent)


def test_a_larger_budget_goes_on(tmp_path: Path) -> None:
    """Samples that the caps did not pay for are asked when they are raised, and what was spent before counts."""
    system = wired(team="vote", k=1)
    first = measured(kept(tmp_path), system, budget=Budget(calls=4))
    assert first.statuses == {"ok": 4, "budget": 2, "infra_error": 0, "missing": 0}
    second = measured(kept(tmp_path), system, budget=Budget(calls=5))
    assert (second.statuses["ok"], second.spent.calls) == (5, 5)
    third = measured(kept(tmp_path), system)
    assert (third.statuses["ok"], third.spent.calls, len(rows_in(tmp_path))) == (6, 6, 6)
    assert third.mean_without_retried == third.mean


def test_samples_side_by_side_do_not_starve_one_another() -> None:
    """Under a cap that pays for some samples, those that begin are finished: at most the last one is not."""
    more: Json = {"budget": Budget(calls=30), "selection": Selection(limit=12, difficulty={"digits": 20})}
    cell = measured(Keeping(), wired("hybrid", "solo"), "simulated:p=1.0", **more)
    assert cell.statuses["ok"] == 3  # of 9 calls each
    assert sum(row.usage.calls > 0 for row in cell.rows if row.status == "budget") <= 1


def test_time_that_is_up_stops_a_cell_and_the_next_attempt_goes_on(tmp_path: Path) -> None:
    """A cap in seconds is an attempt's; nothing that was answered in time is asked again."""

    async def attempt(seconds: float) -> CellScore:
        found = await evaluate(
            "addition",
            systems=[wired()],
            models=["simulated:p=0.8,seed=4,latency_ms=1000"],
            budget=Budget(seconds=seconds),
            selection=Selection(limit=20),
            keeping=kept(tmp_path),
            opens=lambda path, budget, spent: Session(journal=path, budget=budget, spent=spent, concurrency=4),
        )
        return found.cells[0]

    first, second = run_virtual(attempt(2.5)), run_virtual(attempt(100))
    assert (first.statuses["ok"], first.statuses["budget"]) == (8, 12)
    assert second.statuses["ok"] == 20
    assert {row.run_id for row in rows_in(tmp_path)} == {row.run_id for row in second.rows}


def failing(times: dict[str, int]) -> Callable[[Prompt, Sampling], str]:
    """Answer right, after having failed as often as is said for a question."""

    def reply(prompt: Prompt, sampling: Sampling) -> str:
        assert prompt.truth is not None
        answer = str(prompt.truth.answer)
        if times.get(answer, 0) > 0:
            times[answer] -= 1
            raise ServerError("overloaded")
        return json.dumps({"answer": answer})

    return reply


def test_errors_of_the_infrastructure_are_no_wrong_answers(tmp_path: Path) -> None:
    """They are counted apart, asked again only if that is wanted, and scores are told without those that were."""
    samples = Selection(limit=6).samples(make_suite("addition"))
    model = Scripted(failing({samples[0].target: 1, samples[3].target: 2}))
    first = measured(kept(tmp_path), model=model)
    assert first.statuses == {"ok": 4, "budget": 0, "infra_error": 2, "missing": 0}
    assert (first.mean.n, first.mean.score) == (4, 1.0)
    lost = [row for row in first.rows if row.status == "infra_error"]
    assert [(row.error.code, row.score) for row in lost if row.error] == [("server", None)] * 2
    asked = len(model.asked)
    assert table(measured(kept(tmp_path), model=model)) == table(first)
    assert len(model.asked) == asked
    second = measured(kept(tmp_path, retry_errors=True), model=model)
    assert (second.statuses["ok"], second.statuses["infra_error"]) == (5, 1)
    third = measured(kept(tmp_path, retry_errors=True), model=model)
    assert (third.mean.n, third.mean_without_retried.n) == (6, 4)
    assert sum(row.retried for row in rows_in(tmp_path)) == 2
    (tmp_path / "rows.jsonl").unlink()
    assert measured(kept(tmp_path), model=model).mean_without_retried.n == 4  # the journal knows it, too


def test_what_a_system_itself_cannot_do_is_scored() -> None:
    """Replies that are cut or unreadable, votes that never end and prompts too long are failures of the system."""
    cut = Completion(text='{"answer": "1', finish_reason="length")
    sevens = iter(range(10**6))
    cases: Json = {
        "truncated": (wired(), cut),
        "malformed": (wired(), "no idea"),
        "undecided": (wired(team="vote"), lambda *_: json.dumps({"answer": str(next(sevens))})),
        "failed": (wired(), ContextExceeded("too long")),
        "wrong": (wired(), json.dumps({"answer": "7"})),
    }
    for outcome, (system, said) in cases.items():
        model = Scripted(said if callable(said) else [said])
        cell = measured(Keeping(), system, model, selection=Selection(limit=2))
        assert (cell.outcomes, cell.mean.score) == ({outcome: 2}, 0.0)


def test_undecided_votes_are_not_gone_on_with(tmp_path: Path) -> None:
    """A vote that ended at its cap has ended: a resumed evaluation does not give the sample another chance."""
    numbers = iter(range(10**6))
    model = Scripted(lambda *_: json.dumps({"answer": str(next(numbers))}))
    first = measured(kept(tmp_path), wired(team="vote"), model, selection=Selection(limit=2))
    asked = len(model.asked)
    (tmp_path / "rows.jsonl").unlink()
    again = measured(kept(tmp_path), wired(team="vote"), model, selection=Selection(limit=2))
    assert (table(again), len(model.asked)) == (table(first), asked)


def test_two_processes_cannot_work_on_one_cell(tmp_path: Path) -> None:
    """The second is refused by name, and writes nothing."""
    [cell] = cells_of("addition", [wired()], models=[SIMULATED], selection=Selection(limit=6))
    with Journal(tmp_path / "journal.db") as journal, journal.own(cell.slug), pytest.raises(RunOwned):
        measured(kept(tmp_path))


def test_several_cells_have_a_budget_each(tmp_path: Path) -> None:
    """Each system with each model is a cell under caps of its own, and names find it."""
    found = asyncio.run(
        evaluate(
            "addition",
            systems={"one": wired(), "vote": wired(team="vote", k=1)},
            models=["simulated:p=0.5", "simulated:p=1.0"],
            budget=Budget(calls=5),
            selection=Selection(limit=8),
            keeping=kept(tmp_path),
        )
    )
    assert [(cell.system, cell.statuses["ok"], cell.spent.calls) for cell in found.cells] == [
        (name, 5, 5) for name in ("one", "one", "vote", "vote")
    ]
    assert len({row.cell for row in rows_in(tmp_path)}) == 4
    with pytest.raises(KeyError):
        found["one"]
    with pytest.raises(InputError, match="given twice"):
        cells_of("addition", models=[SIMULATED, SIMULATED])
    assert [cell.model_name for cell in cells_of("addition", models=SIMULATED)] == [SIMULATED]


def test_a_change_of_anything_that_decides_answers_is_another_cell() -> None:
    """Cells have equal names exactly where nothing differs that could change an answer."""

    def name(system: System | None = None, seed: int = 0, budget: Budget | None = None, **more: Json) -> str:
        selection, systems = Selection(limit=4, seed=seed), [system or SelfConsistency()]
        [cell] = cells_of("addition", systems, models=[SIMULATED], selection=selection, budget=budget, **more)
        return cell.id

    told = [
        name(wired()),
        name(wired(), seed=1),
        name(wired(temperature=0.5)),
        name(wired(decompose="none")),
        name(wired(), name="again"),
        name(budget=Budget(calls=40)),
        name(budget=Budget(calls=80)),
        name(SelfConsistency(samples=3), budget=Budget(calls=80)),
    ]
    assert len(set(told)) == len(told)
    assert name(wired(), budget=Budget(calls=4)) == name(wired())  # whose answers do not depend on the cap


def test_judged_answers_are_paid_for_by_nobody_measured(tmp_path: Path) -> None:
    """A model is asked about answers that are no target word for word, apart from the system's usage and its cap."""
    rows = [{"input": f"Say {n} in words.", "target": f"number {n}"} for n in range(8)]
    (tmp_path / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def reply(prompt: Prompt, sampling: Sampling) -> str:
        text = prompt.messages[-1].content
        if "You judge an answer" in prompt.messages[0].content:
            return json.dumps({"answer": "right" if "it is number" in text else "wrong"})
        number = next(n for n in range(8) if f"Say {n} " in text)
        return [f"number {number}", f"it is number {number}", "no idea"][number % 3]

    model = Scripted(reply)
    suite = f"file:{tmp_path}/qa.jsonl,scorer=judge,shares=0/100/0"
    more: Json = {"systems": [wired()], "models": [model], "keeping": kept(tmp_path), "budget": Budget(calls=8)}
    cell = asyncio.run(evaluate(suite, **more)).cells[0]
    assert (cell.mean.score, cell.spent.calls, cell.judge_dict()["calls"]) == (6 / 8, 8, 5)
    assert table(asyncio.run(evaluate(suite, **more)).cells[0]) == table(cell)
    assert len(model.asked) == 13


def test_selections_take_turns_over_difficulties_and_end_where_samples_do(tmp_path: Path) -> None:
    """Limits are spread over difficulties; a suite with fewer samples gives what it has."""
    samples = Selection(limit=7).samples(make_suite("addition"))
    assert [one.difficulty["digits"] for one in samples] == [5, 10, 20, 50, 100, 5, 10]
    assert Selection(limit=7).samples(make_suite("addition")) == samples
    (tmp_path / "qa.jsonl").write_text("".join(json.dumps({"input": f"q{n}", "target": n}) + "\n" for n in range(5)))
    suite = make_suite(f"file:{tmp_path}/qa.jsonl,shares=40/60/0")
    assert len(Selection().samples(suite)) == 3
    assert len(Selection(limit=50, split="calibrate").samples(suite)) == 2
    with pytest.raises(InputError, match="split: held_out holds no sample"):
        Selection(split="held_out").samples(suite)
    pinned = Selection(limit=4, difficulty={"digits": 7})
    assert {one.difficulty["digits"] for one in pinned.samples(pinned.narrowed(make_suite("addition")))} == {7}
    for wrong in ({"digits": 0}, {"size": 3}):
        with pytest.raises(InputError, match=r"difficulty\."):
            Selection(difficulty=wrong).narrowed(make_suite("addition"))
    for values in ({"limit": 0}, {"repeats": 0}, {"seed": -1}, {"split": "train"}):
        with pytest.raises(InputError):
            Selection(**values)  # type: ignore[arg-type]


@settings(max_examples=60)
@given(
    cap=st.integers(1, 60),
    jobs=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=12),
    width=st.integers(1, 5),
)
def test_a_pace_lets_everybody_begin_in_order(cap: int, jobs: list[tuple[int, int, bool]], width: int) -> None:
    """Whatever is expected and taken, nobody waits for ever and all begin in their order."""
    begun: list[int] = []

    async def work() -> None:
        pace, left = Pace(Budget(calls=cap), Cost()), iter(enumerate(jobs))

        async def one() -> None:
            for number, (expected, actual, is_known) in left:
                async with pace.turn(Cost(calls=expected) if is_known else None) as turn:
                    begun.append(number)
                    await asyncio.sleep(actual)
                    if is_known:
                        turn.took(Cost(calls=actual))

        async with asyncio.TaskGroup() as group:
            for _ in range(width):
                group.create_task(one())

    run_virtual(work())
    assert begun == list(range(len(jobs)))


def test_answers_that_no_reply_can_hold_are_told_apart() -> None:
    """A puzzle whose shortest answer is longer than a reply may be is infeasible, where it is asked as a whole."""
    found = asyncio.run(
        evaluate(
            "hanoi:n=8",
            systems={"whole": wired(), "long": wired(max_tokens=4_000), "parts": wired("hybrid", "solo")},
            models=["simulated:p=1.0"],
            selection=Selection(limit=2),
        )
    )
    told = {name: found[name].as_dict()["infeasible"] for name in ("whole", "long", "parts")}
    assert told == {"whole": 2, "long": 0, "parts": 0}


def test_programs_are_refused_where_they_may_not_run() -> None:
    """A suite whose answers are programs is not scored as if they failed."""
    with pytest.raises(InputError, match="allow it by --allow-code"):
        cells_of("hanoi:mode=generator", models=[SIMULATED], selection=Selection(limit=2))


def test_own_samples_need_no_registry(tmp_path: Path) -> None:
    """Any suite can be evaluated: what it says of its samples is all that is needed."""

    class Doubled:
        name, about = "doubled", replace(make_suite("addition").about, axes={}, default=({},), size=3)

        def sample(self, difficulty: Json, index: int, *, split: Json, seed: int) -> Sample:
            if index > 2:
                raise InputError("index", "there are 3")
            made = make_suite("addition").sample({"digits": 3}, index, split=split, seed=seed)
            return replace(made, id=f"d{index}", difficulty={})

        def check(self, sample: Sample, answer: Json) -> Json:
            return make_suite("addition").check(sample, answer)

        def graph(self, sample: Sample) -> None:
            return None

    found = asyncio.run(evaluate(Doubled(), models=["simulated:p=1.0"]))
    assert (found.cells[0].mean.n, found.cells[0].mean.score, found.samples_file) == (3, 1.0, None)
    assert found.journal.exists()


def test_a_model_that_answers_nothing_is_not_asked_for_further_systems(tmp_path: Path) -> None:
    """Where the infrastructure lost all samples of one system, the others with that model are left for another day."""
    asked: list[str] = []

    def away(prompt: Prompt, sampling: Sampling) -> Completion:
        asked.append(prompt.content())
        raise ServerError("nobody is there")

    systems = {"alone": wired(), "votes": wired(team="vote")}
    models = [Scripted(away), SIMULATED]
    found = asyncio.run(
        evaluate("addition", systems=systems, models=models, selection=Selection(limit=3), keeping=kept(tmp_path))
    )
    statuses = [(cell.system, cell.cell.model_name == SIMULATED, cell.statuses) for cell in found.cells]
    lost = {"ok": 0, "budget": 0, "infra_error": 3, "missing": 0}
    missing, fine = {**lost, "infra_error": 0, "missing": 3}, {**lost, "infra_error": 0, "ok": 3}
    assert statuses == [
        ("alone", False, lost),
        ("alone", True, fine),
        ("votes", False, missing),
        ("votes", True, fine),
    ]
    assert len(asked) == 3
