"""Least squares of positive numbers, in their logarithms.

    min Σ_j r_j(ln p)²    by Levenberg & Marquardt's method

In the logarithms numbers stay positive and decades count alike. With independent errors
of one size the covariance of ln p is s² (JᵀJ)⁻¹, s² = Σ r²/(n − number of parameters).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import optimistix as optx
from jaxtyping import Array, Bool, Float, Int

from depojax._sums import matmul


class LeastSquares(NamedTuple):
    """Where the sum of squares is least."""

    logs: Float[Array, " p"]  # ln p
    residual: Float[Array, " n"]
    normal: Float[Array, "p p"]  # JᵀJ
    ended: Bool[Array, ""]  # within the steps
    steps: Int[Array, ""]


def least_squares_of_logs(
    residual: Callable[[Array], Array],
    first: Float[Array, " p"],
    *,
    tolerance: float,
    max_steps: int,
) -> LeastSquares:
    """The logarithms that make a residual least, from a `first` guess of them."""

    def of(logs: Array, _: None) -> Array:
        return residual(logs)

    solution = optx.least_squares(
        of,
        optx.LevenbergMarquardt(rtol=tolerance, atol=tolerance),
        first,
        max_steps=max_steps,
        throw=False,
    )
    logs = solution.value
    J = jax.jacfwd(residual)(logs)
    return LeastSquares(
        logs=logs,
        residual=residual(logs),
        normal=matmul(J.T, J),
        ended=solution.result == optx.RESULTS.successful,
        steps=solution.stats["num_steps"],
    )
