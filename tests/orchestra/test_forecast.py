"""`orchestra forecast vote`: the law's figures, the paper's costs, and questions that have no answer."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest

from tests.orchestra.conftest import Call, Done

KEYS = {"k", "k_exact", "p_step", "p_run", "votes_per_step", "calls", "cost_usd"}
MILLION = 1_048_575
PRICES = ("--price-input", 0.4, "--price-output", 1.6, "--tokens-input", 600, "--tokens-output", 538)
MINI = ("--p", 0.9978, "--steps", MILLION)


def vote(call: Call, *arguments: object) -> Any:
    """Ask for a forecast and return its document."""
    done = call("forecast", "vote", *arguments, "--json")
    assert (done.code, done.err) == (0, "")
    return done.document


def told(call: Call, *arguments: object) -> Done:
    """Ask for a forecast in words."""
    return call("forecast", "vote", *arguments)


def test_the_million_step_run(call: Call) -> None:
    """gpt-4.1-mini on 20 disks, as in the paper: k = 3, reliability .989, about $3.5K."""
    document = vote(call, *MINI, *PRICES)
    assert set(document) >= KEYS
    assert document["k"] == document["k_min"] == 3
    assert document["k_exact"] == pytest.approx(2.75, abs=0.006)
    assert document["p_run"] == pytest.approx(0.989, abs=0.001)
    assert 1 - document["p_step"] == pytest.approx(1.07e-8, rel=0.01)
    assert document["votes_per_step"] == pytest.approx(3.013, abs=0.001)
    assert document["calls"] == pytest.approx(MILLION * document["votes_per_step"])
    assert document["cost_usd"] == pytest.approx(3_478, rel=0.01)
    assert document["rho_allowed"] == pytest.approx(1.7e-5, rel=0.03)
    assert (document["reaches_target"], document["exact"], document["reason"]) == (True, True, None)


@pytest.mark.parametrize(
    ("p", "price_in", "price_out", "tokens", "cost"),
    [(0.6429, 0.1, 0.4, 842, 41_900), (0.996, 0.4, 1.6, 580, 4_900), (0.9982, 1.1, 4.4, 535, 9_400)]
    + [(0.9642, 0.05, 0.2, 1104, 1_700), (0.9431, 0.6, 1.7, 1004, 14_600)],
    ids=["nano", "mini T=1", "o3-mini", "gpt-oss", "deepseek"],
)
def test_costs_of_the_paper(call: Call, p: float, price_in: float, price_out: float, tokens: int, cost: float) -> None:
    """The published costs come out within 3 % with 600 input tokens per call at list prices."""
    prices = ("--price-input", price_in, "--price-output", price_out, "--tokens-input", 600, "--tokens-output", tokens)
    assert vote(call, "--p", p, "--steps", MILLION, *prices)["cost_usd"] == pytest.approx(cost, rel=0.03)


def test_flagged_replies_are_calls(call: Call) -> None:
    """Calls are steps * votes / valid, and so is the cost."""
    plain, flagged = (vote(call, *MINI, *PRICES, "--valid", valid) for valid in (1, 0.5))
    assert flagged["votes_per_step"] == plain["votes_per_step"]
    assert flagged["calls"] == pytest.approx(2 * plain["calls"])
    assert flagged["cost_usd"] == pytest.approx(2 * plain["cost_usd"])


def test_a_given_margin_is_judged_against_the_target(call: Call) -> None:
    """With --k the figures are of that k, and the least one stands beside it."""
    document = vote(call, *MINI, "--k", 2, "--target", 0.9)
    assert (document["k"], document["k_min"], document["reaches_target"]) == (2, 3, False)
    assert document["p_run"] == pytest.approx(0.0062, rel=0.1)
    assert document["rho_allowed"] == 0
    assert "which does not reach 0.9: k=3 is the least that does" in told(call, *MINI, "--k", 2, "--target", 0.9).out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--p", 0.4, "--steps", 1000), "p=0.4 is not above 0.5"),
        (("--p", 0.2, "--steps", 1000, "--wrong", 4), "p=0.2 is not above 0.2"),
        ((*MINI, "--rho", 1e-3), "shared errors keep the run at 0.0996 or below"),
        (("--p", 0.501, "--steps", MILLION), "would need a margin above 1000"),
    ],
)
def test_no_margin_is_an_answer(call: Call, arguments: tuple[object, ...], why: str) -> None:
    """Where no margin reaches the target that is the forecast: k is null, the reason is given, exit 0."""
    document = vote(call, *arguments)
    assert {document[key] for key in KEYS - {"k_exact"}} == {None}
    assert why in document["reason"]
    assert document["reaches_target"] is False
    spoken = told(call, *arguments)
    assert spoken.code == 0
    assert "No margin reaches 0.95" in spoken.out
    assert why in spoken.out


def test_k_exact_needs_a_model_above_one_half(call: Call) -> None:
    """The real-valued margin is null where p is at most 1/2, even if several wrong answers leave a margin."""
    document = vote(call, "--p", 0.45, "--steps", 10, "--wrong", 2)
    assert document["k_exact"] is None
    assert document["k"] > 1
    assert vote(call, "--p", 0.4, "--steps", 5, "--k", 3)["p_step"] == pytest.approx(0.2286, abs=1e-4)


def test_several_wrong_answers_need_a_smaller_margin(call: Call) -> None:
    """Rivals share the wrong votes; where they are too many to solve, the text says that figures are bounds."""
    worst, shared = (vote(call, "--p", 0.6, "--steps", 1000, "--wrong", wrong) for wrong in (1, 4))
    assert shared["k"] < worst["k"]
    assert shared["exact"] is True
    assert vote(call, "--p", 0.6, "--steps", 1000, "--wrong", 99)["exact"] is False
    spoken = told(call, "--p", 0.6, "--steps", 1000, "--wrong", 99).out
    assert "at least 0.9" in spoken
    assert "about" in spoken


def test_calls_of_several_steps(call: Call) -> None:
    """With --m the run has steps/m decisions, and all m steps of a vote must be right."""
    document = vote(call, "--p", 0.99, "--steps", 1000, "--m", 10)
    assert document["p_run"] == pytest.approx(document["p_step"] ** 100)
    assert document["calls"] == pytest.approx(1000 * document["votes_per_step"])
    assert document["calls"] < vote(call, "--p", 0.99, "--steps", 1000)["calls"]


def test_the_words_say_what_is_assumed(call: Call) -> None:
    """A few plain lines, with the assumptions last; without prices no cost is named."""
    lines = told(call, *MINI, "--rho", 1e-6).out.splitlines()
    assert len(lines) <= 8
    assert lines[0].startswith("margin k       3, the least that reaches 0.95 over 1,048,575 steps")
    assert "rho=1e-06" in lines[-1]
    assert "otherwise errors are independent" in lines[-1]
    assert not any("$" in line for line in lines)
    assert "$3,47" in told(call, *MINI, *PRICES).out


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("--p", 1.1), "--p: must be a probability from 0 to 1, got 1.1"),
        (("--p", "nan"), "--p: must be a probability from 0 to 1, got nan"),
        (("--steps", 0), "--steps: must be an integer of at least 1, got 0"),
        (("--m", 101), "--m: must be an integer from 1 to the number of steps (100), got 101"),
        (("--valid", 0), "--valid: must be above 0 and at most 1, got 0"),
        (("--p", 0.3, "--valid", 2), "--valid: must be above 0 and at most 1, got 2"),
        (("--rho", -1), "--rho: must be a probability from 0 to 1, got -1"),
        (("--target", 1), "--target: must be above 0 and below 1, got 1"),
        (("--k", 0), "--k: must be an integer from 1 to 1000, got 0"),
        (("--wrong", 0), "--wrong: must be an integer of at least 1, got 0"),
        (("--price-input", 1), "--tokens-input: must say how many input tokens a call has, as --price-input is given"),
        (("--price-output", -1, "--tokens-output", 5), "--price-output: must be a finite number of at least 0, got -1"),
        (("--tokens-output", "inf"), "--tokens-output: must be a finite number of at least 0, got inf"),
    ],
)
def test_illegal_questions_are_refused(call: Call, arguments: tuple[object, ...], refusal: str) -> None:
    """A value outside its domain is one sentence that names the option, and exit 2."""
    given = {"--p": 0.9, "--steps": 100} | dict(zip(arguments[::2], arguments[1::2], strict=True))
    done = told(call, *(part for option in given.items() for part in option))
    assert (done.code, done.out, done.err) == (2, "", f"orchestra: {refusal}\n")


def test_a_call_that_is_never_right_is_refused(call: Call) -> None:
    """Calls so long that none is ever right have no cost; the refusal says to make them shorter."""
    done = told(call, "--p", 0.6, "--steps", 10_000, "--m", 10_000)
    assert done.code == 2
    assert "--m: must be smaller: a call of 10000 steps is practically never right at p=0.6" in done.err


def test_one_price_alone_prices_its_tokens(call: Call) -> None:
    """A kind of token without a price costs nothing; token counts alone give no cost."""
    document = vote(call, *MINI, "--price-output", 2, "--tokens-output", 500)
    assert document["cost_usd"] == pytest.approx(document["calls"] * 1e-3)
    assert vote(call, *MINI, "--tokens-output", 500)["cost_usd"] is None


def test_extreme_questions_have_finite_answers(call: Call) -> None:
    """A perfect model needs one vote; a hopeless one, asked about a margin, gets figures."""
    assert vote(call, "--p", 1, "--steps", 10**12)["k"] == 1
    hopeless = vote(call, "--p", 0, "--steps", 10**6, "--k", 5)
    assert (hopeless["p_run"], hopeless["votes_per_step"], hopeless["rho_allowed"]) == (0, 5, 0)
    assert all(math.isfinite(value) for value in hopeless.values() if isinstance(value, float))


def test_a_forecast_loads_nothing_heavy() -> None:
    """The laws are arithmetic: no LangGraph, and no SciPy, is imported for them."""
    code = "import sys, orchestra.cli.forecast; print(sorted({'langgraph', 'scipy', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
