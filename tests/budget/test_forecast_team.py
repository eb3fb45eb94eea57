"""`orchestra forecast team`: the law's figures with their error, and what it will not say alone."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.orchestra.conftest import Call

NAMES = ["solo", "independent", "decentralized", "centralized", "peers"]
KEYS = {"accuracy", "best", "near_best", "extrapolated"}


def team(call: Call, *arguments: object) -> Any:
    """Ask for a forecast and return its document."""
    done = call("forecast", "team", *arguments, "--json")
    assert (done.code, done.err) == (0, "")
    return done.document


def test_analysis_with_five_tools(call: Call) -> None:
    """The archetype of section 6: peers lead the re-fit, centralized is as good; the mean index is assumed."""
    document = team(call, "--tools", 5, "--single-accuracy", 0.35)
    assert set(document) >= KEYS
    assert list(document["accuracy"]) == NAMES
    assert list(document["accuracy"].values()) == pytest.approx([0.425, 0.428, 0.516, 0.517, 0.555], abs=0.002)
    assert (document["best"], document["near_best"]) == ("peers", ["peers", "centralized", "decentralized"])
    assert (document["extrapolated"], document["outside"]) == (False, [])
    assert document["intelligence"] == pytest.approx(56.889, abs=5e-4)
    assert document["intelligence_assumed"] is True


def test_the_error_stands_beside_every_prediction(call: Call) -> None:
    """Intervals, the left-out error and the source come with the figures, which are nobody's evidence of ours."""
    document = team(call, "--tools", 4, "--single-accuracy", 0.57, "--intelligence", 71)
    assert document["intelligence_assumed"] is False
    for name in NAMES:
        interval = document["interval"][name]
        assert 0 <= interval["low"] < document["accuracy"][name] < interval["high"] <= 1
        assert document["raw"][name]["accuracy"] == document["accuracy"][name]
    errors = {one["family"]: round(one["mean_error"], 2) for one in document["left_out"]["families"]}
    assert errors == {"BrowseComp-Plus": 0.11, "Finance-Agent": 0.22, "PlanCraft": 0.14, "Workbench": 0.87}
    assert document["left_out"]["selection"]["exact"] == pytest.approx(0.36, abs=0.005)
    assert document["basis"] == "fitted to 180 published runs"
    assert "evidence" not in document
    assert (document["fit"]["rank"], len(document["fit"]["not_identified"])) == (17, 7)
    assert document["source"]["arxiv"] == "2512.08296"


def test_the_words(call: Call) -> None:
    """A small table, the best with its equals, what was assumed, the basis, and how badly it carries over."""
    lines = call("forecast", "team", "--tools", 5, "--single-accuracy", 0.35).out.splitlines()
    assert lines[0].split() == ["team", "accuracy", "95", "%", "interval", "turns"]
    assert lines[1].split() == ["solo", "0.425", "0.16", "to", "0.69", "7.2"]
    assert lines[6] == "Best: peers; within 0.05 of it: centralized, decentralized."
    assert "intelligence index 56.889 (the mean of the runs, as none was given)" in lines[7]
    assert "fitted to 180 published runs" in lines[8]
    assert "nothing was measured on your task" in lines[8]
    assert "off by BrowseComp-Plus 0.11, Finance-Agent 0.22, PlanCraft 0.14, Workbench 0.87" in lines[9]
    assert lines[10] == "the pick is the best one in 36% and within 0.05 of it in 61% of the cases."
    assert len(lines) == 11
    alone = call("forecast", "team", "--tools", 4, "--single-accuracy", 0.57, "--intelligence", 71).out
    assert "Best: solo; none is within 0.05 of it." in alone


def test_outside_the_data_no_winner_is_named(call: Call) -> None:
    """With 7 tools the forecast is extrapolated: the reason is given, and the best has company."""
    arguments = ("--tools", 7, "--single-accuracy", 0.9)
    document = team(call, *arguments)
    assert document["extrapolated"] is True
    assert document["outside"][0] == "tools 7 is none of 3, 4, 5, 16"
    assert len(document["near_best"]) > 1
    spoken = call("forecast", "team", *arguments).out
    assert "Extrapolated: tools 7 is none of 3, 4, 5, 16; single accuracy 0.9 is outside 0.1 to 0.768." in spoken
    assert "No winner can be named: solo has the highest figure, but as good may be decentralized" in spoken
    assert "Best:" not in spoken


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("--tools", -1), "--tools: must be an integer from 0 to 1000, got -1"),
        (("--tools", 1001), "--tools: must be an integer from 0 to 1000, got 1001"),
        (("--single-accuracy", 1.5), "--single-accuracy: must be a number from 0 to 1, got 1.5"),
        (("--single-accuracy", "nan"), "--single-accuracy: must be a number from 0 to 1, got nan"),
        (("--intelligence", 101), "--intelligence: must be a number from 0 to 100, got 101.0"),
    ],
)
def test_illegal_questions_are_refused(call: Call, arguments: tuple[object, ...], refusal: str) -> None:
    """A value outside its domain is one sentence that names the option and its range, and exit 2."""
    given = {"--tools": 4, "--single-accuracy": 0.5} | dict(zip(arguments[::2], arguments[1::2], strict=True))
    done = call("forecast", "team", *(part for option in given.items() for part in option))
    assert (done.code, done.out, done.err) == (2, "", f"orchestra: {refusal}\n")


def test_votes_are_forecast_without_numpy() -> None:
    """The law of teams is loaded only when it is asked for, and its data lies in the package."""
    code = (
        "import sys; from orchestra.cli.main import _main; _main(['forecast', 'vote', '--p', '0.9', '--steps', '9']);"
        "print('numpy' in sys.modules); from orchestra.budget.team_runs import published_runs as p; print(len(p()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["False", "180"]
