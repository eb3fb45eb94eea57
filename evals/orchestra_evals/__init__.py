"""Measuring: suites, runner, statistics and comparisons at equal budget.

The public names, each imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestra_evals.comparing.compare import compare
    from orchestra_evals.comparing.compared import Compared
    from orchestra_evals.report.writing import write_report
    from orchestra_evals.runner.evaluating import Keeping, evaluate
    from orchestra_evals.runner.evaluation import CellScore, Evaluation
    from orchestra_evals.runner.rows import Row
    from orchestra_evals.runner.selection import Selection
    from orchestra_evals.suites.catalog import make_suite
    from orchestra_evals.suites.file_names import Shares
    from orchestra_evals.suites.file_rows import Fields
    from orchestra_evals.suites.suite import About, Sample, Score
    from orchestra_evals.suites.user_suite import Suite
    from orchestra_evals.systems.own import Desk
    from orchestra_evals.systems.self_consistency import SelfConsistency
    from orchestra_evals.systems.system import Answered, Reported
    from orchestra_evals.systems.wiring import Wiring

_HOMES = {
    "orchestra_evals.comparing.compare": ("compare",),
    "orchestra_evals.comparing.compared": ("Compared",),
    "orchestra_evals.report.writing": ("write_report",),
    "orchestra_evals.runner.evaluating": ("Keeping", "evaluate"),
    "orchestra_evals.runner.evaluation": ("CellScore", "Evaluation"),
    "orchestra_evals.runner.rows": ("Row",),
    "orchestra_evals.runner.selection": ("Selection",),
    "orchestra_evals.suites.catalog": ("make_suite",),
    "orchestra_evals.suites.file_names": ("Shares",),
    "orchestra_evals.suites.file_rows": ("Fields",),
    "orchestra_evals.suites.suite": ("About", "Sample", "Score"),
    "orchestra_evals.suites.user_suite": ("Suite",),
    "orchestra_evals.systems.own": ("Desk",),
    "orchestra_evals.systems.self_consistency": ("SelfConsistency",),
    "orchestra_evals.systems.system": ("Answered", "Reported"),
    "orchestra_evals.systems.wiring": ("Wiring",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "About",
    "Answered",
    "CellScore",
    "Compared",
    "Desk",
    "Evaluation",
    "Fields",
    "Keeping",
    "Reported",
    "Row",
    "Sample",
    "Score",
    "Selection",
    "SelfConsistency",
    "Shares",
    "Suite",
    "Wiring",
    "compare",
    "evaluate",
    "make_suite",
    "write_report",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'orchestra_evals' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(home), name)
    return value


def __dir__() -> list[str]:
    return __all__
