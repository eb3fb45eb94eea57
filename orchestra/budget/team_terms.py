"""The columns of the agent-scaling regression: what an accuracy is explained with (arXiv 2512.08296 v2, equation 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from orchestra.budget._least_squares import Matrix, Vector
from orchestra.budget.team_priors import CoordinationPrior


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settings:
    """The raw values that terms are made of, one entry a row."""

    intelligence: Vector
    """Intelligence index less its mean over the fitted runs (I - Ibar)."""
    tools: Vector
    """Number of tools (T)."""
    single: Vector
    """Single-agent accuracy (P_SA)."""
    agents: Vector
    """Agents of the architecture (n); this and all below are constants of an architecture."""
    overhead: Vector
    """Overhead in percent (O%)."""
    density: Vector
    """Messages per turn (c)."""
    redundancy: Vector
    """Similarity of outputs (R)."""
    efficiency: Vector
    """Success per relative turns (E_c)."""
    amplification: Vector
    """Unproductive tokens relative to one agent's (A_e)."""

    @classmethod
    def of(
        cls, priors: Sequence[CoordinationPrior], *, intelligence: Vector, tools: Vector, single: Vector
    ) -> Settings:
        """Return the settings of rows from what varies between runs and the constants of each row's architecture."""
        return cls(
            intelligence=intelligence,
            tools=tools,
            single=single,
            agents=np.array([prior.agents for prior in priors], dtype=float),
            overhead=np.array([prior.overhead_percent for prior in priors], dtype=float),
            density=np.array([prior.density for prior in priors], dtype=float),
            redundancy=np.array([prior.redundancy for prior in priors], dtype=float),
            efficiency=np.array([prior.efficiency for prior in priors], dtype=float),
            amplification=np.array([prior.amplification for prior in priors], dtype=float),
        )

    def columns(self, terms: Sequence[Term]) -> Matrix:
        """Return the raw columns of terms, shape (rows, terms)."""
        return np.column_stack([term.column(self) for term in terms])


@dataclass(frozen=True, slots=True)
class Term:
    """One column of the regression; products are of raw values and standardised afterwards."""

    name: str
    column: Callable[[Settings], Vector]


TERMS = (
    Term("I-Ibar", lambda x: x.intelligence),
    Term("(I-Ibar)^2", lambda x: x.intelligence**2),
    Term("log(1+T)", lambda x: np.log1p(x.tools)),
    Term("log(1+n)", lambda x: np.log1p(x.agents)),
    Term("P_SA", lambda x: x.single),
    Term("log(1+O%)", lambda x: np.log1p(x.overhead)),
    Term("c", lambda x: x.density),
    Term("R", lambda x: x.redundancy),
    Term("Ec", lambda x: x.efficiency),
    Term("log(1+Ae)", lambda x: np.log1p(x.amplification)),
    Term("P_SA log(1+n)", lambda x: x.single * np.log1p(x.agents)),
    Term("Ec T", lambda x: x.efficiency * x.tools),
    Term("O% T", lambda x: x.overhead * x.tools),
    Term("Ae T", lambda x: x.amplification * x.tools),
    Term("R n", lambda x: x.redundancy * x.agents),
    Term("(I-Ibar) Ec", lambda x: x.intelligence * x.efficiency),
    Term("Ae P_SA", lambda x: x.amplification * x.single),
    Term("c (I-Ibar)", lambda x: x.density * x.intelligence),
    Term("(I-Ibar) log(1+T)", lambda x: x.intelligence * np.log1p(x.tools)),
)
"""The 19 columns, in the order of section 5.2. Seven take one value per architecture and are not identified."""
