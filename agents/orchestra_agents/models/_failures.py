"""What a response other than 2xx means, as one typed error without secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from orchestra_agents.errors import (
    AuthError,
    ContextExceeded,
    InvalidRequest,
    ModelError,
    ModelTimeout,
    RateLimited,
    ServerError,
)
from orchestra_agents.models._retry_after import asked_wait, retry_after
from orchestra_agents.redaction import redact_text

_CONTEXT_SIGNS = (
    "context_length_exceeded",  # OpenAI
    "exceed_context_size",  # llama.cpp
    "maximum context length",  # vLLM
    "prompt is too long",  # Anthropic
)
_QUOTA_SIGN = "insufficient_quota"  # OpenAI: a 429 that no waiting helps
_LONGEST_MESSAGE = 300


def failure(status: int, headers: Mapping[str, str], body: bytes, key: str | None) -> ModelError:
    """Return the typed error that a response other than 2xx stands for.

    Args:
        status: Its HTTP status.
        headers: Its headers, by any case of their names.
        body: What it says; at most 64 KiB of it are looked at.
        key: The key that was sent, which a server may repeat.
    """
    told = _told(body)
    message = f"HTTP {status}: {shortened(told, key) or _phrase(status)}"
    error = _kind(status, told)(message)
    error.holds_s = asked_wait(headers)
    # Only what is asked for: x-ratelimit headers stand on every answer of OpenAI and mean a wait at a 429 alone.
    error.retry_after_s = retry_after(headers) if status == 429 else error.holds_s
    error.is_busy = status in (429, 503, 529)
    if status == 429 and _QUOTA_SIGN in told:
        error.retryable = error.is_busy = False
    if error.retryable and headers.get("x-should-retry") == "false":
        error.retryable = False
    return error


def _kind(status: int, told: str) -> type[ModelError]:
    """Return the class of the error; `told` are the server's words."""
    known: dict[int, type[ModelError]] = {
        401: AuthError,
        403: AuthError,
        408: ModelTimeout,
        409: ServerError,
        429: RateLimited,
    }
    if status in known:
        return known[status]
    if status >= 500:
        return ServerError
    return ContextExceeded if any(sign in told for sign in _CONTEXT_SIGNS) else InvalidRequest


def _phrase(status: int) -> str:
    """Return what a status means where the server says nothing."""
    if 300 <= status < 400:
        return "redirects are not followed, give the final base URL"
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no message"


def shortened(text: str, key: str | None) -> str:
    """Return at most 300 printable characters of `text` on one line, without the key and what looks like one."""
    text = redact_text(text[:65536], *([key] if key else []))[:4096]
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"


def _told(body: bytes) -> str:
    """Return the server's own words: the error's code, type and message where it is JSON, else the text."""
    text = body[:65536].decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    error = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(error, Mapping):
        return error if isinstance(error, str) else text
    message = error.get("message") or error.get("detail") or ""
    marks = [error[name] for name in ("code", "type") if isinstance(error.get(name), str)]
    return f"{message if isinstance(message, str) else json.dumps(message)} {' '.join(f'({m})' for m in marks)}".strip()
