"""Parameter studies: a function over a grid of parameters, on a device or on many.

On one device the grid is mapped over in one program (`vmap`), or point after point
where that is impossible; across machines the points are tasks of a Dask cluster, and
the same script serves a local and a real one.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from depojax._checks import check_choice, check_integer, refuse
from depojax._optional import require
from depojax._types import as_float
from depojax.design.names import numbers_by_name
from depojax.solvers.results import SolveError

MODES = ("vmap", "loop", "dask")
# What may go wrong at one point of a grid and leaves the others as they are.
_OWN_FAILURES = (SolveError, ValueError, FloatingPointError)

Point = dict[str, Any]


def sweep(
    function: Callable[..., Any],
    parameters: Mapping[str, Any],
    *,
    mode: str = "vmap",
    batch: int | None = None,
    client: Any = None,
    units: Mapping[str, str] | None = None,
) -> xr.Dataset:
    """The outputs of a function over every combination of parameters.

        found = dj.sweep(
            lambda D, J: dj.sand_time(cell_of(D), J).time,
            {"D": [1e-10, 2e-10, 3e-10], "J": np.geomspace(10, 1000, 7)},
        )
        found["output"].sel(J=100, method="nearest")

    Args:
        function: of the parameters by name; one number, or a dict of them.
        parameters: values by name, each one of the dimensions of the result.
        mode: "vmap", all points in one program on this device; "loop", one after the
            other, for functions that look at numbers, make other shapes, or take words;
            "dask", a task for each point on the workers of `client`.
        batch: points at once with "vmap"; by default all of them.
        client: a `dask.distributed.Client`, of a cluster here or elsewhere. The
            function has to be importable there, or one that Dask can send.
        units: of the parameters and outputs, by name, to be written beside them.

    With "loop" and "dask" a point that fails is NaN, and `failure` holds its words.
    With "vmap" nothing can be raised: let the function be NaN where its `result` says
    so.

    Raises `ValueError` for no parameter, an empty one, and a function that gives no
    numbers; `ImportError` for "dask" without the extra `cluster`.
    """
    check_choice("mode", mode, MODES)
    values = {name: _values(name, given) for name, given in parameters.items()}
    if not values:
        raise refuse("parameters", "at least one", "none")
    if (mode == "dask") != (client is not None):
        raise refuse(
            "client",
            'a dask.distributed.Client with mode="dask", and with no other',
            f"{type(client).__name__} with {mode!r}",
        )
    points = [
        dict(zip(values, point, strict=True))
        for point in itertools.product(*values.values())
    ]
    if mode == "vmap":
        outputs, failures = _mapped(function, values, batch), None
    else:
        answers = _answers(function, points, client)
        outputs, failures = _gathered(answers)
    return _dataset(values, outputs, failures, units or {}, mode)


def local_client(workers: int) -> Any:
    """A Dask client of that many processes on this machine.

    Raises `ImportError` without the extra `cluster`.
    """
    check_integer("workers", workers, 1)
    distributed = require("distributed", "cluster")
    return distributed.Client(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
    )


def cluster_client(address: str) -> Any:
    """A Dask client of the scheduler at an address, "tcp://host:8786".

    Raises `ImportError` without the extra `cluster`, `OSError` where nothing answers.
    """
    return require("distributed", "cluster").Client(address)


def _values(name: str, given: Any) -> list[Any]:
    listed = [given] if isinstance(given, str) or np.ndim(given) == 0 else list(given)
    if not listed:
        raise refuse(f"parameters[{name!r}]", "at least one value", "none")
    return listed


def _mapped(function, values: Mapping[str, Sequence[Any]], batch: int | None):
    """All points in one program."""
    for name, listed in values.items():
        if not all(
            isinstance(value, (int, float, np.number, jax.Array)) for value in listed
        ):
            raise refuse(
                f"parameters[{name!r}]",
                'numbers with mode="vmap"',
                listed,
                'Take mode="loop".',
            )
    arrays = [
        jnp.stack([as_float(value) for value in each]) for each in values.values()
    ]
    mesh = [axis.ravel() for axis in jnp.meshgrid(*arrays, indexing="ij")]

    def at(point):
        return numbers_by_name(function(**dict(zip(values, point, strict=True))))

    if batch is None:
        return jax.jit(jax.vmap(at))(tuple(mesh))
    check_integer("batch", batch, 1)
    return jax.jit(lambda mesh: jax.lax.map(at, mesh, batch_size=batch))(tuple(mesh))


def _answers(function, points: list[Point], client: Any) -> list[Any]:
    settings = {
        name: getattr(jax.config, name)
        for name in ("jax_enable_x64", "jax_numpy_dtype_promotion")
    }
    if client is None:
        return [answer(function, point, {}) for point in points]
    futures = client.map(
        lambda point: answer(function, point, settings), points, pure=False
    )
    return client.gather(futures)


def answer(
    function: Callable[..., Any], point: Point, settings: Mapping[str, Any]
) -> dict[str, float] | str:
    """The outputs at one point as plain numbers; what failed in words.

    `settings` of JAX are made beforehand: a worker is another process.
    """
    for name, value in settings.items():
        jax.config.update(name, value)
    try:
        found = numbers_by_name(function(**point))
        return {name: float(value) for name, value in found.items()}
    except _OWN_FAILURES as error:
        return str(error)


def _gathered(answers: Sequence[Any]):
    """Outputs by name, NaN where a point failed, and the words of the failures."""
    known = [each for each in answers if isinstance(each, dict)]
    if not known:
        raise SolveError(f"Every point failed, the first one so: {answers[0]}")
    outputs = {
        name: np.asarray(
            [each[name] if isinstance(each, dict) else np.nan for each in answers]
        )
        for name in known[0]
    }
    words = [each if isinstance(each, str) else "" for each in answers]
    return outputs, np.asarray(words)


def _dataset(values, outputs, failures, units, mode) -> xr.Dataset:
    shape = tuple(len(listed) for listed in values.values())

    def described(name):
        return {"long_name": name} | ({"units": units[name]} if name in units else {})

    dataset = xr.Dataset(
        {
            name: (tuple(values), np.asarray(found).reshape(shape), described(name))
            for name, found in outputs.items()
        },
        {
            name: (name, _plain(listed), described(name))
            for name, listed in values.items()
        },
        {"title": "Parameter study", "mode": mode},
    )
    if failures is not None and any(failures):
        about = {"long_name": "why a point failed; empty where it did not"}
        dataset["failure"] = (tuple(values), failures.reshape(shape), about)
    return dataset


def _plain(listed: Sequence[Any]) -> np.ndarray:
    return np.asarray(
        [value if isinstance(value, str) else float(value) for value in listed]
    )
