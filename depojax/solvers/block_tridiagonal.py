"""Direct solution of block tridiagonal systems: coupled unknowns along a line of cells.

    L_i x_{i−1} + D_i x_i + U_i x_{i+1} = b_i

Block elimination without pivoting between cells, with pivoting inside of each block,
which is what a diffusive line needs. The blocks are small (two to six unknowns), so
they are eliminated in plain arithmetic: one program for every device, and no calls to
LAPACK in a loop.

Golub & Van Loan, Matrix Computations, 4th ed., ch. 4.5.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from depojax._sums import matmul
from depojax._types import static

Blocks = Float[Array, "n m m"]


class BlockTridiagonal(eqx.Module):
    """The blocks of a line; `lower[0]` and `upper[-1]` are not read."""

    lower: Blocks
    diagonal: Blocks
    upper: Blocks
    from_above: bool = static(default=False)

    def transpose(self) -> "BlockTridiagonal":
        """The system with the transposed matrix."""

        def turned(blocks):
            return jnp.swapaxes(blocks, -1, -2)

        lower = turned(jnp.roll(self.upper, 1, 0))
        upper = turned(jnp.roll(self.lower, -1, 0))
        return BlockTridiagonal(lower, turned(self.diagonal), upper)

    def solve(self, b: Float[Array, "n m k"]) -> Float[Array, "n m k"]:
        """x for k right-hand sides at once."""
        n, m, k = b.shape

        def forward(before, now):
            x, ahead = before
            L, D, U, b = now
            both = jnp.concatenate([U, b - matmul(L, x)], axis=1)
            solved = eliminated(D - matmul(L, ahead), both)
            ahead, x = solved[:, :m], solved[:, m:]
            return (x, ahead), (x, ahead)

        begin = (jnp.zeros((m, k), b.dtype), jnp.zeros((m, m), b.dtype))
        lower = self.lower.at[0].set(0)
        _, (x, ahead) = jax.lax.scan(
            forward, begin, (lower, self.diagonal, self.upper, b)
        )

        def back(above, now):
            x, ahead = now
            x = x - matmul(ahead, above)
            return x, x

        none = jnp.zeros((m, k), b.dtype)
        ahead = ahead.at[n - 1].set(0)
        return jax.lax.scan(back, none, (x, ahead), reverse=True)[1]


def eliminated(a: Float[Array, "m m"], b: Float[Array, "m k"]) -> Float[Array, "m k"]:
    """a⁻¹ b by Gauss–Jordan elimination with pivoting; for blocks of a few unknowns."""
    m = a.shape[0]
    both = jnp.concatenate([a, b], axis=1)
    places = jnp.arange(m)
    # Rows are compared by their largest entry, as equations are of many sizes.
    size = jnp.max(jnp.abs(a), axis=1, keepdims=True)
    both = both / jnp.where(size > 0, size, 1.0)
    for column in range(m):
        candidates = jnp.where(places >= column, jnp.abs(both[:, column]), -1.0)
        pivot = jnp.argmax(candidates)
        chosen, other = both[pivot], both[column]
        both = both.at[pivot].set(other)
        row = chosen / chosen[column]
        factors = both[:, column].at[column].set(0)
        both = (both - factors[:, None] * row).at[column].set(row)
    return both[:, m:]
