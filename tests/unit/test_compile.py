"""Programs that are kept from one process to the next."""

import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import depojax as dj
from depojax._compile import differentiated_alike
from depojax._types import as_float, without_derivatives
from depojax.solvers.multigrid import Cycle

SCRIPT = """
import jax, jax.numpy as jnp
from jax._src import monitoring
from depojax._compile import keep_programs

seen = []
monitoring.register_event_listener(lambda name, **_: seen.append(name))
keep_programs()
grown = jnp.linspace(0.0, 1.0, 50)
for _ in range(60):  # long enough to be worth a file
    grown = jnp.sin(grown)

@jax.jit
def long(x):
    for k in range(100):
        x = jnp.sin(x) @ jnp.cos(x + k) + jnp.sort(x)
    return x

long(grown).block_until_ready()
print(sum("cache_hits" in name for name in seen))
"""


def test_the_next_process_reads_what_this_one_compiled(tmp_path):
    def hits():
        environment = dict(os.environ, XDG_CACHE_HOME=str(tmp_path))
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        told = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return int(told.stdout)

    assert hits() == 0
    assert any((tmp_path / "depojax").iterdir())
    assert hits() > 0


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"folder: expected a folder that can be wri"):
        dj.keep_programs(tmp_path / "file" / "below")


def programs(caplog, name):
    words = [record.getMessage() for record in caplog.records]
    return sum(w.startswith(f"Compiling jit({name})") for w in words)


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_derivative_is_one_program_whatever_depends_on_what(wrapped, caplog):
    @eqx.filter_jit
    def law(x, y, name):
        return {"sum": x + jnp.sin(y), "product": x * y, name: jnp.arange(3)}

    call = differentiated_alike(law) if wrapped else law

    def first(x):  # y and the sum know nothing of it
        return call(x, jnp.asarray(2.0), "numbers")["product"]

    def both(x):
        out = call(x, x**2, "numbers")
        return out["sum"] + out["product"]

    with jax.log_compiles():
        slopes = [float(jax.grad(f)(jnp.asarray(3.0))) for f in (first, both)]
    exact = [2.0, 1 + 6 * np.cos(9.0) + 27.0]
    assert slopes == pytest.approx(exact, rel=1e-6)
    # Forwards and backwards; twice without the wrapper.
    assert programs(caplog, "law") == (2 if wrapped else 4)
    x, dx = jnp.asarray(3.0), jnp.asarray(1.0)
    assert float(jax.jvp(both, (x,), (dx,))[1]) == pytest.approx(exact[1], rel=1e-6)
    for jacobian in (jax.jacfwd, jax.jacrev):
        assert float(jacobian(both)(x)) == pytest.approx(exact[1], rel=1e-6)
    many = jax.vmap(jax.grad(both))(jnp.stack([x, x]))
    assert many == pytest.approx(np.full(2, exact[1]), rel=1e-6)


def test_numbers_without_a_derivative_go_as_they_are():
    call = differentiated_alike(lambda x, y: x * y)
    assert call(2.0, 3) == 6.0
    made = jax.grad(lambda x: call(x, jnp.asarray(np.inf)))(jnp.asarray(0.5))
    assert made == np.inf


def test_weak_numbers_make_no_programs_of_their_own():
    weak = jnp.asarray(1.0)
    assert weak.weak_type
    assert not as_float(weak).weak_type
    assert not as_float(1.0).weak_type
    assert jax.grad(lambda x: as_float(x) ** 2)(weak) == 2


def test_without_derivatives():
    tree = {"x": jnp.asarray(2.0), "name": "zinc", "n": 3}
    slope = jax.grad(lambda x: x * without_derivatives(tree | {"x": x})["x"])(
        jnp.asarray(2.0)
    )
    assert slope == 2
    assert without_derivatives(tree)["name"] == "zinc"


def test_a_solver_is_traced_once_for_the_shape_and_the_answer(monkeypatch):
    seen = []
    hierarchy_cycle = Cycle.on_padded

    def counted(self, residual):
        seen.append(residual.shape)
        return hierarchy_cycle(self, residual)

    monkeypatch.setattr(Cycle, "on_padded", counted)
    image = np.random.default_rng(2).random((9, 7, 11)) < 0.8
    dj.tortuosity(image)
    assert len(seen) == 1
