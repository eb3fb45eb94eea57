"""Each team, killed and cancelled at any moment: resumed to the same result and figures, nothing asked twice."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import orchestra
from tests.crash.slow_server import SlowServer, slow_server
from tests.crash.test_kill import answers
from tests.crash.test_topologies import ANSWERS, SEED, Bench, stop_at_random

Json = Any
TEAMS = {
    "independent": "independent:agents=12",
    "decentralized": "decentralized:agents=4,rounds=3",
    "centralized": "centralized:agents=3,rounds=3",
    "peers": "peers:agents=3,rounds=3",
    "tree": "tree:fan_in=2,depth=3,join=model",
    "counted": "tree:fan_in=3,depth=3",
}
TOGETHER = (("decentralized", "tree", "independent"), ("centralized", "peers", "counted"))
"""Teams that are stopped at work side by side in one run."""
KILL, INT = signal.SIGKILL, signal.SIGINT


def graph(teams: tuple[str, ...]) -> Json:
    """Return a subtask for each team: one whose answers are counted where code does that, one in words elsewhere."""
    subtasks = []
    for place, name in enumerate(teams):
        answer = ANSWERS[0] if name in ("counted", "decentralized") else "text"
        one = {"id": f"{name}{place}", "description": f"{name}{place}: say it."}
        subtasks.append(one | {"team": TEAMS[name], "answer": answer})
    return {"goal": "Some answers", "subtasks": subtasks}


def calm(folder: Path, server: SlowServer) -> Json:
    """Let the run go to its end undisturbed, in this process, and return its result."""

    async def main() -> orchestra.RunResult:
        plan = orchestra.plan(
            orchestra.TaskGraph.load(folder / "graph.json"),
            model="vllm:test",
            choices=orchestra.Choices(topology="parallel", seed=SEED),
        )
        async with orchestra.Session(journal=folder / "calm.db", base_url=server.url) as session:
            return await orchestra.run(plan, session=session)

    return json.loads(json.dumps(asyncio.run(main()).as_dict()))


def ended(journal: Path) -> list[str]:
    """Return the teams that have come to an end."""
    db = sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)
    try:
        bodies = db.execute("SELECT body FROM records WHERE kind = 'team.ended'").fetchall()
    finally:
        db.close()
    return [json.loads(body)["node"] for (body,) in bodies]


@pytest.mark.parametrize(
    ("teams", "signals", "limit_s"),
    [
        *(pytest.param(teams, (KILL, INT, KILL), 3.0, id=" ".join(teams)) for teams in TOGETHER),
        *(
            pytest.param((team,) * 6, (number,) * 10, limit_s, id=f"{team} {what}", marks=pytest.mark.nightly)
            for team in TEAMS
            for what, number, limit_s in (("killed 10 times", KILL, 30.0), ("cancelled 10 times", INT, 1.0))
        ),
    ],
)
def test_teams_stopped_anywhere_end_the_same_and_ask_nothing_twice(
    tmp_path: Path, teams: tuple[str, ...], signals: tuple[signal.Signals, ...], limit_s: float
) -> None:
    """Stopped and resumed at random moments, teams end like undisturbed ones, and what they cost is the same.

    No sample whose reply stands in the journal is asked again; a cancelled run is back within its limit.
    """
    (tmp_path / "graph.json").write_text(json.dumps(graph(teams)))
    rng = random.Random(f"{teams}{signals}")
    with slow_server(tmp_path / "calm.log") as server:
        undisturbed = calm(tmp_path, server)
    with slow_server(tmp_path / "stopped.log", low_s=0.1, high_s=0.3) as server:
        bench = Bench(tmp_path, server, "parallel", 3)
        found = []
        for place, number in enumerate(signals):
            stopped = stop_at_random(bench, rng, number, 2, is_new=not place)
            assert stopped is not None, "the run ended before it could be stopped so often"
            assert len(signals) > 3 or ended(bench.journal) == [], "a team ended before it could be stopped so often"
            found.append((number, stopped))
        resumed = bench.finish("r", is_new=False)
        asked = server.lines("asked")
    assert undisturbed["status"] == "ok"
    assert answers(resumed) == answers(undisturbed)
    assert (resumed["notes"], resumed["coordination"]) == (undisturbed["notes"], undisturbed["coordination"])
    for number, stopped in found:
        assert stopped.recorded
        assert stopped.recorded & {line.seed for line in asked if line.at > stopped.gone} == set()
        assert number is KILL or stopped.took_s <= limit_s
