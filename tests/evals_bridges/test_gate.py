"""The recipe of docs/evals/pytest_gate.md does what it says, word for word."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "evals" / "pytest_gate.md"


def test_the_recipe_passes_and_fails_as_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was accepted passes; a worse model fails threshold and comparison, a dearer system the cap and the spend."""
    [recipe] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    variants = {"gate": recipe, "worse": recipe.replace("p=0.8", "p=0.5"), "dearer": recipe.replace("k=2", "k=4")}
    files = [tmp_path / f"test_{name}.py" for name in variants]
    for file, text in zip(files, variants.values(), strict=True):
        file.write_text(text, encoding="utf-8")
    runpy.run_path(str(files[0]), run_name="__main__")
    assert capsys.readouterr().out.startswith("accepted: 0.9")
    python = {
        "PYTHONPATH": os.pathsep.join(place for place in sys.path if place),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rf", "--tb=line", *map(str, files)],
        cwd=tmp_path,
        env={**os.environ, **python},
        capture_output=True,
        text=True,
        timeout=60,
    )
    failed = set(re.findall(r"^FAILED (\S+)", ran.stdout, re.MULTILINE))
    assert failed == {
        "test_worse.py::test_score_clears_the_threshold",
        "test_worse.py::test_it_is_not_worse_than_before",
        "test_worse.py::test_it_does_not_spend_more",
        "test_dearer.py::test_all_samples_were_measured",
        "test_dearer.py::test_it_is_not_worse_than_before",
        "test_dearer.py::test_it_does_not_spend_more",
    }, ran.stdout
