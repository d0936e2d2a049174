"""After Sand's time: how depletion spreads over the metal.

Where the wall is depleted it cannot plate more than diffusion brings, and the current
that it cannot take goes to the rest, which shares it evenly:

    N_i = min(λ, k_i c_P,i),   k = D/δ,   Σ A_i N_i = total uptake

with one λ for the whole surface. Each implicit stage is solved by Newton's method on
the set of depleted places (two linear solves an iteration), which ends when the set
stays as it is. The run ends early when diffusion can no longer bring, everywhere
together, what the current asks for: then the cell cannot go on at this current.
"""

from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from depojax._types import Cells, Scalar, without_derivatives
from depojax.problems.salt_balance import SaltBalance, salt_balance, solve_diffusion
from depojax.solvers.linear import DiffusionOperator
from depojax.solvers.results import RESULTS
from depojax.solvers.stencil import net_outflow
from depojax.solvers.time import Steps, integrate
from depojax.solvers.tr_bdf2 import AbstractBalance

if TYPE_CHECKING:
    from depojax.problems.sand import SandSolution

_LOOSEST_SOLVE = 1e-6
_LOOSER_STEPS = 5.0
_MOST_SETS = 20  # Newton iterations on the depleted set
# Below a quarter of a cell the distance to the wall says more about the cut than about
# diffusion, and a transfer coefficient made of it would be stiff for no reason.
_SHORTEST_DISTANCE = 0.25


class DepletingBalance(AbstractBalance):
    """The salt balance with depleted places held at c_s = 0."""

    salt: SaltBalance
    transfer: Cells  # A D/(δ V₀), what diffusion can bring per c_P/c₀ [s-1]
    start: Scalar  # Sand's time: the run counts from there [s]

    def storage(self, y):
        return self.salt.storage(y)

    def rate(self, t, y):
        J = self._current(t)
        outflow = net_outflow(self.salt.stencil, y)
        gain = J * self.salt.inflow - self.uptake(t, y)[0]
        return gain - self.salt.loss * y - outflow

    def exchange(self, t, y, rate):
        supply = self._current(t) * jnp.sum(self.salt.inflow)
        return supply - jnp.sum(self.uptake(t, y)[0]) - jnp.sum(self.salt.loss * y)

    def damp(self, y, a, error):
        return self.salt.damp(y, a, error)

    def size(self, error):
        return self.salt.size(error)

    def event(self, t, y):
        """How far diffusion could exceed what is asked, all surface depleted."""
        brought = jnp.sum(self.transfer * (1 + y))
        return brought / (self._current(t) * jnp.sum(self.salt.sink)) - 1

    def observe(self, t, y):
        return {"depleted_share": self._share(self._depleted(t, y))}

    def begin(self, y0):
        return jnp.full_like(y0, jnp.inf)

    def remember(self, memory, t, y, dt, new):
        before, after = self._reserve(t, y), self._reserve(t + dt, new)
        share = before / jnp.where(before > after, before - after, 1.0)
        when = self.start + t + dt * jnp.clip(share, 0.0, 1.0)
        first = self.salt.wall & (after <= 0) & jnp.isinf(memory)
        return jnp.where(first, when, memory)

    def solve_stage(self, t, known, a, guess):
        """Newton on the depleted set: B u + λ s = rhs,  Σ w (1 + u) + λ Σ s = total."""
        J, salt = self._current(t), self.salt
        total = J * jnp.sum(salt.sink)
        zero = jnp.zeros_like(guess)

        def improve(carry):
            _, depleted, _, good, count, tries = carry
            w = jnp.where(depleted, self.transfer, 0.0)
            s = jnp.where(depleted, 0.0, salt.sink)
            operator = DiffusionOperator(salt.mass, salt.loss + w, salt.stencil, 1 / a)
            hierarchy = salt.hierarchy.with_loss(w)
            rhs = known / a + J * salt.inflow - w
            u0, good0, n0 = solve_diffusion(operator, hierarchy, rhs, guess, salt.rtol)
            u1, good1, n1 = solve_diffusion(operator, hierarchy, s, zero, salt.rtol)
            room = jnp.sum(s) - jnp.sum(w * u1)
            level = (total - jnp.sum(w * (1 + u0))) / jnp.where(room > 0, room, 1.0)
            u = u0 - level * u1
            new = salt.wall & (self.transfer * (1 + u) < level * salt.sink)
            settled = jnp.all(new == depleted)
            return u, new, settled, good & good0 & good1, count + n0 + n1, tries + 1

        start = (guess, self._depleted(t, guess), jnp.asarray(False), jnp.asarray(True))
        start = (*start, jnp.int32(0), jnp.int32(0))
        u, _, settled, good, count, _ = jax.lax.while_loop(
            lambda c: ~c[2] & (c[5] < _MOST_SETS), improve, start
        )
        return u, good & settled, count

    def during(self, t, dt):
        return eqx.tree_at(lambda b: b.salt, self, self.salt.during(t + self.start, dt))

    def next_switch(self, t):
        return self.salt.next_switch(t + self.start) - self.start

    def uptake(self, t: Scalar, y: Cells) -> tuple[Cells, Scalar]:
        """What every place takes [s⁻¹], and the level λ that the free ones share."""
        # Corners that only a crack connects stay out of it: see `salt_balance`.
        sink = self.salt.sink
        most = jnp.where(self.salt.wall, self.transfer * (1 + y), jnp.inf)
        total = self._current(t) * jnp.sum(sink)

        def raise_level(_, level):
            short = most < level * sink
            free = jnp.sum(jnp.where(short, 0.0, sink))
            rest = total - jnp.sum(jnp.where(short, most, 0.0))
            return jnp.where(free > 0, rest / jnp.where(free > 0, free, 1.0), level)

        # Depleted places only ever hand current on: the level rises to its end.
        level = jax.lax.fori_loop(0, _MOST_SETS, raise_level, self._current(t))
        return jnp.minimum(level * sink, most), level

    def _current(self, t: Scalar) -> Scalar:
        return self.salt.current.value(t + self.start)

    def _reserve(self, t: Scalar, y: Cells) -> Cells:
        """What diffusion could bring beyond what the place is asked for [s⁻¹]."""
        return self.transfer * (1 + y) - self.uptake(t, y)[1] * self.salt.sink

    def _depleted(self, t: Scalar, y: Cells) -> Bool[Array, "x y z"]:
        return self.salt.wall & (self._reserve(t, y) < 0)

    def _share(self, where: Bool[Array, "x y z"]) -> Scalar:
        area = self.salt.wall_area
        return jnp.sum(jnp.where(where, area, 0.0)) / jnp.sum(area)


def depletion_times(
    solution: "SandSolution", end_time: Scalar, steps: Steps, rtol: float, report
) -> tuple[Cells, Scalar, RESULTS]:
    """Time at which each plated place is depleted [s], salt balance error, outcome.

    Runs from the depletion of the first place, where `solution` ends, to `end_time`
    [s]. Infinite where the wall is not depleted by then, or there is no wall; Sand's
    time at the first place. Has no derivative.
    """
    solution = without_derivatives(solution)
    return _depletion_times(solution, jnp.asarray(end_time), steps, rtol, report)


@eqx.filter_jit
def _depletion_times(solution, end_time, steps, rtol, report):
    cell = solution.cell
    # A map needs less than a number that is to be differentiated.
    salt = salt_balance(cell, solution.current, max(rtol, _LOOSEST_SOLVE))
    steps = eqx.tree_at(lambda s: s.tolerance, steps, _LOOSER_STEPS * steps.tolerance)
    dtype = salt.mass.dtype
    domain = cell.domain()
    widths = jnp.stack([jnp.min(width) for width in domain.grid.widths])
    shortest = _SHORTEST_DISTANCE * jnp.min(widths)
    distance = jnp.maximum(domain.wall_distance, shortest)
    conducted = cell.electrolyte.diffusivity * domain.wall_area / distance
    transfer = jnp.where(salt.wall, conducted / jnp.prod(widths), 0.0)
    time = jnp.where(solution.depleted, solution.time, 0.0)
    balance = DepletingBalance(salt=salt, transfer=transfer, start=time)
    u = jnp.where(
        salt.mass > 0, solution.concentration / cell.electrolyte.concentration - 1, 0
    )
    end = jnp.where(solution.depleted, end_time.astype(dtype) - time, 0.0)
    first_step = jnp.exp2(jnp.floor(jnp.log2(jnp.where(time > 0, time, 1.0) / 256)))
    if steps.fixed is None:
        steps = eqx.tree_at(
            lambda s: s.first_step, steps, first_step, is_leaf=lambda x: x is None
        )
    run = integrate(balance, u, end, steps, report=report)
    walls = jnp.where(salt.wall, solution.wall_concentration, jnp.inf)
    first = solution.depleted & (walls <= jnp.min(walls))
    found = jnp.sum(salt.storage(run.state) - salt.storage(u))
    plated = solution.current.charge(time + run.time) * jnp.sum(salt.sink)
    error = jnp.abs(found - run.exchanged) / jnp.where(plated > 0, plated, 1)
    # On a flat electrode every place is depleted at once, and nothing is left to run.
    at_once = run.result == RESULTS.event_at_start
    result = RESULTS.where(at_once, RESULTS.successful, run.result)
    return jnp.where(first, time, run.memory), error, result
