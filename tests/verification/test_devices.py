"""The same answer on four devices as on one."""

import os
import subprocess
import sys

PROGRAM = """
import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy.ndimage import gaussian_filter
import depojax as dj

noise = gaussian_filter(np.random.default_rng(0).normal(size=(16, 12, 10)), 1.2)
image = noise < np.quantile(noise, 0.6)
mesh = jax.make_mesh((2, 2), ("x", "y"), axis_types=(AxisType.Auto,) * 2)
assert len(jax.devices()) == 4
parted = jax.device_put(image, NamedSharding(mesh, PartitionSpec("x", "y")))
assert len(parted.sharding.device_set) == 4
one = dj.tortuosity(image, linear_tolerance=1e-10)
four = dj.tortuosity(parted, linear_tolerance=1e-10)
assert len(four.field.sharding.device_set) == 4
np.testing.assert_allclose(
    four.effective_diffusivity, one.effective_diffusivity, rtol=1e-12
)
np.testing.assert_allclose(four.field, one.field, atol=1e-8)
assert int(four.iterations) == int(one.iterations)
print("equal")
"""


def test_four_devices_are_as_one():
    """An image parted over x and y, in a process that pretends to have four devices."""
    flags = os.environ.get("XLA_FLAGS", "")
    flags += " --xla_force_host_platform_device_count=4"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "equal"
