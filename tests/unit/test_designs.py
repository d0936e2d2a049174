"""Designs: what they build, and that every family of them has exact derivatives."""

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.design.parameters import changed_cell
from depojax.design.variables import split
from depojax.scaffold.averages import averaged_foam
from depojax.units import um

BOX = (10, 10, 12)


def salt():
    return dj.electrolytes.lipf6_ec_emc(1000.0)


def weighed(host):
    """A number that feels every field of a host, and every cell of it differently."""
    x, y, z = (np.cos(1 + np.arange(n)) for n in host.shape)
    weight = 2 + x[:, None, None] * y[None, :, None] * z
    area = host.surface_area / jnp.mean(host.surface_area)
    open_ = sum(jnp.sum(face**2) for face in host.face_transmission)
    return jnp.sum(weight * (host.pore_fraction**2 + area)) + open_


def of_cell(cell):
    """The same of a cell, with every number that the design may have changed."""
    numbers = [cell.solid_conductivity, cell.electrolyte.diffusivity]
    numbers += [cell.electrolyte.concentration, cell.film_resistance]
    numbers += [cell.kinetics.exchange_current_density.value]
    return sum(jnp.sum(jnp.log(x) ** 2) for x in numbers) + weighed(cell.scaffold)


def of_step(step):
    drive = step.drive
    return drive.integral(jnp.asarray(7.3)) + drive.value(jnp.asarray(4.2)) ** 2


def graded(low, high, n=4, interpolation="linear", **options):
    start = jnp.linspace(0.4, 0.6, n) * (high - low) + low
    return dj.Profile(dj.Bounded(start, low, high, **options), interpolation)


def base_cell():
    host = averaged_foam((1, 1, 6), 5 * um, porosity=0.9, pore_diameter=50 * um)
    return dj.Cell(
        host, salt(), separator=20 * um, kinetics=dj.ButlerVolmer(jnp.asarray(10.0))
    )


FAMILIES = {
    "graded porosity, averaged": lambda: dj.GradedPorosity(
        jnp.linspace(0.8, 0.95, 5), keep_mean=True, shape=(1, 1, 12)
    ),
    "graded porosity, spline": lambda: dj.GradedPorosity(
        jnp.linspace(0.8, 0.95, 5), interpolation="spline", shape=(1, 1, 12)
    ),
    "graded porosity, layers": lambda: dj.GradedPorosity(
        jnp.linspace(0.8, 0.95, 5), interpolation="cells", shape=(1, 1, 12)
    ),
    "graded porosity, foam": lambda: dj.GradedPorosity(
        jnp.asarray([0.75, 0.85]), low=0.65, high=0.9, host="foam", shape=BOX,
        voxel_size=4 * um, pore_diameter=40 * um,
    ),
    "pore size": lambda: dj.DesignedScaffold(
        dj.foam, BOX, 4 * um, porosity=0.75, key=1,
        pore_diameter=graded(34 * um, 46 * um, 3),
    ),
    "gyroid, free thickness in 3D": lambda: dj.DesignedScaffold(
        dj.gyroid, BOX, 4 * um, period=40 * um, kind="sheet",
        porosity=dj.VolumeField(
            dj.Bounded(jnp.full((2, 2, 3), 0.55), 0.3, 0.8), "linear"
        ),
    ),
    "channels": lambda: dj.DesignedScaffold(
        dj.aligned_channels, BOX, 4 * um, section="square",
        channel_width=graded(13 * um, 17 * um, 3),
        wall_thickness=dj.Bounded(9.1 * um, 8.2 * um, 12 * um),
    ),
    "sheets": lambda: dj.DesignedScaffold(
        dj.stacked_sheets, BOX, 4 * um, gap=12.3 * um, spacing=24 * um, period=40 * um,
        sheets=2, sheet_thickness=graded(8.5 * um, 11 * um, 2),
    ),
    "level set": lambda: dj.FreeLevelSet.of_function(
        lambda x, y, z: jnp.hypot(x - 19 * um, y - 21 * um) - 11 * um + 0 * z,
        BOX, 4 * um,
    ),
    "density": lambda: dj.FreeDensity.uniform(0.3, (4, 4, 5), 4 * um, keep_mean=True),
    "cell": lambda: dj.DesignedCell(
        base_cell(),
        {
            "scaffold": dj.GradedPorosity(jnp.asarray([0.8, 0.9]), shape=(1, 1, 6)),
            "solid_conductivity": graded(1.0, 1e4, 3, scale="linear"),
            "kinetics.exchange_current_density": graded(1.0, 50.0, 4, "spline"),
            "film_resistance": graded(1e-4, 1e-2, 2),
            "electrolyte.concentration": dj.Bounded(1000.0, 500.0, 2000.0),
            "electrolyte.diffusivity": dj.Positive(3e-10),
        },
    ),
    "current": lambda: dj.CurrentSegments(
        jnp.asarray([200.0, 120.0, 80.0, 60.0]), 10.0, low=1.0, high=400.0
    ),
}  # fmt: skip


def measured(built):
    if isinstance(built, dj.Cell):
        return of_cell(built)
    return weighed(built) if isinstance(built, dj.Scaffold) else of_step(built)


# Those that take a while to compile.
SLOW = (
    "graded porosity, foam", "pore size", "gyroid, free thickness in 3D", "channels",
    "sheets",
)  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
        for name in FAMILIES
    ],
)
def test_derivatives_through_build(name):
    design = FAMILIES[name]()
    part, whole = split(design)
    flat, unravel = jax.flatten_util.ravel_pytree(part)
    noise = np.random.default_rng(3).normal(size=flat.size)
    along = jnp.asarray(noise / np.linalg.norm(noise))

    @jax.jit
    def number(u):
        design = whole(unravel(u))
        if isinstance(design, dj.FreeDensity):
            return jnp.sum(
                jnp.cos(jnp.arange(design.cells.size)) * design.cells.ravel()
            )
        return measured(design.build())

    value, slope = jax.jvp(number, (flat,), (along,))
    reverse = jnp.vdot(jax.grad(number)(flat), along)
    h = 1e-5
    central = (number(flat + h * along) - number(flat - h * along)) / (2 * h)
    assert bool(jnp.isfinite(value))
    assert abs(float(slope)) > 0
    np.testing.assert_allclose(reverse, slope, rtol=1e-9)
    np.testing.assert_allclose(slope, central, rtol=2e-6)


def test_a_graded_porosity_is_the_host_it_says():
    design = dj.GradedPorosity.uniform(0.9, n=16)
    host = design.build()
    assert host.shape == (1, 1, 64)
    np.testing.assert_allclose(host.porosity, 0.9, rtol=1e-13)
    cell = dj.Cell(host, salt(), separator=25 * um)
    assert cell.with_scaffold(design.build()).grid.shape == cell.grid.shape


@pytest.mark.parametrize("interpolation", ["linear", "spline", "cells"])
def test_mass_is_kept_whatever_the_profile(interpolation):
    design = dj.GradedPorosity(
        jnp.linspace(0.7, 0.95, 6), keep_mean=True, interpolation=interpolation
    )
    free = jnp.asarray([3.0, -1.0, 0.0, 4.0, -2.0, 1.0])
    moved = eqx.tree_at(lambda d: d.porosity.values.free, design, free)
    before, after = design.build().porosity, moved.build().porosity
    np.testing.assert_allclose(after, before, rtol=1e-13)


@pytest.mark.slow
def test_averages_of_a_foam_against_the_foam():
    """A Kelvin foam, resolved: its nodes hide some of the struts' area, not much."""
    shape, voxel, d = (34, 34, 34), 1 * um, 34 * um * (3 / np.pi) ** (1 / 3)
    resolved = dj.foam(
        shape, voxel, porosity=0.93, pore_diameter=float(d), skeleton="kelvin"
    )
    averaged = averaged_foam(shape, voxel, porosity=0.93, pore_diameter=float(d))
    ratio = float(averaged.specific_area / resolved.specific_area)
    assert 1.0 < ratio < 1.18


def test_segments_of_a_current():
    design = dj.CurrentSegments(jnp.asarray([4.0, 2.0]), 10.0, low=0.1, high=10.0)
    step = design.build()
    np.testing.assert_allclose(step.drive.value(jnp.asarray([1.0, 6.0])), [4.0, 2.0])
    assert float(design.charge) == pytest.approx(30.0)
    assert float(step.drive.integral(jnp.asarray(10.0))) == pytest.approx(30.0)


def test_numbers_of_a_cell_by_name():
    cell = base_cell()
    changed = changed_cell(
        cell, {"electrolyte.diffusivity": 1e-10, "film_resistance": 1e-3}
    )
    assert float(changed.electrolyte.diffusivity) == 1e-10
    assert float(changed.film_resistance) == 1e-3
    assert float(cell.electrolyte.diffusivity) != 1e-10


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: dj.DesignedCell(base_cell(), {"electrolyte.difusivity": 1.0}),
            "Did you mean 'diffusivity'",
        ),
        (lambda: dj.DesignedCell(3, {}), "cell: expected a depojax.Cell"),
        (
            lambda: changed_cell(base_cell(), {"separator.cells": 3.0}),
            "one that leads to a number",
        ),
        (
            lambda: dj.GradedPorosity.uniform(0.9, host="foams"),
            "Did you mean 'foam'",
        ),
        (lambda: dj.GradedPorosity.uniform(90), "not percent"),
        (
            lambda: dj.GradedPorosity.uniform(0.9, pore_diametre=1e-5),
            "Did you mean 'pore_diameter'",
        ),
        (
            lambda: dj.GradedPorosity.uniform(0.95, host="gyroid"),
            "strictly between",
        ),
        (lambda: dj.DesignedScaffold("foam", BOX, 1e-6), "generator: expected"),
        (lambda: dj.FreeDensity(jnp.ones((2, 2)) / 2, 1e-6), "one number per cell"),
        (lambda: dj.FreeLevelSet(jnp.ones((2, 2, 2)), (2, 2, 2), 1e-6), "shape"),
        (lambda: dj.CurrentSegments(jnp.ones(3), 1.0), "bounds low= and high="),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
