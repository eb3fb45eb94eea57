"""The three chains for the embedded model, three seeds each, and the same questions answered once: evidence real.

python benchmarks/chains.py [--seeds 3] [--questions 60] [--only PROCESS] [--singles-only]

Code keeps state and strategy; the model answers one atomic question a step; no juror's examples hold the asked pair.
The bound is the upper 95 % bound on the error of one decision: over all decisions, and over distinct questions, which
are fewer and the honest number where decisions repeat.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
from dataclasses import replace

from orchestra import DrivePolicy, DriveResult, Jury, Prompt, Session, drive
from orchestra.driving import room_of
from orchestra_agents.chains.chain import Chain
from orchestra_agents.models.contract import Model
from orchestra_agents.models.names import resolve
from orchestra_agents.processes.catalog import make_process
from orchestra_agents.voting.intervals import clopper_pearson, zero_bound

CHAINS = {
    "hanoi-atomic": "hanoi-atomic:disks=8",
    "addition-counting": "addition-counting:digits=500,seed={seed}",
    "extraction": "extraction:items=300,seed={seed}",
}
TEMPERATURES = (0.0, 0.3, 0.7)


async def voted(name: str, seed: int) -> DriveResult:
    process = make_process(CHAINS[name].format(seed=seed))

    async with Session(**room_of(process)) as session:
        return await drive(process, model="embedded", session=session, policy=DrivePolicy(seed=seed))


def report(name: str, seed: int, result: DriveResult) -> str:
    assert result.evidence == "real"
    wrong, distinct = result.wrong_decisions or 0, result.distinct_questions
    bounds = [
        zero_bound(n) if not wrong else clopper_pearson(wrong, n, level=0.9).high for n in (result.steps, distinct)
    ]
    return (
        f"{name} seed {seed}: {result.steps} decisions, {wrong} wrong; {distinct} distinct questions; {result.votes} "
        f"votes, {result.wrong_votes} wrong; error of a decision at most {bounds[0]:.2%} (by distinct questions "
        f"{bounds[1]:.1%}); {result.status}, end {'right' if result.correct else 'WRONG'}, {result.seconds:.0f} s"
    )


def _bound(wrong: int, count: int) -> float:
    return clopper_pearson(wrong, count, level=0.9).high if wrong else zero_bound(count)


async def singles(name: str, model: Model, questions: int) -> str:
    """Return how often one answer alone is right, by temperature; of a jury, a juror drawn at random answers."""
    chain, rng = Chain(make_process(CHAINS[name].format(seed=1))), random.Random(1)
    state, asked = chain.first, []
    while not chain.process.is_done(state):
        asked.append(state)
        state = chain.next(state, chain.process.reference(state))  # type: ignore[attr-defined]
    asked = rng.sample(asked, min(questions, len(asked)))
    shares = []
    for temperature in TEMPERATURES:
        right = 0
        for number, at in enumerate(asked):
            question = chain.question(at, f"single {number}")
            prompt, sampling = question.asked, chain.sampling
            if isinstance(prompt, Jury):
                juror = prompt.jurors[rng.randrange(len(prompt.jurors))]
                prompt, sampling = juror.prompt, juror.sampling or sampling
            assert isinstance(prompt, Prompt)
            assert sampling is not None
            [completion] = await model.sample(prompt, replace(sampling, temperature=temperature, seed=number))
            reading = chain.read(completion, at)
            right += reading.flag is None and reading.key == chain.key(question.expected)
        shares.append(f"T={temperature:g} {right} of {len(asked)}")
    return f"{name}: single answers right: {', '.join(shares)}"


async def main(options: argparse.Namespace) -> None:
    print("evidence: real (SmolLM2-135M-Instruct Q4_1)", flush=True)
    for name in [options.only] if options.only else CHAINS:
        for seed in range(1, 1 if options.singles_only else options.seeds + 1):
            print(report(name, seed, await voted(name, seed)), flush=True)
        model = resolve("embedded", environ=os.environ, slots=32)
        print(await singles(name, model, options.questions), flush=True)
        await model.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--only", choices=CHAINS)
    parser.add_argument("--singles-only", action="store_true")
    asyncio.run(main(parser.parse_args()))
