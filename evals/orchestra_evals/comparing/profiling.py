"""A model measured on a suite: the samples of its split `calibrate` as items of a pilot, and the profile they make."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra.budget.items import Item
from orchestra.budget.pilot import MESSAGES, PilotDesign, calibrate
from orchestra.budget.profile import Profile
from orchestra.choices import Choices
from orchestra.panel import ModelSpec, default_model
from orchestra.session import Session
from orchestra_agents.errors import InputError
from orchestra_agents.journal.records import Record
from orchestra_agents.journal.replay import RunState, Usage
from orchestra_agents.ledger import Budget, Cost
from orchestra_agents.models.contract import Json, canonical_json, digest
from orchestra_evals.comparing.contest import Contest
from orchestra_evals.comparing.lineup import BASELINE
from orchestra_evals.runner.cells import model_name
from orchestra_evals.runner.evaluating import Keeping, Opens, plain_session
from orchestra_evals.runner.selection import Selection
from orchestra_evals.suites.acting import environment_of
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.suites.suite import Sample, Suite
from orchestra_evals.systems.wiring import Wiring
from orchestra_topologies.graph import TaskGraph
from orchestra_topologies.panel import WORKER
from orchestra_topologies.prompts import VERSION

_FORMAT = 2  # rises with any change of what is asked
_CHOICES = Choices()
_SLUG = 30
_MESSAGES = (32,)  # of agents that tell one another an answer and why


@dataclass(frozen=True, slots=True)
class Pilot:
    """What was measured of a model on a suite."""

    profile: Profile
    usage: Usage
    """What it took, over all attempts; no part of what is compared."""


async def profile_of(
    suite: Suite | str,
    model: ModelSpec | None,
    *,
    samples: int,
    panel: int = 5,
    messages: Sequence[int] = MESSAGES,
    seed: int = 0,
    choices: Choices = _CHOICES,
    budget: Budget | None = None,
    session: Session,
    watch: Callable[[Record], None] | None = None,
) -> Pilot:
    """Return what was measured of a model on samples of a suite's split `calibrate`, and what that took.

    The run has a name that all of this decides: the same call with the same journal goes on where it was stopped, and
    asks nothing that was answered.

    Args:
        suite: A suite, or its name.
        model: Who is measured, one model; of roles, the worker.
        samples: Most samples.
        panel: Votes on each item.
        messages: Lengths of messages in tokens; none measures no gamma.
        seed: Which samples are made, and the seed of the votes.
        choices: Temperature and most tokens of a reply, as in the runs that are to be foretold.
        budget: Caps on the measurement.
        session: Owner of models, ledger and journal.
        watch: Told every record of the run.

    Raises:
        InputError: Nothing can be measured on the suite, or an option is wrong; nothing was asked.
        BudgetExceeded: The budget does not pay for the rest; what was asked is recorded.
        ModelError: The model did not answer; likewise.
        RunOwned: Another live process is measuring the same.
    """
    found = make_suite(suite) if isinstance(suite, str) else suite
    worker = model.get(WORKER) if isinstance(model, Mapping) else model
    design = PilotDesign(chain=1, seed=seed, temperature=choices.temperature, max_tokens=choices.max_tokens)
    who = default_model() if worker is None else model_name(worker)
    asked = [samples, panel, list(messages), seed, design.temperature, design.max_tokens]
    key = digest([_FORMAT, VERSION, found.name, found.about.version, who, *asked])[:12]
    words = re.sub("[^A-Za-z0-9]+", "-", found.name).strip("-")[:_SLUG].strip("-") or "suite"
    run_id = f"profile-{words}-{key}"
    profile = await calibrate(
        suite_items(found, samples=samples, seed=seed),
        model=worker,
        panel=panel,
        messages=messages,
        design=design,
        budget=budget,
        session=session,
        run_id=run_id,
        watch=watch,
    )
    return Pilot(profile=profile, usage=RunState.of(session.journal.entries(run_id)).usage)


async def pilots_of(contest: Contest, *, samples: int, keeping: Keeping, opens: Opens | None) -> dict[str, Pilot]:
    """Return what was measured of each model of a contest on its suite, by the models' names.

    Args:
        contest: Its baseline says which model is measured, and how its replies are drawn.
        samples: Most samples of the suite's split `calibrate`.
        keeping: Where the votes are recorded.
        opens: Opens a session there; None opens a plain one.

    Raises:
        InputError, ModelError: As `profile_of`.
    """
    found: dict[str, Pilot] = {}
    for cell in contest.cells:
        if cell.called == BASELINE and isinstance(cell.system, Wiring):
            async with (opens or plain_session)(Path(keeping.journal or ""), Budget(), Cost()) as session:
                found[cell.model_name] = await profile_of(
                    cell.suite,
                    cell.model,
                    samples=samples,
                    messages=_MESSAGES,
                    seed=cell.selection.seed,
                    choices=cell.system.choices,
                    session=session,
                )
    return found


def named_items(name: str, count: int, seed: int) -> list[Item]:
    """Return at most `count` items of the suite of a name, at least 2: what `orchestra calibrate SUITE` measures.

    Raises:
        InputError: There is no such suite, or nothing can be measured on it.
    """
    suite = make_suite(name)
    items = suite_items(suite, samples=count, seed=seed)
    return items if len(items) <= count else suite_items(suite, samples=max(1, count // 2), seed=seed)


def suite_items(suite: Suite, *, samples: int, seed: int = 0) -> list[Item]:
    """Return what is asked of a model that is measured on a suite; equal seeds give equal items.

    Of a sample that the suite makes a graph of, these are one of the subtasks that need no other one, drawn by the
    seed and asked as in a run, whose size is 1, and the whole question, whose size is the number of subtasks. Of any
    other sample it is the question, of size 1. What the suite's checker accepts is right.

    Args:
        suite: The suite.
        samples: Most samples of the split `calibrate`, its default difficulties by turns.
        seed: Which samples are made.

    Raises:
        InputError: Samples are acted in, answered in text or code, which nobody can count, or have no wrong answer.
    """
    drawn = Selection(limit=samples, seed=seed, split="calibrate").samples(suite)
    rng = random.Random(canonical_json([suite.name, seed]))
    parts: list[Item] = []
    wholes: list[Item] = []
    for place, sample in enumerate(drawn):
        _check(suite, sample)
        graph = suite.graph(sample)
        parts += _part(graph, f"part {place}", rng) if graph is not None else []
        wholes.append(_whole(suite, sample, f"item {place}", 1 if graph is None else len(graph)))
    return parts + wholes


def _check(suite: Suite, sample: Sample) -> None:
    if environment_of(sample) is not None:
        raise InputError("suite", f"{suite.name} is acted in with tools; a profile is measured on answers")
    if not sample.answer.votable:
        told = "a profile is measured on answers that can be counted: a choice, a number or JSON"
        raise InputError("suite", f"{suite.name} is answered in {sample.answer.kind}; {told}")
    if not sample.wrong:
        raise InputError("suite", f"{suite.name} has no wrong answer for {sample.id}, as a measurement needs")


def _whole(suite: Suite, sample: Sample, name: str, size: int) -> Item:
    """Return the question of a sample, as a lone agent is asked it."""

    def is_right(answer: Json) -> bool:
        return suite.check(sample, answer).value >= 1

    return Item(
        name=name,
        input=sample.question,
        answer=sample.answer,
        target=sample.target,
        wrong=sample.wrong,
        size=float(size),
        check=is_right,
    )


def _part(graph: TaskGraph, name: str, rng: random.Random) -> list[Item]:
    """Return one subtask without inputs whose answer is known and can be counted, as it is asked in a run, if any."""
    entries = [
        one for one in graph if not one.depends_on and one.answer.votable and one.truth and one.truth.distractors()
    ]
    if len(graph) == 1 or not entries:
        return []
    one = rng.choice(entries)
    assert one.truth is not None
    return [
        Item(
            name=name,
            input=one.description,
            answer=one.answer,
            target=one.truth.answer,
            wrong=tuple(one.truth.distractors()),
            goal=graph.goal,
            context=graph.context if one.context is None else one.context,
            examples=one.examples,
        )
    ]
