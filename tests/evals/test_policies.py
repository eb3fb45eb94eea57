"""Reference policies: right actions solve every environment, and each wrong one matters as documented."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_evals.environments.catalog import ENVIRONMENTS
from orchestra_evals.environments.craft import Craft
from orchestra_evals.environments.environment import act, finish
from orchestra_evals.environments.lookup import Lookup
from tests.evals.team import DESTRUCTIVE, Team, arrive, erring, made, names, run, seeds, sizes, tool_counts


@given(names, sizes, tool_counts, seeds, st.integers(1, 4), st.booleans())
@settings(max_examples=60)
def test_the_reference_policy_solves_every_environment(
    name: str, size: int, tools: int, seed: int, members: int, is_divided: bool
) -> None:
    """Right actions alone reach score 1 and the goal, alone or in a team, in at most 2 turns an item and 3 more."""
    environment = made(name, size, tools, seed)
    team = Team(environment, members, is_divided=is_divided)
    run(team.work(2 * size + 3))
    assert environment.score() == 1.0
    assert team.is_done()


@given(names, seeds, tool_counts)
@settings(max_examples=20)
def test_a_lone_agent_takes_two_turns_an_item(name: str, seed: int, tools: int) -> None:
    """A read and an answer for each query after the list of them; a recipe and a craft for each step."""
    team = Team(made(name, 7, tools, seed))
    run(team.work(20))
    assert len(team.turns[0]) == (15 if name == "lookup" else 14)
    assert {call for call, _ in team.calls} <= {"list_queries", "read", "answer", "recipe", "craft"}


def test_divided_lookup_takes_each_query_once() -> None:
    """Three members answer the queries of their own remainder, and each query is read once."""
    team = Team(Lookup(12), 3, is_divided=True)
    run(team.work(20))
    answered = [
        [turn.action["arguments"]["query"] for turn in own if turn.action["tool"] == "answer"] for own in team.turns
    ]
    assert answered == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    assert max(map(len, team.turns)) == 9
    assert team.ends[1] == "Answered: 1, 4, 7, 10."


def test_undivided_lookup_begins_at_different_places() -> None:
    """Without a division, member m first answers query m * queries // members."""
    team = Team(Lookup(12), 3)
    run(team.work(30))
    first = [
        next(turn.action["arguments"]["query"] for turn in own if turn.action["tool"] == "answer") for own in team.turns
    ]
    assert first == [0, 4, 8]


def test_divided_craft_waits_for_the_step_before() -> None:
    """A member crafts the steps of its own segment only, and looks at the inventory until it can."""
    environment = Craft(6)
    team = Team(environment, 3, is_divided=True)
    run(team.work(20))
    crafted = [
        [turn.action["arguments"]["item"] for turn in own if turn.action["tool"] == "craft"] for own in team.turns
    ]
    assert [len(items) for items in crafted] == [2, 2, 2]
    assert f"Make one {crafted[2][1]}." in environment.goal
    waited = [sum(turn.action["tool"] == "inventory" for turn in own) for own in team.turns]
    assert waited[0] < waited[1] < waited[2]


def test_a_member_without_a_share_ends_at_once() -> None:
    """Where there are more members than steps or queries, one without any has nothing to do."""
    lookup, craft = Team(Lookup(2), 4, is_divided=True), Team(Craft(2), 4, is_divided=True)
    assert lookup.truth(3).answer == finish("Answered: none, because no query is mine.")
    assert craft.truth(0).answer == finish("No step is mine.")


@pytest.mark.parametrize("tool", sorted(DESTRUCTIVE))
async def test_destructive_distractors_put_the_target_out_of_reach(tool: str) -> None:
    """After smelt, discard or trade of any material the policy looks, says so and ends; the score is 0."""
    for material in Craft(4, 16).state()["inventory"]:
        environment = Craft(4, 16)
        team = Team(environment)
        await team.carry_out(act(tool, item=material))
        assert material not in environment.state()["inventory"]
        await team.work(3)
        assert environment.score() == 0.0
        assert team.ends == {0: "The target cannot be made any more."}
        assert [name for name, _ in team.calls] == [tool, "inventory"]


async def test_an_agent_looks_before_it_gives_up() -> None:
    """A look from before the loss does not count; the loss of the target itself ends the work too."""
    environment = Craft(2, 5)
    team = Team(environment)
    await team.carry_out(act("inventory"))
    await team.carry_out(team.truth().distractors()[0])
    assert team.truth().answer == act("inventory")
    assert team.truth().distractors() == (finish("The target is made."),)
    environment = Craft(2, 5)
    team = await arrive(environment, "done")
    await team.carry_out(act("discard", item=team.calls[-1][1]["item"]))
    team.ends.clear()
    await team.work(3)
    assert team.ends == {0: "The target cannot be made any more."}


@pytest.mark.parametrize("tools", [3, 5, 16])
@pytest.mark.parametrize("queries", [1, 5])
async def test_wrong_actions_of_lookup_matter_as_documented(tools: int, queries: int) -> None:
    """Each wrong action of each phase costs a query, a turn, or all that is left, and nothing else."""

    async def outcome(tool: str, wrong: int) -> float:
        environment = Lookup(queries, tools, seed=3)
        team = await arrive(environment, tool)
        await team.carry_out(team.truth().distractors()[wrong])
        if not team.ends:
            await team.work(60)
        return round(environment.score() * queries)

    archive = tools > 3
    assert [await outcome("list_queries", wrong) for wrong in range(2)] == [queries, 0]
    instead_of_read = [queries - 1, queries, 0]
    expected = [queries - 1, *instead_of_read] if archive else instead_of_read
    assert [await outcome("read", wrong) for wrong in range(len(expected))] == expected
    other = [queries - 1] if queries > 1 else []
    assert [await outcome("answer", wrong) for wrong in range(2 + len(other))] == [queries - 1, *other, 0]
    assert [await outcome("done", wrong) for wrong in range(2)] == [queries, queries - 1]


async def test_a_trusting_agent_answers_what_the_archive_says() -> None:
    """After a search of the archive the next right action is its value as the answer, which is wrong."""
    environment = Lookup(1, 5)
    team = await arrive(environment, "read")
    seen = await team.carry_out(team.truth().distractors()[0])
    assert seen is not None
    assert team.calls[-1][0] == "search_archive"
    assert team.truth().answer == act("answer", query=0, value=seen.text)
    await team.work(5)
    assert environment.score() == 0.0
    assert team.is_done()


async def test_the_last_observation_of_a_cell_is_believed() -> None:
    """An agent that read after it had searched the archive answers what it read."""
    environment = Lookup(1, 5)
    team = await arrive(environment, "read")
    read, archive = team.truth().answer, team.truth().distractors()[0]
    await team.carry_out(archive)
    await team.carry_out(read)
    await team.work(5)
    assert environment.score() == 1.0


async def test_nothing_is_answered_that_was_not_read() -> None:
    """An agent to whom others' reads are unknown reads for itself, and one that read answers what it saw."""
    environment = Lookup(3)
    team = Team(environment, 2)
    await team.carry_out(act("list_queries"), 0)
    await team.carry_out(team.truth(0).answer, 0)
    assert team.truth(0).answer["tool"] == "answer"
    await team.carry_out(act("list_queries"), 1)
    assert team.truth(1).answer["tool"] == "read"


@pytest.mark.parametrize("tools", [3, 5, 16])
async def test_wrong_actions_of_craft_matter_as_documented(tools: int) -> None:
    """Material wasted at any point loses the target; a useless recipe costs a turn; an early end leaves it unmade."""

    async def outcome(tool: str, wrong: int) -> float:
        environment = Craft(4, tools, seed=5)
        team = await arrive(environment, tool)
        await team.carry_out(team.truth().distractors()[wrong])
        if not team.ends:
            await team.work(60)
        return environment.score()

    expected = [0.0, 0.0, 1.0, 0.0] if tools > 3 else [0.0, 1.0, 0.0]
    for tool in ("recipe", "craft"):
        assert [await outcome(tool, wrong) for wrong in range(len(expected))] == expected
    assert await outcome("done", 0) == 1.0


@pytest.mark.parametrize("tools", [3, 5])
async def test_known_error_rates_give_known_scores(tools: int) -> None:
    """With accuracy p a query is right with p^2, and a chain of n steps with p^2n, within 4 standard errors."""
    p, runs, size = 0.95, 250, 6
    for name in sorted(ENVIRONMENTS):
        environment, choose, total = made(name, size, tools), erring(p, Random(f"{name} {tools}")), 0.0
        for _ in range(runs):
            await environment.restore([])
            team = Team(environment)
            while not team.is_done() and not team.ends:
                await team.carry_out(choose(team.truth()))
            total += environment.score()
        expected = p**2 if name == "lookup" else p ** (2 * size)
        draws = runs * size if name == "lookup" else runs
        assert total / runs == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / draws))
