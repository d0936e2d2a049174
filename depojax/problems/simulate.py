"""simulate"""

import equinox as eqx
import jax.numpy as jnp

from depojax.problems.coupled import CoupledBalance
from depojax.solvers.time import integrate


@eqx.filter_jit
def run_step(model, step, y, steps):
    stops = tuple(s for s in step.conditions if s.kind != "time")
    balance = CoupledBalance(
        model, step.drive, jnp.asarray(step.mode == "current"), stops, y.charge
    )
    return integrate(balance, y, step.end_time, steps)
