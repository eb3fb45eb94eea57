r"""Scorers: small values that say what an answer is worth against a target, and their names.

exact                     the same text (strip=yes, casefold=no, nfkc=no)
numeric:abs=0.01          the same number, the last one in a text (abs=0, rel=0, percent=unit)
choice                    the same choice, by its letter or text (first=none: where targets are places)
regex                     the target is a pattern that is found in the answer
regex:pattern=is (\w+)    the pattern takes the answer out of the reply
f1                        the share of words in common, as for SQuAD and HotpotQA
judge                     a model decides (`judging.py`)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Literal, Protocol, TypeAlias, cast

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.choice_reading import LETTERS, place_of
from orchestra_evals.suites.judging import Judge, Judged
from orchestra_evals.suites.number_reading import json_number, number_of
from orchestra_evals.suites.options import amount, name_of, one_of, option, options_of
from orchestra_evals.suites.scoring import malformed, right, wrong
from orchestra_evals.suites.suite import Score
from orchestra_evals.suites.text_scorers import F1, Exact, Regex, target_text, text_of

Function: TypeAlias = "Callable[[Json, Json], Score | float | bool]"
"""A scorer of a user's own: what an answer is worth against a target, as a score, from 0 to 1, or right or not."""


class Scorer(Protocol):
    """What an answer is worth against one target; pure, and never an error, whatever the answer."""

    @property
    def name(self) -> str:
        """Name by which it is asked for, with the options that are not the default."""

    @property
    def says(self) -> str:
        """One sentence: when an answer is right."""

    def __call__(self, answer: Json, target: Json) -> Score:
        """Return what `answer` is worth, which is there, whatever JSON it is.

        Raises:
            InputError: `target` is none that can be scored against.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Numeric:
    """Right is a number that differs by at most `abs`, or by at most `rel` times the target; a text gives its last.

    How a text is read `number_of` says; all is computed exactly, so that 0.51 is within 0.01 of 0.5.
    """

    abs: float = option(0.0, amount)
    rel: float = option(0.0, amount)
    percent: Literal["unit", "hundredth"] = option("unit", one_of(("unit", "hundredth")))

    def __post_init__(self) -> None:
        for name, most in (("abs", self.abs), ("rel", self.rel)):
            if not 0 <= most < math.inf:
                raise InputError(name, f"must be a number of at least 0, got {shown(most)}")

    @property
    def name(self) -> str:
        """Return `numeric` with its options."""
        return name_of("numeric", self)

    @property
    def says(self) -> str:
        """Return when an answer is right."""
        within = f"within {self.abs:g} or {self.rel:g} times it" if self.abs or self.rel else "exactly"
        return f"The last number of the answer is a target, {within}."

    def __call__(self, answer: Json, target: Json) -> Score:
        """Return whether the number is near enough, malformed where there is none that can be read."""
        try:
            number = number_of(answer, percent=self.percent)
        except ValueError as error:
            return malformed(str(error))
        wanted = self.number(target)
        room = max(Fraction(repr(self.abs)), Fraction(repr(self.rel)) * abs(wanted))
        return right() if -room <= number - wanted <= room else wrong("the number is another one")

    def number(self, target: Json) -> Fraction:
        """Return the number that a target is.

        Raises:
            InputError: It is none.
        """
        try:
            return number_of(target, percent=self.percent)
        except ValueError as error:
            raise InputError("target", f"must be a number: {error}") from error

    def answer_of(self, target: Json) -> Json:
        """Return the JSON number of a target.

        Raises:
            InputError: It is none.
        """
        try:
            return json_number(self.number(target))
        except OverflowError as error:
            raise InputError("target", f"must be a number of the size of floats, got {shown(target)}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Right is the choice that is the target, named by its letter or its text; how, `place_of` says."""

    first: Literal["none", "0", "1"] = option("none", one_of(("none", "0", "1")))
    """What the first choice's place is where targets are places; `none` where they are texts or letters."""
    choices: tuple[str, ...] = ()
    """The choices in the order of their letters; none where only letters are known."""

    @property
    def name(self) -> str:
        """Return `choice` with its options."""
        return name_of("choice", self)

    @property
    def says(self) -> str:
        """Return when an answer is right."""
        return "The answer names the choice that is the target, by its letter or its text, and no other."

    def __call__(self, answer: Json, target: Json) -> Score:
        """Return whether the answer names the target, malformed where it names none or several."""
        text = text_of(answer)
        try:
            place = place_of(text or "", self.choices)
        except ValueError as error:
            return malformed(str(error))
        return right() if place == self.place(target) else wrong("the answer is another choice")

    def place(self, target: Json) -> int:
        """Return the place from 0 of the choice that a target names: its text, its letter, or its place.

        Raises:
            InputError: It names none.
        """
        text = target_text(target)
        is_place = re.fullmatch("[0-9]{1,3}", text) is not None
        if self.first != "none":
            place = int(text) - int(self.first) if is_place else -1
            if not 0 <= place < len(self.choices or LETTERS):
                raise InputError("target", f"must be the place of a choice, the first being {self.first}")
            return place
        try:
            return place_of(text, self.choices)
        except ValueError as error:
            named = f"one of {shown(list(self.choices))}, or its letter" if self.choices else "a letter"
            hint = "; where it is a place, say choice:first=0 (or 1)" if is_place else ""
            raise InputError("target", f"must be {named}, got {shown(target)}{hint}") from error


@dataclass(frozen=True, slots=True)
class Own:
    """A function of a user's own as a scorer; what it raises is not caught."""

    function: Function

    @property
    def name(self) -> str:
        """Return `own:` and the function's name, by which nobody can ask for it."""
        return f"own:{getattr(self.function, '__qualname__', type(self.function).__name__)}"

    @property
    def says(self) -> str:
        """Return when an answer is right."""
        return "A function of the user's own decides."

    def __call__(self, answer: Json, target: Json) -> Score:
        """Return what the function says.

        Raises:
            InputError: It is no score, bool, or number from 0 to 1.
        """
        said = self.function(answer, target)
        value = said.value if isinstance(said, Score) else said
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError("scorer", f"{self.name} must return a Score, a bool or 0 to 1, got {shown(said)}")
        if isinstance(said, Score):
            return said
        return right() if value == 1 else wrong("the scorer does not give full marks", value=float(value))


SCORERS: Mapping[str, type] = MappingProxyType(
    {"exact": Exact, "numeric": Numeric, "choice": Choice, "regex": Regex, "f1": F1, "judge": Judge}
)
"""The scorers by name."""


def scorer_of(said: str | Scorer | Judged | Function) -> Scorer | Judged:
    """Return a scorer as it is, the one that a name such as `numeric:abs=0.01` names, or a function as one.

    Raises:
        InputError: There is no such scorer or option, or a value is not allowed.

    >>> scorer_of("numeric:abs=0.01")("It is 3.14.", 3.1415).outcome
    'right'
    """
    if isinstance(said, str):
        name, _, rest = said.partition(":")
        kind = SCORERS.get(name)
        if kind is None:
            raise InputError("scorer", f"must be one of {', '.join(SCORERS)} (with :key=value,...), got {said!r}")
        made: Scorer | Judged = kind(**options_of(kind, "scorer", name, rest))
        return made
    if isinstance(said, Judged):
        return said
    if not callable(said) or isinstance(said, type):
        raise InputError("scorer", f"must be a name, a scorer or a function of answer and target, got {shown(said)}")
    is_scorer = hasattr(said, "name") and hasattr(said, "says")
    return cast("Scorer", said) if is_scorer else Own(said)
