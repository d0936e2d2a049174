"""Objectives of whole runs of `plate`, and a substrate that is designed.

What they say against closed forms, and their derivatives, reverse mode through the
design, the growth and every window, against central differences.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import depojax as dj
from depojax import objectives
from depojax.design.variables import split
from depojax.units import FARADAY, um

HEIGHT, CLOSED = 100 * um, 0.1
LITHIUM = dj.metals.lithium


def column(layers, porosity=0.8, exchange=10.0, **parts):
    """A homogenised column; its collector is not plated."""
    grid = dj.Grid.uniform((1, 1, layers), HEIGHT / layers)
    eps = jnp.broadcast_to(porosity, grid.shape)
    return dj.Cell(
        dj.Scaffold.homogenised(grid, eps, eps**-0.5, 2e5 * (1 - eps)),
        dj.BinaryElectrolyte(1000.0, 3e-10, 0.4, conductivity=0.9),
        metal=LITHIUM,
        separator=dj.Separator(20 * um, cells=1),
        kinetics=dj.ButlerVolmer(exchange),
        plated_collector=False,
        **parts,
    )


def fill(current=20.0, **options):
    growth = dj.HomogenisedGrowth(closed=CLOSED, density_factor=0.9)
    return objectives.FillAtClosure(current, capacity=1e7, growth=growth, **options)


# All columns have as many layers, for they share their programs.
LAYERS = 4
SLOW = 1e-3  # exchange current [A m-2], so little that all plates evenly


def charge_of(fill):
    """What so much metal in the pores of `column` takes [C m⁻²]."""
    return fill * 0.8 * HEIGHT * FARADAY / float(LITHIUM.molar_volume)


@pytest.mark.slow
def test_an_even_host_is_filled_but_for_what_counts_as_closed():
    cell = column(LAYERS, exchange=SLOW)
    slow = fill(0.1)  # transport stays even where pores are all but closed
    run = dj.plate(cell, slow.run.protocol, growth=slow.run.growth)
    assert "closure" in run.ended_by[0]
    known = 0.9 * (1 - CLOSED / 0.8)
    found = float(slow(run))
    assert found == pytest.approx(known, rel=2e-3)
    assert float(run.charge) == pytest.approx(charge_of(found), rel=1e-6)


def test_a_run_that_ends_before_is_filled_by_its_charge():
    early = objectives.FillAtClosure(20.0, capacity=charge_of(0.01))
    assert float(early(column(LAYERS))) == pytest.approx(0.01, rel=1e-6)


def test_layers_below_a_height_count_in_proportion():
    drive = dj.Galvanostatic(20.0, capacity=charge_of(0.01))
    slow = dj.Galvanostatic(0.1, capacity=charge_of(0.01))
    even = dj.plate(column(LAYERS, exchange=SLOW), slow)
    for height in (0.5, 0.13, 1.0):
        share = objectives.LowerMetalShare(drive, height=height * HEIGHT)
        assert float(share(even)) == pytest.approx(height, rel=2e-3)
    run = dj.plate(column(LAYERS), drive)
    volumes = np.asarray(run.thickness[0, 0, :LAYERS] * run.cell.scaffold.surface_area)
    known = (volumes[..., 0].sum() + 0.6 * volumes[..., 1].sum()) / volumes.sum()
    share = objectives.LowerMetalShare(drive, height=0.4 * HEIGHT)
    assert float(share(run)) == pytest.approx(known, rel=1e-9)
    assert known < 0.399


def test_what_has_no_answer_is_refused():
    drive = dj.Galvanostatic(20.0, capacity=charge_of(0.01))
    run = dj.plate(column(LAYERS), drive)
    share = objectives.LowerMetalShare(drive, height=10 * um)
    resolved = dataclasses.replace(run, growth=dj.LevelSetGrowth())
    with pytest.raises(ValueError, match="HomogenisedGrowth"):
        share(resolved)
    with pytest.raises(ValueError, match="height"):
        objectives.LowerMetalShare(drive, height=2 * HEIGHT)(run)
    with pytest.raises(ValueError, match="outside of jit"):
        eqx.filter_jit(lambda cell: fill()(cell))(column(LAYERS))


def designed():
    """A graded host, and how evenly its metal is spread."""
    eps = dj.Bounded(jnp.asarray([0.7, 0.75, 0.8]), 0.5, 0.95)
    grid = dj.Grid.uniform((1, 1, 4), HEIGHT / LAYERS)
    objective = fill(
        windows=dj.Windows(fixed=4000.0), steps=dj.Steps(fixed=1000.0, max_steps=16)
    )

    def loss(profile):
        return objective.loss(column(LAYERS, profile.on_cells(grid)))

    return dj.Profile(eps, "linear"), loss


NUCLEATION = dj.Nucleation(LITHIUM, wetting_factor=3e-3, site_density=1e13)


def substrate(angles=(0.2, 0.4, 0.6)):
    """A column that is lithiophilic below; how much of its first metal is there."""
    design = dj.DesignedNucleation(
        NUCLEATION,
        {
            "contact_angle": dj.Profile(dj.Bounded(jnp.asarray(angles), 0.1, 0.9)),
            "site_density": dj.Bounded(1e13, 1e12, 1e14, scale="log"),
        },
    )
    cell = column(LAYERS, exchange=300.0)

    def loss(design):
        share = objectives.LowerMetalShare(
            20.0,
            time=0.03,
            height=HEIGHT / 2,
            nucleation=design.build(cell),
            double_layer_capacitance=0.2,
            windows=dj.Windows(fixed=1e-3),
            steps=dj.Steps(fixed=5e-4, max_steps=8),
        )
        return share.loss(cell)

    return design, loss


def test_a_substrate_is_built_cell_by_cell():
    design, _ = substrate()
    built = design.build(column(LAYERS))
    theta = np.asarray([0.25, 0.35, 0.45, 0.55])
    known = (2 + np.cos(theta)) * (1 - np.cos(theta)) ** 2 / 4
    np.testing.assert_allclose(built.wetting_factor.ravel(), known, rtol=1e-9)
    assert built.wetting_factor.shape == (1, 1, 4)
    assert float(built.site_density) == pytest.approx(1e13)
    assert float(built.prefactor) == float(NUCLEATION.prefactor)
    factor = dj.DesignedNucleation(NUCLEATION, {"wetting_factor": dj.Positive(1e-3)})
    assert float(factor.build(column(LAYERS)).wetting_factor) == pytest.approx(1e-3)


def test_what_is_no_number_of_a_substrate_is_refused():
    with pytest.raises(ValueError, match="contact_angle"):
        dj.DesignedNucleation(NUCLEATION, {"contact_angel": dj.Positive(0.3)})
    with pytest.raises(ValueError, match="both"):
        dj.DesignedNucleation(NUCLEATION, {"contact_angle": 0.3, "wetting_factor": 0.1})
    with pytest.raises(ValueError, match=r"depojax\.Nucleation"):
        dj.DesignedNucleation(LITHIUM, {})


@pytest.mark.slow
def test_lithiophilic_below_takes_its_first_metal_below():
    graded, uniform, upside_down = (
        -float(loss(design))
        for design, loss in map(
            substrate, ((0.2, 0.4, 0.6), (0.4, 0.4, 0.4), (0.6, 0.4, 0.2))
        )
    )
    assert 0.45 < uniform < 0.5  # ions come from above
    assert upside_down < uniform - 0.02
    assert graded > uniform + 0.02


@pytest.mark.slow
@pytest.mark.parametrize("make", [designed, substrate])
def test_reverse_mode_is_a_central_difference(make):
    design, loss = make()
    free, whole = split(design)
    chance = np.random.default_rng(4)
    way = jax.tree.map(lambda u: jnp.asarray(chance.normal(size=u.shape)), free)
    slopes = jax.grad(lambda part: loss(whole(part)))(free)
    for slope in jax.tree.leaves(slopes):
        assert np.all(np.abs(np.asarray(slope)) > 0)

    def at(s):
        return float(loss(whole(jax.tree.map(lambda u, v: u + s * v, free, way))))

    h = 1e-5
    pairs = zip(jax.tree.leaves(slopes), jax.tree.leaves(way), strict=True)
    along = sum(float(jnp.vdot(a, b)) for a, b in pairs)
    assert along == pytest.approx((at(h) - at(-h)) / (2 * h), rel=1e-4)


@pytest.mark.slow
def test_an_optimiser_fills_a_host_better():
    design, loss = designed()
    found = dj.optimise(
        loss, design, optimizer=optax.adam(0.2), steps=3, jit=False
    )  # fmt: skip
    assert float(found.loss) < float(loss(design)) - 1e-3
