"""Finding a cascade of string rewrites that turns given strings into others (PBEBench)."""

from __future__ import annotations

from collections.abc import Iterator

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.cascade import (
    LETTERS,
    RELATIONS,
    WIDEST,
    Cascade,
    draw_cascade,
    edit_distance,
    run_cascade,
)
from orchestra_evals.suites.scoring import misshapen, right, with_slips, wrong
from orchestra_evals.suites.suite import About, Difficulty, Sample, Score, Split, check_difficulty, rng_of, sample_id
from orchestra_topologies.graph import TaskGraph

_RANGES = {"programs": (2, 30)}
_LOWEST_REWARD = -1.0
_STRINGS = range(5, 51)
_ABOUT = About(
    summary="The string rewrites that turn five short strings into five others.",
    scoring="The rewrites, applied in their order, give all outputs; which ones they are is free.",
    licence="Apache-2.0, generated",
    axes={"programs": (2, 3, 4, 5, 10, 20, 30), "relation": ("balanced", *RELATIONS)},
    default=tuple({"programs": programs, "relation": "balanced"} for programs in (2, 3, 5, 10, 20)),
    steps="programs",
)
_QUESTION = """A program [a, b] replaces every a in a string by b, from left to right, as replace(a, b) does in Python.
Programs are applied one after the other, each to the result of the one before, and all of them to every string.
For example [["ab", "c"], ["cc", "d"]] turns "abab" into "cc" and then into "d".
Which programs turn these strings into the ones behind the arrows?
{pairs}
Give a JSON list of at most {programs} programs [a, b], as in the example.
Each a has 1 to {widest} letters, each b has 0 to {widest}."""


class Rewrite:
    """Samples of which the program pairs are in one relation mostly, each of the four equally often where balanced.

    Args:
        strings: How many strings a sample has, 5 to 50.

    Raises:
        InputError: It is out of its range.
    """

    def __init__(self, strings: int = 5) -> None:
        if type(strings) is not int or strings not in _STRINGS:
            raise InputError("suite", f"rewrite: strings must be an integer from 5 to 50, got {strings!r}")
        self._strings = strings

    @property
    def name(self) -> str:
        """Return `rewrite`, with the number of strings if it is not 5."""
        return "rewrite" if self._strings == 5 else f"rewrite:strings={self._strings}"

    @property
    def about(self) -> About:
        """What it measures."""
        return _ABOUT

    def sample(self, difficulty: Difficulty, index: int, *, split: Split, seed: int) -> Sample:
        """Return a sample; balanced, the relations take turns by index.

        Raises:
            InputError: The suite has no such difficulty.
        """
        check_difficulty(_ABOUT, difficulty, _RANGES)
        rng = rng_of(self.name, _ABOUT.version, difficulty, index, split=split, seed=seed)
        programs, asked = difficulty["programs"], difficulty["relation"]
        relation = RELATIONS[index % len(RELATIONS)] if asked == "balanced" else asked
        cascade = draw_cascade(programs, relation, self._strings, rng)
        pairs = "\n".join(
            f'"{before}" -> "{after}"' for before, after in zip(cascade.inputs, cascade.outputs, strict=True)
        )
        sample = Sample(
            id=sample_id(difficulty, index, split=split, seed=seed),
            question=_QUESTION.format(pairs=pairs, programs=programs, widest=WIDEST),
            answer=_answer_type(programs),
            target=[list(program) for program in cascade.programs],
            difficulty=dict(difficulty),
            instance={
                "inputs": list(cascade.inputs),
                "outputs": list(cascade.outputs),
                "relation": relation,
                "effective": cascade.effective,
            },
        )
        return with_slips(sample, self.check, _slips(cascade))

    def check(self, sample: Sample, answer: Json) -> Score:
        """Return whether all outputs come out; a program that finds an empty text counts as one that does nothing.

        The part `reward` is 1 - (distance of the results to the outputs) / (distance of the inputs), at least -1, with
        distances in letters; `valid_programs` is the share of the programs that find at least one letter.
        """
        if problem := misshapen(sample, answer):
            return problem
        inputs, outputs = sample.instance["inputs"], sample.instance["outputs"]
        valid = sum(bool(found) for found, _ in answer) / len(answer)
        results = run_cascade([(found, written) for found, written in answer], inputs)
        if results is None:
            return wrong("a string grows without bound", reward=_LOWEST_REWARD, valid_programs=valid)
        left = sum(map(edit_distance, results, outputs))
        reward = max(_LOWEST_REWARD, 1 - left / sum(map(edit_distance, inputs, outputs)))
        if left == 0:
            return right(reward=reward, valid_programs=valid)
        before, got, wanted = next(each for each in zip(inputs, results, outputs, strict=True) if each[1] != each[2])
        return wrong(f'"{before}" becomes "{got}", not "{wanted}"', reward=reward, valid_programs=valid)

    def graph(self, sample: Sample) -> TaskGraph | None:
        """Return None: a sample is one question."""
        return None


def _answer_type(programs: int) -> AnswerType:
    text = {"type": "string", "maxLength": WIDEST}
    pair = {"type": "array", "items": text, "minItems": 2, "maxItems": 2}
    return AnswerType.parse({"json": {"type": "array", "items": pair, "minItems": 1, "maxItems": programs}})


def _slips(cascade: Cascade) -> Iterator[Json]:
    """Yield the programs in another order, one of them left out, one that writes something else, and no change."""
    programs = [list(program) for program in cascade.programs]
    yield programs[::-1]
    for place in reversed(range(len(programs))):
        found, written = programs[place]
        yield programs[:place] + programs[place + 1 :]
        other = LETTERS[LETTERS.index(written[-1]) - 1]
        yield [*programs[:place], [found, written[:-1] + other], *programs[place + 1 :]]
    yield [[LETTERS[0], LETTERS[0]]]
