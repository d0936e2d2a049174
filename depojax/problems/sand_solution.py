"""What `sand_time` answers with, in numbers and in words."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from depojax._types import Cells, Scalar, static
from depojax.problems.cell import Cell
from depojax.problems.currents import AbstractCurrent
from depojax.solvers.results import RESULTS
from depojax.solvers.time import History

NEARLY = 0.1  # c_s/c₀ below which a place counts as nearly depleted
_SPOT = 5e-3  # share of the metal that is too small to stand for the host
_LOOK_PAST = 0.05


class SandSolution(eqx.Module):
    """When and where the ions run out, and the state of the cell then.

    Without depletion (below the limiting current, or before `max_time`) the time and
    the capacity are infinite, and the fields are those of the steady state, or of
    `max_time`. `message` says it in words.
    """

    time: Scalar  # Sand's time τ [s]
    capacity: Scalar  # charge passed per footprint until then [C m-2]
    location: Float[Array, "3"]  # centre of the cell whose wall decides [m]
    concentration: Cells  # salt, at the end of the run [mol m-3]
    wall_concentration: Cells  # c_s beside the plated surface, else c [mol m-3]
    depletion_time: Cells | None  # of each place on the metal, inf if later [s]
    nearly_depleted: Scalar  # share of the metal with c_s < c₀/10 at the end [-]
    limiting_current: Scalar | None  # even plating depletes nothing below it [A m-2]
    end_time: Scalar  # of the run [s]
    history: History
    salt_balance_error: Scalar  # |found − booked| / salt plated until the end [-]
    steps: Int[Array, ""]
    attempts: Int[Array, ""]
    linear_iterations: Int[Array, ""]
    depleted: Bool[Array, ""]
    result: RESULTS
    cell: Cell
    current: AbstractCurrent
    depleted_share: float = static(default=0.0)  # of the metal, that ends the run [-]
    newton_steps: Int[Array, ""] | None = None  # None where current is spread evenly

    @property
    def message(self) -> str:
        """What came out, in a sentence."""
        return _sentence(self)

    def to_xarray(self):
        """The solution as an `xarray.Dataset` with units on every variable."""
        from depojax.io import to_xarray

        return to_xarray(self)


def _sentence(solution: SandSolution) -> str:
    if bool(solution.result != RESULTS.successful):
        return str(RESULTS[solution.result])
    lowest = float(jnp.nanmin(solution.history.values["lowest_wall_concentration"]))
    if bool(solution.depleted):
        return _depletion_sentence(solution)
    limit = solution.limiting_current
    mean = float(solution.current.mean)
    if limit is None and bool(jnp.isinf(solution.end_time)):
        return (
            f"No depletion, ever: at {mean / 10:.4g} mA/cm2 the cell becomes steady. "
            f"{_settled(solution)}"
        )
    if limit is not None and mean <= float(limit):
        return (
            f"No depletion, ever: {mean / 10:.4g} mA/cm2 is below the limiting current "
            f"of {float(limit) / 10:.4g} mA/cm2. {_settled(solution)}"
        )
    return (
        f"No depletion within {float(solution.end_time):.4g} s; the lowest wall "
        f"concentration was {lowest:.4g} mol/m3. Raise max_time to wait longer."
    )


def _settled(solution: SandSolution) -> str:
    plated = solution.cell.domain().wall_area > 0
    lowest = jnp.min(jnp.where(plated, solution.wall_concentration, jnp.inf))
    return f"The lowest wall concentration settles at {float(lowest):.4g} mol/m3."


def _depletion_sentence(solution: SandSolution) -> str:
    x, y, z = (1e6 * float(v) for v in solution.location)
    share, near = solution.depleted_share, float(solution.nearly_depleted)
    sentence = (
        f"Ions run out after {float(solution.time):.4g} s, when "
        f"{float(solution.capacity) / 36e3:.4g} mAh/cm2 have passed, "
        + (f"on {100 * share:.3g} % of the metal, last" if share else "first")
        + f" at (x, y, z) = ({x:.4g}, {y:.4g}, {z:.4g}) um."
    )
    if near - share < _SPOT and solution.cell.scaffold.resolved:
        sentence += (
            f" But {100 * (1 - near):.4g} % of the metal is far from depletion then: a "
            f"small spot decided. depleted_share={_LOOK_PAST} looks past it."
        )
    return sentence
