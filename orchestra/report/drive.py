"""A chain as it is driven and what it came to, as people read it."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from orchestra.drive_result import DriveResult
from orchestra_agents.drive import Driver
from orchestra_agents.errors import InputError, JournalError
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.models.contract import Json
from orchestra_agents.voting.forecast import Forecast, forecast

_REFRESH_S = 0.25


class DriveProgress:
    """Shows rate, votes, flags, k and time left of a chain on a terminal; a line at the beginning elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._driver: Driver | None = None
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._first, self._started = 0, 0.0
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self, driver: Driver) -> None:
        """Say what is forecast, and begin to show how far the chain is."""
        self._driver, self._first, self._started = driver, driver.state.steps, time.monotonic()
        self.console.print(Text(_opening(driver)))
        if self._live is not None:
            self._live.start()

    def step(self, number: int, _: str) -> None:
        """Notice a step; the display changes four times a second."""
        if self._live is None or (now := time.monotonic()) < self._next:
            return
        self._next = now + _REFRESH_S
        self._live.update(Text(self._line(number + 1, now)), refresh=True)

    def _line(self, steps: int, now: float) -> str:
        assert self._driver is not None
        state, length = self._driver.state, self._driver.length
        rate = (steps - self._first) / max(now - self._started, 1e-9)
        left = (length - steps) / rate if rate else 0.0
        votes = state.sums.votes / max(state.steps, 1)
        shares = f"{steps:,} of {length:,} steps ({steps / length:.1%}), {rate:,.0f} a second, {left:,.0f} s left"
        return f"{shares}; {votes:.2f} votes a step, {state.sums.flagged} flags, k={state.k}, {state.rung}"


class StepFile:
    """A file that gets one JSON line per acknowledged step: unique, gap-free, at most a tail behind the journal.

    Args:
        path: The file; it is made where it is missing, and gone on with where it holds this run's first steps.

    Raises:
        InputError: It cannot be written, or holds something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InputError("--stream", f"cannot write {path}: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise InputError("--stream", f"{path} is no regular file, so no later attempt could go on with it")

    def begin(self, journal: Journal, run_id: str) -> None:
        """Cut off a torn last line, and write the lines of steps that were acknowledged but not written any more."""
        steps = journal.step_count(run_id) if run_id in journal.run_ids() else 0
        written = self._complete_lines()
        if written > steps:
            told = f"{self._path} holds {written} lines, but run {run_id!r} has only {steps} steps"
            raise InputError("--stream", f"{told}; name a new file")
        rows = journal.steps(run_id, first=max(0, written - 1), count=2 if written else 1) if steps else ()
        lines = [_line(row.step, row.body) for row in rows]
        next_line = b"".join(lines[1:] if written else lines)
        torn = os.pread(self._fd, len(next_line) + 1, self._end)
        if (written and self._last_line() != lines[0]) or not next_line.startswith(torn):
            told = f"{self._path} holds something else than the steps of run {run_id!r}"
            raise InputError("--stream", f"{told}; name a new file")
        if torn:  # only now: another file of the user's may end without a line break, too
            os.ftruncate(self._fd, self._end)
        for row in journal.steps(run_id, first=written) if steps else ():
            self.step(row.step, row.body)

    def step(self, number: int, body: str) -> None:
        """Append the line of a step."""
        line = _line(number, body)
        while line:
            try:
                line = line[os.write(self._fd, line) :]
            except OSError as error:
                told = f"cannot append step {number} to {self._path}: {error.strerror}; the journal holds it"
                raise JournalError("stream.failed", f"--stream: {told}") from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _complete_lines(self) -> int:
        """Return how many complete lines the file has, and note where what a kill tore off begins."""
        count = end = place = 0
        while chunk := os.pread(self._fd, 1 << 20, place):
            count += chunk.count(b"\n")
            if (last := chunk.rfind(b"\n")) >= 0:
                end = place + last + 1
            place += len(chunk)
        self._end = end
        return count

    def _last_line(self) -> bytes:
        start, text = self._end, b""
        while start > 0 and text.count(b"\n") < 2:
            start = max(0, start - 65_536)
            text = os.pread(self._fd, self._end - start, start)
        return text[:-1].rpartition(b"\n")[2] + b"\n"


def _line(number: int, body: str) -> bytes:
    return f'{{"step":{number},{body[1:]}\n'.encode()


def _opening(driver: Driver) -> str:
    """Return what is said before the first call."""
    state = driver.state
    said = f"{driver.chain.name}: {driver.length:,} steps"
    if state.steps:
        return f"{said}, going on at step {state.steps:,} with k={state.k}"
    margin, known = driver.margins.first(), driver.margins.known()
    said += f", k={margin.k} ({margin.reason})"
    return said if known is None else f"{said}\n{forecast_line(forecast(k=margin.k, **known))}"


def forecast_line(said: Forecast) -> str:
    """Return a forecast as one line that names what it assumes."""
    return (
        f"forecast if errors of a step's votes are shared with rho={said.rho:g}: all right with probability "
        f"{said.p_run:.4g}, {said.votes_per_step:.3f} votes a step, {said.calls:,.0f} calls; the target "
        f"{said.target:g} allows rho up to {said.rho_allowed:.2g}"
    )


def drive_view(result: DriveResult) -> RenderableType:
    """Return what a chain came to."""
    usage, estimate = result.usage, result.p_estimate
    correct = {True: "yes", False: "NO", None: "the process cannot say"}[result.correct]
    rate = f", {result.steps_per_second:,.0f} steps a second" if result.steps_per_second else ""
    lines = [
        f"steps       {result.steps:,} ({result.status}), k={result.k}{_later(result)}, state by {result.state_by}",
        f"correct     {correct}{_errors(result)}",
        f"votes       {result.votes:,}, {result.red_flags:,} red flags, {result.undecided} undecided",
        f"p           {_p(estimate)}",
        f"questions   {'' if result.distinct_questions_exact else 'about '}{result.distinct_questions:,} distinct",
        f"usage       {usage.calls:,} calls, {usage.input_tokens:,} + {usage.output_tokens:,} tokens"
        f"{' (partly estimated)' if usage.estimated else ''}, {result.seconds:.1f} s{rate}",
        f"final       {_short(json.dumps(result.final, ensure_ascii=False))}",
        f"run         {result.run_id}, {'answered by a real model' if result.evidence == 'real' else 'SIMULATED'}, "
        f"recorded in {result.journal}",
    ]
    if result.reason:
        lines.append(f"stopped     {result.reason}")
    if result.forecast is not None and result.came_true["votes_per_step"]:
        said, came = result.forecast, result.came_true
        lines.append(
            f"forecast    {said['votes_per_step']:.3f} votes a step and {said['calls']:,.0f} calls were expected, "
            f"{came['votes_per_step']:.3f} and {came['calls']:,} it took"
        )
    return Group(*(Text(line) for line in [*lines, *result.notes]))


def _later(result: DriveResult) -> str:
    return f" (at last {result.k_last})" if result.k_last != result.k else ""


def _errors(result: DriveResult) -> str:
    if result.wrong_decisions is None or result.error_bound is None:
        return ""
    wrong = f"{result.wrong_decisions:,} of {result.steps:,} decisions wrong, {result.wrong_votes:,} wrong votes"
    return f" ({wrong}; error of a decision at most {result.error_bound:.2g} at 95 %)"


def _p(estimate: dict[str, Json]) -> str:
    if estimate["mean"] is None:
        return "no vote was cast"
    told = {"agreement": "by agreement, which assumes independent errors", "sentinels": "by sentinels"}
    return "{mean:.5f} [{low:.5f}, {high:.5f}] ".format(**estimate) + told.get(str(estimate["basis"]), "")


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:197]}..."
