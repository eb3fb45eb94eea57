"""A model of Inspect as a model of ours, so that Inspect's accounting, caching, limits and retries hold."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from inspect_ai.model import CachePolicy, GenerateConfig, ModelOutput, get_model_info
from inspect_ai.model import Model as InspectAIModel

from orchestra_agents.errors import ModelError
from orchestra_agents.models.contract import Completion, Evidence, Form, Message, ModelFacts, Prompt, Sampling
from orchestra_agents.models.retry import Retry
from orchestra_agents.redaction import redact_text
from orchestra_evals.inspect_bridge._wire import completion_of, config_of, messages_of

try:
    from inspect_ai.model._generate_config import active_generate_config
except ImportError:  # it is not public; without it the settings of a task are not known, those of its model are
    active_generate_config = GenerateConfig

_ONCE = Retry(attempts=1)
_HELLO = Prompt(messages=(Message("user", "Write ten random words."),), step="probe")
_ITS_OWN = ("LimitExceededError", "ModelRefusalError", "TerminateSampleError")
"""Errors that end a sample because Inspect was told to end it, by name: one of them is not public."""
_LONGEST = 300


class InspectModel:
    """Samples a model of Inspect, each completion by one `generate` of its own.

    Retries, connections, limits and the cache are Inspect's. A vote is never a cached copy of another one: with the
    cache on, its key holds the step and the index of the sample.

    What Inspect raises to end a sample (a limit, a refusal that is to fail it) passes through. Any other failure is a
    ModelError, so that the run treats it as it treats every model's, and is kept as `failure`.

    Args:
        model: The model, as `inspect_ai.model.get_model` gives it.
    """

    form: Form = "chat"

    def __init__(self, model: InspectAIModel) -> None:
        self.model = model
        self.failure: Exception | None = None
        """The first failure as it was raised; None where there was none."""

    @property
    def name(self) -> str:
        """`inspect:` and the model's name with Inspect."""
        return f"inspect:{self.model}"

    @property
    def evidence(self) -> Evidence:
        """`simulated` for Inspect's mock model."""
        return "simulated" if str(self.model).startswith("mockllm/") else "real"

    @cached_property
    def window(self) -> int | None:
        """Context window in tokens, where Inspect's list of models says it."""
        known = get_model_info(self.model)
        return known.context_length if known is not None else None

    def __repr__(self) -> str:
        return f"InspectModel({str(self.model)!r})"

    async def sample(self, prompt: Prompt, sampling: Sampling, count: int = 1) -> list[Completion]:
        """Return `count` completions of `prompt`, numbered from `sampling.index`, asked for one after the other.

        Raises:
            InputError: The sampling has a grammar.
            ModelError: The model did not answer, after the retries that Inspect makes.
        """
        return [await self._ask(prompt, sampling, sampling.index + place) for place in range(count)]

    async def probe(self) -> ModelFacts:
        """Find out by one tiny request whether it answers; what more it can do is not tried out."""
        try:
            await self._ask(_HELLO, Sampling(max_tokens=16), 0)
        except ModelError as error:
            return ModelFacts(reachable=False, problem=str(error))
        return ModelFacts(reachable=True, n=False, context=self.window)

    async def aclose(self) -> None:
        """Do nothing: the model is Inspect's to close."""

    async def _ask(self, prompt: Prompt, sampling: Sampling, index: int) -> Completion:
        step = prompt.identity()
        config = config_of(sampling, seed=sampling.seed_of(step, index))
        config.cache = self._policy(f"{step}|{index}")
        attempted = await _ONCE.run(lambda: self._generate(prompt, config))
        return replace(completion_of(attempted.value, prompt), attempts=attempted.attempts, calls=attempted.calls)

    async def _generate(self, prompt: Prompt, config: GenerateConfig) -> ModelOutput:
        try:
            return await self.model.generate(messages_of(prompt), config=config)
        except Exception as error:  # the boundary to code that is not ours
            if any(kind.__name__ in _ITS_OWN for kind in type(error).__mro__):
                raise
            self.failure = self.failure or error
            failed = ModelError(f"{type(error).__name__}: {_shortened(str(error))}")
            failed.unknown = 1
            raise failed from error

    def _policy(self, vote: str) -> CachePolicy | None:
        """Return how a vote is cached, None where nothing is to be."""
        said = settings_of(self.model).cache
        if not said:
            return None
        policy = said if isinstance(said, CachePolicy) else CachePolicy()
        return policy.model_copy(update={"scopes": {**policy.scopes, "orchestra": vote}})


def settings_of(model: InspectAIModel) -> GenerateConfig:
    """Return how Inspect was told to generate: by the model's own settings, and those of the task that is running."""
    return model.config.merge(active_generate_config())


def _shortened(text: str) -> str:
    line = " ".join(redact_text(text).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
