"""Sentinels: questions with known answers, put to the same vote outside the chain, and what the run does about them."""

from __future__ import annotations

from orchestra_agents.chains.estimate import SentinelEstimate, estimate_of
from orchestra_agents.chains.ladder import Ladder
from orchestra_agents.chains.policy import DrivePolicy
from orchestra_agents.chains.poll import Ballot, Poll
from orchestra_agents.journal.chain import ChainState
from orchestra_agents.journal.chain_records import SentinelAnswered, StepStopped
from orchestra_agents.journal.sqlite import RunJournal
from orchestra_agents.process import State
from orchestra_agents.voting.ahead import AheadByK
from orchestra_agents.voting.law import rho_allowed

FEWEST = 30
"""Sentinels that must have been asked before a run reacts to them."""


class Sentinels:
    """Asks the sentinels of a run when they are due, and reacts to what they say.

    A run reacts where shared errors are likelier than what its margin allows for: both the likeliest rho and the upper
    end of its interval exceed it. (The upper end alone would exceed it in every chain that is longer than its sentinels
    are many.) It climbs the ladder while there is a rung, its sentinels counted anew there; on the last one it stops
    where even the lower end is too high.

    Args:
        policy: How many are asked.
        poll: What asks them.
        ladder: What can be tried.
        steps: How many steps the chain has.
    """

    def __init__(
        self, policy: DrivePolicy, poll: Poll, ladder: Ladder, *, journal: RunJournal, state: ChainState, steps: int
    ) -> None:
        self._policy, self._poll, self._ladder, self._steps = policy, poll, ladder, steps
        self._journal, self._state = journal, state

    async def ask_due(self, step: int, at: State, rule: AheadByK) -> str | None:
        """Ask what is due before `step`; return why the chain must stop, or None."""
        due = int((step + 1) * self._policy.sentinels)
        while (number := len(self._state.sentinels)) < due:
            answered = await self._ask(number, step, at, rule)
            self._journal.append(answered)
            if (reason := self._react(answered, rule)) is not None:
                return reason
        return None

    async def _ask(self, number: int, step: int, at: State, rule: AheadByK) -> SentinelAnswered:
        chain, rung = self._poll.chain, self._ladder.now
        state = chain.sentinel(number, at)
        question = chain.question(state, f"{chain.name}|sentinel {number}", varied=rung.varied)
        ballot = Ballot()
        try:
            await self._poll.decide(question, self._poll.rule(rule, question), ballot, rung.models)
        except BaseException as error:
            spent, reason = ballot.bill.spent(), f"while sentinel {number} was asked: {error}"
            code = getattr(error, "code", "interrupted")
            self._journal.append(StepStopped(step=step, code=code, reason=reason, tally={}, asked=0, spent=spent))
            raise
        tally = ballot.tally
        right = tally.counts.get(chain.key(question.expected), 0)
        return SentinelAnswered(
            number=number,
            step=step,
            rung=rung.name,
            right=right,
            wrong=tally.votes - right,
            copies=len(tally.counts) == 1,
            spent=ballot.bill.spent(),
        )

    def _react(self, latest: SentinelAnswered, rule: AheadByK) -> str | None:
        """Climb where votes err together; return why the chain must stop where there is nothing left to climb."""
        here = self._state.asked[latest.rung]
        is_suspicious = latest.copies and latest.right == 0
        if here < FEWEST or not (is_suspicious or _is_doubling(here)):
            return None
        estimate = estimate_of(self._state.sentinels, latest.rung)
        assert estimate is not None
        allowed = self._allowed(estimate, rule)
        rho = estimate.rho
        if rho.high <= allowed or rho.mean <= allowed:
            return None
        reason = (
            f"votes err together: rho is {rho.mean:.2g} [{rho.low:.2g}, {rho.high:.2g}] by {here} sentinels, "
            f"k={rule.k} allows {allowed:.2g}"
        )
        if self._ladder.climb(latest.step, reason) or rho.low <= allowed:
            return None
        return reason

    def _allowed(self, estimate: SentinelEstimate, rule: AheadByK) -> float:
        policy = self._policy
        p = min(max(estimate.p.mean, 1e-9), 1.0)
        return max(policy.rho, rho_allowed(p, rule.k, self._steps, policy.target))


def _is_doubling(count: int) -> bool:
    """Tell whether `count` is the fewest, or that doubled any number of times."""
    doublings, rest = divmod(count, FEWEST)
    return rest == 0 and doublings & (doublings - 1) == 0
