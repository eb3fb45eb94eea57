"""How good the forecast's picks are at equal budget, beside two dumb rules (evidence: simulated).

    python -m benchmarks.prediction [--settings 50] [--runs 2000] [--out docs/results/prediction.md]

A hundred random (model, graph, budget) settings. A pilot of 300 items with 8 votes is drawn from each world, a profile
made of it, and the way that `decide` picks is compared with every way that the forecast compares, each played by the
referee of the tests. Half of the worlds are what the composition takes them to be, half are not: beta-binomial errors,
spoil below 1, heavy-tailed difficulty, overload, several wrong answers and weak edges that nobody misses.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from tests.budget.predicting import ENOUGH, SATURATED, Outcome, draw, judge

GOAL = 42
"""Good picks of 50 well-specified settings."""
_COLUMNS = (
    "# | p | rho | gamma | spoil | subtasks | budget | pick | predicted | score | best | score | regret | single | rule"
)
_HEAD = f"| {_COLUMNS} |"


def main() -> None:
    """Print the table of both halves and their summary; the exit status is 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=int, default=50, help="settings of each half")
    parser.add_argument("--runs", type=int, default=2000, help="runs of each way, at least; the best are played again")
    parser.add_argument("--out", type=Path, help="write the summary and the table here, too")
    asked = parser.parse_args()
    said, is_good = ["evidence: simulated", ""], True
    for is_well_specified in (True, False):
        found = []
        for number in range(asked.settings):
            found.append(
                judge(draw(number, is_well_specified=is_well_specified), runs=asked.runs, finals=4 * asked.runs)
            )
            print(row(found[-1]), flush=True)
        half = "Well-specified" if is_well_specified else "Misspecified"
        said += [f"## {half} worlds", "", *summary(found), "", _HEAD, "|" + "---|" * 15, *map(row, found), ""]
        if is_well_specified:
            is_good = sum(one.regret <= ENOUGH for one in found) * 50 >= GOAL * len(found)
    print("\n".join(line for line in said if not line.startswith("|")))
    if asked.out is not None:
        command = f"python -m benchmarks.prediction --settings {asked.settings} --runs {asked.runs}"
        head = ["# Prediction at equal budget", "", f"Command: `{command} --out {asked.out}`", ""]
        asked.out.write_text("\n".join([*head, (__doc__ or "").split("\n\n")[2].replace("\n", " "), "", *said]) + "\n")
    sys.exit(not is_good)


def summary(found: Sequence[Outcome]) -> Iterator[str]:
    """Yield the figures of one half."""
    rules = {
        "the forecast's pick": [one.regret for one in found],
        "always single": [max(0.0, one.best_score - one.single) for one in found],
        f"a team iff single accuracy < {SATURATED:.2f}": [max(0.0, one.best_score - one.rule) for one in found],
    }
    yield "| rule | within .05 of the best | mean regret | largest |"
    yield "|---|---|---|---|"
    for name, regrets in rules.items():
        good = sum(regret <= ENOUGH for regret in regrets)
        yield f"| {name} | {good} of {len(regrets)} | {fmean(regrets):.3f} | {max(regrets):.3f} |"


def row(one: Outcome) -> str:
    """Return one setting as a row of the table."""
    world, budget = one.setting.world, one.setting.budget
    caps = f"{budget.calls} calls" if budget.calls is not None else f"{budget.tokens} tokens"
    figures = f"{world.p['choice']:.2f} | {world.rho:.2f} | {world.gamma:.2f} | {world.spoil:.2f}"
    picked = f"{one.picked} | {one.predicted:.3f} | {one.score:.3f} | {one.best} | {one.best_score:.3f}"
    rest = f"{one.regret:.3f} | {one.single:.3f} | {one.rule:.3f}"
    return f"| {one.setting.number} | {figures} | {len(one.setting.graph)} | {caps} | {picked} | {rest} |"


if __name__ == "__main__":
    main()
