"""Profiles: what is written is read back, and what is no profile is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.budget.agreement import agreement
from orchestra.budget.calibration import calibrate_votes, valid_rate
from orchestra.budget.compute import ComputeLevel, compute_law
from orchestra.budget.confidence import fit_platt
from orchestra.budget.profile import AnswerProfile, ConfidenceProfile, Profile, SizeProfile
from orchestra.budget.relays import RelayCount, channel_curve, channels, spoil
from orchestra.budget.replay import panel_gain
from orchestra.budget.skill import skill_of
from orchestra_agents.errors import InputError
from tests.budget.recorded import Votes, mixture


def whole() -> Profile:
    """Return a profile with everything in it."""
    rng = np.random.default_rng(0)
    counts = mixture(rng, 0.7, 0.2, items=60)
    relays = [
        RelayCount(tokens=m, was_true=bit, asked=40, read_true=36 if bit else 5)
        for m in (8, 32)
        for bit in (True, False)
    ]
    scores, labels = rng.random(60), rng.random(60) < 0.6
    scaler = fit_platt(scores, labels)
    return Profile(
        model="simulated:p=0.7",
        date="2026-07-30",
        evidence="simulated",
        answers=(
            AnswerProfile(kind="choice", options=2, sizes=(sized(100, counts), sized(200, counts))),
            AnswerProfile(kind="number", options=None, sizes=(sized(50.5, None),)),
        ),
        channels=channels(relays),
        curve=channel_curve(relays),
        compute=compute_law([ComputeLevel(compute=x, counts=counts) for x in (1, 2, 4, 8)]),
        spoil=spoil(counts, counts),
        confidences=(
            ConfidenceProfile(
                source="votes", scaler=scaler, raw=skill_of(scores, labels), scaled=skill_of(scaler(scores), labels)
            ),
        ),
    )


def sized(size: float, counts: Votes | None) -> SizeProfile:
    """Return what was measured at one size, with known answers or without."""
    rng = np.random.default_rng(1)
    return SizeProfile(
        size=size,
        items=60,
        panel=8,
        valid=valid_rate(480, 500),
        agreement=agreement([(5, 3)] * 60, rng=rng),
        votes=None if counts is None else calibrate_votes(counts, rng=rng),
        panels=() if counts is None else (panel_gain(counts, 5, rng=rng),),
        input_tokens=81.5,
        output_tokens=12.0,
    )


WHOLE = whole()
SAID = WHOLE.to_dict()


def test_a_profile_is_read_back_from_its_file(tmp_path: Path) -> None:
    """Saved and loaded, a whole profile is equal, every figure with value, low, high, basis and n."""
    path = tmp_path / "profile.json"
    WHOLE.save(path)
    assert Profile.load(path) == WHOLE
    assert [one.name for one in tmp_path.iterdir()] == ["profile.json"]
    spoiled = json.loads(path.read_text())["spoil"]
    assert set(spoiled) == {"value", "low", "high", "basis", "n"}
    assert SAID["schema"] == "orchestra.profile/1"


@given(st.floats(0.1, 1e6), st.integers(0, 10**6), st.floats(-1, 1), st.sampled_from(["number", "json"]))
def test_any_profile_goes_round(size: float, items: int, gamma: float, kind: Any) -> None:
    """Whatever the figures, `from_dict` gives back what `to_dict` was given."""
    one = sized(1, None)
    found = SizeProfile(
        size=size,
        items=items,
        panel=1,
        valid=one.valid,
        agreement=None,
        votes=None,
        panels=(),
        input_tokens=abs(gamma),
        output_tokens=0.0,
    )
    answers = (AnswerProfile(kind=kind, options=None, sizes=(found,)),)
    profile = Profile(model="m", date="2026-01-31", evidence="real", answers=answers)
    assert Profile.from_dict(profile.to_dict()) == profile


def test_answers_are_found_by_their_type() -> None:
    """A choice is found by its number of options, and nothing stands in for a type that was not measured."""
    assert WHOLE.answer("choice", 2) == WHOLE.answers[0]
    assert WHOLE.answer("number") == WHOLE.answers[1]
    assert WHOLE.answer("choice", 3) is None
    assert WHOLE.answer("json") is None


def changed(*path: Any, to: Any) -> Any:
    """Return the JSON of a whole profile with one place changed; to `...` takes the key out."""
    said = json.loads(json.dumps(SAID))
    at = said
    for part in path[:-1]:
        at = at[part]
    if to is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return said


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (changed("colour", to=1), "profile.colour: is not a key here"),
        (changed("model", to=...), "profile.model: is missing"),
        (changed("spoil", "colour", to=1), "profile.spoil.colour: is not a key here"),
        (changed("answers", 0, "sizes", 1, "valid", "low", to="much"), "profile.answers[0].sizes[1].valid.low: "),
        (changed("answers", 0, "sizes", 0, "items", to=1.5), "profile.answers[0].sizes[0].items: "),
        (changed("answers", 0, "kind", to="text"), "profile.answers[0].kind: "),
        (changed("answers", 0, "options", to=None), "profile: options: must be at least 2 for a choice"),
        (changed("answers", 0, "sizes", to=[]), "profile: sizes: must be at least one"),
        (changed("spoil", "high", to=-1.0), "profile: low: must be at most high"),
        (changed("date", to="yesterday"), "profile: date: must be a day written YYYY-MM-DD"),
        (changed("answers", 1, to=SAID["answers"][0]), "profile: answers: must not hold one type of answer twice"),
        (changed("schema", to="orchestra.profile/2"), "profile.schema: must be orchestra.profile/1"),
        (changed("spoil", "high", to=float("nan")), "profile: "),
        ([1], "profile: "),
        (None, "profile: "),
    ],
)
def test_what_is_no_profile_is_refused_in_one_sentence(said: Any, sentence: str) -> None:
    """Unknown and missing keys and wrong values are refused by their place."""
    with pytest.raises(InputError) as refused:
        Profile.from_dict(said)
    assert str(refused.value).startswith(sentence), str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """A missing, a broken and an unwritable file are errors of the user, by path."""
    (tmp_path / "broken.json").write_text("{")
    for name, problem in (("none.json", "cannot be read"), ("broken.json", "must be a profile in JSON")):
        with pytest.raises(InputError, match=f"{name}: {problem}"):
            Profile.load(tmp_path / name)
    with pytest.raises(InputError, match="cannot be written"):
        WHOLE.save(tmp_path / "nowhere" / "profile.json")
