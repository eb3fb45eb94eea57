"""A comparison and its document: what stands in it, by hand and by law, whatever was asked of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from orchestra.budget.estimates import Estimate
from orchestra.budget.profile import Profile
from orchestra.testing import Scripted
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Prompt, Sampling
from orchestra_evals.comparing.compare import compare
from orchestra_evals.comparing.compared import Compared
from orchestra_evals.comparing.contest import contest_of
from orchestra_evals.comparing.findings import finding
from orchestra_evals.comparing.forecasts import error_of
from orchestra_evals.comparing.telling import plain
from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.runner.evaluating import Evaluator, Keeping
from orchestra_evals.runner.selection import Selection
from orchestra_evals.statistics.comparison import Comparison
from orchestra_evals.suites.suite import Sample
from orchestra_evals.systems.system import Answered, Reported
from tests.evals_runner.samples import kept, wired

Json = Any
SUITE, MODEL = "addition:digits=5", "simulated:p=0.8,seed=4"
ALONE: Json = {"topologies": ["single"], "teams": ["solo"]}
KEYS = {
    *("document", "suite", "version", "split", "seed", "samples", "repeats", "decompose", "command", "made"),
    *("orchestra", "cap", "cap_source", "evidence", "models", "baseline", "pick", "skipped", "rows", "differences"),
    *("mde", "graphs", "matched", "forecast", "regret", "convergence", "survival", "samples_file", "journal"),
}
ROW_KEYS = {
    *("system", "topology", "team", "kind", "model", "cell", "n", "score", "interval", "without_retried", "retried"),
    *("statuses", "outcomes", "infeasible", "by_difficulty", "repeats", "spent", "spent_a_sample", "cap", "usage"),
    *("judge", "tokens_per_success", "cost_per_success", "e_cubed", "confidence", "coordination", "decided", "graphs"),
    *("seconds", "evidence"),
}


def compared(suite: str = SUITE, *, limit: int = 6, models: Json = (MODEL,), **more: Json) -> Compared:
    """Return a comparison of a few samples."""
    selection = Selection(limit=limit, repeats=more.pop("repeats", 1))
    return asyncio.run(compare(suite, models=models, selection=selection, **more))


def document(*arguments: str, **more: Json) -> Json:
    """Return the document of a comparison, which is plain JSON that a report can read."""
    return valid(compared(*arguments, **more).as_dict())


def valid(told: Json) -> Json:
    """Return a document that is as it was promised to be."""
    read = json.loads(json.dumps(told, allow_nan=False))
    assert set(read) == KEYS
    assert all(set(row) == ROW_KEYS for row in read["rows"])
    ComparisonDocument.of(read)
    return read


def rows(told: Json) -> dict[str, Json]:
    """Return the rows of a document by system."""
    return {row["system"]: row for row in told["rows"]}


async def oracle(sample: Sample) -> Json:
    return sample.target


async def fool(sample: Sample) -> Json:
    return sample.wrong[0]


async def offline(sample: Sample) -> Json:
    raise ConnectionError("no network")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """Everything that competes by default, on a few samples."""
    return compared(keeping=kept(tmp_path_factory.mktemp("whole")))


@pytest.fixture(scope="module")
def told(whole: Compared) -> Json:
    """Its document."""
    return valid(whole.as_dict())


def test_all_that_compete_have_a_row_and_a_difference(told: Json) -> None:
    """One row a system, one difference for all but the baseline, and what was compared says itself."""
    assert (told["document"], told["suite"], told["samples"]) == ("orchestra.comparison/1", SUITE, 6)
    assert (told["baseline"], told["pick"], told["cap_source"]) == ("single x solo", "auto x auto", "estimated")
    assert told["evidence"] == "simulated"
    assert len(told["rows"]) == 17
    assert [one["first"] for one in told["differences"]] == [row["system"] for row in told["rows"][1:]]
    assert {one["second"] for one in told["differences"]} == {"single x solo"}
    assert (told["mde"]["n"], told["mde"]["comparisons"]) == (6, 16)
    assert {row["kind"] for row in told["rows"]} == {"wiring", "selfconsistency"}
    hybrid = rows(told)["hybrid x vote"]
    assert (hybrid["topology"], hybrid["team"], hybrid["graphs"]["source"]) == ("hybrid", "vote", "suite")
    assert hybrid["decided"] == [{"topology": "hybrid", "team": "vote(k=3)", "samples": 6}]
    assert told["graphs"] == {"source": "suite", "graphs": 6, "degenerate": 0}
    assert told["regret"]["models"][0]["alternatives"] == 15
    assert told["convergence"] is None


def test_every_system_has_the_same_cap_and_no_sample_is_unpaid(told: Json) -> None:
    """The cap that is estimated pays for everybody."""
    assert {json.dumps(row["cap"]) for row in told["rows"]} == {json.dumps(told["cap"])}
    assert all(row["statuses"]["ok"] == row["n"] == 6 for row in told["rows"])
    assert all(row["spent"]["tokens"] <= told["cap"]["tokens"] for row in told["rows"])


def test_what_was_spent_adds_up(whole: Compared, told: Json) -> None:
    """Tokens are input and output of all rows; a sample's are the mean."""
    for cell, row in zip(whole.evaluation.cells, told["rows"], strict=True):
        tokens = sum(one.usage.input + one.usage.output for one in cell.rows)
        assert row["spent"]["tokens"] == tokens == row["usage"]["input_tokens"] + row["usage"]["output_tokens"]
        assert row["spent_a_sample"]["tokens"] == pytest.approx(tokens / 6)
        assert row["spent_a_sample"]["calls"] == pytest.approx(row["spent"]["calls"] / 6)


def test_coordination_is_told_beside_one_agent(told: Json) -> None:
    """Three agents take three turns for one, a vote is one turn; failures are those of the agent's times the ratio."""
    found = rows(told)
    lone = found["single x solo"]
    assert lone["coordination"] == {
        "turns": 1.0,
        "messages": 0.0,
        "message_density": 0.0,
        "overhead_percent": 0.0,
        "efficiency": lone["score"],
        "redundancy": None,
        "unproductive_share": 0.0,
        "failure_ratio": 1.0,
        "runs": 6,
    }
    three, debate = found["single x independent"]["coordination"], found["single x decentralized"]["coordination"]
    assert (three["turns"], three["overhead_percent"], three["messages"]) == (3.0, 200.0, 0.0)
    assert three["efficiency"] == pytest.approx(found["single x independent"]["score"] / 3)
    assert (debate["turns"], debate["messages"], debate["message_density"]) == (9.0, 9.0, 1.0)
    assert found["single x vote"]["coordination"]["turns"] == 1.0
    for row in told["rows"]:
        failed, alone = 1 - row["score"], 1 - lone["score"]
        assert row["coordination"]["failure_ratio"] == pytest.approx(failed / alone)


def test_confidences_are_those_of_votes(told: Json) -> None:
    """A vote tells the share that agrees, one agent nothing."""
    found = rows(told)
    assert found["single x solo"]["confidence"] is None
    assert 0 <= found["single x vote"]["confidence"]["brier"] <= 1
    assert found["selfconsistency"]["confidence"]["left_out"] == 0


def test_equal_seeds_give_equal_documents(told: Json, tmp_path: Path) -> None:
    """Whatever journal they use; only the day, the seconds and the places of files may differ."""

    def same(one: Json) -> Json:
        left = {key: value for key, value in one.items() if key not in ("made", "samples_file", "journal")}
        return left | {"rows": [{key: value for key, value in row.items() if key != "seconds"} for row in one["rows"]]}

    assert same(valid(compared(keeping=kept(tmp_path)).as_dict())) == same(told)


def test_the_same_call_asks_nothing_again(tmp_path: Path) -> None:
    """Another call with the same journal is answered from it, with the rows or without, and with more samples."""

    def knowing(prompt: Prompt, sampling: Sampling) -> str:
        return json.dumps({"answer": prompt.truth.answer if prompt.truth else ""})

    model = Scripted(knowing)
    more: Json = ALONE | {"models": [model], "budget": Budget(calls=24), "teams": ["solo", "vote"]}
    first = compared(keeping=kept(tmp_path), **more)
    asked = len(model.asked)
    (tmp_path / "rows.jsonl").unlink()
    again = compared(keeping=kept(tmp_path), **more)
    assert len(model.asked) == asked
    assert again.as_dict() == first.as_dict()
    compared(keeping=kept(tmp_path), limit=7, **more | {"budget": Budget(calls=28)})
    assert len(model.asked) == asked + 1 + 3 + 4  # one sample more; self-consistency has the share that it had
    compared(keeping=kept(tmp_path, name="anew"), **more)
    assert len(model.asked) == 2 * asked + 1 + 3 + 4


def test_systems_that_are_right_or_wrong_are_better_or_worse() -> None:
    """Worked out by hand: an oracle wins where one agent fails, a fool loses where it is right."""
    told = document(limit=40, systems={"oracle": oracle, "fool": fool}, **ALONE)
    found, lone = {one["first"]: one for one in told["differences"]}, rows(told)["single x solo"]
    right = round(lone["score"] * 40)
    assert (found["oracle"]["wins"], found["oracle"]["losses"], found["oracle"]["pairs"]) == (40 - right, 0, 40)
    assert (found["fool"]["wins"], found["fool"]["losses"]) == (0, right)
    assert found["oracle"]["difference"]["value"] == pytest.approx(1 - lone["score"])
    assert (found["oracle"]["finding"], found["fool"]["finding"]) == ("better", "worse")
    assert {found[name]["test"] for name in found} == {"mcnemar mid-p"}
    assert rows(told)["oracle"]["kind"] == "own"
    assert rows(told)["oracle"]["coordination"] is None
    assert told["mde"]["discordance"] == pytest.approx(
        sum((one["wins"] + one["losses"]) / 40 for one in told["differences"]) / 3
    )


def test_what_nobody_tells_is_not_free() -> None:
    """A system that asks models of its own has no spend, and no figure of it; one that tells has."""

    async def telling(sample: Sample) -> Answered:
        return Answered(answer=sample.target, usage=Reported(calls=1, input_tokens=30, output_tokens=10))

    found = rows(document(limit=3, systems={"oracle": oracle, "telling": telling}, **ALONE))
    unknown = {"tokens": None, "calls": None, "cost_usd": None}
    assert found["oracle"]["spent"] == found["oracle"]["spent_a_sample"] == unknown
    assert [found["oracle"][name] for name in ("tokens_per_success", "cost_per_success", "e_cubed")] == [None] * 3
    assert found["telling"]["spent"] == {"tokens": 120, "calls": 3, "cost_usd": 0.0}
    assert found["telling"]["tokens_per_success"]["value"] == 40.0


def test_scores_between_0_and_1_differ_by_their_squares() -> None:
    """Right in one of two repeats on each sample, beside always right: a quarter of a sample each."""
    asked: dict[str, int] = {}

    async def half(sample: Sample) -> Json:
        asked[sample.id] = asked.get(sample.id, 0) + 1
        return sample.target if asked[sample.id] == 1 else sample.wrong[0]

    more: Json = ALONE | {"models": ["simulated:p=1"], "repeats": 2, "budget": Budget(calls=40)}
    told = document(limit=6, systems={"half": half}, **more)
    assert {one["first"]: one["losses"] for one in told["differences"]} == {"selfconsistency": 0, "half": 6}
    assert told["mde"]["discordance"] == pytest.approx(0.25 / 2)


def test_the_least_difference_is_that_of_the_samples_that_were_compared() -> None:
    """Where the cap paid for half of them it is none of all."""
    told = document(limit=8, budget=Budget(calls=4), topologies=["single"], teams=["independent:agents=2"])
    pairs = sorted(one["pairs"] for one in told["differences"])
    assert pairs[-1] < told["samples"]
    assert told["mde"]["n"] == pairs[(len(pairs) - 1) // 2]


@pytest.mark.parametrize(
    ("value", "adjusted", "detectable", "expected"),
    [
        (0.3, 0.04, 0.2, "better"),
        (-0.3, 0.0, 0.2, "worse"),
        (0.1, 0.05, 0.1234, "no difference shown; below the minimum detectable effect of 0.123"),
        (-0.2, 0.2, 0.1, "no difference shown"),
        (0.1, 1.0, None, "no difference shown"),
        (None, 1.0, 0.9, "no difference shown"),
    ],
)
def test_what_a_difference_says(value: Json, adjusted: float, detectable: Json, expected: str) -> None:
    """Better or worse below the level, else that nothing is shown, and whether it could have been."""
    found = Comparison(
        first="a",
        second="b",
        pairs=9,
        left_out=0,
        difference=None if value is None else Estimate(value=value, low=-1, high=1, basis="", n=9),
        wins=0,
        losses=0,
        test="mcnemar mid-p",
        p_value=0.01,
        adjusted_p=adjusted,
        detectable=detectable,
    )
    assert finding(found) == expected


def test_several_models_are_compared_each_with_its_own_baseline() -> None:
    """One family, one curve, one regret for each; and whether the topology or the model matters more."""
    models = ["simulated:p=0.95,seed=1", "simulated:p=0.6,seed=2"]
    told = document(models=models, topologies=["single", "hybrid", "auto"], teams=["solo"], limit=8)
    assert told["models"] == models
    assert [(row["system"], row["model"]) for row in told["rows"][:2]] == [("single x solo", one) for one in models]
    assert [one["model"] for one in told["differences"][:4]] == [models[0]] * 4
    assert len(told["differences"]) == 8
    assert [curve["model"] for curve in told["matched"]["curves"]] == models
    assert [one["model"] for one in told["regret"]["models"]] == models
    assert (told["convergence"]["topologies"], told["convergence"]["models"]) == (2, 2)
    assert (told["convergence"]["team"], told["convergence"]["note"]) == ("solo", "a score, no theorem")
    assert document(models=models, limit=2, **ALONE)["convergence"] is None


def test_what_is_lost_or_not_paid_for_is_not_compared() -> None:
    """Samples without a score are counted, and left out of pairs; a cap that does not pay stops who is too dear."""
    told = document(systems={"offline": offline}, repeats=2, limit=4, **ALONE)
    lost = rows(told)["offline"]
    assert (lost["statuses"]["infra_error"], lost["n"], lost["score"]) == (8, 0, None)
    assert lost["spent_a_sample"] == {"tokens": None, "calls": None, "cost_usd": None}
    [found] = [one for one in told["differences"] if one["first"] == "offline"]
    assert (found["difference"], found["pairs"], found["left_out"], found["finding"]) == (
        None,
        0,
        4,
        "no difference shown",
    )
    tight = document(budget=Budget(calls=8), limit=4, topologies=["single"], teams=["decentralized"])
    assert tight["cap_source"] == "given"
    assert rows(tight)["single x decentralized"]["statuses"]["budget"] == 4
    assert rows(tight)["selfconsistency"]["statuses"]["ok"] == 4


def test_environments_are_compared_by_teams() -> None:
    """Nobody votes there; coordination is counted from the turns that agents took."""
    told = document("craft", topologies=["single"], teams=["solo", "tree"], limit=3, models=["simulated:p=1"])
    assert (told["cap"], told["cap_source"], told["matched"]) == ({}, "none", None)
    found = rows(told)
    assert found["single x solo"]["score"] == 1.0
    assert found["single x tree"]["coordination"]["runs"] == 3
    assert found["single x solo"]["coordination"]["turns"] > 1
    tree = rows(document("lookup", topologies=["single"], teams=["tree"], limit=2, models=["simulated:p=1"]))
    assert tree["single x tree"]["score"] == 1.0


def test_nothing_asked_is_a_document_too(tmp_path: Path) -> None:
    """Before the first answer every score is null, and nothing else stands in its place."""
    contest = asyncio.run(contest_of(SUITE, models=[MODEL], selection=Selection(limit=4)))
    nothing = Evaluator(contest.cells, keeping=Keeping(journal=tmp_path / "none.db")).evaluation()
    told = valid(asyncio.run(Compared.of(contest, nothing, command="orchestra eval compare")).as_dict())
    assert {row["score"] for row in told["rows"]} == {None}
    assert {row["statuses"]["missing"] for row in told["rows"]} == {4}
    assert (told["command"], told["regret"]["models"]) == ("orchestra eval compare", [])
    assert told["matched"]["note"] == "no vote was measured"
    assert not (tmp_path / "none.db").exists()


def test_what_was_foretold_stands_beside_what_came() -> None:
    """Calls and tokens always; accuracies by a profile, which is named with what it leaves open."""
    told = document(limit=3, **ALONE)
    assert told["forecast"]["profile"] is None
    assert told["forecast"]["rows"][0]["calls"] == {"predicted": 1.0, "measured": 1.0}
    assert {row["predicted"] for row in told["forecast"]["rows"]} == {None}
    profile = Profile(model=MODEL, date="2026-01-01", evidence="simulated", answers=())
    known = document(limit=3, profile=profile, **ALONE)["forecast"]
    assert (known["profile"]["model"], known["profile"]["date"]) == (MODEL, "2026-01-01")
    assert known["profile"]["assumed"] == ["every accuracy: the profile was made without targets"]
    assert known["reason"] == f"by the profile of {MODEL} of 2026-01-01"


@pytest.mark.parametrize(
    ("measured", "ends", "error"),
    [(0.75, (0.25, 0.5), 0.25), (0.3, (0.25, 0.5), 0.0), (0.0, (0.5, 0.25), -0.25), (None, (0.1, 0.2), None)],
)
def test_an_error_is_the_distance_to_the_nearer_end(measured: Json, ends: tuple[float, float], error: Json) -> None:
    """It is 0 between the ends, and nothing where nothing was measured or foretold."""
    assert error_of(measured, {"pessimistic": ends[0], "optimistic": ends[1]}) == error
    assert error_of(measured, None) is None


def test_a_document_is_saved_whole(whole: Compared, tmp_path: Path) -> None:
    """The file holds what is printed, and nothing is left beside it."""
    path = tmp_path / "new" / "found.json"
    whole.save(path)
    assert json.loads(path.read_text()) == json.loads(json.dumps(whole.as_dict()))
    assert list(path.parent.iterdir()) == [path]
    assert whole["single x solo"].mean.n == 6


def test_figures_that_are_none_are_null() -> None:
    """Whatever holds them: JSON knows neither infinity nor what is not a number."""
    nan, infinite = float("nan"), float("inf")
    assert plain({"a": [nan, (1, infinite)], "b": {"c": -infinite, "d": 0.5}, "e": "x", "f": None, "g": True}) == {
        "a": [None, [1, None]],
        "b": {"c": None, "d": 0.5},
        "e": "x",
        "f": None,
        "g": True,
    }


def test_a_system_may_be_wired_otherwise_than_by_default() -> None:
    """A wiring of one's own competes beside ours, and its name is told as it is."""
    told = document(systems=[wired("hybrid", "vote", k=2)], limit=3, **ALONE)
    assert rows(told)["hybrid x vote(k=2)"]["team"] == "vote"


def test_a_wiring_that_the_cap_starved_is_no_alternative_of_the_pick() -> None:
    """Regret is told on the pick's samples; wirings of which fewer were measured are named and left out."""
    suite = "reachability:lookahead=2,branching=2,form=logic"
    told = document(suite, topologies=["auto", "single"], teams=["centralized"], budget=Budget(tokens=6_000))
    counts = {row["system"]: row["n"] for row in told["rows"]}
    [found] = told["regret"]["models"]
    starved = [system for system, count in counts.items() if count < counts["auto x auto"] and "x" in system]
    assert starved
    assert found["without"] == starved
    assert found["alternatives"] == len([one for one in counts if " x " in one]) - 1 - len(starved)


def test_graded_scores_are_foretold_by_the_share_that_is_right(tmp_path: Path) -> None:
    """What is foretold is that all of an answer is right; the detectable difference goes by the spread of the parts."""
    rows = [{"input": f"Review {n}", "target": ("good", "bad")[n % 2]} for n in range(60)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = document(f"file:{path},answer=good|bad,batch=3", limit=10, topologies=["parallel"], teams=["solo"])
    lone = next(row for row in told["rows"] if row["system"] == "parallel x solo")
    beside = next(row for row in told["forecast"]["rows"] if row["system"] == "parallel x solo")
    assert beside["measured"] < lone["score"] < 1
    assert told["suite"] == 'file:rows.jsonl,"answer={""choice"":[""good"",""bad""]}",batch=3'
    effects = sorted(one["detectable"] for one in told["differences"])
    assert told["mde"]["effect"] == effects[0]
    assert told["survival"] is None
