"""What servers really do, found out once for each endpoint and version, within the budget, and kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from orchestra_agents.errors import BudgetExceeded
from orchestra_agents.journal.records import EndpointProbed, Record
from orchestra_agents.ledger import Cost, Ledger
from orchestra_agents.models.contract import Json, Model, ModelFacts, ProbeCost
from orchestra_agents.payment import Tariff
from orchestra_agents.prices import Price

MOST_CALLS = 8
"""Calls that finding out takes at most; three where the server refuses nothing."""
_MOST_TOKENS = 200
"""Tokens that each of them takes at most, about."""
_SHARE = 10
"""A run, or a cap on its calls, must be so many times as large as a probe."""
_MOST_KEPT = 200
_NAMES = frozenset({"reachable", "n", "seed", "logprobs", "json_schema", "context"}) | {
    "usage",
    "max_tokens_field",
    "version",
}


class Probed(Model, Protocol):
    """A model whose server can be asked what it does."""

    @property
    def base_url(self) -> str:
        """Where the server is."""

    async def version(self) -> str | None:
        """Return the server's version, where it tells one."""

    def learn(self, facts: ModelFacts) -> None:
        """Ask from now on as the server takes it."""


class Probing:
    """Finds out what the servers of a session do, each once, and tells their models.

    What was found is known to this process, and to later ones where there is a file to keep it in.

    Args:
        path: A file to keep it in; None keeps it for this process alone.
        is_forced: Whether servers are asked for small runs, too; else only where a run is expected to make ten times
            the calls that asking takes at most.
    """

    _found: dict[str, ModelFacts] = {}  # noqa: RUF012 - shared by all sessions of the process, on purpose

    def __init__(self, path: Path | None = None, *, is_forced: bool = False) -> None:
        self._path, self._is_forced = path, is_forced
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = WeakKeyDictionary()

    async def ready(
        self,
        model: Model,
        *,
        known: Callable[[], Mapping[str, Json]],
        append: Callable[[Record], object],
        ledger: Ledger,
        tariff: Tariff,
        calls: float,
    ) -> None:
        """Have `model` know its server before it is asked anything; what cannot be found out stays as it is assumed.

        Args:
            model: The model; one that is not behind a server of its own needs nothing.
            known: Tells what the run's manifest says already, by model.
            append: Records what was found in the run's journal.
            ledger: The run's account; a probe that could take more than a tenth of it is not made.
            tariff: What calls cost.
            calls: How many calls the run is expected to make.
        """
        if not hasattr(model, "learn"):
            return
        probed: Any = model
        locks = self._locks.setdefault(asyncio.get_running_loop(), {})
        async with locks.setdefault(model.name, asyncio.Lock()):
            told = known().get(model.name)
            if told is not None and told["reachable"]:
                probed.learn(_facts_of(told))
            elif self._is_forced or calls >= MOST_CALLS * _SHARE:
                await self._find(probed, append, ledger, tariff)

    async def _find(self, model: Probed, append: Callable[[Record], object], ledger: Ledger, tariff: Tariff) -> None:
        if not _is_affordable(ledger):
            return
        version = await model.version()
        key = "\n".join([model.base_url, model.name, version or ""])
        facts = self._kept().get(key)
        if facts is not None:
            append(EndpointProbed(**_names(model, facts), is_known=True))
            model.learn(facts)
            return
        price = tariff.of(model)
        usd = 0.0 if price is None else price.worst(_MOST_TOKENS, _MOST_TOKENS)
        each = Cost(calls=1, tokens=_MOST_TOKENS, usd=usd)
        try:
            reservation = ledger.reserve(each * MOST_CALLS)
        except BudgetExceeded:
            return
        facts = ModelFacts(reachable=False, cost=ProbeCost(calls=MOST_CALLS, lost=MOST_CALLS))  # until it is known
        try:
            facts = await model.probe()
        finally:
            record = _record(model, facts, price, each)
            usage = facts.cost.usage
            tokens = usage.input_tokens + usage.output_tokens + record.lost_tokens
            usd = (record.cost_usd or 0.0) + record.lost_usd
            reservation.commit(Cost(calls=facts.cost.calls, tokens=tokens, usd=usd))
            if facts.reachable or facts.cost.calls:  # else the run's own calls say what is wrong
                append(record)
        if facts.reachable:
            self._keep(key, facts)
            model.learn(facts)

    def _kept(self) -> dict[str, ModelFacts]:
        """Return what is known, by endpoint, model and version."""
        if self._path is not None:
            with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):  # no file, or not one of ours
                for key, told in json.loads(self._path.read_text("utf-8")).items():
                    self._found.setdefault(key, _facts_of(told))
        return self._found

    def _keep(self, key: str, facts: ModelFacts) -> None:
        self._found[key] = facts
        while len(self._found) > _MOST_KEPT:
            del self._found[next(iter(self._found))]
        if self._path is None:
            return
        text = json.dumps({key: found.as_dict() for key, found in self._found.items()})
        with contextlib.suppress(OSError):  # a place that cannot be written to keeps nothing
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            draft.write_text(text, "utf-8")
            draft.replace(self._path)


def _is_affordable(ledger: Ledger) -> bool:
    cap = ledger.calls_cap
    return cap is None or cap >= MOST_CALLS * _SHARE


def _facts_of(told: Json) -> ModelFacts:
    """Return facts from their JSON; what a newer version added is left out."""
    return ModelFacts(**{name: value for name, value in told.items() if name in _NAMES})


def _names(model: Probed, facts: ModelFacts) -> dict[str, Any]:
    return {"model": model.name, "base_url": model.base_url, "facts": facts.as_dict()}


def _record(model: Probed, facts: ModelFacts, price: Price | None, each: Cost) -> EndpointProbed:
    cost = facts.cost
    lost = each * cost.lost
    return EndpointProbed(
        **_names(model, facts),
        is_known=False,
        attempts=cost.attempts,
        calls=cost.calls,
        samples=cost.samples,
        input_tokens=cost.usage.input_tokens,
        output_tokens=cost.usage.output_tokens,
        estimated=cost.usage.estimated,
        cost_usd=None if price is None else price.cost(cost.usage),
        lost_tokens=lost.tokens,
        lost_usd=lost.usd,
    )
