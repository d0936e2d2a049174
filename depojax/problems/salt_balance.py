"""The discrete salt balance of a whole cell, with the current spread evenly.

    ∂(ε c)/∂t = ∇·(D_eff ∇c) − N_s a,   N_s = (1 − t₊) J A_footprint / (z₊ν₊F A_true)

Here the physics of `transport`, the geometry of the `Cell` and the solvers meet.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Bool, Int

from depojax._checks import refuse
from depojax._extremes import least_of
from depojax._sums import vdot
from depojax._types import Cells, Scalar, static
from depojax.fv.boundary import FixedFlux, FixedValue, boundary_terms
from depojax.fv.operators import conductances, without_ends
from depojax.physics.electrolyte import BinaryElectrolyte
from depojax.physics.transport import salt_uptake
from depojax.problems.cell import Cell, Domain
from depojax.problems.currents import AbstractCurrent, ConstantCurrent
from depojax.problems.places import deciding_place
from depojax.scaffold.scaffold import flood
from depojax.solvers.linear import DiffusionOperator, MultigridCG
from depojax.solvers.multigrid import Hierarchy, build_hierarchy
from depojax.solvers.stencil import FaceStencil, net_outflow
from depojax.solvers.tr_bdf2 import AbstractBalance

_CRACK = 0.01  # open part of a face below which it connects nothing that counts


class SaltBalance(AbstractBalance):
    """The salt balance of a cell in u = c/c₀ − 1, per reference volume V₀.

        m u' = J (inflow − sink) − loss u + ∇·(g ∇u)

    The deviation u starts from zero, so that float32 keeps its small values. All
    coefficients are per second.
    """

    mass: Cells  # pore volume / V₀
    loss: Cells  # conductance of the sides that hold c₀ [s-1]
    stencil: FaceStencil  # conductances between the cells [s-1]
    inflow: Cells  # at the counter electrode, per current density [m2 A-1 s-1]
    sink: Cells  # at the plated surface, per current density [m2 A-1 s-1]
    drop: Cells  # (c_P − c_s)/c₀ per current density [m2 A-1]
    wall: Bool[Array, "x y z"]  # where depletion is looked for
    wall_area: Cells  # [m2]
    current: AbstractCurrent
    hierarchy: Hierarchy
    rtol: float = static()
    share: float = static(default=0.0)  # of the area that must be depleted

    def storage(self, y):
        return self.mass * y

    def rate(self, t, y):
        outflow = net_outflow(self.stencil, y)
        forcing = self.current.value(t) * (self.inflow - self.sink)
        return forcing - self.loss * y - outflow

    def exchange(self, t, y, rate):
        forcing = jnp.sum(self.inflow) - jnp.sum(self.sink)
        return self.current.value(t) * forcing - jnp.sum(self.loss * y)

    def solve_stage(self, t, known, a, guess):
        operator = self.operator(1 / a)
        b = known / a + self.current.value(t) * (self.inflow - self.sink)
        return solve_diffusion(operator, self.hierarchy, b, guess, self.rtol)

    def damp(self, y, a, error):
        return self.hierarchy.cycle(1 / a)(error / a)

    def size(self, error):
        """Root mean square over the plated surface: where the answer is decided."""
        # Over all cells the slivers of cut cells, which settle within microseconds,
        # would dictate the first steps.
        area = self.wall_area
        return jnp.sqrt(jnp.sum(area * error * error) / jnp.sum(area))

    def event(self, t, y):
        # Chosen by place, so that the derivative is that of one wall concentration.
        deviation = self.wall_deviation(t, y)
        return 1 + deviation.ravel()[self.place(deviation, self.share)]

    def observe(self, t, y):
        deviation = self.wall_deviation(t, y)
        least = least_of(jnp.where(self.wall, deviation, jnp.inf))
        mean = jnp.sum(self.wall_area * deviation) / jnp.sum(self.wall_area)
        return {
            "current_density": self.current.value(t),
            "lowest_wall_concentration": 1 + least,
            "mean_wall_concentration": 1 + mean,
        }

    def during(self, t, dt):
        held = ConstantCurrent(self.current.value(t + dt / 2))
        return eqx.tree_at(lambda b: b.current, self, held)

    def next_switch(self, t):
        return self.current.next_switch(t)

    def operator(self, shift: Scalar) -> DiffusionOperator:
        """(shift · m + loss) u − ∇·(g ∇u)."""
        return DiffusionOperator(self.mass, self.loss, self.stencil, shift)

    def place(self, values: Cells, share: float) -> Int[Array, ""]:
        """Where on the wall the lowest values have covered a share of the area."""
        return deciding_place(values, jnp.where(self.wall, self.wall_area, 0.0), share)

    def wall_deviation(self, t: Scalar, y: Cells) -> Cells:
        """c_s/c₀ − 1 at the plated surface of each cell."""
        return y - self.current.value(t) * self.drop


def salt_balance(
    cell: Cell, current: AbstractCurrent, rtol: float, share: float = 0.0
) -> SaltBalance:
    """The discrete salt balance of a cell under a current.

    Its event is the depletion of the first place, or of a `share` of the plated area.
    """
    electrolyte = cell.salt
    if not isinstance(electrolyte, BinaryElectrolyte):
        raise refuse(
            "electrolyte",
            "constant properties, a BinaryElectrolyte",
            f"a {type(electrolyte).__name__}",
            "Take its snapshot: cell.replace(electrolyte=electrolyte.at(c)).",
        )
    domain = cell.domain()
    grid = domain.grid
    D, c0 = electrolyte.diffusivity, electrolyte.concentration
    smallest = [jax.lax.stop_gradient(jnp.min(width)) for width in grid.widths]
    volume = smallest[0] * smallest[1] * smallest[2]
    area = jnp.sum(domain.wall_area)
    per_current = salt_uptake(electrolyte, grid.footprint) / c0  # Σ N A/(J c₀)
    taken = per_current * (domain.wall_area / area)
    wall = jax.lax.stop_gradient(domain.wall_area) > 0
    wall = wall & well_connected(cell, domain) if cell.scaffold.resolved else wall
    drop = jnp.where(wall, per_current / area * domain.wall_distance / D, 0.0)
    sides = boundary_terms(
        grid, domain.face_transmission, _far_side(cell, domain, per_current / D)
    )
    g = without_ends(conductances(grid, domain.face_transmission), grid.periodic)
    mass = domain.pore_fraction * (grid.volumes / volume)
    rate = D / volume
    x, y, z = (rate * face for face in g)
    loss, stencil = (
        rate * sides.loss,
        FaceStencil.of_conductance((x, y, z), grid.periodic),
    )
    return SaltBalance(
        mass=mass,
        loss=loss,
        stencil=stencil,
        inflow=rate * sides.source,
        sink=taken / volume,
        drop=drop,
        wall=wall,
        wall_area=domain.wall_area,
        current=current,
        # Float32 is enough for a preconditioner.
        hierarchy=build_hierarchy(grid, mass, loss, stencil, jnp.float32),
        rtol=rtol,
        share=share,
    )


def steady_deviation(balance: SaltBalance, cell: Cell) -> tuple[Cells, Bool[Array, ""]]:
    """Steady u per unit of current density, and whether the solve converged."""
    singular = cell.counter_electrode == "metal"
    b = balance.inflow - balance.sink
    operator = balance.operator(jnp.zeros((), b.dtype))
    guess = jnp.zeros_like(b)
    u, good, _ = solve_diffusion(
        operator, balance.hierarchy, b, guess, balance.rtol, singular
    )
    if singular:  # salt is neither lost nor gained
        u = u - jnp.sum(balance.mass * u) / jnp.sum(balance.mass)
    return u, good


def well_connected(cell: Cell, domain: Domain) -> Bool[Array, "x y z"]:
    """Cells reached from the far side through faces that are open by a percent.

    A corner of the pore that only a crack connects, as the sides of a sample cut them
    off, is plated like the rest but depleted at once. It must not stand for the host.
    """
    wide = tuple(
        jnp.where(face > _CRACK, face, 0.0) for face in domain.face_transmission
    )
    faces = (wide[0], wide[1], wide[2])
    reached = flood(faces, domain.pore_fraction > 0, domain.grid.periodic)
    return reached | ~jnp.any(reached & (domain.wall_area > 0))


def _far_side(cell: Cell, domain: Domain, total_flux: Scalar) -> dict:
    """Condition at the counter electrode, for u and fluxes divided by D."""
    if cell.counter_electrode == "blocked":
        return {}
    if cell.counter_electrode == "metal":
        top = domain.face_transmission[2][..., -1] * domain.grid.face_areas(2)[..., 0]
        return {"z+": FixedFlux(total_flux / jnp.sum(top))}
    return {"z+": FixedValue(jnp.zeros((), domain.pore_fraction.dtype))}


def solve_diffusion(
    operator: DiffusionOperator,
    hierarchy: Hierarchy,
    b: Cells,
    guess: Cells,
    rtol: float,
    singular: bool = False,
) -> tuple[Cells, Bool[Array, ""], Int[Array, ""]]:
    """A u = b from a guess: u, whether it converged, iterations."""
    solver = MultigridCG(rtol=rtol, singular=singular)
    guess = jax.lax.stop_gradient(guess)
    scale = jax.lax.stop_gradient(jnp.sqrt(vdot(b, b)))
    state = solver.init(operator, {"hierarchy": hierarchy, "scale": scale})
    solution = lx.linear_solve(
        operator, b - operator.mv(guess), solver, state=state, throw=False
    )
    good = solution.result == lx.RESULTS.successful
    return guess + solution.value, good, solution.stats["num_steps"]


def can_be_steady(cell: Cell) -> bool:
    """Whether the far side can feed a current for ever."""
    return cell.counter_electrode in ("metal", "reservoir")
