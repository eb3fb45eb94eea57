"""Rules that stop a vote: their published values, a brute-force shortfall, and the promise that PPR keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_agents.errors import InputError
from orchestra_agents.voting.stopping import AdaptiveConsistency, Majority, Ppr, beta_confidence, log_density_at_half
from orchestra_agents.voting.tally import Capped, Decided, Rule, Tally, Undecided

ballots = st.lists(st.sampled_from("abc"), max_size=9)
RULES: dict[str, Rule] = {
    "majority": Majority(7),
    "majority, even": Majority(12),
    "adaptive": AdaptiveConsistency(0.9, max_votes=14),
    "ppr": Ppr(0.2, answers=3, max_votes=14),
    "ppr, answers unknown": Ppr(0.4, max_votes=14),
}
VOTES = {"majority": 7, "majority, even": 12, "adaptive": 14, "ppr": 14, "ppr, answers unknown": 14}
each_rule = pytest.mark.parametrize("name", RULES)


def counted(votes: Sequence[str], flagged: int = 0) -> Tally:
    """The tally of some votes."""
    tally = Tally(flagged=flagged)
    for vote in votes:
        tally.add(vote)
    return tally


def unanimous(rule: Rule, against: int = 0) -> int:
    """How many votes for one answer the rule needs, with some against it, counted last to first."""
    votes = 1
    while not isinstance(rule(Tally({"a": votes, "b": against})), Decided):
        votes += 1
    return votes


def least_deciding(rule: Rule, votes: Sequence[str], most: int) -> int:
    """The reference: the length of the shortest continuation that decides, all of them tried, or `most`."""
    for length in range(1, most):
        for more in product(sorted({*votes, "new"}), repeat=length):
            if isinstance(rule(counted([*votes, *more])), Decided):
                return length
    return most


@each_rule
@given(votes=ballots)
@settings(max_examples=60)
def test_shortfall_is_the_least_number_of_votes_that_could_decide(name: str, votes: list[str]) -> None:
    """No fewer votes than the shortfall suffice, so that drawing them at once wastes none, and so many may."""
    verdict = RULES[name](counted(votes))
    if isinstance(verdict, Undecided):
        left = VOTES[name] - len(votes)
        assert 1 <= verdict.shortfall <= left
        if 3 ** min(verdict.shortfall, left) < 10_000:
            assert verdict.shortfall == least_deciding(RULES[name], votes, left)


@each_rule
@given(votes=st.lists(st.sampled_from("abc"), max_size=20))
def test_only_a_strict_leader_wins(name: str, votes: list[str]) -> None:
    """What wins has more votes than any other answer, and the margin says by how many."""
    verdict = RULES[name](counted(votes))
    if isinstance(verdict, Decided):
        others = [votes.count(other) for other in {*votes} - {verdict.answer}]
        assert verdict.margin == votes.count(verdict.answer) - max(others, default=0) >= 1


@each_rule
@given(votes=st.lists(st.sampled_from("ab"), min_size=1, max_size=14))
def test_a_vote_ends_at_its_cap(name: str, votes: list[str]) -> None:
    """A tie at the cap is no decision: the verdict is Capped, with the counts as its reason."""
    half = VOTES[name] // 2
    if VOTES[name] % 2 == 0:
        verdict = RULES[name](counted(["a", "b"] * half))
        assert isinstance(verdict, Capped)
        assert f"a {half}, b {half}" in verdict.reason
    longer = RULES[name](counted(votes * VOTES[name]))
    assert not isinstance(longer, Undecided)


@each_rule
def test_flags_have_a_cap_of_their_own(name: str) -> None:
    """Flagged replies are no votes, and as many as the cap end the vote."""
    rule = RULES[name]
    cap = 10 * VOTES[name] if name.startswith("majority") else VOTES[name]
    assert rule(counted(["a"], cap - 1)) == rule(counted(["a"]))
    assert rule(counted(["a"], cap)) == Capped(f"{cap} replies were flagged; votes: a 1")
    decided = counted(["a"] * VOTES[name], cap)
    assert isinstance(rule(decided), Decided)


@each_rule
@given(votes=ballots)
def test_renaming_answers_renames_the_winner(name: str, votes: list[str]) -> None:
    """Nothing depends on what answers are called."""
    renamed = ["z" + vote for vote in votes]
    before, after = RULES[name](counted(votes)), RULES[name](counted(renamed))
    if isinstance(before, Decided):
        assert after == Decided("z" + before.answer, before.margin)
    elif isinstance(before, Undecided):
        assert after == before


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ("ab", Undecided(2)),
        ("aab", Undecided(1)),
        ("aabb", Undecided(1)),
        ("aaa", Decided("a", 3)),
        ("aabba", Decided("a", 1)),
    ],
)
def test_majority_of_five(votes: str, expected: Undecided | Decided) -> None:
    """A majority is decided as soon as what is left cannot bring a tie."""
    assert Majority(5)(counted(votes)) == expected


def test_majority_never_takes_a_tie() -> None:
    """At the fixed number a tie is Capped; a plurality among three answers wins."""
    assert Majority(4)(counted("abba")) == Capped("a tie after 4 votes: a 2, b 2")
    assert Majority(4)(counted("abca")) == Decided("a", 1)
    assert Majority(1)(counted("x")) == Decided("x", 1)


@pytest.mark.parametrize(("n", "confidence"), [(0, 0.5), (3, 0.9375), (4, 0.96875)])
def test_confidence_of_unanimous_votes(n: int, confidence: float) -> None:
    """Adaptive-Consistency: n equal votes give 1 - 2^-(n+1), so that .95 needs four."""
    assert beta_confidence(n, 0) == confidence == 1 - 2 ** -(n + 1)
    assert unanimous(AdaptiveConsistency()) == 4


@given(a=st.integers(0, 60), b=st.integers(0, 60))
def test_confidence_is_symmetric_and_grows(a: int, b: int) -> None:
    """P(X > 1/2) for a against b and for b against a sum to 1, and one more vote raises it."""
    assert beta_confidence(a, b) + beta_confidence(b, a) == pytest.approx(1)
    assert beta_confidence(a + 1, b) > beta_confidence(a, b) or beta_confidence(a, b) > 1 - 1e-12


@pytest.mark.parametrize(("a", "b"), [(3, 1), (8, 0), (10, 7)])
def test_confidence_is_the_integral_of_the_density(a: int, b: int) -> None:
    """The confidence is the mass of Beta(a+1, b+1) above 1/2, by a sum over a fine grid."""
    scale = math.factorial(a + b + 1) / math.factorial(a) / math.factorial(b)
    grid = [0.5 + (cell + 0.5) / 20_000 for cell in range(10_000)]
    assert math.fsum(scale * x**a * (1 - x) ** b for x in grid) / 20_000 == pytest.approx(
        beta_confidence(a, b), rel=1e-6
    )
    assert math.exp(log_density_at_half(a, b)) == pytest.approx(scale * 0.5 ** (a + b))


@pytest.mark.parametrize(
    ("delta", "answers", "votes"), [(0.05, 2, 8), (0.05, 5, 10), (0.05, 10, 12), (0.01, 2, 11), (0.01, 10, 14)]
)
def test_ppr_without_opposition(delta: float, answers: int, votes: int) -> None:
    """PPR-1v1: so many unanimous votes are needed for so many possible answers."""
    assert unanimous(Ppr(delta, answers)) == votes


@pytest.mark.parametrize(("against", "votes"), [(1, 11), (2, 14), (3, 16), (7, 24), (10, 29)])
def test_ppr_with_opposition(against: int, votes: int) -> None:
    """PPR-1v1 at K = 2 and delta .05: votes for the leader that b votes against it ask for."""
    assert unanimous(Ppr(0.05, 2), against) == votes


def test_ppr_counts_more_answers_than_it_was_told() -> None:
    """Where more answers turn up than K, the union bound is over those."""
    rivals = {f"b{place}": 1 for place in range(9)}
    told, seen = Ppr(0.05, answers=2, max_votes=99), Ppr(0.05, answers=10, max_votes=99)
    assert [told(Tally({"a": n, **rivals})) for n in range(2, 20)] == [
        seen(Tally({"a": n, **rivals})) for n in range(2, 20)
    ]


def test_ppr_with_unknown_answers_asks_more_of_late_comers() -> None:
    """Without K the first answer seen may spend 6/pi^2 of delta, the second a quarter of that, and so on."""
    rule = Ppr(0.05)
    assert unanimous(rule) == 9
    assert isinstance(rule(Tally({"a": 12, "b": 1})), Decided)
    first = next(n for n in range(2, 99) if isinstance(rule(Tally({"a": n, "b": 1})), Decided))
    second = next(n for n in range(2, 99) if isinstance(rule(Tally({"b": 1, "a": n})), Decided))
    assert (first, second) == (12, 14)
    spent = sum(0.05 * 6 / (math.pi * place) ** 2 for place in range(1, 100_000))
    assert spent == pytest.approx(0.05, rel=1e-4)


def test_ppr_stops_no_later_for_an_early_rival() -> None:
    """The shortfall is the least over all answers: the first one may need fewer votes than a leader that came late."""
    tally = Tally({"a": 3, **{f"b{place}": 1 for place in range(40)}, "late": 4})
    rule = Ppr(0.05, max_votes=500)
    verdict = rule(tally)
    assert isinstance(verdict, Undecided)
    for _ in range(verdict.shortfall):
        assert isinstance(rule(tally), Undecided)
        tally.add("a")
    assert isinstance(rule(tally), Decided)


def trial(rule: Rule, chances: Sequence[float], random: Random, *, patient: bool = True) -> tuple[str, int]:
    """Draw votes until the rule decides; return for which answer (the mode is 0) and after how many.

    A patient trial draws the shortfall before it asks again, which is the same as asking after every vote.
    """
    tally, cumulative = Tally(), list(accumulate(chances))
    while isinstance(verdict := rule(tally), Undecided):
        for answer in random.choices(
            range(len(chances)), cum_weights=cumulative, k=verdict.shortfall if patient else 1
        ):
            tally.add(str(answer))
    assert isinstance(verdict, Decided)
    return verdict.answer, tally.votes


def errors(rule: Rule, chances: Sequence[float], trials: int) -> int:
    """Count the trials in which another answer than the mode wins."""
    random = Random(f"{chances} {trials}")
    return sum(trial(rule, chances, random)[0] != "0" for _ in range(trials))


PROMISES = [
    (Ppr(0.05, 2, max_votes=20_000), [0.6, 0.4]),
    (Ppr(0.05, 5, max_votes=20_000), [0.4, 0.3, 0.1, 0.1, 0.1]),
    (Ppr(0.01, 10, max_votes=20_000), [0.3] + [0.7 / 9] * 9),
    (Ppr(0.05, max_votes=20_000), [0.4, 0.3, 0.1, 0.1, 0.1]),
]
each_promise = pytest.mark.parametrize(("rule", "chances"), PROMISES, ids=["2", "5", "10", "unknown"])


@each_promise
def test_drawing_the_shortfall_is_asking_after_every_vote(rule: Ppr, chances: Sequence[float]) -> None:
    """With the same votes a rule decides for the same answer after the same number, asked at each vote or not."""
    for seed in range(5):
        assert trial(rule, chances, Random(seed)) == trial(rule, chances, Random(seed), patient=False)


@each_promise
def test_ppr_keeps_its_promise(rule: Ppr, chances: Sequence[float]) -> None:
    """Looked at all the time, another answer than the mode wins in at most delta of 200 trials."""
    assert errors(rule, chances, 200) <= rule.delta * 200


@pytest.mark.nightly
@each_promise
def test_ppr_keeps_its_promise_at_full_size(rule: Ppr, chances: Sequence[float]) -> None:
    """Looked at all the time, another answer than the mode wins in at most delta of 2,000 trials."""
    assert errors(rule, chances, 2_000) <= rule.delta * 2_000


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Majority(0), "votes"), (lambda: Majority(3, 0), "max_flagged"),
        (lambda: AdaptiveConsistency(0.5), "threshold"), (lambda: AdaptiveConsistency(1.0), "threshold"),
        (lambda: AdaptiveConsistency(math.nan), "threshold"), (lambda: AdaptiveConsistency(max_votes=0), "max_votes"),
        (lambda: Ppr(0.0), "delta"), (lambda: Ppr(1.0), "delta"), (lambda: Ppr(math.nan), "delta"),
        (lambda: Ppr(answers=1), "answers"), (lambda: Ppr(max_votes=0), "max_votes"),
    ],
)  # fmt: skip
def test_illegal_rules_are_refused(make: type[Rule], field: str) -> None:
    """A rule that could not be kept is refused by the name of what is wrong."""
    with pytest.raises(InputError, match="must be") as refused:
        make()
    assert refused.value.field == field
