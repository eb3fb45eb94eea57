"""The border of a task graph: what a file or a program may say, checked, every refusal as one sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar, cast, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import InputError
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Json, Truth, canonical_json
from orchestra_agents.verification import PYTHON, Verify, parse_command
from orchestra_agents.voting.ahead import LARGEST_K
from orchestra_topologies.subtask import COUPLING, Coupling, Example, Join, JoinPolicy, Repair, Subtask
from orchestra_topologies.teams.team import Select, TeamSpec

_ID = re.compile(r"""[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff<>"'`]{1,100}""")
_LABELS = "none, weak, strong or critical"
_POLICIES = "all, any, best-effort or {quorum: N}"
MOST_SAMPLES = 100
"""Most answers that may be drawn to select one from."""


def _is_id(text: str) -> str:
    if not _ID.fullmatch(text) or text != text.strip():
        raise ValueError
    return text


def _is_text(text: str) -> str:
    if not text.isascii():
        text.encode()  # half a surrogate pair is no text; its UnicodeEncodeError is a ValueError
    return text


def _is_said(text: str) -> str:
    if not text.strip():
        raise ValueError
    return text


def _copy_json(value: Json) -> Json:
    """Return a copy of `value` that nobody else can change."""
    try:
        return json.loads(_is_text(canonical_json(value)))
    except (TypeError, RecursionError) as error:
        raise ValueError from error


_Text = Annotated[str, Field(strict=True), AfterValidator(_is_text)]
_Said = Annotated[_Text, AfterValidator(_is_said)]
_Value = Annotated[Any, AfterValidator(_copy_json)]


def _number(
    wanted: str,
    default: float | None = None,
    *,
    gt: float | None = None,
    ge: float | None = None,
    le: float | None = None,
) -> Any:
    return Field(default, strict=True, allow_inf_nan=False, description=wanted, gt=gt, ge=ge, le=le)


def _optional_text() -> Any:
    return Field(None, description="a non-empty text")


class _Entry(BaseModel):
    """What may stand at one place; the description of a field ends the sentence "NAME must be ..."."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


class _TruthEntry(_Entry):
    answer: _Value = Field(description="a JSON value")
    wrong: list[_Value] = Field([], description="a list of JSON values")
    difficulty: float | None = _number("a number")

    def truth(self) -> Truth:
        return Truth(answer=self.answer, wrong=tuple(self.wrong), difficulty=self.difficulty)


class _ExampleEntry(_Entry):
    input: _Said = Field(description="a non-empty text")
    answer: _Value = Field(description="a JSON value")


class _RepairEntry(_Entry):
    role: _Said = Field("debugger", description="a non-empty text")
    times: int = _number("an integer from 1 to 20", 3, ge=1, le=20)


class _SubtaskEntry(_Entry):
    id: Annotated[_Text, AfterValidator(_is_id)] = Field(
        description="a text of 1 to 100 characters without control characters, quotes, < or >, or spaces at its ends"
    )
    description: _Said = Field(description="a non-empty text")
    answer: Any = "text"
    context: _Text | None = Field(None, description="a text; only a graph file may list files")
    depends_on: Any = ()
    join: Any = "all"
    final: bool = Field(False, strict=True, description="true or false")
    coupling: Coupling | None = Field(None, description=_LABELS)
    estimated_tokens: float = _number("a number above 0 and at most 1e15", 1, gt=0, le=1e15)
    role: _Said | None = _optional_text()
    model: _Said | None = _optional_text()
    team: Any = None
    k: int | None = _number(f"an integer from 1 to {LARGEST_K}", ge=1, le=LARGEST_K)
    tools: list[_Said] = Field([], description="a list of names")
    verify: Any = None
    repair: _RepairEntry | None = Field(None, description="a mapping with role and times, or {} for the defaults")
    select: Any = None
    samples: int | None = _number(f"an integer from 2 to {MOST_SAMPLES}", ge=1, le=MOST_SAMPLES)
    timeout_s: float | None = _number("a number of seconds above 0", gt=0)
    answers: _Said | None = _optional_text()
    examples: list[_ExampleEntry] = Field([], description="a list of {input: text, answer: value}")
    truth: _TruthEntry | None = Field(None, description="a mapping with answer and optionally wrong and difficulty")
    latency_ms: float | None = _number("a number of milliseconds of at least 0", ge=0)

    def subtask(self) -> Subtask:
        answer = self.answer if isinstance(self.answer, AnswerType) else AnswerType.parse(self.answer)
        truth = self.truth.truth() if self.truth else None
        examples = tuple(Example(one.input, one.answer) for one in self.examples)
        # an example of a choice may choose between other words: it then shows the pattern without giving answers away
        shown = AnswerType("text") if answer.kind == "choice" else answer
        known = [(f"examples[{place}].answer", one.answer, shown) for place, one in enumerate(examples)]
        for name, value, kind in known + ([("truth.answer", truth.answer, answer)] if truth else []):
            if problem := kind.problem(value):
                raise InputError(name, f"must be an answer of the subtask's type: {problem}")
        edges = _edges(self.depends_on, self.coupling)
        verify, select = _chosen(self.verify, self.select, self.samples, answer)
        return Subtask(
            id=self.id,
            description=self.description,
            answer=answer,
            context=self.context,
            depends_on=edges,
            join=_join(self.join, len(edges)),
            final=self.final,
            estimated_tokens=self.estimated_tokens,
            role=self.role,
            model=self.model,
            team=None if self.team is None else str(TeamSpec.parse(self.team, "team") or "auto"),
            k=self.k,
            tools=tuple(self.tools),
            verify=verify,
            repair=_repair(self.repair, verify, select),
            select=select,
            samples=self.samples or 1,
            timeout_s=self.timeout_s,
            answers=self.answers,
            examples=examples,
            truth=truth,
            latency_ms=self.latency_ms,
        )


class _GraphEntry(_Entry):
    goal: _Text = Field("", description="a text")
    context: _Text = Field("", description="a text; only a graph file may list files")
    subtasks: list[Any] = Field(description="a list of subtasks")


_NESTED: dict[str, type[_Entry]] = {"truth": _TruthEntry, "examples": _ExampleEntry, "repair": _RepairEntry}
_Read = TypeVar("_Read", bound=_Entry)


def read_head(said: Mapping[str, Json]) -> tuple[str, str, list[Any]]:
    """Return goal, context and the subtasks as they are given.

    Raises:
        InputError: A key is unknown or its value of the wrong type.
    """
    head = _read(_GraphEntry, said, "")
    return head.goal, head.context, head.subtasks


def read_subtask(said: Subtask | Mapping[str, Json], place: int) -> Subtask:
    """Return the checked subtask that `said` describes, by the keys of a graph file or as a value.

    Args:
        said: What is given.
        place: Its place in the graph from 0, which names it in errors where its id cannot.

    Raises:
        InputError: A key is missing or unknown, or its value wrong; the field is `subtasks[ID].KEY`.
    """
    if not isinstance(said, (Subtask, Mapping)):
        raise InputError(f"subtasks[{place}]", f"must be a mapping of a subtask's keys, got {shown(said)}")
    name = said.id if isinstance(said, Subtask) else said.get("id")
    is_named = isinstance(name, str) and _ID.fullmatch(name)
    where = f"subtasks[{name if is_named else place}]"
    entry = _read(_SubtaskEntry, said, where)
    try:
        return entry.subtask()
    except InputError as error:
        raise InputError(f"{where}.{error.field}", str(error).removeprefix(f"{error.field}: ")) from error


def _read(entry: type[_Read], said: Any, where: str) -> _Read:
    try:
        return entry.model_validate(dict(said) if isinstance(said, Mapping) else said)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise _sentence(entry, where, first["type"], first["loc"], first["input"]) from error


def _sentence(entry: type[_Entry], where: str, kind: str, loc: Sequence[int | str], got: Any) -> InputError:
    """Return one of pydantic's complaints as ours."""
    if kind == "invalid_key":
        return InputError(_path(where, loc[:-1]), f"must have texts as keys, got {shown(loc[-1])}")
    path = _path(where, loc)
    names = [part for part in loc if isinstance(part, str)]
    if len(names) > 1 and names[0] in _NESTED:
        entry, names = _NESTED[names[0]], names[1:]
    if kind == "extra_forbidden":
        return InputError(path, f"is not a key here; known are {', '.join(entry.model_fields)}")
    wanted = entry.model_fields[names[0]].description
    if kind == "missing":
        return InputError(path, f"is missing; it must be {wanted}")
    return InputError(path, f"must be {wanted}, got {shown(got)}")


def _path(where: str, loc: Sequence[int | str]) -> str:
    steps = [f"[{part}]" if isinstance(part, int) else f".{_plain(part)}" for part in loc]
    return "".join([where, *steps]).removeprefix(".") or "graph"


def _plain(name: str) -> str:
    return name if _ID.fullmatch(name) else shown(name)


def _edges(given: Any, coupling: Coupling | None) -> tuple[tuple[str, Coupling], ...]:
    edges = _pairs(given, coupling)
    for edge in edges:
        if len(edge) != 2 or not isinstance(edge[0], str):
            raise InputError("depends_on", f"must name subtasks by id, got {shown(edge[0] if edge else edge)}")
        before, label = edge
        if not isinstance(label, str) or label not in COUPLING:
            raise InputError(f"depends_on[{_plain(before)}]", f"must be {_LABELS}, got {shown(label)}")
    names = [before for before, _ in edges]
    if len(set(names)) < len(names):
        raise InputError("depends_on", f"must name every subtask once, got {shown(names)}")
    return edges


def _pairs(given: Any, coupling: Coupling | None) -> tuple[Any, ...]:
    if isinstance(given, (list, tuple)):
        return tuple(one if isinstance(one, tuple) else (one, coupling or "strong") for one in given)
    if not isinstance(given, Mapping):
        raise InputError("depends_on", f"must be a list of subtask ids, or a mapping to couplings, got {shown(given)}")
    if given and coupling is not None:
        raise InputError("coupling", "is said twice, here and in depends_on; keep one of them")
    return tuple(given.items())


def _join(given: Any, inputs: int) -> Join:
    if isinstance(given, Join):
        given = given.spec()
    if isinstance(given, str) and given in get_args(JoinPolicy) and given != "quorum":
        return Join(cast(JoinPolicy, given))
    if not isinstance(given, Mapping) or list(given) != ["quorum"]:
        raise InputError("join", f"must be {_POLICIES}, got {shown(given)}")
    quorum = given["quorum"]
    if isinstance(quorum, bool) or not isinstance(quorum, int) or not 1 <= quorum <= inputs:
        allowed = f"an integer from 1 to {inputs}, the subtask's inputs" if inputs else "left out: it has no inputs"
        raise InputError("join.quorum", f"must be {allowed}, got {shown(quorum)}")
    return Join("quorum", quorum)


def _chosen(verify: Any, select: Any, samples: int | None, answer: AnswerType) -> tuple[Verify | None, Select | None]:
    """Return how an answer is checked and who picks one of several."""
    if isinstance(select, str) and select.startswith("verify:"):
        if verify is not None:
            raise InputError("verify", "is said twice, here and in select; keep one of them")
        select, verify = "verify", select.removeprefix("verify:").strip()
    _check_verify(verify)
    if select is None:
        if (samples or 1) > 1:
            raise InputError("samples", "needs select to say who picks one: judge, medoid or verify")
        return verify, None
    if select not in ("judge", "medoid", "verify"):
        raise InputError("select", f"must be judge, medoid, verify or verify:COMMAND, got {shown(select)}")
    if answer.votable:
        raise InputError("select", f"is for text and code; {answer.kind} answers are counted by votes, with k")
    if select == "verify" and verify is None:
        raise InputError("select", "verify needs a command; write verify:COMMAND, or give the key verify")
    if (samples or 1) < 2:
        raise InputError("samples", f"must be an integer from 2 to {MOST_SAMPLES} beside select, got {samples}")
    return verify, select


def _repair(said: _RepairEntry | None, verify: Verify | None, select: Select | None) -> Repair | None:
    if said is None:
        return None
    if verify is None or select is not None:
        raise InputError("repair", "needs verify, which says what is wrong, and no select")
    return Repair(role=said.role, times=said.times)


def _check_verify(verify: Any) -> None:
    if verify is None or callable(verify):
        return
    if not isinstance(verify, str):
        raise InputError("verify", f"must be a command line or a Python function, got {shown(verify)}")
    if not verify.startswith(PYTHON):
        parse_command(verify)
