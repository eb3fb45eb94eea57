"""Logs through structlog, on standard error, with secrets taken out at the source."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from orchestra_agents.journal.records import Record, SampleRecord, SubtaskStarted
from orchestra_agents.redaction import redact


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


def _redact_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: redact(value, key) for key, value in event.items()}
