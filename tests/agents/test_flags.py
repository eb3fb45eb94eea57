"""Red flags alone and combined."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import RedFlag
from orchestra_agents.flags import RedFlagPolicy, longer_than, truncated, unparsable
from orchestra_agents.models.contract import Completion, TokenUsage

CHOICE = AnswerType("choice", choices=("a", "b"))
FINE = Completion(text='{"answer":"a"}')


def rude(completion: Completion) -> str | None:
    """A plain function as a check."""
    return "rude" if "fool" in completion.text else None


def shouting(completion: Completion) -> str | None:
    """Another one."""
    return "shouting" if completion.text.isupper() else None


@pytest.mark.parametrize(
    ("finish_reason", "flag"), [("stop", None), ("length", "truncated"), ("content_filter", None), ("other", None)]
)
def test_truncated_flags_only_what_ran_into_the_limit(finish_reason: str, flag: str | None) -> None:
    """A reply is truncated if it ended by length, even where its text could be read."""
    assert truncated()(Completion(text=FINE.text, finish_reason=finish_reason)) == flag  # type: ignore[arg-type]


@pytest.mark.parametrize(("tokens", "flag"), [(0, None), (750, None), (751, "too_long")])
def test_longer_than_counts_output_tokens(tokens: int, flag: str | None) -> None:
    """A reply of more output tokens than allowed is too long; exactly as many are not, and input does not count."""
    usage = TokenUsage(input_tokens=100_000, output_tokens=tokens)
    assert longer_than(tokens=750)(Completion(text="x", usage=usage)) == flag


@pytest.mark.parametrize("text", ["", "a", '{"answer":"c"}', '{"answer":"a"} indeed', '{"answer":"a","why":1}'])
def test_unparsable_flags_what_the_answer_type_cannot_read(text: str) -> None:
    """What the reader refuses is flagged with the reader's reason; nothing is repaired."""
    assert unparsable(CHOICE.read)(Completion(text=text)) == "unparsable"


def test_unparsable_keeps_what_can_be_read() -> None:
    """A reply that reads as an answer is not flagged."""
    assert unparsable(CHOICE.read)(FINE) is None


def test_unparsable_gives_the_readers_own_reason() -> None:
    """The flag is the reason that the reader's RedFlag names, and no other error is swallowed."""

    def illegal(text: str) -> str:
        raise RedFlag("illegal_move", text)

    def broken(text: str) -> str:
        raise KeyError(text)

    assert unparsable(illegal)(FINE) == "illegal_move"
    with pytest.raises(KeyError):
        unparsable(broken)(FINE)


def test_opaque_answers_are_never_parsed() -> None:
    """A simulated wrong answer that stands for any bypasses the reader, but not the other flags."""
    opaque = Completion(text="wrong-1", opaque="wrong-1")
    assert unparsable(CHOICE.read)(opaque) is None
    cut = Completion(text="wrong-1", opaque="wrong-1", finish_reason="length")
    assert (truncated() | unparsable(CHOICE.read))(cut) == "truncated"


POLICY = RedFlagPolicy(shouting)
EITHER: list[Callable[[Completion], str | None]] = [POLICY | RedFlagPolicy(rude), POLICY | rude, rude | POLICY]
BOTH: list[Callable[[Completion], str | None]] = [POLICY & RedFlagPolicy(rude), POLICY & rude, rude & POLICY]


@pytest.mark.parametrize("policy", EITHER, ids=["policies", "function-right", "function-left"])
def test_or_flags_what_either_flags(policy: Callable[[Completion], str | None]) -> None:
    """`a | b` flags what one of them flags with its reason, plain functions on either side included."""
    assert policy(Completion(text="you fool")) == "rude"
    assert policy(Completion(text="HELLO")) == "shouting"
    assert policy(Completion(text="hello")) is None


@pytest.mark.parametrize("policy", BOTH, ids=["policies", "function-right", "function-left"])
def test_and_flags_only_what_both_flag(policy: Callable[[Completion], str | None]) -> None:
    """`a & b` flags what both flag and names both reasons, plain functions on either side included."""

    def loud_fool(completion: Completion) -> str | None:
        return "rude" if "FOOL" in completion.text else None

    assert policy(Completion(text="you fool")) is None
    assert policy(Completion(text="HELLO")) is None
    assert (POLICY & loud_fool)(Completion(text="FOOL")) == "shouting and rude"
    assert (loud_fool & POLICY)(Completion(text="FOOL")) == "rude and shouting"


def test_the_left_reason_comes_first() -> None:
    """Where both sides of `|` flag, the left one gives the reason and the right one is not asked."""

    def never(completion: Completion) -> str | None:
        raise AssertionError(completion)

    cut = Completion(text="X", finish_reason="length")
    assert (truncated() | never)(cut) == "truncated"
    assert (shouting | truncated())(cut) == "shouting"


def test_combinations_combine() -> None:
    """Policies nest to any depth, `&` binding tighter than `|` as in Python."""
    policy = truncated() | longer_than(tokens=5) & POLICY
    long = TokenUsage(output_tokens=6)
    assert policy(Completion(text="X", usage=long)) == "too_long and shouting"
    assert policy(Completion(text="x", usage=long)) is None
    assert policy(Completion(text="x", usage=long, finish_reason="length")) == "truncated"
