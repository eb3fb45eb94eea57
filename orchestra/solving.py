"""Solving one hard problem by recursive decomposition: one attempt after another, until it is answered."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestra.manifest import differences
from orchestra.panel import ModelSpec
from orchestra.session import Session, new_run_id
from orchestra.solved import Solved, solved_of
from orchestra_agents.answers import AnswerType
from orchestra_agents.errors import (
    BudgetExceeded,
    InputError,
    JournalError,
    ManifestChanged,
    ModelError,
    ModelUnavailable,
)
from orchestra_agents.journal.records import RunEnded, RunResumed, RunStarted, RunStatus
from orchestra_agents.journal.replay import RunState
from orchestra_agents.journal.sqlite import RunJournal, check_run_id
from orchestra_agents.ledger import Budget
from orchestra_agents.models.contract import Json, canonical_json, digest
from orchestra_agents.plain_roles import PlainRoles
from orchestra_agents.recursion import DEPTH, SAMPLING, Recursion, Roles, Solution, check_recursion
from orchestra_agents.sampler import Sampler
from orchestra_agents.voting.ahead import LARGEST_K, AheadByK
from orchestra_topologies.panel import Panel

SHORT_TEXT = AnswerType("json", schema=canonical_json({"type": "string", "maxLength": 200}))
"""The answer of a problem whose roles are not given: a short text, counted as equal where it is word for word."""


async def solve(
    problem: str,
    *,
    roles: Roles | None = None,
    model: ModelSpec | None = None,
    k: int = 2,
    depth: int = DEPTH,
    budget: Budget | None = None,
    session: Session | None = None,
    journal: Path | str | None = None,
    run_id: str | None = None,
) -> Solved:
    """Split a problem as long as votes say so, solve the parts, compose their answers, and return what it came to.

    An existing `run_id` is gone on with: no recorded vote is asked again, and one that has an answer asks nothing.

    Args:
        problem: The problem, in words.
        roles: What decomposer, solver and composer are asked, and the kind of answer; None asks in plain words for a
            short text.
        model: Name, or panel of names whose members take turns over votes.
        k: Margin of every vote, at least 1.
        depth: Levels of splits, 0 to 16.
        budget: Caps; each replaces the one that the run had before.
        session: Owner of models, ledger and journal; None makes one for this problem.
        journal: Journal file of a run without session; None keeps a temporary one.
        run_id: Name of the run; None makes a new name.

    Raises:
        InputError: The problem, a model name or an option is wrong; nothing was written.
        ManifestChanged: `run_id` was started with another problem, model, margin, depth or other prompts.
        RunOwned: Another live process is working on `run_id`.
        JournalError: A vote could not be recorded; all that was recorded stands.
        Exception: What the roles themselves raise; the attempt is recorded as failed, and the run can be gone on with.
    """
    if not isinstance(problem, str) or not problem.strip():
        raise InputError("problem", "must be a text that is not blank")
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= LARGEST_K:
        raise InputError("k", f"must be an integer from 1 to {LARGEST_K}, got {k!r}")
    order = _Order(problem, roles or PlainRoles(SHORT_TEXT), model, AheadByK(k), depth, budget or Budget())
    if session is not None:
        return await _solve(order, session, run_id or new_run_id())
    async with Session(journal=journal) as own:
        return await _solve(order, own, run_id or new_run_id())


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be solved, by whom and how."""

    problem: str
    roles: Roles
    model: ModelSpec | None
    rule: AheadByK
    depth: int
    budget: Budget

    def manifest(self, panel: Panel, base_url: str | None) -> dict[str, Json]:
        """Return what must be the same for a resume to make sense."""
        roles = self.roles
        prompts = [roles.decomposition(self.problem), roles.solution(self.problem)]
        return {
            "task": self.problem,
            "models": {"worker": [model.name for model in panel.default]},
            "k": self.rule.k,
            "depth": self.depth,
            "answer": roles.answer.spec(),
            "prompts": digest([prompt.rendered() for prompt in prompts]),
            "sampling": SAMPLING.policy(),
            "base_url": base_url,
        }


async def _solve(order: _Order, session: Session, run_id: str) -> Solved:
    check_run_id(run_id)
    panel = session.panel(order.model)
    if panel.roles:
        raise InputError("model", f"one panel answers for all roles of a problem; leave out {', '.join(panel.roles)}")
    session.check_prices(order.budget, panel)
    check_recursion(order.roles, order.depth)
    with session.journal.own(run_id) as journal:
        state = RunState.of(journal.entries())
        attempt = _Attempt(order, session, panel, journal, state)
        if attempt.begin():
            await attempt.perform()
        return solved_of(run_id, state, session.journal.path)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt at a problem: the first, or a resumed one."""

    order: _Order
    session: Session
    panel: Panel
    journal: RunJournal
    state: RunState

    def begin(self) -> bool:
        """Record that the attempt begins; False if the problem has an answer already."""
        state, journal = self.state, self.journal
        if state.started is not None and state.started.what != "solve":
            raise InputError("run_id", f"run {journal.run_id!r} is a {state.started.what} run; name another")
        manifest = self.order.manifest(self.panel, self.session.base_url or state.manifest.get("base_url"))
        changes = differences(state.manifest, manifest) if state.started else []
        if changes:
            raise ManifestChanged(journal.run_id, changes)
        if state.ended is not None and state.ended.status == "ok":
            return False
        budget = self._budget()
        self.session.check_prices(budget, self.panel)
        journal.listen(state.apply)
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        evidence, caps = self.panel.evidence, asdict(budget)
        if state.started is None:
            journal.append(RunStarted(what="solve", manifest=manifest, evidence=evidence, budget=caps, at=at))
        else:
            journal.append(RunResumed(at=at, evidence=evidence, budget=caps))
        return True

    async def perform(self) -> None:
        """Solve the problem, and record how the attempt ended."""
        loop = asyncio.get_running_loop()
        started = loop.time()

        def end(status: RunStatus, reason: str | None = None, answer: Json = None) -> None:
            seconds = round(loop.time() - started, 6)
            self.journal.append(RunEnded(status=status, answer=answer, reason=reason, seconds=seconds))

        try:
            solution = await self._recursion().solve(self.order.problem)
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
            end("failed", f"roles: {type(error).__name__}: {error}")
            raise
        else:
            end(*_ending(solution))

    def _recursion(self) -> Recursion:
        order, state = self.order, self.state
        ledger = self.session.ledger(self._budget(), state.usage.as_cost())
        ledger.start()
        sampler = Sampler(
            self.panel.default,
            journal=self.journal,
            state=state,
            ledger=ledger,
            limit=self.session.limit,
            tariff=self.session.tariff,
            probing=self.session.probing,
        )
        return Recursion(sampler=sampler, journal=self.journal, roles=order.roles, rule=order.rule, depth=order.depth)

    def _budget(self) -> Budget:
        return self.order.budget.or_else(Budget(**self.state.budget))


def _ending(solution: Solution) -> tuple[RunStatus, str | None, Json]:
    if solution.undecided is None:
        return "ok", None, solution.answer
    return "undecided", f"the vote on problem {solution.undecided} ended at its cap without a decision", None
