"""Red flags: small policies that say why a reply must be discarded, or that it need not be."""

from __future__ import annotations

from collections.abc import Callable
from math import fsum

import re2

from orchestra_agents.errors import InputError, RedFlag
from orchestra_agents.json_schema import shown
from orchestra_agents.models.contract import Completion, Json

Check = Callable[[Completion], str | None]
"""Returns the reason to discard a reply, or None to keep it."""

REFUSALS = (
    "as a language model",
    "as an ai",
    "i am not able to",
    "i am sorry",
    "i am unable to",
    "i apologize",
    "i can not",
    "i can't",
    "i cannot",
    "i do not feel comfortable",
    "i don't feel comfortable",
    "i must decline",
    "i won't",
    "i'm not able to",
    "i'm sorry",
    "i'm unable to",
    "sorry, ",
    "unfortunately, i ",
)
"""How replies begin that decline the question, in lower case."""


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


def matching(pattern: str) -> RedFlagPolicy:
    r"""Flag replies in which `pattern` is found anywhere, with the reason `pattern`.

    Patterns are RE2's, which take time in proportion to the reply, whatever the pattern: Python's `re` syntax without
    back-references and look-around; `\z` is the end of the text, and so is `$` without `(?m)`.

    Raises:
        InputError: RE2 cannot read the pattern.

    >>> (matching("(?i)wait, no") | truncated())(Completion(text="Wait, no: 4"))
    'pattern'
    """
    search = _searcher(pattern)
    return RedFlagPolicy(lambda reply: "pattern" if reply.opaque is None and search(reply.text) else None)


def not_matching(pattern: str) -> RedFlagPolicy:
    r"""Flag replies in which `pattern` is found nowhere, with the reason `pattern`; the syntax is that of `matching`.

    Raises:
        InputError: RE2 cannot read the pattern.

    >>> policy = not_matching(r"^move = \[\d+, \d+, \d+\]\z")
    >>> policy(Completion(text="move = [1, 0, 2]")), policy(Completion(text="move = [1, 0, 2]. Done!"))
    (None, 'pattern')
    """
    search = _searcher(pattern)
    return RedFlagPolicy(lambda reply: None if reply.opaque is not None or search(reply.text) else "pattern")


def refusal() -> RedFlagPolicy:
    """Flag replies that begin with one of `REFUSALS`, in any case, with the reason `refusal`.

    It knows common English openings only, and takes a quotation that begins with one for a refusal, too.

    >>> refusal()(Completion(text="I'm sorry, but I can't help with that."))
    'refusal'
    """

    def check(completion: Completion) -> str | None:
        opening = completion.text.lstrip()[:100].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()
        return "refusal" if opening.startswith(REFUSALS) else None

    return RedFlagPolicy(check)


def unlikely(*, logprob: float) -> RedFlagPolicy:
    """Flag replies whose tokens' mean natural log-probability is below `logprob`, with the reason `unlikely`.

    Replies without log-probabilities are never flagged: ask for them with `Sampling(logprobs=...)`.

    Raises:
        InputError: `logprob` is above 0 or no number.
    """
    if not logprob <= 0:
        raise InputError("logprob", f"must be a natural log-probability, so at most 0, got {logprob:g}")

    def check(completion: Completion) -> str | None:
        tokens = completion.logprobs
        return "unlikely" if tokens and fsum(token.logprob for token in tokens) / len(tokens) < logprob else None

    return RedFlagPolicy(check)


def _searcher(pattern: str) -> Callable[[str], bool]:
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError) as error:
        raise InputError("pattern", f"must be a regular expression in RE2 syntax, got {shown(pattern)}") from error
    # Bytes, because a reply may hold half of a surrogate pair, which has no UTF-8.
    return lambda text: compiled.search(text.encode("utf-8", "replace")) is not None
