"""Topology optimisation: a density in every cell, free to be metal or void.

    x  →  ρ = 1/(1 + e^(−x))  →  (1 − r²∇²) ρ̃ = ρ  →  ρ̄ = H_β(ρ̃)  →  scaffold

The filter gives the density a length, the projection makes it all but 0 or 1, and a
`PorousMedium` says what a cell of density ρ̄ does: porosity, transport, area and
conductivity. Eroded and dilated projections of one design, all three good, keep
features and gaps above a size.

Filter: Lazarov & Sigmund, Int. J. Numer. Meth. Eng. 86 (2011) 765,
doi:10.1002/nme.3072; projection and robust designs: Wang, Lazarov & Sigmund, Struct.
Multidisc. Optim. 43 (2011) 767, doi:10.1007/s00158-010-0602-y; RAMP: Stolpe & Svanberg,
Struct. Multidisc. Optim. 22 (2001) 116, doi:10.1007/s001580100129; SIMP: Bendsøe &
Sigmund, Topology Optimization (2003).
"""

import dataclasses
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array

from depojax._checks import (
    check_array_shape,
    check_choice,
    check_plausible,
    check_range,
    refuse,
)
from depojax._types import Cells, Scalar, as_float, is_traced, quantity, static
from depojax.design.parameters import FreeDensity
from depojax.fv.grid import Grid
from depojax.fv.operators import conductances, without_ends
from depojax.problems.salt_balance import solve_diffusion
from depojax.scaffold.scaffold import Scaffold
from depojax.solvers.linear import DiffusionOperator
from depojax.solvers.multigrid import build_hierarchy
from depojax.solvers.results import RESULTS, SolveError
from depojax.solvers.stencil import FaceStencil

Law = Literal["ramp", "simp"]


def helmholtz_filter(
    field: Cells, grid: Grid, radius: Any, *, linear_tolerance: float | None = None
) -> Cells:
    """The smooth field ρ̃ with (1 − r²∇²) ρ̃ = ρ, and no flux through the ends.

    A Green's function e^(−d/r)/d in place of a ball: r is its length [m], the ball of
    the same spread has the radius 2√3 r. The mean stays as it is to round-off, and no
    value leaves the range of `field`. One multigrid solve, a second for the gradient.

    Args:
        field: one number per cell.
        grid: its cells.
        radius: r [m]. Good values: 1.5 to 5 cells.
        linear_tolerance: relative residual; 1e-9, or 1e-5 in float32, by default.

    Raises `ValueError` for a field of another shape or a radius that is no length;
    `SolveError` for a failed solve.
    """
    check_array_shape("field", field, grid.shape)
    check_plausible("radius", radius, 1e-12, 1e-1, "m", "5 * um")
    single = as_float(field).dtype == jnp.float32
    if linear_tolerance is None:
        linear_tolerance = 1e-5 if single else 1e-9
    check_range("linear_tolerance", linear_tolerance, 1e-14, 0.1)
    smooth, good = _filtered(
        as_float(field), grid, as_float(radius), float(linear_tolerance)
    )
    if not is_traced(good) and not bool(good):
        raise SolveError(str(RESULTS[RESULTS.linear_solve_failed]))
    return smooth


@eqx.filter_jit
def _filtered(field: Cells, grid: Grid, radius: Scalar, rtol: float):
    volumes = jnp.broadcast_to(grid.volumes, grid.shape)
    # In cells' volumes, so that float32 in the cycle has numbers of one size.
    unit = jax.lax.stop_gradient(jnp.max(volumes))
    ones = (
        jnp.ones([n + (a == axis) for a, n in enumerate(grid.shape)], grid.dtype)
        for axis in range(3)
    )
    x, y, z = ones
    g = without_ends(conductances(grid, (x, y, z)), grid.periodic)
    x, y, z = (radius**2 / unit * face for face in g)
    stencil = FaceStencil.of_conductance((x, y, z), grid.periodic)
    mass, none = volumes / unit, jnp.zeros(grid.shape, grid.dtype)
    hierarchy = build_hierarchy(grid, mass, none, stencil, jnp.float32)
    operator = DiffusionOperator(mass, none, stencil, jnp.ones((), grid.dtype))
    smooth, good, _ = solve_diffusion(operator, hierarchy, mass * field, field, rtol)
    return smooth, good


def project(field: Any, sharpness: Any, threshold: Any = 0.5) -> Array:
    """A smooth step at a threshold, 0 at 0 and 1 at 1.

        H = (tanh βη + tanh β(ρ̃ − η)) / (tanh βη + tanh β(1 − η))

    Args:
        field: ρ̃ in [0, 1].
        sharpness: β. Good values: 1 to begin with, doubled once the design has settled,
            up to 16 or 32 (continuation); 0 leaves the field as it is.
        threshold: η in (0, 1).
    """
    check_range("sharpness", sharpness, 0.0, 1e3)
    check_range("threshold", threshold, 0.0, 1.0, open_low=True, open_high=True)
    rho, eta = as_float(field), as_float(threshold)
    # Towards β = 0 it is ρ̃; the quotient of two small numbers would be round-off.
    beta = jnp.maximum(as_float(sharpness), 1e-4)
    low = jnp.tanh(beta * eta)
    return (low + jnp.tanh(beta * (rho - eta))) / (low + jnp.tanh(beta * (1 - eta)))


def ramp(density: Any, penalty: Any) -> Array:
    """ρ/(1 + q (1 − ρ)): grey cells give less than their share. Good values: q = 3…8.

    Its slope at ρ = 0 is 1/(1 + q), not zero: nothing gets stuck.
    """
    check_range("penalty", penalty, 0.0, 1e3)
    rho = as_float(density)
    return rho / (1 + as_float(penalty) * (1 - rho))


def simp(density: Any, penalty: Any) -> Array:
    """ρ^p. Good values: p = 3. Its slope at ρ = 0 is zero for p > 1."""
    check_range("penalty", penalty, 1.0, 1e2)
    return as_float(density) ** as_float(penalty)


def feature_size(radius: Any, offset: Any) -> Any:
    """Thinnest sheet of a design whose eroded projection still has it [m].

        w = 2 r arcosh(1/(1 − 2Δη)),    thresholds ½ ± Δη,  β → ∞

    Of a sheet of ones with the width h the filter leaves 1 − e^(−h/2r) in its middle,
    which must reach ½ + Δη; of that sheet's ρ̃ the part above ½ is w wide. The same
    holds for gaps and the dilated projection. Pillars come out thicker.
    """
    check_range("offset", offset, 0.0, 0.5, open_low=True, open_high=True)
    return 2 * as_float(radius) * jnp.arccosh(1 / (1 - 2 * as_float(offset)))


def threshold_offset(radius: Any, size: Any) -> Any:
    """Δη with which sheets and gaps are no thinner than `size` [m]; see `feature_size`.

    Δη = ½ (1 − 1/cosh(w/2r))
    """
    check_plausible("radius", radius, 1e-12, 1e-1, "m", "5 * um")
    check_plausible("size", size, 1e-12, 1e-1, "m", "10 * um")
    return (1 - 1 / jnp.cosh(as_float(size) / (2 * as_float(radius)))) / 2


class PorousMedium(eqx.Module):
    """What a cell of density ρ does, between an empty one and a dense one.

        ε = ε_void + (ε_dense − ε_void) ρ,      D_eff/D = ε^b
        a = R(ρ) 4 (ε_void − ε_dense)/d,        σ = σ_dense (s + (1 − s) R(ρ))

    R is `ramp` or `simp`: mass grows as ρ, area and conduction lag behind, so that
    cells pay which are either. (A medium of struts with the diameter d.)

    Good values: ε_void 0.999 (a trace of solid keeps all equations alive), ε_dense 0.5
    to 0.8 for foams and papers, b = 1.5 (Bruggeman), s = 1e-4 to 1e-6.
    """

    strut_diameter: Scalar = quantity()  # d [m]
    dense_porosity: Scalar = quantity()  # ε_dense [-]
    void_porosity: Scalar = quantity(default=0.999)  # ε_void [-]
    exponent: Scalar = quantity(default=1.5)  # b [-]
    conductivity: Scalar = quantity(default=1e4)  # σ_dense of the medium [S m-1]
    trace: Scalar = quantity(default=1e-4)  # s [-]
    penalty: Scalar = quantity(default=4.0)  # q or p
    law: Law = static(default="ramp")

    def __check_init__(self):
        check_plausible(
            "strut_diameter", self.strut_diameter, 1e-9, 1e-2, "m", "5 * um"
        )
        for name in ("dense_porosity", "void_porosity"):
            value = getattr(self, name)
            check_range(name, value, 0.0, 1.0, open_low=True, open_high=True)
        if not any(map(is_traced, (self.dense_porosity, self.void_porosity))):
            dense, void = float(self.dense_porosity), float(self.void_porosity)
            if dense >= void:
                raise refuse("dense_porosity", f"below void_porosity, {void:g}", dense)
        check_range("exponent", self.exponent, 1.0, 10.0)
        check_plausible(
            "conductivity", self.conductivity, 1e-9, 1e9, "S m⁻¹", "1e2 * S / cm"
        )
        check_range("trace", self.trace, 0.0, 1.0, open_low=True)
        check_choice("law", self.law, get_args(Law))

    def share(self, density: Array) -> Array:
        """R(ρ)."""
        return (ramp if self.law == "ramp" else simp)(density, self.penalty)

    def scaffold(self, density: Cells, grid: Grid) -> Scaffold:
        """The homogenised host of a density."""
        fall = self.void_porosity - self.dense_porosity
        eps = self.void_porosity - fall * density
        area = 4 * fall / self.strut_diameter * self.share(density)
        return Scaffold.homogenised(grid, eps, eps ** (1 - self.exponent), area)

    def solid_conductivity(self, density: Cells) -> Cells:
        """σ for electrons [S m⁻¹]: what `Cell(solid_conductivity=...)` takes."""
        return self.conductivity * (self.trace + (1 - self.trace) * self.share(density))


class FilteredDensity(eqx.Module):
    """A free density, filtered and projected, as a homogenised host.

        free = FreeDensity.uniform(0.3, (48, 48, 48), 2 * um, keep_mean=True)
        design = FilteredDensity(free, medium, radius=4 * um)
        for beta in (1, 2, 4, 8):
            design = optimise(loss, design.sharper(beta), …).design

    Args:
        free: what is designed: ρ in every cell.
        medium: what a cell of density ρ̄ does.
        radius: r of the filter [m].
        sharpness: β of the projection.
        threshold: η; by default the one at which the projection keeps the mean, so that
            a `FreeDensity` which keeps its mean keeps the mass.
        offset: added to η; positive erodes, see `eroded`.

    `build()` gives the scaffold, `solid_conductivity()` what goes with it.
    """

    free: FreeDensity
    medium: PorousMedium
    radius: Scalar
    sharpness: Scalar
    threshold: Scalar | None
    offset: Scalar

    def __init__(
        self,
        free: FreeDensity,
        medium: PorousMedium,
        *,
        radius: Any,
        sharpness: Any = 1.0,
        threshold: Any = None,
        offset: Any = 0.0,
    ):
        if not isinstance(free, FreeDensity):
            raise refuse("free", "a FreeDensity", type(free).__name__)
        check_plausible("radius", radius, 1e-12, 1e-1, "m", "5 * um")
        check_range("sharpness", sharpness, 0.0, 1e3)
        if threshold is not None:
            check_range("threshold", threshold, 0.0, 1.0, open_low=True, open_high=True)
            threshold = as_float(threshold)
        check_range("offset", offset, -0.5, 0.5, open_low=True, open_high=True)
        self.free, self.medium = free, medium
        self.radius, self.sharpness = as_float(radius), as_float(sharpness)
        self.threshold, self.offset = threshold, as_float(offset)

    @property
    def grid(self) -> Grid:
        """The cells."""
        return self.free.grid

    @property
    def filtered(self) -> Cells:
        """ρ̃."""
        return helmholtz_filter(self.free.cells, self.grid, self.radius)

    @property
    def density(self) -> Cells:
        """ρ̄, what is built."""
        rho, eta = self.filtered, self.threshold
        if eta is None:
            eta = mean_keeping_threshold(rho, self.grid, self.sharpness)
        # Kept off the ends, where a step has no middle.
        eta = jnp.clip(eta + self.offset, 0.01, 0.99)
        return project(rho, self.sharpness, eta)

    def build(self) -> Scaffold:
        """The homogenised host."""
        return self.medium.scaffold(self.density, self.grid)

    def solid_conductivity(self) -> Cells:
        """Of the host for electrons [S m⁻¹]."""
        return self.medium.solid_conductivity(self.density)

    def sharper(self, sharpness: Any) -> "FilteredDensity":
        """The same with another β: the next step of a continuation."""
        check_range("sharpness", sharpness, 0.0, 1e3)
        return dataclasses.replace(self, sharpness=as_float(sharpness))

    def eroded(self, offset: Any) -> "FilteredDensity":
        """The design as too little of it is made: η + Δη; dilated where negative."""
        return dataclasses.replace(self, offset=as_float(offset))

    def greyness(self) -> Scalar:
        """4 mean(ρ̄ (1 − ρ̄)): 0 for a design of 0 and 1, 1 where all is grey [-]."""
        rho, volumes = self.density, self.grid.volumes
        return 4 * jnp.sum(volumes * rho * (1 - rho)) / jnp.sum(volumes)


def mean_keeping_threshold(field: Cells, grid: Grid, sharpness: Any) -> Scalar:
    """The threshold η at which `project` keeps the mean of a field [-].

    Xu, Cai & Cheng, Struct. Multidisc. Optim. 41 (2010) 495,
    doi:10.1007/s00158-009-0452-7.
    """
    weights = jnp.broadcast_to(grid.volumes / grid.volume, grid.shape)
    return _mean_keeping(field, weights, as_float(sharpness).astype(field.dtype))


@jax.jit
def _mean_keeping(field: Cells, weights: Cells, beta: Scalar) -> Scalar:
    def excess(eta, arguments):
        field, weights, beta = arguments
        return jnp.sum(weights * (project(field, beta, eta) - field))

    tolerance = 4 * float(jnp.finfo(field.dtype).eps)
    found = optx.root_find(
        excess,
        optx.Bisection(rtol=tolerance, atol=tolerance),
        jnp.full((), 0.5, field.dtype),
        (field, weights, beta),
        options={
            "lower": jnp.full((), 1e-6, field.dtype),
            "upper": jnp.full((), 1 - 1e-6, field.dtype),
        },
        max_steps=100,
        throw=False,
    )
    # Where β is all but 0 any threshold keeps the mean, and there is no bracket.
    return jnp.where(beta > 1e-2, found.value, 0.5)
