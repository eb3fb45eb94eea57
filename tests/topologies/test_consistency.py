"""How alike answers are: laws of the figure, by type of answer."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.testing import run_virtual
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import ServerError
from orchestra_agents.sampler import Sampler
from orchestra_topologies.consistency import Alikeness, Similarity

TEXT, NUMBER = AnswerType("text"), AnswerType("number")
CHOICE = AnswerType("choice", choices=("yes", "no"))
RECORD = AnswerType("json", schema='{"type":"object"}')
WORDS = Similarity(cast(Sampler, None))


def alike(answer: AnswerType, *values: Any) -> Alikeness:
    return run_virtual(WORDS.of("n", answer, values))


@given(st.text(max_size=50), st.text(max_size=50))
def test_texts_without_embeddings_are_compared_by_their_words(first: str, second: str) -> None:
    """Symmetric, between 0 and 1, 1 for equal texts, and called lexical."""
    found = alike(TEXT, first, second)
    assert found.basis == "lexical"
    assert found.matrix[0][1] == found.matrix[1][0]
    assert 0 <= found.matrix[0][1] <= 1
    assert alike(TEXT, first, first).matrix[0][1] == 1


@pytest.mark.parametrize(
    ("first", "second", "similarity"),
    [
        ("The sky is blue", "the SKY is Blue!", 1),
        ("a b c d", "a b", 0.5),
        ("a a b", "a b b", 0.5),
        ("one", "two", 0),
    ],
)
def test_words_count_once_for_each_time_they_are_said(first: str, second: str, similarity: float) -> None:
    """Shared words over all words, whatever their case and punctuation."""
    assert alike(TEXT, first, second).matrix[0][1] == pytest.approx(similarity)


def test_typed_answers_are_compared_by_their_type() -> None:
    """Choices and numbers are equal or not; objects by the share of equal values over shared keys."""
    assert alike(CHOICE, "yes", "no", "yes").consistency(range(3)) == pytest.approx(1 / 3)
    assert alike(NUMBER, 3, 3.0).matrix[0][1] == 1
    found = alike(RECORD, {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 5}, {"z": 1})
    assert found.basis == "fields"
    assert (found.matrix[0][1], found.matrix[0][2]) == (0.5, 0)


@given(st.lists(st.sampled_from(["yes", "no"]), min_size=1, max_size=9))
def test_the_medoid_of_choices_is_their_majority(votes: list[str]) -> None:
    """And of a tie the first; one answer alone is consistent with itself."""
    found, everyone = alike(CHOICE, *votes), range(len(votes))
    most = max(("yes", "no"), key=lambda one: (votes.count(one), -votes.index(one) if one in votes else -99))
    assert votes[found.medoid(everyone)] == most
    assert found.consistency(everyone[:1]) == 1


def test_a_merged_answer_is_measured_against_what_it_was_made_from() -> None:
    """CS of a single output is its mean similarity to its sources (hole 1)."""
    found = alike(CHOICE, "yes", "yes", "no", "yes")
    assert found.to(3, range(3)) == pytest.approx(2 / 3)


def test_embeddings_that_fail_fall_back_on_words_and_say_so() -> None:
    """The basis names the failure; the run goes on."""

    class Down:
        name = "vllm:bge"

        async def embed(self, *_: object) -> None:
            raise ServerError("it is down")

    class Through:
        async def embed(self, node: str, texts: Any, embedder: Down) -> None:
            await embedder.embed(texts)

    broken = Similarity(cast(Sampler, Through()), cast(Any, Down()))
    found = run_virtual(broken.of_texts("n", ["a b", "a b"]))
    assert found.matrix[0][1] == 1
    assert found.basis == "lexical, because embeddings failed: it is down"
