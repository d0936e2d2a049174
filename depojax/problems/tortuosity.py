"""Tortuosity factor, effective-diffusivity tensor, and their maps.

Steady diffusion through the pores (or conduction through the solid) of a host, one
value held at one end and another at the other:

    D_eff/D = flux × length / (area × difference × D),    τ = ε D/D_eff

τ is the tortuosity *factor* (not to be squared), 1 for an open box. What comes out is
that of the sample as its sides are: mirrors, or periodic where the grid is.

Torquato, Random Heterogeneous Materials (2002), ch. 13; for the names Landesfeind et
al., J. Electrochem. Soc. 163 (2016) A1373, doi:10.1149/2.1141607jes.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from depojax._checks import check_choice, check_range, refuse
from depojax._compile import compiled_quickly
from depojax._sums import matmul
from depojax._types import Cells, Faces, Scalar, is_traced, static
from depojax.fv.grid import AXES, Grid, along, axis_index
from depojax.fv.operators import faces_between, harmonic_to_faces
from depojax.problems.conduction import Conduction, Sides, along_axis
from depojax.scaffold.scaffold import Scaffold, flood
from depojax.solvers.results import RESULTS, SolveError

PHASES = ("pore", "solid")
PRECISIONS = ("mixed", "float64", "float32")
# D_eff/(ε D) below which nothing may pass at all: then the paths are counted.
NARROW = 1e-3


class Tortuosity(eqx.Module):
    """How a phase conducts along one axis. `message` says it in words."""

    effective_diffusivity: Scalar  # D_eff/D [-]
    porosity: Scalar  # volume of the phase, closed parts included / total volume [-]
    flux_in: Scalar  # mean flux at the two ends, per unit of D and mean gradient [-]
    flux_out: Scalar
    field: Cells  # 1 at the low end, 0 at the high end, 0 off the phase [-]
    percolates: Bool[Array, ""]  # whether any path leads from end to end
    iterations: Int[Array, ""]
    residual: Scalar  # of the linear solve, relative ‖·‖₂ [-]
    result: RESULTS
    grid: Grid
    axis: str = static()
    phase: str = static()

    @property
    def tortuosity_factor(self) -> Scalar:
        """τ = ε D/D_eff [-]; infinite where nothing passes."""
        passes = self.percolates
        D = jnp.where(passes, self.effective_diffusivity, 1.0)
        return jnp.where(passes, self.porosity / D, jnp.inf)

    @property
    def flux_mismatch(self) -> Scalar:
        """|flux in − flux out| / their mean [-]."""
        mean = jnp.abs(self.flux_in + self.flux_out) / 2
        return jnp.abs(self.flux_in - self.flux_out) / jnp.where(mean > 0, mean, 1.0)

    @property
    def message(self) -> str:
        """What came out, in a sentence."""
        if bool(self.result != RESULTS.successful):
            return str(RESULTS[self.result])
        if not bool(self.percolates):
            return (
                f"The {self.phase} does not percolate along {self.axis}: nothing "
                "passes, the tortuosity factor is infinite."
            )
        return (
            f"Tortuosity factor {float(self.tortuosity_factor):.4g} along {self.axis}: "
            f"D_eff/D = {float(self.effective_diffusivity):.4g} at a volume fraction "
            f"of {float(self.porosity):.4g}."
        )


def tortuosity(
    scaffold: Any,
    axis: str | int = "z",
    phase: str = "pore",
    *,
    linear_tolerance: float | None = None,
    precision: str | None = None,
    throw: bool = True,
) -> Tortuosity:
    """Tortuosity factor of a host along an axis.

    Args:
        scaffold: a `Scaffold`, or a voxel image: of booleans (True where the phase is)
            or of floats (the local diffusivity of each voxel, for several phases).
        axis: "x", "y" or "z".
        phase: "pore" or "solid". Pores that were closed on construction count as
            solid.
        linear_tolerance: relative residual of the linear solve; 1e-8, or 1e-5 in
            float32, by default. The error of D_eff is about its square: 1e-3 already
            gives five digits.
        precision: "float64", "mixed" (a float32 cycle inside float64 iterations, the
            default) or "float32". Without 64-bit JAX all is float32.
        throw: raise `SolveError` when the solve fails, instead of saying so in
            `result`.

    Differentiable in the scaffold. The gradient of τ, D_eff and the porosity costs no
    solve beyond the one of the value, that of the field one more.

    Raises `ValueError` for an unknown axis or phase, an image of labels or grey values,
    and for a phase that is absent; `SolveError` for a failed solve.
    """
    number = axis_index(axis)
    sample = sample_of(scaffold, phase, precision)
    tolerance = tolerance_of(sample, linear_tolerance)
    found = _tortuosity(sample, number, phase, tolerance)
    if is_traced(found.effective_diffusivity):
        return found
    if float(found.effective_diffusivity) <= NARROW * float(found.porosity):
        passes = has_path(sample, number)
        if bool(passes):
            found = dataclasses.replace(found, percolates=passes)
        else:
            found = _blocked(found)
    if throw and bool(found.result != RESULTS.successful):
        raise SolveError(str(RESULTS[found.result]), found)
    return found


def effective_diffusivity(
    scaffold: Any,
    phase: str = "pore",
    *,
    sides: Sides = "insulated",
    linear_tolerance: float | None = None,
    precision: str | None = None,
) -> Float[Array, "3 3"]:
    """D_eff/D of a host as a symmetric tensor [-].

    Periodic axes of the grid are homogenised as such. On the others, `sides` are

        "insulated"  mirrors: the tensor of the sample continued by reflection, exact
                     for octants and layers. Parts between such axes vanish.
        "linear"     the potential x_i is prescribed on all of them: the parts off the
                     diagonal of a window of a larger medium, and an upper bound.

    Other arguments, refusals and derivatives as for `tortuosity`.
    """
    check_choice("sides", sides, ("insulated", "linear"))
    sample = sample_of(scaffold, phase, precision)
    tolerance = tolerance_of(sample, linear_tolerance)
    tensor, good = tensor_of(sample, sides, tolerance)
    if not is_traced(good) and not bool(good):
        raise SolveError(str(RESULTS[RESULTS.linear_solve_failed]))
    return tensor


class Sample(eqx.Module):
    """A phase on a grid: how open its faces and cells are."""

    grid: Grid
    faces: Faces | None  # None: those between voxels of the phase
    fraction: Cells | Bool[Array, "x y z"]
    closed: Scalar  # volume of the phase that was left out / total volume
    mixed: bool = static(default=True)

    @property
    def open_faces(self) -> Faces:
        if self.faces is None:
            return faces_between(self.fraction, self.grid.periodic, self.grid.dtype)
        return self.faces

    @property
    def cycle_dtype(self):
        """Precision of the multigrid cycle."""
        return jnp.float32 if self.mixed else self.grid.dtype

    def problem(self, sides: Sides = "insulated") -> Conduction:
        """Steady conduction through the phase."""
        faces = self.fraction if self.faces is None else self.faces
        return Conduction(self.grid, faces, sides)

    @property
    def occupied(self) -> Bool[Array, "x y z"]:
        """Where there is any of the phase."""
        return self.fraction if self.fraction.dtype == bool else self.fraction > 0

    @property
    def porosity(self) -> Scalar:
        """Volume of the phase, with what was closed, / total volume."""
        x, y, z = self.grid.widths
        part = matmul(matmul(matmul(self.fraction.astype(z.dtype), z), y), x)
        return part / self.grid.volume + self.closed


def sample_of(scaffold: Any, phase: str, precision: str | None) -> Sample:
    """The phase of a scaffold, or of an image, in the precision asked for."""
    check_choice("phase", phase, PHASES)
    if precision is not None:
        check_choice("precision", precision, PRECISIONS)
    if isinstance(scaffold, Scaffold):
        sample = _of_scaffold(scaffold, phase)
    else:
        sample = _of_image(scaffold, phase)
    if not is_traced(sample.fraction):
        # Where the image is: to look through it here takes longer than a GPU's solve.
        with jax.ensure_compile_time_eval():
            some = jnp.any(sample.occupied)
        if not bool(some):
            raise refuse(
                "scaffold", f"some {phase}", "none", "Check which phase is meant."
            )
    double = jnp.result_type(float) == jnp.float64
    if precision == "float64" and not double:
        raise refuse(
            "precision",
            "mixed or float32",
            "float64",
            'Enable it first: jax.config.update("jax_enable_x64", True).',
        )
    if precision == "float32":
        sample = jax.tree.map(_to_single, sample)
    return dataclasses.replace(sample, mixed=precision != "float64")


def _to_single(x: Array) -> Array:
    return x.astype(jnp.float32) if jnp.issubdtype(x.dtype, jnp.floating) else x


def _of_scaffold(scaffold: Scaffold, phase: str) -> Sample:
    faces, fraction = scaffold.face_transmission, scaffold.pore_fraction
    if phase == "pore":
        return Sample(scaffold.grid, faces, fraction, scaffold.closed_pore_fraction)
    if not scaffold.resolved:
        raise refuse(
            "phase", '"pore" for a homogenised host', '"solid"', "It has no solid."
        )
    # Behind a face that is a wall, as those between voxels are, there is no solid.
    solid = 1 - fraction
    between = faces_between(solid > 0, scaffold.grid.periodic, solid.dtype)
    x, y, z = ((1 - face) * both for face, both in zip(faces, between, strict=True))
    return Sample(scaffold.grid, (x, y, z), solid, jnp.zeros_like(fraction[0, 0, 0]))


def _of_image(image: Any, phase: str) -> Sample:
    if phase == "solid":
        raise refuse(
            "phase", '"pore" for an image', '"solid"', "Give the image of the solid."
        )
    values = jnp.asarray(image)
    local = jnp.issubdtype(values.dtype, jnp.floating)
    if values.ndim != 3 or not (local or values.dtype == bool):
        raise refuse(
            "scaffold",
            "a Scaffold, or a voxel image of booleans (or of floats: the local "
            "diffusivity) with three axes",
            f"{values.ndim}D {values.dtype}",
            "Say which voxels are of the phase: image > threshold.",
        )
    # Any edge will do: nothing that comes out has a length.
    grid = Grid.uniform(values.shape, jnp.asarray(1e-6, jnp.result_type(float)))
    zero = jnp.zeros((), grid.dtype)
    if not local:
        return Sample(grid, None, values, zero)
    check_range("local diffusivity", values, 0.0, float("inf"))
    values = values.astype(grid.dtype)
    x, y, z = (harmonic_to_faces(grid, values, axis) for axis in range(3))
    return Sample(grid, (x, y, z), values > 0, zero)


def tolerance_of(sample: Sample, asked: float | None) -> Scalar:
    """Relative residual of the linear solves: the one asked for, or a good one."""
    if asked is not None:
        check_range("linear_tolerance", asked, 1e-14, 0.1)
    else:
        asked = 1e-8 if sample.grid.dtype == jnp.float64 else 1e-5
    # An array: another number is no new program.
    return jnp.asarray(asked, sample.grid.dtype)


@compiled_quickly
def _tortuosity(sample: Sample, axis: int, phase: str, rtol: Scalar) -> Tortuosity:
    problem = sample.problem()
    direction = along_axis(axis)
    part = problem.fluctuation(direction, rtol, sample.cycle_dtype)
    w, grid = part.potential, sample.grid
    D = problem.energy((direction, w), (direction, w)) / grid.volume
    flux_in, flux_out = problem.end_fluxes(axis, w)
    height = along(grid.centers[axis], axis)
    return Tortuosity(
        effective_diffusivity=D,
        porosity=sample.porosity,
        flux_in=flux_in,
        flux_out=flux_out,
        field=jnp.where(part.active, 1 - (height + w) / grid.lengths[axis], 0.0),
        # What is left of a flux that stops somewhere is round-off and unfinished work.
        percolates=jax.lax.stop_gradient(1e-6 * sample.porosity < D),
        iterations=part.iterations,
        residual=part.residual,
        result=RESULTS.where(
            part.converged, RESULTS.successful, RESULTS.linear_solve_failed
        ),
        grid=grid,
        axis=AXES[axis],
        phase=phase,
    )


@compiled_quickly
def tensor_of(
    sample: Sample, sides: Sides, rtol: Scalar
) -> tuple[Float[Array, "3 3"], Bool[Array, ""]]:
    """The tensor of a sample, and whether every solve converged."""
    problem = sample.problem(sides)

    def solve(direction):
        part = problem.fluctuation(tuple(direction), rtol, sample.cycle_dtype)
        return part.potential, part.converged

    # One program for all three, and one after the other.
    axes = jnp.eye(3, dtype=sample.grid.dtype)
    w, good = jax.lax.map(solve, axes)

    def energy(pair):
        (i, j) = pair
        return problem.energy((tuple(axes[i]), w[i]), (tuple(axes[j]), w[j]))

    periodic = sample.grid.periodic
    pairs = [(i, i) for i in range(3)]
    pairs += [
        (i, j)
        for i, j in ((0, 1), (0, 2), (1, 2))
        # Between axes with mirrors the sample and its mirror image cancel.
        if sides == "linear" or (periodic[i] and periodic[j])
    ]
    i, j = jnp.asarray(pairs).T
    values = jax.lax.map(energy, (i, j)) / sample.grid.volume
    rows = jnp.zeros((3, 3), sample.grid.dtype)
    return rows.at[i, j].set(values).at[j, i].set(values), jnp.all(good)


def has_path(sample: Sample, axis: int) -> Bool[Array, ""]:
    """Whether open faces lead from one end of an axis to the other."""
    faces = sample.open_faces
    there = flood(faces, sample.occupied, sample.grid.periodic, axis=axis, end=0)
    last = (slice(None),) * axis + (-1,)
    return jnp.any(there[last] & (faces[axis][last] > 0))


def _blocked(found: Tortuosity) -> Tortuosity:
    """The result once it is known that nothing can pass."""
    zero = jnp.zeros_like(found.effective_diffusivity)
    return dataclasses.replace(
        found,
        effective_diffusivity=zero,
        flux_in=zero,
        flux_out=zero,
        percolates=jnp.zeros_like(found.percolates),
    )
