"""`orchestra forecast team`: whether a team is likely to beat one agent, by the law of 180 published runs."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from orchestra.cli.common import JsonOption, print_json
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json

if TYPE_CHECKING:
    from orchestra.budget.team import TeamForecast, TeamLaw
    from orchestra.budget.team_validation import LeftOut

BASIS = "fitted to 180 published runs"
"""What stands behind every figure: other people's runs, neither real nor simulated evidence of ours."""

SOURCE = {
    "study": "Towards a Science of Scaling Agent Systems",
    "arxiv": "2512.08296",
    "version": "v2",
    "data": "orchestra/budget/data/agent_scaling_180.csv",
    "provenance": "orchestra/budget/data/PROVENANCE.md",
}


def team_command(
    tools: Annotated[int, typer.Option(help="Tools that an agent has, 0 to 1000; the data has 3, 4, 5 and 16.")],
    single_accuracy: Annotated[float, typer.Option(help="Accuracy of one agent on such tasks, 0 to 1.")],
    intelligence: Annotated[
        float | None, typer.Option(help="Intelligence index of the model, 0 to 100; left out, the data's mean.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Say which architecture the published runs favour, how sure that is, and how badly it carries over."""
    law: TeamLaw = importlib.import_module("orchestra.budget.team").published_law()  # brings NumPy: `vote` needs none
    try:
        forecast = law.predict(tools, single_accuracy, intelligence)
    except InputError as error:
        option = f"--{error.field.replace('_', '-')}"
        raise InputError(option, str(error).removeprefix(f"{error.field}: ")) from error
    if json_:
        print_json(_document(law, forecast))
    else:
        typer.echo("\n".join(_lines(law, forecast)))


def _document(law: TeamLaw, forecast: TeamForecast) -> dict[str, Json]:
    predictions = forecast.predictions
    return {
        "basis": BASIS,
        "accuracy": {name: one.accuracy for name, one in predictions.items()},
        "interval": {name: {"low": one.low, "high": one.high} for name, one in predictions.items()},
        "raw": {
            name: {"accuracy": one.raw, "low": one.raw_low, "high": one.raw_high} for name, one in predictions.items()
        },
        "turns": {name: law.priors[name].turns for name in predictions},
        "best": forecast.best,
        "near_best": list(forecast.near_best),
        "extrapolated": forecast.extrapolated,
        "outside": list(forecast.outside),
        "tools": forecast.tools,
        "single_accuracy": forecast.single_accuracy,
        "intelligence": forecast.intelligence,
        "intelligence_assumed": forecast.is_intelligence_assumed,
        "left_out": None if forecast.left_out is None else asdict(forecast.left_out),
        "fit": _fit(law),
        "source": SOURCE,
    }


def _fit(law: TeamLaw) -> dict[str, Json]:
    return {
        "runs": law.runs,
        "columns": len(law.coefficients) + 1,
        "rank": law.rank,
        "not_identified": list(law.not_identified),
        "r2": law.r2,
        "aic": law.aic,
        "sigma": law.sigma,
        "mean_error": law.mean_error,
        "cross_validation": None if law.cross_validation is None else asdict(law.cross_validation),
    }


def _lines(law: TeamLaw, forecast: TeamForecast) -> Iterator[str]:
    yield f"{'team':15}{'accuracy':11}{'95 % interval':16}turns"
    for name, one in forecast.predictions.items():
        interval = f"{one.low:.2f} to {one.high:.2f}"
        yield f"{name:15}{one.accuracy:<11.3f}{interval:16}{law.priors[name].turns:g}".rstrip()
    yield from _verdict(forecast)
    yield _assumptions(forecast)
    yield (
        f"Basis: {BASIS} (arXiv {SOURCE['arxiv']} {SOURCE['version']}; R2 {law.r2:.2f}, sigma {law.sigma:.2f}); "
        "nothing was measured on your task."
    )
    if forecast.left_out is not None:
        yield from _left_out(forecast.left_out)


def _verdict(forecast: TeamForecast) -> Iterator[str]:
    others = ", ".join(forecast.near_best[1:])
    if forecast.extrapolated:
        yield f"Extrapolated: {'; '.join(forecast.outside)}."
        yield f"No winner can be named: {forecast.best} has the highest figure, but as good may be {others}."
    else:
        yield f"Best: {forecast.best}; " + (f"within 0.05 of it: {others}." if others else "none is within 0.05 of it.")


def _assumptions(forecast: TeamForecast) -> str:
    index = f"{forecast.intelligence:.5g}"
    if forecast.is_intelligence_assumed:
        index += " (the mean of the runs, as none was given)"
    single = f"one agent right with {forecast.single_accuracy:g}"
    return f"Assumed: {forecast.tools} tools, {single}, intelligence index {index}; turns are the runs' means."


def _left_out(left_out: LeftOut) -> Iterator[str]:
    """Say how well each family of tasks is predicted by the others, which is what a new task is to expect."""
    errors = ", ".join(f"{one.family} {one.mean_error:.2f}" for one in left_out.families)
    yield f"On a new kind of task: each benchmark, predicted from the others, is off by {errors} on average;"
    picked = left_out.selection
    if picked is not None:
        yield f"the pick is the best one in {picked.exact:.0%} and within 0.05 of it in {picked.near:.0%} of the cases."
