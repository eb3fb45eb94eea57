"""Rows as CSV: one column for each value, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from orchestra_evals.csv_export import export_csv


def read(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file by column."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rows_become_lines(tmp_path: Path) -> None:
    """Known columns come first, objects are flattened, lists are JSON, and what is missing is empty."""
    rows = [
        {"extra": [1, {"a": 2}], "sample_id": "a", "score": 0.5, "usage": {"input": 3}, "error": None, "cost": None},
        {"sample_id": "b", "status": "ok", "output": 'say "hi",\nü', "parts": {"x": {"y": -1}}, "error": {"code": "c"}},
    ]
    path = export_csv(rows, tmp_path / "rows.csv")
    assert path.read_text(encoding="utf-8").splitlines()[0].split(",")[:4] == ["sample_id", "status", "score", "output"]
    first, second = read(path)
    assert (first["usage.input"], first["extra"], first["error.code"], first["status"]) == ("3", '[1,{"a":2}]', "", "")
    assert (second["output"], second["parts.x.y"], second["error.code"]) == ('say "hi",\nü', "-1", "c")
    assert {"error", "parts", "usage"}.isdisjoint(first)
    assert first["cost"] == ""


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_texts_are_no_formulas(tmp_path: Path, begin: str) -> None:
    """A text or a name that begins like a formula is prefixed; numbers below 0 stay numbers."""
    rows: list[dict[str, Any]] = [{"output": f"{begin}1+1", f"{begin}name": -2.5, "note": "a=b", "score": -1}]
    [line] = read(export_csv(rows, tmp_path / "rows.csv"))
    assert line == {"output": f"'{begin}1+1", f"'{begin}name": "-2.5", "note": "a=b", "score": "-1"}


def test_the_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """A failed export leaves the file before it, and nothing else."""
    path = export_csv([{"a": 1}], tmp_path / "rows.csv")
    with pytest.raises(TypeError):
        export_csv([{"a": {1, 2}}], path)
    assert read(path) == [{"a": "1"}]
    assert list(tmp_path.glob("*.part")) == []
    assert export_csv([], tmp_path / "empty.csv").read_bytes() == b"\r\n"
