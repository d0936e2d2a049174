"""Programs that are kept from one process to the next."""

import os
import subprocess
import sys

import pytest

import depojax as dj

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
