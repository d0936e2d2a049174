"""The optimiser: known optima, multipliers, failed steps, restarts, ensembles."""

import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import depojax as dj
from depojax.solvers.results import SolveError

START = jnp.asarray([-1.2, 1.0])


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def bowl(x):
    return jnp.sum((x - jnp.asarray([1.0, 2.0])) ** 2)


def test_l_bfgs_finds_the_bottom_of_rosenbrocks_valley():
    found = dj.optimise(
        rosenbrock, START, optimizer=optax.lbfgs(), gradient_tolerance=1e-8
    )
    np.testing.assert_allclose(found.design, 1.0, atol=1e-8)
    assert found.ended_by == "converged"
    assert found.steps < 60
    assert "gradient has vanished" in found.message


def test_a_schedule_and_a_history():
    schedule = optax.cosine_decay_schedule(0.3, 120)
    found = dj.optimise(bowl, jnp.zeros(2), optimizer=optax.adam(schedule), steps=120)
    np.testing.assert_allclose(found.design, [1.0, 2.0], atol=1e-2)
    assert found.history["loss"].shape == (121,)
    assert found.designs[""].shape == (121, 2)
    losses = np.asarray([bowl(x) for x in found.designs[""]])
    np.testing.assert_allclose(found.history["loss"], losses, rtol=1e-12)
    assert float(found.loss) == losses.min()
    assert found.best_step == losses.argmin()
    assert found.evaluations == 121


def test_gradient_descent_takes_the_steps_that_it_must():
    """x ← x − 2 r (x − a): the error shrinks by 1 − 2 r every step."""
    found = dj.optimise(bowl, jnp.zeros(2), optimizer=optax.sgd(0.1), steps=7)
    expected = np.asarray([1.0, 2.0]) * (1 - 0.8**7)
    np.testing.assert_allclose(found.last, expected, rtol=1e-12)


def test_constraints_are_met_with_the_multipliers_that_theory_says():
    """min x² + y²: x + y = 1 and x ≥ 0.7 leave (0.7, 0.3), λ = −0.6 and 0.8."""
    holding = dj.AugmentedLagrangian(
        [
            dj.Constraint("sum", jnp.sum, equal=1.0, scale=2.0),
            dj.Constraint("x", lambda x: x[0], at_least=0.7),
            dj.Constraint("idle", lambda x: x, at_most=5.0),
        ],
        tolerance=1e-7,
    )
    found = dj.optimise(
        lambda x: jnp.sum(x**2),
        jnp.asarray([3.0, -1.0]),
        optimizer=optax.lbfgs(),
        steps=150,
        constraints=holding,
    )
    np.testing.assert_allclose(found.last, [0.7, 0.3], atol=1e-6)
    np.testing.assert_allclose(found.design, [0.7, 0.3], atol=1e-5)
    assert float(found.multipliers["sum"]) == pytest.approx(-0.6, abs=1e-5)
    assert float(found.multipliers["x"]) == pytest.approx(0.8, abs=1e-5)
    np.testing.assert_allclose(found.multipliers["idle"], 0.0)
    assert float(found.violation) <= 1e-7


def test_a_multiplier_is_what_a_bound_costs():
    """For |x − a|² with Σ x ≤ b: λ = (Σ a − b), and df*/db = −λ by differences."""

    def best(bound):
        return dj.optimise(
            bowl,
            jnp.zeros(2),
            optimizer=optax.lbfgs(),
            steps=60,
            constraints=dj.AugmentedLagrangian(
                dj.Constraint("sum", jnp.sum, at_most=bound), tolerance=1e-8
            ),
        )

    found = best(2.0)
    assert float(found.multipliers["sum"]) == pytest.approx(1.0, rel=1e-5)
    above, below = (float(bowl(best(b).last)) for b in (2.05, 1.95))
    assert (above - below) / 0.1 == pytest.approx(-1.0, rel=1e-4)


def test_projection_keeps_a_design_where_it_may_be():
    """The nearest point of the unit disc to (1, 2) is (1, 2)/√5."""

    def into_disc(x):
        return x / jnp.maximum(jnp.linalg.norm(x), 1.0)

    found = dj.optimise(
        bowl, jnp.zeros(2), optimizer=optax.sgd(0.1), steps=80, project=into_disc
    )
    np.testing.assert_allclose(found.design, np.asarray([1, 2]) / 5**0.5, atol=1e-6)
    assert float(jnp.linalg.norm(found.designs[""], axis=1).max()) <= 1 + 1e-12


def test_a_step_into_nowhere_is_halved_until_it_is_none():
    """ln x has a slope of 1/x and does not exist below 0."""

    def loss(x):
        return jnp.where(x > 0, jnp.log(jnp.where(x > 0, x, 1.0)), jnp.nan)

    found = dj.optimise(loss, jnp.asarray(1.0), optimizer=optax.sgd(1.5), steps=2)
    # the full step lands at −0.5, half of it at 0.25; the next one is 6 long
    np.testing.assert_allclose(found.history["step_share"], [1.0, 0.5, 1 / 32])
    np.testing.assert_allclose(found.designs[""][1], 0.25)
    assert bool(jnp.all(jnp.isfinite(found.history["loss"])))
    assert found.evaluations == 1 + 2 + 6


def test_where_no_step_is_possible_the_best_is_kept():
    def loss(x):
        return jnp.where(x >= 1.0, x, jnp.nan)

    found = dj.optimise(
        loss, jnp.asarray(1.0), optimizer=optax.sgd(0.1), steps=5, max_halvings=3
    )
    assert found.ended_by == "failed"
    assert "however short" in found.message
    assert float(found.design) == 1.0
    assert found.evaluations == 1 + 4


def test_a_solve_that_raises_counts_as_a_step_that_failed():
    calls = []

    def loss(x):
        calls.append(1)
        if len(calls) == 3:
            raise SolveError("no")
        return (x - 3) ** 2

    found = dj.optimise(
        loss, jnp.asarray(0.0), optimizer=optax.sgd(0.25), steps=3, jit=False
    )
    np.testing.assert_allclose(found.history["step_share"], [1.0, 1.0, 0.5, 1.0])
    assert float(found.loss) < 1.0


def test_a_loss_that_sees_numbers_fails_and_goes_on_from_its_file(tmp_path):
    fails = [False]

    def loss(x):
        seen = float(jax.lax.stop_gradient(x))  # refused while shapes are asked for
        if fails[0] and seen > 0.5:
            fails[0] = False
            raise SolveError("no")
        return (x - 3) ** 2 + 0 * seen

    options = {"optimizer": optax.adam(0.25), "jit": False}
    whole = dj.optimise(loss, jnp.asarray(0.0), steps=6, **options)
    dj.optimise(loss, jnp.asarray(0.0), steps=3, folder=tmp_path, **options)
    again = dj.optimise(loss, jnp.asarray(0.0), steps=6, folder=tmp_path, **options)
    np.testing.assert_array_equal(again.history["loss"], whole.history["loss"])
    fails[0] = True
    found = dj.optimise(loss, jnp.asarray(0.0), steps=6, **options)
    assert float(np.min(found.history["step_share"])) == 0.5


def test_a_line_search_that_met_nan_begins_anew():
    def loss(x):
        inside = jnp.sum(x**2) < 4
        return jnp.where(inside, bowl(x / 2), jnp.nan)

    found = dj.optimise(
        loss, jnp.asarray([1.5, -1.0]), optimizer=optax.lbfgs(), steps=60
    )
    assert bool(jnp.isfinite(found.loss))
    assert float(found.loss) < float(loss(jnp.asarray([1.5, -1.0]))) / 2


def test_it_stops_where_nothing_improves():
    found = dj.optimise(
        bowl, jnp.zeros(2), optimizer=optax.sgd(0.5), steps=100, stall_steps=5
    )
    assert found.ended_by == "stalled"
    assert found.steps == found.best_step + 5 == 6
    np.testing.assert_allclose(found.design, [1.0, 2.0])


def test_a_start_without_a_loss_is_refused_with_its_own_words():
    def loss(x):
        if not isinstance(x, jax.core.Tracer):
            raise SolveError("The moon is not full.")
        return jnp.nan * x

    with pytest.raises(SolveError, match="The moon is not full"):
        dj.optimise(loss, jnp.asarray(1.0))
    with pytest.raises(SolveError, match="not finite for the design to begin with"):
        dj.optimise(lambda x: jnp.nan * x, jnp.asarray(1.0))


def test_a_best_design_that_failed_silently_is_found_out():
    def loss(x):
        if not isinstance(x, jax.core.Tracer):
            raise SolveError("It did not converge.")
        return x**2

    with pytest.raises(SolveError, match="cannot be computed: It did not converge"):
        dj.optimise(loss, jnp.asarray(1.0), steps=1)
    assert dj.optimise(loss, jnp.asarray(1.0), steps=1, confirm=False).steps == 1


def assert_same_bits(first, second):
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    for a, b in pairs:
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.mark.parametrize("name", ["adam", "lbfgs", "adam with constraints"])
def test_a_resumed_run_is_the_same_to_the_bit(tmp_path, name):
    optimizer = optax.lbfgs() if name == "lbfgs" else optax.adam(0.03)
    constraints = ()
    if name.endswith("constraints"):
        constraints = [dj.Constraint("sum", jnp.sum, at_most=1.0)]

    def run(steps, folder):
        return dj.optimise(
            rosenbrock,
            START,
            optimizer=optimizer,
            steps=steps,
            constraints=constraints,
            folder=folder,
        )

    whole = run(23, tmp_path / "whole")
    run(11, tmp_path / "parts")
    assert_same_bits(whole, run(23, tmp_path / "parts"))
    # what is done is not done again
    assert_same_bits(whole, run(23, tmp_path / "parts"))


KILLED = """
import os, sys
import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp, optax
import depojax as dj

def loss(x):
    def count(value):
        with open(sys.argv[1] + "/calls", "a") as file:
            file.write(".")
        if os.path.getsize(sys.argv[1] + "/calls") == int(sys.argv[2]):
            os.kill(os.getpid(), 9)
    jax.debug.callback(count, x[0])
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2

found = dj.optimise(loss, jnp.asarray([-1.2, 1.0]), optimizer=optax.adam(0.02),
                    steps=12, folder=sys.argv[1], confirm=False)
print(found.history["loss"].tobytes().hex(), found.design.tobytes().hex(), found.steps)
"""


def test_a_run_that_is_killed_goes_on(tmp_path):
    def run(name, calls):
        (tmp_path / name).mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path / name), str(calls)],
            capture_output=True,
            text=True,
            env=os.environ,
        )

    whole = run("whole", -1)
    assert whole.returncode == 0, whole.stderr
    killed = run("killed", 8)
    assert killed.returncode == -9
    resumed = run("killed", -1)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == whole.stdout
    assert whole.stdout.split()[-1] == "12"


def test_a_restart_file_of_another_problem_is_refused(tmp_path):
    dj.optimise(bowl, jnp.zeros(2), steps=2, folder=tmp_path)
    with pytest.raises(ValueError, match=r"one that began elsewhere.*resume=False"):
        dj.optimise(bowl, jnp.ones(2), steps=3, folder=tmp_path)
    with pytest.raises(ValueError, match="another optimizer"):
        dj.optimise(
            bowl, jnp.zeros(2), optimizer=optax.sgd(0.1), steps=3, folder=tmp_path
        )
    anew = dj.optimise(bowl, jnp.ones(2), steps=1, folder=tmp_path, resume=False)
    assert anew.steps == 1
    (tmp_path / "restart.npz").write_bytes(b"no")
    with pytest.raises(ValueError, match="one that is broken"):
        dj.optimise(bowl, jnp.ones(2), steps=1, folder=tmp_path)


def waves(x):
    """Two valleys, the deeper one on the right."""
    return jnp.sum((x**2 - 1) ** 2 - 0.3 * x)


def test_an_ensemble_is_as_many_runs_and_keeps_the_best():
    starts = jnp.asarray([[-1.5], [0.4], [2.0]])
    found = dj.optimise(
        waves, starts, optimizer=optax.adam(0.1), steps=60, ensemble=True
    )
    assert found.history["loss"].shape == (61, 3)
    alone = [
        dj.optimise(waves, start, optimizer=optax.adam(0.1), steps=60)
        for start in starts
    ]
    for k, one in enumerate(alone):
        np.testing.assert_allclose(
            found.history["loss"][:, k], one.history["loss"], rtol=1e-9, atol=1e-12
        )
    losses = [float(one.loss) for one in alone]
    assert found.best_member == int(np.argmin(losses)) != 0
    assert float(found.loss) == pytest.approx(min(losses), rel=1e-12)
    assert found.design.shape == (1,)


def test_a_member_that_is_stuck_leaves_the_others_alone():
    def loss(x):
        return jnp.where(x[0] < 5, (x[0] - 1) ** 2, jnp.nan)

    starts = jnp.asarray([[3.0], [6.0]])
    found = dj.optimise(
        loss, starts, optimizer=optax.sgd(0.25), steps=4, ensemble=True, max_halvings=1
    )
    np.testing.assert_allclose(found.last[0], 1 + 2 / 16)
    np.testing.assert_allclose(found.last[1], 6.0)
    assert found.best_member == 0


def test_scattered_starts_begin_with_the_design_itself():
    design = {"v": dj.Bounded(jnp.asarray([0.3, 0.6]), 0.0, 1.0), "n": 3}
    starts = dj.scattered_starts(design, 5, key=1, spread=0.5)
    assert starts["n"] == 3
    assert starts["v"].free.shape == (5, 2)
    np.testing.assert_array_equal(starts["v"].free[0], design["v"].free)
    assert float(jnp.std(starts["v"].free[1:] - design["v"].free)) < 1.5
    with pytest.raises(ValueError, match="one axis for the starts"):
        dj.optimise(lambda d: d["a"] + d["b"], {"a": jnp.ones(2), "b": jnp.ones(3)},
                    ensemble=True)  # fmt: skip


@pytest.mark.parametrize("many", [jnp.asarray([-1.0, 0.0, 3.0]), [-1.0, 0.0, 3.0]])
def test_robust_designs(many):
    """|x − s|²: the mean wants 2/3, the worst wants 1, the soft worst is between."""

    def loss(x, scenario):
        return (x - scenario) ** 2

    def best(measure, **options):
        over = dj.robust(loss, many, measure=measure, **options)
        return float(
            dj.optimise(
                over, jnp.asarray(0.2), optimizer=optax.adam(0.05), steps=150
            ).design
        )

    assert best("mean") == pytest.approx(2 / 3, abs=1e-3)
    assert best("worst") == pytest.approx(1.0, abs=0.03)
    soft = best("soft_worst", sharpness=1.0)
    assert 2 / 3 < soft < 1.01
    assert best("soft_worst", sharpness=30.0) == pytest.approx(1.0, abs=0.02)


def test_values_told_by_the_loss_are_kept():
    def loss(x):
        return bowl(x), {"first": x[0]}

    found = dj.optimise(
        loss, jnp.zeros(2), optimizer=optax.sgd(0.1), steps=3, has_aux=True
    )
    np.testing.assert_allclose(found.history["first"], found.designs[""][:, 0])


def test_bounded_variables_end_where_the_bound_is():
    design = dj.Bounded(jnp.asarray([0.5, 0.5]), 0.0, 1.5)
    found = dj.optimise(
        lambda d: bowl(d.value), design, optimizer=optax.adam(0.5), steps=200
    )
    np.testing.assert_allclose(found.design.value[0], 1.0, atol=1e-3)
    assert 1.45 < float(found.design.value[1]) < 1.5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": 3.0}, "loss: expected a function"),
        ({"loss": lambda x: x}, "loss: expected one number"),
        ({"optimizer": "adam"}, "optimizer: expected one of optax"),
        ({"steps": -1}, "steps: expected at least 0"),
        ({"stall_steps": 0}, "stall_steps: expected at least 1"),
        ({"constraints": [3]}, "constraints: expected Constraints"),
        ({"design": {"n": 3}}, "design: expected a design variable"),
    ],
)
def test_refusals(options, words):
    given = {"loss": bowl, "design": jnp.zeros(2)} | options
    with pytest.raises(ValueError, match=words):
        dj.optimise(given.pop("loss"), given.pop("design"), **given)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dj.Constraint("c", jnp.sum), "got none of them"),
        (lambda: dj.Constraint("c", jnp.sum, equal=1, at_most=2), "equal and at_most"),
        (lambda: dj.Constraint("c", 3, equal=1), "function: expected a function"),
        (
            lambda: dj.AugmentedLagrangian([dj.Constraint("c", jnp.sum, equal=1)] * 2),
            "each with a name of its own",
        ),
        (lambda: dj.robust(bowl, [], measure="mean"), "scenarios: expected at least"),
        (lambda: dj.robust(bowl, [1], measure="men"), "Did you mean 'mean'"),
        (lambda: dj.robust(bowl, [1], measure="soft_worst"), "sharpness: expected"),
    ],
)
def test_refusals_of_constraints_and_scenarios(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_an_optimisation_is_saved_and_loaded(tmp_path):
    design = dj.GradedPorosity.uniform(0.8, n=4, shape=(1, 1, 8))

    def loss(design):
        host = design.build()
        return jnp.sum(host.surface_area), {"porosity": host.porosity}

    found = dj.optimise(loss, design, steps=2, has_aux=True)
    dj.save(found, tmp_path / "found.nc")
    assert eqx.tree_equal(dj.load(tmp_path / "found.nc"), found)
    dataset = found.to_xarray()
    assert dataset["loss"].dims == ("iteration",)
    assert dataset["free_porosity_values_free"].shape == (3, 4)
    assert "Loss" in dataset.attrs["message"]
    assert all("units" in v.attrs for v in dataset.data_vars.values())
