"""Scorers that compare texts: the same text, a pattern, and the words in common."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import canonical_value, shown
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.options import is_yes, name_of, option
from orchestra_evals.suites.scoring import malformed, right, wrong
from orchestra_evals.suites.suite import Score

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_CLOSED_WORDS = frozenset(("yes", "no", "noanswer"))
_NO_JSON = malformed("the answer is no JSON value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """Right is the same text; what is no text counts as its JSON text, 3.0 as 3."""

    strip: bool = option(True, is_yes)
    """Whether outer white space is left out."""
    casefold: bool = option(False, is_yes)
    """Whether case does not matter."""
    nfkc: bool = option(False, is_yes)
    """Whether forms of one character that look alike are the same (Unicode NFKC)."""

    @property
    def name(self) -> str:
        """Return `exact` with its options."""
        return name_of("exact", self)

    @property
    def says(self) -> str:
        """Return when an answer is right."""
        rules = ("outer white space" * self.strip, "case" * self.casefold, "the form of characters" * self.nfkc)
        return f"The answer is a target{''.join(f', {rule} not counting' for rule in rules if rule)}."

    def __call__(self, answer: Json, target: Json) -> Score:
        """Return whether the texts are the same."""
        text = text_of(answer)
        if text is None:
            return _NO_JSON
        is_same = self.normal(text) == self.normal(target_text(target))
        return right() if is_same else wrong("the answer is not the target")

    def normal(self, text: str) -> str:
        """Return the one text of all those that count as the same."""
        for applies, step in ((self.nfkc, _nfkc), (self.casefold, str.casefold), (self.nfkc, _nfkc)):
            text = step(text) if applies else text
        return text.strip() if self.strip else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Regex:
    r"""Right is what a regular expression says; RE2's syntax, in linear time.

    Without `pattern` the target is one, and right is an answer in which it is found; `^` and `\z` hold it to the ends.
    With `pattern` the answer is what its group, or all of it where it has none, matches last in the reply, without
    outer white space, and right is the target; a reply that is the target and nothing else is right as well.
    """

    pattern: str = option("", str, is_last=True)

    def __post_init__(self) -> None:
        if self.pattern and _compiled(self.pattern, "pattern").groups > 1:
            raise InputError("pattern", f"must have at most one group, got {shown(self.pattern)}")

    @property
    def name(self) -> str:
        """Return `regex` with its options."""
        return name_of("regex", self)

    @property
    def says(self) -> str:
        """Return when an answer is right."""
        if self.pattern:
            return "What the pattern takes out of the answer is a target."
        return "A target, which is a pattern, is found in the answer."

    def __call__(self, answer: Json, target: Json) -> Score:
        """Return whether the pattern is found, or what it takes out is the target."""
        text = text_of(answer)
        if text is None:
            return _NO_JSON
        if not self.pattern:
            # Bytes, because a reply may hold half of a surrogate pair, which has no UTF-8.
            is_found = _compiled(target_text(target), "target").search(text.encode("utf-8", "replace")) is not None
            return right() if is_found else wrong("the pattern is not found in the answer")
        wanted = target_text(target).strip()
        taken = text.strip() if text.strip() == wanted else self._taken(text)
        if not taken:
            return malformed("the pattern takes nothing out of the answer")
        return right() if taken == wanted else wrong("what the pattern takes out is not the target")

    def _taken(self, text: str) -> str:
        compiled = _compiled(self.pattern, "pattern")
        taken = ""
        for found in compiled.finditer(text.encode("utf-8", "replace")):
            taken = (found.group(compiled.groups) or b"").decode("utf-8", "replace").strip() or taken
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class F1:
    """The F1 of the words that answer and target have in common; case, punctuation and articles do not count.

    As SQuAD and HotpotQA score (their `f1_score`): `yes`, `no` and `noanswer` have nothing in common with anything
    else. The parts are `exact` (the words are the same in the same order), `precision` and `recall`. Right is an F1 of
    1, that is the same words in any order. Between empty texts it is 1 where both are empty, else 0 (SQuAD 2).
    """

    @property
    def name(self) -> str:
        """Return `f1`."""
        return "f1"

    @property
    def says(self) -> str:
        """Return when an answer is right."""
        return "The answer has the words of a target; the value is the F1 of the words in common."

    def __call__(self, answer: Json, target: Json) -> Score:
        """Return the F1 of the words."""
        text = text_of(answer)
        if text is None:
            return _NO_JSON
        said, wanted = _words(text), _words(target_text(target))
        same = (Counter(said) & Counter(wanted)).total()
        if said != wanted and any(len(words) == 1 and words[0] in _CLOSED_WORDS for words in (said, wanted)):
            same = 0
        parts = {
            "exact": float(said == wanted),
            "precision": same / len(said) if said else float(not wanted),
            "recall": same / len(wanted) if wanted else float(not said),
        }
        value = 2 * same / (len(said) + len(wanted)) if said or wanted else 1.0
        if value == 1:
            return right(**parts)
        return wrong(f"{same} of {len(wanted)} words of the target are in the answer", value=value, **parts)


def text_of(value: Json) -> str | None:
    """Return a text as it is, anything else as its JSON text; None where it has none."""
    if isinstance(value, str):
        return value
    try:
        return canonical_value(value)
    except ValueError:
        return None


def target_text(target: Json) -> str:
    """Return a target as text.

    Raises:
        InputError: It is no JSON value.
    """
    text = text_of(target)
    if text is None:
        raise InputError("target", f"must be a JSON value, got {shown(target)}")
    return text


@lru_cache(maxsize=1024)
def _compiled(pattern: str, said_by: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise InputError(said_by, f"must be a regular expression in RE2 syntax, got {shown(pattern)}") from error


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
