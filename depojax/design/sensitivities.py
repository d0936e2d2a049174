"""What each number counts: sensitivities of every output, and uncertainty passed on.

    g = ∂f/∂x,   x g/f = ∂ln f/∂ln x;   Σ_f = J Σ_x Jᵀ

Gradients by reverse mode, one pass for each output; uncertainty by linearisation
(`jax.linearize`), one forward pass for each number that is uncertain.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from depojax._checks import check_array_shape, check_range, nearest, refuse
from depojax._sums import einsum
from depojax._types import static
from depojax.design.names import all_leaves, named_leaves, numbers_by_name


class Sensitivities(eqx.Module):
    """How every output follows every number; `str` is a table.

    A field counts as a whole: `values` is its mean, `gradient` that of shifting all of
    it, `logarithmic` that of scaling all of it.
    """

    values: Float[Array, "inputs"]
    results: Float[Array, "outputs"]
    gradient: Float[Array, "outputs inputs"]  # ∂f/∂x
    logarithmic: Float[Array, "outputs inputs"]  # ∂ln f/∂ln x [-]
    inputs: tuple[str, ...] = static()
    outputs: tuple[str, ...] = static()

    def of(self, output: str, number: str) -> Array:
        """∂ln(output)/∂ln(number) by their names."""
        i = _index("output", output, self.outputs)
        return self.logarithmic[i, _index("number", number, self.inputs)]

    def __str__(self) -> str:
        blocks = []
        for i, output in enumerate(self.outputs):
            order = np.argsort(-np.abs(np.nan_to_num(np.asarray(self.logarithmic[i]))))
            wide = max(len(name) for name in self.inputs)
            head = f"{output} = {float(self.results[i]):.6g}"
            lines = [
                f"{head}\n{'':{wide}}  {'value':>12} {'df/dx':>12} {'dlnf/dlnx':>10}"
            ]
            for j in order:
                x, g = float(self.values[j]), float(self.gradient[i, j])
                log = float(self.logarithmic[i, j])
                lines.append(
                    f"{self.inputs[j]:{wide}}  {x:12.5g} {g:12.5g} {log:10.4f}"
                )
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)

    def to_xarray(self):
        """The table as an `xarray.Dataset`."""
        from depojax.io import to_xarray

        return to_xarray(self)


class Uncertainty(eqx.Module):
    """What uncertain numbers make of the outputs, to first order."""

    results: Float[Array, "outputs"]
    standard_deviations: Float[Array, "outputs"]
    covariance: Float[Array, "outputs outputs"]
    contributions: Float[Array, "outputs inputs"]  # |∂f/∂x| σ_x, of each alone
    inputs: tuple[str, ...] = static()
    outputs: tuple[str, ...] = static()

    def __str__(self) -> str:
        lines = []
        for i, output in enumerate(self.outputs):
            f, s = float(self.results[i]), float(self.standard_deviations[i])
            lines.append(f"{output} = {f:.6g} ± {s:.2g}")
            parts = np.asarray(self.contributions[i])
            lines += [f"  {self.inputs[j]}: {parts[j]:.2g}" for j in np.argsort(-parts)]
        return "\n".join(lines)

    def to_xarray(self):
        """The numbers as an `xarray.Dataset`."""
        from depojax.io import to_xarray

        return to_xarray(self)


def sensitivities(
    function: Callable[[Any], Any],
    arguments: Any,
    *,
    names: Sequence[str] | None = None,
    fields: bool = False,
) -> Sensitivities:
    """The gradient of every output with respect to every number of a tree.

        told = dj.sensitivities(lambda cell: dj.sand_time(cell, J).time, cell)
        print(told)

    Args:
        function: of the tree; one number, or a dict of them by name.
        arguments: a cell, a design, a tuple of such things: any tree.
        names: which numbers, as "electrolyte.diffusivity"; by default every one.
        fields: take arrays too, each as a whole.

    Raises `ValueError` for names that lead to no number.
    """
    chosen = _chosen(arguments, names, fields=fields)
    stacked, outputs = _stacked(function, arguments, chosen)
    numbers = list(chosen.values())
    results, pull = jax.vjp(stacked, numbers)
    rows = [pull(row)[0] for row in jnp.eye(results.size, dtype=results.dtype)]
    gradient = jnp.stack([jnp.stack([jnp.sum(g) for g in row]) for row in rows])
    scaling = jnp.stack(
        [
            jnp.stack([jnp.sum(g * x) for g, x in zip(row, numbers, strict=True)])
            for row in rows
        ]
    )
    return Sensitivities(
        values=jnp.stack([jnp.mean(x) for x in numbers]),
        results=results,
        gradient=gradient,
        logarithmic=scaling / results[:, None],
        inputs=tuple(chosen),
        outputs=tuple(outputs),
    )


def propagate_uncertainty(
    function: Callable[[Any], Any],
    arguments: Any,
    standard_deviations: Mapping[str, Any],
    *,
    correlation: Any = None,
) -> Uncertainty:
    """Standard deviations of the outputs from those of some numbers, to first order.

    Args:
        function, arguments: as of `sensitivities`.
        standard_deviations: of the uncertain numbers, by their names [their units].
        correlation: matrix between them, in that order; by default none are correlated.

    Good where the function is nearly linear over a standard deviation.

    Raises `ValueError` for names that lead to no number, and for no correlation matrix.
    """
    chosen = _chosen(arguments, list(standard_deviations), fields=False)
    for name, value in standard_deviations.items():
        check_range(f"standard_deviations[{name!r}]", value, 0.0, float("inf"))
    stacked, outputs = _stacked(function, arguments, chosen)
    numbers = list(chosen.values())
    results, push = jax.linearize(stacked, numbers)
    columns = []
    for k in range(len(numbers)):
        along = [jnp.full_like(y, float(j == k)) for j, y in enumerate(numbers)]
        columns.append(push(along))
    sigma = jnp.stack(
        [jnp.asarray(standard_deviations[name], results.dtype) for name in chosen]
    )
    scaled = jnp.stack(columns, axis=1) * sigma
    matrix = jnp.eye(sigma.size, dtype=results.dtype)
    if correlation is not None:
        check_array_shape("correlation", correlation, (sigma.size, sigma.size))
        _check_correlation(np.asarray(correlation, float))
        matrix = jnp.asarray(correlation, results.dtype)
    covariance = einsum("oi,ij,pj->op", scaled, matrix, scaled)
    return Uncertainty(
        results=results,
        standard_deviations=jnp.sqrt(jnp.diagonal(covariance)),
        covariance=covariance,
        contributions=jnp.abs(scaled),
        inputs=tuple(chosen),
        outputs=tuple(outputs),
    )


def _check_correlation(matrix: np.ndarray) -> None:
    even = np.allclose(matrix, matrix.T) and np.allclose(np.diag(matrix), 1)
    if not even or np.linalg.eigvalsh(matrix).min() < -1e-10:
        raise refuse(
            "correlation",
            "a symmetric positive matrix with ones on its diagonal",
            matrix.tolist(),
        )


def _chosen(tree: Any, names: Any, *, fields: bool) -> dict[str, Array]:
    """The leaves that count, by name."""
    leaves = {
        name: leaf for name, leaf in named_leaves(tree).items() if eqx.is_array(leaf)
    }
    if names is None:
        kept = {n: leaf for n, leaf in leaves.items() if fields or leaf.ndim == 0}
        if not kept:
            raise refuse("arguments", "a tree with numbers in it", "none")
        return kept
    for name in names:
        if name not in leaves:
            raise refuse(
                "names", "numbers of the arguments", repr(name), nearest(name, leaves)
            )
    return {name: leaves[name] for name in names}


def _stacked(
    function: Callable[[Any], Any], tree: Any, chosen: dict[str, Array]
) -> tuple[Callable[[list[Array]], Array], list[str]]:
    """The outputs as an array, of other numbers in the places of the chosen ones.

    The list holds the names of the outputs once the function has been called.
    """
    outputs: list[str] = []

    def pick(tree):
        leaves = all_leaves(tree)
        return [leaves[name] for name in chosen]

    def stacked(numbers):
        found = numbers_by_name(function(eqx.tree_at(pick, tree, numbers)))
        outputs[:] = list(found)
        return jnp.stack([jnp.asarray(value) for value in found.values()])

    return stacked, outputs


def _index(argument: str, name: str, known: tuple[str, ...]) -> int:
    if name not in known:
        raise refuse(argument, "a known name", repr(name), nearest(name, known))
    return known.index(name)
