"""Maps of a space charge over the metal: every cell counts once, at what is nearest."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from ionic import made_up_cell, made_up_solution

import depojax as dj
from depojax.problems.ion_assembly import ion_model
from depojax.problems.ion_balance import begin
from depojax.problems.ion_maps import (
    crossed,
    local_thickness,
    metal_area,
    nearest_metal,
)
from depojax.problems.ion_model import IonFields
from depojax.problems.ion_reactions import layer_thickness
from depojax.units import FARADAY, GAS_CONSTANT


@pytest.fixture(scope="module")
def model():
    return ion_model(made_up_cell(counter_electrode="reservoir"), neutral=False)


def places(grid):
    mesh = np.meshgrid(*(np.asarray(x) for x in grid.centers), indexing="ij")
    return np.stack([x.ravel() for x in mesh], -1)


def test_labels_are_the_nearest_places(model):
    """A convex pillar on an open floor hides nothing: the straight way is open."""
    labels = np.asarray(nearest_metal(model)).ravel()
    wet = np.asarray(model.in_pore).ravel()
    metal = np.flatnonzero(np.asarray(metal_area(model)).ravel() > 0)
    x = places(model.grid)
    away = np.linalg.norm(x[:, None] - x[metal][None], axis=-1)
    assert np.all(np.isin(labels[wet], metal))
    own = np.linalg.norm(x[wet] - x[labels[wet]], axis=-1)
    np.testing.assert_allclose(own, away[wet].min(1), rtol=1e-12)
    np.testing.assert_array_equal(labels[metal], metal)


def test_labels_go_through_periodic_sides():
    salt = dj.MultiIonElectrolyte(
        [dj.Ion("M+", 1, 1e-9), dj.Ion("X-", -1, 1e-9)], [1.0, 1.0]
    )
    # A floor that is metal in one column only is seen from both of its sides.
    wide = dj.Grid.uniform((6, 1, 2), 1e-8, periodic=(True, False, False))
    cell = dj.Cell(dj.Scaffold.homogenised(wide, 1.0, 1.0, 0.0), salt)
    one = ion_model(cell, neutral=False)
    alone = jnp.zeros((6, 1)).at[0].set(1e-16)
    one = dataclasses.replace(one, floor=dataclasses.replace(one.floor, area=alone))
    labels = np.asarray(nearest_metal(one))
    # The first column is beside the last one, whose cells it takes.
    assert np.all(labels == 0)


def test_the_mean_over_the_metal_is_that_of_the_cell(model):
    rng = np.random.default_rng(3)
    shape = (3, *model.grid.shape)
    fields = IonFields(
        jnp.asarray(rng.uniform(0, 1, shape) ** 3),
        jnp.zeros(model.grid.shape),
        jnp.zeros(()),
    )
    passing = begin(model).passing
    local = local_thickness(model, nearest_metal(model), fields, passing)
    area = metal_area(model)
    mean = float(jnp.sum(area * local) / jnp.sum(area))
    whole = float(layer_thickness(model, fields, passing))
    assert whole > 0
    assert mean == pytest.approx(whole, rel=1e-12)
    assert np.all(np.asarray(local)[np.asarray(area) == 0] == 0)


def test_crossing_of_a_level_between_two_steps():
    before = jnp.asarray([0.0, 1.0, 3.0, 0.5])[:, None, None]
    after = jnp.asarray([4.0, 1.5, 5.0, 0.1])[:, None, None]
    times = crossed(
        jnp.asarray(2.0), before, after, jnp.asarray(10.0), jnp.asarray(4.0)
    )
    np.testing.assert_allclose(times.ravel(), [12.0, np.inf, np.inf, np.inf])


def test_dendrites_are_as_fast_as_anions_leave():
    """T5: J = 10 A m⁻² in 100 mol m⁻³, mobilities 4e-9 and 8e-9 m² V⁻¹ s⁻¹."""
    thermal = GAS_CONSTANT * 298.15 / FARADAY
    ions = dj.Ion("M+", 1, 4e-9 * thermal), dj.Ion("X-", -1, 8e-9 * thermal)
    salt = dj.MultiIonElectrolyte(ions, [100.0, 100.0])
    base = made_up_solution()
    cell = base.cell.replace(electrolyte=salt)
    area = np.asarray(cell.scaffold.surface_area)
    host = np.zeros(cell.grid.shape)
    host[..., : area.shape[2]] = np.where(area > 0, 10.0, 0.0)
    solution = dataclasses.replace(
        base,
        cell=cell,
        local_current_density=jnp.asarray(host),
        collector_current_density=jnp.full(cell.grid.shape[:2], 10.0),
    )
    velocity = np.asarray(solution.dendrite_velocity)
    metal = np.asarray(cell.domain().wall_area) > 0
    np.testing.assert_allclose(velocity[metal], 6.909513104174783e-07, rtol=1e-8)
    assert np.all(velocity[~metal] == 0)
    # t_a J/(F c_a), whatever the field.
    known = 8 / 12 * 10 / (FARADAY * 100)
    np.testing.assert_allclose(velocity[metal], known, rtol=1e-8)
    # Stripping grows none.
    back = dataclasses.replace(
        solution,
        local_current_density=-solution.local_current_density,
        collector_current_density=-solution.collector_current_density,
    )
    assert float(jnp.max(back.dendrite_velocity)) == 0
