"""What a simulated model answers to questions that it knows nothing about."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestra_agents.answers import AnswerType
from orchestra_agents.json_schema import mismatch, schema_problem
from orchestra_agents.models.contract import Message, Prompt, Sampling, canonical_json
from orchestra_agents.models.simulated import SimulatedModel
from orchestra_agents.models.synthetic import member_of

scalars = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=3)
leaves = st.one_of(
    st.sampled_from(["null", "boolean", "number", "integer", "string"]).map(lambda kind: {"type": kind}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"]), "minimum": st.floats(-5, 99) | st.integers(-5, 99)}
    ),
    st.fixed_dictionaries({"enum": st.lists(scalars, min_size=1, max_size=4)}),
    st.fixed_dictionaries({"const": scalars}),
    st.fixed_dictionaries({"type": st.just(["string", "null"])}),
    st.sampled_from([{}, {"type": []}]),
)


def asked(text: str = "?", *, step: str = "s") -> Prompt:
    """A question without a Truth."""
    return Prompt(text=text, step=step)


def nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Schemas of arrays and objects of `inner`."""
    names = st.sampled_from(["a", "b", "c"])
    objects = st.fixed_dictionaries(
        {"type": st.just("object")},
        optional={
            "properties": st.dictionaries(names, inner | st.just(True), max_size=3),
            "required": st.lists(names, unique=True, max_size=3),
            "additionalProperties": inner | st.just(True),
        },
    )
    arrays = st.fixed_dictionaries(
        {"type": st.just("array")}, optional={"items": inner | st.just(True), "minItems": st.integers(0, 3)}
    )
    return arrays | objects


schemas = st.recursive(leaves, nested, max_leaves=8)


@given(schema=schemas, key=st.text(max_size=5))
@example(schema={"type": "integer", "minimum": 10.5}, key="")
@example(schema={"type": "object", "required": ["a"], "additionalProperties": {"type": "null"}}, key="")
@example(schema={"type": "object", "required": ["a"], "properties": {"a": True}}, key="")
def test_a_member_of_a_schema_satisfies_it(schema: dict[str, object], key: str) -> None:
    """What a model that knows nothing answers is valid under the schema, and fixed by its key."""
    text = canonical_json(schema)
    assert schema_problem(schema) is None
    member = member_of(text, key=key)
    assert mismatch(json.loads(member), schema) is None
    assert member == member_of(text, key=key)
    assert "minimum" not in schema or json.loads(member) >= schema["minimum"]


@pytest.mark.parametrize(
    "answer",
    [
        AnswerType("choice", choices=("alpha", "beta", "gamma")),
        AnswerType("number"),
        AnswerType("json", schema=canonical_json({"type": "object", "required": ["n"]})),
    ],
    ids=lambda answer: answer.kind,
)
async def test_untold_votes_agree_on_a_member(answer: AnswerType) -> None:
    """Without a Truth all votes on a prompt give one readable answer, which other prompts need not share."""
    model, sampling = SimulatedModel(p=0.1, rho=0.2, seed=21), Sampling(schema=answer.constraint())
    votes = await model.sample(asked(), sampling, 40)
    assert len({vote.text for vote in votes}) == 1
    assert answer.read(votes[0].text) is not None
    assert votes[0].opaque is None
    again = await model.sample(asked(step="another step"), replace(sampling, index=7), 1)
    assert again[0].text == votes[0].text


async def test_untold_choices_differ_between_prompts() -> None:
    """Over many prompts every choice is some prompt's answer, in about equal shares."""
    answer = AnswerType("choice", choices=("a", "b", "c"))
    sampling = Sampling(schema=answer.constraint())
    model = SimulatedModel()
    replies = [answer.read((await model.sample(asked(f"{n}"), sampling, 1))[0].text) for n in range(3_000)]
    for choice, times in Counter(replies).items():
        assert choice in answer.choices
        assert abs(times / 3_000 - 1 / 3) < 5 * math.sqrt(2 / 9 / 3_000)


@pytest.mark.parametrize("words", ["", "short", "many words " * 5_000], ids=["none", "few", "many"])
async def test_untold_text_is_a_short_echo(words: str) -> None:
    """Without Truth and schema the answer is one short line that says it is simulated and echoes the prompt's end."""
    chat = Prompt(messages=(Message("system", "Be brief."), Message("user", f"{words}\n the end")))
    for question in (chat, Prompt(text=f"{words}\n the end")):
        votes = await SimulatedModel(p=0).sample(question, Sampling(), 5)
        assert len({vote.text for vote in votes}) == 1
        text = votes[0].text
        assert text.startswith("[simulated] ")
        assert text.endswith("the end")
        assert len(text) <= 100
        assert "\n" not in text
