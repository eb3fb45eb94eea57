"""A model of Inspect as a model of ours: what every model promises, and what is Inspect's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    GenerateConfig,
    Logprob,
    Logprobs,
    ModelOutput,
    ModelUsage,
    StopReason,
    TopLogprob,
)
from inspect_ai.util import LimitExceededError

from orchestra_agents.errors import InputError, ModelError
from orchestra_agents.models.contract import Message, Model, Prompt, Sampling, TokenLogprob, canonical_json
from orchestra_evals.inspect_bridge._wire import response_schema
from orchestra_evals.inspect_bridge.model import InspectModel
from tests.conformance import test_models as promises
from tests.evals_bridges.mock import Script, always, said, typed

pytestmark = pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated")

ASKED = Prompt(messages=(Message("system", "Be brief."), Message("user", "2 + 2?")), step="sum")


def answering(prompt: str, config: GenerateConfig) -> Any:
    """A member of the schema where there is one."""
    return said("a") if config.response_schema is None else typed("a")


@pytest.mark.parametrize("prompt", [promises.CHAT, promises.RAW], ids=["chat", "raw"])
async def test_keeps_what_every_model_promises(prompt: Prompt) -> None:
    """Counts, schemas, limits, probes and closing are those of the conformance suite; no sidecar is sent."""
    script = Script(answering)
    model: Model = InspectModel(script.model())
    for count in (1, 3):
        await promises.test_returns_the_count_asked_for(model, prompt, count)
    await promises.test_schema_gives_a_member(model, prompt)
    await promises.test_limit_of_one_token_ends_a_completion(model)
    await promises.test_probe_reaches_it(model)
    await model.aclose()
    await model.aclose()
    sent = repr(script.prompts) + repr(script.configs)
    assert not any(secret in sent for secret in promises.SIDECARS)


async def test_sends_the_sampling_and_a_seed_for_each_vote() -> None:
    """Every setting is sent, with the seed of the sample's own index; votes are never choices of one call."""
    script = always(typed(4))
    schema = canonical_json({"type": "object", "properties": {"answer": {"type": "number"}}})
    sampling = Sampling(temperature=0.5, top_p=0.9, max_tokens=9, stop=("#",), seed=3, index=4, schema=schema)
    await InspectModel(script.model()).sample(ASKED, sampling, 2)
    first, second = script.configs
    assert (first.temperature, first.top_p, first.max_tokens, first.stop_seqs) == (0.5, 0.9, 9, ["#"])
    assert [first.seed, second.seed] == [sampling.seed_of("sum", 4), sampling.seed_of("sum", 5)]
    assert first.num_choices is None
    assert first.response_schema is not None
    assert first.response_schema.json_schema.model_dump(exclude_none=True) == json.loads(schema)


@pytest.mark.parametrize(
    ("reason", "finish", "text"),
    [
        ("stop", "stop", "4"),
        ("max_tokens", "length", "4"),
        ("model_length", "length", "4"),
        ("content_filter", "content_filter", ""),
        ("unknown", "other", "4"),
    ],
)
async def test_ends_are_mapped_and_what_was_filtered_is_no_answer(reason: StopReason, finish: str, text: str) -> None:
    """A reply that was cut says so, and the text of a refusal, which may be an error's, is left out."""
    [completion] = await InspectModel(always(said("4", stop_reason=reason)).model()).sample(ASKED, Sampling())
    assert (completion.finish_reason, completion.text) == (finish, text)


async def test_usage_and_logprobs_are_mapped() -> None:
    """What was read from a cache counts as input here, and apart from it with Inspect."""
    told = ModelUsage(
        input_tokens=5,
        output_tokens=4,
        total_tokens=21,
        input_tokens_cache_read=10,
        input_tokens_cache_write=2,
        reasoning_tokens=3,
    )
    likely = Logprob(token="4", logprob=-0.1, top_logprobs=[TopLogprob(token="5", logprob=-2.0)])
    choice = ChatCompletionChoice(
        message=ChatMessageAssistant(content="4"), stop_reason="stop", logprobs=Logprobs(content=[likely])
    )
    script = always(ModelOutput(model="mockllm", choices=[choice], usage=told))
    [completion] = await InspectModel(script.model()).sample(ASKED, Sampling(logprobs=1))
    usage = completion.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.written_tokens) == (17, 4, 10, 2)
    assert (usage.reasoning_tokens, usage.estimated) == (3, False)
    assert completion.logprobs == (TokenLogprob("4", -0.1, (("5", -2.0),)),)
    assert script.configs[0].top_logprobs == 1


async def test_failures_are_model_errors_that_keep_what_was_raised() -> None:
    """An error of the provider's is a ModelError, its cause is kept, and keys in its text are not passed on."""
    failure = ConnectionError("no route; api_key=sk-abcdefghijklmnopqrstuvwx")
    model = InspectModel(Script(lambda prompt, config: failure).model())
    with pytest.raises(ModelError, match="ConnectionError: no route") as raised:
        await model.sample(ASKED, Sampling())
    assert model.failure is failure
    assert "abcdefghijklmnop" not in str(raised.value)
    assert (raised.value.attempts, raised.value.unknown) == (1, 1)
    facts = await model.probe()
    assert not facts.reachable


async def test_what_inspect_raises_to_end_a_sample_passes_through() -> None:
    """A limit of Inspect's is none of the model's failures."""
    limit = LimitExceededError("token", value=2, limit=1)
    model = InspectModel(Script(lambda prompt, config: limit).model())
    with pytest.raises(LimitExceededError):
        await model.sample(ASKED, Sampling())
    assert model.failure is None


async def test_names_itself_and_refuses_grammars() -> None:
    """The mock model's results are simulated ones, and no model of Inspect takes a grammar."""
    model = InspectModel(always(said("x")).model())
    assert (model.name, model.evidence, model.form) == ("inspect:mockllm/model", "simulated", "chat")
    with pytest.raises(InputError, match="grammar"):
        await model.sample(ASKED, Sampling(grammar='root ::= "x"'))


@pytest.mark.parametrize(
    "inner", [{"oneOf": [{"type": "number"}]}, {"$ref": "#/$defs/a"}, {"type": "array", "items": {"const": 1}}]
)
def test_schemas_that_inspect_cannot_say_are_not_sent(inner: dict[str, Any]) -> None:
    """A schema that would say something else without a keyword is left out; bounds of lists are no such keyword."""
    assert response_schema({"type": "object", "properties": {"answer": inner}}) is None
    assert response_schema({"type": "array", "items": {"type": "number"}, "maxItems": 3}) is not None
