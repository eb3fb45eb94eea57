"""What servers really do, found out once for each endpoint and version, within the budget, and kept."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

from orchestra_agents.errors import BudgetExceeded
from orchestra_agents.journal.records import EndpointProbed, Record
from orchestra_agents.ledger import UNITS, Cost, Ledger
from orchestra_agents.models.contract import Json, Model, ModelFacts, ProbeCost
from orchestra_agents.models.inquiry import MOST_CALLS, WORST, Tally
from orchestra_agents.payment import Tariff
from orchestra_agents.price import Price

_SHARE = 10
"""A run, or a cap on what it takes, must be so many times as large as a probe."""
_VERSION_S = 60.0
"""Seconds for which a version that a server told is taken for its version still."""
_MOST_KEPT = 200
_NAMES = frozenset({"reachable", "n", "seed", "logprobs", "json_schema", "context"}) | {
    "usage",
    "max_tokens_field",
    "version",
}


@runtime_checkable
class Probed(Model, Protocol):
    """A model whose server can be asked what it does, and that asks as the server takes it."""

    @property
    def base_url(self) -> str:
        """Where the server is."""

    async def version(self) -> str | None:
        """Return the server's version, where it tells one; asks for no completion."""

    async def probe(self, tally: Tally | None = None) -> ModelFacts:
        """Ask the server what it can do; `tally` counts what is sent."""

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
        self._rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Room]] = WeakKeyDictionary()

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

        What is known already is used by every run; only asking is left to those that are large enough.

        Args:
            model: The model; one that is not behind a server of its own needs nothing.
            known: Tells what the run's manifest says already, by model.
            append: Records what was found in the run's journal.
            ledger: The run's account; a probe that could take more than a tenth of it is not made.
            tariff: What calls cost.
            calls: How many calls the run is expected to make.

        Raises:
            BudgetExceeded: The run's time is up.
        """
        if not isinstance(model, Probed):
            return
        run = _Run(known, append, ledger, tariff)
        is_worth_it = self._is_forced or calls >= MOST_CALLS * _SHARE
        ledger.start()
        try:
            async with asyncio.timeout(ledger.seconds_left()) as deadline:
                room = self._room(model)
                async with room.lock:
                    await self._know(model, run, room, may_ask=is_worth_it and run.has_room(model))
        except TimeoutError as error:
            if deadline.expired():
                raise BudgetExceeded("seconds", needed=0, left=0) from error
            raise

    async def _know(self, model: Probed, run: _Run, room: _Room, *, may_ask: bool) -> None:
        """Have a model know its server: from the run's manifest, from what is kept, or by asking."""
        told = run.told(model)
        if not (told or may_ask or self._is_kept(model)):
            return
        version = await room.version(model)
        if told and version in (None, told.get("version")):
            model.learn(_facts_of(told))
            return
        key = _key(model, version)
        facts = self._kept().get(key)
        if facts is not None:
            run.append(EndpointProbed(**_names(model, facts), is_known=True))
        elif may_ask:
            facts = await run.ask(model)
            if facts is not None:
                self._keep(key, facts)
        if facts is not None:
            model.learn(facts)

    def _room(self, model: Probed) -> _Room:
        rooms = self._rooms.setdefault(asyncio.get_running_loop(), {})
        return rooms.setdefault(_key(model, None), _Room())

    def _is_kept(self, model: Probed) -> bool:
        """Whether anything is known of a model at its address, in any version of the server."""
        place = _key(model, None)
        return any(key.startswith(place) for key in self._kept())

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


@dataclass(slots=True)
class _Room:
    """Where one model's server is asked, by one run at a time."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _version: str | None = None
    _good_until: float = 0.0

    async def version(self, model: Probed) -> str | None:
        """Return the server's version, asked for anew after a while."""
        now = asyncio.get_running_loop().time()
        if self._version is None or now >= self._good_until:
            self._version, self._good_until = await model.version(), now + _VERSION_S
        return self._version


@dataclass(frozen=True, slots=True)
class _Run:
    """A run that needs to know a server."""

    known: Callable[[], Mapping[str, Json]]
    append: Callable[[Record], object]
    ledger: Ledger
    tariff: Tariff

    def told(self, model: Probed) -> Mapping[str, Json]:
        """Return what the run's manifest says of the server at this address, {} where that is nothing of use."""
        told: Mapping[str, Json] = self.known().get(model.name) or {}
        return told if told.get("reachable") and told.get("base_url") == model.base_url else {}

    def has_room(self, model: Probed) -> bool:
        """Whether asking takes no more than a tenth of any cap."""
        worst = _cost_of(WORST, self.tariff.of(model))
        caps = [(getattr(worst, unit), self.ledger.cap(unit)) for unit in UNITS]
        return all(cap is None or most * _SHARE <= cap for most, cap in caps)

    async def ask(self, model: Probed) -> ModelFacts | None:
        """Return what the server does, None where it cannot be reached; however this ends, what was sent is booked."""
        price = self.tariff.of(model)
        try:
            reservation = self.ledger.reserve(_cost_of(WORST, price))
        except BudgetExceeded:
            return None
        tally, facts = Tally(), ModelFacts(reachable=False, problem="asking it was cut short")
        try:
            facts = await model.probe(tally)
        finally:
            reservation.commit(_cost_of(tally.cost, price))
            if tally.cost.attempts:
                self.append(_record(model, facts, tally.cost, price))
        return facts if facts.reachable else None


def _cost_of(cost: ProbeCost, price: Price | None) -> Cost:
    """Return what asking took, or takes at most, as the ledger counts it."""
    usage, lost = cost.usage, cost.lost
    usd = 0.0 if price is None else price.cost(usage) + price.worst(lost.input_tokens, lost.output_tokens)
    tokens = sum(one.input_tokens + one.output_tokens for one in (usage, lost))
    return Cost(calls=cost.calls, tokens=tokens, usd=usd)


def _key(model: Probed, version: str | None) -> str:
    """Return the name under which a server's facts are kept; without a version it begins those of all versions."""
    return "\n".join([model.base_url, model.name, version or ""])


def _facts_of(told: Json) -> ModelFacts:
    """Return facts from their JSON; what a newer version added is left out."""
    return ModelFacts(**{name: value for name, value in told.items() if name in _NAMES})


def _names(model: Probed, facts: ModelFacts) -> dict[str, Any]:
    return {"model": model.name, "base_url": model.base_url, "facts": facts.as_dict()}


def _record(model: Probed, facts: ModelFacts, cost: ProbeCost, price: Price | None) -> EndpointProbed:
    lost = cost.lost
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
        lost_tokens=lost.input_tokens + lost.output_tokens,
        lost_usd=0.0 if price is None else price.worst(lost.input_tokens, lost.output_tokens),
    )
