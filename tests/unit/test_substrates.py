"""Substrates: what is known of them, and hosts that change from bottom to top."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax.fv.grid import Grid
from depojax.physics.substrates import KNOWN, Measurement, Substrate
from depojax.units import mV

LITHIUM = dj.metals.lithium


def test_every_substrate_says_where_its_numbers_come_from():
    for name in KNOWN:
        substrate = getattr(dj.substrates, name)
        assert substrate.name == name
        assert 0 <= float(substrate.solubility) <= 1
        for metal, found in substrate.measured:
            assert hasattr(dj.metals, metal)
            assert "doi:10." in found.reference
            assert "recalled" in found.reference
            assert found.uncertainty > 0
            assert found.current_density > 0


def test_order_of_yan_et_al():
    """None on what lithium dissolves, then Al, Pt, C, Ni, Cu."""
    dips = [
        getattr(dj.substrates, name).measurement(LITHIUM).overpotential
        for name in ("gold", "aluminium", "platinum", "carbon", "nickel", "copper")
    ]
    assert dips[0] == 0
    assert np.all(np.diff(dips) > 0)
    for name in ("gold", "silver", "zinc", "magnesium"):
        assert getattr(dj.substrates, name).measurement(LITHIUM).overpotential == 0
        assert float(getattr(dj.substrates, name).solubility) > 0
    assert dj.substrates.copper.measurement(LITHIUM).overpotential == 40 * mV


def test_nucleation_begins_where_it_was_measured():
    law = dj.substrates.copper.nucleation(LITHIUM, rate=1e11)
    np.testing.assert_allclose(law.rate(-0.040), 1e11, rtol=1e-10)
    assert law.rate(-0.030) < 1
    bare = dj.substrates.silver.nucleation(LITHIUM)
    np.testing.assert_allclose(bare.rate(-0.001), bare.prefactor)


def test_gradient_from_gold_to_alumina():
    """Pu et al. 2019: lithiophilic below, insulating on top."""
    host = dj.Scaffold.open(Grid.uniform((2, 3, 4), 1e-6))
    law = dj.substrates.graded(
        host, dj.substrates.gold, dj.substrates.alumina, LITHIUM, site_density=1e12
    )
    rate = law.rate(jnp.full(host.shape, -0.05))
    assert rate.shape == host.shape
    share = (np.arange(4) + 0.5) / 4
    np.testing.assert_allclose(rate[0, 0], 1e31 * (1 - share), rtol=1e-12)
    np.testing.assert_allclose(law.site_density[1, 2], 1e12 * (1 - share), rtol=1e-12)
    cut = dj.substrates.graded(
        host, dj.substrates.gold, dj.substrates.alumina, LITHIUM,
        share=lambda x, y, z: jnp.where(z > 2e-6, 1.0, 0.0),
    )  # fmt: skip
    assert np.all(cut.rate(-0.05)[..., :2] == 1e31)
    assert np.all(cut.rate(-0.05)[..., 2:] <= 1e20)


def test_gradient_between_metals():
    host = dj.Scaffold.open(Grid.uniform((1, 1, 5), 1e-6))
    profile = dj.Graded([0.0, 1.0, 0.0])
    law = dj.substrates.graded(
        host, dj.substrates.gold, dj.substrates.copper, LITHIUM, share=profile
    )
    share = np.asarray([0.2, 0.6, 1.0, 0.6, 0.2])
    np.testing.assert_allclose(law.rate(-0.04 * share)[0, 0], 1e12, rtol=1e-9)

    def total(scale):
        field = scale * jnp.asarray(share)[None, None]
        graded = dj.substrates.graded(
            host, dj.substrates.gold, dj.substrates.copper, LITHIUM, share=field
        )
        return jnp.sum(jnp.log(graded.rate(-0.05)))

    slope = jax.grad(total)(0.9)
    h = 1e-6
    central = (total(0.9 + h) - total(0.9 - h)) / (2 * h)
    np.testing.assert_allclose(slope, central, rtol=1e-6)


def test_own_substrate():
    found = Measurement(0.05, 0.01, 5.0, "measured here")
    steel = Substrate("steel", {"lithium": found})
    np.testing.assert_allclose(steel.nucleation(LITHIUM).rate(-0.05), 1e12, rtol=1e-9)


def test_refusals():
    with pytest.raises(AttributeError, match="Did you mean 'copper'"):
        _ = dj.substrates.coper
    with pytest.raises(ValueError, match=r"metal on silver: .*'zinc'.*Known: lithium"):
        dj.substrates.silver.nucleation(dj.metals.zinc)
    with pytest.raises(ValueError, match="does not nucleate on an insulator"):
        dj.substrates.alumina.nucleation(LITHIUM)
    host = dj.Scaffold.open(Grid.uniform((1, 1, 2), 1e-6))
    gold, alumina = dj.substrates.gold, dj.substrates.alumina
    with pytest.raises(ValueError, match=r"bottom: .*, got alumina and alumina"):
        dj.substrates.graded(host, alumina, alumina, LITHIUM)
    with pytest.raises(ValueError, match="share: expected within"):
        dj.substrates.graded(host, gold, alumina, LITHIUM, share=1.5)
    with pytest.raises(ValueError, match="share: expected a number or an array over"):
        dj.substrates.graded(host, gold, alumina, LITHIUM, share=jnp.zeros(3))
    with pytest.raises(ValueError, match="Its magnitude, with its unit"):
        Substrate("x", {"lithium": Measurement(-0.04, 0.01, 1.0, "")})
