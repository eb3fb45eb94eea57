"""Rows of an evaluation as logs of Inspect, written by Inspect's own writer, so that `inspect view` opens them."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalError,
    EvalLog,
    EvalPlan,
    EvalPlanStep,
    EvalRetryError,
    EvalSample,
    EvalSampleLimit,
    EvalSpec,
    EvalStats,
    recompute_metrics,
    write_eval_log,
)
from inspect_ai.model import ChatMessageUser, ModelOutput, ModelUsage
from inspect_ai.scorer import Score

from orchestra_agents.errors import InputError
from orchestra_agents.models.contract import Json, canonical_json, digest
from orchestra_evals.inspect_bridge.runs import completion_of
from orchestra_evals.inspect_bridge.samples import FAMILY
from orchestra_evals.suites.suite import Sample

Row = Mapping[str, Json]
"""What came of one repeat of one sample, as the runner writes it."""

CELL = ("cell", "suite", "system", "model")
"""What the rows of one log have in common, where rows say it."""
_ABOUT = (*CELL, "version", "split", "cap", "evidence", "schema_version")
_SCORER = "checker"
_SHOWN = ("sample_id", "epoch", "output", "usage")
_NAME = re.compile(r"[^A-Za-z0-9.-]+")


def export_inspect(rows: Iterable[Row], path: str | os.PathLike[str], *, samples: Iterable[Sample] = ()) -> list[Path]:
    """Write rows as `.eval` logs, one for each cell (suite, system, model), and return their paths.

    A row says `sample_id`, `epoch` (from 0), `output` (any JSON), `score` (0 to 1), `status`, `error`, `usage`, `cost`,
    `model`, `latency_s`, `started_at` and `run_id`; whatever else it says is metadata of its sample. A row without a
    score is an error of its sample, or the end of its budget. Of several rows of one repeat of a sample the last
    counts; the errors before it are its retries.

    Inspect's writer runs an event loop of its own: call this where none is running.

    Args:
        rows: In the order in which they were written.
        path: A file ending in `.eval` where there is one log, else a folder.
        samples: Those that were asked, whose questions and targets the log is to show; rows do not hold them.

    Raises:
        InputError: There is no row, a row lacks its sample, or there are several logs for one file.
    """
    cells: dict[str, list[Row]] = {}
    for row in rows:
        if row.get("sample_id") is None:
            raise InputError("rows", f"must each say their sample_id, got one with {', '.join(row)}")
        cells.setdefault(canonical_json([row.get(name) for name in CELL]), []).append(row)
    if not cells:
        raise InputError("rows", "there is none to write")
    shown = {sample.id: sample for sample in samples}
    target, logs = Path(path), [log_of(cell, shown) for cell in cells.values()]
    if target.suffix == ".eval":
        if len(logs) > 1:
            raise InputError("path", f"must be a folder: there are {len(logs)} logs, one for each {', '.join(CELL)}")
        places = [target]
    else:
        places = [target / _file_name(log) for log in logs]
    for log, place in zip(logs, places, strict=True):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_eval_log(log, place)
    return places


def log_of(rows: Sequence[Row], shown: Mapping[str, Sample]) -> EvalLog:
    """Return the log of the rows of one cell, with the metrics that Inspect computes of their scores."""
    first = rows[0]
    tried: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        tried.setdefault((str(row["sample_id"]), _epoch(row)), []).append(row)
    samples = [_sample(several, shown.get(name)) for (name, _), several in tried.items()]
    begun = min((one.started_at for one in samples if one.started_at), default=_now())
    log = EvalLog(
        status="success",
        eval=_spec(first, samples, begun),
        plan=EvalPlan(steps=[EvalPlanStep(solver=_system(first), params=_params(first))]),
        stats=EvalStats(
            started_at=begun,
            completed_at=max((one.completed_at for one in samples if one.completed_at), default=begun),
            model_usage=_total(samples),
        ),
        samples=samples,
    )
    recompute_metrics(log)
    return log


def _spec(first: Row, samples: Sequence[EvalSample], begun: str) -> EvalSpec:
    suite, ids = str(first.get("suite") or "orchestra"), list(dict.fromkeys(str(one.id) for one in samples))
    identity = digest([begun, *(first.get(name) for name in CELL)])
    cluster = {"cluster": FAMILY} if all(FAMILY in one.metadata for one in samples) else {}
    # Not all types of this are public: the parts are given as JSON.
    return EvalSpec.model_validate(
        {
            "eval_id": identity[:22],
            "run_id": str(first.get("cell") or identity[:22]),
            "created": begun,
            "task": suite,
            "task_version": first.get("version") or 0,
            "task_id": identity[-22:],
            "solver": _system(first),
            "solver_args": _params(first),
            "dataset": EvalDataset(name=suite, samples=len(ids), sample_ids=ids),
            "model": _model(first),
            "config": EvalConfig(epochs=max(one.epoch for one in samples)),
            "packages": {"orchestra-mas": importlib.metadata.version("orchestra-mas")},
            "scorers": [
                {
                    "name": _SCORER,
                    "metrics": [{"name": "inspect_ai/accuracy"}, {"name": "inspect_ai/stderr", "options": cluster}],
                }
            ],
            "metadata": {name: first[name] for name in _ABOUT if name in first},
        }
    )


def _sample(several: Sequence[Row], asked: Sample | None) -> EvalSample:
    """Return the sample that the rows of one repeat are: the last, with the errors of those before it."""
    row = several[-1]
    model, output, usage = _model(row), _text(row.get("output")), _usage(row)
    question = f"(not in the row; its hash is {row.get('input_hash')})" if asked is None else asked.question
    answer = ModelOutput.from_content(model, output, stop_reason="stop" if output else "unknown")
    answer.usage, answer.time = usage, row.get("latency_s")
    return EvalSample(
        id=str(row["sample_id"]),
        epoch=_epoch(row),
        input=question,
        target="" if asked is None else completion_of(asked.target, asked.answer),
        messages=[ChatMessageUser(content=question, source="input"), *([answer.message] if output else [])],
        output=answer,
        metadata=_metadata(row),
        model_usage={model: usage},
        total_time=row.get("latency_s"),
        uuid=digest([row.get("run_id"), row["sample_id"], row.get("epoch")])[:22],
        error_retries=[EvalRetryError(**_error(one).model_dump()) for one in several[:-1] if one.get("score") is None],
        **_times(row),
        **_verdict(row, output),
    )


def _verdict(row: Row, output: str) -> dict[str, Any]:
    """Return the score of a row, or why it has none: a budget that was spent, or an error."""
    if row.get("score") is not None:
        return {"scores": {_SCORER: _score(row, output)}}
    return {"limit": _limit(row)} if row.get("status") == "budget" else {"error": _error(row)}


def _times(row: Row) -> dict[str, Any]:
    begun = row.get("started_at")
    if not begun:
        return {}
    return {"started_at": begun, "completed_at": _later(begun, float(row.get("latency_s") or 0))}


def _metadata(row: Row) -> dict[str, Json]:
    """Return what a row says beside what a sample has fields for, with a family, by which Inspect finds clusters."""
    said = {name: value for name, value in row.items() if name not in _SHOWN}
    return said | ({FAMILY: row[FAMILY] or str(row["sample_id"])} if FAMILY in row else {})


def _epoch(row: Row) -> int:
    """Return the number of a repeat, which Inspect counts from 1."""
    return int(row.get("epoch") or 0) + 1


def _score(row: Row, output: str) -> Score:
    return Score(
        value=float(row["score"]),
        answer=output or None,
        explanation=_told(row) or None,
        metadata={"outcome": row.get("outcome"), "parts": row.get("parts") or {}},
    )


def _error(row: Row) -> EvalError:
    """Return why a row has no score."""
    told = _told(row) or "nothing was measured"
    return EvalError(message=told, traceback=told, traceback_ansi=told)


def _limit(row: Row) -> EvalSampleLimit:
    caps = [float(cap) for cap in (row.get("cap") or {}).values()]
    return EvalSampleLimit(type="custom", limit=caps[0] if caps else 0.0, reason=_told(row) or None)


def _told(row: Row) -> str:
    """Return why a row has no answer, or what is wrong with it."""
    error = row.get("error")
    if isinstance(error, Mapping) and "message" in error:
        return f"{error.get('code')}: {error['message']}"
    return _text(error) or _text(row.get("detail"))


def _text(value: Json) -> str:
    return "" if value is None else value if isinstance(value, str) else canonical_json(value)


def _usage(row: Row) -> ModelUsage:
    """Return what a row took; Inspect counts what was read from a cache apart from the rest of the input."""
    told = row.get("usage") or {}
    into, out, cached = (int(told.get(name) or 0) for name in ("input", "output", "cached"))
    return ModelUsage(
        input_tokens=max(0, into - cached),
        output_tokens=out,
        total_tokens=into + out,
        input_tokens_cache_read=cached or None,
        reasoning_tokens=int(told.get("reasoning") or 0) or None,
        total_cost=row.get("cost"),
    )


def _total(samples: Sequence[EvalSample]) -> dict[str, ModelUsage]:
    by_model: dict[str, list[ModelUsage]] = {}
    for sample in samples:
        for model, usage in sample.model_usage.items():
            by_model.setdefault(model, []).append(usage)
    return {model: reduce(add, usages) for model, usages in by_model.items()}


def _model(row: Row) -> str:
    return _text(row.get("model")) or "none/none"


def _system(row: Row) -> str:
    return _text(row.get("system")) or "orchestra"


def _params(row: Row) -> dict[str, Json]:
    return {name: row[name] for name in ("team", "seed", "cap") if row.get(name) is not None}


def _file_name(log: EvalLog) -> str:
    """Return a name as Inspect gives one: when, which task, and what tells it from others."""
    when = re.sub(r"[:+]", "-", log.eval.created)
    return f"{when}_{_NAME.sub('-', log.eval.task)}_{log.eval.eval_id}.eval"


def _later(begun: str, seconds: float) -> str:
    return (datetime.datetime.fromisoformat(begun) + datetime.timedelta(seconds=seconds)).isoformat()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
