"""The linearised cell at one frequency, as a real system of twice the size.

    (W + i T)(x + i y) = b:        W x − T y = b,    T x + W y = 0

W is the Jacobian of the steady equations; T has what stores: ω times the pore volume,
and the imaginary part of what the surfaces let through. With H ≈ (W + T)⁻¹, the
preconditioner of a time step of 1/ω,

    h = H (p + q),   y = H (q − T h),   x = h − y

inverts roughly the same system with W + 2T in the last place: all eigenvalues are
between 1/2 and 1 for W and T that are symmetric and positive, at every frequency and on
every grid (PRESB; see Axelsson & Salkuyeh, arXiv:2402.11184, and the references there).
"""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Bool, Int

from depojax._types import Cells, Scalar, as_float, static
from depojax.physics.interface import (
    drift_at_wall,
    layer_resistance,
    share_at_wall,
)
from depojax.problems.cell_model import CellModel, Fields
from depojax.problems.cell_surfaces import Reactions, Surface
from depojax.problems.cell_tangent import CellTangent, ReactionSlopes
from depojax.problems.coupled import Drive, Stage
from depojax.problems.coupled_inverse import FieldByField, inverse_of
from depojax.solvers.gmres import GMRES, AbstractPreconditioner
from depojax.solvers.trees import plus

Pair = tuple[Fields, Fields]  # real and imaginary part
Parts = tuple[Array, Array]  # the same, of a number


class Storing(eqx.Module):
    """T: what follows the fields a quarter of a period late."""

    model: CellModel
    storage: Cells  # ω times what a cell stores [m]
    reactions: ReactionSlopes
    salt_share: Cells  # 1 − t₊

    def __call__(self, x: Fields) -> Fields:
        """T x."""
        model = self.model
        metals = model.metal_potentials(x)
        slopes = zip(self.reactions.by_salt, self.reactions.by_liquid, strict=True)
        host, floor, counter = (
            by_c * x.c + by_l * (x.liquid - metal)
            for (by_c, by_l), metal in zip(slopes, metals, strict=True)
        )
        plated = host + floor + counter
        out = jnp.sum(floor)
        if x.solid is None:
            out = out + jnp.sum(host)
        salt = self.storage * x.c + self.salt_share * plated
        return Fields(
            jnp.where(model.in_pore, salt, 0.0),
            jnp.where(model.in_pore, plated, 0.0),
            None if x.solid is None else -host,
            -out,
        )


class Oscillating(eqx.Module):
    """W + iT on pairs of real fields."""

    steady: CellTangent
    storing: Storing

    def __call__(self, pair: Pair) -> Pair:
        """(W x − T y, T x + W y)."""
        # Each is a large program, and stands here once.
        w = jax.lax.map(self.steady, _stacked(*pair))
        t = jax.lax.map(self.storing, _stacked(*pair))
        return plus(_part(w, 0), -1, _part(t, 1)), plus(_part(w, 1), 1, _part(t, 0))


class TwoByTwo(AbstractPreconditioner):
    """The inverse described above, or its transpose."""

    near: FieldByField  # H
    storing: Storing
    like: Fields
    transposed: bool = static(default=False)

    def transpose(self) -> "TwoByTwo":
        near = self.near.transpose()
        return dataclasses.replace(self, near=near, transposed=not self.transposed)

    def __call__(self, residual: Pair) -> Pair:
        sign = -1 if self.transposed else 1
        flipped = jax.linear_transpose(self.storing, self.like)
        p, q = residual

        def solve(before, known):
            held = flipped(before)[0] if self.transposed else self.storing(before)
            found = self.near(plus(known, -sign, held))
            return found, found

        nothing = jax.tree.map(jnp.zeros_like, q)
        _, both = jax.lax.scan(solve, nothing, _stacked(plus(p, sign, q), q))
        h, y = _part(both, 0), _part(both, 1)
        return plus(h, -sign, y), y


class Response(eqx.Module):
    """What the fields do, and how well it was solved."""

    fields: Pair
    iterations: Int[Array, ""]
    residual: Scalar  # relative, ‖·‖₂ [-]
    converged: Bool[Array, ""]


def response(
    model: CellModel,
    x: Fields,
    omega: Scalar,
    capacitances: tuple[Scalar, Scalar, Scalar],
    rtol: float | Scalar,
) -> Response:
    """The fields' answer to a current of 1 A m⁻² per footprint, around the state x.

    `omega` [s⁻¹]; `capacitances` of host, collector and counter electrode, per true
    area [F m⁻²].
    """
    system = oscillating(model, x, omega, capacitances)
    nothing = jax.tree.map(jnp.zeros_like, x)
    # The collector's equation is asked − out = 0, see `Stage`.
    asked = -model.grid.footprint / model.unit
    b = eqx.tree_at(lambda f: f.collector, nothing, asked), nothing
    fixed = jax.lax.stop_gradient(system)
    preconditioner = TwoByTwo(_inverse(fixed, x), fixed.storing, x)
    structure = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), b)
    operator = lx.FunctionLinearOperator(system, structure)
    options = {"preconditioner": preconditioner}
    solution = lx.linear_solve(operator, b, GMRES(rtol), options=options, throw=False)
    return Response(
        fields=solution.value,
        iterations=solution.stats["num_steps"],
        residual=solution.stats["residual"],
        converged=solution.result == lx.RESULTS.successful,
    )


def oscillating(
    model: CellModel, x: Fields, omega: Scalar, capacitances
) -> Oscillating:
    """The linear system around the state x, see `response`."""
    ever = jnp.full_like(omega, math.inf)
    drive = Drive(jnp.zeros_like(omega), jnp.asarray(True))
    reactions = model.reactions(x)
    stage = Stage(model, drive, model.storage * x.c, ever)
    real, imaginary = _surface_slopes(model, x, reactions, omega, capacitances)
    steady = stage.jacobian(x, reactions)
    steady = eqx.tree_at(lambda j: j.reactions, steady, real)
    storing = Storing(model, omega * model.storage, imaginary, steady.salt_share)
    return Oscillating(steady, storing)


def _inverse(system: Oscillating, x: Fields) -> FieldByField:
    """H, of W + T."""
    steady, storing = system.steady, system.storing
    together = eqx.tree_at(
        lambda j: (j.storage, j.reactions),
        steady,
        (
            steady.storage + storing.storage,
            plus(steady.reactions, 1, storing.reactions),
        ),
    )
    return inverse_of(together, jax.lax.stop_gradient(x))


def _surface_slopes(
    model: CellModel, x: Fields, reactions: Reactions, omega: Scalar, capacitances
) -> tuple[ReactionSlopes, ReactionSlopes]:
    """Real and imaginary part of how the currents follow the fields [m]."""
    metals = model.metal_potentials(x)
    parts = []
    for surface, metal, i, capacitance in zip(
        model.surfaces, metals, reactions, capacitances, strict=True
    ):
        found = _slopes_of(model, surface, x, metal, i, omega * capacitance)
        parts.append([surface.into_cells(k, x.c.shape) for k in found])
    rows = [(host, floor, counter) for host, floor, counter in zip(*parts, strict=True)]
    salt, salt_late, liquid, liquid_late = rows
    return ReactionSlopes(salt, liquid), ReactionSlopes(salt_late, liquid_late)


def _slopes_of(
    model: CellModel,
    surface: Surface,
    x: Fields,
    metal: Array,
    i: Array,
    susceptance: Scalar,
) -> tuple[Array, Array, Array, Array]:
    """∂(area i)/∂(c/c₀) and ∂/∂(φ_l F/RT), each real and imaginary [m].

    From  di = f_c dc_s − (g + iωC) dη  with c_s and η of the wall as functions of the
    current, and of concentration and potential in the cell beside it.
    """
    c0, scale = model.electrolyte.concentration, model.thermal_voltage
    T, wet = model.electrolyte.temperature, surface.area > 0
    kinetics, fall = surface.kinetics, metal - surface.of(x.liquid)

    def at_wall(i, c):
        # What stands between cell and metal, as in `CellModel.reaction`.
        t, number = model.transport(c), surface.reach / model.unit
        G = c0 * (1 - t.cation_share) / t.diffusion * number
        wet_c = c0 * t.concentration
        share = share_at_wall(i * G / wet_c, number < 0)
        share = jnp.where(wet & (share > 0), share, 1.0)
        layer = scale / t.conduction * jnp.maximum(number, 0)
        layer = layer_resistance(layer, t.exponent, jnp.log(share))
        before = i * (as_float(surface.film) + layer)
        psi = drift_at_wall(kinetics, scale * t.potential, G, wet_c, T)
        drift = psi * jnp.log(share)
        eta = jnp.where(wet, scale * fall + before - drift, 0.0)
        return share * wet_c, eta

    i, c = jnp.where(wet, i, 0.0), surface.of(x.c)
    one, none = jnp.ones_like(i), jnp.zeros_like(i)
    (c_s, eta), (c_by_i, eta_by_i) = jax.jvp(at_wall, (i, c), (one, none))
    _, (c_by_c, eta_by_c) = jax.jvp(at_wall, (i, c), (none, one))
    g = kinetics.conductance(eta, c_s, T)
    _, f_c = jax.jvp(lambda c: kinetics.current_density(eta, c, T), (c_s,), (one,))
    g_late = jnp.broadcast_to(susceptance, g.shape)
    below = 1 - f_c * c_by_i + g * eta_by_i, g_late * eta_by_i
    by_salt = _quotient((f_c * c_by_c - g * eta_by_c, -g_late * eta_by_c), below)
    by_voltage = _quotient((g, g_late), below)
    size = jnp.where(wet, surface.area / model.unit, 0.0)
    salt, salt_late = (size * part for part in by_salt)
    liquid, liquid_late = (scale * size * part for part in by_voltage)
    return salt, salt_late, liquid, liquid_late


def _quotient(above: Parts, below: Parts) -> Parts:
    """(a + ib)/(c + id)."""
    (a, b), (c, d) = above, below
    size = c**2 + d**2
    return (a * c + b * d) / size, (b * c - a * d) / size


def _stacked(x: Fields, y: Fields) -> Fields:
    return jax.tree.map(lambda a, b: jnp.stack([a, b]), x, y)


def _part(both: Fields, index: int) -> Fields:
    return jax.tree.map(lambda a: a[index], both)
