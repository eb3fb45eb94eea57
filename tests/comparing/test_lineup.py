"""Who competes: names, what is left out and why, and the cap that all of them share."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.budget.profile import Profile
from orchestra.choices import Choices
from orchestra_agents.errors import InputError
from orchestra_agents.ledger import Budget
from orchestra_evals.comparing.capping import rounded_up
from orchestra_evals.comparing.contest import Contest, contest_of
from orchestra_evals.runner.selection import Selection
from orchestra_evals.suites.suite import Sample
from orchestra_evals.systems.own import Own
from orchestra_evals.systems.self_consistency import SelfConsistency
from orchestra_evals.systems.wiring import Wiring
from tests.evals_runner.samples import wired

MODEL = "simulated:p=0.9"
TEAMS = ("solo", "vote", "independent", "centralized", "decentralized", "peers", "tree")
WIRED = ("sequential", "parallel", "hierarchical", "hybrid")
SPLIT_UP = [f"{topology} x {team}" for topology in WIRED for team in ("solo", "vote")]
SINGLE = [f"single x {team}" for team in TEAMS]


def contest(suite: str = "addition:digits=10", *, limit: int = 3, **more: Any) -> Contest:
    """Return who competes on a few samples."""
    more.setdefault("models", [MODEL])
    return asyncio.run(contest_of(suite, selection=Selection(limit=limit), **more))


def names(found: Contest) -> list[str]:
    """Return the systems in their order, each once."""
    return list(dict.fromkeys(cell.called for cell in found.cells))


def skipped(found: Contest) -> dict[str, str]:
    """Return who is left out, and why."""
    return {one.system: one.reason for one in found.skipped}


async def oracle(sample: Sample) -> Any:
    return sample.target


@pytest.fixture
def texts(tmp_path: Path) -> str:
    """A suite of free text."""
    lines = [json.dumps({"input": f"Capital of {place}?", "target": place}) for place in ("France", "Spain", "Peru")]
    (tmp_path / "capitals.jsonl").write_text("\n".join(lines) + "\n")
    return f"file:{tmp_path / 'capitals.jsonl'},shares=0/100/0"


@pytest.fixture
def profile() -> Profile:
    """A profile in which nothing of interest stands."""
    return Profile(model="simulated:p=0.7", date="2026-01-01", evidence="simulated", answers=())


def test_by_default_all_teams_alone_and_two_in_every_topology() -> None:
    """One agent first, then teams for the whole question, two teams where it is split up, the pick, and the votes."""
    found = contest()
    assert names(found) == [*SINGLE, *SPLIT_UP, "auto x auto", "selfconsistency"]
    assert (found.pick, found.comparisons, found.models, skipped(found)) == ("auto x auto", 16, (MODEL,), {})


def test_what_is_asked_for_competes_and_the_baseline_always() -> None:
    """Every topology asked for with every team given; the pick only where it is asked for, or all are."""
    found = contest(topologies=["hybrid", "parallel"], teams=["vote", "decentralized:agents=4"])
    pairs = [
        f"{topology} x {team}" for topology in ("hybrid", "parallel") for team in ("vote", "decentralized:agents=4")
    ]
    assert names(found) == ["single x solo", *pairs, "selfconsistency"]
    assert found.pick is None
    assert names(contest(topologies="auto")) == ["single x solo", "auto x auto", "selfconsistency"]
    assert names(contest(topologies=["single"], teams="all")) == [*SINGLE, "selfconsistency"]
    every = names(contest(teams="all"))
    assert every == [f"{one} x {team}" for one in ("single", *WIRED) for team in TEAMS] + every[-2:]


def test_several_models_each_with_every_system() -> None:
    """The cells are systems by models, no two of one name."""
    found = contest(models=[MODEL, "simulated:p=0.6"], topologies=["single"], teams=["solo", "vote"])
    assert [(cell.called, cell.model_name) for cell in found.cells[:2]] == [
        ("single x solo", MODEL),
        ("single x solo", "simulated:p=0.6"),
    ]
    assert (len(found.cells), len({cell.id for cell in found.cells}), found.comparisons) == (6, 6, 2)
    with pytest.raises(InputError, match="twice"):
        contest(models=[MODEL, MODEL])


def test_samples_that_nobody_splits_up_are_answered_as_a_whole() -> None:
    """Topologies that split samples up are left out with the reason, also where they were asked for by name."""
    assert skipped(contest("reachability")) == dict.fromkeys(WIRED, "the suite splits no sample up")
    named = contest("reachability", topologies=["hybrid"], teams=["solo"])
    assert names(named) == ["single x solo", "selfconsistency"]
    assert skipped(named) == {"hybrid": "the suite splits no sample up"}
    assert set(skipped(contest(decompose="none"))) == set(WIRED)


def test_environments_are_acted_in_by_one_team() -> None:
    """Only teams compete there, nobody votes on answers, and nobody foresees what mistakes will take."""
    found = contest("lookup")
    assert names(found) == [*SINGLE, "auto x auto"]
    assert set(skipped(found)) == {*WIRED, "selfconsistency"}
    assert (found.cap_source, found.cells[0].budget) == ("none", Budget())
    with pytest.raises(InputError, match="acted in"):
        contest("lookup", systems={"mine": SelfConsistency(samples=3)})


def test_a_model_that_splits_samples_up_leaves_nothing_to_estimate() -> None:
    """Without a cap self-consistency is left out, once for all models; with one it competes."""
    found = contest(decompose="model", models=[MODEL, "simulated:p=0.6"])
    assert found.cap_source == "none"
    [one] = found.skipped
    assert (one.system, one.reason.partition(" ")[2]) == (
        "selfconsistency",
        "spends to the cap; give one in calls, tokens or usd",
    )
    with pytest.raises(InputError, match="spends to the cap"):
        contest(decompose="model", systems={"mine": SelfConsistency()})
    assert names(contest(decompose="model", budget=Budget(calls=100)))[-1] == "selfconsistency"


def test_free_text_is_not_voted_on(texts: str) -> None:
    """A vote would be one agent there: it is left out, and refused where the user named it."""
    found = contest(texts)
    assert skipped(found)["single x vote"] == "a vote needs answers that can be counted, not text"
    assert names(found) == [*(one for one in SINGLE if one != "single x vote"), "auto x auto", "selfconsistency"]
    assert names(contest(texts, teams=["all"])) == names(found)
    with pytest.raises(InputError, match="not text"):
        contest(texts, teams=["vote"])


def test_systems_of_ones_own_compete_too() -> None:
    """By name or as systems; one like ours takes its place, any other of its name is refused."""
    assert isinstance(contest(systems={"mine": oracle}).cells[-1].system, Own)
    five = SelfConsistency(samples=5)
    found = contest(systems={"selfconsistency": five, "five": five}, topologies=["single"], teams=["solo"])
    assert names(found) == ["single x solo", "selfconsistency", "five"]
    assert found.cells[1].system is five
    assert names(contest(systems=[wired(team="vote", k=7)]))[-1] == "single x vote(k=7)"
    for wrong in ({"single x solo": oracle}, [five, five]):
        with pytest.raises(InputError, match="systems"):
            contest(systems=wrong)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"topologies": ["star"]}, "topologies"),
        ({"teams": ["crowd"]}, "teams"),
        ({"teams": ["vote:agents=2"]}, "teams"),
        ({"decompose": "me"}, "decompose"),
    ],
)
def test_names_that_are_none_are_refused(said: Any, field: str) -> None:
    """The sentence names the argument."""
    with pytest.raises(InputError, match=field):
        contest(**said)


def test_choices_are_for_all_and_a_margin_for_those_who_vote() -> None:
    """Sampling is the same for all wirings; self-consistency keeps the temperature of its paper."""
    found = contest(choices=Choices(k=5, temperature=0.1, max_tokens=99, topology="hybrid", team="vote"))
    wirings = {cell.called: cell.system.choices for cell in found.cells if isinstance(cell.system, Wiring)}
    assert {"single x solo", "single x vote(k=5)", "hybrid x vote(k=5)", "auto x auto(k=5)", "hybrid x solo"} <= {
        *wirings
    }
    assert {(one.temperature, one.max_tokens) for one in wirings.values()} == {(0.1, 99)}
    assert found.pick == "auto x auto(k=5)"
    voting = found.cells[-1].system
    assert isinstance(voting, SelfConsistency)
    assert (voting.choices.temperature, voting.choices.max_tokens) == (0.7, 99)


def test_the_cap_is_half_as_much_again_as_the_dearest_takes() -> None:
    """In tokens, rounded up to two digits, the same for every cell; what is given stands."""
    found = contest(limit=20)

    async def tokens(cell: Any) -> float:
        return sum([(await cell.system.spending(one, cell.suite, cell.share)).tokens for one in cell.samples])

    wirings = [cell for cell in found.cells if isinstance(cell.system, Wiring)]
    dearest = max(asyncio.run(tokens(cell)) for cell in wirings)
    assert {cell.budget for cell in found.cells} == {Budget(tokens=rounded_up(1.5 * dearest))}
    assert found.cap_source == "estimated"
    given = contest(budget=Budget(calls=70, seconds=9.0))
    assert ({cell.budget for cell in given.cells}, given.cap_source) == ({Budget(calls=70, seconds=9.0)}, "given")
    timed = contest(budget=Budget(seconds=9.0))
    assert (timed.cells[0].budget.seconds, timed.cap_source) == (9.0, "estimated")
    assert timed.cells[0].budget.tokens == contest().cells[0].budget.tokens


@given(st.floats(0, 1e12))
def test_a_cap_is_rounded_up_to_two_digits(figure: float) -> None:
    """It is no smaller, less than a tenth larger, and a whole number of two digits and noughts."""
    found = rounded_up(figure)
    assert figure <= found <= max(1.0, figure) * 1.1 + 1
    assert found % 10 ** max(0, len(str(found)) - 2) == 0


def test_a_profile_changes_who_is_asked_only_where_it_has_a_say(profile: Profile) -> None:
    """The systems of a fixed topology and margin stay the same cells, so that nothing is asked anew."""
    before = {cell.called: cell.id for cell in contest().cells}
    after = contest(profile=profile).cells
    assert {cell.called for cell in after if cell.id != before[cell.called]} == {"auto x auto"}
    assert all(cell.system.profile == profile for cell in after if isinstance(cell.system, Wiring))
    worth = Choices(k="auto")
    before = {cell.called: cell.id for cell in contest(choices=worth).cells}
    changed = {cell.called for cell in contest(choices=worth, profile=profile).cells if cell.id != before[cell.called]}
    assert {"single x vote(k=auto)", "hybrid x vote(k=auto)"} <= changed
    assert "single x solo" not in changed


def test_of_several_models_each_has_its_own_profile(profile: Profile) -> None:
    """One profile is that of the model it names; several are given by the names of the models."""
    models = [MODEL, "simulated:p=0.7"]

    def known(said: Any) -> dict[str, Any]:
        cells = contest(models=models, profile=said, topologies=["single"], teams=["solo"]).cells
        return {cell.model_name: cell.system.profile for cell in cells if isinstance(cell.system, Wiring)}

    assert known(profile) == {MODEL: None, "simulated:p=0.7": profile}
    assert known({MODEL: profile}) == {MODEL: profile, "simulated:p=0.7": None}
    for wrong in (Profile(model="openai:x", date="2026-01-01", evidence="real", answers=()), {"other": profile}):
        with pytest.raises(InputError, match="profile"):
            known(wrong)
