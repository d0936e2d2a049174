"""Optimisation for tests: L-BFGS, and an augmented Lagrangian around it."""

import jax
import jax.numpy as jnp
import optax


def descend(loss, x, steps):
    """`steps` of L-BFGS, in one program; the point and its loss."""
    method = optax.lbfgs()

    @jax.jit
    def run(x):
        value_and_grad = optax.value_and_grad_from_state(loss)

        def step(carry, _):
            x, state = carry
            value, grad = value_and_grad(x, state=state)
            with jax.numpy_dtype_promotion("standard"):
                updates, state = method.update(
                    grad, state, x, value=value, grad=grad, value_fn=loss
                )
            return (optax.apply_updates(x, updates), state), value

        with jax.numpy_dtype_promotion("standard"):
            (x, _), _ = jax.lax.scan(step, (x, method.init(x)), None, length=steps)
        return x, loss(x)

    return run(x)


def descend_under(loss, rest, x, *, weight, rounds, steps):
    """Minimise `loss` where `rest` ≥ 0, entry by entry; the point and multipliers.

        L = loss + Σ ((max(0, λ − μ g))² − λ²)/(2μ),    λ ← max(0, λ − μ g)

    Hestenes and Powell's augmented Lagrangian, with Rockafellar's inequalities.
    """
    method = optax.lbfgs()

    def lagrangian(x, multipliers):
        push = jnp.maximum(multipliers - weight * rest(x), 0.0)
        return loss(x) + jnp.sum(push**2 - multipliers**2) / (2 * weight)

    @jax.jit
    def one_round(x, multipliers):
        def value(x):
            return lagrangian(x, multipliers)

        value_and_grad = optax.value_and_grad_from_state(value)

        def step(carry, _):
            x, state = carry
            now, grad = value_and_grad(x, state=state)
            with jax.numpy_dtype_promotion("standard"):
                updates, state = method.update(
                    grad, state, x, value=now, grad=grad, value_fn=value
                )
            return (optax.apply_updates(x, updates), state), None

        with jax.numpy_dtype_promotion("standard"):
            (x, _), _ = jax.lax.scan(step, (x, method.init(x)), None, length=steps)
        return x, jnp.maximum(multipliers - weight * rest(x), 0.0)

    multipliers = jnp.zeros_like(rest(x))
    for _ in range(rounds):
        x, multipliers = one_round(x, multipliers)
    return x, multipliers
