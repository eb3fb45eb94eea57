"""What runs in isolation to check an answer to HumanEval: the answer apart from the tests, so that it touches none.

Three programs: the first lists the calls that the tests make of the function; the second makes these calls of the
answer's function, knowing nothing else of the tests; the third runs the tests on what the calls returned. Between them
go plain values only, so that no object of the answer's can say of itself that it is equal to another. Whatever else the
second program prints or does, it can at best return the right values.
"""

from __future__ import annotations

import ast
import json
import os
import random
import sys
import traceback
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any

MALFORMED = "not Python: "
"""How the second program's output begins where the answer is no program."""

_FENCE = "```"
_INDENT = "    "
_SHOWN = 200
_CONTAINERS: dict[str, Any] = {"list": list, "tuple": tuple, "set": (set, frozenset)}
_NOT_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)


class _OtherCall(Exception):
    """The tests make another call than was listed."""


class _Raised(Exception):
    """A call of the answer's function raised something."""


def packed(value: Any) -> Any:
    """Return a plain value as JSON; one of a kind derived from a plain kind is taken for that.

    >>> packed({"a": (1, 2.5)})
    {'dict': [['a', {'tuple': [1, 2.5]}]]}
    """
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, dict):
        return {"dict": [[packed(key), packed(item)] for key, item in value.items()]}
    for name, kinds in _CONTAINERS.items():
        if isinstance(value, kinds):
            return {name: [packed(item) for item in value]}
    raise TypeError(f"it returned a {type(value).__name__}, which is no plain value")


def unpacked(value: Any) -> Any:
    """Return the value that `packed` made JSON of."""
    if not isinstance(value, dict):
        return value
    ((name, items),) = value.items()
    if name == "dict":
        return {unpacked(key): unpacked(item) for key, item in items}
    return {"list": list, "tuple": tuple, "set": set}[name](map(unpacked, items))


def readings(answer: str, prompt: str, name: str) -> list[list[str]]:
    """Return what an answer may mean, the likeliest first, each as sources to be run one after the other.

    An answer is the whole function or what continues the prompt. It is the whole function where it defines one of that
    name, or one of its fenced blocks does, of which the last counts; what the prompt has before the function (imports,
    other functions) is run first. Else it continues the prompt, or its last fenced block does: as it stands, with its
    first line indented, or with all of its lines indented.
    """
    blocks = _blocks(answer)
    for code in (answer, *reversed(blocks)):
        if _defines(code, name):
            return [[prompt[: prompt.rindex(f"def {name}(")], code]]
    code = blocks[-1] if blocks else answer
    indented = "".join(f"{_INDENT}{line}" for line in code.splitlines(keepends=True))
    return [[f"{prompt}\n{body}"] for body in (code, _INDENT + code.lstrip(), indented)]


def _blocks(answer: str) -> list[str]:
    """Return the insides of fenced blocks; the last need not be closed."""
    parts: list[list[str]] = [[]]
    for line in answer.split("\n"):
        if line.lstrip().startswith(_FENCE):
            parts.append([])
        else:
            parts[-1].append(line)
    return ["\n".join(part) for part in parts[1::2]]


def _defines(code: str, name: str) -> bool:
    """Tell whether code binds `name` at its top level."""
    try:
        body = ast.parse(code).body
    except _NOT_PYTHON:
        return False
    targets = [target for one in body if isinstance(one, ast.Assign) for target in one.targets]
    return name in [getattr(one, "name", None) for one in body] + [getattr(target, "id", None) for target in targets]


def list_calls(reference: str, test: str, name: str) -> str:
    """Return the arguments of the calls that the tests make of the function, as JSON."""
    calls: list[Any] = []

    def candidate(*arguments: Any) -> Any:
        calls.append(packed(arguments))
        return module.__dict__[name](*arguments)

    module = _run(_compiled([reference, test]))
    module.__dict__["check"](candidate)
    return json.dumps(calls)


def make_calls(answer: str, prompt: str, name: str, calls: str) -> str:
    """Return as JSON what the answer's function returns or raises for each of the calls, up to the first that raises.

    Where the answer is not Python, it is `MALFORMED` and why.
    """
    try:
        codes = _first_python(readings(answer, prompt, name))
    except _NOT_PYTHON as error:
        return f"{MALFORMED}{_shown(error)}"
    outcomes: list[Any] = []
    try:
        function = _run(codes).__dict__[name]
        for arguments in json.loads(calls):
            outcomes.append({"returned": packed(function(*unpacked(arguments)))})
    except BaseException as error:  # noqa: BLE001 - the boundary to the answer: whatever it raises is its outcome
        outcomes.append({"raised": _shown(error)})
    return json.dumps(outcomes)


def run_tests(reference: str, test: str, calls: str, outcomes: str) -> str:
    """Return as JSON what is wrong with the outcomes of the calls, as a sentence that is empty where the tests pass.

    It is null where the tests make other calls than were listed.
    """
    made, listed = 0, json.loads(calls)

    def candidate(*arguments: Any) -> Any:
        nonlocal made
        call = packed(arguments)
        if listed[made : made + 1] == [call]:
            made += 1
        elif call not in listed[:made]:  # the message of a failed assertion may repeat a call
            raise _OtherCall
        outcome = told[made - 1]
        if "raised" in outcome:
            raise _Raised(str(outcome["raised"]))
        return unpacked(outcome["returned"])

    module = _run(_compiled([reference, test]))
    try:
        told = json.loads(outcomes)
        module.__dict__["check"](candidate)
    except _OtherCall:
        return json.dumps(None)
    except _Raised as error:
        return json.dumps(f"call {made} of {len(listed)} raised {_line(str(error))}")
    except Exception:  # noqa: BLE001 - the tests stumble over wrong values in many ways
        return json.dumps(f"call {made} of {len(listed)} did not return what it should")
    return json.dumps("")


def _first_python(alternatives: list[list[str]]) -> list[CodeType]:
    """Return the first alternative that is Python; where none is, the error of the first is raised."""
    problems: list[Exception] = []
    for sources in alternatives:
        try:
            return _compiled(sources)
        except _NOT_PYTHON as error:
            problems.append(error)
    raise problems[0]


def _compiled(sources: list[str]) -> list[CodeType]:
    return [compile(source, "<answer>", "exec", dont_inherit=True) for source in sources]


def _run(codes: list[CodeType]) -> ModuleType:
    """Return the module that the codes make; what they draw is the same every time."""
    random.seed(0)
    module = sys.modules["answer"] = ModuleType("answer")
    for code in codes:
        exec(code, module.__dict__)
    return module


def _shown(error: BaseException) -> str:
    return _line(traceback.format_exception_only(error)[-1])


def _line(text: str) -> str:
    return " ".join(text.split())[:_SHOWN]


def main(step: Callable[..., str], job: dict[str, Any]) -> None:
    """Print what a step returns, and nothing that the answer prints."""
    printed = os.dup(1)
    os.dup2(2, 1)
    sys.set_int_max_str_digits(0)
    with open(printed, "w", encoding="utf-8") as file:
        file.write(step(**job))
