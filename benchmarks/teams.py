"""What teams make of parallel work (lookup) and of sequential work (craft), scored on the state they leave behind.

    python benchmarks/teams.py [--samples 40] [--tools 3 5 16] [--model simulated:...] [--small]

With the simulated model, whose parameters are printed, the question is whether the sign pattern of the agent-scaling
study comes out of its mechanism: teams help where work is parallel and a lone agent runs out of turns, and hurt where
each step needs the one before and what agents tell one another is misread now and then (gamma below 1). A lone agent
has ten turns, an independent one five, the others three a round. The exit status is 1 if a sign is missing. With a real
model (`--model embedded --small`) whatever it shows is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from time import perf_counter

from orchestra.choices import Choices
from orchestra.coordination import Coordination
from orchestra.session import Session
from orchestra_evals.environments.catalog import make_environment
from orchestra_evals.environments.playing import Played, play

MODEL = "simulated:p=0.97,gamma=0.8,overload=0.005,seed=1"
TEAMS = {
    "solo": "solo",
    "vote": "vote",
    "independent": "independent:turns=5",
    "decentralized": "decentralized",
    "centralized": "centralized",
    "peers": "peers",
}
SMALL_TEAMS = {
    "solo": "solo:turns=6",
    "vote": "vote:turns=6",
    "independent": "independent:agents=2,turns=6",
    "decentralized": "decentralized:agents=2,rounds=2",
    "centralized": "centralized:agents=2,rounds=2",
    "peers": "peers:agents=2,rounds=2",
}
STUDY = ("independent", "decentralized", "centralized", "peers")
"""Teams whose sign the study tells; votes on each action are none of its architectures."""
FULL = {"lookup": "queries=12", "craft": "steps=5"}
SMALL = {"lookup": "queries=3", "craft": "steps=2"}


@dataclass(frozen=True)
class Cell:
    """One team in one environment."""

    scores: list[float]
    figures: list[Coordination]

    @property
    def score(self) -> float:
        """Mean score."""
        return fmean(self.scores)

    @property
    def error(self) -> float:
        """Standard error of the mean score."""
        return stdev(self.scores) / len(self.scores) ** 0.5 if len(self.scores) > 1 else float("nan")

    def mean(self, name: str) -> float:
        """Mean of one of the figures of coordination."""
        return fmean(float(getattr(one, name) or 0) for one in self.figures)


async def cell(name: str, spec: str, team: str, samples: int, session: Session) -> Cell:
    played: list[Played] = []
    for seed in range(samples):
        environment = make_environment(f"{name}:{spec},seed={seed}")
        run_id = f"{name}-{spec}-{team}-{seed}".replace("=", "").replace(",", "-").replace(":", "-")
        played.append(await play(environment, session=session, run_id=run_id, choices=Choices(team=team)))
    return Cell([one.score for one in played], [one.coordination for one in played])


def line(team: str, found: Cell, solo: Cell) -> str:
    turns, alone = found.mean("turns"), solo.mean("turns")
    return (
        f"  {team:<14}{found.score:7.3f} ±{found.error:6.3f}{found.score - solo.score:+8.3f}{turns:8.1f}"
        f"{found.mean('messages'):8.1f}{found.mean('message_density'):7.2f}{(turns / alone - 1) * 100:+8.0f} %"
        f"{found.score / (turns / alone):8.3f}{found.mean('unproductive_share') * 100:8.1f} %"
        f"{found.mean('tokens'):10,.0f}"
    )


async def table(name: str, spec: str, samples: int, session: Session, teams: dict[str, str]) -> dict[str, Cell]:
    """Print one table and return its cells."""
    started = perf_counter()
    cells = {team: await cell(name, spec, said, samples, session) for team, said in teams.items()}
    print(f"\n{name}:{spec}, {samples} samples, {perf_counter() - started:.0f} s")
    print("  team            score   s.e. vs solo   turns messages   c    overhead     E_c  unproductive   tokens")
    for team, found in cells.items():
        print(line(team, found, cells["solo"]))
    return cells


def missing(name: str, cells: dict[str, Cell]) -> list[str]:
    """Return the teams whose sign is not the study's."""
    wanted = 1 if name == "lookup" else -1
    return [team for team in STUDY if (cells[team].score - cells["solo"].score) * wanted <= 0]


async def measure(asked: argparse.Namespace, journal: Path) -> int:
    odd: list[str] = []
    sizes, teams = (SMALL, SMALL_TEAMS) if asked.small else (FULL, TEAMS)
    evidence = "simulated" if asked.model.startswith("simulated") else "real"
    print(f"evidence: {evidence}, model {asked.model}")
    async with Session(model=asked.model, journal=journal) as session:
        for name, size in sizes.items():
            for tools in asked.tools:
                cells = await table(name, f"{size},tools={tools}", asked.samples, session, teams)
                odd += [f"{team} in {name} with {tools} tools" for team in missing(name, cells)]
    told = "the sign pattern of the study: " + ("reproduced" if not odd else f"not reproduced by {', '.join(odd)}")
    print(f"\n{told} (evidence: {evidence})")
    return 1 if odd and evidence == "simulated" else 0


def main() -> int:
    """Print the tables and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--tools", type=int, nargs="+", default=[3, 5, 16], choices=[3, 5, 16])
    parser.add_argument("--small", action="store_true", help="few queries, steps and agents, for a small real model")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measure(asked, Path(folder) / "teams.db"))


if __name__ == "__main__":
    sys.exit(main())
