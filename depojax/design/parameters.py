"""Designs: what an optimiser may change about a host, a cell, or how it is driven.

    variables  →  values within bounds  →  build()  →  Scaffold, Cell, Step

Each design is a tree with variables (`depojax.design.variables`) in it, and `build()`
makes of it what the verbs of depojax take, differentiably. `DesignedScaffold` stands
for every generator and every argument of it; `GradedPorosity` is the one most asked
for. `DesignedCell` changes numbers of a cell by their names.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import (
    check_array_shape,
    check_choice,
    check_fraction,
    check_integer,
    check_plausible,
    check_range,
    nearest,
    refuse,
)
from depojax._types import Cells, Scalar, as_float, quantity, static
from depojax.design.fields import AbstractField, Profile
from depojax.design.variables import (
    AbstractVariable,
    Balanced,
    Bounded,
    is_variable,
)
from depojax.fv.grid import Grid
from depojax.problems.cell import Cell
from depojax.problems.steps import CurrentProfile
from depojax.scaffold.averages import averaged_foam
from depojax.scaffold.foams import foam
from depojax.scaffold.scaffold import Scaffold
from depojax.scaffold.tpms import gyroid


class DesignedScaffold(eqx.Module):
    """A generator some of whose arguments are design variables or fields of them.

        DesignedScaffold(
            dj.gyroid, (32, 32, 32), 2 * um, period=32 * um, kind="sheet",
            porosity=VolumeField(Bounded(jnp.full((4, 4, 4), 0.7), 0.3, 0.9)),
        )

    Args:
        generator: such as `depojax.foam`, `gyroid`, `aligned_channels`,
            `stacked_sheets`, or one of your own with these first two arguments.
        shape: cells (x, y, z).
        voxel_size: edge of the cells [m].
        arguments: of the generator: numbers as ever, variables, `Profile`s along z and
            `VolumeField`s.

    What may go wrong in `build()` with bounds that reach beyond what the generator
    accepts is not looked at while it is traced: choose bounds inside.
    """

    arguments: dict[str, Any]
    generator: Callable[..., Scaffold] = static()
    shape: tuple[int, int, int] = static()
    voxel_size: Float[Array, "..."] = quantity()

    def __init__(
        self,
        generator: Callable[..., Scaffold],
        shape: Sequence[int],
        voxel_size: Any,
        **arguments: Any,
    ):
        if not callable(generator):
            raise refuse("generator", "a function such as depojax.foam", generator)
        self.generator = generator
        x, y, z = shape
        self.shape = (x, y, z)
        self.voxel_size = as_float(voxel_size)
        self.arguments = {
            name: as_float(value) if isinstance(value, float) else value
            for name, value in arguments.items()
        }

    def build(self) -> Scaffold:
        """The scaffold."""
        lengths = jnp.asarray(self.shape, self.voxel_size.dtype) * self.voxel_size
        arguments = {
            name: _as_argument(value, lengths) for name, value in self.arguments.items()
        }
        return self.generator(self.shape, self.voxel_size, **arguments)


def _as_argument(value: Any, lengths: Array) -> Any:
    if isinstance(value, AbstractField):
        return value.over(lengths)
    return value.value if is_variable(value) else value


# Hosts of `GradedPorosity`, with what they need beside the porosity, and the bounds
# of porosity within which they can be built.
_HOSTS: dict[str, tuple[Callable[..., Scaffold], tuple[str, ...], float, float]] = {
    "averaged_foam": (averaged_foam, ("pore_diameter",), 0.3, 0.99),
    "foam": (foam, ("pore_diameter", "key"), 0.6, 0.99),
    "gyroid": (gyroid, ("period",), 0.1, 0.9),
}


class GradedPorosity(eqx.Module):
    """A host whose porosity varies from the collector to the separator.

        design = GradedPorosity.uniform(0.9, n=16)
        cell.with_scaffold(design.build())

    Args:
        porosity: n values from collector to separator, or a variable of them.
        low, high: bounds, where `porosity` is no variable; by default those of the
            host.
        keep_mean: hold the mean porosity, and so the mass of the host, at what it is.
        interpolation: between the values, see `Profile`.
        host: "averaged_foam" (homogenised, the default: cheap, smooth and
            one-dimensional), "foam" or "gyroid" (resolved).
        shape: cells (x, y, z); by default a column of 64, resolved 32 × 32 × 64.
        voxel_size: edge of the cells [m]; by default 3 µm.
        arguments: of the host: `pore_diameter` [m] for foams, by default 60 µm; `key`
            of a resolved one, by default 0; `period` [m] of a gyroid, by default 48 µm.

    Raises `ValueError` for porosities beyond the bounds and an unknown host.
    """

    porosity: Profile
    arguments: dict[str, Any]
    host: str = static()
    shape: tuple[int, int, int] = static()
    voxel_size: Float[Array, "..."] = quantity()

    def __init__(
        self,
        porosity: Any,
        *,
        low: float | None = None,
        high: float | None = None,
        keep_mean: bool = False,
        interpolation: str = "linear",
        host: str = "averaged_foam",
        shape: Sequence[int] | None = None,
        voxel_size: Any = 3e-6,
        **arguments: Any,
    ):
        check_choice("host", host, _HOSTS)
        _, known, lowest, highest = _HOSTS[host]
        for name in arguments:
            if name not in known and name not in ("wall_distance", "kind"):
                raise refuse(
                    "arguments", f"those of {host}", name, nearest(name, known)
                )
        averaged = host == "averaged_foam"
        x, y, z = ((1, 1, 64) if averaged else (32, 32, 64)) if shape is None else shape
        self.shape = (x, y, z)
        if not is_variable(porosity):
            low = lowest if low is None else low
            high = highest if high is None else high
            check_fraction("porosity", porosity)
            if keep_mean:
                n = len(as_float(porosity))
                weights = profile_weights(
                    n, interpolation, self.shape[2], averaged=averaged
                )
                porosity = Balanced(porosity, low, high, weights=weights)
            else:
                porosity = Bounded(porosity, low, high)
        self.porosity = Profile(porosity, interpolation)
        self.host = host
        self.voxel_size = as_float(voxel_size)
        defaults = {"pore_diameter": 60e-6, "key": 0, "period": 48e-6}
        given = {name: defaults[name] for name in known} | arguments
        self.arguments = {
            name: as_float(value) if isinstance(value, float) else value
            for name, value in given.items()
        }

    @classmethod
    def uniform(cls, porosity: Any, *, n: int = 16, **options: Any) -> "GradedPorosity":
        """n times the same porosity; `options` are those of the constructor."""
        check_integer("n", n, 2)
        check_fraction("porosity", porosity)
        return cls(jnp.full(n, as_float(porosity)), **options)

    def build(self) -> Scaffold:
        """The scaffold."""
        return DesignedScaffold(
            _HOSTS[self.host][0],
            self.shape,
            self.voxel_size,
            porosity=self.porosity,
            **self.arguments,
        ).build()


def profile_weights(
    n: int, interpolation: str, cells: int, *, averaged: bool
) -> np.ndarray:
    """What each value of a profile counts in the mean over a host of so many layers.

    An averaged host takes it at the centres of the layers, a resolved one at the nodes.
    """
    nodes = np.arange(cells + 1) / cells
    each = Profile(jnp.ones(n), interpolation).basis
    if averaged:
        return np.asarray(each(jnp.asarray((nodes[1:] + nodes[:-1]) / 2))).mean(0)
    # Resolved hosts take the porosity at the nodes, linear in between.
    on_nodes = np.asarray(each(jnp.asarray(nodes)))
    return ((on_nodes[1:] + on_nodes[:-1]) / 2).mean(0)


class DesignedCell(eqx.Module):
    """A cell some of whose numbers are design variables, called by their names.

        DesignedCell(cell, {
            "electrolyte.concentration": Bounded(1000.0, 500.0, 2000.0),
            "kinetics.exchange_current_density": Profile(Bounded(i0, 0.1, 100.0)),
            "solid_conductivity": Profile(Bounded(sigma, 1.0, 1e6, scale="log")),
        })

    Args:
        cell: what does not change.
        changes: by name. A variable is one number, a field one for every cell of the
            host. "scaffold" takes a design with a `build()` of its own; else a name
            leads to a number in the cell, part by part.

    Graded lithiophilicity is a profile of `kinetics.exchange_current_density` along z;
    that of a substrate on which metal nucleates is a `DesignedNucleation`.

    Raises `ValueError` for a name that leads nowhere.
    """

    cell: Cell
    changes: dict[str, Any]

    def __init__(self, cell: Cell, changes: Mapping[str, Any]):
        if not isinstance(cell, Cell):
            raise refuse("cell", "a depojax.Cell", type(cell).__name__)
        self.cell = cell
        self.changes = dict(changes)
        for name in self.changes:
            _part(cell, name)

    def build(self) -> Cell:
        """The cell."""
        changes = dict(self.changes)
        scaffold = changes.pop("scaffold", None)
        cell = self.cell
        if scaffold is not None:
            cell = cell.with_scaffold(scaffold.build())
        grid = cell.scaffold.grid
        return changed_cell(
            cell, {name: on_host(value, grid) for name, value in changes.items()}
        )


def on_host(value: Any, grid: Grid) -> Any:
    """The numbers of a field in every cell, that of a variable, else `value` itself."""
    if isinstance(value, AbstractField):
        return value.on_cells(grid)
    return value.value if is_variable(value) else value


def changed_cell(cell: Cell, changes: Mapping[str, Any]) -> Cell:
    """The cell with numbers changed by their names, "electrolyte.diffusivity" and such.

    Raises `ValueError` for a name that leads nowhere.
    """
    parts: dict[str, Any] = {}
    for name, value in changes.items():
        found = _part(cell, name)
        first, *rest = name.split(".")
        if not rest:
            parts[first] = value
            continue
        part = parts.get(first, getattr(cell, first))
        if isinstance(found, eqx.Module):
            # What follows a law stands for its number, i₀ for i₀_ref.
            rest, found = [*rest, "value"], getattr(found, "value", None)
        if found is None or not eqx.is_inexact_array(found):
            raise refuse("name", "one that leads to a number", repr(name))
        value = as_float(value).astype(found.dtype)
        parts[first] = eqx.tree_at(
            lambda tree, rest=rest: _descend(tree, rest),
            part,
            value,
            is_leaf=lambda leaf: leaf is None,
        )
    return cell.replace(**parts)


def _descend(tree: Any, names: Sequence[str]) -> Any:
    for name in names:
        tree = tree[name] if isinstance(tree, dict) else getattr(tree, name)
    return tree


def _part(tree: Any, name: str) -> Any:
    """What a dotted name leads to; refused with the names there are."""
    for word in name.split("."):
        known = _names(tree)
        if word not in known:
            raise refuse("name", "a part of the cell", repr(name), nearest(word, known))
        tree = _descend(tree, [word])
    return tree


def _names(tree: Any) -> list[str]:
    if isinstance(tree, dict):
        return list(tree)
    return [] if not isinstance(tree, eqx.Module) else list(tree.__dataclass_fields__)


class FreeLevelSet(eqx.Module):
    """A host whose level set is free on every node: shape without a generator.

    Args:
        values: level set on the nodes [any length, such as voxels], positive in the
            pore; usually that of a host to start from.
        shape: cells (x, y, z).
        voxel_size: edge of the cubic cells [m].
        width: values stay within ± `width` [same units], so that no node runs away from
            the surface; those to start from are saturated by w tanh(u/w).

    Only the place where the values change sign matters, so nodes far from the surface
    have no gradient: shapes move, and holes appear only where the surface arrives.
    """

    values: AbstractVariable
    shape: tuple[int, int, int] = static()
    voxel_size: Scalar = quantity()

    def __init__(
        self, values: Any, shape: Sequence[int], voxel_size: Any, *, width: Any = 3.0
    ):
        x, y, z = shape
        self.shape = (x, y, z)
        if not is_variable(values):
            check_array_shape("values", values, [n + 1 for n in self.shape])
            check_range("width", width, 0.0, float("inf"), open_low=True)
            width = as_float(width)
            # Saturated beforehand, or a node far away would lie on its bound.
            start = width * jnp.tanh(as_float(values) / width) * (1 - 1e-6)
            values = Bounded(start, -width, width)
        self.values = values
        check_plausible("voxel_size", voxel_size, 1e-12, 1e-2, "m", "2 * um")
        self.voxel_size = as_float(voxel_size)

    @classmethod
    def of_function(
        cls, levelset: Any, shape: Sequence[int], voxel_size: Any, *, width: Any = 3.0
    ) -> "FreeLevelSet":
        """Begin with the host of `levelset(x, y, z)` [m], positive in the pore."""
        grid = Grid.uniform(shape, voxel_size)
        values = jnp.broadcast_to(
            levelset(*grid.node_mesh()), [n + 1 for n in grid.shape]
        )
        return cls(values / as_float(voxel_size), shape, voxel_size, width=width)

    def build(self) -> Scaffold:
        """The scaffold."""
        grid = Grid.uniform(self.shape, self.voxel_size)
        return Scaffold.from_levelset(self.values.value, grid)


class FreeDensity(eqx.Module):
    """A solid fraction that is free in every cell: topology optimisation.

    Args:
        values: of the solid [-], one per cell, strictly between 0 and 1, or a variable
            of them (`Balanced` keeps the mass).
        voxel_size: edge of the cells [m].

    `cells` are the bare numbers: filter and project them before they become a host.
    """

    values: AbstractVariable
    voxel_size: Scalar = quantity()

    def __init__(self, values: Any, voxel_size: Any):
        if not is_variable(values):
            values = Bounded(values, 0.0, 1.0)
        if len(values.shape) != 3:
            raise refuse("values", "one number per cell (x, y, z)", values.shape)
        self.values = values
        check_plausible("voxel_size", voxel_size, 1e-12, 1e-2, "m", "2 * um")
        self.voxel_size = as_float(voxel_size)

    @classmethod
    def uniform(
        cls, density: Any, shape: Sequence[int], voxel_size: Any, *, keep_mean=False
    ) -> "FreeDensity":
        """The same density everywhere; `keep_mean` holds the mass."""
        check_fraction("density", density)
        start = jnp.full(tuple(shape), as_float(density))
        kind = Balanced if keep_mean else Bounded
        return cls(kind(start, 0.0, 1.0), voxel_size)

    @property
    def cells(self) -> Cells:
        """The density of every cell [-]."""
        return self.values.value

    @property
    def grid(self) -> Grid:
        """The cells."""
        x, y, z = self.values.shape
        return Grid.uniform((x, y, z), self.voxel_size)


class CurrentSegments(eqx.Module):
    """A plating current of n equal segments in a given time.

    Args:
        values: of the current density per footprint [A m⁻²], or a variable of them
            (`Balanced` keeps the charge, `Monotone` a current that only falls).
        duration: of all together [s].
        low, high: bounds, where `values` is no variable [A m⁻²].
    """

    values: AbstractVariable
    duration: Scalar = quantity()

    def __init__(
        self, values: Any, duration: Any, *, low: Any = None, high: Any = None
    ):
        if not is_variable(values):
            if low is None or high is None:
                raise refuse("low", "bounds low= and high= [A m⁻²]", (low, high))
            values = Bounded(values, low, high)
        if len(values.shape) != 1:
            raise refuse("values", "one number for each segment", values.shape)
        self.values = values
        check_range("duration", duration, 0.0, 1e9, "s", open_low=True)
        self.duration = as_float(duration)

    @property
    def charge(self) -> Scalar:
        """Of all segments, per footprint [C m⁻²]."""
        return jnp.mean(self.values.value) * self.duration

    def build(self) -> CurrentProfile:
        """The step of a protocol."""
        n = self.values.shape[0]
        times = self.duration * jnp.asarray(np.arange(n + 1) / n, self.duration.dtype)
        return CurrentProfile(times, self.values.value, stepwise=True)
