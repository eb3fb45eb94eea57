"""Red flags alone and combined."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError, RedFlag
from orchestra_agents.flags import (
    REFUSALS,
    RedFlagPolicy,
    longer_than,
    matching,
    not_matching,
    refusal,
    truncated,
    unlikely,
    unparsable,
)
from orchestra_agents.models.contract import Completion, TokenLogprob, TokenUsage

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


MOVE = r"^move = \[\d+, [0-2], [0-2]\]\z"


@pytest.mark.parametrize(
    ("text", "is_move"),
    [("move = [1, 0, 2]", True), ("move = [1, 0, 2]\n", False), ("move = [1, 0, 3]", False), ("", False)],
)
def test_patterns_flag_what_they_find_or_miss(text: str, is_move: bool) -> None:
    """`matching` flags replies that hold the pattern, `not_matching` the others; both reasons are `pattern`."""
    assert matching(MOVE)(Completion(text=text)) == ("pattern" if is_move else None)
    assert not_matching(MOVE)(Completion(text=text)) == (None if is_move else "pattern")


def test_patterns_are_found_anywhere_unless_anchored() -> None:
    """A pattern without anchors is found in the middle of a reply, in any script, and flags may stand in it."""
    assert matching("(?i)wait, no")(Completion(text="4. Wait, NO: 5")) == "pattern"
    assert matching("grüße?")(Completion(text="viele grüße")) == "pattern"
    assert not_matching(r"(?m)^answer:")(Completion(text="so\nanswer: 5")) is None


@pytest.mark.parametrize("pattern", ["(a+)+\\z", "(a|a)*b", "a*a*a*a*a*b", "(.*)*x"])
def test_patterns_take_linear_time(pattern: str) -> None:
    """A pattern that would keep a backtracking engine busy for years is searched in no time."""
    begun = time.process_time()
    assert matching(pattern)(Completion(text="a" * 50_000 + "!")) is None
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("pattern", ["(", "(?P<n>a)(?P=n)", "a(?=b)", "a(?<!b)", r"(a)\1", r"a\Z", "\ud800"])
def test_patterns_that_cannot_be_kept_are_refused(pattern: str, capfd: pytest.CaptureFixture[str]) -> None:
    """What RE2 cannot read is refused when the policy is made, and nothing else is printed."""
    for make in (matching, not_matching):
        with pytest.raises(InputError, match="pattern: must be a regular expression in RE2 syntax"):
            make(pattern)
    assert capfd.readouterr() == ("", "")


def test_half_a_surrogate_pair_is_searched_like_any_text() -> None:
    """A reply that is no legal Unicode is flagged or not like any other, and raises nothing."""
    assert not_matching(r"^ok\z")(Completion(text="\ud800 ok")) == "pattern"
    assert matching("ok")(Completion(text="\ud800 ok")) == "pattern"


def test_patterns_never_read_opaque_answers() -> None:
    """A simulated wrong answer that stands for any has no form that could be wrong."""
    opaque = Completion(text="wrong-1", opaque="wrong-1")
    assert not_matching(MOVE)(opaque) is None
    assert matching("wrong")(opaque) is None


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "\n I\N{RIGHT SINGLE QUOTATION MARK}m SORRY",
        "I cannot answer this.",
        "As an AI language model, I have no opinion",
        "Unfortunately, I do not know",
    ],
)
def test_refusals_are_flagged(text: str) -> None:
    """A reply that begins like a refusal is one, in any case and with either apostrophe."""
    assert refusal()(Completion(text=text)) == "refusal"


@pytest.mark.parametrize(
    "text",
    ["", "42", "The hero says: I cannot go on.", "Sorrythorn", "It is as an AI would", '{"answer":"I\'m sorry"}'],
)
def test_refusals_are_looked_for_at_the_start_only(text: str) -> None:
    """What stands later in a reply is content, not a refusal."""
    assert refusal()(Completion(text=text)) is None


def test_the_list_of_refusals_is_in_order() -> None:
    """The openings are sorted, without repeats, in lower case and short enough to be seen."""
    assert list(REFUSALS) == sorted(set(REFUSALS))
    assert all(opening == opening.lower() and len(opening) < 40 for opening in REFUSALS)


@pytest.mark.parametrize(("values", "flag"), [([-0.1, -0.3], None), ([-0.2, -0.2], None), ([-0.1, -0.4], "unlikely")])
def test_unlikely_flags_a_low_mean_log_probability(values: list[float], flag: str | None) -> None:
    """The mean over the tokens counts, and is flagged strictly below the threshold."""
    reply = Completion(text="x y", logprobs=tuple(TokenLogprob("x", value) for value in values))
    assert unlikely(logprob=-0.2)(reply) == flag


@pytest.mark.parametrize("logprobs", [None, ()])
def test_unlikely_needs_log_probabilities(logprobs: tuple[TokenLogprob, ...] | None) -> None:
    """Without log-probabilities nothing is flagged."""
    assert unlikely(logprob=0.0)(Completion(text="x", logprobs=logprobs)) is None


@pytest.mark.parametrize("logprob", [0.1, math.nan, math.inf])
def test_a_log_probability_above_0_is_refused(logprob: float) -> None:
    """No token has a log-probability above 0."""
    with pytest.raises(InputError, match="logprob: must be a natural log-probability, so at most 0"):
        unlikely(logprob=logprob)
