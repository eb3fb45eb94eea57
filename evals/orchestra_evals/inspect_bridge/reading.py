"""How the completion of any solver is read as an answer of a suite's type."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import RedFlag
from orchestra_agents.json_schema import parse_json
from orchestra_agents.models.contract import Json

_FENCED = re.compile(r"```[a-zA-Z]*\n(.*?)\n```", re.DOTALL)


def read_completion(kind: AnswerType, text: str) -> Json:
    r"""Return the answer that a completion gives; None where it is empty, the completion where it gives none.

    A text or code is the completion. Of the others, the first of these that is an answer: all of it, the last fenced
    block, the last line; each as it stands, as JSON, or as the object `{"answer": ...}` that agents are asked for.

    >>> read_completion(AnswerType("number"), 'Let me see.\n{"answer": 4}')
    4
    """
    if not text.strip():
        return None
    if not kind.votable:
        try:
            return kind.read(text)
        except RedFlag:
            return text
    answers = (answer for part in _parts(text) for answer in _readings(part))
    return next((answer for answer in answers if kind.problem(answer) is None), text)


def _parts(text: str) -> Iterator[str]:
    yield text.strip()
    yield from _FENCED.findall(text)[-1:]
    yield text.strip().splitlines()[-1].strip()


def _readings(part: str) -> Iterator[Json]:
    yield part
    try:
        value = parse_json(part)
    except ValueError:
        return
    yield value
    if isinstance(value, dict) and list(value) == ["answer"]:
        yield value["answer"]
