"""Doubles for tests of programs that use orchestra: a scripted model, and an event loop whose time is virtual."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from orchestra_agents.models.contract import (
    Completion,
    Evidence,
    Form,
    ModelFacts,
    Prompt,
    Sampling,
    TokenUsage,
    canonical_json,
    estimate_tokens,
)

T = TypeVar("T")
Reply = str | Completion | Exception
"""What a scripted model says: a text, a whole completion, or an error that it raises."""


class Scripted:
    """A model that says what a test tells it to, and keeps what it was asked.

    Args:
        replies: Replies in the order of asking, the last one repeated; or a function of prompt and sampling.
        name: Its name in journals and results.
        form: How it wants to be asked.

    >>> model = Scripted(["yes", "no"])
    """

    def __init__(
        self,
        replies: Iterable[Reply] | Callable[[Prompt, Sampling], Reply],
        *,
        name: str = "scripted:test",
        form: Form = "chat",
    ) -> None:
        self._name, self._form = name, form
        self._choose = replies if callable(replies) else None
        self._replies = [] if callable(replies) else list(replies)
        self.asked: list[tuple[Prompt, Sampling]] = []
        """Every prompt with its sampling, in the order of asking."""

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def evidence(self) -> Evidence:
        """Always simulated."""
        return "simulated"

    @property
    def form(self) -> Form:
        """How it wants to be asked."""
        return self._form

    async def sample(self, prompt: Prompt, sampling: Sampling, count: int = 1) -> list[Completion]:
        """Return the next `count` replies, or raise the next error."""
        return [self._next(prompt, replace(sampling, index=sampling.index + place)) for place in range(count)]

    async def probe(self) -> ModelFacts:
        """Return that it can be reached."""
        return ModelFacts(reachable=True)

    async def aclose(self) -> None:
        """Nothing to give back."""

    def _next(self, prompt: Prompt, sampling: Sampling) -> Completion:
        self.asked.append((prompt, sampling))
        if self._choose is not None:
            reply = self._choose(prompt, sampling)
        else:
            reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Completion):
            return reply
        usage = TokenUsage(
            input_tokens=estimate_tokens(canonical_json(prompt.rendered())),
            output_tokens=estimate_tokens(reply),
            estimated=True,
        )
        return Completion(text=reply, usage=usage)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that jumps to the next timer instead of waiting for it: hours pass in milliseconds.

    Only for work that waits by timers alone (`simulated:` models, `asyncio.sleep`); real sockets are still polled, but
    time runs past them.
    """

    def __init__(self) -> None:
        super().__init__(_JumpingSelector(self))
        self._now = 0.0

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let virtual time pass."""
        self._now += seconds


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        ready: list[Any] = super().select(0 if timeout is not None else None)
        if not ready and timeout:
            self._loop.advance(timeout)
        return ready


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in virtual time and return what it returns.

    >>> async def wait_a_day() -> float:
    ...     await asyncio.sleep(86_400)
    ...     return asyncio.get_running_loop().time()
    >>> run_virtual(wait_a_day())
    86400.0
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
