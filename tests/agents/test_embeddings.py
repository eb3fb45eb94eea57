"""Embeddings: what a server's reply must be, and that they are paid, recorded and kept once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_agents.errors import BudgetExceeded, ServerError
from orchestra_agents.journal.collect import collect
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Budget, Ledger
from orchestra_agents.limit import CallLimit
from orchestra_agents.models.embeddings import OpenAIEmbedder, cosine
from orchestra_agents.models.transport import Retry, Transport
from orchestra_agents.payment import Tariff
from orchestra_agents.prices import Prices
from orchestra_agents.sampler import Sampler
from tests.agents.fake_openai import Reply, fake_server

Json = Any
ONCE = Retry(attempts=1, total_s=1)


def rows(*vectors: Json, usage: Json = None) -> Reply:
    """Return a reply with these vectors, last first, as a server may send them."""
    data = [{"index": place, "embedding": vector} for place, vector in enumerate(vectors)][::-1]
    return Reply(body={"data": data} | ({"usage": usage} if usage else {}))


def embedder(url: str) -> OpenAIEmbedder:
    return OpenAIEmbedder("m", name="vllm:m", transport=Transport(url), retry=ONCE)


async def test_vectors_come_in_the_order_of_the_texts() -> None:
    """`index` decides, not the order of the rows; usage is the server's."""
    async with fake_server(rows([1, 0.1234567], [0, 1], usage={"prompt_tokens": 9})) as server:
        model = embedder(server.url)
        made = await model.embed(["a", "b"])
        await model.aclose()
    assert made.vectors == ((1.0, 0.123457), (0.0, 1.0))
    assert (made.usage.input_tokens, made.usage.estimated) == (9, False)
    assert server.requests[0].body == {"model": "m", "input": ["a", "b"], "encoding_format": "float"}


@pytest.mark.parametrize(
    "body",
    [
        {"data": []},
        {"data": [{"index": 0, "embedding": [1]}]},
        {"data": [{"embedding": [1, 2]}, {"embedding": [1]}]},
        {"data": [{"embedding": []}, {"embedding": []}]},
        {"data": [{"embedding": ["1"]}, {"embedding": [True]}]},
        {"data": "none"},
        [],
    ],
)
async def test_anything_but_a_vector_for_each_text_is_a_typed_error(body: Json) -> None:
    """A reply that is not as promised was answered, and is counted as a call."""
    async with fake_server(Reply(body=body)) as server:
        model = embedder(server.url)
        with pytest.raises(ServerError, match="the server's reply") as caught:
            await model.embed(["a", "b"])
        await model.aclose()
    assert caught.value.calls == 1


async def test_embeddings_are_booked_recorded_and_kept(tmp_path: Path) -> None:
    """They count as a call with its tokens, are not asked for again, pass no cap, and survive `gc`."""
    async with fake_server(rows([1, 0], [0, 1])) as server:
        model = embedder(server.url)
        with Journal(tmp_path / "j.db") as journal:
            with journal.own("r") as run:
                state = RunState()
                run.listen(state.apply)
                ledger = Ledger(Budget(calls=1))
                tariff = Tariff(Prices.shipped())
                sampler = Sampler((), journal=run, state=state, ledger=ledger, limit=CallLimit(1), tariff=tariff)
                assert await sampler.embed("n", ["one", "two"], model) == [[1.0, 0.0], [0.0, 1.0]]
                assert await sampler.embed("n", ["one", "two"], model) == [[1.0, 0.0], [0.0, 1.0]]
                with pytest.raises(BudgetExceeded):
                    await sampler.embed("n", ["other"], model)
                assert (state.usage.calls, state.usage.samples, state.usage.estimated) == (1, 0, True)
                assert ledger.spent.calls == 1
            collect(journal)
            replayed = RunState.of(journal.entries("r"))
            [record] = [entry.record for entry in journal.entries("r") if entry.record.kind == "texts.embedded"]
            assert journal.blob(record.text) == "[[1.0,0.0],[0.0,1.0]]"  # type: ignore[attr-defined]
            assert replayed.usage.calls == 1
        await model.aclose()
    assert len(server.requests) == 1


VECTORS = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3)


@given(VECTORS, VECTORS)
def test_cosine_is_a_similarity(first: list[float], second: list[float]) -> None:
    """Symmetric, between -1 and 1, 1 with itself, 0 with nothing."""
    value = cosine(first, second)
    assert -1 <= value <= 1
    assert value == pytest.approx(cosine(second, first))
    assert cosine(first, [0.0, 0.0, 0.0]) == 0
    if math.hypot(*first) > 1e-3:
        assert cosine(first, first) == pytest.approx(1)
