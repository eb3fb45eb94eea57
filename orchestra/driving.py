"""Driving a chain: one attempt after another at a long-horizon process, until it has ended."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from orchestra.drive_result import DriveResult, drive_result_of
from orchestra.manifest import differences
from orchestra.naming import process_of
from orchestra.panel import ModelSpec
from orchestra.session import Session, new_run_id
from orchestra_agents.chains.chain import Chain
from orchestra_agents.chains.margins import opening_margin
from orchestra_agents.chains.policy import Crew, DrivePolicy
from orchestra_agents.drive import Ask, Driver, check, length_of
from orchestra_agents.errors import (
    BudgetExceeded,
    InputError,
    JournalError,
    ManifestChanged,
    ModelError,
    ModelUnavailable,
    UnknownRun,
)
from orchestra_agents.journal.chain import ChainState
from orchestra_agents.journal.chain_records import StepDecided
from orchestra_agents.journal.records import RunEnded, RunResumed, RunStarted, RunStatus
from orchestra_agents.journal.replay import ENDPOINTS
from orchestra_agents.journal.sqlite import Journal, check_run_id
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json, digest
from orchestra_agents.process import Process
from orchestra_agents.processes.catalog import make_process
from orchestra_topologies.panel import Panel

RESERVE = "reserve"
"""Role of the models that step in when votes fail."""
Tell = Callable[[int, str], Awaitable[None] | None]
"""Told the number and the record's JSON text of each step after its commit; what it returns is awaited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveHooks:
    """Who is asked and told while a chain is driven."""

    check: Callable[[Journal, str], None] | None = None
    """Told journal and run before the attempt is recorded; what it raises refuses the attempt."""
    begin: Callable[[Driver], None] | None = None
    """Told, before the first new step, where the chain stands."""
    step: Tell | None = None
    """Told of every step after its commit."""
    ask: Ask | None = None
    """Asks a person what votes cannot decide."""
    accept_change: bool = False
    """Whether a run may be resumed with another process, model or margin policy than it was started with."""


@dataclass(frozen=True, slots=True)
class Step:
    """An acknowledged step."""

    number: int
    decided: StepDecided


async def drive(
    process: Process | str,
    *,
    model: ModelSpec | None = None,
    k: int | str = "auto",
    target: float | None = None,
    steps: int | None = None,
    policy: DrivePolicy | None = None,
    budget: Budget | None = None,
    session: Session | None = None,
    journal: Path | str | None = None,
    run_id: str | None = None,
    hooks: DriveHooks = DriveHooks(),
) -> DriveResult:
    """Drive a process step by step to its end and return what it came to; an existing `run_id` is gone on with.

    Args:
        process: The process, or the name of one that ships (`hanoi:disks=20`) or of your own (`module.path:Name`).
        model: Name, panel of names whose members take turns over votes, or either by role; the role `reserve` steps in
            where votes fail.
        k: Margin, or `auto`: by the law, from `target`, the number of steps and p.
        target: Probability wanted for the whole chain being right, in (0, 1); 0.95 unless the policy says otherwise.
        steps: Where to stop, if not at the process's own end; at least 1.
        policy: Everything else about how the chain is driven.
        budget: Caps; each replaces the one that the run had before.
        session: Owner of models, ledger and journal; None makes one for this chain.
        journal: Journal file of a chain without session; None keeps a temporary one.
        run_id: Name of the run; None makes a new name.
        hooks: Who is asked and told on the way.

    Raises:
        InputError: The process, a model name or an option is wrong; nothing was written.
        ManifestChanged: `run_id` was started with something else.
        RunOwned: Another live process is working on `run_id`.
        JournalError: A step could not be recorded; all that was acknowledged stands.
        Exception: What the process itself raises; the attempt is recorded as failed, and the run can be gone on with.
    """
    policy = _policy(policy or DrivePolicy(), k, target)
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
        raise InputError("steps", f"must be an integer of at least 1, got {steps!r}")
    made = process_of(process) if isinstance(process, str) else process
    name = process if isinstance(process, str) else None
    order = _Order(made, name, model, policy, steps, budget or Budget())
    if session is not None:
        return await _drive(order, session, run_id or new_run_id(), hooks)
    async with Session(journal=journal, **room_of(made)) as own:
        return await _drive(order, own, run_id or new_run_id(), hooks)


async def drive_many(
    processes: Iterable[Process | str],
    *,
    session: Session,
    run_id: str | None = None,
    at_once: int = 64,
    **options: Any,
) -> list[DriveResult]:
    """Drive independent processes side by side and return their results in order; takes what `drive` takes.

    They share the session's models, limit of calls in flight and ledger; each is a run of its own, named `run_id` and
    its number, so that a second call goes on where the first one stopped.

    Args:
        processes: The processes; made one after the other as there is room.
        session: Owner of models, ledger and journal.
        run_id: First part of the runs' names; None makes a new one.
        at_once: How many are driven at the same time, at least 1.
        options: What every one of them is driven with.
    """
    if at_once < 1:
        raise InputError("at_once", f"must be an integer of at least 1, got {at_once}")
    prefix = run_id or new_run_id()
    waiting = enumerate(processes)
    results: dict[int, DriveResult] = {}

    async def work() -> None:
        for number, process in waiting:
            results[number] = await drive(process, session=session, run_id=f"{prefix}-{number}", **options)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return [results[number] for number in sorted(results)]


async def stream_steps(
    process: Process | str, *, hooks: DriveHooks = DriveHooks(), **options: Any
) -> AsyncIterator[Step]:
    """Yield the steps of a chain, each after its commit; takes what `drive` takes. A slow reader slows it down."""
    queue: asyncio.Queue[Step | None] = asyncio.Queue(maxsize=1_000)

    def tell(number: int, body: str) -> Awaitable[None] | None:
        step = Step(number, StepDecided.model_validate_json(body))
        if queue.full():
            return queue.put(step)
        queue.put_nowait(step)
        return None

    async def run() -> None:
        try:
            await drive(process, hooks=replace(hooks, step=tell), **options)
        finally:
            await queue.put(None)

    running = asyncio.create_task(run())
    try:
        while (step := await queue.get()) is not None:
            yield step
        await running
    finally:
        running.cancel()
        await asyncio.wait([running])


async def resume_drive(
    run_id: str, *, session: Session, budget: Budget | None = None, hooks: DriveHooks = DriveHooks()
) -> DriveResult:
    """Go on with a chain where it stopped, from what its journal says; a finished one is returned as it stands.

    Raises:
        UnknownRun: The journal holds no such run.
        InputError: Its process is a user's own; call `drive` with it and `run_id`.
        RunOwned: Another live process is working on it.
    """
    state = ChainState.of(session.journal, run_id)
    if state.started is None:
        raise UnknownRun(run_id, str(session.journal.path))
    manifest = state.manifest
    process = remade(run_id, manifest)
    model = manifest["models"] if session.model is None else session.model
    policy = DrivePolicy(**manifest["policy"], **manifest["options"])
    order = _Order(
        process, manifest["process"], model, policy, manifest["steps"], budget or Budget(), manifest.get("base_url")
    )
    return await _drive(order, session, run_id, hooks)


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be driven, by whom and how."""

    process: Process
    name: str | None
    """What it was made of, where it was not given as an object."""
    model: ModelSpec | None
    policy: DrivePolicy
    steps: int | None
    budget: Budget
    base_url: str | None = None
    """Where the server listened before; the session's address goes first."""


def remade(run_id: str, manifest: Mapping[str, Json]) -> Process:
    """Return the process that a run's manifest names, which must be one that ships: a journal imports nothing.

    Raises:
        InputError: It is a user's own.
    """
    try:
        return make_process(manifest["process"])
    except InputError as error:
        told = (
            f"run {run_id!r} drives {manifest['process']}, which a journal cannot make: drive it again with that run id"
        )
        raise InputError("run_id", told) from error


def room_of(process: Process) -> dict[str, Any]:
    """Return the session's arguments that suit a process, where nobody says otherwise."""
    hints = {name: getattr(process, name, None) for name in ("concurrency", "slots")}
    return {name: hint for name, hint in hints.items() if hint is not None}


def _policy(policy: DrivePolicy, k: int | str, target: float | None) -> DrivePolicy:
    if isinstance(k, str) and k != "auto":
        raise InputError("k", f"must be auto or an integer of at least 1, got {k!r}")
    changed: dict[str, Any] = {} if isinstance(k, str) else {"k": k}
    return replace(policy, **changed | ({} if target is None else {"target": target}))


async def _drive(order: _Order, session: Session, run_id: str, hooks: DriveHooks) -> DriveResult:
    check_run_id(run_id)
    order = replace(order, base_url=session.base_url or order.base_url)
    panel = session.panel(order.model, base_url=order.base_url)
    chain = Chain(order.process, is_told=panel.evidence == "simulated", name=order.name)
    crew = Crew(models=panel.default, reserve=panel.roles.get(RESERVE, ()), roles=panel.roles)
    session.check_prices(order.budget, panel)
    session.check_sampling(panel, order.policy.sampling(chain))
    check(chain, order.policy, crew)
    if session.is_new:
        opening_margin(order.policy, crew.models, length_of(chain, order.steps))
    with session.journal.own(run_id) as journal:
        state = ChainState.of(session.journal, run_id)
        budget = order.budget.or_else(Budget(**state.budget))
        session.check_prices(budget, panel)
        driver = Driver(
            chain,
            order.policy,
            crew,
            journal=journal,
            state=state,
            ledger=session.ledger(budget, ChainState.whole(session.journal, run_id).usage.as_cost()),
            limit=session.limit,
            tariff=session.tariff,
            steps=order.steps,
            ask=hooks.ask,
        )
        attempt = _Attempt(order, budget, panel, driver, session)
        if attempt.begin(hooks):
            await attempt.perform(hooks)
        else:
            state.count_tail(session.journal, run_id)
        return drive_result_of(run_id, state, session.journal.path)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt at a chain: the first, or a resumed one."""

    order: _Order
    budget: Budget
    panel: Panel
    driver: Driver
    session: Session

    def begin(self, hooks: DriveHooks) -> bool:
        """Record that the attempt begins; False if the chain has ended already."""
        driver, state = self.driver, self.driver.state
        manifest = self._manifest()
        if state.started is not None and state.started.what != "drive":
            raise InputError("run_id", f"run {driver.journal.run_id!r} is a {state.started.what} run; name another")
        changes = differences(state.manifest, manifest) if state.started else []
        if changes and not hooks.accept_change:
            raise ManifestChanged(driver.journal.run_id, changes)
        if hooks.check is not None:
            hooks.check(driver.journal.journal, driver.journal.run_id)
        if state.ended is not None and state.ended.status == "ok" and not changes and self._is_enough():
            return False
        driver.margins.check()
        driver.journal.listen(lambda entry: state.apply(entry.record))
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        evidence, budget = self.panel.evidence, asdict(self.budget)
        if state.started is None:
            driver.journal.append(RunStarted(what="drive", manifest=manifest, evidence=evidence, budget=budget, at=at))
        else:
            killed = state.ended is None and evidence == "real"  # a simulated model has no calls that outlive a kill
            unknown = state.k if killed else 0
            lost = driver.worst_call() * unknown
            driver.journal.append(
                RunResumed(
                    at=at,
                    evidence=evidence,
                    budget=budget,
                    changed=manifest,
                    unknown=unknown,
                    lost_tokens=lost.tokens,
                    lost_usd=lost.usd,
                )
            )
        return True

    async def perform(self, hooks: DriveHooks) -> None:
        """Drive, and record how the attempt ended."""
        driver, loop = self.driver, asyncio.get_running_loop()
        started = loop.time()

        def end(status: RunStatus, reason: str | None = None) -> None:
            seconds = round(loop.time() - started, 6)
            driver.journal.append(RunEnded(status=status, answer=self._answer(), reason=reason, seconds=seconds))

        driver.ledger.start()
        if hooks.step is not None:
            driver.on_step(hooks.step)
        try:
            await self._find_out()
            await driver.restore()
            if hooks.begin is not None:
                hooks.begin(driver)
            is_over = await driver.run()
        except asyncio.CancelledError:
            end("interrupted", "interrupted")
            raise
        except (ModelError, ModelUnavailable) as error:
            end("failed", f"{error.code}: {error}")
        except BudgetExceeded as error:
            end("budget", str(error))
        except JournalError:
            raise  # which can record nothing any more
        except Exception as error:
            end("failed", f"{driver.chain.name}: {type(error).__name__}: {error}")
            raise
        else:
            end("ok" if is_over else "undecided", driver.stop_reason)

    async def _find_out(self) -> None:
        """Have every model know its server before the first call."""
        driver, session, probing = self.driver, self.session, self.session.probing
        for model in () if probing is None else self.panel.everyone():
            assert probing is not None
            await probing.ready(
                model,
                known=lambda: driver.state.manifest.get(ENDPOINTS, {}),
                append=driver.journal.append,
                ledger=driver.ledger,
                tariff=session.tariff,
                calls=driver.length - driver.state.steps,
            )

    def _is_enough(self) -> bool:
        """Tell whether a chain that ended well has come as far as is asked now."""
        ended, steps = self.driver.state.ended, self.order.steps
        assert ended is not None
        return bool(ended.answer["done"]) or (steps is not None and ended.answer["steps"] >= steps)

    def _answer(self) -> dict[str, Json]:
        driver = self.driver
        chain, state = driver.chain, driver.state
        is_done = bool(chain.process.is_done(driver.at))
        correct = None
        if (chain.is_checked and state.steps) or (is_done and chain.can_judge):
            correct = state.sums.wrong_decisions == 0 and (not is_done or chain.is_correct(driver.at))
        return {"steps": state.steps, "done": is_done, "correct": correct}

    def _manifest(self) -> dict[str, Json]:
        """Return what must be the same for a resume to make sense; `options` and `steps` may differ."""
        order, driver = self.order, self.driver
        chain, policy = driver.chain, asdict(order.policy)
        models = {"worker": [model.name for model in self.panel.default]}
        models |= {role: [model.name for model in members] for role, members in self.panel.roles.items()}
        question = chain.question(chain.first, "")
        return {
            "process": chain.name,
            "models": models,
            "policy": {name: value for name, value in policy.items() if name not in _OPTIONS},
            "prompts": digest(question.content()),
            "options": {name: policy[name] for name in _OPTIONS},
            "steps": order.steps,
            "base_url": order.base_url,
            "is_checked": chain.is_checked,
            "state_by": "model" if chain.predicts else "code",
            "forecast": driver.margins.known(),
        }


_OPTIONS = ("record", "sentinels", "speculate")
"""Parts of a policy that no decision depends on: they may change from attempt to attempt."""
