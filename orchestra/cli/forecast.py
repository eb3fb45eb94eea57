"""`orchestra forecast`: what the laws say before anything is spent."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Annotated

import typer

from orchestra.cli.common import JsonOption, print_json
from orchestra.cli.forecast_phase import phase_command
from orchestra.cli.forecast_team import team_command
from orchestra_agents.errors import InputError
from orchestra_agents.voting import law
from orchestra_agents.voting.ahead import LARGEST_K

TARGET = 0.95
"""Wanted reliability of a run that says nothing else."""

forecast_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
forecast_app.command("team")(team_command)
forecast_app.command("phase")(phase_command)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteForecast:
    """What a margin is worth and what it costs; what needs a margin is None where none was given and none is enough."""

    k: int | None = None
    """The margin given, else the least that reaches the target."""
    k_min: int | None
    """The least margin that reaches the target, if one does."""
    k_exact: float | None
    """The real-valued margin for one wrong answer and independent errors; None where p is at most 1/2."""
    p_step: float | None = None
    """Probability that a decision (a step, or a call's m steps) is right."""
    p_run: float | None = None
    """Probability that all decisions are."""
    votes_per_step: float | None = None
    """Mean valid votes per step."""
    calls: float | None = None
    """Mean calls of the run: steps * votes_per_step / valid."""
    cost_usd: float | None = None
    """Mean cost of the run; None without prices."""
    target: float
    reaches_target: bool = False
    rho_allowed: float | None = None
    """Largest rho at which k still reaches the target; 0 where it does not even at rho = 0."""
    exact: bool = True
    """False where p_step and p_run are lower bounds and votes_per_step an estimate: too many wrong answers to solve."""
    reason: str | None = None
    """Why no margin reaches the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a forecast is asked for, each as the option of its name says."""

    p: float
    steps: int
    m: int
    valid: float
    rho: float
    wrong: int
    target: float
    k: int | None


@forecast_app.callback()
def _forecast() -> None:
    """Say what votes are worth and what they cost, before anything is spent."""


@forecast_app.command("vote")
def vote_command(
    p: Annotated[float, typer.Option("--p", help="Probability that one valid vote is right, 0 to 1.")],
    steps: Annotated[int, typer.Option(help="Steps of the run.")],
    m: Annotated[int, typer.Option("--m", help="Steps per call.")] = 1,
    valid: Annotated[float, typer.Option(help="Share of replies without a red flag, above 0 to 1.")] = 1.0,
    rho: Annotated[float, typer.Option(help="Share of steps whose votes are all copies of one draw, 0 to 1.")] = 0.0,
    target: Annotated[float, typer.Option(help="Wanted probability that the whole run is right.")] = TARGET,
    k: Annotated[int | None, typer.Option("--k", help="Margin; left out, the least that reaches the target.")] = None,
    wrong: Annotated[int, typer.Option(help="Equally likely wrong answers; 1 is the worst case.")] = 1,
    price_input: Annotated[float | None, typer.Option(help="US dollars per million input tokens.")] = None,
    price_output: Annotated[float | None, typer.Option(help="US dollars per million output tokens.")] = None,
    tokens_input: Annotated[float | None, typer.Option(help="Input tokens per call.")] = None,
    tokens_output: Annotated[float | None, typer.Option(help="Output tokens per call.")] = None,
    json_: JsonOption = False,
) -> None:
    """Say how sure and how expensive first-to-ahead-by-k voting is over a run of many steps."""
    asked = Question(p=p, steps=steps, m=m, valid=valid, rho=rho, wrong=wrong, target=target, k=k)
    usd_per_call = _usd_per_call({"input": (price_input, tokens_input), "output": (price_output, tokens_output)})
    try:
        forecast = forecast_vote(asked, usd_per_call)
    except InputError as error:
        raise InputError(f"--{error.field}", str(error).removeprefix(f"{error.field}: ")) from error
    if json_:
        print_json(asdict(forecast))
    else:
        typer.echo("\n".join(_lines(asked, forecast)))


def forecast_vote(asked: Question, usd_per_call: float | None = None) -> VoteForecast:
    """Return the law's figures for a question.

    Args:
        asked: The question.
        usd_per_call: Mean cost of one call in US dollars, or None.

    Raises:
        InputError: A value is outside its domain; the field is its name.
    """
    p, m, wrong, rho = asked.p, asked.m, asked.wrong, asked.rho
    least = law.k_min(p, asked.steps, asked.target, m=m, rho=rho, wrong=wrong)
    k = least if asked.k is None else asked.k
    real = law.k_exact(p, asked.steps, asked.target, m=m) if p > 0.5 else None
    reason = _no_margin(asked) if least is None else None
    law.calls(asked.steps, 0.0, asked.valid)  # refuses what is no share, also where there is nothing to forecast
    if k is None:
        return VoteForecast(k_min=None, k_exact=real, target=asked.target, reason=reason)
    p_run = law.run_reliability(p, k, asked.steps, wrong=wrong, rho=rho, m=m)
    votes = law.votes_per_step(p, k, wrong=wrong, rho=rho, m=m)
    calls = law.calls(asked.steps, votes, asked.valid)
    if not isfinite(calls):
        raise InputError("m", f"must be smaller: a call of {m} steps is practically never right at p={p:g}")
    return VoteForecast(
        k=k,
        k_min=least,
        k_exact=real,
        p_step=law.run_reliability(p, k, m, wrong=wrong, rho=rho, m=m),
        p_run=p_run,
        votes_per_step=votes,
        calls=calls,
        cost_usd=None if usd_per_call is None else calls * usd_per_call,
        target=asked.target,
        reaches_target=p_run >= asked.target,
        rho_allowed=law.rho_allowed(p, k, asked.steps, asked.target, wrong=wrong, m=m),
        exact=law.is_exact(p, k, wrong=wrong),
        reason=reason,
    )


def _no_margin(asked: Question) -> str:
    chance = 1 / (asked.wrong + 1)
    if asked.p <= chance:
        told = f"p={asked.p:g} is not above {chance:g}"
        return f"{told}, so the right answer is not the likeliest one and no margin makes the run right"
    at_best = law.run_reliability(asked.p, LARGEST_K, asked.steps, wrong=asked.wrong, rho=asked.rho, m=asked.m)
    if asked.rho > 0 and law.k_min(asked.p, asked.steps, asked.target, m=asked.m, wrong=asked.wrong) is not None:
        return f"with rho={asked.rho:g} shared errors keep the run at {at_best:.3g} or below, whatever the margin"
    return f"p={asked.p:g} would need a margin above {LARGEST_K}"


def _usd_per_call(kinds: dict[str, tuple[float | None, float | None]]) -> float | None:
    """Return what a call costs, or None without any price; a kind of token without a price is free."""
    total = None
    for kind, (price, tokens) in kinds.items():
        for name, value in ((f"--price-{kind}", price), (f"--tokens-{kind}", tokens)):
            if value is not None and not (value >= 0 and isfinite(value)):
                raise InputError(name, f"must be a finite number of at least 0, got {value:g}")
        if price is None:
            continue
        if tokens is None:
            raise InputError(
                f"--tokens-{kind}", f"must say how many {kind} tokens a call has, as --price-{kind} is given"
            )
        total = (total or 0.0) + price * tokens / 1e6
    return total


def _lines(asked: Question, forecast: VoteForecast) -> list[str]:
    aim = f"{asked.target:g} over {asked.steps:,} steps"
    if forecast.k is None:
        return [f"No margin reaches {aim}: {forecast.reason}.", _assumptions(asked)]
    real = "" if forecast.k_exact is None else f" (real-valued, for one wrong answer and rho=0: {forecast.k_exact:.2f})"
    bound, about = ("", "") if forecast.exact else ("at least ", "about ")
    rows = [
        ("margin k", f"{forecast.k}, " + ("given" if asked.k is not None else f"the least that reaches {aim}{real}")),
        ("decided right", f"each {_decision(asked)} with {bound}{_probability(forecast.p_step)}"),
        ("run right", f"{bound}{_probability(forecast.p_run)}{_verdict(asked, forecast)}"),
        ("votes per step", f"{about}{forecast.votes_per_step:.4g} valid ones"),
        ("calls", f"{about}{forecast.calls:,.0f}"),
    ]
    if forecast.cost_usd is not None:
        rows.append(("cost", f"{about}${forecast.cost_usd:,.2f}"))
    if forecast.reaches_target:
        rows.append(("shared errors", f"rho up to {forecast.rho_allowed:.2g} still reaches the target"))
    return [*(f"{name:15}{told}" for name, told in rows), _assumptions(asked)]


def _decision(asked: Question) -> str:
    return "step" if asked.m == 1 else f"call of {asked.m} steps"


def _verdict(asked: Question, forecast: VoteForecast) -> str:
    if forecast.reaches_target:
        return f", which reaches {asked.target:g}"
    why = f"k={forecast.k_min} is the least that does" if forecast.reason is None else forecast.reason
    return f", which does not reach {asked.target:g}: {why}"


def _assumptions(asked: Question) -> str:
    rivals = "one wrong answer, the worst case" if asked.wrong == 1 else f"{asked.wrong} equally likely wrong answers"
    return (
        f"Assumed: every step is right with p={asked.p:g}; {rivals}; in a share rho={asked.rho:g} of the decisions "
        "all votes are copies of one draw, otherwise errors are independent."
    )


def _probability(value: float | None) -> str:
    """Write a probability so that what is missing to 1 is seen, too."""
    if value is None:
        return "unknown"
    return f"{value:.6f}" if value < 0.99999 else f"1 - {1 - value:.2g}"
