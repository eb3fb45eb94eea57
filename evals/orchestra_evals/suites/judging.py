"""Answers that a model judges: what it is asked, which verdicts it may give, and what each is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json, Message, Prompt, Truth
from orchestra_agents.sections import DATA_RULE, as_text, data_section
from orchestra_evals.suites.options import name_of, option
from orchestra_evals.suites.scoring import right, wrong
from orchestra_evals.suites.suite import Sample, Score
from orchestra_evals.suites.templates import Template
from orchestra_evals.suites.text_scorers import Exact
from orchestra_topologies.prompts import reply_format

TEMPLATE = """{question}

{targets}

{answer}

Does the answer say what one of the references says, as far as the question asks for it? Wording, order and further \
detail do not matter; a part that is missing, or that contradicts the reference, does."""
"""What a judge is asked by default."""
VERDICTS = (("right", 1.0), ("wrong", 0.0))
"""The verdicts of a judge by default, and what each is worth."""

_GAPS = ("question", "targets", "answer")


@runtime_checkable
class Judged(Protocol):
    """Scoring by a model, in two pure halves; whoever runs the suite asks in between, and pays."""

    @property
    def name(self) -> str:
        """Name by which it is asked for, with the options that are not the default."""

    @property
    def says(self) -> str:
        """One sentence: when an answer is right."""

    @property
    def verdict(self) -> AnswerType:
        """What kind of answer the prompt asks for."""

    def prompt(self, sample: Sample, answer: Json) -> Prompt:
        """Return what the model is asked about an answer."""

    def score(self, verdict: Json) -> Score:
        """Return what the answer is worth, given the model's typed answer to the prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A model compares the answer with the targets.

    Raises:
        InputError: The template has no gap for the answer or another one than question, targets and answer; or
            verdicts are not at least 2 distinct words, worth from 0 to 1.
    """

    template: str = option(TEMPLATE, str, is_last=True)
    """The question, with the gaps `{question}`, `{targets}` and `{answer}`, each filled by delimited data."""
    verdicts: tuple[tuple[str, float], ...] = VERDICTS
    """What the model may say, and what it is worth from 0 to 1; 1 is right."""

    def __post_init__(self) -> None:
        names = Template.parse(self.template, "template").names
        if "answer" not in names or not set(names) <= set(_GAPS):
            raise InputError("template", f"must have the gap {{answer}}, and none beside {', '.join(_GAPS)}")
        if not all(0 <= worth <= 1 and math.isfinite(worth) for _, worth in self.verdicts):
            raise InputError("verdicts", f"must be worth from 0 to 1 each, got {shown(self.verdicts)}")
        _ = self.verdict

    @property
    def name(self) -> str:
        """Return `judge` with its options."""
        return name_of("judge", self)

    @property
    def says(self) -> str:
        """Return when an answer is right."""
        return "The answer is a target, or a model says that it means the same."

    @property
    def verdict(self) -> AnswerType:
        """Return a choice of the verdicts."""
        return AnswerType("choice", choices=tuple(word for word, _ in self.verdicts))

    def prompt(self, sample: Sample, answer: Json) -> Prompt:
        """Return the prompt about an answer; question, targets and answer are data, never instructions."""
        sections = {
            "question": data_section(sample.question, kind="question"),
            "targets": "\n\n".join(data_section(as_text(one), kind="reference") for one in targets_of(sample)),
            "answer": data_section(as_text(answer), kind="answer"),
        }
        asked = Template.parse(self.template, "template").fill(sections.__getitem__)
        words = self.verdict.choices
        best = max(self.verdicts, key=lambda pair: pair[1])[0]
        least = min(self.verdicts, key=lambda pair: pair[1])[0]
        is_right = any(Exact()(answer, target).outcome == "right" for target in targets_of(sample))
        said = best if is_right else least
        truth = Truth(answer=said, wrong=[word for word in words if word != said])
        system = f"You judge an answer. {reply_format(self.verdict)} {DATA_RULE}"
        return Prompt(messages=(Message("system", system), Message("user", asked)), truth=truth)

    def score(self, verdict: Json) -> Score:
        """Return what a verdict is worth.

        Raises:
            InputError: It is none of them.
        """
        if not isinstance(verdict, str) or verdict not in dict(self.verdicts):
            raise InputError("verdict", f"must be one of {shown(self.verdict.choices)}, got {shown(verdict)}")
        worth = dict(self.verdicts)[verdict]
        return right() if worth == 1 else wrong(f"the judge says {verdict}", value=worth)


def targets_of(sample: Sample) -> Sequence[Json]:
    """Return all answers that are known to be right: those that the instance lists, else the one target."""
    listed = sample.instance.get("targets") if isinstance(sample.instance, dict) else None
    return listed or [sample.target]
