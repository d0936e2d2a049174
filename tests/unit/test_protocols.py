"""Protocols: steps, what ends them, and the sentences that people type."""

import random

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax._quantities import parse_unit, write_quantity
from depojax.io.state import decode, encode
from depojax.problems.protocol_strings import _FORMS, _MEANT
from depojax.problems.protocols import Protocol, protocol_from
from depojax.problems.steps import Step
from depojax.problems.waveforms import Constant
from depojax.units import mA, mAh

CM2 = 1e-4
J = 1 * mA / CM2
OBSERVED = {
    "time": 10.0,
    "charge": -100.0,
    "voltage": -0.05,
    "current_density": -4.0,
    "lowest_wall_concentration": 0.4,
}


def observed(**changed):
    return {k: jnp.asarray(v) for k, v in (OBSERVED | changed).items()}


# What ends a step


@pytest.mark.parametrize(
    ("stop", "margin", "name", "at"),
    [
        (dj.Until.time(20.0), 0.5, "time", {}),
        (dj.Until.charge(400.0), 0.75, "charge", {"charge": -400.0}),
        (
            dj.Until.voltage_below(-0.2),
            1.5,
            "voltage_below",
            {"voltage": -0.2},
        ),
        (dj.Until.voltage_above(0.1), 1.5, "voltage_above", {"voltage": 0.1}),
        (dj.Until.current_below(1.0), 0.6, "current_below", {"current_density": -1.0}),
        (
            dj.Until.depletion(0.2),
            0.25,
            "depletion",
            {"lowest_wall_concentration": 0.2},
        ),
    ],
)
def test_margins(stop, margin, name, at):
    """Positive before, zero there, negative after; with a derivative that finds it."""
    t = jnp.asarray(20.0 if name == "time" else 10.0)
    np.testing.assert_allclose(stop.margin(jnp.asarray(10.0), observed()), margin)
    np.testing.assert_allclose(stop.margin(t, observed(**at)), 0, atol=1e-15)
    past = {
        k: 1.1 * v if k in ("charge", "voltage") else 0.9 * v for k, v in at.items()
    }
    assert stop.margin(1.1 * t, observed(**past)) < 0
    assert stop.name == name
    assert stop.ends == ("protocol" if name == "depletion" else "step")
    slope = jax.grad(
        lambda level: eqx.tree_at(lambda s: s.level, stop, level).margin(t, observed())
    )(stop.level)
    assert jnp.isfinite(slope)
    assert slope != 0


def test_conditions_of_ones_own():
    class Cold(eqx.Module):
        limit: jax.Array

        def __call__(self, seen):
            return seen["voltage"] + self.limit

    def thick(seen):
        return 1 - seen["charge"] / 50

    stops = (dj.Until.own(thick, ends="step"), dj.Until.own(Cold(jnp.asarray(1.0))))
    assert [stop.name for stop in stops] == ["thick", "Cold"]
    assert [stop.ends for stop in stops] == ["step", "protocol"]
    step = dj.Galvanostatic(J, time=60.0, until=(thick, stops[1]))
    margins = step.margins(jnp.asarray(6.0), observed())
    np.testing.assert_allclose(margins, [0.9, 3.0, 0.95])
    # Still a tree of arrays: a plain jit takes it.
    assert jax.jit(lambda s: s.end_time)(step) == 60.0
    assert str(step) == ("Plate at 1 mA/cm2 for 1 min or until thick or Cold")
    slope = eqx.filter_grad(lambda s: s.margin(jnp.asarray(0.0), observed()))(stops[1])
    assert slope.condition.limit == 1.0


# Steps


def test_steps_drive_and_end():
    t = jnp.asarray(0.5)
    plate = dj.Galvanostatic(J, capacity=4 * mAh / CM2, voltage=-0.2, time=3600.0)
    kinds = [stop.kind for stop in plate.conditions]
    assert kinds == ["time", "charge", "voltage_below"]
    assert (plate.mode, plate.end_time, plate.drive.value(t)) == ("current", 3600, J)
    strip = dj.Galvanostatic(-J, voltage=0.5)
    assert [stop.kind for stop in strip.conditions] == ["voltage_above"]
    assert jnp.isinf(strip.end_time)
    hold = dj.Potentiostatic(-0.1, current_density=0.5, time=60.0)
    assert (hold.mode, hold.drive.value(t), hold.end_time) == ("voltage", -0.1, 60.0)
    rest = dj.Rest(600.0, until=dj.Until.time(60.0))
    assert (rest.drive.value(t), rest.end_time) == (0.0, 60.0)
    pulse = dj.Pulse(J, 0.4, 0.6, time=10.0)
    assert (pulse.drive.value(t), pulse.drive.integral(t)) == (0.0, 0.4 * J)
    reverse = dj.ReversePulse(J, 0.4, -J, 0.2, 0.4, time=10.0)
    assert reverse.drive.value(t) == -J
    np.testing.assert_allclose(reverse.drive.integral(jnp.asarray(2.0)), 0.4 * J)


def test_waveforms_that_end_end_the_step():
    cycle = dj.CyclicVoltammetry(0.0, [-0.2, 0.2], 1e-3, cycles=3)
    np.testing.assert_allclose(cycle.end_time, 3 * 800.0)
    assert [stop.kind for stop in cycle.conditions] == ["time"]
    sweep = dj.CyclicVoltammetry(0.0, -0.2, 1e-3, cycles=None, until=dj.Until.time(9.0))
    np.testing.assert_allclose(sweep.end_time, 9.0)
    profile = dj.CurrentProfile([0.0, 1.0, 2.0], [J, -J], stepwise=True)
    assert profile.end_time == 2.0
    np.testing.assert_allclose(
        profile.drive.value(jnp.asarray([0.9, 1.0, 1.5])), [J, -J, -J]
    )
    assert dj.VoltageProfile([0.0, 5.0], [0.0, -0.1]).mode == "voltage"


def test_numbers_of_a_step_are_leaves():
    def charge(J, on, off):
        step = dj.Pulse(J, on, off, time=10.0)
        return step.drive.integral(jnp.asarray(4.25))

    # Four periods of 1 s, and a quarter into the fifth pulse.
    slopes = jax.grad(charge, argnums=(0, 1, 2))(10.0, 0.5, 0.5)
    # With longer periods less of the fifth pulse is done.
    np.testing.assert_allclose(slopes, [4 * 0.5 + 0.25, 10 * (4 - 4), -4 * 10.0])

    def end(rate):
        return dj.CyclicVoltammetry(0.0, [-0.2], rate).end_time

    np.testing.assert_allclose(jax.grad(end)(1e-2), -0.4 / 1e-4)


def test_new_numbers_do_not_compile_again():
    traced = []

    @jax.jit
    def last_value(protocol):
        traced.append(protocol)
        t = jnp.asarray(1.0)
        return jnp.stack([step.drive.value(t) for step in protocol])

    for text in (
        "Plate at 1 mA/cm2 until 4 mAh/cm2; Hold at -0.1 V for 1 h",
        "Strip at 7 mA/cm2 until 1 mAh/cm2; Hold at 0.3 V for 2 s",
    ):
        last = last_value(protocol_from(text))
    np.testing.assert_allclose(last, [-70.0, 0.3])
    assert len(traced) == 1


def test_a_step_of_ones_own():
    step = Step("current", Constant(J), (dj.Until.time(60.0),))
    assert str(step) == "Constant of current for 1 min"
    assert Protocol(step, "Rest for 1 s").steps[0] is step


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dj.Galvanostatic(J), "until: expected a condition .* got none. Give"),
        (lambda: dj.Galvanostatic(0.0, time=1.0), "other than zero, got 0. Rest"),
        (lambda: dj.Galvanostatic(jnp.nan, time=1.0), "expected finite numbers"),
        (
            lambda: dj.Galvanostatic(jnp.ones(2), time=1.0),
            r"one number .* shape \(2,\)",
        ),
        (lambda: dj.Galvanostatic("1", time=1.0), "one number .* got '1'"),
        (lambda: dj.Galvanostatic(1e9, time=1.0), r"current_density.* mA / cm\*\*2"),
        (lambda: dj.Galvanostatic(J, capacity=-1.0), "charge: expected within"),
        (lambda: dj.Galvanostatic(J, time=0.0), "time: expected within"),
        (lambda: dj.Galvanostatic(J, until=5), "until: expected a condition .* got 5"),
        (
            lambda: dj.Galvanostatic(J, until=dj.Until.current_below(1.0)),
            "no condition on the current that the step itself sets",
        ),
        (
            lambda: dj.Potentiostatic(-0.1, until=dj.Until.voltage_below(-1.0)),
            "no condition on the voltage that the step itself sets",
        ),
        (lambda: dj.Potentiostatic(-100.1, time=1.0), r"-100 \* mV"),
        (lambda: dj.Rest(), "until: expected a condition"),
        (lambda: dj.Rest(until=dj.Until.charge(1.0)), "can be met at rest, got charge"),
        (lambda: dj.Pulse(J, 0.0, 1.0, time=1.0), "on_time: expected within"),
        (lambda: dj.ReversePulse(J, 1.0, J, 1.0, time=1.0), "the other sign than"),
        (lambda: dj.CyclicVoltammetry(0.0, [], 1.0), "one potential or more"),
        (lambda: dj.CyclicVoltammetry(0.0, [1, 1], 1.0), "to differ from the one befo"),
        (lambda: dj.CyclicVoltammetry(0.0, [1, 0], 1.0), "leads back to the start"),
        (lambda: dj.CyclicVoltammetry(0.0, [1], -1.0), "rate: expected within"),
        (
            lambda: dj.CyclicVoltammetry(0.0, [1], 1.0, cycles=0),
            "cycles: expected at l",
        ),
        (lambda: dj.CurrentProfile([0, 1], [J]), "as many numbers as values"),
        (lambda: dj.CurrentProfile([0, 1], [J, J], stepwise=True), "one more than val"),
        (lambda: dj.CurrentProfile([1, 2], [J, J]), "a start at 0 s, got 1 s"),
        (lambda: dj.CurrentProfile([0, 2, 1], [J] * 3), "2 s before 1 s. Sort"),
        (lambda: dj.CurrentProfile([0, 1, 1], [J] * 3), "is a jump from the first"),
        (lambda: dj.VoltageProfile([0, 1], [0, 500]), r"\|values\|: expected within"),
        (lambda: dj.Until.depletion(1.0), "threshold: expected within"),
        (lambda: dj.Until.time(1.0, ends="all"), "ends: expected a known word"),
        (lambda: dj.Until.own(5), "condition: expected a function"),
        (
            lambda: jax.jit(lambda J: dj.Galvanostatic(J, voltage=-0.1).end_time)(J),
            "a current whose sign is known.*Until.voltage_below",
        ),
        (lambda: protocol_from(None), r"steps and sentences .* got None \(NoneType\)"),
        (lambda: protocol_from([]), "a step or a sentence .* got none"),
        (lambda: protocol_from({"Rest for 1 s": 1}), r"got \{.*\(dict\)"),
    ],
)
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# Sentences


UNDERSTOOD = [
    ("Plate at 1 mA/cm2 until 4 mAh/cm2", dj.Galvanostatic(J, capacity=144e3)),
    ("plate AT 10 A m⁻² FOR 1 HOUR.", dj.Galvanostatic(J, time=3600.0)),
    ("Plate at 1MA/CM^2 for 5 ms", dj.Galvanostatic(J, time=0.005)),
    (
        "Plate at 1 mA / cm² for 2 h or until -0.2 V",
        dj.Galvanostatic(J, time=7200.0, voltage=-0.2),
    ),
    (
        "Plate at 1e0 mA·cm-2 until −200 mV, or 3.6 C/cm2 or until depletion",
        dj.Galvanostatic(
            J,
            until=(
                dj.Until.voltage_below(-0.2),
                dj.Until.charge(3.6 * 1e4),
                dj.Until.depletion(),
            ),
        ),
    ),
    ("Strip at 10 A/m2 until 0.5 V", dj.Galvanostatic(-J, voltage=0.5)),
    (
        "Strip at 10 A/m2 until below 0.1 V (ends the protocol)",
        dj.Galvanostatic(-J, until=dj.Until.voltage_below(0.1, ends="protocol")),
    ),
    ("Rest for 10 minutes", dj.Rest(600.0)),
    ("rest until above -0.01 V", dj.Rest(until=dj.Until.voltage_above(-0.01))),
    ("Hold at -100 mV for 1 h", dj.Potentiostatic(-0.1, time=3600.0)),
    (
        "Hold at -.1 V until 0.05 mA/cm2",
        dj.Potentiostatic(-0.1, current_density=0.5),
    ),
    (
        "Pulse 5 ms at 10 mA/cm2 / 20 ms rest for 1 h or until -0.3 V",
        dj.Pulse(100.0, 0.005, 0.02, time=3600.0, voltage=-0.3),
    ),
    (
        "Pulse 5 ms at 10 mA/cm2/2 ms at -5 mA/cm2/20 ms rest until 1 mAh/cm2",
        dj.ReversePulse(100.0, 0.005, -50.0, 0.002, 0.02, capacity=36e3),
    ),
    (
        "Sweep from 0 V to -0.2 V to 0.2 V at 1 mV/s",
        dj.CyclicVoltammetry(0.0, [-0.2, 0.2], 1e-3, cycles=None),
    ),
    (
        "Sweep from 0 V to -0.2 V at 1 mV/s for 2 cycles or until depletion below 0.1",
        dj.CyclicVoltammetry(
            0.0, [-0.2], 1e-3, cycles=2, until=dj.Until.depletion(0.1)
        ),
    ),
    (
        "Sweep from 0 V to -0.2 V at 1 mV/s for 1.5 min",
        dj.CyclicVoltammetry(0.0, [-0.2], 1e-3, cycles=None, until=dj.Until.time(90.0)),
    ),
    (
        "Follow 0 A/m2 at 0 s, 10 A/m2 at 1 min, 5 A/m2 at 1 min, 5 A/m2 at 1 h",
        dj.CurrentProfile([0, 60, 60, 3600], [0, 10, 5, 5]),
    ),
    (
        "Follow 0 V at 0 s, -0.1 V at 1 min until 1 mA/cm2",
        dj.VoltageProfile([0, 60], [0, -0.1], until=dj.Until.current_below(J)),
    ),
]


@pytest.mark.parametrize(("text", "step"), UNDERSTOOD, ids=[t for t, _ in UNDERSTOOD])
def test_sentences(text, step):
    protocol = protocol_from(text)
    assert protocol == Protocol(step), f"{protocol!r}"
    assert Protocol.parse(str(protocol)) == protocol


def test_every_form_that_is_shown_is_understood():
    for verb, form in _FORMS.items():
        assert verb in str(protocol_from(form)).casefold() or verb == "repeat"
    assert set(_MEANT.values()) <= set(_FORMS)


def test_sentences_follow_each_other():
    constant = dj.Galvanostatic(J, voltage=-0.1)
    hold = dj.Potentiostatic(-0.1, current_density=0.5)
    rest = dj.Rest(60.0)
    one = "Plate at 1 mA/cm2 until -0.1 V, hold until 0.05 mA/cm2"
    two = ["Plate at 1 mA/cm2 until -0.1 V", "Hold at -0.1 V until 0.05 mA/cm2"]
    assert protocol_from(one) == protocol_from(two) == Protocol(constant, hold)
    for text in (
        f"{one}; rest for 1 min",
        f"{one} then rest for 1 min",
        f"{one}\nRest for 60 s",
    ):
        assert protocol_from(text).steps == (constant, hold, rest)
    cycles = protocol_from(["Rest for 60 s", (one,) * 3, [rest, protocol_from(two)]])
    assert cycles.steps == (rest, *(constant, hold) * 3, rest, constant, hold)
    assert len(cycles) == 10
    assert next(iter(cycles)) == cycles[0] == rest
    assert protocol_from(cycles) is cycles
    assert protocol_from(rest).steps == (rest,)


def test_repetitions_are_read_and_written():
    text = "Rest for 1 min\nrepeat 10 times: Plate at 1 mA/cm2 for 1 h; Rest for 5 s"
    cycles = protocol_from(text)
    assert len(cycles) == 21
    assert cycles == Protocol(
        "Rest for 1 min", ("Plate at 1 mA/cm2 for 1 h", "Rest for 5 s") * 10
    )
    assert str(cycles) == text
    assert (
        len(protocol_from("repeat 2 times: Rest for 1 s; repeat 3 times: Rest for 2 s"))
        == 8
    )


NOT_UNDERSTOOD = [
    # sentence, what is pointed at, why
    ("Charge at 1 mA/cm2 for 1 h", "Charge", 'Did you mean "plate"?'),
    ("Dischrage at 1 A/m2 for 1 h", "Dischrage", 'Did you mean "strip"?'),
    ("Plte at 1 mA/cm2 for 1 h", "Plte", 'Did you mean "plate"?'),
    ("1 mA/cm2 for 1 h", "1", 'expected "Plate", "Strip", "Rest"'),
    ("Plate 1 mA/cm2 for 1 h", "1", 'expected "at", got "1"'),
    ("Plate at 1 for 1 h", "1", 'such as "1 mA/cm2", got "1"'),
    ("Plate at 1 mA for 1 h", "1 mA", "expected a current density"),
    ("Plate at 1C for 1 h", "1C", "expected a current density"),
    ("Plate at C/10 for 1 h", "C/10", "expected a current density"),
    ("Plate at -1 mA/cm2 for 1 h", "-1 mA/cm2", '"Strip" is the other direction'),
    ("Plate at 0 mA/cm2 for 1 h", "0 mA/cm2", "other than zero"),
    ("Plate at 1e9 mA/cm2 for 1 h", "1e9 mA/cm2", "expected within"),
    ("Plate at 0,5 mA/cm2 for 1 h", "0,5", "a point for decimals"),
    ("Plate at 1 mA/inch2 for 1 h", "mA/inch2", '"inch" is no known unit'),
    ("Plate at 5 % for 1 h", "%", '"%" is no unit. Expected a current'),
    ("Plate at 1 mA/cm2 untill 1 h", "untill", 'Did you mean "until"?'),
    ("Plate at 1 mA/cm2 until 4 mAh", "4 mAh", "expected a time such as"),
    ("Plate at 1 mA/cm2 until 1 A/m2", "1 A/m2", 'or a potential such as "-0.1 V"'),
    ("Plate at 1 mA/cm2 for 4 sconds", "sconds", "Did you mean 's'?|no known unit"),
    ("Plate at 1 mA/cm2 for 1 h and rest", "and", 'expected "for", "until", "or", ","'),
    ("Plate at 1 mA/cm2 for 1 h # fast", "#", 'or the end, got "#"'),
    ("Plate at 1 mA/cm2 until depletion below 2", "depletion below 2", "threshold"),
    ("Plate at 1 mA/cm2 for 1 h (ends all)", "all", 'expected "the"'),
    ("Rest until -0.1 V", "-0.1 V", '"below" or "above" before a potential'),
    ("Rest until 1 mAh/cm2", "1 mAh/cm2", "expected a time"),
    ("Rest for -5 min", "-5 min", "time: expected within"),
    ("Hold at 0.1 mA/cm2 for 1 h", "0.1 mA/cm2", "expected a potential"),
    ("Hold until 0.05 mA/cm2", "until", 'expected "at"'),
    ("Hold at -0.1 V until -0.2 V", "-0.2 V", "or a current density such as"),
    ("Hold at -1000 V for 1 h", "-1000 V", "expected within"),
    ("Pulse 5 ms at 1 A/m2 for 1 h", "5 ms at 1 A/m2", "a pulse, then a rest"),
    ("Pulse 5 ms at 1 A/m2 / 2 ms at 1 A/m2 for 1 s",
     "5 ms at 1 A/m2 / 2 ms at 1 A/m2", "the other sign"),
    ("Sweep from 0 V at 1 mV/s", "at", 'expected "to"'),
    ("Sweep from 0 V to -0.2 V at 1 mV", "1 mV", "expected a rate"),
    ("Sweep from 0 V to 1 V at 1 mV/s for 2.5 cycles", "2.5", "a whole number"),
    ("Sweep from 0 V to 1 V to 0 V at 1 V/s for 2 cycles",
     "0 V to 1 V to 0 V at 1 V/s for 2 cycles", "leads back to the start"),
    ("Follow 0 A/m2 at 1 s, 1 A/m2 at 2 s", "0 A/m2 at 1 s, 1 A/m2 at 2 s", "a start"),
    ("Follow 0 V at 0 s, 1 A/m2 at 1 s", "1 A/m2", "expected a potential"),
    ("repeat Rest for 1 s", "Rest", "expected how many times"),
    ("repeat 0 times: Rest for 1 s", "0", "a whole number"),
    ("repeat 3 times Rest for 1 s", "Rest", 'expected ":" and what to repeat'),
    ("Rest for 1 s;; Rest for 2 s", ";", 'expected "Plate", "Strip"'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "pointed", "why"), NOT_UNDERSTOOD)
def test_sentences_not_understood(text, pointed, why):
    """The message quotes the sentence, points at the place, and says what is wrong."""
    with pytest.raises(ValueError, match=f"(?s){why}") as refused:
        protocol_from(["Rest for 1 s", text])
    quoted, under, _ = str(refused.value).split("\n")
    assert quoted == f"protocol: {text}"
    at = under.index("^")
    assert quoted[at:][: under.count("^")] == pointed


@pytest.mark.parametrize(
    "text",
    ["Rest", "Plate at 1 mA/cm2", "Plate at 1 mA/cm2 until", "repeat 2 times:",
     "Sweep from 0 V to 1 V", "Pulse 5 ms at 1 A/m2 / 20 ms",
     "Plate at 1 mA/cm2 for 1 h (ends the step"],
)  # fmt: skip
def test_sentences_that_break_off(text):
    with pytest.raises(ValueError, match="got the end") as refused:
        protocol_from(text)
    assert str(refused.value).split("\n")[1] == " " * len(f"protocol: {text}") + "^"


def test_an_empty_sentence():
    with pytest.raises(ValueError, match="got nothing"):
        protocol_from("  \n ")


def random_protocol(key):
    """Any steps with any conditions, round numbers and odd ones."""
    pick = random.Random(key)

    def number(low, high):
        value = np.exp(pick.uniform(np.log(low), np.log(high)))
        return float(f"{value:.2g}") if pick.random() < 0.5 else value

    def either_sign(value):
        return value * pick.choice((-1, 1))

    def stops(*more, least=1):
        made = {
            "time": lambda: dj.Until.time(number(1e-3, 1e6)),
            "charge": lambda: dj.Until.charge(number(1.0, 1e6)),
            "below": lambda: dj.Until.voltage_below(either_sign(number(1e-3, 5))),
            "above": lambda: dj.Until.voltage_above(either_sign(number(1e-3, 5))),
            "current": lambda: dj.Until.current_below(number(1e-3, 1e3)),
            "depletion": lambda: dj.Until.depletion(pick.choice((0.0, pick.random()))),
        }
        kinds = ("time", "charge", "depletion", *more)
        chosen = [made[k]() for k in pick.choices(kinds, k=pick.randint(least, 3))]
        return [
            dj.Until(s.kind, s.level, pick.choice((s.ends, "step", "protocol")))
            for s in chosen
        ]

    def step():
        J = either_sign(number(1e-2, 1e4))
        V = [either_sign(number(1e-3, 2.0)) for _ in range(3)]
        free, held = ("below", "above"), ("current",)
        times = np.cumsum([0, *(number(1e-3, 1e3) for _ in range(3))])
        return pick.choice(
            (
                lambda: dj.Galvanostatic(J, until=stops(*free)),
                lambda: dj.Potentiostatic(V[0], until=stops(*held)),
                lambda: dj.Rest(number(1e-3, 1e5)),
                lambda: dj.Pulse(
                    J, number(1e-3, 10), number(1e-3, 10), until=stops(*free)
                ),
                lambda: dj.ReversePulse(
                    J, number(1e-3, 10), -J / 3, number(1e-3, 10),
                    pick.choice((None, 0.1)), until=stops(*free),
                ),
                lambda: dj.CyclicVoltammetry(
                    V[0], V[1:], number(1e-4, 10), cycles=pick.choice((None, 1, 7)),
                    until=stops(*held, least=0),
                ),
                lambda: dj.CurrentProfile(
                    times, [J, -J, 0.0, J / 7], until=stops(*free, least=0)
                ),
                lambda: dj.VoltageProfile(
                    times, V, stepwise=True, until=stops(*held, least=0)
                ),
            )
        )()  # fmt: skip

    steps = [step() for _ in range(pick.randint(1, 4))]
    return Protocol(steps * pick.choice((1, 1, 3)), step())


def test_what_is_written_is_read_again():
    for key in range(60):
        protocol = random_protocol(key)
        again = Protocol.parse(str(protocol))
        assert bool(again == protocol), f"{key}: {protocol}"


def test_float32_is_written_without_noise():
    step = dj.Galvanostatic(jnp.float32(1.3), time=jnp.float32(0.7))
    assert str(step) == "Plate at 0.13 mA/cm2 for 0.7 s"


def test_traced_steps_show_their_structure():
    seen = []
    jax.jit(lambda J: seen.append(str(dj.Galvanostatic(J, time=1.0))) or J)(1.0)
    assert seen[0].startswith("Galvanostatic(")


def test_protocols_are_kept_in_files():
    protocol = random_protocol(7)
    data, arrays = encode(protocol, "protocol")
    assert bool(decode(data, arrays.__getitem__) == protocol)


@pytest.mark.parametrize(
    ("value", "choices", "words"),
    [
        (10.0, ("mA/cm2", "A/m2"), "1 mA/cm2"),
        (600.0, ("s", "min", "h", "ms"), "10 min"),
        (0.005, ("s", "min", "h", "ms"), "5 ms"),
        (0.0, ("s", "min", "h", "ms"), "0 s"),
        (1 / 3, ("V",), "0.3333333333333333 V"),
    ],
)
def test_quantities_are_written_short_and_exact(value, choices, words):
    assert write_quantity(value, *choices) == words
    number, unit = words.split()
    assert float(number) * parse_unit(unit)[0] == value


@pytest.mark.parametrize("text", ["mA/cm2", "mA/cm²", "mA cm-2", "mA·cm⁻²", "mA/cm^2"])
def test_units_as_people_write_them(text):
    assert parse_unit(text) == (pytest.approx(10.0), parse_unit("A/m^2")[1])
