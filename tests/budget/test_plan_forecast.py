"""What a profile changes of a plan: the route stands unless a forecast promises more for certain, and says so."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import orchestra
from orchestra.budget.calibration import calibrate_votes, valid_rate
from orchestra.budget.profile import AnswerProfile, Profile, SizeProfile
from orchestra.budget.relays import RelayCount, channels
from orchestra.choices import Choices
from orchestra.designing import Design, decide, forecast_of
from orchestra.planning import Plan
from orchestra.session import Session
from orchestra_agents.ledger import Budget
from orchestra_topologies.graph import TaskGraph
from tests.budget.recorded import mixture
from tests.orchestra.conftest import Call

CHOICE = {"choice": ["yes", "no"]}
TRUTH = {"answer": "yes", "wrong": ["no"]}
MODEL = "simulated:p=0.9,seed=1"
ROW = {"topology", "team", "asked", "accuracy", "calls", "input_tokens", "output_tokens", "rounds", "cost_usd"}
FORECAST = {"regime", "binding", "panel_reason", "rows", "recommended", "gain", "reason", "k", "next_vote", "assumed"}


def measured(small: float, large: float | None = None, *, gamma: float | None = None, rho: float = 0.0) -> Profile:
    """Return a profile of a model with such accuracies at one subtask and, maybe, at three at once."""
    rng = np.random.default_rng(5)
    sizes = [_size(100, small, rho, rng)] + ([] if large is None else [_size(300, large, rho, rng)])
    read = round(100 * (1 + (gamma or 1.0)) / 2)
    relays = [
        RelayCount(tokens=32, was_true=bit, asked=100, read_true=read if bit else 100 - read) for bit in (True, False)
    ]
    return Profile(
        model=MODEL,
        date="2026-11-25",
        evidence="simulated",
        answers=(AnswerProfile(kind="choice", options=2, sizes=tuple(sizes)),),
        channels=() if gamma is None else channels(relays),
    )


def _size(size: float, p: float, rho: float, rng: np.random.Generator) -> SizeProfile:
    return SizeProfile(
        size=size,
        items=300,
        panel=8,
        valid=valid_rate(2400, 2400),
        agreement=None,
        votes=calibrate_votes(mixture(rng, p, rho), rng=rng),
        panels=(),
        input_tokens=60.0,
        output_tokens=4.0,
    )


def asks(name: str, *before: str) -> dict[str, Any]:
    """Return a subtask with a known answer."""
    return {
        "id": name,
        "description": f"Case {name}: yes or no?",
        "answer": CHOICE,
        "depends_on": list(before),
        "truth": TRUTH,
    }


CHAIN = TaskGraph([asks("a"), asks("b", "a"), asks("c", "b")])
COUPLED = TaskGraph([asks(name, *"abcde"[: min(place, 2)]) for place, name in enumerate("abcdef")])
"""Six subtasks that are coupled strongly, so that the route is a lead."""
OPEN = Choices()


def test_without_a_profile_the_decision_is_the_route() -> None:
    """Nothing is forecast for the decision, and what is shown has costs but no accuracies, and says why."""
    made = decide(CHAIN, OPEN)
    assert (made.winner, made.topology, made.forecast) == ("route", "sequential", None)
    found = forecast_of(CHAIN, OPEN)
    assert found.recommended is found.route
    assert all(row.accuracy is None and row.calls > 0 for row in found.rows)
    assert found.as_dict()["regime"] == "unsure"
    assert "calibrate" in found.assumed[0]
    assert (found.k, found.next_vote) == (None, None)


def test_a_profile_without_targets_decides_nothing() -> None:
    """Where accuracy was not measured the route stands."""
    blind = measured(0.9)
    size = replace(blind.answers[0].sizes[0], votes=None)
    made = decide(CHAIN, OPEN, profile=replace(blind, answers=(replace(blind.answers[0], sizes=(size,)),)))
    assert made.winner == "route"
    assert made.forecast is not None
    assert made.forecast.route.accuracy is None


def test_the_route_wins_where_nothing_promises_more() -> None:
    """A chain of votes by a good model stays as it is routed, with the forecast beside it and no gain."""
    made = decide(CHAIN, OPEN, profile=measured(0.95))
    assert (made.winner, made.topology, made.team) == ("route", "sequential", "vote(k=3)")
    assert made.forecast is not None
    assert made.forecast.gain == 0
    assert made.forecast.route.accuracy is not None
    assert made.forecast.reason in made.forecast.as_dict()["reason"]


def test_the_forecast_wins_by_its_pessimistic_gain_and_names_both_figures() -> None:
    """A lead whose notes and reports are read with losses gives way to dataflow; the reason has both low ends."""
    made = decide(COUPLED, OPEN, profile=measured(0.95, gamma=0.8))
    assert (made.route.topology, made.winner) == ("hierarchical", "forecast")
    assert made.topology != "hierarchical"
    found = made.forecast
    assert found is not None
    assert found.gain > 0
    assert f"{found.recommended.low:.3f}" in made.reason
    assert f"{found.route.low:.3f}" in made.reason
    assert "hierarchical" in made.reason
    assert (made.topology, made.team) == (found.recommended.topology, found.recommended.team)


def test_one_agent_or_a_team_by_what_was_measured() -> None:
    """A model that does as well on three subtasks at once as on one is left alone; else they stay apart."""
    wide = TaskGraph([asks("a"), asks("b", "a"), asks("c", "a", "b")])
    together = Choices(team="solo")
    assert decide(wide, together, profile=measured(0.8, 0.78)).topology == "single"
    assert decide(wide, together, profile=measured(0.9, 0.3)).topology != "single"


@pytest.mark.parametrize("own", [{"tools": ["send"]}, {"verify": "python"}, {"model": "simulated:p=0.9,seed=2"}])
def test_one_agent_is_no_way_where_subtasks_have_their_own_means(own: dict[str, Any]) -> None:
    """It would merge their grants and drop their checks, whatever it promises."""
    wide = TaskGraph([asks("a") | own, asks("b", "a"), asks("c", "a", "b")])
    made = decide(wide, Choices(team="solo"), profile=measured(0.8, 0.9))
    assert made.forecast is not None
    assert "single" not in {row.topology for row in made.forecast.rows}
    assert decide(wide, Choices(topology="single", team="solo")).topology == "single"


@pytest.mark.parametrize(("everybody", "last"), [({"tools": ["send"]}, {}), ({}, {"verify": "python"})])
def test_one_agent_is_a_way_where_it_loses_nothing(everybody: dict[str, Any], last: dict[str, Any]) -> None:
    """Tools that all subtasks have are one grant, and the check of the only final one is the whole answer's."""
    wide = TaskGraph([asks("a") | everybody, asks("b", "a") | everybody, asks("c", "a", "b") | everybody | last])
    found = forecast_of(wide, Choices(team="solo"), profile=measured(0.8, 0.9))
    assert "single" in {row.topology for row in found.rows}


def test_a_gain_that_is_not_certain_is_none() -> None:
    """The low end decides: where rounding is all that sets two ways apart, the route stands."""
    made = decide(CHAIN, Choices(team="vote"), profile=measured(0.9))
    assert made.winner == "route"  # hybrid promises the same


@pytest.mark.parametrize(
    ("choices", "topology", "team"),
    [
        (Choices(topology="hierarchical"), "hierarchical", "vote(k=3)"),
        (Choices(topology="hierarchical", team="solo"), "hierarchical", "solo"),
        (Choices(team="independent"), None, "independent(agents=3)"),
    ],
)
def test_what_the_user_says_wins(choices: Choices, topology: str | None, team: str) -> None:
    """A topology is never overruled; with a team alone, only the topology is the forecast's to find."""
    made = decide(COUPLED, choices, profile=measured(0.95, gamma=0.8))
    assert made.team == team
    if topology is not None:
        assert (made.topology, made.winner) == (topology, "user")


def test_a_budget_too_small_for_the_route() -> None:
    """What keeps the budget is followed, with the calls that the route would take; without any the route stands."""
    made = decide(CHAIN, OPEN, profile=measured(0.9), budget=Budget(calls=4))
    assert made.winner == "forecast"
    assert made.forecast is not None
    assert made.forecast.recommended.calls <= 4 < made.forecast.route.calls
    assert "more than the budget" in made.reason
    stuck = decide(CHAIN, OPEN, profile=measured(0.9), budget=Budget(tokens=5))
    assert stuck.winner == "route"


def test_re_routes_are_not_the_forecasts_to_decide() -> None:
    """After answers that contradicted each other the route decides, profile or not."""
    assert decide(COUPLED, OPEN, profile=measured(0.95, gamma=0.8), reroutes=1).winner == "route"


def votes_of(made: Design) -> set[int | None]:
    """Return the margins of a design's teams."""
    return {team.k for team in made.teams.values()}


def test_k_auto_is_what_a_profile_says_is_worth_its_price() -> None:
    """A weak model votes longer than a strong one, a number is kept, and without a profile it is the default."""
    chain = Choices(topology="sequential", team="vote", k="auto")
    assert votes_of(decide(CHAIN, chain)) == {3}
    weak, strong = (votes_of(decide(CHAIN, chain, profile=measured(p))) for p in (0.75, 0.995))
    assert max(map(int, cast("set[int]", strong))) < 3 < min(map(int, cast("set[int]", weak)))
    assert votes_of(decide(CHAIN, replace(chain, k=2), profile=measured(0.75))) == {2}
    capped = decide(CHAIN, chain, profile=measured(0.75), budget=Budget(calls=12))
    assert capped.forecast is not None
    assert capped.forecast.route.within_budget
    with pytest.raises(orchestra.InputError):
        Choices(k=cast(Any, "many"))


def test_plan_prints_the_forecast(call: Call, tmp_path: Path) -> None:
    """`plan --profile --json` has interfaces' keys; the route stands beside what is followed."""
    task, profile, out = _files(tmp_path)
    done = call("plan", task, "--profile", profile, "--out", out, "--json")
    assert done.code == 0
    document = done.document
    assert set(document) == {"shape", "route", "decision", "graph", "forecast"}
    assert set(document["route"]) >= {"topology", "team", "reason"}
    assert set(document["decision"]) == {"topology", "team", "reason", "winner"}
    assert document["decision"]["winner"] == "forecast"
    assert document["route"]["topology"] == "hierarchical"
    assert set(document["forecast"]) >= FORECAST
    assert all(set(row) >= ROW for row in document["forecast"]["rows"])
    recommended = {key: document["decision"][key] for key in ("topology", "team")}
    assert document["forecast"]["recommended"] == recommended
    plain = call("plan", task, "--json").document
    assert plain["decision"]["winner"] == "route"
    assert plain["forecast"]["rows"][0]["accuracy"] is None
    again = Plan.from_dict(json.loads(out.read_text()))
    assert again.profile == Profile.load(profile)
    assert again.design.decision_dict() == document["decision"]
    assert call("run", out, "--model", MODEL, "--json", "--journal", tmp_path / "p.db").code == 0


def test_run_follows_the_forecast_and_resume_its_manifest(call: Call, tmp_path: Path) -> None:
    """`run --profile` does what `plan` decided; stopped by its budget, it goes on by the profile of its manifest."""
    task, profile, _ = _files(tmp_path)
    journal = tmp_path / "j.db"
    line = ["--model", MODEL, "--journal", journal, "--json"]
    stopped = call("run", task, "--profile", profile, "--run-id", "r", *line, "--k", "auto")
    assert stopped.code == 0
    assert "needs a profile" not in stopped.err
    said = stopped.document
    assert said["topology"] == call("plan", task, "--profile", profile, "--json").document["decision"]["topology"]
    profile.unlink()
    again = call("resume", "r", "--journal", journal, "--json")
    assert again.code == 0
    assert again.document["answer"] == said["answer"]
    assert again.document["usage"]["calls"] == said["usage"]["calls"]


def test_a_run_cut_short_goes_on_as_it_was_decided(tmp_path: Path) -> None:
    """With more calls another margin would be worth its price; a run that is resumed keeps the one it began with."""
    chosen = Choices(topology="sequential", team="vote", k="auto")
    plan = orchestra.plan(CHAIN, model="simulated:p=0.52,seed=2", profile=measured(0.75), choices=chosen)
    small, large = Budget(calls=12), Budget(calls=400)
    assert votes_of(replace(plan, budget=small).design) != votes_of(replace(plan, budget=large).design)

    async def both() -> list[Any]:
        async with Session(journal=tmp_path / "j.db") as session:
            first = await orchestra.run(replace(plan, budget=small), session=session, run_id="r")
            return [first, await orchestra.resume("r", session=session, budget=large)]

    first, second = asyncio.run(both())
    assert first.status == "budget"
    assert second.status == "ok"
    margins = {one["k"] for one in second.subtasks.values()}
    assert margins == votes_of(replace(plan, budget=small).design)


def _files(folder: Path) -> tuple[Path, Path, Path]:
    task, profile = folder / "task.json", folder / "profile.json"
    task.write_text(json.dumps(COUPLED.to_dict()))
    measured(0.95, gamma=0.8).save(profile)
    return task, profile, folder / "plan.json"
