"""Self-consistency cut after so many votes, and systems beside it at their own spend."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestra.testing import Scripted
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Prompt, Sampling
from orchestra_evals.comparing.compare import compare
from orchestra_evals.comparing.compared import Compared
from orchestra_evals.comparing.cuts import Cut
from orchestra_evals.comparing.recorded import Recorded
from orchestra_evals.comparing.spends import Spend, mean_spend, unit_of
from orchestra_evals.runner.evaluating import Keeping
from orchestra_evals.runner.scores import repeats_of
from orchestra_evals.runner.selection import Selection
from orchestra_evals.statistics.runs import scores_of
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.suites.pinned import Pinned
from orchestra_evals.suites.suite import Sample, Score
from orchestra_evals.systems.self_consistency import SelfConsistency
from orchestra_evals.systems.system import Answered, Reported

Json = Any
SUITE = "addition:digits=10"
ALONE: Json = {"topologies": ["single"], "teams": ["solo"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting(Pinned):
    """A suite that keeps which answers it checked."""

    checked: list[tuple[str, str]] = field(default_factory=list)

    def check(self, sample: Sample, answer: Json) -> Score:
        self.checked.append((sample.id, json.dumps(answer)))
        return self.suite.check(sample, answer)


def votes(count: int) -> Json:
    """Self-consistency of so many votes on each sample, in place of those that a cap would pay for."""
    return {"selfconsistency": SelfConsistency(samples=count)}


def voting(says: str) -> Scripted:
    """A model whose votes are r(ight), w(rong), x (another wrong one) or f(lagged), by their places."""

    def reply(prompt: Prompt, sampling: Sampling) -> str:
        assert prompt.truth is not None
        letter = says[sampling.index] if sampling.index < len(says) else "r"
        wrong = list(prompt.truth.wrong)
        answer = {"r": prompt.truth.answer, "w": wrong[0], "x": wrong[1]}.get(letter)
        return "no JSON" if letter == "f" else json.dumps({"answer": answer})

    return Scripted(reply)


def compared(
    model: Json, budget: Budget, *, limit: int = 3, suite: Json = "addition:digits=10", **more: Json
) -> Compared:
    """Return one agent beside self-consistency."""
    selection = Selection(limit=limit, repeats=more.pop("repeats", 1))
    told = ALONE | more
    return asyncio.run(compare(suite, models=[model], budget=budget, selection=selection, **told))


def cuts_in(found: Compared) -> Sequence[Cut]:
    """Return the only curve."""
    [cuts] = found.recorded.cuts.values()
    return cuts


def test_a_cut_is_the_majority_of_the_first_votes() -> None:
    """Worked out by hand: of equals the first seen, a discarded vote is paid for and not counted."""
    cuts = cuts_in(compared(voting("wrfxrr"), Budget(calls=18), systems=votes(6)))
    assert [(cut.votes, cut.spend.calls, cut.score) for cut in cuts] == [
        (1, 1.0, 0.0),  # w
        (2, 2.0, 0.0),  # w r: the first seen
        (3, 3.0, 0.0),  # the third is discarded
        (5, 5.0, 1.0),  # w r - x r
        (6, 6.0, 1.0),
    ]
    assert all(len(cut.scores) == 3 for cut in cuts)
    assert cuts[0].spend.tokens < cuts[1].spend.tokens


@pytest.mark.parametrize(("budget", "repeats"), [(Budget(calls=60), 1), (Budget(tokens=24000), 2)])
def test_the_last_cut_is_the_cell_itself(budget: Budget, repeats: int) -> None:
    """All votes together score and take what the rows say, whatever the unit of the cap, and with repeats."""
    found = compared("simulated:p=0.6,valid=0.9,seed=3", budget, limit=8, repeats=repeats)
    cell, last = found["selfconsistency"], cuts_in(found)[-1]
    assert last.scores == scores_of(repeats_of(cell.rows))
    assert last.spend == mean_spend(cell.measured)
    assert last.votes == max(row.usage.samples for row in cell.rows)
    spends = [cut.spend.tokens for cut in cuts_in(found)]
    assert spends == sorted(set(spends))


def test_cutting_asks_nothing_and_checks_no_answer_twice(tmp_path: Path) -> None:
    """The journal and the rows hold what is needed, but for what answers are worth that lead after few votes only."""
    inner = make_suite(SUITE)
    suite = Counting(suite=inner, name=inner.name, about=inner.about)
    model = voting("wwrrrr")
    keeping = Keeping(journal=tmp_path / "j.db", out=tmp_path / "rows.jsonl")
    found = compared(model, Budget(calls=18), suite=suite, keeping=keeping, systems=votes(6))
    asked = len(model.asked)
    suite.checked.clear()
    again = Recorded.of(found.evaluation)
    assert again.cuts == found.recorded.cuts
    assert len(suite.checked) == len(set(suite.checked)) == 3
    assert len(model.asked) == asked


def test_systems_stand_beside_the_votes_that_take_as_much() -> None:
    """At a spend that was cut exactly; between two cuts, their mix by the spend; outside, not at all."""
    systems = votes(8) | {"four": SelfConsistency(samples=4)}
    found = compared(voting("wwrrrrrr"), Budget(calls=24), systems=systems).as_dict()
    matched = found["matched"]
    [curve] = matched["curves"]
    assert [(point["votes"], point["spend"], point["score"]) for point in curve["points"]] == [
        (1, 1.0, 0.0),
        (2, 2.0, 0.0),
        (3, 3.0, 0.0),
        (5, 5.0, 1.0),
        (8, 8.0, 1.0),
    ]
    assert matched["unit"] == "calls"
    rows = {row["system"]: row for row in matched["rows"]}
    one = rows["single x solo"]
    assert (one["spend"], one["score"], one["rival_score"], one["interpolated"]) == (1.0, 0.0, 0.0, False)
    assert (one["from_spend"], one["to_spend"], one["pairs"], one["difference"]["value"]) == (1.0, 1.0, 3, 0.0)
    four_votes = rows["four"]  # w w r r: the first seen of equals, wrong
    assert (four_votes["spend"], four_votes["score"], four_votes["rival_score"]) == (4.0, 0.0, 0.5)
    assert (four_votes["interpolated"], four_votes["from_spend"], four_votes["to_spend"]) == (True, 3.0, 5.0)
    assert four_votes["difference"]["value"] == -0.5
    assert four_votes["adjusted_p"] == min(1.0, 2 * four_votes["p_value"])


def test_who_spends_more_or_less_than_the_votes_is_not_matched() -> None:
    """Each with its reason; so is a system that tells nobody what it takes, and one that nothing is known of."""

    async def oracle(sample: Sample) -> Json:
        return sample.target

    async def offline(sample: Sample) -> Json:
        raise ConnectionError("no network")

    systems: Json = {"oracle": oracle, "offline": offline}
    found = compared(voting(""), Budget(calls=12), systems=systems, teams=["independent:agents=4"]).as_dict()
    assert {row["system"] for row in found["matched"]["rows"]} == {"single x solo", "single x independent:agents=4"}
    assert {one["system"]: one["reason"] for one in found["matched"]["unmatched"]} == {
        "oracle": "took nobody knows how much",
        "offline": "was measured on no sample",
    }
    found = compared(voting(""), Budget(calls=9), teams=["independent:agents=3"], limit=3).as_dict()
    assert not found["matched"]["unmatched"]
    more = compared("simulated:p=0.9", Budget(usd=1.0), limit=2, systems=[]).as_dict()["matched"]
    assert more["unit"] == "tokens"  # what costs nothing cannot be matched in dollars
    assert "not known, or nothing" in more["note"]


def test_a_system_is_matched_on_the_samples_that_both_have() -> None:
    """What votes took on a sample that the other lost, the longest one, is no part of the rival at its spend."""

    async def lossy(sample: Sample) -> Answered:
        if sample.difficulty["digits"] == 50:
            raise ConnectionError("no network")
        return Answered(answer=sample.target, usage=Reported(calls=2, input_tokens=180, output_tokens=20))

    systems = votes(3) | {"lossy": lossy}
    found = compared(voting("wrr"), Budget(tokens=9000), systems=systems, suite="addition", limit=4)
    kept = {row.sample_id for row in found["lossy"].measured}
    spends, parts = (
        [cut.spend.tokens for cut in cuts] for cuts in (cuts_in(found), [cut.on(kept) for cut in cuts_in(found)])
    )
    assert all(part < whole for part, whole in zip(parts, spends, strict=True))
    told = {row["system"]: row for row in found.as_dict()["matched"]["rows"]}
    assert (told["lossy"]["pairs"], told["lossy"]["spend"]) == (3, 200.0)
    assert (told["lossy"]["from_spend"], told["lossy"]["to_spend"]) == (parts[1], parts[2])
    assert told["lossy"]["rival_score"] == pytest.approx((200 - parts[1]) / (parts[2] - parts[1]))
    assert (told["single x solo"]["pairs"], told["single x solo"]["spend"]) == (4, spends[0])


def test_a_judge_is_not_asked_again(tmp_path: Path) -> None:
    """Where a model judges, fewer votes are not scored, and the document says why."""
    lines = [json.dumps({"input": f"Capital {place}?", "target": f"place {place}"}) for place in range(4)]
    (tmp_path / "own.jsonl").write_text("\n".join(lines) + "\n")
    suite = f"file:{tmp_path / 'own.jsonl'},shares=0/100/0,scorer=judge"
    matched = compared("simulated:p=0.9", Budget(calls=20), suite=suite, limit=4).as_dict()["matched"]
    assert (matched["curves"], matched["rows"], matched["unmatched"]) == ([], [], [])
    assert "a model judges" in matched["note"]


def test_the_unit_is_that_of_the_only_cap() -> None:
    """Tokens where there are several caps, or none."""
    assert [unit_of(caps) for caps in ({"calls"}, {"usd", "seconds"}, {"tokens"}, {"calls", "usd"}, set[str]())] == [
        "calls",
        "usd",
        "tokens",
        "tokens",
        "tokens",
    ]
    unknown = Spend(tokens=3, calls=1, usd=None)
    assert (unknown + Spend(usd=1.0)).usd is None
    assert unknown.over(2) == Spend(tokens=1.5, calls=0.5, usd=None)
