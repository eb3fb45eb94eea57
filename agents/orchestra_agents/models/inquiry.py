"""Small questions that find out what a server does: asked in their turn, counted as they are sent, and few."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import reduce
from typing import TypeVar

from orchestra_agents.errors import ModelError, ServerError
from orchestra_agents.models._served import ask_politely
from orchestra_agents.models.contract import Completion, ProbeCost, Prompt, Sampling, TokenUsage
from orchestra_agents.models.retry import Retry
from orchestra_agents.models.throttle import Throttle

T = TypeVar("T")

MOST_CALLS = 8
"""Calls that finding out takes at most; three where the server refuses nothing."""
LONG, SHORT = 1024, 32
"""Tokens that are written at most for a question that a model may think about, and for one that it need not."""
MOST_READ = 300
"""Tokens that are read at most for a question: more than its prompt and its schema have bytes."""
WORST = ProbeCost(
    calls=MOST_CALLS,
    lost=TokenUsage(input_tokens=MOST_CALLS * MOST_READ, output_tokens=2 * LONG + (MOST_CALLS - 2) * SHORT),
)
"""What finding out takes at most: one question is a long one, and may be sent twice."""

_PATIENCE = Retry(attempts=2, total_s=10.0)


class Tally:
    """What finding out takes, known at any time: where it is cut short, too."""

    def __init__(self) -> None:
        self.cost = ProbeCost()
        """What was sent so far."""

    async def count(self, send: Callable[[], Awaitable[list[Completion]]], most: TokenUsage) -> list[Completion]:
        """Return what one request gives.

        Args:
            send: Sends it; cut short, it counts as one that may have been served.
            most: Tokens that it takes at most.

        Raises:
            ModelError: It failed, or as many calls as may be were made before.
        """
        if self.cost.calls >= MOST_CALLS:
            raise ModelError(f"finding out what the server does took {MOST_CALLS} calls without an end")
        took = ProbeCost(attempts=1, calls=1, lost=most)
        try:
            completions = await send()
            told = [ProbeCost(samples=1, usage=one.usage) for one in completions]
            took = reduce(ProbeCost.plus, told, ProbeCost(attempts=1, calls=1))
            return completions
        except ModelError as error:
            if not (error.calls or error.unknown):
                took = ProbeCost(attempts=1)
            raise
        finally:
            self.cost = self.cost.plus(took)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """Asks a server when it is the question's turn, once more where that may help, and counts what it takes."""

    throttle: Throttle
    tally: Tally

    async def ask(
        self,
        prompt: Prompt,
        sampling: Sampling,
        *,
        send: Callable[[], Awaitable[T]],
        read: Callable[[T], list[Completion]],
        count: int = 1,
    ) -> list[Completion]:
        """Return what `read` finds in the answer to `send`, one request for `count` completions.

        Raises:
            ModelError: There was no answer, or none of use.
        """
        written = sampling.max_tokens * count
        most = TokenUsage(input_tokens=MOST_READ, output_tokens=written)

        async def answered() -> list[Completion]:
            answer = await send()
            try:
                return read(answer)
            except ServerError as error:
                error.calls = 1  # answered, and perhaps billed, though not as promised
                raise

        async def once() -> list[Completion]:
            return await self.tally.count(answered, most)

        return await ask_politely(once, prompt, sampling, retry=_PATIENCE, throttle=self.throttle, count=count)
