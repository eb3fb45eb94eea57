"""The laws of the simulated model, each against its formula; bounds are 5 standard errors at fixed seeds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise
from statistics import NormalDist, fmean, median, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.testing import run_virtual
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import (
    Completion,
    Message,
    Prompt,
    Sampling,
    Truth,
    canonical_json,
    estimate_tokens,
)
from orchestra_agents.models.simulated import SimulatedModel

RIGHT = "right"
OPAQUE = Truth(answer=RIGHT)
PLAIN = Sampling()
VOTES = 8_000
STEPS = 4_000


def prompt(truth: Truth | None = OPAQUE, *, step: str = "s", text: str = "?") -> Prompt:
    """A question, with what a simulated model may know about it."""
    return Prompt(text=text, step=step, truth=truth)


async def votes_of(
    text: str, truth: Truth = OPAQUE, *, count: int = VOTES, sampling: Sampling = PLAIN
) -> list[Completion]:
    """Many votes on one step."""
    return await SimulatedModel.parse(text).sample(prompt(truth), sampling, count)


async def steps_of(text: str, truth: Truth = OPAQUE, *, votes: int = 2) -> list[list[bool]]:
    """Whether each of a few votes is right, over many steps."""
    model = SimulatedModel.parse(text)
    steps = [await model.sample(prompt(truth, step=f"step {number}"), PLAIN, votes) for number in range(STEPS)]
    return [[vote.text == RIGHT for vote in step] for step in steps]


def assert_share(hits: Sequence[bool], expected: float) -> None:
    """The share of hits is the expected one, within 5 standard errors of a binomial."""
    assert abs(fmean(hits) - expected) <= 5 * math.sqrt(expected * (1 - expected) / len(hits))


def normal_mean(law: object, points: int = 2_000) -> float:
    """The mean of `law(z)` over a standard normal z, by the midpoint rule on its quantiles."""
    quantile = NormalDist().inv_cdf
    return fmean(law(quantile((point + 0.5) / points)) for point in range(points))  # type: ignore[operator]


def logistic(value: float) -> float:
    """The inverse of the logit."""
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize("p", [0.0, 0.35, 0.9, 0.999, 1.0])
async def test_a_vote_is_right_with_probability_p(p: float) -> None:
    """The share of right votes is p, and all votes are right or wrong at its ends."""
    assert_share([vote.text == RIGHT for vote in await votes_of(f"p={p},seed=1")], p)


@pytest.mark.parametrize("valid", [0.2, 0.95])
async def test_a_reply_is_cut_off_with_probability_1_minus_valid(valid: float) -> None:
    """The share of replies that are not truncated is valid, and p is the share of right ones among those."""
    votes = await votes_of(f"p=0.7,valid={valid},seed=2", sampling=Sampling(max_tokens=99))
    assert_share([vote.finish_reason == "stop" for vote in votes], valid)
    assert_share([vote.text == RIGHT for vote in votes if vote.finish_reason == "stop"], 0.7)
    cut = [vote for vote in votes if vote.finish_reason != "stop"]
    assert {(vote.finish_reason, vote.opaque, vote.usage.output_tokens) for vote in cut} == {("length", None, 99)}


async def test_valid_replies_have_no_sign_of_a_flag() -> None:
    """With the default valid of 1, nothing is cut off."""
    assert {vote.finish_reason for vote in await votes_of("p=0.5")} == {"stop"}


@pytest.mark.parametrize("wrong", [1, 4])
async def test_wrong_votes_without_distractors_are_opaque_and_uniform(wrong: int) -> None:
    """Without wrong answers to draw from, wrong votes are equally likely opaque ones that name themselves."""
    votes = await votes_of(f"p=0.2,wrong={wrong},seed=3")
    missed = [vote for vote in votes if vote.text != RIGHT]
    assert all(vote.opaque is None for vote in votes if vote.text == RIGHT)
    assert all(vote.opaque == vote.text for vote in missed)
    assert {vote.text for vote in missed} == {f"wrong-{number}" for number in range(1, wrong + 1)}
    for name in {vote.text for vote in missed}:
        assert_share([vote.text == name for vote in missed], 1 / wrong)


@pytest.mark.parametrize(("wrong", "drawn"), [(1, 1), (2, 2), (3, 3)])
async def test_wrong_votes_are_uniform_over_distractors(wrong: int, drawn: int) -> None:
    """With wrong answers in the Truth, the first `wrong` of them are equally likely and none is opaque."""
    truth = Truth(answer=RIGHT, wrong=("x", "y", "z"))
    votes = await votes_of(f"p=0.2,wrong={wrong},seed=4", truth)
    missed = [vote for vote in votes if vote.text != RIGHT]
    assert all(vote.opaque is None for vote in votes)
    assert {vote.text for vote in missed} == set("xyz"[:drawn])
    for name in {vote.text for vote in missed}:
        assert_share([vote.text == name for vote in missed], 1 / drawn)


async def test_wrong_answers_beyond_the_distractors_are_opaque() -> None:
    """With fewer distractors than `wrong`, each draw beyond them stands for an answer of its own."""
    votes = await votes_of("p=0.1,wrong=4,seed=5", Truth(answer=RIGHT, wrong=("x", "y")))
    missed = [vote.opaque or vote.text for vote in votes if vote.text != RIGHT]
    assert set(missed) == {"x", "y", "wrong-3", "wrong-4"}
    assert_share([text == "x" for text in missed], 0.25)


async def test_distractors_are_made_only_when_one_is_drawn() -> None:
    """A process may give a function in place of its distractors."""
    made: list[int] = []

    def wrong() -> tuple[str, ...]:
        made.append(1)
        return ("x",)

    await votes_of("p=1", Truth(answer=RIGHT, wrong=wrong), count=20)
    assert not made
    votes = await votes_of("p=0", Truth(answer=RIGHT, wrong=wrong), count=20)
    assert {vote.text for vote in votes} == {"x"}
    assert len(made) == 20


@pytest.mark.parametrize(
    ("answer", "right", "wrong"),
    [
        (AnswerType("choice", choices=("a", "b")), "a", "b"),
        (AnswerType("number"), 3, 4.5),
        (AnswerType("json", schema=canonical_json({"type": "object"})), {"x": [1]}, {"x": [2]}),
        (AnswerType("text"), "a text", "another"),
    ],
    ids=lambda value: value.kind if isinstance(value, AnswerType) else "",
)
async def test_told_answers_read_back_as_the_answer_type_asks(answer: AnswerType, right: object, wrong: object) -> None:
    """Under an answer type's schema both the right answer and the distractors parse."""
    truth = Truth(answer=right, wrong=(wrong,))
    votes = await votes_of("p=0.5,seed=6", truth, count=50, sampling=Sampling(schema=answer.constraint()))
    assert {answer.canonical(answer.read(vote.text)) for vote in votes} == {
        answer.canonical(right),
        answer.canonical(wrong),
    }


@pytest.mark.parametrize("corr", ["mixture", "beta"])
@pytest.mark.parametrize("rho", [0.0, 0.3, 0.7, 1.0])
async def test_two_votes_of_a_step_correlate_by_rho(corr: str, rho: float) -> None:
    """Over steps, the errors of two votes have correlation rho and each vote is still right with probability p."""
    p = 0.8
    steps = await steps_of(f"p={p},rho={rho},corr={corr},seed=7")
    for place in (0, 1):
        assert_share([step[place] for step in steps], p)
    assert_share([all(step) for step in steps], p * p + rho * p * (1 - p))


async def test_mixture_copies_all_votes_of_a_step_or_none() -> None:
    """With probability rho five votes are one draw, wrong answer included; otherwise they are independent."""
    p, rho, wrong = 0.6, 0.4, 3
    model = SimulatedModel(p=p, rho=rho, wrong=wrong, seed=8)
    steps = [await model.sample(prompt(step=f"{number}"), Sampling(), 5) for number in range(STEPS)]
    same = [len({vote.text for vote in step}) == 1 for step in steps]
    chance = p**5 + wrong * ((1 - p) / wrong) ** 5
    assert_share(same, rho + (1 - rho) * chance)
    same_wrong = [is_same and step[0].text != RIGHT for is_same, step in zip(same, steps, strict=True)]
    assert_share(same_wrong, rho * (1 - p) + (1 - rho) * wrong * ((1 - p) / wrong) ** 5)


async def test_beta_makes_the_accuracy_of_a_step_beta_distributed() -> None:
    """Three votes are all right with the third moment of the Beta of mean p and correlation rho."""
    p, rho = 0.7, 0.25
    a, b = p * (1 - rho) / rho, (1 - p) * (1 - rho) / rho
    third = math.prod((a + place) / (a + b + place) for place in range(3))
    assert third != pytest.approx(rho * p + (1 - rho) * p**3, abs=0.01)  # what a mixture would give
    steps = await steps_of(f"p={p},rho={rho},corr=beta,seed=9", votes=3)
    assert_share([all(step) for step in steps], third)


async def test_flags_are_drawn_per_vote_even_where_answers_are_shared() -> None:
    """With rho = 1 the answers of a step are one, and still each reply is cut off on its own."""
    model = SimulatedModel(p=0.5, rho=1, valid=0.5, seed=10)
    steps = [await model.sample(prompt(step=f"{number}"), Sampling(), 2) for number in range(STEPS)]
    cut = [[vote.finish_reason == "length" for vote in step] for step in steps]
    assert_share([all(step) for step in cut], 0.25)
    assert all(len({vote.text for vote in step if vote.finish_reason == "stop"}) <= 1 for step in steps)


@pytest.mark.parametrize("difficulty", [-1.5, 0.0, 0.8])
async def test_a_told_difficulty_shifts_the_logit(difficulty: float) -> None:
    """An item of standard score z has accuracy logistic(logit p - spread z); without spread its difficulty is void."""
    p, spread = 0.8, 1.2
    truth = Truth(answer=RIGHT, difficulty=difficulty)
    expected = logistic(math.log(p / (1 - p)) - spread * difficulty)
    assert_share([vote.text == RIGHT for vote in await votes_of(f"p={p},spread={spread},seed=11", truth)], expected)
    assert_share([vote.text == RIGHT for vote in await votes_of(f"p={p},seed=11", truth)], p)


async def test_an_untold_difficulty_is_drawn_once_per_step() -> None:
    """Over steps the accuracy is that of a normal logit, and two votes of a step share the item's difficulty."""
    p, spread = 0.7, 1.5
    steps = await steps_of(f"p={p},spread={spread},seed=12")

    def accuracy(score: float) -> float:
        return logistic(math.log(p / (1 - p)) - spread * score)

    assert_share([step[0] for step in steps], normal_mean(accuracy))
    assert_share([all(step) for step in steps], normal_mean(lambda score: accuracy(score) ** 2))


@pytest.mark.parametrize("p", [0.0, 1.0])
async def test_certain_answers_have_no_difficulty(p: float) -> None:
    """Where p is 0 or 1, spread changes nothing, not even at its most extreme."""
    votes = await votes_of(f"p={p},spread=1e9", Truth(answer=RIGHT, difficulty=1e9 if p else -1e9), count=50)
    assert {vote.text == RIGHT for vote in votes} == {bool(p)}


@pytest.mark.parametrize(("difficulty", "is_right"), [(1e9, False), (-1e9, True)])
async def test_extreme_difficulties_are_certain(difficulty: float, is_right: bool) -> None:
    """However large the shift of the logit is, there is an accuracy: 0 or 1."""
    votes = await votes_of("p=0.5,spread=1e9", Truth(answer=RIGHT, difficulty=difficulty), count=50)
    assert {vote.text == RIGHT for vote in votes} == {is_right}


@pytest.mark.parametrize("inputs", [(True,), (False,), (True, True, False), ()])
@pytest.mark.parametrize("rho", [0.0, 0.5])
async def test_wrong_or_misread_inputs_spoil_votes(inputs: tuple[bool, ...], rho: float) -> None:
    """Accuracy is p times the chance that no input is read as wrong and spoils; a wrong one misread reads right."""
    p, gamma, spoil = 0.9, 0.6, 0.7
    misread = (1 - gamma) / 2
    unspoiled = math.prod(1 - spoil * (misread if is_right else 1 - misread) for is_right in inputs)
    truth = Truth(answer=RIGHT, inputs=inputs)
    steps = await steps_of(f"p={p},gamma={gamma},spoil={spoil},rho={rho},seed=13", truth, votes=1)
    assert_share([step[0] for step in steps], p * unspoiled)


async def test_copies_of_one_draw_read_their_inputs_alike() -> None:
    """With rho = 1 all votes of a step are copies, misreadings included."""
    truth = Truth(answer=RIGHT, inputs=(True, False))
    steps = await steps_of("p=0.9,gamma=0.2,spoil=0.5,rho=1,seed=14", truth, votes=4)
    assert all(len(set(step)) == 1 for step in steps)
    assert {step[0] for step in steps} == {True, False}


@pytest.mark.parametrize(("inputs", "share"), [((True, True), 1.0), ((True, False), 0.0)])
async def test_inputs_decide_at_the_defaults(inputs: tuple[bool, ...], share: float) -> None:
    """With gamma 1 and spoil 1 a wrong input makes every vote wrong, and right ones spoil none."""
    votes = await votes_of("p=1", Truth(answer=RIGHT, inputs=inputs), count=200)
    assert fmean(vote.text == RIGHT for vote in votes) == share


@pytest.mark.parametrize(("overload", "floor"), [(0.45, False), (5.0, True)])
async def test_overload_costs_accuracy_per_1000_tokens_of_context(overload: float, floor: bool) -> None:
    """Accuracy falls by `overload` for every 1,000 tokens of what the model is shown, down to 0."""
    asked = prompt(text="x" * 8_000)
    context = estimate_tokens(asked.content())
    votes = await SimulatedModel(p=1, overload=overload, seed=15).sample(asked, Sampling(), VOTES)
    assert {vote.usage.input_tokens for vote in votes} == {context}
    expected = 1 - overload * context / 1000
    assert (expected < 0) == floor
    assert_share([vote.text == RIGHT for vote in votes], max(0.0, expected))


@pytest.mark.parametrize("tokens", [1, 16, 100, 4096])
async def test_bias_grows_with_sampled_tokens(tokens: int) -> None:
    """With beta and kappa, p gives way to (1 + min(1, kappa x^beta)) / 2, and x tokens are paid for."""
    votes = await votes_of("p=0,beta=0.5,kappa=0.05,seed=16", sampling=Sampling(max_tokens=tokens))
    assert_share([vote.text == RIGHT for vote in votes], (1 + min(1.0, 0.05 * tokens**0.5)) / 2)
    assert {vote.usage.output_tokens for vote in votes} == {tokens}


async def test_bias_knows_no_overflow() -> None:
    """A bias beyond every float is 1."""
    votes = await votes_of("p=0,beta=1e6,kappa=1e300", sampling=Sampling(max_tokens=512), count=100)
    assert {vote.text for vote in votes} == {RIGHT}


async def timed(model: SimulatedModel, asked: Prompt, sampling: Sampling, count: int = 1) -> float:
    """Virtual seconds that a call takes."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    await model.sample(asked, sampling, count)
    return loop.time() - started


def test_latency_is_lognormal() -> None:
    """The logarithm of the time of an answer is normal around that of latency_ms, with deviation jitter."""
    number, sigma = 3_000, 0.5
    model = SimulatedModel(latency_ms=200, jitter=sigma, seed=17)

    async def many() -> list[float]:
        return [math.log(await timed(model, prompt(), Sampling(index=index))) for index in range(number)]

    logs = run_virtual(many())
    assert abs(fmean(logs) - math.log(0.2)) <= 5 * sigma / math.sqrt(number)
    assert abs(median(logs) - math.log(0.2)) <= 5 * sigma * math.sqrt(math.pi / 2 / number)
    assert abs(stdev(logs) - sigma) <= 5 * sigma / math.sqrt(2 * number)
    inside = [abs(value - math.log(0.2)) <= sigma for value in logs]
    assert_share(inside, NormalDist().cdf(1) - NormalDist().cdf(-1))


def test_latency_without_jitter_is_exact() -> None:
    """Without jitter every answer takes latency_ms, and the default takes no time at all."""
    assert run_virtual(timed(SimulatedModel(latency_ms=1500), prompt(), Sampling(), 3)) == pytest.approx(1.5)
    assert run_virtual(timed(SimulatedModel(jitter=2), prompt(), Sampling(), 3)) == 0


def test_a_subtasks_own_latency_overrides_the_models() -> None:
    """A prompt's latency_ms takes the place of the model's, 0 included, with the same jitter."""
    slow, asked = SimulatedModel(latency_ms=60_000), prompt()
    assert run_virtual(timed(slow, replace(asked, latency_ms=20), Sampling())) == pytest.approx(0.02)
    assert run_virtual(timed(slow, replace(asked, latency_ms=0), Sampling())) == 0
    jittery = SimulatedModel(latency_ms=100, jitter=1)
    own, usual = (run_virtual(timed(jittery, replace(asked, latency_ms=ms), Sampling())) for ms in (200, None))
    assert own == pytest.approx(2 * usual)


def test_a_call_takes_as_long_as_its_slowest_sample() -> None:
    """Several samples of one call run side by side: their time is the longest, each that of its own index."""
    model = SimulatedModel(latency_ms=100, jitter=1)
    single = [run_virtual(timed(model, prompt(), Sampling(index=index))) for index in range(3, 8)]
    assert len(set(single)) == 5
    assert run_virtual(timed(model, prompt(), Sampling(index=3), 5)) == pytest.approx(max(single))


def test_a_latency_beyond_every_float_is_still_a_time() -> None:
    """However wild the jitter, an answer comes."""
    votes = run_virtual(SimulatedModel(latency_ms=1e-300, jitter=1e9).sample(prompt(), Sampling(), 4))
    assert len(votes) == 4


NOISY = SimulatedModel(p=0.6, valid=0.8, rho=0.3, wrong=3, spread=1, gamma=0.8, spoil=0.5, seed=18)
TOLD = Truth(answer=RIGHT, inputs=(True, False))


@given(
    calls=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(1, 4)), min_size=1, max_size=8),
    latency_ms=st.sampled_from([0.0, 10.0]),
)
@settings(deadline=None)
def test_draws_do_not_depend_on_how_they_are_asked_for(calls: list[tuple[str, int, int]], latency_ms: float) -> None:
    """Whatever the count, order and concurrency of calls, a vote is that of its seed, step and index."""
    model = replace(NOISY, latency_ms=latency_ms, jitter=1)

    async def ask(step: str, index: int, count: int) -> list[Completion]:
        return await model.sample(prompt(TOLD, step=step), Sampling(index=index), count)

    async def play() -> None:
        alone = {(step, index): (await ask(step, index, 1))[0] for step in "abc" for index in range(13)}
        together = await asyncio.gather(*(ask(*call) for call in calls))
        for (step, index, count), votes in zip(calls, together, strict=True):
            assert votes == [alone[step, index + place] for place in range(count)]

    run_virtual(play())


async def test_draws_ignore_everything_but_seed_step_and_index() -> None:
    """Another wording, temperature or sampling seed changes no vote as long as the step's name is the same."""
    usual = await NOISY.sample(prompt(TOLD), Sampling(), 30)
    other = Prompt(messages=(Message("user", "What now?"),), step="s", truth=TOLD)
    for votes in (
        await NOISY.sample(prompt(TOLD, text="Entirely other words"), Sampling(), 30),
        await NOISY.sample(other, Sampling(temperature=0, seed=99), 30),
    ):
        assert [(vote.text, vote.opaque) for vote in votes] == [(vote.text, vote.opaque) for vote in usual]


async def test_other_seeds_steps_and_indices_draw_anew() -> None:
    """Votes that differ in seed, step or index agree no more often than chance would have it."""
    base = await votes_of("p=0.5,seed=19")
    for others in (
        await votes_of("p=0.5,seed=20"),
        await SimulatedModel(p=0.5, seed=19).sample(prompt(step="t"), Sampling(), VOTES),
    ):
        assert_share([one.text == other.text for one, other in zip(base, others, strict=True)], 0.5)
    assert_share([one.text == other.text for one, other in list(pairwise(base))[::2]], 0.5)


async def test_without_a_step_name_the_prompt_is_the_step() -> None:
    """Prompts without a step name draw by what they say."""
    model = SimulatedModel(p=0.5)
    first, same, other = [
        [vote.text for vote in await model.sample(Prompt(text=text, truth=OPAQUE), Sampling(), 40)] for text in "aab"
    ]
    assert first == same != other


@pytest.mark.parametrize(
    ("text", "named", "allowed"),
    [
        *((f"{name}={bad}", name, "a number in [0, 1]") for name in ("p", "rho", "spoil") for bad in ("-0.1", "1.1")),
        *((f"p={bad}", "p", "a number in [0, 1]") for bad in ("nan", "inf", "-inf", "abc", "", "1e999", "0x1")),
        *((f"{name}={bad}", name, "a number in (0, 1]") for name in ("valid", "gamma") for bad in ("0", "1.5", "nan")),
        *(
            (f"{name}={bad}", name, "a finite number of at least 0")
            for name in ("spread", "overload", "latency_ms", "jitter")
            for bad in ("-1", "nan", "inf", "slow")
        ),
        *((f"beta={bad},kappa=1", "beta", "a finite number of at least 0") for bad in ("-1", "nan", "inf", "x")),
        *((f"beta=1,kappa={bad}", "kappa", "a finite number above 0") for bad in ("0", "-1", "nan", "inf", "x")),
        *((f"seed={bad}", "seed", "an integer of at least 0") for bad in ("-1", "1.5", "nan", f"-{10**400}")),
        *((f"wrong={bad}", "wrong", "an integer of at least 1") for bad in ("0", "-3", "2.5", "inf", "")),
        ("corr=foo", "corr", "mixture or beta"),
        ("corr=", "corr", "mixture or beta"),
        ("beta=1", "beta and kappa", "given together or not at all"),
        ("kappa=1", "beta and kappa", "given together or not at all"),
        ("p=0.5,p=0.6", "p", "given twice"),
        ("q=0.5", "'q=0.5'", "beta, corr, gamma, jitter, kappa, latency_ms, overload, p, rho, seed"),
        ("p", "'p'", "allowed: beta, corr"),
        ("p 0.5", "'p 0.5'", "allowed: beta, corr"),
        ("seed=1;p=0.5", "seed", "an integer of at least 0"),
        ("__class__=1", "'__class__=1'", "allowed: beta, corr"),
    ],
)
def test_refusals_name_the_parameter_and_its_range(text: str, named: str, allowed: str) -> None:
    """What cannot be a model is refused in one line with the parameter at fault and what is allowed."""
    with pytest.raises(InputError) as caught:
        SimulatedModel.parse(text)
    message = str(caught.value)
    assert message.startswith(f"model: simulated: {named} ")
    assert allowed in message
    assert "\n" not in message
    assert caught.value.field == "model"


unit = st.floats(0, 1)
positive = st.floats(0, exclude_min=True, max_value=1)
finite = st.floats(0, 1e6)
models = st.builds(
    SimulatedModel,
    p=unit,
    seed=st.integers(0, 2**70),
    valid=positive,
    rho=unit,
    corr=st.sampled_from(["mixture", "beta"]),
    wrong=st.integers(1, 99),
    spread=finite,
    gamma=positive,
    spoil=unit,
    overload=finite,
    latency_ms=finite,
    jitter=finite,
) | st.builds(SimulatedModel, beta=finite, kappa=st.floats(0, 1e6, exclude_min=True))


@given(model=models)
def test_a_models_name_parses_back_to_it(model: SimulatedModel) -> None:
    """The name says every parameter that is not its default, and names an equal model."""
    provider, _, rest = model.name.partition(":")
    assert provider == "simulated"
    assert SimulatedModel.parse(rest) == model
    default = SimulatedModel()
    named = {part.partition("=")[0] for part in filter(None, rest.split(","))}
    assert named == {item.name for item in fields(model) if getattr(model, item.name) != getattr(default, item.name)}


def test_the_default_model_has_the_shortest_name() -> None:
    """Without parameters the name is the provider alone, and nothing to parse is the default model."""
    assert SimulatedModel().name == "simulated"
    assert SimulatedModel.parse("") == SimulatedModel()
    assert SimulatedModel.parse("p=0.99,seed=7").name == "simulated:p=0.99,seed=7"


async def test_it_says_that_it_is_simulated() -> None:
    """Results based on it are called simulated, and it can be reached without asking anybody."""
    model = SimulatedModel()
    assert model.evidence == "simulated"
    assert (await model.probe()).reachable
