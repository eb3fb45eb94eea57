"""Rows of our runner as logs of Inspect, written by its own writer and read back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai")

from inspect_ai.log import EvalLog, EvalSample, list_eval_logs, read_eval_log, read_eval_log_sample_summaries

from orchestra_agents.errors import InputError
from orchestra_evals.inspect_bridge.logs import export_inspect
from orchestra_evals.runner.endings import Fault
from orchestra_evals.runner.rows import Row, Taken
from orchestra_evals.runner.selection import Selection
from orchestra_evals.suites.catalog import make_suite
from orchestra_evals.systems.system import GraphUsed

SUITE = make_suite("addition:digits=10")
SAMPLES = Selection(limit=3).samples(SUITE)


def row(place: int = 0, **changes: Any) -> dict[str, Any]:
    """A row as the runner writes it."""
    sample = SAMPLES[place]
    plain: dict[str, Any] = {
        "run_id": f"addition-{place}",
        "cell": "c1",
        "suite": SUITE.name,
        "version": 1,
        "split": "test",
        "sample_id": sample.id,
        "epoch": 0,
        "difficulty": dict(sample.difficulty),
        "family": "",
        "instance": sample.instance,
        "input_hash": sample.digest(),
        "system": "vote",
        "topology": "single",
        "team": "vote(k=3)",
        "model": "simulated:p=0.9",
        "seed": 0,
        "graph": GraphUsed(),
        "status": "ok",
        "outcome": "right",
        "score": 1.0,
        "output": sample.target,
        "usage": Taken(input=10, output=4, cached=6, reasoning=1),
        "cost": 0.25,
        "latency_s": 1.5,
        "evidence": "simulated",
        "started_at": f"2026-11-01T10:00:0{place}+00:00",
    }
    return asdict(Row(**(plain | changes)))


def written(folder: Path, *rows: dict[str, Any]) -> EvalLog:
    """The one log of rows, read back."""
    [path] = export_inspect(rows, folder, samples=SAMPLES)
    return read_eval_log(str(path))


def samples_of(log: EvalLog) -> list[EvalSample]:
    """The samples of a log."""
    assert log.samples is not None
    return log.samples


def test_a_log_says_what_the_rows_say(tmp_path: Path) -> None:
    """Question, answer, score, usage, times and all else of a row come back, and Inspect finds the log."""
    wrong = row(
        1, score=0.5, outcome="wrong", detail="digit 1 from the right is wrong", output=12, parts={"columns": 0.5}
    )
    log = written(tmp_path, row(), wrong)
    assert (log.status, log.eval.task, log.eval.model) == ("success", SUITE.name, "simulated:p=0.9")
    assert log.eval.metadata is not None
    assert (log.eval.metadata["evidence"], log.eval.metadata["system"]) == ("simulated", "vote")
    first, second = samples_of(log)
    assert (first.id, first.epoch, first.input) == (SAMPLES[0].id, 1, SAMPLES[0].question)
    assert first.output.completion == str(SAMPLES[0].target)
    assert first.target == f'"{SAMPLES[0].target}"'
    usage = first.model_usage["simulated:p=0.9"]
    assert (usage.input_tokens, usage.input_tokens_cache_read, usage.output_tokens) == (4, 6, 4)
    assert (usage.total_tokens, usage.reasoning_tokens, usage.total_cost) == (14, 1, 0.25)
    assert (first.total_time, first.started_at) == (1.5, "2026-11-01T10:00:00+00:00")
    assert first.metadata["instance"] == SAMPLES[0].instance
    score = (second.scores or {})["checker"]
    assert (score.value, score.answer, score.explanation) == (0.5, "12", "digit 1 from the right is wrong")
    assert score.metadata == {"outcome": "wrong", "parts": {"columns": 0.5}}
    assert log.results is not None
    assert log.results.scores[0].metrics["accuracy"].value == 0.75
    assert log.stats.model_usage["simulated:p=0.9"].total_tokens == 28
    [listed] = list_eval_logs(str(tmp_path))
    assert listed.task == "addition-digits-10"
    assert len(read_eval_log_sample_summaries(listed)) == 2


def test_what_was_not_measured_has_no_score(tmp_path: Path) -> None:
    """Infrastructure errors are errors, spent budgets are limits, and a wrong answer without one is scored."""
    lost = row(
        0, status="infra_error", outcome=None, score=None, output=None, error=Fault(code="timeout", message="no answer")
    )
    spent = row(
        1,
        status="budget",
        outcome=None,
        score=None,
        output=None,
        cap={"tokens": 50},
        error=Fault(code="budget", message="9 left"),
    )
    silent = row(2, outcome="malformed", score=0.0, output=None, error=Fault(code="red_flag", message="unparsable"))
    log = written(tmp_path, lost, spent, silent)
    first, second, third = samples_of(log)
    assert first.error is not None
    assert first.error.message == "timeout: no answer"
    assert second.limit is not None
    assert (second.error, second.limit.limit, second.limit.reason) == (None, 50, "budget: 9 left")
    assert third.error is None
    assert (third.scores or {})["checker"].value == 0
    assert log.results is not None
    assert (log.results.total_samples, log.results.completed_samples) == (3, 2)
    assert log.results.scores[0].scored_samples == 1


def test_repeats_are_epochs_and_the_last_row_counts(tmp_path: Path) -> None:
    """Epochs begin at 1 with Inspect; a row that was written anew replaces the one before, whose error is a retry."""
    lost = row(0, status="infra_error", score=None, outcome=None, error=Fault(code="server", message="down"))
    log = written(tmp_path, lost, row(0, epoch=1, score=0.0, outcome="wrong"), row(0))
    first, second = samples_of(log)
    assert [(one.epoch, (one.scores or {})["checker"].value) for one in (first, second)] == [(1, 1), (2, 0)]
    assert [one.message for one in first.error_retries or []] == ["server: down"]
    assert log.eval.config.epochs == 2
    assert log.results is not None
    assert log.results.scores[0].metrics["accuracy"].value == 0.5


def test_each_cell_has_a_log_of_its_own(tmp_path: Path) -> None:
    """Rows of several systems become several files of a folder; a single file is refused for them."""
    rows = [row(), row(cell="c2", system="single"), row(1)]
    paths = export_inspect(rows, tmp_path / "logs")
    assert len(paths) == 2
    assert all(path.suffix == ".eval" for path in paths)
    assert [len(samples_of(read_eval_log(str(path)))) for path in paths] == [2, 1]
    with pytest.raises(InputError, match="folder"):
        export_inspect(rows, tmp_path / "one.eval")
    assert export_inspect(rows[:1], tmp_path / "one.eval") == [tmp_path / "one.eval"]


def test_sparse_rows_are_enough_and_others_refused(tmp_path: Path) -> None:
    """A sample and a score make a row; without a sample there is none."""
    [path] = export_inspect([{"sample_id": "a", "score": 1, "output": [1, 2]}], tmp_path / "one.eval")
    [sample] = samples_of(read_eval_log(str(path)))
    assert (sample.output.completion, sample.epoch) == ("[1,2]", 1)
    for rows in ([], [{"score": 1}]):
        with pytest.raises(InputError, match="rows"):
            export_inspect(rows, tmp_path)
