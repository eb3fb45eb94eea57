"""How a report writes figures and the texts of users."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from orchestra_evals.report.blocks import NOTHING
from orchestra_evals.report.parts import Estimate, Interval, Mean

UNITS = {"tokens": "tokens", "calls": "calls", "usd": "US dollars"}
"""Units of spending, in words."""

_LONGEST = 160
_LONGEST_SENTENCE = 2000
_MOST_LISTED = 4
_LEAST_P = 0.001
_SMALL, _LARGE = 0.1, 100.0


def one_line(text: str, most: int = _LONGEST) -> str:
    r"""Return a text of a user on one line, without control characters, its middle left out where it is long.

    >>> one_line("a\nb" + "x" * 300, 12)
    'a bxxx…xxxxx'
    """
    plain = "".join(" " if char.isspace() else _visible(char) for char in text)
    joined = " ".join(plain.split())
    if len(joined) <= most:
        return joined
    last = (most - 1) // 2
    return f"{joined[: most - 1 - last]}…{joined[-last:]}"


def _visible(char: str) -> str:
    """Return a character, or the sign for one that cannot be shown: control, direction, half of a pair, unassigned."""
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Cn") else char


def quoted(name: str) -> str:
    """Return a name as it stands in a sentence."""
    return f"“{one_line(name)}”"


def spelled(text: str) -> str:
    """Return a text as a sentence: a capital at its beginning, a full stop at its end."""
    said = one_line(text, _LONGEST_SENTENCE).rstrip(".")
    return f"{said[:1].upper()}{said[1:]}."


def share(value: float | None) -> str:
    """Return a score or share to three digits."""
    return NOTHING if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """Return a difference of shares with its sign."""
    return NOTHING if value is None else f"{value:+.3f}" if round(value, 3) else "0.000"


def span(interval: Interval | None, *, is_signed: bool = False) -> str:
    """Return an interval of shares."""
    if interval is None or interval.low is None or interval.high is None:
        return NOTHING
    write = signed if is_signed else share
    return f"{write(interval.low)} to {write(interval.high)}"


def p_value(value: float | None) -> str:
    """Return a p value to three digits, very small ones as such."""
    return NOTHING if value is None else f"<{_LEAST_P:g}" if value < _LEAST_P else f"{value:.3f}"


def amount(value: float | None) -> str:
    """Return a figure of any size: calls, tokens, dollars.

    >>> amount(12345.6), amount(12.34), amount(0.000456), amount(3.0)
    ('12,346', '12.3', '0.000456', '3')
    """
    if value is None:
        return NOTHING
    if value == int(value) or abs(value) >= _LARGE:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= _SMALL else f"{value:.3g}"


def estimate(found: Estimate | None) -> str:
    """Return a figure of any size with its interval."""
    if found is None:
        return NOTHING
    if found.low is None or found.high is None:
        return amount(found.value)
    return f"{amount(found.value)} ({amount(found.low)} to {amount(found.high)})"


def share_with_interval(value: float | None, interval: Interval | None) -> str:
    """Return a score or share with its interval."""
    held = span(interval)
    return share(value) if value is None or held == NOTHING else f"{share(value)} ({held})"


def mean(found: Mean | None) -> str:
    """Return a mean score with its interval."""
    return NOTHING if found is None else share_with_interval(found.score, found.interval)


def difference(found: Estimate | None) -> str:
    """Return a difference of shares with its interval."""
    if found is None:
        return NOTHING
    held = span(found, is_signed=True)
    return signed(found.value) if held == NOTHING else f"{signed(found.value)} ({held})"


def tally(count: int) -> str:
    """Return a count that is worth a word only where it is not 0."""
    return f"{count:,}" if count else NOTHING


def plural(count: int, one: str, more: str = "") -> str:
    """Return a count with its noun."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def listed(names: Sequence[str], most: int = _MOST_LISTED) -> str:
    """Return names as a sentence lists them, only the first of many.

    >>> listed(["a"]), listed(["a", "b", "c"]), listed("abcdefg", 2)
    ('a', 'a, b and c', 'a, b and 5 more')
    """
    shown = list(names) if len(names) <= most else [*names[:most], f"{len(names) - most} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def caps(cap: Mapping[str, float]) -> str:
    """Return caps with their units."""
    return ", ".join(f"{amount(value)} {UNITS.get(unit, one_line(unit))}" for unit, value in cap.items()) or "none"
