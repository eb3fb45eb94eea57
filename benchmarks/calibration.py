"""Whether a calibration of the embedded model foretells its panels and trees: predicted against measured bias.

    python benchmarks/calibration.py [--journal FILE] [--items 48] [--out docs/results]

For each of the two families in examples/calibration a pilot measures p, rho, the histogram of votes and gamma; then
every item is answered by real trees that a model joins (fan-in 3, depth 1 and 2), whose leaves, counted by code, are
also real panels of 3, 5 and 9. Bias is 2 accuracy - 1. Everything is kept in the journal: the same command with the
same --journal goes on where it stopped, and asks nothing once it is through.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from orchestra.budget.estimates import Estimate
from orchestra.budget.items import Item, items_of, load_rows
from orchestra.budget.joint import Joint, alpha, step
from orchestra.budget.pilot import PilotDesign, calibrate, scope_of
from orchestra.budget.polls import ItemVotes, Poll
from orchestra.budget.profile import Profile
from orchestra.budget.replay import replay_majority
from orchestra.choices import Choices
from orchestra.planning import plan
from orchestra.report.phase_plots import refuse_unwritable
from orchestra.running import run
from orchestra.session import Session
from orchestra_agents.journal.replay import RunState
from orchestra_agents.voting.intervals import clopper_pearson
from orchestra_topologies.graph import Subtask, TaskGraph

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER = Path(__file__).parents[1] / "examples" / "calibration"
FAMILIES = {
    "sentiment": "Is the review positive or negative?",
    "digits": "Is the first number larger than the second?",
}
PANELS, MESSAGES = (3, 5, 9), (8, 32)
FAN_IN, DEPTHS = 3, (1, 2)


@dataclass(frozen=True)
class Bias:
    """A bias with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, accuracy: Estimate) -> Bias:
        """Return the bias of an accuracy."""
        return cls(2 * accuracy.value - 1, 2 * accuracy.low - 1, 2 * accuracy.high - 1)

    @classmethod
    def counted(cls, right: Sequence[bool]) -> Bias:
        """Return the bias of answers, one an item."""
        found = clopper_pearson(sum(right), len(right), 0.95)
        return cls(2 * sum(right) / len(right) - 1, 2 * found.low - 1, 2 * found.high - 1)

    def meets(self, other: Bias) -> bool:
        """Tell whether the two intervals have a value in common."""
        return self.low <= other.high and other.low <= self.high

    def __str__(self) -> str:
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


@dataclass(frozen=True)
class Line:
    """One thing that was foretold and measured."""

    name: str
    predicted: Bias
    measured: Bias


def tree_bias(profile: Profile, depth: int) -> Bias:
    """Return the bias of a tree by the recursion, its ends at the ends of p, rho and gamma.

    Rho is that of pairs of votes, which needs no law of copies; gamma that of the shortest messages, which are as long
    as the answers that leaves tell joints.
    """
    votes = profile.answers[0].sizes[0].votes
    assert votes is not None
    gamma, p, rho = profile.channels[0].gamma, votes.accuracy, votes.shared.moment or votes.shared.rho

    def at(p: float, rho: float, gamma: float) -> float:
        joint, bias = Joint(fan_in=FAN_IN, gamma=max(1e-9, gamma), rho=max(0.0, rho)), 2 * p - 1
        for _ in range(depth):
            bias = float(step(bias, joint))
        return bias

    ends = [at(*corner) for corner in product(*((one.low, one.high) for one in (p, rho, gamma)))]
    return Bias(at(p.value, rho.value, gamma.value), min(ends), max(ends))


async def answered(session: Session, family: str, items: Sequence[Item], depth: int) -> RunState:
    """Have every item answered by a tree that a model joins, and return what the journal says of it."""
    graph = TaskGraph(
        [
            Subtask(
                id=item.name,
                description=FAMILIES[family],
                context=item.input,
                answer=item.answer,
                truth=item.truth,
                team=f"tree:fan_in={FAN_IN},depth={depth},join=model",
            )
            for item in items
        ]
    )
    name = f"{family}-tree-{depth}"
    made = plan(graph, model=session.model, choices=Choices(topology="parallel", seed=depth))
    await run(made, session=session, run_id=name)
    return RunState.of(session.journal.entries(name))


def leaves(state: RunState, item: Item, count: int) -> list[object]:
    """Return the answers of the first leaves of an item's tree; those that gave none are left out."""
    ended = [state.subtasks.get(f"<{item.name} agent {number}>") for number in range(1, count + 1)]
    return [one.answer for one in ended if one is not None and one.status == "ok"]


def panel_line(profile: Profile, state: RunState, items: Sequence[Item], size: int) -> Line:
    """Return a majority by code: replayed from the pilot's votes, and of real leaves."""
    gain = next(one for one in profile.answers[0].sizes[0].panels if one.fan_in == size)
    counted = [ItemVotes(tally=_tally(leaves(state, item, size)), right=str(item.target)) for item in items]
    poll = Poll(size=1.0, panel=size, items=tuple(counted), input_tokens=1.0, output_tokens=1.0)
    measured = replay_majority(poll.counts, size, rng=np.random.default_rng(0))
    return Line(f"panel of {size}", Bias.of(gain.replayed), Bias.of(measured))


def tree_line(profile: Profile, state: RunState, items: Sequence[Item], depth: int) -> Line:
    """Return the root of a tree that a model joins: by the recursion, and as it was."""
    roots = [state.subtasks.get(item.name) for item in items]
    right = [one is not None and one.answer == item.target for one, item in zip(roots, items, strict=True)]
    return Line(f"tree, depth {depth}", tree_bias(profile, depth), Bias.counted(right))


def joint_lines(state: RunState, items: Sequence[Item]) -> list[str]:
    """Return how the joints of trees of depth 1 read: by how many of the leaves they were shown were right."""
    said = []
    for right in range(FAN_IN + 1):
        roots = [
            state.subtasks[item.name].answer == item.target
            for item in items
            if sum(one == item.target for one in leaves(state, item, FAN_IN)) == right
        ]
        if roots:
            said.append(f"  {right} of {FAN_IN} leaves right: the root is right in {sum(roots)} of {len(roots)}")
    return said


async def measured(session: Session, family: str, most: int) -> list[Line]:
    """Calibrate, build panels and trees, print and return what was foretold and measured."""
    rows = load_rows(FOLDER / f"{family}.jsonl")
    design = PilotDesign(question=FAMILIES[family], items=most)
    name = f"{family}-pilot"
    profile = await calibrate(rows, panel=9, messages=MESSAGES, design=design, session=session, run_id=name)
    items = scope_of(items_of(rows), 9, MESSAGES, design).items
    states = {depth: await answered(session, family, items, depth) for depth in DEPTHS}
    votes = profile.answers[0].sizes[0].votes
    assert votes is not None
    one = Line("one vote", Bias.of(votes.accuracy), _leaf_bias(states[2], items))
    lines = [one, *(panel_line(profile, states[2], items, size) for size in PANELS)]
    lines += [tree_line(profile, states[depth], items, depth) for depth in DEPTHS]
    joint = Joint(fan_in=FAN_IN, gamma=max(1e-9, profile.channels[0].gamma.value), rho=max(0.0, votes.shared.rho.value))
    print(f"\n{family}: {len(items)} items, {profile.model}, evidence {profile.evidence}, {profile.date}")
    for name, found in _figures(profile):
        print(f"  {name:12} {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]")
    print(f"  alpha        {float(alpha(joint)):.3f} for trees that a model joins (gamma of the shortest messages)")
    print("  right votes ", ", ".join(f"{cell.right}/{cell.votes}: {cell.items}" for cell in votes.histogram))
    print(f"  {'':14} {'predicted bias':28} {'measured bias':28} agree")
    for line in lines:
        agree = "yes" if line.predicted.meets(line.measured) else "NO"
        print(f"  {line.name:14} {line.predicted!s:28} {line.measured!s:28} {agree}")
    print("\n".join(joint_lines(states[1], items)))
    return lines


def draw(found: dict[str, list[Line]], evidence: str, path: Path) -> None:
    """Write the picture of predicted against measured bias."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"font.size": 10, "svg.fonttype": "none", "svg.hashsalt": "orchestra"}):
        figure = Figure(figsize=(6.2 * len(found), 4.9), layout="constrained")
        for axes, (family, lines) in zip(figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
            _family(axes, family, lines)
        figure.suptitle(f"Predicted from a calibration against measured, {evidence}; bars are 95 % intervals", size=10)
        figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else {})


def _family(axes: Axes, family: str, lines: Sequence[Line]) -> None:
    for shift, marker, face, label in ((-0.12, "o", "white", "predicted"), (0.12, "s", "black", "measured")):
        for place, line in enumerate(lines):
            bias = line.predicted if label == "predicted" else line.measured
            axes.plot([place + shift] * 2, [bias.low, bias.high], color="0.45" if face == "white" else "black")
            axes.plot([place + shift], [bias.value], marker, mfc=face, mec="black", label="" if place else label)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set_xticks(range(len(lines)), [line.name for line in lines], rotation=20)
    axes.set(ylim=(-1.02, 1.02), ylabel="bias, 2 accuracy - 1", title=family)
    axes.legend(loc="lower left", fontsize=8.5)


def _figures(profile: Profile) -> list[tuple[str, Estimate]]:
    votes = profile.answers[0].sizes[0].votes
    assert votes is not None
    found = [("p", votes.accuracy), ("rho, copies", votes.shared.rho), ("spread", votes.spread.correlation)]
    found += [("rho, pairs", votes.shared.moment)] if votes.shared.moment is not None else []
    found += [(f"gamma({one.tokens})", one.gamma) for one in profile.channels]
    found += [("spoil", profile.spoil)] if profile.spoil is not None else []
    return found + ([("beta", profile.compute.beta)] if profile.compute is not None else [])


def _leaf_bias(state: RunState, items: Sequence[Item]) -> Bias:
    counts = [ItemVotes(tally=_tally(leaves(state, item, 9)), right=str(item.target)) for item in items]
    poll = Poll(size=1.0, panel=9, items=tuple(counts), input_tokens=1.0, output_tokens=1.0)
    return Bias.of(replay_majority(poll.counts, 1, rng=np.random.default_rng(0)))


def _tally(answers: Sequence[object]) -> dict[str, int]:
    said = [str(one) for one in answers]
    return {one: said.count(one) for one in sorted(set(said))}


async def compared(asked: argparse.Namespace) -> None:
    """Measure both families, then draw them."""
    journal = asked.journal or Path(tempfile.mkdtemp()) / "journal.db"
    async with Session(model=asked.model, journal=journal) as session:
        found = {family: await measured(session, family, asked.items) for family in FAMILIES}
    for ending in (".png", ".svg"):
        draw(found, asked.model, asked.out / f"calibration_{asked.model.partition(':')[0]}{ending}")


def main() -> None:
    """Print and draw what was foretold and what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--items", type=int, default=48)
    parser.add_argument("--journal", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    asked = parser.parse_args()
    refuse_unwritable(asked.out / "calibration.png")
    asyncio.run(compared(asked))


if __name__ == "__main__":
    main()
