"""The annotations of the package are executed in these tests."""

import jax.numpy as jnp
import pytest

from depojax.fv.cut_cells import interface_area
from depojax.fv.grid import Grid


def test_wrong_shape_is_caught_by_its_annotation():
    grid = Grid.uniform((3, 4, 5), 1e-6)
    apertures = jnp.ones((4, 4, 5)), jnp.ones((3, 5, 5)), jnp.ones((3, 4, 6))
    assert interface_area(grid, apertures).shape == (3, 4, 5)
    with pytest.raises(TypeError, match="apertures"):
        interface_area(grid, (apertures[0], apertures[0], apertures[2]))


def test_plain_types_are_left_to_the_package():
    with pytest.raises(ValueError, match="shape: expected three numbers of cells"):
        Grid.uniform("cube", 1e-6)
