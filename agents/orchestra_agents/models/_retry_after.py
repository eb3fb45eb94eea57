"""How long a server asks us to wait, in every form that providers send."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|s|m|h|d)")
_UNIT_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,9})?")


def asked_wait(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Return the seconds that `retry-after-ms` or `Retry-After` ask for, else None.

    Args:
        headers: Response headers with lower-case names, or any case-insensitive mapping.
        now: The time that dates are counted from; the present by default.
    """
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "").strip()
    seconds = _seconds(text)
    return seconds if seconds is not None else _until_http_date(text, now or datetime.now(UTC))


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """Return the seconds a rate-limited client should wait, or None where the server does not say.

    `retry-after-ms` and `Retry-After` win; else the largest of `x-ratelimit-reset-requests`, `x-ratelimit-reset-tokens`
    (`1m30s`, `500ms`, or plain seconds) and `anthropic-ratelimit-*-reset` (ISO 8601). Never negative.

    >>> retry_after({"x-ratelimit-reset-requests": "1m30s", "x-ratelimit-reset-tokens": "500ms"})
    90.0
    """
    asked = asked_wait(headers, now=now)
    if asked is not None:
        return asked
    now = now or datetime.now(UTC)
    resets = [_duration(headers.get(f"x-ratelimit-reset-{what}", "")) for what in ("requests", "tokens")]
    resets += [
        _until_iso(value, now)
        for name, value in headers.items()
        if name.lower().startswith("anthropic-ratelimit-") and name.lower().endswith("-reset")
    ]
    return max((wait for wait in resets if wait is not None), default=None)


def _seconds(text: str) -> float | None:
    """Return a plain decimal number, or None: `inf`, `nan` and signs are no waiting times."""
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _duration(text: str) -> float | None:
    """Return the seconds of a duration such as `1h2m3.5s`, or of plain seconds."""
    text = text.strip()
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return _seconds(text)
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def _until_http_date(text: str, now: datetime) -> float | None:
    try:
        return _until(parsedate_to_datetime(text), now)
    except ValueError:
        return None


def _until_iso(text: str, now: datetime) -> float | None:
    try:
        return _until(datetime.fromisoformat(text.strip()), now)
    except ValueError:
        return None


def _until(moment: datetime, now: datetime) -> float:
    """Return the seconds from `now` to `moment`, at least 0; a moment without a zone is UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
