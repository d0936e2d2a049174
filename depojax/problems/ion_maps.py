"""What a space charge is like at each place on the metal.

Every cell belongs to the place on the metal that is nearest to it, as seen through open
faces. Its charge counts there: the mean over the metal's area of what is found place by
place is what is found for the cell as a whole.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from depojax._types import Cells, Scalar
from depojax.problems.ion_model import IonFields, IonModel, Passing
from depojax.problems.ion_reactions import layers_before
from depojax.solvers.stencil import interior


def metal_area(model: IonModel) -> Cells:
    """Of host and open collector, in each cell [m²]."""
    shape = model.grid.shape
    return model.host.area + model.floor.into_cells(model.floor.area, shape)


def nearest_metal(model: IonModel) -> Int[Array, "x y z"]:
    """Flat index of the cell with metal that is nearest; −1 where none is reached.

    Labels spread from cell to cell through open faces, for as long as one comes nearer.
    """
    grid, shape = model.grid, model.grid.shape
    own = jnp.arange(model.pore_volume.size).reshape(shape)
    labels = jnp.where(metal_area(model) > 0, own, -1)
    places = [
        jnp.broadcast_to(jnp.expand_dims(x, [a for a in range(3) if a != axis]), shape)
        for axis, x in enumerate(grid.centers)
    ]
    is_open = [interior(faces, shape) > 0 for faces in model.faces.faces]

    def square(labels: Array) -> Array:
        total = jnp.zeros(shape, model.pore_volume.dtype)
        for place, length, wraps in zip(
            places, grid.lengths, grid.periodic, strict=True
        ):
            way = jnp.abs(place - place.ravel()[jnp.maximum(labels, 0)])
            way = jnp.minimum(way, length - way) if wraps else way
            total = total + way**2
        return jnp.where(labels >= 0, total, jnp.inf)

    def spread(state):
        labels, _ = state
        best, least = labels, square(labels)
        for axis in range(3):
            last = jnp.arange(shape[axis]) == shape[axis] - 1
            last = jnp.expand_dims(last, [a for a in range(3) if a != axis])
            above = is_open[axis] & (~last | grid.periodic[axis])
            for side, passes in ((-1, above), (1, jnp.roll(above, 1, axis))):
                other = jnp.where(passes, jnp.roll(labels, side, axis), -1)
                far = square(other)
                best = jnp.where(far < least, other, best)
                least = jnp.minimum(far, least)
        return best, jnp.any(best != labels)

    start = (labels, jnp.asarray(True))
    return jax.lax.while_loop(lambda state: state[1], spread, start)[0]


def local_thickness(
    model: IonModel, nearest: Array, x: IonFields, passing: Passing
) -> Cells:
    """Of the space charge at each place on the metal [m]; 0 where there is none."""
    area = metal_area(model)
    if model.layered:
        host, floor = layers_before(model, x, passing)[:2]
        floor = model.floor.into_cells(model.floor.area * floor, area.shape)
        charged = model.host.area * host + floor
    else:
        volume = model.charged_volume(x).ravel()
        to = jnp.where(nearest >= 0, nearest, volume.size).ravel()
        charged = jnp.zeros_like(volume).at[to].add(volume, mode="drop")
        charged = charged.reshape(area.shape)
    return jnp.where(area > 0, charged / jnp.where(area > 0, area, 1.0), 0.0)


def crossed(level: Scalar, before: Cells, after: Cells, t: Scalar, dt: Scalar) -> Cells:
    """When a field that rises from t to t + dt passes a level; inf where it does not.

    A straight line between both.
    """
    rise = after - before
    share = (level - before) / jnp.where(rise > 0, rise, 1.0)
    passes = (before <= level) & (after > level)
    return jnp.where(passes, t + jnp.clip(share, 0.0, 1.0) * dt, jnp.inf)
