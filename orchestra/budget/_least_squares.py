"""Least squares whose columns may depend on each other: the solution of minimum norm, and what it leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, pi

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Vector = NDArray[np.float64]
"""Numbers, one a row."""
Matrix = NDArray[np.float64]
"""Numbers, rows by columns."""

_SMALL = 1e-9  # relative: smaller singular values, and parts of a row, are rounding


@dataclass(frozen=True, slots=True, eq=False)
class Standardised:
    """Columns brought to mean 0 and population standard deviation 1, with a column of ones before them."""

    centre: Vector
    """Mean of each column."""
    scale: Vector
    """Population standard deviation of each column; 1 where a column is constant."""

    @classmethod
    def of(cls, columns: Matrix) -> Standardised:
        """Return the standardisation of raw columns, shape (rows, columns)."""
        centre, scale = columns.mean(axis=0), columns.std(axis=0)
        is_constant = scale <= _SMALL * np.maximum(1.0, np.abs(centre))
        return cls(centre, np.where(is_constant, 1.0, scale))

    def design(self, columns: Matrix) -> Matrix:
        """Return the design, shape (rows, 1 + columns), of raw columns, these or others of the same meaning."""
        return np.column_stack([np.ones(len(columns)), (columns - self.centre) / self.scale])


@dataclass(frozen=True, slots=True, eq=False)
class LeastSquares:
    """A fit y = X b + e by minimum-norm least squares: b = X+ y with the pseudo-inverse X+.

    Columns that depend on each other leave directions of b open. Whatever those are, what the fit says about a row that
    lies in the span of the fitted rows is the same, and only for such rows is it anything.
    """

    coefficients: Vector
    """b, the intercept first."""
    rank: int
    residuals: Vector
    inverse: Matrix
    """(X'X)+, the pseudo-inverse of the cross products."""
    span: Matrix
    """Projector on the span of the fitted rows."""

    @classmethod
    def of(cls, design: Matrix, response: Vector) -> LeastSquares:
        """Return the fit of a response, shape (rows,), to a design, shape (rows, columns)."""
        left, sizes, right = np.linalg.svd(design, full_matrices=False)
        rank = int(np.sum(sizes > _SMALL * sizes[0]))
        left, sizes, right = left[:, :rank], sizes[:rank], right[:rank]
        coefficients = right.T @ ((left.T @ response) / sizes)
        return cls(
            coefficients=coefficients,
            rank=rank,
            residuals=response - design @ coefficients,
            inverse=(right.T / sizes**2) @ right,
            span=right.T @ right,
        )

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the residuals: rows - rank."""
        return len(self.residuals) - self.rank

    @property
    def squares(self) -> float:
        """Sum of squared residuals."""
        return float(self.residuals @ self.residuals)

    @property
    def sigma(self) -> float:
        """Residual standard deviation: sqrt(squares / (rows - rank)); infinite without degrees of freedom."""
        return float(np.sqrt(self.squares / self.freedom)) if self.freedom > 0 else inf

    @property
    def aic(self) -> float:
        """Akaike's criterion, with normal errors: rows (ln(2 pi squares / rows) + 1) + 2 rank."""
        rows = len(self.residuals)
        return rows * (log(2 * pi * self.squares / rows) + 1) + 2 * self.rank if self.squares > 0 else -inf

    @property
    def is_identified(self) -> NDArray[np.bool_]:
        """Whether each coefficient is the same in every least-squares solution."""
        return np.asarray(np.abs(np.diag(self.span) - 1) <= 1e3 * _SMALL)

    @property
    def standard_errors(self) -> Vector:
        """Standard error of each coefficient: sigma sqrt(diag (X'X)+); means nothing where it is not identified."""
        return self.sigma * np.sqrt(np.maximum(np.diag(self.inverse), 0.0))

    def half_widths(self, design: Matrix, confidence: float) -> Vector:
        """Return half the widths of the prediction intervals of new rows.

        It is t sigma sqrt(1 + x (X'X)+ x'), with Student's t for the degrees of freedom: 1 for the scatter of a single
        run, the rest for the uncertainty of the coefficients. Infinite for a row outside the span of the fitted ones.

        Args:
            design: New rows, shape (rows, columns).
            confidence: Probability that a new run lies within, strictly between 0 and 1.
        """
        leverage = np.einsum("ij,jk,ik->i", design, self.inverse, design)
        outside = np.linalg.norm(design - design @ self.span, axis=1)
        is_open = outside > 1e3 * _SMALL * np.linalg.norm(design, axis=1)
        t = float(stdtrit(self.freedom, 0.5 + confidence / 2)) if self.freedom > 0 else inf
        return np.where(is_open, inf, t * self.sigma * np.sqrt(1 + leverage))
