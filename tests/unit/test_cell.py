"""The cell on its grid: layers, far sides, surfaces, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import lithium_salt

from depojax.fv.grid import Grid
from depojax.physics import metals
from depojax.physics.electrolyte import BinaryElectrolyte
from depojax.problems.cell import Cell, Separator
from depojax.scaffold.scaffold import Scaffold

GRID = Grid.uniform((3, 2, 4), 2e-6)


def host(**changes):
    arguments = {"porosity": 0.6, "tortuosity_factor": 2.0, "specific_area": 1e5}
    return Scaffold.homogenised(GRID, **(arguments | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"porosity": 60}, r"porosity: expected within \(0, 1\], got 60"),
        ({"porosity": np.ones(3)}, r"porosity: .* broadcasts to \(3, 2, 4\) cells"),
        ({"tortuosity_factor": 0.5}, r"tortuosity_factor: .* It is ε D/D_eff"),
        ({"tortuosity_factor": (1.5, 2.0)}, "one field or three, got 2"),
        ({"specific_area": np.ones((4, 2, 3))}, r"specific_area: .* shape \(4, 2, 3\)"),
        ({"wall_distance": -1e-6}, "wall_distance: expected within"),
    ],
)
def test_averages_that_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        host(**changes)


def block():
    """A resolved host: the lower half of every other column is solid."""
    x, _, z = GRID.node_mesh()
    values = jnp.maximum(x - 3e-6, z - 5e-6)
    return Scaffold.from_levelset(jnp.broadcast_to(values, (4, 3, 5)), GRID)


def test_layers_stand_on_each_other():
    cell = Cell(host(), lithium_salt(), separator=Separator(4e-6, 0.5, 3.0, cells=2))
    domain = cell.domain()
    assert cell.grid.shape == (3, 2, 6)
    np.testing.assert_allclose(cell.grid.lengths[2], 12e-6)
    np.testing.assert_allclose(domain.pore_fraction[0, 0], [0.6] * 4 + [0.5] * 2)
    k = domain.face_transmission[2][0, 0]
    junction = 2 / (1 / 0.3 + 1 / (0.5 / 3))
    np.testing.assert_allclose(k[1:4], 0.3)
    np.testing.assert_allclose(k[4], junction)
    np.testing.assert_allclose(k[5:], 0.5 / 3)
    assert jnp.all(domain.wall_area[..., 4:] == 0)


def test_collector_is_plated_where_it_is_open():
    plated, bare = (
        Cell(block(), lithium_salt(), plated_collector=flag) for flag in (True, False)
    )
    floor = float(jnp.sum(block().face_transmission[2][..., 0])) * 4e-12
    np.testing.assert_allclose(plated.metal_area - bare.metal_area, floor)
    np.testing.assert_allclose(bare.metal_area, block().total_surface_area)
    # a corner is as far as the mean over its walls
    distance = plated.domain().wall_distance[2, 0, 0]
    np.testing.assert_allclose(distance, 1e-6)


def test_homogenised_collector_counts_its_pores():
    cell = Cell(host(specific_area=0.0), lithium_salt())
    np.testing.assert_allclose(cell.metal_area, 0.6 * cell.footprint)


def test_narrow_pores_stay_narrow_into_the_gap():
    """A cut face at the scaffold's top keeps its aperture, whatever lies above."""
    x, _, _ = GRID.node_mesh()
    slit = Scaffold.from_levelset(jnp.broadcast_to(x - 3e-6, (4, 3, 5)), GRID)
    cell = Cell(slit, lithium_salt(), separator=Separator(2e-6, cells=1))
    np.testing.assert_allclose(
        cell.domain().face_transmission[2][..., 4], slit.face_transmission[2][..., 4]
    )


def test_gap_is_as_fine_as_the_scaffold_then_grows():
    near = Cell(host(), lithium_salt(), separator=5e-6)
    np.testing.assert_allclose(near.grid.widths[2][4:], 5e-6 / 3)
    far = Cell(host(), lithium_salt(), separator=200e-6)
    above = np.asarray(far.grid.widths[2][4:])
    np.testing.assert_allclose(above.sum(), 200e-6)
    assert above[0] <= 2e-6
    assert np.all(np.diff(above) > 0)


def test_half_infinite_bath():
    cell = Cell(
        host(), lithium_salt(), separator=4e-6, counter_electrode="half_infinite"
    )
    np.testing.assert_allclose(cell.grid.lengths[2], 0.1 + 12e-6)
    domain = cell.domain()
    assert jnp.all(domain.pore_fraction[..., -cell.bath_cells :] == 1)


def test_traced_lengths():
    @jax.jit
    def height(L):
        cell = Cell(host(), lithium_salt(), separator=Separator(L, cells=3))
        return cell.grid.lengths[2]

    np.testing.assert_allclose(height(6e-6), 14e-6)
    np.testing.assert_allclose(jax.grad(height)(6e-6), 1.0)


def test_replace():
    cell = Cell(host(), lithium_salt(), separator=4e-6, counter_electrode="reservoir")
    other = cell.replace(separator=8e-6)
    assert other.counter_electrode == "reservoir"
    np.testing.assert_allclose(other.grid.lengths[2], 16e-6)
    np.testing.assert_allclose(
        cell.with_scaffold(block()).scaffold.porosity, block().porosity
    )


def make(**changes):
    arguments = {"scaffold": host(), "electrolyte": lithium_salt()} | changes
    return Cell(**arguments)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scaffold": GRID}, "scaffold: expected a Scaffold, got Grid"),
        ({"electrolyte": 1.0}, "expected a Binary.* or Multi.*, got float"),
        ({"metal": "Li"}, "metal: expected a .*Metal.*, got str"),
        ({"plated_collector": 1}, "plated_collector: expected a bool, got int"),
        ({"counter_electrode": "resevoir"}, "Did you mean 'reservoir'"),
        ({"metal": metals.zinc}, r"carries 1 charge\(s\).*got zinc with 2"),
        ({"separator": 25.0}, r"separator thickness: .*as 25 \* um"),
        ({"separator": -1e-6}, "separator thickness: expected within"),
        (
            {"scaffold": Scaffold.open(GRID), "plated_collector": False},
            "some surface to plate, got none",
        ),
    ],
)  # fmt: skip
def test_refusals(changes, words):
    with pytest.raises(ValueError, match=words):
        make(**changes)


def test_metal_of_the_right_charge():
    zinc_sulphate = BinaryElectrolyte(1000.0, 7e-10, 0.4, charge=2)
    assert Cell(host(), zinc_sulphate, metal=metals.zinc).metal.name == "zinc"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0.0,), "separator thickness"),
        ((1e-5, 0.0), "separator porosity: expected within"),
        ((1e-5, 1.5), "separator porosity: expected within"),
        ((1e-5, 0.5, 0.9), "separator tortuosity_factor: expected within"),
    ],
)
def test_separator_refusals(arguments, words):
    with pytest.raises(ValueError, match=words):
        Separator(*arguments)


def test_refusals_of_traced_lengths():
    def automatic(L):
        return Cell(host(), lithium_salt(), separator=Separator(L)).grid.lengths[2]

    with pytest.raises(ValueError, match=r"Give Separator\(thickness, cells=16\)"):
        jax.jit(automatic)(1e-5)

    def bath(h):
        grid = Grid.uniform((1, 1, 4), h)
        return Cell(
            Scaffold.open(grid), lithium_salt(), counter_electrode="half_infinite"
        ).footprint

    with pytest.raises(ValueError, match="known cell sizes for a half-infinite bath"):
        jax.jit(bath)(1e-5)


def test_separator_counts_whole_cells():
    with pytest.raises(ValueError, match="cells: expected at least 1"):
        Separator(1e-5, cells=0)


def test_unknown_part():
    with pytest.raises(ValueError, match="Did you mean 'separator'"):
        make().replace(seperator=1e-5)
