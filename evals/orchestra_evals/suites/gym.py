"""The generators of reasoning-gym as suites, each with its own verifier (optional: the extra `gym`)."""

from __future__ import annotations

import ast
import contextlib
import difflib
import importlib
import importlib.metadata
import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json
from orchestra_evals.suites.scoring import malformed, misshapen, right, with_slips, wrong
from orchestra_evals.suites.suite import About, Difficulty, Sample, Score, Split, check_difficulty, rng_of, sample_id
from orchestra_topologies.graph import TaskGraph

_NO_ANSWER = "it gives no right answer to its questions"
_UNSTEADY = "equal seeds give other questions in another process"
_RUNS_CODE = "its verifier runs the answer as code"
UNSUITABLE: Mapping[str, str] = MappingProxyType(
    {
        "boxnet": _NO_ANSWER,
        "coin_flip": "its verifier takes any beginning of the right number",
        "composite": "it mixes other generators, which can be asked for themselves",
        "game_of_life_halting": "its verifier takes any answer",
        "graph_color": _NO_ANSWER,
        "intermediate_integration": _RUNS_CODE,
        "isomorphic_strings": _UNSTEADY,
        "knight_swap": _UNSTEADY,
        "list_functions": _UNSTEADY,
        "polynomial_multiplication": _RUNS_CODE,
        "propositional_logic": _NO_ANSWER,
        "puzzle24": "its verifier takes other numbers than those given",
        "ransom_note": _UNSTEADY,
        "rubiks_cube": _NO_ANSWER,
        "rush_hour": _NO_ANSWER,
        "simple_integration": _RUNS_CODE,
        "word_ladder": _UNSTEADY,
    }
)
"""The generators that make no suite, and why."""

_LITERALS = ("binary_matrix", "n_queens", "spiral_matrix", "string_insertion")  # their verifiers call eval
_PLAIN = re.compile(r"[A-Za-z0-9_ \n]*")  # as code at most a name or a number
_SUMS = re.compile(r"(?:[-+/() \n0-9]|\*(?!\s*\*)){1,500}")
_LONGEST = 10_000
_SEEDS = 2**31
_NEIGHBOURS = 3
_OPPOSITES = {"yes": "no", "no": "yes", "true": "false", "false": "true"}
_ABOUT = About(
    summary="The questions of one generator of reasoning-gym, as it makes them by default.",
    scoring="The generator's own verifier gives the answer full marks; the value is what it gives.",
    licence="Apache-2.0, reasoning-gym",
    axes=MappingProxyType({}),
    default=(MappingProxyType({}),),
)


class Gym:
    """Samples of one generator; each comes from a data set of size 1, whose seed is drawn from ours.

    Args:
        generator: Its name, for example `chain_sum`.

    Raises:
        InputError: reasoning-gym is not installed, or has no generator of that name that makes a suite.
    """

    about = _ABOUT

    def __init__(self, generator: str) -> None:
        if generator in UNSUITABLE:
            raise InputError("suite", f"gym:{generator} makes no suite: {UNSUITABLE[generator]}")
        known = generators()
        if generator not in known:
            near = difflib.get_close_matches(generator, known, cutoff=0) or known[:3]
            raise InputError("suite", f"gym has no generator {generator!r}; near it are {', '.join(near)}")
        self._generator = generator

    @property
    def name(self) -> str:
        """Return `gym:` and the generator's name."""
        return f"gym:{self._generator}"

    def sample(self, difficulty: Difficulty, index: int, *, split: Split, seed: int) -> Sample:
        """Return a sample; equal ones need an equal release of reasoning-gym, which stands in the instance.

        Raises:
            InputError: The difficulty is not empty.
        """
        check_difficulty(_ABOUT, difficulty, {})
        rng = rng_of(self.name, _ABOUT.version, difficulty, index, split=split, seed=seed)
        drawn = rng.randrange(_SEEDS)
        item = _item(self._generator, drawn)
        sample = Sample(
            id=sample_id(difficulty, index, split=split, seed=seed),
            question=item.entry["question"],
            answer=AnswerType("text"),
            target=item.entry["answer"],
            difficulty=dict(difficulty),
            instance={"generator": self._generator, "seed": drawn, "release": _release()},
        )
        return with_slips(sample, self.check, self._slips(sample.target, drawn))

    def check(self, sample: Sample, answer: Json) -> Score:
        """Return what the generator's verifier gives an answer, malformed where it cannot read it.

        An answer that the verifier would run as anything else than a plain value is not shown to it.

        Raises:
            InputError: The sample was made by another release of reasoning-gym.
        """
        if problem := misshapen(sample, answer):
            return problem
        if len(answer) > _LONGEST:
            return malformed(f"the answer is longer than {_LONGEST:,} characters")
        if not _is_harmless(self._generator, answer):
            return malformed("the answer is no plain value")
        item = _item(self._generator, sample.instance["seed"])
        if item.entry["question"] != sample.question:
            made = f"{sample.instance['release']}, not by {_release()}, which is installed"
            raise InputError("sample", f"{sample.id} was made by reasoning-gym {made}")
        try:
            with _quietly():
                value = float(item.dataset.score_answer(answer, item.entry))
        except Exception as error:  # noqa: BLE001 - verifiers raise whatever an answer makes them stumble over
            return malformed(f"the verifier cannot read the answer: {type(error).__name__}")
        if value == 1:
            return right()
        return wrong("the verifier does not give full marks", value=max(0.0, min(value, math.nextafter(1, 0))))

    def graph(self, sample: Sample) -> TaskGraph | None:
        """Return None: a sample is one question."""
        return None

    def _slips(self, target: str, seed: int) -> Iterator[str]:
        """Yield the opposite, numbers one off, the answers to other questions, and the answer cut short."""
        if target.lower() in _OPPOSITES:
            other = _OPPOSITES[target.lower()]
            yield other.capitalize() if target[0].isupper() else other
        for found in re.finditer(r"[0-9]+", target):
            yield f"{target[: found.start()]}{int(found[0][-9:]) + 1}{target[found.end() :]}"
        for near in range(1, 1 + _NEIGHBOURS):
            yield _item(self._generator, (seed + near) % _SEEDS).entry["answer"]
        for cut in (1, len(target) // 2):
            yield target[:-cut]
        yield target[::-1]


def generators() -> list[str]:
    """Return the names of all generators that make a suite, in alphabetical order.

    Raises:
        InputError: reasoning-gym is not installed.
    """
    return sorted(set(_load("reasoning_gym.factory").DATASETS) - set(UNSUITABLE))


@dataclass(frozen=True, slots=True)
class _Item:
    """A data set of size 1, and what is in it."""

    dataset: Any
    entry: dict[str, Any]


@lru_cache(maxsize=16)
def _item(generator: str, seed: int) -> _Item:
    with _quietly():
        dataset = _load("reasoning_gym.factory").create_dataset(generator, seed=seed, size=1)
        return _Item(dataset, dataset[0])


def _load(module: str) -> Any:
    try:
        with _quietly():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError("suite", 'gym needs the "gym" extra: pip install "orchestra-mas[gym]"') from error


@lru_cache(maxsize=1)
def _release() -> str:
    return importlib.metadata.version("reasoning-gym")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep what generators print and warn of to themselves."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def _is_harmless(generator: str, answer: str) -> bool:
    """Tell whether a verifier that evaluates answers can do no harm with this one."""
    if generator == "countdown":
        return _SUMS.fullmatch(answer) is not None
    if generator not in _LITERALS or _PLAIN.fullmatch(answer):
        return True
    try:
        ast.literal_eval(answer)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True
