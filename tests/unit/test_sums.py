"""Products keep their digits on every device."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.scaffold.scaffold import Scaffold

HIGHEST = (jax.lax.Precision.HIGHEST,) * 2
HALF = np.linspace(0.2, 0.8, 6**3).reshape(6, 6, 6)


def products(jaxpr):
    """The precision of every product in a program and in those that it calls."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.params["precision"]
        for inner in jax.tree.leaves(
            equation.params, is_leaf=lambda x: hasattr(x, "eqns")
        ):
            if hasattr(inner, "eqns"):
                yield from products(inner)


def diffusivity(field):
    found = dj.tortuosity(field, precision="float32", throw=False)
    return found.effective_diffusivity


def time_to_run_dry(field):
    side = np.full(6, 1e-6)
    cell = dj.Cell(
        Scaffold.homogenised(Grid((side, side, side)), field, 1.5, 1e6),
        dj.BinaryElectrolyte(1000.0, 3e-10, 0.4, conductivity=1.0),
        kinetics=dj.ButlerVolmer(3.0),
        separator=dj.Separator(2e-5, cells=2),
    )
    return dj.sand_time(cell, 300.0, throw=False).time


@pytest.mark.parametrize("question", [diffusivity, time_to_run_dry])
def test_no_product_is_left_to_the_precision_of_the_device(question):
    program = eqx.filter_make_jaxpr(jax.value_and_grad(question))
    found = list(products(program(jnp.asarray(HALF))[0].jaxpr))
    assert len(found) > 3
    assert set(found) == {HIGHEST}
