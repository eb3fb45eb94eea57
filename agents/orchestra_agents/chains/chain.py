"""A process with all that it can do, as the drive uses it: questions out, actions in, JSON at the border."""

from __future__ import annotations

import json
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchestra_agents.chains.codec import Codec
from orchestra_agents.chains.distinct import Distinct
from orchestra_agents.errors import InputError, RedFlag
from orchestra_agents.flags import Check
from orchestra_agents.models.contract import Completion, Json, Message, Prompt, Sampling, Truth, canonical_json
from orchestra_agents.process import Action, Predicted, Process, State
from orchestra_agents.voting.jury import Juror, Jury

_REQUIRED = ("first", "prompt", "parse", "advance", "is_done")


@dataclass(slots=True)
class Question:
    """What one step, or one sentinel, asks."""

    step: str
    """Its identity: what seeds and simulated draws are made of."""
    state: State
    asked: Prompt | Jury
    expected: Action = None
    """The right action, where the process knows it."""
    told: str | None = None
    """The right action as a model would write it."""

    @property
    def is_sampled(self) -> bool:
        """Whether votes are samples without end, not the members of a jury that has each of them once."""
        return not isinstance(self.asked, Jury) or self.asked.size is None

    def count_in(self, questions: Distinct) -> None:
        """Take the question into those that were asked; what its messages begin with is often the same."""
        asked = self.asked
        if isinstance(asked, Prompt) and len(asked.messages) == 2:
            questions.add(asked.messages[1].content, before=asked.messages[0].content)
        else:
            questions.add(self.content())

    def content(self) -> str:
        """Return the words of the question: those of its first form."""
        asked = self.asked
        return asked.content() if isinstance(asked, Prompt) else asked.jurors[0].prompt.content()


@dataclass(slots=True)
class Reading:
    """What a reply stands for: a vote, or a reason to discard it. Not frozen, for the same reason as `Vote`."""

    key: str = ""
    """The vote: equal for replies that are one answer."""
    action: Action = None
    flag: str | None = None
    opaque: str | None = None
    """Set for a simulated wrong answer that stands for no action."""


class Chain:
    """Asks, reads and advances one process.

    Args:
        process: The process.
        is_told: Whether a simulated model answers, which must be told the truth.
        name: What makes the process again, where it was made of that; None is its own `spec`, if it has one.

    Raises:
        InputError: It lacks a method, or its first state does not read back from JSON as it was.
    """

    def __init__(self, process: Process, *, is_told: bool = False, name: str | None = None) -> None:
        missing = [name for name in _REQUIRED if not callable(getattr(process, name, None))]
        if missing:
            raise InputError(
                "process", f"{_name_of(process)} lacks {', '.join(missing)}; a process has all of {_REQUIRED}"
            )
        self.process, self.is_told = process, is_told
        self.name = str(getattr(process, "spec", None) or name or _name_of(process))
        self.length: int | None = getattr(process, "length", None)
        self.sampling: Sampling | None = getattr(process, "sampling", None)
        self.red_flag: Check | None = getattr(process, "red_flag", None)
        self.observe = getattr(process, "observe", None)
        self._absorb = getattr(process, "absorb", None)
        self._reference = getattr(process, "reference", None)
        self._distractors = getattr(process, "distractors", None)
        self._render = getattr(process, "render", _render)
        self._canonical = getattr(process, "canonical", None)
        self._variants = getattr(process, "variants", None)
        self._sentinel = getattr(process, "sentinel", None)
        self.first = process.first()
        self._states = Codec(type(self.first), "state")
        self._states.check(self.first)
        returned = _returned(process)
        self.predicts = returned is Predicted
        self._actions = Codec(None if self.predicts else returned, "action")

    @property
    def is_checked(self) -> bool:
        """Whether the process knows its right actions."""
        return self._reference is not None

    @property
    def can_judge(self) -> bool:
        """Whether the process can tell a right final state from a wrong one."""
        return callable(getattr(self.process, "is_correct", None))

    @property
    def has_variants(self) -> bool:
        """Whether its questions can be put in other words."""
        return self._variants is not None

    def question(self, state: State, step: str, *, varied: bool = False) -> Question:
        """Return what is asked in `state`; `varied`: in the process's other words."""
        asked = self.process.prompt(state)
        if varied and self._variants is not None:
            asked = Jury.of([_as_prompt(one) for one in self._variants(state)])
        question = Question(step, state, asked)  # type: ignore[arg-type]  # a text becomes a prompt below
        if self._reference is not None:
            question.expected = self._reference(state)
        truth = None
        if self.is_told and question.expected is not None:
            question.told = self._render(question.expected)
            wrong = () if self._distractors is None else partial(self._wrong_texts, state)
            truth = Truth(answer=question.told, wrong=wrong)
        if isinstance(asked, Jury):
            jurors = enumerate(asked.jurors)
            question.asked = Jury(tuple(_told_juror(juror, f"{step}#{at}", truth) for at, juror in jurors), asked.k)
        else:
            question.asked = _told(_as_prompt(asked), step, truth)
        return question

    def sentinel(self, number: int, state: State) -> State:
        """Return a state outside the chain whose answer is known; `state`, where the process has no others."""
        return state if self._sentinel is None else self._sentinel(number)

    def read(self, completion: Completion, state: State) -> Reading:
        """Return what a reply stands for."""
        if completion.opaque is not None:
            return Reading(key=completion.opaque, opaque=completion.opaque)
        if self.red_flag is not None and (flag := self.red_flag(completion)):
            return Reading(flag=flag)
        return self.read_text(completion.text, state)

    def read_text(self, text: str, state: State) -> Reading:
        """Return what the text of a reply, or of a person, stands for."""
        try:
            action = self.process.parse(text, state)
        except RedFlag as flag:
            return Reading(flag=flag.reason)
        return Reading(self.key(action), action)

    def key(self, action: Action) -> str:
        """Return the canonical form of an action: what votes are counted by."""
        return self._text(action) if self._canonical is None else str(self._canonical(action))

    def next(self, state: State, action: Action) -> State:
        """Return the state after `action`."""
        return action.state if isinstance(action, Predicted) else self.process.advance(state, action)

    def absorb(self, state: State, observation: Json) -> State:
        """Return the state that an observation leads to."""
        return state if self._absorb is None else self._absorb(state, observation)

    def action_fields(self, action: Action, key: str) -> str:
        """Return the fields `action` and, where the model predicted it, `state` of a step's record, as JSON text."""
        return f'"action":{key if self._canonical is None else self._text(action)}'

    def _text(self, action: Action) -> str:
        """Return an action as JSON text; that of a pair reads on with the name of the field of its second half."""
        if isinstance(action, Predicted):
            return f'{self._actions.text(action.action)},"state":{self._states.text(action.state)}'
        return self._actions.text(action)

    def action_of(self, action: Json, state: Json) -> Action:
        """Return the action that stands in a step's record."""
        decided = self._actions.load(action)
        return decided if state is None else Predicted(decided, self._states.load(state))

    def state_json(self, state: State) -> Json:
        """Return a state as the JSON value that `state_of` reads back.

        Raises:
            InputError: It would not come back as it is.
        """
        self._states.check(state)
        return json.loads(self._states.text(state))

    def state_of(self, state: Json) -> State:
        """Return the state that stands in a journal."""
        return self._states.load(state)

    def is_correct(self, state: State) -> bool:
        """Tell whether a final state is what the process was for; True where it cannot say."""
        check = getattr(self.process, "is_correct", None)
        return True if check is None else bool(check(state))

    def _wrong_texts(self, state: State) -> Sequence[str]:
        assert self._distractors is not None
        return [self._render(action) for action in self._distractors(state)]


def _name_of(process: Process) -> str:
    kind = type(process)
    return f"{kind.__module__}:{kind.__qualname__}"


def _returned(process: Process) -> Any:
    """Return what `parse` is annotated to return, None where that is not known."""
    try:
        return typing.get_type_hints(process.parse).get("return")
    except (NameError, TypeError):
        return None


def _render(action: Action) -> str:
    if isinstance(action, Predicted):
        raise InputError("process", "one that predicts states needs render(action) for a simulated model")
    return action if isinstance(action, str) else canonical_json(action)


def _as_prompt(asked: Prompt | str) -> Prompt:
    return Prompt(messages=(Message("user", asked),)) if isinstance(asked, str) else asked


def _told(prompt: Prompt, step: str, truth: Truth | None) -> Prompt:
    latency_ms = prompt.latency_ms
    return Prompt(messages=prompt.messages, text=prompt.text, step=step, truth=truth, latency_ms=latency_ms)


def _told_juror(juror: Juror, step: str, truth: Truth | None) -> Juror:
    return Juror(prompt=_told(juror.prompt, step, truth), sampling=juror.sampling, role=juror.role)
