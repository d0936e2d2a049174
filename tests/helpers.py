"""What several tests need: the electrolytes of the cases, columns of cells, orders.

The numbers of the cases are typed into the tests; this module only builds.
"""

import math

import equinox as eqx
import jax.numpy as jnp
import lineax as lx
import numpy as np

from depojax.fv.boundary import FixedValue, boundary_terms
from depojax.fv.grid import Grid
from depojax.fv.operators import conductances, faces_between, without_ends
from depojax.physics.electrolyte import BinaryElectrolyte
from depojax.physics.kinetics import Tafel
from depojax.problems.cell import Cell
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.linear import DiffusionOperator, MultigridCG
from depojax.solvers.multigrid import build_hierarchy
from depojax.solvers.stencil import FaceStencil
from depojax.units import FARADAY, GAS_CONSTANT

D, T_PLUS, C0 = 3e-10, 0.38, 1000.0  # of the lithium salt in the cases
WIDTH = 1e-5  # of a column's footprint [m]


def lithium_salt(concentration=C0, diffusivity=D, transference_number=T_PLUS):
    """The 1:1 salt of the cases."""
    return BinaryElectrolyte(concentration, diffusivity, transference_number)


def graded_widths(n, length, ratio):
    """n widths that add up to `length`; the last is `ratio` times the first."""
    widths = ratio ** (np.arange(n) / max(n - 1, 1))
    return widths * (length / widths.sum())


def column(length, n=200, ratio=30.0, electrolyte=None, counter_electrode="metal"):
    """A flat gap: a column of cells that is plated on its floor."""
    side = np.full(1, WIDTH)
    grid = Grid((side, side, graded_widths(n, length, ratio)))
    salt = lithium_salt() if electrolyte is None else electrolyte
    return Cell(Scaffold.open(grid), salt, counter_electrode=counter_electrode)


def observed_orders(errors, refinement=2.0):
    """Order between successive refinements."""
    errors = np.abs(np.asarray(errors, float))
    return np.log(errors[:-1] / errors[1:]) / math.log(refinement)


def central_slopes(function, x, step=1e-4):
    """Central differences of a scalar function with respect to every entry of x."""
    shifts = step * np.eye(x.size)
    return np.array(
        [(function(x + dx) - function(x - dx)) / (2 * step) for dx in shifts]
    )


@eqx.filter_jit
def diffusion_system(
    grid, transmission, mass, shift=0.0, conditions=None, cycle_dtype=None
):
    """Operator, hierarchy and boundary source of ∇·(T ∇u) on a grid."""
    sides = boundary_terms(grid, transmission, conditions or {})
    g = without_ends(conductances(grid, transmission), grid.periodic)
    shift = jnp.asarray(shift, mass.dtype)
    stencil = FaceStencil.of_conductance(g, grid.periodic)
    operator = DiffusionOperator(mass, sides.loss, stencil, shift)
    hierarchy = build_hierarchy(grid, mass, sides.loss, stencil, cycle_dtype)
    return operator, hierarchy, sides.source


@eqx.filter_jit
def solve(operator, hierarchy, b, rtol=1e-10, singular=False):
    """u and the number of iterations."""
    solver = MultigridCG(rtol=rtol, singular=singular)
    state = solver.init(operator, {"hierarchy": hierarchy})
    solution = lx.linear_solve(operator, b, solver, state=state, throw=False)
    return solution.value, solution.stats["num_steps"], solution.result


@eqx.filter_jit
def effective_diffusivity(scaffold, axis=2):
    """D_eff/D along `axis`: u = 0 and 1 at the two ends, no flux at the other sides."""
    grid, name = scaffold.grid, "xyz"[axis]
    ends = {f"{name}-": FixedValue(0.0), f"{name}+": FixedValue(1.0)}
    mass = scaffold.pore_fraction * grid.volumes
    operator, hierarchy, source = diffusion_system(
        grid, scaffold.face_transmission, mass, conditions=ends
    )
    u, _, _ = solve(operator, hierarchy, source)
    top = (slice(None),) * axis + (-1,)
    g = conductances(grid, scaffold.face_transmission)[axis][top]
    area = jnp.sum(jnp.broadcast_to(grid.face_areas(axis), grid.shape)[top])
    return jnp.sum(g * (1 - u[top])) * grid.lengths[axis] / area


def voxelised(scaffold):
    """The same host as a voxel code sees it: a cell is pore or solid by its centre."""
    pore, dtype = scaffold.pore_fraction > 0.5, scaffold.pore_fraction.dtype
    faces = faces_between(pore, scaffold.grid.periodic, dtype)
    return eqx.tree_at(
        lambda s: (s.pore_fraction, s.face_transmission),
        scaffold,
        (pore.astype(dtype), faces),
    )


# Potential at which the cells of `first_order` plate [V]: Tafel's law with α = 1/2
# gives exp(−αF η/RT) there, and nothing else of the potential is left (see below).
PLATING = -0.1
THIN = 1.0  # concentration of that salt [mol m-3]


def first_order_cell(scaffold, rate_constant, **options):
    """A cell whose metal takes salt as N = k c_s, under `Potentiostatic(PLATING)`.

    Tafel's law, i₀ ∝ c_s, in a solution so thin and so well conducting, with so small a
    thermodynamic factor, that the ohmic drop and the diffusion potential are below
    1e-5 of RT/F: rate and overpotential have nothing to do with each other.
    """
    salt = BinaryElectrolyte(
        THIN, D, T_PLUS, conductivity=1e3, thermodynamic_factor=1e-9
    )
    boost = math.exp(-0.5 * FARADAY * PLATING / (GAS_CONSTANT * 298.15))
    i0 = rate_constant * FARADAY * THIN / (1 - T_PLUS) / boost
    kinetics = Tafel(i0, exponent=1.0, reference_concentration=THIN)
    options = {"counter_electrode": "reservoir", "plated_collector": False} | options
    return Cell(scaffold, salt, kinetics=kinetics, **options)


def salt_flux(current):
    """Salt that a current takes [mol s⁻¹ per A]."""
    return (1 - T_PLUS) / FARADAY * np.asarray(current)
