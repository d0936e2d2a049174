"""Periodic surfaces: areas against marching cubes, volumes, gradation, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depojax.fv.grid import Grid
from depojax.scaffold.gradients import Graded
from depojax.scaffold.tpms import _phases, gyroid, schwarz_d, schwarz_p
from depojax.units import um

SURFACES = {"gyroid": gyroid, "schwarz_p": schwarz_p, "schwarz_d": schwarz_d}
# area of the minimal surface in the unit cell / period² (Schoen 1970)
MINIMAL_AREA = {"gyroid": 3.0915, "schwarz_p": 2.3451, "schwarz_d": 3.8378}
CELL = {"shape": (32, 32, 32), "voxel_size": 1 * um, "period": 32 * um}


def nodal(name, n):
    """The surface written out once more, in numpy, on n³ intervals of a unit cell."""
    t = 2 * np.pi * np.arange(n + 1) / n
    x, y, z = np.meshgrid(t, t, t, indexing="ij")
    s, c = np.sin, np.cos
    if name == "gyroid":
        return s(x) * c(y) + s(y) * c(z) + s(z) * c(x)
    if name == "schwarz_p":
        return c(x) + c(y) + c(z)
    return (
        s(x) * s(y) * s(z)
        + s(x) * c(y) * c(z)
        + c(x) * s(y) * c(z)
        + c(x) * c(y) * s(z)
    )


def marching_area(values, level):
    measure = pytest.importorskip("skimage.measure")
    vertices, faces, _, _ = measure.marching_cubes(values, level)
    return measure.mesh_surface_area(vertices, faces) / (values.shape[0] - 1) ** 2


@pytest.mark.parametrize("name", SURFACES)
def test_half_porosity_is_the_minimal_surface(name):
    scaffold = SURFACES[name](**CELL, porosity=0.5, periodic=(True, True, True))
    area = float(scaffold.specific_area) * 32 * um
    assert float(scaffold.porosity) == pytest.approx(0.5, abs=1e-8)
    # the first Fourier terms come within half a percent of the minimal surface
    assert area == pytest.approx(MINIMAL_AREA[name], rel=6e-3)
    assert area == pytest.approx(marching_area(nodal(name, 64), 0.0), rel=4e-3)


@pytest.mark.parametrize("name", SURFACES)
def test_area_off_the_middle_follows_marching_cubes(name):
    values = nodal(name, 64)
    level = np.quantile(values[:-1, :-1, :-1], 0.35)
    scaffold = SURFACES[name](**CELL, porosity=0.65)
    area = float(scaffold.specific_area) * 32 * um
    assert float(scaffold.porosity) == pytest.approx(0.65, abs=1e-8)
    assert area == pytest.approx(marching_area(values, level), rel=1e-2)


@pytest.mark.parametrize("name", SURFACES)
def test_sheet_has_two_walls(name):
    values = nodal(name, 64)
    level = np.quantile(np.abs(values[:-1, :-1, :-1]), 0.3)
    scaffold = SURFACES[name](**CELL, porosity=0.7, kind="sheet")
    expected = marching_area(values, level) + marching_area(values, -level)
    assert float(scaffold.porosity) == pytest.approx(0.7, abs=1e-8)
    assert float(scaffold.specific_area) * 32 * um == pytest.approx(
        expected, rel=1.5e-2
    )


def test_skeletal_solid_is_about_the_middle_of_the_schwarz_p_cell():
    scaffold = schwarz_p(**CELL, porosity=0.6)
    assert scaffold.pore_fraction[0, 0, 0] == 1
    assert scaffold.pore_fraction[16, 16, 16] == 0
    shifted = schwarz_p(**CELL, porosity=0.6, phase=0.5)
    assert shifted.pore_fraction[0, 0, 0] == 0
    np.testing.assert_allclose(
        shifted.pore_fraction,
        jnp.roll(scaffold.pore_fraction, 16, (0, 1, 2)),
        atol=1e-8,
    )


def test_phase_of_a_constant_period_is_the_textbook_one():
    grid = Grid.uniform((6, 8, 10), 1.0 * um)
    for period in (jnp.full((1, 1, 1), 5e-6), jnp.full((7, 9, 11), 5e-6)):
        for axis, phase in enumerate(_phases(period, jnp.zeros(3), grid)):
            nodes = grid.node_mesh()[axis] / 5e-6
            np.testing.assert_allclose(phase + 0 * nodes, nodes + 0 * phase, atol=1e-12)


def test_graded_period_integrates_the_phase():
    grid = Grid.uniform((8, 8, 200), 1.0 * um)
    z = grid.nodes[2]
    period = (20e-6 + 0.1 * z)[None, None, :]
    along_x, _, along_z = _phases(period, jnp.zeros(3), grid)
    exact = np.log1p(0.1 * z / 20e-6) / 0.1
    np.testing.assert_allclose(along_z[0, 0], exact, atol=1e-4)
    # on the centre line nothing shears, beside it the local period holds
    np.testing.assert_allclose(jnp.diff(along_x[4, 0]), 0, atol=1e-12)
    np.testing.assert_allclose(
        jnp.diff(along_x, axis=0)[0, 0], 1e-6 / period[0, 0], rtol=1e-9
    )


@pytest.mark.slow
def test_graded_period_and_porosity():
    shape = (24, 24, 64)
    constant = gyroid(shape, 1 * um, porosity=0.6, period=14 * um)
    as_profile = gyroid(shape, 1 * um, porosity=0.6, period=Graded([14 * um, 14 * um]))
    np.testing.assert_allclose(
        as_profile.pore_fraction, constant.pore_fraction, atol=1e-8
    )

    finer_below = gyroid(shape, 1 * um, porosity=0.6, period=Graded([10 * um, 20 * um]))
    assert float(finer_below.porosity) == pytest.approx(0.6, abs=1e-8)
    lower, upper = jnp.split(finer_below.surface_area.sum((0, 1)), 2)
    # ∫ dz/P below and above the middle: ln(15/10)/ln(20/15)
    ratio = float(lower.sum() / upper.sum())
    assert ratio == pytest.approx(np.log(1.5) / np.log(4 / 3), rel=0.1)

    graded = gyroid(shape, 1 * um, porosity=Graded([0.4, 0.8, 0.9]), period=16 * um)
    assert float(graded.porosity) == pytest.approx(0.725, abs=1e-8)
    profile = graded.pore_fraction.mean((0, 1))
    assert float(profile[:16].mean()) == pytest.approx(0.5, abs=0.03)
    assert float(profile[-16:].mean()) == pytest.approx(0.875, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [pytest.param("skeletal", marks=pytest.mark.slow), "sheet"]
)
def test_gradients(kind):
    def area(parameters):
        porosity, lower, upper, phase = parameters
        scaffold = gyroid(
            (16, 16, 20), 1 * um, porosity=porosity, phase=phase, kind=kind,
            period=Graded(jnp.stack([lower, upper])),
        )  # fmt: skip
        return scaffold.specific_area * 1e-6

    at = jnp.asarray([0.61, 15.3 * um, 17.1 * um, 0.13])
    value, reverse = jax.jit(jax.value_and_grad(area))(at)
    forward = jax.jit(lambda v: jax.jvp(area, (at,), (v,))[1])
    value = jax.jit(area)
    for n, step in enumerate((1e-6, 1e-12, 1e-12, 1e-6)):
        direction = jnp.zeros(4).at[n].set(1.0)
        central = (value(at + step * direction) - value(at - step * direction)) / (
            2 * step
        )
        assert float(forward(direction)) == pytest.approx(float(reverse[n]), rel=1e-8)
        assert float(central) == pytest.approx(float(reverse[n]), rel=1e-4)


@pytest.mark.parametrize(
    ("function", "change", "message"),
    [
        (gyroid, {"porosity": 60}, "Give a fraction, not percent"),
        (gyroid, {"porosity": 0.99}, r"porosity: .* \[0.03, 0.97\].*fall apart"),
        (schwarz_p, {"porosity": 0.85}, r"within \[0.22, 0.78\]"),
        (schwarz_p, {"porosity": 0.4, "kind": "sheet"}, r"within \[0.44, 1\]"),
        (schwarz_d, {"porosity": 0.05}, r"within \[0.09, 0.91\]"),
        (gyroid, {"porosity": 0.97, "kind": "sheet"}, "solid at least 2 voxels thick"),
        (gyroid, {"kind": "sheets"}, "Did you mean 'sheet'"),
        (gyroid, {"period": 32}, "period: .* write it with its unit"),
        (gyroid, {"period": 0.1 * um}, r"period: .*got 0.1 voxels.*longer period"),
        (gyroid, {"period": lambda x, y, z: 8 * um + z + 0 * x}, "shears the cells"),
        (gyroid, {"phase": (0.1, 0.2)}, "one or three numbers"),
        (gyroid, {"periodic": (True, True, True), "period": 30 * um}, "whole periods"),
        (gyroid, {"voxel_size": 2}, "write it with its unit, as 2"),
    ],
)  # fmt: skip
def test_refusals(function, change, message):
    arguments = {**CELL, "porosity": 0.6, **change}
    with pytest.raises(ValueError, match=message):
        function(**arguments)
