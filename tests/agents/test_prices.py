"""What models cost: exact sums, a worst case that holds, and names of which none is guessed."""

from __future__ import annotations

import importlib
import json
import math
import runpy
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import date
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import TokenUsage
from orchestra_agents.models.names import address_of, canonical, resolve, resolve_embedder
from orchestra_agents.payment import Tariff
from orchestra_agents.prices import FREE, Price, Prices, Tier

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "agents" / "orchestra_agents" / "data" / "prices.yaml"
SONNET = Price(input=3, cached=0.3, written=3.75, output=15)

dollars = st.floats(0, 1e9) | st.integers(0, 200) | st.sampled_from([0.0, 5e-324, 1e-9, 0.1, 0.3])
rates: dict[str, Any] = {"input": dollars, "output": dollars, "cached": dollars, "written": dollars}
lengths = st.integers(1, 10**6) | st.integers(1, 10**15)
some_tiers = st.lists(st.builds(Tier, above=lengths, **rates), max_size=3, unique_by=lambda tier: tier.above).map(
    lambda tiers: tuple(sorted(tiers, key=lambda tier: tier.above))
)
some_prices = st.builds(Price, tiers=some_tiers, **rates)
counts = st.integers(-5, 10**6) | st.integers(-(10**400), 10**400)
usages = st.builds(
    TokenUsage,
    input_tokens=counts,
    output_tokens=counts,
    cached_tokens=counts,
    written_tokens=counts,
    reasoning_tokens=counts,
    shared_tokens=st.just(0) | counts,
)


@pytest.fixture(name="load")
def load_fixture(tmp_path: Path) -> Any:
    """Load a user's file of the given text."""

    def load(text: str | bytes, name: str = "mine.yaml") -> Prices:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Prices.load(path)

    return load


@given(price=some_prices, usage=usages, requests=st.floats(0, 1e9))
def test_no_usage_costs_more_than_the_worst_case(price: Price, usage: TokenUsage, requests: float) -> None:
    """However the input is split, and whatever a server says, the cost is at most the worst of the same tokens."""
    read = usage.input_tokens + max(0, usage.shared_tokens)
    assert 0 <= price.cost(usage) <= price.worst(read, usage.output_tokens) < math.inf
    assert 0 <= price.cost(usage, requests=requests) <= price.worst(read, usage.output_tokens)


@given(price=some_prices, usage=usages, more=st.integers(0, 10**6))
def test_more_tokens_never_cost_less(price: Price, usage: TokenUsage, more: int) -> None:
    """A token more of input or output never makes a call cheaper, nor its worst case, unless long prompts are."""
    longer = replace(usage, input_tokens=usage.input_tokens + more)
    chattier = replace(usage, output_tokens=usage.output_tokens + more)
    plain = replace(price, tiers=())
    assert plain.cost(usage) <= min(plain.cost(longer), plain.cost(chattier))
    assert price.cost(usage) <= price.cost(chattier)
    assert price.worst(usage.input_tokens, usage.output_tokens) <= price.worst(
        usage.input_tokens + more, usage.output_tokens + more
    )


@given(
    cents=st.tuples(*[st.integers(0, 10_000)] * 4),
    parts=st.tuples(*[st.integers(0, 10**9)] * 4),
    reasoning=st.integers(0, 100),
)
def test_each_part_is_billed_once_at_its_own_price(
    cents: tuple[int, ...], parts: tuple[int, ...], reasoning: int
) -> None:
    """Cached and written tokens are parts of the input, reasoning is a part of the output; the sum is rounded once."""
    fresh, cached, written, output = parts
    said: dict[str, Any] = dict(
        zip(("input", "cached", "written", "output"), (cent / 100 for cent in cents), strict=True)
    )
    price = Price(**said)
    usage = TokenUsage(
        input_tokens=fresh + cached + written,
        cached_tokens=cached,
        written_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )
    exact = sum(Fraction(cent, 100) * part for cent, part in zip(cents, parts, strict=True)) / 1_000_000
    assert price.cost(usage) == float(exact)


@pytest.mark.parametrize(
    ("usage", "cost_usd"),
    [
        (TokenUsage(input_tokens=1_000_000), 3),
        (TokenUsage(input_tokens=1_000_000, cached_tokens=1_000_000), 0.3),
        (TokenUsage(input_tokens=1_000_000, written_tokens=1_000_000), 3.75),
        (TokenUsage(output_tokens=1_000_000, reasoning_tokens=900_000), 15),
        (TokenUsage(input_tokens=1_000_000, cached_tokens=5_000_000), 0.3),
        (TokenUsage(input_tokens=1_000_000, cached_tokens=1_000_000, written_tokens=1_000_000), 3.75),
        (TokenUsage(input_tokens=1_000_000, cached_tokens=-7, written_tokens=-7, output_tokens=-7), 3),
        (TokenUsage(input_tokens=-7, cached_tokens=1_000_000), 0),
        (TokenUsage(), 0),
    ],
)
def test_usage_that_contradicts_itself_is_billed_as_far_as_there_is_input(usage: TokenUsage, cost_usd: float) -> None:
    """No more tokens of a cache are billed than input was read, writes before reads, and nothing is below 0."""
    assert SONNET.cost(usage) == cost_usd


LONG = Price(
    input=1,
    cached=0.1,
    output=4,
    tiers=(Tier(above=100, input=2, cached=0.2, output=6), Tier(above=200, input=5, output=9)),
)
"""Prices that rise with the length of the prompt."""


@pytest.mark.parametrize(
    ("usage", "requests", "cost_usd"),
    [
        (TokenUsage(input_tokens=100, output_tokens=10), 1, 100 * 1 + 10 * 4),
        (TokenUsage(input_tokens=101, output_tokens=10), 1, 101 * 2 + 10 * 6),
        (TokenUsage(input_tokens=101, cached_tokens=100), 1, 2 + 100 * 0.2),
        (TokenUsage(input_tokens=201, cached_tokens=200, output_tokens=10), 1, 201 * 5 + 10 * 9),
        (TokenUsage(output_tokens=10, shared_tokens=100), 1, 10 * 4),
        (TokenUsage(output_tokens=10, shared_tokens=150), 1, 10 * 6),
        (TokenUsage(output_tokens=10, shared_tokens=201), 1, 10 * 9),
        (TokenUsage(input_tokens=400, output_tokens=10), 4, 400 * 1 + 10 * 4),
        (TokenUsage(input_tokens=404, output_tokens=10), 4.0, 404 * 2 + 10 * 6),
        (TokenUsage(input_tokens=404, output_tokens=10), 0.5, 404 * 5 + 10 * 9),
    ],
)
def test_the_length_of_the_prompt_decides_the_price_of_all_tokens(
    usage: TokenUsage, requests: float, cost_usd: float
) -> None:
    """The tier is that of the request's whole input, which another completion may carry, or of the mean request's."""
    assert LONG.cost(usage, requests=requests) == pytest.approx(cost_usd / 1e6, rel=1e-12)


def test_the_worst_case_looks_at_every_length_that_the_prompt_may_have() -> None:
    """A bound on the input also bounds shorter prompts, though those be dearer."""
    assert LONG.worst(100, 10) == pytest.approx((100 * 1 + 10 * 4) / 1e6)
    assert LONG.worst(101, 10) == pytest.approx((101 * 2 + 10 * 6) / 1e6)
    cheaper = Price(input=3, output=3, tiers=(Tier(above=100, input=1, output=1),))
    assert cheaper.worst(101, 10) == pytest.approx(111 * 3 / 1e6)


@pytest.mark.parametrize("above", [0, -1, True, 1.5, "7", None, 10**16])
def test_a_tier_has_a_length(above: Any) -> None:
    """It is a whole number of tokens above 0."""
    with pytest.raises(InputError, match="must be an integer from 1 to 1,000,000,000,000,000, in tokens") as caught:
        Tier(above=above, input=1, output=1)
    assert caught.value.field == "price.tiers.above"


def test_the_lengths_of_tiers_rise() -> None:
    """Tiers in another order, or two of one length, are refused."""
    for above in ((2, 1), (1, 1)):
        with pytest.raises(InputError, match=r"^price\.tiers: must be tiers of rising length"):
            Price(input=1, output=1, tiers=tuple(Tier(above=one, input=1, output=1) for one in above))


@given(usage=usages)
def test_what_is_free_costs_nothing(usage: TokenUsage) -> None:
    """FREE is 0 for every usage, at worst too."""
    assert FREE.cost(usage) == FREE.worst(usage.input_tokens, usage.output_tokens) == 0


def test_a_price_of_the_cache_that_is_not_given_is_that_of_input() -> None:
    """Both prices of the cache fall back to the price of input, also where that is a whole number."""
    assert Price(input=2, output=8) == Price(input=2.0, output=8.0, cached=2.0, written=2.0)
    assert Price(input=2, output=8, cached=0).cached == 0


@pytest.mark.parametrize("name", ["input", "output", "cached", "written"])
@pytest.mark.parametrize("value", [-0.01, math.nan, math.inf, -math.inf, 1e10, 10**400, "1", True, None])
def test_a_price_is_a_finite_number_of_at_least_0(name: str, value: Any) -> None:
    """Everything else is refused, and the error names the price."""
    with pytest.raises(
        InputError, match=r"must be a number from 0 to 1,000,000,000, in US dollars per million"
    ) as caught:
        Price(**{"input": 1, "output": 1, name: value})
    assert caught.value.field == f"price.{name}"


def test_the_shipped_list_is_read_once_and_tells_its_date() -> None:
    """The same value comes back, nobody can change it, and its date is a day in ISO form."""
    shipped = Prices.shipped()
    assert Prices.shipped() is shipped
    assert date.fromisoformat(shipped.dated).isoformat() == shipped.dated
    with pytest.raises(TypeError):
        shipped.models["openai:gpt-4o"] = FREE  # type: ignore[index]


def test_the_shipped_list_keeps_the_rules_of_a_users_file() -> None:
    """It has no key twice, no alias and no tag, fits into the limit, and reads back the same."""
    assert Prices.load(SHIPPED) == Prices.shipped()


@pytest.mark.parametrize("name", sorted(Prices.shipped().models))
def test_a_shipped_price_is_plausible(name: str) -> None:
    """Reading a cache is never dearer than input, writing to one and output never cheaper, and nothing is free."""
    price = Prices.shipped().models[name]
    for rates in (price, *price.tiers):
        assert 0 < rates.cached <= rates.input <= rates.written <= 2 * rates.input
        assert rates.output == 0 if "embedding" in name else rates.input <= rates.output <= 1000
    for shorter, longer in pairwise((price, *price.tiers)):
        assert shorter.input < longer.input
        assert shorter.output < longer.output
    assert name.partition(":")[0] in ("anthropic", "google_genai", "openai", "openrouter")


@pytest.mark.parametrize(
    ("name", "price"),
    [
        ("openai:gpt-4o-mini", Price(input=0.15, cached=0.075, output=0.6)),
        ("openai:gpt-4.1-mini", Price(input=0.4, cached=0.1, output=1.6)),
        ("openai:gpt-4o-2024-05-13", Price(input=5, output=15)),
        ("anthropic:claude-sonnet-4-5", SONNET),
        ("anthropic:claude-haiku-4-5", Price(input=1, cached=0.1, written=1.25, output=5)),
        ("openrouter:openai/gpt-4.1-mini", Price(input=0.4, cached=0.1, output=1.6)),
        ("openrouter:anthropic/claude-haiku-4.5", Price(input=1, cached=0.1, written=1.25, output=5)),
        ("openai:text-embedding-3-small", Price(input=0.02, output=0)),
        ("openai:text-embedding-3-large", Price(input=0.13, output=0)),
        ("langchain:google_genai:gemini-2.5-flash", Price(input=0.3, cached=0.03, output=2.5)),
        ("langchain:google-genai:gemini-2.5-flash", Price(input=0.3, cached=0.03, output=2.5)),
        (
            "langchain:google_genai:gemini-2.5-pro",
            Price(
                input=1.25,
                cached=0.125,
                output=10,
                tiers=(Tier(above=200_000, input=2.5, cached=0.25, output=15),),
            ),
        ),
    ],
)
def test_well_known_prices_are_right(name: str, price: Price) -> None:
    """Prices that the makers have published and not changed since stand in the list."""
    assert Prices.shipped().of(name) == price


@pytest.mark.parametrize(
    ("dated", "plain"),
    [
        ("openai:gpt-4.1-mini-2025-04-14", "openai:gpt-4.1-mini"),
        ("openai:gpt-4o-2024-08-06", "openai:gpt-4o"),
        ("anthropic:claude-sonnet-4-5-20250929", "anthropic:claude-sonnet-4-5"),
        ("anthropic:claude-sonnet-4-20250514", "anthropic:claude-sonnet-4"),
        ("openrouter:openai/gpt-5.1-20251113", "openrouter:openai/gpt-5.1"),
    ],
)
def test_a_snapshot_costs_what_its_model_costs(dated: str, plain: str) -> None:
    """A name with a date at its end is priced as the name without, where only that is listed."""
    shipped = Prices.shipped()
    assert dated not in shipped.models
    assert shipped.of(dated) == shipped.models[plain]


def test_a_snapshot_with_a_price_of_its_own_keeps_it() -> None:
    """The whole name comes before the name without its date."""
    shipped = Prices.shipped()
    assert shipped.of("openai:gpt-4o-2024-05-13") != shipped.of("openai:gpt-4o")


@pytest.mark.parametrize(
    "name",
    [
        "openai:gpt-4.1-mini-2025-13-45",
        "openai:gpt-4.1-mini-20251399",
        "openai:gpt-4.1-mini-2025",
        "openai:gpt-4.1-mini-0414",
        "openai:gpt-4.1-mini-latest",
        "openai:gpt-4.1-mini-2025-04-14-2025-04-14",
        "openai:gpt-4.1-mini-2025-04-14 ",
        "openai:gpt-4.1-mini-٢٠٢٥-٠٤-١٤",
        "openai:-2025-04-14",
        "openai:gpt",
        "openai:",
        "openai:*",
        "openai",
        "*",
        "",
        "gpt-4.1-mini",
        "OPENAI:gpt-4.1-mini",
        "anthropic:gpt-4.1-mini",
        "openrouter:gpt-4.1-mini",
        "acme:gpt-4.1-mini",
        "langchain:gpt-4.1-mini",
        "langchain:google_vertexai:gemini-2.5-flash",
        "langchain:ollama:llama3.2",
        "langchain:embedded:x",
        "gemini-2.5-flash",
        "langchain:bedrock_converse:gpt-4.1-mini",
        "langchain:",
    ],
)
def test_nothing_is_guessed(name: str) -> None:
    """A name that merely resembles a listed one has no price."""
    assert Prices.shipped().of(name) is None


@given(name=st.sampled_from(sorted(Prices.shipped().models)), rest=st.text(min_size=1), cut=st.integers(1, 5))
def test_the_beginning_of_a_name_prices_nothing(name: str, rest: str, cut: int) -> None:
    """Neither a longer name nor a shorter one has the price of a listed one, unless it is listed or dated itself."""
    shipped = Prices.shipped()
    longer, shorter = name + rest, name[:-cut]
    assume(not rest[-1].isdigit())
    assert longer in shipped.models or shipped.of(longer) is None
    assert shorter in shipped.models or shorter[-1:].isdigit() or shipped.of(shorter) is None


@pytest.mark.parametrize("base_url", [None, "https://models.example/v1"])
@pytest.mark.parametrize("name", ["embedded", "gguf:/models/gpt-4o.gguf", "simulated:p=0.9,seed=7", "scripted:"])
def test_what_this_process_computes_is_free(name: str, base_url: str | None) -> None:
    """Wherever an address may lead."""
    assert Prices.shipped().of(name, base_url) is FREE


NEAR = [
    "http://localhost:8000/v1",
    "http://LOCALHOST:8000/v1",
    "http://127.0.0.1:8000/v1",
    "http://127.8.9.10/v1",
    "http://0.0.0.0:8000",
    "http://10.1.2.3:8000/v1",
    "http://172.16.0.1/v1",
    "http://192.168.1.7/v1",
    "http://169.254.1.1/v1",
    "http://[::1]:8000/v1",
    "http://[fd00::7]/v1",
    "http://[fe80::1]/v1",
    "http://[::ffff:10.0.0.1]/v1",
    "http://api.localhost/v1",
    "https://gpu.local/v1",
    "https://models.corp.internal/v1",
    "http://box.lan/v1",
    "http://nas.home.arpa/v1",
    "http://vllm:8000/v1",
    "http://gpu-box_2:8000/v1",
    "localhost:11434",
    "127.0.0.1",
]
FAR = [
    "https://models.example/v1",
    "https://api.openai.com/v1",
    "http://8.8.8.8/v1",
    "http://172.32.0.1/v1",
    "http://134744072/v1",  # 8.8.8.8
    "http://0x08080808/v1",
    "http://[::ffff:8.8.8.8]/v1",
    "http://[2a00:1450::1]/v1",
    "https://localhost.example.com/v1",
    "https://notlocal.com/v1",
    "https://internal.example/v1",
    "https://user@localhost@models.example/v1",
    "https://models%2eexample/v1",
    "http://[::1",
    "http:///v1",
    "",
]


@pytest.mark.parametrize("name", ["vllm:openai/gpt-4o", "ollama:qwen3:8b", "llamacpp:any", "openai:mine", "acme:gpt"])
@pytest.mark.parametrize("base_url", NEAR)
def test_what_a_server_in_ones_own_network_computes_is_free(name: str, base_url: str) -> None:
    """On this machine, at a private address, or at a name that no public server has."""
    assert Prices.shipped().of(name, base_url) is FREE


@pytest.mark.parametrize("name", ["vllm:openai/gpt-4o", "ollama:qwen3:8b", "llamacpp:any", "openai:mine", "acme:gpt"])
@pytest.mark.parametrize("base_url", [None, *FAR])
def test_what_any_other_server_computes_has_no_price(name: str, base_url: str | None) -> None:
    """A provider's name alone does not make a model free, nor does an address that only looks near."""
    assert Prices.shipped().of(name, base_url) is None


@given(base_url=st.text("htp:/[]@.%0123456789abcl-_") | st.text())
def test_any_address_is_near_or_not(base_url: str) -> None:
    """No address breaks the list."""
    assert Prices.shipped().of("vllm:any", base_url) in (FREE, None)


@pytest.mark.parametrize("base_url", [None, "http://localhost:8000/v1", "https://models.example/v1"])
def test_a_listed_price_holds_wherever_the_server_is(base_url: str | None, load: Any) -> None:
    """What is listed comes before what is near."""
    mine = load("models: {'vllm:*': {input: 2, output: 3}, 'simulated:*': {input: 1, output: 1}}")
    assert mine.of("vllm:any", base_url) == Price(input=2, output=3)
    assert mine.of("simulated:p=0.9", base_url) == Price(input=1, output=1)
    assert mine.of("openai:gpt-4.1-mini", base_url) == Price(input=0.4, cached=0.1, output=1.6)


KEYS = {"OPENAI_API_KEY": "k", "VLLM_API_KEY": "k"}


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("name", ["openai:my-model", "vllm:Qwen/Qwen3-8B", "ollama:qwen3:8b", "llamacpp:mine"])
async def test_one_name_at_two_addresses_has_two_prices(name: str, first: int) -> None:
    """Free at home, unknown at a public address, whichever a session meets first; embedders likewise."""
    tariff = Tariff(Prices.shipped())
    addresses = {"http://localhost:9/v1": FREE, "https://models.example/v1": None}
    for base_url, price in sorted(addresses.items(), reverse=bool(first)):
        for make in (resolve, resolve_embedder):
            model: Any = make(name, environ=KEYS, base_url=base_url)
            assert tariff.of(model) is price
            await model.aclose()


async def test_a_model_s_own_price_is_its_own() -> None:
    """It comes before that of its name, and another model of that name does not have it."""
    tariff, price = Tariff(Prices.shipped()), Price(input=7, output=8)
    one, other = (resolve("openai:gpt-4.1-mini", environ=KEYS) for _ in range(2))

    class Priced:
        name, price = one.name, Price(input=7, output=8)

    assert tariff.of(other) == Price(input=0.4, cached=0.1, output=1.6)
    assert tariff.of(Priced()) == price  # type: ignore[arg-type]  # what a tariff looks at
    assert tariff.of(one) == tariff.of(other)
    await one.aclose()
    await other.aclose()


@pytest.mark.parametrize(
    ("host", "price"),
    [
        (None, FREE),
        ("", FREE),
        ("0.0.0.0", FREE),
        ("gpu-box:11434", FREE),
        ("http://192.168.1.7:11434", FREE),
        ("https://ollama.example", None),
        ("ollama.example:443", None),
    ],
)
def test_ollama_through_langchain_is_free_where_it_is_near(
    host: str | None, price: Price | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LangChain asks where the process environment says, or on this machine."""
    chat_models = pytest.importorskip("langchain.chat_models")
    fake = importlib.import_module("tests.agents.fake_langchain")

    class Chat(fake.FakeChat):  # type: ignore[name-defined,misc]  # of an extra that may not be here
        base_url: str | None = None

    def make(model: str, *, model_provider: str, max_retries: int, base_url: str) -> Any:
        return Chat(script=None, base_url=base_url)

    monkeypatch.setattr(chat_models, "init_chat_model", make)
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    if host is not None:
        monkeypatch.setenv("OLLAMA_HOST", host)
    assert Tariff(Prices.shipped()).of(resolve("langchain:ollama:llama3.2", environ={})) is price


@pytest.mark.parametrize(
    ("name", "base_url", "found"),
    [
        ("vllm:any", None, "http://localhost:8000/v1"),
        ("VLLM/any/more", None, "http://localhost:8000/v1"),
        ("ollama:any", None, "http://gpu.example:1"),
        ("ollama:any", "http://other.example", "http://other.example"),
        ("openai:any", None, "https://api.openai.com/v1"),
        ("embedded", None, None),
        ("langchain:openai:any", "http://other.example", None),
        ("simulated:p=0.9", None, None),
    ],
)
def test_where_a_model_would_be_asked(name: str, base_url: str | None, found: str | None) -> None:
    """The address of a name is known without a key, and is what `resolve` uses."""
    assert address_of(name, environ={"OLLAMA_BASE_URL": " http://gpu.example:1 "}, base_url=base_url) == found


@pytest.mark.parametrize(
    ("name", "written"),
    [("OpenAI/a/b:c", "openai:a/b:c"), (" vllm:a/b ", "vllm:a/b"), ("embedded", "embedded"), ("", "")],
)
def test_names_have_one_canonical_form(name: str, written: str) -> None:
    """The provider in lower case, then a colon."""
    assert canonical(name) == written


@pytest.mark.parametrize("separator", [":", "/"])
def test_langchain_costs_what_it_wraps(separator: str, load: Any) -> None:
    """A model asked through LangChain has its provider's price, dates included, unless it is listed itself."""
    shipped, listed = Prices.shipped(), f"langchain:openai{separator}gpt-4.1-mini"
    assert shipped.of(listed) == shipped.models["openai:gpt-4.1-mini"]
    assert shipped.of(f"{listed}-2025-04-14") == shipped.models["openai:gpt-4.1-mini"]
    wrapped = f"langchain:openrouter{separator}openai/gpt-4.1-mini"
    assert shipped.of(wrapped) == shipped.models["openrouter:openai/gpt-4.1-mini"]
    mine = load(f"models: {{'{listed}': {{input: 7, output: 8}}}}")
    assert mine.of(listed) == Price(input=7, output=8)
    assert mine.of("openai:gpt-4.1-mini") == shipped.models["openai:gpt-4.1-mini"]


def test_a_users_file_lies_on_top_of_the_shipped_list(load: Any) -> None:
    """Its entries replace those of the same name or are added, and the rest and the date stay as they ship."""
    shipped = Prices.shipped()
    mine = load(
        """
        date: 2031-01-02
        models:
          openai:gpt-4.1-mini: {input: 7, output: 8}
          acme:gpt: {input: 1, cached: 0, written: 2, output: 3.5}
          ollama:qwen3:8b: {input: 0.5, output: 0.5}
          embedded: {input: 0.1, output: 0.1}
        """
    )
    assert mine.of("openai:gpt-4.1-mini-2025-04-14") == Price(input=7, output=8)
    assert mine.of("acme:gpt") == Price(input=1, cached=0, written=2, output=3.5)
    assert mine.of("ollama:qwen3:8b") == Price(input=0.5, output=0.5)
    assert mine.of("embedded") == Price(input=0.1, output=0.1)
    assert (mine.of("ollama:qwen3"), mine.dated) == (None, shipped.dated)
    assert {**mine.models, **shipped.models}.keys() - shipped.models.keys() == {
        "acme:gpt",
        "ollama:qwen3:8b",
        "embedded",
    }


def test_a_file_may_be_json(load: Any) -> None:
    """A name that ends in .json is read as JSON."""
    text = json.dumps({"models": {"acme:gpt": {"input": 1, "output": 2}}})
    assert load(text, "mine.JSON").of("acme:gpt") == Price(input=1, output=2)


@pytest.mark.parametrize("name", ["mine.yaml", "mine.json"])
def test_a_file_may_price_long_prompts(name: str, load: Any) -> None:
    """Each tier has prices of its own, those of the cache being by default that of its input."""
    entry = {"input": 1, "cached": 0.1, "output": 2, "tiers": [{"above": 1000, "input": 3, "output": 4}]}
    found = load(json.dumps({"models": {"acme:gpt": entry, "acme:short": {**entry, "tiers": []}}}), name)
    price = Price(input=1, cached=0.1, output=2, tiers=(Tier(above=1000, input=3, cached=3, written=3, output=4),))
    assert found.of("acme:gpt") == price
    assert found.of("acme:short") == replace(price, tiers=())


def test_a_star_prices_what_is_not_listed_by_name(load: Any) -> None:
    """`PROVIDER:*` comes after every name, dated ones included, and before what is free."""
    mine = load(
        """
        models:
          openai:*: {input: 9, output: 9}
          vllm:*: {input: 2, output: 2}
          embedded:*: {input: 1, output: 1}
        """
    )
    shipped, dear = Prices.shipped(), Price(input=9, output=9)
    assert mine.of("openai:gpt-99") == mine.of("langchain:openai:gpt-99") == dear
    for name in ("openai:gpt-4.1-mini", "openai:gpt-4.1-mini-2025-04-14", "langchain:openai:gpt-4.1-mini"):
        assert mine.of(name) == shipped.models["openai:gpt-4.1-mini"]
    assert mine.of("vllm:Qwen/Qwen3-8B") == Price(input=2, output=2)
    assert mine.of("embedded") == Price(input=1, output=1)
    assert (mine.of("openrouter:any"), mine.of("ollama:any")) == (None, None)


def tiers(text: str) -> str:
    """A file whose one model has such tiers."""
    return f"models: {{'openai:x': {{input: 1, output: 1, tiers: {text}}}}}"


TIERS = "must be a list of tiers, their lengths (above) rising"
LENGTH = "must be an integer from 1 to 1,000,000,000,000,000, in tokens"
ENTRY = "prices.models[openai:x]"
NUMBER = "must be a number from 0 to 1,000,000,000, in US dollars per million tokens"


@pytest.mark.parametrize(
    ("text", "field", "problem"),
    [
        ("models: {'openai:x': {input: '1', output: 1}}", f"{ENTRY}.input", f"{NUMBER}, got '1'"),
        ("models: {'openai:x': {input: 1, output: -1}}", f"{ENTRY}.output", f"{NUMBER}, got -1"),
        ("models: {'openai:x': {input: .nan, output: 1}}", f"{ENTRY}.input", f"{NUMBER}, got nan"),
        ("models: {'openai:x': {input: .inf, output: 1}}", f"{ENTRY}.input", f"{NUMBER}, got inf"),
        ("models: {'openai:x': {input: yes, output: 1}}", f"{ENTRY}.input", f"{NUMBER}, got True"),
        ("models: {'openai:x': {input: 1, output: 1, cached: }}", f"{ENTRY}.cached", f"{NUMBER}, got None"),
        ("models: {'openai:x': {input: 1, output: 1, written: [1]}}", f"{ENTRY}.written", f"{NUMBER}, got [1]"),
        (f"models: {{'openai:x': {{input: {'9' * 400}, output: 1}}}}", f"{ENTRY}.input", f"{NUMBER}, got 9999"),
        ("models: {'openai:x': {input: 1}}", f"{ENTRY}.output", f"{NUMBER}, but is missing"),
        (tiers("3"), f"{ENTRY}.tiers", f"{TIERS}, got 3"),
        (tiers("[{above: 2, input: 1, output: 1}, {above: 2, input: 1, output: 1}]"), f"{ENTRY}.tiers", TIERS),
        (tiers("[{above: 2, input: 1, output: 1}, {above: 1, input: 1, output: 1}]"), f"{ENTRY}.tiers", TIERS),
        (tiers("[7]"), f"{ENTRY}.tiers[0]", "must be a mapping with the keys input, output, cached, written, above"),
        (tiers("[{above: 0, input: 1, output: 1}]"), f"{ENTRY}.tiers[0].above", f"{LENGTH}, got 0"),
        (tiers("[{above: '5', input: 1, output: 1}]"), f"{ENTRY}.tiers[0].above", f"{LENGTH}, got '5'"),
        (tiers("[{input: 1, output: 1}]"), f"{ENTRY}.tiers[0].above", f"{LENGTH}, but is missing"),
        (tiers("[{above: 5, input: -1, output: 1}]"), f"{ENTRY}.tiers[0].input", f"{NUMBER}, got -1"),
        (tiers("[{above: 5, input: 1, output: 1, tiers: []}]"), f"{ENTRY}.tiers[0].tiers", "is not a key here; known"),
        ("models: {'openai:x': {inptu: 1, output: 1}}", f"{ENTRY}.inptu", "is not a key here; known are input, output"),
        (
            "models: {'openai:x': 3}",
            ENTRY,
            "must be a mapping with the keys input, output, cached, written, tiers, got 3",
        ),
        (
            "models: {'openai:x': }",
            ENTRY,
            "must be a mapping with the keys input, output, cached, written, tiers, got None",
        ),
        (
            "models: {gpt-4o: {input: 1, output: 1}}",
            "prices.models[gpt-4o]",
            "the name of a model must be PROVIDER:MODEL",
        ),
        ("models: {openai/gpt: {input: 1, output: 1}}", "prices.models[openai/gpt]", "the name of a model must be"),
        ("models: {OpenAI:x: {input: 1, output: 1}}", "prices.models[OpenAI:x]", "the name of a model must be"),
        ("models: {openai:gpt-*: {input: 1, output: 1}}", "prices.models[openai:gpt-*]", "the name of a model must be"),
        ("models: {'*': {input: 1, output: 1}}", "prices.models[*]", "the name of a model must be"),
        ("models: {'openai:': {input: 1, output: 1}}", "prices.models[openai:]", "the name of a model must be"),
        ("models: {7: {input: 1, output: 1}}", "prices.models[7]", "the name of a model must be"),
        ("models: []", "prices.models", "must be a mapping of names to prices, got []"),
        ("date: 2026-11-25", "prices.models", "must be a mapping of names to prices, but is missing"),
        ("date: yesterday\nmodels: {}", "prices.date", "must be a date as in 2026-11-25, got 'yesterday'"),
        ("date: '20261125'\nmodels: {}", "prices.date", "must be a date as in 2026-11-25, got '20261125'"),
        ("date: 2026-11-25T10:00:00\nmodels: {}", "prices.date", "must be a date as in 2026-11-25, got datetime"),
        ("date: 7\nmodels: {}", "prices.date", "must be a date as in 2026-11-25, got 7"),
        ("prices: {}\nmodels: {}", "prices.prices", "is not a key here; known are date, models"),
        ("", "prices", "must be a mapping with the keys date, models, got None"),
        ("- 1", "prices", "must be a mapping with the keys date, models, got [1]"),
    ],
)
def test_a_file_that_says_something_else_is_refused(text: str, field: str, problem: str, load: Any) -> None:
    """The error is one sentence that names the key, and says what is allowed and what stood there."""
    with pytest.raises(InputError) as caught:
        load(text)
    message = str(caught.value)
    assert caught.value.field == field
    assert message.startswith(f"{field}: {problem}")
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("models:\n  a:b: {input: 1, output: 1}\n  a:b: {input: 2, output: 2}", "a key comes twice"),
        ("models: {a:b: {input: 1, input: 2, output: 2}}", "a key comes twice"),
        ("models: &m {a:b: {input: 1, output: 2}}\ndate: *m", r"line 2 repeats \*m; write aliases out"),
        ("models: !!python/object:os.system {}", "line 1 has the tag .*; tags are not read here"),
        ("models: {", r"line \d is not YAML: while parsing a flow"),
        ("date: 2026-13-45\nmodels: {}", "is not YAML that can be used"),
        ("[" * 5000, "nests more than 64 levels deep"),
        (b"models: {\xff: 1}", "must be UTF-8 text"),
        ("#" * 70_000, "must have at most 65,536 bytes"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused(text: str | bytes, problem: str, load: Any) -> None:
    """Doubles, aliases, tags, depth, size and what is no YAML end in one sentence that names the file."""
    with pytest.raises(InputError, match=problem) as caught:
        load(text)
    assert caught.value.field.endswith("mine.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"models": {"a:b": {"input": NaN, "output": 1}}}', "is not JSON that can be used: NaN is no JSON number"),
        ('{"models": {"a:b": {"input": 1, "output": 1}, "a:b": {"input": 1, "output": 1}}}', "comes twice"),
        ('{"models": {"a:\\ud800": {"input": 1, "output": 1}}}', "the name of a model must be"),
    ],
)
def test_hostile_json_is_refused(text: str, problem: str, load: Any) -> None:
    """What Python's reader of JSON lets pass is refused all the same, in words that can be printed."""
    with pytest.raises(InputError, match=problem) as caught:
        load(text, "mine.json")
    str(caught.value).encode()


@given(data=st.binary(max_size=200) | st.text("{}[]:,-&*!|>\"'\n 19.ademoslinput", max_size=60).map(str.encode))
def test_any_bytes_are_prices_or_refused(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No file ends in anything but prices or an `InputError`."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(data)
    with suppress(InputError):
        assert Prices.load(path).models.keys() >= Prices.shipped().models.keys()


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """A missing file and a folder are refused by their path."""
    missing, none = "does not exist", "must be a file, not a folder or device"
    for path, problem in ((tmp_path / "missing.yaml", missing), (str(tmp_path / "no.json"), missing), (tmp_path, none)):
        with pytest.raises(InputError, match=f": {problem}$") as caught:
            Prices.load(path)
        assert caught.value.field == str(path)


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says on opening it is passed on."""
    path = tmp_path / "mine.yaml"
    path.write_text("models: {}")

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        Prices.load(path)


def test_the_list_is_read_only_when_asked_for() -> None:
    """Importing the module reads no file."""
    code = "from orchestra_agents import prices; print(prices._shipped.cache_info().misses)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_the_writer_of_the_list_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its source it ends with the command that installs it."""
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    monkeypatch.setattr(sys, "argv", ["prices.py"])
    with pytest.raises(SystemExit, match="pip install genai-prices"):
        runpy.run_path(str(ROOT / "scripts" / "prices.py"), run_name="__main__")
