"""Several requests at a time, whose first failure comes out as itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from orchestra_agents.errors import ModelError

T = TypeVar("T")


async def singles(ask: Callable[[int], Coroutine[Any, Any, T]], indices: Sequence[int]) -> list[T]:
    """Return what `ask` gives for each of `indices`, in their order, all asked at the same time.

    Raises:
        ModelError: The first failure; the other requests are cancelled.
    """
    if len(indices) == 1:
        return [await ask(indices[0])]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(index)) for index in indices]
    except BaseExceptionGroup as failures:
        error = first_error(failures)
        raise error from error.__cause__
    return [task.result() for task in tasks]


def first_error(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return a failure of the group that callers expect, else its first."""
    expected = failures.subgroup(ModelError)
    error: BaseException = expected or failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
