"""A seeded model without any network: our instrument. Its laws are stated here and tested as laws."""

from __future__ import annotations

import asyncio
import math
import random
import struct
from dataclasses import dataclass, fields
from hashlib import blake2b
from statistics import NormalDist
from typing import Literal, Self

from orchestra_agents.errors import ContextExceeded, InputError
from orchestra_agents.models.contract import (
    Completion,
    Evidence,
    Form,
    ModelFacts,
    Prompt,
    Sampling,
    TokenUsage,
    Truth,
    digest,
    estimate_tokens,
)
from orchestra_agents.models.synthetic import member_of, wrap

_NORMAL = NormalDist()
_FARTHEST = 700.0  # largest exponent of e that a float still holds
_WORDS, _THREE, _UNIT = struct.Struct(">8Q"), struct.Struct(">3Q"), 2.0**-64


@dataclass(frozen=True, slots=True)
class _Range:
    """The finite numbers that a parameter may be."""

    low: float
    high: float = math.inf
    is_open: bool = False
    """Whether `low` itself is excluded."""
    kind: str = "a number"

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.is_open else self.low <= value) and value <= self.high and value < math.inf

    def __str__(self) -> str:
        if self.high < math.inf:
            return f"{self.kind} in {'(' if self.is_open else '['}{self.low}, {self.high}]"
        return f"{self.kind} {'above' if self.is_open else 'of at least'} {self.low}"


_RANGES = {
    "p": _Range(0, 1),
    "seed": _Range(0, kind="an integer"),
    "valid": _Range(0, 1, is_open=True),
    "rho": _Range(0, 1),
    "wrong": _Range(1, kind="an integer"),
    "spread": _Range(0, kind="a finite number"),
    "beta": _Range(0, kind="a finite number"),
    "kappa": _Range(0, is_open=True, kind="a finite number"),
    "gamma": _Range(0, 1, is_open=True),
    "spoil": _Range(0, 1),
    "overload": _Range(0, kind="a finite number"),
    "latency_ms": _Range(0, kind="a finite number"),
    "jitter": _Range(0, kind="a finite number"),
    "window": _Range(1, kind="an integer"),
}
_INTEGERS = ("seed", "wrong", "window")
_WORDED = {"corr": ("mixture", "beta"), "share": ("after", "before")}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedModel:
    """Answers from a `Truth` with known error rates; what is drawn depends on (seed, step, sample index) only.

    Without a Truth it answers a choice, number or schema with one member fixed by the prompt, and free text with a
    short echo.
    """

    p: float = 0.9
    """Probability that an unflagged vote is right, in [0, 1]."""
    seed: int = 0
    valid: float = 1.0
    """Share of replies without a red flag, in (0, 1]; the others are truncated."""
    rho: float = 0.0
    """Correlation of the errors of one step's votes, in [0, 1]."""
    corr: Literal["mixture", "beta"] = "mixture"
    """`mixture`: with probability rho all votes are copies of one draw. `beta`: the step's p is Beta distributed."""
    wrong: int = 1
    """Equally likely wrong answers, at least 1."""
    spread: float = 0.0
    """Standard deviation of item difficulty on the logit scale, at least 0; the median item has accuracy p."""
    beta: float | None = None
    """Exponent of the bias against sampled tokens x: min(1, kappa x^beta), in place of p (phase transition, A.1)."""
    kappa: float | None = None
    gamma: float = 1.0
    """Each upstream input is misread with probability (1 - gamma) / 2, in (0, 1]."""
    share: Literal["after", "before"] = "after"
    """Where most of the inputs decide, with probability rho they are all the same one: copied `after` it was read, so
    that they are misread together, or `before` (phase transition, B.2)."""
    spoil: float = 1.0
    """Probability that a wrong or misread input makes the vote wrong, in [0, 1]."""
    overload: float = 0.0
    """Accuracy lost per 1,000 tokens of context, at least 0."""
    latency_ms: float = 0.0
    """Median time of an answer in milliseconds, at least 0."""
    jitter: float = 0.0
    """Standard deviation of the logarithm of that time, at least 0."""
    window: int | None = None
    """Context window in tokens (four characters each), at least 1; None is without end."""

    def __post_init__(self) -> None:
        for name, allowed in _RANGES.items():
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise InputError("model", f"simulated: {name} must be {allowed}, got {value}")
        for name, words in _WORDED.items():
            if (said := getattr(self, name)) not in words:
                raise InputError("model", f"simulated: {name} must be {' or '.join(words)}, got {said}")
        if (self.beta is None) != (self.kappa is None):
            raise InputError("model", "simulated: beta and kappa are given together or not at all")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the model that `text`, for example `p=0.99,seed=7`, describes.

        Raises:
            InputError: A parameter is unknown, not a number, or out of its range.
        """
        known = {item.name: item for item in fields(cls)}
        values: dict[str, float | int | str] = {}
        for part in filter(None, text.split(",")):
            name, equals, value = part.partition("=")
            if name not in known or not equals:
                raise InputError(
                    "model", f"simulated: {part!r} is not a parameter; allowed: {', '.join(sorted(known))}"
                )
            if name in values:
                raise InputError("model", f"simulated: {name} is given twice")
            try:
                values[name] = value if name in _WORDED else int(value) if name in _INTEGERS else float(value)
            except ValueError:
                raise InputError("model", f"simulated: {name} must be {_RANGES[name]}, got {value!r}") from None
        return cls(**values)  # type: ignore[arg-type]  # each name was checked against the fields

    @property
    def name(self) -> str:
        """`simulated:` with every parameter that is not its default."""
        changed = [
            f"{item.name}={getattr(self, item.name)}"
            for item in fields(self)
            if getattr(self, item.name) != item.default
        ]
        return ":".join(["simulated", *filter(None, [",".join(changed)])])

    @property
    def evidence(self) -> Evidence:
        """Always simulated."""
        return "simulated"

    @property
    def form(self) -> Form:
        """Asked by chat messages."""
        return "chat"

    async def sample(self, prompt: Prompt, sampling: Sampling, count: int = 1) -> list[Completion]:
        """Return `count` completions after the simulated latency of the slowest.

        Raises:
            ContextExceeded: Prompt and reply do not fit the window.
        """
        step = f"{self.seed}|{prompt.identity()}"
        indices = range(sampling.index, sampling.index + count)
        if self.latency_ms or prompt.latency_ms:
            await asyncio.sleep(max(self._latency_s(prompt, f"{step}|{index}|latency") for index in indices))
        question = _Question(prompt, sampling, step, self._is_varied, _context(prompt))
        if self.window is not None and question.context + sampling.max_tokens > self.window:
            asked = f"{question.context} tokens and {sampling.max_tokens} for the reply"
            raise ContextExceeded(f"simulated: {asked} do not fit a window of {self.window}")
        return [self._complete(question, f"{step}|{index}") for index in indices]

    async def probe(self) -> ModelFacts:
        """Return what it can do, which is fixed."""
        return ModelFacts(reachable=True, n=True, seed=True, logprobs=False, json_schema=True, context=self.window)

    async def count_tokens(self, prompt: Prompt) -> int:
        """Return the tokens of `prompt` as they count here."""
        return _context(prompt)

    async def aclose(self) -> None:
        """Nothing to give back."""

    def _latency_s(self, prompt: Prompt, key: str) -> float:
        median = self.latency_ms if prompt.latency_ms is None else prompt.latency_ms
        if not self.jitter or not median:
            return median / 1000
        return median / 1000 * math.exp(min(_FARTHEST, self.jitter * _NORMAL.inv_cdf(_uniforms(key)[0])))

    def _complete(self, question: _Question, vote: str) -> Completion:
        sampling = question.sampling
        flag, right, wrong = _three(vote)
        if flag >= self.valid:
            usage = TokenUsage(input_tokens=question.context, output_tokens=sampling.max_tokens, estimated=True)
            return Completion(text="[simulated] cut off", finish_reason="length", usage=usage)
        if question.is_plain and right < self.p:
            return question.right()
        truth = question.prompt.truth
        if truth is None:
            return question.reply(_untold(question.prompt, sampling, self.seed), self._output(sampling))
        which = self._wrong(truth, question, vote, right, wrong)
        if which is None:
            return question.reply(wrap(truth.answer, sampling.schema), self._output(sampling))
        distractors = truth.distractors()
        if which < len(distractors):
            return question.reply(wrap(distractors[which], sampling.schema), self._output(sampling))
        name = f"wrong-{which + 1}"
        return question.reply(name, self._output(sampling), opaque=name)

    def _output(self, sampling: Sampling) -> int:
        """Return the output tokens of a reply, 0 where they follow from its text."""
        return sampling.max_tokens if self.beta is not None else 0

    def _wrong(self, truth: Truth, question: _Question, vote: str, right_draw: float, wrong_draw: float) -> int | None:
        """Return the number of the wrong answer that one vote gives, None where it is right."""
        if truth.inputs and truth.reads == "most":
            return None if self._reads_most(truth, question.step, vote) else int(wrong_draw * self.wrong)
        accuracy, reading = self.p, vote
        if question.is_varied:
            shared, shared_right, shared_wrong, difficulty, quality, *_ = _uniforms(question.step)
            accuracy = self._accuracy(truth, question.sampling, question.context, difficulty)
            if self.corr == "beta":
                accuracy = _beta_variate(quality, accuracy, self.rho)
            elif shared < self.rho:
                right_draw, wrong_draw, reading = shared_right, shared_wrong, question.step
        if right_draw < accuracy and not (truth.inputs and self._is_spoiled(truth, reading)):
            return None
        return int(wrong_draw * self.wrong)

    @property
    def _is_varied(self) -> bool:
        """Whether anything but p decides the accuracy of a vote."""
        return bool(self.rho or self.spread or self.overload or self.beta is not None)

    def _accuracy(self, truth: Truth, sampling: Sampling, context: int, difficulty_draw: float) -> float:
        accuracy = self.p
        if self.beta is not None and self.kappa is not None:
            bias = math.exp(min(0.0, math.log(self.kappa) + self.beta * math.log(sampling.max_tokens)))
            accuracy = (1 + bias) / 2
        if self.spread and 0 < accuracy < 1:
            score = _NORMAL.inv_cdf(difficulty_draw) if truth.difficulty is None else truth.difficulty
            accuracy = 1 / (1 + math.exp(min(_FARTHEST, self.spread * score)) * (1 - accuracy) / accuracy)
        return max(0.0, accuracy - self.overload * context / 1000)

    def _reads_most(self, truth: Truth, step: str, vote: str) -> bool:
        """Tell whether most of the inputs, as they are read, are right; a tie is a fair coin's."""
        misread = (1 - self.gamma) / 2
        places = range(len(truth.inputs))
        read = [truth.inputs[place] == (_uniforms(f"{vote}|input {place}")[0] >= misread) for place in places]
        if _uniforms(f"{step}|shared")[0] < self.rho:
            first = truth.inputs[0]
            copies = [first == (_uniforms(f"{vote}|input {place}")[0] >= misread) for place in places]
            read = [read[0]] * len(read) if self.share == "after" else copies
        right, wrong = sum(read), len(read) - sum(read)
        return right > wrong or (right == wrong and _uniforms(f"{vote}|tie")[0] < 0.5)

    def _is_spoiled(self, truth: Truth, reading: str) -> bool:
        """Tell whether a wrong reading of some input makes the vote wrong; a wrong input misread reads right.

        Votes that are copies of one draw share one reading.
        """
        for place, is_right in enumerate(truth.inputs):
            misread, spoils, *_ = _uniforms(f"{reading}|input {place}")
            if (is_right == (misread < (1 - self.gamma) / 2)) and spoils < self.spoil:
                return True
        return False


@dataclass(slots=True)
class _Question:
    """One request: what its replies have in common."""

    prompt: Prompt
    sampling: Sampling
    step: str
    is_varied: bool
    """Whether anything but p decides the accuracy of a vote."""
    context: int
    """Tokens of the prompt."""
    is_plain: bool = False
    """Whether p alone decides if a vote is right."""
    _last: Completion | None = None
    _right: Completion | None = None

    def __post_init__(self) -> None:
        truth = self.prompt.truth
        self.is_plain = truth is not None and not self.is_varied and not truth.inputs

    def right(self) -> Completion:
        """Return the right reply."""
        if self._right is None:
            assert self.prompt.truth is not None
            self._right = self.reply(wrap(self.prompt.truth.answer, self.sampling.schema), 0)
        return self._right

    def reply(self, text: str, output: int, *, opaque: str | None = None) -> Completion:
        """Return a reply; the same one again where nothing differs, because a completion never changes."""
        last = self._last
        if last is not None and last.text == text and last.opaque == opaque:
            return last
        usage = TokenUsage(input_tokens=self.context, output_tokens=output or estimate_tokens(text), estimated=True)
        self._last = Completion(text=text, usage=usage, opaque=opaque)
        return self._last


def _context(prompt: Prompt) -> int:
    """Return the tokens of a prompt, estimated."""
    if prompt.text is not None:
        return estimate_tokens(prompt.text)
    return max(1, -(-sum([len(message.content) + 1 for message in prompt.messages]) // 4))


def _untold(prompt: Prompt, sampling: Sampling, seed: int) -> str:
    """Return the answer without a Truth: fixed by the prompt, whatever the sample index."""
    if sampling.schema is not None:
        return member_of(sampling.schema, key=f"{seed}|{digest(prompt.rendered())}")
    last = prompt.text if prompt.text is not None else prompt.messages[-1].content
    words = " ".join(last.split())
    return f"[simulated] {words[-80:]}"


def _uniforms(key: str) -> tuple[float, ...]:
    """Return eight independent draws from (0, 1), fixed by `key`."""
    return tuple((word + 0.5) * _UNIT for word in _WORDS.unpack(blake2b(key.encode()).digest()))


def _three(key: str) -> tuple[float, float, float]:
    """Return the first three of `_uniforms(key)`, which is what most votes need."""
    first, second, third = _THREE.unpack_from(blake2b(key.encode()).digest())
    return (first + 0.5) * _UNIT, (second + 0.5) * _UNIT, (third + 0.5) * _UNIT


def _beta_variate(draw: float, mean: float, rho: float) -> float:
    """Return a Beta variate of the given mean and intra-class correlation rho, fixed by `draw`."""
    if rho <= 0 or not 0 < mean < 1:
        return mean
    if rho >= 1:
        return float(draw < mean)
    scale = (1 - rho) / rho
    return random.Random(draw).betavariate(mean * scale, (1 - mean) * scale)
