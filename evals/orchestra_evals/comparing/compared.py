"""What a comparison came to, and the document that says it: rows, differences, matched spend, forecast and regret."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from orchestra_agents.errors import InputError
from orchestra_agents.journal.replay import Usage
from orchestra_agents.models.contract import Json
from orchestra_evals.comparing.contest import Contest
from orchestra_evals.comparing.findings import (
    convergence_dict,
    detectable,
    difference_dict,
    differences,
    graphs_dict,
    regret_dict,
)
from orchestra_evals.comparing.forecasts import forecast_dict
from orchestra_evals.comparing.foretelling import Foretold, foretold
from orchestra_evals.comparing.lineup import BASELINE
from orchestra_evals.comparing.matched import matched_dict
from orchestra_evals.comparing.profiling import Pilot
from orchestra_evals.comparing.recorded import Recorded
from orchestra_evals.comparing.survival import survival
from orchestra_evals.comparing.telling import families_of, plain, row_dict
from orchestra_evals.report.document import SCHEMA
from orchestra_evals.runner.cells import caps
from orchestra_evals.runner.evaluation import CellScore, Evaluation

_FOLDERS = re.compile(r"(^|[:=,])/(?!/)(?:[^/:=,]*/)*([^/:=,]*)")


def without_folders(text: str) -> str:
    """Return a text for others to read: of absolute paths of this machine only the names.

    >>> without_folders("file:/home/me/own.jsonl,input=question")
    'file:own.jsonl,input=question'
    """
    return _FOLDERS.sub(r"\1\2", text)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What a comparison came to."""

    contest: Contest
    evaluation: Evaluation
    foretold: Mapping[str, Foretold]
    """What the budget model foretold, by cell."""
    recorded: Recorded
    """What the journal holds beside the rows."""
    took: Mapping[str, Usage] = field(default_factory=dict)
    """What measuring a profile took, by model, where that was done first."""
    command: str | None = None
    """The command line that made it."""
    made: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    """The day, YYYY-MM-DD."""

    @classmethod
    async def of(
        cls,
        contest: Contest,
        evaluation: Evaluation,
        *,
        pilots: Mapping[str, Pilot] | None = None,
        command: str | None = None,
    ) -> Compared:
        """Return what a contest came to, whether all of it was asked or not; nothing is asked here."""
        known = {cell.id: contest.foretold.get(cell.id) or await foretold(cell) for cell in contest.cells}
        recorded = await asyncio.to_thread(Recorded.of, evaluation)
        return cls(
            contest=contest,
            evaluation=evaluation,
            foretold=known,
            recorded=recorded,
            took={name: pilot.usage for name, pilot in (pilots or {}).items()},
            command=command,
        )

    def __getitem__(self, system: str) -> CellScore:
        """Return the only cell of a system.

        Raises:
            KeyError: It has none, or one for each of several models.
        """
        return self.evaluation[system]

    def as_dict(self) -> dict[str, Json]:
        """Return it as the document that `eval compare` prints and `eval report` reads."""
        return self._document

    def save(self, path: Path) -> None:
        """Write the document to a file, whole or not at all, and its folder where it is missing.

        Raises:
            InputError: It cannot be written.
        """
        beside = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(self.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
            beside.replace(path)
        except OSError as error:
            raise InputError(str(path), f"cannot be written: {error.strerror}") from error

    @cached_property
    def _document(self) -> dict[str, Json]:
        cells, contest = self.evaluation.cells, self.contest
        families = families_of(cells)
        found = [(family, differences(family)) for family in families]
        told = [one for _, family in found for one in family]
        said: dict[str, Json] = plain(
            self._head()
            | {
                "rows": self._rows(),
                "differences": [
                    difference_dict(one, cell.cell.model_name)
                    for family, compared in found
                    for one, cell in zip(compared, family.others, strict=True)
                ],
                "mde": asdict(detectable(contest, families, told)),
                "graphs": graphs_dict(cells),
                "matched": matched_dict(families, self.recorded.cuts, uncut=self.recorded.uncut),
                "forecast": forecast_dict(cells, self.foretold, self.took),
                "regret": regret_dict(contest.pick, families),
                "convergence": convergence_dict(families, contest.ground),
                "survival": survival(cells),
            }
            | self.evaluation.where()
        )
        return said

    def _head(self) -> dict[str, Json]:
        """Return what was compared, on what and under which cap."""
        contest, first = self.contest, self.contest.cells[0]
        return {
            "document": SCHEMA,
            "suite": without_folders(first.suite.name),
            "version": first.suite.about.version,
            "split": first.selection.split,
            "seed": first.selection.seed,
            "samples": len(first.samples),
            "repeats": first.selection.repeats,
            "decompose": contest.ground.decompose,
            "command": self.command,
            "made": self.made,
            "orchestra": importlib.metadata.version("orchestra-mas"),
            "cap": caps(first.budget),
            "cap_source": contest.cap_source,
            "evidence": self.evaluation.evidence,
            "models": list(contest.models),
            "baseline": BASELINE,
            "pick": contest.pick,
            "skipped": [asdict(one) for one in contest.skipped],
        }

    def _rows(self) -> list[dict[str, Json]]:
        runs = self.recorded.runs
        single = {
            cell.cell.id: runs.get(family.baseline.cell.id, {})
            for family in families_of(self.evaluation.cells)
            for cell in family.cells
        }
        return [row_dict(cell, runs.get(cell.cell.id, {}), single[cell.cell.id]) for cell in self.evaluation.cells]
