"""Waveforms: values, integrals against quadrature, switches, derivatives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depojax.problems.waveforms import Constant, PulseTrain, Sweep, Table

WAVEFORMS = {
    "constant": Constant(-3.0),
    "pulses": PulseTrain([10.0, 0.0], [1.0, 3.0]),
    "reverse pulses": PulseTrain([10.0, -4.0, 0.0], [0.3, 0.1, 0.7]),
    "table": Table([0.0, 1.0, 2.5, 7.0], [1.0, -2.0, 3.0, 0.5]),
    "jumps": Table([0.0, 0.0, 2.0, 2.0, 4.0], [9.0, 1.0, 3.0, -1.0, -1.0]),
    "stairs": Table.stairs([0.0, 1.0, 3.0, 4.0], [1.0, 5.0, -2.0]),
    "sweep": Sweep(0.0, [-0.2, 0.3], 0.1),
    "cycles": Sweep(0.1, [-0.2, 0.3], 0.1, cycles=3),
}
each = pytest.mark.parametrize("waveform", WAVEFORMS.values(), ids=WAVEFORMS)


@pytest.mark.parametrize(
    ("name", "times", "values"),
    [
        ("constant", [0, 9], [-3, -3]),
        ("pulses", [0, 0.9, 1, 3.9, 4, 5], [10, 10, 0, 0, 10, 0]),
        ("reverse pulses", [0.2, 0.35, 0.5, 1.2, 1.45], [10, -4, 0, 10, -4]),
        ("table", [0, 0.5, 1, 7, 8], [1, -0.5, -2, 0.5, 0.5]),
        ("jumps", [0, 1, 2, 3], [1, 2, -1, -1]),
        ("stairs", [0, 0.9, 1, 3, 5], [1, 1, 5, -2, -2]),
        ("sweep", [0, 1, 2, 4, 7, 9], [0, -0.1, -0.2, 0, 0.3, 0.3]),
        ("cycles", [0, 3, 8, 10, 13, 30], [0.1, -0.2, 0.3, 0.1, -0.2, 0.1]),
    ],
)
def test_values(name, times, values):
    found = WAVEFORMS[name].value(jnp.asarray(times, float))
    np.testing.assert_allclose(found, values, atol=1e-13)


def corners(waveform, end):
    """Where a waveform jumps or bends until a time, as it tells itself."""
    t, found = jnp.asarray(0.0), []
    while t < end:
        found.append(float(t))
        t = waveform.next_switch(t)
    return [*found, end]


@each
def test_integral_is_that_of_the_values(waveform):
    """Gauss between the switches is exact where these are the only corners."""
    end = 5.7
    nodes, weights = np.polynomial.legendre.leggauss(2)
    total = 0.0
    for a, b in np.lib.stride_tricks.sliding_window_view(corners(waveform, end), 2):
        at = (a + b) / 2 + (b - a) / 2 * nodes
        total += (b - a) / 2 * weights @ np.asarray(waveform.value(jnp.asarray(at)))
        np.testing.assert_allclose(waveform.integral(b), total, rtol=1e-12, atol=1e-13)


@each
def test_integral_differentiates_to_the_value(waveform):
    for t in (0.05, 0.45, 2.6, 5.3, 40.0):
        np.testing.assert_allclose(
            jax.grad(waveform.integral)(t), waveform.value(jnp.asarray(t)), atol=1e-12
        )


@each
def test_integral_differentiates_by_its_numbers(waveform):
    """Every leaf, reverse and forward, against central differences."""
    t = jnp.asarray(3.17)
    leaves, tree = jax.tree.flatten(waveform)

    def integral(*leaves):
        return jax.tree.unflatten(tree, leaves).integral(t)

    slopes = jax.grad(integral, argnums=tuple(range(len(leaves))))(*leaves)
    for i, leaf in enumerate(leaves):
        for index in np.ndindex(leaf.shape):
            up, down = (
                [*leaves[:i], leaf.at[index].add(h), *leaves[i + 1 :]]
                for h in (1e-6, -1e-6)
            )
            if waveform is WAVEFORMS["jumps"] and i == 0 and index in ((0,), (1,)):
                continue  # the start of a table does not move
            difference = (integral(*up) - integral(*down)) / 2e-6
            np.testing.assert_allclose(slopes[i][index], difference, atol=1e-7)
            unit = [jnp.zeros_like(other) for other in leaves]
            unit[i] = unit[i].at[index].set(1.0)
            forward = jax.jvp(integral, tuple(leaves), tuple(unit))[1]
            np.testing.assert_allclose(slopes[i][index], forward, atol=1e-12)


@each
def test_switches_follow_each_other(waveform):
    """As an integrator goes, by t + (switch − t): it never stalls on a sliver."""
    t = jnp.asarray(0.0)
    for _ in range(200):
        room = waveform.next_switch(t) - t
        if jnp.isinf(room):
            break
        assert room > 0.05
        t = t + room
    if waveform.duration is not None:
        np.testing.assert_allclose(t, waveform.duration, rtol=1e-12)


def test_durations():
    assert WAVEFORMS["constant"].duration is None
    assert WAVEFORMS["pulses"].duration is None
    assert WAVEFORMS["table"].duration == 7.0
    np.testing.assert_allclose(WAVEFORMS["sweep"].duration, 7.0)
    np.testing.assert_allclose(WAVEFORMS["cycles"].duration, 30.0)


def test_no_number_compiles_again():
    traced = []

    @jax.jit
    def value(waveform):
        traced.append(waveform)
        return waveform.value(jnp.asarray(0.5))

    assert value(PulseTrain([1.0, 0.0], [1.0, 1.0])) == 1.0
    assert value(PulseTrain([7.0, 0.0], [0.6, 2.0])) == 7.0
    assert len(traced) == 1


def test_waveforms_are_mapped():
    def last(rate):
        return Sweep(0.0, jnp.asarray([-0.2]), rate).duration

    np.testing.assert_allclose(jax.vmap(last)(jnp.asarray([0.1, 0.2])), [2.0, 1.0])
    stacked = eqx.filter_vmap(Constant)(jnp.asarray([1.0, 2.0]))
    found = eqx.filter_vmap(lambda w: w.value(jnp.asarray(0.0)))(stacked)
    np.testing.assert_allclose(found, [1.0, 2.0])


def test_float32_switches():
    t = jnp.asarray(10_000.0, jnp.float32)
    train = PulseTrain(
        jnp.asarray([1.0, 0.0], jnp.float32), jnp.asarray([0.5, 0.5], jnp.float32)
    )
    assert train.value(t) == 1.0
    assert train.next_switch(t) - t > 0.4
