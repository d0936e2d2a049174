"""What `space_charge` refuses: cells, electrodes, fields and grids."""

from typing import Any

import numpy as np

from depojax._checks import (
    check_array_shape,
    check_double,
    check_finite,
    check_range,
    refuse,
)
from depojax._types import as_float, concrete
from depojax.physics.film import Film
from depojax.physics.kinetics import Blocking, Reversible
from depojax.problems.cell import Cell

_COARSE = 2.0  # Debye lengths that the cells at the metal may be thick at most
_THICK = 10.0  # Debye lengths that a half cell with a layer in it has at least


def check_ionic(cell: Any) -> None:
    """Refuse what is no cell with ions told one by one, and one in float32."""
    if not isinstance(cell, Cell):
        raise refuse("cell", "a depojax.Cell", type(cell).__name__)
    _ = cell.ions
    reason = ": charge is a small difference of concentrations"
    check_double("cell", cell.scaffold.pore_fraction.dtype, reason)


def check_frozen(cell: Cell) -> None:
    """Refuse parts of a cell that these equations do not know."""
    for name in ("solid_conductivity", "initial_deposit", "equilibrium_potential"):
        if getattr(cell, name) is not None:
            raise refuse(
                "cell",
                f"no {name}: the host is at the collector's potential and stays",
                "a cell with one",
                f"Leave it out: cell.replace({name}=None).",
            )


def check_electrodes(cell: Cell, *, neutral: bool, by_current: bool) -> None:
    """Refuse films that nothing would feel, and currents that nothing could carry."""
    sides = {
        "film_resistance": cell.kinetics,
        "collector_film_resistance": cell.kinetics,
        "counter_film_resistance": cell.counter_kinetics,
    }
    for name, kinetics in sides.items():
        film = getattr(cell, name)
        value = None if isinstance(film, Film) else concrete(film)
        none = value is not None and not np.any(value > 0)
        if isinstance(kinetics, Reversible | None) and not none:
            raise refuse(
                "cell",
                f"no {name} where the reaction is reversible",
                "a film",
                "Give kinetics, such as ButlerVolmer, which a film acts on.",
            )
    if neutral and by_current and isinstance(cell.kinetics, Blocking):
        raise refuse(
            "current_density",
            "a voltage where the electrode blocks and the solution is neutral",
            "a current, which nothing would carry",
        )


def check_fields(cell: Cell, fixed: Any, stern: Any, permittivity: Any) -> None:
    """Refuse fields over the scaffold that are no numbers, or of another shape."""
    check_finite("fixed_charge", fixed)
    if np.ndim(fixed) != 0:
        check_array_shape("fixed_charge", fixed, cell.scaffold.shape)
    if stern is not None:
        cure = "depojax is SI inside: 10 µF cm⁻² are 0.1 F m⁻²."
        check_range("stern_capacitance", stern, 0.0, 1e3, "F m⁻²", cure, open_low=True)
    if permittivity is not None:
        check_range("relative_permittivity", permittivity, 0.0, 1e12, open_low=True)
        if np.ndim(permittivity) != 0:
            check_array_shape(
                "relative_permittivity", permittivity, cell.scaffold.shape
            )


def check_layered(cell: Cell, fixed: Any, stern: Any) -> None:
    """Refuse what the closed form of the layer does not know."""
    charges = cell.ions.charges
    if len(charges) != 2 or sum(charges) != 0 or cell.ions.plated_charge < 0:
        raise refuse(
            "asymptotic",
            "a z:z salt whose cation is plated",
            f"ions of charge {charges}",
            "Resolve the layer, or leave it out (electroneutral=True).",
        )
    for name in ("kinetics", "counter_kinetics"):
        if not isinstance(getattr(cell, name), Reversible | None):
            raise refuse(
                "asymptotic",
                f"Reversible() {name}",
                type(getattr(cell, name)).__name__,
                "Resolve the layer, or leave it out (electroneutral=True).",
            )
    length, top = concrete(cell.ions.debye_length), concrete(cell.grid.widths[2])
    thickness = np.inf
    if length is not None and top is not None:
        thickness = float(top[0]) / float(length)
    if thickness < 2 * _THICK:
        raise refuse(
            "asymptotic",
            f"cells at the metal of at least {2 * _THICK:g} Debye lengths, which hold "
            "the whole layer",
            f"{thickness:.3g} Debye lengths at the collector",
            "On such a grid the layer can be resolved: asymptotic=False.",
        )
    zero = concrete(as_float(fixed))
    if stern is not None or zero is None or np.any(zero != 0):
        raise refuse(
            "asymptotic",
            "neither fixed_charge nor stern_capacitance",
            "one of them",
            "Resolve the layer for these.",
        )


def check_resolved(cell: Cell) -> None:
    """Refuse cells at the metal that are thicker than the layer that forms there."""
    length = concrete(cell.ions.debye_length)
    known = [concrete(width) for width in cell.grid.widths]
    widths = [width for width in known if width is not None]
    if length is None or len(widths) < 3:
        return
    thickest = {"z at the collector": float(widths[2][0])}
    if not cell.plated_collector:
        thickest = {}
    if cell.counter_electrode == "metal":
        thickest["z at the counter electrode"] = float(widths[2][-1])
    area = concrete(cell.scaffold.surface_area)
    if area is not None and np.any(area > 0) and cell.near_bath is None:
        for axis, name in enumerate("xyz"):
            others = tuple(a for a in range(3) if a != axis)
            at_metal = np.any(area > 0, axis=others)
            own = widths[axis][: at_metal.size]
            if own.size > 1:
                thickest[f"{name} at the host"] = float(np.max(own[at_metal]))
    for where, width in thickest.items():
        if width > _COARSE * float(length):
            raise refuse(
                "cell",
                f"cells of at most {_COARSE:g} Debye lengths ({float(length):.3g} m) "
                "at the metal",
                f"{width:.3g} m along {where}",
                "Refine them (depojax.stretched_widths), give the electrolyte a longer "
                "Debye length knowingly (with_debye_length), or leave the space charge "
                "out (electroneutral=True).",
            )
