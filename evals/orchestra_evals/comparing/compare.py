"""Comparing systems on a suite: all of them asked under the same cap, then told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from orchestra.choices import Choices
from orchestra.panel import ModelSpec
from orchestra_agents.errors import InputError
from orchestra_agents.ledger import Budget
from orchestra_evals.comparing.compared import Compared
from orchestra_evals.comparing.contest import Profiles, contest_of
from orchestra_evals.comparing.lineup import Asked
from orchestra_evals.comparing.profiling import Pilot, pilots_of
from orchestra_evals.runner.bench import Watch
from orchestra_evals.runner.composing import Systems
from orchestra_evals.runner.evaluating import Evaluator, Keeping, Opens, temporary_journal
from orchestra_evals.runner.selection import Selection
from orchestra_evals.suites.suite import Suite
from orchestra_evals.systems.system import GraphSource

_CHOICES, _SELECTION, _KEEPING = Choices(), Selection(), Keeping()


async def compare(
    suite: Suite | str,
    *,
    systems: Systems | None = None,
    topologies: Asked = "all",
    teams: Asked | None = None,
    models: Sequence[ModelSpec | None] = (None,),
    budget: Budget | None = None,
    choices: Choices = _CHOICES,
    decompose: GraphSource = "suite",
    profile: Profiles | None = None,
    calibrate: int = 0,
    selection: Selection = _SELECTION,
    keeping: Keeping = _KEEPING,
    opens: Opens | None = None,
    watch: Watch | None = None,
) -> Compared:
    """Return how systems do on the same samples, each with each model under the same cap.

    One agent that is asked the whole question always competes, as what all others are compared with, and so does
    self-consistency where samples are answered. The same call with the same journal goes on where it was stopped, and
    asks nothing again that was answered.

    Args:
        suite: A suite, or its name.
        systems: Systems of your own, beside the others: async functions of a sample by name, or systems.
        topologies: `all`, or those to compare. With `all` or `auto`, what `orchestra.run` does by itself competes, too.
        teams: Those that each topology gets, `all` being all seven; None is all for the topology `single`, and one
            agent and a vote for the others.
        models: Who answers; each is a model, a panel, or either by role, and every system is asked with each.
        budget: Caps of each system with each model. Where none is in calls, tokens or dollars it is in tokens: half as
            much again as the dearest wiring is estimated to take.
        choices: Margin and sampling; topology and team are not looked at, and self-consistency has a temperature of
            its own.
        decompose: Who splits samples up: the suite in code, a model, or nobody.
        profile: What was measured of the model, or of several by their names: with it accuracies are foretold, and
            what `orchestra.run` does by itself may follow a forecast.
        calibrate: Samples of the suite's split `calibrate` on which each model is measured first, in place of
            `profile`; 0 measures nothing. What that takes counts against no cap.
        selection: Which samples, and how often.
        keeping: Where records and rows are kept.
        opens: Opens the session of a system with a model; None opens a plain one.
        watch: Told every row that is made.

    Raises:
        InputError: Suite, systems, models or a value is wrong; nothing was asked.
        ModelUnavailable: A model cannot be used here.
        JournalError: A record could not be written, or somebody else is at work on a cell.
    """
    keeping = replace(keeping, journal=keeping.journal or temporary_journal())
    compete = partial(
        contest_of,
        suite,
        systems=systems,
        topologies=topologies,
        teams=teams,
        models=models,
        budget=budget,
        choices=choices,
        decompose=decompose,
        selection=selection,
        name=keeping.name,
    )
    contest = await compete(profile=profile)
    pilots: dict[str, Pilot] = {}
    if calibrate:
        if profile is not None:
            raise InputError("calibrate", "measures a profile; leave it out, or `profile`")
        pilots = await pilots_of(contest, samples=calibrate, keeping=keeping, opens=opens)
        contest = await compete(profile={name: pilot.profile for name, pilot in pilots.items()})
    evaluation = await Evaluator(contest.cells, keeping=keeping, opens=opens, watch=watch).run()
    return await Compared.of(contest, evaluation, pilots=pilots)
