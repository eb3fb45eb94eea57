"""Red flags: small policies that say why a reply must be discarded, or that it need not be."""

from __future__ import annotations

from collections.abc import Callable

from orchestra_agents.errors import RedFlag
from orchestra_agents.models.contract import Completion, Json

Check = Callable[[Completion], str | None]
"""Returns the reason to discard a reply, or None to keep it."""


class RedFlagPolicy:
    """A check that combines: `a | b` flags what either flags, `a & b` only what both do.

    >>> policy = truncated() | longer_than(tokens=750)
    >>> policy(Completion(text="ok", finish_reason="length"))
    'truncated'
    """

    __slots__ = ("_check",)

    def __init__(self, check: Check) -> None:
        self._check = check

    def __call__(self, completion: Completion) -> str | None:
        """Return the reason to discard `completion`, or None."""
        return self._check(completion)

    def __or__(self, other: Check) -> RedFlagPolicy:
        return RedFlagPolicy(lambda completion: self(completion) or other(completion))

    def __ror__(self, other: Check) -> RedFlagPolicy:
        return RedFlagPolicy(other) | self

    def __and__(self, other: Check) -> RedFlagPolicy:
        def both(completion: Completion) -> str | None:
            first, second = self(completion), other(completion)
            return f"{first} and {second}" if first and second else None

        return RedFlagPolicy(both)

    def __rand__(self, other: Check) -> RedFlagPolicy:
        return RedFlagPolicy(other) & self


def truncated() -> RedFlagPolicy:
    """Flag replies that ran into the token limit, even where an answer can be parsed (MAKER, section 3.3)."""
    return RedFlagPolicy(lambda completion: "truncated" if completion.finish_reason == "length" else None)


def longer_than(*, tokens: int) -> RedFlagPolicy:
    """Flag replies of more than `tokens` output tokens: long answers to short questions err more often (MAKER)."""
    return RedFlagPolicy(lambda completion: "too_long" if completion.usage.output_tokens > tokens else None)


def unparsable(read: Callable[[str], Json]) -> RedFlagPolicy:
    """Flag replies from which `read` raises `RedFlag`; the reason is the one it gives."""

    def check(completion: Completion) -> str | None:
        if completion.opaque is not None:
            return None
        try:
            read(completion.text)
        except RedFlag as flag:
            return flag.reason
        return None

    return RedFlagPolicy(check)
