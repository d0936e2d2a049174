"""Metals: Faraday's law of thickness, and numbers that are made when they are read."""

import math
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depojax.physics import metals
from depojax.units import cm, g, mAh


@pytest.mark.parametrize(
    ("name", "thickness"),
    [
        ("lithium", 48.49080769514122),
        ("sodium", 88.61361903053792),
        ("potassium", 169.23563427902172),
        ("zinc", 17.082755045203886),
        ("copper", 13.230961866498939),
    ],
)
def test_ten_milliampere_hours_per_square_centimetre(name, thickness):
    metal = metals.KNOWN[name]()
    plated = metal.thickness_of(10 * mAh / cm**2)
    # The reference was computed with seven digits of V_m.
    np.testing.assert_allclose(plated * 1e6, thickness, rtol=1e-8)
    np.testing.assert_allclose(metal.thickness_of(-36e4), -plated, rtol=1e-14)


@pytest.mark.parametrize("name", sorted(metals.KNOWN))
def test_known_metals(name):
    metal = getattr(metals, name)
    assert metal.name == name
    assert eqx.tree_equal(metal, metals.KNOWN[name]())
    assert name in dir(metals)
    assert metal.charge == (2 if name in ("zinc", "copper") else 1)
    volume_per_atom = float(metal.molar_volume) / 6.02214076e23
    assert 2.2e-10 < volume_per_atom ** (1 / 3) < 4.3e-10


def test_thickness_of_a_map_of_charges():
    charges = jnp.asarray([[0.0, 3.6], [36.0, 360.0]])
    thickness = metals.lithium.thickness_of(charges)
    assert thickness.shape == (2, 2)
    np.testing.assert_allclose(thickness, charges * float(thickness[0, 1]) / 3.6)


def test_gradient_with_respect_to_density():
    def thickness(metal):
        return metal.thickness_of(3.6e4)

    lithium = metals.lithium
    slope = jax.grad(thickness)(lithium).density
    np.testing.assert_allclose(slope, -thickness(lithium) / lithium.density, rtol=1e-14)


def test_precision_is_that_of_the_moment():
    code = (
        "import jax; from depojax.physics import metals\n"
        "first = metals.lithium.density.dtype\n"
        "jax.config.update('jax_enable_x64', True)\n"
        "print(first, metals.lithium.density.dtype)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "float32 float64"


def test_unknown_metal_names_the_nearest():
    with pytest.raises(AttributeError, match=r"Did you mean 'lithium'\? Known: copper"):
        _ = metals.lithum


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"density": 0.534}, r"density: .*0\.534 \* g / cm\*\*3"),
        ({"molar_mass": 6.94}, r"molar_mass: .*6\.94 \* g"),
        ({"standard_potential": -3040.0}, "standard_potential: expected within"),
        ({"surface_energy": -0.5}, "surface_energy: expected a positive number"),
        ({"electrical_conductivity": math.inf}, "electrical_conductivity: .*finite"),
        ({"charge": 0}, "charge: expected at least 1"),
        ({"charge": 1.0}, "charge: expected a whole number"),
    ],
)
def test_refusals(changes, words):
    numbers = {
        "charge": 1,
        "molar_mass": 6.94 * g,
        "density": 534.0,
        "standard_potential": -3.04,
        "electrical_conductivity": 1e7,
        "surface_energy": 0.5,
    }
    with pytest.raises(ValueError, match=words):
        metals.Metal("lithium", **(numbers | changes))


def test_thickness_of_what_is_no_number():
    with pytest.raises(ValueError, match="charge_per_area: expected a number"):
        metals.zinc.thickness_of("1 mAh")
