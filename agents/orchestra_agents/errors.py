"""Every error that orchestra raises on purpose, as one tree.

OrchestraError
├── InputError                what the user gave is wrong: which field, what is allowed
├── ModelUnavailable          a model cannot be used here: an extra, weights or a key is missing
├── ToolsUnavailable          a server of tools cannot be used here
├── ToolFailed                a server of tools reported an error instead of a result, or ended
├── JournalError              a journal cannot be used as asked (its `code` says how)
│   ├── UnknownRun            no run of that name stands in the journal
│   ├── RunOwned              another live process is working on the run
│   └── ManifestChanged       the run was started with something else
├── BudgetExceeded            the next call could cost more than what is left
├── RunDeclined               the person asked for approval said no
├── RedFlag                   a reply shows a sign of an unreliable model: discard it
└── ModelError                a model was asked and did not answer
├── TransportError        no connection, or it broke
├── AuthError             the key is missing or refused
├── RateLimited           too many requests
├── InvalidRequest        the server refuses the request as it stands
├── ContextExceeded       the prompt does not fit the context window
├── ModelTimeout          no answer in time
└── ServerError           the server failed, or answered something that is not the promised JSON
"""

from __future__ import annotations

from collections.abc import Sequence


class OrchestraError(Exception):
    """Root of all errors raised on purpose; `code` is stable, the message is one sentence for people."""

    code = "error"


class InputError(OrchestraError):
    """What the user gave is wrong.

    Args:
        field: Name of the option, key or argument at fault.
        problem: What is wrong with it and what is allowed, as the end of the sentence "FIELD: ...".
    """

    code = "input"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class ModelUnavailable(OrchestraError):
    """A model cannot be used on this machine; the message names the command or setting that helps."""

    code = "model.unavailable"


class ToolsUnavailable(OrchestraError):
    """A server of tools cannot be used on this machine; the message says what is missing or what went wrong."""

    code = "tools.unavailable"


class ToolFailed(OrchestraError):
    """A server of tools reported an error instead of a result, or ended; an agent observes it."""

    code = "tool.failed"


class JournalError(OrchestraError):
    """A journal cannot be used as asked.

    `code` is one of journal.missing, journal.newer, journal.corrupt, journal.foreign, journal.readonly, journal.full,
    journal.record and journal.locked.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class UnknownRun(JournalError):
    """No run of that name stands in the journal."""

    def __init__(self, run_id: str, journal: str) -> None:
        super().__init__("journal.unknown_run", f"run_id: no run {run_id!r} in {journal}; `orchestra runs` lists them")
        self.run_id = run_id


class RunOwned(JournalError):
    """Another live process is working on the run."""

    def __init__(self, run_id: str, pid: int) -> None:
        super().__init__(
            "journal.owned", f"run_id: run {run_id!r} is being worked on by process {pid}; wait or stop it"
        )
        self.run_id, self.pid = run_id, pid


class ManifestChanged(JournalError):
    """The run was started with another task, model, prompt or policy."""

    def __init__(self, run_id: str, differences: Sequence[str]) -> None:
        super().__init__(
            "journal.manifest",
            f"run_id: run {run_id!r} was started with something else: {'; '.join(differences)}"
            " (--accept-change goes on all the same)",
        )
        self.run_id, self.differences = run_id, tuple(differences)


class BudgetExceeded(OrchestraError):
    """The next call could cost more than what is left."""

    code = "budget.exceeded"

    def __init__(self, unit: str, *, needed: float, left: float) -> None:
        super().__init__(
            f"the next call may need {needed:g} {unit}, {max(left, 0):g} left; resume with a larger budget"
        )
        self.unit, self.needed, self.left = unit, needed, left


class RunDeclined(OrchestraError):
    """The person asked for approval said no; nothing was spent."""

    code = "run.declined"


class RedFlag(OrchestraError):
    """A reply shows a sign of an unreliable model; it is discarded, counted and paid for, never repaired.

    Args:
        reason: Stable name of the sign, for example `truncated` or `unparsable`.
        detail: What was seen.
    """

    code = "red_flag"

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class ModelError(OrchestraError):
    """A model was asked and did not answer.

    Attributes:
        retryable: Whether the same request may succeed later.
        retry_after_s: Seconds the server asked us to wait, if it said so.
        attempts: Requests sent before giving up.
        calls: Requests among them that were answered 2xx, with something unusable.
        unknown: Requests among them that may have been served although no answer arrived.
        is_busy: Whether the server had too much to do: fewer requests at once may help.
        holds_s: Seconds for which the server asked not to be asked anything, by anybody.
    """

    code = "model"
    retryable = False
    is_busy = False
    holds_s: float | None = None

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.attempts, self.calls, self.unknown = 1, 0, 0


class TransportError(ModelError):
    """No connection, or it broke."""

    code = "transport"
    retryable = True


class AuthError(ModelError):
    """The key is missing or refused."""

    code = "auth"


class RateLimited(ModelError):
    """Too many requests; wait at least `retry_after_s`."""

    code = "rate_limit"
    retryable = True


class InvalidRequest(ModelError):
    """The server refuses the request as it stands."""

    code = "invalid"


class ContextExceeded(ModelError):
    """The prompt does not fit the context window."""

    code = "context"


class ModelTimeout(ModelError):
    """No answer in time."""

    code = "timeout"
    retryable = True


class ServerError(ModelError):
    """The server failed, or answered something that is not the promised JSON."""

    code = "server"
    retryable = True
