"""Optimisation for tests: L-BFGS, and an augmented Lagrangian around it."""

import jax
import jax.numpy as jnp
import optax


def _descended(loss, x, steps):
    """`steps` of L-BFGS from x; to be compiled."""
    method = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(loss)

    def step(carry, _):
        x, state = carry
        value, grad = value_and_grad(x, state=state)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = method.update(
                grad, state, x, value=value, grad=grad, value_fn=loss
            )
        return (optax.apply_updates(x, updates), state), None

    with jax.numpy_dtype_promotion("standard"):
        return jax.lax.scan(step, (x, method.init(x)), None, length=steps)[0][0]


def descend(loss, x, steps):
    """`steps` of L-BFGS, in one program; the point and its loss."""

    @jax.jit
    def run(x):
        x = _descended(loss, x, steps)
        return x, loss(x)

    return run(x)


def descend_under(loss, rest, x, *, weight, rounds, steps):
    """Minimise `loss` where `rest` ≥ 0, entry by entry; the point and multipliers.

        L = loss + Σ ((max(0, λ − μ g))² − λ²)/(2μ),    λ ← max(0, λ − μ g)

    Hestenes and Powell's augmented Lagrangian, with Rockafellar's inequalities.
    """

    def lagrangian(x, multipliers):
        push = jnp.maximum(multipliers - weight * rest(x), 0.0)
        return loss(x) + jnp.sum(push**2 - multipliers**2) / (2 * weight)

    @jax.jit
    def one_round(x, multipliers):
        x = _descended(lambda x: lagrangian(x, multipliers), x, steps)
        return x, jnp.maximum(multipliers - weight * rest(x), 0.0)

    multipliers = jnp.zeros_like(rest(x))
    for _ in range(rounds):
        x, multipliers = one_round(x, multipliers)
    return x, multipliers
