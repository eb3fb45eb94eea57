"""What the options of the eval commands mean: suites, systems, and how their sessions are opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

import typer

from orchestra.budget.profile import Profile
from orchestra.choices import Choices
from orchestra.cli.common import Access, make_session
from orchestra.cli.plan import parse_k
from orchestra.naming import own_object
from orchestra.session import Session
from orchestra_agents.errors import InputError
from orchestra_agents.ledger import Budget, Cost
from orchestra_agents.models.contract import Json
from orchestra_evals.isolation import IsolationUnavailable, printed_by, require_isolation
from orchestra_evals.runner.cells import caps
from orchestra_evals.runner.evaluating import Opens
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.suites.suite import Suite
from orchestra_evals.systems.own import Own
from orchestra_evals.systems.self_consistency import SelfConsistency
from orchestra_evals.systems.system import GraphSource, System
from orchestra_evals.systems.wiring import Wiring

SuiteArgument = Annotated[
    str, typer.Argument(metavar="SUITE", help="NAME or NAME:key=value,...; gym:NAME, file:PATH; see `eval list`.")
]
DifficultyOption = Annotated[
    list[str] | None, typer.Option("--difficulty", help="AXIS=VALUE: keep an axis at one value; repeat.")
]
ThresholdOption = Annotated[float | None, typer.Option("--threshold", help="Exit 4 where the score is below it.")]
CodeOption = Annotated[bool, typer.Option("--allow-code", help="Run answers that are programs, in isolation.")]
DecomposeOption = Annotated[
    str, typer.Option("--decompose", help="Who makes a graph of a sample: suite, model or none.")
]


def opening(base_url: str | None, access: Access) -> Opens:
    """Return what opens the session of a cell as the options say."""

    def opens(journal: Path, budget: Budget, spent: Cost) -> Session:
        return make_session(
            journal, None, base_url, access=access, budget=budget if caps(budget) else None, spent=spent
        )

    return opens


def make_choices(
    *, topology: str, team: str, k: str | None, temperature: float | None, max_tokens: int | None
) -> Choices:
    """Return the choices that options describe.

    Raises:
        InputError: One of them is not allowed.
    """
    said: dict[str, Json] = {"topology": topology, "team": team, "temperature": temperature, "max_tokens": max_tokens}
    said["k"] = k if k in (None, "auto") else parse_k(str(k))
    return Choices(**{name: value for name, value in said.items() if value is not None})


def make_system(name: str, choices: Choices, *, decompose: str = "suite", profile: Path | None = None) -> System:
    """Return the system that an option names.

    Raises:
        InputError: There is none of that name.
    """
    if name == "wiring":
        known = None if profile is None else Profile.load(profile)
        return Wiring(choices=choices, decompose=cast(GraphSource, decompose), profile=known)
    if name == "selfconsistency":
        return SelfConsistency(choices=choices)
    module, _, function = name.partition(":")
    if not function.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise InputError("--system", f"must be wiring, selfconsistency or module.path:function, got {name!r}")
    made = own_object(module, function, "--system")
    return made if isinstance(made, System) else Own(name, made)


def load_suite(name: str, *, allow_code: bool) -> Suite:
    """Return the suite of a name, able to run programs where that is allowed.

    Raises:
        InputError: There is none, or programs cannot be isolated here.
    """
    if not allow_code:
        return make_suite(name)
    try:
        isolation = require_isolation()
    except IsolationUnavailable as error:
        raise InputError("--allow-code", str(error)) from error
    return make_suite(name, run=printed_by(isolation))


def parse_difficulty(options: Sequence[str]) -> dict[str, Json]:
    """Return the axes that options keep at one value; digits are integers.

    Raises:
        InputError: One is not AXIS=VALUE, or an axis comes twice.
    """
    said: dict[str, Json] = {}
    for option in options:
        axis, equals, value = option.partition("=")
        if not equals or not axis or not value or axis in said:
            raise InputError("--difficulty", f"must be AXIS=VALUE, each axis once, got {option!r}")
        said[axis] = int(value) if value.isascii() and value.isdigit() and len(value) < 19 else value
    return said
