"""What came out, in sentences: true in every case, and as many as there is something to say."""

from __future__ import annotations

from typing import Any

import pytest

from orchestra_evals.report.document import ComparisonDocument
from orchestra_evals.report.findings import findings
from tests.report.documents import (
    BASELINE,
    FIVE,
    MODEL,
    OTHER,
    PICK,
    RIVAL,
    document,
    suite_of_two_models,
    without_scores,
)

Json = Any
TOP = "hybrid x vote(k=3)"


def said(made: Json) -> tuple[str, ...]:
    """Return the sentences of a document."""
    return findings(ComparisonDocument.of(made))


def scored(scores: dict[str, float | None], **more: Json) -> Json:
    """Return a document of systems with these scores, and differences that are theirs."""
    made = document(tuple(scores), **more)
    for row in made["rows"]:
        score = scores[row["system"]]
        row |= {"score": score, "n": 0 if score is None else 80, "interval": {"low": 0.4, "high": 0.9, "method": ""}}
    for one in made["differences"]:
        ends = scores[one["first"]], scores[BASELINE]
        apart = None if None in ends else ends[0] - ends[1]
        one["difference"] = apart if apart is None else {"value": apart, "low": apart - 0.1, "high": apart + 0.1}
    return made


def finding(made: Json, first: str, **more: Json) -> Json:
    """Return the document with what is said of one difference changed."""
    for one in made["differences"]:
        if one["first"] == first:
            one |= more
    return made


def test_the_best_is_told_with_its_difference() -> None:
    """A difference that is shown is said to be, with its interval and adjusted p."""
    made = finding(scored({BASELINE: 0.5, TOP: 0.75, RIVAL: 0.6}), TOP, finding="better", adjusted_p=0.0123)
    assert said(made)[0] == (
        f"“{TOP}” scored highest, 0.750 (0.400 to 0.900); the difference of “{TOP}” from the baseline “{BASELINE}”, "
        "0.500, is +0.250 (+0.150 to +0.350), adjusted p 0.012: it is shown to be better."
    )


@pytest.mark.parametrize(
    ("text", "detectable", "ends"),
    [
        (
            "no difference shown; below the minimum detectable effect of 0.163",
            0.163,
            "no difference shown; below the minimum detectable effect of 0.163.",
        ),
        ("no difference shown", 0.04, "no difference shown; the minimum detectable effect is 0.040."),
        ("no difference shown", None, "no difference shown, as none would be on so few samples."),
    ],
)
def test_no_difference_says_what_could_have_been_found(text: str, detectable: float | None, ends: str) -> None:
    """Where the best is not shown to be better, the sentence ends with the minimum detectable effect."""
    made = finding(scored({BASELINE: 0.5, TOP: 0.55}), TOP, finding=text, detectable=detectable)
    assert said(made)[0].endswith(f": {ends}")


def test_the_baseline_may_be_the_best() -> None:
    """Alone, or with others that scored the same."""
    assert said(scored({BASELINE: 0.7, TOP: 0.6}))[0] == (
        f"No system scored above the baseline “{BASELINE}”, 0.700 (0.400 to 0.900)."
    )
    assert said(scored({BASELINE: 0.7, TOP: 0.7, RIVAL: 0.7}))[0].endswith("; 2 other systems scored the same.")


def test_of_equals_the_pick_is_named() -> None:
    """The others that scored as much are counted."""
    first = said(scored({BASELINE: 0.5, TOP: 0.75, PICK: 0.75}))[0]
    assert first.startswith(f"“{PICK}” (and 1 other) scored highest, 0.750")


def test_few_samples_are_told() -> None:
    """Of equals the one with most samples is named, and where not all were measured it is said of how many."""
    made = scored({BASELINE: 0.5, TOP: 0.75, PICK: 0.75})
    made["rows"][2]["n"] = 20
    assert said(made)[0].startswith(f"“{TOP}” (and 1 other) scored highest, 0.750 (0.400 to 0.900); ")
    made["rows"][1]["n"] = 10
    assert said(made)[0].startswith(
        f"“{PICK}” (and 1 other) scored highest, 0.750 (0.400 to 0.900) on 20 of 80 samples; "
    )


def test_without_a_baseline_no_difference_is_told() -> None:
    """The baseline was not measured, or does not compete."""
    first = said(scored({BASELINE: None, TOP: 0.75, RIVAL: 0.6}))[0]
    assert first.endswith(f"the baseline “{BASELINE}” has no score, so that no difference can be told.")
    assert said(document(baseline="somebody else", differences=[]))[0].endswith("so that no difference can be told.")


def test_one_row_has_nothing_beside_it() -> None:
    """It is said, and nothing is compared."""
    found = said(document((BASELINE,), mde=None))
    assert len(found) == 3
    assert found[0].startswith(f"“{BASELINE}” alone has a score, 0.750 ")
    assert found[0].endswith(", so that there is nothing to compare it with.")


def test_no_score_at_all() -> None:
    """What became of the samples is said all the same."""
    names = ", ".join(f"“{name}” (80)" for name in FIVE[:4])
    assert said(without_scores()) == (
        "Nothing was measured: no system has a score.",
        "Of the accuracies that were foretold none was measured.",
        f"The cap of 480,000 tokens for each system did not pay for 400 of 400 answers: {names} and 1 more.",
    )


def test_counts_are_those_of_the_findings() -> None:
    """Better, worse and neither, with what could have been found."""
    made = scored({BASELINE: 0.5, TOP: 0.8, RIVAL: 0.2, PICK: 0.5})
    finding(finding(made, TOP, finding="better"), RIVAL, finding="worse")
    assert said(made)[1] == (
        "Of 3 comparisons with the baseline, corrected by Holm's method, 1 came out better, 1 worse, and 1 without a "
        "difference shown; on 80 independent samples, two systems differing on 25% of them, a difference of 0.163 is "
        "found with probability 0.8."
    )
    few = made | {"mde": made["mde"] | {"effect": None, "n": 1, "discordance": None}}
    assert said(few)[1].endswith("on 1 independent sample no difference, however large, is found with probability 0.8.")


def test_equal_spend_is_told_by_what_was_shown() -> None:
    """Better and worse are counted where the adjusted p is below .05, and the largest difference is named."""
    about = {"model": MODEL, "spend": 1.0, "score": 0.5, "rival_score": 0.5, "pairs": 80, "p_value": 0.01}
    rows = [
        about | {"system": name, "difference": {"value": value, "low": value, "high": value}, "adjusted_p": adjusted}
        for name, value, adjusted in ((TOP, 0.2, 0.01), (PICK, -0.3, 0.02), (BASELINE, 0.25, 0.4))
    ]
    matched = {"unit": "tokens", "note": "", "curves": [], "rows": rows, "unmatched": []}
    assert said(document(matched=matched))[2] == (
        "At equal spend in tokens, 1 of 3 comparisons came out better than self-consistency and 1 worse; best "
        f"beside it is “{BASELINE}”, +0.250 (+0.250 to +0.250), adjusted p 0.400."
    )
    rows[2]["interpolated"] = True
    assert "+0.250 (+0.250 to +0.250) (interpolated), adjusted p 0.400." in said(document(matched=matched))[2]
    unmatched = [{"system": TOP, "model": MODEL, "reason": "spends less than one vote"}]
    nobody = document(matched=matched | {"rows": [], "unmatched": unmatched})
    assert said(nobody)[2] == "No system could be compared with self-consistency at equal spend."
    nothing = said(document(matched=None))
    assert not any("spend" in sentence for sentence in nothing)


def test_regret_has_both_ends() -> None:
    """Or is none, with its interval."""
    lost = {"model": MODEL, "best": TOP, "alternatives": 3, "value": 0.08, "low": 0.01, "high": 0.2, "split": 0.03}
    assert said(document(regret={"pick": PICK, "models": [lost]}))[3] == (
        f"Regret of the pick “{PICK}”: 0.080 (95 % interval 0.010 to 0.200) below “{TOP}”, the best of 3 other "
        "wirings; estimated by halves of the samples, 0.030."
    )
    few = lost | {"left_out": 5}
    assert said(document(regret={"pick": PICK, "models": [few]}))[3].endswith(
        "; 5 samples left out, which not all have."
    )
    none = lost | {"value": 0.0, "low": 0.0, "best": PICK, "alternatives": 1, "split": None}
    assert said(document(regret={"pick": PICK, "models": [none]}))[3] == (
        f"Regret of the pick “{PICK}”: the only other wiring did not score above it (95 % interval 0.000 to 0.200)."
    )


def test_the_forecast_is_told_by_its_errors() -> None:
    """How many were inside, the mean and the largest distance."""
    rows = [
        {"system": name, "model": MODEL, "predicted": {"pessimistic": 0.5, "optimistic": 0.6}, "measured": 0.6 + error}
        | {"error": error, "tokens": {"predicted": 100.0, "measured": tokens}}
        for name, error, tokens in ((BASELINE, 0.0, 80.0), (TOP, -0.1, 150.0), (PICK, 0.02, 100.0))
    ]
    profile = {"model": MODEL, "date": "2026-11-01", "evidence": "real", "assumed": []}
    made = {"profile": profile, "reason": "", "rows": rows}
    assert said(document(forecast=made))[4] == (
        "1 of 3 accuracies came out within what was foretold; the mean distance to it is 0.040, the largest 0.100, "
        f"that of “{TOP}”."
    )
    bare = [{"system": BASELINE, "model": MODEL}]
    unknown = {"profile": None, "reason": "there is no profile of the model.", "rows": bare}
    assert said(document(forecast=unknown))[4] == "There is no profile of the model."
    assert said(document(forecast=made | {"rows": bare}))[4] == "No accuracy was foretold."
    assert said(document(forecast=None))[4] == "Nothing was foretold."


def test_the_cap_is_told_by_what_it_did_not_pay_for() -> None:
    """With what was lost, and what is not asked yet."""
    made = document(cap={"tokens": 1000, "seconds": 60})
    assert said(made)[-1] == (
        "The cap of 1,000 tokens, 60 seconds for each system paid for all samples that were asked."
    )
    made["rows"][3]["statuses"] = {"ok": 60, "budget": 12, "infra_error": 5, "missing": 3}
    assert said(made)[-1] == (
        f"The cap of 1,000 tokens, 60 seconds for each system did not pay for 12 of 400 answers: “{TOP}” (12); "
        "5 of 400 answers were lost to errors; 3 of 400 are not asked yet."
    )
    assert said(made | {"cap": {}})[-1].startswith("There was no cap; 5 of 400 answers")
    assert said(made | {"rows": []})[-1] == "No sample was asked."


def test_several_models_are_told_one_after_the_other() -> None:
    """Each clause names its model, and a system of one's own is beside each."""
    first, *_ = said(suite_of_two_models())
    assert first.startswith(f"With “{MODEL}” “")
    assert first.count(f"; with “{OTHER}” ") == 1


@pytest.mark.parametrize(
    "made",
    [
        document(),
        suite_of_two_models(),
        without_scores(),
        document((BASELINE,)),
        document(rows=[], differences=[], matched=None, regret=None, survival=None, forecast=None, mde=None),
        document(matched=None, regret=None, forecast=None),
    ],
)
def test_there_are_three_to_six_plain_sentences(made: Json) -> None:
    """Each begins with a capital, a figure or a name, and ends with one full stop."""
    found = said(made)
    assert 3 <= len(found) <= 6
    for sentence in found:
        assert sentence[0].isupper() or sentence[0].isdigit() or sentence[0] == "“"
        assert sentence.endswith(".")
        assert not sentence.endswith("..")
        assert "None" not in sentence
        assert "nan" not in sentence.split()
