"""Logs through structlog, on standard error, with secrets taken out at the source."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from orchestra_agents.journal.records import Record, SampleRecord, SubtaskStarted

_SECRET_NAME = re.compile(r"(?i)(api[_-]?key|authorization|token|secret|password)$")
_SECRET_SHAPE = re.compile(
    r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{8,}|ghp_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{12,}|(?i:bearer)\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"
)
_GONE = "[redacted]"


def configure_logging(form: Literal["console", "json"], level: str) -> None:
    """Send log lines of at least `level` to standard error, as text for people or one JSON object a line."""
    renderer = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redact_event,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def log_record(run_id: str, record: Record) -> None:
    """Log a record of a run: samples at debug, all else at info, the run and its node as fields of their own."""
    fields = record.model_dump(mode="json", exclude={"manifest", "graph", "text", "tally", "answer"})
    level = logging.DEBUG if isinstance(record, SampleRecord | SubtaskStarted) else logging.INFO
    structlog.get_logger("orchestra").log(level, record.kind, run=run_id, **fields)


def redact(value: Any, name: str = "") -> Any:
    """Return `value` without secrets, known by the name they go by or by their shape.

    >>> redact({"api_key": "x", "url": "Bearer abcdefgh1234"})
    {'api_key': '[redacted]', 'url': '[redacted]'}
    """
    if name and _SECRET_NAME.search(name) and isinstance(value, str | bytes):
        return _GONE
    if isinstance(value, str):
        return _SECRET_SHAPE.sub(_GONE, value)
    if isinstance(value, dict):
        return {key: redact(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return (list if isinstance(value, list) else tuple)(redact(inner, name) for inner in value)
    shown = repr(value)  # an error, say: what a log line would show of it
    clean = _SECRET_SHAPE.sub(_GONE, shown)
    return value if clean == shown else clean


def _redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: redact(value, key) for key, value in event.items()}
