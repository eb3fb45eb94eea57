"""How `forecast phase` answers: options become a question, the theory's figures a document, lines and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from orchestra.budget.averaging_forecast import AveragingQuestion, forecast_averaging
from orchestra.budget.continuous import Averaging
from orchestra.budget.domain import refuse_outside
from orchestra.budget.messages import GammaCurve, exponential_gamma, measured_gamma, power_gamma
from orchestra.budget.phase_forecast import PhaseQuestion, forecast_phase
from orchestra.budget.regime import Setting
from orchestra.cli.forecast_phase import CURVES, Answer, PhaseOptions
from orchestra.report.phase import averaging_lines, phase_lines
from orchestra.report.phase_plots import draw_phase, refuse_unwritable
from orchestra_agents.errors import InputError


def answer(asked: PhaseOptions) -> Answer:
    """Return what the theory says, and draw it where that was asked for.

    Raises:
        InputError: An option is outside its range; nothing was written.
    """
    setting = Setting(
        beta=asked.beta,
        kappa=asked.kappa,
        mu0=asked.mu0,
        budget=asked.budget,
        message_tokens=asked.message_tokens,
        window=asked.window,
    )
    return _averages(asked, setting) if asked.outputs == "continuous" else _votes(asked, setting)


def _votes(asked: PhaseOptions, setting: Setting) -> Answer:
    if asked.gamma is None:
        raise InputError("gamma", "must be given, above 0 and at most 1; votes counted by code have 1")
    if asked.plot is not None:
        refuse_unwritable(asked.plot)
    question = PhaseQuestion(
        fan_in=asked.fan_in,
        gamma=asked.gamma,
        rho=asked.rho,
        setting=setting,
        depth=asked.depth,
        share=asked.share,
        gamma_curve=None if asked.gamma_curve is None else parse_curve(asked.gamma_curve),
    )
    forecast = forecast_phase(question)
    lines = phase_lines(question, forecast)
    if asked.plot is not None:
        draw_phase(question, forecast, asked.plot)
        lines.append(f"Drawn: {asked.plot}")
    return Answer(document={**asdict(forecast), "plot": None if asked.plot is None else str(asked.plot)}, lines=lines)


def _averages(asked: PhaseOptions, setting: Setting) -> Answer:
    if asked.plot is not None:
        raise InputError("plot", "must be left out with --outputs continuous: averages have no phase diagram")
    noise = asked.noise
    if noise is None:
        if asked.gamma is None:
            raise InputError("noise", "must be given, at least 0, where --gamma is not")
        refuse_outside("gamma", asked.gamma, above=0, most=1)
        noise = 1 / asked.gamma**2 - 1
    source = Averaging(variance=asked.variance, noise=noise, rho=asked.rho)
    question = AveragingQuestion(fan_in=asked.fan_in, source=source, setting=setting, depth=asked.depth)
    forecast = forecast_averaging(question)
    assumed = list(forecast.assumed)
    if asked.noise is None:
        assumed.append(f"a message adds the variance 1/gamma^2 - 1 = {noise:.4g}, in units of the signal's variance")
    lines = averaging_lines(question, forecast, assumed)
    return Answer(document={**asdict(forecast), "assumed": assumed}, lines=lines)


def parse_curve(text: str) -> GammaCurve:
    """Return gamma by the tokens of a message, from the words of --gamma-curve.

    Raises:
        InputError: The words are none of the three forms, or a number is outside its domain.
    """
    kind, _, rest = text.partition(":")
    try:
        if kind == "exp":
            return exponential_gamma(float(rest))
        if kind == "power":
            a, q = _numbers(rest.split(","), 2)
            return power_gamma(a, q)
        pairs = [_numbers(part.split(":"), 2) for part in text.split(",")]
        return measured_gamma([(tokens, gamma) for tokens, gamma in pairs])
    except ValueError:
        raise InputError("gamma_curve", f"must be {CURVES}, got {text!r}") from None
    except InputError as error:
        raise InputError("gamma_curve", f"{error}") from error


def _numbers(parts: Sequence[str], count: int) -> list[float]:
    if len(parts) != count:
        raise ValueError(f"{count} numbers are wanted")
    return [float(part) for part in parts]
