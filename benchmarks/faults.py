"""Chains that vote through a server which fails in every way: is each vote counted once, each request paid for once?

    python -m benchmarks.faults [--samples 20000] [--seed 1]

Evidence: none about models; the server is `tests.agents.fault_server`, a process of its own, and answers wrongly or
unreadably now and then. Chains of steps are driven 64 at once. What the journal and the results say is compared with
what the server counted; the runs after the first are smaller. The exit status is 1 if a check fails. Linux only.

    voting      all faults that patience gets over, under caps that do not bite
    keeping-n   without those that make a client stop asking for several choices in one request; no caps
    calls       a cap on calls that bites; then gone on with, without it
    tokens      the same with a cap on tokens
    bets        a cap on calls, while steps are begun ahead and given up
    final       faults that end a chain; gone on with until all chains have ended well
    graph       a graph of independent subtasks, each put to the vote; so are graph-calls and graph-final
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestra import (
    AnswerType,
    Budget,
    Choices,
    DrivePolicy,
    DriveResult,
    Plan,
    RedFlag,
    RunResult,
    Sampling,
    Session,
    Subtask,
    TaskGraph,
    drive_many,
    run,
)
from orchestra_agents.journal.chain_records import StepStopped
from orchestra_agents.journal.records import Sampled
from orchestra_agents.journal.replay import Usage
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.models.contract import Json
from orchestra_agents.models.openai import OpenAIModel
from orchestra_agents.models.transport import Retry, Timeouts, Transport

ROOT = Path(__file__).resolve().parents[1]
SIZE = 97
LENGTH = 40
"""Steps of a chain."""
A_STEP = 4.0
"""At least about as many samples does a step take."""
K = 3
WIDTH = 64
READ_S = 1.0
GENEROUS = Budget(calls=10_000_000, tokens=1_000_000_000)
PATIENT = Retry(attempts=20, first_wait_s=0.01, max_wait_s=0.25)
FLAT_MIB = 4.0
"""By how much memory may grow from the first third of a run to its last."""
LONG = 10_000
"""Samples from which on a run is long enough to see whether it does."""
MOST_ATTEMPTS = 50
NUMBER = AnswerType("number")

Checks = dict[str, bool]
"""What should hold, and whether it does."""


class Walk:
    """Walks on a circle; each question names chain and step, so that a server can tell them apart."""

    sampling = Sampling(temperature=0.7, max_tokens=16)

    def __init__(self, chain: int, length: int = LENGTH) -> None:
        self.chain, self.length = chain, length
        self.spec = f"benchmarks.faults:Walk:{chain}"

    def first(self) -> list[int]:
        """Return place and number of steps."""
        return [1 + self.chain % SIZE, 0]

    def prompt(self, state: list[int]) -> str:
        """Ask for the next place."""
        return f"chain {self.chain} step {state[1]}: you stand at {state[0]} of {SIZE}."

    def parse(self, text: str, state: list[int]) -> int:
        """Read a place, before the number of the answer."""
        place = text.partition(" #")[0]
        if not place.isdigit():
            raise RedFlag("unparsable", text)
        return int(place)

    def advance(self, state: list[int], action: int) -> list[int]:
        """Go there."""
        return [action, state[1] + 1]

    def is_done(self, state: list[int]) -> bool:
        """Tell whether all steps are taken."""
        return state[1] >= self.length

    def reference(self, state: list[int]) -> int:
        """Return the right next place."""
        return (3 * state[0] + 1) % SIZE


@asynccontextmanager
async def voter(url: str, *, width: int = WIDTH) -> AsyncIterator[OpenAIModel]:
    """Give a model that is asked without hurry and again and again."""
    transport = Transport(url, concurrency=width, timeouts=Timeouts(connect_s=2.0, read_s=READ_S))
    model = OpenAIModel("m", name="vllm:m", transport=transport, retry=PATIENT)
    try:
        yield model
    finally:
        await model.aclose()


async def drive_walks(
    url: str,
    journal: Path,
    *,
    chains: int,
    length: int = LENGTH,
    width: int = WIDTH,
    budget: Budget | None = None,
    speculate: int = 0,
) -> list[DriveResult]:
    """Drive chains side by side, or go on with them, all of them together under a budget."""
    async with (
        voter(url, width=width) as model,
        Session(model=model, concurrency=width, journal=journal, budget=budget, probe=False) as session,
    ):
        walks = (Walk(chain, length) for chain in range(chains))
        policy = DrivePolicy(k=K, record="all", speculate=speculate)
        return await drive_many(walks, session=session, run_id="walk", at_once=width, policy=policy)


@dataclass
class Account:
    """What a journal says about the votes that were counted."""

    samples: int = 0
    """Votes, discarded replies, and samples of votes that ended without a decision."""
    votes: Counter[str] = field(default_factory=Counter)
    """Votes and discarded replies of each step that was decided, by the name that the server knows it by."""
    replies: list[str] = field(default_factory=list)
    """What tells each of them from all others."""

    @classmethod
    def of_chains(cls, path: Path) -> Account:
        """Read it from a journal of chains."""
        account = cls()
        with Journal(path, mode="read") as journal:
            for run_id in journal.run_ids():
                chain = run_id.rpartition("-")[2]
                for row in journal.steps(run_id):
                    record = row.record
                    account.votes[f"chain {chain} step {row.step}"] = record.votes + record.flagged
                    account.samples += record.votes + record.flagged + record.lost
                    account.replies += [vote.text.rpartition("#")[2] for vote in record.samples or ()]
                for entry in journal.entries(run_id):
                    if isinstance(entry.record, StepStopped):
                        account.samples += entry.record.spent.samples
        return account

    @classmethod
    def of_graph(cls, path: Path) -> Account:
        """Read it from the journal of a graph."""
        with Journal(path, mode="read") as journal:
            records = [entry.record for entry in journal.entries("graph")]
        sampled = [record for record in records if isinstance(record, Sampled)]
        votes = Counter(f"chain 0 step {record.node}" for record in sampled)
        return cls(len(sampled), votes, [record.sample() for record in sampled])


def accounted(usages: Sequence[Usage], account: Account, told: Mapping[str, Json]) -> Checks:
    """Return what holds of every run, however it ended: nothing is counted twice, and nothing served is forgotten.

    Args:
        usages: Usage of each chain.
        account: What the journal says.
        told: What the server says.
    """
    worked: Counter[str] = Counter()
    for step, count in told["worked_by_step"].items():
        worked[step.partition(" step ")[0]] += count
    forgotten = [max(0, worked[f"chain {chain}"] - usage.calls) for chain, usage in enumerate(usages)]
    calls, samples = sum(usage.calls for usage in usages), sum(usage.samples for usage in usages)
    tokens = sum(usage.as_cost().tokens for usage in usages)
    different, votes = len(set(account.replies)), sum(account.votes.values())
    given = told["samples_by_step"]
    return {
        f"{samples:,} samples in usage, {account.samples:,} in the journal": samples == account.samples,
        f"{votes:,} replies were counted, {different:,} different ones": votes == len(account.replies) == different,
        "no step counts more samples than it was given": all(
            count <= given.get(step, 0) for step, count in account.votes.items()
        ),
        f"{calls:,} calls booked, {told['worked']:,} worked on": calls >= told["worked"],
        f"{sum(forgotten)} calls forgotten, in {sum(map(bool, forgotten))} chains": not any(forgotten),
        f"{tokens:,} tokens booked, lost ones included, {told['worked_tokens']:,} worked on": tokens
        >= told["worked_tokens"],
        f"{told['most_in_flight']} requests in flight at most": told["most_in_flight"] <= WIDTH,
        f"{told['asked_while_held']} requests came while the server had asked for none": told["asked_while_held"] == 0,
    }


def exact(usages: Sequence[Usage], account: Account, told: Mapping[str, Json]) -> Checks:
    """Return what holds of work that ended well in one go: client and server agree to the last sample and token."""
    beyond = sum(usage.calls for usage in usages) - told["worked"]
    attempts = sum(usage.attempts for usage in usages)
    tokens = sum(usage.input_tokens + usage.output_tokens for usage in usages)
    met = told["faults"]
    unheard = met.get("refuse", 0) + met.get("drop", 0) + 4 * met.get("away", 0)
    return {
        f"{told['identities']:,} identities answered, {told['repeated']} more than once": told["repeated"] == 0,
        f"{attempts:,} requests sent, {told['received']:,} received": attempts >= told["received"],
        "each step counts just the samples that it was given": account.votes == told["samples_by_step"],
        f"{tokens:,} tokens told, {told['tokens']:,} given": tokens == told["tokens"],
        f"{beyond} calls booked beyond those worked on, {unheard} may have been lost unheard": beyond <= unheard,
    }


def failures(when: str, checks: Checks) -> Checks:
    """Return what does not hold, and when."""
    return {f"{when}: {sentence}": False for sentence, holds in checks.items() if not holds}


def all_right(results: Sequence[DriveResult]) -> Checks:
    """Return whether all chains ended well."""
    right = sum(result.status == "ok" and result.correct is True for result in results)
    return {f"{right} of {len(results)} chains ended right": right == len(results)}


@dataclass
class Served:
    """A server that runs as a process of its own."""

    url: str

    def told(self) -> Any:
        """Return its counts; it may refuse this connection, too."""
        patient_until = time.monotonic() + 10
        while True:
            try:
                with urllib.request.urlopen(self.url.removesuffix("/v1") + "/stats") as answer:
                    return json.load(answer)
            except OSError:
                if time.monotonic() > patient_until:
                    raise
                time.sleep(0.05)


@contextmanager
def served(faults: str, seed: int) -> Iterator[Served]:
    """Start a server for the length of a `with` block."""
    command = [sys.executable, "-m", "tests.agents.fault_server", "--faults", faults, "--seed", str(seed)]
    command += ["--latency-ms", "4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        try:
            yield Served(f"http://127.0.0.1:{server.stdout.readline().strip()}/v1")
        finally:
            server.terminate()
            server.stdout.read()


def resident_mib() -> float:
    """Return this process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Memory:
    """Resident memory over time."""

    def __init__(self) -> None:
        self.mib: list[float] = []

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look at it five times a second."""

        async def look() -> None:
            while True:
                self.mib.append(resident_mib())
                await asyncio.sleep(0.2)

        task = asyncio.create_task(look())
        try:
            yield
        finally:
            task.cancel()

    def is_flat(self) -> Checks:
        """Compare the last third with the first, a fifth left out to warm up."""
        warm = self.mib[len(self.mib) // 5 :]
        third = max(1, len(warm) // 3)
        early, late = max(warm[:third]), max(warm[-third:])
        return {f"memory {early:.1f} MiB in the first third, {late:.1f} MiB in the last": late - early <= FLAT_MIB}


def report(name: str, checks: Checks, told: Mapping[str, Json], seconds: float) -> bool:
    """Print a run and return whether all holds."""
    samples = told["samples"]
    speed = f"{seconds:.1f} s, {samples / seconds:,.0f} samples a second"
    print(f"{name}: {samples:,} samples, {told['received']:,} requests, {speed}")
    faults = Counter(told["faults"])
    none = faults.pop("none", 0)
    met = ", ".join(f"{fault} {count}" for fault, count in sorted(faults.items()))
    print(f"  faults met: {sum(faults.values()):,}, {none:,} requests met none ({met}; {told['dropped']} dropped)")
    for sentence, holds in checks.items():
        print(f"  {'ok    ' if holds else 'FAILED'} {sentence}")
    return all(checks.values())


def voting(name: str, samples: int, seed: int, budget: Budget | None, folder: Path) -> bool:
    """Run chains to their end in one go."""
    memory = Memory()

    async def main(url: str) -> list[DriveResult]:
        async with memory.watched():
            return await drive_walks(url, folder / "journal.db", chains=chains_for(samples), budget=budget)

    with served(name, seed) as server:
        started = time.perf_counter()
        results = asyncio.run(main(server.url))
        seconds, told = time.perf_counter() - started, server.told()
    account, usages = Account.of_chains(folder / "journal.db"), [result.usage for result in results]
    checks = all_right(results) | accounted(usages, account, told) | exact(usages, account, told)
    return report(name, checks | (memory.is_flat() if samples >= LONG else {}), told, seconds)


def capped(name: str, samples: int, seed: int, budget: Budget, folder: Path) -> bool:
    """Run chains into a cap, then go on without it."""
    journal, cap = folder / "journal.db", budget.calls or budget.tokens or 0
    chains, speculate = chains_for(samples), 4 if name == "bets" else 0
    with served("keeping-n", seed) as server:
        started = time.perf_counter()
        stopped = asyncio.run(drive_walks(server.url, journal, chains=chains, budget=budget, speculate=speculate))
        at_cap, account = server.told(), Account.of_chains(journal)
        results = asyncio.run(drive_walks(server.url, journal, chains=chains, speculate=speculate))
        seconds, told = time.perf_counter() - started, server.told()
    ends = Counter(result.status for result in stopped)
    unit, counted = ("calls", "worked") if budget.calls else ("tokens", "worked_tokens")
    taken = at_cap[counted]
    checks = {
        f"{ends['budget']} of {len(stopped)} chains stopped at a cap of {cap:,} {unit}": ends["budget"] > 0
        and set(ends) <= {"budget", "ok"},
        f"the server counted {taken:,} of them": taken <= cap,
    }
    checks |= failures("at the cap", accounted([result.usage for result in stopped], account, at_cap))
    checks |= all_right(results)
    checks |= accounted([result.usage for result in results], Account.of_chains(journal), told)
    return report(name, checks, told, seconds)


def final(name: str, samples: int, seed: int, folder: Path) -> bool:
    """Run chains into faults that end them, and go on until all have ended well."""
    journal, attempts = folder / "journal.db", 0
    checks: Checks = {}
    with served(name, seed) as server:
        started = time.perf_counter()
        failed = True
        while failed and attempts < MOST_ATTEMPTS:
            attempts += 1
            results = asyncio.run(drive_walks(server.url, journal, chains=chains_for(samples), budget=GENEROUS))
            held = accounted([result.usage for result in results], Account.of_chains(journal), server.told())
            checks |= failures(f"attempt {attempts}", held)
            failed = any(result.status == "failed" for result in results)
        seconds, told = time.perf_counter() - started, server.told()
    checks[f"all ended well after {attempts} attempts"] = not failed
    return report(name, checks | held | all_right(results), told, seconds)


async def run_graph(url: str, journal: Path, places: Mapping[str, int], budget: Budget) -> RunResult:
    """Run a graph of independent subtasks, each of which is put to the vote, or go on with it."""
    tasks = TaskGraph(
        Subtask(id=number, description=f"chain 0 step {number}: you stand at {place} of {SIZE}.", answer=NUMBER)
        for number, place in places.items()
    )
    async with voter(url) as model, Session(model=model, concurrency=WIDTH, journal=journal, probe=False) as session:
        choices = Choices(topology="parallel", k=K, temperature=0.7, max_tokens=16)
        return await run(Plan(task=tasks, choices=choices), session=session, run_id="graph", budget=budget)


def graph(name: str, samples: int, seed: int, budget: Budget, folder: Path) -> bool:
    """Run a graph, and go on with larger caps until it has ended well."""
    journal, attempts = folder / "journal.db", 0
    places = {str(number): number % SIZE for number in range(round(samples / A_STEP))}
    checks: Checks = {}
    with served("final" if name == "graph-final" else "voting", seed) as server:
        started = time.perf_counter()
        status = ""
        while status != "ok" and attempts < MOST_ATTEMPTS:
            attempts += 1
            result = asyncio.run(run_graph(server.url, journal, places, GENEROUS if attempts > 1 else budget))
            told, account, status = server.told(), Account.of_graph(journal), result.status
            held = accounted([result.usage], account, told)
            checks |= failures(f"attempt {attempts}, {status}", held)
            if attempts == 1 and budget is not GENEROUS:
                checks[f"it ended {status} at a cap of {budget.calls}, {told['worked']} worked on"] = (
                    status == "budget" and told["worked"] <= (budget.calls or 0)
                )
        seconds = time.perf_counter() - started
    right = sum(result.subtasks[number].get("answer") == (3 * place + 1) % SIZE for number, place in places.items())
    checks[f"{right} of {len(places)} subtasks are right after {attempts} attempts"] = right == len(places)
    checks |= held | (exact([result.usage], account, told) if attempts == 1 else {})
    return report(name, checks, told, seconds)


def chains_for(samples: int) -> int:
    """Return how many chains take about so many samples."""
    return max(1, round(samples / A_STEP / LENGTH))


def main() -> int:
    """Run everything, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="part of a run's name")
    options = parser.parse_args()
    full, few, seed = options.samples, options.samples // 4, options.seed
    runs = {
        "voting": lambda folder: voting("voting", full, seed, GENEROUS, folder),
        "keeping-n": lambda folder: voting("keeping-n", few, seed, None, folder),
        "calls": lambda folder: capped("calls", few, seed, Budget(calls=few // 4), folder),
        "tokens": lambda folder: capped("tokens", few, seed, Budget(tokens=8 * few), folder),
        "bets": lambda folder: capped("bets", few, seed, Budget(calls=few // 2), folder),
        "final": lambda folder: final("final", few, seed, folder),
        "graph": lambda folder: graph("graph", few, seed, GENEROUS, folder),
        "graph-calls": lambda folder: graph("graph-calls", few, seed, Budget(calls=few // 4), folder),
        "graph-final": lambda folder: graph("graph-final", few, seed, GENEROUS, folder),
    }
    holds = True
    for name, work in runs.items():
        if options.only in name:
            with tempfile.TemporaryDirectory() as folder:
                holds &= work(Path(folder))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
