"""Robust least squares with priors, for a handful of constants: Levenberg-Marquardt in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from planner.frozen import frozen
from planner.plan import Floats

Residuals = Callable[[Floats], Floats]

TAIL = 4.0
"""Degrees of freedom of the noise, plus one."""

STEP = 1e-3
"""Step of the numerical Jacobian, in logarithms of constants."""

ROUNDS, TRIALS = 40, 12
"""Jacobians, and attempts with a growing damping for each."""

ENOUGH = 1e-4
"""Decrease of the cost at which the minimum counts as found: a hundredth of a standard deviation."""


@frozen
class Fit:
    """Where the cost is least.

    Attributes:
        x: the solution. deviation: posterior standard deviation of each x, from the curvature at the solution.
    """

    x: Floats
    deviation: Floats


def fit(residuals: Residuals, widths: Floats) -> Fit:
    """Minimise sum(4*log(1 + r(x)^2/4)) + sum((x/width)^2), from x = 0.

    `residuals` are in units of the noise; `widths` are standard deviations of normal priors around 0. The first sum is
    -2 times the log-density of Student's t with three degrees of freedom, the heaviest tail that has a variance: it
    grows like r^2 below the noise and hardly at all far above it, so a run that no likely constant explains does not
    decide (Lange, Little and Taylor 1989, Journal of the American Statistical Association 84).
    """
    x, damping = np.zeros_like(widths), 1e-3
    cost = _cost(residuals(x), x, widths)
    for _ in range(ROUNDS):
        gradient, curvature = _normal_equations(residuals, x, widths)
        found = _descend(residuals, x, widths, (gradient, curvature), (cost, damping))
        if found is None:
            break
        x, lower, damping = found
        done, cost = cost - lower <= ENOUGH, lower
        if done:
            break
    curvature = _normal_equations(residuals, x, widths)[1]
    return Fit(x, np.sqrt(np.diag(np.linalg.inv(curvature))))


def _cost(r: Floats, x: Floats, widths: Floats) -> float:
    return float(TAIL * np.log1p(r * r / TAIL).sum() + ((x / widths) ** 2).sum())


def _normal_equations(residuals: Residuals, x: Floats, widths: Floats) -> tuple[Floats, Floats]:
    """Half the gradient and half the Gauss-Newton curvature of the cost: J'Wr + x/width^2 and J'WJ + 1/width^2.

    J = dr/dx by forward differences, one column per x.
    """
    r = residuals(x)
    J = np.stack([(residuals(x + STEP * unit) - r) / STEP for unit in np.eye(x.size)], axis=1)
    weight = 1.0 / (1.0 + r * r / TAIL)
    prior = 1.0 / widths**2
    return J.T @ (weight * r) + prior * x, (J.T * weight) @ J + np.diag(prior)


def _descend(
    residuals: Residuals, x: Floats, widths: Floats, equations: tuple[Floats, Floats], state: tuple[float, float]
) -> tuple[Floats, float, float] | None:
    """A lower point with its cost and damping; None when there is none."""
    (gradient, curvature), (cost, damping) = equations, state
    for _ in range(TRIALS):
        trial = x - np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), gradient)
        lower = _cost(residuals(trial), trial, widths)
        if lower < cost:
            return trial, lower, max(damping / 10.0, 1e-9)
        damping *= 10.0
    return None
