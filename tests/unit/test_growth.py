"""Growth of metal in pores that are averages: volumes, areas, what is lost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.physics.deposit import AREA_LAWS, metal_conductivity
from depojax.problems.growth import Gain, HomogenisedGrowth
from depojax.scaffold.scaffold import Scaffold
from depojax.units import FARADAY, cm, mAh, um

SALTS = {1: dj.BinaryElectrolyte(1000.0, 3e-10, 0.4, conductivity=0.6)}
SALTS[2] = dj.BinaryElectrolyte(1000.0, 3e-10, 0.4, conductivity=0.6, charge=2)


def host_cell(metal=None, shape=(1, 1, 4), **options):
    metal = dj.metals.lithium if metal is None else metal
    grid = Grid.uniform(shape, 25 * um)
    scaffold = options.pop("scaffold", None)
    if scaffold is None:
        scaffold = Scaffold.homogenised(grid, 0.8, 1.5, 1e5)
    given = {"metal": metal, "separator": dj.Separator(20 * um, cells=2), **options}
    return dj.Cell(scaffold, SALTS[metal.charge], **given)


def gain_of(cell, host, floor=0.0, duration=1.0):
    """The same charge [C] in every cell of the host, and on the collector."""
    layers = cell.scaffold.shape[2]
    whole = jnp.zeros(cell.grid.shape).at[..., :layers].set(host)
    return Gain(whole, floor + 0 * whole[..., 0], jnp.asarray(duration))


# MB2: thickness of 10 mAh cm⁻² [µm].
THICKNESSES = {
    "lithium": 48.49080769514122,
    "sodium": 88.61361903053792,
    "potassium": 169.23563427902172,
    "zinc": 17.082755045203886,
    "copper": 13.230961866498939,
}


@pytest.mark.parametrize("name", THICKNESSES)
def test_ten_milliampere_hours_on_a_flat_collector(name):
    metal = getattr(dj.metals, name)
    open_grid = Scaffold.open(Grid.uniform((1, 1, 2), 500 * um))
    cell = host_cell(metal, scaffold=open_grid)
    growth = HomogenisedGrowth()
    charge = 10 * mAh / cm**2 * float(cell.footprint)
    metal_now = growth.grown(cell, growth.begin(cell), gain_of(cell, 0.0, charge))
    thickness = float(growth.thickness(cell, metal_now)[0, 0, 0])
    assert thickness / um == pytest.approx(THICKNESSES[name], rel=1e-4)
    by_volume = float(growth.volume(cell, metal_now) / cell.footprint)
    assert by_volume == pytest.approx(thickness, rel=1e-12)
    pore = growth.cell(cell, metal_now).scaffold.pore_fraction
    assert float(pore[0, 0, 0]) == pytest.approx(1 - thickness / (500 * um), rel=1e-12)


@pytest.mark.parametrize("law", ["pores", "fibres"])
def test_area_is_what_the_volume_loses_per_thickness(law):
    """dε/dh = −a, whatever the surface is, as it grows by h along its normal."""
    if law == "pores":  # n round pores of radius r per area
        radii, count = 10 * um - np.linspace(0, 6 * um, 601), 0.7 / (np.pi * 1e-10)
        eps = count * np.pi * radii**2
        area0 = 2 * np.pi * count * radii[0]
    else:  # cylinders of radius R, length n per volume, wherever
        radii, count = np.linspace(5 * um, 15 * um, 601), 0.2 / (np.pi * 2.5e-11)
        eps = np.exp(-count * np.pi * radii**2)
        area0 = 2 * np.pi * count * radii[0] * eps[0]
    slope = np.abs(np.gradient(eps, radii))[1:-1]
    ratio = AREA_LAWS[law](jnp.asarray(eps), jnp.asarray(eps[0]))
    np.testing.assert_allclose(area0 * np.asarray(ratio)[1:-1], slope, rtol=2e-5)


def test_a_porous_deposit_fills_more():
    cell, charge = host_cell(), 1e-8
    pores = []
    for rho in (1.0, 0.5):
        growth = HomogenisedGrowth(density_factor=rho)
        grown = growth.grown(cell, growth.begin(cell), gain_of(cell, charge))
        pores.append(np.asarray(growth.pore_fraction(cell, grown)))
        metal = float(cell.metal.molar_volume) / FARADAY * charge * 4
        assert float(growth.volume(cell, grown)) == pytest.approx(metal, rel=1e-12)
    np.testing.assert_allclose(0.8 - pores[1], 2 * (0.8 - pores[0]), rtol=1e-12)


def test_transport_narrows_as_the_power_of_what_is_left():
    cell, growth = host_cell(), HomogenisedGrowth(bruggeman=2.0)
    filled = growth.grown(cell, growth.begin(cell), gain_of(cell, 4e-5))
    now = growth.cell(cell, filled).scaffold
    kept = np.asarray(now.pore_fraction / cell.scaffold.pore_fraction)
    assert 0.3 < kept.min() < 0.9
    for new, old in zip(
        now.face_transmission, cell.scaffold.face_transmission, strict=True
    ):
        np.testing.assert_allclose(new / old, kept.min() ** 2, rtol=1e-12)
    np.testing.assert_allclose(
        now.surface_area / cell.scaffold.surface_area, np.sqrt(kept), rtol=1e-12
    )


def test_metal_conducts_where_it_stands():
    cell, growth = host_cell(solid_conductivity=10.0), HomogenisedGrowth()
    one = gain_of(cell, 0.0)
    one = Gain(one.host.at[0, 0, 1].set(2e-5), one.floor, one.duration)
    filled = growth.grown(cell, growth.begin(cell), one)
    sigma = np.asarray(growth.cell(cell, filled).solid_conductivity)[0, 0]
    share = 2e-5 * float(cell.metal.molar_volume) / FARADAY / (25e-6) ** 3
    metal = float(cell.metal.electrical_conductivity)
    assert sigma[1] == pytest.approx(10 + metal * share**1.5, rel=1e-12)
    np.testing.assert_allclose(sigma[[0, 2, 3]], 10.0)
    slope = jax.grad(lambda v: metal_conductivity(1.0, v))(0.0)
    assert float(slope) == 0.0


def test_metal_above_a_gap_without_contact_is_dead():
    """Where the host does not conduct, metal that no metal leads to is lost."""
    cell = host_cell(solid_conductivity=1e-6)
    growth = HomogenisedGrowth(loss=dj.DeadMetal(contact=1.0))
    full = growth.grown(cell, growth.begin(cell), gain_of(cell, 1e-5))
    assert float(jnp.sum(growth.dead(cell, full))) == 0.0
    neck = gain_of(cell, 0.0)
    neck = Gain(neck.host.at[0, 0, 1].set(-1e-5), neck.floor, neck.duration)
    cut = growth.grown(cell, full, neck)
    dead = np.asarray(growth.dead(cell, cut))[0, 0, :4]
    np.testing.assert_allclose(dead, [0.0, 0.0, 1e-5, 1e-5], atol=1e-19)
    live = np.asarray(growth.left(cell, cut)[0])[0, 0, :4]
    np.testing.assert_allclose(live, [1e-5, 0.0, 0.0, 0.0], atol=1e-19)
    conducts = np.asarray(growth.cell(cell, cut).solid_conductivity)[0, 0]
    assert conducts[0] > 1e3
    np.testing.assert_allclose(conducts[1:], 1e-6)  # dead metal does not


def test_displaced_electrolyte_takes_its_salt_along():
    cell, growth = host_cell(), HomogenisedGrowth(displaced="electrolyte")
    one = gain_of(cell, 0.0)
    one = Gain(one.host.at[0, 0, 1].set(4e-5), one.floor, one.duration)
    full = growth.cell(cell, growth.grown(cell, growth.begin(cell), one))
    old, new = (np.asarray(c.domain().pore_fraction * c.grid.volumes)
                for c in (cell, full))  # fmt: skip
    # Uniform salt stays as it is, and just that of the displaced volume leaves.
    even = np.asarray(growth.carried(cell, full, jnp.asarray(old)))
    np.testing.assert_allclose(even, new, rtol=1e-12)
    # Other salt moves upwards alone, and all of it is somewhere.
    uneven = old * np.linspace(1.0, 2.0, old.shape[2])
    moved = np.asarray(growth.carried(cell, full, jnp.asarray(uneven)))
    c = moved / new
    np.testing.assert_allclose(c[0, 0, :2], np.linspace(1, 2, old.shape[2])[:2])
    out = (old - new).sum() * c[0, 0, -1]
    assert moved.sum() + out == pytest.approx(uneven.sum(), rel=1e-12)
    # And comes back from the counter electrode with what is stripped.
    back = np.asarray(growth.carried(full, cell, jnp.asarray(new)))
    np.testing.assert_allclose(back, old, rtol=1e-12)
    kept = HomogenisedGrowth().carried(cell, full, jnp.asarray(uneven))
    np.testing.assert_array_equal(kept, uneven)


def test_dead_metal_follows_its_rates():
    loss = dj.DeadMetal(rate=1e-3, share=0.1)
    lost = float(loss.lost(jnp.asarray(5.0), jnp.asarray(2.0), jnp.asarray(100.0)))
    assert lost == pytest.approx(0.2 + 4.8 * (1 - np.exp(-0.1)), rel=1e-12)
    stripping = loss.lost(jnp.asarray(5.0), jnp.asarray(-2.0), jnp.asarray(0.0))
    assert float(stripping) == 0.0


def test_electrolyte_behind_closed_pores_is_trapped():
    cell, growth = host_cell(), HomogenisedGrowth()
    one = gain_of(cell, 0.0)
    volume = (25e-6) ** 3
    charge = 0.79 * volume * FARADAY / float(cell.metal.molar_volume)
    one = Gain(one.host.at[0, 0, 2].set(charge), one.floor, one.duration)
    closed = growth.grown(cell, growth.begin(cell), one)
    trapped = np.asarray(growth.trapped(cell, closed))[0, 0, :4] / volume
    np.testing.assert_allclose(trapped, [0.8, 0.8, 0.01, 0.0], atol=1e-12)
    (stop,) = growth.stops(cell, closed)
    assert stop.name == "pore_closure"
    np.testing.assert_allclose(stop.place, [12.5e-6, 12.5e-6, 62.5e-6])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"area_law": "pore"}, "area_law.*'pores'"),
        ({"displaced": "salt"}, r"displaced.*'electrolyte'|displaced.*electrolyte"),
        ({"density_factor": 0.0}, r"density_factor.*\(0, 1\]"),
        ({"closed": 1.5}, "closed.*pore fraction"),
        ({"bruggeman": -1.0}, r"bruggeman.*\[0, 10\]"),
        ({"loss": 0.1}, "loss.*a DeadMetal, got float"),
    ],
)
def test_growth_refuses(options, words):
    with pytest.raises(ValueError, match=words):
        HomogenisedGrowth(**options)


def test_growth_refuses_cells_it_cannot_fill():
    gyroid = dj.gyroid((8, 8, 8), 5 * um, porosity=0.7, period=40 * um)
    with pytest.raises(ValueError, match=r"growth.*pores on the grid"):
        HomogenisedGrowth().check(host_cell(scaffold=gyroid))
    with pytest.raises(ValueError, match=r"closed.*smallest pore fraction"):
        HomogenisedGrowth(closed=0.85).check(host_cell())
    with pytest.raises(ValueError, match=r"share.*1 − CE"):
        dj.DeadMetal(share=2.0)
