"""`orchestra forecast phase`: its keys, its words, its refusals and its pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.orchestra.conftest import Call

KEYS = {"alpha", "fixed_point", "exponent", "regime", "binding", "bias_by_depth", "critical_rho", "critical_gamma"} | {
    "mixing_depth",
    "threshold_budget",
    "compute_per_leaf",
    "leaves",
}
JOINT = ("--fan-in", 3, "--gamma", 0.9, "--rho", 0.1)
FULL = (*JOINT, "--beta", 0.1, "--mu0", 0.05, "--depth", 13, "--budget", 20_000, "--message-tokens", 50)


def phase(call: Call, *arguments: object) -> Any:
    """Ask for a forecast and return its document."""
    done = call("forecast", "phase", *arguments, "--json")
    assert (done.code, done.err) == (0, "")
    return done.document


def test_a_full_question(call: Call) -> None:
    """All keys of interfaces.md are there, with the values of B.5's first row and the allocation of A.3."""
    document = phase(call, *FULL, "--window", 1000, "--kappa", 0.02)
    assert set(document) >= KEYS
    assert document["alpha"] == pytest.approx(1.305)
    assert document["fixed_point"] == pytest.approx(0.9642, abs=5e-5)
    assert document["exponent"] == pytest.approx(0.242, abs=5e-4)
    assert document["regime"] == "synergy"
    assert document["binding"] == "gamma"
    assert document["critical_rho"] == pytest.approx(0.778, abs=5e-4)
    assert document["critical_gamma"] == pytest.approx(1 / 1.45)
    assert document["mixing_depth"] == 13
    levels = document["bias_by_depth"]
    assert levels[0] == 0.05
    assert len(levels) == 14
    assert levels[-2] < 0.9 * document["fixed_point"] <= levels[-1]
    s = document["exponent"]
    assert document["compute_per_leaf"] == pytest.approx(0.1 * 150 / (s - 0.1))
    assert document["leaves"] == pytest.approx(20_000 / (document["compute_per_leaf"] + 150))
    best = document["best_tree"]
    assert best["leaves"] * best["compute_per_leaf"] + 150 * (best["leaves"] - 1) == pytest.approx(20_000)
    assert document["advantage"] == pytest.approx(best["bias"] - document["one_agent"]["bias"])
    message = document["best_message"]
    assert message["fan_in"] * message["message_tokens"] <= 1000
    assert message["exponent"] > s


def test_check_values_of_b_4(call: Call) -> None:
    """B.4: beta=.2, gamma=1, rho=0 and c0=150 give x* = 177.5 and B_th = 676.1 (at the rounded s=.369)."""
    document = phase(call, "--fan-in", 3, "--gamma", 1, "--rho", 0, "--beta", 0.2, "--message-tokens", 50)
    assert document["compute_per_leaf"] == pytest.approx(177.5, rel=2e-3)
    assert document["threshold_budget"] == pytest.approx(676.1, rel=2e-3)
    assert document["leaves"] is None


def test_what_is_left_out_is_null(call: Call) -> None:
    """What an option left out would decide is null; without --beta the regime is collapse or unsure."""
    document = phase(call, *JOINT)
    missing = {"binding", "bias_by_depth", "mixing_depth", "threshold_budget", "compute_per_leaf", "leaves"}
    assert {key for key in KEYS if document[key] is None} == missing
    assert document["regime"] == "unsure"
    assert phase(call, "--fan-in", 5, "--gamma", 0.6, "--rho", 0.3)["regime"] == "collapse"
    assert phase(call, *JOINT, "--mu0", 0.05)["bias_by_depth"] is None
    assert phase(call, "--fan-in", 3, "--gamma", 1, "--rho", 1)["fixed_point"] is None


def test_code_never_collapses(call: Call) -> None:
    """Votes that code counts have gamma 1: whatever rho, the regime is not collapse (B.1, B.10)."""
    for rho in (0, 0.5, 0.999, 1):
        assert phase(call, "--fan-in", 3, "--gamma", 1, "--rho", rho, "--beta", 0.1)["regime"] != "collapse"


def test_an_even_fan_in_counts_as_one_less(call: Call) -> None:
    """An even vote buys nothing: every figure is that of the odd fan-in below, log base and messages included."""
    even, odd = (phase(call, "--fan-in", b, *FULL[2:]) for b in (4, 3))
    assumed = even.pop("assumed")
    assert "a fan-in of 4 counts as 3" in " ".join(assumed)
    odd.pop("assumed")
    assert even == odd


def test_copies_before_the_channel(call: Call) -> None:
    """--share before uses the other map of B.2."""
    given = ("--fan-in", 5, "--gamma", 0.6, "--rho", 0.5, "--mu0", 0.3, "--depth", 4)
    assert phase(call, *given)["bias_by_depth"][-1] == pytest.approx(0.1600, abs=6e-5)
    assert phase(call, *given, "--share", "before")["bias_by_depth"][-1] == pytest.approx(0.2915, abs=6e-5)


@pytest.mark.parametrize(
    ("curve", "is_long"), [("exp:10", False), ("exp:200", True), ("power:2,0.3", True), ("20:.9,200:.95", False)]
)
def test_curves_decide_the_length_of_messages(call: Call, curve: str, is_long: bool) -> None:
    """--gamma-curve takes the three forms of B.4; the harder messages are to read, the longer they should be."""
    best = phase(call, *JOINT, "--window", 2000, "--gamma-curve", curve)["best_message"]
    assert (best["message_tokens"] > 60) == is_long


def test_averages(call: Call) -> None:
    """--outputs continuous gives the same keys, with K, t, v* and the risks of star, chain and tree (B.6)."""
    given = ("--outputs", "continuous", "--fan-in", 5, "--rho", 0.2, "--variance", 2, "--noise", 0.4, "--depth", 3)
    document = phase(call, *given, "--window", 1000, "--message-tokens", 50, "--beta", 0.2, "--budget", 10_000)
    assert set(document) >= KEYS
    assert document["fixed_point"] == pytest.approx(0.4 / (4 * 0.8))
    assert document["contraction"] == pytest.approx(0.36)
    assert document["risk_by_depth"][0] == 2
    assert document["risk_by_depth"][1] == pytest.approx(0.36 * 2 + 0.08)
    assert document["star_by_depth"][1] == pytest.approx(2 * 0.36 + 0.08)
    assert document["star_leaves"] == 20
    assert (document["regime"], len(document["trees"])) == ("synergy", 3)
    said = call("forecast", "phase", *given)
    assert said.code == 0
    assert "regime         unsure: without beta" in said.out
    assert "Theory, not measured." in said.out
    gamma = phase(call, "--outputs", "continuous", "--fan-in", 5, "--rho", 0.2, "--gamma", 0.8)
    assert "1/gamma^2 - 1 = 0.5625" in gamma["assumed"][-1]


def test_the_words(call: Call) -> None:
    """A few plain lines: the regime first, what is theory and what is assumed last."""
    lines = call("forecast", "phase", *FULL, "--kappa", 0.02).out.splitlines()
    assert lines[0].startswith("regime         synergy: a tree of 81 leaves has 1.7 times the bias of one agent")
    assert "lossy messages (gamma) would end it first" in lines[0]
    assert any(line.startswith("beside one     the best full tree, 81 leaves of 98.8 tokens") for line in lines)
    assert lines[-1].startswith("Theory, not measured. Assumed: in a share rho=0.1 of the nodes")
    poor = call("forecast", "phase", *JOINT, "--beta", 0.1, "--budget", 200, "--message-tokens", 50).out
    assert "saturation: no full tree beats one agent yet; at a larger budget one does; the budget binds" in poor
    assert "the budget does not pay for the messages of a full tree" in poor
    assert "from any rho on" in call("forecast", "phase", "--fan-in", 3, "--gamma", 0.6, "--rho", 0).out
    assert "none: code counts" in call("forecast", "phase", "--fan-in", 3, "--gamma", 1, "--rho", 0).out


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("--fan-in", 2), "--fan-in: must be from 3 to 1,000,000, got 2"),
        (("--gamma", 0), "--gamma: must be above 0 and at most 1, got 0"),
        (("--gamma", "nan"), "--gamma: must be above 0 and at most 1, got nan"),
        (("--rho", 1.5), "--rho: must be from 0 to 1, got 1.5"),
        (("--beta", -0.1), "--beta: must be from 0 to 10, got -0.1"),
        (("--mu0", 2), "--mu0: must be from 0 to 1, got 2"),
        (("--depth", -1, "--mu0", 0.1), "--depth: must be from 0 to 10,000, got -1"),
        (("--depth", -1), "--depth: must be from 0 to 10,000, got -1"),
        (("--budget", 0), "--budget: must be from 1 to 1,000,000,000,000,000, got 0"),
        (("--message-tokens", 0.5), "--message-tokens: must be from 1 to 10,000,000, got 0.5"),
        (("--window", 0), "--window: must be from 1 to 10,000,000, got 0"),
        (("--kappa", "inf"), "--kappa: must be from 1e-12 to 1,000,000, got inf"),
        (("--gamma-curve", "exp:0"), "--gamma-curve: m0: must be a finite number above 0, got 0"),
    ],
)
def test_values_outside_are_refused(call: Call, arguments: tuple[object, ...], refusal: str) -> None:
    """A value outside its range is one sentence that names the option and the range, exit 2 and nothing written."""
    given = {"--fan-in": 3, "--gamma": 0.9, "--rho": 0.1} | dict(zip(arguments[::2], arguments[1::2], strict=True))
    done = call("forecast", "phase", *(part for pair in given.items() for part in pair), "--plot", "a.svg", "--json")
    assert (done.code, done.out) == (2, "")
    assert list(Path().iterdir()) == []
    assert done.err == f"orchestra: {refusal}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--gamma", 0.9, "--plot", "a.pdf"), "--plot: must end in .png or .svg"),
        (("--gamma", 0.9, "--plot", "no/a.png"), "--plot: must be a file in a folder that exists"),
        (("--gamma", 0.9, "--share", "never"), "--share"),
        (("--gamma", 0.9, "--gamma-curve", "linear:3"), "--gamma-curve: must be exp:M0, power:A,Q"),
        ((), "--gamma: must be given, above 0 and at most 1"),
        (("--outputs", "continuous"), "--noise: must be given, at least 0, where --gamma is not"),
        (("--outputs", "continuous", "--gamma", 1, "--plot", "a.svg"), "--plot: must be left out with --outputs"),
        (("--outputs", "continuous", "--noise", -1), "--noise: must be from 0 to 1e+100, got -1"),
        (
            ("--outputs", "continuous", "--noise", 1, "--variance", "nan"),
            "--variance: must be from 0 to 1e+100, got nan",
        ),
        (("--outputs", "continuous", "--noise", 1, "--depth", -2), "--depth: must be from 0 to 10,000, got -2"),
    ],
)
def test_other_refusals(call: Call, arguments: tuple[object, ...], told: str) -> None:
    """What cannot be answered or drawn is refused before anything is written."""
    done = call("forecast", "phase", "--fan-in", 3, "--rho", 0.1, *arguments)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert list(Path().iterdir()) == []


def test_pictures(call: Call) -> None:
    """--plot draws the diagram and the levels, as PNG or SVG, and says in the picture that they are computed."""
    pytest.importorskip("matplotlib")
    document = phase(call, *FULL, "--plot", "a.svg")
    assert document["plot"] == "a.svg"
    drawn = Path("a.svg").read_text(encoding="utf-8")
    for words in (
        "computed, not measured",
        "alpha = 1",
        "s = beta = 0.1",
        "here: gamma 0.9, rho 0.1",
        "collapse",
        "mu* =",
    ):
        assert words in drawn
    assert "Drawn: b.png" in call("forecast", "phase", *JOINT, "--plot", "b.png").out
    assert Path("b.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_extra_is_named(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without matplotlib --plot names the extra to install."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = call("forecast", "phase", *JOINT, "--plot", "a.png")
    assert (done.code, done.out) == (2, "")
    assert "--plot: needs matplotlib; install orchestra-mas[plots]" in done.err


def test_only_what_is_asked_for_is_loaded() -> None:
    """`forecast` starts without NumPy; `phase` loads no scipy.stats, and matplotlib only to draw."""
    code = (
        "import sys, orchestra.cli.forecast; before = 'numpy' in sys.modules;"
        "from orchestra.cli.main import _main;"
        "_main('forecast phase --fan-in 3 --gamma .9 --rho .1 --json'.split());"
        "print(before, sorted({'scipy.special', 'scipy.stats', 'matplotlib', 'langgraph'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False ['scipy.special']"
