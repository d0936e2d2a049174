"""What metal is plated on: measured nucleation overpotentials, graded hosts.

    depojax.substrates.copper.nucleation(depojax.metals.lithium)
    substrates.graded(host, substrates.gold, substrates.alumina, metal)

Each substrate knows how far below equilibrium the voltage dips before metal nucleates
on it, less the plateau of growth that follows (the *nucleation overpotential*), the
current density at which that was seen, and about how much of itself dissolves in the
plated metal: what dissolves has a surface of its solid solution at hand, and no barrier
(Yan et al., Nat. Energy 1 (2016) 16010, doi:10.1038/nenergy.2016.10).

The numbers are *recalled* from the papers that are named beside them: none was found at
the source again. Each carries an uncertainty. They depend on electrolyte, current and
the oxide on the foil: copper is 40 mV at 0.01 mA cm⁻² and 365 mV at 1 mA cm⁻² by two of
the papers. Solubilities (mole fraction of the substrate in lithium near 25 °C) are
recalled from phase diagrams, to a factor of three.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from depojax._checks import check_choice, check_range, nearest, refuse
from depojax._types import Scalar, as_float, static
from depojax.physics.metals import Metal
from depojax.physics.nucleation import Nucleation
from depojax.scaffold.gradients import Graded, on_cells
from depojax.scaffold.scaffold import Scaffold
from depojax.units import cm, mA, mV

_LEAST = 1e-12  # share of the sites that stands for none


class Measurement(NamedTuple):
    """A nucleation overpotential from the literature."""

    overpotential: float  # |η_n|, dip less plateau [V]
    uncertainty: float  # [V]
    current_density: float  # at which it was measured [A m-2]
    reference: str


class Substrate(eqx.Module):
    """A material to plate on.

    One's own: `Substrate("steel", {"lithium": Measurement(0.05, 0.01, 5.0, "…")})`.
    """

    solubility: Scalar  # in the plated metal, mole fraction [-]
    name: str = static()
    measured: tuple[tuple[str, Measurement], ...] = static()  # by metal
    conducts: bool = static()  # electrons; else nothing nucleates on it

    def __init__(
        self,
        name: str,
        measured: Mapping[str, Measurement],
        *,
        conducts: bool = True,
        solubility: Any = 0.0,
    ):
        check_range("solubility", solubility, 0.0, 1.0, "", "Give a mole fraction.")
        for metal, found in measured.items():
            cure = "Its magnitude, with its unit: 40 * mV."
            check_range(f"measured[{metal}]", found.overpotential, 0.0, 5.0, "V", cure)
        self.name = name
        self.measured = tuple(sorted(measured.items()))
        self.conducts = conducts
        self.solubility = as_float(solubility)

    def measurement(self, metal: Metal) -> Measurement:
        """What was measured for a metal; `ValueError` where nothing is known."""
        known = dict(self.measured)
        check_choice(f"metal on {self.name}", metal.name, known)
        return known[metal.name]

    def nucleation(self, metal: Metal, **options: Any) -> Nucleation:
        """How `metal` nucleates here, its barrier from the measured overpotential.

        `options` are those of `Nucleation.from_overpotential`. Raises `ValueError` for
        an insulator and for a metal without a measurement.
        """
        if not self.conducts:
            raise refuse(
                "substrate", "one that conducts electrons", self.name,
                "Metal does not nucleate on an insulator: use it in a gradient.",
            )  # fmt: skip
        found = self.measurement(metal)
        return Nucleation.from_overpotential(metal, found.overpotential, **options)


def graded(
    scaffold: Scaffold,
    bottom: Substrate,
    top: Substrate,
    metal: Metal,
    *,
    share: Any = None,
    **options: Any,
) -> Nucleation:
    """A host whose surface changes from `bottom` at the collector to `top`.

        |η_n| = (1 − s) |η_n|_bottom + s |η_n|_top

    An insulator has no η_n of its own: it takes its share of sites and of rate away.

    Args:
        scaffold: whose cells the fields are for.
        bottom: substrate where s = 0.
        top: substrate where s = 1.
        metal: what is plated.
        share: s of `top`, a number, an array over the cells, a `Graded` profile or a
            function f(x, y, z) [m]; by default z/L.
        options: of `Nucleation.from_overpotential`, numbers or arrays over the cells.

    Raises `ValueError` for a share out of [0, 1], or two insulators.
    """
    share = Graded(jnp.asarray([0.0, 1.0])) if share is None else share
    s = _share_on_cells(share, scaffold)
    check_range("share", s, 0.0, 1.0)
    ends = [part for part in (bottom, top) if part.conducts]
    if not ends:
        raise refuse(
            "bottom",
            "a substrate that conducts electrons, here or as top",
            f"{bottom.name} and {top.name}",
            "Metal does not nucleate on insulators alone.",
        )
    low, high = ends[0].measurement(metal), ends[-1].measurement(metal)
    overpotential = (1 - s) * low.overpotential + s * high.overpotential
    law = Nucleation.from_overpotential(metal, overpotential, **options)
    alive = (1 - s) * float(bottom.conducts) + s * float(top.conducts)
    alive = jnp.maximum(alive, _LEAST)
    return eqx.tree_at(
        lambda n: (n.prefactor, n.site_density),
        law,
        (law.prefactor * alive, law.site_density * alive),
    )


def _share_on_cells(share: Any, scaffold: Scaffold) -> Array:
    grid = scaffold.grid
    values = on_cells(share, grid)
    try:
        return jnp.broadcast_to(values, grid.shape)
    except ValueError as error:
        raise refuse(
            "share",
            f"a number or an array over the cells {grid.shape}",
            f"shape {values.shape}",
        ) from error


_YAN = "Yan et al. 2016, doi:10.1038/nenergy.2016.10, recalled"
_ZHANG = "Zhang et al. 2017, doi:10.1002/anie.201702099, recalled"
_TANG = "Tang et al. 2019, doi:10.1002/adma.201807495, recalled"
_COHN = "Cohn et al. 2017, doi:10.1021/acs.nanolett.6b05174, recalled"
_LIU = "Liu et al. 2019, doi:10.1002/adma.201906735, recalled"
_SLOW, _FASTER = 0.01 * mA / cm**2, 0.5 * mA / cm**2


def _seen(value: float, error: float, J: float, reference: str) -> Measurement:
    return Measurement(value * mV, error * mV, J, reference)


_TABLE: dict[str, tuple[dict[str, Measurement], bool, float]] = {
    # name: ({metal: |η_n| and its uncertainty [mV], J, paper}, conducts, solubility)
    "gold": (
        {
            "lithium": _seen(0.0, 3.0, _SLOW, _YAN),
            "sodium": _seen(0.0, 10.0, _FASTER, _TANG),
        },
        True,
        0.007,
    ),
    "silver": ({"lithium": _seen(0.0, 3.0, _SLOW, _YAN)}, True, 0.1),
    "zinc": ({"lithium": _seen(0.0, 3.0, _SLOW, _YAN)}, True, 0.02),
    "magnesium": ({"lithium": _seen(0.0, 3.0, _SLOW, _YAN)}, True, 0.7),
    "aluminium": (
        {
            "lithium": _seen(5.0, 3.0, _SLOW, _YAN),
            "sodium": _seen(20.0, 10.0, _FASTER, _COHN),
        },
        True,
        0.001,
    ),
    "platinum": ({"lithium": _seen(8.0, 4.0, _SLOW, _YAN)}, True, 0.0),
    "silicon": ({"lithium": _seen(14.0, 6.0, _SLOW, _YAN)}, True, 0.0),
    "tin": (
        {
            "lithium": _seen(14.0, 6.0, _SLOW, _YAN),
            "sodium": _seen(10.0, 10.0, _FASTER, _TANG),
        },
        True,
        0.0,
    ),
    "carbon": (
        {
            "lithium": _seen(14.0, 5.0, _SLOW, _YAN),
            "sodium": _seen(12.0, 6.0, _FASTER, _COHN),
        },
        True,
        0.0,
    ),
    "nitrogen_doped_carbon": (
        {"lithium": _seen(22.0, 8.0, 0.05 * mA / cm**2, _ZHANG)},
        True,
        0.0,
    ),
    "nickel": ({"lithium": _seen(30.0, 5.0, _SLOW, _YAN)}, True, 0.0),
    "copper": (
        {
            "lithium": _seen(40.0, 5.0, _SLOW, _YAN),
            "sodium": _seen(40.0, 20.0, _FASTER, _TANG),
            "potassium": _seen(200.0, 100.0, _FASTER, _LIU),
        },
        True,
        0.0,
    ),
    "alumina": ({}, False, 0.0),
}


def _make(name: str) -> Substrate:
    measured, conducts, solubility = _TABLE[name]
    return Substrate(name, measured, conducts=conducts, solubility=solubility)


KNOWN: Mapping[str, Callable[[], Substrate]] = {
    name: partial(_make, name) for name in _TABLE
}


def __getattr__(name: str) -> Substrate:
    # Made when read: an array made on import would be float32 for ever.
    if name not in KNOWN:
        raise AttributeError(f"No substrate is called {name!r}. {nearest(name, KNOWN)}")
    return KNOWN[name]()


def __dir__() -> list[str]:
    return [*globals(), *KNOWN]
