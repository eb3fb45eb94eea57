"""An agent that acts: in each turn one action by vote, carried out once, observed and recorded before it is shown.

The observation is data, whatever it says: which tools there are was decided before, and a call that must not happen
twice is allowed by a person or not made. A call whose observation stands in the journal is never made again. Between a
call's effect and its record there is a window that no journal can close: a run killed in it makes the call again, with
the same key, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from orchestra_agents.actions import ActionType, is_done
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import ContextExceeded
from orchestra_agents.journal.records import ToolCalled, ToolObserved
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import RunJournal, text_key
from orchestra_agents.json_schema import shown
from orchestra_agents.ledger import Cost
from orchestra_agents.microagent import Decision, Microagent, Question
from orchestra_agents.models.contract import Json, Prompt, Truth, canonical_json, digest
from orchestra_agents.sections import cut, data_section
from orchestra_agents.tools import Observation, Situation, Toolbox, Turn, refused

MOST_SHOWN = 20
"""Most of its own turns that an agent is shown (agent-scaling study, section 2)."""
_LEAST = 200  # characters below which an observation is not cut further

_HOW = (
    'In each turn reply with the key answer being {"tool": NAME, "arguments": {...}} to use one of the tools above, or '
    '{"done": true, "answer": ...} to end your work. Use one tool a turn. Do not repeat a call that failed.'
)
OVER = "Your turns are used up. Do not ask for a tool any more."
"""What an agent is told that has no turn left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A call that must not happen twice, before it happens: what a person is asked to allow."""

    node: str
    """Who calls."""
    tool: str
    arguments: Json
    key: str
    is_repeated: bool
    """Whether the same call was begun before and not seen to end, so that it may have happened already."""


Allow = Callable[[Effect], Awaitable[bool]]
"""Asked before a call of a tool with effects `once`; anything but True refuses it; its errors end the attempt."""
Asks = Callable[[Sequence[str], AnswerType], Question]
"""Puts a question: material that is to be read before its words, and the kind of answer wanted."""
Fits = Callable[[Prompt], Awaitable[bool]]
"""Tells whether a prompt, with its reply, fits the context window."""

START = Situation(turns=())
"""An agent alone, before its first turn."""


async def allow_nothing(effect: Effect) -> bool:
    """Refuse every call of a tool with effects `once`."""
    return False


async def fits_always(prompt: Prompt) -> bool:
    """Send prompts of any length."""
    return True


def in_doubt(state: RunState) -> list[str]:
    """Return what the user should know of calls with effects `once` that were begun and not seen to end.

    Args:
        state: What the journal says, over all attempts at the run.
    """
    seen = state.observed
    return [
        _doubt(call)
        for key, call in state.calls.items()
        if call.effects == "once" and (call.repeats or key not in seen or seen[key].status == "refused")
    ]


def _doubt(call: ToolCalled) -> str:
    told = f"{call.node} called {call.tool} and was stopped before it was seen to end: it may have happened"
    if call.repeats:
        return f"{told}, and was called again with the same key {call.key}"
    return f"{told}, with the key {call.key}, and was not called again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """What an agent's turns came to."""

    decision: Decision
    """The last vote: that it is done, what is not decided, or the action of the last turn it had."""
    turns: tuple[Turn, ...]
    """All its turns, those before this call included."""
    is_done: bool
    """Whether it said that it is done."""
    samples: int
    """Samples that were drawn for its turns of this call."""

    @property
    def answer(self) -> Json:
        """The answer it gave; None where it is not done."""
        return self.decision.answer["answer"] if self.is_done else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One agent with tools.

    Args:
        agent: Who votes on each action.
        tools: What it was granted.
        journal: The run's writing end.
        allow: Who allows calls of tools with effects `once`.
        fits: Whether a prompt fits; where one does not, earlier turns are left out and observations cut.
    """

    agent: Microagent
    tools: Toolbox
    journal: RunJournal
    allow: Allow = allow_nothing
    fits: Fits = fits_always

    async def act(
        self, asks: Asks, answer: AnswerType, *, turns: int, before: Sequence[Turn] = (), seat: Situation = START
    ) -> Acted:
        """Act until the agent is done, a vote is not decided, or `turns` further turns are over.

        Args:
            asks: Puts its question.
            answer: The kind of answer that ends its work.
            turns: Most turns, at least 1.
            before: Turns it had earlier.
            seat: Its place in its team.

        Raises:
            ModelError, BudgetExceeded, JournalError: As `Microagent.decide`.
            ContextExceeded: Not even its latest observation fits the window.
        """
        taken, kind, samples = list(before), ActionType.of(self.tools, answer), 0
        for left in range(turns, 0, -1):
            said = f"{_HOW} This is turn {len(taken) + 1}; {left} left."
            question = await self._fitting(asks, kind, taken, said)
            question = replace(question, prompt=self._told(question.prompt, replace(seat, turns=tuple(taken))))
            decision = await self.agent.decide(question)
            samples += decision.samples
            if not decision.decided or is_done(decision.answer):
                break
            observation = await self._observe(question, decision.answer)
            taken.append(Turn(action=decision.answer, observation=observation))
        finished = decision.decided and is_done(decision.answer)
        return Acted(decision=decision, turns=tuple(taken), is_done=finished, samples=samples)

    async def conclude(self, asks: Asks, answer: AnswerType, turns: Sequence[Turn], words: str = OVER) -> Decision:
        """Return what the agent answers after its turns, without a further one.

        Args:
            asks: Puts its question.
            answer: The kind of answer wanted.
            turns: What it did and saw.
            words: What it is told.

        Raises:
            ModelError, BudgetExceeded, JournalError, ContextExceeded: As `act`.
        """
        return await self.agent.decide(await self._fitting(asks, answer, turns, words))

    async def _fitting(self, asks: Asks, answer: AnswerType, turns: Sequence[Turn], said: str) -> Question:
        """Return the question with as many of the turns, the latest ones, as the window holds."""
        kept = list(turns[-MOST_SHOWN:])
        while True:
            question = asks(self._material(kept, len(turns) - len(kept), said), answer)
            if await self.fits(question.prompt):
                return question
            if len(kept) > 1:
                kept = kept[-(len(kept) // 2) :]
            elif kept and (size := len(kept[0].observation.text)) > _LEAST:
                seen = turns[-1].observation  # whole, so that what is left out is counted from its full length
                kept = [replace(turns[-1], observation=replace(seen, text=cut(seen.text, size // 2)))]
            else:
                raise ContextExceeded(f"{question.node} takes more than its window, tools and latest turn included")

    def _material(self, kept: Sequence[Turn], left_out: int, said: str) -> list[str]:
        tools = "\n".join(canonical_json(one) for one in self.tools.spec())
        material = [data_section(tools, kind="tools")]
        if left_out:
            material.append(f"Your first {left_out} turns are left out.")
        for number, turn in enumerate(kept, left_out + 1):
            material.append(data_section(canonical_json(turn.action), kind=f"action {number}"))
            seen = turn.observation
            material.append(data_section(seen.text, kind=f"observation {number} {seen.status}"))
        return [*material, said]

    def _told(self, prompt: Prompt, situation: Situation) -> Prompt:
        """Return the prompt with what a simulated model may know of the next action."""
        if self.tools.reference is None:
            return replace(prompt, truth=None)
        known: Truth | None = self.tools.reference(situation)
        if known is not None and prompt.truth is not None:
            known = replace(known, inputs=prompt.truth.inputs)
        return replace(prompt, truth=known)

    async def _observe(self, question: Question, action: Json) -> Observation:
        """Return what came of an action; what the journal holds is not done again."""
        loop, asked = asyncio.get_running_loop(), digest(question.prompt.rendered())
        key = digest([self.journal.run_id, question.node, asked, action])
        recorded = self.agent.sampler.state.observed.get(key)
        if recorded is not None:
            text = self.journal.journal.blob(recorded.text)
            return Observation(status=recorded.status, text=text, size=recorded.size)
        name, arguments = (action["tool"], action["arguments"]) if isinstance(action, dict) else (str(action), None)
        started = loop.time()
        observation = await self._carried_out(question.node, asked, name, arguments, key)
        record = ToolObserved(
            node=question.node,
            input=asked,
            tool=name,
            key=key,
            status=observation.status,
            text=text_key(observation.text),
            size=observation.size,
            seconds=round(loop.time() - started, 6),
        )
        self.journal.append(record, text=observation.text)
        return observation

    async def _carried_out(self, node: str, asked: str, name: str, arguments: Json, key: str) -> Observation:
        tool = self.tools.tools.get(name)
        if tool is None:
            return refused(f"no tool called {shown(name)} is granted; granted: {', '.join(self.tools.tools)}")
        if problem := tool.problem(arguments):
            return refused(problem)
        before = self.agent.sampler.state.calls.get(key)
        repeats = 0 if before is None else before.repeats + 1
        call = ToolCalled(
            node=node, input=asked, tool=name, arguments=arguments, effects=tool.effects, key=key, repeats=repeats
        )
        if tool.effects == "once" and not await self._is_allowed(call):
            return refused(f"{name} has effects that the user did not allow")
        self.agent.sampler.check_room(Cost())  # whoever allows it may take longer than the run has
        self.journal.append(call)
        return await self.agent.sampler.in_time(tool.call(arguments, key))

    async def _is_allowed(self, call: ToolCalled) -> bool:
        effect = Effect(
            node=call.node, tool=call.tool, arguments=call.arguments, key=call.key, is_repeated=call.repeats > 0
        )
        return await self.allow(effect) is True
