"""Scaffolds cut from a Gaussian random field: blobs, sponges, dealloyed metals.

    pore = {g > level},   ⟨g(r₀) g(r₀ + r)⟩ = exp(−r²/ℓ²)

g is a sum of plane waves that fit the sample, with Gaussian amplitudes of variance
exp(−k²ℓ²/4), made by a Fourier transform; the sample repeats itself across all its
ends. For a level u in standard deviations (Rice's formula in three dimensions):

    porosity       ε = 1 − Φ(u)
    specific area  a = (2/π) √(2/ℓ²) exp(−u²/2)

Berk, Phys. Rev. A 44, 5069 (1991), doi:10.1103/PhysRevA.44.5069; Adler, The Geometry of
Random Fields (1981), doi:10.1137/1.9780898718980.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import refuse
from depojax._types import Nodes, as_float
from depojax.fv.grid import Grid, along
from depojax.scaffold.features import uniform_grid
from depojax.scaffold.implicit import (
    as_key,
    at_porosity,
    in_voxels,
    porosity_on_nodes,
)
from depojax.scaffold.scaffold import Scaffold

_SHORTEST = 3.0  # correlation length in voxels


def gaussian_random_field(
    shape: Sequence[int],
    voxel_size: Any,
    *,
    porosity: Any,
    correlation_length: Any,
    key: Any,
    periodic: Sequence[bool] = (False, False, False),
) -> Scaffold:
    """Level cut of a Gaussian random field, differentiable in all but the key.

    Args:
        shape: cells (x, y, z).
        voxel_size: edge of the cubic cells [m].
        porosity: volume below the level not counted, 0.2–0.8 [-]; may be graded. Pores
            that do not reach the top are closed; `porosity + closed_pore_fraction` of
            the scaffold is what was asked for.
        correlation_length: ℓ, at which the correlation of the field falls to 1/e [m],
            one number or one per axis (x, y, z); at least 3 voxels and at most a third
            of the longest side. At porosity ½ the mean chord of a pore is 2.2 ℓ.
        key: whole number or jax key; the same key gives the same sample, also at
            another resolution of the same box.
        periodic: axes whose two ends are one; the sample closes on every axis.

    Raises `ValueError` for lengths and porosities beyond these (outside of 0.2–0.8 one
    of the phases falls apart), or a key that is none. Traced numbers are not looked at.

    Good values: porosity 0.4–0.7, 4–8 voxels per ℓ, 8 or more ℓ per side.
    """
    grid = uniform_grid(shape, voxel_size, periodic)
    target = porosity_on_nodes(
        porosity, grid, 0.2, 0.8,
        "Beyond, pore or solid falls into islands: use a foam, gyroid or fibres.",
    )  # fmt: skip
    lengths = _lengths_in_voxels(correlation_length, grid)
    return at_porosity(_field(lengths, as_key(key), grid.shape), grid, target)


def _lengths_in_voxels(correlation_length: Any, grid: Grid) -> Float[Array, "3"]:
    length = as_float(correlation_length)
    if length.shape not in ((), (3,)):
        raise refuse("correlation_length", "one number or one per axis", length.shape)
    length = in_voxels(
        "correlation_length", length, grid, _SHORTEST, max(grid.shape) / 3,
        "Use a smaller voxel_size, or a larger sample.",
    )  # fmt: skip
    return jnp.broadcast_to(length, (3,))


@eqx.filter_jit
def _field(
    lengths: Float[Array, "3"], key: Array, shape: tuple[int, int, int]
) -> Nodes:
    """The field on the nodes, of unit variance over all keys; `lengths` in voxels."""
    waves = [np.fft.fftfreq(n, 1 / n).round().astype(np.int32) for n in shape]
    exponent = jnp.zeros(shape, lengths.dtype)
    for axis, (wave, n) in enumerate(zip(waves, shape, strict=True)):
        k = along(jnp.asarray(2 * np.pi / n * wave, lengths.dtype), axis)
        exponent = exponent + (k * lengths[axis]) ** 2 / 8
    amplitude = jnp.exp(-exponent)
    amplitude = amplitude / jnp.sqrt(jnp.sum(amplitude**2))
    parts = amplitude[..., None] * _noise(key, waves).astype(lengths.dtype)
    field = jnp.real(jnp.fft.fftn(jax.lax.complex(parts[..., 0], parts[..., 1])))
    return jnp.pad(field, [(0, 1)] * 3, mode="wrap")


def _noise(key: Array, waves: Sequence[np.ndarray]) -> Float[Array, "x y z 2"]:
    """Two normal numbers for each wave, decided by its whole-number address.

    Drawn one by one, so that a finer grid only adds waves, and in float32, so that a
    key means one sample in every precision.
    """

    def draw(key, *address):
        for number in address:
            key = jax.random.fold_in(key, number)
        return jax.random.normal(key, (2,), jnp.float32)

    for axis in (2, 1, 0):
        draw = jax.vmap(draw, (None, *(0 if a == axis else None for a in range(3))))
    return draw(key, *(jnp.asarray(wave.astype(np.uint32)) for wave in waves))
