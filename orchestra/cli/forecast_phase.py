"""`orchestra forecast phase`: whether a tree of agents keeps, grows or loses what its leaves know."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol

import typer

from orchestra.cli.common import JsonOption, print_json
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json

CURVES = "exp:M0, power:A,Q or measured points TOKENS:GAMMA,TOKENS:GAMMA"
"""The forms of --gamma-curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseOptions:
    """What was asked, each as the option of its name says."""

    fan_in: int
    gamma: float | None
    rho: float
    beta: float | None
    mu0: float | None
    depth: int | None
    budget: float | None
    message_tokens: float | None
    window: int | None
    kappa: float | None
    share: Literal["after", "before"]
    gamma_curve: str | None
    outputs: Literal["vote", "continuous"]
    variance: float
    noise: float | None
    plot: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the theory says, for programs and for people."""

    document: dict[str, Json]
    lines: list[str]


class AnswersModule(Protocol):
    """The module that knows the theory."""

    def answer(self, asked: PhaseOptions) -> Answer:
        """Return the answer."""
        ...


def phase_command(
    fan_in: Annotated[int, typer.Option(help="Messages that a node joins, at least 3; even counts as one less.")],
    rho: Annotated[float, typer.Option(help="Share of nodes whose messages are all copies of one, 0 to 1.")],
    gamma: Annotated[
        float | None,
        typer.Option(help="Correlation of a message as read with it as sent, above 0 to 1; 1 where code counts votes."),
    ] = None,
    beta: Annotated[
        float | None, typer.Option(help="Return on compute: the bias of one agent grows as x^beta.")
    ] = None,
    mu0: Annotated[float | None, typer.Option(help="Bias of a leaf, 2 accuracy - 1, 0 to 1.")] = None,
    depth: Annotated[int | None, typer.Option(help="Levels of joints to list.")] = None,
    budget: Annotated[float | None, typer.Option(help="Tokens to spend.")] = None,
    message_tokens: Annotated[float | None, typer.Option(help="Tokens of one message.")] = None,
    window: Annotated[int | None, typer.Option(help="Tokens that a node can read.")] = None,
    kappa: Annotated[float | None, typer.Option(help="Bias of an agent that spends one token.")] = None,
    share: Annotated[
        Literal["after", "before"], typer.Option(help="Whether what is read or what is sent is copied.")
    ] = "after",
    gamma_curve: Annotated[str | None, typer.Option(help=f"gamma by the tokens of a message: {CURVES}.")] = None,
    outputs: Annotated[
        Literal["vote", "continuous"], typer.Option(help="Whether nodes vote or average numbers.")
    ] = "vote",
    variance: Annotated[float, typer.Option(help="continuous: variance of one agent's error.")] = 1.0,
    noise: Annotated[
        float | None, typer.Option(help="continuous: variance that a message adds; left out, 1/gamma^2 - 1.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the phase diagram into this .png or .svg file.")] = None,
    json_: JsonOption = False,
) -> None:
    """Say where a tree of agents collapses, saturates or pays, by the theory of phase transitions."""
    options = PhaseOptions(
        fan_in=fan_in,
        gamma=gamma,
        rho=rho,
        beta=beta,
        mu0=mu0,
        depth=depth,
        budget=budget,
        message_tokens=message_tokens,
        window=window,
        kappa=kappa,
        share=share,
        gamma_curve=gamma_curve,
        outputs=outputs,
        variance=variance,
        noise=noise,
        plot=plot,
    )
    answers: AnswersModule = importlib.import_module("orchestra.cli.phase_answers")  # brings NumPy: `vote` needs none
    try:
        answer = answers.answer(options)
    except InputError as error:
        told = str(error).removeprefix(f"{error.field}: ")
        raise InputError(f"--{error.field.replace('_', '-')}", told) from error
    if json_:
        print_json(answer.document)
    else:
        typer.echo("\n".join(answer.lines))
