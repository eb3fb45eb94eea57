"""What a run needs and somebody must own: models, the call limit, the ledger and the journal."""

from __future__ import annotations

import asyncio
import datetime
import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Self
from weakref import WeakKeyDictionary

from orchestra.panel import ModelSpec, build_panel
from orchestra_agents.errors import InputError
from orchestra_agents.journal.sqlite import Durability, Journal
from orchestra_agents.ledger import Budget, Cost, Ledger
from orchestra_agents.limit import CallLimit
from orchestra_agents.models.contract import Model, Sampling
from orchestra_agents.models.embeddings import Embedder
from orchestra_agents.models.names import canonical, resolve, resolve_embedder
from orchestra_agents.models.throttle import Rate
from orchestra_agents.payment import Tariff
from orchestra_agents.prices import IN_PROCESS, Prices
from orchestra_agents.probing import Probing
from orchestra_topologies.panel import Panel

_NO_RATE = Rate()
_NOTHING = Cost()
CONCURRENCY = 8
"""Calls in flight at once, unless something else is asked."""


class Session:
    """Keeps models, call limit, ledger and journal open over several runs.

    Args:
        model: Who answers in runs whose plan names nobody.
        budget: Caps on all runs of the session together; None leaves each run to its plan's budget.
        spent: What earlier sessions took of that budget.
        journal: The journal file; None keeps a temporary one, whose path every result tells.
        concurrency: Calls in flight at once over all runs, at least 1.
        slots: Prompts that a model computed on this machine keeps at hand, 1 to 64; None suits graphs.
        base_url: Where an OpenAI-compatible server listens, overriding the provider's default.
        durability: `process` survives kill -9; `power` a loss of power, too, at the cost of a wait for every commit.
        environ: Where provider addresses and keys are read from; None is the process's environment.
        rate: Requests and tokens that each served model may be asked for in a minute.
        prices: What models cost: a file on top of the list that ships, or prices of your own; None is that list.
        allow_unpriced: Whether models may be asked whose price is not known; their cost is then null.
        probe: Whether servers are asked what they really do, each once, before a run's first call to them; None asks
            where a run will make many more calls than that takes.
        facts: A file that keeps what was found for later processes; None keeps it for this one.

    Raises:
        InputError: concurrency is below 1, or the file of prices is wrong.
    """

    def __init__(
        self,
        *,
        model: ModelSpec | None = None,
        budget: Budget | None = None,
        spent: Cost = _NOTHING,
        journal: Path | str | None = None,
        concurrency: int = CONCURRENCY,
        slots: int | None = None,
        base_url: str | None = None,
        durability: Durability = "process",
        environ: Mapping[str, str] | None = None,
        rate: Rate = _NO_RATE,
        prices: Prices | Path | str | None = None,
        allow_unpriced: bool = False,
        probe: bool | None = None,
        facts: Path | None = None,
    ) -> None:
        if concurrency < 1:
            raise InputError("concurrency", f"must be an integer of at least 1, got {concurrency}")
        known = prices if isinstance(prices, Prices) else Prices.shipped() if prices is None else Prices.load(prices)
        self.tariff = Tariff(known, allow_unpriced=allow_unpriced)
        """What calls cost."""
        self.probing = None if probe is False else Probing(facts, is_forced=probe is True)
        """Finds out what servers do; None asks them as their providers are known."""
        self.model = model
        self.base_url = base_url
        self._concurrency = concurrency
        self._slots = slots
        self._rate = rate
        self._durability = durability
        self._budget, self._spent = budget, spent
        self._environ = os.environ if environ is None else environ
        self._path = None if journal is None else Path(journal)
        self._journal: Journal | None = None
        self._ledger: Ledger | None = None
        self._models: dict[tuple[str, str | None], Model] = {}
        self._embedders: dict[tuple[str, str | None], Embedder] = {}
        self._limits: WeakKeyDictionary[asyncio.AbstractEventLoop, CallLimit] = WeakKeyDictionary()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for model in self._models.values():
            await model.aclose()
        for embedder in self._embedders.values():
            await embedder.aclose()
        self._models.clear()
        self._embedders.clear()
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    @property
    def is_new(self) -> bool:
        """Whether there is no journal yet: what is refused now leaves no file behind."""
        return self._journal is None and (self._path is None or not self._path.exists())

    @property
    def path(self) -> Path:
        """Where the journal is."""
        return self.journal.path if self._path is None else self._path

    @property
    def journal(self) -> Journal:
        """The journal, opened on first use so that a refused plan leaves no file behind."""
        if self._journal is None:
            path = self._path or Path(tempfile.mkdtemp(prefix="orchestra-")) / "journal.db"
            self._journal = Journal(path, durability=self._durability)
        return self._journal

    @property
    def limit(self) -> CallLimit:
        """Bounds the calls in flight in the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._limits:
            self._limits[loop] = CallLimit(self._concurrency)
        return self._limits[loop]

    def ledger(self, budget: Budget, spent: Cost) -> Ledger:
        """Return the account of a run under `budget`, and under the session's, if it has one."""
        if self._ledger is None and self._budget is not None:
            self._ledger = Ledger(self._budget, self._spent)
        return Ledger(budget, spent, parent=self._ledger)

    def check_prices(self, budget: Budget, panel: Panel, embedder: Embedder | None = None) -> None:
        """Refuse models whose price is not known, unless that is allowed.

        Models that were given as objects are refused only where a cap in money, of the run or the session, is to hold.

        Args:
            budget: The caps of the run.
            panel: Who may answer.
            embedder: Who makes embeddings, if anybody does.

        Raises:
            InputError: A price is not known.
        """
        is_capped = budget.usd is not None or (self._budget is not None and self._budget.usd is not None)
        named = {id(model) for model in self._models.values()}
        asked: list[Model | Embedder] = [model for model in panel.everyone() if is_capped or id(model) in named]
        asked += [] if embedder is None else [embedder]
        self.tariff.check(asked, is_capped=is_capped)

    @staticmethod
    def check_sampling(panel: Panel, sampling: Sampling) -> None:
        """Refuse a sampling that a model is known not to take, before anything is written.

        Raises:
            InputError: One does not take it.
        """
        for model in panel.everyone():
            check = getattr(model, "check_sampling", None)
            if check is not None:
                check(sampling)

    def embedder(self, name: str | None, panel: Panel, *, base_url: str | None = None) -> Embedder | None:
        """Return who makes embeddings, None where nobody is asked to.

        Args:
            name: `provider:model`.
            panel: The models of the run; an address given for their server is that of an embedder of their provider.
            base_url: Where that server listens, in place of the session's.

        Raises:
            InputError: The name is malformed, or its provider serves no embeddings.
            ModelUnavailable: A key is missing.
        """
        if name is None:
            return None
        provider = re.split("[:/]", name.strip(), maxsplit=1)[0].lower()
        is_theirs = any(model.name.partition(":")[0] == provider for model in panel.everyone())
        address = (base_url or self.base_url) if is_theirs else None
        key = (name, address)
        if key not in self._embedders:
            self._embedders[key] = resolve_embedder(
                name, environ=self._environ, base_url=address, concurrency=self._concurrency, rate=self._rate
            )
        return self._embedders[key]

    def panel(self, spec: ModelSpec | None, *, wanted: Iterable[str] = (), base_url: str | None = None) -> Panel:
        """Return the models that `spec`, or else the session's default, describes.

        Args:
            spec: One model, a panel, or either by role.
            wanted: Names that single subtasks ask for.
            base_url: Where the server listens, in place of the session's.

        Raises:
            InputError: A name is malformed.
            ModelUnavailable: A model cannot be used here.
        """
        address = base_url or self.base_url

        def one(name: str) -> Model:
            key = (canonical(name), address)
            if key not in self._models:
                self._models[key] = resolve(
                    name,
                    environ=self._environ,
                    base_url=address,
                    concurrency=self._concurrency,
                    slots=self._slots,
                    rate=self._rate,
                )
            return self._models[key]

        panel = build_panel(self.model if spec is None else spec, resolve=one, wanted=wanted)
        served = sorted({model.name.partition(":")[0] for model in panel.everyone()} - IN_PROCESS)
        if address and len(served) > 1:
            told = f"stands for one server, but the models are of {', '.join(served)}; set <PROVIDER>_BASE_URL for each"
            raise InputError("base_url", told)
        return panel


def new_run_id() -> str:
    """Return a fresh name: UTC time and eight random hexadecimal digits, for many runs may begin in one second."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
