"""The processes that ship: references solve them, parsers are strict, prompts keep what they promise."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orchestra
from orchestra.naming import process_of
from orchestra_agents.chains.chain import Chain
from orchestra_agents.errors import InputError, RedFlag
from orchestra_agents.models.contract import Prompt, Sampling
from orchestra_agents.models.embedded import EmbeddedModel, stop_servers
from orchestra_agents.process import Predicted
from orchestra_agents.processes.addition import Addition
from orchestra_agents.processes.addition_counting import AdditionCounting
from orchestra_agents.processes.catalog import BUILT_IN, make_process
from orchestra_agents.processes.extraction import _WORDS, Extraction
from orchestra_agents.processes.hanoi import Hanoi, HanoiState
from orchestra_agents.processes.hanoi_atomic import HanoiAtomic
from orchestra_agents.processes.patterns import JURORS, counting_run, larger_of, peg_run
from orchestra_agents.voting.jury import Jury
from tests.agents.embedded_weights import weights_or_skip

SMALL = [
    *(f"hanoi:disks={disks}" for disks in range(1, 9)),
    *(f"hanoi-atomic:disks={disks}" for disks in range(1, 9)),
    "addition:digits=1",
    "addition:digits=30,seed=4",
    "addition-counting:digits=1,seed=2",
    "addition-counting:digits=40,seed=3",
    "extraction:items=40,seed=2",
]


@pytest.mark.parametrize("spec", SMALL)
def test_the_reference_leads_to_the_right_end_in_the_declared_length(spec: str) -> None:
    """Following the reference ends right after `length` steps; its replies parse, its states and actions are JSON."""
    chain = Chain(make_process(spec), is_told=True)
    process: Any = chain.process
    state, steps = chain.first, 0
    while not process.is_done(state):
        question = chain.question(state, str(steps))
        assert question.told is not None
        reading = chain.read_text(question.told, state)
        assert (reading.flag, reading.action) == (None, question.expected)
        assert chain.state_of(chain.state_json(state)) == state
        wrong = [chain.read_text(chain._render(action), state) for action in process.distractors(state)]
        assert all(one.flag is None and one.key != reading.key for one in wrong)
        state, steps = chain.next(state, question.expected), steps + 1
    assert steps == chain.length
    assert process.is_correct(state)


@pytest.mark.parametrize("spec", SMALL)
def test_a_process_is_made_again_from_its_spec(spec: str) -> None:
    """A process's canonical name makes an equal one: what a resume by run id relies on."""
    process: Any = make_process(spec)
    again: Any = make_process(process.spec)
    assert again.spec == process.spec
    assert again.first() == process.first()
    assert again.length == process.length


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("chess", "must be one of addition, addition-counting, extraction, hanoi, hanoi-atomic"),
        ("hanoi:disks=0", "disks must be 1 to 24"),
        ("hanoi:disks=25", "disks must be 1 to 24"),
        ("hanoi:disks=x", "disks must be an integer"),
        ("hanoi:rings=3", "'rings=3' is no parameter; allowed, once each: disks"),
        ("hanoi:disks=3,disks=4", "is no parameter"),
        ("hanoi-atomic:disks=9", "disks must be 1 to 8"),
        ("addition:digits=0", "digits must be 1 to 10000"),
        ("addition-counting:digits=5001", "digits must be 1 to 5000"),
        ("extraction:items=0", "items must be 1 to 10000"),
        ("no.such.module:Name", "cannot be made (ModuleNotFoundError"),
        ("tests.chains.walk:Nobody", "cannot be made (AttributeError"),
    ],
)
def test_unknown_processes_and_parameters_are_one_sentence(spec: str, said: str) -> None:
    """What is no process, or has no such parameter, is refused by name with what is allowed."""
    with pytest.raises(InputError) as caught:
        process_of(spec)
    assert caught.value.field == "process"
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_process_of_ones_own_is_found_by_module_and_name() -> None:
    """`module.path:Name` makes a class and takes an object as it is."""
    assert process_of("tests.chains.walk:Walk").first() == [1, 0]
    assert set(BUILT_IN) == {"addition", "addition-counting", "extraction", "hanoi", "hanoi-atomic"}


@pytest.mark.parametrize("disks", [2, 3, 6, 7])
def test_states_of_the_solution_are_found_without_walking_it(disks: int) -> None:
    """`after(n)` is the state after n steps; sentinels are such states, all different."""
    hanoi = Hanoi(disks)
    state = hanoi.first()
    for moves in range(hanoi.length):
        assert hanoi.after(moves) == state
        state = hanoi.reference(state).state
    assert len({hanoi.sentinel(number) for number in range(hanoi.length)}) == hanoi.length


@given(st.data())
def test_a_hanoi_reply_reads_back(data: st.DataObject) -> None:
    """Whatever the state, with whatever prose around it and in either case, the last move and state are read."""
    disks = data.draw(st.integers(1, 9))
    hanoi = Hanoi(disks)
    pegs: list[list[int]] = [[], [], []]
    for disk in range(disks, 0, -1):
        pegs[data.draw(st.integers(0, 2))].append(disk)
    before = hanoi.first()
    move = data.draw(st.lists(st.integers(0, 9), min_size=3, max_size=3))
    after = HanoiState((tuple(pegs[0]), tuple(pegs[1]), tuple(pegs[2])), (move[0], move[1], move[2]), 1)
    text = hanoi.render(Predicted(move, after))
    prose = data.draw(st.sampled_from(["", "Let me think. move = [9, 9, 9]\nnext_state = [[],[],[]]\n"]))
    said = prose + (text.upper() if data.draw(st.booleans()) else text)
    assert hanoi.parse(said, before) == Predicted(move, after)


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("next_state = [[3,2,1],[],[]]", "no_move"),
        ("move = [1, 0, 2]", "no_state"),
        ("move = [1, 0]\nnext_state = [[3,2,1],[],[]]", "bad_move"),
        ("move = [1, 0, true]\nnext_state = [[3,2,1],[],[]]", "bad_move"),
        ("move = [1, 0, x]\nnext_state = [[3,2,1],[],[]]", "bad_move"),
        ("move = [1, 0, 2]\nnext_state = [[3,2],[],[]]", "bad_state"),
        ("move = [1, 0, 2]\nnext_state = [[3,2,1],[1],[]]", "bad_state"),
        ("move = [1, 0, 2]\nnext_state = [[3,2,1.0],[],[]]", "bad_state"),
        ("move = [1, 0, 2]\nnext_state = [[3,2,1],[]]", "no_state"),
        ("", "no_move"),
    ],
)
def test_malformed_replies_are_flagged_and_never_repaired(text: str, flag: str) -> None:
    """Every way to miss the form has its flag."""
    with pytest.raises(RedFlag) as caught:
        Hanoi(3).parse(text, Hanoi(3).first())
    assert caught.value.reason == flag


def test_after_a_wrong_move_the_strategy_still_has_a_move() -> None:
    """From every state that legal moves reach, right or wrong, the reference is a legal move."""
    hanoi, seen = Hanoi(3), set()
    waiting = [replace(hanoi.first(), moves=0)]
    while waiting:
        state = waiting.pop()
        if (state.pegs, state.previous) in seen:
            continue
        seen.add((state.pegs, state.previous))
        for action in [hanoi.reference(state), *hanoi.distractors(state)]:
            disk, source, target = action.action
            assert state.pegs[source][-1] == disk
            assert not state.pegs[target] or state.pegs[target][-1] > disk
            waiting.append(replace(action.state, moves=0))
    assert len({pegs for pegs, _ in seen}) == 27


def test_no_jurors_examples_hold_the_pair_that_is_asked() -> None:
    """Over all 45 pairs of digits: neither order of the asked pair stands in any juror's examples."""
    for low, high in combinations(range(10), 2):
        jury = larger_of(high, low, k=12)
        assert (len(jury.jurors), jury.size, jury.k) == (JURORS, JURORS, 12)
        for juror in jury.jurors:
            *examples, asked = (juror.prompt.text or "").split("\n")
            operands = {f"{low}, {high}", f"{high}, {low}", f"{low} and {high}", f"{high} and {low}"}
            assert len(examples) == 20
            assert any(pair in asked for pair in operands)
            assert not any(pair in line for line in examples for pair in operands)


def test_a_comparisons_jury_has_both_orders_of_every_prompt() -> None:
    """Each set of examples is asked both ways round, and is as often answered by the first operand as by the second."""
    prompts = [juror.prompt.text or "" for juror in larger_of(3, 8, k=12).jurors]
    for one, other in zip(prompts[::2], prompts[1::2], strict=True):
        assert one.rpartition("\n")[0] == other.rpartition("\n")[0]
        assert one != other
    assert len(set(prompts)) == JURORS


def test_patterns_end_where_the_question_is() -> None:
    """The measured prompts, to the letter."""
    assert (counting_run(1).text or "") == "890123456789012345678901"
    assert (peg_run(0, 1).text or "").endswith("B -> C -> A ->")
    assert (peg_run(0, 2).text or "").endswith("C -> B -> A ->")


def test_extraction_asks_fresh_sentences_with_words_of_their_own() -> None:
    """Items are all different and share no word with the prompts' examples; each answer stands in its sentence."""
    process = Extraction(300, 7)
    assert len({item.sentence for item in process.items}) == 300
    for own, others in zip(_WORDS["prompts"], _WORDS["items"], strict=True):
        assert not set(own) & set(others)
    for item in process.items:
        assert item.answer in item.sentence
        assert not any(word in item.sentence.replace(".", " ").split() for own in _WORDS["prompts"] for word in own)
    assert Extraction(5, 1).items != Extraction(5, 2).items


def test_long_sums_are_compared_without_reading_them_at_once() -> None:
    """Numbers longer than Python reads in one go are added right."""
    for process in (Addition(5_000, 1), AdditionCounting(5_000, 1)):
        state: Any = process.first()
        while not process.is_done(state):
            state = process.advance(state, process.reference(state))  # type: ignore[arg-type]
        assert process.is_correct(state)


@pytest.mark.embedded
@pytest.mark.parametrize(
    "spec", ["hanoi-atomic:disks=2", "addition-counting:digits=3,seed=1", "extraction:items=6,seed=1"]
)
async def test_small_real_chains_end_right(spec: str) -> None:
    """The embedded model carries a short chain of each kind to the right end; the result says that it was real."""
    weights_or_skip()
    result = await orchestra.drive(spec, model="embedded", k=3)
    assert (result.status, result.correct, result.evidence) == ("ok", True, "real")
    assert result.error_bound is not None
    assert json.dumps(result.as_dict())
    stop_servers()


@pytest.mark.embedded
@pytest.mark.nightly
@pytest.mark.parametrize(
    "spec", ["hanoi-atomic:disks=8", "addition-counting:digits=500,seed=1", "extraction:items=300,seed=1"]
)
async def test_real_chains_end_right(spec: str) -> None:
    """At full size, too."""
    weights_or_skip()
    result = await orchestra.drive(spec, model="embedded")
    stop_servers()
    assert (result.status, result.wrong_decisions, result.evidence) == ("ok", 0, "real")


@pytest.mark.embedded
async def test_one_prompt_is_computed_once(tmp_path: Any) -> None:
    """Several samples of one prompt go one after the other, numbered on: each is a draw of its own."""
    model = EmbeddedModel(weights_or_skip(), name="embedded", slots=2)
    sampling = Sampling(temperature=1.0, max_tokens=1, index=3)
    completions = await model.sample(Prompt(text="One, two,"), sampling, 3)
    singles = [(await model.sample(Prompt(text="One, two,"), replace(sampling, index=index)))[0] for index in (3, 4, 5)]
    assert [one.text for one in completions] == [one.text for one in singles]
    await model.aclose()
    stop_servers()


def test_juries_are_juries() -> None:
    """Comparisons are put to a jury, pegs and digits to samples of one prompt."""
    hanoi = HanoiAtomic(3)
    assert isinstance(hanoi.prompt(hanoi.first()), Prompt)
    assert isinstance(hanoi.prompt(hanoi.advance(hanoi.first(), "C")), Jury)
