"""What a run needs and somebody must own: models, the call limit, the ledger and the journal."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self

from orchestra.panel import build_panel
from orchestra.planning import ModelSpec
from orchestra_agents.errors import InputError
from orchestra_agents.journal.sqlite import Journal
from orchestra_agents.ledger import Budget, Cost, Ledger
from orchestra_agents.models.contract import Model
from orchestra_agents.models.names import resolve
from orchestra_topologies.execution import Panel

CONCURRENCY = 8
"""Calls in flight at once, unless something else is asked."""


class Session:
    """Keeps models, call limit, ledger and journal open over several runs.

    Args:
        model: Who answers in runs whose plan names nobody.
        budget: Caps on all runs of the session together; None leaves each run to its plan's budget.
        journal: The journal file; None keeps a temporary one, whose path every result tells.
        concurrency: Calls in flight at once over all runs, at least 1.
        base_url: Where an OpenAI-compatible server listens, overriding the provider's default.
        environ: Where provider addresses and keys are read from; None is the process's environment.

    Raises:
        InputError: concurrency is below 1.
    """

    def __init__(
        self,
        *,
        model: ModelSpec | None = None,
        budget: Budget | None = None,
        journal: Path | str | None = None,
        concurrency: int = CONCURRENCY,
        base_url: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        if concurrency < 1:
            raise InputError("concurrency", f"must be an integer of at least 1, got {concurrency}")
        self.model = model
        self.base_url = base_url
        self.limit = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._budget = budget
        self._environ = os.environ if environ is None else environ
        self._path = None if journal is None else Path(journal)
        self._journal: Journal | None = None
        self._ledger: Ledger | None = None
        self._models: dict[str, Model] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for model in self._models.values():
            await model.aclose()
        self._models.clear()
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    @property
    def journal(self) -> Journal:
        """The journal, opened on first use so that a refused plan leaves no file behind."""
        if self._journal is None:
            path = self._path or Path(tempfile.mkdtemp(prefix="orchestra-")) / "journal.db"
            self._journal = Journal(path)
        return self._journal

    def ledger(self, budget: Budget, spent: Cost) -> Ledger:
        """Return the account of a run: the session's, if it has a budget, else a new one for `budget`."""
        if self._budget is None:
            return Ledger(budget, spent)
        if self._ledger is None:
            self._ledger = Ledger(self._budget)
        return self._ledger

    def panel(self, spec: ModelSpec | None, *, wanted: Iterable[str] = ()) -> Panel:
        """Return the models that `spec`, or else the session's default, describes.

        Raises:
            InputError: A name is malformed.
            ModelUnavailable: A model cannot be used here.
        """
        return build_panel(self.model if spec is None else spec, resolve=self._resolve, wanted=wanted)

    def _resolve(self, name: str) -> Model:
        if name not in self._models:
            self._models[name] = resolve(
                name, environ=self._environ, base_url=self.base_url, concurrency=self._concurrency
            )
        return self._models[name]
