"""How an optimisation went, and the profiles it found."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from depojax._checks import refuse
from depojax.design.fields import Profile
from depojax.design.optimisation import Optimisation
from depojax.plot.parts import BLUE, COLOURS, GREY, ORANGE, check_kind, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 6  # designs on the way


def convergence(found: Optimisation) -> "Figure":
    """Loss, norm of the gradient and violation of the constraints against the steps.

    All members of an ensemble in grey, the best one in blue; a ring marks the best.
    """
    check_kind(found, Optimisation)
    losses = np.asarray(found.history["loss"])
    losses = losses.reshape(losses.shape[0], -1)
    norms = np.asarray(found.history["gradient_norm"]).reshape(losses.shape)
    steps = np.arange(losses.shape[0])
    figure = new_figure(3.4)
    left, right = figure.subplots(1, 2)
    for member in range(losses.shape[1]):
        if member != found.best_member:
            left.plot(steps, losses[:, member], color=GREY, lw=0.9)
            right.semilogy(steps, norms[:, member], color=GREY, lw=0.9)
    left.plot(steps, losses[:, found.best_member], color=BLUE, lw=1.8)
    left.plot(found.best_step, float(found.loss), "o", mfc="none", mec="black", ms=9)
    right.semilogy(
        steps, norms[:, found.best_member], color=BLUE, lw=1.8, label="gradient"
    )
    if found.multipliers:
        violation = np.asarray(found.history["violation"]).reshape(losses.shape)
        shown = np.maximum(violation[:, found.best_member], 1e-12)
        right.semilogy(steps, shown, color=ORANGE, lw=1.4, label="violation")
        right.legend(frameon=False, fontsize=8)
    left.set_ylabel("loss")
    right.set_ylabel("norm of the gradient")
    for axes in (left, right):
        axes.set_xlabel("steps")
        axes.set_xlim(0, max(steps[-1], 1))
    figure.suptitle(found.message, fontsize=9, wrap=True)
    return figure


def design_profiles(found: Optimisation) -> "Figure":
    """Every profile of a design along z: where it began, on the way, and the best.

    Raises `ValueError` for a design without a profile along z.
    """
    check_kind(found, Optimisation)
    best = _profiles(found.design)
    if not best:
        raise refuse("design", "a profile along z in it", "none")
    heights = jnp.linspace(0.0, 1.0, 201)
    figure = new_figure(3.6, width=min(3.6 * len(best) + 0.6, 10.0))
    panels = np.atleast_1d(figure.subplots(1, len(best)))
    for axes, (name, profile) in zip(panels, best.items(), strict=True):
        for share, design in _on_the_way(found, name, profile):
            colour = _colour(share)
            axes.plot(design.on_heights(heights), heights, color=colour, lw=0.9)
        axes.plot(profile.on_heights(heights), heights, color=BLUE, lw=2, label="best")
        axes.set_ylim(0, 1)
        axes.set_xlabel(name)
        axes.legend(frameon=False, fontsize=8)
    panels[0].set_ylabel("height / thickness of the host")
    figure.suptitle("light: begun with, dark: last", fontsize=9)
    return figure


def _colour(share: float) -> Any:
    import matplotlib

    return matplotlib.colormaps[COLOURS](0.95 - 0.8 * share)


def _profiles(design: Any) -> dict[str, Profile]:
    """The profiles in a design by their names."""
    from depojax.design.names import dotted

    def is_profile(x):
        return isinstance(x, Profile)

    found = jax.tree_util.tree_flatten_with_path(design, is_leaf=is_profile)[0]
    named = {dotted(path) or "profile": x for path, x in found if is_profile(x)}
    return {name: x for name, x in named.items() if eqx.is_array(_free(x))}


def _free(profile: Profile) -> Any:
    return getattr(profile.values, "free", None)


def _on_the_way(found: Optimisation, name: str, profile: Profile):
    """Some designs of the history, each with how far on it came."""
    kept = found.designs.get(f"{name}.values.free")
    if kept is None:
        return
    last = kept.shape[0] - 1
    for step in sorted({round(k * last / (_SHOWN - 1)) for k in range(_SHOWN)}):
        free = kept[step]
        if free.ndim > _free(profile).ndim:
            free = free[found.best_member]
        yield step / max(last, 1), eqx.tree_at(lambda p: p.values.free, profile, free)
