"""How much a model can read at once: its context window, and what a prompt takes of it.

A model may know its window (`window`, in tokens) or ask its server for it (`learn_window`), and may count a prompt with
its own tokenizer (`count_tokens`); none of that is asked of it. Windows and counts are not completions: they are no
calls, and are kept for as long as the model is.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestra_agents.errors import ModelError, ModelUnavailable
from orchestra_agents.models.contract import Model, Prompt

LEAST_SERVED = 4096
"""Tokens that every served model is taken to hold: one that could pass them is worth asking its server."""

_BYTES_A_TOKEN = 3
_A_MESSAGE = 8  # tokens that chat templates put around a message, at most about


def most_tokens(prompt: Prompt) -> int:
    """Return more tokens than any tokenizer makes of `prompt`: one for every byte, and a chat template's."""
    return len(prompt.content().encode("utf-8", "replace")) + _A_MESSAGE * (1 + len(prompt.messages))


async def smallest_window(models: Iterable[Model], most: int) -> int | None:
    """Return the smallest context window among `models` in tokens, None where none is known.

    Args:
        models: Who will be asked.
        most: Tokens that the prompt and its reply could take at most; a server is asked only beyond `LEAST_SERVED`.
    """
    known = [await _window_of(model, most) for model in models]
    return min((window for window in known if window is not None), default=None)


async def count_tokens(model: Model, prompt: Prompt) -> int:
    """Return the tokens of `prompt` by the model's own tokenizer where it has one, else one for every three bytes."""
    if hasattr(model, "count_tokens"):
        try:
            count: int | None = await model.count_tokens(prompt)
        except (ModelError, ModelUnavailable):
            count = None  # whoever samples it next says what is wrong
        if count is not None:
            return count
    size = len(prompt.content().encode("utf-8", "replace"))
    return -(-size // _BYTES_A_TOKEN) + _A_MESSAGE * (1 + len(prompt.messages))


async def _window_of(model: Model, most: int) -> int | None:
    known: int | None = getattr(model, "window", None)
    if known is None and most > LEAST_SERVED and hasattr(model, "learn_window"):
        known = await model.learn_window()
    return known
