"""Environments: states, keys, restores, tools, goals and the specs that make them."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json
from orchestra_evals.environments.catalog import ENVIRONMENTS, make_environment
from orchestra_evals.environments.craft import Craft
from orchestra_evals.environments.environment import Environment, act
from orchestra_evals.environments.lookup import Lookup
from orchestra_evals.environments.lookup_tables import COLUMNS
from tests.evals.team import DESTRUCTIVE, Team, arrive, made, names, run, seeds, sizes, tool_counts

READ_ONLY = {"list_queries", "read", "inventory", "recipe"}
arguments = st.fixed_dictionaries(
    {},
    optional={
        "item": st.sampled_from(["oak", "iron", "slag", "no such thing", ""]),
        "query": st.integers(-2, 8),
        "value": st.text(max_size=5),
        "table": st.sampled_from([*COLUMNS, "none"]),
        "column": st.sampled_from(["population", "mayor", "price", "none"]),
        "row": st.text(max_size=3),
        "word": st.text(max_size=5),
        "iso_date": st.sampled_from(["2026-01-31", "yesterday"]),
        "unit": st.sampled_from(["m", "ell"]),
        "wanted_unit": st.just("km"),
        "length": st.floats(allow_nan=False, allow_infinity=False),
        "first": st.floats(allow_nan=False, allow_infinity=False),
        "second": st.integers(0, 3),
        "term": st.sampled_from(["row", "void"]),
        "first_row": st.just("Arvale"),
        "second_row": st.text(max_size=3),
    },
)


@given(names, sizes, tool_counts, seeds)
@settings(max_examples=25)
def test_the_seed_fixes_everything(name: str, size: int, tools: int, seed: int) -> None:
    """Equal parameters give equal goals, tools and courses; another seed gives another task."""
    one, same, other = (made(name, size, tools, each) for each in (seed, seed, seed + 1))
    assert (one.goal, one.toolbox().spec()) == (same.goal, same.toolbox().spec())
    courses = []
    for environment in (one, same, other):
        team = Team(environment)
        run(team.work(40))
        courses.append(team.turns)
    assert courses[0] == courses[1] != courses[2]


async def any_calls(environment: Environment, random: Random, data: st.DataObject, most: int) -> list[tuple[str, Json]]:
    """Make calls of every kind, wrong ones included; return them."""
    team = Team(environment)
    for _ in range(most):
        truth = team.truth()
        offered = [one for one in [truth.answer, *truth.distractors()] if "tool" in one]
        tool = team.toolbox.tools[random.choice(list(team.toolbox.tools))]
        wanted = (
            {}
            if random.random() < 0.1
            else {key: value for key, value in data.draw(arguments).items() if key in tool.schema["properties"]}
        )
        action = random.choice(offered) if offered and random.random() < 0.7 else act(tool.name, **wanted)
        observation = await team.carry_out(action)
        assert observation is not None
        assert observation.status in ("ok", "refused") or observation.text.startswith("ValueError: ")
        assert 0.0 <= environment.score() <= 1.0
        if random.random() < 0.1:
            team.turns[0].clear()
    return team.calls


@given(names, st.integers(1, 6), tool_counts, seeds, st.data())
@settings(max_examples=60)
def test_any_calls_are_survived_and_restored(name: str, size: int, tools: int, seed: int, data: st.DataObject) -> None:
    """No call raises or brings the score out of [0, 1]; repeating the calls, failed ones too, rebuilds the state."""
    environment, fresh = made(name, size, tools, seed), made(name, size, tools, seed)
    calls = run(any_calls(environment, Random(seed), data, 25))
    run(fresh.restore([*calls, ("not granted", {}), ("craft", 3), ("answer", None)]))
    assert fresh.state() == environment.state()
    assert (fresh.score(), Team(fresh).is_done()) == (environment.score(), Team(environment).is_done())
    run(environment.restore(calls))
    assert fresh.state() == environment.state()


@given(names, seeds, st.integers(0, 14))
@settings(max_examples=25)
def test_a_killed_agent_goes_on_where_it_was(name: str, seed: int, turns: int) -> None:
    """After a restore in the middle the rest of the course is the same, and the goal is reached."""
    whole = Team(made(name, 7, 3, seed))
    run(whole.work(20))
    environment = made(name, 7, 3, seed)
    run(environment.restore(whole.calls[:turns]))
    rest = Team(environment)
    rest.turns[0].extend(whole.turns[0][:turns])
    run(rest.work(20))
    assert rest.turns == whole.turns
    assert environment.score() == 1.0


@given(names, tool_counts, seeds, st.data())
@settings(max_examples=40)
def test_a_repeated_key_changes_nothing(name: str, tools: int, seed: int, data: st.DataObject) -> None:
    """A call repeated under its key, at once or after others, leaves the state as it is and says what it said."""
    environment = made(name, 4, tools, seed)
    team = Team(environment)
    run(any_calls(environment, Random(seed), data, 8))
    wrong = [one for one in team.truth().distractors() if "tool" in one]
    action = data.draw(st.sampled_from([team.truth().answer, *wrong]))
    if "done" in action:
        return
    effect = team.toolbox.tools[action["tool"]]
    first = run(effect.call(action["arguments"], "the key"))
    assert run(effect.call(action["arguments"], "the key")) == first
    run(any_calls(environment, Random(seed + 1), data, 4))
    state = environment.state()
    again = run(effect.call(action["arguments"], "the key"))
    assert environment.state() == state
    if effect.effects == "idempotent":
        assert again == first


async def test_a_craft_is_carried_out_once_a_key() -> None:
    """A repeated craft, smelt or failure says what it said the first time, also where now it would come to more."""
    environment = Craft(3, 5)
    team = await arrive(environment, "craft")
    first, second = team.calls[2][1], team.calls[1][1]
    tools = team.toolbox.tools
    too_early = await tools["craft"].call(second, "early")
    assert too_early.status == "error"
    once = await tools["craft"].call(first, "first")
    state = environment.state()
    assert state["made"] == 1
    assert await tools["craft"].call(first, "first") == once
    assert await tools["craft"].call(second, "early") == too_early
    assert environment.state() == state
    assert (await tools["craft"].call(first, "another")).status == "error"
    assert (await tools["craft"].call(second, "later")).status == "ok"
    melted = await tools["smelt"].call(second, "melt")
    assert melted.status == "ok"
    assert await tools["smelt"].call(second, "melt") == melted
    assert environment.state()["inventory"]["slag"] == 1


async def test_a_repeated_answer_does_not_replace_a_later_one() -> None:
    """The first answer, repeated under its key after a second one, changes nothing."""
    environment = Lookup(2)
    answer = environment.toolbox().tools["answer"]
    for value, key in (("early", "1"), ("late", "2"), ("early", "1")):
        assert (await answer.call({"query": 0, "value": value}, key)).status == "ok"
    assert environment.state() == {"0": "late"}


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
async def test_restore_begins_anew(name: str) -> None:
    """Whatever was done before, keys included, is forgotten."""
    environment = made(name, 3)
    before = environment.state()
    await Team(environment).work(9)
    done, team = environment.state(), Team(environment)
    assert done != before
    await environment.restore([])
    assert environment.state() == before
    truth = (await arrive(environment, "answer" if name == "lookup" else "craft")).truth()
    for _ in range(2):
        await environment.restore([])
        await team.toolbox.tools[truth.answer["tool"]].call(truth.answer["arguments"], "the same key")
        assert environment.state() != before


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS))
@pytest.mark.parametrize("tools", [3, 5, 16])
def test_there_are_as_many_tools_as_asked_for(name: str, tools: int) -> None:
    """Three that are needed and 0, 2 or 13 that are not; whatever changes something is idempotent by its key."""
    toolbox = make_environment(f"{name}:tools={tools}").toolbox()
    assert len(toolbox) == tools
    changing = {one.name for one in toolbox.tools.values() if one.effects == "idempotent"}
    assert changing <= {"answer", "craft"} | DESTRUCTIVE
    assert all(one.effects in ("none", "idempotent") and one.description for one in toolbox.tools.values())
    assert READ_ONLY.isdisjoint(changing)
    if name == "craft" and tools > 3:
        assert DESTRUCTIVE & changing


async def test_harmless_distractors_work_and_change_nothing() -> None:
    """Every distractor without effects can be called with arguments that fit and leaves the state as it was."""
    lookup, craft = Lookup(tools=16), Craft(tools=16)
    material = next(iter(craft.state()["inventory"]))
    row = (await lookup.toolbox().tools["sort_rows"].call({"table": "cities", "column": "founded"}, "")).text
    row = row.strip('[]"').split('","')[0]
    known: dict[str, Json] = dict.fromkeys(("row", "first_row", "second_row"), row) | {
        "table": "cities",
        "column": "founded",
    }
    known |= {
        "word": "oak",
        "iso_date": "2026-01-31",
        "unit": "km",
        "wanted_unit": "m",
        "term": "row",
        "item": material,
    }
    known |= {"length": 1, "first": 1, "second": 2.5}
    for environment in (lookup, craft):
        before = environment.state()
        for one in environment.toolbox().tools.values():
            if one.effects == "none":
                observation = await one.call({key: known[key] for key in one.schema["properties"]}, "")
                assert (one.name, observation.status) == (one.name, "ok")
        assert environment.state() == before


async def test_a_craft_without_its_ingredients_changes_nothing() -> None:
    """A missing ingredient, a raw material and an unknown item are errors that say what is wrong."""
    environment = Craft(3)
    craft = environment.toolbox().tools["craft"]
    before, target = environment.state(), environment.goal.partition("Make one ")[2].partition(".")[0]
    material = next(iter(before["inventory"]))
    said = {item: await craft.call({"item": item}, item) for item in (target, material, "gold")}
    assert {one.status for one in said.values()} == {"error"}
    assert "missing: " in said[target].text
    assert "raw material" in said[material].text
    assert "nothing is called 'gold'" in said["gold"].text
    assert environment.state() == before


async def test_progress_counts_the_steps_that_were_done() -> None:
    """Progress grows by one step a craft, stays when the target is lost, and the score is all or nothing."""
    environment = Craft(2, 5)
    team = await arrive(environment, "craft")
    assert (environment.progress, environment.score()) == (0.0, 0.0)
    await team.carry_out(team.truth().answer)
    assert (environment.progress, environment.score()) == (0.5, 0.0)
    await team.carry_out(team.truth().answer)
    assert (environment.progress, environment.score()) == (1.0, 1.0)
    await team.carry_out(act("discard", item=team.calls[-1][1]["item"]))
    assert (environment.progress, environment.score()) == (1.0, 0.0)


async def test_the_last_answer_counts_and_form_does_not() -> None:
    """A later answer replaces an earlier one; case and blanks around do not matter; there is no query 1 of 1."""
    environment = Lookup(1, seed=1)
    team = await arrive(environment, "answer")
    value = team.truth().answer["arguments"]["value"]
    assert value != value.upper()
    for said, score in (("nonsense", 0.0), (f" {value.upper()}\n", 1.0), ("", 0.0), (value, 1.0)):
        await team.carry_out(act("answer", query=0, value=said))
        assert environment.score() == score
    refused = await team.carry_out(act("answer", query=1, value=value))
    assert refused is not None
    assert refused.text == "ValueError: there is no query 1; they are numbered 0 to 0"


def test_goals_say_all_that_the_task_needs() -> None:
    """The goal names the three tools, every table and column, or the target and every item with a recipe."""
    lookup, craft = Lookup(9), Craft(5)
    for environment in (lookup, craft):
        assert all(name in environment.goal for name in environment.toolbox().tools)
        assert "The task is done when" in environment.goal
    assert all(one in lookup.goal for table, columns in COLUMNS.items() for one in (table, *columns))
    assert "9 queries, numbered 0 to 8" in lookup.goal
    team = Team(craft)
    run(team.work(20))
    assert all(given["item"] in craft.goal for name, given in team.calls if name == "craft")
    assert len(craft.goal.rpartition(": ")[2].split(", ")) == 10


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("maze", "must be one of craft, lookup"),
        ("", "must be one of craft, lookup"),
        ("lookup:steps=3", "lookup: 'steps=3' is no parameter; allowed, once each: queries, tools, seed"),
        ("craft:seed=1,seed=2", "craft: 'seed=2' is no parameter; allowed, once each: steps, tools, seed"),
        ("lookup:queries=0", "lookup: queries must be an integer from 1 to 60, got 0"),
        ("lookup:queries=61", "lookup: queries must be an integer from 1 to 60, got 61"),
        ("craft:steps=21", "craft: steps must be an integer from 1 to 20, got 21"),
        ("craft:tools=4", "craft: tools must be 3, 5 or 16, got 4"),
        ("lookup:tools=0", "lookup: tools must be 3, 5 or 16, got 0"),
        ("lookup:seed=-1", "lookup: seed must be an integer of at least 0, got '-1'"),
        ("lookup:queries=many", "lookup: queries must be an integer of at least 0, got 'many'"),
        ("lookup:queries", "lookup: queries must be an integer of at least 0, got ''"),
    ],
)
def test_a_bad_spec_is_refused(spec: str, problem: str) -> None:
    """One sentence says which field is wrong and what it may be."""
    with pytest.raises(InputError) as refused:
        make_environment(spec)
    assert str(refused.value).startswith(f"environment: {problem}")
    assert refused.value.field == "environment"


@pytest.mark.parametrize("wrong", [True, "3", 2.0, None])
def test_a_parameter_of_another_type_is_refused(wrong: Any) -> None:
    """A bool, a text, a fraction or nothing is no integer."""
    for given_wrong in ({"seed": wrong}, {"tools": wrong}):
        with pytest.raises(InputError):
            Lookup(**given_wrong)
        with pytest.raises(InputError):
            Craft(**given_wrong)


def test_a_spec_gives_a_fresh_environment() -> None:
    """Defaults are 12 queries and 6 steps with 3 tools; the bounds themselves are allowed and can be solved."""
    assert make_environment("lookup").goal == Lookup(12, 3, 0).goal
    assert make_environment("craft:").goal == Craft(6, 3, 0).goal
    largest: Iterable[str] = ("lookup:queries=60,tools=16,seed=9", "craft:steps=20,tools=16", "lookup:queries=1")
    for environment in map(make_environment, largest):
        run(Team(environment).work(130))
        assert environment.score() == 1.0
