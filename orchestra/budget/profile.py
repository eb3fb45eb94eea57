"""A profile: what was measured of one model, as a frozen value and as the file profile.json."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date as calendar_date
from functools import cache
from pathlib import Path
from typing import Final, Literal

from pydantic import TypeAdapter, ValidationError, with_config

from orchestra.budget.calibration import VoteCalibration
from orchestra.budget.compute import ComputeLaw
from orchestra.budget.confidence import Platt
from orchestra.budget.estimates import STRICT, Estimate
from orchestra.budget.relays import Channel, ChannelCurve
from orchestra.budget.replay import PanelGain
from orchestra.budget.skill import ConfidenceSkill
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Evidence, Json

VotableKind = Literal["choice", "number", "json"]
"""Kinds of answers that can be counted."""

SCHEMA: Final = "orchestra.profile/1"
"""What a profile says of its own form; a new form has a new number."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class SizeProfile:
    """What was measured on tasks of one size and one type of answer."""

    size: float
    """Size of the tasks in estimated tokens, above 0."""
    items: int
    panel: int
    """Votes asked of each item."""
    valid: Estimate
    """Share of replies without a red flag."""
    agreement: Estimate | None
    """Probability that two votes on an item are equal; None where an item had fewer than two."""
    votes: VoteCalibration | None
    """Accuracy, shared errors, spread and the histogram of votes; None where no answers are known."""
    panels: tuple[PanelGain, ...]
    """Gains of panels, replayed; none where no answers are known."""
    input_tokens: float
    """Mean of a request."""
    output_tokens: float
    """Mean of a reply."""

    def __post_init__(self) -> None:
        if not self.size > 0:
            raise InputError("size", f"must be above 0, got {self.size:g}")


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerProfile:
    """What was measured on one type of answer."""

    kind: VotableKind
    options: int | None
    """Number of options of a choice, at least 2; None for other kinds."""
    sizes: tuple[SizeProfile, ...]
    """At least one size, two from a whole calibration, ascending."""

    def __post_init__(self) -> None:
        if (self.kind == "choice") != (self.options is not None) or (self.options or 2) < 2:
            raise InputError("options", f"must be at least 2 for a choice and null else, got {self.options}")
        sizes = [one.size for one in self.sizes]
        if not sizes or sizes != sorted(set(sizes)):
            raise InputError("sizes", "must be at least one, ascending and all different")


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceProfile:
    """How confidences of one source become probabilities, and how good these are."""

    source: Literal["votes", "logprobs", "verbal"]
    scaler: Platt
    raw: ConfidenceSkill
    """Of the confidences as they came."""
    scaled: ConfidenceSkill
    """Of the scaled ones, each by a fit that did not see it."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What was measured of one model; None or empty where it was not.

    Raises:
        InputError: The date is none, or two answer profiles are of the same type.
    """

    schema: Literal["orchestra.profile/1"] = SCHEMA
    model: str
    """The canonical `provider:model` name."""
    date: str
    """Day of the measurement, YYYY-MM-DD."""
    evidence: Evidence
    answers: tuple[AnswerProfile, ...]
    channels: tuple[Channel, ...] = ()
    """gamma by length of message, shortest first."""
    curve: ChannelCurve | None = None
    compute: ComputeLaw | None = None
    """beta and kappa."""
    spoil: Estimate | None = None
    """How often a wrong input makes an otherwise right answer wrong."""
    confidences: tuple[ConfidenceProfile, ...] = ()

    def __post_init__(self) -> None:
        try:
            is_date = calendar_date.fromisoformat(self.date).isoformat() == self.date
        except ValueError:
            is_date = False
        if not is_date:
            raise InputError("date", f"must be a day written YYYY-MM-DD, got {shown(self.date)}")
        types = [(one.kind, one.options) for one in self.answers]
        if len(set(types)) < len(types):
            raise InputError("answers", "must not hold one type of answer twice")

    def answer(self, kind: VotableKind, options: int | None = None) -> AnswerProfile | None:
        """Return what was measured on exactly this type of answer, None where nothing was."""
        return next((one for one in self.answers if (one.kind, one.options) == (kind, options)), None)

    def to_dict(self) -> dict[str, Json]:
        """Return the profile as JSON; `from_dict` reads it back."""
        said: dict[str, Json] = _adapter().dump_python(self, mode="json")
        return said

    @classmethod
    def from_dict(cls, said: Json) -> Profile:
        """Return the profile that `to_dict` returned.

        Raises:
            InputError: A key is unknown or missing, or a value is not what it must be; the sentence names the first.
        """
        if isinstance(said, Mapping) and said.get("schema", SCHEMA) != SCHEMA:
            raise InputError("profile.schema", f"must be {SCHEMA}, got {shown(said['schema'])}; calibrate again")
        try:
            return _adapter().validate_json(json.dumps(said, allow_nan=False))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            raise _sentence(first["type"], first["loc"], first["msg"]) from error
        except (InputError, ValueError, TypeError) as error:
            raise InputError("profile", str(error)) from error

    @classmethod
    def load(cls, path: Path) -> Profile:
        """Return the profile in a file.

        Raises:
            InputError: It cannot be read, is not JSON, or is not a profile.
        """
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(str(path), f"cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise InputError(str(path), f"must be a profile in JSON: {error}") from error
        return cls.from_dict(said)

    def save(self, path: Path) -> None:
        """Write the profile to a file, whole or not at all.

        Raises:
            InputError: It cannot be written.
        """
        beside = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            beside.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
            beside.replace(path)
        except OSError as error:
            raise InputError(str(path), f"cannot be written: {error.strerror}") from error


@cache
def _adapter() -> TypeAdapter[Profile]:
    return TypeAdapter(Profile)


def _sentence(kind: str, loc: Sequence[int | str], message: str) -> InputError:
    """Return one of pydantic's complaints as ours."""
    path = "".join(["profile", *(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)])
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return InputError(path, "is not a key here")
    if kind.startswith("missing"):
        return InputError(path, "is missing")
    return InputError(path, f"{message[:1].lower()}{message[1:]}")
