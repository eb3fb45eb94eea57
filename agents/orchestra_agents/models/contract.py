"""What is asked of a model and what it gives back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol, TypeAlias

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list of them, or dict of them with str keys."""

Evidence = Literal["real", "simulated"]
"""Where an answer came from: a model, or an instrument that imitates one."""

Form = Literal["chat", "pattern"]
"""How a model is asked best where a question can be put both ways: chat messages, or worked examples to continue."""

LimitField = Literal["max_tokens", "max_completion_tokens"]
"""Name of the limit of a chat completion's tokens at a server."""

FinishReason = Literal["stop", "length", "content_filter", "other"]


def canonical_json(value: Json) -> str:
    """Return the one JSON text of `value`: keys sorted, no spaces, no escapes beyond what JSON needs."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Json) -> str:
    """Return the SHA-256 of the canonical JSON of `value`, as 32 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a simulated model may know about a question. Never part of a rendered prompt."""

    answer: Json
    """The right answer."""
    wrong: Sequence[Json] | Callable[[], Sequence[Json]] = ()
    """Wrong answers to draw from, or what makes them when one is drawn; beyond them a wrong answer is opaque."""
    difficulty: float | None = None
    """Standard score of the item's difficulty, 0 is average, None draws one."""
    inputs: tuple[bool, ...] = ()
    """For each upstream input, whether it was right."""
    reads: Literal["each", "most"] = "each"
    """What it takes of the inputs to be right: `each` of them, beside the model's own skill, or `most` of them and
    nothing else, as of one who answers what most others say (phase transition, B.2)."""

    def distractors(self) -> Sequence[Json]:
        """Return the wrong answers to draw from."""
        return self.wrong() if callable(self.wrong) else self.wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A question: chat messages, or raw text to continue (exactly one of them)."""

    messages: tuple[Message, ...] = ()
    """Chat messages, oldest first."""
    text: str | None = None
    """Raw text that the model continues, without a chat template."""
    step: str = ""
    """Identity of the step that asks, for seeds and simulated draws; never sent. Empty is the prompt's digest."""
    truth: Truth | None = field(default=None, repr=False, compare=False)
    """Sidecar for simulated models only; never sent, never journaled."""
    latency_ms: float | None = field(default=None, repr=False, compare=False)
    """Sidecar for simulated models only: median time this answer takes, overriding the model's own."""

    def __post_init__(self) -> None:
        if (self.text is None) == (not self.messages):
            raise ValueError("a prompt is either chat messages or raw text, exactly one of them")

    def rendered(self) -> dict[str, Json]:
        """Return exactly what a model may see, as JSON."""
        if self.text is not None:
            return {"text": self.text}
        return {"messages": [{"role": message.role, "content": message.content} for message in self.messages]}

    def content(self) -> str:
        """Return the words of the prompt, without roles: what is counted and compared."""
        return "\n".join([message.content for message in self.messages]) if self.text is None else self.text

    def identity(self) -> str:
        """Return what tells this step from others: `step`, or the digest of the rendered prompt."""
        return self.step or digest(self.rendered())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How completions are drawn. All of it is sent explicitly, but for what is None."""

    temperature: float = 0.7
    """At least 0; 0 takes the likeliest token."""
    top_p: float = 1.0
    """Share of probability mass kept, in (0, 1]."""
    max_tokens: int = 512
    """Most tokens of one completion, at least 1."""
    stop: tuple[str, ...] = ()
    """Texts that end a completion."""
    seed: int | None = 0
    """Seed of the run; every sample is sent its own, made of it, the step and the sample's index. None sends none."""
    index: int = 0
    """Index of the first sample of this call within its step: what keeps votes distinct."""
    schema: str | None = None
    """JSON schema (as canonical JSON text) the completion is constrained to."""
    grammar: str | None = None
    """GBNF grammar the completion is constrained to; for llama.cpp servers only."""
    logprobs: int = 0
    """How many alternatives per token to report with log-probabilities, 0 to 20; 0 asks for none."""

    def seed_of(self, step: str, index: int) -> int | None:
        """Return the 31-bit seed of one sample: equal inputs give equal seeds, different samples different ones."""
        if self.seed is None:
            return None
        return int(digest([self.seed, step, index])[:8], 16) & 0x7FFFFFFF

    def policy(self) -> str:
        """Return the digest of everything but the sample's index: the policy in a vote's identity."""
        return digest(
            [
                self.temperature,
                self.top_p,
                self.max_tokens,
                self.stop,
                self.seed,
                self.schema,
                self.grammar,
                self.logprobs,
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens of one completion. With several completions of one request, the first carries the input."""

    input_tokens: int = 0
    """Tokens read, those of a cache included."""
    output_tokens: int = 0
    """Tokens written, those of hidden reasoning included."""
    cached_tokens: int = 0
    """Tokens among the input that the server read from its prompt cache, at a lower price."""
    written_tokens: int = 0
    """Tokens among the input that the server wrote into its prompt cache, where that has a price of its own."""
    reasoning_tokens: int = 0
    """Tokens among the output that nobody is shown."""
    shared_tokens: int = 0
    """Tokens read that the first completion of the same request carries; 0 for that one."""
    estimated: bool = False
    """True where the server did not say and the figures are ours (four characters a token)."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of a completion and its natural log-probability."""

    token: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...] = ()
    """The likeliest tokens at this place with their log-probabilities, likeliest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer of a model."""

    text: str
    finish_reason: FinishReason = "stop"
    usage: TokenUsage = TokenUsage()
    logprobs: tuple[TokenLogprob, ...] | None = None
    """Per-token log-probabilities where asked for and available."""
    attempts: int = 1
    """Requests it took, retries included; 0 for the second and later completions of one request."""
    calls: int = 1
    """Requests among them that were answered 2xx or whose outcome is unknown."""
    opaque: str | None = None
    """Set by simulated models for a wrong answer that stands for any: it is a vote for itself and is never parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeCost:
    """What finding out took."""

    attempts: int = 0
    """Requests sent."""
    calls: int = 0
    """Requests among them that were answered 2xx or whose outcome is unknown."""
    samples: int = 0
    usage: TokenUsage = TokenUsage()
    lost: TokenUsage = TokenUsage()
    """Tokens at most of calls whose tokens nobody told."""

    def plus(self, other: ProbeCost) -> ProbeCost:
        """Return what this and more took together."""
        return ProbeCost(
            attempts=self.attempts + other.attempts,
            calls=self.calls + other.calls,
            samples=self.samples + other.samples,
            usage=_sum(self.usage, other.usage),
            lost=_sum(self.lost, other.lost),
        )


def _sum(one: TokenUsage, other: TokenUsage) -> TokenUsage:
    """Return plain tokens together; what of them was cached or hidden is left out."""
    return TokenUsage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        estimated=one.estimated or other.estimated,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What an endpoint really does, as found by asking it."""

    reachable: bool
    n: bool | None = None
    """Whether several completions of one request are honoured; None is unknown."""
    seed: bool | None = None
    """Whether an equal seed repeats an answer."""
    logprobs: bool | None = None
    json_schema: bool | None = None
    """Whether a JSON schema constrains the completion."""
    context: int | None = None
    """Context window in tokens."""
    usage: bool | None = None
    """Whether it tells the tokens that a request took."""
    max_tokens_field: LimitField | None = None
    """By which name it takes the limit of a chat completion's tokens."""
    version: str | None = None
    """The server's own, where it tells one."""
    problem: str | None = None
    """Why it is not reachable."""
    cost: ProbeCost = field(default_factory=ProbeCost, compare=False)
    """What finding out took."""

    def as_dict(self) -> dict[str, Json]:
        """Return the facts as JSON, without what they took."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "cost"}


class Model(Protocol):
    """Anything that completes prompts."""

    @property
    def name(self) -> str:
        """The canonical `provider:model` name."""

    @property
    def evidence(self) -> Evidence:
        """What results based on this model are called."""

    @property
    def form(self) -> Form:
        """How it is asked best; `pattern` wants raw prompts and GBNF grammars, as llama.cpp takes them."""

    async def sample(self, prompt: Prompt, sampling: Sampling, count: int = 1) -> list[Completion]:
        """Return `count` completions of `prompt`, numbered from `sampling.index`.

        Raises:
            ModelError: The model did not answer, after the retries that its policy allows.
        """

    async def probe(self) -> ModelFacts:
        """Ask the endpoint what it can do; costs a few tiny requests."""

    async def aclose(self) -> None:
        """Give back connections; a closed model may not be sampled again."""


def estimate_tokens(text: str) -> int:
    """Return a rough count of tokens: one for every four characters, at least 1.

    >>> estimate_tokens("twelve chars")
    3
    """
    return max(1, -(-len(text) // 4))
