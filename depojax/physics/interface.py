"""The current through one place of the metal, with all that stands before it.

    i = f(η, c_s, T)
    c_s = c − i G                                the layer between cell and wall, G > 0
    η = V + i (R_f + R B(p ln(c_s/c))) − ψ ln(c_s/c)      V < 0 plates

f are the kinetics, V = φ_s − φ_l − U seen from the cell's centre, R_f and R the
resistances of film and electrolyte, G and ψ the concentration drop and the diffusion
potential. The electrolyte's is told for the concentration c of the cell; where its
conductivity goes like c^p the layer, in which c is linear, has B(p ln(c_s/c)) times as
much, B(x) = x/(eˣ − 1): the logarithmic mean of the conductivities at its ends. One
equation for each place, solved for all of them at once and differentiated by the
implicit function theorem.

Where the centre of a cut cell lies in the metal G is negative and the wall has more
than the centre: more current, more ions. `share_at_wall` bounds that to twice as much,
and is c − i G as long as the layer is thin; `drift_at_wall` bounds what these ions
drive in turn.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.lax import stop_gradient
from jaxtyping import Array, Float

from depojax._types import as_float
from depojax.fv.scharfetter_gummel import bernoulli
from depojax.physics.film import FilmInUse
from depojax.physics.kinetics import AbstractKinetics

_MAX_STEPS = 100
_CUT = 1e-9  # relative
_GAIN = 0.5  # of what a wall that lies before the centre feeds back, at most


class AtWall(eqx.Module):
    """What holds at the metal."""

    current: Float[Array, "..."]  # i [A m-2]
    concentration: Float[Array, "..."]  # c_s [mol m-3]


def interface_current(kinetics: AbstractKinetics, *state: Any, **between: Any) -> Array:
    """The current density of `at_wall` alone [A m⁻² of true area]."""
    return at_wall(kinetics, *state, **between).current


def at_wall(
    kinetics: AbstractKinetics,
    driving: Any,
    concentration: Any,
    temperature: Any,
    *,
    resistance: Any,
    depletion: Any,
    liquid: Any = 0.0,
    exponent: Any = None,
    diffusion_potential: Any = 0.0,
    guess: Any = None,
    known: AtWall | None = None,
    least: Any = None,
) -> AtWall:
    """Current density, positive where it plates, and concentration at the wall.

    Args:
        kinetics: f, without film.
        driving: V = φ_s − φ_l − U from metal to the cell's electrolyte [V].
        concentration: c in the cell [mol m⁻³].
        temperature: T [K].
        resistance: of the film, for its area [Ω m²]; or a `FilmInUse`, which has one
            for every current.
        depletion: G = (1 − t₊)δ/(z₊ν₊F D), what the wall lacks per current
            [mol m⁻³ per A m⁻²]; 0 puts the wall at the cell's concentration, and a
            negative one the cell's centre into the metal.
        liquid: R = δ/κ(c) of the electrolyte between cell and wall [Ω m²].
        exponent: p = d ln κ/d ln c of its conductivity [-]; None where it is constant.
        diffusion_potential: ψ = ν(RT/F)(1 − t₊)χ/(z₊ν₊) [V].
        guess: a current to start from, such as that of the last iteration [A m⁻²].
        known: the answer, where it was found before: it only gets its derivatives.
        least: the lowest current, negative: no more metal is there to strip [A m⁻²].

    Any shapes that go together; the precision is that of `driving`. c_s stays positive:
    plating saturates at c/G. Without ions (c ≤ 0) the current is 0 and so are its
    derivatives. There is one solution where γ ≤ 1 (see `ExchangeCurrentDensity`); for
    γ > 1 stripping without resistance may have none, and a very large current comes.

    Unknown is x with i = 2 i₀(c) r sinh x, r = c_s/c = 1/(1 + 2 i₀(c) G/c sinh x) where
    it plates: i stays below its limit and c_s has no cancellation. The equation
    asinh(i/2i₀(c_s)) = asinh(n(η)/2), i₀ n = f, is linear in a symmetric
    Butler–Volmer's overpotential and takes Newton three to six steps; bisection where
    they would leave the bracket.
    """
    V = as_float(driving)

    def like(value):
        return jnp.asarray(value).astype(V.dtype)

    c, T, G, psi = map(
        like, (concentration, temperature, depletion, diffusion_potential)
    )
    kinetics, film = jax.tree.map(like, (kinetics, resistance))
    R = _Series(film, like(liquid), None if exponent is None else like(exponent))
    some = kinetics.exchange_current_density(c, T) > _limits(V.dtype).smallest
    safe = jnp.where(some, c, jnp.ones_like(c))
    psi = drift_at_wall(kinetics, psi, G, safe, T)
    where = (kinetics, V, safe, T, R, G, psi)
    if known is None:
        start = None if guess is None else like(guess)
        i, c_s = _solved(*stop_gradient(where), stop_gradient(start))
    else:
        i, c_s = stop_gradient((like(known.current), like(known.concentration)))
        c_s = jnp.where(some, c_s, jnp.ones_like(c))
    found, c_s = _with_slopes(i, c_s, *where)
    if least is not None:
        least = like(least)
        # What was cut before is `least` up to round-off; where that is none at all,
        # the driving potential tells it from rest. Above zero it is what comes back,
        # whatever drives.
        strips = kinetics.normalised_current(V, T) < 0
        bare = stop_gradient(
            (strips | (least > 0)) & (i <= least + _CUT * jnp.abs(least))
        )
        found, c_s = jnp.where(bare, least, found), jnp.where(bare, c - least * G, c_s)
    return AtWall(
        jnp.where(some, found, jnp.zeros_like(found)),
        jnp.where(some, c_s, c + 0 * c_s),
    )


def share_at_wall(loss: Array, inside: Array) -> Array:
    """c_s/c of a wall that lacks `loss` = i G/c: 1 − loss.

    Where the centre lies `inside` of the metal: 1 − loss to first order, between 0 and
    2 for every current.
    """
    more, less = jnp.maximum(-loss, 0), jnp.maximum(loss, 0)
    bounded = jnp.where(loss < 0, 1 + more / (1 + more), 1 / (1 + less))
    return jnp.where(inside, bounded, 1 - loss)


def drift_at_wall(kinetics: Any, psi: Array, G: Array, c: Array, T: Any) -> Array:
    """ψ [V], or less of it where the centre lies inside of the metal.

    There a current brings ions to the wall, and these drive a current: ψ|G|/c times the
    conductance of the kinetics at equilibrium [S m⁻²] as much. From 1 on it would need
    no other cause, however small the cell: fast kinetics on a coarse grid. It is held
    to half; what is left out is a drop over less than a cell.

    Any shapes that go together: G as for `at_wall` [mol m⁻³ per A m⁻²], c [mol m⁻³],
    T [K].
    """
    gain = kinetics.conductance(jnp.zeros_like(c), c, T) * psi * jnp.abs(G) / c
    return jnp.where(G < 0, psi * _GAIN / jnp.maximum(gain, _GAIN), psi)


def layer_resistance(resistance: Array, exponent: Any, log_share: Any) -> Array:
    """R B(p ln(c_s/c)) of a layer [Ω m²], from R at the concentration of the cell."""
    if exponent is None:
        return resistance
    return resistance * bernoulli(exponent * log_share)


class _Series(eqx.Module):
    """Film and electrolyte before the wall."""

    film: Any  # a number, or one for each current [Ω m2]
    liquid: Array  # at the cell's concentration [Ω m2]
    exponent: Array | None  # of the liquid's conductivity [-]

    def drop(self, current: Array, log_share: Any = 0.0) -> Array:
        """What the current loses on the way [V]; `log_share` is ln(c_s/c)."""
        film: Any = self.film
        if isinstance(film, FilmInUse):
            film = film(current)
        return current * (
            film + layer_resistance(self.liquid, self.exponent, log_share)
        )


class _Limits(NamedTuple):
    """Where the numbers of a precision end."""

    x: float  # |x|: sinh x and its products stay finite
    depleted: float  # c_s/c: its power 1 + γ, taken by i₀, stays finite
    smallest: float  # i₀ that is told from none [A m-2]
    tolerance: float  # of the last Newton step: its square is round-off


def _limits(dtype: Any) -> _Limits:
    if dtype == jnp.float64:
        return _Limits(200.0, 1e-60, 1e-190, 1e-7)
    return _Limits(60.0, 1e-16, 1e-12, 3e-4)


def _solved(kinetics, V, c, T, R, G, psi, start):
    """(i, c_s), for c > 0."""
    limits = _limits(V.dtype)

    def exchange(c):
        i0 = kinetics.exchange_current_density(c, T)
        # Inert places: the caller drops their current, which must be finite.
        return jnp.where(i0 > 0, i0, limits.smallest)

    scale = 2 * exchange(c)  # [A m-2]
    fall = scale * (G / c)  # of c_s/c per sinh x where both are small [-]

    def residual(x):
        # `share_at_wall` of the current that goes with its own result.
        sinh = jnp.sinh(x)
        less, more = jnp.maximum(fall * sinh, 0), jnp.maximum(-fall * sinh, 0)
        root = jnp.hypot(1, 2 * more)
        bounded = 2 * more * (2 * more / (root + 1) + 1) / (root + 2 * more + 1)
        more = jnp.where(x > 0, bounded, more)
        share = jnp.where(less > 0, 1 / (1 + less), 1 + more)  # c_s/c
        i = scale * sinh * jnp.where(x > 0, share, 1)
        log_share = jnp.where(less > 0, -jnp.log1p(less), jnp.log1p(more))
        eta = V + R.drop(i, log_share) - psi * log_share
        n = kinetics.normalised_current(eta, T)
        return _asinh(i / (2 * exchange(c * share))) - _asinh(n / 2), (i, c * share)

    drive = kinetics.normalised_current(V, T) / 2
    resistance = R.drop(scale) / scale
    x = _first(drive, V, scale, fall, G / c, resistance, psi)
    shape = jnp.broadcast_shapes(*(jnp.shape(a) for a in (x, resistance, psi)))
    sign, x = (jnp.broadcast_to(a, shape) for a in (jnp.sign(drive), x))
    if start is not None:
        left = jnp.maximum(1 - start * G / c, limits.depleted)
        warm = sign * jnp.arcsinh(start / jnp.minimum(left, 1) / scale)
        x = jnp.where(warm > 0, jnp.minimum(warm, x), x)
    # The limiting current is reached where this little of c is left.
    last = jnp.arcsinh(1 / jnp.maximum(limits.depleted * fall, jnp.finfo(V.dtype).tiny))
    cap = jnp.where(sign > 0, jnp.minimum(last, limits.x), limits.x)
    x = sign * jnp.minimum(x, cap)
    # The ends lie beyond the cap, so that the cap itself is tried.
    low = jnp.where(sign > 0, jnp.zeros_like(x), -1.1 * cap)
    high = jnp.where(sign > 0, 1.1 * cap, jnp.zeros_like(x))

    def body(state):
        step, x, low, high, _ = state
        value, slope, _ = jax.jvp(residual, (x,), (jnp.ones_like(x),), has_aux=True)
        low = jnp.where(value < 0, x, low)
        high = jnp.where(value > 0, x, high)
        newton = jnp.clip(x - value / slope, -cap, cap)
        inside = ((newton > low) & (newton < high)) | (newton == x)
        new = jnp.where(inside, newton, (low + high) / 2)
        going = jnp.abs(new - x) > limits.tolerance * jnp.minimum(jnp.abs(new), 1)
        return step + 1, new, low, high, jnp.any(going)

    def unfinished(state):
        return (state[0] < _MAX_STEPS) & state[-1]

    state = (jnp.asarray(0), x, low, high, jnp.asarray(True))
    x = jax.lax.while_loop(unfinished, body, state)[1]
    return residual(x)[1]


@eqx.filter_custom_jvp
def _with_slopes(i, c_s, kinetics, V, c, T, R, G, psi):
    """The solution as a function of all that it depends on."""
    return i, c_s


@_with_slopes.def_jvp
def _slopes(primals, tangents):
    """di = df(η, c_s, T) at this i, over 1 − df/di."""
    i, c_s = _with_slopes(*primals)
    _, _, kinetics, V, c, T, R, G, psi = primals

    def response(i, c_s, kinetics, V, c, T, R, psi):
        log_share = jnp.log(c_s / c)
        eta = V + R.drop(i, log_share) - psi * log_share
        return kinetics.current_density(eta, c_s, T)

    def wall(i, c, G):
        return c * share_at_wall(i * G / c, G < 0)

    _, _, dkinetics, dV, dc, dT, dR, dG, dpsi = tangents
    _, dc_s = eqx.filter_jvp(wall, (i, c, G), (None, dc, dG))
    _, by_current = jax.jvp(lambda i: wall(i, c, G), (i,), (jnp.ones_like(i),))
    dc_s = jnp.zeros_like(c_s) if dc_s is None else dc_s
    _, gained = eqx.filter_jvp(
        response,
        (i, c_s, kinetics, V, c, T, R, psi),
        (None, dc_s, dkinetics, dV, dc, dT, dR, dpsi),
    )
    _, slope = jax.jvp(
        lambda i, c_s: response(i, c_s, kinetics, V, c, T, R, psi),
        (i, c_s),
        (jnp.ones_like(i), by_current),
    )
    di = gained / (1 - slope)
    return (i, c_s), (di, dc_s + by_current * di)


def _first(drive, V, scale, fall, per_current, R, psi):
    """|x| if one thing alone took all of the voltage: the least is near the root."""

    def over(a, b):
        return a / jnp.maximum(b, jnp.finfo(V.dtype).tiny ** 0.5)

    # The kinetics, with a layer before them as if γ = 1/2: sinh x = |n|/2 √(c/c_s).
    plates, drive, voltage = drive > 0, jnp.abs(drive), jnp.abs(V)
    kinetic = jnp.arcsinh(drive * jnp.exp(jnp.arcsinh(drive * fall / 2)))
    i = over(voltage, R)
    ohmic = over(i, scale * jnp.where(V < 0, jnp.maximum(1 - i * per_current, 0), 1))
    diffusive = over(jnp.expm1(jnp.minimum(over(voltage, psi), 60.0)), fall)
    alone = jnp.minimum(kinetic, jnp.arcsinh(jnp.minimum(ohmic, diffusive)))
    # Tafel plates against a voltage that would strip: nothing else bounds it.
    return jnp.where(plates == (V < 0), alone, kinetic)


def _asinh(x):
    """asinh, with a derivative that stays finite where float32 cannot hold x²."""
    if x.dtype == jnp.float64:
        return jnp.arcsinh(x)
    big = 1e9
    beyond = jnp.log(jnp.maximum(jnp.abs(x) / big, 1))
    return jnp.arcsinh(jnp.clip(x, -big, big)) + jnp.sign(x) * beyond
