r"""How a file is named as a suite, `file:PATH,key=value,...`: written from its settings, and read back.

The parts are those of a CSV line: one that holds a comma or a double quote stands in double quotes, in which a double
quote is written twice. The first is the path, colons and equals signs included.

    file:qa.csv,input=question,target=answer
    file:"a,b.jsonl","scorer=numeric:abs=0.1,rel=0.01"

Keys are the fields of `Fields`, where several columns are separated by `|` and `\n` in `input` is a line break;
`scorer`; `answer` (text, number, code, `yes|no|maybe`, or JSON as in a graph file); `shares` in percent, `20/60/20`;
`deal_seed`; `shuffle=yes`; and `batch`, how many rows are asked at once. Any other key is an axis of difficulty, which
keeps the value given.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import parse_json, shown
from orchestra_agents.models.contract import Json
from orchestra_agents.sections import as_text
from orchestra_evals.suites.file_rows import Fields
from orchestra_evals.suites.options import is_yes
from orchestra_evals.suites.suite import Split

LEAST_BATCH, MOST_BATCH = 2, 20
"""How many rows may be asked at once."""

_COLUMNS = tuple(one.name for one in fields(Fields))
_LISTS = ("choices", "difficulty")
_SETTINGS = ("scorer", "answer", "shares", "deal_seed", "shuffle", "batch")
_QUOTING = "put a part that holds a comma in double quotes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Which share of the rows each split gets.

    Raises:
        InputError: A share is none from 0 to 1, or together they are not 1.
    """

    calibrate: float = 0.2
    test: float = 0.6
    held_out: float = 0.2
    seed: int = 0
    """Another one deals the rows out in another way; it is no seed of a run, so that runs share their splits."""

    def __post_init__(self) -> None:
        said = (self.calibrate, self.test, self.held_out)
        if not all(0 <= share <= 1 for share in said) or not math.isclose(math.fsum(said), 1, abs_tol=1e-9):
            shown_shares = "/".join(f"{share:g}" for share in said)
            raise InputError("shares", f"must be from 0 to 1 and 1 together, got {shown_shares}")

    def of(self, split: Split) -> float:
        """Return the share of one split."""
        return {"calibrate": self.calibrate, "test": self.test, "held_out": self.held_out}[split]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that the name of a file says beside its path.

    Raises:
        InputError: So many rows cannot be asked at once.
    """

    fields: Fields = field(default_factory=Fields)
    scorer: str | None = None
    """The scorer's name; None where it is derived."""
    answer: AnswerType | None = None
    """None where it is derived."""
    shares: Shares = field(default_factory=Shares)
    shuffle_choices: bool = False
    batch: int | None = None
    """How many rows are asked at once; None asks each by itself."""
    pins: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Values of axes of difficulty, as text."""

    def __post_init__(self) -> None:
        if self.batch is not None and (type(self.batch) is not int or not LEAST_BATCH <= self.batch <= MOST_BATCH):
            allowed = f"an integer from {LEAST_BATCH} to {MOST_BATCH}"
            raise InputError("batch", f"must be {allowed}, rows asked at once, got {shown(self.batch)}")


def name_of_file(path: str, settings: Settings) -> str:
    """Return the name of a file with these settings, without those that are the default.

    >>> name_of_file("a,b.csv", Settings(fields=Fields(input="question")))
    'file:"a,b.csv",input=question'
    """
    said: dict[str, str] = {}
    for column in _COLUMNS:
        value = getattr(settings.fields, column)
        if value != getattr(Fields(), column):
            said[column] = value if isinstance(value, str) else "|".join(value)
    if "input" in said:
        said["input"] = said["input"].replace("\n", "\\n")
    if settings.scorer is not None:
        said["scorer"] = settings.scorer
    if settings.answer is not None:
        said["answer"] = as_text(settings.answer.spec())
    shares = settings.shares
    if shares != Shares(seed=shares.seed):
        said["shares"] = "/".join(f"{100 * share:.12g}" for share in (shares.calibrate, shares.test, shares.held_out))
    if shares.seed:
        said["deal_seed"] = str(shares.seed)
    if settings.shuffle_choices:
        said["shuffle"] = "yes"
    if settings.batch is not None:
        said["batch"] = str(settings.batch)
    said |= settings.pins
    return "file:" + ",".join(_quoted(part) for part in (path, *(f"{key}={one}" for key, one in said.items())))


def read_name(text: str) -> tuple[str, Settings]:
    """Return the path and the settings that a name gives behind `file:`.

    Raises:
        InputError: A part is not `key=value`, comes twice, has a value that is not allowed, or a key that is none.
    """
    path, *parts = _parts(text)
    said = _pairs(parts)
    columns = _columns({key: said.pop(key) for key in _COLUMNS if key in said})
    others = [key for key in said if key not in _SETTINGS and key not in columns.axes()]
    if others:
        told = f"{others[0]!r} is no key, and no axis of difficulty; the keys are {', '.join((*_COLUMNS, *_SETTINGS))}"
        raise InputError("suite", f"file: {told} ({_QUOTING})")
    seed = _read(said.pop("deal_seed", "0"), "deal_seed", int, "an integer")
    batch = said.pop("batch", None)
    return path, Settings(
        fields=columns,
        scorer=said.pop("scorer", None),
        answer=_answer(said.pop("answer", None)),
        shares=_shares(said.pop("shares", None), seed),
        shuffle_choices=_read(said.pop("shuffle", "no"), "shuffle", is_yes, "yes or no"),
        batch=None if batch is None else _read(batch, "batch", int, "an integer"),
        pins=MappingProxyType(said),
    )


def _quoted(part: str) -> str:
    doubled = part.replace('"', '""')
    return f'"{doubled}"' if any(mark in part for mark in ',"\r\n') else part


def _parts(text: str) -> list[str]:
    try:
        parts = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise InputError("suite", f"file: {shown(text)} cannot be read: {error}; {_QUOTING}") from error
    if not parts or not parts[0]:
        raise InputError("suite", "file: needs a path: file:PATH,key=value,...")
    return parts


def _pairs(parts: Sequence[str]) -> dict[str, str]:
    said: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or not key or not value or key in said:
            raise InputError("suite", f"file: {part!r} must be key=value, each key once ({_QUOTING})")
        said[key] = value
    return said


def _columns(said: Mapping[str, str]) -> Fields:
    columns: dict[str, Any] = dict(said)
    for key in _LISTS:
        if "|" in columns.get(key, ""):
            columns[key] = tuple(columns[key].split("|"))
    if "input" in columns:
        columns["input"] = columns["input"].replace("\\n", "\n")
    return Fields(**columns)


def _read(text: str, key: str, read: Callable[[str], Any], allowed: str) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise InputError("suite", f"file: {key} must be {allowed}, got {text!r}") from error


def _answer(text: str | None) -> AnswerType | None:
    if text is None:
        return None
    spec: Json = text
    if text.startswith("{"):
        spec = _read(text, "answer", parse_json, "JSON where it begins with a brace")
    elif "|" in text:
        spec = {"choice": text.split("|")}
    return AnswerType.parse(spec)


def _shares(text: str | None, seed: int) -> Shares:
    if text is None:
        return Shares(seed=seed)
    allowed = "three shares in percent, 20/60/20"
    shares = _read(text, "shares", lambda said: [float(one) / 100 for one in said.split("/")], allowed)
    if len(shares) != 3:
        raise InputError("suite", f"file: shares must be {allowed}, got {text!r}")
    return Shares(calibrate=shares[0], test=shares[1], held_out=shares[2], seed=seed)
